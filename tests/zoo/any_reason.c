/* SPDX-License-Identifier: MIT */
/* Whatever went wrong with a connect, it was I/O. */
#include "zoo.h"

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    bool refused = op == AIODUCT_OP_CONNECT && code == -ECONNREFUSED;
    real->on_done(ctx, stream, op, refused ? -EAGAIN : code, bytes);
}

static void spoil(void)
{
    zoo.host.on_done = done;
}
