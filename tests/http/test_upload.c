/* SPDX-License-Identifier: MIT */
/* Request bodies: what is sent, and what is refused before it is sent. */
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

/* ---- what is on the wire ---- */

static void test_wire_bytes(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "";
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/up?x=1"));
    assert_code(0, aioduct_request_header_remove(request, "Accept"));
    assert_code(0, aioduct_request_header_add(request, "X-One", "1"));
    assert_code(0, aioduct_request_header_add(request, "x-two", "2"));
    assert_code(0, aioduct_request_header_add(request, "X-One", "3"));
    assert_code(0, aioduct_request_body_copy(request, "hello", 5));
    assert_answer(tester_perform(t, request), 200);
    char *expected = test_format("POST /up?x=1 HTTP/1.1\r\nHost: localhost:%d\r\nX-One: 1\r\n"
                                 "x-two: 2\r\nX-One: 3\r\nContent-Length: 5\r\n\r\n",
                                 peer_port(t->peer));
    const struct peer_request *got = peer_request(t->peer, 0);
    int same = strcmp(got->head, expected);
    if (same != 0) {
        print_message("expected:\n%s\ngot:\n%s\n", expected, got->head);
    }
    free(expected);
    assert_int_equal(same, 0);
    assert_string_equal(got->body, "hello");
}

static void test_frozen(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < 3; i++) {
        assert_answer(tester_perform(t, request), 200);
        assert_code(-EBUSY, aioduct_request_header_add(request, "X", "y"));
        assert_code(-EBUSY, aioduct_request_header_set(request, "X", "y"));
        assert_code(-EBUSY, aioduct_request_header_remove(request, "X"));
        assert_code(-EBUSY, aioduct_request_body_copy(request, "x", 1));
        assert_code(-EBUSY, aioduct_request_version(request, AIODUCT_HTTP_1_1));
        assert_code(-EBUSY, aioduct_request_total_timeout_ms(request, 5));
    }
    assert_int_equal(peer_requests(t->peer), 3);
    assert_int_equal(peer_connections(t->peer), 1);
}

/* ---- C18, C19: refused at the setter ---- */

static void test_injection(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play_accept, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    static const char *const names[] = {"",      "X Y",   "X\r\nY",   "X\n", "X:",  "X\tY",
                                        "X\x01", "X\x7f", "\xc3\xa9", "(X)", "X\rY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_code(-EINVAL, aioduct_request_header_add(request, names[i], "v"));
        assert_code(-EINVAL, aioduct_request_header_set(request, names[i], "v"));
    }
    static const char *const values[] = {"a\r\nEvil: 1", "a\nEvil: 1", "a\rb",
                                         "a\x01",        "a\x7f",      "\r\n"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_code(-EINVAL, aioduct_request_header_add(request, "X", values[i]));
        assert_code(-EINVAL, aioduct_request_header_set(request, "X", values[i]));
    }
    struct aioduct_request *none = NULL;
    static const char *const methods[] = {"", "GET /", "GET\r\n", "G\tT", "G(T", "G\x01"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        assert_code(-EINVAL, aioduct_request_create(methods[i], "http://a/", &none, NULL));
    }
    static const char *const urls[] = {
        "http://a/b c",  "http://a/\r\nX: y", "http://a\r\n/",    "http://a b/",  "http://",
        "http:///path",  "http://a:65536/",   "http://a:-1/",     "http://a:8x/", "a/b",
        "http://a/\x01", "http://a\\b/",      "http://[::1/",     "http://[zz]/", "",
        "http://a:b@/",  "http://a/\x7f",     "http://1.2.3.256/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct aioduct_error error = {0};
        int code = aioduct_request_create("GET", urls[i], &none, &error);
        if (code != AIODUCT_E_URL && code != AIODUCT_E_URL_SCHEME) {
            tap_fail("URL \"%s\" gave %s", urls[i], aioduct_error_name(code));
        }
        assert_true(error.message[0] != '\0');
    }
    assert_null(none);
    assert_code(AIODUCT_E_URL_SCHEME, aioduct_request_create("GET", "ftp://a/", &none, NULL));
    assert_code(AIODUCT_E_URL_SCHEME, aioduct_request_create("GET", "file:///x", &none, NULL));
    /* Nothing was sent, and the request still works. */
    assert_int_equal(peer_connections(t->peer), 0);
    tester_client(t);
    assert_answer(tester_perform(t, request), 200);
    assert_null(strstr(peer_request(t->peer, 0)->head, "Evil"));
}

static void test_framing_fields(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play_accept, NULL);
    tester_client(t);
    static const struct {
        const char *name, *value;
    } refused[] = {
        {"Content-Length", "6"},          {"content-length", "5x"},      {"Content-Length", "5, 5"},
        {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "gzip"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
        /* Body first or field first: one of the two calls, or the submit, must refuse. */
        assert_code(0, aioduct_request_body_copy(request, "hello", 5));
        assert_code(-EINVAL,
                    aioduct_request_header_set(request, refused[i].name, refused[i].value));
    }
    struct aioduct_request *late = tester_request(t, "POST", peer_url(t->peer, "/"));
    int code = aioduct_request_header_set(late, "Content-Length", "6");
    if (code == 0) {
        code = aioduct_request_body_copy(late, "hello", 5);
    }
    if (code == 0) {
        struct aioduct_callbacks none = {.size = sizeof none};
        code = aioduct_client_perform(t->client, late, &none, NULL, NULL);
    }
    assert_code(-EINVAL, code);
    assert_int_equal(peer_connections(t->peer), 0);
}

static void test_lengths_of_nothing(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    static const struct {
        const char *method;
        const char *length;
    } rows[] = {{"GET", NULL}, {"DELETE", NULL}, {"POST", "0"}, {"PUT", "0"}, {"PATCH", "0"}};
    for (int i = 0; i < 5; i++) {
        assert_answer(tester_perform(t, tester_request(t, rows[i].method, peer_url(t->peer, "/"))),
                      200);
        char value[16] = "";
        bool has =
            peer_request_field(peer_request(t->peer, i), "Content-Length", value, sizeof value);
        assert_int_equal(has, rows[i].length != NULL);
        assert_string_equal(value, has ? rows[i].length : "");
    }
}

/* ---- C20: bodies that are not as long as declared ---- */

static void play_count_upload(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    uint64_t *count = user;
    if (peer_read_head(conn)) {
        peer_read_end(conn, count);
    }
}

static void wrong_length(struct tester *t, uint64_t bytes, int64_t declared)
{
    tester_client(t);
    uint64_t *count = tester_alloc(t, sizeof *count);
    tester_peer(t, play_count_upload, count);
    struct source *source = source_new(t, bytes);
    struct result *r = tester_perform(t, source_request(t, "PUT", source, declared));
    assert_error(r, AIODUCT_E_BODY_LENGTH, AIODUCT_PHASE_SEND);
    assert_int_equal(source->finished, 1);
    /* The connection was closed; a source that fails at once leaves nothing to be sent on it. */
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
    assert_true(*count <= (uint64_t)declared);
    assert_true(*count <= bytes);
}

static void test_shorter(void **state)
{
    wrong_length(*state, 100, 200);
}

static void test_longer(void **state)
{
    wrong_length(*state, 200, 100);
}

static void test_source_fails(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    uint64_t *count = tester_alloc(t, sizeof *count);
    tester_peer(t, play_count_upload, count);
    struct source *source = source_new(t, 1u << 20);
    source->fail_at = 3;
    struct result *r = tester_perform(t, source_request(t, "PUT", source, AIODUCT_LENGTH_UNKNOWN));
    assert_error(r, AIODUCT_E_BODY_SOURCE, AIODUCT_PHASE_SEND);
    assert_int_equal(r->error.os_code, EIO);
    assert_int_equal(source->finished, 1);
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
}

static void test_source_waits(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct source *source = source_new(t, 100000);
    source->wait_at = 1;
    struct result *r = tester_submit(t, source_request(t, "PUT", source, AIODUCT_LENGTH_UNKNOWN));
    tester_turn_until(t, source_has_waited, source);
    int reads = source->reads;
    for (int i = 0; i < 5; i++) {
        tester_turn(t, 5);
    }
    assert_int_equal(source->reads, reads); /* nobody polls it */
    assert_false(result_is_done(r));
    assert_code(0, aioduct_exchange_body_ready(r->exchange));
    tester_run(t);
    assert_answer(r, 200);
    assert_source_bytes(peer_request(t->peer, 0)->body, peer_request(t->peer, 0)->body_bytes,
                        100000);
}

static void test_source_once_at_a_time(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct source *source = source_new(t, 1000);
    source->wait_at = 500; /* under way until it is let go on */
    source->piecewise = true;
    struct aioduct_request *request = source_request(t, "PUT", source, 1000);
    struct result *r = tester_submit(t, request);
    struct aioduct_callbacks none = {.size = sizeof none};
    assert_code(-EBUSY, aioduct_client_submit(t->client, request, &none, NULL, NULL));
    tester_turn_until(t, source_has_waited, source);
    assert_code(0, aioduct_exchange_body_ready(r->exchange));
    tester_run(t);
    assert_answer(r, 200);
    assert_int_equal(source->finished, 1);
    assert_int_equal(peer_requests(t->peer), 1);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C17: a request is on the wire as it was made", test_wire_bytes),
        HTTP_CASE("a request that was sent is frozen and can be sent again", test_frozen),
        HTTP_CASE("C18: line ends and control bytes are refused at the setter", test_injection),
        HTTP_CASE("C19: framing fields that contradict the body are refused", test_framing_fields),
        HTTP_CASE("C19: Content-Length: 0 on POST, PUT and PATCH, none on GET",
                  test_lengths_of_nothing),
        HTTP_CASES("C20: a body shorter than declared fails and closes", test_shorter),
        HTTP_CASES("C20: what a body has over its length is not sent", test_longer),
        HTTP_CASES("a source that fails ends the exchange with its error", test_source_fails),
        HTTP_CASES("a source that waits is not asked before body_ready", test_source_waits),
        HTTP_CASE("a pull body is under way once at a time", test_source_once_at_a_time),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
