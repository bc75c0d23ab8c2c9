/* SPDX-License-Identifier: MIT */
/* The alignment of its timers is no power of two. */
#include "zoo.h"

static void spoil(void)
{
    zoo.poll.timer.align = 24;
}
