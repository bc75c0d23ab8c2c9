/* SPDX-License-Identifier: MIT */
/* A send that was cut short is told of twice. */
#include "zoo.h"

static void tell_twice(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    real->on_done(ctx, stream, op, code, bytes);
    if (op == AIODUCT_OP_SEND && code == -ECONNRESET) {
        real->on_done(ctx, stream, op, code, bytes);
    }
}

static void spoil(void)
{
    zoo.host.on_done = tell_twice;
}
