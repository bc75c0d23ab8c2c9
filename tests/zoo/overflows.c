/* SPDX-License-Identifier: MIT */
/* It rounds deadlines up to a millisecond, and "never" over the top. */
#include "zoo.h"

static int sleep_whole(void *rt, struct aioduct_timer *timer, void *state, uint64_t deadline_ns)
{
    uint64_t ms = (deadline_ns + 999999) / 1000000;
    return aioduct_readiness_sleep(rt, timer, state, ms * 1000000);
}

static void spoil(void)
{
    zoo.poll.sleep = sleep_whole;
}
