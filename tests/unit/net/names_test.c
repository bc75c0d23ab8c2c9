/* SPDX-License-Identifier: MIT */
/* The look-ups of both families, and how a race begins and goes on with what they bring. */
#include "tap.h"

#include "base/mem.h"
#include "dial_tester.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const v6[] = {"2001:db8::1", "2001:db8::2", NULL};
static const char *const one_v6[] = {"2001:db8::1", NULL};
static const char *const v4[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", NULL};
static const char *const one_v4[] = {"192.0.2.1", NULL};

static void answer(struct dial_tester *t, int family, const char *const *texts)
{
    fake_resolver_answer_family(&t->resolver, family, texts);
    fake_run(t->fake);
}

static void miss(struct dial_tester *t, int family)
{
    fake_resolver_fail_family(&t->resolver, family, AIODUCT_E_RESOLVE, "no address");
    fake_run(t->fake);
}

/* The attempts so far, in order: "192.0.2.1 2001:db8::1". */
static const char *dialled(struct dial_tester *t)
{
    static char text[512];
    text[0] = '\0';
    for (unsigned i = 0; i < fake_conn_count(t->fake); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : " ",
                 fake_conn_at(t->fake, i)->address);
    }
    return text;
}

/* ---- how it begins ---- */

static void test_preferred_first(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    assert_true(fake_resolver_waits(&t.resolver, AF_INET6));
    assert_true(fake_resolver_waits(&t.resolver, AF_INET));
    assert_int_equal(t.resolver.waiting[0].family, AF_INET6); /* asked first */
    answer(&t, AF_INET6, v6);
    assert_string_equal(dialled(&t), "2001:db8::1");
    assert_true(fake_resolver_waits(&t.resolver, AF_INET));
    dial_finish(&t, 0, 0); /* it need not wait for the rest */
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, 0);
    assert_int_equal(t.resolver.cancelled, 1);
    dial_fini(&t);
}

static void test_delay(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET, v4);
    dial_advance(&t, 48);
    assert_string_equal(dialled(&t), "");
    dial_advance(&t, 8); /* deadlines may be up to that late */
    assert_string_equal(dialled(&t), "192.0.2.1");
    assert_true(fake_resolver_waits(&t.resolver, AF_INET6));
    dial_cancel(&t);
    dial_fini(&t);
}

static void test_preferred_within_delay(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET, v4);
    dial_advance(&t, 40);
    answer(&t, AF_INET6, v6);
    assert_string_equal(dialled(&t), "2001:db8::1");
    dial_advance(&t, 100); /* what was left of the delay means nothing */
    assert_string_equal(dialled(&t), "2001:db8::1");
    dial_advance(&t, 160);
    assert_string_equal(dialled(&t), "2001:db8::1 192.0.2.1");
    dial_cancel(&t);
    dial_fini(&t);
}

static void test_no_preferred_within_delay(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET, one_v4);
    assert_string_equal(dialled(&t), "");
    miss(&t, AF_INET6);
    assert_string_equal(dialled(&t), "192.0.2.1");
    dial_finish(&t, 0, 0);
    assert_int_equal(t.result.code, 0);
    dial_fini(&t);
}

static void test_delay_settable(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.params.resolution_delay_ms = -1;
    dial_start(&t);
    answer(&t, AF_INET, one_v4);
    assert_string_equal(dialled(&t), "192.0.2.1");
    dial_cancel(&t);
    t.params.resolution_delay_ms = 3000;
    dial_start(&t);
    answer(&t, AF_INET, one_v4);
    dial_advance(&t, 2990);
    assert_int_equal(fake_conn_count(t.fake), 1);
    dial_advance(&t, 18);
    assert_int_equal(fake_conn_count(t.fake), 2);
    dial_cancel(&t);
    dial_fini(&t);
}

static void test_history(void **state)
{
    struct ad_dial_history history = {.family = AF_INET, .until_ns = UINT64_MAX};
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.params.history = &history;
    dial_start(&t);
    assert_int_equal(t.resolver.waiting[0].family, AF_INET);
    answer(&t, AF_INET6, v6); /* it is the other one that waits now */
    assert_string_equal(dialled(&t), "");
    answer(&t, AF_INET, v4);
    assert_string_equal(dialled(&t), "192.0.2.1");
    dial_advance(&t, 260);
    assert_string_equal(dialled(&t), "192.0.2.1 2001:db8::1");
    dial_cancel(&t);
    history.until_ns = 1; /* long ago */
    dial_start(&t);
    assert_int_equal(t.resolver.waiting[0].family, AF_INET6);
    dial_cancel(&t);
    dial_fini(&t);
}

static void test_one_question(void **state)
{
    static const struct {
        const char *host;
        enum aioduct_family family;
        int asked;
    } cases[] = {
        {"example.test", AIODUCT_FAMILY_IPV4, AF_INET},
        {"example.test", AIODUCT_FAMILY_IPV6, AF_INET6},
        {"localhost", AIODUCT_FAMILY_ANY, AF_UNSPEC},
        {"www.localhost.", AIODUCT_FAMILY_ANY, AF_UNSPEC},
        {"localhost", AIODUCT_FAMILY_IPV6, AF_INET6},
        {"192.0.2.1", AIODUCT_FAMILY_IPV6, AF_INET6}, /* which says why there is none */
        {"2001:db8::1", AIODUCT_FAMILY_IPV4, AF_INET},
        {"", AIODUCT_FAMILY_ANY, AF_UNSPEC},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dial_tester t;
        dial_init(&t);
        t.params.host = cases[i].host;
        t.params.family = cases[i].family;
        dial_start(&t);
        assert_int_equal(t.resolver.started, 1);
        assert_int_equal(t.resolver.family, cases[i].asked);
        dial_cancel(&t);
        dial_fini(&t);
    }
}

/* What is known keeps its order: behind the port of the other loopback address may be anybody. */
static void test_known_order(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.params.host = "localhost";
    dial_start_with(&t, (const char *const[]){"127.0.0.1", "::1", NULL});
    dial_advance(&t, 260);
    assert_string_equal(dialled(&t), "127.0.0.1 ::1");
    dial_cancel(&t);
    dial_fini(&t);
}

static void test_refused_question(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    t.resolver.refuse = AIODUCT_E_LIMIT;
    assert_int_equal(dial_try(&t), AIODUCT_E_LIMIT);
    assert_int_equal(t.resolver.cancelled, 1); /* nothing is left under way */
    fake_run(t.fake);
    assert_int_equal(t.done, 0);
    dial_fini(&t);
}

/* ---- failures ---- */

static void test_one_fails(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        for (int failing = 0; failing < 2; failing++) {
            static const int families[] = {AF_INET6, AF_INET};
            struct dial_tester t;
            dial_init(&t);
            dial_start(&t);
            for (int i = 0; i < 2; i++) {
                int which = i == 0 ? first : !first;
                if (which == failing) {
                    miss(&t, families[which]);
                } else {
                    answer(&t, families[which], which == 0 ? one_v6 : one_v4);
                }
                assert_int_equal(t.done, 0);
            }
            assert_string_equal(dialled(&t), failing == 0 ? "192.0.2.1" : "2001:db8::1");
            dial_finish(&t, 0, 0);
            assert_int_equal(t.result.code, 0);
            dial_fini(&t);
        }
    }
}

static void test_both_fail(void **state)
{
    static const struct {
        int v6, v4, code;
        const char *v6_text, *v4_text, *message;
    } cases[] = {
        {AIODUCT_E_RESOLVE, AIODUCT_E_RESOLVE, AIODUCT_E_RESOLVE, "unknown", "unknown",
         "look up example.test: unknown (IPv6 and IPv4)"},
        {AIODUCT_E_RESOLVE, AIODUCT_E_RESOLVE_TEMPORARY, AIODUCT_E_RESOLVE_TEMPORARY, "unknown",
         "busy", "look up example.test: IPv6: unknown; IPv4: busy"},
        {AIODUCT_E_RESOLVE_TEMPORARY, AIODUCT_E_RESOLVE, AIODUCT_E_RESOLVE_TEMPORARY, "busy",
         "unknown", "look up example.test: IPv6: busy; IPv4: unknown"},
        {AIODUCT_E_RESOLVE, -ENOMEM, -ENOMEM, "unknown", "memory",
         "look up example.test: IPv6: unknown; IPv4: memory"},
        {-ENOMEM, AIODUCT_E_RESOLVE, -ENOMEM, "memory", "unknown",
         "look up example.test: IPv6: memory; IPv4: unknown"},
        {-ENOMEM, AIODUCT_E_RESOLVE_TEMPORARY, AIODUCT_E_RESOLVE_TEMPORARY, "memory", "busy",
         "look up example.test: IPv6: memory; IPv4: busy"},
        {AIODUCT_E_RESOLVE_TEMPORARY, -ENOMEM, AIODUCT_E_RESOLVE_TEMPORARY, "busy", "memory",
         "look up example.test: IPv6: busy; IPv4: memory"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int v4_first = 0; v4_first < 2; v4_first++) {
            struct dial_tester t;
            dial_init(&t);
            dial_start(&t);
            for (int turn = 0; turn < 2; turn++) {
                bool is_v4 = turn == !v4_first;
                assert_int_equal(t.done, 0);
                fake_resolver_fail_family(&t.resolver, is_v4 ? AF_INET : AF_INET6,
                                          is_v4 ? cases[i].v4 : cases[i].v6,
                                          is_v4 ? cases[i].v4_text : cases[i].v6_text);
            }
            assert_int_equal(t.done, 1);
            assert_int_equal(t.result.code, cases[i].code);
            assert_int_equal(t.result.error.code, cases[i].code);
            assert_int_equal(t.result.error.phase, AIODUCT_PHASE_RESOLVE);
            assert_string_equal(t.result.error.message, cases[i].message);
            dial_fini(&t);
        }
    }
}

/* A resolver that gives addresses of another family than it was asked for gives none. */
static void test_wrong_family(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET6, one_v4);
    assert_string_equal(dialled(&t), "");
    miss(&t, AF_INET);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, AIODUCT_E_RESOLVE);
    assert_string_equal(t.result.error.message,
                        "look up example.test: IPv6: no usable address; IPv4: no address");
    dial_fini(&t);
}

/* ---- what comes late ---- */

static void test_late_join(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET, v4);
    dial_advance(&t, 60); /* the race begins without IPv6 */
    dial_advance(&t, 100);
    answer(&t, AF_INET6, v6);
    assert_string_equal(dialled(&t), "192.0.2.1"); /* its turn comes when the wait is over */
    for (int i = 0; i < 5; i++) {
        dial_advance(&t, 260);
    }
    assert_string_equal(dialled(&t), "192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2 192.0.2.3");
    dial_finish(&t, 3, 0);
    assert_int_equal(t.result.code, 0);
    dial_fini(&t);
}

static void test_late_join_of_the_other(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET6, v6);
    dial_advance(&t, 260);
    answer(&t, AF_INET, v4);
    for (int i = 0; i < 4; i++) {
        dial_advance(&t, 260);
    }
    assert_string_equal(dialled(&t), "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2 192.0.2.3");
    dial_cancel(&t);
    dial_fini(&t);
}

/* Nothing was left to try: the wait since the last attempt counts all the same. */
static void test_late_pace(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET6, one_v6);
    dial_advance(&t, 100);
    answer(&t, AF_INET, one_v4);
    dial_advance(&t, 140);
    assert_string_equal(dialled(&t), "2001:db8::1");
    dial_advance(&t, 20);
    assert_string_equal(dialled(&t), "2001:db8::1 192.0.2.1");
    dial_cancel(&t);
    dial_start(&t);
    answer(&t, AF_INET6, one_v6);
    dial_advance(&t, 300);
    answer(&t, AF_INET, one_v4); /* the wait is over */
    assert_string_equal(dialled(&t), "2001:db8::1 192.0.2.1 2001:db8::1 192.0.2.1");
    dial_cancel(&t);
    dial_fini(&t);
}

/* One of two has failed and would have had the next begin: that comes when it can. */
static void test_late_after_failure(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET6, v6);
    dial_advance(&t, 260);
    dial_finish(&t, 1, -ECONNREFUSED);
    answer(&t, AF_INET, one_v4);
    assert_string_equal(dialled(&t), "2001:db8::1 2001:db8::2 192.0.2.1");
    dial_cancel(&t);
    dial_fini(&t);
}

static void test_late_rescue(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET6, v6);
    dial_finish(&t, 0, -ECONNREFUSED);
    dial_finish(&t, 1, -ECONNREFUSED);
    dial_advance(&t, 5000);
    assert_int_equal(t.done, 0); /* there may be more */
    answer(&t, AF_INET, one_v4);
    assert_string_equal(dialled(&t), "2001:db8::1 2001:db8::2 192.0.2.1");
    dial_finish(&t, 2, 0);
    assert_int_equal(t.result.code, 0);
    dial_fini(&t);
}

static void test_late_failure(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t);
    answer(&t, AF_INET6, one_v6);
    dial_finish(&t, 0, -ECONNREFUSED);
    assert_int_equal(t.done, 0);
    miss(&t, AF_INET);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, -ECONNREFUSED); /* says more than the look-up's */
    assert_int_equal(t.result.error.phase, AIODUCT_PHASE_CONNECT);
    dial_fini(&t);

    dial_init(&t); /* and while one is under way it says nothing at all */
    dial_start(&t);
    answer(&t, AF_INET6, one_v6);
    miss(&t, AF_INET);
    dial_advance(&t, 1000);
    assert_int_equal(t.done, 0);
    dial_finish(&t, 0, 0);
    assert_int_equal(t.result.code, 0);
    dial_fini(&t);
}

static void on_step(void *owner, const struct ad_dial_step *step)
{
    static const char *const names[] = {"resolved", "connect", "failed", "connected"};
    struct dial_tester *t = owner;
    char address[AD_ADDR_TEXT_BYTES] = "";
    size_t used = strlen(t->steps);
    if (step->addr != NULL) {
        ad_addr_text(step->addr, address);
    } else {
        snprintf(address, sizeof address, "%u", step->count);
    }
    snprintf(t->steps + used, sizeof t->steps - used, "%s %s, ", names[step->kind], address);
}

static void test_steps(void **state)
{
    struct dial_tester t;
    struct ad_dial_times times = {0};
    (void)state;
    dial_init(&t);
    t.params.on_step = on_step;
    t.params.times = &times;
    dial_start(&t);
    answer(&t, AF_INET, v4);
    assert_string_equal(t.steps, ""); /* it is held back: nothing is resolved yet */
    assert_int_equal(times.resolved_ns, 0);
    dial_advance(&t, 60);
    uint64_t begun_ns = times.resolved_ns;
    assert_true(begun_ns > 0);
    dial_advance(&t, 10);
    answer(&t, AF_INET6, one_v6);
    dial_finish(&t, 0, 0);
    assert_string_equal(t.steps,
                        "resolved 3, connect 192.0.2.1, resolved 1, connected 192.0.2.1, ");
    assert_true(times.resolved_ns == begun_ns && t.result.times.resolved_ns == begun_ns);
    dial_fini(&t);
}

/* ---- cancel, memory ---- */

static void test_cancel(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    dial_start(&t); /* both asked */
    dial_cancel(&t);
    assert_int_equal(t.resolver.cancelled, 2);
    dial_start(&t); /* one has failed */
    miss(&t, AF_INET6);
    dial_cancel(&t);
    assert_int_equal(t.resolver.cancelled, 3);
    dial_start(&t); /* one waits for the other */
    answer(&t, AF_INET, v4);
    dial_cancel(&t);
    assert_int_equal(t.resolver.cancelled, 4);
    dial_advance(&t, 1000); /* and its delay has gone with it */
    assert_int_equal(fake_conn_count(t.fake), 0);
    dial_start(&t); /* one connects while the other is asked for */
    answer(&t, AF_INET6, v6);
    dial_cancel(&t);
    assert_int_equal(t.resolver.cancelled, 5);
    dial_start(&t); /* all have failed, but for those that may come */
    answer(&t, AF_INET6, one_v6);
    dial_finish(&t, 1, -ECONNREFUSED);
    dial_cancel(&t);
    assert_int_equal(t.resolver.cancelled, 6);
    dial_start(&t); /* both are there, and race */
    answer(&t, AF_INET6, v6);
    answer(&t, AF_INET, v4);
    dial_advance(&t, 260);
    dial_cancel(&t);
    assert_int_equal(t.resolver.cancelled, 6);
    assert_int_equal(t.done, 0);
    dial_fini(&t);
}

static void test_failing_at_once(void **state)
{
    struct dial_tester t;
    (void)state;
    dial_init(&t);
    fake_connect_answer(t.fake, -ENETUNREACH);
    dial_start(&t);
    answer(&t, AF_INET6, v6); /* each fails at once */
    assert_int_equal(t.done, 0);
    answer(&t, AF_INET, one_v4);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.result.code, -ENETUNREACH);
    assert_int_equal(t.resolver.cancelled, 0);
    dial_fini(&t);
}

/* With @nth allocation failing: both families, the second while the first one's race is on. */
static void run_short_of_memory(uint64_t nth)
{
    struct dial_tester t;
    dial_init(&t);
    ad_mem_fail_nth(nth);
    if (dial_try(&t) == 0) {
        for (int i = 0; i < 2 && t.done == 0; i++) {
            int family = i == 0 ? AF_INET : AF_INET6;
            if (fake_resolver_waits(&t.resolver, family)) {
                fake_resolver_answer_family(&t.resolver, family, i == 0 ? one_v4 : one_v6);
            }
            dial_advance(&t, 300);
        }
        for (unsigned i = 0; i < fake_conn_count(t.fake) && t.done == 0; i++) {
            if (!fake_conn_at(t.fake, i)->closing) {
                dial_finish(&t, i, -ECONNREFUSED);
            }
        }
        ad_mem_fail_nth(0);
        assert_int_equal(t.done, 1);
        assert_true(t.result.code == -ENOMEM || t.result.code == -ECONNREFUSED);
    }
    ad_mem_fail_nth(0);
    assert_false(fake_resolver_waits(&t.resolver, AF_INET));
    dial_fini(&t);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 16; nth++) {
        run_short_of_memory(nth);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C55: both families are asked at once; IPv6 is dialled when it is there",
         test_preferred_first, NULL, NULL, NULL},
        {"C55: addresses of IPv4 wait 50 ms for IPv6", test_delay, NULL, NULL, NULL},
        {"C55: IPv6 that comes in that time is first", test_preferred_within_delay, NULL, NULL,
         NULL},
        {"C55: if there is no IPv6 the wait is over", test_no_preferred_within_delay, NULL, NULL,
         NULL},
        {"C55: the resolution delay is settable", test_delay_settable, NULL, NULL, NULL},
        {"C55: the family that won is the one that is waited for", test_history, NULL, NULL, NULL},
        {"C55: one family, localhost and numbers are one question", test_one_question, NULL, NULL,
         NULL},
        {"C55: localhost keeps its order", test_known_order, NULL, NULL, NULL},
        {"C55: if the second question is refused the first is given up", test_refused_question,
         NULL, NULL, NULL},
        {"C55: a family that fails is no error while the other answers", test_one_fails, NULL, NULL,
         NULL},
        {"C55, C118: both fail: told apart, and retriable if one may be", test_both_fail, NULL,
         NULL, NULL},
        {"C55: addresses of another family are none", test_wrong_family, NULL, NULL, NULL},
        {"C55: IPv6 that comes late joins the race, in turn", test_late_join, NULL, NULL, NULL},
        {"C55: IPv4 that comes late joins the race, in turn", test_late_join_of_the_other, NULL,
         NULL, NULL},
        {"C55: what comes late keeps the distance of attempts", test_late_pace, NULL, NULL, NULL},
        {"C55: what comes late behind a failure starts at once", test_late_after_failure, NULL,
         NULL, NULL},
        {"C55: a race that lost all waits for the other family", test_late_rescue, NULL, NULL,
         NULL},
        {"C55: a late failure ends a lost race with the race's reason", test_late_failure, NULL,
         NULL, NULL},
        {"resolved is told when the race begins, and again of what joins it", test_steps, NULL,
         NULL, NULL},
        {"cancel is silent with either look-up under way", test_cancel, NULL, NULL, NULL},
        {"attempts that fail at once wait for the other family too", test_failing_at_once, NULL,
         NULL, NULL},
        {"C80: each allocation of a race of two families may fail", test_out_of_memory, NULL, NULL,
         NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
