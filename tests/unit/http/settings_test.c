/* SPDX-License-Identifier: MIT */
/** A client's options: defaults, refusals by name (C117), overrides of the dialled address. */
#include "base/mem.h"
#include "http/settings.h"
#include "tap.h"

#include <aioduct/request.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static struct aioduct_client_options defaults(void)
{
    return (struct aioduct_client_options)AIODUCT_CLIENT_OPTIONS_INIT;
}

static void test_defaults(void **state)
{
    struct ad_settings s;
    struct aioduct_client_options o = defaults();
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ad_settings_init(&s, i == 0 ? NULL : &o, NULL), 0);
        assert_int_equal(s.connect_ns, 10000000000u);
        assert_int_equal(s.acquire_ns, 30000000000u);
        assert_int_equal(s.head_ns, 60000000000u);
        assert_int_equal(s.read_gap_ns, 60000000000u);
        assert_int_equal(s.write_gap_ns, 60000000000u);
        assert_int_equal(s.total_ns, 0);
        assert_int_equal(s.idle_ns, 90000000000u);
        assert_int_equal(s.age_ns, 900000000000u);
        assert_int_equal(s.h1.head_bytes_max, 65536);
        assert_int_equal(s.h1.head_fields_max, 256);
        assert_int_equal(s.h1.interim_max, 16);
        assert_int_equal(s.h1.trailer_bytes_max, 16384);
        assert_int_equal(s.h1.chunk_ext_max, 16384);
        assert_int_equal(s.url_bytes_max, 65536);
        assert_int_equal(s.window_bytes, 1048576);
        assert_int_equal(s.collect_bytes_max, 67108864);
        assert_int_equal(s.drain_bytes_max, 65536);
        assert_int_equal(s.connections_per_origin_max, 64);
        assert_int_equal(s.idle_per_origin_max, 16);
        assert_int_equal(s.idle_total_max, 256);
        assert_int_equal(s.waiters_max, 10000);
        assert_int_equal(s.replays_max, 2);
        assert_int_equal(s.h2_connections_per_origin_max, 4);
        assert_int_equal(s.version, AIODUCT_HTTP_AUTO);
        assert_memory_equal(s.agent.p, "User-Agent: aioduct/", 20);
        ad_settings_fini(&s);
    }
}

static void test_no_limit(void **state)
{
    struct ad_settings s;
    struct aioduct_client_options o = defaults();
    (void)state;
    o.connect_timeout_ms = o.head_bytes_max = o.window_bytes = AIODUCT_NO_LIMIT;
    o.collect_bytes_max = o.connections_per_origin_max = AIODUCT_NO_LIMIT;
    o.user_agent = "";
    assert_int_equal(ad_settings_init(&s, &o, NULL), 0);
    assert_int_equal(s.connect_ns, 0);
    assert_int_equal(s.h1.head_bytes_max, UINT32_MAX);
    assert_true(s.window_bytes == UINT64_MAX);
    assert_true(s.collect_bytes_max == UINT64_MAX);
    assert_int_equal(s.connections_per_origin_max, UINT32_MAX);
    assert_int_equal(s.agent.bytes, 0);
    ad_settings_fini(&s);
}

static void test_off(void **state)
{
    struct ad_settings s;
    struct aioduct_client_options o = defaults();
    (void)state;
    o.drain_bytes_max = o.idle_per_origin_max = o.idle_total_max = o.replays_max = AIODUCT_OFF;
    assert_int_equal(ad_settings_init(&s, &o, NULL), 0);
    assert_int_equal(s.drain_bytes_max, 0);
    assert_int_equal(s.idle_per_origin_max, 0);
    assert_int_equal(s.idle_total_max, 0);
    assert_int_equal(s.replays_max, 0);
    ad_settings_fini(&s);
}

static void assert_refused(const struct aioduct_client_options *o, const char *name)
{
    struct ad_settings s;
    struct aioduct_error error = {0};
    assert_int_equal(ad_settings_init(&s, o, &error), -EINVAL);
    assert_int_equal(error.code, -EINVAL);
    assert_int_equal(error.phase, AIODUCT_PHASE_SETUP);
    if (strstr(error.message, name) == NULL) {
        fail_msg("'%s' does not name %s", error.message, name);
    }
}

#define REFUSED(field, value)                          \
    do {                                               \
        struct aioduct_client_options o_ = defaults(); \
        o_.field = value;                              \
        assert_refused(&o_, #field);                   \
    } while (0)

static void test_refusals(void **state)
{
    static const char *const bad_resolve[] = {"h:80:127.0.0.1", "h:80:nonsense", NULL};
    static const char *const bad_connect[] = {"h:80:other", NULL};
    (void)state;
    REFUSED(connect_timeout_ms, -2);
    REFUSED(acquire_timeout_ms, -2);
    REFUSED(head_timeout_ms, -2);
    REFUSED(read_gap_timeout_ms, -2);
    REFUSED(write_gap_timeout_ms, -2);
    REFUSED(total_timeout_ms, -2);
    REFUSED(expect_timeout_ms, -2);
    REFUSED(low_speed_bytes, -1);
    REFUSED(low_speed_s, -1);
    REFUSED(low_speed_s, 1); /* of no speed */
    REFUSED(idle_timeout_ms, -2);
    REFUSED(connection_age_ms, -2);
    REFUSED(head_bytes_max, -2);
    REFUSED(head_fields_max, -2);
    REFUSED(interim_max, -2);
    REFUSED(trailer_bytes_max, -2);
    REFUSED(chunk_ext_max, -2);
    REFUSED(url_bytes_max, -2);
    REFUSED(window_bytes, -2);
    REFUSED(collect_bytes_max, -2);
    REFUSED(drain_bytes_max, -3);
    REFUSED(connections_per_origin_max, -2);
    REFUSED(idle_per_origin_max, -3);
    REFUSED(idle_total_max, -3);
    REFUSED(waiters_max, -2);
    REFUSED(h2_connections_per_origin_max, -2);
    REFUSED(version, 1);
    REFUSED(version, 30);
    REFUSED(replays_max, -3);
    REFUSED(workers, -1);
    REFUSED(binding, (enum aioduct_binding)9);
    REFUSED(family, (enum aioduct_family)5);
    REFUSED(resolver_threads, -1);
    REFUSED(dns_cache_ms, -2);
    REFUSED(resolution_delay_ms, -1);
    REFUSED(attempt_delay_ms, 9);
    REFUSED(attempt_delay_ms, 2001);
    REFUSED(socket.local_address, "localhost");
    REFUSED(socket.device, "lo0123456789abcd"); /* 16: one too long */
    REFUSED(socket.device, "");
    REFUSED(socket.local_port_min, 65536);
    REFUSED(socket.local_port_max, 80);
    REFUSED(socket.nodelay, 2);
    REFUSED(socket.keepalive_idle_s, -2);
    REFUSED(socket.keepalive_interval_s, -1);
    REFUSED(socket.keepalive_count, -1);
    REFUSED(socket.fast_open, 2);
    REFUSED(tls.flags, 1u << 20);
    REFUSED(tls.key_file, "key.pem");
    REFUSED(user_agent, "a\r\nb");
    REFUSED(resolve, bad_resolve);
    REFUSED(connect_to, bad_connect);
    REFUSED(size, 0);
}

static void test_local_binding_excludes_workers(void **state)
{
    struct aioduct_client_options o = defaults();
    (void)state;
    o.binding = AIODUCT_BINDING_LOCAL;
    o.workers = 1;
    assert_refused(&o, "binding");
}

/* A program that was built against an older or newer header. */
static void test_other_sizes(void **state)
{
    struct {
        struct aioduct_client_options o;
        int later;
    } newer = {.o = defaults()};
    struct ad_settings s;
    (void)state;
    newer.o.size = offsetof(struct aioduct_client_options, head_timeout_ms);
    newer.o.head_timeout_ms = -7; /* beyond what it says it has */
    assert_int_equal(ad_settings_init(&s, &newer.o, NULL), 0);
    assert_int_equal(s.head_ns, 60000000000u);
    ad_settings_fini(&s);

    newer.o = defaults();
    newer.o.size = sizeof newer;
    assert_int_equal(ad_settings_init(&s, &newer.o, NULL), 0);
    ad_settings_fini(&s);
    newer.later = 1;
    assert_refused(&newer.o, "size");
}

static void test_out_of_memory(void **state)
{
    static const char *const resolve[] = {"h:80:127.0.0.1", NULL};
    static const char *const connect_to[] = {"h:80:g:81", NULL};
    struct aioduct_client_options o = defaults();
    (void)state;
    o.resolve = resolve;
    o.connect_to = connect_to;
    o.runtime = "epoll";
    o.config_file = "";
    o.socket.local_address = "127.0.0.1";
    o.tls.ca_file = "ca.pem";
    for (uint64_t nth = 1; nth < 100; nth++) {
        struct ad_settings s;
        ad_mem_fail_nth(nth);
        int code = ad_settings_init(&s, &o, NULL);
        ad_mem_fail_nth(0);
        ad_settings_fini(&s);
        if (code == 0) {
            assert_true(nth > 8);
            return;
        }
        assert_int_equal(code, -ENOMEM);
    }
    fail();
}

/* ---- routes ---- */

static void check_addr(const struct ad_addr *addr, const char *text, uint16_t port)
{
    char got[INET6_ADDRSTRLEN];
    if (addr->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr->storage;
        inet_ntop(AF_INET, &v4->sin_addr, got, sizeof got);
        assert_int_equal(ntohs(v4->sin_port), port);
        assert_int_equal(addr->bytes, sizeof *v4);
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr->storage;
        inet_ntop(AF_INET6, &v6->sin6_addr, got, sizeof got);
        assert_int_equal(ntohs(v6->sin6_port), port);
        assert_int_equal(addr->bytes, sizeof *v6);
    }
    assert_string_equal(got, text);
}

static void test_resolve_rules(void **state)
{
    static const char *const rules[] = {"Example.org:80:127.0.0.1,[::1], 10.0.0.1",
                                        "[2001:db8::1]:443:::1", "*:99:127.0.0.9", NULL};
    struct ad_routes routes;
    (void)state;
    assert_int_equal(ad_routes_init(&routes, rules, NULL, NULL), 0);
    struct ad_route route = ad_routes_find(&routes, "example.org", 80);
    assert_string_equal(route.host, "example.org");
    assert_int_equal(route.addr_count, 3);
    check_addr(&route.addrs[0], "127.0.0.1", 80);
    check_addr(&route.addrs[1], "::1", 80);
    check_addr(&route.addrs[2], "10.0.0.1", 80);
    route = ad_routes_find(&routes, "2001:db8::1", 443);
    assert_int_equal(route.addr_count, 1);
    check_addr(&route.addrs[0], "::1", 443);
    route = ad_routes_find(&routes, "any.example", 99);
    check_addr(&route.addrs[0], "127.0.0.9", 99);
    route = ad_routes_find(&routes, "example.org", 81);
    assert_null(route.addrs);
    ad_routes_fini(&routes);
}

static void test_connect_to_rules(void **state)
{
    static const char *const to[] = {"a:80:b:81", "::c:", ":82:d:83", NULL};
    static const char *const resolve[] = {"b:81:127.0.0.2", NULL};
    struct ad_routes routes;
    (void)state;
    assert_int_equal(ad_routes_init(&routes, resolve, to, NULL), 0);
    struct ad_route route = ad_routes_find(&routes, "a", 80);
    assert_string_equal(route.host, "b");
    assert_int_equal(route.port, 81);
    check_addr(&route.addrs[0], "127.0.0.2", 81);
    route = ad_routes_find(&routes, "x", 82); /* the first rule that fits */
    assert_string_equal(route.host, "c");
    assert_int_equal(route.port, 82);
    assert_null(route.addrs);
    ad_routes_fini(&routes);
}

static void test_bad_rules(void **state)
{
    static const char *const bad_resolve[] = {"",
                                              "h",
                                              "h:80",
                                              "h:80:",
                                              "h:x:127.0.0.1",
                                              "h:0:127.0.0.1",
                                              "h:65536:127.0.0.1",
                                              ":80:127.0.0.1",
                                              "h:80:127.0.0.1,",
                                              "h:80:1.2.3",
                                              "[::1:80:127.0.0.1"};
    static const char *const bad_connect[] = {"", "a:80:b", "a:80::81", "a:80:b:x", "a:b:c:1"};
    struct ad_routes routes;
    (void)state;
    for (size_t i = 0; i < sizeof bad_resolve / sizeof *bad_resolve; i++) {
        const char *const list[] = {bad_resolve[i], NULL};
        struct aioduct_error error = {0};
        print_message("resolve '%s'\n", bad_resolve[i]);
        assert_int_equal(ad_routes_init(&routes, list, NULL, &error), -EINVAL);
        assert_non_null(strstr(error.message, "resolve"));
        assert_non_null(strstr(error.message, bad_resolve[i]));
    }
    for (size_t i = 0; i < sizeof bad_connect / sizeof *bad_connect; i++) {
        const char *const list[] = {bad_connect[i], NULL};
        struct aioduct_error error = {0};
        print_message("connect_to '%s'\n", bad_connect[i]);
        assert_int_equal(ad_routes_init(&routes, NULL, list, &error), -EINVAL);
        assert_non_null(strstr(error.message, "connect_to"));
    }
}

static void test_targets(void **state)
{
    static const char *const bad[] = {"", "host", ":", "*:80", "a:b", "a:0", "a:65536", "[::1"};
    static const struct {
        const char *target, *host;
        int port;
    } good[] = {{"Example.COM:81", "example.com", 81},
                {"[::1]:443", "::1", 443},
                {"a:", "a", -1},
                {":8080", NULL, 8080}};
    char *host;
    int port;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        print_message("target '%s'\n", bad[i]);
        assert_int_equal(ad_route_parse(bad[i], &host, &port), -EINVAL);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(ad_route_parse(good[i].target, &host, &port), 0);
        if (good[i].host == NULL) {
            assert_null(host);
        } else {
            assert_string_equal(host, good[i].host);
        }
        assert_int_equal(port, good[i].port);
        ad_free(host);
    }
}

static const struct CMUnitTest cases[] = {
    {"zero stands for the documented defaults", test_defaults, NULL, NULL, NULL},
    {"AIODUCT_NO_LIMIT lifts limits and switches timeouts off", test_no_limit, NULL, NULL, NULL},
    {"AIODUCT_OFF switches policies off", test_off, NULL, NULL, NULL},
    {"C117: every bad value is refused and the option is named", test_refusals, NULL, NULL, NULL},
    {"a local binding excludes workers", test_local_binding_excludes_workers, NULL, NULL, NULL},
    {"options of another size are read as far as both know them", test_other_sizes, NULL, NULL,
     NULL},
    {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
    {"resolve rules give addresses with the port", test_resolve_rules, NULL, NULL, NULL},
    {"connect_to is applied before resolve, first rule first", test_connect_to_rules, NULL, NULL,
     NULL},
    {"a target is host and port, either may be left out", test_targets, NULL, NULL, NULL},
    {"malformed rules are refused by option and text", test_bad_rules, NULL, NULL, NULL},
};

int main(void)
{
    return TAP_RUN(cases, NULL, NULL);
}
