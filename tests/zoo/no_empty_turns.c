/* SPDX-License-Identifier: MIT */
/* A turn in which nothing happened has no end. */
#include "zoo.h"

static bool called;

static int run(void *ctx, struct aioduct_task *task)
{
    called = true;
    return real->task_run(ctx, task);
}

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    called = true;
    real->on_done(ctx, stream, op, code, bytes);
}

static void data(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    called = true;
    real->on_data(ctx, stream, slice, bytes);
}

static void closed(void *ctx, struct aioduct_stream *stream)
{
    called = true;
    real->on_closed(ctx, stream);
}

static void fired(void *ctx, struct aioduct_timer *timer)
{
    called = true;
    real->timer_fired(ctx, timer);
}

static void end(void *ctx)
{
    if (called) {
        called = false;
        real->turn_end(ctx);
    }
}

static void spoil(void)
{
    zoo.host.task_run = run;
    zoo.host.on_done = done;
    zoo.host.on_data = data;
    zoo.host.on_closed = closed;
    zoo.host.timer_fired = fired;
    zoo.host.turn_end = end;
}
