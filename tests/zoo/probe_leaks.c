/* SPDX-License-Identifier: MIT */
/* What it tries in probe it does not close. */
#define ZOO_OWN_PROBE
#include "zoo.h"

#include <sys/epoll.h>

static void spoil(void)
{
}

static void zoo_probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = epoll_create1(EPOLL_CLOEXEC) < 0 ? AIODUCT_E_UNAVAILABLE : 0;
}
