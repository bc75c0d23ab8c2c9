/* SPDX-License-Identifier: MIT */
/**
 * The pool of one loop: connections by origin (origin.h), and who waits for one.
 *
 * Idle connections that carry one exchange at a time are a stack: the last one used is the first
 * one reused. Of shared ones (HTTP/2) the one with the fewest exchanges that has room is taken.
 *
 * Waiters are two queues, both first in, first out: those that a dial under way is counted for, and
 * behind them those that wait for a slot. Any connection that becomes free serves the first waiter,
 * whoever asked for it. Where HTTP/1.1 is spoken each waiter has a dial of its own; where HTTP/2 is
 * spoken, or nobody knows yet, one dial is for all, and its failure is theirs.
 *
 * Dials start, and origins go, only in ad_pool_balance, at the end of the turn, so that no caller
 * meets an origin that changes under its hands.
 */
#ifndef AD_HTTP_POOL_H
#define AD_HTTP_POOL_H

#include "base/list.h"
#include "http/origin.h"
#include "http/stats.h"

#include <aioduct/error.h>
#include <aioduct/event.h>
#include <stdbool.h>
#include <stdint.h>

struct ad_conn;
struct ad_engine;
struct ad_settings;
struct aioduct_exchange;

#define AD_POOL_BUCKETS 256 /* chains stay short for a few hundred origins, and sound beyond */

/* One loop's share of the client's limits. */
struct ad_pool_limits {
    uint32_t connections_per_origin_max, h2_connections_per_origin_max;
    uint32_t idle_per_origin_max, idle_total_max;
};

struct ad_pool {
    struct ad_list buckets[AD_POOL_BUCKETS];
    struct ad_list lru;   /* connections without exchanges, longest idle last */
    struct ad_list dirty; /* origins to balance */
    struct ad_pool_limits limits;
    struct ad_known known[AD_KNOWN_PLACES];
    unsigned idle_count, waiter_count;
};

/* @loops share the limits of @settings: each has its part, rounded up, and one at least. */
void ad_pool_init(struct ad_pool *pool, const struct ad_settings *settings, unsigned loops);
void ad_pool_fini(struct ad_pool *pool); /* no connection and no waiter is left */

/* Put @ex on an open connection, or in the queue. Failures (waiters_max, memory) end it. */
void ad_pool_acquire(struct aioduct_exchange *ex);
/* A waiter ends before it was served. */
void ad_pool_leave(struct aioduct_exchange *ex);

/* ---- told by connections ---- */
void ad_pool_opened(struct ad_conn *conn);
/* Opening failed: whoever counted on it gets @error. */
void ad_pool_open_failed(struct ad_conn *conn, const struct aioduct_error *error);
/* Its exchange is done with it, and it can serve another. */
void ad_pool_release(struct ad_conn *conn);
/* A shared connection's room or number of exchanges has changed. */
void ad_pool_room_changed(struct ad_conn *conn);
/* The server asked for calm (C40): no new streams for a second, twice as long each time, a minute
 * at most. */
void ad_pool_calm(struct ad_conn *conn);
/* It is closing: forget it. Once for each. */
void ad_pool_forget(struct ad_conn *conn);
/* Close it, and say why. */
void ad_pool_evict(struct ad_conn *conn, enum aioduct_close_reason why, bool orderly);

/* ---- engine ---- */

/* Start the dials that are missing and drop origins that hold nothing. */
void ad_pool_balance(struct ad_engine *engine);
/* Have @origin looked at by the next balance, in this turn. */
void ad_pool_mark(struct ad_origin *origin);
/* Nobody waits and nothing backs off any more: drop origins that stayed only to remember that. */
void ad_pool_close(struct ad_engine *engine);
void ad_pool_close_idle(struct ad_engine *engine);
/* What the oldest dial of @origin is doing; QUEUE if there is none. */
enum aioduct_phase ad_pool_phase(const struct ad_origin *origin);

#endif
