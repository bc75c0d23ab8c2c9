/* SPDX-License-Identifier: MIT */
/*
 * A connection that HTTP has left (C74): what comes behind the head is delivered as body, unparsed,
 * by the same ledger; what the request has for a body goes out unframed. Each direction ends by
 * itself in clear text; close_notify ends both.
 */
#include "base/error.h"
#include "http/conn_h1.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"

int64_t ad_conn_h1_raw_take(struct ad_conn *conn, const uint8_t *bytes, size_t count)
{
    struct aioduct_exchange *ex = conn->h1->ex;
    if (count > 0 && ad_exchange_body(ex, bytes, count) && ad_buf_bytes(&ex->stash) > 0) {
        ad_conn_h1_stop(conn);
    }
    return conn->state == AD_CONN_CLOSING || conn->h1->ex != ex ? -1 : (int64_t)count;
}

void ad_conn_h1_raw_end(struct ad_conn *conn, int code)
{
    struct aioduct_exchange *ex = conn->h1->ex;
    struct aioduct_error error;
    bool allowed = code == AIODUCT_E_TRUNCATED &&
                   (conn->engine->settings->tls.flags & AIODUCT_TLS_ALLOW_TRUNCATION) != 0;
    if (code != 0 && !allowed) {
        ad_error_set(&error, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY,
                     "the server closed without close_notify: what it sent may be cut short");
        ad_conn_h1_lost(conn, code, &error);
        return;
    }
    ex->truncated_ok = allowed;
    bool over = ad_exchange_peer_end(ex);
    if (conn->h1->ex == ex && (over || ex->request->url.tls)) {
        ad_conn_h1_finish(conn, false);
    }
}

void ad_conn_h1_raw_sent(struct ad_conn *conn)
{
    struct aioduct_exchange *ex = conn->h1->ex;
    if (!ad_exchange_raw_sent(ex)) {
        return;
    }
    if (ex->peer_ended) {
        ad_conn_h1_finish(conn, false);
    } else {
        ad_transport_shutdown(ad_conn_transport(conn));
    }
}
