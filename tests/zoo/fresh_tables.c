/* SPDX-License-Identifier: MIT */
/* Each question gets a table of its own. */
#define ZOO_OWN_INTERFACES
#include "zoo.h"

static void spoil(void)
{
}

static const void *zoo_interfaces(const char *id)
{
    static struct aioduct_connector copies[64];
    static unsigned count;
    const void *table = zoo_table(id);
    if (table != &zoo.connector) {
        return table;
    }
    struct aioduct_connector *copy = &copies[count++ % 64];
    *copy = zoo.connector;
    return copy;
}
