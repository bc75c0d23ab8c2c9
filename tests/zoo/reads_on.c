/* SPDX-License-Identifier: MIT */
/* It copies the host table as large as its own header has it, and a page more for the future. */
#include "zoo.h"

static int open_and_copy(void *rt, const struct aioduct_host *host,
                         const struct aioduct_foreign *foreign)
{
    volatile const unsigned char *bytes = (const unsigned char *)host;
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof *host + 64; i++) {
        sum += bytes[i];
    }
    (void)sum;
    return zoo_open(rt, host, foreign);
}

static void spoil(void)
{
    zoo.runtime.open = open_and_copy;
}
