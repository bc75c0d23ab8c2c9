/* SPDX-License-Identifier: MIT */
/* Who sets the pace of a body: callbacks that refuse, hold, pause and go on. */
#include "tester.h"

#include <stdlib.h>
#include <string.h>

/* An interim answer, a body in two parts, trailers: every callback comes. */
static void play_everything(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n");
        peer_send(conn, "6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n");
    }
}

static void assert_everything(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->order, "IHBTD");
    assert_string_equal(r->body, "hello world");
    assert_string_equal(r->trailers, "X-Sum: 1\n");
}

/* ---- refusing, holding, pausing ---- */

#define BODY_BYTES (3u << 20)

static void play_long_body(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    char *body = malloc(BODY_BYTES);
    test_fill(body, BODY_BYTES, 0);
    while (peer_read_request(conn)) {
        peer_format(conn, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BODY_BYTES);
        peer_send_bytes(conn, body, BODY_BYTES);
    }
    free(body);
}

static void assert_long_body(struct tester *t, const struct result *r)
{
    char expected[65], found[65];
    char *body = tester_alloc(t, BODY_BYTES);
    test_fill(body, BODY_BYTES, 0);
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, BODY_BYTES);
    test_hash_bytes(body, BODY_BYTES, expected);
    test_hash_bytes(r->body, BODY_BYTES, found);
    assert_string_equal(found, expected);
}

static void test_refuse_head(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct result *r = tester_result(t);
    r->head_code = -1;
    tester_perform_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    assert_error(r, AIODUCT_E_SINK, AIODUCT_PHASE_HEAD);
    assert_int_equal(r->error.partial, 0);
    assert_string_equal(r->order, "HD");
    assert_long_body(t, tester_get(t, peer_url(t->peer, "/")));
}

static void test_refuse_body(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct result *r = tester_result(t);
    r->body_code = -ENOSPC;
    tester_perform_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    assert_error(r, AIODUCT_E_SINK, AIODUCT_PHASE_BODY);
    assert_string_equal(r->order, "HBD");
    assert_int_equal(r->error.partial, 1);
    assert_long_body(t, tester_get(t, peer_url(t->peer, "/")));
}

#define WINDOW_BYTES 65536
#define OVERSHOOT_BYTES (4u * 65536)

static void turns(struct tester *t, int count)
{
    for (int i = 0; i < count; i++) {
        tester_turn(t, 5);
    }
}

struct hold {
    const struct result *result;
    uint64_t released;
};

static uint64_t held(const struct hold *hold)
{
    return result_told_bytes(hold->result) - hold->released;
}

static bool is_full_or_whole(void *user)
{
    const struct hold *hold = user;
    return held(hold) >= WINDOW_BYTES || result_told_bytes(hold->result) == BODY_BYTES;
}

static void test_hold(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = WINDOW_BYTES;
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct result *r = tester_result(t);
    struct hold hold = {.result = r};
    r->hold_body = true;
    r->pause_at = 'B'; /* the exchange is there until the last byte is released */
    r->pause_at_bytes = BODY_BYTES;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    uint64_t most = 0;
    while (hold.released < BODY_BYTES) {
        tester_turn_until(t, is_full_or_whole, &hold);
        uint64_t full = held(&hold);
        turns(t, 3);
        assert_int_equal(held(&hold), full); /* nothing more before the release */
        most = full > most ? full : most;
        assert_code(-EINVAL, aioduct_exchange_release(r->exchange, full + 1));
        hold.released += full;
        assert_code(0, aioduct_exchange_release(r->exchange, full));
    }
    tester_turn_until(t, result_is_paused, r);
    assert_code(0, aioduct_exchange_resume(r->exchange));
    tester_run(t);
    assert_long_body(t, r);
    /* A slice may go over the edge, and what had come before the stop. */
    assert_in_range(most, WINDOW_BYTES, WINDOW_BYTES + OVERSHOOT_BYTES);
}

/* All that is held may be released bit by bit, inside on_body too. The window is wide enough for a
 * slice on top of what is kept: nobody would be called to release anything otherwise. */
struct ledger {
    uint64_t seen, held;
};

static void on_release_some(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct ledger *ledger = r->user;
    if (event != 'B') {
        return;
    }
    if (ledger->held > 10000) {
        assert_code(0, aioduct_exchange_release(exchange, (size_t)ledger->held - 10000));
        ledger->held = 10000;
    }
    ledger->held += r->body_bytes - ledger->seen;
    ledger->seen = r->body_bytes;
}

static void test_hold_and_release_inside(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = 8 * WINDOW_BYTES;
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct result *r = tester_result(t);
    r->hold_body = true;
    r->on_event = on_release_some;
    r->user = tester_alloc(t, sizeof(struct ledger));
    tester_perform_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    assert_long_body(t, r);
}

static struct result *paused_at(struct tester *t, peer_play_fn play, char where)
{
    tester_client(t);
    tester_peer(t, play, NULL);
    struct result *r = tester_result(t);
    r->pause_at = where;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    tester_turn_until(t, result_is_paused, r);
    return r;
}

static void resume(struct tester *t, struct result *r)
{
    assert_code(0, aioduct_exchange_resume(r->exchange));
    tester_run(t);
}

static void pause_at(struct tester *t, char where)
{
    struct result *r = paused_at(t, play_long_body, where);
    uint64_t bytes = result_told_bytes(r);
    turns(t, 10);
    assert_int_equal(result_told_bytes(r), bytes);
    assert_false(result_is_done(r));
    resume(t, r);
    assert_long_body(t, r);
}

static void test_pause_in_head(void **state)
{
    pause_at(*state, 'H');
}

static void test_pause_in_body(void **state)
{
    pause_at(*state, 'B');
}

/* Paused before the whole short answer came: its end waits too. */
static void test_pause_short(void **state)
{
    struct tester *t = *state;
    struct result *r = paused_at(t, play_everything, 'H');
    turns(t, 10);
    assert_false(result_told(r, 'B'));
    assert_false(result_is_done(r));
    assert_string_equal(r->order, "IH");
    resume(t, r);
    assert_everything(r);
}

static void test_cancel_paused(void **state)
{
    struct tester *t = *state;
    struct result *r = paused_at(t, play_long_body, 'B');
    turns(t, 3);
    assert_code(0, aioduct_exchange_cancel(r->exchange));
    tester_run(t);
    assert_code(-ECANCELED, r->code);
    assert_int_equal(r->error.partial, 1);
}

static void test_pause_is_no_silence(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 500;
    struct result *r = paused_at(t, play_long_body, 'B');
    uint64_t until = test_now_ms() + 1000;
    while (test_now_ms() < until) {
        turns(t, 1);
    }
    assert_false(result_is_done(r));
    resume(t, r);
    assert_long_body(t, r);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("on_head refuses, and the next request works", test_refuse_head),
        HTTP_CASES("on_body refuses, and the next request works", test_refuse_body),
        HTTP_CASES("held bytes stop the body at window_bytes", test_hold),
        HTTP_CASES("held bytes are released inside on_body", test_hold_and_release_inside),
        HTTP_CASES("pause in on_head stops the body until resume", test_pause_in_head),
        HTTP_CASES("pause in on_body stops the body until resume", test_pause_in_body),
        HTTP_CASES("pause holds the end of a short answer too", test_pause_short),
        HTTP_CASES("a paused exchange can be cancelled", test_cancel_paused),
        HTTP_CASES("a pause is not silence of the server", test_pause_is_no_silence),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
