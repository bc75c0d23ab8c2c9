/* SPDX-License-Identifier: MIT */
/* Servers that answer, end or reset before they have the whole request. */
#include "source.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum gate { GO, DONE };

/* ---- C14, C15, C23: answers before the request's end ---- */

static void play_answer_early(struct peer_conn *conn, int index, void *user)
{
    uint64_t *count = user;
    if (index == 0 && peer_read_head(conn) && peer_read(conn, 100000)) {
        peer_answer(conn, 200, "", "enough");
        peer_read_end(conn, count);
        peer_open(peer_of(conn), DONE);
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "next");
    }
}

#define HUGE_BYTES (512u << 20)

static void test_answer_in_upload(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    uint64_t *count = tester_alloc(t, sizeof *count);
    tester_peer(t, play_answer_early, count);
    struct source *source = source_new(t, HUGE_BYTES);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, HUGE_BYTES));
    assert_answer(r, 200);
    assert_string_equal(r->body, "enough");
    assert_int_equal(source->finished, 1);
    assert_true(source->at < HUGE_BYTES); /* it was told to stop */
    assert_true(peer_wait_open(t->peer, DONE));
    struct result *next = tester_get(t, peer_url(t->peer, "/"));
    assert_int_equal(next->info.reused, 0);
}

/* Answers a little at once and the rest after the upload, which it takes slowly. */
static void play_slowly(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const size_t *bytes = user;
    if (!peer_read_head(conn) ||
        !peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")) {
        return;
    }
    for (int i = 0; i < 10; i++) {
        test_pause_ms(50);
        if (!peer_read(conn, *bytes / 10)) {
            return;
        }
    }
    peer_send(conn, "-last");
    peer_read_end(conn, NULL);
}

static void test_no_read_gap_in_upload(void **state)
{
    struct tester *t = *state;
    size_t *bytes = tester_alloc(t, sizeof *bytes);
    *bytes = 4u << 20;
    t->options.read_gap_timeout_ms = 150;
    t->options.head_timeout_ms = 150;
    t->options.socket.send_buffer_bytes = 16384;
    tester_client(t);
    struct peer_options options = {.play = play_slowly, .user = bytes, .receive_buffer = 16384};
    tester_peer_with(t, &options);
    struct source *source = source_new(t, *bytes);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, (int64_t)*bytes));
    assert_answer(r, 200);
    assert_string_equal(r->body, "first-last");
    assert_int_equal(source->at, *bytes);
    assert_int_equal(source->finished, 1);
}

static void play_stops_reading(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        peer_hang(conn);
    }
}

static void test_write_gap_in_early_answer(void **state)
{
    struct tester *t = *state;
    t->options.write_gap_timeout_ms = 200;
    t->options.socket.send_buffer_bytes = 16384;
    tester_client(t);
    struct peer_options options = {.play = play_stops_reading, .receive_buffer = 16384};
    tester_peer_with(t, &options);
    struct source *source = source_new(t, HUGE_BYTES);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, HUGE_BYTES));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_SEND);
    assert_non_null(strstr(r->error.message, "write_gap_timeout_ms"));
    assert_int_equal(r->error.partial, 1);
    assert_int_equal(source->finished, 1);
}

static void test_silence_after_upload(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 150;
    tester_client(t);
    tester_peer(t, play_stops_reading, NULL);
    struct source *source = source_new(t, 1000);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, 1000));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "read_gap_timeout_ms"));
}

/* The head of a refusal; the rest when the test has seen what came of it. */
static void play_refuses(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 100000)) {
        peer_send(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\n");
        if (peer_wait_gate(conn, GO)) {
            peer_send(conn, "too large");
            peer_read_end(conn, NULL);
        }
    }
}

static void note_finished_at_head(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    struct source *source = r->user;
    if (event == 'H') {
        source->rewinds = source->finished; /* what it was at the head */
        peer_open(r->tester->peer, GO);
    }
}

static void test_refusal_stops_upload(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_refuses, NULL);
    struct source *source = source_new(t, HUGE_BYTES);
    struct result *r = tester_result(t);
    r->on_event = note_finished_at_head;
    r->user = source;
    tester_perform_into(t, source_request(t, "PUT", source, HUGE_BYTES), r);
    assert_answer(r, 413);
    assert_string_equal(r->body, "too large");
    assert_int_equal(source->rewinds, 1); /* told before the answer was */
    assert_int_equal(source->finished, 1);
    assert_int_equal(source->at, source->at_finished); /* and not asked since */
    assert_true(source->at < HUGE_BYTES);
}

#define HALF_BYTES (1u << 20) /* far more than is under way */

/* Answers in the middle of a body, and takes the rest and another request. */
static void play_middle(struct peer_conn *conn, int index, void *user)
{
    const int *status = user;
    if (index == 0 && peer_read_head(conn) && peer_read(conn, HALF_BYTES)) {
        peer_answer(conn, *status, "", "enough");
        if (!peer_read(conn, HALF_BYTES)) {
            return;
        }
        peer_open(peer_of(conn), DONE);
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "next");
    }
}

static bool at_gate_done(void *peer)
{
    return peer_is_open(peer, DONE);
}

static void short_rest(struct tester *t, int status, bool kept)
{
    int *user = tester_alloc(t, sizeof *user);
    char *body = tester_alloc(t, 2 * HALF_BYTES);
    *user = status;
    t->options.socket.send_buffer_bytes = 16384;
    tester_client(t);
    struct peer_options options = {.play = play_middle, .user = user, .receive_buffer = 16384};
    tester_peer_with(t, &options);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/up"));
    assert_code(0, aioduct_request_body_borrow(request, body, 2 * HALF_BYTES));
    struct result *r = tester_perform(t, request);
    assert_answer(r, status);
    assert_string_equal(r->body, "enough");
    assert_true(r->info.upload_bytes >= HALF_BYTES);
    if (kept) { /* the rest goes on after on_done */
        tester_turn_until(t, at_gate_done, t->peer);
        tester_turn(t, 5);
    }
    struct result *next = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(next, 200);
    assert_string_equal(next->body, "next");
    assert_int_equal(next->info.reused, kept);
    assert_int_equal(peer_is_open(t->peer, DONE), kept);
}

static void test_short_rest_is_sent(void **state)
{
    struct tester *t = *state;
    t->options.drain_bytes_max = HALF_BYTES;
    short_rest(t, 200, true);
}

static void test_short_rest_of_a_refused(void **state)
{
    struct tester *t = *state;
    t->options.drain_bytes_max = 2 * HALF_BYTES;
    short_rest(t, 403, true);
}

static void test_long_rest_is_not(void **state)
{
    short_rest(*state, 200, false);
}

static void play_413_and_reset(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 1000)) {
        peer_answer(conn, 413, "Connection: close\r\n", "too large");
        /* Unread bytes make this close a reset, as with any server that gives up. */
        peer_reset(conn);
    }
}

static void play_413_and_close(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 1000)) {
        peer_answer(conn, 413, "Connection: close\r\n", "too large");
        peer_half_close(conn);
        peer_read_end(conn, NULL);
    }
}

static void play_413_gated_reset(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 1000)) {
        peer_send(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\n");
        if (peer_wait_gate(conn, GO)) {
            peer_send(conn, "too large");
            peer_reset(conn);
        }
    }
}

static void on_open_gate_at_head(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'H') {
        peer_open(r->tester->peer, GO);
    }
}

static void early_413(struct tester *t, peer_play_fn play)
{
    tester_client(t);
    tester_peer(t, play, NULL);
    struct source *source = source_new(t, HUGE_BYTES);
    struct result *r = tester_result(t);
    r->on_event = on_open_gate_at_head;
    tester_perform_into(t, source_request(t, "PUT", source, HUGE_BYTES), r);
    assert_answer(r, 413);
    assert_string_equal(r->body, "too large");
    assert_int_equal(source->finished, 1);
}

static void test_413_and_close(void **state)
{
    early_413(*state, play_413_and_close);
}

static void test_413_and_reset(void **state)
{
    early_413(*state, play_413_and_reset);
}

static void test_413_gated_reset(void **state)
{
    early_413(*state, play_413_gated_reset);
}

static void play_answer_after_fin(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    uint64_t *count = user;
    if (peer_read_head(conn)) {
        peer_answer(conn, 200, "Connection: close\r\n", "answered");
        peer_half_close(conn);
        peer_read_end(conn, count);
    }
}

static void test_half_close(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    uint64_t *count = tester_alloc(t, sizeof *count);
    tester_peer(t, play_answer_after_fin, count);
    struct source *source = source_new(t, HUGE_BYTES);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, HUGE_BYTES));
    assert_answer(r, 200);
    assert_string_equal(r->body, "answered");
}

/* The peer looks for the end of the client's direction before it answers. */
static void play_look_for_fin(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    bool *saw_end = user;
    if (peer_read_request(conn)) {
        *saw_end = peer_saw_end(conn, 100);
        peer_answer(conn, 200, "", "fine");
    }
    peer_read_request(conn);
}

static void test_no_half_close_by_us(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    bool *saw_end = tester_alloc(t, sizeof *saw_end);
    tester_peer(t, play_look_for_fin, saw_end);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_copy(request, "x", 1));
    assert_answer(tester_perform(t, request), 200);
    assert_false(*saw_end);
}

static void play_reset_in_upload(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 100000)) {
        peer_reset(conn);
    }
}

static void test_reset_in_upload(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_reset_in_upload, NULL);
    struct source *source = source_new(t, HUGE_BYTES);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, HUGE_BYTES));
    assert_int_equal(r->done_count, 1);
    assert_true(r->code == -ECONNRESET || r->code == -EPIPE || r->code == AIODUCT_E_CLOSED);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_int_equal(source->finished, 1);
    assert_int_equal(peer_connections(t->peer), 1);
}

/* ---- C63 ---- */

/* A reset behind an orderly end is what raises SIGPIPE, if the client goes on sending: it does,
 * since it holds back and has not seen either. */
static void play_end_and_reset(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 100000)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        if (peer_wait_gate(conn, GO)) {
            peer_half_close(conn);
            peer_reset(conn);
            peer_open(peer_of(conn), DONE);
        }
    }
}

static void on_pause_at_head(struct result *r, struct aioduct_exchange *exchange, char event)
{
    if (event == 'H') {
        aioduct_exchange_pause(exchange);
        peer_open(r->tester->peer, GO);
    }
}

static bool is_reset(void *user)
{
    return peer_is_open(user, DONE);
}

static void test_no_sigpipe(void **state)
{
    struct tester *t = *state;
    struct sigaction before, after;
    signal(SIGPIPE, SIG_DFL); /* one SIGPIPE would end this process */
    assert_int_equal(sigaction(SIGPIPE, NULL, &before), 0);
    tester_client(t);
    tester_peer(t, play_end_and_reset, NULL);
    struct source *source = source_new(t, HUGE_BYTES);
    struct result *r = tester_result(t);
    r->on_event = on_pause_at_head;
    tester_submit_into(t, source_request(t, "PUT", source, HUGE_BYTES), r);
    tester_turn_until(t, is_reset, t->peer);
    for (int i = 0; i < 10; i++) {
        tester_turn(t, 5);
    }
    if (r->exchange != NULL) {
        aioduct_exchange_resume(r->exchange);
    }
    tester_run(t);
    assert_int_equal(r->done_count, 1);
    assert_true(r->code == -ECONNRESET || r->code == -EPIPE || r->code == AIODUCT_E_TRUNCATED);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_int_equal(source->finished, 1);
    tester_destroy(t);
    assert_int_equal(sigaction(SIGPIPE, NULL, &after), 0);
    assert_ptr_equal(after.sa_handler, before.sa_handler);
}

/* The system tells a reset once: to the sender here, and the reader sees an end. */
static void play_cut_short(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 500) &&
        peer_send(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart") &&
        peer_wait_gate(conn, GO)) {
        peer_reset(conn);
    }
}

static void on_part(struct result *r, struct aioduct_exchange *exchange, char event)
{
    if (event == 'B') {
        peer_open(r->tester->peer, GO);
        assert_int_equal(peer_wait_ended(r->tester->peer, 1), 1);
        assert_code(0, aioduct_exchange_body_ready(exchange));
    }
}

static void test_reset_told_to_the_sender(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_cut_short, NULL);
    struct source *source = source_new(t, 1000);
    source->wait_at = 500;
    source->piecewise = true;
    struct result *r = tester_result(t);
    r->on_event = on_part;
    tester_submit_into(t, source_request(t, "POST", source, 1000), r);
    tester_run(t);
    assert_error(r, -ECONNRESET, AIODUCT_PHASE_BODY);
    assert_string_equal(r->body, "part");
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C14: an answer in the middle of the upload ends the upload",
                   test_answer_in_upload),
        HTTP_CASES("C14: an early answer does not start the read gap while the upload goes on",
                   test_no_read_gap_in_upload),
        HTTP_CASES("C14: an upload behind an early answer has its write gap",
                   test_write_gap_in_early_answer),
        HTTP_CASE("the read gap runs from the request's end", test_silence_after_upload),
        HTTP_CASES("C14: a refusal stops a long upload, and its source is told once",
                   test_refusal_stops_upload),
        HTTP_CASES("C14: a short rest of the request is sent, and the connection kept",
                   test_short_rest_is_sent),
        HTTP_CASE("C14: a short rest behind a refusal is sent too", test_short_rest_of_a_refused),
        HTTP_CASE("C14: a rest over drain_bytes_max is not sent", test_long_rest_is_not),
        HTTP_CASES("C15: an early 413 is delivered", test_413_and_close),
        HTTP_CASES("C15: an early 413 followed by a reset is 413", test_413_and_reset),
        HTTP_CASES("C15: a 413 whose body comes with the reset is 413", test_413_gated_reset),
        HTTP_CASES("C23: an answer behind the server's half-close is read", test_half_close),
        HTTP_CASES("C23: the client's direction stays open behind a request",
                   test_no_half_close_by_us),
        HTTP_CASES("a reset in the middle of the upload fails and is not tried again",
                   test_reset_in_upload),
        HTTP_CASE("C15: a reset that the sender is told of is no end of a body",
                  test_reset_told_to_the_sender),
        HTTP_CASES("C63: a write to a reset connection raises no SIGPIPE", test_no_sigpipe),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
