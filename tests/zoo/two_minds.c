/* SPDX-License-Identifier: MIT */
/* It says that its streams are bound to a thread, and that they are not. */
#include "zoo.h"

static void spoil(void)
{
    zoo.connector.flags = AIODUCT_BIND_SEND | AIODUCT_BIND_LOCAL;
}
