/* SPDX-License-Identifier: MIT */
/**
 * transport_tester.h - a transport with its owner, on a clock and streams that the test moves; over
 * TLS, against a server in memory.
 */
#ifndef TESTS_UNIT_NET_TRANSPORT_TESTER_H
#define TESTS_UNIT_NET_TRANSPORT_TESTER_H

#include "tap.h"

#include "certs.h"
#include "fake_resolver.h"
#include "fake_runtime.h"
#include "net/transport.h"

#define HOST "example.test"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

extern struct cert tester_leaf; /* the server's */
extern char tester_ca_file[128];

/* When the owner closes by itself, or does something else, inside an event. */
enum event { NONE, OPEN, PLAIN, END, PRODUCE, SENT, SEND_ERROR };

struct tester {
    struct fake *fake;
    struct fake_resolver resolver;
    struct ad_tls_context *context;
    struct ad_transport_params params;
    struct ad_dial_times times;
    struct ad_transport *transport; /* NULL after on_closed */
    struct server server;

    enum event close_in;
    bool orderly;
    enum event pause_in;
    size_t to_produce; /* bytes that on_produce still has to give */
    size_t room;       /* of the last on_produce */

    int opened, ended, closed, produced, sent, send_errors;
    int open_code, end_code, send_code;
    struct ad_buf got;
    struct aioduct_error error;
};
/* The owner: counts what it is told, and reacts as close_in and pause_in say. */
extern const struct ad_transport_events transport_events;

void tester_init(struct tester *t);
void tester_fini(struct tester *t);
void tester_start(struct tester *t);
void tester_run(struct tester *t);
struct fake_conn *tester_conn(struct tester *t);
/* Dialled and connected; clear text is open then. */
void tester_start_connected(struct tester *t);
void tester_open_clear(struct tester *t);
/* Carry bytes between the TLS server and the stream until nothing moves. */
void tester_pump(struct tester *t);
void tester_start_tls(struct tester *t);
void tester_open_tls(struct tester *t);
void tester_server_says(struct tester *t, const char *text);
void tester_deliver(struct tester *t);
void tester_assert_got(struct tester *t, const char *text);

/* Certificates, for TAP_RUN. */
int tester_setup(void **state);
int tester_teardown(void **state);

#endif
