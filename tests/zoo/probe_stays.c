/* SPDX-License-Identifier: MIT */
/* It starts its helper thread in probe. */
#define ZOO_OWN_PROBE
#include "zoo.h"

#include <unistd.h>

static void spoil(void)
{
}

static void *help(void *arg)
{
    for (;;) {
        pause();
    }
    return arg;
}

static void zoo_probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    pthread_t thread;
    (void)host;
    out->code = pthread_create(&thread, NULL, help, NULL) == 0 ? 0 : AIODUCT_E_UNAVAILABLE;
}
