/* SPDX-License-Identifier: MIT */
/* Upgrade and CONNECT: connections that HTTP leaves. */
#include "raw.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>

enum gate { GO, ENDED };

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"

static struct aioduct_request *upgrade(struct tester *t)
{
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/chat"));
    assert_code(0, aioduct_request_upgrade(request, "echo"));
    return request;
}

static struct aioduct_request *pushed_upgrade(struct tester *t)
{
    struct aioduct_request *request = upgrade(t);
    assert_code(0, aioduct_request_body_push(request, AIODUCT_LENGTH_UNKNOWN));
    return request;
}

/* ---- both ways ---- */

/* Gives four-byte words back, until "stop"; then waits for the client's end. */
static void play_echo(struct peer_conn *conn, int index, void *user)
{
    const char *answer = user;
    char word[5] = "";
    (void)index;
    if (!peer_read_request(conn) || !peer_send(conn, answer)) {
        return;
    }
    while (peer_read_bytes(conn, word, 4)) {
        if (strcmp(word, "stop") == 0) {
            break;
        }
        if (!peer_send(conn, word)) {
            return;
        }
    }
    if (peer_read_end(conn, NULL) == 0) {
        peer_open(peer_of(conn), ENDED);
    }
}

static void echo(struct tester *t, struct aioduct_request *request, int status)
{
    struct raw *r = raw_submit(t, request);
    raw_wait_head(r);
    assert_int_equal(r->status, status);
    raw_push(r, "five");
    raw_wait_text(r, "five");
    assert_string_equal(r->text, "firstfive"); /* what lay behind the head came first */
    raw_push(r, "stop");
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HBED");
    assert_int_equal(r->end_count, 1);
    assert_true(peer_wait_open(t->peer, ENDED)); /* our end was an end, not a reset */
}

static void test_upgrade(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "";
    tester_client(t);
    tester_peer(t, play_echo, (void *)(uintptr_t)(SWITCHING "first"));
    struct aioduct_request *request = pushed_upgrade(t);
    assert_code(0, aioduct_request_header_remove(request, "Accept"));
    echo(t, request, 101);
    char *expected = test_format("GET /chat HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: echo\r\n"
                                 "Connection: upgrade\r\n\r\n",
                                 peer_port(t->peer));
    int same = strcmp(peer_request(t->peer, 0)->head, expected);
    free(expected);
    assert_int_equal(same, 0);
    /* C1: a 101 that nobody asked for. And what was upgraded is not used again. */
    struct result *next = tester_get(t, peer_url(t->peer, "/"));
    assert_error(next, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    assert_int_equal(peer_connections(t->peer), 2);
}

static void test_connect(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "";
    tester_client(t);
    /* C2: neither field means a body. */
    tester_peer(t, play_echo,
                (void *)(uintptr_t)("HTTP/1.1 200 Connected\r\nContent-Length: 3\r\n"
                                    "Transfer-Encoding: chunked\r\n\r\nfirst"));
    struct aioduct_request *request = tester_request(t, "CONNECT", peer_url(t->peer, "/ignored"));
    assert_code(0, aioduct_request_header_remove(request, "Accept"));
    assert_code(0, aioduct_request_tunnel(request, "Example.org:80"));
    assert_code(0, aioduct_request_body_push(request, AIODUCT_LENGTH_UNKNOWN));
    echo(t, request, 200);
    assert_string_equal(peer_request(t->peer, 0)->head,
                        "CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\n\r\n");
}

static void play_pieces(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_send_pieces(conn, SWITCHING "first", sizeof SWITCHING "first" - 1, 1);
        peer_close(conn);
    }
}

static void test_in_pieces(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_pieces, NULL);
    struct raw *r = raw_submit(t, upgrade(t));
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->text, "first");
    assert_string_equal(r->order, "HBED");
}

/* ---- what goes out ---- */

static void play_take(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    char *bytes = user;
    if (peer_read_request(conn) && peer_wait_gate(conn, GO) && peer_send(conn, SWITCHING) &&
        peer_read_bytes(conn, bytes, 300000)) {
        peer_read_end(conn, NULL);
    }
}

static void test_pull(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    char *bytes = tester_alloc(t, 300000);
    tester_peer(t, play_take, bytes);
    struct source *source = source_new(t, 300000);
    struct aioduct_request *request = upgrade(t);
    source_attach(request, source, AIODUCT_LENGTH_UNKNOWN, false);
    assert_code(0, aioduct_request_expect_continue(request, 1)); /* there is no body to wait with */
    struct raw *r = raw_submit(t, request);
    while (peer_requests(t->peer) == 0) {
        tester_turn_a_little(t);
    }
    assert_int_equal(source->reads, 0); /* not before the 101 */
    peer_open(t->peer, GO);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_int_equal(source->finished, 1);
    assert_source_bytes(bytes, 300000, 300000);
    assert_null(strstr(peer_request(t->peer, 0)->head, "Transfer-Encoding"));
    assert_null(strstr(peer_request(t->peer, 0)->head, "Expect"));
}

static void play_ordinary(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 407, "", "who are you?");
    }
}

static void ordinary(struct tester *t, struct aioduct_request *request)
{
    struct source *source = source_new(t, 1000);
    source_attach(request, source, AIODUCT_LENGTH_UNKNOWN, false);
    struct result *r = tester_perform(t, request);
    assert_answer(r, 407);
    assert_string_equal(r->body, "who are you?");
    assert_string_equal(r->order, "HBD");
    assert_int_equal(source->reads, 0);
    assert_int_equal(source->finished, 1);
    /* An upgrade never offers HTTP/2, and requests that offer other versions share nothing. */
    struct aioduct_request *next = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_version(next, AIODUCT_HTTP_1_1));
    assert_int_equal(tester_perform(t, next)->info.reused, 1);
}

static void test_upgrade_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_ordinary, NULL);
    ordinary(t, upgrade(t));
}

static void test_connect_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_ordinary, NULL);
    struct aioduct_request *request = tester_request(t, "CONNECT", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_tunnel(request, "[::1]:443"));
    ordinary(t, request);
    assert_true(strncmp(peer_request(t->peer, 0)->head,
                        "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n", 45) == 0);
}

/* ---- ends ---- */

static void play_peer_ends(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    char *bytes = user;
    if (peer_read_request(conn) && peer_send(conn, SWITCHING "bye")) {
        peer_half_close(conn);
        if (peer_read_bytes(conn, bytes, 4) && peer_read_end(conn, NULL) == 0) {
            peer_open(peer_of(conn), ENDED);
        }
    }
}

static void test_peer_ends_first(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    char *bytes = tester_alloc(t, 5);
    tester_peer(t, play_peer_ends, bytes);
    struct raw *r = raw_submit(t, pushed_upgrade(t));
    raw_wait_end(r);
    tester_turn_a_little(t);
    assert_false(raw_is_done(r)); /* our direction is open */
    raw_push(r, "more");
    tester_turn_a_little(t);
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HBED");
    assert_true(peer_wait_open(t->peer, ENDED));
    assert_string_equal(bytes, "more");
}

static void test_peer_ends_tls(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_peer_ends, tester_alloc(t, 5));
    struct raw *r = raw_submit(t, pushed_upgrade(t));
    tester_run(t); /* close_notify ends both */
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HBED");
}

static void play_cut(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const bool *reset = user;
    if (peer_read_request(conn) && peer_send(conn, SWITCHING "bye") && peer_wait_gate(conn, GO)) {
        if (*reset) {
            peer_reset(conn);
        } else {
            peer_cut(conn);
        }
    }
}

static struct raw *cut(struct tester *t, bool with_reset)
{
    bool *reset = tester_alloc(t, sizeof *reset);
    *reset = with_reset;
    tester_client(t);
    tester_peer(t, play_cut, reset);
    struct raw *r = raw_submit(t, pushed_upgrade(t));
    raw_wait_head(r);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_string_equal(r->text, "bye");
    assert_int_equal(r->end_count, 0);
    assert_int_equal(r->error.phase, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
    assert_int_equal(r->error.safe_to_retry, 0);
    return r;
}

static void test_reset(void **state)
{
    assert_code(-ECONNRESET, cut(*state, true)->error.code);
}

/* The answer lies there before the request goes out, and the way out is gone: nothing is sent
 * behind the 101, and what came is delivered. */
static void play_before_asked(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn) && peer_answer(conn, 200, "", "") && peer_wait_gate(conn, GO) &&
        peer_send(conn, SWITCHING "early")) {
        peer_reset(conn);
    }
}

static void on_first_event(struct result *first, struct aioduct_exchange *exchange, char event)
{
    struct tester *t = first->tester;
    (void)exchange;
    if (event == 'D') {
        peer_open(t->peer, GO);
        assert_int_equal(peer_wait_ended(t->peer, 1), 1);
        raw_submit_into(pushed_upgrade(t), first->user);
    }
}

static void test_answered_and_reset_before(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_before_asked, NULL);
    struct raw *r = raw_new(t);
    struct result *first = tester_result(t);
    first->on_event = on_first_event;
    first->user = r;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), first);
    tester_run(t);
    assert_answer(first, 200);
    assert_int_equal(r->done_count, 1);
    assert_code(-ECONNRESET, r->error.code);
}

static void test_cut_tls(void **state)
{
    assert_code(AIODUCT_E_TRUNCATED, cut(*state, false)->error.code);
}

static void cancelled(struct tester *t, bool at_head)
{
    tester_client(t);
    tester_peer(t, play_echo, (void *)(uintptr_t)(SWITCHING "first"));
    struct raw *r = raw_new(t);
    r->cancel_at_head = at_head;
    raw_submit_into(pushed_upgrade(t), r);
    if (at_head) {
        raw_wait_done(r);
    } else {
        raw_wait_text(r, "first");
        aioduct_exchange_cancel(r->exchange);
    }
    tester_run(t);
    assert_code(-ECANCELED, r->error.code);
    assert_string_equal(r->order, at_head ? "HD" : "HBD");
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
}

static void test_cancel(void **state)
{
    cancelled(*state, false);
}

static void test_cancel_at_head(void **state)
{
    cancelled(*state, true);
}

static void test_destroy(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_echo, (void *)(uintptr_t)(SWITCHING "first"));
    struct raw *r = raw_submit(t, pushed_upgrade(t));
    raw_wait_head(r);
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->error.code);
    assert_int_equal(r->done_count, 1);
}

/* ---- holding back ---- */

#define FLOOD_BYTES (4u << 20)

static void play_flood(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const char *bytes = user;
    if (peer_read_request(conn) && peer_send(conn, SWITCHING)) {
        peer_send_bytes(conn, bytes, FLOOD_BYTES);
    }
}

static void test_window(void **state)
{
    struct tester *t = *state;
    char *bytes = tester_alloc(t, FLOOD_BYTES), wanted[65];
    test_fill(bytes, FLOOD_BYTES, 0);
    test_hash_bytes(bytes, FLOOD_BYTES, wanted);
    t->options.window_bytes = 65536;
    t->options.read_gap_timeout_ms = 50;
    tester_client(t);
    tester_peer(t, play_flood, bytes);
    struct raw *r = raw_new(t);
    r->hold = r->hash_bytes = r->pause_at_head = true;
    raw_submit_into(upgrade(t), r);
    raw_wait_head(r);
    tester_turn_a_little(t);
    raw_assert_order(r, "H");
    aioduct_exchange_resume(r->exchange);
    while (!raw_is_done(r)) {
        tester_turn_a_little(t);
        assert_true(raw_release(r) <= 65536);
    }
    assert_code(0, r->error.code);
    assert_int_equal(r->bytes, FLOOD_BYTES);
    assert_string_equal(r->sha256, wanted);
    assert_string_equal(r->order, "HBED");
}

static void play_end_behind_head(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_send(conn, SWITCHING);
        peer_close(conn);
    }
}

static void test_paused_end(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_end_behind_head, NULL);
    struct raw *r = raw_new(t);
    r->pause_at_head = true;
    raw_submit_into(upgrade(t), r);
    raw_wait_head(r);
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
    tester_turn_a_little(t);
    raw_assert_order(r, "H");
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HED");
}

static void test_silence(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = t->options.head_timeout_ms = 100;
    t->options.write_gap_timeout_ms = 100;
    tester_client(t);
    tester_peer(t, play_echo, (void *)(uintptr_t)(SWITCHING "first"));
    struct raw *r = raw_submit(t, pushed_upgrade(t));
    raw_wait_head(r);
    uint64_t begin = test_now_ms();
    while (test_now_ms() - begin < 300) {
        tester_turn(t, 20);
    }
    assert_false(raw_is_done(r));
    raw_push(r, "five");
    raw_wait_text(r, "five");
    raw_push(r, "stop");
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
}

static void play_late(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn) && peer_send(conn, SWITCHING)) {
        test_pause_ms(300);
        peer_send(conn, "late");
        peer_close(conn);
    }
}

static void test_silence_without_body(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = t->options.head_timeout_ms = 100;
    tester_client(t);
    tester_peer(t, play_late, NULL);
    struct raw *r = raw_submit(t, upgrade(t));
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->text, "late");
}

/* ---- what is refused ---- */

static void test_setters(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct aioduct_request *get = tester_request(t, "GET", "http://localhost:1/");
    static const char *const bad_names[] = {"", " ", "h2c", "websocket, H2C", "a\r\nb"};
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        assert_code(-EINVAL, aioduct_request_upgrade(get, bad_names[i]));
    }
    assert_code(-EINVAL, aioduct_request_tunnel(get, "a:1"));
    struct aioduct_request *connect = tester_request(t, "CONNECT", "http://localhost:1/");
    static const char *const bad_targets[] = {"",    "a",     "a:",    "a:x",   "a:70000", ":80",
                                              "::1", "a/b:1", "u@a:1", "[::1]", "a b:1"};
    for (size_t i = 0; i < sizeof bad_targets / sizeof bad_targets[0]; i++) {
        assert_code(-EINVAL, aioduct_request_tunnel(connect, bad_targets[i]));
    }
    assert_code(-EINVAL, aioduct_request_upgrade(connect, "websocket"));
    struct aioduct_callbacks none = {.size = sizeof none};
    /* CONNECT without a target; raw bytes with a length or trailers. */
    assert_code(-EINVAL, aioduct_client_submit(t->client, connect, &none, NULL, NULL));
    assert_code(0, aioduct_request_upgrade(get, "websocket"));
    assert_code(0, aioduct_request_trailer_add(get, "X", "y"));
    assert_code(-EINVAL, aioduct_client_submit(t->client, get, &none, NULL, NULL));
    /* As HTTP/2 asks, which is not by Upgrade in clear text either. */
    struct aioduct_request *h2 = tester_request(t, "GET", "http://localhost:1/");
    assert_code(0, aioduct_request_upgrade(h2, "websocket"));
    assert_code(0, aioduct_request_version(h2, AIODUCT_HTTP_2));
    assert_code(AIODUCT_E_UNSUPPORTED, aioduct_client_submit(t->client, h2, &none, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASE("C74: behind a 101 bytes go both ways, those behind the head first",
                  test_upgrade),
        HTTPS_CASE("C125: upgrade over TLS", test_upgrade),
        HTTP_CASE("C2, C74: behind 2xx to CONNECT bytes go both ways", test_connect),
        HTTPS_CASE("C125: CONNECT over TLS", test_connect),
        HTTP_CASES("C74: a 101 in pieces", test_in_pieces),
        HTTP_CASES("C74: a source's bytes go out unframed, and not before the 101", test_pull),
        HTTP_CASES("C74: another answer to an Upgrade is an ordinary one", test_upgrade_refused),
        HTTP_CASES("C74: another answer to CONNECT is an ordinary one", test_connect_refused),
        HTTP_CASE("C74: the peer's end leaves our direction open", test_peer_ends_first),
        HTTPS_CASE("C125: the peer's close_notify ends both directions", test_peer_ends_tls),
        HTTP_CASES("C74: a reset behind the 101 is an error", test_reset),
        HTTP_CASE("C74: a 101 and a reset before the request went out",
                  test_answered_and_reset_before),
        HTTPS_CASE("C125: an end without close_notify is an error", test_cut_tls),
        HTTP_CASES("C74: cancel closes", test_cancel),
        HTTP_CASES("C74: cancel at the 101 closes", test_cancel_at_head),
        HTTP_CASES("C74: destroy closes", test_destroy),
        HTTP_CASES("C74: raw bytes keep to the window", test_window),
        HTTP_CASES("C74: an end behind the 101 waits for the caller", test_paused_end),
        HTTP_CASE("C74: silence is not timed behind a 101", test_silence),
        HTTP_CASE("C74: nor is it for those who only receive", test_silence_without_body),
        HTTP_CASE("C17, C74: what cannot be asked for is refused", test_setters),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
