/* SPDX-License-Identifier: MIT */
/* A receive cannot be cancelled. */
#include "zoo.h"

static void cancel_others(void *state, unsigned named)
{
    aioduct_readiness_cancel(state, named & ~(unsigned)AIODUCT_OP_RECV);
}

static void spoil(void)
{
    zoo.connector.cancel = cancel_others;
}
