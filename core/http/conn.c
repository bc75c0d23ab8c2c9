/* SPDX-License-Identifier: MIT */
/* A connection's life: opening, events of the transport, idleness, closing. */
#include "http/conn.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/engine.h"
#include "http/event.h"
#include "http/exchange.h"

#include <aioduct/plugin/plugin.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A dial that nobody waits for any more ends this long after its waiters' own deadline. */
#define SURPLUS_DIAL_NS 1000000000u
/* What a shared connection may receive while it is idle: pings and settings for hours. */
#define IDLE_BYTES_MAX 65536u

static struct ad_conn *conn_of(const struct ad_transport *t)
{
    return (struct ad_conn *)(void *)((uintptr_t)t - sizeof(struct ad_conn));
}

/* ---- memory ---- */

void ad_conn_ref(struct ad_conn *conn)
{
    conn->refs++;
}

static void release(struct ad_deferred *deferred)
{
    struct ad_conn *conn = AD_CONTAINER_OF(deferred, struct ad_conn, deferred);
    if (conn->codec != NULL) {
        conn->codec->fini(conn);
    }
    ad_deadline_remove(conn->engine->loop, &conn->deadline);
    ad_transport_fini(ad_conn_transport(conn));
    ad_free(conn->info);
    ad_free(conn);
}

void ad_conn_unref(struct ad_conn *conn)
{
    if (conn != NULL) {
        AD_ASSERT(conn->refs > 0);
        if (--conn->refs == 0) {
            conn->deferred.release = release;
            ad_loop_defer(conn->engine->loop, &conn->deferred);
        }
    }
}

/* ---- information ---- */

void ad_conn_wire_fill(struct ad_conn *conn)
{
    if (!conn->closed && conn->info != NULL) {
        ad_transport_wire_bytes(ad_conn_transport(conn), &conn->info->wire_sent,
                                &conn->info->wire_received);
    }
}

/* ---- the transport's events ---- */

static void on_step(struct ad_transport *t, const struct ad_dial_step *step)
{
    static const enum aioduct_event_kind kinds[] = {
        [AD_DIAL_RESOLVED] = AIODUCT_EVENT_RESOLVED,
        [AD_DIAL_CONNECT] = AIODUCT_EVENT_CONNECT,
        [AD_DIAL_CONNECT_FAILED] = AIODUCT_EVENT_CONNECT_FAILED,
        [AD_DIAL_CONNECTED] = AIODUCT_EVENT_CONNECTED,
    };
    struct ad_conn *conn = conn_of(t);
    struct aioduct_event more = {.count = step->count, .code = step->code};
    char address[AD_ADDR_TEXT_BYTES] = "";
    if (!ad_event_wanted(conn->engine)) {
        return;
    }
    if (step->addr != NULL) {
        ad_conn_address_text((const uint8_t *)&step->addr->storage, step->addr->bytes, address,
                             &more.address_port);
        more.address = address;
    }
    ad_event_conn_tell(conn, kinds[step->kind], &more);
}

static void tell_opened(struct ad_conn *conn)
{
    const struct ad_transport *t = ad_conn_transport(conn);
    if (!ad_event_wanted(conn->engine)) {
        return;
    }
    if (ad_transport_is_tls(t)) {
        struct aioduct_event tls = {.tls_version = ad_transport_tls_version(t),
                                    .tls_cipher = ad_transport_tls_cipher(t),
                                    .tls_resumed = ad_transport_tls_resumed(t)};
        ad_event_conn_tell(conn, AIODUCT_EVENT_SECURED, &tls);
    }
    struct aioduct_event more = {.protocol = conn->codec->protocol};
    ad_event_conn_tell(conn, AIODUCT_EVENT_OPENED, &more);
}

static void tell_open_failed(struct ad_conn *conn, const struct aioduct_error *error)
{
    struct aioduct_event more = {.error = error, .code = error->code};
    ad_event_conn(conn, AIODUCT_EVENT_OPEN_FAILED, &more);
    ad_conn_blame(conn, AIODUCT_CLOSE_OPENING);
}

/* By what was agreed, on clear text by what was asked for. NULL: it was not offered. */
static const struct ad_codec *choose_codec(const struct ad_conn *conn)
{
    enum ad_offer offer = conn->origin->key.offer;
    const struct ad_codec *h2 = offer == AD_OFFER_H1 ? NULL : conn->engine->codec_h2;
    const char *alpn = ad_transport_alpn(ad_conn_transport(conn));
    if (!conn->origin->key.tls) {
        return offer == AD_OFFER_H2 ? h2 : &ad_codec_h1;
    }
    if (h2 != NULL && strcmp(alpn, h2->protocol) == 0) {
        return h2;
    }
    bool is_h1 = alpn[0] == '\0' || strcmp(alpn, ad_codec_h1.protocol) == 0;
    return is_h1 && offer != AD_OFFER_H2 ? &ad_codec_h1 : NULL;
}

static void open_failed(struct ad_conn *conn, int code, enum aioduct_phase phase,
                        const char *message)
{
    struct aioduct_error error;
    ad_error_set(&error, code, phase, "%s", message);
    tell_open_failed(conn, &error);
    ad_pool_open_failed(conn, &error);
}

/* What it had while it opened goes to who was waiting, and a shared one keeps it. */
static int open_codec(struct ad_conn *conn, const struct ad_codec *codec, struct ad_conn_way *way)
{
    uint64_t now_ns = ad_loop_now_ns(conn->engine->loop);
    *way = (struct ad_conn_way){
        .dial_ns = conn->dial_ns,
        .times = conn->times,
        .secured_ns = ad_transport_is_tls(ad_conn_transport(conn)) ? now_ns : 0,
    };
    conn->codec = codec;
    conn->opened_ns = now_ns;
    conn->h1 = NULL;
    conn->exchange_count = 0;
    conn->served = 0;
    int code = codec->open(conn);
    if (code == 0 && codec->shared) {
        conn->share->way = *way;
    }
    return code;
}

static void on_open(struct ad_transport *t, int code)
{
    struct ad_conn *conn = conn_of(t);
    if (conn->state == AD_CONN_CLOSING) {
        return;
    }
    AD_ASSERT(conn->state == AD_CONN_OPENING);
    if (code < 0) {
        tell_open_failed(conn, ad_transport_error(t));
        ad_pool_open_failed(conn, ad_transport_error(t));
        return;
    }
    const struct ad_codec *codec = choose_codec(conn);
    if (codec == NULL) {
        bool none = ad_transport_alpn(t)[0] == '\0';
        open_failed(conn, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_TLS,
                    none ? "the server does not speak HTTP/2, and nothing else was asked for"
                         : "the server chose a protocol that was not offered");
        return;
    }
    struct ad_conn_way way;
    int opened = open_codec(conn, codec, &way);
    if (opened == AIODUCT_E_TLS) {
        open_failed(conn, AIODUCT_E_TLS, AIODUCT_PHASE_TLS,
                    "the server chose HTTP/2 with a cipher suite that it prohibits");
        return;
    }
    if (opened < 0) {
        open_failed(conn, -ENOMEM, AIODUCT_PHASE_CONNECT, "out of memory");
        return;
    }
    tell_opened(conn);
    conn->engine->way = &way;
    ad_pool_opened(conn);
    conn->engine->way = NULL;
}

/* Does the codec hear what comes now? */
static bool is_heard(const struct ad_conn *conn)
{
    return conn->state == AD_CONN_BUSY || (conn->state == AD_CONN_IDLE && conn->codec->shared);
}

/* What comes on an idle connection that is not heard is the answer to a request that nobody sent
 * (C12, C24). Shared ones have things to say; a server that has too many costs more than it is
 * worth. */
static bool is_trusted_idle(struct ad_conn *conn, size_t count)
{
    if (conn->state != AD_CONN_IDLE) {
        return true;
    }
    size_t bytes = count + (conn->codec->shared ? conn->share->idle_bytes : 0);
    if (conn->codec->shared && bytes <= IDLE_BYTES_MAX) {
        conn->share->idle_bytes = (uint32_t)bytes;
        return true;
    }
    ad_logf(AD_LOG_INFO, "%s:%u: %zu bytes on an idle connection, closed", conn->origin->dial_host,
            conn->origin->dial_port, bytes);
    ad_pool_evict(conn, AIODUCT_CLOSE_UNASKED, false);
    return false;
}

static void on_plain(struct ad_transport *t, const uint8_t *bytes, size_t count)
{
    struct ad_conn *conn = conn_of(t);
    ad_stats_add(&conn->engine->stats, AD_STAT_BYTES_IN, count);
    if (conn->state == AD_CONN_CLOSING || !is_trusted_idle(conn, count)) {
        return;
    }
    ad_conn_ref(conn);
    conn->codec->feed(conn, bytes, count);
    ad_conn_unref(conn);
}

static void on_end(struct ad_transport *t, int code)
{
    struct ad_conn *conn = conn_of(t);
    if (conn->state == AD_CONN_CLOSING) {
        return;
    }
    ad_conn_blame(conn, code == 0 || code == AIODUCT_E_TRUNCATED ? AIODUCT_CLOSE_PEER
                                                                 : AIODUCT_CLOSE_ERROR);
    if (conn->state == AD_CONN_IDLE) {
        ad_conn_close(conn, code == 0);
        return;
    }
    ad_conn_ref(conn);
    conn->codec->eof(conn, code);
    ad_conn_unref(conn);
}

static void on_produce(struct ad_transport *t, struct ad_buf *out, size_t room)
{
    struct ad_conn *conn = conn_of(t);
    if (is_heard(conn)) {
        size_t before = ad_buf_bytes(out);
        ad_conn_ref(conn);
        conn->codec->produce(conn, out, room);
        ad_stats_add(&conn->engine->stats, AD_STAT_BYTES_OUT, ad_buf_bytes(out) - before);
        ad_conn_unref(conn);
    }
}

static void on_sent(struct ad_transport *t)
{
    struct ad_conn *conn = conn_of(t);
    if (is_heard(conn)) {
        conn->codec->sent(conn);
    }
}

static void on_file(struct ad_transport *t, int code, size_t count)
{
    struct ad_conn *conn = conn_of(t);
    ad_stats_add(&conn->engine->stats, AD_STAT_BYTES_OUT, count);
    if (is_heard(conn)) {
        ad_conn_ref(conn);
        conn->codec->file_sent(conn, code, count);
        ad_conn_unref(conn);
    }
}

static void on_send_error(struct ad_transport *t, int code)
{
    struct ad_conn *conn = conn_of(t);
    if (conn->state == AD_CONN_CLOSING) {
        return;
    }
    ad_conn_blame(conn, AIODUCT_CLOSE_ERROR);
    if (conn->state == AD_CONN_IDLE) {
        ad_conn_close(conn, false);
        return;
    }
    ad_conn_ref(conn);
    conn->codec->send_failed(conn, code);
    ad_conn_unref(conn);
}

static void on_closed(struct ad_transport *t)
{
    struct ad_conn *conn = conn_of(t);
    struct ad_engine *engine = conn->engine;
    AD_ASSERT(conn->state == AD_CONN_CLOSING);
    ad_conn_wire_fill(conn);
    conn->closed = true;
    ad_list_remove(&conn->node);
    engine->conn_count--;
    engine->closing_count--;
    ad_conn_unref(conn);
    engine->progress(engine);
}

static const struct ad_transport_events transport_events = {
    .on_step = on_step,
    .on_open = on_open,
    .on_plain = on_plain,
    .on_end = on_end,
    .on_produce = on_produce,
    .on_sent = on_sent,
    .on_file = on_file,
    .on_send_error = on_send_error,
    .on_closed = on_closed,
};

/* ---- verbs ---- */

static void on_deadline(struct ad_deadline *deadline)
{
    struct ad_conn *conn = AD_CONTAINER_OF(deadline, struct ad_conn, deadline);
    ad_conn_blame(conn, conn->state == AD_CONN_OPENING ? AIODUCT_CLOSE_NOT_NEEDED
                        : conn->state == AD_CONN_BUSY  ? AIODUCT_CLOSE_CANCELLED
                        : ad_conn_too_old(conn)        ? AIODUCT_CLOSE_AGE
                                                       : AIODUCT_CLOSE_IDLE);
    ad_conn_close(conn, conn->state == AD_CONN_IDLE);
}

static int start_transport(struct ad_conn *conn)
{
    static const char *const alpn[][3] = {
        [AD_OFFER_H1] = {"http/1.1", NULL},
        [AD_OFFER_H2] = {"h2", NULL},
        [AD_OFFER_ANY] = {"h2", "http/1.1", NULL},
    };
    const struct ad_engine *engine = conn->engine;
    const struct ad_origin *origin = conn->origin;
    struct ad_transport_params params = {
        .dial = {.resolver = engine->resolver,
                 .host = origin->dial_host,
                 .port = origin->dial_port,
                 .family = engine->settings->family,
                 .resolution_delay_ms = engine->settings->resolution_delay_ms,
                 .attempt_delay_ms = (uint32_t)engine->settings->attempt_delay_ms,
                 .socket = &engine->settings->socket,
                 .addrs = origin->dial_addrs,
                 .addr_count = origin->dial_addr_count,
                 .history = &conn->engine->dial_history,
                 .times = &conn->times},
        .place = ad_conn_transport(conn),
        .tls = origin->key.tls ? engine->tls : NULL,
        .tls_host = origin->key.host,
        .alpn = alpn[origin->key.offer],
    };
    struct ad_transport *t;
    return ad_transport_start(engine->loop, &params, &transport_events, NULL, &t);
}

int ad_conn_open(struct ad_engine *engine, struct ad_origin *origin)
{
    static _Atomic uint64_t count;
    struct ad_conn *conn = ad_zalloc(sizeof *conn + ad_transport_bytes());
    if (conn == NULL) {
        return -ENOMEM;
    }
    conn->engine = engine;
    conn->origin = origin;
    conn->number = 1 + atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    conn->dial_ns = ad_loop_now_ns(engine->loop);
    conn->refs = 1;
    conn->deadline.expired = on_deadline;
    ad_event_conn(conn, AIODUCT_EVENT_DIAL, NULL);
    int code = start_transport(conn);
    uint64_t bound_ns = engine->settings->connect_ns;
    if (code < 0) {
        struct aioduct_event more = {.reason = AIODUCT_CLOSE_OPENING, .code = code};
        ad_event_conn(conn, AIODUCT_EVENT_CLOSED, &more);
        ad_free(conn);
        return code;
    }
    ad_list_push_back(&engine->conns, &conn->node);
    engine->conn_count++;
    ad_list_push_front(&origin->opening, &conn->place_node);
    origin->opening_count++;
    ad_stats_add(&engine->stats, AD_STAT_OPENING, 1);
    ad_stats_add(&engine->stats, AD_STAT_DIALS, 1);
    origin->conn_count++;
    if (bound_ns != 0 &&
        ad_deadline_set(engine->loop, &conn->deadline,
                        ad_loop_now_ns(engine->loop) + bound_ns + SURPLUS_DIAL_NS) < 0) {
        ad_conn_close(conn, false);
        return -ENOMEM;
    }
    return 0;
}

void ad_conn_wait_longer(struct ad_conn *conn, uint64_t connect_ns)
{
    uint64_t until_ns = ad_loop_now_ns(conn->engine->loop) + connect_ns + SURPLUS_DIAL_NS;
    if (connect_ns == 0) {
        ad_deadline_clear(&conn->deadline);
    } else if (conn->deadline.at_ns != 0 && until_ns > conn->deadline.at_ns) {
        (void)ad_deadline_set(conn->engine->loop, &conn->deadline, until_ns); /* later: a store */
    }
}

/* Only who takes it as it opens, or shares it from its beginning, has waited for it. */
static void note_way(const struct ad_conn *conn, struct aioduct_exchange *ex)
{
    static const struct ad_conn_way none;
    const struct ad_conn_way *way = conn->codec->shared ? &conn->share->way : conn->engine->way;
    ex->way = way != NULL ? *way : none;
}

void ad_conn_assign(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    conn->state = AD_CONN_BUSY;
    conn->exchange_count++;
    ad_exchange_set_place(ex, AD_PLACE_CONN);
    ad_conn_unref(ex->conn);
    ad_conn_ref(conn);
    ex->conn = conn;
    ex->reused = conn->served > 0;
    ex->kept = conn->served > 0 || conn->was_idle;
    if (!ex->kept) {
        note_way(conn, ex);
    }
    ex->picked_ns = ad_loop_now_ns(conn->engine->loop);
    ad_event_exchange(ex, AIODUCT_EVENT_PICKED, 0, NULL);
    ad_trace_request(ex);
    if (conn->codec->shared) {
        conn->share->streams_counted++;
        ad_stats_add(&conn->engine->stats, AD_STAT_STREAMS, 1);
    }
    conn->codec->submit(conn, ex);
}

static void say_goodbye(struct ad_conn *conn)
{
    struct ad_buf words = {0};
    conn->codec->goodbye(conn, &words);
    size_t count = ad_buf_bytes(&words);
    if (count > 0) {
        ad_transport_append(ad_conn_transport(conn), ad_buf_data(&words), count);
        ad_stats_add(&conn->engine->stats, AD_STAT_BYTES_OUT, count);
    }
    ad_buf_fini(&words);
}

void ad_conn_close(struct ad_conn *conn, bool orderly)
{
    if (conn->state == AD_CONN_CLOSING) {
        return;
    }
    if (orderly && conn->codec != NULL && conn->codec->goodbye != NULL) {
        say_goodbye(conn);
    }
    ad_conn_wire_fill(conn);
    ad_conn_blame(conn, AIODUCT_CLOSE_NONE);
    ad_stats_add(&conn->engine->stats, AD_STAT_CLOSED + conn->why, 1);
    if (ad_event_wanted(conn->engine)) {
        struct aioduct_event more = {.reason = conn->why,
                                     .count = conn->codec != NULL ? conn->served : 0};
        ad_event_conn_tell(conn, AIODUCT_EVENT_CLOSED, &more);
    }
    ad_pool_forget(conn);
    conn->state = AD_CONN_CLOSING;
    conn->engine->closing_count++;
    ad_deadline_clear(&conn->deadline);
    ad_transport_close(ad_conn_transport(conn), orderly);
}

void ad_conn_blame(struct ad_conn *conn, enum aioduct_close_reason why)
{
    if (conn->why == AIODUCT_CLOSE_NONE) {
        conn->why = (uint8_t)(conn->engine->closing ? AIODUCT_CLOSE_CLIENT : why);
    }
}

bool ad_conn_too_old(const struct ad_conn *conn)
{
    uint64_t age_ns = conn->engine->settings->age_ns;
    return age_ns != 0 && ad_loop_now_ns(conn->engine->loop) - conn->opened_ns >= age_ns;
}

void ad_conn_release(struct ad_conn *conn)
{
    AD_ASSERT(!conn->codec->shared);
    ad_deadline_clear(&conn->deadline);
    conn->exchange_count = 0;
    if (conn->engine->closing) {
        ad_conn_close(conn, true);
        return;
    }
    ad_pool_release(conn);
}

void ad_conn_room_changed(struct ad_conn *conn)
{
    AD_ASSERT(conn->codec->shared);
    if (is_heard(conn)) {
        ad_pool_room_changed(conn);
    }
}

void ad_conn_calm(struct ad_conn *conn)
{
    if (is_heard(conn)) {
        ad_pool_calm(conn);
    }
}
