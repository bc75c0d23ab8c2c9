/* SPDX-License-Identifier: MIT */
/** Requests: the text on the wire in full (C17), what setters refuse (C18, C19), bodies. */
#include "base/mem.h"
#include "http/request.h"
#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGENT "User-Agent: test/1\r\n"

static struct aioduct_request *make(const char *method, const char *url)
{
    struct aioduct_request *request = NULL;
    struct aioduct_error error = {0};
    int code = ad_request_create(method, url, &request, &error);
    if (code < 0) {
        print_error("%s %s: %s\n", method, url, error.message);
    }
    assert_int_equal(code, 0);
    return request;
}

/* Freeze, serialise, compare, drop. */
static void assert_head(struct aioduct_request *request, const char *want)
{
    struct ad_buf out = {0};
    assert_int_equal(ad_request_freeze(request), 0);
    assert_int_equal(ad_request_head_write(request, ad_slice_of(AGENT), false, &out), 0);
    assert_int_equal(ad_buf_append(&out, "", 1), 0);
    assert_string_equal((const char *)ad_buf_data(&out), want);
    ad_buf_fini(&out);
    ad_request_unref(request);
}

/* ---- the text ---- */

static void test_get(void **state)
{
    (void)state;
    assert_head(make("GET", "http://example.org/a/b?c=d#e"),
                "GET /a/b?c=d HTTP/1.1\r\n"
                "Host: example.org\r\n" AGENT "Accept: */*\r\n"
                "\r\n");
}

static void test_host_forms(void **state)
{
    (void)state;
    assert_head(make("GET", "http://EXAMPLE.org:80"),
                "GET / HTTP/1.1\r\n"
                "Host: example.org\r\n" AGENT "Accept: */*\r\n"
                "\r\n");
    assert_head(make("GET", "https://example.org:8443/"),
                "GET / HTTP/1.1\r\n"
                "Host: example.org:8443\r\n" AGENT "Accept: */*\r\n"
                "\r\n");
    assert_head(make("GET", "http://[::1]:8080/x"), "GET /x HTTP/1.1\r\n"
                                                    "Host: [::1]:8080\r\n" AGENT "Accept: */*\r\n"
                                                    "\r\n");
}

static void test_caller_fields(void **state)
{
    struct aioduct_request *request = make("GET", "http://h/");
    (void)state;
    assert_int_equal(ad_request_field_add(request, "X-B", "2"), 0);
    assert_int_equal(ad_request_field_add(request, "x-a", " 1\t"), 0);
    assert_int_equal(ad_request_field_add(request, "X-B", "3"), 0);
    assert_int_equal(ad_request_field_add(request, "X-Empty", ""), 0);
    assert_head(request, "GET / HTTP/1.1\r\n"
                         "Host: h\r\n" AGENT "Accept: */*\r\n"
                         "X-B: 2\r\n"
                         "x-a: 1\r\n"
                         "X-B: 3\r\n"
                         "X-Empty: \r\n"
                         "\r\n");
}

static void test_set_replaces_and_remove_removes(void **state)
{
    struct aioduct_request *request = make("GET", "http://h/");
    (void)state;
    assert_int_equal(ad_request_field_add(request, "X-A", "1"), 0);
    assert_int_equal(ad_request_field_add(request, "x-a", "2"), 0);
    assert_int_equal(ad_request_field_add(request, "X-B", "1"), 0);
    assert_int_equal(ad_request_field_set(request, "X-a", "3"), 0);
    assert_int_equal(ad_request_field_remove(request, "X-b"), 0);
    assert_head(request, "GET / HTTP/1.1\r\n"
                         "Host: h\r\n" AGENT "Accept: */*\r\n"
                         "X-a: 3\r\n"
                         "\r\n");
}

static void test_defaults_can_be_replaced(void **state)
{
    struct aioduct_request *request = make("GET", "http://h/");
    (void)state;
    assert_int_equal(ad_request_field_set(request, "user-agent", "mine"), 0);
    assert_int_equal(ad_request_field_set(request, "accept", "text/html"), 0);
    assert_head(request, "GET / HTTP/1.1\r\n"
                         "Host: h\r\n"
                         "user-agent: mine\r\n"
                         "accept: text/html\r\n"
                         "\r\n");
}

static void test_defaults_can_be_suppressed(void **state)
{
    struct aioduct_request *request = make("GET", "http://h/");
    (void)state;
    assert_int_equal(ad_request_field_remove(request, "User-Agent"), 0);
    assert_int_equal(ad_request_field_set(request, "Accept", ""), 0);
    assert_head(request, "GET / HTTP/1.1\r\n"
                         "Host: h\r\n"
                         "\r\n");
}

static void test_options_asterisk(void **state)
{
    (void)state;
    assert_head(make("OPTIONS", "http://h"), "OPTIONS * HTTP/1.1\r\n"
                                             "Host: h\r\n" AGENT "Accept: */*\r\n"
                                             "\r\n");
    assert_head(make("OPTIONS", "http://h/"), "OPTIONS / HTTP/1.1\r\n"
                                              "Host: h\r\n" AGENT "Accept: */*\r\n"
                                              "\r\n");
}

/* ---- framing (C19) ---- */

static void test_post_without_body(void **state)
{
    const char *const methods[] = {"POST", "PUT", "PATCH"};
    char want[256];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        snprintf(want, sizeof want,
                 "%s / HTTP/1.1\r\n"
                 "Host: h\r\n" AGENT "Accept: */*\r\n"
                 "Content-Length: 0\r\n"
                 "\r\n",
                 methods[i]);
        assert_head(make(methods[i], "http://h/"), want);
    }
    assert_head(make("DELETE", "http://h/"), "DELETE / HTTP/1.1\r\n"
                                             "Host: h\r\n" AGENT "Accept: */*\r\n"
                                             "\r\n");
}

static void test_body_with_length(void **state)
{
    struct aioduct_request *request = make("POST", "http://h/");
    (void)state;
    assert_int_equal(ad_request_field_add(request, "Content-Length", "5"), 0);
    assert_int_equal(ad_request_body_memory(request, "hello", 5, true), 0);
    assert_head(request, "POST / HTTP/1.1\r\n"
                         "Host: h\r\n" AGENT "Accept: */*\r\n"
                         "Content-Length: 5\r\n"
                         "\r\n");
}

static int64_t read_nothing(void *user, void *buffer, size_t capacity)
{
    (void)user;
    (void)buffer;
    (void)capacity;
    return 0;
}

static const struct aioduct_body_source source = {.size = sizeof source, .read = read_nothing};

static void test_chunked(void **state)
{
    struct aioduct_request *request = make("PUT", "http://h/");
    (void)state;
    assert_int_equal(ad_request_field_add(request, "transfer-encoding", "Chunked"), 0);
    assert_int_equal(ad_request_body_pull(request, &source, AIODUCT_LENGTH_UNKNOWN), 0);
    assert_head(request, "PUT / HTTP/1.1\r\n"
                         "Host: h\r\n" AGENT "Accept: */*\r\n"
                         "Transfer-Encoding: chunked\r\n"
                         "\r\n");
}

static void test_contradictions_are_refused(void **state)
{
    (void)state;
    struct aioduct_request *r = make("POST", "http://example.org/");
    assert_int_equal(ad_request_body_memory(r, "hello", 5, true), 0);
    assert_int_equal(ad_request_field_add(r, "Content-Length", "4"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Content-Length", "+5"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Content-Length", "5, 5"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Transfer-Encoding", "chunked"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Transfer-Encoding", "gzip"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Content-Length", "5"), 0);
    assert_int_equal(ad_request_body_memory(r, "hi", 2, true), -EINVAL);
    assert_int_equal(ad_request_body_pull(r, &source, AIODUCT_LENGTH_UNKNOWN), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Host", "other.example"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Host", "Example.org"), 0);
    assert_int_equal(ad_request_field_add(r, "Host", "example.org:80"), 0);
    assert_int_equal(ad_request_field_remove(r, "host"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Connection", "upgrade"), -EINVAL);
    assert_int_equal(ad_request_field_add(r, "Connection", "keep-alive, Close"), 0);
    assert_head(r, "POST / HTTP/1.1\r\n"
                   "Host: example.org\r\n" AGENT "Accept: */*\r\n"
                   "Connection: keep-alive, Close\r\n"
                   "Content-Length: 5\r\n"
                   "\r\n");
}

static void test_declared_length_without_body(void **state)
{
    struct aioduct_request *r = make("POST", "http://h/");
    (void)state;
    assert_int_equal(ad_request_field_add(r, "Content-Length", "5"), 0);
    assert_int_equal(ad_request_freeze(r), -EINVAL);
    assert_int_equal(ad_request_field_remove(r, "Content-Length"), 0);
    assert_int_equal(ad_request_freeze(r), 0);
    ad_request_unref(r);
}

/* ---- what may not be sent (C18) ---- */

static void test_injection_is_refused(void **state)
{
    struct aioduct_request *r = make("GET", "http://h/");
    const char *const values[] = {"a\r\nB: c", "a\nb", "a\rb", "\x01", "a\x7f"};
    const char *const names[] = {"", "a b", "a:", "a\r\n", "\xc3\xa4"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(ad_request_field_add(r, "X", values[i]), -EINVAL);
        assert_int_equal(ad_request_field_set(r, "X", values[i]), -EINVAL);
        assert_int_equal(ad_request_field_add(r, names[i], "v"), -EINVAL);
        assert_int_equal(ad_request_field_remove(r, names[i]), -EINVAL);
    }
    assert_head(r, "GET / HTTP/1.1\r\n"
                   "Host: h\r\n" AGENT "Accept: */*\r\n"
                   "\r\n");
}

static void test_bad_methods_and_urls(void **state)
{
    struct aioduct_request *r = NULL;
    struct aioduct_error error = {0};
    (void)state;
    assert_int_equal(ad_request_create("GE T", "http://h/", &r, &error), -EINVAL);
    assert_int_equal(ad_request_create("", "http://h/", &r, &error), -EINVAL);
    assert_int_equal(ad_request_create("GET\r\n", "http://h/", &r, &error), -EINVAL);
    assert_int_equal(ad_request_create("GET", "http://h/a b", &r, &error), AIODUCT_E_URL);
    assert_int_equal(ad_request_create("GET", "ftp://h/", &r, &error), AIODUCT_E_URL_SCHEME);
    assert_null(r);
}

/* ---- credentials ---- */

static void test_userinfo_becomes_basic(void **state)
{
    (void)state;
    assert_head(make("GET", "http://Aladdin:open%20sesame@h/"),
                "GET / HTTP/1.1\r\n"
                "Host: h\r\n" AGENT "Accept: */*\r\n"
                "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
                "\r\n");
}

static void test_basic_replaces(void **state)
{
    struct aioduct_request *r = make("GET", "http://a:b@h/");
    (void)state;
    assert_int_equal(ad_request_basic_auth(r, "a:b", "c"), -EINVAL);
    assert_int_equal(ad_request_basic_auth(r, "a", "c\n"), -EINVAL);
    assert_int_equal(ad_request_basic_auth(r, "a", ""), 0);
    assert_head(r, "GET / HTTP/1.1\r\n"
                   "Host: h\r\n" AGENT "Accept: */*\r\n"
                   "Authorization: Basic YTo=\r\n"
                   "\r\n");
}

/* ---- life ---- */

static void test_frozen(void **state)
{
    struct aioduct_request *r = make("GET", "http://h/");
    (void)state;
    assert_int_equal(ad_request_freeze(r), 0);
    assert_int_equal(ad_request_freeze(r), 0);
    assert_int_equal(ad_request_field_add(r, "a", "b"), -EBUSY);
    assert_int_equal(ad_request_field_set(r, "a", "b"), -EBUSY);
    assert_int_equal(ad_request_field_remove(r, "a"), -EBUSY);
    assert_int_equal(ad_request_basic_auth(r, "a", "b"), -EBUSY);
    assert_int_equal(ad_request_body_memory(r, "a", 1, true), -EBUSY);
    assert_int_equal(ad_request_body_pull(r, &source, 1), -EBUSY);
    ad_request_unref(r);
}

/* ---- what follows the head ---- */

static void test_trailers(void **state)
{
    struct aioduct_request *request = make("POST", "http://h/");
    (void)state;
    assert_int_equal(ad_request_body_memory(request, "hello", 5, false), 0);
    assert_int_equal(ad_request_trailer_add(request, "X-A", "1"), 0);
    assert_int_equal(ad_request_trailer_add(request, "x-b", "2"), 0);
    assert_int_equal(ad_request_trailer_add(request, "Content-Length", "5"), -EINVAL);
    assert_head(request, "POST / HTTP/1.1\r\n"
                         "Host: h\r\n" AGENT "Accept: */*\r\n"
                         "Transfer-Encoding: chunked\r\n"
                         "Trailer: X-A, x-b\r\n"
                         "\r\n");
}

static void test_upgrade(void **state)
{
    struct aioduct_request *request = make("GET", "http://h/");
    (void)state;
    assert_int_equal(ad_request_upgrade(request, "h2c"), -EINVAL);
    assert_int_equal(ad_request_upgrade(request, "chat"), 0);
    assert_int_equal(ad_request_upgrade(request, "websocket"), 0); /* the last one counts */
    assert_int_equal(ad_request_body_push(request, AIODUCT_LENGTH_UNKNOWN), 0);
    assert_head(request, "GET / HTTP/1.1\r\n"
                         "Host: h\r\n" AGENT "Accept: */*\r\n"
                         "Upgrade: websocket\r\n"
                         "Connection: upgrade\r\n"
                         "\r\n");
}

static void test_connect(void **state)
{
    struct aioduct_request *request = make("CONNECT", "http://proxy:3128/");
    (void)state;
    assert_int_equal(ad_request_freeze(request), -EINVAL); /* to where? */
    assert_int_equal(ad_request_tunnel(request, "[2001:DB8::1]:443"), 0);
    assert_head(request, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n"
                         "Host: [2001:db8::1]:443\r\n" AGENT "Accept: */*\r\n"
                         "\r\n");
}

static void test_authority(void **state)
{
    struct aioduct_request *request = make("GET", "https://h/");
    (void)state;
    assert_int_equal(ad_request_authority_set(request, "a/b"), -EINVAL);
    assert_int_equal(ad_request_authority_set(request, "Virtual:443"), 0);
    assert_int_equal(ad_request_field_add(request, "Host", "h"), -EINVAL);
    assert_head(request, "GET / HTTP/1.1\r\n"
                         "Host: virtual\r\n" AGENT "Accept: */*\r\n"
                         "\r\n");
}

/* Expect stands in the gap with the agent: a resend may leave it out. */
static void test_expect(void **state)
{
    struct aioduct_request *request = make("PUT", "http://h/");
    struct ad_buf out = {0};
    (void)state;
    assert_int_equal(ad_request_body_memory(request, "x", 1, false), 0);
    assert_int_equal(ad_request_freeze(request), 0);
    assert_int_equal(ad_request_head_write(request, ad_slice_of(""), true, &out), 0);
    assert_int_equal(ad_buf_append(&out, "", 1), 0);
    assert_string_equal((const char *)ad_buf_data(&out), "PUT / HTTP/1.1\r\n"
                                                         "Host: h\r\n"
                                                         "Expect: 100-continue\r\n"
                                                         "Accept: */*\r\n"
                                                         "Content-Length: 1\r\n"
                                                         "\r\n");
    ad_buf_fini(&out);
    ad_request_unref(request);
}

/* ---- no memory ---- */

static int build_all(struct aioduct_request **out)
{
    int code = ad_request_create("CONNECT", "http://proxy:3128/", out, NULL);
    if (code == 0) {
        code = ad_request_authority_set(*out, "virtual:1");
    }
    if (code == 0) {
        code = ad_request_tunnel(*out, "h:1");
    }
    return code == 0 ? ad_request_freeze(*out) : code;
}

static int build_trailers(struct aioduct_request **out)
{
    int code = ad_request_create("POST", "http://h/", out, NULL);
    if (code == 0) {
        code = ad_request_trailer_add(*out, "X-A", "1");
    }
    return code == 0 ? ad_request_freeze(*out) : code;
}

static int build_upgrade(struct aioduct_request **out)
{
    int code = ad_request_create("GET", "http://h/", out, NULL);
    if (code == 0) {
        code = ad_request_upgrade(*out, "websocket");
    }
    return code == 0 ? ad_request_freeze(*out) : code;
}

static void test_more_out_of_memory(void **state)
{
    static int (*const builds[])(struct aioduct_request **) = {build_all, build_trailers,
                                                               build_upgrade};
    (void)state;
    for (size_t i = 0; i < sizeof builds / sizeof builds[0]; i++) {
        int code = -ENOMEM;
        for (unsigned nth = 1; code != 0 && nth < 100; nth++) {
            struct aioduct_request *request = NULL;
            ad_mem_fail_nth(nth);
            code = builds[i](&request);
            ad_mem_fail_nth(0);
            ad_request_unref(request);
            assert_true(code == 0 || code == -ENOMEM);
        }
        assert_int_equal(code, 0);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 100; nth++) {
        struct aioduct_request *r = NULL;
        ad_mem_fail_nth(nth);
        int code = ad_request_create("POST", "http://a:b@h/x", &r, NULL);
        if (code == 0) {
            code = ad_request_field_add(r, "X", "y");
        }
        if (code == 0) {
            code = ad_request_body_memory(r, "hello", 5, true);
        }
        if (code == 0) {
            code = ad_request_freeze(r);
        }
        ad_mem_fail_nth(0);
        ad_request_unref(r);
        if (code == 0) {
            assert_true(nth > 5);
            return;
        }
        assert_int_equal(code, -ENOMEM);
    }
    fail();
}

static const struct CMUnitTest cases[] = {
    {"C17: a GET has Host first, then the defaults", test_get, NULL, NULL, NULL},
    {"C17: Host leaves a default port out and brackets IPv6", test_host_forms, NULL, NULL, NULL},
    {"order and case of the caller's fields are kept", test_caller_fields, NULL, NULL, NULL},
    {"set replaces all of a name, remove removes them", test_set_replaces_and_remove_removes, NULL,
     NULL, NULL},
    {"default fields can be replaced", test_defaults_can_be_replaced, NULL, NULL, NULL},
    {"default fields can be suppressed", test_defaults_can_be_suppressed, NULL, NULL, NULL},
    {"C17: OPTIONS without a path asks for the asterisk", test_options_asterisk, NULL, NULL, NULL},
    {"C19: POST, PUT and PATCH without a body say so", test_post_without_body, NULL, NULL, NULL},
    {"a body in memory has its length, once", test_body_with_length, NULL, NULL, NULL},
    {"a body of unknown length is chunked", test_chunked, NULL, NULL, NULL},
    {"C19: fields that contradict the body are refused", test_contradictions_are_refused, NULL,
     NULL, NULL},
    {"C19: a declared length without a body is refused when it is sent",
     test_declared_length_without_body, NULL, NULL, NULL},
    {"C18: control bytes are refused where they are set", test_injection_is_refused, NULL, NULL,
     NULL},
    {"methods that are no tokens and bad URLs are refused", test_bad_methods_and_urls, NULL, NULL,
     NULL},
    {"userinfo of the URL becomes Basic", test_userinfo_becomes_basic, NULL, NULL, NULL},
    {"Basic credentials replace those of the URL", test_basic_replaces, NULL, NULL, NULL},
    {"a frozen request refuses changes", test_frozen, NULL, NULL, NULL},
    {"C7: trailers are announced, and the body is chunked", test_trailers, NULL, NULL, NULL},
    {"an upgrade is asked for, and has no body", test_upgrade, NULL, NULL, NULL},
    {"C17: CONNECT has host and port", test_connect, NULL, NULL, NULL},
    {"C19: another authority is in Host", test_authority, NULL, NULL, NULL},
    {"C21: Expect stands with the agent", test_expect, NULL, NULL, NULL},
    {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
    {"C80: each allocation may fail, in what else can be asked for", test_more_out_of_memory, NULL,
     NULL, NULL},
};

int main(void)
{
    return TAP_RUN(cases, NULL, NULL);
}
