/* SPDX-License-Identifier: MIT */
/* A second receive is as good as the first. */
#include "zoo.h"

static int start_again(void *state)
{
    int code = aioduct_readiness_recv_start(state);
    return code == -EBUSY ? 0 : code;
}

static void spoil(void)
{
    zoo.connector.recv_start = start_again;
}
