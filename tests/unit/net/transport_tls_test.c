/* SPDX-License-Identifier: MIT */
/* Transports over TLS, against a server in memory. */
#include "base/mem.h"
#include "transport_tester.h"

#include <errno.h>
#include <string.h>

/* ---- TLS ---- */

static void test_tls(void **state)
{
    struct tester t;
    uint8_t bytes[100];
    (void)state;
    tester_open_tls(&t);
    assert_string_equal(ad_transport_tls_version(t.transport), "TLS1.3");
    assert_true(ad_transport_tls_cipher(t.transport)[0] != '\0');
    assert_false(ad_transport_tls_resumed(t.transport));
    assert_true(ad_transport_is_tls(t.transport));
    unsigned sends = tester_conn(&t)->sends;
    t.to_produce = 60;
    ad_transport_dirty(t.transport);
    tester_pump(&t);
    assert_int_equal(tester_conn(&t)->sends, sends + 1);
    assert_int_equal(gnutls_record_recv(t.server.session, bytes, sizeof bytes), 60);
    assert_int_equal(t.sent, 1);
    tester_server_says(&t, "hello");
    tester_server_says(&t, " world");
    tester_deliver(&t);
    tester_assert_got(&t, "hello world");
    gnutls_bye(t.server.session, GNUTLS_SHUT_WR);
    tester_deliver(&t);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.end_code, 0);
    tester_fini(&t);
}

/* The last flight of the handshake and the request leave in one send. */
static void test_tls_first_flush(void **state)
{
    struct tester t;
    (void)state;
    tester_start_tls(&t);
    ad_transport_dirty(t.transport);
    t.to_produce = 60;
    tester_pump(&t);
    assert_int_equal(tester_conn(&t)->sends, 2);
    assert_int_equal(t.produced, 1);
    tester_fini(&t);
}

static void test_tls_big(void **state)
{
    enum { COUNT = 300000 };
    static uint8_t bytes[COUNT];
    struct tester t;
    size_t got = 0;
    (void)state;
    tester_open_tls(&t);
    t.to_produce = COUNT;
    ad_transport_dirty(t.transport);
    tester_pump(&t);
    for (;;) {
        ssize_t n = gnutls_record_recv(t.server.session, bytes, sizeof bytes);
        if (n < 0) {
            assert_int_equal(n, GNUTLS_E_AGAIN);
            break;
        }
        got += (size_t)n;
    }
    assert_int_equal(got, COUNT);
    assert_int_equal(t.produced, COUNT / t.room + 1);
    tester_fini(&t);
}

/* C61, C8 */
static void test_tls_truncation(void **state)
{
    struct tester t;
    (void)state;
    tester_open_tls(&t);
    tester_server_says(&t, "half");
    tester_deliver(&t);
    fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0);
    tester_run(&t);
    tester_assert_got(&t, "half");
    assert_int_equal(t.end_code, AIODUCT_E_TRUNCATED);
    tester_fini(&t);
}

/* C62 */
static void test_tls_ticket(void **state)
{
    gnutls_datum_t key;
    struct tester t;
    (void)state;
    assert_int_equal(gnutls_session_ticket_key_generate(&key), 0);
    tester_start_tls(&t);
    gnutls_session_ticket_enable_server(t.server.session, &key);
    tester_pump(&t);
    assert_int_equal(gnutls_session_ticket_send(t.server.session, 1, 0), 0);
    tester_deliver(&t);
    assert_int_equal(t.opened, 1);
    tester_assert_got(&t, "");
    assert_int_equal(t.ended, 0);
    tester_fini(&t);
    gnutls_free(key.data);
}

static void test_tls_pause(void **state)
{
    struct tester t;
    (void)state;
    tester_open_tls(&t);
    t.pause_in = PLAIN;
    tester_server_says(&t, "one ");
    tester_server_says(&t, "two ");
    fake_data(tester_conn(&t), ad_buf_data(&t.server.out), ad_buf_bytes(&t.server.out));
    ad_buf_clear(&t.server.out);
    tester_server_says(&t, "three");
    fake_data(tester_conn(&t), ad_buf_data(&t.server.out), ad_buf_bytes(&t.server.out));
    ad_buf_clear(&t.server.out);
    tester_run(&t);
    tester_assert_got(&t, "one "); /* the rest is kept */
    assert_false(tester_conn(&t)->inflight & AIODUCT_OP_RECV);
    ad_transport_resume(t.transport);
    tester_assert_got(&t, "one "); /* not inside the call */
    tester_run(&t);
    tester_assert_got(&t, "one two ");
    t.pause_in = NONE;
    ad_transport_resume(t.transport);
    tester_run(&t);
    tester_assert_got(&t, "one two three");
    assert_true(tester_conn(&t)->inflight & AIODUCT_OP_RECV);

    t.pause_in = PLAIN; /* the end waits behind what is kept */
    tester_server_says(&t, "four");
    tester_server_says(&t, "five");
    gnutls_bye(t.server.session, GNUTLS_SHUT_WR);
    fake_data(tester_conn(&t), ad_buf_data(&t.server.out), ad_buf_bytes(&t.server.out));
    fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0);
    tester_run(&t);
    tester_assert_got(&t, "one two threefour");
    t.pause_in = NONE;
    ad_transport_resume(t.transport);
    tester_run(&t);
    tester_assert_got(&t, "one two threefourfive");
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.end_code, 0);
    tester_fini(&t);
}

static void test_tls_close(void **state)
{
    uint8_t byte;
    struct tester t;
    (void)state;
    tester_open_tls(&t);
    ad_transport_close(t.transport, true);
    tester_pump(&t);
    assert_int_equal(t.closed, 1); /* without an answer */
    assert_int_equal(gnutls_record_recv(t.server.session, &byte, 1), 0);
    tester_fini(&t);

    tester_open_tls(&t); /* it may take a while, but not for ever */
    tester_conn(&t)->send_answer = AIODUCT_PENDING;
    ad_transport_close(t.transport, true);
    tester_run(&t);
    assert_int_equal(t.closed, 0);
    fake_advance_ms(t.fake, 1010);
    tester_run(&t);
    assert_int_equal(t.closed, 1);
    tester_fini(&t);
}

static void test_tls_close_in_events(void **state)
{
    static const enum event at[] = {OPEN, PLAIN, PRODUCE, SENT, END};
    (void)state;
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        for (int orderly = 0; orderly < 2; orderly++) {
            struct tester t;
            uint8_t bytes[100];
            tester_start_tls(&t);
            t.close_in = at[i];
            t.orderly = orderly;
            tester_pump(&t);
            if (at[i] != OPEN) {
                tester_server_says(&t, "one");
                tester_server_says(&t, "two");
                gnutls_bye(t.server.session, GNUTLS_SHUT_WR);
                if (at[i] == PLAIN || at[i] == END) {
                    tester_deliver(&t);
                }
                t.to_produce = 10;
                if (t.closed == 0) {
                    ad_transport_dirty(t.transport);
                }
                tester_pump(&t);
            }
            assert_int_equal(t.closed, 1);
            if (at[i] == PRODUCE && orderly) {
                assert_int_equal(gnutls_record_recv(t.server.session, bytes, 100), 10);
                assert_int_equal(gnutls_record_recv(t.server.session, bytes, 100), 0);
            }
            tester_fini(&t);
        }
    }
}

static void test_tls_refused(void **state)
{
    struct tester t;
    (void)state;
    tester_start_tls(&t);
    ad_transport_close(t.transport, true); /* in the middle of the handshake */
    tester_run(&t);
    assert_int_equal(t.closed, 1);
    assert_int_equal(t.opened, 0);
    tester_fini(&t);

    tester_start_tls(&t);
    fake_done(tester_conn(&t), AIODUCT_OP_RECV, 0);
    tester_run(&t);
    assert_int_equal(t.open_code, AIODUCT_E_CLOSED);
    assert_int_equal(t.error.phase, AIODUCT_PHASE_TLS);
    assert_string_equal(t.error.message,
                        "TLS handshake with example.test:443: the peer closed the connection");
    tester_fini(&t);

    tester_init(&t); /* a certificate for somebody else: refused with an alert */
    struct aioduct_tls_options options = {.ca_file = tester_ca_file};
    assert_int_equal(ad_tls_context_create(&options, &t.context, &t.error), 0);
    t.params.tls = t.context;
    t.params.tls_host = "other.test";
    server_init(&t.server, TLS13, &tester_leaf, NULL, NULL);
    tester_start_connected(&t);
    tester_run(&t);
    ad_buf_append(&t.server.in, ad_buf_data(&tester_conn(&t)->sent),
                  ad_buf_bytes(&tester_conn(&t)->sent));
    ad_buf_clear(&tester_conn(&t)->sent);
    server_step(&t.server);
    tester_deliver(&t);
    assert_int_equal(t.open_code, AIODUCT_E_TLS_VERIFY);
    assert_int_equal(t.error.phase, AIODUCT_PHASE_TLS);
    assert_true(ad_buf_bytes(&tester_conn(&t)->sent) > 0);
    tester_fini(&t);
}

/* A peer that refuses us in the handshake may reset before we have sent all. */
static void test_tls_alert_after_send_error(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    fake_send_answer(t.fake, -ECONNRESET);
    struct aioduct_tls_options options = {.ca_file = tester_ca_file};
    assert_int_equal(ad_tls_context_create(&options, &t.context, &t.error), 0);
    t.params.tls = t.context;
    t.params.tls_host = HOST;
    tester_start_connected(&t);
    assert_int_equal(t.opened, 0);
    fake_data(tester_conn(&t), "\x15\x03\x03\x00\x02\x02\x28", 7); /* alert: handshake_failure */
    tester_run(&t);
    assert_int_equal(t.open_code, AIODUCT_E_TLS);
    assert_non_null(strstr(t.error.message, "the peer says: Handshake failed"));
    tester_fini(&t);
}

static void test_tls_damage(void **state)
{
    struct tester t;
    (void)state;
    tester_open_tls(&t);
    tester_server_says(&t, "data");
    t.server.out.block[t.server.out.end - 1] ^= 1;
    unsigned sends = tester_conn(&t)->sends;
    tester_deliver(&t);
    assert_int_equal(t.end_code, AIODUCT_E_TLS);
    assert_int_equal(tester_conn(&t)->sends, sends + 1); /* the alert */
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    tester_run(&t);
    assert_int_equal(t.produced, 0);
    tester_fini(&t);
}

static void test_key_update(void **state)
{
    uint8_t bytes[100];
    struct tester t;
    (void)state;
    tester_open_tls(&t);
    gnutls_session_key_update(t.server.session, GNUTLS_KU_PEER);
    tester_server_says(&t, "new keys");
    tester_deliver(&t);
    tester_assert_got(&t, "new keys");
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    tester_pump(&t);
    ssize_t n;
    do {
        n = gnutls_record_recv(t.server.session, bytes, sizeof bytes);
    } while (n == GNUTLS_E_AGAIN && ad_buf_bytes(&t.server.in) > 0);
    assert_int_equal(n, 10);
    tester_fini(&t);
}

static void test_warm_tls(void **state)
{
    struct tester t;
    (void)state;
    tester_open_tls(&t);
    for (int round = 0; round < 2; round++) {
        uint64_t before = ad_mem_count();
        for (int i = 0; i < 20; i++) {
            t.to_produce = 500;
            ad_transport_dirty(t.transport);
            tester_pump(&t);
            tester_server_says(&t, "answer");
            tester_deliver(&t);
        }
        if (round == 1) { /* the test's own buffers grow */
            assert_in_range(ad_mem_count() - before, 0, 4);
        }
    }
    tester_fini(&t);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"TLS opens, carries bytes and ends by close_notify", test_tls, NULL, NULL, NULL},
        {"handshake's last flight and request leave in one send", test_tls_first_flush, NULL, NULL,
         NULL},
        {"TLS sends much in full buffers", test_tls_big, NULL, NULL, NULL},
        {"C61: an end without close_notify is a truncation", test_tls_truncation, NULL, NULL, NULL},
        {"C62: a ticket on an idle connection is not data", test_tls_ticket, NULL, NULL, NULL},
        {"a paused reader's records are kept, and the end behind them", test_tls_pause, NULL, NULL,
         NULL},
        {"C61: an orderly close says close_notify and waits for nobody", test_tls_close, NULL, NULL,
         NULL},
        {"close is good inside every event of TLS", test_tls_close_in_events, NULL, NULL, NULL},
        {"a handshake that fails says why, and tells the peer", test_tls_refused, NULL, NULL, NULL},
        {"an alert is read although the send failed", test_tls_alert_after_send_error, NULL, NULL,
         NULL},
        {"a damaged record ends it with an alert", test_tls_damage, NULL, NULL, NULL},
        {"a key update passes unseen", test_key_update, NULL, NULL, NULL},
        {"a warm TLS transport asks for no memory of ours", test_warm_tls, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, tester_setup, tester_teardown);
}
