/* SPDX-License-Identifier: MIT */
/* What a client says of itself in numbers, and the ways to let it go: close_idle and drain. */
#include "tester.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum gate { GO, ENDED, FIRST };

static struct aioduct_client_stats stats_of(struct tester *t)
{
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    assert_code(0, aioduct_client_stats(t->client, &stats));
    return stats;
}

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "hello");
    }
    peer_open(peer_of(conn), ENDED);
}

static void play_at_gate(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn) && peer_wait_gate(conn, GO)) {
        peer_answer(conn, 200, "", "hello");
    }
    peer_open(peer_of(conn), ENDED);
}

static bool is_ended(void *user)
{
    return peer_is_open(user, ENDED);
}

/* ---- numbers ---- */

static void test_counts(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_client_stats s = stats_of(t);
    assert_int_equal(s.dials, 0);
    assert_int_equal(s.connections_open, 0);
    for (int i = 0; i < 3; i++) {
        assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    }
    s = stats_of(t);
    assert_int_equal(s.misses, 1);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.dials, 1);
    assert_int_equal(s.dial_failures, 0);
    assert_int_equal(s.connections_open, 1);
    assert_int_equal(s.connections_idle, 1);
    assert_int_equal(s.connections_opening, 0);
    assert_int_equal(s.waiters, 0);
    assert_int_equal(s.outstanding, 0);
    assert_int_equal(s.exchanges_done, 3);
    assert_int_equal(s.exchanges_failed, 0);
    assert_int_equal(s.replays, 0);
    assert_int_equal(s.h2_streams, 0);
    uint64_t asked = 0;
    for (int i = 0; i < 3; i++) {
        asked += strlen(peer_request(t->peer, i)->head);
    }
    assert_int_equal(s.bytes_out, asked);
    assert_true(s.bytes_in >= 3 * (strlen("HTTP/1.1 200 OK\r\n\r\n") + 5));
}

static void test_counts_while_waiting(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 2;
    tester_client(t);
    tester_peer(t, play_at_gate, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *results[5];
    for (int i = 0; i < 5; i++) {
        results[i] = tester_submit(t, request);
    }
    while (stats_of(t).connections_open < 2) {
        assert_true(aioduct_client_turn(t->client, 1000) >= 0);
    }
    struct aioduct_client_stats s = stats_of(t);
    assert_int_equal(s.waiters, 3);
    assert_int_equal(s.outstanding, 5);
    assert_int_equal(s.connections_idle, 0);
    aioduct_exchange_cancel(results[4]->exchange);
    peer_open(t->peer, GO);
    tester_run(t);
    s = stats_of(t);
    assert_int_equal(s.waiters, 0);
    assert_int_equal(s.exchanges_done, 4);
    assert_int_equal(s.exchanges_failed, 1);
    assert_int_equal(s.connections_idle, 2);
}

static void play_stale(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    peer_read_request(conn);
    peer_answer(conn, 200, "", "x");
    if (index == 0) { /* reads the next request and goes away without an answer */
        peer_read_request(conn);
        peer_reset(conn);
        return;
    }
    peer_read_request(conn);
}

static void test_counts_replays(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_stale, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    struct aioduct_client_stats s = stats_of(t);
    assert_int_equal(s.replays, 1);
    assert_int_equal(s.dials, 2);
    assert_int_equal(s.exchanges_done, 2);
    uint64_t lost = s.closed[AIODUCT_CLOSE_ERROR] + s.closed[AIODUCT_CLOSE_PEER];
    assert_int_equal(lost, 1);
}

static void test_counts_failures(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "GET", "http://127.0.0.1:1/");
    struct result *r = tester_perform(t, request);
    assert_error(r, -ECONNREFUSED, AIODUCT_PHASE_CONNECT);
    struct aioduct_client_stats s = stats_of(t);
    assert_int_equal(s.dials, 1);
    assert_int_equal(s.dial_failures, 1);
    assert_int_equal(s.closed[AIODUCT_CLOSE_OPENING], 1);
    assert_int_equal(s.exchanges_failed, 1);
    assert_int_equal(s.connections_opening, 0);
}

static void test_counts_idle_end(void **state)
{
    struct tester *t = *state;
    t->options.idle_timeout_ms = 50;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    tester_turn_until(t, is_ended, t->peer);
    struct aioduct_client_stats s = stats_of(t);
    assert_int_equal(s.closed[AIODUCT_CLOSE_IDLE], 1);
    assert_int_equal(s.connections_open, 0);
}

static void test_other_sizes(void **state)
{
    struct tester *t = *state;
    struct {
        size_t size;
        uint64_t opening, open, behind;
    } small = {.size = sizeof(size_t) + 2 * sizeof(uint64_t), .behind = 77};
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_code(0, aioduct_client_stats(t->client, (struct aioduct_client_stats *)(void *)&small));
    assert_int_equal(small.open, 1);
    assert_int_equal(small.behind, 77);
    struct aioduct_client_stats unset = {0};
    assert_code(-EINVAL, aioduct_client_stats(t->client, &unset));
    assert_code(-EINVAL, aioduct_client_stats(NULL, &unset));
}

/* ---- workers ---- */

static void test_workers_summed(void **state)
{
    struct tester *t = *state;
    t->options.workers = 3;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < 12; i++) {
        assert_answer(tester_perform(t, request), 200);
    }
    struct aioduct_client_stats s = stats_of(t); /* from a thread that is no loop's */
    assert_int_equal(s.exchanges_done, 12);
    assert_int_equal(s.hits + s.misses, 12);
    assert_int_equal(s.dials, peer_connections(t->peer));
}

/* waiters_max is the client's: two loops have no two queues. */
static void test_waiters_of_all_workers(void **state)
{
    struct tester *t = *state;
    t->options.workers = 2;
    t->options.connections_per_origin_max = 1;
    t->options.waiters_max = 4;
    tester_client(t);
    tester_peer(t, play_at_gate, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    /* One connection each is busy first. */
    struct result *busy[2] = {tester_submit(t, request), tester_submit(t, request)};
    assert_int_equal(peer_wait_requests(t->peer, 2), 2);
    struct result *results[10];
    for (int i = 0; i < 10; i++) {
        results[i] = tester_submit(t, request);
    }
    while (stats_of(t).exchanges_failed < 6 || stats_of(t).waiters < 4) {
        assert_true(stats_of(t).exchanges_failed <= 6);
        test_pause_ms(1);
    }
    assert_int_equal(stats_of(t).waiters, 4);
    peer_open(t->peer, GO);
    while (aioduct_client_outstanding(t->client) > 0) {
        test_pause_ms(1);
    }
    int refused = 0;
    for (int i = 0; i < 10; i++) {
        if (results[i]->code == AIODUCT_E_LIMIT) {
            refused++;
        } else {
            assert_answer(results[i], 200);
        }
    }
    assert_int_equal(refused, 6);
    assert_answer(busy[0], 200);
    assert_answer(busy[1], 200);
}

/* The limit of connections is divided: one each here, not two. */
static void test_connections_divided(void **state)
{
    struct tester *t = *state;
    t->options.workers = 2;
    t->options.connections_per_origin_max = 2;
    tester_client(t);
    tester_peer(t, play_at_gate, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *results[12];
    for (int i = 0; i < 12; i++) {
        results[i] = tester_submit(t, request);
    }
    assert_int_equal(peer_wait_requests(t->peer, 2), 2);
    while (stats_of(t).waiters < 10) {
        test_pause_ms(1);
    }
    assert_int_equal(stats_of(t).connections_open, 2);
    assert_int_equal(stats_of(t).dials, 2);
    peer_open(t->peer, GO);
    while (aioduct_client_outstanding(t->client) > 0) {
        test_pause_ms(1);
    }
    for (int i = 0; i < 12; i++) {
        assert_answer(results[i], 200);
    }
    assert_int_equal(stats_of(t).dials, 2);
}

/* ---- close_idle ---- */

static void test_close_idle(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_code(0, aioduct_client_close_idle(t->client));
    tester_turn_until(t, is_ended, t->peer);
    struct aioduct_client_stats s = stats_of(t);
    assert_int_equal(s.connections_open, 0);
    assert_int_equal(s.closed[AIODUCT_CLOSE_CLIENT], 1);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_int_equal(peer_connections(t->peer), 2);
}

static void test_close_idle_spares_the_busy(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_at_gate, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    while (stats_of(t).connections_open < 1) {
        assert_true(aioduct_client_turn(t->client, 1000) >= 0);
    }
    assert_code(0, aioduct_client_close_idle(t->client));
    peer_open(t->peer, GO);
    tester_run(t);
    assert_answer(r, 200);
    assert_int_equal(stats_of(t).connections_idle, 1);
}

static void test_close_idle_of_workers(void **state)
{
    struct tester *t = *state;
    t->options.workers = 2;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_code(0, aioduct_client_close_idle(t->client));
    assert_true(peer_wait_open(t->peer, ENDED));
}

/* ---- drain ---- */

/* What asked for /first is idle when the client is drained; its end says that this has begun. */
static void play_in_turn(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        bool first = strncmp(peer_last_request(conn)->head, "GET /first ", 11) == 0;
        if (!peer_wait_gate(conn, first ? FIRST : GO)) {
            break;
        }
        peer_answer(conn, 200, "", "hello");
    }
    peer_open(peer_of(conn), ENDED);
}

static void on_first(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        *(atomic_bool *)r->user = true;
    }
}

/* Two requests are out, each on a connection of its own; the first ends, the second stays. */
static void arrange_drain(struct tester *t, struct result *second)
{
    atomic_bool over = false;
    struct result *first = tester_result(t);
    first->on_event = on_first;
    first->user = &over;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/first")), first);
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/second")), second);
    bool local = t->options.workers == 0;
    while (!over) {
        if (peer_requests(t->peer) == 2) {
            peer_open(t->peer, FIRST);
        }
        assert_true(!local || aioduct_client_turn(t->client, 10) >= 0);
    }
}

static void on_open_gate(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        r->user = (void *)(intptr_t)tester_submit_code(
            r->tester, tester_request(r->tester, "GET", peer_url(r->tester->peer, "/")),
            tester_result(r->tester));
    }
}

static void *open_when_drained(void *user)
{
    struct tester *t = user;
    peer_wait_open(t->peer, ENDED);
    peer_open(t->peer, GO);
    return NULL;
}

/* What was submitted ends well, what is submitted meanwhile is refused, and nothing is left. */
static void check_drain(struct tester *t)
{
    tester_client(t);
    tester_peer(t, play_in_turn, NULL);
    struct result *r = tester_result(t);
    r->on_event = on_open_gate;
    arrange_drain(t, r);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_when_drained, t), 0);
    int code = aioduct_client_drain(t->client, 10000);
    pthread_join(thread, NULL);
    assert_code(0, code);
    assert_answer(r, 200);
    assert_code(AIODUCT_E_CLIENT_CLOSED, (int)(intptr_t)r->user);
    struct result *late = tester_result(t);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(AIODUCT_E_CLIENT_CLOSED, tester_submit_code(t, request, late));
    assert_code(AIODUCT_E_CLIENT_CLOSED, tester_perform_code(t, request, late));
    assert_int_equal(stats_of(t).connections_idle, 0);
    assert_int_equal(peer_wait_ended(t->peer, 2), 2); /* nor did a connection stay */
}

static void test_drain(void **state)
{
    check_drain(*state);
}

static void test_drain_workers(void **state)
{
    struct tester *t = *state;
    t->options.workers = 2;
    check_drain(t);
}

static void check_drain_late(struct tester *t, int timeout_ms)
{
    tester_client(t);
    tester_peer(t, play_at_gate, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    uint64_t start = test_now_ms();
    assert_code(AIODUCT_E_TIMEOUT, aioduct_client_drain(t->client, timeout_ms));
    uint64_t elapsed = test_now_ms() - start;
    assert_in_range(elapsed, (unsigned)timeout_ms, (unsigned)timeout_ms + 1000);
    assert_int_equal(r->done_count, 1);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
}

static void test_drain_late(void **state)
{
    check_drain_late(*state, 100);
}

static void test_drain_at_once(void **state)
{
    check_drain_late(*state, 0);
}

static void test_drain_late_workers(void **state)
{
    struct tester *t = *state;
    t->options.workers = 2;
    check_drain_late(t, 100);
}

static void test_drain_nothing(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    assert_code(-EINVAL, aioduct_client_drain(t->client, -2));
    assert_code(0, aioduct_client_drain(t->client, 0));
    assert_code(0, aioduct_client_drain(t->client, AIODUCT_NO_LIMIT));
}

static void on_drain_inside(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        r->user = (void *)(intptr_t)aioduct_client_drain(r->tester->client, 100);
    }
}

static void check_drain_inside(struct tester *t)
{
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *r = tester_result(t);
    r->on_event = on_drain_inside;
    tester_perform_into(t, request, r);
    assert_code(AIODUCT_E_NESTED, (int)(intptr_t)r->user);
    assert_answer(tester_perform(t, request), 200); /* it was not begun */
}

static void test_drain_inside(void **state)
{
    check_drain_inside(*state);
}

static void test_drain_inside_worker(void **state)
{
    struct tester *t = *state;
    t->options.workers = 1;
    check_drain_inside(t);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("what was done is counted", test_counts),
        HTTP_CASE("what waits is counted", test_counts_while_waiting),
        HTTP_CASES("resends are counted", test_counts_replays),
        HTTP_CASE("failed dials are counted", test_counts_failures),
        HTTP_CASE("ended connections are counted by reason", test_counts_idle_end),
        HTTP_CASE("a caller of another size gets what it has room for", test_other_sizes),
        HTTP_CASE("workers are summed up", test_workers_summed),
        HTTP_CASE("C107: waiters_max holds for all workers together", test_waiters_of_all_workers),
        HTTP_CASE("C107: the connection limit is divided among workers", test_connections_divided),
        HTTP_CASES("close_idle closes what is idle", test_close_idle),
        HTTP_CASE("close_idle spares what is busy", test_close_idle_spares_the_busy),
        HTTP_CASE("close_idle reaches every worker", test_close_idle_of_workers),
        HTTP_CASES("C122: drain lets exchanges end and submits no more", test_drain),
        HTTP_CASES("C122: drain lets exchanges of workers end", test_drain_workers),
        HTTP_CASES("C122: drain ends what is left at its deadline", test_drain_late),
        HTTP_CASE("C122: drain without time ends all at once", test_drain_at_once),
        HTTP_CASE("C122: drain ends what is left on workers", test_drain_late_workers),
        HTTP_CASE("drain of nothing is over at once, and may be repeated", test_drain_nothing),
        HTTP_CASE("drain inside a callback is refused", test_drain_inside),
        HTTP_CASE("drain inside a worker's callback is refused", test_drain_inside_worker),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
