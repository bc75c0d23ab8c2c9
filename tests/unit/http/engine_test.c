/* SPDX-License-Identifier: MIT */
/**
 * The engine seen from inside, over the built-in epoll runtime: what a warm request costs, what a
 * failed allocation does, how the ledger, the pool's queue and the ways to drive behave. What a
 * program sees on every runtime is in tests/http.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "http/client.h"
#include "http/conn.h"
#include "http/exchange.h"
#include "http/pool.h"
#include "peer.h"
#include "tap.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum gate { GO };

#define SLICE_BYTES_MAX 262144u /* of the built-in runtime, after large reads */

struct scene {
    struct peer *peer;
    struct aioduct_client_options options;
    struct aioduct_client *client;
};

static void begin(struct scene *s, peer_play_fn play)
{
    struct peer_options options = {.play = play, .user = s};
    *s = (struct scene){0};
    assert_int_equal(peer_start(&options, &s->peer), 0);
    s->options = (struct aioduct_client_options)AIODUCT_CLIENT_OPTIONS_INIT;
    s->options.runtime = "epoll";
    s->options.config_file = "";
}

static void open_client(struct scene *s)
{
    struct aioduct_error error = {0};
    int code = aioduct_client_create(&s->options, &s->client, &error);
    if (code < 0) {
        fail_msg("%s", error.message);
    }
}

static void end(struct scene *s)
{
    aioduct_client_destroy(s->client);
    peer_stop(s->peer);
}

static struct aioduct_request *request_for(const struct scene *s, const char *method,
                                           const char *path)
{
    struct aioduct_request *request = NULL;
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", peer_port(s->peer), path);
    assert_int_equal(aioduct_request_create(method, url, &request, NULL), 0);
    return request;
}

/* What one exchange did. */
struct outcome {
    struct aioduct_exchange *exchange;
    struct aioduct_error error;
    int done_count, status;
    size_t body_bytes;
    char body[64];
    char trailers;
    int hold; /* what on_body returns */
    bool reused;
};

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct outcome *o = user;
    (void)exchange;
    o->status = head->status;
    return 0;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct outcome *o = user;
    (void)exchange;
    if (o->body_bytes + count < sizeof o->body) {
        memcpy(o->body + o->body_bytes, bytes, count);
    }
    o->body_bytes += count;
    return o->hold;
}

static void on_trailers(struct aioduct_exchange *exchange, const struct aioduct_head *trailers,
                        void *user)
{
    struct outcome *o = user;
    (void)exchange;
    o->trailers = trailers->headers[0].value[0];
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct outcome *o = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    assert_int_equal(aioduct_exchange_info(exchange, &info), 0);
    o->reused = info.reused;
    o->error = *error;
    o->exchange = NULL;
    o->done_count++;
}

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_done = on_done,
};

static void submit(struct scene *s, struct aioduct_request *request, struct outcome *o)
{
    assert_int_equal(aioduct_client_submit(s->client, request, &callbacks, o, &o->exchange), 0);
}

static void play_ok(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "ok");
    }
}

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
    begin(&s, play_ok);
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");

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
    assert_int_equal(aioduct_client_perform(s.client, request, &callbacks, &o, &error), 0);
    assert_true(o.reused);
    assert_int_equal(peer_connections(s.peer), 1);
    assert_int_equal(peer_requests(s.peer), 132);
    aioduct_request_destroy(request);
    end(&s);
}

/* ---- C80 ---- */

static void test_each_allocation_may_fail(void **state)
{
    struct scene s;
    int failures = 0;
    (void)state;
    begin(&s, play_ok);
    struct aioduct_request *request = request_for(&s, "POST", "/");
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
    end(&s);
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
    begin(&s, play_two_parts_and_trailers);
    s.options.window_bytes = 5;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    submit(&s, request, &o);
    while (o.body_bytes < 5) {
        assert_int_equal(aioduct_client_turn(s.client, 1000), 0);
    }
    assert_true(ad_exchange_blocked(o.exchange));
    peer_open(s.peer, GO);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(o.error.code, 0);
    assert_int_equal(o.trailers, 't');
    aioduct_request_destroy(request);
    end(&s);
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
    begin(&s, play_megabyte);
    s.options.window_bytes = 1000;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    submit(&s, request, &o);
    while (o.done_count == 0) {
        assert_int_equal(aioduct_client_turn(s.client, 1), 0);
        if (o.exchange == NULL) {
            break;
        }
        assert_true(o.body_bytes - released <= 1000);
        size_t stash = ad_buf_bytes(&o.exchange->stash);
        size_t left = o.exchange->conn != NULL ? ad_buf_bytes(&o.exchange->conn->h1.leftover) : 0;
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
    submit(&s, request, &again);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(again.body_bytes, 1048576);
    assert_int_equal(peer_connections(s.peer), 1);
    aioduct_request_destroy(request);
    end(&s);
}

/* ---- the pool ---- */

static void play_gated(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_wait_gate(conn, GO);
        peer_answer(conn, 200, "", "ok");
    }
}

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
    begin(&s, play_gated);
    s.options.connections_per_origin_max = 1;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
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
    end(&s);
}

static void test_too_many_waiters(void **state)
{
    struct scene s;
    struct outcome o[4] = {{0}};
    (void)state;
    begin(&s, play_gated);
    s.options.connections_per_origin_max = 1;
    s.options.waiters_max = 2;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    for (int i = 0; i < 4; i++) {
        submit(&s, request, &o[i]);
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
    end(&s);
}

/* An origin without connections and waiters is forgotten. */
static void test_origins_go(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, play_ok);
    s.options.idle_timeout_ms = 1;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
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
    end(&s);
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

static void get(struct scene *s, struct aioduct_request *request)
{
    struct aioduct_error error = {0};
    int code = aioduct_client_perform(s->client, request, NULL, NULL, &error);
    if (code < 0) {
        fail_msg("%s", error.message);
    }
}

static void test_idle_hint(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, play_hint);
    open_client(&s);
    const struct ad_engine *engine = &s.client->workers[0].engine;
    struct aioduct_request *request = request_for(&s, "GET", "/");
    get(&s, request);
    assert_int_equal(engine->pool.idle_count, 1);
    struct ad_conn *conn = AD_CONTAINER_OF(engine->conns.next, struct ad_conn, node);
    assert_int_equal(conn->idle_hint_ns, 3000000000u);
    uint64_t left_ns = conn->deadline.at_ns - ad_loop_now_ns(engine->loop);
    assert_in_range(left_ns, 1, 3000000000u);
    assert_int_equal(ad_loop_claim(engine->loop), 0);
    ad_conn_close(conn, true);
    ad_loop_unclaim(engine->loop);
    get(&s, request); /* the second connection: two seconds less two is nothing */
    assert_int_equal(engine->pool.idle_count, 0);
    assert_int_equal(peer_connections(s.peer), 2);
    aioduct_request_destroy(request);
    end(&s);
}

static void test_age(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, play_ok);
    s.options.connection_age_ms = 1;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    get(&s, request);
    poll(NULL, 0, 10);
    get(&s, request);
    assert_int_equal(peer_connections(s.peer), 2);
    aioduct_request_destroy(request);
    end(&s);
}

/* Two at once leave two connections; as many stay as the limits say. */
static void idle_limit(int per_origin, int total, unsigned want)
{
    struct scene s;
    struct outcome o[3] = {{0}};
    begin(&s, play_gated);
    s.options.idle_per_origin_max = per_origin;
    s.options.idle_total_max = total;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    for (int i = 0; i < 3; i++) {
        submit(&s, request, &o[i]);
    }
    while (peer_requests(s.peer) < 3) {
        assert_int_equal(aioduct_client_turn(s.client, 10), 0);
    }
    peer_open(s.peer, GO);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(s.client->workers[0].engine.pool.idle_count, want);
    aioduct_request_destroy(request);
    end(&s);
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
    begin(&s, play_gated);
    s.options.connections_per_origin_max = 1;
    s.options.acquire_timeout_ms = 20;
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    submit(&s, request, &o[0]);
    submit(&s, request, &o[1]);
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
    end(&s);
}

/* ---- a name server that never answers ---- */

static pthread_mutex_t hang_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hang_changed = PTHREAD_COND_INITIALIZER;
static bool hang_over, hang_left;

static int hang(const char *node, const char *service, const void *hints, void **result)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)result;
    pthread_mutex_lock(&hang_lock);
    while (!hang_over) {
        pthread_cond_wait(&hang_changed, &hang_lock);
    }
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
    while (!hang_left) {
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
    begin(&s, play_ok);
    s.options.connect_timeout_ms = 30;
    open_client(&s);
    use_resolver_that_hangs(s.client);
    assert_int_equal(aioduct_request_create("GET", "http://hung.test/", &request, NULL), 0);
    submit(&s, request, &o);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(o.error.code, AIODUCT_E_TIMEOUT);
    assert_int_equal(o.error.phase, AIODUCT_PHASE_RESOLVE);
    assert_int_equal(o.error.safe_to_retry, 1);
    assert_non_null(strstr(o.error.message, "connect_timeout_ms"));
    aioduct_request_destroy(request);
    end(&s); /* waits for no look-up */
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
    begin(&s, play_half);
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    submit(&s, request, &o);
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
    submit(&s, request, &next);
    assert_int_equal(aioduct_client_run(s.client), 0);
    assert_int_equal(next.error.code, 0);
    assert_string_equal(next.body, "helloworld");
    assert_int_equal(next.reused, 1);
    assert_int_equal(peer_connections(s.peer), 1);
    aioduct_request_destroy(request);
    end(&s);
}

/* ---- driving ---- */

static void test_a_foreign_loop_drives(void **state)
{
    struct scene s;
    struct outcome o = {0};
    (void)state;
    begin(&s, play_ok);
    open_client(&s);
    struct aioduct_request *request = request_for(&s, "GET", "/");
    struct pollfd p = {.fd = aioduct_client_poll_fd(s.client), .events = POLLIN};
    assert_true(p.fd >= 0);
    submit(&s, request, &o);
    assert_int_equal(o.done_count, 0);
    while (o.done_count == 0) {
        assert_int_equal(poll(&p, 1, 10000), 1);
        assert_int_equal(aioduct_client_turn(s.client, 0), 0);
    }
    assert_int_equal(o.error.code, 0);
    assert_int_equal(aioduct_client_outstanding(s.client), 0);
    aioduct_request_destroy(request);
    end(&s);
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
    begin(&s, play_ok);
    s.options.workers = 2;
    open_client(&s);
    struct crowd c = {.s = &s, .request = request_for(&s, "GET", "/")};
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
    end(&s);
}

static const struct CMUnitTest cases[] = {
    {"warm requests allocate nothing", test_warm_requests_allocate_nothing, NULL, NULL, NULL},
    {"C80: each allocation may fail, and the client lives", test_each_allocation_may_fail, NULL,
     NULL, NULL},
    {"trailers and the end pass a full window", test_trailers_pass_a_full_window, NULL, NULL, NULL},
    {"a full window bounds what is kept", test_window_bounds_what_is_kept, NULL, NULL, NULL},
    {"C107: waiters are served in order, but for the cancelled", test_waiters_are_served_in_order,
     NULL, NULL, NULL},
    {"more than waiters_max is refused by name", test_too_many_waiters, NULL, NULL, NULL},
    {"an origin that holds nothing is forgotten", test_origins_go, NULL, NULL, NULL},
    {"C16: the server's Keep-Alive hint shortens idleness by two seconds", test_idle_hint, NULL,
     NULL, NULL},
    {"a connection takes no requests beyond its age", test_age, NULL, NULL, NULL},
    {"idle_per_origin_max and idle_total_max bound the idle ones", test_idle_limits, NULL, NULL,
     NULL},
    {"acquire_timeout_ms ends a wait for a slot", test_acquire_timeout, NULL, NULL, NULL},
    {"C56, C57: a name server that hangs runs into connect_timeout_ms in phase resolve",
     test_hung_resolver, NULL, NULL, NULL},
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
