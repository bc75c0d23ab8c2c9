/* SPDX-License-Identifier: MIT */
#include "embed_app.h"

#include <ev.h>

static ev_timer ticks, call, limit;
static void (*call_fn)(void *arg);
static void *call_arg;

static void on_limit(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(ev, EVBREAK_ALL);
}

static void *create(void)
{
    ev_init(&call, NULL);
    return ev_loop_new(EVFLAG_NOENV);
}

static void destroy(void *loop)
{
    ev_timer_stop(loop, &call);
    ev_loop_destroy(loop);
}

static struct aioduct_foreign_loop foreign(void *loop)
{
    return AIODUCT_LOOP_LIBEV(loop);
}

static void know(void *loop, struct aioduct_client **slot)
{
    (void)loop;
    (void)slot;
}

static void run(void *loop)
{
    ev_timer_init(&limit, on_limit, 20., 0.);
    ev_timer_start(loop, &limit);
    ev_run(loop, 0);
    ev_timer_stop(loop, &limit);
}

static void stop(void *loop)
{
    ev_break(loop, EVBREAK_ALL);
}

static void on_call(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)timer;
    (void)events;
    call_fn(call_arg);
}

static void later(void *loop, unsigned ms, void (*fn)(void *arg), void *arg)
{
    call_fn = fn;
    call_arg = arg;
    ev_now_update(loop);
    ev_timer_init(&call, on_call, ms * 1e-3, 0.);
    ev_timer_start(loop, &call);
}

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    ++*(unsigned *)timer->data;
}

static void start_ticks(void *loop, unsigned *count)
{
    ev_timer_init(&ticks, on_tick, 1e-3, 1e-3);
    ticks.data = count;
    ev_timer_start(loop, &ticks);
}

static void stop_ticks(void *loop)
{
    ev_timer_stop(loop, &ticks);
}

static bool is_empty(void *loop)
{
    bool waits = ev_is_active(&call);
    ev_timer_stop(loop, &call);
    return !waits && ev_run(loop, EVRUN_NOWAIT) == 0;
}

static void after_fork(void *loop)
{
    ev_loop_fork(loop);
}

const struct app app_libev = {
    .runtime = "libev",
    .create = create,
    .destroy = destroy,
    .foreign = foreign,
    .know = know,
    .run = run,
    .stop = stop,
    .later = later,
    .start_ticks = start_ticks,
    .stop_ticks = stop_ticks,
    .is_empty = is_empty,
    .after_fork = after_fork,
};
