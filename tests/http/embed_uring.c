/* SPDX-License-Identifier: MIT */
#include "embed_app.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4 };
enum { TICK = 1, CALL, LIMIT, REMOVED }; /* user_data of the application's own entries */

struct ring {
    struct io_uring ring;
    struct aioduct_client **slots[SLOTS];
    unsigned slot_count;
    bool running, ticking, tick_armed, call_armed;
    unsigned *ticks;
    void (*call_fn)(void *arg);
    void *call_arg;
};

static void *create(void)
{
    struct ring *r = calloc(1, sizeof *r);
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    if (io_uring_queue_init_params(16, &r->ring, &params) < 0 &&
        io_uring_queue_init(16, &r->ring, 0) < 0) {
        abort();
    }
    return r;
}

static void destroy(void *loop)
{
    struct ring *r = loop;
    io_uring_queue_exit(&r->ring);
    free(r);
}

static struct aioduct_foreign_loop foreign(void *loop)
{
    struct ring *r = loop;
    return AIODUCT_LOOP_IO_URING(&r->ring);
}

static void know(void *loop, struct aioduct_client **slot)
{
    struct ring *r = loop;
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->slots[i] == slot) {
            return;
        }
    }
    r->slots[r->slot_count++] = slot;
}

static struct io_uring_sqe *entry(struct ring *r, uint64_t user_data)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);
    if (sqe == NULL) {
        io_uring_submit(&r->ring);
        sqe = io_uring_get_sqe(&r->ring);
    }
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
    return sqe;
}

/* The kernel copies the time when the entry is submitted, which is at once. */
static void set_timer(struct ring *r, uint64_t user_data, unsigned ms)
{
    struct __kernel_timespec when = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    io_uring_prep_timeout(entry(r, user_data), &when, 0, 0);
    io_uring_submit(&r->ring);
}

static void unset_timer(struct ring *r, uint64_t user_data)
{
    struct io_uring_sqe *sqe = entry(r, REMOVED);
    io_uring_prep_timeout_remove(sqe, user_data, 0);
    sqe->user_data = REMOVED;
    io_uring_submit(&r->ring);
}

static void on_own(struct ring *r, uint64_t user_data, int result)
{
    if (result == -ECANCELED) {
        return; /* a timer that was unset */
    }
    switch (user_data) {
    case TICK:
        r->tick_armed = false;
        if (r->ticking) {
            ++*r->ticks;
            r->tick_armed = true;
            set_timer(r, TICK, 1);
        }
        break;
    case CALL:
        if (r->call_armed) {
            r->call_armed = false;
            r->call_fn(r->call_arg);
        }
        break;
    case LIMIT:
        r->running = false;
        break;
    default:
        break;
    }
}

static void hand_over(struct ring *r, struct io_uring_cqe *cqe)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (*r->slots[i] != NULL &&
            aioduct_client_ring_complete(*r->slots[i], cqe->user_data, cqe->res, cqe->flags) != 0) {
            return;
        }
    }
}

static void round_of(struct ring *r)
{
    unsigned head, count = 0;
    struct io_uring_cqe *cqe;
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (*r->slots[i] != NULL) {
            aioduct_client_ring_prepare(*r->slots[i]);
        }
    }
    if (!r->running) {
        return; /* a callback has stopped it */
    }
    io_uring_submit_and_wait(&r->ring, 1);
    io_uring_for_each_cqe(&r->ring, head, cqe)
    {
        count++;
        if (aioduct_ring_is_ours(cqe->user_data)) {
            hand_over(r, cqe);
        } else {
            on_own(r, cqe->user_data, cqe->res);
        }
    }
    io_uring_cq_advance(&r->ring, count);
}

static void run(void *loop)
{
    struct ring *r = loop;
    r->running = true;
    set_timer(r, LIMIT, 20000);
    while (r->running) {
        round_of(r);
    }
    unset_timer(r, LIMIT);
}

static void stop(void *loop)
{
    ((struct ring *)loop)->running = false;
}

static void later(void *loop, unsigned ms, void (*fn)(void *arg), void *arg)
{
    struct ring *r = loop;
    r->call_fn = fn;
    r->call_arg = arg;
    r->call_armed = true;
    set_timer(r, CALL, ms);
}

static void start_ticks(void *loop, unsigned *count)
{
    struct ring *r = loop;
    r->ticks = count;
    r->ticking = true;
    if (!r->tick_armed) {
        r->tick_armed = true;
        set_timer(r, TICK, 1);
    }
}

static void stop_ticks(void *loop)
{
    ((struct ring *)loop)->ticking = false;
}

/* Operations that wait for a descriptor, as the kernel lists them; the application has none. */
static unsigned waiting(const struct ring *r)
{
    char line[256];
    unsigned count = 0;
    snprintf(line, sizeof line, "/proc/self/fdinfo/%d", r->ring.ring_fd);
    FILE *file = fopen(line, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        count += strncmp(line, "  op=", 5) == 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

static bool is_empty(void *loop)
{
    struct ring *r = loop;
    struct io_uring_cqe *cqe;
    struct __kernel_timespec soon = {.tv_nsec = 20000000};
    while (io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &soon, NULL) >= 0) {
        uint64_t user_data = cqe->user_data;
        int result = cqe->res;
        io_uring_cqe_seen(&r->ring, cqe);
        if (!aioduct_ring_is_ours(user_data) && user_data != LIMIT) {
            on_own(r, user_data, result);
        }
    }
    return waiting(r) == 0;
}

static void after_fork(void *loop)
{
    (void)loop;
}

const struct app app_uring = {
    .runtime = "uring",
    .ring = true,
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
