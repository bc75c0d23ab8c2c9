/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 on a connection: one exchange at a time. Bytes are fed to the parser as they come, until
 * the caller holds back and a body slice had to be stashed; from then on they are kept unparsed and
 * the transport is paused, so that what is kept is bounded by what was under way.
 *
 * While the parser is on the stack, an exchange that ends only leaves (ex = NULL); the parser lives
 * until the connection is freed.
 */
#include "http/conn_h1.h"
#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/dispatch.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"
#include "proto/h1.h"

#include <errno.h>

/* A hint is shortened by this, so that our request does not cross the server's close (C16). */
#define HINT_MARGIN_S 2u
#define HINT_MAX_S 86400u
/* Less of a body is copied: it is not worth a receive of its own. So is the last of each: with it
 * comes what the server sent behind, which is to be seen before the connection is used again (C12).
 */
#define AIM_BYTES_MIN 65536
#define AIM_TAIL_BYTES 1024

static struct ad_conn *conn_of(void *owner)
{
    return owner;
}

/* The answer is over, one way or another: what belonged to it is cleared. */
static void reset(struct ad_h1_side *side)
{
    side->ex = NULL;
    if (side->stopped) {
        side->stopped = false;
        ad_h1_unhold(side->h1);
    }
    side->complete = side->reusable = side->eof_kept = side->raw = false;
    side->send_code = 0;
}

/* ---- the parser's events ---- */

static void note_head(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    uint64_t now_ns = ad_loop_now_ns(conn->engine->loop);
    if (ex->first_byte_ns == 0) {
        ex->first_byte_ns = now_ns;
    }
    ex->head_bytes = ad_h1_head_bytes(conn->h1->h1);
}

static void on_interim(void *owner, const struct aioduct_head *head)
{
    struct ad_conn *conn = conn_of(owner);
    struct aioduct_exchange *ex = conn->h1->ex;
    if (ex != NULL) {
        note_head(conn, ex);
        ad_exchange_interim(ex, head);
    }
}

static struct ad_slice keep_alive_of(const struct aioduct_head *head)
{
    const struct ad_slice wanted = ad_slice_of("Keep-Alive");
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *field = &head->headers[i];
        if (ad_slice_case_equal((struct ad_slice){field->name, field->name_bytes}, wanted)) {
            return (struct ad_slice){field->value, field->value_bytes};
        }
    }
    return (struct ad_slice){NULL, 0};
}

/* Keep-Alive: timeout=n. false: not worth keeping. */
static bool take_idle_hint(struct ad_conn *conn, const struct aioduct_head *head)
{
    uint64_t seconds = 0;
    struct ad_slice rest = keep_alive_of(head);
    while (rest.bytes > 0) {
        const char *comma = memchr(rest.p, ',', rest.bytes);
        size_t part = comma == NULL ? rest.bytes : (size_t)(comma - rest.p);
        struct ad_slice item = ad_slice_trim((struct ad_slice){rest.p, part});
        if (item.bytes > 8 &&
            ad_slice_case_equal((struct ad_slice){item.p, 8}, ad_slice_of("timeout=")) &&
            ad_slice_to_u64((struct ad_slice){item.p + 8, item.bytes - 8}, HINT_MAX_S, &seconds) ==
                0) {
            conn->deadline.own = seconds > HINT_MARGIN_S ? (uint32_t)(seconds - HINT_MARGIN_S) : 0;
            return seconds > HINT_MARGIN_S;
        }
        part += comma != NULL;
        rest.p += part;
        rest.bytes -= part;
    }
    return true;
}

static void on_head(void *owner, const struct aioduct_head *head)
{
    struct ad_conn *conn = conn_of(owner);
    struct aioduct_exchange *ex = conn->h1->ex;
    if (ex == NULL) {
        return;
    }
    note_head(conn, ex);
    if (!take_idle_hint(conn, head)) {
        conn->h1->no_reuse = true;
    }
    ad_exchange_head(ex, head);
}

void ad_conn_h1_stop(struct ad_conn *conn)
{
    if (!conn->h1->stopped) {
        conn->h1->stopped = true;
        ad_h1_hold(conn->h1->h1);
    }
}

static void on_body(void *owner, const uint8_t *bytes, size_t count)
{
    struct ad_conn *conn = conn_of(owner);
    struct aioduct_exchange *ex = conn->h1->ex;
    if (ex != NULL && ad_exchange_body(ex, bytes, count) && ad_buf_bytes(&ex->stash) > 0) {
        ad_conn_h1_stop(conn);
    }
}

static void on_trailers(void *owner, const struct aioduct_head *trailers)
{
    struct ad_conn *conn = conn_of(owner);
    if (conn->h1->ex != NULL) {
        ad_dispatch_trailers(conn->h1->ex, trailers);
    }
}

static void on_complete(void *owner, bool reusable)
{
    struct ad_h1_side *side = conn_of(owner)->h1;
    side->raw = side->ex != NULL && side->ex->raw;
    side->complete = !side->raw;
    side->reusable = reusable;
}

static const struct ad_h1_events h1_events = {
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_complete = on_complete,
};

/* ---- ends ---- */

/* The transport goes on bringing bytes. */
static void resume(struct ad_conn *conn)
{
    if (conn->h1->paused) {
        conn->h1->paused = false;
        ad_transport_resume(ad_conn_transport(conn));
    }
}

/* The request, too, is written to its end, or will be. */
static bool is_sent(struct ad_conn *conn, bool reusable)
{
    const struct aioduct_exchange *ex = conn->h1->ex;
    return ex == NULL || ex->send == AD_SEND_FLUSH || ex->send == AD_SEND_SENT ||
           (reusable && ad_conn_h1_finish_request(conn));
}

/* The response is complete. Back to the pool first, so that a submit inside on_done finds the
 * connection; but one that closes stays open until on_done has seen its addresses. */
void ad_conn_h1_finish(struct ad_conn *conn, bool surplus)
{
    struct ad_h1_side *side = conn->h1;
    struct aioduct_exchange *ex = side->ex;
    bool reusable = side->reusable && !side->no_reuse && !surplus && !side->eof_kept &&
                    ad_buf_bytes(&side->kept) == 0 && (ex == NULL || !ex->request->wants_close);
    bool sent = is_sent(conn, reusable);
    if (ex != NULL) {
        ad_exchange_set_recv(ex, AD_RECV_END);
    }
    reset(side);
    conn->served += conn->served != UINT32_MAX;
    reusable = reusable && sent;
    if (reusable) {
        resume(conn); /* an idle connection is listened to */
    }
    if (reusable && !side->finishing) {
        ad_conn_h1_give_side(conn);
        ad_conn_release(conn);
    }
    if (ex != NULL) {
        ad_exchange_complete(ex);
    }
    if (!reusable) {
        ad_conn_blame(conn, AIODUCT_CLOSE_FINAL);
        ad_conn_close(conn, sent);
    }
}

/* The exchange ends with @error, and the connection with it. */
static void fail(struct ad_conn *conn, const struct aioduct_error *error)
{
    struct aioduct_exchange *ex = conn->h1->ex;
    bool unanswered =
        ex != NULL && ex->recv == AD_RECV_HEAD && (!ex->written || !ad_h1_got_bytes(conn->h1->h1));
    ad_conn_info_fill(conn);
    reset(conn->h1);
    ad_conn_blame(conn, AIODUCT_CLOSE_ERROR);
    ad_conn_close(conn, false);
    if (ex == NULL) {
        return;
    }
    if (unanswered) {
        ad_exchange_lost(ex, error);
    } else {
        ad_exchange_fail(ex, error);
    }
}

static void out_of_memory(struct ad_conn *conn)
{
    struct aioduct_error error;
    ad_error_set(&error, -ENOMEM, AIODUCT_PHASE_BODY, "out of memory");
    fail(conn, &error);
}

/* ---- bytes in ---- */

/* Keep what cannot be parsed now; the transport is to bring no more. */
static void keep(struct ad_conn *conn, const uint8_t *bytes, size_t count)
{
    conn->h1->paused = true;
    ad_transport_pause(ad_conn_transport(conn));
    if (count > 0 && ad_buf_append(&conn->h1->kept, bytes, count) < 0) {
        out_of_memory(conn);
    }
}

/* Parse. -> bytes used, or -1 when the connection is no longer with this exchange. */
static int64_t parse(struct ad_conn *conn, const uint8_t *bytes, size_t count)
{
    struct ad_h1_side *side = conn->h1;
    struct aioduct_error error; /* filled when used is negative */
    side->feeding = true;
    int64_t used = ad_h1_feed(side->h1, bytes, count, &error);
    side->feeding = false;
    if (conn->state == AD_CONN_CLOSING) {
        return -1;
    }
    if (side->ex != NULL && used > 0) {
        side->ex->received_bytes += (uint64_t)used;
    }
    if (used < 0) {
        fail(conn, &error);
        return -1;
    }
    if (side->complete) {
        ad_conn_h1_finish(conn, (size_t)used < count);
        return -1;
    }
    if (side->raw) {
        ad_exchange_read_timer(side->ex);
        int64_t rest = ad_conn_h1_raw_take(conn, bytes + used, count - (size_t)used);
        return rest < 0 ? -1 : (int64_t)count;
    }
    if (side->ex != NULL) {
        ad_exchange_read_timer(side->ex);
    }
    return conn->state == AD_CONN_CLOSING ? -1 : used;
}

/* Use what came, if anybody can. Results as of parse. */
static int64_t take(struct ad_conn *conn, const uint8_t *bytes, size_t count)
{
    return conn->h1->raw ? ad_conn_h1_raw_take(conn, bytes, count) : parse(conn, bytes, count);
}

/* What comes next may be received where the body goes, if all of that is body, and much. */
static void aim(struct ad_conn *conn)
{
    const struct ad_h1_side *side = conn->h1;
    int64_t left = side->ex == NULL ? -1 : ad_h1_body_left(side->h1);
    if (left < AIM_BYTES_MIN) {
        return;
    }
    left -= AIM_TAIL_BYTES;
    size_t bytes = (uint64_t)left < SIZE_MAX ? (size_t)left : SIZE_MAX;
    uint8_t *place = ad_sink_place(side->ex, &bytes);
    if (place != NULL && bytes > 0) {
        ad_transport_recv_at(ad_conn_transport(conn), place, bytes);
    }
}

static void h1_feed(struct ad_conn *conn, const uint8_t *bytes, size_t count)
{
    struct ad_h1_side *side = conn->h1;
    if (side->ex != NULL && side->ex->send == AD_SEND_HEAD) {
        /* Bytes before the request (C13): it was not answered, and nothing of it was sent. */
        struct aioduct_exchange *ex = side->ex;
        struct aioduct_error error;
        ad_error_set(&error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_SEND,
                     "the server sent bytes before it was asked");
        reset(side);
        ad_conn_close(conn, false);
        ad_exchange_refused(ex, &error);
        return;
    }
    if (side->finishing) { /* an answer to nobody's request, as on an idle connection (C12) */
        ad_conn_close(conn, false);
        return;
    }
    if (side->stopped || ad_buf_bytes(&side->kept) > 0) {
        keep(conn, bytes, count);
        return;
    }
    int64_t used = take(conn, bytes, count);
    if (used >= 0 && side->stopped) {
        keep(conn, bytes + used, count - (size_t)used);
    } else if (used >= 0) {
        aim(conn);
    }
}

/* ---- the end of the stream ---- */

void ad_conn_h1_lost(struct ad_conn *conn, int code, const struct aioduct_error *parsed)
{
    struct ad_h1_side *side = conn->h1;
    struct aioduct_exchange *ex = side->ex;
    struct aioduct_error error;
    bool in_body = ex != NULL && ex->recv == AD_RECV_BODY;
    if (side->send_code != 0 && !in_body) {
        ad_error_set(&error, side->send_code, AIODUCT_PHASE_SEND,
                     "sending the request to %s:%u failed: %s", conn->origin->dial_host,
                     conn->origin->dial_port, aioduct_error_text(side->send_code));
    } else if (code == 0 || code == AIODUCT_E_TRUNCATED) {
        error = *parsed;
    } else {
        const struct aioduct_error *cause = ad_transport_error(ad_conn_transport(conn));
        enum aioduct_phase phase = in_body ? AIODUCT_PHASE_BODY : AIODUCT_PHASE_HEAD;
        if (cause != NULL && cause->code == code && cause->tls_code != 0) {
            ad_error_set(&error, code, phase, "%s", cause->message); /* GnuTLS says more than we */
            error.tls_code = cause->tls_code;
        } else {
            ad_error_set(&error, code, phase, "the connection to %s:%u failed: %s",
                         conn->origin->dial_host, conn->origin->dial_port,
                         aioduct_error_text(code));
        }
    }
    fail(conn, &error);
}

static void at_end(struct ad_conn *conn, int code)
{
    struct ad_h1_side *side = conn->h1;
    struct aioduct_error error = {0};
    bool by_close = !side->raw && side->ex->recv == AD_RECV_BODY && ad_h1_close_delimited(side->h1);
    /* The system tells a reset once. Where only the end says that all has come, it was no end. */
    bool was_reset = side->send_code == -ECONNRESET && !conn->origin->key.tls;
    if (code == 0 && was_reset && (side->raw || by_close)) {
        code = -ECONNRESET;
    }
    if (side->raw) {
        ad_conn_h1_raw_end(conn, code);
        return;
    }
    bool truncated = code == AIODUCT_E_TRUNCATED && by_close;
    bool allowed = conn->engine->settings->tls.flags & AIODUCT_TLS_ALLOW_TRUNCATION;
    if (truncated && !allowed) {
        ad_error_set(&error, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY,
                     "the server closed without close_notify: the body may be cut short");
        fail(conn, &error);
        return;
    }
    if (code != 0 && code != AIODUCT_E_TRUNCATED) {
        ad_conn_h1_lost(conn, code, &error);
        return;
    }
    side->feeding = true;
    int result = ad_h1_eof(side->h1, &error);
    side->feeding = false;
    if (conn->state == AD_CONN_CLOSING) {
        return;
    }
    if (side->complete) {
        if (side->ex != NULL && truncated) {
            side->ex->truncated_ok = true;
        }
        side->reusable = false;
        ad_conn_h1_finish(conn, false);
        return;
    }
    if (result == 0) { /* nothing was expected: the request was not written yet */
        ad_error_set(&error, AIODUCT_E_CLOSED, AIODUCT_PHASE_SEND,
                     "the server closed the connection before the request was sent");
    }
    ad_conn_h1_lost(conn, 0, &error);
}

static void h1_eof(struct ad_conn *conn, int code)
{
    struct ad_h1_side *side = conn->h1;
    if (side->ex == NULL) { /* the rest of a dropped body will not come */
        ad_conn_blame(conn, AIODUCT_CLOSE_PEER);
        ad_conn_close(conn, false);
        return;
    }
    if (side->raw && ad_exchange_blocked(side->ex)) {
        ad_conn_h1_stop(conn); /* the end is told by on_body, too */
    }
    if (side->stopped || ad_buf_bytes(&side->kept) > 0) {
        side->eof_kept = true;
        side->eof_code = code;
        return;
    }
    at_end(conn, code);
}

/* ---- the caller goes on ---- */

static bool stash_empty(const struct aioduct_exchange *ex)
{
    return ad_buf_bytes(&ex->stash) == 0;
}

static void feed_leftover(struct ad_conn *conn)
{
    struct ad_h1_side *side = conn->h1;
    struct ad_buf leftover = side->kept;
    side->kept = (struct ad_buf){0};
    int64_t used = take(conn, ad_buf_data(&leftover), ad_buf_bytes(&leftover));
    if (used >= 0 && side->stopped) {
        ad_buf_consume(&leftover, (size_t)used);
        side->kept = leftover; /* nothing came in between: no event of the transport did */
        return;
    }
    ad_buf_fini(&leftover);
}

static void h1_credit(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    struct ad_h1_side *side = conn->h1;
    if (side == NULL || side->ex != ex) {
        return;
    }
    if (ex->send == AD_SEND_BODY) {
        ad_transport_dirty(ad_conn_transport(conn));
    }
    bool blocked = ad_exchange_blocked(ex);
    if (blocked) {
        ad_transport_recv_at(ad_conn_transport(conn), NULL, 0);
    }
    if (!side->stopped || blocked) {
        return;
    }
    ad_conn_ref(conn);
    if (ad_exchange_unstash(ex) && stash_empty(ex) && !ad_exchange_blocked(ex)) {
        side->stopped = false;
        ad_h1_unhold(side->h1);
        feed_leftover(conn);
        side = conn->h1;
        if (conn->state == AD_CONN_BUSY && side != NULL && side->ex == ex && !side->stopped) {
            if (side->eof_kept) {
                side->eof_kept = false;
                at_end(conn, side->eof_code);
            } else {
                resume(conn);
                aim(conn);
                ad_exchange_read_timer(ex);
            }
        }
    }
    ad_conn_unref(conn);
}

/* ---- life ---- */

static int h1_open(struct ad_conn *conn)
{
    (void)conn; /* the parser comes with the first request */
    return 0;
}

int ad_conn_h1_take_side(struct ad_conn *conn)
{
    struct ad_engine *engine = conn->engine;
    struct ad_h1_side *side = NULL;
    AD_ASSERT(conn->h1 == NULL);
    if (engine->spare_h1_count > 0) {
        side = engine->spare_h1[--engine->spare_h1_count];
    } else {
        side = ad_zalloc(sizeof *side);
        if (side == NULL) {
            return -ENOMEM;
        }
        int code = ad_h1_create(&engine->settings->h1, &h1_events, conn, &side->h1);
        if (code < 0) {
            ad_free(side);
            return code;
        }
    }
    ad_h1_renew(side->h1, conn, conn->served == 0);
    conn->h1 = side;
    return 0;
}

void ad_conn_h1_give_side(struct ad_conn *conn)
{
    struct ad_engine *engine = conn->engine;
    struct ad_h1_side *side = conn->h1;
    conn->h1 = NULL;
    if (engine->spare_h1_count == sizeof engine->spare_h1 / sizeof engine->spare_h1[0] ||
        engine->closing) { /* its end may come before this connection's */
        ad_conn_h1_side_destroy(side);
        return;
    }
    AD_ASSERT(side->kept.block == NULL && !side->feeding);
    *side = (struct ad_h1_side){.h1 = side->h1};
    engine->spare_h1[engine->spare_h1_count++] = side;
}

void ad_conn_h1_side_destroy(struct ad_h1_side *side)
{
    ad_h1_destroy(side->h1);
    ad_buf_fini(&side->kept);
    ad_free(side);
}

/* Is the rest of the response short, known and under way? Then it is read and dropped, and the
 * connection is kept (C90). */
static bool worth_draining(const struct ad_conn *conn, const struct aioduct_exchange *ex)
{
    int64_t left = ad_h1_body_left(conn->h1->h1);
    bool unwanted = ex->code == 0 || ex->code == -ECANCELED || ex->code == AIODUCT_E_SINK;
    return unwanted && ad_h1_got_head(conn->h1->h1) && ex->send == AD_SEND_SENT &&
           !conn->h1->stopped && !conn->h1->no_reuse && !conn->h1->eof_kept &&
           !ex->request->wants_close && left >= 0 &&
           left <= (int64_t)conn->engine->settings->drain_bytes_max && !conn->engine->closing;
}

static void h1_cancel(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    struct ad_h1_side *side = conn->h1;
    if (side == NULL || side->ex != ex) {
        return;
    }
    ad_transport_recv_at(ad_conn_transport(conn), NULL, 0);
    uint64_t until_ns = ad_loop_now_ns(conn->engine->loop) + AD_H1_DRAIN_NS;
    if (worth_draining(conn, ex) &&
        ad_deadline_set(conn->engine->loop, &conn->deadline, until_ns) == 0) {
        side->ex = NULL; /* from now on the parser's events go nowhere */
        return;
    }
    ad_conn_info_fill(conn);
    side->ex = NULL;
    if (side->feeding) {
        ad_conn_h1_stop(conn); /* the parser is on the stack: have it come back soon */
    }
    ad_conn_blame(conn, AIODUCT_CLOSE_CANCELLED);
    ad_conn_close(conn, false);
}

static void h1_fini(struct ad_conn *conn)
{
    if (conn->h1 != NULL) {
        AD_ASSERT(!conn->h1->feeding);
        ad_buf_fini(&conn->h1->kept);
        ad_h1_renew(conn->h1->h1, NULL, false); /* it may have been amid an answer */
        ad_conn_h1_give_side(conn);
    }
}

const struct ad_codec ad_codec_h1 = {
    .protocol = "http/1.1",
    .open = h1_open,
    .submit = ad_conn_h1_submit,
    .feed = h1_feed,
    .eof = h1_eof,
    .produce = ad_conn_h1_produce,
    .sent = ad_conn_h1_sent,
    .file_sent = ad_conn_h1_file_sent,
    .send_failed = ad_conn_h1_send_failed,
    .cancel = h1_cancel,
    .credit = h1_credit,
    .fini = h1_fini,
};
