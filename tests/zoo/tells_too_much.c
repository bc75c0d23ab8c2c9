/* SPDX-License-Identifier: MIT */
/* It fills all of its own struct, however short the caller's is. */
#include "zoo.h"

static int info_whole(void *state, struct aioduct_stream_info *out)
{
    struct aioduct_stream_info info = {.size = sizeof info};
    int code = aioduct_readiness_stream_info(state, &info);
    if (code == 0) {
        *out = info;
    }
    return code;
}

static void spoil(void)
{
    zoo.connector.stream_info = info_whole;
}
