/* SPDX-License-Identifier: MIT */
/** The halves of HTTP/1.1 on a connection: conn_h1.c reads and ends, conn_h1_send.c writes, and
 * conn_h1_raw.c knows what comes after 101, or after 2xx to CONNECT. */
#ifndef AD_HTTP_CONN_H1_H
#define AD_HTTP_CONN_H1_H

#include "http/conn.h"
#include "proto/h1.h"

/* The rest of a dropped message is on its way already, or it is not worth a connection's wait. */
#define AD_H1_DRAIN_NS 1000000000u

/* What an exchange needs beside its own state, from submit until the connection is free again; then
 * the engine keeps it for the next. */
struct ad_h1_side {
    struct ad_h1 *h1;            /* made once */
    struct aioduct_exchange *ex; /* the one outstanding */
    /* Came while the caller held back, and is not fed yet; or, of a request whose exchange is over,
     * what is still to be written. */
    struct ad_buf kept;
    int eof_code;
    int send_code;           /* why sending failed; 0: it did not */
    bool feeding;            /* the parser is on the stack */
    bool stopped;            /* ad_h1_hold is in force */
    bool paused;             /* the transport is */
    bool raw;                /* no more HTTP: bytes go through as they are */
    bool finishing;          /* the answer is complete, the rest of the request goes out */
    bool complete, reusable; /* the response has ended; framing allows another */
    bool eof_kept;           /* the end came while the caller held back */
    bool no_reuse;           /* for good: sending failed, or the server does not keep it */
};

/* 0, and conn->h1 is there | -ENOMEM */
int ad_conn_h1_take_side(struct ad_conn *conn);
/* To the engine: the connection is free. */
void ad_conn_h1_give_side(struct ad_conn *conn);
void ad_conn_h1_side_destroy(struct ad_h1_side *side);

/* Members of ad_codec_h1. */
void ad_conn_h1_submit(struct ad_conn *conn, struct aioduct_exchange *ex);
void ad_conn_h1_produce(struct ad_conn *conn, struct ad_buf *out, size_t room);
void ad_conn_h1_sent(struct ad_conn *conn);
void ad_conn_h1_file_sent(struct ad_conn *conn, int code, size_t count);
void ad_conn_h1_send_failed(struct ad_conn *conn, int code);

/* The answer came before the request's end. Take over the rest, if that is little: the connection
 * can be kept when it is written (C14). */
bool ad_conn_h1_finish_request(struct ad_conn *conn);

/* ---- conn_h1.c ---- */

/* Feed no more, keep no more than is under way. */
void ad_conn_h1_stop(struct ad_conn *conn);
/* The exchange is complete. @surplus: the peer sent more than it should. */
void ad_conn_h1_finish(struct ad_conn *conn, bool surplus);
/* The connection was lost, by @code; @parsed says it for 0 and AIODUCT_E_TRUNCATED. */
void ad_conn_h1_lost(struct ad_conn *conn, int code, const struct aioduct_error *parsed);

/* ---- conn_h1_raw.c ---- */

/* Bytes that are not HTTP's. -> bytes used, or -1 when the connection is no longer with this
 * exchange. */
int64_t ad_conn_h1_raw_take(struct ad_conn *conn, const uint8_t *bytes, size_t count);
void ad_conn_h1_raw_end(struct ad_conn *conn, int code);
/* All that was written is with the system. */
void ad_conn_h1_raw_sent(struct ad_conn *conn);

#endif
