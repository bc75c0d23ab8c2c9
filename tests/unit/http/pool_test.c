/* SPDX-License-Identifier: MIT */
/* The pool seen from inside, over the built-in epoll runtime: who waits, and how long connections
 * are kept. */
#include "base/assert.h"
#include "engine_scene.h"
#include "http/client.h"
#include "http/conn.h"
#include "http/pool.h"

#include <poll.h>

struct queue_scene {
    int order[8];
    int count;
};

struct queued {
    struct queue_scene *scene;
    int number;
};

static void on_queued_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                           void *user)
{
    struct queued *q = user;
    (void)exchange;
    if (error->code == 0) {
        q->scene->order[q->scene->count++] = q->number;
    }
}

static void test_waiters_are_served_in_order(void **state)
{
    static const struct aioduct_callbacks queued_callbacks = {.size = sizeof queued_callbacks,
                                                              .on_done = on_queued_done};
    struct scene s;
    struct queue_scene scene = {0};
    struct queued queued[8];
    struct aioduct_exchange *exchanges[8];
    (void)state;
    scene_begin(&s, scene_play_gated);
    s.options.connections_per_origin_max = 1;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    for (int i = 0; i < 8; i++) {
        queued[i] = (struct queued){&scene, i};
        assert_int_equal(
            aioduct_client_submit(s.client, request, &queued_callbacks, &queued[i], &exchanges[i]),
            0);
    }
    aioduct_exchange_cancel(exchanges[5]);
    assert_int_equal(aioduct_client_turn(s.client, 0), 0);
    peer_open(s.peer, GO);
    assert_int_equal(aioduct_client_run(s.client), 0);
    const int want[] = {0, 1, 2, 3, 4, 6, 7};
    assert_int_equal(scene.count, 7);
    assert_memory_equal(scene.order, want, sizeof want);
    assert_int_equal(peer_connections(s.peer), 1);
    aioduct_request_destroy(request);
    scene_end(&s);
}

static void test_too_many_waiters(void **state)
{
    struct scene s;
    struct outcome o[4] = {{0}};
    (void)state;
    scene_begin(&s, scene_play_gated);
    s.options.connections_per_origin_max = 1;
    s.options.waiters_max = 2;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    for (int i = 0; i < 4; i++) {
        scene_submit(&s, request, &o[i]);
    }
    while (o[3].done_count == 0) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    assert_int_equal(o[2].error.code, AIODUCT_E_LIMIT);
    assert_int_equal(o[3].error.code, AIODUCT_E_LIMIT);
    assert_int_equal(o[3].error.phase, AIODUCT_PHASE_QUEUE);
    assert_non_null(strstr(o[3].error.message, "waiters_max"));
    assert_int_equal(o[3].error.safe_to_retry, 1);
    peer_open(s.peer, GO);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(o[0].error.code, 0);
    assert_int_equal(o[1].error.code, 0);
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* An origin without connections and waiters is forgotten. */
static void test_origins_go(void **state)
{
    struct scene s;
    (void)state;
    scene_begin(&s, scene_play_ok);
    s.options.idle_timeout_ms = 1;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    const struct ad_engine *engine = &s.client->workers[0].engine;
    assert_int_equal(aioduct_client_perform(s.client, request, NULL, NULL, NULL), 0);
    while (engine->conn_count > 0) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    assert_int_equal(engine->pool.idle_count, 0);
    for (size_t i = 0; i < AD_POOL_BUCKETS; i++) {
        assert_true(ad_list_empty(&engine->pool.buckets[i]));
    }
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* ---- how long connections are kept ---- */

static void play_hint(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200,
                    index == 0 ? "Keep-Alive: max=5, timeout=5\r\n" : "Keep-Alive: timeout=2\r\n",
                    "ok");
    }
}

/* Twice the limit would be within a second of a short one. */
static void test_idle_deadline(void **state)
{
    struct scene s;
    (void)state;
    scene_begin(&s, scene_play_ok);
    s.options.idle_timeout_ms = 60000;
    scene_open_client(&s);
    const struct ad_engine *engine = &s.client->workers[0].engine;
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    for (int i = 0; i < 2; i++) { /* used again, it has the whole limit again */
        scene_get(&s, request);
        struct ad_conn *conn = AD_CONTAINER_OF(engine->pool.lru.next, struct ad_conn, node);
        uint64_t left_ns = conn->deadline.at_ns - ad_loop_now_ns(engine->loop);
        assert_in_range(left_ns, 40000000000u, 60000000000u);
    }
    assert_int_equal(peer_connections(s.peer), 1);
    aioduct_request_destroy(request);
    scene_end(&s);
}

static void test_idle_hint(void **state)
{
    struct scene s;
    (void)state;
    scene_begin(&s, play_hint);
    scene_open_client(&s);
    const struct ad_engine *engine = &s.client->workers[0].engine;
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_get(&s, request);
    assert_int_equal(engine->pool.idle_count, 1);
    struct ad_conn *conn = AD_CONTAINER_OF(engine->pool.lru.next, struct ad_conn, node);
    assert_int_equal(conn->deadline.own, 3);
    uint64_t left_ns = conn->deadline.at_ns - ad_loop_now_ns(engine->loop);
    assert_in_range(left_ns, 1, 3000000000u);
    assert_int_equal(ad_loop_claim(engine->loop), 0);
    ad_conn_close(conn, true);
    ad_loop_unclaim(engine->loop);
    scene_get(&s, request); /* the second connection: two seconds less two is nothing */
    assert_int_equal(engine->pool.idle_count, 0);
    assert_int_equal(peer_connections(s.peer), 2);
    aioduct_request_destroy(request);
    scene_end(&s);
}

static void test_age(void **state)
{
    struct scene s;
    (void)state;
    scene_begin(&s, scene_play_ok);
    s.options.connection_age_ms = 1;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_get(&s, request);
    poll(NULL, 0, 10);
    scene_get(&s, request);
    assert_int_equal(peer_connections(s.peer), 2);
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* Two at once leave two connections; as many stay as the limits say. */
static void idle_limit(int per_origin, int total, unsigned want)
{
    struct scene s;
    struct outcome o[3] = {{0}};
    scene_begin(&s, scene_play_gated);
    s.options.idle_per_origin_max = per_origin;
    s.options.idle_total_max = total;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    for (int i = 0; i < 3; i++) {
        scene_submit(&s, request, &o[i]);
    }
    while (peer_requests(s.peer) < 3) {
        assert_int_equal(aioduct_client_turn(s.client, 10), 0);
    }
    peer_open(s.peer, GO);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(s.client->workers[0].engine.pool.idle_count, want);
    aioduct_request_destroy(request);
    scene_end(&s);
}

static void test_idle_limits(void **state)
{
    (void)state;
    idle_limit(0, 0, 3);
    idle_limit(2, 0, 2);
    idle_limit(0, 1, 1);
}

static void test_acquire_timeout(void **state)
{
    struct scene s;
    struct outcome o[2] = {{0}};
    (void)state;
    scene_begin(&s, scene_play_gated);
    s.options.connections_per_origin_max = 1;
    s.options.acquire_timeout_ms = 20;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_submit(&s, request, &o[0]);
    scene_submit(&s, request, &o[1]);
    while (o[1].done_count == 0) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    assert_int_equal(o[1].error.code, AIODUCT_E_TIMEOUT);
    assert_int_equal(o[1].error.phase, AIODUCT_PHASE_QUEUE);
    assert_int_equal(o[1].error.safe_to_retry, 1);
    assert_non_null(strstr(o[1].error.message, "acquire_timeout_ms"));
    assert_int_equal(o[0].done_count, 0);
    peer_open(s.peer, GO);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(o[0].error.code, 0);
    aioduct_request_destroy(request);
    scene_end(&s);
}

static const struct CMUnitTest cases[] = {
    {"C107: waiters are served in order, but for the cancelled", test_waiters_are_served_in_order,
     NULL, NULL, NULL},
    {"more than waiters_max is refused by name", test_too_many_waiters, NULL, NULL, NULL},
    {"an origin that holds nothing is forgotten", test_origins_go, NULL, NULL, NULL},
    {"C108: idleness ends at its limit, no later", test_idle_deadline, NULL, NULL, NULL},
    {"C16: the server's Keep-Alive hint shortens idleness by two seconds", test_idle_hint, NULL,
     NULL, NULL},
    {"a connection takes no requests beyond its age", test_age, NULL, NULL, NULL},
    {"idle_per_origin_max and idle_total_max bound the idle ones", test_idle_limits, NULL, NULL,
     NULL},
    {"acquire_timeout_ms ends a wait for a slot", test_acquire_timeout, NULL, NULL, NULL},
};

int main(void)
{
    return TAP_RUN(cases, NULL, NULL);
}
