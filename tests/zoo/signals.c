/* SPDX-License-Identifier: MIT */
/* Sending to a peer that is gone raises SIGPIPE. */
#include "zoo.h"

#include <signal.h>

static int shut_down(void *state)
{
    ((struct zoo_stream *)state)->ops |= AIODUCT_OP_SHUTDOWN;
    return aioduct_readiness_shutdown(state);
}

static int send_or_die(void *state, const struct iovec *pieces, unsigned count)
{
    bool open = (((struct zoo_stream *)state)->ops & AIODUCT_OP_SHUTDOWN) == 0;
    int code = aioduct_readiness_send(state, pieces, count);
    if (code == -EPIPE && open) {
        raise(SIGPIPE); /* as write(2) does */
    }
    return code;
}

static void spoil(void)
{
    zoo.connector.send = send_or_die;
    zoo.connector.shutdown = shut_down;
}
