/* SPDX-License-Identifier: MIT */
/* HTTP/2 through proxies of the world, HAProxy and nghttpx, to a server that follows a script and
 * speaks HTTP/1.1: what they make of CONNECT, trailers and an end. */
#include "raw.h"
#include "servers.h"
#include "source.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LARGE_BYTES (1u << 20)

enum gate { GO };

/* A way to ask: which proxy, and how. */
struct way {
    enum server_kind kind;
    bool forward;
};

static const struct way haproxy = {SERVER_HAPROXY, false}, nghttpx = {SERVER_NGHTTPX, false},
                        nghttpx_forward = {SERVER_NGHTTPX, true};
static const struct tester_flavour haproxy_plain = {false, &haproxy},
                                   haproxy_tls = {true, &haproxy},
                                   nghttpx_plain = {false, &nghttpx},
                                   nghttpx_tls = {true, &nghttpx},
                                   forward_plain = {false, &nghttpx_forward},
                                   forward_tls = {true, &nghttpx_forward};

/* ---- arrange ---- */

static struct server *proxy; /* of this case */

static int teardown(void **state)
{
    server_stop(proxy);
    proxy = NULL;
    return tester_teardown(state);
}

/* The peer, the proxy in front of it, and a client. */
static void arrange(struct tester *t, peer_play_fn play, void *user)
{
    const struct way *way = t->extra;
    assert_int_equal(peer_start(&(struct peer_options){.play = play, .user = user}, &t->peer), 0);
    int code = server_start_before(way->kind, peer_port(t->peer), way->forward, &proxy);
    if (code == -ENOENT) {
        const char *list = getenv("AIODUCT_REQUIRE");
        const char *package = server_package(way->kind);
        if (list == NULL || (strstr(list, package) == NULL && strcmp(list, "all") != 0)) {
            tap_skip("%s is not installed", package);
        }
    }
    assert_code(0, code);
    tester_client(t);
}

static struct aioduct_request *request(struct tester *t, const char *method, const char *path)
{
    struct aioduct_request *q = tester_request(t, method, server_url(proxy, t->tls, path));
    assert_code(
        0, aioduct_request_version(q, t->tls ? AIODUCT_HTTP_2 : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE));
    return q;
}

static struct aioduct_request *upgrade(struct tester *t)
{
    struct aioduct_request *q = request(t, "GET", "/chat?a=b");
    assert_code(0, aioduct_request_upgrade(q, "websocket"));
    assert_code(0, aioduct_request_header_add(q, "Sec-WebSocket-Version", "13"));
    return q;
}

static struct aioduct_request *tunnel(struct tester *t)
{
    struct aioduct_request *q = request(t, "CONNECT", "/ignored");
    assert_code(0, aioduct_request_tunnel(q, "example.org:80"));
    return q;
}

static struct aioduct_request *pushed(struct aioduct_request *q)
{
    assert_code(0, aioduct_request_body_push(q, AIODUCT_LENGTH_UNKNOWN));
    return q;
}

/* An ordinary request, on the connection that is there. */
static void check_connection(struct tester *t, int port)
{
    struct result *r = tester_perform(t, request(t, "GET", "/plain"));
    assert_answer(r, 200);
    assert_string_equal(r->body, "plain");
    assert_string_equal(r->protocol, "h2");
    assert_int_equal(r->info.local_port, port);
}

/* ---- the server behind ---- */

/* The answer to an Upgrade; proxies give a key of their own and look at what comes back. */
static bool accept_upgrade(struct peer_conn *conn)
{
    char key[128];
    uint8_t sha1[20];
    gnutls_datum_t datum = {sha1, sizeof sha1}, accept;
    if (!peer_request_field(peer_last_request(conn), "Sec-WebSocket-Key", key, 64)) {
        return peer_send(conn, "HTTP/1.1 200 Connected\r\n\r\n");
    }
    strcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); /* RFC 6455 section 1.3 */
    gnutls_hash_fast(GNUTLS_DIG_SHA1, key, strlen(key), sha1);
    if (gnutls_base64_encode2(&datum, &accept) < 0) {
        return false;
    }
    bool sent = peer_format(conn,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                            (int)accept.size, (const char *)accept.data);
    gnutls_free(accept.data);
    return sent;
}

/* Ordinary requests, in any form, until another one comes. */
static bool read_raw_request(struct peer_conn *conn)
{
    while (peer_read_head(conn)) {
        if (strstr(peer_last_request(conn)->head, "/plain HTTP/1.1") == NULL) {
            return true;
        }
        peer_answer(conn, 200, "", "plain");
    }
    return false;
}

/* Gives four-byte words back, until "stop", behind which it ends with "bye!". */
static void play_echo(struct peer_conn *conn, int index, void *user)
{
    char word[5] = "";
    (void)index;
    (void)user;
    if (!read_raw_request(conn) || !accept_upgrade(conn) || !peer_send(conn, "first")) {
        return;
    }
    while (peer_read_bytes(conn, word, 4)) {
        bool stop = strcmp(word, "stop") == 0;
        if (!peer_send(conn, stop ? "bye!" : word) || stop) {
            return;
        }
    }
}

/* ---- raw ---- */

static void echo(struct tester *t, struct aioduct_request *q)
{
    struct raw *r = raw_submit(t, pushed(q));
    raw_wait_text(r, "first");
    assert_int_equal(r->status, 200);
    assert_int_equal(r->version, 20);
    raw_push(r, "five");
    raw_wait_text(r, "five");
    check_connection(t, r->local_port); /* beside it */
    raw_push(r, "stop");
    raw_push_end(r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_string_equal(r->text, "firstfivebye!");
    assert_string_equal(r->order, "HBED");
    check_connection(t, r->local_port);
}

static void test_extended(void **state)
{
    struct tester *t = *state;
    char value[64];
    arrange(t, play_echo, NULL);
    echo(t, upgrade(t));
    const struct peer_request *seen = peer_request(t->peer, 0);
    assert_true(strncmp(seen->head, "GET /chat?a=b HTTP/1.1\r\n", 24) == 0);
    assert_true(peer_request_field(seen, "Upgrade", value, sizeof value));
    assert_string_equal(value, "websocket");
    assert_true(peer_request_field(seen, "Sec-WebSocket-Version", value, sizeof value));
}

static void test_connect(void **state)
{
    struct tester *t = *state;
    arrange(t, play_echo, NULL);
    echo(t, tunnel(t));
    assert_true(
        strncmp(peer_request(t->peer, 0)->head, "CONNECT example.org:80 HTTP/1.1\r\n", 33) == 0);
}

static void play_refuse(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (read_raw_request(conn)) {
        peer_answer(conn, 403, "", "not here");
    }
}

static void test_refused(void **state)
{
    struct tester *t = *state;
    arrange(t, play_refuse, NULL);
    struct source *source = source_new(t, 1000);
    struct aioduct_request *q = upgrade(t);
    source_attach(q, source, AIODUCT_LENGTH_UNKNOWN, false);
    struct result *r = tester_perform(t, q);
    assert_answer(r, 403);
    assert_string_equal(r->body, "not here");
    assert_int_equal(source->reads, 0);
    check_connection(t, r->info.local_port);
}

/* As much as it sends comes back, which is more than any window. */
static void play_large(struct peer_conn *conn, int index, void *user)
{
    static const size_t piece = 16384;
    char bytes[16384];
    (void)index;
    (void)user;
    if (!read_raw_request(conn) || !accept_upgrade(conn)) {
        return;
    }
    for (size_t at = 0; at < LARGE_BYTES; at += piece) {
        if (!peer_read_bytes(conn, bytes, piece) || !peer_send_bytes(conn, bytes, piece)) {
            return;
        }
    }
}

static void test_large(void **state)
{
    struct tester *t = *state;
    char *bytes = malloc(LARGE_BYTES), wanted[65];
    assert_non_null(bytes);
    test_fill(bytes, LARGE_BYTES, 0);
    test_hash_bytes(bytes, LARGE_BYTES, wanted);
    free(bytes);
    arrange(t, play_large, NULL);
    struct raw *r = raw_new(t);
    r->hash_bytes = true;
    struct aioduct_request *q = upgrade(t);
    source_attach(q, source_new(t, LARGE_BYTES), AIODUCT_LENGTH_UNKNOWN, false);
    raw_submit_into(q, r);
    tester_run(t);
    assert_code(0, r->error.code);
    assert_int_equal(r->bytes, LARGE_BYTES);
    assert_string_equal(r->sha256, wanted);
    check_connection(t, r->local_port);
}

static void play_break(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (read_raw_request(conn) && accept_upgrade(conn) && peer_send(conn, "first") &&
        peer_wait_gate(conn, GO)) {
        peer_reset(conn);
    }
}

static void test_break(void **state)
{
    struct tester *t = *state;
    arrange(t, play_break, NULL);
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_text(r, "first");
    peer_open(t->peer, GO);
    tester_run(t);
    /* HAProxy 3 ends the stream in good order and resets it afterwards, without an error. */
    const struct way *way = t->extra;
    if (way->kind != SERVER_HAPROXY || r->error.code != 0) {
        assert_code(AIODUCT_E_STREAM, r->error.code);
    }
    assert_int_equal(r->bytes, strlen("first"));
    check_connection(t, r->local_port);
}

static void test_cancel(void **state)
{
    struct tester *t = *state;
    arrange(t, play_echo, NULL);
    struct raw *r = raw_submit(t, pushed(upgrade(t)));
    raw_wait_text(r, "first");
    aioduct_exchange_cancel(r->exchange);
    tester_run(t);
    assert_code(-ECANCELED, r->error.code);
    assert_int_equal(peer_wait_ended(t->peer, 1), 1); /* the proxy has told it */
    check_connection(t, r->local_port);
}

/* ---- trailers, ends ---- */

static void play_trailers(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                        "5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n");
    }
}

static void test_trailers(void **state)
{
    struct tester *t = *state;
    arrange(t, play_trailers, NULL);
    struct aioduct_request *q = request(t, "POST", "/");
    struct source *source = source_new(t, 1000);
    source_attach(q, source, AIODUCT_LENGTH_UNKNOWN, false);
    assert_code(0, aioduct_request_trailer_add(q, "X-Digest", "abc"));
    struct result *r = tester_perform(t, q);
    assert_answer(r, 200);
    assert_string_equal(r->body, "hello");
    assert_string_equal(r->trailers, "x-sum: 42\n");
    assert_int_equal(peer_request(t->peer, 0)->body_bytes, 1000);
    assert_int_equal(strcasecmp(peer_request(t->peer, 0)->trailers, "x-digest: abc\r\n"), 0);
}

static void play_gate(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn) &&
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst") &&
        peer_wait_gate(conn, GO)) {
        peer_send(conn, "other");
    }
}

static void on_event(const struct aioduct_event *event, void *user)
{
    if (event->kind == AIODUCT_EVENT_GOAWAY) {
        __atomic_store_n((bool *)user, true, __ATOMIC_RELEASE);
    }
}

static bool is_set(void *user)
{
    return __atomic_load_n((bool *)user, __ATOMIC_ACQUIRE);
}

static bool has_begun(void *user)
{
    return result_told(user, 'B');
}

static void test_shutdown(void **state)
{
    struct tester *t = *state;
    bool *goaway = tester_alloc(t, sizeof *goaway);
    t->options.on_event = on_event;
    t->options.event_user = goaway;
    arrange(t, play_gate, NULL);
    struct result *r = tester_submit(t, request(t, "GET", "/"));
    tester_turn_until(t, has_begun, r);
    server_quit(proxy);
    tester_turn_until(t, is_set, goaway);
    assert_false(result_is_done(r));
    peer_open(t->peer, GO);
    tester_run(t);
    assert_answer(r, 200);
    assert_string_equal(r->body, "firstother");
}

#define CASE(name, function, flavour)                                           \
    {                                                                           \
        name, function, tester_setup, teardown, (void *)(uintptr_t) & (flavour) \
    }
#define CASES(name, server, function, prefix)         \
    CASE(name ": " server, function, prefix##_plain), \
        CASE(name ": " server ", over TLS", function, prefix##_tls)
#define BOTH_CASES(name, function) \
    CASES(name, "HAProxy", function, haproxy), CASES(name, "nghttpx", function, nghttpx)

int main(void)
{
    static const struct CMUnitTest cases[] = {
        BOTH_CASES("C50: Extended CONNECT, made an Upgrade", test_extended),
        CASES("C50: CONNECT, passed on", "HAProxy", test_connect, haproxy),
        CASES("C50: CONNECT, passed on", "nghttpx", test_connect, forward),
        BOTH_CASES("C50: an Upgrade that the server behind refuses", test_refused),
        BOTH_CASES("C50: a mebibyte there and back", test_large),
        /* nghttpx makes an orderly end of it. */
        CASES("C8, C50: a reset by the server behind", "HAProxy", test_break, haproxy),
        BOTH_CASES("C50: a cancel arrives at the server behind", test_cancel),
        BOTH_CASES("C7: trailers go both ways", test_trailers),
        CASES("C38: a GOAWAY at its end, and what was begun goes on", "nghttpx", test_shutdown,
              nghttpx),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
