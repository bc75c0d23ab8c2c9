/* SPDX-License-Identifier: MIT */
/* Trailers of requests, and what else a caller may say about the head. */
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void play_accept(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "taken");
    }
}

static void assert_field(struct tester *t, int request, const char *name, const char *expected)
{
    char value[128] = "";
    assert_true(peer_requests(t->peer) > request);
    bool found = peer_request_field(peer_request(t->peer, request), name, value, sizeof value);
    assert_int_equal(found, expected != NULL);
    assert_string_equal(value, expected != NULL ? expected : "");
}

/* ---- trailers ---- */

static void test_with_a_body(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct source *source = source_new(t, 100000);
    struct aioduct_request *request = source_request(t, "PUT", source, AIODUCT_LENGTH_UNKNOWN);
    assert_code(0, aioduct_request_trailer_add(request, "X-Digest", " abc "));
    assert_code(0, aioduct_request_trailer_add(request, "x-more", ""));
    assert_answer(tester_perform(t, request), 200);
    const struct peer_request *got = peer_request(t->peer, 0);
    assert_string_equal(got->trailers, "X-Digest: abc\r\nx-more: \r\n");
    assert_source_bytes(got->body, got->body_bytes, 100000);
    assert_field(t, 0, "Trailer", "X-Digest, x-more");
    assert_field(t, 0, "Transfer-Encoding", "chunked");
    assert_field(t, 0, "X-Digest", NULL);
    assert_code(-EBUSY, aioduct_request_trailer_add(request, "X-Late", "1"));
    /* The same request again, on the same connection. */
    source->at = 0;
    struct result *again = tester_perform(t, request);
    assert_answer(again, 200);
    assert_int_equal(again->info.reused, 1);
    assert_string_equal(peer_request(t->peer, 1)->trailers, "X-Digest: abc\r\nx-more: \r\n");
}

static void test_with_a_known_length(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_copy(request, "hello", 5));
    assert_code(0, aioduct_request_trailer_add(request, "X-A", "1"));
    assert_code(-EINVAL, aioduct_request_header_set(request, "Content-Length", "5"));
    assert_answer(tester_perform(t, request), 200);
    assert_string_equal(peer_request(t->peer, 0)->body, "hello");
    assert_string_equal(peer_request(t->peer, 0)->trailers, "X-A: 1\r\n");
    assert_field(t, 0, "Content-Length", NULL);
    /* A length that was declared before rules them out. */
    struct aioduct_request *declared = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_set(declared, "Content-Length", "5"));
    assert_code(-EINVAL, aioduct_request_trailer_add(declared, "X-A", "1"));
}

static void test_without_a_body(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_add(request, "Trailer", "x-a"));
    assert_code(0, aioduct_request_trailer_add(request, "X-A", "1"));
    assert_answer(tester_perform(t, request), 200);
    assert_string_equal(peer_request(t->peer, 0)->body, "");
    assert_string_equal(peer_request(t->peer, 0)->trailers, "X-A: 1\r\n");
    assert_field(t, 0, "Trailer", "x-a"); /* the caller's, once */
    assert_null(strstr(peer_request(t->peer, 0)->head, "X-A"));
}

static void test_forbidden(void **state)
{
    struct tester *t = *state;
    struct aioduct_request *request = tester_request(t, "POST", "http://localhost/");
    static const char *const names[] = {"Content-Length",
                                        "transfer-encoding",
                                        "TE",
                                        "Trailer",
                                        "Host",
                                        "Connection",
                                        "Authorization",
                                        "Cookie",
                                        "Set-Cookie",
                                        "Expect",
                                        "Range",
                                        "If-Match",
                                        "Content-Type",
                                        "Content-Encoding",
                                        "Cache-Control",
                                        "Max-Forwards",
                                        "Upgrade",
                                        "Keep-Alive",
                                        "Content-Range",
                                        "If-None-Match",
                                        "Proxy-Authorization",
                                        "",
                                        "a b",
                                        "a\r\nb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_code(-EINVAL, aioduct_request_trailer_add(request, names[i], "1"));
    }
    assert_code(-EINVAL, aioduct_request_trailer_add(request, "X", "a\r\nEvil: 1"));
    assert_code(-EINVAL, aioduct_request_trailer_add(request, "X", "a\x01"));
    assert_code(-EINVAL, aioduct_request_trailer_add(NULL, "X", "a"));
}

/* A source that says its count behind the last byte. */
struct counting {
    struct aioduct_exchange *exchange;
    int given, late_code, bad_code;
};

static int64_t read_counting(void *user, void *buffer, size_t capacity)
{
    struct counting *c = user;
    char text[16];
    (void)capacity;
    if (c->given == 3) {
        snprintf(text, sizeof text, "%d", c->given);
        c->bad_code = aioduct_exchange_trailer_add(c->exchange, "Content-Length", text);
        assert_code(0, aioduct_exchange_trailer_add(c->exchange, "X-Count", text));
        return 0;
    }
    c->given++;
    memcpy(buffer, "x", 1);
    return 1;
}

static void add_late(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct counting *c = r->user;
    if (event == 'H') {
        c->late_code = aioduct_exchange_trailer_add(exchange, "X-Late", "1");
    }
}

static void test_said_in_the_body(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct counting *c = tester_alloc(t, sizeof *c);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    struct aioduct_body_source pull = {.size = sizeof pull, .read = read_counting, .user = c};
    assert_code(0, aioduct_request_body_pull(request, &pull, AIODUCT_LENGTH_UNKNOWN));
    assert_code(0, aioduct_request_trailer_add(request, "X-First", "0"));
    struct result *r = tester_result(t);
    r->user = c;
    r->on_event = add_late;
    tester_submit_into(t, request, r);
    c->exchange = r->exchange;
    assert_code(AIODUCT_E_THREAD, aioduct_exchange_trailer_add(r->exchange, "X-Out", "1"));
    tester_run(t);
    assert_answer(r, 200);
    assert_string_equal(peer_request(t->peer, 0)->trailers, "X-First: 0\r\nX-Count: 3\r\n");
    assert_code(-EINVAL, c->bad_code);
    assert_code(-EINVAL, c->late_code);
}

/* ---- what the head says ---- */

static void test_lengths_replaced(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_header_set(request, "Content-Length", "3"));
    assert_code(-EINVAL, aioduct_request_header_add(request, "Content-Length", "5"));
    assert_code(0, aioduct_request_header_set(request, "Content-Length", "5"));
    assert_code(0, aioduct_request_body_copy(request, "hello", 5));
    assert_code(-EINVAL, aioduct_request_header_set(request, "Content-Length", "6"));
    assert_answer(tester_perform(t, request), 200);
    assert_field(t, 0, "Content-Length", "5");
    assert_string_equal(peer_request(t->peer, 0)->body, "hello");
}

static void test_authority(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    static const char *const refused[] = {"",   "a b",     "a/b",    "a:b",  "u@a",  "a?",
                                          "a#", "a:99999", "a\r\nb", "a\\b", "[::1", "a:80:80"};
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/x"));
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_code(-EINVAL, aioduct_request_authority(request, refused[i]));
    }
    assert_code(-EINVAL, aioduct_request_header_add(request, "Host", "virtual.example"));
    assert_code(0, aioduct_request_authority(request, "Virtual.example:8080"));
    assert_code(0, aioduct_request_header_add(request, "Host", "virtual.example:8080"));
    assert_answer(tester_perform(t, request), 200); /* over TLS: the certificate is the URL's */
    assert_true(strncmp(peer_request(t->peer, 0)->head,
                        "GET /x HTTP/1.1\r\nHost: virtual.example:8080\r\n", 45) == 0);
    assert_code(-EBUSY, aioduct_request_authority(request, "a"));
    /* The connection is the URL's, whatever the name. */
    struct result *next = tester_get(t, peer_url(t->peer, "/"));
    assert_int_equal(next->info.reused, 1);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C7: trailers of a request come behind its body", test_with_a_body),
        HTTP_CASE("C7: with trailers a body of known length is sent in chunks",
                  test_with_a_known_length),
        HTTP_CASE("C7: trailers without a body", test_without_a_body),
        HTTP_CASE("C7: what frames, routes, modifies and authenticates is no trailer",
                  test_forbidden),
        HTTP_CASES("C7: trailers that are known behind the last byte", test_said_in_the_body),
        HTTP_CASE("C19: a Content-Length that was declared can be replaced", test_lengths_replaced),
        HTTP_CASES("C19: another Host is said by aioduct_request_authority", test_authority),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
