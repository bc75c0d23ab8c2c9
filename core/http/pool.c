/* SPDX-License-Identifier: MIT */
/* Queues and dials. */
#include "http/pool.h"

#include "base/assert.h"
#include "http/engine.h"
#include "http/pool_private.h"
#include "http/request.h"

#include <errno.h>

/* ---- life ---- */

/* Requests go to the loops by turns, so equal parts are used equally. */
static uint32_t share(uint32_t limit, unsigned loops)
{
    return limit == 0 || limit == UINT32_MAX ? limit : (limit - 1) / loops + 1;
}

void ad_pool_init(struct ad_pool *pool, const struct ad_settings *settings, unsigned loops)
{
    for (size_t i = 0; i < AD_POOL_BUCKETS; i++) {
        ad_list_init(&pool->buckets[i]);
    }
    ad_list_init(&pool->lru);
    ad_list_init(&pool->dirty);
    pool->limits = (struct ad_pool_limits){
        .connections_per_origin_max = share(settings->connections_per_origin_max, loops),
        .h2_connections_per_origin_max = share(settings->h2_connections_per_origin_max, loops),
        .idle_per_origin_max = share(settings->idle_per_origin_max, loops),
        .idle_total_max = share(settings->idle_total_max, loops),
    };
}

void ad_pool_fini(struct ad_pool *pool)
{
    for (size_t i = 0; i < AD_POOL_BUCKETS; i++) {
        AD_ASSERT(ad_list_empty(&pool->buckets[i]));
    }
    AD_ASSERT(pool->idle_count == 0 && pool->waiter_count == 0);
}

void ad_pool_mark(struct ad_origin *origin)
{
    if (ad_list_empty(&origin->dirty_node)) {
        ad_list_push_back(&origin->engine->pool.dirty, &origin->dirty_node);
        ad_engine_kick(origin->engine);
    }
}

void ad_pool_close(struct ad_engine *engine)
{
    for (size_t i = 0; i < AD_POOL_BUCKETS; i++) {
        AD_LIST_FOR_EACH (it, &engine->pool.buckets[i]) {
            struct ad_origin *origin = AD_CONTAINER_OF(it, struct ad_origin, chain);
            origin->calm_until_ns = 0;
            ad_pool_mark(origin);
        }
    }
}

/* ---- dials under way ---- */

/* Is one dial enough for all? Not where each connection carries one exchange. */
static bool is_single(const struct ad_origin *origin)
{
    enum ad_speech speech = ad_origin_speech(origin);
    return speech == AD_SPEECH_UNKNOWN ? origin->engine->settings->h2_probe
                                       : speech == AD_SPEECH_H2;
}

static enum aioduct_phase phase_of(const struct ad_conn *opening)
{
    if (opening->codec != NULL || opening->times.connected_ns != 0) {
        return AIODUCT_PHASE_TLS;
    }
    return opening->times.resolved_ns != 0 ? AIODUCT_PHASE_CONNECT : AIODUCT_PHASE_RESOLVE;
}

enum aioduct_phase ad_pool_phase(const struct ad_origin *origin)
{
    return ad_list_empty(&origin->opening) ? AIODUCT_PHASE_QUEUE
                                           : phase_of(ad_pool_conn_of(origin->opening.prev));
}

/* The one to do without: the least advanced, and among equals the one that has taken longer. It may
 * be stuck, which costs those who stay a whole deadline; if it is not, the other one's later start
 * is all that is lost. */
static struct ad_conn *worst_dial(const struct ad_origin *origin)
{
    struct ad_conn *worst = NULL;
    for (struct ad_list *it = origin->opening.prev; it != &origin->opening; it = it->prev) {
        struct ad_conn *conn = ad_pool_conn_of(it);
        if (worst == NULL || phase_of(conn) < phase_of(worst)) {
            worst = conn;
        }
    }
    return worst;
}

/* Is there a dial that nobody counts on? */
static bool has_surplus_dial(const struct ad_origin *origin)
{
    if (origin->opening_count == 0 || !ad_list_empty(&origin->queued)) {
        return false;
    }
    return is_single(origin) ? origin->covered_count == 0
                             : origin->covered_count < origin->opening_count;
}

static void opening_remove(struct ad_conn *conn)
{
    ad_list_remove(&conn->place_node);
    conn->origin->opening_count--;
    ad_stats_sub(&conn->engine->stats, AD_STAT_OPENING, 1);
    ad_deadline_clear(&conn->deadline);
}

/* ---- waiters ---- */

static void waiter_remove(struct aioduct_exchange *ex)
{
    struct ad_origin *origin = ex->origin;
    struct ad_engine *engine = ex->engine;
    ad_list_remove(&ex->wait_node);
    if (ex->covered) {
        origin->covered_count--;
    } else {
        origin->queued_count--;
    }
    ex->covered = false;
    ex->origin = NULL;
    engine->pool.waiter_count--;
    ad_stats_sub(&engine->stats, AD_STAT_WAITERS, 1);
    atomic_fetch_sub_explicit(engine->waiting, 1, memory_order_relaxed);
}

/* From now on a dial is counted on: its deadline is the connect deadline, which starts once. */
static void cover(struct aioduct_exchange *ex)
{
    struct ad_origin *origin = ex->origin;
    ad_list_remove(&ex->wait_node);
    ad_list_push_back(&origin->covered, &ex->wait_node);
    origin->queued_count--;
    origin->covered_count++;
    ex->covered = true;
    if (!ex->connect_started) {
        ex->connect_started = true;
        uint64_t ns = ad_exchange_timeout_ns(ex, AD_TIMEOUT_CONNECT);
        ad_exchange_arm(ex, &ex->read_deadline, ns);
        if (!ad_list_empty(&origin->opening)) {
            ad_conn_wait_longer(ad_pool_conn_of(origin->opening.next), ns);
        }
    }
}

static void uncover_last(struct ad_origin *origin)
{
    struct aioduct_exchange *ex = ad_pool_waiter_of(origin->covered.prev);
    ad_list_remove(&ex->wait_node);
    ad_list_push_front(&origin->queued, &ex->wait_node);
    origin->covered_count--;
    origin->queued_count++;
    ex->covered = false;
}

/* Those that counted on a dial, and now wait for a slot like the others, have the deadline of that.
 * They are in front. */
static void restart_acquire(struct ad_origin *origin)
{
    AD_LIST_FOR_EACH (it, &origin->queued) {
        struct aioduct_exchange *ex = ad_pool_waiter_of(it);
        if (!ex->connect_started && !ex->again) {
            break;
        }
        if (ex->connect_started) {
            ex->connect_started = false;
            ad_exchange_arm(ex, &ex->read_deadline, ad_exchange_timeout_ns(ex, AD_TIMEOUT_ACQUIRE));
        }
    }
}

/* The first waiter that may use @conn. */
static struct aioduct_exchange *first_waiter(struct ad_origin *origin, const struct ad_conn *conn)
{
    struct ad_list *queues[] = {&origin->covered, &origin->queued};
    for (size_t i = 0; i < 2; i++) {
        AD_LIST_FOR_EACH (it, queues[i]) {
            if (ad_pool_usable(conn, ad_pool_waiter_of(it))) {
                return ad_pool_waiter_of(it);
            }
        }
    }
    return NULL;
}

/* Onto @conn, which may be without exchanges. */
static void assign(struct aioduct_exchange *ex, struct ad_conn *conn)
{
    if (conn->state == AD_CONN_IDLE) {
        ad_pool_idle_remove(conn);
    }
    ad_conn_assign(conn, ex);
}

void ad_pool_serve(struct aioduct_exchange *ex, struct ad_conn *conn)
{
    waiter_remove(ex);
    ad_deadline_clear(&ex->read_deadline);
    assign(ex, conn);
}

/* How long it may wait for a slot. One that was passed has waited before; a resend waits anew. */
static uint64_t acquire_ns(const struct aioduct_exchange *ex)
{
    if (ex->acquire_by_ns == 0 || ex->again) {
        return ad_exchange_timeout_ns(ex, AD_TIMEOUT_ACQUIRE);
    }
    uint64_t now_ns = ad_loop_now_ns(ex->engine->loop);
    return ex->acquire_by_ns > now_ns ? ex->acquire_by_ns - now_ns : 1;
}

static bool is_earlier(const struct aioduct_exchange *a, const struct aioduct_exchange *b)
{
    return a->start_ns != b->start_ns ? a->start_ns < b->start_ns : a->number < b->number;
}

/* One that has waited its turn before goes before those that have not, and many of them in the
 * order in which they came to the client, whatever order they come back in. */
static void queue_again(struct aioduct_exchange *ex, struct ad_origin *origin)
{
    struct ad_list *it = origin->queued.next;
    while (it != &origin->queued && ad_pool_waiter_of(it)->again &&
           is_earlier(ad_pool_waiter_of(it), ex)) {
        it = it->next;
    }
    ad_list_push_back(it, &ex->wait_node); /* before it */
}

static void enqueue(struct aioduct_exchange *ex, struct ad_origin *origin)
{
    struct ad_engine *engine = ex->engine;
    ad_exchange_set_place(ex, AD_PLACE_WAITING);
    ex->origin = origin;
    engine->pool.waiter_count++;
    ad_stats_add(&engine->stats, AD_STAT_WAITERS, 1);
    ad_stats_add(&engine->stats, AD_STAT_MISSES, ex->passed ? 0 : 1);
    origin->queued_count++;
    if (ex->again) {
        queue_again(ex, origin);
    } else {
        ad_list_push_back(&origin->queued, &ex->wait_node);
    }
    ad_exchange_arm(ex, &ex->read_deadline, acquire_ns(ex));
    ad_pool_mark(origin);
}

/* Is there room in the client's queue? Counted in if so. What was accepted once is not refused when
 * it comes back, or moves to another loop. */
static bool join_queue(const struct aioduct_exchange *ex)
{
    struct ad_engine *engine = ex->engine;
    unsigned before = atomic_fetch_add_explicit(engine->waiting, 1, memory_order_relaxed);
    if (before < engine->settings->waiters_max || ex->again || ex->passed) {
        return true;
    }
    atomic_fetch_sub_explicit(engine->waiting, 1, memory_order_relaxed);
    return false;
}

/* One that is open and takes @ex now. */
static struct ad_conn *find_open(struct ad_origin *origin, const struct aioduct_exchange *ex)
{
    struct ad_conn *conn = ex->fresh_only ? NULL : ad_pool_idle_find(origin);
    if (conn == NULL && origin->covered_count + origin->queued_count == 0) {
        conn = ad_pool_shared_find(origin, ex); /* else those who wait are served first */
    }
    return conn;
}

void ad_pool_acquire(struct aioduct_exchange *ex)
{
    struct ad_engine *engine = ex->engine;
    struct ad_origin_key key = ad_origin_key(ex);
    struct ad_origin *origin = ad_origin_find(&engine->pool, &key);
    struct ad_conn *conn = origin != NULL ? find_open(origin, ex) : NULL;
    if (conn != NULL) {
        ad_stats_add(&engine->stats, AD_STAT_HITS, 1);
        assign(ex, conn);
        return;
    }
    if (!join_queue(ex)) {
        ad_exchange_failf(ex, AIODUCT_E_LIMIT, AIODUCT_PHASE_QUEUE,
                          "waiters_max: %u requests are queued already",
                          engine->settings->waiters_max);
        return;
    }
    if (origin == NULL) {
        origin = ad_origin_create(engine, &key);
        if (origin == NULL) {
            atomic_fetch_sub_explicit(engine->waiting, 1, memory_order_relaxed);
            ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_QUEUE, "out of memory");
            return;
        }
    }
    enqueue(ex, origin);
}

void ad_pool_leave(struct aioduct_exchange *ex)
{
    struct ad_origin *origin = ex->origin;
    if (origin == NULL) {
        return;
    }
    waiter_remove(ex);
    if (has_surplus_dial(origin)) {
        ad_pool_evict(worst_dial(origin), AIODUCT_CLOSE_NOT_NEEDED, false);
    }
    ad_pool_mark(origin);
}

/* ---- told by connections ---- */

void ad_pool_opened(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    opening_remove(conn);
    ad_stats_add(&conn->engine->stats, AD_STAT_OPEN, 1);
    ad_origin_learn(origin, conn->codec->shared);
    if (conn->codec->shared) {
        ad_pool_shared_opened(conn);
        return;
    }
    conn->state = AD_CONN_BUSY;
    struct aioduct_exchange *ex = first_waiter(origin, conn);
    if (ex != NULL) {
        ad_pool_serve(ex, conn);
    } else {
        ad_pool_idle_put(conn);
    }
    ad_pool_mark(origin);
}

void ad_pool_open_failed(struct ad_conn *conn, const struct aioduct_error *error)
{
    struct ad_origin *origin = conn->origin;
    bool all = is_single(origin) && origin->opening_count == 1;
    unsigned count = all                                              ? origin->covered_count
                     : origin->covered_count == origin->opening_count ? 1
                                                                      : 0;
    ad_stats_add(&conn->engine->stats, AD_STAT_DIAL_FAILURES, 1);
    ad_conn_close(conn, false);
    while (count-- > 0 && !ad_list_empty(&origin->covered)) {
        struct aioduct_exchange *ex = ad_pool_waiter_of(origin->covered.next);
        waiter_remove(ex);
        ad_exchange_fail(ex, error);
    }
}

void ad_pool_release(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    AD_ASSERT(conn->state == AD_CONN_BUSY);
    if (ad_conn_too_old(conn)) {
        ad_pool_evict(conn, AIODUCT_CLOSE_AGE, true);
        return;
    }
    struct aioduct_exchange *ex = first_waiter(origin, conn);
    if (ex == NULL) {
        ad_pool_idle_put(conn);
    } else {
        ad_pool_serve(ex, conn);
    }
    /* A served waiter's dial is free for the next; a resend may want this slot for a new one. */
    if (ex != NULL || origin->queued_count > 0) {
        ad_pool_mark(origin);
    }
}

void ad_pool_forget(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    struct ad_stats *stats = &conn->engine->stats;
    if (conn->state == AD_CONN_OPENING) {
        opening_remove(conn);
    } else {
        ad_stats_sub(stats, AD_STAT_OPEN, 1);
        if (conn->state == AD_CONN_IDLE) {
            ad_pool_idle_remove(conn);
        }
        if (conn->codec->shared) {
            ad_list_remove(&conn->place_node);
            ad_stats_sub(stats, AD_STAT_STREAMS, conn->share->streams_counted);
            conn->share->streams_counted = 0;
        }
    }
    origin->conn_count--;
    conn->origin = NULL;
    ad_pool_mark(origin);
}

/* ---- the end of the turn ---- */

static bool dial(struct ad_origin *origin)
{
    int code = ad_conn_open(origin->engine, origin);
    if (code == 0) {
        return true;
    }
    struct aioduct_exchange *ex = ad_pool_waiter_of(origin->queued.next);
    waiter_remove(ex);
    ad_exchange_failf(ex, code, AIODUCT_PHASE_CONNECT, "cannot start to connect to %s:%u: %s",
                      origin->dial_host, origin->dial_port, aioduct_error_text(code));
    return false;
}

/* Waiters whose dial is gone go back to the front of the queue, in their order. */
static void settle_covered(struct ad_origin *origin, bool single)
{
    while (single ? origin->opening_count == 0 && origin->covered_count > 0
                  : origin->covered_count > origin->opening_count) {
        uncover_last(origin);
    }
}

static bool may_cover(const struct ad_origin *origin, bool single)
{
    return single ? origin->opening_count > 0 : origin->covered_count < origin->opening_count;
}

static bool may_dial(const struct ad_origin *origin, bool single)
{
    const struct ad_pool_limits *limits = &origin->engine->pool.limits;
    return origin->conn_count < limits->connections_per_origin_max &&
           (!single || ad_pool_shared_count(origin) < limits->h2_connections_per_origin_max);
}

/* A resend wants a new connection: one of the others ends for it. false: none can. */
static bool make_place(struct ad_origin *origin, bool single)
{
    if (origin->idle_count > 0) {
        ad_pool_evict(ad_pool_conn_of(origin->idle.prev), AIODUCT_CLOSE_LIMIT, true);
        return true;
    }
    return single && origin->conn_count < origin->engine->pool.limits.connections_per_origin_max &&
           ad_pool_shared_retire(origin);
}

/* A connection that another loop does not use is better than a new one, or none. One that has
 * counted on a dial, or was sent before, stays: its deadline runs, and it may want a new
 * connection. */
static bool pass_on(struct aioduct_exchange *ex)
{
    return !ex->connect_started && !ex->again && ad_pass_on(ex->engine, ex);
}

static void cover_or_dial(struct ad_origin *origin)
{
    bool single = is_single(origin);
    settle_covered(origin, single);
    while (!ad_list_empty(&origin->queued) && !ad_pool_is_calm(origin)) {
        struct aioduct_exchange *ex = ad_pool_waiter_of(origin->queued.next);
        if (may_cover(origin, single)) {
            cover(ex);
        } else if (may_dial(origin, single)) {
            if (!pass_on(ex) && dial(origin)) {
                cover(ex);
            } /* else it is gone */
        } else if (!pass_on(ex) && (!ex->fresh_only || !make_place(origin, single))) {
            break;
        }
    }
    restart_acquire(origin);
}

void ad_pool_say_room(struct ad_origin *origin)
{
    if (origin->engine->loop_count < 2) {
        return; /* to nobody */
    }
    unsigned room = origin->idle_count + ad_pool_shared_room(origin);
    ad_pass_room(&origin->engine->pass, origin->key.hash, origin->room_said, room);
    origin->room_said = room;
}

static void balance(struct ad_origin *origin)
{
    ad_pool_calm_step(origin);
    ad_pool_shared_balance(origin);
    cover_or_dial(origin);
    ad_pool_say_room(origin);
    if (origin->conn_count == 0 && origin->covered_count == 0 && origin->queued_count == 0 &&
        origin->calm_until_ns == 0) {
        ad_origin_free(origin);
    }
}

void ad_pool_balance(struct ad_engine *engine)
{
    struct ad_list *node;
    while ((node = ad_list_pop_front(&engine->pool.dirty)) != NULL) {
        balance(AD_CONTAINER_OF(node, struct ad_origin, dirty_node));
    }
}
