/* SPDX-License-Identifier: MIT */
/*
 * Connections that carry many exchanges. A codec calls from the middle of its work, so what it says
 * is only noted, and acted on when the origin is balanced.
 */
#include "base/log.h"
#include "http/engine.h"
#include "http/pool_private.h"

#define CALM_FIRST_NS 1000000000u
#define CALM_MOST_NS 60000000000u

bool ad_pool_is_calm(const struct ad_origin *origin)
{
    return origin->calm_until_ns != 0 &&
           ad_loop_now_ns(origin->engine->loop) < origin->calm_until_ns;
}

/* Will it take exchanges, now or when some have ended? */
static bool is_taking(const struct ad_conn *conn)
{
    return !conn->retired && !ad_conn_too_old(conn);
}

/* Before the peer has said how much it takes, no more than it took last time: what is too much is
 * refused, and that may happen only so often. */
static unsigned room_of(const struct ad_conn *conn)
{
    unsigned room = is_taking(conn) ? conn->codec->room(conn) : 0;
    unsigned max = conn->origin->streams_max;
    if (conn->share->streams_max != 0 || max == 0) {
        return room;
    }
    unsigned left = max > conn->exchange_count ? max - conn->exchange_count : 0;
    return room < left ? room : left;
}

void ad_pool_shared_opened(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    conn->state = AD_CONN_BUSY;
    ad_list_push_back(&origin->shared, &conn->place_node);
    ad_pool_mark(origin);
}

struct ad_conn *ad_pool_shared_find(const struct ad_origin *origin,
                                    const struct aioduct_exchange *ex)
{
    struct ad_conn *best = NULL;
    if (ad_pool_is_calm(origin)) {
        return NULL;
    }
    for (struct ad_list *it = origin->shared.next; it != &origin->shared; it = it->next) {
        struct ad_conn *conn = ad_pool_conn_of(it);
        if ((best == NULL || conn->exchange_count < best->exchange_count) &&
            ad_pool_usable(conn, ex) && room_of(conn) > 0) {
            best = conn;
        }
    }
    return best;
}

unsigned ad_pool_shared_count(const struct ad_origin *origin)
{
    unsigned count = 0;
    for (struct ad_list *it = origin->shared.next; it != &origin->shared; it = it->next) {
        count += is_taking(ad_pool_conn_of(it));
    }
    return count;
}

unsigned ad_pool_shared_room(const struct ad_origin *origin)
{
    unsigned room = 0;
    for (struct ad_list *it = origin->shared.next; it != &origin->shared; it = it->next) {
        room += room_of(ad_pool_conn_of(it));
    }
    return ad_pool_is_calm(origin) ? 0 : room;
}

static void serve_waiters(struct ad_origin *origin)
{
    struct ad_list *queues[] = {&origin->covered, &origin->queued};
    for (size_t i = 0; i < 2; i++) {
        AD_LIST_FOR_EACH (it, queues[i]) {
            struct aioduct_exchange *ex = ad_pool_waiter_of(it);
            struct ad_conn *conn = ad_pool_shared_find(origin, ex);
            if (conn != NULL) {
                ad_pool_serve(ex, conn);
            } else if (ad_pool_shared_room(origin) == 0) {
                return;
            }
        }
    }
}

/* One that is without exchanges and was not known to be. Closing one may close another, so the list
 * is begun anew. false: nothing changed. */
static bool note_one_empty(struct ad_origin *origin)
{
    for (struct ad_list *it = origin->shared.next; it != &origin->shared; it = it->next) {
        struct ad_conn *conn = ad_pool_conn_of(it);
        if (conn->exchange_count > 0) {
            continue;
        }
        if (ad_conn_too_old(conn)) {
            ad_pool_evict(conn, AIODUCT_CLOSE_AGE, true);
            return true;
        }
        if (conn->retired) {
            ad_pool_evict(conn, AIODUCT_CLOSE_GOAWAY, true); /* the last exchange is over */
            return true;
        }
        if (conn->state == AD_CONN_BUSY) {
            ad_pool_idle_put(conn);
            return true;
        }
    }
    return false;
}

void ad_pool_shared_balance(struct ad_origin *origin)
{
    if (ad_list_empty(&origin->shared)) {
        return;
    }
    serve_waiters(origin);
    while (note_one_empty(origin)) {
    }
}

bool ad_pool_shared_retire(struct ad_origin *origin)
{
    for (struct ad_list *it = origin->shared.next; it != &origin->shared; it = it->next) {
        struct ad_conn *conn = ad_pool_conn_of(it); /* the list is in order of opening */
        if (is_taking(conn)) {
            conn->retired = true;
            ad_pool_mark(origin); /* perhaps it is without exchanges */
            return true;
        }
    }
    return false;
}

void ad_pool_room_changed(struct ad_conn *conn)
{
    struct ad_stats *stats = &conn->engine->stats;
    ad_stats_add(stats, AD_STAT_STREAMS, conn->exchange_count);
    ad_stats_sub(stats, AD_STAT_STREAMS, conn->share->streams_counted);
    conn->share->streams_counted = conn->exchange_count;
    if (conn->share->streams_max != 0) {
        conn->origin->streams_max = conn->share->streams_max;
    }
    ad_pool_mark(conn->origin);
}

/* ---- ENHANCE_YOUR_CALM ---- */

static void set_deadline(struct ad_origin *origin, uint64_t at_ns)
{
    /* Out of memory: the origin is looked at when something else happens to it. */
    (void)ad_deadline_set(origin->engine->loop, &origin->calm_deadline, at_ns);
}

void ad_pool_calm(struct ad_conn *conn)
{
    struct ad_origin *origin = conn->origin;
    if (ad_pool_is_calm(origin)) {
        return; /* many streams are reset at once */
    }
    uint64_t twice = 2 * origin->calm_ns;
    origin->calm_ns = twice == 0 ? CALM_FIRST_NS : twice < CALM_MOST_NS ? twice : CALM_MOST_NS;
    origin->calm_until_ns = ad_loop_now_ns(origin->engine->loop) + origin->calm_ns;
    set_deadline(origin, origin->calm_until_ns);
    ad_logf(AD_LOG_INFO, "%s:%u asks for calm: no new streams for %llu s", origin->dial_host,
            origin->dial_port, (unsigned long long)(origin->calm_ns / 1000000000u));
}

void ad_pool_calm_step(struct ad_origin *origin)
{
    uint64_t now_ns = ad_loop_now_ns(origin->engine->loop);
    if (origin->calm_until_ns == 0 || now_ns < origin->calm_until_ns) {
        return;
    }
    if (now_ns < origin->calm_until_ns + origin->calm_ns) { /* as long again without trouble */
        set_deadline(origin, origin->calm_until_ns + origin->calm_ns);
        return;
    }
    origin->calm_until_ns = origin->calm_ns = 0;
    ad_deadline_clear(&origin->calm_deadline);
}
