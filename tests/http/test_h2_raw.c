/* SPDX-License-Identifier: MIT */
/* CONNECT over HTTP/2, plain and extended (RFC 8441), with a server that follows a script: streams
 * that HTTP leaves. */
#include "h2peer.h"
#include "raw.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>

enum gate { GO };

#define OFFERED "< SETTINGS 8=1\n"
#define ACCEPTED "? HEADERS 1\n< HEADERS 1 | :status: 200\n"

static void turn_until_connected(struct tester *t)
{
    while (peer_connections(t->peer) == 0) {
        tester_turn_a_little(t);
    }
    tester_turn_a_little(t);
}

/* Until a line of the log begins so -> how many do */
static int wait_log(struct tester *t, struct h2peer *h2, const char *text)
{
    uint64_t end = test_now_ms() + 20000;
    while (h2peer_count(h2, 0, text) == 0 && test_now_ms() < end) {
        tester_turn(t, 5);
    }
    return h2peer_count(h2, 0, text);
}

static int version(const struct tester *t)
{
    return t->tls ? AIODUCT_HTTP_2 : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
}

static struct aioduct_request *upgrade(struct tester *t)
{
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/chat?a=b"));
    assert_code(0, aioduct_request_version(request, version(t)));
    assert_code(0, aioduct_request_upgrade(request, "websocket"));
    return request;
}

static struct aioduct_request *tunnel(struct tester *t)
{
    struct aioduct_request *request = tester_request(t, "CONNECT", peer_url(t->peer, "/ignored"));
    assert_code(0, aioduct_request_version(request, version(t)));
    assert_code(0, aioduct_request_tunnel(request, "Example.org:80"));
    return request;
}

static struct aioduct_request *pushed(struct aioduct_request *request)
{
    assert_code(0, aioduct_request_body_push(request, AIODUCT_LENGTH_UNKNOWN));
    return request;
}

/* An ordinary request, on the connection that is there. */
static void check_connection(struct tester *t)
{
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_version(request, version(t)));
    assert_answer(tester_perform(t, request), 200);
    assert_int_equal(peer_connections(t->peer), 1);
}

/* ---- both ways ---- */

static void check_wire(struct h2peer *h2, const char *wanted)
{
    if (h2peer_count(h2, 0, wanted) != 1) {
        print_message("no \"%s\" in:\n%s\n", wanted, h2peer_log(h2, 0));
    }
    assert_int_equal(h2peer_count(h2, 0, wanted), 1);
}

#define ECHO                                                                          \
    "< DATA 1 first\n? DATA 1 4 five\n< DATA 1 five\n? DATA 1 4 stop\n? DATA 1 end\n" \
    "< DATA 1 end\nserve\n"

static void echo(struct tester *t, struct raw *r)
{
    raw_wait_head(r);
    assert_int_equal(r->status, 200);
    raw_push(r, "five");
    raw_wait_text(r, "five");
    raw_push(r, "stop");
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->text, "firstfive");
    assert_string_equal(r->order, "HBED");
    assert_int_equal(r->end_count, 1);
    check_connection(t);
}

static void test_extended(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "";
    tester_client(t);
    struct h2peer *h2 = h2peer_script(t, "gate 0\n" OFFERED ACCEPTED ECHO);
    struct aioduct_request *request = pushed(upgrade(t));
    assert_code(0, aioduct_request_header_set(request, "Accept", ""));
    assert_code(0, aioduct_request_header_add(request, "Sec-WebSocket-Version", "13"));
    struct raw *r = raw_submit(t, request);
    turn_until_connected(t);
    peer_open(t->peer, GO);
    echo(t, r);
    /* Not before it was known that it may go. */
    const char *log = h2peer_log(h2, 0);
    assert_true(strstr(log, "HEADERS 1") > strstr(log, "SETTINGS ack"));
    char *wanted =
        test_format("HEADERS 1 | :method: CONNECT | :protocol: websocket | :scheme: %s | "
                    ":authority: localhost:%d | :path: /chat?a=b | "
                    "sec-websocket-version: 13\n",
                    t->tls ? "https" : "http", peer_port(t->peer));
    int found = strstr(h2peer_log(h2, 0), wanted) != NULL;
    free(wanted);
    assert_int_equal(found, 1);
}

static void test_connect(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "";
    tester_client(t);
    /* C2: a length in the answer means nothing. */
    struct h2peer *h2 = h2peer_script(
        t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200 | content-length: 3\n" ECHO);
    struct aioduct_request *request = pushed(tunnel(t));
    assert_code(0, aioduct_request_header_set(request, "Accept", ""));
    /* C47: what a tunnel may name, and HTTP/2 does not have. */
    assert_code(0, aioduct_request_header_add(request, "Upgrade", "other"));
    echo(t, raw_submit(t, request));
    check_wire(h2, "HEADERS 1 | :method: CONNECT | :authority: example.org:80");
    assert_non_null(strstr(h2peer_log(h2, 0), ":authority: example.org:80\n"));
}

static void test_beside_others(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED ACCEPTED "? HEADERS 3\n< HEADERS 3 | :status: 200\n"
                                      "< DATA 3 end ok\n? DATA 1 end\n< DATA 1 end\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_head(r);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_version(request, version(t)));
    struct result *beside = tester_submit(t, request);
    tester_turn_until(t, result_is_done, beside);
    assert_answer(beside, 200);
    assert_false(raw_is_done(r));
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_pull(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 = h2peer_script(t, OFFERED "? HEADERS 1\ngate 0\n< HEADERS 1 | :status: 200\n"
                                                 "? DATA 1 end\n< DATA 1 end\n");
    struct source *source = source_new(t, 30000);
    struct aioduct_request *request = upgrade(t);
    source_attach(request, source, AIODUCT_LENGTH_UNKNOWN, false);
    struct raw *r = raw_submit(t, request);
    assert_int_equal(wait_log(t, h2, "HEADERS"), 1);
    assert_int_equal(source->reads, 0); /* not before the answer */
    peer_open(t->peer, GO);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_int_equal(source->finished, 1);
    assert_int_equal(source->at, 30000);
    assert_int_equal(h2peer_count(h2, 0, "HEADERS"), 1);
    assert_null(strstr(h2peer_log(h2, 0), "content-length"));
}

/* ---- what is not accepted ---- */

static void test_not_offered(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\nserve\n");
    for (int i = 0; i < 2; i++) { /* the second time it is known */
        struct raw *r = raw_submit(t, pushed(upgrade(t)));
        tester_run(t);
        assert_code(AIODUCT_E_UNSUPPORTED, r->error.code);
        assert_int_equal(r->error.phase, AIODUCT_PHASE_SEND);
        assert_non_null(strstr(r->error.message, "RFC 8441"));
        assert_int_equal(r->error.safe_to_retry, 1);
        assert_string_equal(r->order, "D");
    }
    check_connection(t);
    assert_int_equal(h2peer_count(h2, 0, "HEADERS"), 1);
    assert_int_equal(h2peer_count(h2, 0, "RST_STREAM"), 0);
}

static void test_no_settings(void **state)
{
    struct tester *t = *state;
    t->options.head_timeout_ms = 100;
    tester_client(t);
    struct h2peer *h2 = h2peer_script(t, "gate 0\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    tester_run(t);
    assert_code(AIODUCT_E_TIMEOUT, r->error.code);
    tester_destroy(t);
    peer_open(t->peer, GO);
    assert_int_equal(h2peer_wait(h2, 0, "end", 1), 1);
    assert_int_equal(h2peer_count(h2, 0, "HEADERS"), 0);
}

static void refused(struct tester *t, struct aioduct_request *request)
{
    struct source *source = source_new(t, 1000);
    source_attach(request, source, AIODUCT_LENGTH_UNKNOWN, false);
    struct result *r = tester_perform(t, request);
    assert_answer(r, 407);
    assert_string_equal(r->body, "who are you?");
    assert_string_equal(r->order, "HBD");
    assert_int_equal(source->reads, 0);
    assert_int_equal(source->finished, 1);
    check_connection(t);
}

#define REFUSED                                                                                 \
    "? HEADERS 1\n< HEADERS 1 | :status: 407 | content-length: 12\n< DATA 1 end who are you?\n" \
    "serve\n"

static void test_extended_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED REFUSED);
    refused(t, upgrade(t));
}

static void test_connect_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, "< SETTINGS\n" REFUSED);
    refused(t, tunnel(t));
}

static int refusal(struct tester *t, struct aioduct_request *request)
{
    assert_code(0, aioduct_request_version(request, version(t)));
    return aioduct_client_submit(t->client, request, NULL, NULL, NULL);
}

static void test_not_asked(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED "serve\n");
    struct aioduct_request *two = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_upgrade(two, "one, two"));
    assert_code(-EINVAL, refusal(t, two));
    struct aioduct_request *field = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_add(field, "Upgrade", "websocket"));
    assert_code(-EINVAL, refusal(t, field));
}

/* ---- ends ---- */

static void test_peer_ends_first(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED ACCEPTED "< DATA 1 end bye\n? DATA 1 4 more\n? DATA 1 end\nserve\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_end(r);
    tester_turn_a_little(t);
    assert_false(raw_is_done(r)); /* our direction is open */
    raw_push(r, "more");
    tester_turn_a_little(t);
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->text, "bye");
    assert_string_equal(r->order, "HBED");
    check_connection(t);
}

static void test_end_with_head(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED "? HEADERS 1\n< HEADERS 1 end | :status: 200\n? DATA 1 end\nserve\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_end(r);
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HED");
    check_connection(t);
}

/* It has said all, and wants nothing more. */
static void test_no_error_behind_the_end(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED ACCEPTED "< DATA 1 end bye\n< RST_STREAM 1 0\nserve\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HBED");
    check_connection(t);
}

static void test_receives_only(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 =
        h2peer_script(t, OFFERED ACCEPTED "< DATA 1 end bye\n? DATA 1 end 0\nserve\n");
    struct raw *r = raw_submit(t, upgrade(t));
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HBED");
    check_connection(t);
    assert_int_equal(h2peer_count(h2, 0, "HEADERS 1 end"), 0); /* a tunnel that is open both ways */
    assert_int_equal(h2peer_count(h2, 0, "RST_STREAM"), 0);
}

/* What it said is whole; what we had to say is not. */
static void test_lost_behind_the_end(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED ACCEPTED "< DATA 1 end bye\nhalf-close\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    tester_run(t);
    assert_code(AIODUCT_E_CLOSED, r->error.code);
    assert_int_equal(r->error.phase, AIODUCT_PHASE_SEND);
    assert_string_equal(r->order, "HBED");
}

/* The stream lives on; nothing new comes to the connection. */
static void test_goaway(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 = h2peer_start(
        t, &(struct h2peer_options){
               .scripts = {OFFERED ACCEPTED "< GOAWAY 1 0\ngate 0\n< DATA 1 five\n? DATA 1 4 more\n"
                                            "? DATA 1 end\n< DATA 1 end\n",
                           "< SETTINGS\nserve\n"}});
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_head(r);
    tester_turn_a_little(t);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_version(request, version(t)));
    struct result *beside = tester_submit(t, request);
    tester_turn_until(t, result_is_done, beside);
    assert_answer(beside, 200);
    assert_int_equal(peer_connections(t->peer), 2);
    peer_open(t->peer, GO);
    raw_wait_text(r, "five");
    raw_push(r, "more");
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->order, "HBED");
    assert_int_equal(h2peer_count(h2, 0, "HEADERS"), 1);
}

/* The peer's windows hold back what goes out, and nothing is lost. */
static void test_peer_window(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 = h2peer_script(
        t, "< SETTINGS 8=1 4=10\n" ACCEPTED "? DATA 1 10\ngate 0\n< WINDOW_UPDATE 1 15\n"
           "? DATA 1 15\n< WINDOW_UPDATE 1 1000000\n? DATA 1 end\n< DATA 1 end\nserve\n");
    struct source *source = source_new(t, 30000);
    struct aioduct_request *request = upgrade(t);
    source_attach(request, source, AIODUCT_LENGTH_UNKNOWN, false);
    struct raw *r = raw_submit(t, request);
    assert_int_equal(wait_log(t, h2, "DATA 1 10"), 1);
    tester_turn_a_little(t);
    assert_int_equal(h2peer_count(h2, 0, "DATA"), 1);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_int_equal(source->at, 30000);
    check_connection(t);
}

static struct raw *broken(struct tester *t, const char *end)
{
    tester_client(t);
    char *script = test_format(OFFERED ACCEPTED "< DATA 1 bye\n%s\n", end);
    h2peer_script(t, script);
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    tester_run(t);
    free(script);
    assert_string_equal(r->text, "bye");
    assert_string_equal(r->order, "HBD");
    assert_int_equal(r->error.phase, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
    assert_int_equal(r->error.safe_to_retry, 0);
    return r;
}

static void test_reset(void **state)
{
    assert_code(AIODUCT_E_STREAM, broken(*state, "< RST_STREAM 1 8")->error.code);
}

static void test_lost(void **state)
{
    assert_code(AIODUCT_E_TRUNCATED, broken(*state, "half-close")->error.code);
}

static void test_headers_inside(void **state)
{
    assert_code(AIODUCT_E_PROTOCOL,
                broken(*state, "< HEADERS 1 end | a: b\n? RST_STREAM 1 1")->error.code);
}

static void test_cancel(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 =
        h2peer_script(t, OFFERED ACCEPTED "< DATA 1 five\n? RST_STREAM 1 8\nserve\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_text(r, "five");
    aioduct_exchange_cancel(r->exchange);
    tester_run(t);
    assert_code(-ECANCELED, r->error.code);
    assert_string_equal(r->order, "HBD");
    check_connection(t);
    assert_int_equal(h2peer_count(h2, 0, "RST_STREAM 1 8"), 1);
}

static void test_cancel_waiting(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 = h2peer_script(t, "gate 0\n" OFFERED "serve\n");
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    turn_until_connected(t);
    aioduct_exchange_cancel(r->exchange);
    tester_run(t);
    assert_code(-ECANCELED, r->error.code);
    assert_int_equal(r->error.safe_to_retry, 1);
    peer_open(t->peer, GO);
    check_connection(t);
    assert_int_equal(h2peer_count(h2, 0, "HEADERS"), 1);
}

static void test_destroy(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_script(t, OFFERED ACCEPTED);
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_head(r);
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->error.code);
    assert_int_equal(r->done_count, 1);
}

/* ---- holding back ---- */

static void test_pause(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct h2peer *h2 =
        h2peer_script(t, OFFERED ACCEPTED "< DATA 1 one\n< DATA 1 end five\n? DATA 1 end\nserve\n");
    struct raw *r = raw_new(t);
    r->pause_at_head = r->pause_at_end = true;
    raw_submit_into(pushed(upgrade(t)), r);
    raw_wait_head(r);
    tester_turn_a_little(t);
    raw_push_end(r); /* what goes out is not held back */
    assert_int_equal(wait_log(t, h2, "DATA 1 end"), 1);
    tester_turn_a_little(t);
    raw_assert_order(r, "H");
    aioduct_exchange_resume(r->exchange);
    raw_wait_end(r);
    tester_turn_a_little(t);
    raw_assert_order(r, "HBE"); /* paused once more, when it was told the end */
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_string_equal(r->order, "HBED");
    assert_string_equal(r->text, "onefive");
    assert_code(0, r->error.code);
}

/* Half a window and a little for each update, which comes when half of one is free. */
static void play_flood(struct h2play *play, int index, void *user)
{
    (void)index;
    (void)user;
    h2play_send(play, "SETTINGS 8=1");
    if (!h2play_wait(play, "HEADERS 1") || !h2play_send(play, "HEADERS 1 | :status: 200")) {
        return;
    }
    for (int i = 0; i < 20; i++) {
        if ((i > 0 && !h2play_wait(play, "WINDOW_UPDATE 1")) ||
            !h2play_send(play,
                         i == 0 ? "REPEAT 4 DATA 1 size=16000" : "REPEAT 3 DATA 1 size=10940")) {
            return;
        }
    }
    h2play_send(play, "DATA 1 end");
}

static void test_window(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = 65536;
    t->options.h2_connection_window_bytes = 65536; /* nothing ahead of that */
    t->options.read_gap_timeout_ms = 20;
    tester_client(t);
    h2peer_start(t, &(struct h2peer_options){.play = play_flood});
    struct raw *r = raw_new(t);
    r->hold = true;
    raw_submit_into(upgrade(t), r);
    while (!raw_is_done(r)) {
        tester_turn_a_little(t); /* longer than the read gap, which is not timed */
        assert_true(raw_release(r) <= 65536);
    }
    assert_code(0, r->error.code);
    assert_int_equal(r->bytes, 4 * 16000 + 19 * 3 * 10940);
    assert_string_equal(r->order, "HBED");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("C50: Extended CONNECT goes after the setting, then bytes go both ways",
                   test_extended),
        HTTP_CASES("C2, C47, C50: behind 2xx to CONNECT bytes go both ways", test_connect),
        HTTP_CASE("C50: other requests go beside it", test_beside_others),
        HTTP_CASES("C50: its body goes out behind the answer, as it is", test_pull),
        HTTP_CASES("C50: Extended CONNECT fails where it is not offered", test_not_offered),
        HTTP_CASE("C50: settings that do not come are not waited for without end",
                  test_no_settings),
        HTTP_CASES("C50: a refused Extended CONNECT is an ordinary answer", test_extended_refused),
        HTTP_CASES("C50: a refused CONNECT is an ordinary answer", test_connect_refused),
        HTTP_CASE("C50: what cannot be asked for is refused", test_not_asked),
        HTTP_CASES("C50: the peer may end first", test_peer_ends_first),
        HTTP_CASE("C50: the peer may end with its head", test_end_with_head),
        HTTP_CASE("C41, C50: NO_ERROR behind the peer's end is success",
                  test_no_error_behind_the_end),
        HTTP_CASE("C50: without a body it only receives", test_receives_only),
        HTTP_CASES("C8, C50: a reset is an error", test_reset),
        HTTP_CASES("C8, C50: the connection's end is an error", test_lost),
        HTTP_CASES("C50: the connection's end behind the peer's end is one too",
                   test_lost_behind_the_end),
        HTTP_CASE("C38, C50: behind a GOAWAY it goes on", test_goaway),
        HTTP_CASES("C36, C50: what goes out keeps to the peer's windows", test_peer_window),
        HTTP_CASE("C46, C50: HEADERS behind an accepted CONNECT are an error", test_headers_inside),
        HTTP_CASE("C50: cancelled in the middle", test_cancel),
        HTTP_CASE("C50: cancelled while it waits for the setting", test_cancel_waiting),
        HTTP_CASE("C50: the client ends in the middle", test_destroy),
        HTTP_CASES("C50: a paused caller is told bytes and end when it goes on", test_pause),
        HTTP_CASES("C50: no more is held than the window, and gaps are not timed", test_window),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
