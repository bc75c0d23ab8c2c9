/* SPDX-License-Identifier: MIT */
/*
 * A piece of a file. The ring has no sendfile(2), and its splice(2) occupies a thread of the
 * kernel: so it only waits for room, and the call, which does not wait, is made here.
 */
#include "uring/uring.h"

#include <errno.h>
#include <sys/ioctl.h>

/* So much goes of a stream before others have their turn. */
#define FILE_BYTES_A_TURN 524288u

/* The socket blocks, else the ring would answer -EAGAIN where it is to wait. It looks at that when
 * an operation is submitted, so one that is under way does not mind if it is otherwise for a
 * moment. */
static int64_t send_some(const struct ad_uring_stream *s, size_t bytes)
{
    int on = 1, off = 0;
    if (ioctl(s->fd, FIONBIO, &on) < 0) {
        return -errno;
    }
    int64_t went = ad_socket_sendfile(s->fd, s->piece.fd, s->piece.offset, bytes);
    ioctl(s->fd, FIONBIO, &off);
    return went;
}

/* -> false: there is no room for any of it */
static bool send_piece(struct ad_uring_stream *s)
{
    size_t bytes = s->piece.bytes < FILE_BYTES_A_TURN ? s->piece.bytes : FILE_BYTES_A_TURN;
    int64_t went = send_some(s, bytes);
    if (went == -EAGAIN) {
        return false;
    }
    s->sends = AD_URING_SENDS_OVER;
    s->short_of_room = went > 0 && (size_t)went < bytes;
    s->early_data = s->early_data && went <= 0;
    s->sent = went > 0 ? (size_t)went : 0;
    s->piece.code = went < 0 ? (int)went : 0;
    return true;
}

/* Never done inside the call, so that a file takes no more than its share of a turn. */
int ad_uring_send_file(void *state, int fd, int64_t offset, size_t bytes)
{
    struct ad_uring_stream *s = state;
    int code = ad_uring_send_allowed(s);
    if (code < 0) {
        return code;
    }
    s->piece = (struct ad_uring_piece){
        .offset = offset, .fd = fd, .bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX};
    s->sent = 0;
    if (!s->short_of_room && send_piece(s)) {
        code = s->piece.code;
        if (code < 0) {
            s->sends = AD_URING_SENDS_ONE;
            return code;
        }
        s->pending |= AIODUCT_OP_SEND;
        ad_uring_stream_report(s, AIODUCT_OP_SEND);
        return AIODUCT_PENDING;
    }
    s->sends = AD_URING_SENDS_FILE;
    s->pending |= AIODUCT_OP_SEND;
    ad_uring_stream_wish(s, AIODUCT_OP_SEND);
    return AIODUCT_PENDING;
}

void ad_uring_file_complete(struct ad_uring_stream *s, int result)
{
    if (s->cancelled & AIODUCT_OP_SEND) {
        ad_uring_send_done(s, -ECANCELED);
    } else if (result < 0 && result != -EINTR && result != -EAGAIN) {
        ad_uring_send_done(s, result);
    } else if (send_piece(s)) {
        ad_uring_send_done(s, 0);
    } else {
        ad_uring_stream_wish(s, AIODUCT_OP_SEND);
    }
}

void ad_uring_file_tell(struct ad_uring_stream *s)
{
    ad_uring_stream_unreport(s, AIODUCT_OP_SEND);
    ad_uring_send_done(s, 0);
}
