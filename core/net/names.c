/* SPDX-License-Identifier: MIT */
#include "net/names.h"

#include "base/assert.h"
#include "base/list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *family_name(int family)
{
    return family == AF_INET6 ? "IPv6" : "IPv4";
}

bool ad_names_asking(const struct ad_names *n)
{
    return n->parts[0].asking || n->parts[1].asking;
}

static void use(struct ad_names *n)
{
    ad_deadline_remove(n->loop, &n->delay);
    n->on_news(n);
}

static void on_delay(struct ad_deadline *delay)
{
    struct ad_names *n = AD_CONTAINER_OF(delay, struct ad_names, delay);
    AD_ASSERT(n->parts[0].asking);
    use(n);
}

/* Is this the other family's answer, and is the preferred one given some time? */
static bool waits(struct ad_names *n)
{
    return n->parts[0].asking && n->delay_ns != 0 &&
           ad_deadline_set(n->loop, &n->delay, ad_loop_now_ns(n->loop) + n->delay_ns) == 0;
}

static void on_done(struct ad_lookup *lookup, int code, const struct ad_addr *addrs, size_t count,
                    const char *detail)
{
    struct ad_names_part *part = AD_CONTAINER_OF(lookup, struct ad_names_part, lookup);
    struct ad_names *n = part->names;
    part->asking = false;
    if (code == 0) {
        code = n->on_found(n, part->family, addrs, count);
        detail = code == -ENOMEM ? "out of memory" : "no usable address";
    }
    if (code < 0) {
        part->code = code;
        snprintf(part->detail, sizeof part->detail, "%s", detail);
    }
    if (code < 0 || !waits(n)) {
        use(n);
    }
}

static int start_part(struct ad_names *n, const struct ad_names_params *p, int family)
{
    struct ad_names_part *part = &n->parts[n->part_count];
    part->names = n;
    part->family = family;
    part->lookup.on_done = on_done;
    int code = ad_resolver_start(p->resolver, p->loop, &part->lookup, p->host, p->port, family);
    part->asking = code == 0;
    n->part_count += code == 0;
    return code;
}

int ad_names_start(struct ad_names *n, const struct ad_names_params *p)
{
    AD_ASSERT(p->preferred == AF_INET6 || p->preferred == AF_INET);
    n->loop = p->loop;
    n->resolver = p->resolver;
    n->delay_ns = p->delay_ns;
    n->delay.expired = on_delay;
    if (p->family != AF_UNSPEC || ad_host_is_known(p->host)) {
        return start_part(n, p, p->family);
    }
    int code = start_part(n, p, p->preferred);
    code = code < 0 ? code : start_part(n, p, p->preferred == AF_INET6 ? AF_INET : AF_INET6);
    if (code < 0) {
        ad_names_stop(n);
    }
    return code;
}

void ad_names_stop(struct ad_names *n)
{
    for (unsigned i = 0; i < n->part_count; i++) {
        if (n->parts[i].asking) {
            n->parts[i].asking = false;
            ad_lookup_cancel(n->resolver, &n->parts[i].lookup);
        }
    }
    if (n->loop != NULL) {
        ad_deadline_remove(n->loop, &n->delay);
    }
}

int ad_names_failure(const struct ad_names *n, char *text, size_t bytes)
{
    const struct ad_names_part *a = &n->parts[0], *b = &n->parts[1];
    if (n->part_count < 2) {
        snprintf(text, bytes, "%s", a->detail);
        return a->code;
    }
    if (strcmp(a->detail, b->detail) == 0) {
        snprintf(text, bytes, "%s (IPv6 and IPv4)", a->detail);
    } else {
        snprintf(text, bytes, "%s: %s; %s: %s", family_name(a->family), a->detail,
                 family_name(b->family), b->detail);
    }
    /* Another try may help if it may help one of them. */
    return a->code != AIODUCT_E_RESOLVE && b->code != AIODUCT_E_RESOLVE_TEMPORARY ? a->code
                                                                                  : b->code;
}
