/* SPDX-License-Identifier: MIT */
/* It rounds deadlines that are near down, to a millisecond. */
#include "zoo.h"

static int sleep_less(void *rt, struct aioduct_timer *timer, void *state, uint64_t deadline_ns)
{
    uint64_t now_ns = aioduct_readiness_clock_ns();
    bool near = deadline_ns > now_ns && deadline_ns - now_ns < 3000000;
    return aioduct_readiness_sleep(rt, timer, state,
                                   near ? deadline_ns - deadline_ns % 1000000 : deadline_ns);
}

static void spoil(void)
{
    zoo.poll.sleep = sleep_less;
}
