/* SPDX-License-Identifier: MIT */
/** A resolver that answers when the test says so. */
#ifndef TESTS_UNIT_NET_FAKE_RESOLVER_H
#define TESTS_UNIT_NET_FAKE_RESOLVER_H

#include "net/resolve.h"

#include <stdbool.h>

struct fake_resolver {
    struct ad_resolver base;
    struct ad_lookup *lookup; /* the one that waits; NULL: none */
    char host[256];
    uint16_t port;
    int family;
    unsigned started, cancelled;
};

void fake_resolver_init(struct fake_resolver *resolver);
/* @texts: numeric addresses, NULL-terminated. */
void fake_resolver_answer(struct fake_resolver *resolver, const char *const *texts);
void fake_resolver_fail(struct fake_resolver *resolver, int code, const char *detail);

#endif
