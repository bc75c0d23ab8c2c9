/* SPDX-License-Identifier: MIT */
/* The life of an HTTP/2 connection: bytes to and from the codec, and the ends. */
#include "http/conn_h2.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/engine.h"

#include <errno.h>
#include <string.h>

#define GOODBYE_BYTES 16384 /* control frames: nobody has a body to send any more */

static struct aioduct_exchange *exchange_of(struct ad_list *node)
{
    return AD_CONTAINER_OF(node, struct aioduct_exchange, h2.node);
}

/* ---- ends ---- */

static void end_exchange(struct aioduct_exchange *ex, const struct aioduct_error *error,
                         bool truncated)
{
    struct aioduct_error own = *error;
    bool unanswered = ex->recv == AD_RECV_HEAD && ex->h2.stream.interim_count == 0;
    if (truncated && ex->h2.stream.got_end) { /* of a raw exchange: what came is whole */
        ad_error_set(&own, AIODUCT_E_CLOSED, AIODUCT_PHASE_SEND,
                     "the peer closed the connection before all was sent to it");
    } else if (ex->recv == AD_RECV_BODY && truncated) {
        ad_error_set(&own, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY,
                     "the peer closed the connection after %llu body bytes, before the end",
                     (unsigned long long)(ex->body_bytes + ad_buf_bytes(&ex->stash)));
    } else if (own.phase == AIODUCT_PHASE_NONE) {
        own.phase = ad_exchange_phase(ex);
    }
    if (unanswered) {
        ad_exchange_lost(ex, &own);
    } else {
        ad_exchange_break(ex, &own);
    }
}

void ad_conn_h2_fail(struct ad_conn *conn, const struct aioduct_error *error, unsigned how)
{
    struct ad_h2_side *side = conn->h2;
    struct ad_list *node;
    ad_conn_info_fill(conn);
    ad_conn_blame(conn, AIODUCT_CLOSE_ERROR);
    if ((how & AD_CONN_H2_WORDS) != 0) {
        /* It may go on sending until it has read them. */
        ad_transport_read_on(ad_conn_transport(conn));
    }
    ad_conn_close(conn, (how & AD_CONN_H2_WORDS) != 0);
    while ((node = ad_list_pop_front(&side->exchanges)) != NULL) {
        struct aioduct_exchange *ex = exchange_of(node);
        ad_conn_h2_leave(conn, ex);
        end_exchange(ex, error, (how & AD_CONN_H2_EOF) != 0);
    }
}

static void h2_eof(struct ad_conn *conn, int code)
{
    const struct aioduct_error *cause = ad_transport_error(ad_conn_transport(conn));
    struct aioduct_error error;
    bool orderly = code == 0 || code == AIODUCT_E_TRUNCATED;
    if (orderly) {
        ad_error_set(&error, AIODUCT_E_CLOSED, AIODUCT_PHASE_NONE,
                     "the peer closed the connection without an answer");
    } else if (cause->code == code && cause->tls_code != 0) {
        ad_error_set(&error, code, AIODUCT_PHASE_NONE, "%s", cause->message);
        error.tls_code = cause->tls_code;
    } else {
        ad_error_set(&error, code, AIODUCT_PHASE_NONE, "the connection to %s:%u failed: %s",
                     conn->origin->dial_host, conn->origin->dial_port, aioduct_error_text(code));
    }
    ad_conn_h2_fail(conn, &error, orderly ? AD_CONN_H2_EOF : 0);
}

/* The peer went away: what it had said before is read, up to its end. Any other reason is ours. */
static void h2_send_failed(struct ad_conn *conn, int code)
{
    struct aioduct_error error;
    conn->retired = true;
    if (code == -EPIPE || code == -ECONNRESET) {
        ad_conn_room_changed(conn);
        AD_LIST_FOR_EACH (it, &conn->h2->exchanges) {
            ad_exchange_stop_sending(exchange_of(it));
        }
        return;
    }
    ad_error_set(&error, code, AIODUCT_PHASE_SEND, "sending to %s:%u failed: %s",
                 conn->origin->dial_host, conn->origin->dial_port, aioduct_error_text(code));
    ad_conn_h2_fail(conn, &error, 0);
}

/* ---- bytes ---- */

void ad_conn_h2_flush(struct ad_conn *conn)
{
    if (conn->state != AD_CONN_CLOSING && ad_h2_wants_write(conn->h2->h2)) {
        ad_transport_dirty(ad_conn_transport(conn));
    }
}

static void h2_feed(struct ad_conn *conn, const uint8_t *bytes, size_t count)
{
    struct aioduct_error error;
    ad_conn_h2_ping_received(conn);
    conn->h2->working = true;
    int code = ad_h2_feed(conn->h2->h2, bytes, count, &error);
    conn->h2->working = false;
    if (code < 0 && conn->state != AD_CONN_CLOSING) {
        ad_conn_h2_fail(conn, &error, AD_CONN_H2_WORDS);
    }
    ad_conn_h2_tell_answered(conn->engine);
    ad_conn_h2_flush(conn);
}

/* Heads that the output has no room for are the peer's to make room for: in write_gap_timeout_ms,
 * as if a part of them were on its way. The last ones wait. */
static void time_queued(struct ad_conn *conn)
{
    struct ad_list *first = &conn->h2->exchanges;
    for (struct ad_list *it = first->prev; it != first; it = it->prev) {
        struct aioduct_exchange *ex = exchange_of(it);
        if (!ad_h2_is_queued(&ex->h2.stream)) {
            return;
        }
        ad_exchange_produced(ex);
        if (!ex->h2.on) {
            return; /* out of memory: it has ended */
        }
    }
}

static void h2_produce(struct ad_conn *conn, struct ad_buf *out, size_t room)
{
    struct aioduct_error error;
    size_t before = ad_buf_bytes(out);
    conn->h2->working = true;
    int code = ad_h2_produce(conn->h2->h2, out, room, &error);
    conn->h2->working = false;
    if (code < 0 && conn->state != AD_CONN_CLOSING) {
        ad_conn_h2_fail(conn, &error, AD_CONN_H2_WORDS);
    }
    ad_conn_h2_tell_answered(conn->engine);
    if (conn->state == AD_CONN_CLOSING) {
        return;
    }
    time_queued(conn);
    if (ad_buf_bytes(out) == before) {
        ad_conn_h2_sent(conn); /* what came before is with the system, and nothing follows it now */
    }
}

static void h2_goodbye(struct ad_conn *conn, struct ad_buf *out)
{
    struct aioduct_error error;
    if (!conn->h2->working) { /* else it goes without a word */
        ad_h2_leave(conn->h2->h2);
        (void)ad_h2_produce(conn->h2->h2, out, GOODBYE_BYTES, &error);
    }
}

/* ---- life ---- */

/* RFC 9113 section 9.2.2: of TLS 1.2 only suites with ephemeral keys and authenticated encryption.
 */
static bool is_secure(const struct ad_conn *conn)
{
    const char *suite = ad_transport_tls_cipher(ad_conn_transport(conn));
    if (strcmp(ad_transport_tls_version(ad_conn_transport(conn)), "TLS1.2") != 0) {
        return true;
    }
    bool whole_name = strchr(suite, '_') != NULL;
    return (strstr(suite, "GCM") != NULL || strstr(suite, "CCM") != NULL ||
            strstr(suite, "CHACHA20") != NULL) &&
           (!whole_name || strstr(suite, "DHE") != NULL);
}

static int h2_open(struct ad_conn *conn)
{
    if (!is_secure(conn)) {
        return AIODUCT_E_TLS;
    }
    struct ad_h2_side *side = ad_zalloc(sizeof *side);
    if (side == NULL) {
        return -ENOMEM;
    }
    ad_list_init(&side->exchanges);
    ad_list_init(&side->unflushed);
    conn->h2 = side;
    struct ad_engine *engine = conn->engine;
    if (engine->h2_scratch == NULL) {
        engine->h2_scratch = ad_h2_scratch_create();
    }
    if (engine->h2_scratch == NULL || ad_h2_create(&engine->settings->h2, &ad_conn_h2_events, conn,
                                                   engine->h2_scratch, &side->h2) < 0) {
        return -ENOMEM; /* fini is called */
    }
    ad_conn_h2_ping_init(conn);
    return 0;
}

static unsigned h2_room(const struct ad_conn *conn)
{
    return conn->h2->doubted ? 0 : ad_h2_room(conn->h2->h2);
}

static void h2_fini(struct ad_conn *conn)
{
    struct ad_h2_side *side = conn->h2;
    if (side != NULL) {
        ad_deadline_remove(conn->engine->loop, &side->ping_deadline);
        ad_h2_destroy(side->h2);
        ad_free(side);
    }
}

const struct ad_codec ad_codec_h2 = {
    .protocol = "h2",
    .shared = true,
    .open = h2_open,
    .room = h2_room,
    .submit = ad_conn_h2_submit,
    .feed = h2_feed,
    .eof = h2_eof,
    .produce = h2_produce,
    .sent = ad_conn_h2_sent,
    .send_failed = h2_send_failed,
    .cancel = ad_conn_h2_cancel,
    .credit = ad_conn_h2_credit,
    .goodbye = h2_goodbye,
    .fini = h2_fini,
};
