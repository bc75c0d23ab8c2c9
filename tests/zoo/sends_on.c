/* SPDX-License-Identifier: MIT */
/* After the end of our side a send is done, and goes nowhere. */
#include "zoo.h"

static int send_into_nothing(void *state, const struct iovec *pieces, unsigned count)
{
    struct zoo_stream *s = state;
    int code = aioduct_readiness_send(state, pieces, count);
    return code == -EPIPE && (s->ops & AIODUCT_OP_SHUTDOWN) != 0 ? AIODUCT_DONE : code;
}

static int shut_down(void *state)
{
    struct zoo_stream *s = state;
    int code = aioduct_readiness_shutdown(state);
    s->ops |= code >= 0 ? AIODUCT_OP_SHUTDOWN : 0;
    return code;
}

static void spoil(void)
{
    zoo.connector.send = send_into_nothing;
    zoo.connector.shutdown = shut_down;
}
