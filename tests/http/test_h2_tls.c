/* SPDX-License-Identifier: MIT */
/* What HTTP/2 asks of TLS, and which connections serve which hosts. */
#include "tester.h"

#include <string.h>

static struct result *get(struct tester *t, enum nginx_listener listener, const char *host,
                          int version)
{
    struct aioduct_request *q =
        tester_request(t, "GET", nginx_url(t->nginx, listener, host, "/echo"));
    assert_code(0, aioduct_request_version(q, version));
    return tester_perform(t, q);
}

static void test_versions(void **state)
{
    static const struct {
        const char *priority, *version;
    } rows[] = {{"NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLS1.2"},
                {"NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLS1.3"}};
    struct tester *t = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        t->options.tls.priority = rows[i].priority;
        tester_client(t);
        struct result *r = get(t, NGINX_TLS_HTTP2, NULL, AIODUCT_HTTP_AUTO);
        assert_answer(r, 200);
        assert_string_equal(r->protocol, "h2");
        assert_string_equal(r->tls_version, rows[i].version);
        assert_header(r, "X-Alpn", "h2");
        tester_destroy(t);
    }
}

static void test_prohibited_suite(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = get(t, NGINX_TLS_HTTP2_CBC, NULL, AIODUCT_HTTP_AUTO);
    assert_error(r, AIODUCT_E_TLS, AIODUCT_PHASE_TLS);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_non_null(strstr(r->error.message, "cipher suite"));
    r = get(t, NGINX_TLS_HTTP2_CBC, NULL, AIODUCT_HTTP_1_1); /* which does not prohibit it */
    assert_answer(r, 200);
    assert_string_equal(r->protocol, "http/1.1");
}

/* One certificate for both names, one address: and yet each has its connection. */
static void test_no_coalescing(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *by_name = get(t, NGINX_TLS_HTTP2, "localhost", AIODUCT_HTTP_2);
    struct result *by_address = get(t, NGINX_TLS_HTTP2, "127.0.0.1", AIODUCT_HTTP_2);
    assert_answer(by_name, 200);
    assert_answer(by_address, 200);
    assert_string_equal(by_name->peer_address, by_address->peer_address);
    assert_int_equal(by_address->info.reused, 0);
    assert_int_not_equal(by_name->info.local_port, by_address->info.local_port);
    struct result *again = get(t, NGINX_TLS_HTTP2, "localhost", AIODUCT_HTTP_2);
    assert_int_equal(again->info.local_port, by_name->info.local_port);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTPS_CASE("C51: HTTP/2 by ALPN over TLS 1.2 and 1.3", test_versions),
        HTTPS_CASE("C51: a prohibited cipher suite is refused", test_prohibited_suite),
        HTTPS_CASE("C52: a certificate for two names makes no shared connection",
                   test_no_coalescing),
    };
    return TAP_RUN(cases, suite_begin_nginx, suite_end);
}
