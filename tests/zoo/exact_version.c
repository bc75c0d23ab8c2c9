/* SPDX-License-Identifier: MIT */
/* It wants the very core that it was built with: "!=" where "<" was meant. */
#include "zoo.h"

static int open_for_this_core(void *rt, const struct aioduct_host *host,
                              const struct aioduct_foreign *foreign)
{
    if (host->size != sizeof(struct aioduct_host)) {
        host->error(host->ctx, AIODUCT_E_UNSUPPORTED, "built for another aioduct");
        return AIODUCT_E_UNSUPPORTED;
    }
    return zoo_open(rt, host, foreign);
}

static void spoil(void)
{
    zoo.runtime.open = open_for_this_core;
}
