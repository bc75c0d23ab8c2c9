/* SPDX-License-Identifier: MIT */
/**
 * The engine seen from inside, over the built-in epoll runtime: what a warm request costs, what a
 * failed allocation does, how the ledger and the ways to drive behave. What a program sees on every
 * runtime is in tests/http.
 */
#include "base/mem.h"
#include "engine_scene.h"
#include "http/client.h"
#include "http/conn_h1.h"
#include "http/exchange.h"
#include "http/pool.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#define SLICE_BYTES_MAX 262144u /* of the built-in runtime, after large reads */

/* ---- cost ---- */

struct warm {
    struct aioduct_client *client;
    struct aioduct_request *request;
    int left;
    uint64_t before, allocations;
};

static void on_warm_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                         void *user);

static const struct aioduct_callbacks warm_callbacks = {
    .size = sizeof warm_callbacks,
    .on_done = on_warm_done,
};

static void on_warm_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                         void *user)
{
    struct warm *w = user;
    (void)exchange;
    assert_int_equal(error->code, 0);
    if (w->left == 100) {
        w->before = ad_mem_count();
    }
    if (--w->left > 0) {
        assert_int_equal(aioduct_client_submit(w->client, w->request, &warm_callbacks, w, NULL), 0);
    } else {
        w->allocations = ad_mem_count() - w->before;
    }
}

static void test_warm_requests_allocate_nothing(void **state)
{
    struct scene s;
    struct aioduct_error error = {0};
    (void)state;
    scene_begin(&s, scene_play_ok);
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");

    struct warm w = {.client = s.client, .request = request, .left = 110};
    assert_int_equal(aioduct_client_submit(s.client, request, &warm_callbacks, &w, NULL), 0);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(w.left, 0);
    assert_int_equal(w.allocations, 0);

    /* and by the blocking call */
    struct outcome o = {0};
    assert_int_equal(aioduct_client_perform(s.client, request, NULL, NULL, &error), 0);
    uint64_t before = ad_mem_count();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(aioduct_client_perform(s.client, request, NULL, NULL, &error), 0);
    }
    assert_int_equal(ad_mem_count() - before, 0);
    assert_int_equal(aioduct_client_perform(s.client, request, &scene_callbacks, &o, &error), 0);
    assert_true(o.reused);
    assert_int_equal(peer_connections(s.peer), 1);
    assert_int_equal(peer_requests(s.peer), 132);
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* ---- C80 ---- */

static void test_each_allocation_may_fail(void **state)
{
    struct scene s;
    int failures = 0;
    (void)state;
    scene_begin(&s, scene_play_ok);
    struct aioduct_request *request = scene_request(&s, "POST", "/");
    assert_int_equal(aioduct_request_body_copy(request, "hello", 5), 0);
    for (uint64_t nth = 1; nth < 400; nth++) {
        struct aioduct_client *client = NULL;
        struct aioduct_response *response = NULL;
        struct aioduct_error error = {0};
        ad_mem_fail_nth(nth);
        int code = aioduct_client_create(&s.options, &client, &error);
        if (code == 0) {
            code = aioduct_client_fetch(client, request, &response, &error);
        }
        ad_mem_fail_nth(0);
        if (code == 0) {
            assert_int_equal(aioduct_response_status(response), 200);
        } else {
            assert_int_equal(error.code, code);
            failures++;
        }
        aioduct_response_destroy(response);
        response = NULL;
        if (client != NULL && code < 0) { /* one exchange failed, the client lives */
            assert_int_equal(aioduct_client_fetch(client, request, &response, &error), 0);
            aioduct_response_destroy(response);
        }
        aioduct_client_destroy(client);
    }
    assert_true(failures > 20);
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* ---- the ledger ---- */

static void play_two_parts_and_trailers(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5\r\nhello\r\n");
    peer_wait_gate(conn, GO);
    peer_send(conn, "0\r\nX-T: t\r\n\r\n");
    peer_read_request(conn);
}

/* A full window holds back body bytes, and nothing else. */
static void test_trailers_pass_a_full_window(void **state)
{
    struct scene s;
    struct outcome o = {.hold = AIODUCT_HOLD};
    (void)state;
    scene_begin(&s, play_two_parts_and_trailers);
    s.options.window_bytes = 5;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_submit(&s, request, &o);
    while (o.body_bytes < 5) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    assert_true(ad_exchange_blocked(o.exchange));
    peer_open(s.peer, GO);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(o.error.code, 0);
    assert_int_equal(o.trailers, 't');
    aioduct_request_destroy(request);
    scene_end(&s);
}

static void play_megabyte(struct peer_conn *conn, int index, void *user)
{
    static char part[16384];
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
        for (int i = 0; i < 64; i++) {
            peer_send_bytes(conn, part, sizeof part);
        }
    }
}

static void test_window_bounds_what_is_kept(void **state)
{
    struct scene s;
    struct outcome o = {.hold = AIODUCT_HOLD};
    size_t released = 0;
    (void)state;
    scene_begin(&s, play_megabyte);
    s.options.window_bytes = 1000;
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_submit(&s, request, &o);
    while (o.done_count == 0) {
        assert_int_equal(aioduct_client_turn(s.client, 1), 0);
        if (o.exchange == NULL) {
            break;
        }
        assert_true(o.body_bytes - released <= 1000);
        size_t stash = ad_buf_bytes(&o.exchange->stash);
        const struct ad_conn *conn = o.exchange->conn;
        size_t left = conn != NULL && conn->h1 != NULL ? ad_buf_bytes(&conn->h1->kept) : 0;
        assert_true(stash + left <= 2 * SLICE_BYTES_MAX); /* one slice, and what was under way */
        assert_int_equal(aioduct_exchange_release(o.exchange, o.body_bytes - released + 1),
                         -EINVAL);
        assert_int_equal(aioduct_exchange_release(o.exchange, o.body_bytes - released), 0);
        released = o.body_bytes;
    }
    assert_int_equal(o.error.code, 0);
    assert_int_equal(o.body_bytes, 1048576);
    /* What was paused at the end is listened to again. */
    struct outcome again = {0};
    scene_submit(&s, request, &again);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(again.body_bytes, 1048576);
    assert_int_equal(peer_connections(s.peer), 1);
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* ---- a name server that never answers ---- */

static pthread_mutex_t hang_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hang_changed = PTHREAD_COND_INITIALIZER;
static bool hang_over, hang_left;
static int hang_count; /* threads in it */

static int hang(const char *node, const char *service, const void *hints, void **result)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)result;
    pthread_mutex_lock(&hang_lock);
    hang_count++;
    while (!hang_over) {
        pthread_cond_wait(&hang_changed, &hang_lock);
    }
    hang_count--;
    hang_left = true;
    pthread_cond_broadcast(&hang_changed);
    pthread_mutex_unlock(&hang_lock);
    return EAI_AGAIN;
}

static void free_nothing(void *result)
{
    (void)result;
}

static void end_hang(void)
{
    pthread_mutex_lock(&hang_lock);
    hang_over = true;
    pthread_cond_broadcast(&hang_changed);
    while (!hang_left || hang_count > 0) {
        pthread_cond_wait(&hang_changed, &hang_lock);
    }
    pthread_mutex_unlock(&hang_lock);
}

/* The client's resolver, but for what it asks. */
static void use_resolver_that_hangs(struct aioduct_client *client)
{
    const struct ad_resolver_options options = {.getaddrinfo = hang, .freeaddrinfo = free_nothing};
    ad_resolver_destroy(client->resolver);
    assert_int_equal(ad_resolver_create_system(&options, &client->resolver), 0);
    client->workers[0].engine.resolver = client->resolver;
}

static void test_hung_resolver(void **state)
{
    struct scene s;
    struct outcome o = {0};
    struct aioduct_request *request;
    (void)state;
    scene_begin(&s, scene_play_ok);
    s.options.connect_timeout_ms = 30;
    scene_open_client(&s);
    use_resolver_that_hangs(s.client);
    assert_int_equal(aioduct_request_create("GET", "http://hung.test/", &request, NULL), 0);
    scene_submit(&s, request, &o);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(o.error.code, AIODUCT_E_TIMEOUT);
    assert_int_equal(o.error.phase, AIODUCT_PHASE_RESOLVE);
    assert_int_equal(o.error.safe_to_retry, 1);
    assert_non_null(strstr(o.error.message, "connect_timeout_ms"));
    aioduct_request_destroy(request);
    scene_end(&s); /* waits for no look-up */
    assert_false(hang_left);
    end_hang();
}

/* ---- the rest of a dropped body ---- */

static void play_half(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        peer_wait_gate(conn, GO);
        peer_send(conn, "world");
    }
}

static void test_short_rest_is_drained(void **state)
{
    struct scene s;
    struct outcome o = {0}, next = {0};
    (void)state;
    scene_begin(&s, play_half);
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_submit(&s, request, &o);
    while (o.body_bytes < 5) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    aioduct_exchange_cancel(o.exchange);
    assert_int_equal(o.done_count, 0); /* never inside the call */
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(o.error.code, -ECANCELED);
    assert_int_equal(o.error.partial, 1);
    peer_open(s.peer, GO);
    while (s.client->workers[0].engine.pool.idle_count == 0) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    scene_submit(&s, request, &next);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(next.error.code, 0);
    assert_string_equal(next.body, "helloworld");
    assert_int_equal(next.reused, 1);
    assert_int_equal(peer_connections(s.peer), 1);
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* ---- the HTTP/1 side of a connection ---- */

static void play_broken_off(struct peer_conn *conn, int index, void *user)
{
    if (index > 0) {
        scene_play_ok(conn, index, user);
    } else if (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nX-Half: of a");
        peer_hang(conn);
    }
}

static void test_side_broken_off(void **state)
{
    struct scene s;
    struct outcome o = {0}, next = {0};
    (void)state;
    scene_begin(&s, play_broken_off);
    scene_open_client(&s);
    struct ad_engine *engine = &s.client->workers[0].engine;
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_submit(&s, request, &o);
    while (o.exchange->conn == NULL || !ad_h1_got_bytes(o.exchange->conn->h1->h1)) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    aioduct_exchange_cancel(o.exchange);
    assert_int_equal(aioduct_client_run(s.client), 0);
    while (engine->conn_count > 0) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    assert_int_equal(engine->spare_h1_count, 1);
    scene_submit(&s, request, &next);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(next.error.code, 0);
    assert_int_equal(next.status, 200);
    assert_string_equal(next.body, "ok");
    assert_int_equal(engine->spare_h1_count, 1);
    aioduct_request_destroy(request);
    scene_end(&s);
}

/* What is given back behind the engine's end nobody would free. */
static void test_side_at_the_end(void **state)
{
    struct scene s;
    (void)state;
    scene_begin(&s, scene_play_ok);
    scene_open_client(&s);
    struct ad_engine *engine = &s.client->workers[0].engine;
    struct ad_conn conn = {.engine = engine};
    assert_int_equal(ad_conn_h1_take_side(&conn), 0);
    engine->closing = true;
    ad_conn_h1_give_side(&conn);
    assert_null(conn.h1);
    assert_int_equal(engine->spare_h1_count, 0);
    engine->closing = false;
    scene_end(&s);
}

/* ---- driving ---- */

static void test_a_foreign_loop_drives(void **state)
{
    struct scene s;
    struct outcome o = {0};
    (void)state;
    scene_begin(&s, scene_play_ok);
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    struct pollfd p = {.fd = aioduct_client_poll_fd(s.client), .events = POLLIN};
    assert_true(p.fd >= 0);
    scene_submit(&s, request, &o);
    assert_int_equal(o.done_count, 0);
    while (o.done_count == 0) {
        assert_int_equal(poll(&p, 1, 10000), 1);
        assert_int_equal(aioduct_client_turn(s.client, 0), 0);
    }
    assert_int_equal(o.error.code, 0);
    assert_int_equal(aioduct_client_outstanding(s.client), 0);
    aioduct_request_destroy(request);
    scene_end(&s);
}

struct crowd {
    struct scene *s;
    struct aioduct_request *request;
    _Atomic int done, wrong;
};

static void on_crowd_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                          void *user)
{
    struct crowd *c = user;
    (void)exchange;
    atomic_fetch_add(error->code == 0 ? &c->done : &c->wrong, 1);
}

static void *crowd_main(void *arg)
{
    static const struct aioduct_callbacks crowd_callbacks = {.size = sizeof crowd_callbacks,
                                                             .on_done = on_crowd_done};
    struct crowd *c = arg;
    for (int i = 0; i < 50; i++) {
        struct aioduct_response *response = NULL;
        if (aioduct_client_submit(c->s->client, c->request, &crowd_callbacks, c, NULL) < 0 ||
            aioduct_client_fetch(c->s->client, c->request, &response, NULL) < 0) {
            atomic_fetch_add(&c->wrong, 1);
        }
        aioduct_response_destroy(response);
    }
    return NULL;
}

static void test_many_threads_submit_to_workers(void **state)
{
    struct scene s;
    pthread_t threads[8];
    (void)state;
    scene_begin(&s, scene_play_ok);
    s.options.workers = 2;
    scene_open_client(&s);
    struct crowd c = {.s = &s, .request = scene_request(&s, "GET", "/")};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &c), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(aioduct_client_run(s.client), -EINVAL);
    aioduct_client_destroy(s.client); /* what is under way completes, one way or the other */
    s.client = NULL;
    assert_int_equal(c.done + c.wrong, 400);
    assert_true(c.wrong < 400);
    aioduct_request_destroy(c.request);
    scene_end(&s);
}

static const struct CMUnitTest cases[] = {
    {"warm requests allocate nothing", test_warm_requests_allocate_nothing, NULL, NULL, NULL},
    {"C80: each allocation may fail, and the client lives", test_each_allocation_may_fail, NULL,
     NULL, NULL},
    {"trailers and the end pass a full window", test_trailers_pass_a_full_window, NULL, NULL, NULL},
    {"a full window bounds what is kept", test_window_bounds_what_is_kept, NULL, NULL, NULL},
    {"C56, C57: a name server that hangs runs into connect_timeout_ms in phase resolve",
     test_hung_resolver, NULL, NULL, NULL},
    {"an answer that was broken off leaves nothing to the next connection", test_side_broken_off,
     NULL, NULL, NULL},
    {"a connection keeps nothing for a client that closes", test_side_at_the_end, NULL, NULL, NULL},
    {"C90: the short rest of a cancelled body is drained", test_short_rest_is_drained, NULL, NULL,
     NULL},
    {"poll and turn drive a client from a foreign loop", test_a_foreign_loop_drives, NULL, NULL,
     NULL},
    {"eight threads submit to two workers", test_many_threads_submit_to_workers, NULL, NULL, NULL},
};

int main(void)
{
    return TAP_RUN(cases, NULL, NULL);
}
