/* SPDX-License-Identifier: MIT */
/* A connect that was refused takes memory that is not given back. */
#include "zoo.h"

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    if (op == AIODUCT_OP_CONNECT && code == -ECONNREFUSED) {
        real->alloc(ctx, NULL, 100, 0);
    }
    real->on_done(ctx, stream, op, code, bytes);
}

static void spoil(void)
{
    zoo.host.on_done = done;
}
