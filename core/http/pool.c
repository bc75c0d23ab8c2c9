/* SPDX-License-Identifier: MIT */
#include "http/pool.h"

#include "base/assert.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"

#include <errno.h>
#include <string.h>

static struct aioduct_exchange *waiter_of(struct ad_list *node)
{
    return AD_CONTAINER_OF(node, struct aioduct_exchange, wait_node);
}

static struct ad_conn *conn_of(struct ad_list *place_node)
{
    return AD_CONTAINER_OF(place_node, struct ad_conn, place_node);
}

/* ---- origins ---- */

void ad_pool_init(struct ad_pool *pool)
{
    for (size_t i = 0; i < AD_POOL_BUCKETS; i++) {
        ad_list_init(&pool->buckets[i]);
    }
    ad_list_init(&pool->lru);
    ad_list_init(&pool->dirty);
}

void ad_pool_fini(struct ad_pool *pool)
{
    for (size_t i = 0; i < AD_POOL_BUCKETS; i++) {
        AD_ASSERT(ad_list_empty(&pool->buckets[i]));
    }
    AD_ASSERT(pool->idle_count == 0 && pool->waiter_count == 0);
}

static struct ad_origin *find(struct ad_pool *pool, const struct aioduct_request *request)
{
    const struct ad_url *url = &request->url;
    AD_LIST_FOR_EACH (it, &pool->buckets[request->origin_hash % AD_POOL_BUCKETS]) {
        struct ad_origin *origin = AD_CONTAINER_OF(it, struct ad_origin, chain);
        if (origin->hash == request->origin_hash && origin->port == url->port &&
            origin->tls == url->tls && strcmp(origin->host, url->host) == 0) {
            return origin;
        }
    }
    return NULL;
}

static struct ad_origin *create(struct ad_engine *engine, const struct aioduct_request *request)
{
    size_t host_bytes = strlen(request->url.host) + 1;
    struct ad_origin *origin = ad_zalloc(sizeof *origin + host_bytes);
    if (origin == NULL) {
        return NULL;
    }
    origin->hash = request->origin_hash;
    origin->host = (char *)(origin + 1);
    memcpy(origin->host, request->url.host, host_bytes);
    origin->port = request->url.port;
    origin->tls = request->url.tls;
    struct ad_route route = ad_routes_find(&engine->settings->routes, origin->host, origin->port);
    origin->dial_host = route.host;
    origin->dial_port = route.port;
    origin->dial_addrs = route.addrs;
    origin->dial_addr_count = (unsigned)route.addr_count;
    ad_list_init(&origin->covered);
    ad_list_init(&origin->queued);
    ad_list_init(&origin->opening);
    ad_list_init(&origin->idle);
    ad_list_init(&origin->shared);
    ad_list_init(&origin->dirty_node);
    ad_list_push_front(&engine->pool.buckets[origin->hash % AD_POOL_BUCKETS], &origin->chain);
    return origin;
}

static void mark(struct ad_engine *engine, struct ad_origin *origin)
{
    if (ad_list_empty(&origin->dirty_node)) {
        ad_list_push_back(&engine->pool.dirty, &origin->dirty_node);
        ad_engine_kick(engine);
    }
}

enum aioduct_phase ad_pool_phase(const struct ad_origin *origin)
{
    if (ad_list_empty(&origin->opening)) {
        return AIODUCT_PHASE_QUEUE;
    }
    const struct ad_conn *oldest = conn_of(origin->opening.prev);
    const struct ad_transport_times *times = ad_transport_times(oldest->transport);
    if (times->connected_ns != 0) {
        return AIODUCT_PHASE_TLS;
    }
    return times->resolved_ns != 0 ? AIODUCT_PHASE_CONNECT : AIODUCT_PHASE_RESOLVE;
}

/* Tell other loops what could be taken here without a dial. */
static void say_room(struct ad_engine *engine, struct ad_origin *origin)
{
    unsigned room = origin->idle_count;
    AD_LIST_FOR_EACH (it, &origin->shared) {
        const struct ad_conn *conn = conn_of(it);
        room += conn->codec->room(conn);
    }
    ad_pass_room(&engine->pass, origin->hash, origin->room_said, room);
    origin->room_said = room;
}

/* ---- idle connections ---- */

/* No longer without exchanges. A shared one keeps its place in its origin's list. */
static void idle_remove(struct ad_pool *pool, struct ad_conn *conn)
{
    if (!conn->codec->shared) {
        ad_list_remove(&conn->place_node);
        conn->origin->idle_count--;
        say_room(conn->engine, conn->origin);
    }
    ad_list_remove(&conn->lru_node);
    pool->idle_count--;
    ad_deadline_clear(&conn->deadline);
}

static struct ad_conn *idle_take(struct ad_engine *engine, struct ad_origin *origin)
{
    while (!ad_list_empty(&origin->idle)) {
        struct ad_conn *conn = conn_of(origin->idle.next);
        if (!ad_conn_too_old(conn)) {
            idle_remove(&engine->pool, conn);
            return conn;
        }
        ad_conn_blame(conn, AIODUCT_CLOSE_AGE);
        ad_conn_close(conn, true);
    }
    return NULL;
}

/* 0: closed at once. */
static uint64_t idle_limit_ns(const struct ad_conn *conn)
{
    const struct ad_settings *settings = conn->engine->settings;
    uint64_t ns = settings->idle_ns == 0 ? UINT64_MAX : settings->idle_ns;
    if (conn->idle_hint_ns != 0 && conn->idle_hint_ns < ns) {
        ns = conn->idle_hint_ns;
    }
    if (settings->age_ns != 0) {
        uint64_t age = ad_loop_now_ns(conn->engine->loop) - conn->opened_ns;
        uint64_t left = age < settings->age_ns ? settings->age_ns - age : 0;
        ns = left < ns ? left : ns;
    }
    return ns;
}

static void idle_put(struct ad_conn *conn)
{
    struct ad_engine *engine = conn->engine;
    struct ad_origin *origin = conn->origin;
    uint64_t limit_ns = idle_limit_ns(conn);
    if (engine->closing || limit_ns == 0 ||
        (limit_ns != UINT64_MAX && ad_deadline_set(engine->loop, &conn->deadline,
                                                   ad_loop_now_ns(engine->loop) + limit_ns) < 0)) {
        ad_conn_blame(conn, AIODUCT_CLOSE_IDLE);
        ad_conn_close(conn, true);
        return;
    }
    conn->state = AD_CONN_IDLE;
    ad_list_push_front(&engine->pool.lru, &conn->lru_node);
    engine->pool.idle_count++;
    if (!conn->codec->shared) {
        ad_list_push_front(&origin->idle, &conn->place_node);
        origin->idle_count++;
        say_room(engine, origin);
    }
    struct ad_conn *surplus = NULL;
    if (origin->idle_count > engine->settings->idle_per_origin_max) {
        surplus = conn_of(origin->idle.prev);
    } else if (engine->pool.idle_count > engine->settings->idle_total_max) {
        surplus = AD_CONTAINER_OF(engine->pool.lru.prev, struct ad_conn, lru_node);
    }
    if (surplus != NULL) {
        ad_conn_blame(surplus, AIODUCT_CLOSE_LIMIT);
        ad_conn_close(surplus, true);
    }
}

/* ---- waiters ---- */

static void waiter_remove(struct aioduct_exchange *ex)
{
    struct ad_origin *origin = ex->origin;
    ad_list_remove(&ex->wait_node);
    if (ex->covered) {
        origin->covered_count--;
    } else {
        origin->queued_count--;
    }
    ex->covered = false;
    ex->origin = NULL;
    ex->engine->pool.waiter_count--;
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
        ad_exchange_arm(ex, &ex->read_deadline, ex->engine->settings->connect_ns);
    }
}

static void uncover_last(struct ad_origin *origin)
{
    struct aioduct_exchange *ex = waiter_of(origin->covered.prev);
    ad_list_remove(&ex->wait_node);
    ad_list_push_front(&origin->queued, &ex->wait_node);
    origin->covered_count--;
    origin->queued_count++;
    ex->covered = false;
}

/* The first waiter that may use a connection which has served, or has not, before. */
static struct aioduct_exchange *first_waiter(struct ad_origin *origin, bool served)
{
    struct ad_list *queues[] = {&origin->covered, &origin->queued};
    for (size_t i = 0; i < 2; i++) {
        AD_LIST_FOR_EACH (it, queues[i]) {
            if (!served || !waiter_of(it)->fresh_only) {
                return waiter_of(it);
            }
        }
    }
    return NULL;
}

static void serve(struct aioduct_exchange *ex, struct ad_conn *conn)
{
    waiter_remove(ex);
    ad_deadline_clear(&ex->read_deadline);
    ad_conn_assign(conn, ex);
}

/* ---- shared connections ---- */

/* The one with the fewest exchanges that has room. */
static struct ad_conn *shared_find(struct ad_origin *origin)
{
    struct ad_conn *best = NULL;
    AD_LIST_FOR_EACH (it, &origin->shared) {
        struct ad_conn *conn = conn_of(it);
        if ((best == NULL || conn->exchange_count < best->exchange_count) && !conn->retired &&
            !ad_conn_too_old(conn) && conn->codec->room(conn) > 0) {
            best = conn;
        }
    }
    return best;
}

static void shared_assign(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    if (conn->state == AD_CONN_IDLE) {
        idle_remove(&conn->engine->pool, conn);
    }
    ad_conn_assign(conn, ex);
}

/* Note idleness, close what is drained, serve waiters. */
static void shared_balance(struct ad_origin *origin)
{
    struct ad_conn *conn;
    struct aioduct_exchange *ex;
    while ((ex = first_waiter(origin, false)) != NULL && (conn = shared_find(origin)) != NULL) {
        waiter_remove(ex);
        ad_deadline_clear(&ex->read_deadline);
        shared_assign(conn, ex);
    }
    AD_LIST_FOR_EACH (it, &origin->shared) {
        conn = conn_of(it);
        if (conn->exchange_count > 0) {
            continue;
        }
        if (ad_conn_too_old(conn) || conn->retired) {
            ad_conn_blame(conn, conn->retired ? AIODUCT_CLOSE_GOAWAY : AIODUCT_CLOSE_AGE);
            ad_conn_close(conn, true);
        } else if (conn->state == AD_CONN_BUSY) {
            idle_put(conn);
        }
    }
}

static void enqueue(struct aioduct_exchange *ex, struct ad_origin *origin)
{
    struct ad_engine *engine = ex->engine;
    ad_exchange_set_place(ex, AD_PLACE_WAITING);
    ex->origin = origin;
    engine->pool.waiter_count++;
    origin->queued_count++;
    if (ex->again) {
        ad_list_push_front(&origin->queued, &ex->wait_node); /* it has waited its turn before */
    } else {
        ad_list_push_back(&origin->queued, &ex->wait_node);
    }
    /* With a slot free a dial starts at the end of this turn, and its deadline with it. */
    if (origin->conn_count + origin->queued_count > engine->settings->connections_per_origin_max) {
        ad_exchange_arm(ex, &ex->read_deadline, engine->settings->acquire_ns);
    }
    mark(engine, origin);
}

void ad_pool_acquire(struct aioduct_exchange *ex)
{
    struct ad_engine *engine = ex->engine;
    struct ad_origin *origin = find(&engine->pool, ex->request);
    if (origin != NULL && !ex->fresh_only) {
        struct ad_conn *conn = idle_take(engine, origin);
        if (conn != NULL) {
            ad_conn_assign(conn, ex);
            return;
        }
        conn = first_waiter(origin, false) == NULL ? shared_find(origin) : NULL;
        if (conn != NULL) {
            shared_assign(conn, ex);
            return;
        }
    }
    if (engine->pool.waiter_count >= engine->settings->waiters_max) {
        ad_exchange_failf(ex, AIODUCT_E_LIMIT, AIODUCT_PHASE_QUEUE,
                          "waiters_max: %u requests are queued already", engine->pool.waiter_count);
        return;
    }
    if (origin == NULL) {
        origin = create(engine, ex->request);
        if (origin == NULL) {
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
    /* A dial that nobody counts on any more is dropped, the youngest first. */
    if (origin->covered_count < origin->opening_count && ad_list_empty(&origin->queued)) {
        ad_conn_blame(conn_of(origin->opening.next), AIODUCT_CLOSE_NOT_NEEDED);
        ad_conn_close(conn_of(origin->opening.next), false);
    }
    mark(ex->engine, origin);
}

/* ---- told by connections ---- */

static void opening_remove(struct ad_conn *conn)
{
    ad_list_remove(&conn->place_node);
    conn->origin->opening_count--;
    ad_deadline_clear(&conn->deadline);
}

void ad_pool_opened(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    opening_remove(conn);
    conn->state = AD_CONN_BUSY;
    if (conn->codec->shared) {
        ad_list_push_back(&origin->shared, &conn->place_node);
        mark(conn->engine, origin);
        return;
    }
    struct aioduct_exchange *ex = first_waiter(origin, false);
    if (ex != NULL) {
        serve(ex, conn);
    } else {
        idle_put(conn);
    }
    mark(conn->engine, origin);
}

void ad_pool_open_failed(struct ad_conn *conn, const struct aioduct_error *error)
{
    struct ad_origin *origin = conn->origin;
    struct aioduct_exchange *ex = NULL;
    if (origin->covered_count == origin->opening_count && origin->covered_count > 0) {
        ex = waiter_of(origin->covered.next);
    }
    ad_conn_close(conn, false);
    if (ex != NULL) {
        waiter_remove(ex);
        ad_exchange_fail(ex, error);
    }
}

void ad_pool_release(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    AD_ASSERT(conn->state == AD_CONN_BUSY);
    if (ad_conn_too_old(conn)) {
        ad_conn_blame(conn, AIODUCT_CLOSE_AGE);
        ad_conn_close(conn, true);
        return;
    }
    struct aioduct_exchange *ex = first_waiter(origin, true);
    if (ex == NULL) {
        idle_put(conn);
    } else {
        serve(ex, conn);
    }
    /* A served waiter's dial is free for the next; a resend may want this slot for a new one. */
    if (ex != NULL || origin->queued_count > 0) {
        mark(conn->engine, origin);
    }
}

void ad_pool_room_changed(struct ad_conn *conn)
{
    mark(conn->engine, conn->origin);
}

void ad_pool_forget(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    if (conn->state == AD_CONN_OPENING) {
        opening_remove(conn);
    } else if (conn->state == AD_CONN_IDLE) {
        idle_remove(&conn->engine->pool, conn);
    }
    if (conn->codec != NULL && conn->codec->shared) {
        ad_list_remove(&conn->place_node);
    }
    origin->conn_count--;
    conn->origin = NULL;
    mark(conn->engine, origin);
}

/* ---- the end of the turn ---- */

static bool dial(struct ad_engine *engine, struct ad_origin *origin)
{
    int code = ad_conn_open(engine, origin);
    if (code == 0) {
        return true;
    }
    struct aioduct_exchange *ex = waiter_of(origin->queued.next);
    waiter_remove(ex);
    ad_exchange_failf(ex, code, AIODUCT_PHASE_CONNECT, "cannot start to connect to %s:%u: %s",
                      origin->dial_host, origin->dial_port, aioduct_error_text(code));
    return false;
}

/* A connection that another loop does not use is better than a new one. One that has waited, or was
 * sent before, stays: its deadline runs, and it may want a new connection. */
static bool pass_on(struct ad_engine *engine, struct aioduct_exchange *ex)
{
    return ex->read_deadline.at_ns == 0 && !ex->again && ad_pass_on(engine, ex);
}

static void balance(struct ad_engine *engine, struct ad_origin *origin)
{
    unsigned max = engine->settings->connections_per_origin_max;
    shared_balance(origin);
    while (origin->covered_count > origin->opening_count) {
        uncover_last(origin);
    }
    while (!ad_list_empty(&origin->queued)) {
        struct aioduct_exchange *ex = waiter_of(origin->queued.next);
        if (origin->covered_count < origin->opening_count) {
            cover(ex);
        } else if (origin->conn_count < max) {
            if (!pass_on(engine, ex) && dial(engine, origin)) {
                cover(ex);
            }
        } else if (ex->fresh_only && origin->idle_count > 0) {
            ad_conn_blame(conn_of(origin->idle.prev), AIODUCT_CLOSE_LIMIT);
            ad_conn_close(conn_of(origin->idle.prev), true);
        } else {
            break;
        }
    }
    say_room(engine, origin);
    if (origin->conn_count == 0 && origin->covered_count == 0 && origin->queued_count == 0) {
        ad_list_remove(&origin->dirty_node);
        ad_list_remove(&origin->chain);
        ad_free(origin);
    }
}

void ad_pool_balance(struct ad_engine *engine)
{
    struct ad_list *node;
    while ((node = ad_list_pop_front(&engine->pool.dirty)) != NULL) {
        balance(engine, AD_CONTAINER_OF(node, struct ad_origin, dirty_node));
    }
}
