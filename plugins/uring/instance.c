/* SPDX-License-Identifier: MIT */
/* Opening and closing an instance: the ring, its buffers, the eventfd. */
#include "uring/uring.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int open_ring(struct ad_uring *u)
{
    struct aioduct_probe why = {.size = sizeof why};
    int code = ad_uring_ring_open(&u->ring, &u->options, &why);
    if (code < 0) {
        return ad_uring_fail(u->host, code, "%s (%s)", why.reason, why.hint);
    }
    /* A registered descriptor saves every enter a look-up. A thread has few places for them; the
     * ring works without. */
    io_uring_register_ring_fd(&u->ring);
    return 0;
}

int ad_uring_open(void *rt, const struct aioduct_host *host, const struct aioduct_foreign *foreign)
{
    struct ad_uring *u = rt;
    u->host = host;
    if (foreign != NULL) {
        return ad_uring_fail(host, AIODUCT_E_UNSUPPORTED,
                             "uring cannot adopt a loop of the application (%s); give it none and "
                             "poll the descriptor of the instance instead",
                             foreign->kind != NULL ? foreign->kind : "unnamed");
    }
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
    code = open_ring(u);
    if (code < 0) {
        goto no_ring;
    }
    code = ad_uring_buffers_open(u);
    if (code < 0) {
        ad_uring_fail(host, code, "%u receive buffers of %u bytes: %s", u->options.buffers,
                      u->options.buffer_bytes, strerror(-code));
        goto no_buffers;
    }
    return 0;

no_buffers:
    io_uring_queue_exit(&u->ring);
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
        int code = ad_uring_ring_wait(&u->ring, -1);
        if (code < 0 && code != -EINTR) {
            return;
        }
        struct io_uring_cqe *cqe;
        while (io_uring_cq_ready(&u->ring) > 0 && io_uring_peek_cqe(&u->ring, &cqe) == 0) {
            if ((cqe->user_data & AD_URING_KIND_MASK) == AD_URING_WAKE) {
                u->wake_armed = false;
            }
            io_uring_cqe_seen(&u->ring, cqe);
        }
    }
}

void ad_uring_close(void *rt)
{
    struct ad_uring *u = rt;
    end_wake(u);
    io_uring_queue_exit(&u->ring);
    ad_uring_buffers_close(u);
    ad_timers_fini(&u->timers);
    close(u->wake_fd);
    if (u->ready_fd >= 0) {
        close(u->ready_fd);
    }
}
