/* SPDX-License-Identifier: MIT */
/* Who the peers of a TLS session are: names, chains, trust, and our own certificate. */
#include "tls_tester.h"

#include <aioduct/plugin/plugin.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct cert client_leaf;

/* ---- names ---- */

static void test_alpn(void **state)
{
    static const char *const offered[] = {"h2", "http/1.1", NULL};
    gnutls_datum_t h11 = {(unsigned char *)"http/1.1", 8};
    struct tester t;
    (void)state;
    memset(&t, 0, sizeof t);
    t.context = tester_context((struct aioduct_tls_options){0});
    tester_open_session(&t, HOST, 443, offered);
    server_init(&t.server, TLS13, &tester_leaf, NULL, NULL);
    gnutls_alpn_set_protocols(t.server.session, &h11, 1, 0);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
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
        tester_init(&t, options, TLS13, &tester_leaf, cases[i].host);
        assert_int_equal(tester_shake(&t), AIODUCT_DONE);
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
    int code = tester_shake(&t);
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
        int code = try_cert(&spec, &tester_authority, 0, cases[i].host, &error);
        if (code != (cases[i].good ? AIODUCT_DONE : AIODUCT_E_TLS_VERIFY)) {
            fail_msg("case %zu gave %d %s", i, code, error.message);
        }
        code =
            try_cert(&spec, &tester_authority, AIODUCT_TLS_NO_VERIFY_NAME, cases[i].host, &error);
        assert_int_equal(code, AIODUCT_DONE);
    }
    struct cert_spec spec = {.common_name = "x", .dns = "real.test"};
    try_cert(&spec, &tester_authority, 0, HOST, &error);
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
        const struct cert *issuer = cases[i].foreign ? &foreign : &tester_authority;
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
    t->context = tester_context(options);
    tester_open_session(t, HOST, 443, NULL);
    server_init(&t->server, TLS12, &tester_leaf, &tester_authority, NULL);
    return tester_shake(t);
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

/* -> the system's own reason, 0 if it was none of its */
static int expect_config_error(struct aioduct_tls_options options, const char *text)
{
    struct ad_tls_context *context = NULL;
    struct aioduct_error error = {0};
    assert_int_equal(ad_tls_context_create(&options, &context, &error), AIODUCT_E_TLS_CONFIG);
    assert_null(context);
    assert_int_equal(error.phase, AIODUCT_PHASE_SETUP);
    if (strstr(error.message, text) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, text);
    }
    return error.os_code;
}

static void test_config_errors(void **state)
{
    char client[128], key[128], broken[128], wrong_key[128], empty[128];
    (void)state;
    snprintf(client, sizeof client, "%s", cert_write(&client_leaf, "client.pem"));
    snprintf(key, sizeof key, "%s", cert_write_key(&client_leaf, "client.key", "secret"));
    snprintf(wrong_key, sizeof wrong_key, "%s", cert_write_key(&tester_leaf, "wrong.key", NULL));
    snprintf(broken, sizeof broken, "%s", cert_path("broken.pem"));
    snprintf(empty, sizeof empty, "%s", cert_path("empty"));
    FILE *f = fopen(broken, "w");
    fputs("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n", f);
    fclose(f);
    assert_int_equal(mkdir(empty, 0700), 0);
#define TRY(os_code, text, ...) \
    assert_int_equal(expect_config_error((struct aioduct_tls_options){__VA_ARGS__}, text), os_code)
    TRY(ENOENT, "ca_file '/nonexistent/ca.pem': No such file or directory",
        .ca_file = "/nonexistent/ca.pem");
    TRY(EISDIR, "': Is a directory", .ca_file = empty);
    TRY(0, broken, .ca_file = broken);
    TRY(ENOENT, "ca_dir '/nonexistent': No such file or directory", .ca_dir = "/nonexistent");
    TRY(ENOTDIR, "': Not a directory", .ca_dir = broken);
    TRY(0, "no certificate in it", .ca_dir = empty);
    TRY(ENOENT, "cert_file '/nonexistent.pem': No such", .cert_file = "/nonexistent.pem");
    TRY(EISDIR, "cert_file '", .cert_file = empty);
    TRY(0, "cert_file '", .cert_file = broken);
    TRY(ENOENT, "key_file '/nonexistent.key': No such", .cert_file = client,
        .key_file = "/nonexistent.key");
    TRY(EISDIR, "key_file '", .cert_file = client, .key_file = empty);
    TRY(0, "key_file '", .cert_file = client);
    TRY(0, "key_file '", .cert_file = client, .key_file = key, .key_password = "wrong");
    TRY(0, "key_file '", .cert_file = client, .key_file = wrong_key);
    TRY(0, "there is no cert_file", .key_file = wrong_key);
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
    snprintf(dir, sizeof dir, "%s", tester_ca_file);
    *strrchr(dir, '/') = '\0';
    memset(&t, 0, sizeof t);
    struct aioduct_tls_options options = {.ca_dir = dir};
    assert_int_equal(ad_tls_context_create(&options, &t.context, &t.error), 0);
    tester_open_session(&t, HOST, 443, NULL);
    server_init(&t.server, TLS13, &tester_leaf, NULL, NULL);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
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
    server_init(&t.server, TLS13, &tester_leaf, NULL, NULL);
    assert_int_equal(tester_shake(&t), AIODUCT_E_TLS_VERIFY); /* our authority is not in it */
    assert_true(t.error.verify_status & GNUTLS_CERT_SIGNER_NOT_FOUND);
    tester_fini(&t);
}

static int setup(void **state)
{
    struct cert_spec client = {.common_name = "client", .for_client = true};
    int code = tester_setup(state);
    cert_make(&client_leaf, &tester_authority, &client);
    return code;
}

static int teardown(void **state)
{
    cert_fini(&client_leaf);
    return tester_teardown(state);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"ALPN gives what the server chose", test_alpn, NULL, NULL, NULL},
        {"C58: SNI has names only, without a final dot", test_sni, NULL, NULL, NULL},
        {"C58: the certificate's alternative names decide", test_names, NULL, NULL, NULL},
        {"C59, C116: each fault of a chain is named; the two switches are apart", test_chain, NULL,
         NULL, NULL},
        {"a client certificate with an encrypted key", test_client_certificate, NULL, NULL, NULL},
        {"a missing or broken file is named with the reason", test_config_errors, NULL, NULL, NULL},
        {"C59: the system's trust store is used by default", test_system_trust, NULL, NULL, NULL},
        {"a directory of authorities", test_ca_dir, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, teardown);
}
