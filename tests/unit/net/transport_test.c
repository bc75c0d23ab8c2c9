/* SPDX-License-Identifier: MIT */
/* Transports in clear text: turns, sends, pauses, ends, and closing at any stage. */
#include "base/mem.h"
#include "transport_tester.h"

#include <errno.h>
#include <string.h>

/* ---- clear text ---- */

static void test_open(void **state)
{
    struct tester t;
    struct aioduct_stream_info info;
    (void)state;
    tester_open_clear(&t);
    assert_true(t.times.connected_ns > t.times.resolved_ns);
    assert_false(ad_transport_is_tls(t.transport));
    assert_true(tester_conn(&t)->inflight & AIODUCT_OP_RECV);
    assert_string_equal(ad_transport_tls_version(t.transport), "");
    assert_string_equal(ad_transport_alpn(t.transport), "");
    assert_int_equal(ad_transport_info(t.transport, &info), 0);
    assert_int_equal(info.fd, 7);
    assert_ptr_equal(ad_transport_loop(t.transport), fake_loop(t.fake));
    fake_data(tester_conn(&t), "hello", 5);
    fake_data(tester_conn(&t), " world", 6);
    tester_run(&t);
    tester_assert_got(&t, "hello world");
    fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0);
    tester_run(&t);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.end_code, 0);
    t.to_produce = 3; /* the other direction still works */
    ad_transport_dirty(t.transport);
    tester_run(&t);
    assert_int_equal(ad_buf_bytes(&tester_conn(&t)->sent), 3);
    tester_fini(&t);
}

static void test_open_error(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    tester_start(&t);
    fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
    fake_done(tester_conn(&t), AIODUCT_OP_CONNECT, -ECONNREFUSED);
    tester_run(&t);
    assert_int_equal(t.opened, 1);
    assert_int_equal(t.open_code, -ECONNREFUSED);
    assert_string_equal(t.error.message,
                        "connect to example.test port 443 (192.0.2.1): Connection refused");
    assert_int_equal(t.closed, 0);
    ad_transport_close(t.transport, true);
    assert_int_equal(t.closed, 0); /* not inside the call */
    tester_run(&t);
    assert_int_equal(t.closed, 1);
    tester_fini(&t);
}

static void test_one_flush(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    t.to_produce = 10;
    tester_start(&t);
    ad_transport_dirty(t.transport); /* before it is open: remembered */
    fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
    fake_done(tester_conn(&t), AIODUCT_OP_CONNECT, 0);
    tester_run(&t);
    assert_int_equal(tester_conn(&t)->sends, 1);
    assert_int_equal(t.produced, 1);
    assert_int_equal(t.sent, 1);
    t.to_produce = 20;
    ad_transport_dirty(t.transport);
    ad_transport_dirty(t.transport);
    tester_run(&t);
    assert_int_equal(t.produced, 2);
    assert_int_equal(tester_conn(&t)->sends, 2);
    assert_int_equal(ad_buf_bytes(&tester_conn(&t)->sent), 30);
    ad_transport_dirty(t.transport); /* with nothing to say */
    tester_run(&t);
    assert_int_equal(t.produced, 3);
    assert_int_equal(tester_conn(&t)->sends, 2);
    assert_int_equal(t.sent, 2);
    tester_fini(&t);
}

static void test_filled_room(void **state)
{
    struct tester t;
    (void)state;
    tester_open_clear(&t);
    t.to_produce = 3 * AD_LOOP_BUF_BYTES + 100;
    ad_transport_dirty(t.transport);
    tester_run(&t);
    assert_int_equal(t.room, AD_LOOP_BUF_BYTES);
    assert_int_equal(t.produced, 4);
    assert_int_equal(ad_buf_bytes(&tester_conn(&t)->sent), 3 * AD_LOOP_BUF_BYTES + 100);
    tester_fini(&t);
}

static void test_pending_send(void **state)
{
    struct tester t;
    (void)state;
    tester_open_clear(&t);
    tester_conn(&t)->send_answer = AIODUCT_PENDING;
    t.to_produce = AD_LOOP_BUF_BYTES + 5;
    ad_transport_dirty(t.transport);
    tester_run(&t);
    assert_int_equal(t.produced, 1);
    ad_transport_dirty(t.transport);
    tester_run(&t);
    assert_int_equal(t.produced, 1); /* nothing is asked for meanwhile */
    assert_int_equal(t.sent, 0);
    fake_done(tester_conn(&t), AIODUCT_OP_SEND, 0);
    tester_run(&t);
    assert_int_equal(t.sent, 1);
    assert_int_equal(t.produced, 2);
    fake_done(tester_conn(&t), AIODUCT_OP_SEND, 0);
    tester_run(&t);
    assert_int_equal(t.sent, 2);
    assert_int_equal(t.produced, 2);
    assert_int_equal(ad_buf_bytes(&tester_conn(&t)->sent), AD_LOOP_BUF_BYTES + 5);
    tester_fini(&t);
}

/* C15 */
static void test_send_error(void **state)
{
    static const int answers[] = {-EPIPE, AIODUCT_PENDING};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tester t;
        tester_open_clear(&t);
        tester_conn(&t)->send_answer = answers[i];
        t.to_produce = 10;
        ad_transport_dirty(t.transport);
        tester_run(&t);
        if (answers[i] == AIODUCT_PENDING) {
            fake_done(tester_conn(&t), AIODUCT_OP_SEND, -EPIPE);
            tester_run(&t);
        }
        assert_int_equal(t.send_errors, 1);
        assert_int_equal(t.send_code, -EPIPE);
        ad_transport_dirty(t.transport);
        tester_run(&t);
        assert_int_equal(tester_conn(&t)->sends, 1);
        fake_data(tester_conn(&t), "413", 3);
        fake_done(tester_conn(&t), AIODUCT_OP_RECV, -ECONNRESET);
        tester_run(&t);
        tester_assert_got(&t, "413");
        assert_int_equal(t.ended, 1);
        assert_int_equal(t.end_code, -ECONNRESET);
        assert_int_equal(t.send_errors, 1);
        tester_fini(&t);
    }
}

static void test_pause(void **state)
{
    struct tester t;
    (void)state;
    tester_open_clear(&t);
    ad_transport_pause(t.transport);
    fake_data(tester_conn(&t), "late", 4); /* it was on its way */
    tester_run(&t);
    assert_false(tester_conn(&t)->inflight & AIODUCT_OP_RECV);
    ad_transport_resume(t.transport);
    tester_run(&t);
    assert_true(tester_conn(&t)->inflight & AIODUCT_OP_RECV);
    ad_transport_pause(t.transport); /* back before the stop was done */
    ad_transport_resume(t.transport);
    tester_run(&t);
    assert_true(tester_conn(&t)->inflight & AIODUCT_OP_RECV);
    fake_data(tester_conn(&t), "more", 4);
    tester_run(&t);
    ad_transport_pause(t.transport);
    tester_run(&t);
    ad_transport_resume(t.transport);
    fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0);
    tester_run(&t);
    assert_int_equal(t.ended, 1);
    tester_fini(&t);
}

static void test_end_while_paused(void **state)
{
    struct tester t;
    (void)state;
    tester_open_clear(&t);
    fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0); /* comes before the stop does */
    ad_transport_pause(t.transport);
    tester_run(&t);
    assert_int_equal(t.ended, 0);
    ad_transport_resume(t.transport);
    assert_int_equal(t.ended, 0);
    tester_run(&t);
    assert_int_equal(t.ended, 1);
    tester_fini(&t);
}

static void test_idle_owns_nothing(void **state)
{
    struct tester t;
    (void)state;
    tester_open_clear(&t);
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    fake_data(tester_conn(&t), "x", 1);
    tester_run(&t);
    uint64_t before = ad_mem_count();
    for (int i = 0; i < 50; i++) { /* nor does a warm one ask for memory */
        t.to_produce = 1000;
        ad_transport_dirty(t.transport);
        tester_run(&t);
    }
    /* what the stream's side keeps of the sent bytes may grow */
    assert_in_range(ad_mem_count() - before, 0, 8);
    tester_fini(&t);
}

/* ---- closing ---- */

static void test_close_stages(void **state)
{
    (void)state;
    for (int stage = 0; stage < 6; stage++) {
        for (int orderly = 0; orderly < 2; orderly++) {
            struct tester t;
            tester_init(&t);
            t.orderly = orderly;
            tester_start(&t);
            if (stage >= 1) {
                fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
            }
            if (stage >= 2) {
                fake_done(tester_conn(&t), AIODUCT_OP_CONNECT, 0);
                tester_run(&t);
            }
            if (stage >= 3) {
                tester_conn(&t)->send_answer = AIODUCT_PENDING;
                t.to_produce = 10;
                ad_transport_dirty(t.transport);
                tester_run(&t);
            }
            if (stage >= 4) {
                ad_transport_pause(t.transport);
            }
            if (stage >= 5) {
                fake_done(tester_conn(&t), AIODUCT_OP_RECV, -ECONNRESET);
                fake_done(tester_conn(&t), AIODUCT_OP_SEND, -ECONNRESET);
                tester_run(&t);
            }
            ad_transport_close(t.transport, orderly);
            assert_int_equal(t.closed, 0);
            tester_run(&t);
            bool waits = orderly && (stage == 3 || stage == 4);
            assert_int_equal(t.closed, !waits);
            if (waits) {
                fake_advance_ms(t.fake, 1010);
                tester_run(&t);
                assert_int_equal(t.closed, 1);
            }
            ad_transport_close(NULL, true);
            tester_fini(&t);
        }
    }
}

static void test_losers_gone(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    t.close_in = OPEN;
    tester_start(&t);
    fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", "192.0.2.2", NULL});
    fake_advance_ms(t.fake, 260);
    tester_run(&t);
    fake_done(fake_conn_at(t.fake, 1), AIODUCT_OP_CONNECT, 0);
    tester_run(&t);
    assert_int_equal(t.closed, 1);
    tester_fini(&t);
}

static void test_close_flushes(void **state)
{
    struct tester t;
    (void)state;
    tester_open_clear(&t);
    tester_conn(&t)->send_answer = AIODUCT_PENDING;
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    tester_run(&t);
    ad_transport_close(t.transport, true);
    fake_data(tester_conn(&t), "nobody wants this", 17);
    tester_run(&t);
    assert_int_equal(t.closed, 0);
    fake_done(tester_conn(&t), AIODUCT_OP_SEND, 0);
    tester_run(&t);
    assert_int_equal(t.closed, 1);
    assert_int_equal(ad_buf_bytes(&tester_conn(&t)->sent), 10);
    assert_int_equal(t.sent, 0); /* no event but on_closed */
    tester_assert_got(&t, "");
    tester_fini(&t);
}

static void test_close_in_events(void **state)
{
    (void)state;
    for (int event = OPEN; event <= SEND_ERROR; event++) {
        for (int mode = 0; mode < 4; mode++) {
            struct tester t;
            tester_init(&t);
            t.close_in = (enum event)event;
            t.orderly = mode & 1;
            fake_send_answer(t.fake, event == SEND_ERROR ? -EPIPE
                                     : mode & 2          ? AIODUCT_PENDING
                                                         : AIODUCT_DONE);
            tester_start_connected(&t);
            if (event != OPEN) {
                t.to_produce = 10;
                if (event >= PRODUCE) {
                    ad_transport_dirty(t.transport);
                    tester_run(&t);
                }
                fake_done(tester_conn(&t), AIODUCT_OP_SEND, 0);
                fake_data(tester_conn(&t), "a", 1);
                fake_data(tester_conn(&t), "b", 1);
                fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0);
            }
            tester_run(&t);
            assert_int_equal(t.close_in, NONE);
            assert_int_equal(t.closed, 1);
            assert_in_range(ad_buf_bytes(&t.got), 0, event == PLAIN ? 1 : 2);
            if (event == PRODUCE && t.orderly) { /* what it produced is sent */
                assert_int_equal(ad_buf_bytes(&tester_conn(&t)->sent), 10);
            }
            tester_fini(&t);
        }
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 30; nth++) {
        struct tester t;
        tester_init(&t);
        t.to_produce = 10;
        assert_non_null(ad_buf_reserve(&t.got, 64)); /* the test's own memory does not fail */
        ad_mem_fail_nth(nth);
        if (ad_transport_start(fake_loop(t.fake), &t.params, &transport_events, &t, &t.transport) <
            0) {
            ad_mem_fail_nth(0);
            ad_buf_fini(&t.got);
            fake_destroy(t.fake);
            continue;
        }
        ad_transport_dirty(t.transport);
        fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
        if (fake_conn_count(t.fake) > 0) {
            fake_done(tester_conn(&t), AIODUCT_OP_CONNECT, 0);
            tester_run(&t);
            fake_data(tester_conn(&t), "x", 1);
            fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0);
        }
        tester_run(&t);
        ad_mem_fail_nth(0);
        assert_int_equal(t.opened, 1);
        assert_true(t.open_code == 0 || t.open_code == -ENOMEM);
        assert_true(t.send_errors == 0 || t.send_code == -ENOMEM);
        tester_fini(&t);
    }
}
int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"clear text opens, carries bytes and ends; sending works on", test_open, NULL, NULL, NULL},
        {"a failed dial is on_open's error; the owner closes", test_open_error, NULL, NULL, NULL},
        {"one produce and one send a turn, also when made dirty before it opened", test_one_flush,
         NULL, NULL, NULL},
        {"a producer that fills the room is asked again", test_filled_room, NULL, NULL, NULL},
        {"a pending send keeps its buffer and holds the producer back", test_pending_send, NULL,
         NULL, NULL},
        {"C15: after a failed send the answer is still read", test_send_error, NULL, NULL, NULL},
        {"pause and resume stop and start the receive", test_pause, NULL, NULL, NULL},
        {"an end that comes while paused is told at resume", test_end_while_paused, NULL, NULL,
         NULL},
        {"a warm transport asks for no memory", test_idle_owns_nothing, NULL, NULL, NULL},
        {"close is good at each stage and bounded by a second", test_close_stages, NULL, NULL,
         NULL},
        {"on_closed comes after every stream of the race has closed", test_losers_gone, NULL, NULL,
         NULL},
        {"an orderly close sends what was produced, and calls only on_closed", test_close_flushes,
         NULL, NULL, NULL},
        {"C75: close is good inside every event", test_close_in_events, NULL, NULL, NULL},
        {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, tester_setup, tester_teardown);
}
