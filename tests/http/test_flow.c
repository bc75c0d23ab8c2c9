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

struct hold {
    uint64_t seen, held;
};

static void on_hold_event(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'B') {
        struct hold *hold = r->user;
        hold->held += r->body_bytes - hold->seen;
        hold->seen = r->body_bytes;
    }
}

#define WINDOW_BYTES 65536
#define OVERSHOOT_BYTES (4u * 65536)

static bool window_is_full(void *user)
{
    struct hold *hold = user;
    return hold->held >= WINDOW_BYTES;
}

static void turns(struct tester *t, int count)
{
    for (int i = 0; i < count; i++) {
        tester_turn(t, 5);
    }
}

static bool is_done_or_full(void *user)
{
    struct result *r = user;
    return r->done_count > 0 || window_is_full(r->user);
}

static void test_hold(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = WINDOW_BYTES;
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct hold *hold = tester_alloc(t, sizeof *hold);
    struct result *r = tester_result(t);
    r->hold_body = true;
    r->on_event = on_hold_event;
    r->user = hold;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    uint64_t most = 0;
    while (r->done_count == 0) {
        tester_turn_until(t, is_done_or_full, r);
        if (r->done_count > 0) {
            break;
        }
        uint64_t full = hold->held;
        turns(t, 3);
        assert_int_equal(hold->held, full); /* nothing more before the release */
        most = hold->held > most ? hold->held : most;
        assert_code(-EINVAL, aioduct_exchange_release(r->exchange, hold->held + 1));
        uint64_t released = hold->held;
        hold->held = 0;
        assert_code(0, aioduct_exchange_release(r->exchange, released));
    }
    assert_long_body(t, r);
    /* A slice may go over the edge, and what had come before the stop. */
    assert_in_range(most, WINDOW_BYTES, WINDOW_BYTES + OVERSHOOT_BYTES);
}

/* All that is held may be released bit by bit, inside on_body too. The window is wide enough for a
 * slice on top of what is kept: nobody would be called to release anything otherwise. */
static void on_release_some(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct hold *hold = r->user;
    if (event != 'B') {
        return;
    }
    if (hold->held > 10000) {
        assert_code(0, aioduct_exchange_release(exchange, (size_t)hold->held - 10000));
        hold->held = 10000;
    }
    hold->held += r->body_bytes - hold->seen;
    hold->seen = r->body_bytes;
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
    r->user = tester_alloc(t, sizeof(struct hold));
    tester_perform_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    assert_long_body(t, r);
}

static void on_pause(struct result *r, struct aioduct_exchange *exchange, char event)
{
    const char *where = r->user;
    if (event == *where) {
        aioduct_exchange_pause(exchange);
    }
}

static bool was_paused(void *user)
{
    struct result *r = user;
    return strchr(r->order, *(const char *)r->user) != NULL;
}

static void pause_at(struct tester *t, const char *where)
{
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct result *r = tester_result(t);
    r->on_event = on_pause;
    r->user = (void *)(uintptr_t)where;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    tester_turn_until(t, was_paused, r);
    uint64_t bytes = r->body_bytes;
    turns(t, 10);
    assert_int_equal(r->body_bytes, bytes);
    assert_int_equal(r->done_count, 0);
    r->on_event = NULL;
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_long_body(t, r);
}

static void test_pause_in_head(void **state)
{
    pause_at(*state, "H");
}

static void test_pause_in_body(void **state)
{
    pause_at(*state, "B");
}

/* Paused before the whole short answer came: its end waits too. */
static void test_pause_short(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_everything, NULL);
    struct result *r = tester_result(t);
    r->on_event = on_pause;
    r->user = (void *)(uintptr_t) "H";
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    tester_turn_until(t, was_paused, r);
    turns(t, 10);
    assert_string_equal(r->order, "IH");
    r->on_event = NULL;
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_everything(r);
}

static void test_cancel_paused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct result *r = tester_result(t);
    r->on_event = on_pause;
    r->user = (void *)(uintptr_t) "B";
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    tester_turn_until(t, was_paused, r);
    turns(t, 3);
    aioduct_exchange_cancel(r->exchange);
    tester_run(t);
    assert_code(-ECANCELED, r->code);
    assert_int_equal(r->error.partial, 1);
}

static void test_pause_is_no_silence(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 500;
    tester_client(t);
    tester_peer(t, play_long_body, NULL);
    struct result *r = tester_result(t);
    r->on_event = on_pause;
    r->user = (void *)(uintptr_t) "B";
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    tester_turn_until(t, was_paused, r);
    uint64_t until = test_now_ms() + 1000;
    while (test_now_ms() < until) {
        turns(t, 1);
    }
    assert_int_equal(r->done_count, 0);
    r->on_event = NULL;
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
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
