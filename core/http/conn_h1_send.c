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
    if (ad_conn_h1_take_side(conn) < 0) {
        ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_SEND, "out of memory");
        ad_conn_close(conn, false);
        return;
    }
    conn->h1->ex = ex;
    ad_exchange_set_send(ex, AD_SEND_HEAD);
    ad_exchange_set_recv(ex, AD_RECV_HEAD);
    ad_transport_dirty(ad_conn_transport(conn));
}

static bool produce_head(struct ad_conn *conn, struct aioduct_exchange *ex, struct ad_buf *out)
{
    const struct aioduct_request *request = ex->request;
    if (ad_request_head_write(request, conn->engine->settings->agent, ad_exchange_expects(ex),
                              out) < 0) {
        ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_SEND, "out of memory");
        return false;
    }
    ad_h1_expect(conn->h1->h1, (request->is_head ? AD_H1_HEAD : 0u) |
                                   (request->tunnel != NULL ? AD_H1_CONNECT : 0u) |
                                   (request->upgrade != NULL ? AD_H1_UPGRADE : 0u));
    ad_exchange_head_written(ex);
    return true;
}

bool ad_conn_h1_finish_request(struct ad_conn *conn)
{
    struct ad_h1_side *side = conn->h1;
    struct aioduct_exchange *ex = side->ex;
    int64_t left = ad_upload_left(ex);
    /* A caller's source is not asked for what nobody wants, and could fail. */
    if (ex->send != AD_SEND_BODY || ex->request->body_kind > AD_BODY_FILE || left < 0 ||
        left > (int64_t)conn->engine->settings->drain_bytes_max ||
        ad_deadline_set(conn->engine->loop, &conn->deadline,
                        ad_loop_now_ns(conn->engine->loop) + AD_H1_DRAIN_NS) < 0) {
        return false;
    }
    if (ad_upload_produce(ex, &side->kept, (size_t)left) != AD_UPLOAD_END) {
        ad_deadline_clear(&conn->deadline);
        ad_buf_fini(&side->kept);
        return false;
    }
    (void)ad_transport_stop_file(ad_conn_transport(conn)); /* what goes yet is taken off the rest */
    side->finishing = true;
    ad_transport_dirty(ad_conn_transport(conn));
    return true;
}

static void produce_rest(struct ad_h1_side *side, struct ad_buf *out, size_t room)
{
    size_t have = ad_buf_bytes(&side->kept);
    size_t count = have < room ? have : room;
    if (ad_buf_append(out, ad_buf_data(&side->kept), count) == 0) { /* else the deadline ends it */
        ad_buf_consume(&side->kept, count);
    }
}

static void rest_sent(struct ad_conn *conn)
{
    if (ad_buf_bytes(&conn->h1->kept) > 0) {
        ad_transport_dirty(ad_conn_transport(conn));
        return;
    }
    ad_buf_fini(&conn->h1->kept);
    ad_conn_h1_give_side(conn);
    ad_conn_release(conn);
}

/* A piece of the file, once nothing goes before it. -> is one under way? */
static bool send_piece(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    const struct aioduct_request *request = ex->request;
    size_t room = ad_upload_file_room(ex);
    if (room == 0 ||
        !ad_transport_send_file(ad_conn_transport(conn), request->file_fd,
                                request->file_offset + (int64_t)ex->upload.sent, room)) {
        return false;
    }
    ad_exchange_produced(ex);
    return true;
}

void ad_conn_h1_file_sent(struct ad_conn *conn, int code, size_t count)
{
    struct ad_h1_side *side = conn->h1;
    struct aioduct_exchange *ex = side->ex;
    if (side->finishing) {
        ad_buf_consume(&side->kept, count);
    } else if (ex != NULL) {
        ex->sent_bytes += count;
        enum ad_upload_step step = ad_upload_file_took(ex, code, count);
        if (ex->send == AD_SEND_BODY) {
            ad_exchange_uploaded(ex, step);
        }
    }
}

void ad_conn_h1_produce(struct ad_conn *conn, struct ad_buf *out, size_t room)
{
    struct ad_h1_side *side = conn->h1;
    struct aioduct_exchange *ex = side->ex;
    size_t before = ad_buf_bytes(out);
    if (side->finishing) {
        produce_rest(side, out, room);
        return;
    }
    if (ex == NULL || (ex->send == AD_SEND_HEAD && !produce_head(conn, ex, out))) {
        return;
    }
    size_t used = ad_buf_bytes(out) - before;
    if (ex->send == AD_SEND_BODY && used == 0 && send_piece(conn, ex)) {
        return;
    }
    if (ex->send == AD_SEND_BODY && used < room) {
        ad_exchange_uploaded(ex, ad_upload_produce(ex, out, room - used));
    }
    if (side->ex != ex) {
        return;
    }
    ex->sent_bytes += ad_buf_bytes(out) - before;
    if (ad_buf_bytes(out) > before) {
        ad_exchange_produced(ex);
    } else if (ex->send != AD_SEND_BODY) {
        ad_conn_h1_sent(conn); /* what came before is with the system, and nothing follows it now */
    }
}

void ad_conn_h1_sent(struct ad_conn *conn)
{
    struct aioduct_exchange *ex = conn->h1->ex;
    if (conn->h1->finishing) {
        rest_sent(conn);
        return;
    }
    if (ex == NULL) {
        return;
    }
    if (ex->send == AD_SEND_BODY) {
        ad_transport_dirty(ad_conn_transport(conn));
        return;
    }
    ad_exchange_sent(ex);
    if (conn->h1->raw) {
        ad_conn_h1_raw_sent(conn);
    }
}

/* The peer went away: an answer that was on its way is read before that is reported (C15). Any
 * other reason is ours, and there is nothing to wait for. */
void ad_conn_h1_send_failed(struct ad_conn *conn, int code)
{
    struct aioduct_exchange *ex = conn->h1->ex;
    conn->h1->no_reuse = true;
    if (conn->h1->finishing) {
        ad_conn_close(conn, false);
        return;
    }
    if (ex == NULL || ex->send == AD_SEND_STOPPED || ex->send == AD_SEND_SENT) {
        return;
    }
    if (code != -EPIPE && code != -ECONNRESET) {
        ad_exchange_failf(ex, code, AIODUCT_PHASE_SEND, "sending the request to %s:%u failed: %s",
                          conn->origin->dial_host, conn->origin->dial_port,
                          aioduct_error_text(code));
        return;
    }
    conn->h1->send_code = code;
    ad_exchange_stop_sending(ex);
}
