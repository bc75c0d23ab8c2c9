/* SPDX-License-Identifier: MIT */
/* What happens to one exchange on an HTTP/2 connection: its request, what comes for it, and how it
 * leaves. */
#include "base/assert.h"
#include "base/error.h"
#include "http/conn_h2.h"
#include "http/engine.h"
#include "http/event.h"
#include "http/request.h"

#include <errno.h>

#define AGENT_NAME_BYTES (sizeof "User-Agent: " - 1)
#define AHEAD_FACTOR 8u /* 8 MiB at 0.1 s are 84 MB/s; on loopback more gains nothing */

static struct aioduct_exchange *exchange_of(struct ad_h2_stream *s)
{
    return AD_CONTAINER_OF(s, struct aioduct_exchange, h2.stream);
}

static struct ad_conn *conn_of(void *owner)
{
    return owner;
}

/* ---- joining and leaving ---- */

/* What differs from sending to sending. */
static void add_extra(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    struct ad_h2_field *extra = ex->h2.stream.extra;
    struct ad_slice line = conn->engine->settings->agent; /* "User-Agent: x\r\n", or empty */
    if (line.bytes > 0 && !ex->request->no_agent) {
        extra->name = ad_slice_of("user-agent");
        extra->value =
            (struct ad_slice){line.p + AGENT_NAME_BYTES, line.bytes - AGENT_NAME_BYTES - 2};
        extra++;
    }
    if (ad_exchange_expects(ex)) {
        extra->name = ad_slice_of("expect");
        extra->value = ad_slice_of("100-continue");
    }
}

void ad_conn_h2_submit(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    struct ad_h2_side *side = conn->h2;
    ex->h2.on = true;
    ex->h2.complete = false;
    side->exchange_count++;
    ex->h2.given_back = 0;
    AD_ASSERT(ex->h2.ahead == 0);
    ad_list_init(&ex->h2.flush_node);
    ad_list_push_back(&side->exchanges, &ex->h2.node);
    ad_exchange_set_send(ex, AD_SEND_HEAD);
    ad_exchange_set_recv(ex, AD_RECV_HEAD);
    const struct ad_request_h2 *head = ad_request_h2(ex->request);
    if (head == NULL) {
        ex->h2.stream = (struct ad_h2_stream){0};
        ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_SEND, "out of memory");
        return;
    }
    ad_h2_submit(side->h2, &ex->h2.stream, head->fields, head->count,
                 ad_request_has_content(ex->request) || ad_request_is_raw(ex->request));
    ex->h2.stream.extended = ex->request->upgrade != NULL;
    add_extra(conn, ex);
    if (ex->request->wants_close) {
        conn->retired = true; /* HTTP/2 has no field to say so */
        ad_conn_room_changed(conn);
    }
    ad_conn_h2_flush(conn);
    if (ad_transport_is_sending(ad_conn_transport(conn))) {
        ad_exchange_produced(ex); /* the peer has its time to make room for the head */
    }
    if (ex->h2.stream.extended) { /* its head may have to wait for the peer's settings */
        ad_exchange_arm(ex, &ex->read_deadline, ad_exchange_timeout_ns(ex, AD_TIMEOUT_HEAD));
    }
}

void ad_conn_h2_leave(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    ex->h2.on = false;
    ad_list_remove(&ex->h2.node);
    ad_list_remove(&ex->h2.flush_node);
    ex->sent_bytes = ex->h2.stream.sent_bytes;
    ex->received_bytes = ex->h2.stream.received_bytes;
    AD_ASSERT(conn->h2->exchange_count > 0);
    conn->h2->exchange_count--;
    ad_conn_h2_recount(conn);
}

/* Late frames of a stream that was given up are no surprise on a connection without exchanges. */
void ad_conn_h2_recount(struct ad_conn *conn)
{
    unsigned resets = ad_h2_resets(conn->h2->h2);
    conn->exchange_count = conn->h2->exchange_count + resets;
    if (resets > 0) {
        ad_conn_h2_ping_reset(conn);
    }
    ad_conn_room_changed(conn);
}

void ad_conn_h2_cancel(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    if (!ex->h2.on) {
        ad_list_remove(&ex->h2.node); /* answered, and not told */
        return;
    }
    ad_h2_cancel(conn->h2->h2, &ex->h2.stream, AD_H2_CANCEL);
    ad_conn_h2_leave(conn, ex);
    if (ex->code == AIODUCT_E_TIMEOUT) {
        ad_conn_h2_ping_timed_out(conn, ex->picked_ns);
    }
    ad_conn_h2_flush(conn);
}

/* ---- the request ---- */

static void note_output(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    if (ad_list_empty(&ex->h2.flush_node)) {
        ad_list_push_back(&conn->h2->unflushed, &ex->h2.flush_node);
    }
    ad_exchange_produced(ex);
}

static void on_head_sent(void *owner, struct ad_h2_stream *s)
{
    struct aioduct_exchange *ex = exchange_of(s);
    ad_exchange_head_written(ex);
    note_output(conn_of(owner), ex);
}

/* Read into @out -> as ad_upload_read. */
static int64_t read_body(struct aioduct_exchange *ex, struct ad_buf *out, size_t room)
{
    uint8_t *to = ad_buf_reserve(out, room);
    if (to == NULL) {
        ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_SEND, "out of memory");
        return -AD_UPLOAD_ENDED;
    }
    int64_t got = ad_upload_read(ex, to, room);
    if (got > 0) {
        ad_buf_commit(out, (size_t)got);
    }
    return got;
}

static int64_t on_source(void *owner, struct ad_h2_stream *s, struct ad_buf *out, size_t room,
                         bool *out_end)
{
    struct aioduct_exchange *ex = exchange_of(s);
    if (ex->send != AD_SEND_BODY) {
        return AD_H2_LATER; /* it waits for a 100, or the rest is not wanted */
    }
    int64_t got = read_body(ex, out, room);
    enum ad_upload_step step = got < 0 ? ad_upload_step_of(got) : AD_UPLOAD_MORE;
    if (got > 0 && ad_upload_left(ex) == 0) {
        uint8_t none;
        step = ad_upload_step_of(ad_upload_read(ex, &none, 1)); /* the end, or a surplus (C20) */
    }
    if (step == AD_UPLOAD_ENDED) {
        return AD_H2_LATER;
    }
    ad_exchange_uploaded(ex, step);
    if (step == AD_UPLOAD_WAIT) {
        if (ad_list_empty(&ex->h2.flush_node)) {
            ad_exchange_sent(ex); /* all that came before is with the system already */
        }
        return AD_H2_LATER;
    }
    note_output(conn_of(owner), ex);
    *out_end = step == AD_UPLOAD_END;
    return got > 0 ? got : 0;
}

static uint32_t put_trailers(const struct ad_list *list, struct ad_h2_field *fields, uint32_t count,
                             uint32_t room)
{
    AD_LIST_FOR_EACH (it, list) {
        const struct ad_field *field = (const struct ad_field *)(const void *)it;
        if (count < room) {
            fields[count] = (struct ad_h2_field){.name = field->name, .value = field->value};
        }
        count++;
    }
    return count;
}

static uint32_t on_request_trailers(void *owner, struct ad_h2_stream *s, struct ad_h2_field *fields,
                                    uint32_t room)
{
    const struct aioduct_exchange *ex = exchange_of(s);
    (void)owner;
    uint32_t count = put_trailers(&ex->request->trailers, fields, 0, room);
    return put_trailers(&ex->trailers, fields, count, room);
}

/* The answer is complete, and so is what a raw exchange had to send. Those that the codec finds are
 * told together behind it: each part of the code runs for many of them while it is in the cache. */
static void finish(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    ad_conn_info_fill(conn);
    conn->served += conn->served != UINT32_MAX;
    ad_conn_h2_leave(conn, ex);
    ad_exchange_set_recv(ex, AD_RECV_END);
    if (conn->h2->working) {
        ad_list_push_back(&conn->engine->answered, &ex->h2.node);
    } else {
        ad_exchange_complete(ex);
    }
}

void ad_conn_h2_tell_answered(struct ad_engine *engine)
{
    struct ad_list *node;
    while ((node = ad_list_pop_front(&engine->answered)) != NULL) {
        ad_exchange_complete(AD_CONTAINER_OF(node, struct aioduct_exchange, h2.node));
    }
}

void ad_conn_h2_sent(struct ad_conn *conn)
{
    struct ad_list *node;
    ad_conn_ref(conn);
    while ((node = ad_list_pop_front(&conn->h2->unflushed)) != NULL) {
        struct aioduct_exchange *ex = AD_CONTAINER_OF(node, struct aioduct_exchange, h2.flush_node);
        ad_exchange_sent(ex);
        if (ex->h2.on && ex->h2.complete) {
            finish(conn, ex);
        }
    }
    ad_conn_h2_flush(conn);
    ad_conn_unref(conn);
}

/* ---- the response ---- */

static void note_head(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    if (ex->first_byte_ns == 0) {
        ex->first_byte_ns = ad_loop_now_ns(conn->engine->loop);
    }
    ex->head_bytes = ex->h2.stream.head_bytes;
}

static void on_interim(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    note_head(conn_of(owner), exchange_of(s));
    ad_exchange_interim(exchange_of(s), head);
}

static void on_head(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    struct aioduct_exchange *ex = exchange_of(s);
    note_head(conn_of(owner), ex);
    if (ad_exchange_head(ex, head)) {
        s->raw = ex->raw;
        ad_exchange_read_timer(ex);
    }
}

/* Who takes at once what comes need not wait for a server that waits for credit: the window
 * doubles, up to a multiple of window_bytes. Each of them might be paused from now on, so what all
 * of a loop have beyond that is bounded. */
static void let_more_come(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    const struct ad_h2_limits *limits = &conn->engine->settings->h2;
    uint64_t taken = limits->stream_window_bytes + conn->engine->h2_ahead;
    uint64_t window = ex->h2.stream.window;
    uint64_t most = (window - ex->h2.ahead) * AHEAD_FACTOR;
    if (ad_buf_bytes(&ex->stash) > 0 || ad_exchange_blocked(ex) || window >= most ||
        taken >= limits->connection_window_bytes) {
        return;
    }
    uint64_t left = limits->connection_window_bytes - taken;
    uint64_t more = most - window < window ? most - window : window;
    more = ad_h2_widen(conn->h2->h2, &ex->h2.stream, (uint32_t)(more < left ? more : left));
    ex->h2.ahead += more;
    conn->engine->h2_ahead += more;
}

/* Bytes that were delivered and released need no memory any more. */
static void give_back(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    uint64_t held = atomic_load_explicit(&ex->held, memory_order_acquire);
    uint64_t done = ex->body_bytes > held ? ex->body_bytes - held : 0;
    if (done > ex->h2.given_back) {
        size_t count = (size_t)(done - ex->h2.given_back);
        ex->h2.given_back = done;
        if (ad_h2_consume(conn->h2->h2, &ex->h2.stream, count) && held == 0) {
            let_more_come(conn, ex);
        }
    }
}

static void on_body(void *owner, struct ad_h2_stream *s, const uint8_t *bytes, size_t count)
{
    struct aioduct_exchange *ex = exchange_of(s);
    if (ad_exchange_body(ex, bytes, count)) {
        give_back(conn_of(owner), ex);
        ad_exchange_read_timer(ex);
    }
}

static void on_trailers(void *owner, struct ad_h2_stream *s, const struct aioduct_head *trailers)
{
    (void)owner;
    ad_exchange_trailers(exchange_of(s), trailers);
}

/* The end of the peer's direction of a raw exchange is told like bytes: not to one that holds back.
 */
static void tell_end(struct aioduct_exchange *ex)
{
    if (ex->h2.stream.got_end && ex->raw && !ex->peer_ended && ad_buf_bytes(&ex->stash) == 0 &&
        !ad_exchange_blocked(ex)) {
        (void)ad_exchange_peer_end(ex); /* on_complete says when ours is over */
    }
}

/* A request without a body only receives; its own direction ends behind the peer's. */
static void on_end(void *owner, struct ad_h2_stream *s)
{
    struct aioduct_exchange *ex = exchange_of(s);
    if (ex->request->body_kind == AD_BODY_NONE && ex->send != AD_SEND_STOPPED) {
        ad_exchange_set_send(ex, AD_SEND_BODY);
        ad_h2_resume(conn_of(owner)->h2->h2, s);
    }
    tell_end(ex);
}

void ad_conn_h2_credit(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    if (!ex->h2.on) {
        return;
    }
    ad_conn_ref(conn);
    if (ex->send == AD_SEND_BODY) {
        ad_h2_resume(conn->h2->h2, &ex->h2.stream);
    }
    bool alive = ad_buf_bytes(&ex->stash) == 0 || ad_exchange_unstash(ex);
    if (alive && ex->h2.on) {
        give_back(conn, ex);
        tell_end(ex);
        ad_exchange_read_timer(ex);
    }
    ad_conn_h2_flush(conn);
    ad_conn_unref(conn);
}

/* ---- ends ---- */

static void on_complete(void *owner, struct ad_h2_stream *s)
{
    struct ad_conn *conn = conn_of(owner);
    struct aioduct_exchange *ex = exchange_of(s);
    if (ex->raw && ex->send == AD_SEND_FLUSH) {
        ex->h2.complete = true; /* the last bytes are to be with the system first */
    } else {
        finish(conn, ex);
    }
}

/* A server that sends the first stream of a connection away for a fault would do so again (C38). */
static bool is_hopeless(const struct ad_conn *conn, const struct ad_h2_stream *s)
{
    return conn->h2->goaway && conn->h2->goaway_code != AD_H2_NO_ERROR && s->id == 1;
}

static void on_closed(void *owner, struct ad_h2_stream *s, const struct ad_h2_end *end)
{
    struct ad_conn *conn = conn_of(owner);
    struct aioduct_exchange *ex = exchange_of(s);
    uint32_t code = end->refused && conn->h2->goaway ? conn->h2->goaway_code : end->code;
    bool unanswered = ex->recv == AD_RECV_HEAD && s->interim_count == 0;
    ad_conn_info_fill(conn);
    ad_conn_h2_leave(conn, ex);
    if (code == AD_H2_ENHANCE_YOUR_CALM) {
        ad_conn_calm(conn);
    }
    if (code == AD_H2_HTTP_1_1_REQUIRED && unanswered) {
        ad_exchange_refused_h2(ex, end->error);
    } else if (end->refused && !is_hopeless(conn, s)) {
        ad_exchange_refused(ex, end->error);
    } else {
        ex->written = ex->written && !end->refused;
        ad_exchange_break(ex, end->error);
    }
}

/* ---- the connection ---- */

static void on_goaway(void *owner, int32_t last_id, uint32_t code)
{
    struct ad_conn *conn = conn_of(owner);
    (void)last_id;
    conn->h2->goaway = true;
    conn->h2->goaway_code = code;
    conn->retired = true;
    struct aioduct_event more = {.code = (int)code};
    ad_event_conn(conn, AIODUCT_EVENT_GOAWAY, &more);
    ad_conn_blame(conn, AIODUCT_CLOSE_GOAWAY);
    if (code == AD_H2_ENHANCE_YOUR_CALM) {
        ad_conn_calm(conn);
    }
    ad_conn_h2_recount(conn);
}

static void on_pong(void *owner)
{
    ad_conn_h2_ping_answered(conn_of(owner));
}

/* What was given to it before the peer said how much it takes, and is too much, waits in the pool
 * like the others, with a deadline. The last ones first, so that their order stays. */
static void put_back_surplus(struct ad_conn *conn)
{
    struct ad_h2_side *side = conn->h2;
    struct ad_list *it = side->exchanges.prev;
    unsigned count = ad_h2_surplus(side->h2);
    while (count > 0 && it != &side->exchanges) {
        struct aioduct_exchange *ex = AD_CONTAINER_OF(it, struct aioduct_exchange, h2.node);
        it = it->prev;
        if (ad_h2_is_queued(&ex->h2.stream) && ex->send == AD_SEND_HEAD) { /* not stopped */
            ad_h2_cancel(side->h2, &ex->h2.stream, AD_H2_CANCEL);
            ad_conn_h2_leave(conn, ex);
            ad_exchange_put_back(ex);
            count--;
        }
    }
}

static void on_room(void *owner)
{
    struct ad_conn *conn = conn_of(owner);
    conn->share->streams_max = ad_h2_streams_max(conn->h2->h2);
    if (ad_h2_is_final(conn->h2->h2)) {
        conn->retired = true;
        ad_conn_blame(conn, AIODUCT_CLOSE_LIMIT); /* of stream ids, if not by a GOAWAY */
    }
    put_back_surplus(conn);
    ad_conn_h2_recount(conn);
}

const struct ad_h2_events ad_conn_h2_events = {
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_complete = on_complete,
    .on_goaway = on_goaway,
    .on_pong = on_pong,
    .on_closed = on_closed,
    .on_room = on_room,
    .on_head_sent = on_head_sent,
    .on_source = on_source,
    .on_request_trailers = on_request_trailers,
};
