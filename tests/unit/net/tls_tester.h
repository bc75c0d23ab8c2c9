/* SPDX-License-Identifier: MIT */
/**
 * tls_tester.h - a TLS session and a server in memory, and the bytes between them: nothing waits or
 * has a socket.
 */
#ifndef TESTS_UNIT_NET_TLS_TESTER_H
#define TESTS_UNIT_NET_TLS_TESTER_H

#include "tap.h"

#include "certs.h"
#include "net/tls.h"

#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define HOST "example.test"

extern struct cert tester_authority, tester_leaf; /* the leaf is the server's */
extern char tester_ca_file[128];
extern gnutls_datum_t tester_ticket_key;

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

void tester_init(struct tester *t, struct aioduct_tls_options options, const char *priority,
                 const struct cert *cert, const char *host);
void tester_fini(struct tester *t);
struct ad_tls_context *tester_context(struct aioduct_tls_options options);
void tester_open_session(struct tester *t, const char *host, uint16_t port,
                         const char *const *alpn);
/* All that the server has said, cut as the test wants -> the last code of the handshake. Every
 * slice is in memory of its own, so that a byte used too late is seen. */
int tester_to_client(struct tester *t);
void tester_to_server(struct tester *t);
/* Both sides until nothing moves -> what the client's handshake said last. */
int tester_shake(struct tester *t);
void tester_server_send(struct tester *t, const void *bytes, size_t count);
/* What the server can read now. */
size_t tester_server_read(struct tester *t, struct ad_buf *to);
void tester_client_send(struct tester *t, const void *bytes, size_t count);
uint8_t *tester_pattern(size_t count);

/* Certificates, for TAP_RUN. */
int tester_setup(void **state);
int tester_teardown(void **state);

#endif
