/* SPDX-License-Identifier: MIT */
/**
 * The pool of one loop: connections by origin, and who waits for one. An origin's key is scheme,
 * host and port; what else would tell connections apart (TLS settings, local address, overrides of
 * the dialled address) is the same for a whole client or follows from host and port.
 *
 * Idle connections are a stack: the last one used is the first one reused. Waiters are two queues,
 * both first in, first out: those that a dial under way is counted for, and behind them those that
 * wait for a slot. Any connection that becomes free serves the first waiter, whoever asked for it.
 *
 * Dials start, and origins go, only in ad_pool_balance, at the end of the turn, so that no caller
 * meets an origin that changes under its hands.
 */
#ifndef AD_HTTP_POOL_H
#define AD_HTTP_POOL_H

#include "base/list.h"

#include <aioduct/error.h>
#include <stdbool.h>
#include <stdint.h>

struct ad_addr;
struct ad_conn;
struct ad_engine;
struct aioduct_exchange;

#define AD_POOL_BUCKETS                                                       \
    256 /* chains stay short for a few hundred origins, long but sound beyond \
         */

struct ad_origin {
    struct ad_list chain;      /* pool bucket */
    struct ad_list dirty_node; /* pool's list of origins to balance */
    uint64_t hash;
    char *host;
    uint16_t port;
    bool tls;

    /* where to dial; borrowed from the settings or from host */
    const char *dial_host;
    uint16_t dial_port;
    const struct ad_addr *dial_addrs;
    unsigned dial_addr_count;

    struct ad_list covered, queued; /* exchanges, by wait_node */
    unsigned covered_count, queued_count;
    struct ad_list opening, idle; /* connections, by place_node; newest first */
    struct ad_list shared;        /* open connections that carry many exchanges, idle or not */
    unsigned opening_count, idle_count;
    unsigned conn_count; /* opening, idle, shared and busy ones */
    unsigned room_said;  /* what other loops were told that open connections could take */
};

struct ad_pool {
    struct ad_list buckets[AD_POOL_BUCKETS];
    struct ad_list lru;   /* idle connections, longest idle last */
    struct ad_list dirty; /* origins to balance */
    unsigned idle_count, waiter_count;
};

void ad_pool_init(struct ad_pool *pool);
void ad_pool_fini(struct ad_pool *pool); /* no connection and no waiter is left */

/* Put @ex on an idle connection, or in the queue. Failures (waiters_max, memory) end it. */
void ad_pool_acquire(struct aioduct_exchange *ex);
/* A waiter ends before it was served. */
void ad_pool_leave(struct aioduct_exchange *ex);

/* ---- told by connections ---- */
void ad_pool_opened(struct ad_conn *conn);
/* Opening failed: the first waiter that counted on it gets @error. */
void ad_pool_open_failed(struct ad_conn *conn, const struct aioduct_error *error);
/* Its exchange is done with it, and it can serve another. */
void ad_pool_release(struct ad_conn *conn);
/* A shared connection's room or number of exchanges has changed. */
void ad_pool_room_changed(struct ad_conn *conn);
/* It is closing: forget it. Once for each. */
void ad_pool_forget(struct ad_conn *conn);

/* ---- engine ---- */

/* Start the dials that are missing and drop origins that hold nothing. */
void ad_pool_balance(struct ad_engine *engine);
/* What the oldest dial of @origin is doing; QUEUE if there is none. */
enum aioduct_phase ad_pool_phase(const struct ad_origin *origin);

#endif
