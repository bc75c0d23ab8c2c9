/* SPDX-License-Identifier: MIT */
/**
 * Host name -> addresses, without ever blocking a loop. An interface with one default: getaddrinfo
 * on a small pool of threads, jobs that can be abandoned, a bounded cache for answers and failures.
 * One resolver serves all loops of a client.
 */
#ifndef AD_NET_RESOLVE_H
#define AD_NET_RESOLVE_H

#include <aioduct/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct ad_loop;
struct ad_resolver;

struct ad_addr {
    struct sockaddr_storage storage; /* with the port */
    uint32_t bytes;
};

#define AD_ADDR_TEXT_BYTES 120 /* longest path of a unix-domain socket, with "unix:" and the NUL */
/* Numeric IPv4 (dotted quad) or IPv6 (with an optional zone), no brackets -> 0, or -EINVAL. */
int ad_addr_parse(const char *text, uint16_t port, struct ad_addr *out);
/* Is @host numeric, localhost or no name at all, so that nobody needs to be asked? */
bool ad_host_is_known(const char *host);
/* "/path", or "@name" in the abstract namespace, of a unix-domain socket -> 0, or -EINVAL: empty,
 * or longer than there is room for. */
int ad_addr_parse_unix(const char *path, struct ad_addr *out);
/* The address without its port, "unix:/path", "unix:@abstract"; "" for an unknown family. @out
 * holds AD_ADDR_TEXT_BYTES. -> @out */
const char *ad_addr_text(const struct ad_addr *addr, char *out);

#define AD_RESOLVE_ADDRS_MAX 32 /* addresses of one name that are kept: a race never needs more */

/* One question, for one family or both; the caller's memory, until on_done or ad_lookup_cancel. */
struct ad_lookup {
    /* Loop thread, once, never inside start. @code 0 with @count > 0 addresses in the system's
     * order (RFC 6724), borrowed until this returns; else AIODUCT_E_RESOLVE (final),
     * AIODUCT_E_RESOLVE_TEMPORARY or -ENOMEM with the system's text in @detail. */
    void (*on_done)(struct ad_lookup *lookup, int code, const struct ad_addr *addrs, size_t count,
                    const char *detail);
    void *job; /* the resolver's */
};

struct ad_resolver_ops {
    int (*start)(struct ad_resolver *resolver, struct ad_loop *loop, struct ad_lookup *lookup,
                 const char *host, uint16_t port, int family);
    void (*cancel)(struct ad_resolver *resolver, struct ad_lookup *lookup);
    void (*destroy)(struct ad_resolver *resolver);
};
struct ad_resolver { /* first member of every implementation */
    const struct ad_resolver_ops *ops;
};

struct ad_resolver_options {
    int threads;          /* 4 if 0; each starts when there is a question for it */
    int cache_ms;         /* 60,000 if 0; AIODUCT_NO_LIMIT (-1): no cache */
    int cache_failure_ms; /* 5,000 if 0; that a name which has addresses has none of the other
                             family is kept for cache_ms */
    int cache_names_max;  /* 1,024 if 0; one name has an answer a family */
    /* Replaces getaddrinfo in tests (a resolver that hangs, fails, or answers slowly); NULL: the
     * system's. */
    int (*getaddrinfo)(const char *node, const char *service, const void *hints, void **result);
    void (*freeaddrinfo)(void *result);
};
int ad_resolver_create_system(const struct ad_resolver_options *options, struct ad_resolver **out);

/* Numeric hosts and cache hits are answered too by a later on_done. localhost and what ends in
 * .localhost are 127.0.0.1 and ::1 without a question to anybody (RFC 6761). @family: AF_UNSPEC,
 * AF_INET, AF_INET6. Each question takes a thread for itself and waits for no other, so that both
 * families of a name may be asked with any number of threads; with one they are asked one after the
 * other. 0, then on_done once | -ENOMEM | -EAGAIN (the system starts no thread) | AIODUCT_E_LIMIT
 * (1,024 names wait for a thread; the second family of a name that waits always finds room) */
int ad_resolver_start(struct ad_resolver *resolver, struct ad_loop *loop, struct ad_lookup *lookup,
                      const char *host, uint16_t port, int family);
/* on_done will not come; returns at once even if a thread hangs in the look-up. */
void ad_lookup_cancel(struct ad_resolver *resolver, struct ad_lookup *lookup);
/* No look-up may be waiting. Never waits for a hung one that was cancelled: its thread finishes
 * alone and frees what it holds. NULL does nothing; in a forked child neither. */
void ad_resolver_destroy(struct ad_resolver *resolver);

#endif
