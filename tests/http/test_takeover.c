/* SPDX-License-Identifier: MIT */
/* Workers serve each other: a request goes to the loop that has a free connection for it, rather
 * than to a new connection. */
#include "h2requests.h"
#include "tester.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define STORM 400
#define THREADS 4

enum gate { GO };

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        if (strncmp(peer_last_request(conn)->head, "GET /wait ", 10) == 0) {
            peer_wait_gate(conn, GO);
        }
        peer_answer(conn, 200, "", "answer");
    }
}

static void assert_fine(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->body, "answer");
}

static void wait_done(struct tester *t)
{
    uint64_t end = test_now_ms() + 20000;
    while (aioduct_client_outstanding(t->client) > 0 && test_now_ms() < end) {
        test_pause_ms(1);
    }
    assert_int_equal(aioduct_client_outstanding(t->client), 0);
}

/* One after the other, from a thread that is no worker: they go where the connection is. */
static void test_one_connection_is_enough(void **state)
{
    struct tester *t = *state;
    t->options.workers = 3;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < 30; i++) {
        assert_fine(tester_perform(t, request));
    }
    assert_int_equal(peer_connections(t->peer), 1);
}

static void play_http2(struct peer_conn *conn, int index, void *user)
{
    struct h2_requests *h2 = h2_requests_begin(conn, "SETTINGS 3=100");
    struct h2_request request;
    (void)index;
    (void)user;
    while (h2_requests_next(h2, &request)) {
        h2_requests_send(h2, "HEADERS %u | :status: 200", request.stream);
        h2_requests_send(h2, "DATA %u end answer", request.stream);
    }
    h2_requests_end(h2);
}

/* What has room is not counted twice: requests on their way are. */
static void test_one_http2_connection_is_enough(void **state)
{
    struct tester *t = *state;
    struct result *results[60];
    t->options.workers = 3;
    t->options.version = AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    tester_client(t);
    tester_peer_with(t, &(struct peer_options){.play = play_http2, .alpn = "h2"});
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_fine(tester_perform(t, request));
    for (int i = 0; i < 60; i++) {
        results[i] = tester_submit(t, request);
    }
    wait_done(t);
    for (int i = 0; i < 60; i++) {
        assert_fine(results[i]);
        assert_string_equal(results[i]->protocol, "h2");
    }
    assert_int_equal(peer_connections(t->peer), 1);
}

/* ---- from one worker's callback to another worker's connection ---- */

struct visit {
    struct aioduct_request *request; /* to the origin whose connection another worker has */
    struct result *result;
    pthread_t home;  /* the worker that has it */
    int started;     /* atomic */
    pthread_t ran;   /* where the passed one was answered */
    pthread_t asked; /* where it was submitted */
};

static void on_note_home(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct visit *visit = r->user;
    (void)exchange;
    if (event == 'D') {
        visit->home = pthread_self();
    }
}

static void on_note_ran(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct visit *visit = r->user;
    (void)exchange;
    if (event == 'D') {
        visit->ran = pthread_self();
    }
}

/* Answered on both workers; the one that is not at home asks. */
static void on_ask_from_abroad(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct visit *visit = r->user;
    (void)exchange;
    if (event == 'H' && !pthread_equal(pthread_self(), visit->home) &&
        __atomic_exchange_n(&visit->started, 1, __ATOMIC_ACQ_REL) == 0) {
        visit->asked = pthread_self();
        visit->result->user = visit;
        tester_submit_code(r->tester, visit->request, visit->result);
    }
}

/* Two origins on one peer: by two names of the host. */
static const char *other_origin(struct tester *t, const char *path)
{
    static char url[128];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d%s", t->tls ? "https" : "http", peer_port(t->peer),
             path);
    return url;
}

static void test_a_callback_uses_the_connection_of_another_worker(void **state)
{
    struct tester *t = *state;
    t->options.workers = 2;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct visit *visit = tester_alloc(t, sizeof *visit);
    visit->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *first = tester_result(t);
    first->on_event = on_note_home;
    first->user = visit;
    tester_perform_into(t, visit->request, first);
    assert_int_equal(peer_connections(t->peer), 1);

    visit->result = tester_result(t);
    visit->result->on_event = on_note_ran;
    struct aioduct_request *wait = tester_request(t, "GET", other_origin(t, "/wait"));
    for (int i = 0; i < 2; i++) { /* one for each worker: the first keeps its worker busy */
        struct result *r = tester_result(t);
        r->on_event = on_ask_from_abroad;
        r->user = visit;
        tester_submit_into(t, wait, r);
        assert_int_equal(peer_wait_requests(t->peer, 2 + i), 2 + i);
    }
    peer_open(t->peer, GO);
    wait_done(t);
    assert_int_equal(visit->started, 1);
    assert_fine(visit->result);
    assert_int_equal(visit->result->info.reused, 1);
    assert_true(pthread_equal(visit->ran, visit->home));
    assert_false(pthread_equal(visit->asked, visit->home));
    assert_int_equal(peer_connections(t->peer), 3);
}

/* ---- many, that are cancelled and ended on their way ---- */

struct storm {
    struct tester *t;
    struct aioduct_request *requests[2];
    struct result *results[THREADS][STORM / THREADS];
    pthread_mutex_t lock;
    int next; /* atomic: number of the next thread */
    int left; /* atomic: further ones that callbacks may start */
    int wrong, started;
};

static void on_storm_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                          void *user);

static const struct aioduct_callbacks storm_callbacks = {
    .size = sizeof storm_callbacks,
    .on_done = on_storm_done,
};

/* Every end starts two more, to two origins: with few connections they are passed on often. */
static void on_storm_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                          void *user)
{
    struct storm *storm = user;
    (void)exchange;
    if (error->code != 0 && error->code != -ECANCELED && error->code != AIODUCT_E_CLIENT_CLOSED) {
        __atomic_add_fetch(&storm->wrong, 1, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < 2; i++) {
        int left = __atomic_sub_fetch(&storm->left, 1, __ATOMIC_RELAXED);
        if (left < 0) {
            return;
        }
        struct aioduct_exchange *next = NULL;
        if (aioduct_client_submit(storm->t->client, storm->requests[i], &storm_callbacks, storm,
                                  &next) < 0) {
            __atomic_add_fetch(&storm->wrong, 1, __ATOMIC_RELAXED);
        } else if (i == 0 && left % 7 == 0) {
            aioduct_exchange_cancel(next);
        }
    }
}

/* on_done takes the lock and clears r->exchange: under it a cancel is in time. */
static void on_forget(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct storm *storm = r->user;
    (void)exchange;
    if (event == 'D') {
        pthread_mutex_lock(&storm->lock);
        pthread_mutex_unlock(&storm->lock);
    }
}

static void *work_storm(void *user)
{
    struct storm *storm = user;
    int me = __atomic_fetch_add(&storm->next, 1, __ATOMIC_RELAXED);
    for (int k = 0; k < STORM / THREADS; k++) {
        struct result *r = storm->results[me][k];
        /* While the lock is held on_done cannot return, and the exchange stays. */
        pthread_mutex_lock(&storm->lock);
        struct aioduct_exchange *exchange = NULL;
        int code = tester_submit_out(storm->t, storm->requests[k % 2], r, &exchange);
        if (code == 0 && k % 3 == 0) {
            aioduct_exchange_cancel(exchange);
        } else if (code == 0 && k % 3 == 1) {
            aioduct_exchange_pause(exchange);
            aioduct_exchange_resume(exchange);
        }
        __atomic_add_fetch(&storm->wrong, code != 0, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&storm->lock);
    }
    return NULL;
}

static struct storm *new_storm(struct tester *t)
{
    struct storm *storm = tester_alloc(t, sizeof *storm);
    storm->t = t;
    storm->requests[0] = tester_request(t, "GET", peer_url(t->peer, "/"));
    storm->requests[1] = tester_request(t, "GET", other_origin(t, "/"));
    pthread_mutex_init(&storm->lock, NULL);
    return storm;
}

static void test_cancel_on_the_way(void **state)
{
    struct tester *t = *state;
    t->options.workers = 3;
    t->options.idle_per_origin_max = 2; /* connections come and go */
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct storm *storm = new_storm(t);
    storm->left = 300;
    for (int i = 0; i < STORM; i++) {
        struct result *r = storm->results[i % THREADS][i / THREADS] = tester_result(t);
        r->on_event = on_forget;
        r->user = storm;
    }
    for (int i = 0; i < 3; i++) {
        assert_code(
            0, aioduct_client_submit(t->client, storm->requests[0], &storm_callbacks, storm, NULL));
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work_storm, storm), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    wait_done(t);
    assert_int_equal(storm->wrong, 0);
    for (int i = 0; i < STORM; i++) {
        const struct result *r = storm->results[i % THREADS][i / THREADS];
        assert_int_equal(r->done_count, 1);
        if (i / THREADS % 3 != 0) {
            assert_fine(r);
        } else if (r->code != 0) {
            assert_code(-ECANCELED, r->code);
        }
    }
}

/* The client ends while exchanges are between its loops. */
static void on_end_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                        void *user)
{
    struct storm *storm = user;
    (void)exchange;
    (void)error;
    __atomic_sub_fetch(&storm->started, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        static const struct aioduct_callbacks again = {.size = sizeof again,
                                                       .on_done = on_end_done};
        if (__atomic_sub_fetch(&storm->left, 1, __ATOMIC_RELAXED) > 0 &&
            aioduct_client_submit(storm->t->client, storm->requests[i], &again, storm, NULL) == 0) {
            __atomic_add_fetch(&storm->started, 1, __ATOMIC_RELAXED);
        }
    }
}

static void test_the_end_on_the_way(void **state)
{
    static const struct aioduct_callbacks callbacks = {.size = sizeof callbacks,
                                                       .on_done = on_end_done};
    struct tester *t = *state;
    t->options.workers = 3;
    tester_peer(t, play_answer, NULL);
    struct storm *storm = new_storm(t);
    for (int round = 0; round < 20; round++) {
        tester_client(t);
        storm->left = 1000;
        for (int i = 0; i < 6; i++) {
            __atomic_add_fetch(&storm->started, 1, __ATOMIC_RELAXED);
            assert_code(0, aioduct_client_submit(t->client, storm->requests[i % 2], &callbacks,
                                                 storm, NULL));
        }
        test_pause_ms((unsigned)round % 5);
        aioduct_client_destroy(t->client);
        t->client = NULL;
        assert_int_equal(storm->started, 0);
    }
}

/* ---- the deadline of one that moves ---- */

#define ACQUIRE_MS 800
#define ON_THE_WAY_MS 600

/* Worker A has a connection that is in use, worker B one that is free, and each may have no other.
 * A request moves from A to B, which is in a callback and takes its connection for another. */
struct move {
    struct tester *t;
    struct result *a, *b, *block, *takes, *moves;
    struct aioduct_request *begun, *other, *held, *small;
    uint64_t start_ms, on_b_ms, end_ms;
    int blocked, moving, go_on; /* atomic */
};

enum move_gate { BEGIN, END };

static void play_move(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        const char *head = peer_last_request(conn)->head;
        if (strncmp(head, "GET /begun ", 11) == 0) {
            peer_wait_gate(conn, BEGIN);
            peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
            peer_wait_gate(conn, END);
            peer_send(conn, "answer");
            continue;
        }
        if (strncmp(head, "GET /held ", 10) == 0) {
            peer_wait_gate(conn, END);
        }
        peer_answer(conn, 200, "", "answer");
    }
}

static void wait_set(int *flag)
{
    while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) == 0) {
        test_pause_ms(1);
    }
}

/* On A: its connection is busy until END. */
static void on_a(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct move *move = r->user;
    (void)exchange;
    if (event == 'H') {
        move->start_ms = test_now_ms();
        tester_submit_code(move->t, move->small, move->moves);
        __atomic_store_n(&move->moving, 1, __ATOMIC_RELEASE);
    }
}

static void on_b(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct move *move = r->user;
    (void)exchange;
    if (event == 'D') {
        tester_submit_code(move->t, move->other, move->block);
    }
}

/* On B: what has come to it waits, and finds the connection taken. */
static void on_block(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct move *move = r->user;
    (void)exchange;
    if (event == 'D') {
        __atomic_store_n(&move->blocked, 1, __ATOMIC_RELEASE);
        wait_set(&move->go_on);
        move->on_b_ms = test_now_ms();
        tester_submit_code(move->t, move->held, move->takes);
    }
}

static void on_moved(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct move *move = r->user;
    (void)exchange;
    if (event == 'D') {
        move->end_ms = test_now_ms();
    }
}

static struct result *move_result(struct move *move, result_event_fn on_event)
{
    struct result *r = tester_result(move->t);
    r->on_event = on_event;
    r->user = move;
    return r;
}

static void test_acquire_goes_on(void **state)
{
    struct tester *t = *state;
    struct move *move = tester_alloc(t, sizeof *move);
    move->t = t;
    t->options.workers = 2;
    t->options.connections_per_origin_max = 2; /* one for each worker */
    t->options.acquire_timeout_ms = ACQUIRE_MS;
    tester_client(t);
    tester_peer(t, play_move, NULL);
    move->begun = tester_request(t, "GET", peer_url(t->peer, "/begun"));
    move->small = tester_request(t, "GET", peer_url(t->peer, "/"));
    move->held = tester_request(t, "GET", peer_url(t->peer, "/held"));
    move->other = tester_request(t, "GET", other_origin(t, "/"));
    move->a = move_result(move, on_a);
    move->b = move_result(move, on_b);
    move->block = move_result(move, on_block);
    move->moves = move_result(move, on_moved);
    move->takes = tester_result(t);

    tester_submit_into(t, move->begun, move->a);
    assert_int_equal(peer_wait_requests(t->peer, 1), 1);
    tester_submit_into(t, move->small, move->b); /* to the other worker, which has nothing to do */
    wait_set(&move->blocked);
    peer_open(t->peer, BEGIN);
    wait_set(&move->moving);
    test_pause_ms(ON_THE_WAY_MS); /* of silence: nobody looks at it */
    __atomic_store_n(&move->go_on, 1, __ATOMIC_RELEASE);
    uint64_t end = test_now_ms() + 20000;
    while (aioduct_client_outstanding(t->client) > 2 && test_now_ms() < end) { /* a and takes */
        test_pause_ms(1);
    }
    peer_open(t->peer, END);
    wait_done(t);
    assert_error(move->moves, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_QUEUE);
    assert_non_null(strstr(move->moves->error.message, "acquire_timeout_ms"));
    assert_true(move->end_ms - move->start_ms >= ON_THE_WAY_MS);
    assert_true(move->end_ms - move->on_b_ms < ACQUIRE_MS - 50); /* not the whole of it again */
    assert_fine(move->a);
    assert_fine(move->b);
    assert_fine(move->block);
    assert_fine(move->takes);
    assert_int_equal(peer_connections(t->peer), 3);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("one connection serves request after request, with three workers",
                   test_one_connection_is_enough),
        HTTP_CASES("one HTTP/2 connection serves the requests of three workers",
                   test_one_http2_connection_is_enough),
        HTTP_CASES("a callback's request uses the connection of another worker",
                   test_a_callback_uses_the_connection_of_another_worker),
        HTTP_CASE("C76: requests are cancelled on their way between workers",
                  test_cancel_on_the_way),
        HTTP_CASE("C122: a client ends while requests are between its workers",
                  test_the_end_on_the_way),
        HTTP_CASE("C107: acquire_timeout_ms goes on when a request moves to another worker",
                  test_acquire_goes_on),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
