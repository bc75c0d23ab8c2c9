/* SPDX-License-Identifier: MIT */
/* What a request may ask for, over HTTP/2: kinds of bodies, trailers, rates, sizes, Expect. */
#include "h2peer.h"
#include "source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum gate { GO };

#define BYTES 400000
#define RATE 400000
/* A quarter of a second's bytes may go at once. */
#define MS_MIN 740
#define MS_MAX 5000

/* ---- to a real server ---- */

static const char *url_of(const struct tester *t, const char *path)
{
    if (suite_nginx() == NULL) {
        tap_skip("nginx is not installed");
    }
    return nginx_url(suite_nginx(), t->tls ? NGINX_TLS_HTTP2 : NGINX_HTTP2, NULL, path);
}

static void client(struct tester *t)
{
    t->options.version = t->tls ? AIODUCT_HTTP_2 : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    tester_client(t);
}

static void assert_uploaded(struct tester *t, const struct result *r, const char *name)
{
    assert_code(0, r->code);
    assert_true(r->status == 201 || r->status == 204);
    assert_string_equal(r->protocol, "h2");
    char *path = test_format("%s/upload/%s", nginx_dir(suite_nginx()), name);
    size_t count;
    char *found = test_file_read(path, &count);
    free(path);
    assert_non_null(found);
    char *kept = tester_alloc(t, count + 1);
    memcpy(kept, found, count);
    free(found);
    assert_source_bytes(kept, count, BYTES);
}

static void test_file(void **state)
{
    struct tester *t = *state;
    client(t);
    char name[] = "/tmp/aioduct-test-XXXXXX";
    char *bytes = tester_alloc(t, BYTES + 1);
    int fd = mkstemp(name);
    unlink(name);
    test_fill(bytes + 1, BYTES, 0);
    assert_int_equal(write(fd, bytes, BYTES + 1), BYTES + 1);
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, "/upload/flow-file"));
    assert_code(0, aioduct_request_body_file(request, fd, 1, AIODUCT_LENGTH_UNKNOWN));
    struct result *first = tester_submit(t, request), *second = tester_submit(t, request);
    tester_run(t);
    assert_uploaded(t, first, "flow-file");
    assert_uploaded(t, second, "flow-file");
    assert_int_equal(first->info.connection, second->info.connection);
    close(fd);
}

struct writer {
    struct aioduct_exchange *exchange;
    uint64_t at;
    int status, code;
};

static void write_on(struct writer *w)
{
    char piece[30000];
    int64_t taken = 1;
    while (w->at < BYTES && taken > 0) {
        uint64_t left = BYTES - w->at;
        size_t count = left < sizeof piece ? (size_t)left : sizeof piece;
        test_fill(piece, count, w->at);
        taken = aioduct_exchange_write(w->exchange, piece, count);
        w->at += taken > 0 ? (uint64_t)taken : 0;
    }
    if (w->at == BYTES) {
        assert_code(0, aioduct_exchange_write_end(w->exchange));
    }
}

static void on_writable(struct aioduct_exchange *exchange, void *user)
{
    (void)exchange;
    write_on(user);
}

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    ((struct writer *)user)->status = head->status;
    return 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    (void)exchange;
    ((struct writer *)user)->code = error->code;
}

static void pushed(struct tester *t, const char *name, int64_t length)
{
    struct aioduct_callbacks callbacks = {.size = sizeof callbacks,
                                          .on_head = on_head,
                                          .on_done = on_done,
                                          .on_writable = on_writable};
    char path[64];
    snprintf(path, sizeof path, "/upload/%s", name);
    struct writer *w = tester_alloc(t, sizeof *w);
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, path));
    assert_code(0, aioduct_request_body_push(request, length));
    assert_code(0, aioduct_client_submit(t->client, request, &callbacks, w, &w->exchange));
    write_on(w);
    assert_true(w->at < BYTES); /* bounded */
    tester_run(t);
    struct result r = {.code = w->code, .status = w->status};
    snprintf(r.protocol, sizeof r.protocol, "h2");
    assert_uploaded(t, &r, name);
}

static void test_push(void **state)
{
    struct tester *t = *state;
    client(t);
    pushed(t, "flow-push", AIODUCT_LENGTH_UNKNOWN);
    pushed(t, "flow-push-length", BYTES);
}

static void test_send_rate(void **state)
{
    struct tester *t = *state;
    client(t);
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, "/upload/flow-rate"));
    source_attach(request, source_new(t, BYTES), BYTES, false);
    assert_code(0, aioduct_request_send_rate_max(request, RATE));
    uint64_t begin = test_now_ms();
    struct result *r = tester_perform(t, request);
    assert_in_range(test_now_ms() - begin, MS_MIN, MS_MAX);
    assert_uploaded(t, r, "flow-rate");
}

static void test_recv_rate(void **state)
{
    struct tester *t = *state;
    char hex[65];
    client(t);
    const char *url = url_of(t, "/flow-recv");
    assert_code(0, nginx_add_file(suite_nginx(), "flow-recv", BYTES, hex));
    struct aioduct_request *request = tester_request(t, "GET", url);
    assert_code(0, aioduct_request_recv_rate_max(request, RATE));
    struct result *r = tester_result(t);
    uint64_t begin = test_now_ms();
    tester_submit_into(t, request, r);
    /* Another one beside it is not slowed. */
    struct result *free = tester_get(t, url);
    assert_answer(free, 200);
    assert_true(r->body_bytes < BYTES);
    tester_run(t);
    assert_in_range(test_now_ms() - begin, MS_MIN, MS_MAX);
    assert_answer(r, 200);
    assert_source_bytes(r->body, r->body_bytes, BYTES);
    assert_int_equal(r->info.connection, free->info.connection);
}

static void test_recv_max(void **state)
{
    struct tester *t = *state;
    char hex[65];
    client(t);
    const char *url = url_of(t, "/flow-max");
    assert_code(0, nginx_add_file(suite_nginx(), "flow-max", 1000, hex));
    struct aioduct_request *request = tester_request(t, "GET", url);
    assert_code(0, aioduct_request_recv_bytes_max(request, 999));
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_int_equal(r->status, 200);
    assert_int_equal(r->body_bytes, 0);
    struct result *next = tester_get(t, url);
    assert_answer(next, 200);
    assert_int_equal(next->info.connection, r->info.connection);
}

static void test_refused(void **state)
{
    struct tester *t = *state;
    client(t);
    struct aioduct_request *request = tester_request(t, "POST", url_of(t, "/limited"));
    struct source *source = source_new(t, 1u << 30);
    source_attach(request, source, 1u << 30, false);
    struct result *r = tester_perform(t, request);
    assert_answer(r, 413);
    assert_int_equal(source->finished, 1);
    assert_true(source->at < 1u << 30);
    assert_int_equal(source->at, source->at_finished);
    struct result *next = tester_get(t, url_of(t, "/status/204"));
    assert_answer(next, 204);
    assert_int_equal(next->info.connection, r->info.connection);
}

/* ---- to a scripted one ---- */

static struct aioduct_request *upload(struct tester *t, struct source *source, int64_t length)
{
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    source_attach(request, source, length, false);
    return request;
}

static void test_expect_refused(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = 1000; /* the answer comes before */
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 403\n"
                                         "gate 0\n< DATA 1 end no\n"
                                         "? RST_STREAM 1\nserve\n");
    struct source *source = source_new(t, 1000);
    struct aioduct_request *request = upload(t, source, 1000);
    assert_code(0, aioduct_request_expect_continue(request, 1));
    struct result *r = tester_submit(t, request);
    for (uint64_t until = test_now_ms() + 1300; test_now_ms() < until;) {
        assert_true(aioduct_client_turn(t->client, 20) >= 0);
    }
    peer_open(t->peer, GO);
    tester_run(t);
    assert_answer(r, 403);
    assert_string_equal(r->body, "no");
    assert_int_equal(source->reads, 0);
    assert_int_equal(source->finished, 1);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_int_equal(h2peer_count(h2, 0, "DATA 1"), 0);
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_silent_answer_in_upload(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 100;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n< DATA 1 first\n"
                     "? DATA 1 end\n< DATA 1 end last\n");
    struct source *source = source_new(t, 1000);
    source->wait_at = 500;
    source->piecewise = true;
    struct result *r = tester_submit(t, upload(t, source, 1000));
    for (uint64_t until = test_now_ms() + 300; test_now_ms() < until;) {
        assert_true(aioduct_client_turn(t->client, 20) >= 0);
    }
    assert_int_equal(r->done_count, 0); /* the silence is ours */
    assert_code(0, aioduct_exchange_body_ready(r->exchange));
    tester_run(t);
    assert_answer(r, 200);
    assert_string_equal(r->body, "firstlast");
}

struct counting {
    struct aioduct_exchange *exchange;
    int given;
};

static int64_t read_counting(void *user, void *buffer, size_t capacity)
{
    struct counting *c = user;
    (void)capacity;
    if (c->given == 3) {
        assert_code(0, aioduct_exchange_trailer_add(c->exchange, "X-Count", "3"));
        return 0;
    }
    c->given++;
    memcpy(buffer, "x", 1);
    return 1;
}

static void test_trailers(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\nserve\n");
    struct counting *c = tester_alloc(t, sizeof *c);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    struct aioduct_body_source pull = {.size = sizeof pull, .read = read_counting, .user = c};
    assert_code(0, aioduct_request_body_pull(request, &pull, AIODUCT_LENGTH_UNKNOWN));
    assert_code(0, aioduct_request_trailer_add(request, "X-First", "0"));
    struct result *r = tester_submit(t, request);
    c->exchange = r->exchange;
    tester_run(t);
    assert_answer(r, 200);
    assert_int_equal(h2peer_wait(h2, 0, "HEADERS 1 end | x-first: 0 | x-count: 3", 1), 1);
    /* Without a body, too. */
    struct aioduct_request *bare = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_trailer_add(bare, "X-A", "1"));
    assert_answer(tester_perform(t, bare), 200);
    assert_int_equal(h2peer_wait(h2, 0, "HEADERS 3 end | x-a: 1", 1), 1);
}

static void test_authority(void **state)
{
    struct tester *t = *state;
    client(t);
    struct h2peer *h2 = h2peer_script(t, "< SETTINGS\nserve\n");
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_authority(request, "virtual.example:8080"));
    assert_answer(tester_perform(t, request), 200);
    assert_non_null(strstr(h2peer_log(h2, 0), ":authority: virtual.example:8080 |"));
    assert_null(strstr(h2peer_log(h2, 0), " host: "));
}

struct unready {
    struct result *result;
    uint64_t given, first; /* so many bytes, then nothing until it is ready, then the end */
    bool waits, ready;
};

static int64_t read_unready(void *user, void *buffer, size_t capacity)
{
    struct unready *u = user;
    uint64_t left = u->first - u->given;
    if (left > 0) {
        size_t count = left < capacity ? (size_t)left : capacity;
        memset(buffer, 'x', count);
        u->given += count;
        return (int64_t)count;
    }
    u->waits = true;
    return u->ready ? 0 : AIODUCT_BODY_WAIT;
}

static bool is_waiting(void *user)
{
    const struct unready *u = user;
    return u->waits || u->result->done_count > 0;
}

/* The gap is the network's: a source that has nothing to send is waited for. */
static void unready(struct tester *t, uint64_t first, bool expect)
{
    struct unready *u = tester_alloc(t, sizeof *u);
    u->first = first;
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    struct aioduct_body_source pull = {.size = sizeof pull, .read = read_unready, .user = u};
    assert_code(0, aioduct_request_body_pull(request, &pull, AIODUCT_LENGTH_UNKNOWN));
    assert_code(0, aioduct_request_expect_continue(request, expect));
    u->result = tester_submit(t, request);
    tester_turn_until(t, is_waiting, u);
    for (uint64_t until = test_now_ms() + 900; test_now_ms() < until;) {
        assert_true(aioduct_client_turn(t->client, 20) >= 0);
    }
    assert_code(0, u->result->code);
    assert_int_equal(u->result->done_count, 0);
    u->ready = true;
    assert_code(0, aioduct_exchange_body_ready(u->result->exchange));
    tester_run(t);
    assert_answer(u->result, 200);
}

static void test_write_gap_after_100(void **state)
{
    struct tester *t = *state;
    t->options.write_gap_timeout_ms = 300;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 100\n? DATA 1 end\n"
                     "< HEADERS 1 end | :status: 200\n");
    unready(t, 0, true);
}

static void test_write_gap_at_window(void **state)
{
    struct tester *t = *state;
    t->options.write_gap_timeout_ms = 300;
    client(t);
    h2peer_script(t, "< SETTINGS\n? DATA 1 16383\n< WINDOW_UPDATE 1 100\n"
                     "< WINDOW_UPDATE 0 100\n? DATA 1 end\n"
                     "< HEADERS 1 end | :status: 200\n");
    unready(t, 65535, false);
}

static void test_low_speed(void **state)
{
    struct tester *t = *state;
    t->options.low_speed_bytes = 1000;
    t->options.low_speed_s = 1;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n< DATA 1 slow\n"
                     "? RST_STREAM 1\n");
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "low_speed_bytes"));
}

struct expected {
    const struct result *r;
    uint64_t bytes;
};

static bool came(void *arg)
{
    const struct expected *expected = arg;
    return expected->r->body_bytes >= expected->bytes;
}

/* Less than a window was taken: when half of it is held still, what was released is not half
 * yet. */
static void test_small_releases(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = 65536;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n"
                     "< DATA 1 size=16000\n< DATA 1 size=16000\n"
                     "< DATA 1 size=16000\n< DATA 1 size=16000\n"
                     "? WINDOW_UPDATE 1\n< DATA 1 end size=100\n");
    struct result *r = tester_result(t);
    struct expected expected = {r, 64000};
    r->hold_body = true;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    tester_turn_until(t, came, &expected);
    for (int i = 0; i < 64 && r->done_count == 0; i++) {
        assert_code(0, aioduct_exchange_release(r->exchange, 1000));
        tester_turn(t, 0);
    }
    tester_run(t);
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, 64100);
}

/* What is sent ahead of a body that is read as it comes: twice as much each time that half of it is
 * given back, up to eight windows. */
static void test_ahead(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = 65536;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n"
                     "< REPEAT 2 DATA 1 size=16384\n"
                     "? WINDOW_UPDATE 1 32768\n? WINDOW_UPDATE 1 65536\n"
                     "< REPEAT 4 DATA 1 size=16384\n"
                     "? WINDOW_UPDATE 1 65536\n? WINDOW_UPDATE 1 131072\n"
                     "< REPEAT 8 DATA 1 size=16384\n"
                     "? WINDOW_UPDATE 1 131072\n? WINDOW_UPDATE 1 262144\n"
                     "< REPEAT 16 DATA 1 size=16384\n? WINDOW_UPDATE 1 262144\n"
                     "< REPEAT 16 DATA 1 size=16384\n? WINDOW_UPDATE 1 262144\n"
                     "< DATA 1 end size=100\n");
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, 753764);
}

static bool is_open(void *peer)
{
    return peer_is_open(peer, GO);
}

/* Who holds back has one window, and keeps no more. */
static void test_no_more_ahead(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = 65536;
    client(t);
    struct h2peer *h2 =
        h2peer_script(t, "< SETTINGS\n? HEADERS 1\n< HEADERS 1 | :status: 200\n"
                         "< REPEAT 2 DATA 1 size=16384\n? WINDOW_UPDATE 1 32768\n"
                         "< REPEAT 4 DATA 1 size=16384\n< PING 01234567\n? PING ack\nopen 0\n"
                         "? WINDOW_UPDATE 1 65536\n< DATA 1 end size=100\n");
    struct result *r = tester_result(t);
    r->pause_at = 'B';
    r->pause_at_bytes = 32768;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    tester_turn_until(t, result_is_paused, r);
    tester_turn_until(t, is_open, t->peer);
    assert_int_equal(result_told_bytes(r), 32768);
    assert_int_equal(h2peer_count(h2, 0, "WINDOW_UPDATE 1"), 1);
    assert_code(0, aioduct_exchange_resume(r->exchange));
    tester_run(t);
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, 98404);
}

/* All of a connection's streams together have no more ahead than its window; what one had is for
 * others when it has ended. */
static void test_ahead_of_all(void **state)
{
    struct tester *t = *state;
    t->options.window_bytes = 65536;
    t->options.h2_connection_window_bytes = 131072;
    client(t);
    h2peer_script(t, "< SETTINGS\n? HEADERS 3\n< HEADERS 1 | :status: 200\n"
                     "< REPEAT 2 DATA 1 size=16384\n? WINDOW_UPDATE 1 65536\n"
                     "< HEADERS 3 | :status: 200\n"
                     "< REPEAT 2 DATA 3 size=16384\n? WINDOW_UPDATE 3 32768\n"
                     "< REPEAT 2 DATA 3 size=16384\n? WINDOW_UPDATE 3 32768\n"
                     "< DATA 1 end\n? HEADERS 5\n< HEADERS 5 | :status: 200\n"
                     "< REPEAT 2 DATA 5 size=16384\n? WINDOW_UPDATE 5 65536\n"
                     "< DATA 5 end\n< DATA 3 end\n");
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *first = tester_submit(t, request);
    struct result *second = tester_submit(t, request);
    tester_turn_until(t, result_is_done, first);
    struct result *third = tester_submit(t, request);
    tester_run(t);
    assert_answer(first, 200);
    assert_answer(second, 200);
    assert_answer(third, 200);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("a file goes up over HTTP/2, twice at once", test_file),
        HTTP_CASES("a body is pushed over HTTP/2", test_push),
        HTTP_CASES("C120: a body is sent at its rate over HTTP/2", test_send_rate),
        HTTP_CASES("C120: a body is delivered at its rate, others are not slowed", test_recv_rate),
        HTTP_CASE("a body that is too large costs its stream alone", test_recv_max),
        HTTP_CASES("C14: a refusal stops a long upload over HTTP/2", test_refused),
        HTTP_CASES("C21: no body goes after a final answer over HTTP/2", test_expect_refused),
        HTTP_CASE("C14: an early answer may be silent while the body goes up",
                  test_silent_answer_in_upload),
        HTTP_CASE("a source that is not ready at the 100 is waited for", test_write_gap_after_100),
        HTTP_CASE("a source that is not ready when the window opens is waited for",
                  test_write_gap_at_window),
        HTTP_CASES("C7: trailers that are known behind the last byte, over HTTP/2", test_trailers),
        HTTP_CASE("C19: another authority over HTTP/2", test_authority),
        HTTP_CASE("a stream below the low speed fails", test_low_speed),
        HTTP_CASES("small releases add up to a window update", test_small_releases),
        HTTP_CASES("C37: a body that is read as it comes may have eight windows ahead", test_ahead),
        HTTP_CASES("C37: who holds back has one window ahead", test_no_more_ahead),
        HTTP_CASES("C37: what streams have ahead is bounded for all of them", test_ahead_of_all),
    };
    return TAP_RUN(cases, suite_begin_nginx, suite_end);
}
