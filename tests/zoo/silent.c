/* SPDX-License-Identifier: MIT */
/* It refuses to open without a word. */
#include "zoo.h"

static void say_nothing(void *ctx, int code, const char *message)
{
    (void)ctx;
    (void)code;
    (void)message;
}

static int open_in_silence(void *state, const struct aioduct_host *host,
                           const struct aioduct_foreign *foreign)
{
    struct zoo_rt *rt = state;
    zoo_host(&rt->host, host);
    rt->host.error = say_nothing;
    int code = poll_open(state, &rt->host, foreign);
    rt->host.error = host->error;
    return code;
}

static void spoil(void)
{
    zoo.runtime.open = open_in_silence;
}
