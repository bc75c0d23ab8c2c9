/* SPDX-License-Identifier: MIT */
/* HTTP/2 with a server that follows a script: connections and streams that end. */
#include "h2_cases.h"

/* ---- the connection ---- */

static void test_first_frame(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "? HEADERS\n< PING 01234567");
    struct result *r = get(t);
    assert_int_equal(r->code, AIODUCT_E_PROTOCOL);
    assert_non_null(strstr(r->error.message, "first frame is not SETTINGS"));
    assert_non_null(strstr(r->error.hint, "ask for HTTP/1.1"));
    assert_int_equal(h2peer_wait(h2, 0, "GOAWAY 0 1", 1), 1);
}

static void test_window_changes(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_script(
        t, "< SETTINGS 4=10\n? HEADERS 1\n" OK(
               1) "? DATA 3 10\n"
                  "< SETTINGS 4=4\n? SETTINGS ack\n< WINDOW_UPDATE 3 6\n" /* that makes it 0 */
                  "< PING 01234567\n? PING ack\nopen 0\n< WINDOW_UPDATE 3 3\n? DATA 3 3\n"
                  "< SETTINGS 4=100\n? DATA 3 end 7\n" OK(3));
    assert_answer(get(t), 200);
    struct aioduct_request *q = request(t, "POST");
    assert_code(0, aioduct_request_body_copy(q, "0123456789abcdefghij", 20));
    assert_answer(tester_perform(t, q), 200);
    assert_int_equal(h2peer_count(h2, 0, "DATA 3"), 3);
}

static void test_lower_stream_limit(void **state)
{
    struct tester *t = *state;
    t->options.h2_connections_per_origin_max = 1;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS 3=2\n? HEADERS 3\n< SETTINGS 3=1\n? SETTINGS ack\n"
                         "open 0\ngate 1\n< HEADERS 1 end | :status: 200\n"
                         "< PING 01234567\n? PING ack\n< HEADERS 3 end | :status: 200\n"
                         "? HEADERS 5\n< HEADERS 5 end | :status: 200\n");
    struct result *first = submit(t, "GET");
    struct result *second = submit(t, "GET");
    while (!peer_is_open(t->peer, GO)) {
        aioduct_client_turn(t->client, 5);
    }
    struct result *third = submit(t, "GET");
    turn_for(t, 30);
    assert_int_equal(h2peer_count(h2, 0, "HEADERS 5"), 0);
    peer_open(t->peer, DONE);
    tester_run(t);
    assert_answer(first, 200);
    assert_answer(second, 200);
    assert_answer(third, 200);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_no_streams(void **state)
{
    struct tester *t = *state;
    t->options.h2_connections_per_origin_max = 1;
    t->options.acquire_timeout_ms = 150;
    client(t);
    h2peer_script(t, "< SETTINGS 3=0\n? SETTINGS ack\nopen 0\n");
    struct result *first = submit(t, "GET");
    while (!peer_is_open(t->peer, GO)) {
        aioduct_client_turn(t->client, 5);
    }
    struct result *second = submit(t, "GET");
    struct result *third = submit(t, "GET");
    aioduct_client_turn(t->client, 5);
    assert_int_equal(second->done_count, 0); /* it queues, and does not fail at once */
    aioduct_exchange_cancel(third->exchange);
    tester_turn_until(t, is_done, second);
    aioduct_exchange_cancel(first->exchange); /* it went before the limit was known */
    tester_run(t);
    assert_error(second, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_QUEUE);
    assert_error(third, -ECANCELED, AIODUCT_PHASE_QUEUE);
}

#define CANCELLED 1500

/* More than the connection's window goes by on streams that are given up. */
static void play_cancelled(struct h2play *play, int index, void *user)
{
    (void)index;
    (void)user;
    h2play_send(play, "SETTINGS");
    for (int i = 0; i < CANCELLED && h2play_wait(play, "HEADERS"); i++) {
        uint32_t id = h2play_id(play);
        h2play_send(play, "HEADERS %u | :status: 200\nDATA %u pad=100 size=200\nDATA %u size=300",
                    id, id, id);
    }
    if (h2play_wait(play, "HEADERS")) {
        uint32_t id = h2play_id(play);
        h2play_send(play, "HEADERS %u | :status: 200", id);
        for (int i = 0; i < 6; i++) {
            h2play_send(play, "DATA %u size=10000", id);
        }
        h2play_send(play, "DATA %u end", id);
    }
}

static void on_head_cancel(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)r;
    if (event == 'H') {
        aioduct_exchange_cancel(exchange);
    }
}

static void test_credit_of_cancelled(void **state)
{
    struct tester *t = *state;
    t->options.h2_connection_window_bytes = 70000;
    client(t);
    h2peer_start(t, &(struct h2peer_options){.play = play_cancelled});
    for (int i = 0; i < CANCELLED; i++) {
        struct result *r = tester_result(t);
        r->on_event = on_head_cancel;
        tester_perform_into(t, request(t, "GET"), r);
        assert_error(r, -ECANCELED, AIODUCT_PHASE_BODY);
    }
    struct result *r = get(t);
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, 60000);
    assert_int_equal(peer_connections(t->peer), 1);
}

/* ---- going away ---- */

static void test_goaway(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_start(
        t, &(struct h2peer_options){
               .scripts = {"< SETTINGS\n? DATA 3 end\n< GOAWAY 1 0\n< HEADERS 1 | :status: 200\n"
                           "gate 0\n< DATA 1 end old\n",
                           "< SETTINGS\nopen 0\nserve\n"}});
    struct result *first = submit(t, "GET");
    struct aioduct_request *q = request(t, "POST");
    assert_code(0, aioduct_request_body_copy(q, "body", 4));
    struct result *second = tester_submit(t, q);
    tester_run(t);
    assert_answer(first, 200);
    assert_string_equal(first->body, "old");
    assert_answer(second, 200); /* a POST, but certainly not acted on */
    assert_string_equal(second->body, "ok");
    assert_int_equal(second->info.replays, 1);
    assert_int_equal(h2peer_count(h2, 1, "DATA 1 end 4 body"), 1);
    assert_int_equal(h2peer_wait(h2, 0, "end", 1), 1); /* closed when its last stream was over */
}

static void test_goaway_twice(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_start(t, &(struct h2peer_options){
                        .scripts = {"< SETTINGS\n? HEADERS 3\n< GOAWAY 2147483647 0\nopen 0\n"
                                    "gate 1\n< GOAWAY 1 0\n< HEADERS 1 end | :status: 204\n",
                                    "< SETTINGS\nserve\n"}});
    struct result *first = submit(t, "GET");
    struct result *second = submit(t, "GET");
    while (!peer_is_open(t->peer, GO)) {
        aioduct_client_turn(t->client, 5);
    }
    turn_for(t, 20);
    struct result *third = get(t); /* no new stream there */
    peer_open(t->peer, DONE);
    tester_run(t);
    assert_answer(first, 204);
    assert_answer(second, 200);
    assert_answer(third, 200);
    assert_int_equal(second->info.connection, third->info.connection);
    assert_int_equal(peer_connections(t->peer), 2);
}

static void test_goaway_when_idle(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? HEADERS 1\n" OK(1) "gate 0\n< GOAWAY 1 0\n");
    assert_answer(get(t), 200);
    peer_open(t->peer, GO);
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    do {
        assert_true(aioduct_client_turn(t->client, 50) >= 0);
        assert_code(0, aioduct_client_stats(t->client, &stats));
    } while (stats.connections_open > 0);
    assert_int_equal(stats.closed[AIODUCT_CLOSE_GOAWAY], 1);
    tester_destroy(t);
    assert_int_equal(h2peer_wait(h2, 0, "end", 1), 1);
}

static void test_goaway_at_once(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< GOAWAY 0 2\n");
    struct result *r = get(t);
    assert_error(r, AIODUCT_E_STREAM, AIODUCT_PHASE_HEAD);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_goaway_without_end(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< GOAWAY 0 0\n");
    struct result *r = get(t);
    assert_error(r, AIODUCT_E_STREAM, AIODUCT_PHASE_HEAD);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_int_equal(peer_connections(t->peer), 3); /* once, and replays_max */
}

static void test_close_after_goaway(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_start(t, &(struct h2peer_options){
                        .scripts = {"< SETTINGS\n? HEADERS 5\n< HEADERS 3 | :status: 200\n"
                                    "< DATA 3 part\n< GOAWAY 3 0\nhalf-close\n",
                                    "< SETTINGS\nserve\n"}});
    struct result *processed = submit(t, "POST");
    struct result *cut = submit(t, "GET");
    struct result *safe = submit(t, "POST");
    tester_run(t);
    assert_error(processed, AIODUCT_E_CLOSED, AIODUCT_PHASE_HEAD);
    assert_int_equal(processed->error.safe_to_retry, 0);
    assert_error(cut, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY);
    assert_int_equal(cut->error.partial, 1);
    assert_string_equal(cut->body, "part");
    assert_answer(safe, 200);
}

/* ---- streams that the server ends ---- */

static void test_refused(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< RST_STREAM 1 7\n? HEADERS 3\n"
                         "< RST_STREAM 3 7\n? HEADERS 5\n" OK(
                             5) "? HEADERS 7\n< RST_STREAM 7 7\n? HEADERS 9\n"
                                "< RST_STREAM 9 7\n? HEADERS 11\n< RST_STREAM 11 7\n");
    struct result *r = tester_perform(t, request(t, "POST"));
    assert_answer(r, 200);
    assert_int_equal(r->info.replays, 2);
    r = tester_perform(t, request(t, "POST"));
    assert_error(r, AIODUCT_E_STREAM, AIODUCT_PHASE_HEAD);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_int_equal(h2peer_count(h2, 0, "HEADERS"), 6);
}

static void test_http11_required(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    h2peer_start(
        t, &(struct h2peer_options){.alpn = "h2,http/1.1",
                                    .scripts = {"< SETTINGS\n? HEADERS 1\n< RST_STREAM 1 13\n"}});
    struct result *r = tester_perform(t, request(t, "POST"));
    assert_answer(r, 200);
    assert_string_equal(r->body, "one");
    assert_string_equal(r->protocol, "http/1.1");
    assert_int_equal(peer_connections(t->peer), 2);
}

static void test_calm(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< RST_STREAM 1 11\nserve\n");
    assert_error(get(t), AIODUCT_E_STREAM, AIODUCT_PHASE_HEAD);
    uint64_t before = test_now_ms();
    assert_answer(get(t), 200);
    assert_true(test_now_ms() - before >= 900);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_reset_after_answer(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n"
                                         "< DATA 1 end enough\n< RST_STREAM 1 0\nserve\n");
    struct source *source = source_new(t, 100);
    source->wait_at = 50;
    source->piecewise = true;
    struct aioduct_request *q = request(t, "POST");
    source_attach(q, source, 100, true);
    struct result *r = tester_perform(t, q);
    assert_answer(r, 200);
    assert_string_equal(r->body, "enough");
    assert_int_equal(source->finished, 1);
    assert_answer(get(t), 200);
    assert_int_equal(h2peer_count(h2, 0, "DATA 1 end"), 0);
}

static void test_early_answer(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 413\n"
                                         "< DATA 1 too\n< DATA 1 end  much\n"
                                         "? RST_STREAM 1 0\nserve\n");
    struct source *source = source_new(t, 1000000);
    source->wait_at = 10;
    source->piecewise = true;
    struct aioduct_request *q = request(t, "POST");
    source_attach(q, source, 1000000, true);
    struct result *r = tester_perform(t, q);
    assert_answer(r, 413);
    assert_string_equal(r->body, "too much");
    assert_int_equal(source->finished, 1);
    assert_answer(get(t), 200);
    assert_int_equal(h2peer_wait(h2, 0, "RST_STREAM 1 0", 1), 1);
}

static void test_malformed(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\n? HEADERS 3\n"
                                         "< HEADERS 1 | :status: 200 | Upper: x\n"
                                         "< HEADERS 3 | :status: 200\n< DATA 3 end fine\n");
    struct result *bad = submit(t, "GET");
    struct result *good = submit(t, "GET");
    tester_run(t);
    assert_error(bad, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    assert_non_null(strstr(bad->error.message, "Upper"));
    assert_answer(good, 200);
    assert_string_equal(good->body, "fine");
    assert_int_equal(h2peer_wait(h2, 0, "RST_STREAM 1 1", 1), 1);
}

static void test_lost(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_start(t, &(struct h2peer_options){
                        .scripts = {"< SETTINGS\n? HEADERS 1\n" OK(1) "? HEADERS 5\nreset\n",
                                    "< SETTINGS\nserve\n"}});
    assert_answer(get(t), 200);
    struct result *again = submit(t, "GET");
    struct result *never = submit(t, "POST");
    tester_run(t);
    assert_answer(again, 200); /* the connection had served: a GET is sent again */
    assert_int_equal(again->info.replays, 1);
    assert_true(never->code < 0);
    assert_int_equal(never->error.safe_to_retry, 0);
}

/* ---- resets of ours ---- */

static void test_cancel_after_goaway(void **state)
{
    struct tester *t = *state;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n< GOAWAY 1 0\n");
    struct result *r = submit(t, "GET");
    while (r->status == 0) {
        assert_true(aioduct_client_turn(t->client, 10) >= 0);
    }
    turn_for(t, 100);
    aioduct_exchange_cancel(r->exchange);
    turn_for(t, 300);
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
}

/* The server says how few it takes while most heads wait for room in the output: those are given up
 * without a reset, whose ping could not be sent. */
static void test_large_heads_given_up(void **state)
{
    enum { COUNT = 90, VALUE_BYTES = 12000 };
    struct tester *t = *state;
    struct result *results[COUNT];
    t->options.ping_timeout_ms = 500;
    t->options.h2_connections_per_origin_max = 1;
    t->options.socket.send_buffer_bytes = 65536;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS 3=1\ngate 0\n? RST_STREAM 1\nserve\n");
    char *value = tester_alloc(t, VALUE_BYTES + 1);
    memset(value, 'x', VALUE_BYTES);
    for (int i = 0; i < COUNT; i++) {
        struct aioduct_request *q = request(t, "GET");
        value[i] = 'y'; /* not the same as the last one */
        assert_code(0, aioduct_request_header_add(q, "X-Large", value));
        results[i] = tester_submit(t, q);
    }
    turn_for(t, 100);
    peer_open(t->peer, GO);
    while (h2peer_count(h2, 0, "SETTINGS ack") == 0) {
        assert_true(aioduct_client_turn(t->client, 10) >= 0);
    }
    for (int i = 1; i < COUNT; i++) {
        aioduct_exchange_cancel(results[i]->exchange);
    }
    turn_for(t, 1500);
    assert_code(0, results[0]->code);
    aioduct_exchange_cancel(results[0]->exchange);
    assert_answer(get(t), 200);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void play_rapid(struct h2play *play, int index, void *user)
{
    (void)index;
    (void)user;
    h2play_mute(play, true);
    h2play_send(play, "SETTINGS 3=10");
    h2play_wait(play, "HEADERS 19 ");
    h2play_wait(play, "RST_STREAM 19 8");
    peer_open(peer_of(h2play_conn(play)), GO);
    peer_wait_gate(h2play_conn(play), DONE);
    h2play_script(play, "< PING 01234567\n? PING ack"); /* all that came before is in the log */
    h2play_mute(play, false);
    /* The first ping came while it was mute. */
    h2play_send(play, "RAW 000008 06 01 00000000 0100000000000000");
    h2play_script(play, "serve");
}

static void test_rapid_reset(void **state)
{
    struct tester *t = *state;
    t->options.h2_connections_per_origin_max = 1;
    t->options.ping_timeout_ms = AIODUCT_NO_LIMIT;
    client(t);
    struct h2peer *h2 = h2peer_start(t, &(struct h2peer_options){.play = play_rapid});
    for (int i = 0; i < 10; i++) {
        struct result *r = submit(t, "GET");
        char line[32];
        snprintf(line, sizeof line, "HEADERS %d ", 2 * i + 1);
        while (h2peer_count(h2, 0, line) == 0) {
            aioduct_client_turn(t->client, 5);
        }
        aioduct_exchange_cancel(r->exchange);
    }
    struct result *next = submit(t, "GET");
    while (!peer_is_open(t->peer, GO)) {
        aioduct_client_turn(t->client, 5);
    }
    turn_for(t, 30);
    peer_open(t->peer, DONE);
    tester_run(t);
    const char *log = h2peer_log(h2, 0);
    const char *probe = strstr(log, "PING ack");
    const char *eleventh = strstr(log, "HEADERS 21 ");
    assert_non_null(probe);
    assert_non_null(eleventh);
    assert_true(probe < eleventh); /* not while the server may still count all of them */
    assert_answer(next, 200);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_late_frames(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? RST_STREAM 1 8\n< HEADERS 1 | :status: 200 | a: b\n"
                         "< DATA 1 size=1000\n< HEADERS 1 end | c: d\n? HEADERS 3\n"
                         "< HEADERS 3 | :status: 200 | a: b\n< DATA 3 end fine\n");
    struct result *first = submit(t, "GET");
    while (h2peer_count(h2, 0, "HEADERS 1 ") == 0) {
        aioduct_client_turn(t->client, 5);
    }
    aioduct_exchange_cancel(first->exchange);
    tester_run(t);
    struct result *second = get(t);
    assert_answer(second, 200);
    assert_string_equal(second->body, "fine");
    assert_int_equal(peer_connections(t->peer), 1);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("C33: a first frame that is not SETTINGS ends the connection", test_first_frame),
        HTTP_CASES("C34: windows that shrink while a body goes up", test_window_changes),
        HTTP_CASES("C34: a lower stream limit stops only new requests", test_lower_stream_limit),
        HTTP_CASES("C35: with a stream limit of 0 requests queue", test_no_streams),
        HTTP_CASE("C36: bodies of cancelled requests use up no window", test_credit_of_cancelled),
        HTTP_CASES("C38: above the last id sent again, below it goes on", test_goaway),
        HTTP_CASE("C38: GOAWAY in two steps", test_goaway_twice),
        HTTP_CASE("C38: GOAWAY ends an idle connection", test_goaway_when_idle),
        HTTP_CASE("C38: a GOAWAY for a fault on the first request fails it", test_goaway_at_once),
        HTTP_CASE("C38: GOAWAY again and again fails in the end", test_goaway_without_end),
        HTTP_CASES("C54: a close behind GOAWAY tells what is safe to send again",
                   test_close_after_goaway),
        HTTP_CASES("C39: refused requests are sent again at most replays_max times", test_refused),
        HTTPS_CASE("C40: HTTP_1_1_REQUIRED is asked again over HTTP/1.1", test_http11_required),
        HTTP_CASE("C40: ENHANCE_YOUR_CALM keeps new requests back", test_calm),
        HTTP_CASES("C41: NO_ERROR behind a whole answer is success", test_reset_after_answer),
        HTTP_CASES("C14: an answer before the upload's end calls it off", test_early_answer),
        HTTP_CASES("C46: a malformed answer costs its request alone", test_malformed),
        HTTP_CASES("C22: a lost connection: what is sent again", test_lost),
        HTTP_CASE("C44: a cancel behind GOAWAY ends the connection at once",
                  test_cancel_after_goaway),
        HTTP_CASE("C44: heads that wait for output are given up without a trace",
                  test_large_heads_given_up),
        HTTP_CASES("C44: cancelled requests count until the server has seen it", test_rapid_reset),
        HTTP_CASES("C45: late frames of a cancelled request are ignored", test_late_frames),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
