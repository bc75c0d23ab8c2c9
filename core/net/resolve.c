/* SPDX-License-Identifier: MIT */
/* Dispatch to whichever resolver the client has. */
#include "net/resolve.h"

#include "base/assert.h"

#include <stddef.h>

int ad_resolver_start(struct ad_resolver *resolver, struct ad_loop *loop, struct ad_lookup *lookup,
                      const char *host, uint16_t port, int family)
{
    AD_ASSERT(lookup->on_done != NULL);
    AD_ASSERT(family == AF_UNSPEC || family == AF_INET || family == AF_INET6);
    int code = resolver->ops->start(resolver, loop, lookup, host, port, family);
    AD_ASSERT(code <= 0);
    return code;
}

void ad_lookup_cancel(struct ad_resolver *resolver, struct ad_lookup *lookup)
{
    resolver->ops->cancel(resolver, lookup);
}

void ad_resolver_destroy(struct ad_resolver *resolver)
{
    if (resolver != NULL) {
        resolver->ops->destroy(resolver);
    }
}
