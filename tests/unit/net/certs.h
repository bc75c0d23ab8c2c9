/* SPDX-License-Identifier: MIT */
/** Certificates made when a test needs them, and a TLS server that lives in memory. */
#ifndef TESTS_UNIT_NET_CERTS_H
#define TESTS_UNIT_NET_CERTS_H

#include "base/buf.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <time.h>

struct cert {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
};

struct cert_spec {
    const char *common_name;
    const char *dns;  /* one subjectAltName; NULL: none */
    const char *ip;   /* IPv4; NULL: none */
    int from_s, to_s; /* validity, relative to now; both 0: a day back to a day ahead */
    bool authority;
    bool for_client; /* extended key usage is clientAuth, else serverAuth */
};

/* @issuer NULL: signed by itself. */
void cert_make(struct cert *out, const struct cert *issuer, const struct cert_spec *spec);
void cert_fini(struct cert *cert);
/* "<directory>/<name>", with PEM inside; the path is static until the next but three calls. */
const char *cert_write(const struct cert *cert, const char *name);
/* @password NULL: in the clear. */
const char *cert_write_key(const struct cert *cert, const char *name, const char *password);
const char *cert_path(const char *name);
/* A fresh directory for the files, and its end with all that is in it. */
void certs_init(void);
void certs_fini(void);

struct server {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    struct ad_buf in, out;
    bool open;
};

/* @authority NULL: asks for no client certificate. @ticket_key (may be NULL) makes tickets. */
void server_init(struct server *s, const char *priority, const struct cert *cert,
                 const struct cert *authority, const gnutls_datum_t *ticket_key);
void server_fini(struct server *s);
/* Handshake as far as @in allows -> 0 done, GNUTLS_E_AGAIN, or fatal. */
int server_step(struct server *s);

#endif
