/* SPDX-License-Identifier: MIT */
/* TLS sessions against a server in memory: nothing here waits or has a socket. */
#include "tap.h"

#include "base/mem.h"
#include "certs.h"
#include "net/tls.h"
#include "net/tls_tickets.h"

#include <aioduct/plugin/plugin.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define HOST "example.test"

static struct cert authority, leaf, client_leaf;
static char ca_file[128];
static gnutls_datum_t ticket_key;

/* How bytes are cut on their way to the client. */
enum cut { WHOLE, ONE_BYTE, RANDOM };

struct tester {
    struct ad_tls_context *context;
    struct ad_tls *tls;
    struct server server;
    int server_code; /* of its handshake */
    enum cut cut;
    unsigned seed;
    struct ad_buf out;   /* from the client, not yet with the server */
    struct ad_buf plain; /* read by the client */
    int end;             /* what ad_tls_read said last, if not -EAGAIN: 1 none yet */
    struct aioduct_error error;
};

static struct ad_tls_context *context_with(struct aioduct_tls_options options)
{
    struct ad_tls_context *context;
    struct aioduct_error error = {0};
    if (options.ca_file == NULL && !(options.flags & AIODUCT_TLS_NO_VERIFY_CHAIN)) {
        options.ca_file = ca_file;
    }
    assert_int_equal(ad_tls_context_create(&options, &context, &error), 0);
    return context;
}

static void open_session(struct tester *t, const char *host, uint16_t port, const char *const *alpn)
{
    struct ad_tls_params params = {.host = host, .port = port, .alpn = alpn};
    assert_int_equal(ad_tls_create(t->context, &params, &t->tls, &t->error), 0);
    t->end = 1;
}

static void tester_init(struct tester *t, struct aioduct_tls_options options, const char *priority,
                        const struct cert *cert, const char *host)
{
    memset(t, 0, sizeof *t);
    t->context = context_with(options);
    open_session(t, host, 443, NULL);
    server_init(&t->server, priority, cert, NULL, NULL);
}

static void tester_fini(struct tester *t)
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

static void to_server(struct tester *t)
{
    if (ad_buf_bytes(&t->out) > 0) {
        ad_buf_append(&t->server.in, ad_buf_data(&t->out), ad_buf_bytes(&t->out));
        ad_buf_clear(&t->out);
    }
}

/* All that the server has said, cut as the test wants -> the last code of the handshake. Every
 * slice is in memory of its own, so that a byte used too late is seen. */
static int to_client(struct tester *t)
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

/* Both sides until nothing moves -> what the client's handshake said last. */
static int shake(struct tester *t)
{
    int code;
    size_t moved;
    do {
        code = to_client(t);
        moved = ad_buf_bytes(&t->out);
        to_server(t);
        t->server_code = server_step(&t->server);
        moved += ad_buf_bytes(&t->server.out);
    } while (moved > 0 && code >= 0);
    return code;
}

static void server_send(struct tester *t, const void *bytes, size_t count)
{
    const uint8_t *p = bytes;
    while (count > 0) {
        ssize_t n = gnutls_record_send(t->server.session, p, count);
        assert_true(n > 0);
        p += n;
        count -= (size_t)n;
    }
}

/* What the server can read now. */
static size_t server_read(struct tester *t, struct ad_buf *to)
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

static void client_send(struct tester *t, const void *bytes, size_t count)
{
    assert_int_equal(ad_tls_write(t->tls, bytes, count, &t->out, &t->error), 0);
    to_server(t);
}

static uint8_t *pattern(size_t count)
{
    uint8_t *p = malloc(count);
    for (size_t i = 0; i < count; i++) {
        p[i] = (uint8_t)(i * 31 + i / 251);
    }
    return p;
}

/* ---- handshake and data ---- */

static void shake_with(const char *priority, const char *version, enum cut cut)
{
    enum { COUNT = 100000 };
    struct tester t;
    struct ad_buf got = {0};
    uint8_t *bytes = pattern(COUNT);
    tester_init(&t, (struct aioduct_tls_options){0}, priority, &leaf, HOST);
    t.cut = cut;
    assert_int_equal(shake(&t), AIODUCT_DONE);
    assert_string_equal(ad_tls_version(t.tls), version);
    assert_true(strlen(ad_tls_cipher(t.tls)) > 0);
    assert_string_equal(ad_tls_alpn(t.tls), "");
    assert_false(ad_tls_resumed(t.tls));
    server_send(&t, bytes, COUNT);
    to_client(&t);
    assert_int_equal(ad_buf_bytes(&t.plain), COUNT);
    assert_memory_equal(ad_buf_data(&t.plain), bytes, COUNT);
    client_send(&t, bytes, COUNT);
    assert_int_equal(server_read(&t, &got), COUNT);
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
    tester_init(&t, (struct aioduct_tls_options){0}, "NORMAL:-VERS-ALL:+VERS-TLS1.1", &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_E_TLS);
    assert_int_equal(t.error.phase, AIODUCT_PHASE_TLS);
    assert_int_equal(t.error.safe_to_retry, 1);
    assert_non_null(strstr(t.error.message, "TLS handshake with example.test:443: "));
    tester_fini(&t);
}

static void test_full_records(void **state)
{
    enum { COUNT = 40000 };
    struct tester t;
    uint8_t *bytes = pattern(COUNT);
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_DONE);
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
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    server_send(&t, "first", 5);
    server_send(&t, "second", 6);
    server_send(&t, "third", 5);
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
    server_send(&t, "fourth", 6);
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
        tester_init(&t, (struct aioduct_tls_options){0}, priorities[i], &leaf, HOST);
        assert_int_equal(shake(&t), AIODUCT_DONE);
        server_send(&t, "bye", 3);
        assert_int_equal(gnutls_bye(t.server.session, GNUTLS_SHUT_WR), 0);
        to_client(&t);
        assert_int_equal(ad_buf_bytes(&t.plain), 3);
        assert_int_equal(t.end, 0);
        ad_tls_close_notify(t.tls, &t.out);
        size_t once = ad_buf_bytes(&t.out);
        assert_true(once > 0);
        ad_tls_close_notify(t.tls, &t.out);
        assert_int_equal(ad_buf_bytes(&t.out), once);
        to_server(&t);
        assert_int_equal(gnutls_record_recv(t.server.session, &byte, 1), 0);
        tester_fini(&t);
    }
}

static void test_key_update(void **state)
{
    struct tester t;
    struct ad_buf got = {0};
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    for (int i = 0; i < 5; i++) {
        server_send(&t, "before", 6);
        assert_int_equal(gnutls_session_key_update(t.server.session, GNUTLS_KU_PEER), 0);
        server_send(&t, "after", 5);
        to_client(&t);
        client_send(&t, "ours", 4);
        assert_int_equal(server_read(&t, &got), 4);
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
    tester_init(&t, (struct aioduct_tls_options){0}, TLS12, &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    assert_int_equal(gnutls_rehandshake(t.server.session), 0);
    server_send(&t, "data", 4);
    to_client(&t);
    assert_int_equal(ad_buf_bytes(&t.plain), 4);
    assert_int_equal(t.end, 1);
    to_server(&t);
    uint8_t byte;
    assert_int_equal(gnutls_record_recv(t.server.session, &byte, 1),
                     GNUTLS_E_WARNING_ALERT_RECEIVED);
    assert_int_equal(gnutls_alert_get(t.server.session), GNUTLS_A_NO_RENEGOTIATION);
    for (int i = 0; i < 5; i++) {
        gnutls_rehandshake(t.server.session);
        to_client(&t);
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
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &leaf, HOST);
    assert_int_equal(to_client(&t), AIODUCT_PENDING);
    ad_buf_append(&t.server.out, http, sizeof http - 1);
    assert_int_equal(to_client(&t), AIODUCT_E_TLS);
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
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    server_send(&t, "data", 4);
    t.server.out.block[t.server.out.end - 1] ^= 1;
    to_client(&t);
    assert_int_equal(t.end, AIODUCT_E_TLS);
    assert_non_null(strstr(t.error.message, "TLS with example.test:443: "));
    assert_int_equal(t.error.safe_to_retry, 0);
    assert_true(ad_buf_bytes(&t.out) > 0); /* the alert */
    assert_int_equal(ad_tls_write(t.tls, (const uint8_t *)"x", 1, &t.out, &t.error), AIODUCT_E_TLS);
    tester_fini(&t);
}

/* ---- names ---- */

static void test_alpn(void **state)
{
    static const char *const offered[] = {"h2", "http/1.1", NULL};
    gnutls_datum_t h11 = {(unsigned char *)"http/1.1", 8};
    struct tester t;
    (void)state;
    memset(&t, 0, sizeof t);
    t.context = context_with((struct aioduct_tls_options){0});
    open_session(&t, HOST, 443, offered);
    server_init(&t.server, TLS13, &leaf, NULL, NULL);
    gnutls_alpn_set_protocols(t.server.session, &h11, 1, 0);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    assert_string_equal(ad_tls_alpn(t.tls), "http/1.1");
    tester_fini(&t);
}

/* C58: the server is told names only, without a final dot. */
static void test_sni(void **state)
{
    static const struct {
        const char *host, *sent;
    } cases[] = {{HOST, HOST}, {HOST ".", HOST}, {"127.0.0.1", ""}, {"::1", ""}, {"fe80::1%1", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tester t;
        char name[256] = "";
        size_t bytes = sizeof name - 1;
        unsigned type;
        struct aioduct_tls_options options = {.flags = AIODUCT_TLS_NO_VERIFY_CHAIN |
                                                       AIODUCT_TLS_NO_VERIFY_NAME};
        tester_init(&t, options, TLS13, &leaf, cases[i].host);
        assert_int_equal(shake(&t), AIODUCT_DONE);
        if (gnutls_server_name_get(t.server.session, name, &bytes, &type, 0) < 0) {
            name[0] = '\0';
        }
        assert_string_equal(name, cases[i].sent);
        tester_fini(&t);
    }
}

static int try_cert(const struct cert_spec *spec, const struct cert *issuer, unsigned flags,
                    const char *host, struct aioduct_error *error)
{
    struct tester t;
    struct cert cert;
    cert_make(&cert, issuer, spec);
    tester_init(&t, (struct aioduct_tls_options){.flags = flags}, TLS13, &cert, host);
    int code = shake(&t);
    *error = t.error;
    if (code < 0) { /* the server hears why */
        assert_int_equal(t.server_code, GNUTLS_E_FATAL_ALERT_RECEIVED);
    }
    tester_fini(&t);
    cert_fini(&cert);
    return code;
}

static void test_names(void **state)
{
    static const struct {
        const char *dns, *ip, *host;
        bool good;
    } cases[] = {
        {HOST, NULL, HOST, true},
        {HOST, NULL, "EXAMPLE.test.", true},
        {HOST, NULL, "other.test", false},
        {HOST, NULL, "a." HOST, false},
        {"*.example.test", NULL, "a.example.test", true},
        {"*.example.test", NULL, "a.b.example.test", false},
        {"*.example.test", NULL, "example.test", false},
        {"a.*.test", NULL, "a.example.test", false},
        {NULL, NULL, "common.test", false}, /* the common name does not count */
        {NULL, "127.0.0.1", "127.0.0.1", true},
        {NULL, "127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1", NULL, "127.0.0.1", false}, /* an address is not a name */
        {HOST, "127.0.0.1", HOST, true},
    };
    struct aioduct_error error;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cert_spec spec = {
            .common_name = "common.test", .dns = cases[i].dns, .ip = cases[i].ip};
        int code = try_cert(&spec, &authority, 0, cases[i].host, &error);
        if (code != (cases[i].good ? AIODUCT_DONE : AIODUCT_E_TLS_VERIFY)) {
            fail_msg("case %zu gave %d %s", i, code, error.message);
        }
        code = try_cert(&spec, &authority, AIODUCT_TLS_NO_VERIFY_NAME, cases[i].host, &error);
        assert_int_equal(code, AIODUCT_DONE);
    }
    struct cert_spec spec = {.common_name = "x", .dns = "real.test"};
    try_cert(&spec, &authority, 0, HOST, &error);
    assert_string_equal(error.message, "TLS handshake with example.test:443: certificate refused: "
                                       "it is for another name");
    assert_string_equal(error.hint, "the certificate is for real.test");
    assert_int_equal(error.verify_status, GNUTLS_CERT_INVALID | GNUTLS_CERT_UNEXPECTED_OWNER);
    assert_int_equal(error.tls_code, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR);
}

static void test_chain(void **state)
{
    static const struct {
        struct cert_spec spec;
        bool foreign;
        unsigned bit;
        const char *text;
    } cases[] = {
        {{.common_name = "x", .dns = HOST, .from_s = -7200, .to_s = -3600},
         false,
         GNUTLS_CERT_EXPIRED,
         "it has expired"},
        {{.common_name = "x", .dns = HOST, .from_s = 3600, .to_s = 7200},
         false,
         GNUTLS_CERT_NOT_ACTIVATED,
         "it is not valid yet"},
        {{.common_name = "x", .dns = HOST},
         true,
         GNUTLS_CERT_SIGNER_NOT_FOUND,
         "its issuer is unknown"},
        {{.common_name = "x", .dns = HOST, .for_client = true},
         false,
         GNUTLS_CERT_PURPOSE_MISMATCH,
         "it is not for a server"},
    };
    struct aioduct_error error;
    struct cert foreign;
    struct cert_spec foreign_spec = {.common_name = "foreign", .authority = true};
    (void)state;
    cert_make(&foreign, NULL, &foreign_spec);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct cert *issuer = cases[i].foreign ? &foreign : &authority;
        int code = try_cert(&cases[i].spec, issuer, 0, HOST, &error);
        assert_int_equal(code, AIODUCT_E_TLS_VERIFY);
        assert_true((error.verify_status & cases[i].bit) != 0);
        assert_non_null(strstr(error.message, cases[i].text));
        code = try_cert(&cases[i].spec, issuer, AIODUCT_TLS_NO_VERIFY_CHAIN, HOST, &error);
        assert_int_equal(code, AIODUCT_DONE);
        /* each switch by itself: the name is still looked at */
        code = try_cert(&cases[i].spec, issuer, AIODUCT_TLS_NO_VERIFY_CHAIN, "other.test", &error);
        assert_int_equal(code, AIODUCT_E_TLS_VERIFY);
        code = try_cert(&cases[i].spec, issuer, AIODUCT_TLS_NO_VERIFY_NAME, "other.test", &error);
        assert_int_equal(code, AIODUCT_E_TLS_VERIFY);
    }
    cert_fini(&foreign);
}

/* ---- client certificate ---- */

static int shake_asking(struct tester *t, struct aioduct_tls_options options)
{
    memset(t, 0, sizeof *t);
    t->context = context_with(options);
    open_session(t, HOST, 443, NULL);
    server_init(&t->server, TLS12, &leaf, &authority, NULL);
    return shake(t);
}

static void test_client_certificate(void **state)
{
    struct tester t;
    (void)state;
    cert_write(&client_leaf, "client.pem");
    cert_write_key(&client_leaf, "client.key", "secret");
    struct aioduct_tls_options options = {.key_password = "secret"};
    options.cert_file = cert_path("client.pem");
    options.key_file = cert_path("client.key");
    assert_int_equal(shake_asking(&t, options), AIODUCT_DONE);
    unsigned count = 0;
    assert_non_null(gnutls_certificate_get_peers(t.server.session, &count));
    assert_int_equal(count, 1);
    tester_fini(&t);

    assert_int_equal(shake_asking(&t, (struct aioduct_tls_options){0}), AIODUCT_E_TLS);
    assert_non_null(strstr(t.error.message, "the peer says: "));
    tester_fini(&t);
}

static void expect_config_error(struct aioduct_tls_options options, const char *text)
{
    struct ad_tls_context *context = NULL;
    struct aioduct_error error = {0};
    assert_int_equal(ad_tls_context_create(&options, &context, &error), AIODUCT_E_TLS_CONFIG);
    assert_null(context);
    assert_int_equal(error.phase, AIODUCT_PHASE_SETUP);
    if (strstr(error.message, text) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, text);
    }
}

static void test_config_errors(void **state)
{
    char client[128], key[128], broken[128], wrong_key[128], empty[128];
    (void)state;
    snprintf(client, sizeof client, "%s", cert_write(&client_leaf, "client.pem"));
    snprintf(key, sizeof key, "%s", cert_write_key(&client_leaf, "client.key", "secret"));
    snprintf(wrong_key, sizeof wrong_key, "%s", cert_write_key(&leaf, "wrong.key", NULL));
    snprintf(broken, sizeof broken, "%s", cert_path("broken.pem"));
    snprintf(empty, sizeof empty, "%s", cert_path("empty"));
    FILE *f = fopen(broken, "w");
    fputs("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n", f);
    fclose(f);
    assert_int_equal(mkdir(empty, 0700), 0);
#define TRY(text, ...) expect_config_error((struct aioduct_tls_options){__VA_ARGS__}, text)
    TRY("ca_file '/nonexistent/ca.pem': No such file or directory",
        .ca_file = "/nonexistent/ca.pem");
    TRY(broken, .ca_file = broken);
    TRY("ca_dir '/nonexistent': No such file or directory", .ca_dir = "/nonexistent");
    TRY("no certificate in it", .ca_dir = empty);
    TRY("cert_file '/nonexistent.pem': No such", .cert_file = "/nonexistent.pem");
    TRY("cert_file '", .cert_file = broken);
    TRY("key_file '/nonexistent.key': No such", .cert_file = client,
        .key_file = "/nonexistent.key");
    TRY("key_file '", .cert_file = client);
    TRY("key_file '", .cert_file = client, .key_file = key, .key_password = "wrong");
    TRY("key_file '", .cert_file = client, .key_file = wrong_key);
    TRY("there is no cert_file", .key_file = wrong_key);
#undef TRY
    struct aioduct_tls_options options = {.priority = "NORMAL:+WHAT"};
    struct ad_tls_context *context = NULL;
    struct aioduct_error error = {0};
    assert_int_equal(ad_tls_context_create(&options, &context, &error), -EINVAL);
    assert_string_equal(error.message, "priority: GnuTLS does not understand '+WHAT'");
}

static void test_ca_dir(void **state)
{
    char dir[128];
    struct tester t;
    (void)state;
    snprintf(dir, sizeof dir, "%s", ca_file);
    *strrchr(dir, '/') = '\0';
    memset(&t, 0, sizeof t);
    struct aioduct_tls_options options = {.ca_dir = dir};
    assert_int_equal(ad_tls_context_create(&options, &t.context, &t.error), 0);
    open_session(&t, HOST, 443, NULL);
    server_init(&t.server, TLS13, &leaf, NULL, NULL);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    tester_fini(&t);
}

/* Whether this machine has one is not ours to say; that it is looked for only when needed is. */
static void test_system_trust(void **state)
{
    struct aioduct_tls_options options = {0};
    struct ad_tls_params params = {.host = HOST, .port = 443};
    struct tester t;
    (void)state;
    memset(&t, 0, sizeof t);
    assert_int_equal(ad_tls_context_create(&options, &t.context, &t.error), 0);
    int code = ad_tls_create(t.context, &params, &t.tls, &t.error);
    if (code < 0) {
        assert_int_equal(code, AIODUCT_E_TLS_CONFIG);
        assert_true(strlen(t.error.hint) > 0);
        ad_tls_context_destroy(t.context);
        tap_skip("no trust store here");
    }
    t.end = 1;
    server_init(&t.server, TLS13, &leaf, NULL, NULL);
    assert_int_equal(shake(&t), AIODUCT_E_TLS_VERIFY); /* our authority is not in it */
    assert_true(t.error.verify_status & GNUTLS_CERT_SIGNER_NOT_FOUND);
    tester_fini(&t);
}

/* ---- resumption ---- */

/* One more connection of @t's context -> was it resumed? */
static bool connect_again(struct tester *t, const char *priority, uint16_t port)
{
    ad_tls_destroy(t->tls);
    if (t->server.session != NULL) {
        server_fini(&t->server);
    }
    ad_buf_clear(&t->out);
    ad_buf_clear(&t->plain);
    open_session(t, HOST, port, NULL);
    server_init(&t->server, priority, &leaf, NULL, &ticket_key);
    assert_int_equal(shake(t), AIODUCT_DONE);
    bool resumed = ad_tls_resumed(t->tls);
    assert_int_equal(resumed, gnutls_session_is_resumed(t->server.session) != 0);
    server_send(t, "hello", 5); /* tickets come before it */
    to_client(t);
    assert_int_equal(ad_buf_bytes(&t->plain), 5);
    return resumed;
}

static void test_resumption(void **state)
{
    static const char *const priorities[] = {TLS12, TLS13};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tester t;
        memset(&t, 0, sizeof t);
        t.context = context_with((struct aioduct_tls_options){0});
        assert_false(connect_again(&t, priorities[i], 443));
        assert_true(connect_again(&t, priorities[i], 443));
        assert_true(connect_again(&t, priorities[i], 443));
        assert_false(connect_again(&t, priorities[i], 444)); /* another origin */
        ad_tls_context_destroy(t.context);
        ad_tls_destroy(t.tls);
        t.tls = NULL;
        t.context = context_with((struct aioduct_tls_options){0}); /* another client */
        assert_false(connect_again(&t, priorities[i], 443));
        tester_fini(&t);
    }
}

/* C60: a ticket of TLS 1.3 serves one connection. */
static void test_used_once(void **state)
{
    struct tester t;
    struct ad_tls *others[2];
    struct ad_tls_params params = {.host = HOST, .port = 443};
    (void)state;
    memset(&t, 0, sizeof t);
    t.context = context_with((struct aioduct_tls_options){0});
    assert_false(connect_again(&t, TLS13, 443)); /* leaves two tickets */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ad_tls_create(t.context, &params, &others[i], &t.error), 0);
    }
    assert_false(connect_again(&t, TLS13, 443));
    ad_tls_destroy(others[0]);
    ad_tls_destroy(others[1]);
    tester_fini(&t);
}

static void test_forgotten(void **state)
{
    struct tester t;
    (void)state;
    memset(&t, 0, sizeof t);
    t.context = context_with((struct aioduct_tls_options){0});
    assert_false(connect_again(&t, TLS12, 443));
    ad_tls_destroy(t.tls);
    open_session(&t, HOST, 443, NULL);
    ad_buf_clear(&t.server.out);
    ad_buf_append(&t.server.out, "no TLS at all", 13);
    assert_int_equal(to_client(&t), AIODUCT_E_TLS);
    assert_false(connect_again(&t, TLS12, 443));
    tester_fini(&t);
}

static void test_ticket_store(void **state)
{
    static struct ad_tls_tickets store;
    struct ad_tls_ticket *ticket;
    char host[32];
    (void)state;
    ad_tls_tickets_init(&store);
    assert_null(ad_tls_tickets_take(&store, "a.test", 1));
    ad_tls_tickets_put(&store, "a.test", 1, true, (const uint8_t *)"1", 1);
    ad_tls_tickets_put(&store, "a.test", 1, true, (const uint8_t *)"2", 1);
    ad_tls_tickets_put(&store, "a.test", 1, true, (const uint8_t *)"3", 1);
    assert_int_equal(store.count, 2);
    assert_null(ad_tls_tickets_take(&store, "b.test", 1));
    assert_null(ad_tls_tickets_take(&store, "a.test", 2));
    ticket = ad_tls_tickets_take(&store, "a.test", 1);
    assert_memory_equal(ticket->bytes, "3", 1);
    ad_tls_ticket_destroy(ticket);
    ticket = ad_tls_tickets_take(&store, "a.test", 1);
    assert_memory_equal(ticket->bytes, "2", 1);
    ad_tls_ticket_destroy(ticket);
    assert_null(ad_tls_tickets_take(&store, "a.test", 1));
    for (int i = 0; i < 1100; i++) {
        snprintf(host, sizeof host, "h%d.test", i);
        ad_tls_tickets_put(&store, host, 1, false, (const uint8_t *)"x", 1);
    }
    assert_int_equal(store.count, 1000);
    assert_null(ad_tls_tickets_take(&store, "h99.test", 1)); /* oldest out */
    for (int i = 0; i < 2; i++) {                            /* TLS 1.2: again and again */
        ticket = ad_tls_tickets_take(&store, "h100.test", 1);
        assert_non_null(ticket);
        ad_tls_ticket_destroy(ticket);
    }
    ad_tls_tickets_forget(&store, "h100.test", 1);
    assert_null(ad_tls_tickets_take(&store, "h100.test", 1));
    ad_tls_tickets_fini(&store);
}

/* ---- key log ---- */

static void test_keylog(void **state)
{
    const char *file = getenv("SSLKEYLOGFILE");
    struct stat st;
    struct tester t;
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    tester_fini(&t);
    assert_int_equal(stat(file, &st), -1); /* not asked for: GnuTLS alone would have written */

    tester_init(&t, (struct aioduct_tls_options){.flags = AIODUCT_TLS_KEYLOG}, TLS13, &leaf, HOST);
    assert_int_equal(shake(&t), AIODUCT_DONE);
    tester_fini(&t);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char line[512], label[64], random[128], secret[256];
    int lines = 0, traffic = 0;
    FILE *f = fopen(file, "r");
    while (fgets(line, sizeof line, f) != NULL) {
        assert_int_equal(sscanf(line, "%63s %127s %255s", label, random, secret), 3);
        assert_int_equal(strlen(random), 64);
        lines++;
        traffic += strcmp(label, "CLIENT_TRAFFIC_SECRET_0") == 0;
    }
    fclose(f);
    assert_true(lines >= 4);
    assert_int_equal(traffic, 1);
}

/* ---- memory ---- */

static void test_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct tester t;
        struct ad_tls_params params = {.host = HOST, .port = 443};
        memset(&t, 0, sizeof t);
        struct aioduct_tls_options options = {.ca_file = ca_file};
        server_init(&t.server, TLS13, &leaf, NULL, &ticket_key);
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
            assert_int_equal(shake(&t), AIODUCT_DONE);
        }
        tester_fini(&t);
    }
}

static int setup(void **state)
{
    struct cert_spec ca = {.common_name = "test authority", .authority = true};
    struct cert_spec server = {.common_name = "common.test", .dns = HOST};
    struct cert_spec client = {.common_name = "client", .for_client = true};
    (void)state;
    certs_init();
    setenv("SSLKEYLOGFILE", cert_path("keys.log"), 1);
    cert_make(&authority, NULL, &ca);
    cert_make(&leaf, &authority, &server);
    cert_make(&client_leaf, &authority, &client);
    snprintf(ca_file, sizeof ca_file, "%s", cert_write(&authority, "ca.pem"));
    return gnutls_session_ticket_key_generate(&ticket_key);
}

static int teardown(void **state)
{
    (void)state;
    cert_fini(&authority);
    cert_fini(&leaf);
    cert_fini(&client_leaf);
    gnutls_free(ticket_key.data);
    certs_fini();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"nothing is logged unless asked for; then one line a secret, for the owner only",
         test_keylog, NULL, NULL, NULL},
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
        {"ALPN gives what the server chose", test_alpn, NULL, NULL, NULL},
        {"C58: SNI has names only, without a final dot", test_sni, NULL, NULL, NULL},
        {"C58: the certificate's alternative names decide", test_names, NULL, NULL, NULL},
        {"C59, C116: each fault of a chain is named; the two switches are apart", test_chain, NULL,
         NULL, NULL},
        {"a client certificate with an encrypted key", test_client_certificate, NULL, NULL, NULL},
        {"a missing or broken file is named with the reason", test_config_errors, NULL, NULL, NULL},
        {"C59: the system's trust store is used by default", test_system_trust, NULL, NULL, NULL},
        {"a directory of authorities", test_ca_dir, NULL, NULL, NULL},
        {"C60: sessions are resumed, by origin and client", test_resumption, NULL, NULL, NULL},
        {"C60: a TLS 1.3 ticket is used once", test_used_once, NULL, NULL, NULL},
        {"a handshake that fails forgets the origin's tickets", test_forgotten, NULL, NULL, NULL},
        {"C60: tickets are for one origin, and bounded by origin and in all", test_ticket_store,
         NULL, NULL, NULL},
        {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, teardown);
}
