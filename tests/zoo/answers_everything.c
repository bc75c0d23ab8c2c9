/* SPDX-License-Identifier: MIT */
/* It compares as much of an id as it knows, so that versions to come look like this one. */
#define ZOO_OWN_INTERFACES
#include "zoo.h"

static void spoil(void)
{
}

static const void *zoo_interfaces(const char *id)
{
    static const char newer[] = "aioduct.connector/";
    return strncmp(id, newer, sizeof newer - 1) == 0 ? zoo_table(AIODUCT_IFACE_CONNECTOR)
                                                     : zoo_table(id);
}
