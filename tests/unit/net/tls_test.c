/* SPDX-License-Identifier: MIT */
/* Bytes of TLS sessions: handshake, records, ends, and what a peer may do to them. */
#include "base/mem.h"
#include "tls_tester.h"

#include <aioduct/plugin/plugin.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- handshake and data ---- */

static void shake_with(const char *priority, const char *version, enum cut cut)
{
    enum { COUNT = 100000 };
    struct tester t;
    struct ad_buf got = {0};
    uint8_t *bytes = tester_pattern(COUNT);
    tester_init(&t, (struct aioduct_tls_options){0}, priority, &tester_leaf, HOST);
    t.cut = cut;
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    assert_string_equal(ad_tls_version(t.tls), version);
    assert_true(strlen(ad_tls_cipher(t.tls)) > 0);
    assert_string_equal(ad_tls_alpn(t.tls), "");
    assert_false(ad_tls_resumed(t.tls));
    tester_server_send(&t, bytes, COUNT);
    tester_to_client(&t);
    assert_int_equal(ad_buf_bytes(&t.plain), COUNT);
    assert_memory_equal(ad_buf_data(&t.plain), bytes, COUNT);
    tester_client_send(&t, bytes, COUNT);
    assert_int_equal(tester_server_read(&t, &got), COUNT);
    assert_memory_equal(ad_buf_data(&got), bytes, COUNT);
    ad_buf_fini(&got);
    free(bytes);
    tester_fini(&t);
}

static void test_tls13(void **state)
{
    (void)state;
    shake_with(TLS13, "TLS1.3", WHOLE);
    shake_with(TLS13, "TLS1.3", ONE_BYTE);
    shake_with(TLS13, "TLS1.3", RANDOM);
}

static void test_tls12(void **state)
{
    (void)state;
    shake_with(TLS12, "TLS1.2", WHOLE);
    shake_with(TLS12, "TLS1.2", ONE_BYTE);
    shake_with(TLS12, "TLS1.2", RANDOM);
}

static void test_old_versions(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, "NORMAL:-VERS-ALL:+VERS-TLS1.1", &tester_leaf,
                HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_E_TLS);
    assert_int_equal(t.error.phase, AIODUCT_PHASE_TLS);
    assert_int_equal(t.error.safe_to_retry, 1);
    assert_non_null(strstr(t.error.message, "TLS handshake with example.test:443: "));
    tester_fini(&t);
}

static void test_full_records(void **state)
{
    enum { COUNT = 40000 };
    struct tester t;
    uint8_t *bytes = tester_pattern(COUNT);
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &tester_leaf, HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    assert_int_equal(ad_tls_write(t.tls, bytes, COUNT, &t.out, &t.error), 0);
    const uint8_t *p = ad_buf_data(&t.out);
    size_t sizes[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p[0], 23);
        sizes[i] = (size_t)p[3] << 8 | p[4];
        p += 5 + sizes[i];
    }
    assert_ptr_equal(p, ad_buf_data(&t.out) + ad_buf_bytes(&t.out));
    assert_int_equal(sizes[0], 16384 + 17);
    assert_int_equal(sizes[1], 16384 + 17);
    free(bytes);
    tester_fini(&t);
}

static void test_left_over(void **state)
{
    struct tester t;
    const uint8_t *bytes;
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &tester_leaf, HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    tester_server_send(&t, "first", 5);
    tester_server_send(&t, "second", 6);
    tester_server_send(&t, "third", 5);
    size_t count = ad_buf_bytes(&t.server.out);
    uint8_t *slice = malloc(count);
    memcpy(slice, ad_buf_data(&t.server.out), count);
    ad_buf_clear(&t.server.out);
    ad_tls_lend(t.tls, slice, count);
    assert_int_equal(ad_tls_read(t.tls, &bytes, &t.out, &t.error), 5);
    assert_memory_equal(bytes, "first", 5);
    assert_int_equal(ad_tls_lend_end(t.tls), 0); /* paused: two records are kept */
    free(slice);
    assert_memory_equal(bytes, "first", 5); /* still good */
    assert_int_equal(ad_tls_read(t.tls, &bytes, &t.out, &t.error), 6);
    assert_memory_equal(bytes, "second", 6);
    tester_server_send(&t, "fourth", 6);
    ad_tls_lend(t.tls, ad_buf_data(&t.server.out), ad_buf_bytes(&t.server.out));
    assert_int_equal(ad_tls_read(t.tls, &bytes, &t.out, &t.error), 5);
    assert_memory_equal(bytes, "third", 5);
    assert_int_equal(ad_tls_read(t.tls, &bytes, &t.out, &t.error), 6);
    assert_memory_equal(bytes, "fourth", 6);
    assert_int_equal(ad_tls_read(t.tls, &bytes, &t.out, &t.error), -EAGAIN);
    assert_int_equal(ad_tls_lend_end(t.tls), 0);
    tester_fini(&t);
}

static void test_close_notify(void **state)
{
    static const char *const priorities[] = {TLS12, TLS13};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tester t;
        uint8_t byte;
        tester_init(&t, (struct aioduct_tls_options){0}, priorities[i], &tester_leaf, HOST);
        assert_int_equal(tester_shake(&t), AIODUCT_DONE);
        tester_server_send(&t, "bye", 3);
        assert_int_equal(gnutls_bye(t.server.session, GNUTLS_SHUT_WR), 0);
        tester_to_client(&t);
        assert_int_equal(ad_buf_bytes(&t.plain), 3);
        assert_int_equal(t.end, 0);
        ad_tls_close_notify(t.tls, &t.out);
        size_t once = ad_buf_bytes(&t.out);
        assert_true(once > 0);
        ad_tls_close_notify(t.tls, &t.out);
        assert_int_equal(ad_buf_bytes(&t.out), once);
        tester_to_server(&t);
        assert_int_equal(gnutls_record_recv(t.server.session, &byte, 1), 0);
        tester_fini(&t);
    }
}

static void test_key_update(void **state)
{
    struct tester t;
    struct ad_buf got = {0};
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &tester_leaf, HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    for (int i = 0; i < 5; i++) {
        tester_server_send(&t, "before", 6);
        assert_int_equal(gnutls_session_key_update(t.server.session, GNUTLS_KU_PEER), 0);
        tester_server_send(&t, "after", 5);
        tester_to_client(&t);
        tester_client_send(&t, "ours", 4);
        assert_int_equal(tester_server_read(&t, &got), 4);
    }
    assert_int_equal(ad_buf_bytes(&t.plain), 55);
    assert_int_equal(t.end, 1);
    ad_buf_fini(&got);
    tester_fini(&t);
}

static void test_renegotiation(void **state)
{
    struct tester t;
    struct ad_buf got = {0};
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS12, &tester_leaf, HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    assert_int_equal(gnutls_rehandshake(t.server.session), 0);
    tester_server_send(&t, "data", 4);
    tester_to_client(&t);
    assert_int_equal(ad_buf_bytes(&t.plain), 4);
    assert_int_equal(t.end, 1);
    tester_to_server(&t);
    uint8_t byte;
    assert_int_equal(gnutls_record_recv(t.server.session, &byte, 1),
                     GNUTLS_E_WARNING_ALERT_RECEIVED);
    assert_int_equal(gnutls_alert_get(t.server.session), GNUTLS_A_NO_RENEGOTIATION);
    for (int i = 0; i < 5; i++) {
        gnutls_rehandshake(t.server.session);
        tester_to_client(&t);
    }
    assert_int_equal(t.end, AIODUCT_E_TLS);
    ad_buf_fini(&got);
    tester_fini(&t);
}

static void test_garbage(void **state)
{
    static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    struct tester t;
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &tester_leaf, HOST);
    assert_int_equal(tester_to_client(&t), AIODUCT_PENDING);
    ad_buf_append(&t.server.out, http, sizeof http - 1);
    assert_int_equal(tester_to_client(&t), AIODUCT_E_TLS);
    assert_string_equal(t.error.hint, "does that port speak TLS?");
    char before[sizeof t.error.message];
    memcpy(before, t.error.message, sizeof before);
    memset(&t.error, 0, sizeof t.error);
    assert_int_equal(ad_tls_handshake(t.tls, &t.out, &t.error), AIODUCT_E_TLS); /* again */
    assert_string_equal(t.error.message, before);
    tester_fini(&t);
}

static void test_damage(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &tester_leaf, HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    tester_server_send(&t, "data", 4);
    t.server.out.block[t.server.out.end - 1] ^= 1;
    tester_to_client(&t);
    assert_int_equal(t.end, AIODUCT_E_TLS);
    assert_non_null(strstr(t.error.message, "TLS with example.test:443: "));
    assert_int_equal(t.error.safe_to_retry, 0);
    assert_true(ad_buf_bytes(&t.out) > 0); /* the alert */
    assert_int_equal(ad_tls_write(t.tls, (const uint8_t *)"x", 1, &t.out, &t.error), AIODUCT_E_TLS);
    tester_fini(&t);
}

/* ---- memory ---- */

static void test_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct tester t;
        struct ad_tls_params params = {.host = HOST, .port = 443};
        memset(&t, 0, sizeof t);
        struct aioduct_tls_options options = {.ca_file = tester_ca_file};
        server_init(&t.server, TLS13, &tester_leaf, NULL, &tester_ticket_key);
        ad_mem_fail_nth(nth);
        int code = ad_tls_context_create(&options, &t.context, &t.error);
        if (code == 0) {
            code = ad_tls_create(t.context, &params, &t.tls, &t.error);
        }
        /* Only our side: the server's own buffers assert. */
        if (code == 0) {
            code = ad_tls_handshake(t.tls, &t.out, &t.error);
        }
        ad_mem_fail_nth(0);
        assert_true(code >= 0 || code == -ENOMEM);
        if (code >= 0) {
            t.end = 1;
            assert_int_equal(tester_shake(&t), AIODUCT_DONE);
        }
        tester_fini(&t);
    }
}

static int end_count;

/* Instead of GnuTLS's own. */
void gnutls_global_deinit(void)
{
    end_count++;
}

/* Its end would take from other threads what they have for random numbers, and they would go on
 * using that when it has begun again. */
static void test_gnutls_stays(void **state)
{
    const struct aioduct_tls_options options = {.priority = "NORMAL"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ad_tls_context *context;
        struct aioduct_error error;
        assert_int_equal(ad_tls_context_create(&options, &context, &error), 0);
        ad_tls_context_destroy(context);
    }
    assert_int_equal(end_count, 0);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"TLS 1.3 opens and carries data whole, byte by byte and cut at random", test_tls13, NULL,
         NULL, NULL},
        {"TLS 1.2 does too", test_tls12, NULL, NULL, NULL},
        {"older versions are refused", test_old_versions, NULL, NULL, NULL},
        {"plaintext goes out in full records", test_full_records, NULL, NULL, NULL},
        {"what a paused reader leaves of lent bytes is kept", test_left_over, NULL, NULL, NULL},
        {"C61: close_notify ends reading, and is sent once", test_close_notify, NULL, NULL, NULL},
        {"key updates pass unseen", test_key_update, NULL, NULL, NULL},
        {"renegotiation is refused, data goes on; insisting ends it", test_renegotiation, NULL,
         NULL, NULL},
        {"an answer that is not TLS fails with a hint, the same way each time", test_garbage, NULL,
         NULL, NULL},
        {"a damaged record ends the session with an alert", test_damage, NULL, NULL, NULL},
        {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
        {"GnuTLS does not end with a context", test_gnutls_stays, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, tester_setup, tester_teardown);
}
