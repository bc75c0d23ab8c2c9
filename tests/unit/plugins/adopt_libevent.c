/* SPDX-License-Identifier: MIT */
#include "adopt.h"

#include <event2/event.h>
#include <stddef.h>

static struct event *ticks;

static void *create(void)
{
    return event_base_new();
}

static void destroy(void *loop)
{
    event_base_free(loop);
}

static void run_once(void *loop)
{
    event_base_loop(loop, EVLOOP_ONCE);
    adopt_waited();
}

static void on_tick(evutil_socket_t fd, short events, void *count)
{
    (void)fd;
    (void)events;
    ++*(unsigned *)count;
}

static void start_ticks(void *loop, unsigned ms, unsigned *count)
{
    struct timeval every = {.tv_usec = (suseconds_t)ms * 1000};
    ticks = event_new(loop, -1, EV_PERSIST, on_tick, count);
    event_add(ticks, &every);
}

static void stop_ticks(void *loop)
{
    (void)loop;
    if (ticks != NULL) {
        event_free(ticks);
        ticks = NULL;
    }
}

static bool is_idle(void *loop)
{
    return event_base_loop(loop, 0) == 1;
}

const struct app_loop app_loop = {
    .kind = "libevent",
    .witness = (void (*)(void))event_base_loop,
    .create = create,
    .destroy = destroy,
    .run_once = run_once,
    .start_ticks = start_ticks,
    .stop_ticks = stop_ticks,
    .is_idle = is_idle,
};
