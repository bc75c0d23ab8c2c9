/* SPDX-License-Identifier: MIT */
/* Its descriptors live on in programs that the application starts. */
#include "zoo.h"

#include <fcntl.h>

static int open_for_children(void *state, const struct aioduct_host *host,
                             const struct aioduct_foreign *foreign)
{
    struct poll_rt *rt = state;
    int code = zoo_open(state, host, foreign);
    for (size_t i = 0; code == 0 && i < rt->count; i++) {
        fcntl(rt->polled[i].fd, F_SETFD, 0);
    }
    return code;
}

static void spoil(void)
{
    zoo.runtime.open = open_for_children;
}
