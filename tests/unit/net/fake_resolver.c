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
    struct fake_question *q = &r->waiting[r->waiting[0].lookup != NULL];
    AD_ASSERT(q->lookup == NULL);
    if (r->refuse != 0 && q == &r->waiting[1]) {
        return r->refuse;
    }
    *q = (struct fake_question){lookup, family};
    r->port = port;
    r->family = family;
    r->started++;
    snprintf(r->host, sizeof r->host, "%s", host);
    return 0;
}

static void cancel(struct ad_resolver *base, struct ad_lookup *lookup)
{
    struct fake_resolver *r = (struct fake_resolver *)(void *)base;
    int which = r->waiting[0].lookup == lookup ? 0 : 1;
    AD_ASSERT(r->waiting[which].lookup == lookup);
    r->waiting[which].lookup = NULL;
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

bool fake_resolver_waits(const struct fake_resolver *r, int family)
{
    return (r->waiting[0].lookup != NULL && r->waiting[0].family == family) ||
           (r->waiting[1].lookup != NULL && r->waiting[1].family == family);
}

/* @family AF_UNSPEC: with addresses of both. */
static void answer(struct fake_resolver *r, struct fake_question *q, int family,
                   const char *const *texts)
{
    struct ad_addr addrs[8];
    struct ad_lookup *lookup = q->lookup;
    size_t count = 0;
    for (; *texts != NULL; texts++) {
        AD_ASSERT(ad_addr_parse(*texts, r->port, &addrs[count]) == 0);
        count += family == AF_UNSPEC || addrs[count].storage.ss_family == family;
    }
    q->lookup = NULL;
    if (count > 0) {
        lookup->on_done(lookup, 0, addrs, count, "");
    } else {
        lookup->on_done(lookup, AIODUCT_E_RESOLVE, NULL, 0, "no address");
    }
}

void fake_resolver_answer(struct fake_resolver *r, const char *const *texts)
{
    bool both = r->waiting[0].lookup != NULL && r->waiting[1].lookup != NULL;
    for (int i = 0; i < 2; i++) {
        if (r->waiting[i].lookup != NULL) {
            answer(r, &r->waiting[i], both ? r->waiting[i].family : AF_UNSPEC, texts);
        }
    }
}

static void fail(struct fake_question *q, int code, const char *detail)
{
    struct ad_lookup *lookup = q->lookup;
    q->lookup = NULL;
    lookup->on_done(lookup, code, NULL, 0, detail);
}

void fake_resolver_fail(struct fake_resolver *r, int code, const char *detail)
{
    for (int i = 0; i < 2; i++) {
        if (r->waiting[i].lookup != NULL) {
            fail(&r->waiting[i], code, detail);
        }
    }
}

static struct fake_question *question_of(struct fake_resolver *r, int family)
{
    AD_ASSERT(fake_resolver_waits(r, family));
    return &r->waiting[r->waiting[0].lookup == NULL || r->waiting[0].family != family];
}

void fake_resolver_answer_family(struct fake_resolver *r, int family, const char *const *texts)
{
    answer(r, question_of(r, family), AF_UNSPEC, texts);
}

void fake_resolver_fail_family(struct fake_resolver *r, int family, int code, const char *detail)
{
    fail(question_of(r, family), code, detail);
}
