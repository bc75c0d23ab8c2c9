/* SPDX-License-Identifier: MIT */
#include "fake_resolver.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

static int start(struct ad_resolver *base, struct ad_loop *loop, struct ad_lookup *lookup,
                 const char *host, uint16_t port, int family)
{
    struct fake_resolver *r = (struct fake_resolver *)(void *)base;
    (void)loop;
    AD_ASSERT(r->lookup == NULL);
    r->lookup = lookup;
    r->port = port;
    r->family = family;
    r->started++;
    snprintf(r->host, sizeof r->host, "%s", host);
    return 0;
}

static void cancel(struct ad_resolver *base, struct ad_lookup *lookup)
{
    struct fake_resolver *r = (struct fake_resolver *)(void *)base;
    AD_ASSERT(r->lookup == lookup);
    r->lookup = NULL;
    r->cancelled++;
}

static void destroy(struct ad_resolver *base)
{
    (void)base;
}

void fake_resolver_init(struct fake_resolver *r)
{
    static const struct ad_resolver_ops ops = {
        .start = start, .cancel = cancel, .destroy = destroy};
    memset(r, 0, sizeof *r);
    r->base.ops = &ops;
}

void fake_resolver_answer(struct fake_resolver *r, const char *const *texts)
{
    struct ad_addr addrs[8];
    struct ad_lookup *lookup = r->lookup;
    size_t count = 0;
    for (; texts[count] != NULL; count++) {
        AD_ASSERT(ad_addr_parse(texts[count], r->port, &addrs[count]) == 0);
    }
    r->lookup = NULL;
    lookup->on_done(lookup, 0, addrs, count, "");
}

void fake_resolver_fail(struct fake_resolver *r, int code, const char *detail)
{
    struct ad_lookup *lookup = r->lookup;
    r->lookup = NULL;
    lookup->on_done(lookup, code, NULL, 0, detail);
}
