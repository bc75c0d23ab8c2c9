/* SPDX-License-Identifier: MIT */
/* Operations are asked for before there is a connection, and are taken for cut off. */
#include "zoo.h"

static int send_anyway(void *state, const struct iovec *pieces, unsigned count)
{
    int code = aioduct_readiness_send(state, pieces, count);
    return code == -ENOTCONN ? -EPIPE : code;
}

static void spoil(void)
{
    zoo.connector.send = send_anyway;
}
