/* SPDX-License-Identifier: MIT */
/* Turns: when to wait, what runs after it, and how other threads and applications that poll learn
 * of work. */
#include "readiness/readiness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

uint64_t ad_readiness_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int ad_readiness_watch(struct ad_watch *watch, unsigned events)
{
    if (watch->events == events) {
        return 0;
    }
    int code = watch->cx->loop->ops->watch(watch, events);
    if (code < 0) {
        return code;
    }
    watch->events = (uint8_t)events;
    if (watch->cx->loop->unsettled) {
        ad_readiness_nudge(watch->cx->loop);
    }
    return 0;
}

void ad_readiness_watch_end(struct ad_watch *watch)
{
    (void)ad_readiness_watch(watch, 0);
    if (watch->cx->loop->ops->forget != NULL) {
        watch->cx->loop->ops->forget(watch);
    }
    close(watch->fd);
    watch->fd = -1;
}

/* ---- the eventfd and the timerfd ---- */

/* [any] */
static void signal_loop(struct ad_readiness *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake.fd, &one, sizeof one);
    (void)written; /* a full counter is readable already */
}

static void drain(int fd)
{
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
}

static int open_wake(struct ad_readiness *loop)
{
    loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake.fd < 0) {
        return -errno;
    }
    int code = ad_readiness_watch(&loop->wake, AD_READ);
    if (code < 0) {
        ad_readiness_watch_end(&loop->wake);
    }
    return code;
}

static int open_clock(struct ad_readiness *loop)
{
    loop->clock_ns = UINT64_MAX;
    loop->clock.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->clock.fd < 0) {
        return -errno;
    }
    int code = ad_readiness_watch(&loop->clock, AD_READ);
    if (code < 0) {
        ad_readiness_watch_end(&loop->clock);
    }
    return code;
}

static void close_watch(struct ad_watch *watch)
{
    if (watch->fd >= 0) {
        ad_readiness_watch_end(watch);
    }
}

static void set_clock(struct ad_readiness *loop, uint64_t deadline_ns)
{
    if (deadline_ns == loop->clock_ns) {
        return;
    }
    struct itimerspec at = {0};
    if (deadline_ns != UINT64_MAX) {
        at.it_value.tv_sec = (time_t)(deadline_ns / 1000000000u);
        at.it_value.tv_nsec = (long)(deadline_ns % 1000000000u);
        if (deadline_ns == 0) {
            at.it_value.tv_nsec = 1; /* zero would disarm */
        }
    }
    timerfd_settime(loop->clock.fd, TFD_TIMER_ABSTIME, &at, NULL);
    loop->clock_ns = deadline_ns;
}

/* ---- a turn ---- */

static int enter(struct ad_readiness *loop)
{
    return ad_tasks_enter(&loop->tasks);
}

static void note_time(struct ad_readiness *loop)
{
    if (loop->now_ns == 0) {
        loop->now_ns = ad_readiness_clock_ns();
    }
}

/* Whoever waits instead of us, the application's poll or its loop, has to know of what is left. */
static void leave(struct ad_readiness *loop)
{
    bool left = ad_tasks_leave(&loop->tasks) || loop->due != NULL;
    loop->now_ns = 0;
    if (loop->polled) {
        set_clock(loop, ad_timers_next(&loop->timers));
        left = left || loop->unsettled;
    }
    if (loop->ops->arm != NULL) {
        loop->ops->arm(loop, ad_timers_next(&loop->timers));
    }
    if (left && (loop->polled || loop->ops->arm != NULL)) {
        signal_loop(loop);
    }
}

static void finish(struct ad_readiness *loop)
{
    note_time(loop);
    ad_timers_fire(&loop->timers, loop->now_ns);
    ad_readiness_deliver(loop);
    ad_tasks_run(&loop->tasks);
    loop->host->turn_end(loop->host->ctx);
}

static int wait_until(struct ad_readiness *loop, uint64_t deadline_ns)
{
    loop->now_ns = 0;
    loop->waits = true;
    int code = loop->ops->wait(loop, deadline_ns);
    loop->waits = false;
    return code;
}

static int wait_and_finish(struct ad_readiness *loop, uint64_t deadline_ns)
{
    uint64_t next_ns = ad_timers_next(&loop->timers);
    if (next_ns < deadline_ns) {
        deadline_ns = next_ns;
    }
    if (loop->due != NULL || !ad_tasks_may_wait(&loop->tasks)) {
        deadline_ns = 0;
    }
    loop->unsettled = false;
    int code = wait_until(loop, deadline_ns);
    ad_tasks_awake(&loop->tasks);
    if (code != AIODUCT_E_NESTED) {
        finish(loop);
    }
    return code;
}

/* The application may be running the loop: then nothing of a turn may happen. A library that cannot
 * be asked refuses the first wait. */
static int enter_to_drive(struct ad_readiness *loop)
{
    int code = loop->ops->may_drive != NULL ? loop->ops->may_drive(loop) : 0;
    code = code < 0 ? code : enter(loop);
    if (code == 0 && loop->ops->may_drive != NULL) {
        code = wait_until(loop, 0);
        if (code < 0) {
            leave(loop);
        }
    }
    return code;
}

int ad_readiness_block_on(void *rt, struct aioduct_task *root, void *root_state)
{
    struct ad_readiness *loop = rt;
    int code = enter_to_drive(loop);
    if (code < 0) {
        return code;
    }
    ad_tasks_root_set(&loop->tasks, root, root_state);
    finish(loop);
    while (code == 0 && !ad_tasks_root_ready(&loop->tasks)) {
        code = wait_and_finish(loop, UINT64_MAX);
    }
    if (ad_tasks_root_ready(&loop->tasks)) {
        code = 0;
    } else {
        ad_tasks_root_drop(&loop->tasks, root_state);
    }
    leave(loop);
    return code;
}

int ad_readiness_turn(void *rt, int64_t timeout_ns)
{
    struct ad_readiness *loop = rt;
    int code = loop->ops->may_drive != NULL ? loop->ops->may_drive(loop) : 0;
    code = code < 0 ? code : enter(loop);
    if (code < 0) {
        return code;
    }
    uint64_t deadline_ns = timeout_ns < 0 ? UINT64_MAX : 0;
    if (timeout_ns > 0) {
        deadline_ns = ad_readiness_clock_ns() + (uint64_t)timeout_ns;
    }
    code = wait_and_finish(loop, deadline_ns);
    leave(loop);
    return code;
}

/* The last line of whatever the application's loop calls: @loop may be gone after it. */
static void say_gone(struct ad_readiness *loop)
{
    if (loop->gone != NULL) {
        loop->gone(loop->gone_arg);
    }
}

/* An application may run its loop inside a callback of ours: what is found there waits. */
void ad_readiness_ready(struct ad_watch *watch, unsigned events)
{
    struct ad_readiness *loop = watch->cx->loop;
    bool alone = enter(loop) == 0; /* the application runs this loop */
    if (!alone && !loop->waits) {
        return;
    }
    loop->waits = false;
    ad_tasks_awake(&loop->tasks); /* what is woken from here on runs before the next wait */
    note_time(loop);
    if (watch == &loop->wake) {
        drain(watch->fd);
    } else if (watch == &loop->clock) {
        drain(watch->fd);
        loop->clock_ns = UINT64_MAX; /* it is disarmed: the same deadline again is to be set */
    } else {
        ad_readiness_stream_ready(watch, events);
    }
    loop->waits = !alone;
    if (alone) {
        ad_tasks_leave(&loop->tasks);
        loop->now_ns = 0;
        if (loop->ops->come_round != NULL) {
            loop->ops->come_round(loop);
        }
        say_gone(loop);
    }
}

void ad_readiness_round(struct ad_readiness *loop)
{
    if (enter(loop) < 0) {
        return;
    }
    finish(loop);
    leave(loop);
    say_gone(loop);
}

int ad_readiness_settle(void *rt)
{
    struct ad_readiness *loop = rt;
    int code = enter(loop);
    if (code < 0) {
        return code;
    }
    loop->now_ns = 0;
    finish(loop);
    leave(loop);
    return 0;
}

void ad_readiness_leave(void *rt, void (*gone)(void *arg), void *arg)
{
    struct ad_readiness *loop = rt;
    loop->gone = gone;
    loop->gone_arg = arg;
}

void ad_readiness_nudge(struct ad_readiness *loop)
{
    if (loop->tasks.loop.driving) {
        return;
    }
    if (loop->polled) {
        signal_loop(loop);
    }
    if (loop->ops->come_round != NULL) {
        loop->ops->come_round(loop);
    }
}

/* ---- tasks and timers ---- */

void ad_readiness_wake(void *rt, struct aioduct_task *task, void *task_state)
{
    struct ad_readiness *loop = rt;
    (void)task;
    if (ad_tasks_wake(&loop->tasks, task_state)) {
        signal_loop(loop);
    }
}

int ad_readiness_spawn(void *rt, struct aioduct_task *task, void *task_state)
{
    struct ad_readiness *loop = rt;
    if (ad_tasks_spawn(&loop->tasks, task, task_state)) {
        signal_loop(loop);
    }
    return 0;
}

uint64_t ad_readiness_now_ns(void *rt)
{
    struct ad_readiness *loop = rt;
    return loop->now_ns != 0 ? loop->now_ns : ad_readiness_clock_ns();
}

/* Outside turns somebody else waits, and has to know how long. */
static void timers_changed(struct ad_readiness *loop)
{
    if (loop->tasks.loop.driving) {
        return;
    }
    if (loop->polled) {
        set_clock(loop, ad_timers_next(&loop->timers));
    }
    if (loop->ops->arm != NULL) {
        loop->ops->arm(loop, ad_timers_next(&loop->timers));
    }
}

int ad_readiness_sleep(void *rt, struct aioduct_timer *timer, void *timer_state,
                       uint64_t deadline_ns)
{
    struct ad_readiness *loop = rt;
    int code = ad_timers_set(&loop->timers, timer, timer_state, deadline_ns);
    timers_changed(loop);
    return code;
}

void ad_readiness_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state)
{
    struct ad_readiness *loop = rt;
    (void)timer;
    ad_timers_cancel(&loop->timers, timer_state);
    timers_changed(loop);
}

/* ---- life ---- */

/* What a receive reads into at first; a flow that fills it makes it grow (stream.c). */
#define SCRATCH_BYTES 65536

/* -> @code, and the host knows what it is about */
static int refuse(const struct aioduct_host *host, int code, const char *what)
{
    char text[128];
    snprintf(text, sizeof text, "%s: %s", what, strerror(-code));
    host->error(host->ctx, code, text);
    return code;
}

int ad_readiness_open(struct ad_readiness *loop, const struct ad_readiness_ops *ops,
                      const struct aioduct_host *host)
{
    loop->ops = ops;
    loop->host = host;
    loop->own = (struct ad_readiness_cx){.loop = loop, .host = host};
    loop->wake.cx = loop->clock.cx = &loop->own;
    loop->clock.fd = -1;
    loop->set_fd = -1;
    loop->due_end = &loop->due;
    ad_tasks_init(&loop->tasks, host);
    ad_timers_init(&loop->timers, host);
    loop->scratch = host->alloc(host->ctx, NULL, SCRATCH_BYTES, AD_SCRATCH_ALIGN);
    if (loop->scratch == NULL) {
        return refuse(host, -ENOMEM, "the receive buffer");
    }
    loop->scratch_bytes = SCRATCH_BYTES;
    int code = open_wake(loop);
    if (code < 0) {
        host->alloc(host->ctx, loop->scratch, 0, 0);
        return refuse(host, code, "the descriptor that wakes the loop");
    }
    return 0;
}

void ad_readiness_close(struct ad_readiness *loop)
{
    close_watch(&loop->wake);
    close_watch(&loop->clock);
    ad_timers_fini(&loop->timers);
    if (loop->places != NULL) {
        loop->host->alloc(loop->host->ctx, loop->places, 0, 0);
    }
    loop->host->alloc(loop->host->ctx, loop->scratch, 0, 0);
}

void ad_readiness_abandon(struct ad_readiness *loop)
{
    ad_readiness_streams_drop(loop);
    close_watch(&loop->wake);
    close_watch(&loop->clock);
}

int ad_readiness_be_polled(struct ad_readiness *loop)
{
    if (loop->polled) {
        return 0;
    }
    int code = open_clock(loop);
    if (code < 0) {
        return code;
    }
    loop->polled = true;
    if (enter(loop) == 0) {
        leave(loop); /* tells of what came before */
    }
    return 0;
}

int ad_readiness_after_fork(struct ad_readiness *loop)
{
    loop->set_fd = -1;
    close_watch(&loop->wake);
    int code = open_wake(loop);
    if (code == 0 && loop->polled) {
        close_watch(&loop->clock);
        code = open_clock(loop);
        if (code == 0) {
            set_clock(loop, ad_timers_next(&loop->timers));
        }
    }
    signal_loop(loop); /* the parent's signals stayed with the parent */
    return code;
}
