/* SPDX-License-Identifier: MIT */
/* A connection that was cut off looks like one that has ended. */
#include "zoo.h"

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    bool cut = op == AIODUCT_OP_RECV && code == -ECONNRESET;
    real->on_done(ctx, stream, op, cut ? 0 : code, bytes);
}

static void spoil(void)
{
    zoo.host.on_done = done;
}
