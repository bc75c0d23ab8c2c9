/* SPDX-License-Identifier: MIT */
/*
 * The turn: submit what was wished for and wait, in one io_uring_enter; then completions, reports,
 * timers, tasks, and the core's turn_end. Timers are the wait's own timeout.
 *
 * For an application that polls there is an eventfd, which the kernel signals when the ring has
 * completions or work to run for them; the ring's own descriptor does not wake its pollers for the
 * latter. At the end of each turn the eventfd is made to tell the truth.
 */
#include "uring/uring.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* The submission queue is full and the kernel, out of memory, takes nothing: how soon to retry. */
#define RETRY_NS 1000000

uint64_t ad_uring_clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool inside(const struct ad_uring *u)
{
    return u->tasks.loop.driving;
}

static bool on_loop_thread(const struct ad_uring *u)
{
    return pthread_equal(u->owner, pthread_self()) != 0;
}

uint64_t ad_uring_tag(const struct ad_uring *u, enum ad_uring_kind kind)
{
    return (u->tag != 0 ? u->tag : (uint64_t)(uintptr_t)u) | kind;
}

/* ---- before the wait ---- */

/* Have the kernel read the eventfd. Its descriptor is blocking, else the read would end at once. */
static bool arm_wake(struct ad_uring *u)
{
    struct io_uring_sqe *sqe = u->wake_armed ? NULL : ad_uring_ring_sqe(u->ring);
    if (sqe != NULL) {
        io_uring_prep_read(sqe, u->wake_fd, &u->wake_count, sizeof u->wake_count, 0);
        sqe->user_data = ad_uring_tag(u, AD_URING_WAKE);
        u->wake_armed = true;
    }
    return u->wake_armed;
}

bool ad_uring_flush(struct ad_uring *u)
{
    return arm_wake(u) && ad_uring_buffers_flush(u) && ad_uring_streams_flush(u);
}

/* How long this turn may wait, at most @timeout_ns (negative: no limit). */
static int64_t patience(struct ad_uring *u, int64_t timeout_ns, bool flushed)
{
    if (timeout_ns == 0 || !ad_uring_list_empty(&u->reports) || !ad_tasks_may_wait(&u->tasks)) {
        return 0;
    }
    if (!flushed && (timeout_ns < 0 || timeout_ns > RETRY_NS)) {
        timeout_ns = RETRY_NS;
    }
    uint64_t next_ns = ad_timers_next(&u->timers);
    if (next_ns == UINT64_MAX) {
        return timeout_ns;
    }
    uint64_t now_ns = ad_uring_clock_ns();
    uint64_t left_ns = next_ns > now_ns ? next_ns - now_ns : 0;
    if (left_ns > INT64_MAX || (timeout_ns > 0 && left_ns > (uint64_t)timeout_ns)) {
        return timeout_ns;
    }
    return (int64_t)left_ns;
}

/* ---- after the wait ---- */

struct ad_uring_stream *ad_uring_stream_of(const struct ad_uring *u, uint64_t user_data)
{
    if (u->tag != 0) {
        uint32_t slot = (uint32_t)(user_data >> 4);
        return slot < u->slot_count ? u->slots[slot] : NULL;
    }
    uintptr_t address = (uintptr_t)(user_data & ~(uint64_t)AD_URING_KIND_MASK);
    return (struct ad_uring_stream *)address;
}

void ad_uring_complete(struct ad_uring *u, uint64_t user_data, int result, unsigned flags)
{
    enum ad_uring_kind kind = user_data & AD_URING_KIND_MASK;
    switch (kind) {
    case AD_URING_NOTHING:
        break;
    case AD_URING_PROVIDE:
        ad_uring_buffers_provided(&u->buffers, user_data, result);
        break;
    case AD_URING_WAKE:
        u->wake_armed = false;
        break;
    case AD_URING_TICK:
        u->tick_armed = false;
        break;
    default: {
        struct ad_uring_stream *s = ad_uring_stream_of(u, user_data);
        if (s != NULL) {
            ad_uring_stream_complete(s, kind, result, flags);
        }
    }
    }
}

/* Take the completions that are there now; what they bring about is the next turn's. Each is copied
 * out first, so that its place is free while callbacks run. Our ring has entries of one size. */
static void reap(struct ad_uring *u)
{
    const struct io_uring_cq *cq = &u->ring->cq;
    unsigned head = *cq->khead;
    for (unsigned left = io_uring_cq_ready(u->ring); left > 0; left--, head++) {
        struct io_uring_cqe cqe = cq->cqes[head & cq->ring_mask];
        io_uring_cq_advance(u->ring, 1);
        ad_uring_complete(u, cqe.user_data, cqe.res, cqe.flags);
    }
}

void ad_uring_finish_turn(struct ad_uring *u)
{
    ad_uring_streams_report(u);
    ad_timers_fire(&u->timers, u->now_ns);
    ad_tasks_run(&u->tasks);
    u->host->turn_end(u->host->ctx);
}

bool ad_uring_has_work(struct ad_uring *u)
{
    return !ad_uring_list_empty(&u->reports) || !ad_tasks_may_wait(&u->tasks);
}

static int run_turn(struct ad_uring *u, int64_t timeout_ns)
{
    bool flushed = ad_uring_flush(u);
    int code = ad_uring_ring_wait(u->ring, patience(u, timeout_ns, flushed));
    ad_tasks_awake(&u->tasks);
    if (code < 0 && code != -EINTR) {
        return ad_uring_fail(u->host, code, "io_uring_enter failed");
    }
    u->now_ns = ad_uring_clock_ns();
    reap(u);
    ad_uring_finish_turn(u);
    return 0;
}

/* ---- between turns ---- */

/* Keep one kernel timer at the earliest deadline. Moving it posts no completion, for that would
 * make the descriptor readable. */
void ad_uring_arm_tick(struct ad_uring *u)
{
    uint64_t next_ns = ad_timers_next(&u->timers);
    if (u->tick_armed ? next_ns == u->tick_ns : next_ns == UINT64_MAX) {
        return;
    }
    struct io_uring_sqe *sqe = ad_uring_ring_sqe(u->ring);
    if (sqe == NULL) {
        return; /* there are completions to reap: the descriptor is readable anyway */
    }
    u->tick_ns = next_ns;
    u->tick.tv_sec = (int64_t)(next_ns / 1000000000u);
    u->tick.tv_nsec = (int64_t)(next_ns % 1000000000u);
    if (u->tick_armed) {
        io_uring_prep_timeout_update(sqe, &u->tick, ad_uring_tag(u, AD_URING_TICK),
                                     IORING_TIMEOUT_ABS);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = ad_uring_tag(u, AD_URING_NOTHING);
    } else {
        io_uring_prep_timeout(sqe, &u->tick, 0, IORING_TIMEOUT_ABS);
        sqe->user_data = ad_uring_tag(u, AD_URING_TICK);
        u->tick_armed = true;
    }
}

void ad_uring_signal_fd(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* Submit all there is, for nobody knows when the next turn comes; and if it has work already, say
 * so. @turned: what the eventfd was signalled for so far is done, or found here. */
static void publish(struct ad_uring *u, bool turned)
{
    bool flushed = ad_uring_flush(u);
    int fd = u->ready_fd;
    if (fd >= 0) {
        ad_uring_arm_tick(u);
    }
    if (io_uring_sq_ready(u->ring) > 0) {
        io_uring_submit(u->ring);
    }
    if (fd < 0) {
        return;
    }
    uint64_t count;
    while (turned && read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    if (!flushed || io_uring_sq_ready(u->ring) > 0 || ad_uring_ring_busy(u->ring) ||
        ad_uring_has_work(u)) {
        ad_uring_signal_fd(fd);
    }
}

void ad_uring_touch(struct ad_uring *u)
{
    if (u->ready_fd >= 0 && !inside(u)) {
        publish(u, false);
    }
}

/* The queue of tasks is no longer empty and the loop waits, or is outside a turn. The ring would
 * pass the first signal on to the second, were it not that some kernels forget to. */
static void signal_loop(struct ad_uring *u)
{
    if (on_loop_thread(u)) {
        ad_uring_touch(u);
        return;
    }
    ad_uring_signal_fd(u->wake_fd);
    if (u->ready_fd >= 0) {
        ad_uring_signal_fd(u->ready_fd);
    }
}

/* ---- the tables' functions ---- */

int ad_uring_enter(struct ad_uring *u)
{
    return on_loop_thread(u) ? ad_tasks_enter(&u->tasks) : AIODUCT_E_THREAD;
}

/* Completions of the application's own ring are its own to take. */
static int enter_to_drive(struct ad_uring *u)
{
    int code = ad_uring_enter(u);
    if (code == 0 && u->tag != 0) {
        ad_tasks_leave(&u->tasks);
        code = ad_uring_fail(u->host, AIODUCT_E_UNSUPPORTED,
                             "the application drives its own ring; nobody else can");
    }
    return code;
}

static void leave(struct ad_uring *u)
{
    ad_tasks_leave(&u->tasks);
    publish(u, true);
}

int ad_uring_block_on(void *rt, struct aioduct_task *root, void *root_state)
{
    struct ad_uring *u = rt;
    int code = enter_to_drive(u);
    if (code < 0) {
        return code;
    }
    ad_tasks_root_set(&u->tasks, root, root_state);
    while (code == 0 && !ad_tasks_root_ready(&u->tasks)) {
        code = run_turn(u, -1);
    }
    if (!ad_tasks_root_ready(&u->tasks)) {
        ad_tasks_root_drop(&u->tasks, root_state);
    }
    leave(u);
    return code;
}

int ad_uring_turn(void *rt, int64_t timeout_ns)
{
    struct ad_uring *u = rt;
    int code = enter_to_drive(u);
    if (code == 0) {
        code = run_turn(u, timeout_ns);
        leave(u);
    }
    return code;
}

int ad_uring_poll_fd(void *rt)
{
    struct ad_uring *u = rt;
    if (!on_loop_thread(u)) {
        return AIODUCT_E_THREAD;
    }
    if (u->ready_fd >= 0) {
        return u->ready_fd;
    }
    if (u->tag != 0) {
        return AIODUCT_E_UNSUPPORTED; /* the application waits for its own ring */
    }
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int code = fd < 0 ? -errno : io_uring_register_eventfd(u->ring, fd);
    if (code < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return ad_uring_fail(u->host, code, "no descriptor to poll: %s", strerror(-code));
    }
    u->ready_fd = fd;
    ad_uring_touch(u);
    return fd;
}

void ad_uring_wake(void *rt, struct aioduct_task *task, void *task_state)
{
    struct ad_uring *u = rt;
    (void)task;
    if (ad_tasks_wake(&u->tasks, task_state)) {
        signal_loop(u);
    }
}

int ad_uring_spawn_local(void *rt, struct aioduct_task *task, void *task_state)
{
    struct ad_uring *u = rt;
    if (!on_loop_thread(u)) {
        return AIODUCT_E_THREAD;
    }
    if (ad_tasks_spawn(&u->tasks, task, task_state)) {
        signal_loop(u);
    }
    return 0;
}

uint64_t ad_uring_now_ns(void *rt)
{
    const struct ad_uring *u = rt;
    return inside(u) ? u->now_ns : ad_uring_clock_ns();
}

int ad_uring_sleep(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns)
{
    struct ad_uring *u = rt;
    int code = ad_timers_set(&u->timers, timer, timer_state, deadline_ns);
    if (code == 0) {
        ad_uring_touch(u);
    }
    return code;
}

void ad_uring_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state)
{
    struct ad_uring *u = rt;
    (void)timer;
    ad_timers_cancel(&u->timers, timer_state);
    ad_uring_touch(u);
}
