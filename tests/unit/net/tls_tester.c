/* SPDX-License-Identifier: MIT */
#include "tls_tester.h"

#include <aioduct/plugin/plugin.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cert tester_authority, tester_leaf;
char tester_ca_file[128];
gnutls_datum_t tester_ticket_key;

struct ad_tls_context *tester_context(struct aioduct_tls_options options)
{
    struct ad_tls_context *context;
    struct aioduct_error error = {0};
    if (options.ca_file == NULL && !(options.flags & AIODUCT_TLS_NO_VERIFY_CHAIN)) {
        options.ca_file = tester_ca_file;
    }
    assert_int_equal(ad_tls_context_create(&options, &context, &error), 0);
    return context;
}

void tester_open_session(struct tester *t, const char *host, uint16_t port, const char *const *alpn)
{
    struct ad_tls_params params = {.host = host, .port = port, .alpn = alpn};
    assert_int_equal(ad_tls_create(t->context, &params, &t->tls, &t->error), 0);
    t->end = 1;
}

void tester_init(struct tester *t, struct aioduct_tls_options options, const char *priority,
                 const struct cert *cert, const char *host)
{
    memset(t, 0, sizeof *t);
    t->context = tester_context(options);
    tester_open_session(t, host, 443, NULL);
    server_init(&t->server, priority, cert, NULL, NULL);
}

void tester_fini(struct tester *t)
{
    ad_tls_destroy(t->tls);
    ad_tls_context_destroy(t->context);
    server_fini(&t->server);
    ad_buf_fini(&t->out);
    ad_buf_fini(&t->plain);
}

static size_t cut_of(struct tester *t, size_t left)
{
    size_t want = t->cut == WHOLE      ? left
                  : t->cut == ONE_BYTE ? 1
                                       : 1 + (size_t)rand_r(&t->seed) % 700;
    return want < left ? want : left;
}

/* Read all plaintext that can be had now. */
static void drain(struct tester *t)
{
    const uint8_t *bytes;
    int64_t n;
    while ((n = ad_tls_read(t->tls, &bytes, &t->out, &t->error)) > 0) {
        assert_int_equal(ad_buf_append(&t->plain, bytes, (size_t)n), 0);
    }
    if (n != -EAGAIN) {
        t->end = (int)n;
    }
}

void tester_to_server(struct tester *t)
{
    if (ad_buf_bytes(&t->out) > 0) {
        ad_buf_append(&t->server.in, ad_buf_data(&t->out), ad_buf_bytes(&t->out));
        ad_buf_clear(&t->out);
    }
}

int tester_to_client(struct tester *t)
{
    int code = ad_tls_handshake(t->tls, &t->out, &t->error);
    while (ad_buf_bytes(&t->server.out) > 0 && code >= 0 && t->end > 0) {
        size_t n = cut_of(t, ad_buf_bytes(&t->server.out));
        uint8_t *slice = malloc(n);
        memcpy(slice, ad_buf_data(&t->server.out), n);
        ad_buf_consume(&t->server.out, n);
        assert_int_equal(ad_tls_lend(t->tls, slice, n), 0);
        code = ad_tls_handshake(t->tls, &t->out, &t->error);
        if (code == AIODUCT_DONE) {
            drain(t);
        }
        assert_int_equal(ad_tls_lend_end(t->tls), 0);
        free(slice);
    }
    return code;
}

int tester_shake(struct tester *t)
{
    int code;
    size_t moved;
    do {
        code = tester_to_client(t);
        moved = ad_buf_bytes(&t->out);
        tester_to_server(t);
        t->server_code = server_step(&t->server);
        moved += ad_buf_bytes(&t->server.out);
    } while (moved > 0 && code >= 0);
    return code;
}

void tester_server_send(struct tester *t, const void *bytes, size_t count)
{
    const uint8_t *p = bytes;
    while (count > 0) {
        ssize_t n = gnutls_record_send(t->server.session, p, count);
        assert_true(n > 0);
        p += n;
        count -= (size_t)n;
    }
}

size_t tester_server_read(struct tester *t, struct ad_buf *to)
{
    uint8_t chunk[16384];
    size_t total = 0;
    for (;;) {
        ssize_t n = gnutls_record_recv(t->server.session, chunk, sizeof chunk);
        if (n <= 0 && n != GNUTLS_E_AGAIN) {
            return total;
        }
        if (n == GNUTLS_E_AGAIN && ad_buf_bytes(&t->server.in) == 0) {
            return total;
        }
        if (n > 0) {
            ad_buf_append(to, chunk, (size_t)n);
            total += (size_t)n;
        }
    }
}

void tester_client_send(struct tester *t, const void *bytes, size_t count)
{
    assert_int_equal(ad_tls_write(t->tls, bytes, count, &t->out, &t->error), 0);
    tester_to_server(t);
}

uint8_t *tester_pattern(size_t count)
{
    uint8_t *p = malloc(count);
    for (size_t i = 0; i < count; i++) {
        p[i] = (uint8_t)(i * 31 + i / 251);
    }
    return p;
}

int tester_setup(void **state)
{
    struct cert_spec ca = {.common_name = "test authority", .authority = true};
    struct cert_spec server = {.common_name = "common.test", .dns = HOST};
    (void)state;
    certs_init();
    setenv("SSLKEYLOGFILE", cert_path("keys.log"), 1);
    cert_make(&tester_authority, NULL, &ca);
    cert_make(&tester_leaf, &tester_authority, &server);
    snprintf(tester_ca_file, sizeof tester_ca_file, "%s", cert_write(&tester_authority, "ca.pem"));
    return gnutls_session_ticket_key_generate(&tester_ticket_key);
}

int tester_teardown(void **state)
{
    (void)state;
    cert_fini(&tester_authority);
    cert_fini(&tester_leaf);
    gnutls_free(tester_ticket_key.data);
    certs_fini();
    return 0;
}
