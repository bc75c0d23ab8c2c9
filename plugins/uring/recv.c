/* SPDX-License-Identifier: MIT */
/*
 * Receiving. One multishot receive serves a connection until its end: the kernel picks a buffer for
 * each slice (or, with bundles, a run of them) and goes on. Where it stops by itself (out of
 * buffers, completions overflown, or a kernel without multishot) the receive is started again; the
 * core sees one operation all the time.
 */
#include "uring/uring.h"

#include <errno.h>

/* A receive that goes on by itself brings all that the socket holds, megabytes, before it can be
 * stopped; what the core cannot use yet it would have to keep. Linux 6.17 ends one after so many
 * bytes; older kernels after 32 slices, which without bundles are half a megabyte. */
#define RUN_BYTES 262144u
/* For bundles the kernel keeps a list of buffers with each receive and makes it anew for each
 * slice, in vain if answers are small. So a receive has them only if the one before it filled a
 * buffer; one without them ends early, after so many buffers: a large body has them soon. */
#define TRIAL_BUFFERS 4

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1u << 4)
#endif

int ad_uring_recv_start(void *state)
{
    struct ad_uring_stream *s = state;
    if (!s->connected || s->closing) {
        return -ENOTCONN;
    }
    if (s->pending & AIODUCT_OP_RECV) {
        return -EBUSY;
    }
    s->pending |= AIODUCT_OP_RECV;
    ad_uring_stream_wish(s, AIODUCT_OP_RECV);
    return 0;
}

void ad_uring_recv_stop(void *state)
{
    ad_uring_cancel(state, AIODUCT_OP_RECV);
}

void ad_uring_recv_prepare(struct ad_uring_stream *s, struct io_uring_sqe *sqe)
{
    const struct ad_uring_options *options = &s->u->options;
    unsigned without = options->without, run_bytes = RUN_BYTES;
    if ((without & AD_URING_NO_BUNDLES) == 0 && !s->filled) {
        without |= AD_URING_NO_BUNDLES;
        if (options->buffer_bytes < RUN_BYTES / TRIAL_BUFFERS) {
            run_bytes = options->buffer_bytes * TRIAL_BUFFERS;
        }
    }
    s->filled = false;
    s->recv_without = (uint8_t)without;
    if (without & AD_URING_NO_MULTISHOT) {
        /* The length is the buffer's: old kernels take 0 for an empty receive. */
        io_uring_prep_recv(sqe, s->fd, NULL, options->buffer_bytes, 0);
    } else {
        io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
        if ((without & AD_URING_NO_RUN_LIMIT) == 0) {
            sqe->file_index = run_bytes; /* "optlen" in later headers */
        }
        if ((without & AD_URING_NO_BUNDLES) == 0) {
            sqe->ioprio |= IORING_RECVSEND_BUNDLE;
        }
        if (s->run_bytes == 0) { /* nothing came yet, so a first try would be in vain */
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        }
    }
    s->run_bytes = 0;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = s->u->buffers.group;
}

/* Should the receive be started again after @result, which ended it? */
static bool goes_on(struct ad_uring_stream *s, int result)
{
    switch (result) {
    case 0:
        return false;
    case -ENOBUFS: /* all are back by now */
    case -EINTR:
    case -EAGAIN:
        return true;
    case -ENOTCONN:
        s->recv_held = s->early_data;
        return s->early_data;
    case -EINVAL:
        /* A kernel without multishot, or without its limit, says so when it is first tried, and
         * only then; several streams may have tried. */
        if (s->u->multishot_seen || (s->recv_without & AD_URING_NO_MULTISHOT)) {
            return false;
        }
        s->u->options.without |= AD_URING_NO_BUNDLES;
        s->u->options.without |=
            s->recv_without & AD_URING_NO_RUN_LIMIT ? AD_URING_NO_MULTISHOT : AD_URING_NO_RUN_LIMIT;
        return true;
    default:
        return result > 0;
    }
}

/* Did the receive end because buffers ran out? One that brings bundles ends already when it can
 * have the last of them. */
static bool found_too_few(const struct ad_uring_stream *s, int result)
{
    bool bundles = (s->recv_without & AD_URING_NO_BUNDLES) == 0;
    return result == -ENOBUFS || (bundles && result > 0 && s->run_bytes < RUN_BYTES);
}

void ad_uring_recv_complete(struct ad_uring_stream *s, int result, unsigned flags)
{
    bool more = (flags & IORING_CQE_F_MORE) != 0;
    if (!more) {
        s->on_ring &= (uint16_t)~AIODUCT_OP_RECV;
    } else {
        s->u->multishot_seen = true;
    }
    if (result > 0) {
        s->run_bytes += (uint32_t)result;
        s->filled = s->filled || (unsigned)result >= s->u->options.buffer_bytes;
    }
    if (!more && found_too_few(s, result)) {
        ad_uring_buffers_grow(&s->u->buffers);
    }
    if (result > 0) {
        ad_uring_buffers_deliver(s->u, s, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT),
                                 (size_t)result);
    } else if (flags & IORING_CQE_F_BUFFER) {
        ad_uring_buffer_return(&s->u->buffers, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
    }
    /* It may be that on_data has just stopped a receive that had ended: then a report follows. */
    if (more || (s->report & AIODUCT_OP_RECV) != 0) {
        return;
    }
    if (!goes_on(s, result)) {
        ad_uring_stream_done(s, AIODUCT_OP_RECV, result, 0);
    } else if (s->cancelled & AIODUCT_OP_RECV) {
        ad_uring_stream_done(s, AIODUCT_OP_RECV, -ECANCELED, 0);
    } else if (!s->recv_held) {
        ad_uring_stream_wish(s, AIODUCT_OP_RECV);
    }
}
