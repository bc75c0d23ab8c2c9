/* SPDX-License-Identifier: MIT */
/* A connect that was refused leaves a descriptor behind. */
#include "zoo.h"

#include <sys/eventfd.h>

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    if (op == AIODUCT_OP_CONNECT && code == -ECONNREFUSED) {
        eventfd(0, EFD_CLOEXEC);
    }
    real->on_done(ctx, stream, op, code, bytes);
}

static void spoil(void)
{
    zoo.host.on_done = done;
}
