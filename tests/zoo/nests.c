/* SPDX-License-Identifier: MIT */
/* A turn inside a callback is passed over as if it had been one. */
#include "zoo.h"

static int turn_anywhere(void *rt, int64_t timeout_ns)
{
    int code = aioduct_readiness_turn(rt, timeout_ns);
    return code == AIODUCT_E_NESTED ? 0 : code;
}

static void spoil(void)
{
    zoo.runtime.turn = turn_anywhere;
}
