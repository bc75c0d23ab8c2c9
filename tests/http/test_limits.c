/* SPDX-License-Identifier: MIT */
/* Deadlines, limits, and servers that cannot be reached: each failure has its own code, phase and
 * word on whether the request may be sent again. */
#include "tester.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- deadlines ---- */

#define DEADLINE_MS 300
/* Deadlines are up to 8 ms late by design; the rest is for a busy machine, and less than any other
 * limit that could end a request here. */
#define LATE_MS 12000

static struct result *timed_get_of(struct tester *t, const char *url, unsigned deadline_ms)
{
    uint64_t start = test_now_ms();
    struct result *r = tester_get(t, url);
    assert_in_range(test_now_ms() - start, deadline_ms, deadline_ms + LATE_MS);
    return r;
}

static struct result *timed_get(struct tester *t, const char *url)
{
    return timed_get_of(t, url, DEADLINE_MS);
}

static void play_silent(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_hang(conn);
}

static void test_head_timeout(void **state)
{
    struct tester *t = *state;
    t->options.head_timeout_ms = DEADLINE_MS;
    tester_client(t);
    tester_peer(t, play_silent, NULL);
    struct result *r = timed_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_int_equal(r->error.partial, 0);
}

/* A byte every 20 ms: the head never ends, and silence never lasts. */
static void play_drip_head(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    bool going = peer_send(conn, "HTTP/1.1 200 OK\r\nX-Drip: ");
    while (going) {
        test_pause_ms(20);
        going = peer_send(conn, "x");
    }
}

static void test_head_drip(void **state)
{
    struct tester *t = *state;
    t->options.head_timeout_ms = 3 * DEADLINE_MS;
    t->options.read_gap_timeout_ms = 2 * DEADLINE_MS;
    tester_client(t);
    tester_peer(t, play_drip_head, NULL);
    struct result *r = timed_get_of(t, peer_url(t->peer, "/"), 3 * DEADLINE_MS);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
}

static void play_silent_body(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    peer_hang(conn);
}

static void test_read_gap(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = DEADLINE_MS;
    t->options.head_timeout_ms = 60000;
    tester_client(t);
    tester_peer(t, play_silent_body, NULL);
    struct result *r = timed_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
    assert_string_equal(r->body, "half");
    assert_string_equal(r->order, "HBD");
}

static void play_drip_body(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const int *bytes = user;
    peer_read_request(conn);
    bool going = peer_format(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", *bytes);
    for (int i = 0; going && i < *bytes; i++) {
        test_pause_ms(20);
        going = peer_send(conn, "x");
    }
    peer_hang(conn);
}

static const int sixty = 60, many = 100000;

static void test_read_gap_is_no_total(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 1000;
    tester_client(t);
    tester_peer(t, play_drip_body, (void *)(uintptr_t)&sixty);
    uint64_t start = test_now_ms();
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, 60);
    assert_true(test_now_ms() - start > 1000);
}

static void test_total_in_body(void **state)
{
    struct tester *t = *state;
    t->options.total_timeout_ms = DEADLINE_MS;
    tester_client(t);
    tester_peer(t, play_drip_body, (void *)(uintptr_t)&many);
    struct result *r = timed_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
    assert_non_null(strstr(r->error.message, "total"));
}

static void test_total_of_request(void **state)
{
    struct tester *t = *state;
    t->options.total_timeout_ms = 60000;
    tester_client(t);
    tester_peer(t, play_silent, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_total_timeout_ms(request, DEADLINE_MS));
    uint64_t start = test_now_ms();
    struct result *r = tester_perform(t, request);
    assert_in_range(test_now_ms() - start, DEADLINE_MS, DEADLINE_MS + LATE_MS);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
}

static void play_no_handshake(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_hang(conn);
}

static void test_tls_timeout(void **state)
{
    struct tester *t = *state;
    t->options.connect_timeout_ms = DEADLINE_MS;
    tester_client(t);
    tester_peer(t, play_no_handshake, NULL);
    char url[64];
    snprintf(url, sizeof url, "https://localhost:%d/", peer_port(t->peer));
    struct result *r = timed_get(t, url);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_TLS);
    assert_int_equal(r->error.safe_to_retry, 1);
}

/* A listening socket whose queue is full lets further connections hang in the handshake. */
static void test_connect_timeout(void **state)
{
    struct tester *t = *state;
    t->options.connect_timeout_ms = DEADLINE_MS;
    tester_client(t);
    tester_peer_with(t, &(struct peer_options){.backlog = 1, .accept_nothing = true});
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)peer_port(t->peer)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fillers[4];
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fillers[i], (struct sockaddr *)&in, sizeof in);
    }
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(t->peer));
    uint64_t start = test_now_ms();
    struct result *r = tester_get(t, url);
    uint64_t elapsed = test_now_ms() - start;
    for (int i = 0; i < 4; i++) {
        close(fillers[i]);
    }
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_CONNECT);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_in_range(elapsed, DEADLINE_MS, DEADLINE_MS + LATE_MS);
}

/* The peer reads nothing, so that the upload stands still once the buffers are full. */
static void play_read_nothing(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_hang(conn);
}

static void test_write_gap(void **state)
{
    struct tester *t = *state;
    t->options.write_gap_timeout_ms = DEADLINE_MS;
    t->options.socket.send_buffer_bytes = 65536;
    tester_client(t);
    tester_peer_with(t, &(struct peer_options){.play = play_read_nothing, .receive_buffer = 8192});
    const size_t bytes = 32u << 20;
    char *body = tester_alloc(t, bytes);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_borrow(request, body, bytes));
    uint64_t start = test_now_ms();
    struct result *r = tester_perform(t, request);
    assert_in_range(test_now_ms() - start, DEADLINE_MS, DEADLINE_MS + LATE_MS);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_SEND);
}

struct pause {
    struct result *result;
    int reads;
    uint64_t until_ms;
};

/* As much as fits, then nothing for longer than the gap, then the end. */
static int64_t on_read_with_pause(void *user, void *buffer, size_t capacity)
{
    struct pause *pause = user;
    if (pause->reads++ == 0) {
        memset(buffer, 'x', capacity);
        return (int64_t)capacity;
    }
    if (pause->until_ms == 0) {
        pause->until_ms = test_now_ms() + 3 * DEADLINE_MS;
    }
    return test_now_ms() < pause->until_ms ? AIODUCT_BODY_WAIT : 0;
}

static bool is_pause_over(void *user)
{
    struct pause *pause = user;
    if (pause->result->done_count == 0 && pause->until_ms != 0 &&
        test_now_ms() >= pause->until_ms) {
        aioduct_exchange_body_ready(pause->result->exchange);
        return true;
    }
    return pause->result->done_count > 0;
}

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "");
    }
}

/* The gap is the network's: a source that has nothing to send is waited for. */
static void test_write_gap_of_source(void **state)
{
    struct tester *t = *state;
    t->options.write_gap_timeout_ms = DEADLINE_MS;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct pause *pause = tester_alloc(t, sizeof *pause);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    struct aioduct_body_source source = {
        .size = sizeof source, .read = on_read_with_pause, .user = pause};
    assert_code(0, aioduct_request_body_pull(request, &source, AIODUCT_LENGTH_UNKNOWN));
    pause->result = tester_submit(t, request);
    tester_turn_until(t, is_pause_over, pause);
    tester_run(t);
    assert_answer(pause->result, 200);
}

static void play_slow_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        test_pause_ms(3 * DEADLINE_MS);
        peer_answer(conn, 200, "", "");
    }
}

/* The head fills the first block by itself, and the body behind it is empty: all is sent then. */
static void test_write_gap_of_large_head(void **state)
{
    struct tester *t = *state;
    t->options.write_gap_timeout_ms = DEADLINE_MS;
    tester_client(t);
    tester_peer(t, play_slow_answer, NULL);
    const size_t bytes = 40000;
    char *value = tester_alloc(t, bytes + 1);
    memset(value, 'x', bytes);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_add(request, "X-Large", value));
    assert_code(0, aioduct_request_body_copy(request, "", 0));
    assert_answer(tester_perform(t, request), 200);
}

/* ---- no way to the server ---- */

/* Bound and not listening, so that nobody else can be given the port meanwhile. */
static int closed_port(int *out_fd)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &bytes), 0);
    *out_fd = fd;
    return ntohs(in.sin_port);
}

static void refused(struct tester *t, const char *host)
{
    int fd;
    int port = closed_port(&fd);
    char url[64], place[16];
    snprintf(url, sizeof url, "%s://%s:%d/", t->tls ? "https" : "http", host, port);
    snprintf(place, sizeof place, "%d", port);
    struct result *r = tester_get(t, url);
    close(fd);
    assert_error(r, -ECONNREFUSED, AIODUCT_PHASE_CONNECT);
    assert_int_equal(r->error.os_code, ECONNREFUSED);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_string_equal(r->order, "D");
    /* Which address was tried, and of which name. */
    assert_non_null(strstr(r->error.message, host));
    assert_non_null(strstr(r->error.message, place));
}

static void test_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    refused(t, "127.0.0.1");
    refused(t, "localhost");
}

static void test_unknown_host(void **state)
{
    struct tester *t = *state;
    struct addrinfo *found = NULL;
    int verdict = getaddrinfo("name.invalid", "80", NULL, &found);
    if (verdict == 0) {
        freeaddrinfo(found);
        tap_skip("the resolver here finds name.invalid");
    }
    tester_client(t);
    struct result *r = tester_get(t, "http://name.invalid/");
    /* C118: "does not exist" is final, "no answer" is not. */
    if (verdict == EAI_NONAME || verdict == EAI_NODATA) {
        assert_error(r, AIODUCT_E_RESOLVE, AIODUCT_PHASE_RESOLVE);
    } else {
        assert_error(r, AIODUCT_E_RESOLVE_TEMPORARY, AIODUCT_PHASE_RESOLVE);
    }
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_non_null(strstr(r->error.message, "name.invalid"));
}

/* ---- more than a client should swallow ---- */

/* What is on its way when the client stops reading: the system's buffers, and the receive buffers
 * of the runtime (4 MiB on io_uring), which count as resident once they were used. */
#define ON_THE_WAY_BYTES (24u << 20)
#define ENDLESS_BYTES (64u << 20)

static void play_endless_head(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    uint64_t *sent = user;
    char line[1024];
    memset(line, 'x', sizeof line);
    memcpy(line, "X-Long: ", 8);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    peer_read_request(conn);
    bool going = peer_send(conn, "HTTP/1.1 200 OK\r\n");
    while (going && *sent < ENDLESS_BYTES) {
        going = peer_send_bytes(conn, line, sizeof line);
        *sent += going ? sizeof line : 0;
    }
}

static void test_endless_head(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    uint64_t *sent = tester_alloc(t, sizeof *sent);
    tester_peer(t, play_endless_head, sent);
    size_t before = test_resident_bytes();
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    size_t after = test_resident_bytes();
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
    assert_in_range(*sent, 0, ON_THE_WAY_BYTES);
    assert_error(r, AIODUCT_E_HEAD_LIMIT, AIODUCT_PHASE_HEAD);
    assert_non_null(strstr(r->error.message, "head_bytes_max"));
    assert_string_equal(r->order, "D");
    if (!test_is_slow_build()) {
        assert_true(after < before + ON_THE_WAY_BYTES);
    }
}

static void play_one_long_line(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    peer_read_request(conn);
    bool going = peer_send(conn, "HTTP/1.1 200 OK\r\nX-Long: ");
    for (int i = 0; going && i < 2560; i++) {
        going = peer_send_bytes(conn, piece, sizeof piece);
    }
}

static void test_one_long_line(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_one_long_line, NULL);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_HEAD_LIMIT, AIODUCT_PHASE_HEAD);
}

static void play_interim_flood(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    bool going = true;
    for (int i = 0; going && i < 100000; i++) {
        going = peer_send(conn, "HTTP/1.1 102 Processing\r\n\r\n");
    }
}

static void test_interim_flood(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_interim_flood, NULL);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_HEAD);
    assert_non_null(strstr(r->error.message, "interim_max"));
    assert_int_equal(r->interim_count, 16);
}

static void play_endless_trailers(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    bool going = peer_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "2\r\nok\r\n0\r\n");
    for (int i = 0; going && i < 100000; i++) {
        going = peer_send(conn, "X-More: 0123456789012345678901234567890123456789"
                                "012345678901234567890123456789012345678901234567890\r\n");
    }
}

static void test_endless_trailers(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_endless_trailers, NULL);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "trailer_bytes_max"));
    assert_int_equal(r->error.partial, 1);
}

static void play_endless_body(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    char *piece = calloc(1, 65536);
    peer_read_request(conn);
    bool going = peer_send(conn, "HTTP/1.1 200 OK\r\n\r\n");
    while (going) {
        going = peer_send_bytes(conn, piece, 65536);
    }
    free(piece);
}

static void test_endless_body(void **state)
{
    struct tester *t = *state;
    t->options.collect_bytes_max = 1 << 20;
    tester_client(t);
    tester_peer(t, play_endless_body, NULL);
    struct aioduct_response *response = NULL;
    struct aioduct_error error = {0};
    int code = aioduct_client_fetch(t->client, tester_request(t, "GET", peer_url(t->peer, "/")),
                                    &response, &error);
    aioduct_response_destroy(response);
    assert_code(AIODUCT_E_LIMIT, code);
    assert_non_null(strstr(error.message, "collect_bytes_max"));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("a server that never answers runs into head_timeout_ms", test_head_timeout),
        HTTP_CASES("a head that drips runs into head_timeout_ms", test_head_drip),
        HTTP_CASES("a body that falls silent runs into read_gap_timeout_ms", test_read_gap),
        HTTP_CASE("a slow body is no silent one", test_read_gap_is_no_total),
        HTTP_CASES("C119: total_timeout_ms ends a slow body in the middle", test_total_in_body),
        HTTP_CASE("C119: a request has a deadline of its own", test_total_of_request),
        HTTP_CASE("C57: a TLS handshake that stands still runs into connect_timeout_ms",
                  test_tls_timeout),
        HTTP_CASE("C57: a connection that stands still runs into connect_timeout_ms",
                  test_connect_timeout),
        HTTP_CASES("an upload that nobody reads runs into write_gap_timeout_ms", test_write_gap),
        HTTP_CASES("a body source that waits does not run into write_gap_timeout_ms",
                   test_write_gap_of_source),
        HTTP_CASES("a head of 40,000 bytes without a body is sent once it is written",
                   test_write_gap_of_large_head),
        HTTP_CASES("a closed port is refused, and the message says which", test_refused),
        HTTP_CASE("C118: an unknown host fails in phase resolve", test_unknown_host),
        HTTP_CASES("C9: header lines without end fail early", test_endless_head),
        HTTP_CASES("C9: a header line without end fails early", test_one_long_line),
        HTTP_CASES("C1: a flood of interim answers fails", test_interim_flood),
        HTTP_CASES("C7: trailers without end fail", test_endless_trailers),
        HTTP_CASES("a body without end is not gathered for ever", test_endless_body),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
