/* SPDX-License-Identifier: MIT */
/** Between the files of the pool: pool.c queues and dials, pool_idle.c keeps, pool_shared.c shares.
 */
#ifndef AD_HTTP_POOL_PRIVATE_H
#define AD_HTTP_POOL_PRIVATE_H

#include "base/assert.h"
#include "http/conn.h"
#include "http/exchange.h"
#include "http/pool.h"

static inline struct aioduct_exchange *ad_pool_waiter_of(struct ad_list *node)
{
    return AD_CONTAINER_OF(node, struct aioduct_exchange, wait_node);
}

static inline struct ad_conn *ad_pool_conn_of(struct ad_list *place_node)
{
    return AD_CONTAINER_OF(place_node, struct ad_conn, place_node);
}

/* Has it been opened since @ex lost one, if that matters (C22)? */
static inline bool ad_pool_usable(const struct ad_conn *conn, const struct aioduct_exchange *ex)
{
    return !ex->fresh_only || conn->opened_ns >= ex->lost_ns;
}

/* ---- pool.c ---- */

/* From the queue onto @conn. */
void ad_pool_serve(struct aioduct_exchange *ex, struct ad_conn *conn);

/* Tell other loops what could be taken here without a dial. */
void ad_pool_say_room(struct ad_origin *origin);

/* ---- pool_idle.c ---- */

/* Without exchanges from now on, or closed. */
void ad_pool_idle_put(struct ad_conn *conn);
/* No longer without. A shared one keeps its place in its origin's list. */
void ad_pool_idle_remove(struct ad_conn *conn);
/* The last one used that is not too old; NULL: none. */
struct ad_conn *ad_pool_idle_find(struct ad_origin *origin);

/* ---- pool_shared.c ---- */

void ad_pool_shared_opened(struct ad_conn *conn);
/* The one with the fewest exchanges that has room for @ex; NULL: none. */
struct ad_conn *ad_pool_shared_find(const struct ad_origin *origin,
                                    const struct aioduct_exchange *ex);
/* How many exchanges they could take now. */
unsigned ad_pool_shared_room(const struct ad_origin *origin);
/* How many take new exchanges, or will when some have ended. */
unsigned ad_pool_shared_count(const struct ad_origin *origin);
/* Serve waiters, note idleness, close what is drained. */
void ad_pool_shared_balance(struct ad_origin *origin);
/* Have the one opened first take no more. false: there is none. */
bool ad_pool_shared_retire(struct ad_origin *origin);
/* Does the origin back off? */
bool ad_pool_is_calm(const struct ad_origin *origin);
/* Let the pause end, and later be forgotten. */
void ad_pool_calm_step(struct ad_origin *origin);

#endif
