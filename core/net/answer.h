/* SPDX-License-Identifier: MIT */
/**
 * What a look-up found: addresses without port, or why there are none. Shared by the cache and by
 * everybody who waits for it; immutable but for its age.
 */
#ifndef AD_NET_ANSWER_H
#define AD_NET_ANSWER_H

#include "net/resolve.h"

#include <stdatomic.h>

struct addrinfo;

#define AD_HOST_BYTES_MAX 255 /* RFC 1035: no name is longer, nor is numeric text */

struct ad_answer {
    _Atomic unsigned refs;
    _Atomic uint64_t at_ns; /* loop time from which its age counts */
    int code;               /* 0, AIODUCT_E_RESOLVE, AIODUCT_E_RESOLVE_TEMPORARY, -ENOMEM */
    size_t count;
    char detail[96];
    struct ad_addr addrs[];
};

/* Each returns a reference, and never NULL: when memory is out, a shared answer that says so. */
struct ad_answer *ad_answer_failed(int code, const char *detail);
struct ad_answer *ad_answer_found(const struct addrinfo *list);
/* From getaddrinfo's result; @errnum is errno after it. */
struct ad_answer *ad_answer_refused(int gai_code, int errnum);
/* Numeric hosts, localhost (RFC 6761: never asked of the network) and what no name can be; NULL: it
 * has to be looked up. */
struct ad_answer *ad_answer_known(const char *host, int family);

struct ad_answer *ad_answer_ref(struct ad_answer *answer);
void ad_answer_unref(struct ad_answer *answer);

#endif
