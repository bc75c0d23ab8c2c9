/* SPDX-License-Identifier: MIT */
/**
 * Where a request for host:port is really dialled: the client's connect_to and resolve overrides.
 * connect_to is applied first, and resolve to what it gives. The URL, Host and the certificate's
 * name are not touched.
 */
#ifndef AD_HTTP_ROUTE_H
#define AD_HTTP_ROUTE_H

#include "net/resolve.h"

#include <aioduct/error.h>

struct ad_route_rule {
    char *host; /* lower-case; NULL: any */
    int port;   /* -1: any */
    char *to_host;
    int to_port; /* -1: the same */
    struct ad_addr *addrs;
    size_t addr_count;
};

struct ad_routes {
    struct ad_route_rule *resolve, *connect_to;
    size_t resolve_count, connect_to_count;
    struct ad_addr local; /* of a unix-domain socket that all go to; bytes 0: none */
};

struct ad_route {
    const char *host; /* borrowed from the routes or from the argument */
    uint16_t port;
    const struct ad_addr *addrs; /* borrowed from the routes; NULL: look up @host */
    size_t addr_count;
};

/* Lists end with NULL or are NULL. 0 | -EINVAL, the option and the element named | -ENOMEM */
int ad_routes_init(struct ad_routes *routes, const char *const *resolve,
                   const char *const *connect_to, struct aioduct_error *error);
void ad_routes_fini(struct ad_routes *routes); /* zeroed or made */
/* @host is lower-case, without brackets. The first rule that fits is taken. */
struct ad_route ad_routes_find(const struct ad_routes *routes, const char *host, uint16_t port);
/* The same without connect_to: @host and @port are those to dial. */
struct ad_route ad_routes_resolve(const struct ad_routes *routes, const char *host, uint16_t port);
/* "host:port": *@out_host owned, lower-case, NULL if empty; *@out_port -1 if empty, and both empty
 * is wrong. 0 | -EINVAL | -ENOMEM */
int ad_route_parse(const char *target, char **out_host, int *out_port);

#endif
