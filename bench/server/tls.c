/* SPDX-License-Identifier: MIT */
/* The server's TLS: GnuTLS on the descriptor, TLS 1.3, tickets for resumption. */
#include "server.h"

#include <gnutls/gnutls.h>
#include <stdint.h>
#include <stdio.h>

static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priority;
static gnutls_datum_t ticket_key;

bool tls_init(const struct options *options)
{
    int code = gnutls_certificate_allocate_credentials(&credentials);
    if (code >= 0) {
        code = gnutls_certificate_set_x509_key_file(credentials, options->cert, options->key,
                                                    GNUTLS_X509_FMT_PEM);
    }
    if (code >= 0) {
        code = gnutls_priority_init(&priority,
                                    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", NULL);
    }
    if (code >= 0) {
        code = gnutls_session_ticket_key_generate(&ticket_key);
    }
    if (code < 0) {
        fprintf(stderr, "bench-server: %s: %s\n", options->cert, gnutls_strerror(code));
    }
    return code >= 0;
}

bool tls_open(struct conn *conn)
{
    static const gnutls_datum_t h1 = {(unsigned char *)"http/1.1", 8};
    static const gnutls_datum_t h2 = {(unsigned char *)"h2", 2};
    gnutls_session_t session;
    unsigned tickets = conn->options->no_tickets ? GNUTLS_NO_TICKETS : 0;
    if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | tickets) < 0) {
        return false;
    }
    gnutls_priority_set(session, priority);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    if (!conn->options->no_tickets) {
        gnutls_session_ticket_enable_server(session, &ticket_key);
    }
    gnutls_alpn_set_protocols(session, conn->options->h2 ? &h2 : &h1, 1, 0);
    gnutls_transport_set_int(session, conn->fd);
    conn->tls = session;
    return true;
}

void tls_close(struct conn *conn)
{
    if (conn->tls != NULL) {
        gnutls_deinit(conn->tls);
    }
}

/* 0: again later. -1: gone. */
static long result(long code)
{
    if (code > 0) {
        return code;
    }
    return code != 0 && (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED ||
                         !gnutls_error_is_fatal((int)code))
               ? 0
               : -1;
}

static long shake(struct conn *conn)
{
    int code = gnutls_handshake(conn->tls);
    conn->handshaken = code == 0;
    return conn->handshaken ? 1 : result(code);
}

long tls_read(struct conn *conn, uint8_t *bytes, size_t count)
{
    if (!conn->handshaken) {
        long code = shake(conn);
        if (code <= 0) {
            return code;
        }
    }
    return result(gnutls_record_recv(conn->tls, bytes, count));
}

long tls_write(struct conn *conn, const uint8_t *bytes, size_t count)
{
    return conn->handshaken ? result(gnutls_record_send(conn->tls, bytes, count)) : 0;
}
