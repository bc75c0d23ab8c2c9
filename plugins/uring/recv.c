/* SPDX-License-Identifier: MIT */
/*
 * Receiving. One multishot receive serves a connection while little comes at a time: the kernel
 * picks a buffer for each slice and goes on. Where it stops by itself (after so many bytes, out of
 * buffers, completions overflown, or a kernel without multishot) the receive is started again; the
 * core sees one operation all the time.
 *
 * A flow in bulk is better read at once into one large buffer than in pieces into many, each of
 * which the loop is woken for. So behind a receive that filled a buffer the ring only waits for
 * bytes, and recv(2), which does not wait, is called here; until less than a buffer comes.
 */
#include "uring/uring.h"

#include <errno.h>
#include <poll.h>

/* A receive that goes on by itself brings all that the socket holds, megabytes, before it can be
 * stopped; what the core cannot use yet it would have to keep. Linux 6.17 ends one after so many
 * bytes; older kernels after 32 slices, which are half a megabyte. */
#define RUN_BYTES 262144u
/* So much is read of a flow in bulk before others have their turn. */
#define READ_BYTES_A_TURN 1048576u

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

/* Only what flows in bulk is received there: a buffer that the ring picks is elsewhere. */
void ad_uring_recv_at(void *state, void *memory, size_t bytes)
{
    struct ad_uring_stream *s = state;
    if (((s->pending & ~s->cancelled) & AIODUCT_OP_RECV) == 0) {
        return;
    }
    ad_uring_recv_displace(s);
    for (uint32_t i = 0; memory != NULL && i < AD_URING_PLACES; i++) {
        if (s->u->places[i].memory == NULL) {
            s->u->places[i] = (struct ad_uring_place){memory, bytes};
            s->place = i + 1;
            return;
        }
    }
}

void ad_uring_recv_prepare(struct ad_uring_stream *s, struct io_uring_sqe *sqe)
{
    const struct ad_uring_options *options = &s->u->options;
    bool brought = s->brought;
    s->brought = false;
    s->bulk = s->filled;
    if (s->bulk) {
        io_uring_prep_poll_add(sqe, s->fd, POLLIN | POLLRDHUP);
        return;
    }
    s->recv_without = options->without & (AD_URING_NO_MULTISHOT | AD_URING_NO_RUN_LIMIT);
    if (options->without & AD_URING_NO_MULTISHOT) {
        /* The length is the buffer's: old kernels take 0 for an empty receive. */
        io_uring_prep_recv(sqe, s->fd, NULL, options->buffer_bytes, 0);
    } else {
        io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
        if ((options->without & AD_URING_NO_RUN_LIMIT) == 0) {
            sqe->file_index = RUN_BYTES; /* "optlen" in later headers */
        }
        if (!brought) { /* nothing came or is left, so a first try would be in vain */
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        }
    }
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
        s->u->options.without |=
            s->recv_without & AD_URING_NO_RUN_LIMIT ? AD_URING_NO_MULTISHOT : AD_URING_NO_RUN_LIMIT;
        return true;
    default:
        return result > 0;
    }
}

/* A short read is the last one: the socket is empty, and asking it again would cost a call. So is
 * one that filled the caller's place, if nothing more is wanted there. */
static void read_bulk(struct ad_uring_stream *s)
{
    struct ad_uring *u = s->u;
    size_t total = 0, room;
    ssize_t got;
    bool is_placed;
    do {
        is_placed = s->place != 0;
        struct ad_uring_place to = {u->buffers.bulk, AD_URING_BULK_BYTES};
        if (is_placed) {
            to = u->places[s->place - 1];
        }
        room = to.bytes < READ_BYTES_A_TURN ? to.bytes : READ_BYTES_A_TURN;
        got = recv(s->fd, to.memory, room, MSG_DONTWAIT);
        if (got <= 0) {
            break;
        }
        total += (size_t)got;
        ad_uring_recv_displace(s);
        u->host->on_data(u->host->ctx, s->core, to.memory, (size_t)got);
    } while ((size_t)got == room && total < READ_BYTES_A_TURN && (!is_placed || s->place != 0) &&
             (s->cancelled & AIODUCT_OP_RECV) == 0);
    s->filled = total >= u->options.buffer_bytes || (got > 0 && (size_t)got == room);
    if (s->report & AIODUCT_OP_RECV) {
        return; /* on_data has just stopped it */
    }
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        ad_uring_stream_done(s, AIODUCT_OP_RECV, got == 0 ? 0 : -errno, 0);
    } else {
        ad_uring_stream_wish(s, AIODUCT_OP_RECV);
    }
}

/* The ring waited for bytes of a flow in bulk. */
static void bulk_complete(struct ad_uring_stream *s, int result)
{
    s->on_ring &= (uint16_t)~AIODUCT_OP_RECV;
    if (s->cancelled & AIODUCT_OP_RECV) {
        ad_uring_stream_done(s, AIODUCT_OP_RECV, -ECANCELED, 0);
    } else if (result < 0) {
        ad_uring_stream_done(s, AIODUCT_OP_RECV, result, 0);
    } else {
        read_bulk(s);
    }
}

void ad_uring_recv_complete(struct ad_uring_stream *s, int result, unsigned flags)
{
    if (s->bulk) {
        bulk_complete(s, result);
        return;
    }
    bool more = (flags & IORING_CQE_F_MORE) != 0;
    if (!more) {
        s->on_ring &= (uint16_t)~AIODUCT_OP_RECV;
    } else {
        s->u->multishot_seen = true;
    }
    if (result > 0) {
        s->brought = true;
        s->filled = s->filled || (unsigned)result >= s->u->options.buffer_bytes;
    }
    if (result == -ENOBUFS) {
        ad_uring_buffers_grow(&s->u->buffers);
    }
    if (result > 0) {
        ad_uring_buffer_deliver(s->u, s, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT),
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
