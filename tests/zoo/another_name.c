/* SPDX-License-Identifier: MIT */
/* Its descriptor has the name of the file that it was copied from. */
#define ZOO_SAID pollrt
#include "zoo.h"

static void spoil(void)
{
}
