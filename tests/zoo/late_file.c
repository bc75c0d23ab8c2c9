/* SPDX-License-Identifier: MIT */
/* A piece that was cancelled while it waited goes when the stream closes. */
#include "zoo.h"

#include <sys/sendfile.h>

static struct {
    void *state;
    int fd;
    int64_t offset;
    bool waits, cancelled;
} piece;

static int send_piece(void *state, int fd, int64_t offset, size_t bytes)
{
    int code = aioduct_readiness_send_file(state, fd, offset, bytes);
    piece.state = state;
    piece.fd = fd;
    piece.offset = offset;
    piece.waits = code == AIODUCT_PENDING;
    piece.cancelled = false;
    return code;
}

static int send_bytes(void *state, const struct iovec *pieces, unsigned count)
{
    piece.state = NULL;
    return aioduct_readiness_send(state, pieces, count);
}

static void cancel(void *state, unsigned named)
{
    piece.cancelled = piece.state == state && (named & AIODUCT_OP_SEND) && piece.waits;
    aioduct_readiness_cancel(state, named);
}

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    piece.waits = piece.waits && op != AIODUCT_OP_SEND;
    real->on_done(ctx, stream, op, code, bytes);
}

static void stream_close(void *state)
{
    struct aioduct_stream_info info = {.size = sizeof info};
    if (piece.cancelled && piece.state == state &&
        aioduct_readiness_stream_info(state, &info) == 0) {
        off_t offset = piece.offset;
        (void)!sendfile(info.fd, piece.fd, &offset, 100);
    }
    aioduct_readiness_stream_close(state);
}

static void spoil(void)
{
    zoo.connector.send_file = send_piece;
    zoo.connector.send = send_bytes;
    zoo.connector.cancel = cancel;
    zoo.connector.stream_close = stream_close;
    zoo.host.on_done = done;
}
