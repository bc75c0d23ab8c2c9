/* SPDX-License-Identifier: MIT */
/* Opening and closing an instance: the ring, its buffers, the eventfd. */
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int open_ring(struct ad_uring *u)
{
    struct aioduct_probe why = {.size = sizeof why};
    int code = ad_uring_ring_open(&u->own, &u->options, &why);
    if (code < 0) {
        u->own.ring_fd = -1;
        return ad_uring_fail(u->host, code, "%s (%s)", why.reason, why.hint);
    }
    /* A registered descriptor saves every enter a look-up. A thread has few places for them; the
     * ring works without. */
    io_uring_register_ring_fd(&u->own);
    u->ring = &u->own;
    return 0;
}

static int buffers_failed(struct ad_uring *u, int code)
{
    return ad_uring_fail(u->host, code, "%u receive buffers of %u bytes: %s", u->options.buffers,
                         u->options.buffer_bytes, strerror(-code));
}

int ad_uring_open(void *rt, const struct aioduct_host *host, const struct aioduct_foreign *foreign)
{
    struct ad_uring *u = rt;
    u->host = host;
    int code = ad_uring_options_read(host, &u->options);
    if (code < 0) {
        return code;
    }
    u->owner = pthread_self();
    atomic_init(&u->ready_fd, -1);
    ad_tasks_init(&u->tasks, host);
    ad_timers_init(&u->timers, host);
    ad_uring_list_init(&u->wishes);
    ad_uring_list_init(&u->reports);

    u->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (u->wake_fd < 0) {
        code = -errno;
        return ad_uring_fail(host, code, "eventfd: %s", strerror(-code));
    }
    code = foreign != NULL ? ad_uring_adopt(u, foreign) : open_ring(u);
    if (code < 0) {
        goto no_ring;
    }
    code = ad_uring_buffers_open(u);
    if (code < 0) {
        buffers_failed(u, code);
        goto no_buffers;
    }
    return 0;

no_buffers:
    if (u->tag == 0) {
        io_uring_queue_exit(&u->own);
    } else {
        ad_uring_adopted_close(u);
    }
    ad_uring_buffers_close(u);
no_ring:
    close(u->wake_fd);
    return code;
}

/* The kernel may be about to read the eventfd into the instance: have it do so, and wait for it. */
static void end_wake(struct ad_uring *u)
{
    uint64_t one = 1;
    if (u->wake_armed && write(u->wake_fd, &one, sizeof one) < 0) {
        return;
    }
    while (u->wake_armed) {
        int code = ad_uring_ring_wait(u->ring, -1);
        if (code < 0 && code != -EINTR) {
            return;
        }
        struct io_uring_cqe *cqe;
        while (io_uring_cq_ready(u->ring) > 0 && io_uring_peek_cqe(u->ring, &cqe) == 0) {
            if ((cqe->user_data & AD_URING_KIND_MASK) == AD_URING_WAKE) {
                u->wake_armed = false;
            }
            io_uring_cqe_seen(u->ring, cqe);
        }
    }
}

void ad_uring_close(void *rt)
{
    struct ad_uring *u = rt;
    if (u->tag != 0) {
        ad_uring_adopted_close(u);
    } else if (u->own.ring_fd >= 0) {
        end_wake(u);
        io_uring_queue_exit(&u->own);
    }
    ad_uring_buffers_close(u);
    ad_timers_fini(&u->timers);
    close(u->wake_fd);
    if (u->ready_fd >= 0) {
        close(u->ready_fd);
    }
}

/* ---- fork ---- */

/* A descriptor of the child's own in the place of one that it shares with its parent. */
static int replace_eventfd(int fd, int flags)
{
    int fresh = eventfd(0, flags);
    int code = fresh < 0 || dup3(fresh, fd, O_CLOEXEC) < 0 ? -errno : 0;
    if (fresh >= 0) {
        close(fresh);
    }
    return code;
}

/* The parent's ring, which maps into the child, runs on in the parent: the child lets go of it and
 * has its own. Streams learn of it when they are used next (their generation). */
int ad_uring_after_fork_child(void *rt)
{
    struct ad_uring *u = rt;
    if (u->tag != 0) {
        return AIODUCT_E_UNSUPPORTED; /* the application's ring is the parent's as well */
    }
    io_uring_queue_exit(&u->own);
    u->owner = pthread_self();
    u->generation++;
    u->wake_armed = u->tick_armed = false;
    int code = replace_eventfd(u->wake_fd, EFD_CLOEXEC);
    if (code == 0 && u->ready_fd >= 0) {
        code = replace_eventfd(u->ready_fd, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (code < 0) {
        u->own.ring_fd = -1;
        return ad_uring_fail(u->host, code, "eventfd: %s", strerror(-code));
    }
    code = open_ring(u);
    if (code < 0) {
        return code;
    }
    code = ad_uring_buffers_reopen(u);
    if (code < 0) {
        return buffers_failed(u, code);
    }
    if (u->ready_fd >= 0) {
        code = io_uring_register_eventfd(u->ring, u->ready_fd);
        ad_uring_touch(u);
    }
    return code;
}
