/* SPDX-License-Identifier: MIT */
/*
 * Sending. The pieces' array is copied, their bytes are not. MSG_WAITALL lets the kernel go on by
 * itself when the socket's buffer was full; what is left all the same is submitted again until the
 * last byte is taken or an error says why not.
 */
#include "uring/uring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

/* A completion counts in an int. */
#define PIECE_MAX ((size_t)1 << 30)

/* Copy the pieces that have bytes. -> their number or -ENOMEM */
static int take(struct ad_uring_stream *s, const struct iovec *pieces, unsigned count)
{
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++) {
        used += pieces[i].iov_len > 0;
    }
    struct iovec *to = &s->one;
    if (used > 1) {
        s->gather = s->u->host->alloc(s->u->host->ctx, NULL,
                                      sizeof *s->gather + used * sizeof s->gather->iov[0], 0);
        if (s->gather == NULL) {
            return -ENOMEM;
        }
        memset(&s->gather->message, 0, sizeof s->gather->message);
        s->gather->message.msg_iov = to = s->gather->iov;
        s->gather->left = used;
        s->sends = AD_URING_SENDS_GATHER;
    }
    used = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) {
            to[used++] = pieces[i];
        }
    }
    return (int)used;
}

int ad_uring_send_allowed(const struct ad_uring_stream *s)
{
    if (!s->connected || s->closing) {
        return -ENOTCONN;
    }
    if (s->ended) {
        return -EPIPE;
    }
    return s->pending & AIODUCT_OP_SEND ? -EBUSY : 0;
}

int ad_uring_send(void *state, const struct iovec *pieces, unsigned count)
{
    struct ad_uring_stream *s = state;
    int code = ad_uring_send_allowed(s);
    if (code < 0) {
        return code;
    }
    int used = take(s, pieces, count);
    if (used <= 0) {
        return used < 0 ? used : AIODUCT_DONE;
    }
    s->sent = 0;
    s->pending |= AIODUCT_OP_SEND;
    ad_uring_stream_wish(s, AIODUCT_OP_SEND);
    return AIODUCT_PENDING;
}

struct msghdr ad_uring_send_message(struct ad_uring_stream *s)
{
    if (s->sends != AD_URING_SENDS_GATHER) {
        return (struct msghdr){.msg_iov = &s->one, .msg_iovlen = 1};
    }
    size_t left = s->gather->left;
    s->gather->message.msg_iovlen = left < IOV_MAX ? left : IOV_MAX;
    return s->gather->message;
}

void ad_uring_send_prepare(struct ad_uring_stream *s, struct io_uring_sqe *sqe)
{
    if (s->sends == AD_URING_SENDS_FILE) {
        io_uring_prep_poll_add(sqe, s->fd, POLLOUT);
        return;
    }
    if (s->sends == AD_URING_SENDS_ONE) {
        size_t bytes = s->one.iov_len < PIECE_MAX ? s->one.iov_len : PIECE_MAX;
        io_uring_prep_send(sqe, s->fd, s->one.iov_base, bytes, MSG_NOSIGNAL | MSG_WAITALL);
        return;
    }
    (void)ad_uring_send_message(s);
    io_uring_prep_sendmsg(sqe, s->fd, &s->gather->message, MSG_NOSIGNAL | MSG_WAITALL);
}

static void advance_piece(struct iovec *piece, size_t bytes)
{
    piece->iov_base = (char *)piece->iov_base + bytes;
    piece->iov_len -= bytes;
}

/* @bytes of what is left are gone. -> is that all? */
static bool advance(struct ad_uring_stream *s, size_t bytes)
{
    s->sent += bytes;
    if (s->sends != AD_URING_SENDS_GATHER) {
        advance_piece(&s->one, bytes);
        return s->one.iov_len == 0;
    }
    struct ad_uring_gather *gather = s->gather;
    struct msghdr *message = &gather->message;
    while (gather->left > 0 && bytes >= message->msg_iov->iov_len) {
        bytes -= message->msg_iov->iov_len;
        message->msg_iov++;
        gather->left--;
    }
    if (gather->left > 0) {
        advance_piece(message->msg_iov, bytes);
    }
    return gather->left == 0;
}

/* A shutdown that came behind the send: run it if every byte is out. */
static void follow_with_shutdown(struct ad_uring_stream *s, int code)
{
    if ((s->pending & AIODUCT_OP_SHUTDOWN) == 0 || (s->cancelled & AIODUCT_OP_SHUTDOWN) != 0) {
        return;
    }
    s->shutdown_code = code;
    s->ended = code == 0; /* after a part the end would make it look like the whole */
    if (code == 0 && shutdown(s->fd, SHUT_WR) < 0) {
        s->shutdown_code = -errno;
    }
    s->cancelled |= AIODUCT_OP_SHUTDOWN; /* too late to cancel */
    ad_uring_stream_report(s, AIODUCT_OP_SHUTDOWN);
}

void ad_uring_send_done(struct ad_uring_stream *s, int code)
{
    bool part = false;
    if (s->sends == AD_URING_SENDS_GATHER) {
        s->u->host->alloc(s->u->host->ctx, s->gather, 0, 0);
    } else if (s->sends == AD_URING_SENDS_OVER) {
        code = s->piece.code;
        part = s->sent < s->piece.bytes;
    }
    s->sends = AD_URING_SENDS_ONE;
    if (s->recv_held && s->sent > 0) {
        s->recv_held = false;
        ad_uring_stream_wish(s, AIODUCT_OP_RECV);
    }
    follow_with_shutdown(s, part && code == 0 ? -ECANCELED : code);
    ad_uring_stream_done(s, AIODUCT_OP_SEND, code, s->sent);
}

void ad_uring_send_complete(struct ad_uring_stream *s, int result)
{
    if (s->sends == AD_URING_SENDS_FILE) {
        ad_uring_file_complete(s, result);
        return;
    }
    if (result > 0) {
        s->early_data = false;
        if (advance(s, (size_t)result)) {
            ad_uring_send_done(s, 0);
            return;
        }
    } else if (result != -EINTR && result != -EAGAIN && result != -EINPROGRESS) {
        ad_uring_send_done(s, result < 0 ? result : -EIO);
        return;
    }
    if (s->cancelled & AIODUCT_OP_SEND) {
        ad_uring_send_done(s, -ECANCELED);
    } else {
        ad_uring_stream_wish(s, AIODUCT_OP_SEND);
    }
}
