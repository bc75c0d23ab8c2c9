/* SPDX-License-Identifier: MIT */
/* The host table that goes between: what a plugin calls of the core. */
#include "runtime/calls.h"

/* What the plugin was given for the core's half. */
static const struct ad_calls_head *head_of(const void *half)
{
    return half;
}

static void *calls_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    const struct ad_calls *c = ctx;
    const char *what = bytes == 0 ? "free" : old == NULL ? "new" : "resize";
    void *block = c->above->alloc(c->above->ctx, old, bytes, align);
    ad_calls_say(c, "< alloc(%s, %zu bytes) -> %s", what, bytes,
                 bytes == 0 || block != NULL ? "0" : "ENOMEM");
    return block;
}

static void calls_log(void *ctx, int level, const char *message)
{
    const struct ad_calls *c = ctx;
    ad_calls_say(c, "< log(%d, \"%s\")", level, message);
    c->above->log(c->above->ctx, level, message);
}

static void calls_error(void *ctx, int code, const char *message)
{
    const struct ad_calls *c = ctx;
    char text[16];
    ad_calls_say(c, "< error(%s, \"%s\")", ad_calls_result(code, text), message);
    c->above->error(c->above->ctx, code, message);
}

static const char *calls_option(void *ctx, const char *key)
{
    const struct ad_calls *c = ctx;
    const char *value = c->above->option(c->above->ctx, key);
    ad_calls_say(c, "< option(%s) -> %s%s%s", key, value == NULL ? "none" : "\"",
                 value == NULL ? "" : value, value == NULL ? "" : "\"");
    return value;
}

static int calls_task_run(void *ctx, struct aioduct_task *task)
{
    const struct ad_calls *c = ctx;
    unsigned number = head_of(task)->number; /* its memory may go inside */
    ad_calls_say(c, "< task_run(task %u)", number);
    int ready = c->above->task_run(c->above->ctx, head_of(task)->above);
    ad_calls_say(c, "< task_run(task %u) -> %s", number, ready ? "ready" : "pending");
    return ready;
}

static void calls_timer_fired(void *ctx, struct aioduct_timer *timer)
{
    const struct ad_calls *c = ctx;
    ad_calls_say(c, "< timer_fired(timer %u)", head_of(timer)->number);
    c->above->timer_fired(c->above->ctx, head_of(timer)->above);
}

static void calls_turn_end(void *ctx)
{
    const struct ad_calls *c = ctx;
    ad_calls_say(c, "< turn_end()");
    c->above->turn_end(c->above->ctx);
}

static void calls_on_data(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    const struct ad_calls *c = ctx;
    ad_calls_say(c, "< on_data(stream %u, %zu bytes)", head_of(stream)->number, bytes);
    c->above->on_data(c->above->ctx, head_of(stream)->above, slice, bytes);
}

static void calls_on_done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    const struct ad_calls *c = ctx;
    char name[40], text[16];
    ad_calls_say(c, "< on_done(stream %u, %s, %s, %zu bytes)", head_of(stream)->number,
                 ad_calls_ops((unsigned)op, name), ad_calls_result(code, text), bytes);
    c->above->on_done(c->above->ctx, head_of(stream)->above, op, code, bytes);
}

static void calls_on_closed(void *ctx, struct aioduct_stream *stream)
{
    const struct ad_calls *c = ctx;
    ad_calls_say(c, "< on_closed(stream %u)", head_of(stream)->number);
    c->above->on_closed(c->above->ctx, head_of(stream)->above);
}

static int calls_is_loop_thread(void *ctx)
{
    const struct ad_calls *c = ctx;
    int is = c->above->is_loop_thread(c->above->ctx);
    ad_calls_say(c, "< is_loop_thread() -> %d", is);
    return is;
}

static const void *calls_get_interface(void *ctx, const char *id)
{
    const struct ad_calls *c = ctx;
    const void *table = c->above->get_interface(c->above->ctx, id);
    ad_calls_say(c, "< get_interface(\"%.80s\") -> %s", id, table == NULL ? "none" : "a table");
    return table;
}

void ad_calls_host_init(struct ad_calls *calls)
{
    calls->host = (struct aioduct_host){
        .size = sizeof calls->host,
        .abi_major = calls->above->abi_major,
        .abi_minor = calls->above->abi_minor,
        .ctx = calls,
        .alloc = calls_alloc,
        .log = calls_log,
        .error = calls_error,
        .option = calls_option,
        .task_run = calls_task_run,
        .timer_fired = calls_timer_fired,
        .turn_end = calls_turn_end,
        .on_data = calls_on_data,
        .on_done = calls_on_done,
        .on_closed = calls_on_closed,
        .is_loop_thread = calls_is_loop_thread,
        .get_interface = calls_get_interface,
    };
}
