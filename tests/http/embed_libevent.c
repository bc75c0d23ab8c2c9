/* SPDX-License-Identifier: MIT */
#include "embed_app.h"

#include <event2/event.h>

static struct event *ticks, *call;
static void (*call_fn)(void *arg);
static void *call_arg;

static void *create(void)
{
    return event_base_new();
}

static void destroy(void *loop)
{
    if (call != NULL) {
        event_free(call);
        call = NULL;
    }
    event_base_free(loop);
}

static struct aioduct_foreign_loop foreign(void *loop)
{
    return AIODUCT_LOOP_LIBEVENT(loop);
}

static void know(void *loop, struct aioduct_client **slot)
{
    (void)loop;
    (void)slot;
}

static void run(void *loop)
{
    const struct timeval limit = {.tv_sec = 20};
    event_base_loopexit(loop, &limit);
    event_base_dispatch(loop);
}

static void stop(void *loop)
{
    event_base_loopbreak(loop);
}

static void on_call(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    (void)arg;
    call_fn(call_arg);
}

static void later(void *loop, unsigned ms, void (*fn)(void *arg), void *arg)
{
    struct timeval when = {.tv_usec = (suseconds_t)ms * 1000};
    if (call == NULL) {
        call = event_new(loop, -1, 0, on_call, NULL);
    }
    call_fn = fn;
    call_arg = arg;
    event_add(call, &when);
}

static void on_tick(evutil_socket_t fd, short events, void *count)
{
    (void)fd;
    (void)events;
    ++*(unsigned *)count;
}

static void start_ticks(void *loop, unsigned *count)
{
    const struct timeval every = {.tv_usec = 1000};
    ticks = event_new(loop, -1, EV_PERSIST, on_tick, count);
    event_add(ticks, &every);
}

static void stop_ticks(void *loop)
{
    (void)loop;
    event_free(ticks);
}

static int count_one(const struct event_base *base, const struct event *event, void *count)
{
    (void)base;
    ++*(unsigned *)count;
    return event == NULL;
}

/* A loopexit that has not struck is an event, too; it has a descriptor of -1. */
static int count_descriptors(const struct event_base *base, const struct event *event, void *count)
{
    return event_get_fd(event) >= 0 ? count_one(base, event, count) : 0;
}

static bool is_empty(void *loop)
{
    unsigned count = 0;
    event_base_foreach_event(loop, count_descriptors, &count);
    return count == 0;
}

static void after_fork(void *loop)
{
    event_reinit(loop);
}

const struct app app_libevent = {
    .runtime = "libevent",
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
