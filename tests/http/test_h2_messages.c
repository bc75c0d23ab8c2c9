/* SPDX-License-Identifier: MIT */
/* HTTP/2 with a server that follows a script: messages, and which connection carries them. */
#include "h2peer.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum gate { GO };

#define OK(id) "< HEADERS " #id " end | :status: 200\n"

/* A client that speaks HTTP/2 either way. */
static void client(struct tester *t)
{
    t->options.version = t->tls ? AIODUCT_HTTP_2 : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    tester_client(t);
}

static struct aioduct_request *request(struct tester *t, const char *method)
{
    return tester_request(t, method, peer_url(t->peer, "/"));
}

static struct result *submit(struct tester *t, const char *method)
{
    return tester_submit(t, request(t, method));
}

static struct result *get(struct tester *t)
{
    return tester_perform(t, request(t, "GET"));
}

static bool has_head(void *result)
{
    return ((struct result *)result)->status != 0;
}

static void turn_for(struct tester *t, unsigned ms)
{
    for (uint64_t until = test_now_ms() + ms; test_now_ms() < until;) {
        assert_true(aioduct_client_turn(t->client, 5) >= 0);
    }
}

/* ---- heads and bodies ---- */

static void test_wire(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "test/1";
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\nserve\n");
    struct aioduct_request *q = tester_request(t, "POST", peer_url(t->peer, "/a?b=c"));
    char *authority = test_format("localhost:%d", peer_port(t->peer));
    assert_code(0, aioduct_request_header_add(q, "Host", authority));
    assert_code(0, aioduct_request_header_add(q, "X-Mixed", "Value"));
    assert_code(0, aioduct_request_header_add(q, "Connection", "close, te"));
    assert_code(0, aioduct_request_header_add(q, "Keep-Alive", "timeout=5"));
    assert_code(0, aioduct_request_header_add(q, "Proxy-Connection", "keep-alive"));
    assert_code(0, aioduct_request_header_add(q, "HTTP2-Settings", "AAMAAABkAAQAAP__"));
    assert_code(0, aioduct_request_header_add(q, "Transfer-Encoding", "chunked"));
    assert_code(0, aioduct_request_header_add(q, "TE", "gzip, Trailers"));
    assert_code(0, aioduct_request_header_add(q, "Cookie", "a=b"));
    assert_code(0, aioduct_request_trailer_add(q, "X-Sum", "42"));
    assert_code(0, aioduct_request_body_copy(q, "hello", 5));
    assert_answer(tester_perform(t, q), 200);
    assert_int_equal(get(t)->info.reused, 0); /* Connection: close was heeded all the same */
    char *wanted = test_format("HEADERS 1 | :method: POST | :scheme: %s | :authority: %s"
                               " | :path: /a?b=c | accept: */* | trailer: x-sum | x-mixed: Value"
                               " | te: trailers | cookie: a=b | user-agent: test/1\n",
                               t->tls ? "https" : "http", authority);
    free(authority);
    const char *log = h2peer_log(h2, 0);
    print_message("%s", log);
    bool found = strstr(log, wanted) != NULL;
    free(wanted);
    assert_true(found);
    assert_non_null(strstr(log, "DATA 1 5 hello\nHEADERS 1 end | x-sum: 42\n"));
}

static void test_wire_of_a_length(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "";
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\nserve\n");
    struct aioduct_request *q = request(t, "PUT");
    assert_code(0, aioduct_request_authority(q, "Other.example:99"));
    assert_code(0, aioduct_request_header_add(q, "Content-Length", "5"));
    assert_code(0, aioduct_request_header_add(q, "TE", "gzip"));
    assert_code(0, aioduct_request_header_set(q, "Accept", ""));
    assert_code(0, aioduct_request_header_add(q, "Cookie", "a=b; c=d"));
    assert_code(0, aioduct_request_body_copy(q, "hello", 5));
    assert_answer(tester_perform(t, q), 200);
    const char *log = h2peer_log(h2, 0);
    print_message("%s", log);
    assert_non_null(strstr(log, "HEADERS 1 | :method: PUT | :scheme: http | :authority: "
                                "other.example:99 | :path: / | content-length: 5"
                                " | cookie: a=b; c=d\n"));
}

static void test_push(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< PUSH_PROMISE 1 2 | :method: GET\n");
    assert_int_equal(get(t)->code, AIODUCT_E_PROTOCOL);
    assert_int_equal(h2peer_wait(h2, 0, "GOAWAY 0 1", 1), 1);
    assert_non_null(strstr(h2peer_log(h2, 0), "SETTINGS 2=0 "));
}

static void test_interim(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 103 | link: x\n"
                     "< HEADERS 1 | :status: 200 | a: b\n< DATA 1 hello\n"
                     "< HEADERS 1 end | x-sum: 1\n"
                     "? HEADERS 3\n< HEADERS 3 | :status: 101\n");
    struct result *r = get(t);
    assert_answer(r, 200);
    assert_string_equal(r->order, "IHBTD");
    assert_int_equal(r->interims[0], 103);
    assert_string_equal(r->trailers, "x-sum: 1\n");
    assert_error(get(t), AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
}

static void test_expect(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = 5000;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< PING 01234567\n? PING ack\n"
                         "open 0\n< HEADERS 1 | :status: 100\n? DATA 1 end\n" OK(
                             1) "? HEADERS 3\n< HEADERS 3 end | :status: 417\nserve\n");
    for (int i = 0; i < 2; i++) {
        struct aioduct_request *q = request(t, "PUT");
        assert_code(0, aioduct_request_expect_continue(q, 1));
        assert_code(0, aioduct_request_body_copy(q, "hello", 5));
        assert_answer(tester_perform(t, q), 200);
    }
    const char *log = h2peer_log(h2, 0);
    print_message("%s", log);
    const char *first_data = strstr(log, "DATA 1 ");
    assert_non_null(first_data);
    assert_true(strstr(log, "PING ack") < first_data); /* not before the 100 */
    assert_int_equal(h2peer_count(h2, 0, "DATA 3"), 0);
    assert_int_equal(h2peer_count(h2, 0, "DATA 5 end 5 hello"), 1); /* without Expect */
}

/* Trailers never overtake a body that the caller holds back. */
static void test_trailers_behind_pause(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\ngate 0\n"
                     "< DATA 1 hello\n< HEADERS 1 end | x-sum: 1\n");
    struct result *r = submit(t, "GET");
    tester_turn_until(t, has_head, r);
    assert_code(0, aioduct_exchange_pause(r->exchange));
    peer_open(t->peer, GO);
    turn_for(t, 50);
    assert_string_equal(r->order, "H");
    assert_code(0, aioduct_exchange_resume(r->exchange));
    tester_run(t);
    assert_answer(r, 200);
    assert_string_equal(r->order, "HBTD");
    assert_string_equal(r->trailers, "x-sum: 1\n");
}

static void test_trailers_at_full_window(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = 65536;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n"
                     "< REPEAT 4 DATA 1 size=16384\n< HEADERS 1 end | x-sum: 1\n");
    struct result *r = tester_result(t);
    r->hold_body = true;
    tester_perform_into(t, request(t, "GET"), r);
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, 65536);
    assert_string_equal(r->trailers, "x-sum: 1\n");
}

/* ---- an answer that breaks off while the caller has paused ---- */

static void on_body_pause(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)r;
    if (event == 'B') {
        aioduct_exchange_pause(exchange);
    }
}

static bool has_body(void *result)
{
    return ((struct result *)result)->body_bytes > 0;
}

/* The first slice is delivered, the next ones wait; then comes @end. */
static struct result *broken_while_paused(struct tester *t, const char *end)
{
    client(t);
    char *script =
        test_format("< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n< DATA 1 one\ngate 0\n"
                    "< DATA 1 two\n< DATA 1 three\n%s\n",
                    end);
    h2peer_script(t, script);
    struct result *r = tester_result(t);
    r->on_event = on_body_pause;
    tester_submit_into(t, request(t, "GET"), r);
    tester_turn_until(t, has_body, r);
    peer_open(t->peer, GO);
    turn_for(t, 60);
    free(script);
    assert_int_equal(r->done_count, 0);
    assert_string_equal(r->body, "one");
    r->on_event = NULL;
    return r;
}

static void broken(struct tester *t, const char *end, int code)
{
    struct result *r = broken_while_paused(t, end);
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_error(r, code, AIODUCT_PHASE_BODY);
    assert_string_equal(r->body, "onetwothree");
    assert_string_equal(r->order, "HBD");
    assert_int_equal(r->error.partial, 1);
    assert_int_equal(r->info.body_bytes, 11);
}

static void test_broken_stream(void **state)
{
    broken(*state, "< RST_STREAM 1 2", AIODUCT_E_STREAM);
}

static void test_broken_connection(void **state)
{
    broken(*state, "half-close", AIODUCT_E_TRUNCATED);
}

static void test_broken_and_cancelled(void **state)
{
    struct tester *t = *state;
    struct result *r = broken_while_paused(t, "< RST_STREAM 1 2");
    aioduct_exchange_cancel(r->exchange);
    tester_run(t);
    assert_error(r, -ECANCELED, AIODUCT_PHASE_BODY);
    assert_string_equal(r->body, "one");
}

static void test_broken_and_destroyed(void **state)
{
    struct tester *t = *state;
    struct result *r = broken_while_paused(t, "< RST_STREAM 1 2");
    tester_destroy(t);
    assert_int_equal(r->done_count, 1);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
}

/* What was paused again behind the last byte hears of the end when it goes on. */
static void test_broken_and_paused_again(void **state)
{
    struct tester *t = *state;
    struct result *r = broken_while_paused(t, "< RST_STREAM 1 2");
    r->on_event = on_body_pause;
    aioduct_exchange_resume(r->exchange);
    turn_for(t, 30);
    assert_string_equal(r->body, "onetwothree");
    assert_int_equal(r->done_count, 0);
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_error(r, AIODUCT_E_STREAM, AIODUCT_PHASE_BODY);
}

/* ---- answers that come together ---- */

/* In one piece: the client has both before it tells of either's end. */
static void play_together(struct h2play *play, int index, void *user)
{
    (void)index;
    (void)user;
    if (h2play_send(play, "SETTINGS") && h2play_wait(play, "HEADERS 3")) {
        h2play_send(play, "HEADERS 1 | :status: 200\nDATA 1 end one\n"
                          "HEADERS 3 | :status: 200\nDATA 3 end two");
    }
}

/* What @on_event does, whose user is the first, happens to the second. */
static void together(struct tester *t, result_event_fn on_event, struct result **out_first,
                     struct result **out_second)
{
    struct h2peer_options options = {.play = play_together};
    client(t);
    h2peer_start(t, &options);
    *out_first = submit(t, "GET");
    *out_second = tester_result(t);
    (*out_second)->on_event = on_event;
    (*out_second)->user = *out_first;
    tester_submit_into(t, request(t, "GET"), *out_second);
    tester_run(t);
    assert_answer(*out_second, 200);
    assert_int_equal((*out_first)->done_count, 1);
}

static void on_head_cancel(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct result *first = r->user;
    (void)exchange;
    if (event == 'H') {
        assert_string_equal(first->order, "HB");
        aioduct_exchange_cancel(first->exchange);
    }
}

static void test_cancel_behind_the_last_byte(void **state)
{
    struct result *first, *second;
    together(*state, on_head_cancel, &first, &second);
    assert_code(-ECANCELED, first->code);
    assert_string_equal(first->order, "HBD");
}

static void on_head_pause(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct result *first = r->user;
    (void)exchange;
    if (event == 'H') {
        assert_code(0, aioduct_exchange_pause(first->exchange));
    } else if (event == 'D') {
        assert_string_equal(first->order, "HB");
        assert_code(0, aioduct_exchange_resume(first->exchange));
    }
}

static void test_pause_behind_the_last_byte(void **state)
{
    struct result *first, *second;
    together(*state, on_head_pause, &first, &second);
    assert_answer(first, 200);
    assert_string_equal(first->body, "one");
}

static void test_head_limit(void **state)
{
    struct tester *t = *state;
    t->options.head_bytes_max = 1000;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 3\n< HEADERS 1 | :status: 200 | a: x*1000\n"
                     "< HEADERS 3 | :status: 200\n< DATA 3 end fine\n");
    struct result *large = submit(t, "GET");
    struct result *fine = submit(t, "GET");
    tester_run(t);
    assert_error(large, AIODUCT_E_HEAD_LIMIT, AIODUCT_PHASE_HEAD);
    assert_answer(fine, 200);
}

/* ---- TLS, and which connection ---- */

static void test_prohibited_suite(void **state)
{
    struct tester *t = *state;
    t->options.tls.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
    client(t);
    h2peer_start(t, &(struct h2peer_options){
                        .scripts = {"< SETTINGS\nserve\n"},
                        .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-CBC:"
                                    "+AES-128-CBC"});
    struct result *r = get(t);
    assert_error(r, AIODUCT_E_TLS, AIODUCT_PHASE_TLS);
    assert_non_null(strstr(r->error.message, "prohibits"));
}

static void test_no_coalescing(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\nserve\n");
    assert_answer(get(t), 200);
    char *url = test_format("%s://127.0.0.1:%d/", t->tls ? "https" : "http", peer_port(t->peer));
    struct result *r = tester_perform(t, tester_request(t, "GET", url));
    free(url);
    assert_answer(r, 200); /* the same address, and the certificate has both names */
    assert_int_equal(peer_connections(t->peer), 2);
}

static void play_http1(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "one");
    }
}

static void test_no_upgrade(void **state)
{
    struct tester *t = *state;
    char value[64];
    tester_client(t);
    tester_peer(t, play_http1, NULL);
    assert_answer(get(t), 200);
    assert_false(peer_request_field(peer_request(t->peer, 0), "Upgrade", value, sizeof value));
    assert_false(
        peer_request_field(peer_request(t->peer, 0), "HTTP2-Settings", value, sizeof value));
}

static void test_short_body(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200 | content-length: 5\n"
                     "< DATA 1 end abc\n");
    struct result *r = get(t);
    assert_error(r, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASE("C46: a body shorter than its length is an error", test_short_body),
        HTTP_CASES("C50: interim answers, then the final one; 101 is an error", test_interim),
        HTTP_CASES("C21: a body waits for the 100; 417 is asked again without", test_expect),
        HTTP_CASES("C47: a request is on the wire as HTTP/2 has it", test_wire),
        HTTP_CASE("C47: a body's length and another Host are on the wire as HTTP/2 has them",
                  test_wire_of_a_length),
        HTTP_CASE("C48: a push ends the connection", test_push),
        HTTP_CASE("C7: trailers wait behind a paused body", test_trailers_behind_pause),
        HTTP_CASE("C7: trailers come at a full window", test_trailers_at_full_window),
        HTTP_CASES("C8: what came before a reset is delivered, then the error", test_broken_stream),
        HTTP_CASES("C8: what came before the connection's end is delivered, then the error",
                   test_broken_connection),
        HTTP_CASE("C8: an answer that broke off can be cancelled", test_broken_and_cancelled),
        HTTP_CASE("C8: an answer that broke off ends with its client", test_broken_and_destroyed),
        HTTP_CASE("C8: a pause keeps the error back, too", test_broken_and_paused_again),
        HTTP_CASE("an answer that is whole and not told can be cancelled",
                  test_cancel_behind_the_last_byte),
        HTTP_CASE("an answer that is whole and not told can be paused",
                  test_pause_behind_the_last_byte),
        HTTP_CASE("C9: a head over head_bytes_max costs its request alone", test_head_limit),
        HTTPS_CASE("C51: a cipher suite that HTTP/2 prohibits is refused", test_prohibited_suite),
        HTTP_CASES("C52: hosts share no connection", test_no_coalescing),
        HTTP_CASE("C53: Upgrade: h2c is never asked for", test_no_upgrade),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
