/* SPDX-License-Identifier: MIT */
/* nghttp2's callbacks for what the peer sent. A stream whose owner has left has no user data any
 * more: what still comes for it keeps HPACK and the connection's window in step and is dropped
 * (C36, C45). */
#include "proto/h2_private.h"

#include "base/error.h"

#include <string.h>

/* A peer that goes on this far past the limit of a head is not mistaken but hostile (C43). */
#define BOMB_FACTOR 8u

/* Small bodies add up before nghttp2 is told of them. */
#define TELL_BYTES 4096u

/* ---- header blocks ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct ad_h2 *h2 = user;
    (void)session;
    ad_h2_block_begin(&h2->block, h2->limits, ad_h2_stream_of(h2, frame->hd.stream_id));
    return 0;
}

/* One field of a block that nobody wants: counted all the same. */
static int count_dropped(struct ad_h2 *h2, size_t bytes)
{
    uint64_t max = (uint64_t)h2->limits->head_bytes_max * BOMB_FACTOR;
    h2->block.bytes += bytes;
    if (h2->block.bytes <= max) {
        return 0;
    }
    ad_h2_fail(h2, AIODUCT_E_LIMIT, NGHTTP2_ENHANCE_YOUR_CALM,
               "a response head of more than %llu bytes (head_bytes_max is %u)",
               (unsigned long long)max, h2->limits->head_bytes_max);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user)
{
    struct ad_h2 *h2 = user;
    struct ad_h2_stream *s = h2->block.s;
    struct aioduct_error error;
    (void)session;
    (void)flags;
    if (s == NULL) {
        return count_dropped(h2, name_bytes + value_bytes);
    }
    int code =
        ad_h2_block_add(&h2->block, h2->limits, (struct ad_slice){(const char *)name, name_bytes},
                        (struct ad_slice){(const char *)value, value_bytes}, &error);
    if (code < 0) {
        uint32_t say = code == AIODUCT_E_PROTOCOL ? AD_H2_PROTOCOL_ERROR : AD_H2_CANCEL;
        h2->block.s = NULL;
        ad_h2_end(h2, s, say, false, &error);
        ad_h2_reset(h2, frame->hd.stream_id, say);
    }
    return 0;
}

/* ---- heads and ends ---- */

static void malformed(struct ad_h2 *h2, struct ad_h2_stream *s, const char *what)
{
    struct aioduct_error error;
    int32_t id = s->id;
    ad_error_set(&error, AIODUCT_E_PROTOCOL, ad_h2_phase(s), "malformed response: %s", what);
    ad_h2_end(h2, s, AD_H2_PROTOCOL_ERROR, false, &error);
    ad_h2_reset(h2, id, AD_H2_PROTOCOL_ERROR);
}

static void complete(struct ad_h2 *h2, struct ad_h2_stream *s)
{
    int32_t id = s->id;
    bool uploading = !s->sent_end;
    if (!s->got_head || !ad_h2_message_ends(s)) {
        malformed(h2, s, AD_H2_WRONG_BODY);
        return;
    }
    s->got_end = true;
    if (s->raw && uploading) {
        h2->events->on_end(h2->owner, s);
        return;
    }
    ad_h2_detach(h2, s);
    if (uploading) {
        ad_h2_reset(h2, id, AD_H2_NO_ERROR);
    }
    h2->events->on_complete(h2->owner, s);
}

static void deliver_interim(struct ad_h2 *h2, struct ad_h2_stream *s,
                            const struct aioduct_head *head)
{
    struct aioduct_error error;
    int32_t id = s->id;
    if (s->interim_count == h2->limits->interim_max) {
        ad_error_set(&error, AIODUCT_E_LIMIT, AIODUCT_PHASE_HEAD,
                     "more than %u interim responses (interim_max)", h2->limits->interim_max);
        ad_h2_end(h2, s, AD_H2_CANCEL, false, &error);
        ad_h2_reset(h2, id, AD_H2_CANCEL);
        return;
    }
    s->interim_count++;
    h2->events->on_interim(h2->owner, s, head);
}

#define WRONG_BLOCK "no :status, a length that cannot be, or trailers that do not end the stream"

static void deliver_block(struct ad_h2 *h2, struct ad_h2_stream *s, const nghttp2_frame *frame)
{
    struct aioduct_head head;
    bool trailers = s->got_head;
    ad_h2_block_head(&h2->block, trailers, &head);
    s->head_bytes += h2->block.bytes;
    s->received_bytes += frame->hd.length + AD_H2_FRAME_HEAD_BYTES;
    if (!ad_h2_message_block(&h2->block, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)) {
        malformed(h2, s, WRONG_BLOCK);
    } else if (trailers && s->raw) {
        malformed(h2, s, "HEADERS where only DATA is allowed, behind an accepted CONNECT");
    } else if (trailers) {
        if (head.header_count > 0) {
            h2->events->on_trailers(h2->owner, s, &head);
        }
    } else if (head.status < 100) {
        malformed(h2, s, "the status is not one of three digits");
    } else if (head.status < 200) {
        deliver_interim(h2, s, &head);
    } else {
        s->got_head = true;
        h2->events->on_head(h2->owner, s, &head);
    }
    ad_h2_block_end(&h2->block);
}

static void headers_received(struct ad_h2 *h2, const nghttp2_frame *frame)
{
    struct ad_h2_stream *s = h2->block.s;
    if (s == NULL) {
        return;
    }
    h2->current = s;
    deliver_block(h2, s, frame);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && h2->current == s) {
        complete(h2, s);
    }
    h2->current = NULL;
}

static void pong_received(struct ad_h2 *h2, const nghttp2_frame *frame)
{
    uint64_t payload;
    memcpy(&payload, frame->ping.opaque_data, sizeof payload);
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 || payload == 0) {
        return;
    }
    if (payload == h2->reset_ping) {
        h2->reset_ping = 0;
        h2->resets_covered = 0;
        ad_h2_pace_resets(h2);
        h2->events->on_room(h2->owner);
    } else if (payload == h2->live_ping) {
        h2->live_ping = 0;
    } else {
        return;
    }
    h2->events->on_pong(h2->owner);
}

/* Now it is known whether they may be sent. */
static void queue_waiting(struct ad_h2 *h2)
{
    struct ad_list *node;
    while ((node = ad_list_pop_front(&h2->waiting)) != NULL) {
        ((struct ad_h2_stream *)(void *)node)->state = AD_H2_STREAM_QUEUED;
        ad_list_push_back(&h2->queued, node);
        h2->waiting_count--;
        h2->queued_count++;
    }
}

/* What was not given to nghttp2 yet has nowhere to go. */
static void refuse_queued(struct ad_h2 *h2)
{
    struct aioduct_error error;
    struct ad_list *node;
    ad_error_set(&error, AIODUCT_E_STREAM, AIODUCT_PHASE_SEND,
                 "the server is going away and takes no new requests");
    queue_waiting(h2);
    while ((node = ad_list_pop_front(&h2->queued)) != NULL) {
        struct ad_h2_stream *s = (struct ad_h2_stream *)(void *)node;
        h2->queued_count--;
        ad_h2_end(h2, s, AD_H2_REFUSED_STREAM, true, &error);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct ad_h2 *h2 = user;
    struct ad_h2_stream *s;
    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        headers_received(h2, frame);
        break;
    case NGHTTP2_DATA:
        s = ad_h2_stream_of(h2, frame->hd.stream_id);
        if (s != NULL) {
            s->received_bytes += AD_H2_FRAME_HEAD_BYTES + frame->data.padlen;
            s->padded = s->padded || frame->data.padlen > 0;
            if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
                complete(h2, s);
            }
        }
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            h2->has_ack = true;
        } else {
            h2->has_settings = true;
            h2->streams_max = ad_h2_remote_streams(h2);
            queue_waiting(h2);
            h2->events->on_room(h2->owner);
        }
        break;
    case NGHTTP2_PING:
        pong_received(h2, frame);
        break;
    case NGHTTP2_RST_STREAM:
        h2->reset_id = frame->hd.stream_id;
        break;
    case NGHTTP2_GOAWAY:
        h2->goaway = true;
        h2->events->on_goaway(h2->owner, frame->goaway.last_stream_id, frame->goaway.error_code);
        refuse_queued(h2);
        break;
    default:
        break;
    }
    return h2->failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* The connection's credit is returned on receipt. */
void ad_h2_tell_consumed(struct ad_h2 *h2)
{
    size_t count = h2->unconsumed;
    h2->unconsumed = 0;
    if (count > 0 && nghttp2_session_consume_connection(h2->session, count) != 0) {
        ad_h2_fail_memory(h2);
    }
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t count, void *user)
{
    struct ad_h2 *h2 = user;
    struct ad_h2_stream *s = ad_h2_stream_of(h2, id);
    (void)session;
    (void)flags;
    h2->unconsumed += count;
    if (h2->unconsumed >= TELL_BYTES) {
        ad_h2_tell_consumed(h2);
    }
    if (s != NULL && !ad_h2_message_data(s, count)) {
        malformed(h2, s, AD_H2_WRONG_BODY);
    } else if (s != NULL) {
        s->received_bytes += count;
        h2->events->on_body(h2->owner, s, bytes, count);
    }
    return h2->failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* ---- what is wrong ---- */

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *user)
{
    struct ad_h2 *h2 = user;
    struct aioduct_error error;
    struct ad_h2_stream *s = ad_h2_stream_of(h2, frame->hd.stream_id);
    (void)session;
    if (h2->block.s == s) {
        h2->block.s = NULL;
    }
    bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (s != NULL && message) { /* nghttp2 resets the stream, or ends the connection */
        ad_error_set(&error, AIODUCT_E_PROTOCOL, ad_h2_phase(s), "malformed response: %s",
                     nghttp2_strerror(code));
        ad_h2_end(h2, s, AD_H2_PROTOCOL_ERROR, false, &error);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct ad_h2 *h2 = user;
    struct ad_h2_stream *s = ad_h2_stream_of(h2, id);
    (void)session;
    h2->open_count--;
    ad_h2_reset_sent(h2, id);
    if (s != NULL && s->got_end && (s->sent_end || code == NGHTTP2_NO_ERROR)) {
        ad_h2_detach(h2, s); /* a raw one; or the peer wants no more of it, and has said all */
        h2->events->on_complete(h2->owner, s);
    } else if (s != NULL) {
        bool refused = code == NGHTTP2_REFUSED_STREAM && !s->got_head && s->interim_count == 0;
        ad_h2_end(h2, s, code, refused, NULL);
    }
    h2->reset_id = 0;
    h2->room_due = true;
    return 0;
}

void ad_h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
