/* SPDX-License-Identifier: MIT */
/* When an exchange completes (once), and what a client leaves behind (nothing). What a program may
 * do in callbacks is in test_matrix.c. */
#include "tester.h"

#include <stdlib.h>
#include <string.h>

/* An interim answer, a body in two parts, trailers: every callback comes. */
static void play_everything(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        if (strncmp(peer_last_request(conn)->head, "GET /hang ", 10) == 0) {
            peer_hang(conn);
        }
        peer_send(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n");
        peer_send(conn, "6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n");
    }
}

static void play_hang(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_hang(conn);
}

static void assert_everything(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->order, "IHBTD");
    assert_string_equal(r->body, "hello world");
    assert_string_equal(r->trailers, "X-Sum: 1\n");
}

/* ---- C76, C122 ---- */

static bool inside_submit;

static void on_check_submit(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)r;
    (void)exchange;
    (void)event;
    if (inside_submit) {
        abort();
    }
}

static void test_never_inside_submit(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_everything, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < 20; i++) {
        /* Every other one is cancelled at once: a completion that is known early comes late too. */
        struct result *r = tester_result(t);
        r->on_event = on_check_submit;
        inside_submit = true;
        tester_submit_into(t, request, r);
        if (i % 2 == 1) {
            aioduct_exchange_cancel(r->exchange);
        }
        inside_submit = false;
        tester_run(t);
        assert_int_equal(r->done_count, 1);
        assert_code(i % 2 == 1 ? -ECANCELED : 0, r->code);
    }
}

static void test_cancel_before_any_turn(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_everything, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    aioduct_exchange_cancel(r->exchange);
    tester_run(t);
    assert_code(-ECANCELED, r->code);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_string_equal(r->order, "D");
    assert_int_equal(peer_requests(t->peer), 0);
}

static bool one_request_came(void *user)
{
    return peer_requests(user) >= 1;
}

static void test_cancel_while_waiting(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    tester_turn_until(t, one_request_came, t->peer);
    aioduct_exchange_cancel(r->exchange);
    uint64_t start = test_now_ms();
    tester_run(t);
    assert_true(test_now_ms() - start < 15000); /* no deadline of the exchange */
    assert_code(-ECANCELED, r->code);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_string_equal(r->order, "D");
}

static void test_destroy_with_exchanges(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 3;
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct result *results[8];
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < 8; i++) {
        results[i] = tester_submit(t, request);
    }
    tester_turn_until(t, one_request_came, t->peer);
    results[7]->on_event = NULL;
    tester_destroy(t);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(results[i]->done_count, 1);
        assert_code(AIODUCT_E_CLIENT_CLOSED, results[i]->code);
        assert_string_equal(results[i]->order, "D");
    }
    /* The peer's: fewer if a connection ended in its handshake. */
    int threads = t->threads + 1 + peer_connections(t->peer);
    assert_true(test_threads_settle(threads) <= threads);
}

static void test_destroy_untouched(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
    assert_int_equal(r->error.safe_to_retry, 1);
    aioduct_client_destroy(NULL);
}

static void test_many_clients(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play_everything, NULL);
    int descriptors = 0;
    for (int i = 0; i < 50; i++) {
        tester_client(t);
        assert_everything(tester_get(t, peer_url(t->peer, "/")));
        tester_destroy(t);
        if (i == 0) {
            assert_int_equal(peer_wait_ended(t->peer, 1), 1);
            descriptors = test_descriptor_count();
        }
    }
    assert_int_equal(peer_wait_ended(t->peer, 50), 50);
    assert_int_equal(test_descriptor_count(), descriptors);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C76: no callback comes inside submit or cancel", test_never_inside_submit),
        HTTP_CASES("C76: cancel before the first turn", test_cancel_before_any_turn),
        HTTP_CASES("C76: cancel while the answer is waited for", test_cancel_while_waiting),
        HTTP_CASES("C122: destroy completes what is under way and queued",
                   test_destroy_with_exchanges),
        HTTP_CASES("C122: destroy completes what never started", test_destroy_untouched),
        HTTP_CASES("C122: fifty clients in a row leave nothing behind", test_many_clients),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
