/* SPDX-License-Identifier: MIT */
/** A resolver that answers when the test says so: one question a family. */
#ifndef TESTS_UNIT_NET_FAKE_RESOLVER_H
#define TESTS_UNIT_NET_FAKE_RESOLVER_H

#include "net/resolve.h"

#include <stdbool.h>

struct fake_question {
    struct ad_lookup *lookup; /* NULL: none */
    int family;
};

struct fake_resolver {
    struct ad_resolver base;
    struct fake_question waiting[2]; /* in the order of asking */
    char host[256];
    uint16_t port;
    int family; /* that was asked for last */
    unsigned started, cancelled;
    int refuse; /* what start says to a second question at a time; 0: it is taken */
};

void fake_resolver_init(struct fake_resolver *resolver);
/* Does a question for @family wait? */
bool fake_resolver_waits(const struct fake_resolver *resolver, int family);
/* @texts: numeric addresses, NULL-terminated. All that wait are answered: two of them in the order
 * of asking, each with the addresses of its family; that there are none is a failure. */
void fake_resolver_answer(struct fake_resolver *resolver, const char *const *texts);
void fake_resolver_fail(struct fake_resolver *resolver, int code, const char *detail);
/* The one that waits for @family, with all of @texts. */
void fake_resolver_answer_family(struct fake_resolver *resolver, int family,
                                 const char *const *texts);
void fake_resolver_fail_family(struct fake_resolver *resolver, int family, int code,
                               const char *detail);

#endif
