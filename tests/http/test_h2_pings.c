/* SPDX-License-Identifier: MIT */
/* HTTP/2 with a server that follows a script: is it there, and does it only make work? */
#include "h2_cases.h"

/* ---- pings ---- */

static void test_dead_connection(void **state)
{
    struct tester *t = *state;
    t->options.ping_timeout_ms = 200;
    client(t);
    struct h2peer *h2 = h2peer_start(
        t, &(struct h2peer_options){
               .scripts = {"< SETTINGS\n? HEADERS 1\n" OK(1) "mute\n", "< SETTINGS\nserve\n"}});
    assert_answer(get(t), 200);
    struct aioduct_request *q = request(t, "POST");
    assert_code(0, aioduct_request_total_timeout_ms(q, 300));
    struct result *timed_out = tester_submit(t, q);
    struct result *beside = submit(t, "POST");
    tester_turn_until(t, is_done, timed_out);
    assert_error(timed_out, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
    /* Not on a connection in doubt, where it would be lost. */
    struct result *next = tester_perform(t, request(t, "POST"));
    assert_answer(next, 200);
    assert_int_equal(peer_connections(t->peer), 2);
    tester_run(t);
    assert_error(beside, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
    assert_non_null(strstr(beside->error.message, "ping"));
    assert_int_equal(h2peer_wait(h2, 0, "end", 1), 1);
}

static void test_slow_but_alive(void **state)
{
    struct tester *t = *state;
    t->options.ping_timeout_ms = 1000;
    client(t);
    /* The ping behind the reset, after one because nothing at all has come since the request. */
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? HEADERS 1\n" OK(1) "? HEADERS 5\n? RST_STREAM 3 8\n? PING\n"
                                                           "gate 1\n" OK(5) "serve\n");
    assert_answer(get(t), 200);
    struct aioduct_request *q = request(t, "GET");
    assert_code(0, aioduct_request_total_timeout_ms(q, 300));
    struct result *timed_out = tester_submit(t, q);
    struct result *slow = submit(t, "GET");
    tester_turn_until(t, is_done, timed_out);
    turn_for(t, 1200);
    assert_int_equal(slow->done_count, 0);
    peer_open(t->peer, DONE);
    tester_run(t);
    assert_answer(slow, 200);
    assert_answer(get(t), 200);
    assert_int_equal(peer_connections(t->peer), 1);
    assert_int_equal(h2peer_count(h2, 0, "PING"), 2);
}

static void test_regular_pings(void **state)
{
    struct tester *t = *state;
    t->options.ping_interval_ms = 50;
    t->options.ping_timeout_ms = 1000;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\n? HEADERS 1\n? PING\n? PING\nmute\n? PING\n");
    struct result *r = get(t);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
    assert_true(h2peer_count(h2, 0, "PING") >= 3);
}

static void test_pings_without_deadline(void **state)
{
    struct tester *t = *state;
    t->options.ping_interval_ms = 50;
    t->options.ping_timeout_ms = AIODUCT_NO_LIMIT;
    t->options.total_timeout_ms = 20000;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? HEADERS 1\n? PING\n? PING\n? PING\n" OK(1) "serve\n");
    assert_answer(get(t), 200);
    assert_true(h2peer_count(h2, 0, "PING") >= 3);
}

/* Nothing answers for a request that was given up: no longer than a connection may be idle. */
static void test_reset_never_answered(void **state)
{
    struct tester *t = *state;
    t->options.ping_timeout_ms = AIODUCT_NO_LIMIT;
    t->options.idle_timeout_ms = 300;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\n? HEADERS 1\nmute\nopen 0\n");
    struct result *r = submit(t, "GET");
    while (!peer_is_open(t->peer, GO)) {
        assert_true(aioduct_client_turn(t->client, 5) >= 0);
    }
    assert_code(0, aioduct_exchange_cancel(r->exchange));
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    uint64_t end = test_now_ms() + 10000;
    do {
        assert_true(aioduct_client_turn(t->client, 50) >= 0);
        assert_code(0, aioduct_client_stats(t->client, &stats));
    } while (stats.connections_open > 0 && test_now_ms() < end);
    assert_int_equal(stats.connections_open, 0);
    assert_int_equal(stats.closed[AIODUCT_CLOSE_IDLE], 1);
    assert_int_equal(h2peer_wait(h2, 0, "RST_STREAM 1 8", 1), 1);
}

/* The server reads nothing: heads that wait for room in the output have a deadline too. */
static void test_heads_never_read(void **state)
{
    enum { COUNT = 60, VALUE_BYTES = 12000 };
    struct tester *t = *state;
    struct result *results[COUNT];
    t->options.ping_timeout_ms = AIODUCT_NO_LIMIT;
    t->options.write_gap_timeout_ms = 400;
    t->options.idle_timeout_ms = 300;
    t->options.h2_connections_per_origin_max = 1;
    t->options.socket.send_buffer_bytes = 65536;
    client(t);
    h2peer_start(t, &(struct h2peer_options){.receive_buffer = 16384,
                                             .scripts = {"< SETTINGS 3=100\ngate 0\n"}});
    char *value = tester_alloc(t, VALUE_BYTES + 1);
    memset(value, 'x', VALUE_BYTES);
    for (int i = 0; i < COUNT; i++) {
        struct aioduct_request *q = request(t, "GET");
        value[i] = 'y'; /* not the same as the last one */
        assert_code(0, aioduct_request_header_add(q, "X-Large", value));
        results[i] = tester_submit(t, q);
    }
    tester_turn_until(t, is_done, results[COUNT - 1]);
    tester_turn_until(t, is_done, results[COUNT / 2]);
    for (int i = COUNT / 2; i < COUNT; i++) {
        assert_error(results[i], AIODUCT_E_TIMEOUT, AIODUCT_PHASE_SEND);
        assert_non_null(strstr(results[i]->error.message, "write_gap_timeout_ms"));
    }
    assert_int_equal(results[COUNT - 1]->error.safe_to_retry, 1); /* not a byte was written */
    peer_open(t->peer, GO);
}

/* ---- floods ---- */

static void flood_with(struct tester *t, const char *frames, int code)
{
    char *script = test_format("< SETTINGS\n? HEADERS 1\n< %s\n", frames);
    struct h2peer *h2 = h2peer_script(t, script);
    struct result *r = get(t);
    free(script);
    assert_int_equal(r->code, code);
    assert_int_equal(h2peer_wait(h2, 0, "GOAWAY 0 11", 1), 1);
}

static void flood(struct tester *t, const char *frames)
{
    flood_with(t, frames, AIODUCT_E_LIMIT);
}

static void test_flood_pings(void **state)
{
    client(*state);
    flood(*state, "REPEAT 20000 PING 01234567");
}

/* Bytes that nobody reads any more have the system reset a connection that is closed: then what
 * this side said last would be gone, if the server has not taken it yet. */
static void test_last_words(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_start(
        t, &(struct h2peer_options){
               .receive_buffer = 4096,
               .scripts = {"< SETTINGS\n? HEADERS 1\n< REPEAT 40000 PING 01234567\n"}});
    assert_code(AIODUCT_E_LIMIT, get(t)->code);
    tester_destroy(t);
    assert_int_equal(h2peer_wait(h2, 0, "end", 1), 1);
    assert_int_equal(h2peer_count(h2, 0, "GOAWAY 0 11"), 1);
}

static void test_flood_settings(void **state)
{
    client(*state);
    flood(*state, "REPEAT 20000 SETTINGS 3=100");
}

static void test_flood_window_updates(void **state)
{
    client(*state);
    flood(*state, "REPEAT 20000 WINDOW_UPDATE 0 1");
}

static void test_flood_empty_data(void **state)
{
    client(*state);
    flood(*state, "HEADERS 1 | :status: 200\n< REPEAT 20000 DATA 1 ");
}

static void test_flood_continuation(void **state)
{
    client(*state);
    flood(*state, "HEADERS 1 open | :status: 200\n< REPEAT 2000 CONTINUATION 1 open | a: b");
}

static void test_bomb(void **state)
{
    client(*state);
    flood_with(*state, "BOMB 1 4000 1000", AIODUCT_E_HEAD_LIMIT);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("C42: a connection that answers no ping is given up", test_dead_connection),
        HTTP_CASE("C42: a slow server that answers pings is kept", test_slow_but_alive),
        HTTP_CASE("C42: regular pings, if they are wanted", test_regular_pings),
        HTTP_CASE("C42: regular pings whose answers nobody times", test_pings_without_deadline),
        HTTP_CASES("C44: a reset that is never answered is forgotten with the connection",
                   test_reset_never_answered),
        HTTP_CASE("C42: heads that a server never reads have a deadline", test_heads_never_read),
        HTTP_CASES("C43: a flood of PING", test_flood_pings),
        HTTP_CASES("C43: the GOAWAY reaches a server that is still sending", test_last_words),
        HTTP_CASE("C43: a flood of SETTINGS", test_flood_settings),
        HTTP_CASE("C43: a flood of WINDOW_UPDATE", test_flood_window_updates),
        HTTP_CASE("C43: a flood of empty DATA", test_flood_empty_data),
        HTTP_CASE("C43: a flood of CONTINUATION", test_flood_continuation),
        HTTP_CASE("C43: a compression bomb", test_bomb),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
