/* SPDX-License-Identifier: MIT */
/* Expect: 100-continue, and requests that are made once more because of how they were sent. */
#include "source.h"

#include <string.h>

enum gate { HEAD, GO };

#define BODY_BYTES 100000
#define NEVER_MS 60000 /* longer than a case may take: the body goes by other reasons, or never */

static struct aioduct_request *expecting(struct tester *t, struct source *source, int64_t length)
{
    struct aioduct_request *request = source_request(t, "POST", source, length);
    assert_code(0, aioduct_request_expect_continue(request, 1));
    return request;
}

static bool at_gate_head(void *peer)
{
    return peer_is_open(peer, HEAD);
}

static void turn_a_little(struct tester *t)
{
    for (int i = 0; i < 5; i++) {
        tester_turn(t, 5);
    }
}

static void assert_expects(struct tester *t, int request, bool expected)
{
    char value[32] = "";
    assert_true(peer_requests(t->peer) > request);
    bool found = peer_request_field(peer_request(t->peer, request), "Expect", value, sizeof value);
    assert_int_equal(found, expected);
    assert_string_equal(value, expected ? "100-continue" : "");
}

/* ---- the body waits ---- */

static void play_continue(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const char *interim = user;
    while (peer_read_head(conn)) {
        peer_open(peer_of(conn), HEAD);
        if (!peer_wait_gate(conn, GO) || !peer_send(conn, interim) || !peer_read_body(conn)) {
            return;
        }
        peer_answer(conn, 200, "", "taken");
    }
}

static void body_waits(struct tester *t, const char *interim, int64_t length)
{
    t->options.expect_timeout_ms = NEVER_MS; /* by the 100, not by the timeout */
    tester_client(t);
    tester_peer(t, play_continue, (void *)(uintptr_t)interim);
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = tester_submit(t, expecting(t, source, length));
    tester_turn_until(t, at_gate_head, t->peer);
    turn_a_little(t);
    assert_int_equal(source->reads, 0);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_answer(r, 200);
    assert_expects(t, 0, true);
    assert_source_bytes(peer_request(t->peer, 1)->body, peer_request(t->peer, 1)->body_bytes,
                        BODY_BYTES);
    assert_int_equal(source->finished, 1);
    assert_string_equal(r->order + strlen(r->order) - 3, "HBD");
}

static void test_waits_for_100(void **state)
{
    struct tester *t = *state;
    body_waits(t, "HTTP/1.1 100 Continue\r\n\r\n", BODY_BYTES);
    /* The connection serves on. */
    struct result *next = tester_perform(t, source_request(t, "PUT", source_new(t, 10), 10));
    assert_answer(next, 200);
    assert_int_equal(next->info.reused, 1);
}

static void test_waits_chunked(void **state)
{
    body_waits(*state, "HTTP/1.1 100 Continue\r\n\r\n", AIODUCT_LENGTH_UNKNOWN);
}

static void test_other_interims(void **state)
{
    struct tester *t = *state;
    body_waits(t,
               "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
               "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
               BODY_BYTES);
}

static void play_hints_only(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_send(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")) {
        peer_hang(conn);
    }
}

static void open_head_gate(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'I') {
        peer_open(r->tester->peer, HEAD);
    }
}

static void test_103_is_no_100(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = NEVER_MS;
    tester_client(t);
    tester_peer(t, play_hints_only, NULL);
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = tester_result(t);
    r->on_event = open_head_gate;
    tester_submit_into(t, expecting(t, source, BODY_BYTES), r);
    tester_turn_until(t, at_gate_head, t->peer);
    turn_a_little(t);
    assert_int_equal(source->reads, 0);
    assert_code(0, aioduct_exchange_cancel(r->exchange));
    tester_run(t);
    assert_error(r, -ECANCELED, AIODUCT_PHASE_SEND);
    assert_int_equal(source->finished, 1);
}

/* ---- the wait has an end ---- */

static void play_plain(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "taken");
    }
}

static void test_timeout(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = 150;
    tester_client(t);
    tester_peer(t, play_plain, NULL);
    struct source *source = source_new(t, BODY_BYTES);
    uint64_t begin = test_now_ms();
    struct result *r = tester_perform(t, expecting(t, source, BODY_BYTES));
    uint64_t took = test_now_ms() - begin;
    assert_answer(r, 200);
    assert_true(took >= 150);
    assert_int_equal(r->interim_count, 0);
    assert_source_bytes(peer_request(t->peer, 0)->body, peer_request(t->peer, 0)->body_bytes,
                        BODY_BYTES);
}

static void play_silence(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn)) {
        peer_hang(conn);
    }
}

static void test_no_timeout(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = AIODUCT_NO_LIMIT;
    t->options.head_timeout_ms = 200;
    tester_client(t);
    tester_peer(t, play_silence, NULL);
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = tester_perform(t, expecting(t, source, BODY_BYTES));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_SEND);
    assert_non_null(strstr(r->error.message, "head_timeout_ms"));
    assert_int_equal(source->reads, 0);
    assert_int_equal(source->finished, 1);
}

static void play_413_in_the_body(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, 1000)) {
        peer_answer(conn, 413, "Connection: close\r\n", "too large");
        peer_half_close(conn);
        peer_read_end(conn, NULL);
    }
}

static void test_final_after_the_body_began(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = 20;
    tester_client(t);
    tester_peer(t, play_413_in_the_body, NULL);
    struct source *source = source_new(t, 512u << 20);
    struct result *r = tester_perform(t, expecting(t, source, 512u << 20));
    assert_answer(r, 413);
    assert_string_equal(r->body, "too large");
    assert_int_equal(source->finished, 1);
}

/* ---- a final answer instead ---- */

struct final {
    int status;
    unsigned wait_ms; /* for a 100, by the client */
    uint64_t begin_ms, head_ms;
};

static void play_final(struct peer_conn *conn, int index, void *user)
{
    const struct final *final = user;
    if (index > 0) {
        play_plain(conn, index, user);
        return;
    }
    if (peer_read_head(conn)) {
        peer_format(conn, "HTTP/1.1 %d Status\r\nContent-Length: 9\r\n\r\n", final->status);
        test_pause_ms(final->wait_ms + 50); /* the body would go now */
        peer_send(conn, "no thanks");
        peer_read_request(conn); /* bytes of a body would be a malformed request here */
    }
}

static void note_head(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'H') {
        ((struct final *)r->user)->head_ms = test_now_ms();
    }
}

/* The answer must be there before the client stops to wait for it. A busy machine may need more
 * than one try for that, each with more time. */
static struct result *try_final(struct tester *t, struct source *source, struct final *final)
{
    t->options.expect_timeout_ms = (int) final->wait_ms;
    tester_client(t);
    tester_peer(t, play_final, final);
    struct result *r = tester_result(t);
    r->on_event = note_head;
    r->user = final;
    final->begin_ms = test_now_ms();
    tester_perform_into(t, expecting(t, source, BODY_BYTES), r);
    return r;
}

static void final_answer(struct tester *t, int status)
{
    struct final *final = tester_alloc(t, sizeof *final);
    final->status = status;
    final->wait_ms = 100;
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = try_final(t, source, final);
    while (final->head_ms - final->begin_ms >= final->wait_ms && final->wait_ms < 10000) {
        tester_destroy(t);
        peer_stop(t->peer);
        t->peer = NULL;
        final->wait_ms *= 5;
        source = source_new(t, BODY_BYTES);
        r = try_final(t, source, final);
    }
    assert_answer(r, status);
    assert_string_equal(r->body, "no thanks");
    assert_int_equal(source->reads, 0);
    assert_int_equal(source->finished, 1);
    assert_int_equal(r->info.upload_bytes, 0);
    /* The server would take what comes next for the body: another connection. */
    assert_int_equal(tester_get(t, peer_url(t->peer, "/"))->info.reused, 0);
    assert_int_equal(peer_connections(t->peer), 2);
    assert_int_equal(peer_requests(t->peer), 2);
}

static void test_final_refusal(void **state)
{
    final_answer(*state, 403);
}

static void test_final_success(void **state)
{
    final_answer(*state, 200);
}

/* ---- 417 ---- */

static void play_417(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const bool *always = user;
    char value[32];
    while (peer_read_head(conn)) {
        if (*always || peer_request_field(peer_last_request(conn), "Expect", value, sizeof value)) {
            peer_answer(conn, 417, "", "I do not know this");
        } else if (peer_read_body(conn)) {
            peer_answer(conn, 200, "", "taken");
        }
    }
}

static void test_417(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = NEVER_MS;
    tester_client(t);
    tester_peer(t, play_417, tester_alloc(t, sizeof(bool)));
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = tester_perform(t, expecting(t, source, BODY_BYTES));
    assert_answer(r, 200);
    assert_string_equal(r->order, "HBD"); /* of the second answer alone */
    assert_string_equal(r->body, "taken");
    assert_int_equal(peer_requests(t->peer), 3); /* head; head, body */
    assert_expects(t, 0, true);
    assert_expects(t, 1, false);
    assert_source_bytes(peer_request(t->peer, 2)->body, peer_request(t->peer, 2)->body_bytes,
                        BODY_BYTES);
    assert_int_equal(source->finished, 1);
    assert_int_equal(source->rewinds, 0); /* nothing had been read */
}

static void test_417_twice(void **state)
{
    struct tester *t = *state;
    bool *always = tester_alloc(t, sizeof *always);
    *always = true;
    t->options.expect_timeout_ms = NEVER_MS;
    tester_client(t);
    tester_peer(t, play_417, always);
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = tester_perform(t, expecting(t, source, BODY_BYTES));
    assert_answer(r, 417);
    assert_string_equal(r->body, "I do not know this");
    assert_int_equal(source->finished, 1);
    assert_expects(t, 0, true);
    assert_expects(t, 1, false);
    assert_int_equal(peer_connections(t->peer), 2);
}

static void play_late_417(struct peer_conn *conn, int index, void *user)
{
    if (index == 0 && peer_read_request(conn)) {
        peer_answer(conn, 417, "", "too late");
    }
    play_plain(conn, index, user);
}

static struct result *late_417(struct tester *t, struct source *source, bool once)
{
    t->options.expect_timeout_ms = 20;
    tester_client(t);
    tester_peer(t, play_late_417, NULL);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/up"));
    source_attach(request, source, BODY_BYTES, once);
    assert_code(0, aioduct_request_expect_continue(request, 1));
    return tester_perform(t, request);
}

static void test_417_after_the_body(void **state)
{
    struct tester *t = *state;
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = late_417(t, source, false);
    assert_answer(r, 200);
    assert_int_equal(source->rewinds, 1);
    assert_int_equal(source->finished, 1);
    assert_int_equal(peer_connections(t->peer), 1); /* all was sent: the connection is kept */
    assert_source_bytes(peer_request(t->peer, 1)->body, peer_request(t->peer, 1)->body_bytes,
                        BODY_BYTES);
}

static void test_417_one_shot(void **state)
{
    struct tester *t = *state;
    struct source *source = source_new(t, BODY_BYTES);
    struct result *r = late_417(t, source, true);
    assert_answer(r, 417);
    assert_string_equal(r->body, "too late");
    assert_int_equal(source->finished, 1);
    assert_int_equal(peer_requests(t->peer), 1);
}

/* ---- when it is said ---- */

static void test_field(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = 1;
    tester_client(t);
    tester_peer(t, play_plain, NULL);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(-EINVAL, aioduct_request_header_add(request, "Expect", "a miracle"));
    assert_code(-EINVAL, aioduct_request_expect_continue(request, 2));
    assert_code(0, aioduct_request_header_add(request, "expect", "100-Continue"));
    assert_answer(tester_perform(t, request), 200);
    assert_expects(t, 0, false); /* there is no body */
    struct aioduct_request *empty = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_add(empty, "Expect", "100-continue"));
    assert_code(0, aioduct_request_body_copy(empty, "", 0));
    assert_answer(tester_perform(t, empty), 200);
    assert_expects(t, 1, false);
    struct aioduct_request *full = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_add(full, "Expect", "100-continue"));
    assert_code(0, aioduct_request_body_copy(full, "x", 1));
    assert_answer(tester_perform(t, full), 200);
    assert_expects(t, 2, true);
    assert_code(-EBUSY, aioduct_request_expect_continue(full, 0));
    struct aioduct_request *removed = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_add(removed, "Expect", "100-continue"));
    assert_code(0, aioduct_request_header_remove(removed, "Expect"));
    assert_code(0, aioduct_request_body_copy(removed, "x", 1));
    assert_answer(tester_perform(t, removed), 200);
    assert_expects(t, 3, false);
}

/* ---- 421 ---- */

static void play_421(struct peer_conn *conn, int index, void *user)
{
    const int *good_connection = user;
    while (peer_read_request(conn)) {
        bool good = index >= *good_connection;
        peer_answer(conn, good ? 200 : 421, "", good ? "here" : "not here");
    }
}

static void test_421(void **state)
{
    struct tester *t = *state;
    int *good = tester_alloc(t, sizeof *good);
    *good = 1;
    tester_client(t);
    tester_peer(t, play_421, good);
    struct source *source = source_new(t, 1000);
    struct result *r = tester_perform(t, source_request(t, "POST", source, 1000));
    assert_answer(r, 200);
    assert_string_equal(r->order, "HBD");
    assert_int_equal(r->info.reused, 0);
    assert_int_equal(source->rewinds, 1);
    assert_int_equal(source->finished, 1);
    assert_int_equal(peer_connections(t->peer), 2);
    assert_int_equal(peer_requests(t->peer), 2);
}

static void test_421_twice(void **state)
{
    struct tester *t = *state;
    int *good = tester_alloc(t, sizeof *good);
    *good = 2;
    tester_client(t);
    tester_peer(t, play_421, good);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 421);
    assert_string_equal(r->body, "not here");
    assert_int_equal(peer_connections(t->peer), 2);
    assert_int_equal(peer_requests(t->peer), 2);
}

/* ---- a real server ---- */

static void test_nginx_takes(void **state)
{
    struct tester *t = *state;
    if (t->nginx == NULL) {
        tap_skip("nginx is not installed");
    }
    t->options.expect_timeout_ms = NEVER_MS; /* nginx says 100, or this takes too long */
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "PUT", tester_url(t, "/upload/expected"));
    source_attach(request, source_new(t, BODY_BYTES), BODY_BYTES, false);
    assert_code(0, aioduct_request_expect_continue(request, 1));
    struct result *r = tester_perform(t, request);
    assert_true(r->code == 0 && (r->status == 201 || r->status == 204));
    assert_int_equal(r->interims[0], 100);
}

static void test_nginx_refuses(void **state)
{
    struct tester *t = *state;
    if (t->nginx == NULL) {
        tap_skip("nginx is not installed");
    }
    t->options.expect_timeout_ms = NEVER_MS;
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "POST", tester_url(t, "/limited"));
    struct source *source = source_new(t, 1u << 30);
    source_attach(request, source, 1u << 30, false);
    assert_code(0, aioduct_request_expect_continue(request, 1));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 413);
    assert_int_equal(source->reads, 0);
    assert_int_equal(source->finished, 1);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C21: the body waits for the 100", test_waits_for_100),
        HTTP_CASE("C21: a chunked body waits for the 100", test_waits_chunked),
        HTTP_CASE("C21: other interim answers, and a second 100, change nothing",
                  test_other_interims),
        HTTP_CASE("C21: a 103 is no 100", test_103_is_no_100),
        HTTP_CASES("C21: the body goes when expect_timeout_ms has passed", test_timeout),
        HTTP_CASE("C21: without that timeout head_timeout_ms bounds the wait", test_no_timeout),
        HTTP_CASES("C21: a final answer after the body began is taken",
                   test_final_after_the_body_began),
        HTTP_CASES("C21: no body goes after a final refusal", test_final_refusal),
        HTTP_CASE("C21: no body goes after a final success", test_final_success),
        HTTP_CASES("C21: after a 417 the request is made once more without Expect", test_417),
        HTTP_CASE("C21: a second 417 is the answer", test_417_twice),
        HTTP_CASE("C21: a 417 after the body sends the body again", test_417_after_the_body),
        HTTP_CASE("C21: a 417 is the answer if the body cannot be sent again", test_417_one_shot),
        HTTP_CASE("C21: Expect is said with a body, and is the caller's to set and remove",
                  test_field),
        HTTP_CASES("C31: a 421 is asked again on a fresh connection", test_421),
        HTTP_CASE("C31: a second 421 is the answer", test_421_twice),
        HTTP_CASES("C21: nginx says 100 and takes the body", test_nginx_takes),
        HTTP_CASES("C21: nginx refuses before the body", test_nginx_refuses),
    };
    return TAP_RUN(cases, suite_begin_nginx, suite_end);
}
