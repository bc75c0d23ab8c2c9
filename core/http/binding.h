/* SPDX-License-Identifier: MIT */
/**
 * Which threads may call a client and its exchanges. The bindings *send* and *local* are this one
 * question; everything behind it is the same code: a call on the loop's thread acts at once, a call
 * from elsewhere is posted. Immutable once the client stands.
 */
#ifndef AD_HTTP_BINDING_H
#define AD_HTTP_BINDING_H

#include <pthread.h>
#include <stdbool.h>

struct ad_binding {
    bool local;               /* only `owner` may call */
    pthread_t owner;          /* the thread that made it */
    unsigned fork_generation; /* of the process that made it */
};

/* Made by the calling thread; *send* until `local` is set. */
void ad_binding_init(struct ad_binding *binding);
/* May this thread call? 0 | AIODUCT_E_THREAD | AIODUCT_E_FORKED */
int ad_binding_check(const struct ad_binding *binding);

#endif
