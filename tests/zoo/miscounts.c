/* SPDX-License-Identifier: MIT */
/* A send that was completed has taken a byte less. */
#include "zoo.h"

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    bool sent = op == AIODUCT_OP_SEND && code == 0;
    real->on_done(ctx, stream, op, code, sent ? bytes - 1 : bytes);
}

static void spoil(void)
{
    zoo.host.on_done = done;
    zoo.connector.send_file = NULL; /* which may take a byte less */
}
