/* SPDX-License-Identifier: MIT */
/** The two halves of HTTP/1.1 on a connection: conn_h1.c reads and ends, conn_h1_send.c writes. */
#ifndef AD_HTTP_CONN_H1_H
#define AD_HTTP_CONN_H1_H

#include "http/conn.h"

/* The rest of a dropped message is on its way already, or it is not worth a connection's wait. */
#define AD_H1_DRAIN_NS 1000000000u

/* Members of ad_codec_h1. */
void ad_conn_h1_submit(struct ad_conn *conn, struct aioduct_exchange *ex);
void ad_conn_h1_produce(struct ad_conn *conn, struct ad_buf *out, size_t room);
void ad_conn_h1_sent(struct ad_conn *conn);
void ad_conn_h1_send_failed(struct ad_conn *conn, int code);

/* The answer came before the request's end. Take over the rest, if that is little: the connection
 * can be kept when it is written (C14). */
bool ad_conn_h1_finish_request(struct ad_conn *conn);

#endif
