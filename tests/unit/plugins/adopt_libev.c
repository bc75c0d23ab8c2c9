/* SPDX-License-Identifier: MIT */
#include "adopt.h"

#include <ev.h>
#include <stddef.h>

static ev_timer ticks;
static ev_check check;

/* First after the wait: what ran since is nothing. */
static void on_check(struct ev_loop *ev, ev_check *w, int events)
{
    (void)ev;
    (void)w;
    (void)events;
    adopt_waited();
}

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    ++*(unsigned *)timer->data;
}

static void *create(void)
{
    struct ev_loop *ev = ev_loop_new(EVFLAG_NOENV);
    ev_init(&ticks, on_tick);
    ev_check_init(&check, on_check);
    ev_set_priority(&check, EV_MAXPRI);
    ev_check_start(ev, &check);
    ev_unref(ev);
    return ev;
}

static void destroy(void *loop)
{
    ev_ref(loop);
    ev_check_stop(loop, &check);
    ev_loop_destroy(loop);
}

static void on_enough(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)timer;
    (void)events;
}

/* What the case waits for may come just before the wait, so that ends soon. */
static void run_once(void *loop)
{
    ev_timer enough;
    ev_timer_init(&enough, on_enough, 2e-3, 0.);
    ev_timer_start(loop, &enough);
    ev_run(loop, EVRUN_ONCE);
    ev_timer_stop(loop, &enough);
}

static void start_ticks(void *loop, unsigned ms, unsigned *count)
{
    ev_timer_init(&ticks, on_tick, ms * 1e-3, ms * 1e-3);
    ticks.data = count;
    ev_timer_start(loop, &ticks);
}

static void stop_ticks(void *loop)
{
    ev_timer_stop(loop, &ticks);
}

static bool is_idle(void *loop)
{
    return ev_run(loop, 0) == 0; /* returns only when nothing is watched */
}

const struct app_loop app_loop = {
    .kind = "libev",
    .witness = (void (*)(void))ev_run,
    .create = create,
    .destroy = destroy,
    .run_once = run_once,
    .start_ticks = start_ticks,
    .stop_ticks = stop_ticks,
    .is_idle = is_idle,
};
