/* SPDX-License-Identifier: MIT */
/**
 * The addresses of a host, family by family (RFC 8305 section 3). IPv6 and IPv4 addresses are asked
 * for by two look-ups at once. Those of the preferred family are used when they come; if the other
 * family is first, it waits for the preferred one, but no longer than the resolution delay. What
 * comes later is told as well. What needs no question to anybody, or one family alone, is one
 * look-up.
 *
 * Life: start -> on_found, on_news ... -> stop, at any time, also inside these. The caller's
 * memory, zeroed at first; loop thread.
 */
#ifndef AD_NET_NAMES_H
#define AD_NET_NAMES_H

#include "net/resolve.h"
#include "runtime/loop.h"

struct ad_names_part {
    struct ad_names *names;
    struct ad_lookup lookup;
    int family;
    bool asking;
    int code; /* why it failed; 0: it did not, or not yet */
    char detail[96];
};

struct ad_names {
    /* Addresses came, borrowed for the call; @family is the one that was asked for. 0, or why they
     * are of no use: AIODUCT_E_RESOLVE, -ENOMEM. Nothing of the names may be called. */
    int (*on_found)(struct ad_names *names, int family, const struct ad_addr *addrs, size_t count);
    /* A look-up has ended, well or badly, and nothing that was found has to wait any longer. */
    void (*on_news)(struct ad_names *names);

    /* ours */
    struct ad_loop *loop;
    struct ad_resolver *resolver;
    struct ad_names_part parts[2]; /* the preferred family first */
    unsigned part_count;
    struct ad_deadline delay;
    uint64_t delay_ns;
};

struct ad_names_params {
    struct ad_loop *loop;
    struct ad_resolver *resolver;
    const char *host;
    uint16_t port;
    int family;        /* AF_UNSPEC: both */
    int preferred;     /* of the two: AF_INET6 or AF_INET */
    uint64_t delay_ns; /* the resolution delay; 0: none */
};

/* 0, then on_news, never inside start | negative, with nothing under way: as ad_resolver_start */
int ad_names_start(struct ad_names *names, const struct ad_names_params *params);
/* Nothing of it is told any more. Repeats are harmless. */
void ad_names_stop(struct ad_names *names);
bool ad_names_asking(const struct ad_names *names); /* may more addresses come? */
/* All have failed: the code that says best whether another try may help, and what each was told, in
 * @text. */
int ad_names_failure(const struct ad_names *names, char *text, size_t bytes);

#endif
