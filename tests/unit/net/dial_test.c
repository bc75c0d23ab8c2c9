/* SPDX-License-Identifier: MIT */
/* The connection race, on a clock and streams that the test moves. */
#include "tap.h"

#include "base/mem.h"
#include "dial_tester.h"
#include "runtime/stream.h"

#include <errno.h>
#include <string.h>

static const char *const four[] = {"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", NULL};
static const char *const two[] = {"192.0.2.1", "192.0.2.2", NULL};
static const char *const mixed[] = {"192.0.2.1", "2001:db8::1", NULL};

static void test_order(void **state)
{
    static const char *const expected[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"};
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start_with(&t, four);
    assert_string_equal(t.resolver.host, "example.test");
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(fake_conn_count(t.fake), i + 1);
        assert_string_equal(fake_conn_at(t.fake, i)->address, expected[i]);
        dial_advance(&t, 240);
        assert_int_equal(fake_conn_count(t.fake), i + 1);
        dial_advance(&t, 20);
    }
    assert_int_equal(fake_conn_count(t.fake), 4);
    dial_finish(&t, 3, 0);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(fake_conn_at(t.fake, i)->closed);
    }
    assert_false(fake_conn_at(t.fake, 3)->closed);
    assert_true(t.result.times.resolved_ns != 0 &&
                t.result.times.connected_ns > t.result.times.resolved_ns);
    dial_fini(&t);
}

static void test_failure_moves_on(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start_with(&t, four);
    dial_finish(&t, 0, -ECONNREFUSED);
    assert_int_equal(fake_conn_count(t.fake), 2);
    dial_advance(&t, 240); /* the wait begins anew */
    assert_int_equal(fake_conn_count(t.fake), 2);
    dial_advance(&t, 20);
    assert_int_equal(fake_conn_count(t.fake), 3);
    dial_finish(&t, 2, -ECONNREFUSED); /* the second goes on meanwhile */
    assert_int_equal(fake_conn_count(t.fake), 4);
    dial_finish(&t, 1, 0);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, 0);
    dial_fini(&t);
}

/* Two attempts of @t, the first to @address; the second one wins when the first did @code, or hangs
 * if that is 0. */
static void race(struct dial_tester *t, const char *address, int code)
{
    t->done = 0;
    unsigned first = fake_conn_count(t->fake);
    dial_start_with(t, four);
    assert_string_equal(fake_conn_at(t->fake, first)->address, address);
    if (code < 0) {
        dial_finish(t, first, code);
    } else {
        dial_advance(t, 260);
    }
    dial_finish(t, first + 1, 0);
    assert_int_equal(t->result.code, 0);
    ad_stream_close(t->result.stream);
    fake_run(t->fake);
    assert_true(t->stream_closed);
    t->result.stream = NULL;
}

static void test_history(void **state)
{
    struct ad_dial_history history = {0};
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.params.history = &history;
    race(&t, "2001:db8::1", -ECONNREFUSED); /* says nothing about the way there */
    race(&t, "2001:db8::1", 0);
    race(&t, "192.0.2.1", -ECONNREFUSED); /* the other is first now; nor does this */
    dial_advance(&t, 590000);
    t.done = 0;
    dial_start_with(&t, four);
    unsigned last = fake_conn_count(t.fake) - 1;
    assert_string_equal(fake_conn_at(t.fake, last)->address, "192.0.2.1");
    dial_finish(&t, last, 0); /* it goes on to win */
    ad_stream_close(t.result.stream);
    fake_run(t.fake);
    t.result.stream = NULL;
    dial_advance(&t, 590000);
    race(&t, "192.0.2.1", -ECONNREFUSED);
    dial_advance(&t, 20000);
    race(&t, "2001:db8::1", -ECONNREFUSED);
    dial_fini(&t);
}

static void test_slow_wins(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start_with(&t, two);
    dial_advance(&t, 260);
    dial_finish(&t, 1, -ECONNREFUSED);
    dial_advance(&t, 1000);
    assert_int_equal(t.done, 0);
    assert_false(fake_conn_at(t.fake, 0)->closing);
    dial_finish(&t, 0, 0);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, 0);
    dial_fini(&t);
}

static void test_delay_bounds(void **state)
{
    static const struct {
        uint32_t asked;
        uint64_t before, after;
    } cases[] = {{1, 8, 14}, {100, 96, 108}, {60000, 1990, 2008}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct dial_tester t;
        dial_init(&t);
        t.params.attempt_delay_ms = cases[i].asked;
        dial_start_with(&t, two);
        dial_advance(&t, cases[i].before);
        assert_int_equal(fake_conn_count(t.fake), 1);
        dial_advance(&t, cases[i].after - cases[i].before);
        assert_int_equal(fake_conn_count(t.fake), 2);
        dial_cancel(&t);
        dial_fini(&t);
    }
}

static void test_all_fail(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.params.host = "localhost";
    t.params.port = 1;
    dial_start_with(&t, (const char *const[]){"127.0.0.1", "::1", NULL});
    dial_finish(&t, 0, -ECONNREFUSED);
    dial_finish(&t, 1, -ECONNREFUSED);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, -ECONNREFUSED);
    assert_null(t.result.stream);
    assert_int_equal(t.result.error.code, -ECONNREFUSED);
    assert_int_equal(t.result.error.os_code, ECONNREFUSED);
    assert_int_equal(t.result.error.phase, AIODUCT_PHASE_CONNECT);
    assert_int_equal(t.result.error.safe_to_retry, 1);
    assert_string_equal(t.result.error.message,
                        "connect to localhost port 1 (::1): Connection refused");
    dial_fini(&t);
}

static void test_telling_reason(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start_with(&t, mixed);
    dial_finish(&t, 0, -ECONNREFUSED);
    dial_finish(&t, 1, -ENETUNREACH);
    assert_string_equal(t.result.error.message,
                        "connect to example.test port 443 (2001:db8::1): Connection refused");
    dial_fini(&t);
}

static void test_refused_at_once(void **state)
{
    struct ad_addr addrs[2];
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    ad_addr_parse("192.0.2.1", 443, &addrs[0]);
    ad_addr_parse("192.0.2.2", 443, &addrs[1]);
    t.params.addrs = addrs;
    t.params.addr_count = 2;
    fake_connect_answer(t.fake, -ENETUNREACH);
    dial_start(&t); /* nothing is called inside start, even so */
    fake_run(t.fake);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, -ENETUNREACH);
    assert_int_equal(t.resolver.started, 0);
    dial_fini(&t);
}

static void test_override(void **state)
{
    struct ad_addr addr;
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    ad_addr_parse("127.0.0.1", 8080, &addr);
    t.params.addrs = &addr;
    t.params.addr_count = 1;
    dial_start(&t);
    fake_run(t.fake);
    assert_int_equal(fake_conn_count(t.fake), 1);
    assert_string_equal(fake_conn_at(t.fake, 0)->address, "127.0.0.1");
    dial_finish(&t, 0, 0);
    assert_int_equal(t.result.code, 0);
    assert_int_equal(t.resolver.started, 0);
    dial_fini(&t);
}

static void test_numeric(void **state)
{
    static const char *const hosts[] = {"192.0.2.1", "2001:db8::1", "fe80::1%7"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct dial_tester t;
        dial_init(&t);
        t.params.host = hosts[i];
        dial_start(&t);
        assert_int_equal(fake_conn_count(t.fake), 0); /* not inside start */
        assert_int_equal(ad_loop_turn(fake_loop(t.fake), 0), 0);
        assert_int_equal(fake_conn_count(t.fake), 1);
        assert_string_equal(fake_conn_at(t.fake, 0)->address, hosts[i]);
        dial_finish(&t, 0, 0);
        assert_int_equal(t.done, 1);
        assert_int_equal(t.result.code, 0);
        assert_true(t.result.times.resolved_ns != 0);
        assert_int_equal(t.resolver.started, 0);
        dial_fini(&t);
    }
}

static void test_numeric_refused(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.params.host = "192.0.2.1";
    dial_start(&t);
    fake_run(t.fake);
    dial_finish(&t, 0, -ECONNREFUSED);
    assert_int_equal(t.done, 1);
    assert_string_equal(t.result.error.message,
                        "connect to 192.0.2.1 port 443 (192.0.2.1): Connection refused");
    dial_fini(&t);
}

static void test_resolve_error(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    fake_resolver_fail(&t.resolver, AIODUCT_E_RESOLVE, "Name or service not known");
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, AIODUCT_E_RESOLVE);
    assert_int_equal(t.result.error.phase, AIODUCT_PHASE_RESOLVE);
    assert_string_equal(t.result.error.message,
                        "look up example.test: Name or service not known (IPv6 and IPv4)");
    dial_fini(&t);
}

static void test_families(void **state)
{
    struct aioduct_socket_options socket = {.local_address = "127.0.0.1"};
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.params.family = AIODUCT_FAMILY_IPV6;
    dial_start(&t);
    assert_int_equal(t.resolver.family, AF_INET6);
    dial_cancel(&t);

    t.params.family = AIODUCT_FAMILY_ANY;
    t.params.socket = &socket;
    dial_start(&t);
    assert_int_equal(t.resolver.family, AF_INET);
    fake_resolver_answer(&t.resolver, mixed);
    assert_int_equal(fake_conn_count(t.fake), 1);
    assert_string_equal(fake_conn_at(t.fake, 0)->address, "192.0.2.1");
    assert_string_equal(fake_conn_at(t.fake, 0)->local_address, "127.0.0.1");
    dial_finish(&t, 0, -ECONNREFUSED);
    assert_int_equal(t.done, 1);

    struct ad_addr addr;
    ad_addr_parse("::1", 1, &addr);
    t.params.addrs = &addr;
    t.params.addr_count = 1;
    t.done = 0;
    dial_start(&t);
    fake_run(t.fake);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, -EADDRNOTAVAIL);
    assert_int_equal(t.result.error.phase, AIODUCT_PHASE_CONNECT);

    socket.local_address = "not an address";
    assert_int_equal(dial_try(&t), -EINVAL);
    dial_fini(&t);
}

/* C121: what the connector gets before it connects. */
static void test_config(void **state)
{
    struct aioduct_socket_options socket = {.local_port_min = 1024,
                                            .local_port_max = 2048,
                                            .nodelay = AIODUCT_NO_LIMIT,
                                            .keepalive_idle_s = AIODUCT_NO_LIMIT,
                                            .keepalive_interval_s = 7,
                                            .keepalive_count = 3,
                                            .fast_open = 1,
                                            .user_timeout_ms = 11,
                                            .send_buffer_bytes = 12,
                                            .recv_buffer_bytes = 13,
                                            .mark = 14,
                                            .tos = 15};
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start_with(&t, two);
    const struct aioduct_socket_config *c = &fake_conn_at(t.fake, 0)->config;
    assert_int_equal(c->size, sizeof *c);
    assert_int_equal(c->nodelay, 1);
    assert_int_equal(c->keepalive_idle_s, 60);
    assert_int_equal(c->keepalive_interval_s, 60);
    assert_int_equal(c->keepalive_count, 0);
    assert_int_equal(c->fast_open, 0);
    assert_null(c->local_addr);
    assert_null(c->device);
    dial_cancel(&t);
    t.params.socket = &socket;
    dial_start_with(&t, two);
    c = &fake_conn_at(t.fake, 1)->config;
    assert_int_equal(c->nodelay, -1);
    assert_int_equal(c->keepalive_idle_s, 0);
    assert_int_equal(c->keepalive_interval_s, 7);
    assert_int_equal(c->keepalive_count, 3);
    assert_int_equal(c->local_port_min, 1024);
    assert_int_equal(c->local_port_max, 2048);
    assert_int_equal(c->fast_open, 1);
    assert_int_equal(c->user_timeout_ms, 11);
    assert_int_equal(c->send_buffer_bytes, 12);
    assert_int_equal(c->recv_buffer_bytes, 13);
    assert_int_equal(c->mark, 14);
    assert_int_equal(c->tos, 15);
    dial_cancel(&t);
    dial_fini(&t);
}

static void test_cancel(void **state)
{
    struct ad_addr addr;
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t); /* while it looks up */
    dial_cancel(&t);
    assert_int_equal(t.resolver.cancelled, 2);
    dial_start_with(&t, two); /* while one connects */
    dial_cancel(&t);
    dial_start_with(&t, two); /* while two do */
    dial_advance(&t, 260);
    dial_cancel(&t);
    ad_addr_parse("127.0.0.1", 1, &addr); /* before it began */
    t.params.addrs = &addr;
    t.params.addr_count = 1;
    dial_start(&t);
    dial_cancel(&t);
    fake_run(t.fake);
    assert_int_equal(fake_conn_count(t.fake), 3);
    assert_int_equal(t.done, 0);
    dial_fini(&t);
}

static void test_both_connect(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start_with(&t, two);
    dial_advance(&t, 260);
    fake_done(fake_conn_at(t.fake, 1), AIODUCT_OP_CONNECT, 0); /* in one turn */
    fake_done(fake_conn_at(t.fake, 0), AIODUCT_OP_CONNECT, 0);
    fake_run(t.fake);
    assert_int_equal(t.done, 1);
    assert_true(fake_conn_at(t.fake, 0)->closed);
    assert_false(fake_conn_at(t.fake, 1)->closing);
    dial_fini(&t);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct dial_tester t;
        dial_init(&t);
        ad_mem_fail_nth(nth);
        int code = dial_try(&t);
        if (code == 0) {
            fake_resolver_answer(&t.resolver, two);
            for (unsigned i = 0; i < fake_conn_count(t.fake); i++) {
                dial_finish(&t, i, -ECONNREFUSED);
            }
            ad_mem_fail_nth(0);
            assert_int_equal(t.done, 1);
            assert_true(t.result.code == -ENOMEM || t.result.code == -ECONNREFUSED);
        } else {
            assert_int_equal(code, -ENOMEM);
        }
        ad_mem_fail_nth(0);
        dial_fini(&t);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C55: families take turns, 250 ms apart, losers are closed", test_order, NULL, NULL, NULL},
        {"C55: a failure starts the next at once; attempts under way go on", test_failure_moves_on,
         NULL, NULL, NULL},
        {"C55: the family that won comes first for ten minutes", test_history, NULL, NULL, NULL},
        {"C105: a slow address wins if the others are dead", test_slow_wins, NULL, NULL, NULL},
        {"C55: the delay is settable within bounds", test_delay_bounds, NULL, NULL, NULL},
        {"when all fail the error names host, port, address and reason", test_all_fail, NULL, NULL,
         NULL},
        {"a peer's answer says more than a missing route", test_telling_reason, NULL, NULL, NULL},
        {"refusals inside connect are told after start", test_refused_at_once, NULL, NULL, NULL},
        {"given addresses need no look-up", test_override, NULL, NULL, NULL},
        {"a numeric host needs no look-up, and is dialled in the turn that asks", test_numeric,
         NULL, NULL, NULL},
        {"a numeric host that refuses is the connect's failure", test_numeric_refused, NULL, NULL,
         NULL},
        {"a failed look-up has its own phase", test_resolve_error, NULL, NULL, NULL},
        {"C105: a family and a local address choose addresses", test_families, NULL, NULL, NULL},
        {"C121: socket options reach the connector with their defaults", test_config, NULL, NULL,
         NULL},
        {"cancel is silent at each stage", test_cancel, NULL, NULL, NULL},
        {"C55: two that connect in one turn give one winner", test_both_connect, NULL, NULL, NULL},
        {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
