/* SPDX-License-Identifier: MIT */
/* The pool: the queue behind the connection cap, and how long idle connections stay. */
#include "tester.h"

#include <stdio.h>
#include <string.h>

enum gate { DONE, GO };

static bool is_ended(void *user)
{
    return peer_is_open(user, DONE);
}

/* ---- C107: the cap, and the queue behind it ---- */

static void play_in_order(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "x");
    }
}

/* Nothing is answered before the test has submitted all. */
static void play_in_order_gated(struct peer_conn *conn, int index, void *user)
{
    while (peer_read_request(conn)) {
        if (!peer_wait_gate(conn, GO)) {
            return;
        }
        peer_answer(conn, 200, "", "x");
    }
    (void)index;
    (void)user;
}

static int completion_counter;

static void on_note_completion(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        *(int *)r->user = completion_counter++;
    }
}

static void test_queue_order(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 1;
    tester_client(t);
    tester_peer(t, play_in_order, NULL);
    int *places = tester_alloc(t, 20 * sizeof *places);
    completion_counter = 0;
    struct result *results[20];
    for (int i = 0; i < 20; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%d", i);
        results[i] = tester_result(t);
        results[i]->on_event = on_note_completion;
        results[i]->user = &places[i];
        tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, path)), results[i]);
    }
    tester_run(t);
    for (int i = 0; i < 20; i++) {
        assert_answer(results[i], 200);
        assert_int_equal(places[i], i);
        char expected[32];
        snprintf(expected, sizeof expected, "GET /%d HTTP/1.1\r\n", i);
        assert_memory_equal(peer_request(t->peer, i)->head, expected, strlen(expected));
    }
    assert_int_equal(peer_connections(t->peer), 1);
}

static void play_hang(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_hang(conn);
}

static void on_cancel_other(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    struct result *other = r->user;
    if (event == 'D' && other->exchange != NULL) {
        aioduct_exchange_cancel(other->exchange);
    }
}

static void test_queue_deadline(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 1;
    t->options.acquire_timeout_ms = 200;
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *first = tester_submit(t, request);
    struct result *second = tester_result(t);
    second->on_event = on_cancel_other;
    second->user = first;
    tester_submit_into(t, request, second);
    tester_run(t);
    assert_error(second, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_QUEUE);
    assert_int_equal(second->error.safe_to_retry, 1);
    assert_code(-ECANCELED, first->code);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_queue_cancel(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 1;
    tester_client(t);
    tester_peer(t, play_in_order_gated, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *results[5];
    for (int i = 0; i < 5; i++) {
        results[i] = tester_submit(t, request);
    }
    assert_code(0, aioduct_exchange_cancel(results[1]->exchange));
    assert_code(0, aioduct_exchange_cancel(results[3]->exchange));
    tester_turn_until(t, result_is_done, results[1]);
    tester_turn_until(t, result_is_done, results[3]);
    peer_open(t->peer, GO);
    tester_run(t);
    for (int i = 0; i < 5; i++) {
        if (i == 1 || i == 3) {
            assert_code(-ECANCELED, results[i]->code);
        } else {
            assert_answer(results[i], 200);
        }
    }
    assert_int_equal(peer_requests(t->peer), 3);
}

static void test_queue_limit(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 1;
    t->options.waiters_max = 2;
    tester_client(t);
    tester_peer(t, play_in_order_gated, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *results[8];
    int answered = 0, refused = 0;
    for (int i = 0; i < 8; i++) {
        results[i] = tester_submit(t, request);
    }
    tester_turn_until(t, result_is_done,
                      results[7]); /* it is refused, so all have been looked at */
    peer_open(t->peer, GO);
    tester_run(t);
    for (int i = 0; i < 8; i++) {
        if (results[i]->code == 0) {
            answered++;
        } else {
            assert_error(results[i], AIODUCT_E_LIMIT, AIODUCT_PHASE_QUEUE);
            assert_non_null(strstr(results[i]->error.message, "waiters_max"));
            assert_int_equal(results[i]->error.safe_to_retry, 1);
            refused++;
        }
    }
    /* The first may be on its connection before the others are there. */
    assert_in_range(answered, 2, 3);
    assert_int_equal(answered + refused, 8);
}

/* ---- idle times ---- */

static void play_idle_until_closed(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const char *more = user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, more, "x");
    }
    peer_open(peer_of(conn), DONE);
}

static void measure_idle(struct tester *t, const char *more, unsigned least_ms)
{
    tester_client(t);
    tester_peer(t, play_idle_until_closed, (void *)(uintptr_t)more);
    uint64_t start = test_now_ms();
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    tester_turn_until(t, is_ended, t->peer);
    uint64_t elapsed = test_now_ms() - start;
    assert_true(elapsed >= least_ms);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 200);
    assert_int_equal(r->info.reused, 0);
}

static void test_idle_time(void **state)
{
    struct tester *t = *state;
    t->options.idle_timeout_ms = 300;
    measure_idle(t, "", 300);
}

static void test_keep_alive_hint(void **state)
{
    measure_idle(*state, "Keep-Alive: timeout=3, max=100\r\n", 1000);
}

static void test_keep_alive_hint_zero(void **state)
{
    measure_idle(*state, "Keep-Alive: timeout=2\r\n", 0);
}

static void test_connection_age(void **state)
{
    struct tester *t = *state;
    t->options.connection_age_ms = 100;
    tester_client(t);
    tester_peer(t, play_in_order, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    uint64_t until = test_now_ms() + 150;
    while (test_now_ms() < until) {
        tester_turn(t, 10);
    }
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 200);
    assert_int_equal(r->info.reused, 0);
    assert_int_equal(peer_connections(t->peer), 2);
}

static void test_idle_cap(void **state)
{
    struct tester *t = *state;
    t->options.idle_per_origin_max = 2;
    tester_client(t);
    tester_peer(t, play_in_order, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *results[6];
    for (int i = 0; i < 6; i++) {
        results[i] = tester_submit(t, request);
    }
    tester_run(t);
    int opened = peer_connections(t->peer);
    for (int i = 0; i < 6; i++) {
        assert_answer(results[i], 200);
    }
    /* All but two are closed, which the peer sees as the end of their plays. It may be late with
     * the count of those that were closed before they had a request. */
    int surplus = opened > 2 ? opened - 2 : 0;
    for (int i = 0; i < 3; i++) {
        tester_turn(t, 10);
    }
    assert_true(peer_wait_ended(t->peer, surplus) >= surplus);
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    assert_code(0, aioduct_client_stats(t->client, &stats));
    assert_true(stats.connections_idle <= 2);
}

/* ---- resends switched off ---- */

static void play_misdirected(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 421, "", "not here");
    }
}

static void test_off_421(void **state)
{
    struct tester *t = *state;
    t->options.replays_max = AIODUCT_OFF;
    tester_client(t);
    tester_peer(t, play_misdirected, NULL);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 421);
    assert_string_equal(r->body, "not here");
    assert_int_equal(peer_requests(t->peer), 1);
}

static void play_go_at_second(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_answer(conn, 200, "", "x");
    peer_read_request(conn);
    peer_reset(conn);
}

static void test_off_stale(void **state)
{
    struct tester *t = *state;
    t->options.replays_max = AIODUCT_OFF;
    tester_client(t);
    tester_peer(t, play_go_at_second, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_true(r->code < 0);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_int_equal(peer_requests(t->peer), 2);
    assert_int_equal(peer_connections(t->peer), 1);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C107: the queue behind the connection cap is first in, first out",
                   test_queue_order),
        HTTP_CASES("C107: waiting for a connection has a deadline", test_queue_deadline),
        HTTP_CASES("C107: a waiting request can be cancelled", test_queue_cancel),
        HTTP_CASES("C107: more than waiters_max are refused at once", test_queue_limit),
        HTTP_CASES("C108: an idle connection is closed within a second of its limit",
                   test_idle_time),
        HTTP_CASES("C16: Keep-Alive: timeout=3 shortens the idle time to 1 s",
                   test_keep_alive_hint),
        HTTP_CASE("C16: Keep-Alive: timeout=2 leaves no idle time", test_keep_alive_hint_zero),
        HTTP_CASE("a connection over its age takes no new request", test_connection_age),
        HTTP_CASE("idle connections over the cap are closed", test_idle_cap),
        HTTP_CASES("C31: with resends off the first 421 goes to the caller", test_off_421),
        HTTP_CASES("C22: with resends off a lost GET is an error", test_off_stale),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
