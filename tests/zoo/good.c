/* SPDX-License-Identifier: MIT */
/* Nothing is wrong with it: what the others are made of passes. */
#include "zoo.h"

static void spoil(void)
{
}
