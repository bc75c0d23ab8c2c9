/* SPDX-License-Identifier: MIT */
/* Rates, low speed, bodies that are too large, and deadlines of one request. */
#include "source.h"

#include <stdlib.h>
#include <string.h>

enum gate { GO };

#define RATE 400000
#define BYTES 400000 /* a second's */
/* A quarter may go at once; the rest takes its time, and on a busy machine more. */
#define MS_MIN 740
#define MS_MAX 4000

static char *filled(struct tester *t, size_t bytes)
{
    char *body = tester_alloc(t, bytes + 1);
    test_fill(body, bytes, 0);
    return body;
}

static void play_body(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    while (peer_read_request(conn)) {
        if (!peer_format(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BYTES) ||
            !peer_send_bytes(conn, user, BYTES)) {
            return;
        }
    }
}

static void play_accept(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "taken");
    }
}

/* ---- rates ---- */

static void test_recv_rate(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_body, filled(t, BYTES));
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_recv_rate_max(request, RATE));
    uint64_t begin = test_now_ms();
    struct result *r = tester_perform(t, request);
    uint64_t took = test_now_ms() - begin;
    assert_answer(r, 200);
    assert_source_bytes(r->body, r->body_bytes, BYTES);
    assert_in_range(took, MS_MIN, MS_MAX);
    struct result *free = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(free, 200);
    assert_int_equal(free->info.reused, 1);
}

static void sent_slowly(struct tester *t, int64_t length)
{
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = source_request(t, "PUT", source_new(t, BYTES), length);
    assert_code(0, aioduct_request_send_rate_max(request, RATE));
    uint64_t begin = test_now_ms();
    struct result *r = tester_perform(t, request);
    uint64_t took = test_now_ms() - begin;
    assert_answer(r, 200);
    assert_source_bytes(peer_request(t->peer, 0)->body, peer_request(t->peer, 0)->body_bytes,
                        BYTES);
    assert_in_range(took, MS_MIN, MS_MAX);
}

static void test_send_rate(void **state)
{
    sent_slowly(*state, BYTES);
}

static void test_send_rate_chunked(void **state)
{
    sent_slowly(*state, AIODUCT_LENGTH_UNKNOWN);
}

static void test_slow_rate(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 100; /* our own holding back is no silence */
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_copy(request, "0123456789", 10));
    assert_code(0, aioduct_request_send_rate_max(request, 10));
    assert_code(0, aioduct_request_recv_rate_max(request, 2)); /* "taken" */
    uint64_t begin = test_now_ms();
    struct result *r = tester_perform(t, request);
    assert_answer(r, 200);
    assert_string_equal(peer_request(t->peer, 0)->body, "0123456789");
    assert_in_range(test_now_ms() - begin, 1400, 6000);
}

static void on_ready(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)r;
    if (event == 'I') {
        aioduct_exchange_body_ready(exchange); /* says nothing new to a source that is slowed */
    }
}

static void play_hints(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn)) {
        for (int i = 0; i < 10; i++) {
            if (!peer_send(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")) {
                return;
            }
            test_pause_ms(20);
        }
        if (peer_read_body(conn)) {
            peer_answer(conn, 200, "", "");
        }
    }
}

static void test_ready_and_rate(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_hints, NULL);
    struct source *source = source_new(t, 10);
    struct aioduct_request *request = source_request(t, "PUT", source, 10);
    assert_code(0, aioduct_request_send_rate_max(request, 10));
    struct result *r = tester_result(t);
    r->on_event = on_ready;
    uint64_t begin = test_now_ms();
    int turns = 0;
    tester_submit_into(t, request, r);
    while (r->done_count == 0) {
        assert_true(aioduct_client_turn(t->client, 50) >= 0);
        turns++;
    }
    assert_answer(r, 200);
    assert_in_range(test_now_ms() - begin, 700, MS_MAX);
    assert_true(turns < 400); /* and makes nobody spin */
}

/* ---- sizes ---- */

static void play_chunks(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "a\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n");
        peer_read_end(conn, NULL);
    }
}

static struct result *limited(struct tester *t, const char *method, int64_t max)
{
    struct aioduct_request *request = tester_request(t, method, peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_recv_bytes_max(request, max));
    return tester_perform(t, request);
}

static void test_length_max(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_body, filled(t, BYTES));
    struct result *r = limited(t, "GET", BYTES - 1);
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_string_equal(r->order, "HD"); /* the head is told, the body is not begun */
    assert_int_equal(r->error.partial, 0);
    assert_answer(limited(t, "GET", BYTES), 200);
}

static void test_chunked_max(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_chunks, NULL);
    struct result *r = limited(t, "GET", 15);
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_string_equal(r->body, "012345678901234"); /* as much as was wanted */
    assert_int_equal(r->error.partial, 1);
    assert_answer(limited(t, "GET", 20), 200);
}

static void play_head(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    }
}

static void test_head_max(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_head, NULL);
    assert_answer(limited(t, "HEAD", 10), 200);
}

/* ---- low speed ---- */

struct trickle {
    int bytes, times; /* every 100 ms */
};

static void play_trickle(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const struct trickle *trickle = user;
    char piece[2000];
    memset(piece, 'x', sizeof piece);
    if (!peer_read_request(conn) ||
        !peer_format(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                     trickle->bytes * trickle->times)) {
        return;
    }
    for (int i = 0; i < trickle->times; i++) {
        if (!peer_send_bytes(conn, piece, (size_t)trickle->bytes)) {
            return;
        }
        test_pause_ms(100);
    }
}

static struct trickle *trickle_peer(struct tester *t, int bytes, int times)
{
    struct trickle *trickle = tester_alloc(t, sizeof *trickle);
    *trickle = (struct trickle){bytes, times};
    t->options.low_speed_bytes = 1000;
    t->options.low_speed_s = 1;
    tester_client(t);
    tester_peer(t, play_trickle, trickle);
    return trickle;
}

static void test_low_speed(void **state)
{
    struct tester *t = *state;
    trickle_peer(t, 10, 200);
    uint64_t begin = test_now_ms();
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "low_speed_bytes"));
    assert_in_range(test_now_ms() - begin, 990, 10000);
    assert_int_equal(r->error.partial, 1);
}

static void test_not_so_low_speed(void **state)
{
    struct tester *t = *state;
    trickle_peer(t, 300, 25);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
}

/* Both ways of a request to differ from its client: a bound of its own, and none. */
static void test_own_low_speed(void **state)
{
    struct tester *t = *state;
    struct trickle *trickle = tester_alloc(t, sizeof *trickle);
    *trickle = (struct trickle){10, 200};
    tester_client(t);
    tester_peer(t, play_trickle, trickle);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_low_speed(request, 1000, 1));
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
    assert_string_equal(r->error.message,
                        "aioduct_request_low_speed: fewer than 1000 bytes a second for 1 s");
}

static void test_any_speed(void **state)
{
    struct tester *t = *state;
    trickle_peer(t, 10, 15);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_low_speed(request, AIODUCT_NO_LIMIT, 0));
    assert_answer(tester_perform(t, request), 200);
    request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_low_speed(request, AIODUCT_NO_LIMIT, 0));
    assert_code(0, aioduct_request_low_speed(request, 0, 0)); /* the client's again */
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
}

static void pause_at_head(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)r;
    if (event == 'H') {
        aioduct_exchange_pause(exchange);
    }
}

static void test_pause_is_no_low_speed(void **state)
{
    struct tester *t = *state;
    trickle_peer(t, 2000, 5);
    struct result *r = tester_result(t);
    r->on_event = pause_at_head;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    uint64_t begin = test_now_ms();
    while (test_now_ms() - begin < 2300) {
        assert_true(aioduct_client_turn(t->client, 50) >= 0);
    }
    assert_int_equal(r->done_count, 0);
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_answer(r, 200);
}

static void play_reads_nothing(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn)) {
        peer_hang(conn);
    }
}

static void test_low_speed_up(void **state)
{
    struct tester *t = *state;
    t->options.low_speed_bytes = 1000;
    t->options.low_speed_s = 1;
    t->options.socket.send_buffer_bytes = 16384;
    tester_client(t);
    struct peer_options options = {.play = play_reads_nothing, .receive_buffer = 16384};
    tester_peer_with(t, &options);
    struct source *source = source_new(t, 512u << 20);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, 512u << 20));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_SEND);
    assert_non_null(strstr(r->error.message, "low_speed_bytes"));
    assert_int_equal(source->finished, 1);
}

/* ---- deadlines of one request ---- */

static struct result *timed(struct tester *t, struct aioduct_request *request,
                            struct aioduct_request_timeouts timeouts)
{
    timeouts.size = sizeof timeouts;
    assert_code(0, aioduct_request_timeouts(request, &timeouts));
    return tester_perform(t, request);
}

static void assert_timeout(const struct result *r, enum aioduct_phase phase, const char *option,
                           uint64_t took)
{
    assert_error(r, AIODUCT_E_TIMEOUT, phase);
    assert_non_null(strstr(r->error.message, option));
    assert_true(took < 10000);
}

static void test_own_head_timeout(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_reads_nothing, NULL);
    uint64_t begin = test_now_ms();
    struct result *r = timed(t, tester_request(t, "GET", peer_url(t->peer, "/")),
                             (struct aioduct_request_timeouts){.head_ms = 100});
    assert_timeout(r, AIODUCT_PHASE_HEAD, "head_timeout_ms", test_now_ms() - begin);
    begin = test_now_ms();
    r = timed(t, tester_request(t, "GET", peer_url(t->peer, "/")),
              (struct aioduct_request_timeouts){.total_ms = 100});
    assert_timeout(r, AIODUCT_PHASE_HEAD, "total_timeout_ms", test_now_ms() - begin);
}

static void play_late(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        test_pause_ms(300);
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla");
        test_pause_ms(300);
        peer_send(conn, "te");
        peer_read_end(conn, NULL);
    }
}

static void test_own_patience(void **state)
{
    struct tester *t = *state;
    t->options.head_timeout_ms = t->options.read_gap_timeout_ms = 100;
    t->options.total_timeout_ms = 400;
    tester_client(t);
    tester_peer(t, play_late, NULL);
    struct result *r =
        timed(t, tester_request(t, "GET", peer_url(t->peer, "/")),
              (struct aioduct_request_timeouts){
                  .head_ms = 5000, .read_gap_ms = AIODUCT_NO_LIMIT, .total_ms = AIODUCT_NO_LIMIT});
    assert_answer(r, 200);
    assert_string_equal(r->body, "late");
}

static void test_own_read_gap(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_late, NULL);
    struct result *r = timed(t, tester_request(t, "GET", peer_url(t->peer, "/")),
                             (struct aioduct_request_timeouts){.read_gap_ms = 50});
    assert_timeout(r, AIODUCT_PHASE_BODY, "read_gap_timeout_ms", 0);
}

static void test_own_write_gap(void **state)
{
    struct tester *t = *state;
    t->options.socket.send_buffer_bytes = 16384;
    tester_client(t);
    struct peer_options options = {.play = play_reads_nothing, .receive_buffer = 16384};
    tester_peer_with(t, &options);
    struct source *source = source_new(t, 512u << 20);
    struct result *r = timed(t, source_request(t, "PUT", source, 512u << 20),
                             (struct aioduct_request_timeouts){.write_gap_ms = 100});
    assert_timeout(r, AIODUCT_PHASE_SEND, "write_gap_timeout_ms", 0);
}

static void test_own_expect(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = AIODUCT_NO_LIMIT;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_copy(request, "x", 1));
    assert_code(0, aioduct_request_expect_continue(request, 1));
    struct result *r = timed(t, request, (struct aioduct_request_timeouts){.expect_ms = 50});
    assert_answer(r, 200);
}

static void test_own_connect(void **state)
{
    struct tester *t = *state;
    t->options.connect_timeout_ms = 50;
    tester_client(t);
    struct peer_options options = {.accept_nothing = true}; /* so TLS stands still */
    tester_peer_with(t, &options);
    uint64_t begin = test_now_ms();
    struct result *r = timed(t, tester_request(t, "GET", peer_url(t->peer, "/")),
                             (struct aioduct_request_timeouts){.connect_ms = 1500});
    uint64_t took = test_now_ms() - begin;
    assert_timeout(r, AIODUCT_PHASE_TLS, "connect_timeout_ms", took);
    assert_true(took >= 1500);
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    assert_code(0, aioduct_client_stats(t->client, &stats));
    assert_int_equal(stats.dials, 1); /* the attempt lasts as long as its waiter's patience */
    begin = test_now_ms();
    r = tester_get(t, peer_url(t->peer, "/"));
    assert_timeout(r, AIODUCT_PHASE_TLS, "connect_timeout_ms", test_now_ms() - begin);
}

static void test_own_acquire(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 1;
    tester_client(t);
    tester_peer(t, play_reads_nothing, NULL);
    struct result *first = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct aioduct_request_timeouts timeouts = {.size = sizeof timeouts, .acquire_ms = 100};
    assert_code(0, aioduct_request_timeouts(request, &timeouts));
    struct result *r = tester_submit(t, request);
    while (r->done_count == 0) {
        assert_true(aioduct_client_turn(t->client, 50) >= 0);
    }
    assert_timeout(r, AIODUCT_PHASE_QUEUE, "acquire_timeout_ms", 0);
    aioduct_exchange_cancel(first->exchange);
    tester_run(t);
}

static void test_setters(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct aioduct_request_timeouts bad = {.size = sizeof bad, .read_gap_ms = -2}, good = bad;
    good.read_gap_ms = 1000;
    assert_code(-EINVAL, aioduct_request_timeouts(request, &bad));
    bad = (struct aioduct_request_timeouts){0};
    assert_code(-EINVAL, aioduct_request_timeouts(request, &bad));
    assert_code(-EINVAL, aioduct_request_recv_rate_max(request, -1));
    assert_code(-EINVAL, aioduct_request_send_rate_max(request, -1));
    assert_code(-EINVAL, aioduct_request_recv_bytes_max(request, -1));
    assert_code(-EINVAL, aioduct_request_low_speed(request, -2, 0));
    assert_code(-EINVAL, aioduct_request_low_speed(request, 1, -1));
    assert_code(-EINVAL, aioduct_request_low_speed(request, 0, 1));
    assert_code(-EINVAL, aioduct_request_low_speed(request, AIODUCT_NO_LIMIT, 1));
    assert_code(-EINVAL, aioduct_request_low_speed(NULL, 1, 1));
    assert_answer(tester_perform(t, request), 200);
    assert_code(-EBUSY, aioduct_request_low_speed(request, 1, 1));
    assert_code(-EBUSY, aioduct_request_timeouts(request, &good));
    assert_code(-EBUSY, aioduct_request_recv_rate_max(request, 1));
    assert_code(-EBUSY, aioduct_request_send_rate_max(request, 1));
    assert_code(-EBUSY, aioduct_request_recv_bytes_max(request, 1));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C120: a body is delivered at its rate, after one burst", test_recv_rate),
        HTTP_CASES("C120: a body is sent at its rate, after one burst", test_send_rate),
        HTTP_CASE("C120: a chunked body is sent at its rate", test_send_rate_chunked),
        HTTP_CASE("C120: a few bytes a second are a rate too", test_slow_rate),
        HTTP_CASE("C120: body_ready does not hurry a body that is slowed", test_ready_and_rate),
        HTTP_CASE("a body that says it is too large is not begun", test_length_max),
        HTTP_CASES("a body that becomes too large is cut and fails", test_chunked_max),
        HTTP_CASE("HEAD has no body that could be too large", test_head_max),
        HTTP_CASES("a body below the low speed fails", test_low_speed),
        HTTP_CASE("a body above the low speed arrives", test_not_so_low_speed),
        HTTP_CASE("a request has its own low speed", test_own_low_speed),
        HTTP_CASE("a request may do without the client's low speed", test_any_speed),
        HTTP_CASE("the caller's pause is no low speed", test_pause_is_no_low_speed),
        HTTP_CASE("an upload below the low speed fails", test_low_speed_up),
        HTTP_CASE("C119: a request has its own head and total timeout", test_own_head_timeout),
        HTTP_CASE("a request may be more patient than its client", test_own_patience),
        HTTP_CASE("a request has its own read gap", test_own_read_gap),
        HTTP_CASE("a request has its own write gap", test_own_write_gap),
        HTTP_CASE("C21: a request has its own expect timeout", test_own_expect),
        HTTPS_CASE("C57: a request has its own connect timeout", test_own_connect),
        HTTP_CASE("C107: a request has its own acquire timeout", test_own_acquire),
        HTTP_CASE("C117: bad values are refused", test_setters),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
