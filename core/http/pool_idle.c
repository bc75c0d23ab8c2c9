/* SPDX-License-Identifier: MIT */
/* Connections without exchanges: how long they stay, and how many. Their armed recv tells when the
 * server closes one, so none is asked whether it lives. */
#include "http/engine.h"
#include "http/pool_private.h"

void ad_pool_evict(struct ad_conn *conn, enum aioduct_close_reason why, bool orderly)
{
    ad_conn_blame(conn, why);
    ad_conn_close(conn, orderly);
}

void ad_pool_idle_remove(struct ad_conn *conn)
{
    struct ad_engine *engine = conn->engine;
    if (!conn->codec->shared) {
        ad_list_remove(&conn->place_node);
        conn->origin->idle_count--;
        ad_pool_say_room(conn->origin);
    }
    ad_list_remove(&conn->node);
    ad_list_push_back(&engine->conns, &conn->node);
    engine->pool.idle_count--;
    ad_stats_sub(&engine->stats, AD_STAT_IDLE, 1);
    ad_deadline_clear(&conn->deadline);
}

struct ad_conn *ad_pool_idle_find(struct ad_origin *origin)
{
    while (!ad_list_empty(&origin->idle)) {
        struct ad_conn *conn = ad_pool_conn_of(origin->idle.next);
        if (!ad_conn_too_old(conn)) {
            return conn;
        }
        ad_pool_evict(conn, AIODUCT_CLOSE_AGE, true);
    }
    return NULL;
}

/* 0: closed at once; UINT64_MAX: no limit. */
static uint64_t limit_ns(const struct ad_conn *conn, uint64_t now_ns)
{
    const struct ad_settings *settings = conn->engine->settings;
    uint64_t ns = settings->idle_ns == 0 ? UINT64_MAX : settings->idle_ns;
    uint64_t hint_ns = conn->deadline.own * UINT64_C(1000000000);
    if (hint_ns != 0 && hint_ns < ns) {
        ns = hint_ns;
    }
    if (settings->age_ns != 0) {
        uint64_t age = now_ns - conn->opened_ns;
        uint64_t left = age < settings->age_ns ? settings->age_ns - age : 0;
        ns = left < ns ? left : ns;
    }
    return ns;
}

static bool arm(struct ad_conn *conn, uint64_t now_ns, uint64_t ns)
{
    return ns == UINT64_MAX ||
           ad_deadline_set(conn->engine->loop, &conn->deadline, now_ns + ns) == 0;
}

void ad_pool_idle_put(struct ad_conn *conn)
{
    struct ad_engine *engine = conn->engine;
    struct ad_origin *origin = conn->origin;
    const struct ad_pool_limits *limits = &engine->pool.limits;
    uint64_t now_ns = ad_loop_now_ns(engine->loop);
    uint64_t ns = limit_ns(conn, now_ns);
    if (engine->closing || engine->drain != AD_DRAIN_NO || ns == 0 ||
        limits->idle_per_origin_max == 0 || !arm(conn, now_ns, ns)) {
        ad_pool_evict(
            conn, engine->drain != AD_DRAIN_NO ? AIODUCT_CLOSE_CLIENT : AIODUCT_CLOSE_IDLE, true);
        return;
    }
    conn->state = AD_CONN_IDLE;
    conn->was_idle = true;
    ad_list_remove(&conn->node);
    ad_list_push_front(&engine->pool.lru, &conn->node);
    engine->pool.idle_count++;
    ad_stats_add(&engine->stats, AD_STAT_IDLE, 1);
    if (conn->codec->shared) {
        conn->share->idle_bytes = 0;
    } else {
        ad_list_push_front(&origin->idle, &conn->place_node);
        origin->idle_count++;
        ad_pool_say_room(origin);
    }
    if (origin->idle_count > limits->idle_per_origin_max) {
        ad_pool_evict(ad_pool_conn_of(origin->idle.prev), AIODUCT_CLOSE_LIMIT, true);
    } else if (engine->pool.idle_count > limits->idle_total_max) {
        ad_pool_evict(AD_CONTAINER_OF(engine->pool.lru.prev, struct ad_conn, node),
                      AIODUCT_CLOSE_LIMIT, true);
    }
}

void ad_pool_close_idle(struct ad_engine *engine)
{
    while (!ad_list_empty(&engine->pool.lru)) {
        ad_pool_evict(AD_CONTAINER_OF(engine->pool.lru.prev, struct ad_conn, node),
                      AIODUCT_CLOSE_CLIENT, true);
    }
}
