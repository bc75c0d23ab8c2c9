/* SPDX-License-Identifier: MIT */
/* TLS: which servers are trusted, what is negotiated, what is shown of it. */
#include "tester.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int begin(void **state)
{
    int code = suite_begin_nginx(state);
    if (code == 0 && suite_nginx() != NULL) {
        code = nginx_add_file(suite_nginx(), "small", 100, NULL);
    }
    return code;
}

static struct result *get_from(struct tester *t, enum nginx_listener listener, const char *host)
{
    return tester_get(t, nginx_url(t->nginx, listener, host, "/small"));
}

/* ---- versions, resumption, ALPN, SNI ---- */

static void test_versions(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    static const struct {
        enum nginx_listener listener;
        const char *ours, *theirs;
    } rows[] = {{NGINX_TLS_12, "TLS1.2", "TLSv1.2"},
                {NGINX_TLS_13, "TLS1.3", "TLSv1.3"},
                {NGINX_TLS, "TLS1.3", "TLSv1.3"},
                {NGINX_TLS_RSA, "TLS1.3", "TLSv1.3"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result *r = get_from(t, rows[i].listener, NULL);
        assert_answer(r, 200);
        assert_string_equal(r->tls_version, rows[i].ours);
        assert_header(r, "X-Tls", rows[i].theirs);
        assert_int_equal(r->info.tls_resumed, 0);
        assert_header(r, "X-Alpn", "http/1.1");
        assert_string_equal(r->protocol, "http/1.1");
    }
}

static void test_priority(void **state)
{
    struct tester *t = *state;
    t->options.tls.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
    tester_client(t);
    struct result *r = get_from(t, NGINX_TLS, NULL);
    assert_answer(r, 200);
    assert_string_equal(r->tls_version, "TLS1.2");
    r = get_from(t, NGINX_TLS_13, NULL);
    assert_error(r, AIODUCT_E_TLS, AIODUCT_PHASE_TLS);
    assert_int_equal(r->error.safe_to_retry, 1);
}

/* The listener closes a connection after three requests: the fourth comes on a new one. */
static void resume(struct tester *t)
{
    tester_client(t);
    for (int i = 0; i < 9; i++) {
        struct result *r = get_from(t, NGINX_TLS_SHORT, NULL);
        assert_answer(r, 200);
        assert_int_equal(r->info.reused, i % 3 != 0);
        if (i < 3) {
            assert_header(r, "X-Resumed", ".");
            assert_int_equal(r->info.tls_resumed, 0);
        } else {
            assert_header(r, "X-Resumed", "r");
            assert_int_equal(r->info.tls_resumed, 1);
        }
    }
}

static void test_resumption_13(void **state)
{
    resume(*state);
}

static void test_resumption_12(void **state)
{
    struct tester *t = *state;
    t->options.tls.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
    resume(t);
}

static void test_no_resumption_across_clients(void **state)
{
    struct tester *t = *state;
    for (int i = 0; i < 2; i++) {
        tester_client(t);
        struct result *r = get_from(t, NGINX_TLS, NULL);
        assert_answer(r, 200);
        assert_header(r, "X-Resumed", ".");
        tester_destroy(t);
    }
}

static void test_server_name(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = get_from(t, NGINX_TLS, "localhost");
    assert_answer(r, 200);
    assert_header(r, "X-Sni", "localhost");
    r = get_from(t, NGINX_TLS, "127.0.0.1");
    assert_answer(r, 200);
    assert_header(r, "X-Sni", NULL);
    if (nginx_port(t->nginx, NGINX_TLS_IP6) != 0) {
        r = get_from(t, NGINX_TLS_IP6, "[::1]");
        assert_answer(r, 200);
        assert_header(r, "X-Sni", NULL);
    }
    r = get_from(t, NGINX_TLS, "LOCALhost");
    assert_answer(r, 200);
    assert_header(r, "X-Sni", "localhost");
}

static void test_trailing_dot(void **state)
{
    struct tester *t = *state;
    char entry[64];
    snprintf(entry, sizeof entry, "localhost.:%d:127.0.0.1", nginx_port(t->nginx, NGINX_TLS));
    const char *const entries[] = {entry, NULL};
    t->options.resolve = entries;
    tester_client(t);
    struct result *r = get_from(t, NGINX_TLS, "localhost.");
    assert_answer(r, 200);
    assert_header(r, "X-Sni", "localhost");
}

/* ---- who is trusted ---- */

struct refusal {
    enum nginx_listener listener;
    const char *host;
    unsigned status_bit;
    const char *word; /* in the message */
};

static const struct refusal refusals[] = {
    {NGINX_TLS_EXPIRED, NULL, GNUTLS_CERT_EXPIRED, "expired"},
    {NGINX_TLS_WRONGNAME, NULL, GNUTLS_CERT_UNEXPECTED_OWNER, "localhost"},
    {NGINX_TLS_SELFSIGNED, NULL, GNUTLS_CERT_SIGNER_NOT_FOUND, "issuer"},
    {NGINX_TLS_UNKNOWN, NULL, GNUTLS_CERT_SIGNER_NOT_FOUND, "issuer"},
    {NGINX_TLS_NOSAN, NULL, GNUTLS_CERT_UNEXPECTED_OWNER, "localhost"},
    {NGINX_TLS_WRONGNAME, "127.0.0.1", GNUTLS_CERT_UNEXPECTED_OWNER, "127.0.0.1"},
};

static void assert_refused(const struct result *r, unsigned status_bit, const char *word)
{
    assert_error(r, AIODUCT_E_TLS_VERIFY, AIODUCT_PHASE_TLS);
    assert_string_equal(r->order, "D");
    assert_int_equal(r->error.safe_to_retry, 1);
    if ((r->error.verify_status & status_bit) == 0 || strstr(r->error.message, word) == NULL) {
        tap_fail("status %#x, message: %s", r->error.verify_status, r->error.message);
    }
}

static void test_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *row = &refusals[i];
        assert_refused(get_from(t, row->listener, row->host), row->status_bit, row->word);
    }
    /* After all that the client still works. */
    assert_answer(get_from(t, NGINX_TLS, NULL), 200);
}

static void test_nothing_sent_when_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_get(t, nginx_url(t->nginx, NGINX_TLS_EXPIRED, NULL, "/never-asked"));
    assert_error(r, AIODUCT_E_TLS_VERIFY, AIODUCT_PHASE_TLS);
    /* A later request on the same listener is in the log, the refused one is not. */
    tester_destroy(t);
    t->options.tls.flags = AIODUCT_TLS_NO_VERIFY_CHAIN;
    tester_client(t);
    assert_answer(tester_get(t, nginx_url(t->nginx, NGINX_TLS_EXPIRED, NULL, "/small?asked")), 200);
    assert_int_equal(nginx_wait_log(t->nginx, "/small?asked", 1), 1);
    assert_int_equal(nginx_wait_log(t->nginx, "/never-asked", 0), 0);
}

static void test_no_chain_check(void **state)
{
    struct tester *t = *state;
    t->options.tls.flags = AIODUCT_TLS_NO_VERIFY_CHAIN;
    tester_client(t);
    assert_answer(get_from(t, NGINX_TLS_EXPIRED, NULL), 200);
    assert_answer(get_from(t, NGINX_TLS_SELFSIGNED, NULL), 200);
    assert_answer(get_from(t, NGINX_TLS_UNKNOWN, NULL), 200);
    assert_refused(get_from(t, NGINX_TLS_WRONGNAME, NULL), GNUTLS_CERT_UNEXPECTED_OWNER,
                   "localhost");
}

static void test_no_name_check(void **state)
{
    struct tester *t = *state;
    t->options.tls.flags = AIODUCT_TLS_NO_VERIFY_NAME;
    tester_client(t);
    assert_answer(get_from(t, NGINX_TLS_WRONGNAME, NULL), 200);
    assert_answer(get_from(t, NGINX_TLS_NOSAN, NULL), 200);
    assert_refused(get_from(t, NGINX_TLS_EXPIRED, NULL), GNUTLS_CERT_EXPIRED, "expired");
    assert_refused(get_from(t, NGINX_TLS_SELFSIGNED, NULL), GNUTLS_CERT_SIGNER_NOT_FOUND, "issuer");
}

static void test_no_check_at_all(void **state)
{
    struct tester *t = *state;
    t->options.tls.flags = AIODUCT_TLS_NO_VERIFY_CHAIN | AIODUCT_TLS_NO_VERIFY_NAME;
    tester_client(t);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        assert_answer(get_from(t, refusals[i].listener, refusals[i].host), 200);
    }
}

static void on_log(int level, const char *message, void *user)
{
    int *warnings = user;
    *warnings += level == 1 && strstr(message, "not verified") != NULL;
}

static void test_no_check_is_said_once(void **state)
{
    struct tester *t = *state;
    int warnings = 0;
    t->options.tls.flags = AIODUCT_TLS_NO_VERIFY_NAME;
    aioduct_log_set(on_log, &warnings, 1);
    tester_client(t);
    struct result *r = get_from(t, NGINX_TLS_WRONGNAME, NULL);
    aioduct_log_set(NULL, NULL, 0);
    assert_answer(r, 200);
    assert_int_equal(warnings, 1);
}

static void test_system_trust(void **state)
{
    struct tester *t = *state;
    struct aioduct_error error = {0};
    /* Without ca_file the system's store counts, and the test CA is not in it. */
    assert_code(0, aioduct_client_create(&t->options, &t->client, &error));
    struct result *r = get_from(t, NGINX_TLS, NULL);
    assert_int_equal(r->done_count, 1);
    assert_true(r->code == AIODUCT_E_TLS_VERIFY || r->code == AIODUCT_E_TLS_CONFIG);
}

static void test_wildcard(void **state)
{
    struct tester *t = *state;
    static const struct {
        const char *host;
        bool good;
    } rows[] = {{"a.wild.test", true},
                {"b.wild.test", true},
                {"wild.test", false},
                {"a.b.wild.test", false},
                {"awild.test", false}};
    char texts[5][64];
    const char *entries[6] = {NULL};
    for (int i = 0; i < 5; i++) {
        snprintf(texts[i], sizeof texts[i], "%s:%d:127.0.0.1", rows[i].host,
                 nginx_port(t->nginx, NGINX_TLS_WILDCARD));
        entries[i] = texts[i];
    }
    t->options.resolve = entries;
    tester_client(t);
    for (int i = 0; i < 5; i++) {
        struct result *r = get_from(t, NGINX_TLS_WILDCARD, rows[i].host);
        if (rows[i].good) {
            assert_answer(r, 200);
            assert_header(r, "X-Sni", rows[i].host);
        } else {
            assert_refused(r, GNUTLS_CERT_UNEXPECTED_OWNER, rows[i].host);
        }
    }
}

static void test_ca_dir(void **state)
{
    struct tester *t = *state;
    char *dir = test_dir_create();
    char *file = test_format("%s/ca.pem", dir);
    size_t count = 0;
    char *text = test_file_read(test_cert("ca.pem"), &count);
    test_file_write(file, text, count);
    free(text);
    t->options.tls.ca_dir = dir;
    struct aioduct_error error = {0};
    int code = aioduct_client_create(&t->options, &t->client, &error);
    struct result *good = code == 0 ? get_from(t, NGINX_TLS, NULL) : NULL;
    struct result *bad = code == 0 ? get_from(t, NGINX_TLS_UNKNOWN, NULL) : NULL;
    free(file);
    test_dir_remove(dir);
    assert_code(0, code);
    assert_answer(good, 200);
    assert_error(bad, AIODUCT_E_TLS_VERIFY, AIODUCT_PHASE_TLS);
}

/* ---- files that cannot be used ---- */

static void test_bad_files(void **state)
{
    struct tester *t = *state;
    const struct aioduct_tls_options rows[] = {
        {.ca_file = test_cert("none.pem")},
        {.ca_file = test_cert("garbage.pem")},
        {.ca_dir = test_cert("none")},
        {.cert_file = test_cert("none.pem"), .key_file = test_cert("client.key")},
        {.cert_file = test_cert("client.pem"), .key_file = test_cert("none.key")},
        {.cert_file = test_cert("client.pem"), .key_file = test_cert("server.key")},
    };
    static const char *const words[] = {"none.pem", "garbage.pem", "none",
                                        "none.pem", "none.key",    "server.key"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct aioduct_client_options options = t->options;
        struct aioduct_error error = {0};
        options.tls = rows[i];
        struct aioduct_client *client = NULL;
        int code = aioduct_client_create(&options, &client, &error);
        aioduct_client_destroy(client);
        if (code != AIODUCT_E_TLS_CONFIG || strstr(error.message, words[i]) == NULL) {
            tap_fail("%s: %s: %s", words[i], aioduct_error_name(code), error.message);
        }
        assert_int_equal(error.phase, AIODUCT_PHASE_SETUP);
    }
}

static void test_bad_password(void **state)
{
    struct tester *t = *state;
    t->options.tls.cert_file = test_cert("client.pem");
    t->options.tls.key_file = test_cert("client-encrypted.key");
    static const char *const passwords[] = {NULL, "wrong"};
    for (int i = 0; i < 2; i++) {
        t->options.tls.key_password = passwords[i];
        struct aioduct_error error = {0};
        assert_code(AIODUCT_E_TLS_CONFIG, aioduct_client_create(&t->options, &t->client, &error));
        assert_non_null(strstr(error.message, "client-encrypted.key"));
        if (passwords[i] != NULL) {
            assert_null(strstr(error.message, passwords[i]));
        }
    }
}

/* ---- client certificates ---- */

static void test_client_certificate(void **state)
{
    struct tester *t = *state;
    const struct aioduct_tls_options rows[] = {
        {.cert_file = test_cert("client.pem"), .key_file = test_cert("client.key")},
        {.cert_file = test_cert("client-both.pem")},
        {.cert_file = test_cert("client.pem"),
         .key_file = test_cert("client-encrypted.key"),
         .key_password = "secret"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        t->options.tls = rows[i];
        tester_client(t);
        struct result *r = get_from(t, NGINX_TLS_CLIENT, NULL);
        assert_answer(r, 200);
        assert_header(r, "X-Client-Verify", "SUCCESS");
        r = get_from(t, NGINX_TLS, NULL);
        assert_answer(r, 200);
        assert_header(r, "X-Client-Verify", "NONE");
        tester_destroy(t);
    }
}

static void test_no_client_certificate(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    /* nginx lets the handshake pass and answers 400. */
    struct result *r = get_from(t, NGINX_TLS_CLIENT, NULL);
    assert_answer(r, 400);
    assert_non_null(strstr(r->body, "No required SSL certificate was sent"));
    r = get_from(t, NGINX_TLS_CLIENT_OPTIONAL, NULL);
    assert_answer(r, 200);
    assert_header(r, "X-Client-Verify", "NONE");
}

static void test_strange_client_certificate(void **state)
{
    struct tester *t = *state;
    t->options.tls.cert_file = test_cert("stranger.pem");
    t->options.tls.key_file = test_cert("stranger.key");
    tester_client(t);
    /* The server names the CAs it knows; a certificate by another one is not offered, or refused
     * by the server. */
    struct result *r = get_from(t, NGINX_TLS_CLIENT, NULL);
    assert_answer(r, 400);
    /* C116: it changes nothing of how the server is verified. */
    r = get_from(t, NGINX_TLS_UNKNOWN, NULL);
    assert_error(r, AIODUCT_E_TLS_VERIFY, AIODUCT_PHASE_TLS);
}

/* ---- the wrong protocol ---- */

static void test_tls_to_plain(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    char url[64];
    snprintf(url, sizeof url, "https://localhost:%d/", nginx_port(t->nginx, NGINX_PLAIN));
    struct result *r = tester_get(t, url);
    assert_error(r, AIODUCT_E_TLS, AIODUCT_PHASE_TLS);
    assert_true(r->error.tls_code != 0);
    snprintf(url, sizeof url, "http://localhost:%d/", nginx_port(t->nginx, NGINX_TLS));
    assert_answer(tester_get(t, url), 400);
}

/* ---- SSLKEYLOGFILE, in a process of its own: GnuTLS looks at the variable once ---- */

static int keylog_child(const char *url, const char *ca_file, unsigned flags)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    options.config_file = "";
    options.tls.ca_file = ca_file;
    options.tls.flags = flags;
    struct aioduct_client *client = NULL;
    struct aioduct_request *request = NULL;
    struct aioduct_response *response = NULL;
    int code = aioduct_client_create(&options, &client, NULL);
    if (code == 0) {
        code = aioduct_request_create("GET", url, &request, NULL);
    }
    if (code == 0) {
        code = aioduct_client_fetch(client, request, &response, NULL);
    }
    aioduct_response_destroy(response);
    aioduct_request_destroy(request);
    aioduct_client_destroy(client);
    return code == 0 ? 0 : 1;
}

static void run_keylog(struct tester *t, const char *flag, const char *log)
{
    const char *url = nginx_url(t->nginx, NGINX_TLS, NULL, "/small");
    pid_t pid = tap_fork();
    if (pid == 0) {
        setenv("SSLKEYLOGFILE", log, 1);
        execl("/proc/self/exe", "test_tls", "keylog", url, test_cert("ca.pem"), flag, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_int_equal(status, 0);
}

static void test_keylog(void **state)
{
    struct tester *t = *state;
    char *dir = test_dir_create();
    char *log = test_format("%s/keys", dir);
    run_keylog(t, "0", log);
    size_t without = 0, with = 0;
    free(test_file_read(log, &without));
    run_keylog(t, "1", log);
    char *text = test_file_read(log, &with);
    struct stat st = {0};
    stat(log, &st);
    bool has_secrets = text != NULL && strstr(text, "CLIENT_TRAFFIC_SECRET_0 ") != NULL;
    free(text);
    free(log);
    test_dir_remove(dir);
    assert_int_equal(without, 0);
    assert_true(has_secrets);
    assert_int_equal(st.st_mode & 077, 0);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "keylog") == 0) {
        return keylog_child(argv[2], argv[3], argv[4][0] == '1' ? AIODUCT_TLS_KEYLOG : 0);
    }
    const struct CMUnitTest cases[] = {
        HTTPS_CASE("TLS 1.2 and 1.3, ECDSA and RSA, ALPN http/1.1", test_versions),
        HTTPS_CASE("the priority option narrows the versions", test_priority),
        HTTPS_CASE("C60: TLS 1.3 sessions are resumed", test_resumption_13),
        HTTPS_CASE("C60: TLS 1.2 sessions are resumed", test_resumption_12),
        HTTPS_CASE("C60: sessions are not shared by clients", test_no_resumption_across_clients),
        HTTPS_CASE("C58: SNI is sent for names and not for addresses", test_server_name),
        HTTPS_CASE("C58: a trailing dot is not part of SNI or the certificate's name",
                   test_trailing_dot),
        HTTPS_CASE("C59: certificates that are wrong are refused, each for its reason",
                   test_refused),
        HTTPS_CASE("C59: nothing is sent to a server that is refused",
                   test_nothing_sent_when_refused),
        HTTPS_CASE("without chain check names are still checked", test_no_chain_check),
        HTTPS_CASE("without name check chains are still checked", test_no_name_check),
        HTTPS_CASE("without any check all are accepted", test_no_check_at_all),
        HTTPS_CASE("C59: a check that is off is said once", test_no_check_is_said_once),
        HTTPS_CASE("C59: the system's trust store is the default", test_system_trust),
        HTTPS_CASE("C58: a wildcard covers one label", test_wildcard),
        HTTPS_CASE("ca_dir replaces the trust store", test_ca_dir),
        HTTPS_CASE("files that cannot be used fail at creation and are named", test_bad_files),
        HTTPS_CASE("a wrong key password fails and is not told", test_bad_password),
        HTTPS_CASE("a client certificate is accepted", test_client_certificate),
        HTTPS_CASE("a missing client certificate is the server's matter",
                   test_no_client_certificate),
        HTTPS_CASE("C116: a strange client certificate changes no verification",
                   test_strange_client_certificate),
        HTTPS_CASE("TLS to a clear-text port fails in phase tls", test_tls_to_plain),
        HTTPS_CASE("SSLKEYLOGFILE is written only if the option allows it", test_keylog),
    };
    return TAP_RUN(cases, begin, suite_end);
}
