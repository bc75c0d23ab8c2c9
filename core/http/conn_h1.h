/* SPDX-License-Identifier: MIT */
/** The two halves of HTTP/1.1 on a connection: conn_h1.c reads and ends, conn_h1_send.c writes. */
#ifndef AD_HTTP_CONN_H1_H
#define AD_HTTP_CONN_H1_H

#include "http/conn.h"

/* Members of ad_codec_h1. */
void ad_conn_h1_submit(struct ad_conn *conn, struct aioduct_exchange *ex);
void ad_conn_h1_produce(struct ad_conn *conn, struct ad_buf *out, size_t room);
void ad_conn_h1_sent(struct ad_conn *conn);
void ad_conn_h1_send_failed(struct ad_conn *conn, int code);

#endif
