/* SPDX-License-Identifier: MIT */
/* A required member is missing. */
#include "zoo.h"

static void spoil(void)
{
    zoo.runtime.wake = NULL;
}
