/* SPDX-License-Identifier: MIT */
/** The inside of TLS contexts and sessions, for the tls*.c files only. */
#ifndef AD_NET_TLS_PRIVATE_H
#define AD_NET_TLS_PRIVATE_H

#include "net/tls.h"
#include "net/tls_tickets.h"

#include <gnutls/gnutls.h>
#include <pthread.h>

struct ad_tls_context {
    /* immutable after create, but for what is made before its first use: credentials, with the
     * trust store, and priority */
    unsigned flags; /* AIODUCT_TLS_* */
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    int keylog_fd; /* -1: no key log */

    /* shared */
    pthread_mutex_t ready_lock;
    bool began;  /* GnuTLS was begun, and credentials and priority are made */
    bool trusts; /* the trust store is loaded, or not needed */
    struct ad_tls_tickets tickets;
};

struct ad_tls {
    struct ad_tls_context *context;
    gnutls_session_t session;
    gnutls_packet_t packet; /* the plaintext that read handed out last */
    struct ad_buf *out;     /* where ciphertext goes, during a call */
    const uint8_t *lent;    /* ciphertext to read: first held, then lent */
    size_t lent_count;
    struct ad_buf held;
    int failed; /* the GnuTLS code that ended the session, 0: none */
    unsigned verify_status;
    char *cert_names; /* of a certificate that is for another host; for the message */
    bool no_memory;   /* push could not append */
    bool opened, said_bye;
    uint8_t renegotiations;
    uint16_t port;
    char alpn[32];
    char host[]; /* without a final dot */
};

/* Make what the first session needs unless that has been done: GnuTLS begun, the system's trust
 * store loaded. 0 | AIODUCT_E_TLS_CONFIG | -ENOMEM */
int ad_tls_context_ready(struct ad_tls_context *context, struct aioduct_error *error);

/* Called inside the handshake when the peer's certificate is there; 0 or a GnuTLS code. */
int ad_tls_verify(gnutls_session_t session);
/* What the bits mean, for people; @out is filled and returned. */
const char *ad_tls_verify_text(unsigned status, char *out, size_t bytes);

#endif
