/* SPDX-License-Identifier: MIT */
/* A place is taken for a byte larger than it is. */
#include "zoo.h"

static void recv_at(void *state, void *memory, size_t bytes)
{
    aioduct_readiness_recv_at(state, memory, bytes + (memory != NULL));
}

static void spoil(void)
{
    zoo.connector.recv_at = recv_at;
}
