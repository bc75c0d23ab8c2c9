/* SPDX-License-Identifier: MIT */
/*
 * Streams: connecting, ending operations, closing. Every operation that is accepted is completed
 * once: by the kernel, or by a report when the kernel never saw it. The descriptor is closed when
 * nothing is left in flight, and on_closed follows when the kernel has said that it is closed.
 */
#include "uring/uring.h"

#include <errno.h>
#include <unistd.h>

#define OPS (AIODUCT_OP_CONNECT | AIODUCT_OP_RECV | AIODUCT_OP_SEND | AIODUCT_OP_SHUTDOWN)

void ad_uring_stream_wish(struct ad_uring_stream *s, unsigned bits)
{
    if (s->todo == 0) {
        ad_uring_list_append(&s->u->wishes, &s->wishes);
    }
    s->todo |= (uint16_t)bits;
    ad_uring_touch(s->u);
}

static void unwish(struct ad_uring_stream *s, unsigned bits)
{
    if (s->todo != 0) {
        s->todo &= (uint16_t)~bits;
        if (s->todo == 0) {
            ad_uring_list_remove(&s->wishes);
        }
    }
}

void ad_uring_stream_report(struct ad_uring_stream *s, unsigned bits)
{
    if (s->report == 0) {
        ad_uring_list_append(&s->u->reports, &s->reports);
    }
    s->report |= (uint16_t)bits;
    ad_uring_touch(s->u);
}

void ad_uring_stream_unreport(struct ad_uring_stream *s, unsigned bits)
{
    if (s->report != 0) {
        s->report &= (uint16_t)~bits;
        if (s->report == 0) {
            ad_uring_list_remove(&s->reports);
        }
    }
}

void ad_uring_stream_done(struct ad_uring_stream *s, int op, int code, size_t bytes)
{
    s->pending &= (uint16_t)~op;
    s->cancelled &= (uint16_t)~op;
    if (op == AIODUCT_OP_RECV) {
        ad_uring_recv_displace(s);
    }
    unwish(s, AD_URING_CANCEL((unsigned)op)); /* it would find the next one */
    s->u->host->on_done(s->u->host->ctx, s->core, op, code, bytes);
}

void ad_uring_stream_settle(struct ad_uring_stream *s)
{
    if (!s->closing || s->pending != 0 || s->refs != 0 || s->todo != 0 || s->report != 0) {
        return;
    }
    bool cut_off = s->u->tag != 0 && s->slot == 0;
    if (cut_off && s->fd >= 0) {
        if (!s->gone) {
            close(s->fd);
        }
        s->fd = -1;
    }
    if (s->fd >= 0) {
        ad_uring_stream_wish(s, AD_URING_OP_CLOSE);
    } else {
        ad_uring_stream_report(s, AD_URING_OP_CLOSE);
    }
}

/* ---- connecting ---- */

/* The ring has read it, or never will. */
static void drop_address(const struct ad_uring *u, struct ad_uring_stream *s)
{
    u->host->alloc(u->host->ctx, s->address, 0, 0);
    s->address = NULL;
}

int ad_uring_connect(void *cx, struct aioduct_stream *core, void *state,
                     const struct aioduct_socket_config *config)
{
    struct ad_uring_stream *s = state;
    struct ad_uring *u = ((struct ad_uring_connector *)cx)->u;
    if (s->u != NULL) {
        return s->pending & AIODUCT_OP_CONNECT ? -EBUSY : -EISCONN;
    }
    s->address = u->host->alloc(u->host->ctx, NULL, sizeof *s->address, 0);
    if (s->address == NULL) {
        return -ENOMEM;
    }
    /* Without O_NONBLOCK, which would tell the ring to answer -EAGAIN where it should wait. The
     * ring never blocks on it: it tries, and waits for readiness by itself. */
    int fd = ad_socket_create(u->host, config, 0, s->address);
    int code = fd < 0 ? fd : ad_uring_slot_get(u, s);
    if (code < 0) {
        if (fd >= 0) {
            close(fd);
        }
        drop_address(u, s);
        return code;
    }
    s->u = u;
    s->generation = u->generation;
    s->core = core;
    s->fd = fd;
    s->early_data = config->fast_open > 0;
    s->pending = AIODUCT_OP_CONNECT;
    ad_uring_stream_wish(s, AIODUCT_OP_CONNECT);
    return AIODUCT_PENDING;
}

static void connect_complete(struct ad_uring_stream *s, int result)
{
    if (result == 0) {
        drop_address(s->u, s);
        s->connected = true;
    }
    ad_uring_stream_done(s, AIODUCT_OP_CONNECT, result, 0);
}

/* ---- ending operations ---- */

static void forget_ring(struct ad_uring_stream *s)
{
    s->refs = s->on_ring = s->cancelled = 0;
    unwish(s, UINT16_MAX);
}

/* In a child after fork nothing of this stream is on the ring any more. */
static void notice_fork(struct ad_uring_stream *s)
{
    if (s->u != NULL && s->generation != s->u->generation) {
        s->generation = s->u->generation;
        forget_ring(s);
    }
}

static void cancel_one(struct ad_uring_stream *s, unsigned op)
{
    if ((s->pending & op) == 0 || (s->cancelled & op) != 0) {
        return;
    }
    s->cancelled |= (uint16_t)op;
    if (op == AIODUCT_OP_RECV) {
        ad_uring_recv_displace(s);
    }
    if (s->on_ring & op) {
        ad_uring_stream_wish(s, AD_URING_CANCEL(op));
        return;
    }
    /* The kernel does not have it: never submitted, between two parts, or held back. */
    unwish(s, op);
    if (op == AIODUCT_OP_SHUTDOWN) {
        s->shutdown_code = -ECANCELED;
        s->ended = false;
    }
    ad_uring_stream_report(s, op);
}

void ad_uring_cancel(void *state, unsigned ops)
{
    struct ad_uring_stream *s = state;
    notice_fork(s);
    for (unsigned op = AIODUCT_OP_CONNECT; op <= AIODUCT_OP_SHUTDOWN; op <<= 1) {
        if (ops & op) {
            cancel_one(s, op);
        }
    }
}

/* TCP's shutdown(2) does not wait, while the ring's would be run by a kernel thread; it comes after
 * the bytes of a send that is under way. */
int ad_uring_shutdown(void *state)
{
    struct ad_uring_stream *s = state;
    if (!s->connected || s->closing) {
        return -ENOTCONN;
    }
    if (s->pending & AIODUCT_OP_SHUTDOWN) {
        return -EBUSY;
    }
    if (s->pending & AIODUCT_OP_SEND) {
        s->pending |= AIODUCT_OP_SHUTDOWN;
        s->ended = true;
        return AIODUCT_PENDING;
    }
    if (shutdown(s->fd, SHUT_WR) < 0) {
        return -errno;
    }
    s->ended = true;
    return AIODUCT_DONE;
}

void ad_uring_stream_close(void *state)
{
    struct ad_uring_stream *s = state;
    if (s->u == NULL || s->closing) {
        return;
    }
    s->closing = true;
    ad_uring_cancel(s, OPS);
    ad_uring_stream_settle(s);
}

void ad_uring_stream_sent(struct ad_uring_stream *s, int result)
{
    unwish(s, AIODUCT_OP_SEND);
    ad_uring_send_complete(s, result);
}

void ad_uring_stream_cut(struct ad_uring_stream *s)
{
    ad_uring_slot_put(s);
    forget_ring(s);
    ad_uring_cancel(s, OPS);
    ad_uring_stream_settle(s);
}

int ad_uring_stream_info(void *state, struct aioduct_stream_info *info)
{
    struct ad_uring_stream *s = state;
    if (s->u == NULL) {
        return -ENOTCONN;
    }
    return ad_socket_info(s->fd, info);
}

/* ---- the way to the ring and back ---- */

uint64_t ad_uring_stream_tag(const struct ad_uring_stream *s, enum ad_uring_kind kind)
{
    return s->u->tag != 0 ? s->u->tag | (uint64_t)s->slot << 4 | kind
                          : (uint64_t)(uintptr_t)s | kind;
}

static void prepare_cancel(struct ad_uring_stream *s, enum ad_uring_kind kind,
                           struct io_uring_sqe *sqe)
{
    io_uring_prep_cancel64(sqe, ad_uring_stream_tag(s, kind), 0);
}

/* Fill in @sqe for one wish. -> what its completion will be */
static enum ad_uring_kind prepare(struct ad_uring_stream *s, unsigned wish,
                                  struct io_uring_sqe *sqe)
{
    switch (wish) {
    case AIODUCT_OP_CONNECT:
        io_uring_prep_connect(sqe, s->fd, (struct sockaddr *)&s->address->storage,
                              s->address->bytes);
        return AD_URING_CONNECT;
    case AIODUCT_OP_RECV:
        ad_uring_recv_prepare(s, sqe);
        return AD_URING_RECV;
    case AIODUCT_OP_SEND:
        ad_uring_send_prepare(s, sqe);
        return AD_URING_SEND;
    case AD_URING_OP_CLOSE:
        io_uring_prep_close(sqe, s->fd);
        s->gone = true;
        return AD_URING_CLOSE;
    case AD_URING_CANCEL(AIODUCT_OP_CONNECT):
        prepare_cancel(s, AD_URING_CONNECT, sqe);
        return AD_URING_CANCEL_CONNECT;
    case AD_URING_CANCEL(AIODUCT_OP_RECV):
        prepare_cancel(s, AD_URING_RECV, sqe);
        return AD_URING_CANCEL_RECV;
    default:
        prepare_cancel(s, AD_URING_SEND, sqe);
        return AD_URING_CANCEL_SEND;
    }
}

/* Put the wishes of one stream on the ring. -> false: the queue is full; the rest stays wished. */
static bool flush_stream(struct ad_uring_stream *s)
{
    while (s->todo != 0) {
        struct io_uring_sqe *sqe = ad_uring_ring_sqe(s->u->ring);
        if (sqe == NULL) {
            return false;
        }
        unsigned wish = s->todo & -(unsigned)s->todo; /* operations first, their cancels last */
        enum ad_uring_kind kind = prepare(s, wish, sqe);
        sqe->user_data = ad_uring_stream_tag(s, kind);
        s->on_ring |= (uint16_t)(wish & OPS);
        s->refs++;
        unwish(s, wish);
    }
    return true;
}

bool ad_uring_streams_flush(struct ad_uring *u)
{
    while (!ad_uring_list_empty(&u->wishes)) {
        struct ad_uring_link *link = u->wishes.next;
        if (!flush_stream(AD_URING_CONTAINER(link, struct ad_uring_stream, wishes))) {
            return false;
        }
    }
    return true;
}

static void closed(struct ad_uring_stream *s)
{
    ad_uring_slot_put(s);
    if (!s->connected) {
        drop_address(s->u, s);
    }
    s->u->host->on_closed(s->u->host->ctx, s->core); /* the memory may be gone from here on */
}

/* A cancel found its operation about to run: what that comes to is known after it; try again. */
static void cancel_complete(struct ad_uring_stream *s, unsigned op, int result)
{
    if (result == -EALREADY && (s->on_ring & op) != 0) {
        ad_uring_stream_wish(s, AD_URING_CANCEL(op));
    }
}

void ad_uring_stream_complete(struct ad_uring_stream *s, enum ad_uring_kind kind, int result,
                              unsigned flags)
{
    if ((flags & IORING_CQE_F_MORE) == 0) {
        s->refs--;
    }
    switch (kind) {
    case AD_URING_CONNECT:
        s->on_ring &= (uint16_t)~AIODUCT_OP_CONNECT;
        connect_complete(s, result);
        break;
    case AD_URING_RECV:
        if (s->sends == AD_URING_SENDS_OVER) { /* what came may be an answer to it */
            ad_uring_file_tell(s);
        }
        ad_uring_recv_complete(s, result, flags);
        break;
    case AD_URING_SEND:
        s->on_ring &= (uint16_t)~AIODUCT_OP_SEND;
        ad_uring_send_complete(s, result);
        break;
    case AD_URING_CLOSE:
        if (result == -EINVAL || result == -ECANCELED) {
            close(s->fd); /* it was not run */
        }
        s->fd = -1;
        closed(s);
        return;
    case AD_URING_CANCEL_CONNECT:
        cancel_complete(s, AIODUCT_OP_CONNECT, result);
        break;
    case AD_URING_CANCEL_RECV:
        cancel_complete(s, AIODUCT_OP_RECV, result);
        break;
    default:
        cancel_complete(s, AIODUCT_OP_SEND, result);
        break;
    }
    ad_uring_stream_settle(s);
}

/* ---- reports ---- */

static void report_stream(struct ad_uring_stream *s)
{
    unsigned bits = s->report;
    ad_uring_list_remove(&s->reports);
    s->report = 0;
    if (bits & AD_URING_OP_CLOSE) {
        closed(s);
        return;
    }
    if (bits & AIODUCT_OP_CONNECT) {
        ad_uring_stream_done(s, AIODUCT_OP_CONNECT, -ECANCELED, 0);
    }
    if (bits & AIODUCT_OP_RECV) {
        s->recv_held = false;
        ad_uring_stream_done(s, AIODUCT_OP_RECV, -ECANCELED, 0);
    }
    if (bits & AIODUCT_OP_SEND) {
        ad_uring_send_done(s, -ECANCELED);
    }
    if (bits & AIODUCT_OP_SHUTDOWN) {
        ad_uring_stream_done(s, AIODUCT_OP_SHUTDOWN, s->shutdown_code, 0);
    }
    ad_uring_stream_settle(s);
}

void ad_uring_streams_report(struct ad_uring *u)
{
    /* Those that come while these are delivered wait for the next turn. */
    struct ad_uring_link *last = u->reports.prev;
    while (!ad_uring_list_empty(&u->reports)) {
        struct ad_uring_link *link = u->reports.next;
        report_stream(AD_URING_CONTAINER(link, struct ad_uring_stream, reports));
        if (link == last) {
            break;
        }
    }
}
