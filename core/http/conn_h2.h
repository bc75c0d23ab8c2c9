/* SPDX-License-Identifier: MIT */
/**
 * HTTP/2 on a connection: many exchanges at once, each with its slot (exchange.h). conn_h2.c has
 * the connection's life and ends, conn_h2_stream.c what happens to an exchange, conn_h2_ping.c
 * whether the peer is still there.
 *
 * The codec (proto/h2.h) is on the stack while its events run, so an exchange that ends in one only
 * leaves; the codec lives until the connection is freed.
 */
#ifndef AD_HTTP_CONN_H2_H
#define AD_HTTP_CONN_H2_H

#include "http/conn.h"
#include "http/exchange.h"
#include "proto/h2.h"

struct ad_h2_side {
    struct ad_share share; /* first */
    struct ad_h2 *h2;
    struct ad_list exchanges; /* by h2.node, oldest first */
    struct ad_list unflushed; /* by h2.flush_node */
    unsigned exchange_count;  /* without places that only a ping's answer frees */
    uint32_t goaway_code;
    bool working; /* the codec is on the stack */
    bool goaway;

    /* conn_h2_ping.c */
    struct ad_deadline ping_deadline;
    struct ad_conn *conn;
    uint64_t received_ns; /* when bytes came last */
    bool pinged;          /* an answer is waited for */
    bool doubted;         /* no requests are given to it before that */
};

extern const struct ad_h2_events ad_conn_h2_events; /* @owner is the connection */

void ad_conn_h2_submit(struct ad_conn *conn, struct aioduct_exchange *ex);
void ad_conn_h2_cancel(struct ad_conn *conn, struct aioduct_exchange *ex);
void ad_conn_h2_credit(struct ad_conn *conn, struct aioduct_exchange *ex);
void ad_conn_h2_sent(struct ad_conn *conn);
/* Complete those whose answers became whole while the codec worked. */
void ad_conn_h2_tell_answered(struct ad_engine *engine);
/* The exchange is off the connection. */
void ad_conn_h2_leave(struct ad_conn *conn, struct aioduct_exchange *ex);
/* The connection is done for: close it and end all exchanges with @error. */
enum {
    AD_CONN_H2_EOF = 1,   /* the end came in the middle of bodies: AIODUCT_E_TRUNCATED for those */
    AD_CONN_H2_WORDS = 2, /* the codec has a GOAWAY to say */
};
void ad_conn_h2_fail(struct ad_conn *conn, const struct aioduct_error *error, unsigned how);
/* Exchanges have come or left, or places were freed. */
void ad_conn_h2_recount(struct ad_conn *conn);
/* Have the codec's output sent, if there is any. */
void ad_conn_h2_flush(struct ad_conn *conn);

void ad_conn_h2_ping_init(struct ad_conn *conn);
/* Bytes came; an answer to a ping did. */
void ad_conn_h2_ping_received(struct ad_conn *conn);
void ad_conn_h2_ping_answered(struct ad_conn *conn);
/* A stream was given up: its place is taken until a ping is answered. */
void ad_conn_h2_ping_reset(struct ad_conn *conn);
/* An exchange has timed out that waited since @since_ns. */
void ad_conn_h2_ping_timed_out(struct ad_conn *conn, uint64_t since_ns);

#endif
