/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 on a connection, the way out: the head, then the body as fast as the system takes it.
 * What is written when is said by the exchange's send state. */
#include "base/assert.h"
#include "http/conn_h1.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"
#include "proto/h1.h"

#include <errno.h>

void ad_conn_h1_submit(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    AD_ASSERT(conn->h1.ex == NULL && !conn->h1.stopped);
    conn->h1.ex = ex;
    ad_exchange_set_send(ex, AD_SEND_HEAD);
    ad_exchange_set_recv(ex, AD_RECV_HEAD);
    ad_transport_dirty(conn->transport);
}

static bool produce_head(struct ad_conn *conn, struct aioduct_exchange *ex, struct ad_buf *out)
{
    const struct aioduct_request *request = ex->request;
    if (ad_request_head_write(request, conn->engine->settings->agent, out) < 0) {
        ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_SEND, "out of memory");
        return false;
    }
    ad_h1_expect(conn->h1.h1, request->is_head ? AD_H1_HEAD : 0);
    ex->written = true;
    ad_exchange_set_send(ex, request->body_kind == AD_BODY_NONE ? AD_SEND_FLUSH : AD_SEND_BODY);
    return true;
}

static void produce_body(struct aioduct_exchange *ex, struct ad_buf *out, size_t room)
{
    switch (ad_upload_produce(ex, out, room)) {
    case AD_UPLOAD_END:
        ad_exchange_set_send(ex, AD_SEND_FLUSH);
        break;
    case AD_UPLOAD_WAIT:
        ad_exchange_set_send(ex, AD_SEND_WAIT);
        if (ex->upload.ready) { /* called before the source had returned */
            ad_exchange_body_ready(ex);
        }
        break;
    default:
        break;
    }
}

void ad_conn_h1_produce(struct ad_conn *conn, struct ad_buf *out, size_t room)
{
    struct ad_h1_side *side = &conn->h1;
    struct aioduct_exchange *ex = side->ex;
    size_t before = ad_buf_bytes(out);
    if (ex == NULL || (ex->send == AD_SEND_HEAD && !produce_head(conn, ex, out))) {
        return;
    }
    size_t used = ad_buf_bytes(out) - before;
    if (ex->send == AD_SEND_BODY && used < room) {
        produce_body(ex, out, room - used);
    }
    if (side->ex != ex) {
        return;
    }
    if (ad_buf_bytes(out) > before) {
        ad_exchange_arm(ex, &ex->write_deadline, conn->engine->settings->write_gap_ns);
    } else if (ex->send != AD_SEND_BODY) {
        ad_conn_h1_sent(conn); /* what came before is with the system, and nothing follows it now */
    }
}

void ad_conn_h1_sent(struct ad_conn *conn)
{
    struct aioduct_exchange *ex = conn->h1.ex;
    if (ex == NULL) {
        return;
    }
    if (ex->send == AD_SEND_BODY) {
        ad_transport_dirty(conn->transport);
        return;
    }
    if (ex->send != AD_SEND_FLUSH && ex->send != AD_SEND_WAIT) {
        return;
    }
    ad_deadline_clear(&ex->write_deadline);
    if (ex->send == AD_SEND_FLUSH) {
        ad_exchange_set_send(ex, AD_SEND_SENT);
        ex->sent_ns = ad_loop_now_ns(conn->engine->loop);
        if (ex->recv == AD_RECV_HEAD) {
            ad_exchange_arm(ex, &ex->read_deadline, conn->engine->settings->head_ns);
        }
    }
}

/* The peer went away: an answer that was on its way is read before that is reported (C15). Any
 * other reason is ours, and there is nothing to wait for. */
void ad_conn_h1_send_failed(struct ad_conn *conn, int code)
{
    struct aioduct_exchange *ex = conn->h1.ex;
    conn->h1.no_reuse = true;
    if (ex == NULL || ex->send == AD_SEND_STOPPED || ex->send == AD_SEND_SENT) {
        return;
    }
    if (code != -EPIPE && code != -ECONNRESET) {
        ad_exchange_failf(ex, code, AIODUCT_PHASE_SEND, "sending the request to %s:%u failed: %s",
                          conn->origin->dial_host, conn->origin->dial_port,
                          aioduct_error_text(code));
        return;
    }
    conn->h1.send_code = code;
    ad_exchange_set_send(ex, AD_SEND_STOPPED);
    ad_deadline_clear(&ex->write_deadline);
    if (ex->recv == AD_RECV_HEAD) {
        ad_exchange_arm(ex, &ex->read_deadline, conn->engine->settings->head_ns);
    }
}
