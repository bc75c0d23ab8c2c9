/* SPDX-License-Identifier: MIT */
/*
 * What an exchange does when its codec tells it how far the message went: heads written and come,
 * bodies that wait for a 100, answers that come before the request's end. The same for every
 * protocol; how a connection is left is the codec's.
 */
#include "base/error.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/dispatch.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"

#include <errno.h>
#include <string.h>

/* ---- the request's direction ---- */

bool ad_exchange_expects(const struct aioduct_exchange *ex)
{
    return ex->request->expect && !ex->no_expect && ex->request->body_length != 0 &&
           ad_request_has_content(ex->request);
}

/* The time in which the peer must have taken something. */
static void run_write_gap(struct aioduct_exchange *ex)
{
    ad_exchange_arm(ex, &ex->write_deadline, ad_exchange_timeout_ns(ex, AD_TIMEOUT_WRITE_GAP));
}

/* The body goes at the 100, or when that took too long (C21). Without a bound for that it is the
 * answer that is waited for. */
static void wait_for_100(struct aioduct_exchange *ex)
{
    uint64_t ns = ad_exchange_timeout_ns(ex, AD_TIMEOUT_EXPECT);
    ad_exchange_set_send(ex, AD_SEND_EXPECT);
    if (ns != 0) {
        ad_exchange_arm(ex, &ex->write_deadline, ns);
    } else {
        ad_exchange_arm(ex, &ex->read_deadline, ad_exchange_timeout_ns(ex, AD_TIMEOUT_HEAD));
    }
}

void ad_exchange_head_written(struct aioduct_exchange *ex)
{
    ex->written = true;
    ad_pace_restart(ex);
    if (!ad_request_has_content(ex->request)) {
        ad_exchange_set_send(ex, AD_SEND_FLUSH);
    } else if (ad_exchange_expects(ex)) {
        wait_for_100(ex);
    } else {
        ad_exchange_set_send(ex, AD_SEND_BODY);
    }
}

void ad_exchange_produced(struct aioduct_exchange *ex)
{
    if (ex->send != AD_SEND_EXPECT) {
        run_write_gap(ex);
    }
}

void ad_exchange_uploaded(struct aioduct_exchange *ex, enum ad_upload_step step)
{
    if (step == AD_UPLOAD_END) {
        ad_exchange_set_send(ex, AD_SEND_FLUSH);
    } else if (step == AD_UPLOAD_WAIT) {
        ad_exchange_set_send(ex, AD_SEND_WAIT);
        if (ex->upload.ready) { /* called before the source had returned */
            ad_exchange_body_ready(ex);
        }
    }
}

/* Sending is over: from now on it is the answer that is waited for. */
static void wait_for_answer(struct aioduct_exchange *ex)
{
    ad_deadline_clear(&ex->write_deadline);
    if (ex->recv == AD_RECV_HEAD) {
        ad_exchange_arm(ex, &ex->read_deadline, ad_exchange_timeout_ns(ex, AD_TIMEOUT_HEAD));
    } else {
        ad_exchange_read_timer(ex);
    }
}

void ad_exchange_sent(struct aioduct_exchange *ex)
{
    if (ex->send == AD_SEND_WAIT) {
        ad_deadline_clear(&ex->write_deadline);
    } else if (ex->send == AD_SEND_FLUSH) {
        ad_exchange_set_send(ex, AD_SEND_SENT);
        if (ex->sent_ns == 0) { /* a raw exchange comes here twice */
            ex->sent_ns = ad_loop_now_ns(ex->engine->loop);
        }
        wait_for_answer(ex);
    }
}

void ad_exchange_stop_sending(struct aioduct_exchange *ex)
{
    if (ex->send < AD_SEND_HEAD || ex->send >= AD_SEND_SENT) {
        return;
    }
    ad_exchange_set_send(ex, AD_SEND_STOPPED);
    wait_for_answer(ex);
}

void ad_exchange_expect_over(struct aioduct_exchange *ex)
{
    if (ex->send == AD_SEND_EXPECT) {
        ad_deadline_clear(&ex->read_deadline);
        ad_exchange_set_send(ex, AD_SEND_BODY);
        run_write_gap(ex);
        ad_exchange_kick(ex);
    }
}

/* ---- the response's direction ---- */

void ad_exchange_interim(struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    ad_dispatch_interim(ex, head);
    if (head->status == 100 && ex->place == AD_PLACE_CONN) {
        ad_exchange_expect_over(ex);
    }
}

/* May the request be made again, as if nothing had been sent? One that was refused for the way it
 * was sent: 417 without Expect (C21), 421 on a connection of its own (C31). */
static bool is_to_ask_again(struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    bool refused = head->status == 417 && ad_exchange_expects(ex);
    bool misdirected =
        head->status == 421 && !ex->misdirected && ex->engine->settings->replays_max > 0;
    if ((!refused && !misdirected) || !ad_upload_replayable(ex)) {
        return false;
    }
    ex->no_expect = ex->no_expect || refused;
    ex->misdirected = ex->misdirected || misdirected;
    ex->fresh_only = ex->fresh_only || misdirected;
    return true;
}

/* Is an answer like this the end of an upload that has much to go? A success may be read while the
 * body goes on; a little rest is sent, so that the connection can be kept (C14). */
static bool refuses_body(const struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    if ((ex->send != AD_SEND_BODY && ex->send != AD_SEND_WAIT) || head->status < 300) {
        return false;
    }
    int64_t left = ad_upload_left(ex);
    return left < 0 || left > (int64_t)ex->engine->settings->drain_bytes_max;
}

/* Has the server agreed to speak another protocol from here on? */
static bool becomes_raw(const struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    bool accepted = head->status / 100 == 2;
    if (ex->request->tunnel != NULL) {
        return accepted;
    }
    /* Over HTTP/2 it is a CONNECT that names a protocol (RFC 8441). */
    return ex->request->upgrade != NULL && (head->version == 20 ? accepted : head->status == 101);
}

/* What follows the request's head and the answer's; nothing does where the way out is gone. */
static void begin_raw(struct aioduct_exchange *ex)
{
    if (ex->raw && ex->request->body_kind != AD_BODY_NONE && ex->send != AD_SEND_STOPPED) {
        ad_exchange_set_send(ex, AD_SEND_BODY);
        ad_exchange_kick(ex);
    } else if (!ex->raw && ad_request_is_raw(ex->request)) {
        ad_upload_finish(ex); /* refused: nothing will go out */
    }
}

/* Does the head say already that the body is more than the request wants? */
static void check_length(struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    uint32_t bytes;
    uint64_t length, max = ex->body_max;
    if (max == UINT64_MAX) {
        return;
    }
    const char *value = aioduct_head_find(head, "Content-Length", &bytes);
    bool bodiless = ex->raw || ex->request->is_head || head->status == 204 || head->status == 304;
    if (value != NULL && !bodiless &&
        ad_slice_to_u64((struct ad_slice){value, bytes}, INT64_MAX, &length) == 0 && length > max) {
        ad_exchange_failf(
            ex, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY, "the body has %llu bytes, more than %llu (%s)",
            (unsigned long long)length, (unsigned long long)max, ad_sink_max_name(ex));
    }
}

bool ad_exchange_head(struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    ex->head_ns = ad_loop_now_ns(ex->engine->loop);
    if (is_to_ask_again(ex, head)) {
        ad_exchange_again(ex);
        return false;
    }
    ad_exchange_set_recv(ex, AD_RECV_BODY);
    if (ex->send == AD_SEND_EXPECT || refuses_body(ex, head)) {
        ad_exchange_stop_sending(ex);
    }
    if (ex->send == AD_SEND_STOPPED) {
        ad_upload_finish(ex); /* nothing is sent again after this */
    }
    ex->raw = becomes_raw(ex, head);
    ex->body_max = ex->request->recv_bytes_max == 0 ? UINT64_MAX : ex->request->recv_bytes_max;
    if (ex->request->sink_kind != AD_SINK_NONE) {
        ad_sink_head(ex, head);
    }
    if (ex->place == AD_PLACE_CONN) {
        ad_dispatch_head(ex, head);
    }
    if (ex->place == AD_PLACE_CONN) {
        check_length(ex, head);
    }
    if (ex->place == AD_PLACE_CONN) {
        begin_raw(ex);
    }
    return ex->place == AD_PLACE_CONN;
}

/* ---- raw exchanges ---- */

bool ad_exchange_raw_sent(const struct aioduct_exchange *ex)
{
    return ex->raw && ex->send == AD_SEND_SENT && ex->request->body_kind != AD_BODY_NONE;
}

bool ad_exchange_peer_end(struct aioduct_exchange *ex)
{
    ex->peer_ended = true;
    ad_dispatch_body(ex, (const uint8_t *)"", 0);
    return ex->place == AD_PLACE_CONN && ex->send >= AD_SEND_SENT;
}

/* ---- trailers ---- */

/* A copy: the headers, then their text. */
struct ad_kept_trailers {
    struct aioduct_head head;
    struct aioduct_header headers[];
};

static const char *keep_text(char **to, const char *text, uint32_t bytes)
{
    char *at = *to;
    if (bytes > 0) {
        memcpy(at, text, bytes);
    }
    *to += bytes;
    return at;
}

static struct ad_kept_trailers *keep(const struct aioduct_head *head)
{
    size_t bytes = sizeof(struct ad_kept_trailers) + head->header_count * sizeof *head->headers;
    size_t text_at = bytes;
    for (uint32_t i = 0; i < head->header_count; i++) {
        bytes += (size_t)head->headers[i].name_bytes + head->headers[i].value_bytes;
    }
    struct ad_kept_trailers *kept = ad_alloc(bytes);
    if (kept == NULL) {
        return NULL;
    }
    char *text = (char *)kept + text_at;
    kept->head = *head;
    kept->head.headers = kept->headers;
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *from = &head->headers[i];
        kept->headers[i] = (struct aioduct_header){
            .name = keep_text(&text, from->name, from->name_bytes),
            .value = keep_text(&text, from->value, from->value_bytes),
            .name_bytes = from->name_bytes,
            .value_bytes = from->value_bytes,
        };
    }
    return kept;
}

void ad_exchange_trailers(struct aioduct_exchange *ex, const struct aioduct_head *trailers)
{
    if (ad_buf_bytes(&ex->stash) == 0) {
        ad_dispatch_trailers(ex, trailers);
        return;
    }
    ex->kept_trailers = keep(trailers);
    if (ex->kept_trailers == NULL) {
        ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_BODY, "out of memory");
    }
}

bool ad_exchange_unstash_trailers(struct aioduct_exchange *ex)
{
    struct ad_kept_trailers *kept = ex->kept_trailers;
    ex->kept_trailers = NULL;
    ad_dispatch_trailers(ex, &kept->head);
    ad_free(kept);
    return ex->place < AD_PLACE_ENDED;
}
