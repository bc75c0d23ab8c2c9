/* SPDX-License-Identifier: MIT */
/* The last word on a stream is said twice, now and then. */
#include "zoo.h"

static void close_twice(void *ctx, struct aioduct_stream *stream)
{
    static unsigned count;
    real->on_closed(ctx, stream);
    if (++count % 3 == 0) {
        real->on_closed(ctx, stream);
    }
}

static void spoil(void)
{
    zoo.host.on_closed = close_twice;
}
