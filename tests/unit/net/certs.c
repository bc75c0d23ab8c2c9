/* SPDX-License-Identifier: MIT */
#include "certs.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK(x) AD_ASSERT((x) >= 0)

static char directory[64];
static unsigned serial = 1;

void cert_make(struct cert *out, const struct cert *issuer, const struct cert_spec *spec)
{
    time_t now = time(NULL);
    int from_s = spec->from_s == 0 && spec->to_s == 0 ? -86400 : spec->from_s;
    int to_s = spec->from_s == 0 && spec->to_s == 0 ? 86400 : spec->to_s;
    unsigned char number[4] = {1, 0, (unsigned char)(serial >> 8), (unsigned char)serial};
    serial++;
    OK(gnutls_x509_privkey_init(&out->key));
    OK(gnutls_x509_privkey_generate(out->key, GNUTLS_PK_ECDSA,
                                    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    OK(gnutls_x509_crt_init(&out->crt));
    OK(gnutls_x509_crt_set_version(out->crt, 3));
    OK(gnutls_x509_crt_set_serial(out->crt, number, sizeof number));
    OK(gnutls_x509_crt_set_dn_by_oid(out->crt, GNUTLS_OID_X520_COMMON_NAME, 0, spec->common_name,
                                     (unsigned)strlen(spec->common_name)));
    OK(gnutls_x509_crt_set_activation_time(out->crt, now + from_s));
    OK(gnutls_x509_crt_set_expiration_time(out->crt, now + to_s));
    OK(gnutls_x509_crt_set_key(out->crt, out->key));
    OK(gnutls_x509_crt_set_basic_constraints(out->crt, spec->authority, -1));
    if (spec->authority) {
        OK(gnutls_x509_crt_set_key_usage(out->crt, GNUTLS_KEY_KEY_CERT_SIGN));
    } else {
        OK(gnutls_x509_crt_set_key_usage(out->crt, GNUTLS_KEY_DIGITAL_SIGNATURE));
        OK(gnutls_x509_crt_set_key_purpose_oid(
            out->crt, spec->for_client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0));
    }
    if (spec->dns != NULL) {
        OK(gnutls_x509_crt_set_subject_alt_name(out->crt, GNUTLS_SAN_DNSNAME, spec->dns,
                                                (unsigned)strlen(spec->dns), GNUTLS_FSAN_APPEND));
    }
    if (spec->ip != NULL) {
        struct in_addr in;
        AD_ASSERT(inet_pton(AF_INET, spec->ip, &in) == 1);
        OK(gnutls_x509_crt_set_subject_alt_name(out->crt, GNUTLS_SAN_IPADDRESS, &in, sizeof in,
                                                GNUTLS_FSAN_APPEND));
    }
    OK(gnutls_x509_crt_sign2(out->crt, issuer != NULL ? issuer->crt : out->crt,
                             issuer != NULL ? issuer->key : out->key, GNUTLS_DIG_SHA256, 0));
}

void cert_fini(struct cert *cert)
{
    gnutls_x509_crt_deinit(cert->crt);
    gnutls_x509_privkey_deinit(cert->key);
}

const char *cert_path(const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static const char *write_file(const char *name, const gnutls_datum_t *bytes)
{
    const char *path = cert_path(name);
    FILE *f = fopen(path, "w");
    AD_ASSERT(f != NULL);
    AD_ASSERT(fwrite(bytes->data, 1, bytes->size, f) == bytes->size);
    AD_ASSERT(fclose(f) == 0);
    return path;
}

const char *cert_write(const struct cert *cert, const char *name)
{
    gnutls_datum_t pem;
    OK(gnutls_x509_crt_export2(cert->crt, GNUTLS_X509_FMT_PEM, &pem));
    const char *path = write_file(name, &pem);
    gnutls_free(pem.data);
    return path;
}

const char *cert_write_key(const struct cert *cert, const char *name, const char *password)
{
    gnutls_datum_t pem;
    OK(gnutls_x509_privkey_export2_pkcs8(
        cert->key, GNUTLS_X509_FMT_PEM, password,
        password == NULL ? GNUTLS_PKCS_PLAIN : GNUTLS_PKCS_PBES2_AES_256, &pem));
    const char *path = write_file(name, &pem);
    gnutls_free(pem.data);
    return path;
}

void certs_init(void)
{
    snprintf(directory, sizeof directory, "/tmp/aioduct-tls-XXXXXX");
    AD_ASSERT(mkdtemp(directory) != NULL);
}

void certs_fini(void)
{
    DIR *dir = opendir(directory);
    AD_ASSERT(dir != NULL);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        unlinkat(dirfd(dir), e->d_name, strcmp(e->d_name, "empty") == 0 ? AT_REMOVEDIR : 0);
    }
    closedir(dir);
    rmdir(directory);
}

/* ---- server ---- */

static ssize_t on_pull(gnutls_transport_ptr_t ptr, void *to, size_t room)
{
    struct server *s = ptr;
    size_t count = ad_buf_bytes(&s->in) < room ? ad_buf_bytes(&s->in) : room;
    if (count == 0) {
        gnutls_transport_set_errno(s->session, EAGAIN);
        return -1;
    }
    memcpy(to, ad_buf_data(&s->in), count);
    ad_buf_consume(&s->in, count);
    return (ssize_t)count;
}

static int on_pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
    (void)ms;
    return ad_buf_bytes(&((struct server *)ptr)->in) > 0;
}

static ssize_t on_push(gnutls_transport_ptr_t ptr, const void *bytes, size_t count)
{
    struct server *s = ptr;
    AD_ASSERT(ad_buf_append(&s->out, bytes, count) == 0);
    return (ssize_t)count;
}

void server_init(struct server *s, const char *priority, const struct cert *cert,
                 const struct cert *authority, const gnutls_datum_t *ticket_key)
{
    *s = (struct server){0};
    OK(gnutls_certificate_allocate_credentials(&s->credentials));
    OK(gnutls_certificate_set_x509_key(s->credentials, (gnutls_x509_crt_t *)&cert->crt, 1,
                                       cert->key));
    OK(gnutls_priority_init(&s->priority, priority, NULL));
    OK(gnutls_init(&s->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
    OK(gnutls_priority_set(s->session, s->priority));
    OK(gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->credentials));
    gnutls_transport_set_ptr(s->session, s);
    gnutls_transport_set_pull_function(s->session, on_pull);
    gnutls_transport_set_pull_timeout_function(s->session, on_pull_timeout);
    gnutls_transport_set_push_function(s->session, on_push);
    gnutls_session_set_keylog_function(s->session, NULL);
    if (authority != NULL) {
        OK(gnutls_certificate_set_x509_trust(s->credentials, (gnutls_x509_crt_t *)&authority->crt,
                                             1));
        gnutls_certificate_server_set_request(s->session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(s->session, NULL, 0);
    }
    if (ticket_key != NULL) {
        OK(gnutls_session_ticket_enable_server(s->session, ticket_key));
    }
}

void server_fini(struct server *s)
{
    gnutls_deinit(s->session);
    gnutls_priority_deinit(s->priority);
    gnutls_certificate_free_credentials(s->credentials);
    ad_buf_fini(&s->in);
    ad_buf_fini(&s->out);
}

int server_step(struct server *s)
{
    int code = 0;
    while (!s->open) {
        code = gnutls_handshake(s->session);
        if (code < 0 && !gnutls_error_is_fatal(code) && code != GNUTLS_E_AGAIN) {
            continue;
        }
        if (code < 0) {
            if (code != GNUTLS_E_AGAIN) {
                gnutls_alert_send_appropriate(s->session, code);
            }
            return code;
        }
        s->open = true;
    }
    return 0;
}
