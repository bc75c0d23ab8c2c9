/* SPDX-License-Identifier: MIT */
/*
 * The way out: requests are given to nghttp2 when there is room to write them, so that cancelling
 * one before costs nothing; bodies go from their source into the output without a copy between.
 */
#include "proto/h2_private.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* ---- fields ---- */

static void put_field(nghttp2_nv *nv, const struct ad_h2_field *field)
{
    /* nghttp2 does not write through these; its struct serves both directions. */
    nv->name = (uint8_t *)(uintptr_t)field->name.p;
    nv->namelen = field->name.bytes;
    nv->value = (uint8_t *)(uintptr_t)field->value.p;
    nv->valuelen = field->value.bytes;
    nv->flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    if (field->sensitive) {
        nv->flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
}

/* The fields as nghttp2 takes them, in memory that is used again. -> NULL: out of memory */
static nghttp2_nv *fill_nv(struct ad_h2 *h2, const struct ad_h2_field *fields, size_t count,
                           size_t more)
{
    if (count + more > h2->nv_room) {
        nghttp2_nv *nv = ad_realloc(h2->nv, (count + more) * sizeof *nv);
        if (nv == NULL) {
            return NULL;
        }
        h2->nv = nv;
        h2->nv_room = count + more;
    }
    for (size_t i = 0; i < count; i++) {
        put_field(&h2->nv[i], &fields[i]);
    }
    return h2->nv;
}

static size_t put_extra(nghttp2_nv *nv, const struct ad_h2_stream *s, size_t count)
{
    for (size_t i = 0; i < AD_H2_EXTRA_MAX; i++) {
        if (s->extra[i].name.bytes > 0) {
            put_field(&nv[count++], &s->extra[i]);
        }
    }
    return count;
}

/* ---- bodies ---- */

/* Take back what was appended for a DATA frame that is not made. */
static void take_back(struct ad_h2 *h2, size_t bytes)
{
    h2->out->end = h2->out->begin + bytes;
}

/* nghttp2 copies them. */
static int submit_trailers(struct ad_h2 *h2, struct ad_h2_stream *s, uint32_t count)
{
    struct ad_h2_field *fields = ad_alloc(count * sizeof *fields);
    nghttp2_nv *nv = fields == NULL ? NULL : fill_nv(h2, fields, 0, count);
    int code = -1;
    if (nv != NULL) {
        h2->events->on_request_trailers(h2->owner, s, fields, count);
        for (uint32_t i = 0; i < count; i++) {
            put_field(&nv[i], &fields[i]);
            nv[i].flags = NGHTTP2_NV_FLAG_NONE;
        }
        code = nghttp2_submit_trailer(h2->session, s->id, nv, count);
    }
    ad_free(fields);
    if (code != 0) {
        ad_h2_fail_memory(h2);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

/* Where the body has ended. -> how many bytes the last frame has, negative on failure */
static ad_ng_ssize end_body(struct ad_h2 *h2, struct ad_h2_stream *s, size_t before, int64_t got,
                            uint32_t *data_flags)
{
    uint32_t trailers = h2->events->on_request_trailers(h2->owner, s, NULL, 0);
    *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    s->sent_end = true;
    if (trailers == 0) {
        return (ad_ng_ssize)got;
    }
    *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (got == 0) { /* then nghttp2 makes no frame */
        take_back(h2, before);
    }
    int code = submit_trailers(h2, s, trailers);
    return code < 0 ? code : (ad_ng_ssize)got;
}

static ad_ng_ssize on_read(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length,
                           uint32_t *data_flags, nghttp2_data_source *source, void *user)
{
    static const uint8_t head[AD_H2_FRAME_HEAD_BYTES];
    struct ad_h2 *h2 = user;
    struct ad_h2_stream *s = ad_h2_stream_of(h2, id);
    (void)session;
    (void)buffer;
    (void)source;
    if (s == NULL || h2->out == NULL) {
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t before = ad_buf_bytes(h2->out);
    bool end = false;
    if (ad_buf_append(h2->out, head, sizeof head) < 0) {
        ad_h2_fail_memory(h2);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    int64_t got = h2->events->on_source(h2->owner, s, h2->out, length, &end);
    if (ad_h2_stream_of(h2, id) != s || got < 0 || (got == 0 && !end)) {
        take_back(h2, before);
        return NGHTTP2_ERR_DEFERRED;
    }
    AD_ASSERT((size_t)got <= length && ad_buf_bytes(h2->out) == before + sizeof head + (size_t)got);
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    ad_h2_frames_earn(&h2->frames, (size_t)got);
    return end ? end_body(h2, s, before, got, data_flags) : (ad_ng_ssize)got;
}

/* Right after on_read: the frame's header goes before its bytes, which are there already. */
static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t length, nghttp2_data_source *source, void *user)
{
    struct ad_h2 *h2 = user;
    struct ad_h2_stream *s = ad_h2_stream_of(h2, frame->hd.stream_id);
    (void)session;
    (void)source;
    if (s != NULL) {
        s->sent_bytes += length + AD_H2_FRAME_HEAD_BYTES;
    }
    memcpy(h2->out->block + h2->out->end - length - AD_H2_FRAME_HEAD_BYTES, head,
           AD_H2_FRAME_HEAD_BYTES);
    return ad_buf_bytes(h2->out) >= h2->out_end ? NGHTTP2_ERR_PAUSE : 0;
}

/* ---- what nghttp2 says about frames going out ---- */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct ad_h2 *h2 = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct ad_h2_stream *s = ad_h2_stream_of(h2, frame->hd.stream_id);
        h2->unsent--;
        if (s != NULL) {
            s->sent_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
            s->sent_bytes += frame->hd.length + AD_H2_FRAME_HEAD_BYTES;
            h2->events->on_head_sent(h2->owner, s);
        }
    } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        /* nghttp2 has found fault with the peer. */
        uint32_t code = frame->goaway.error_code;
        ad_h2_fail(h2, code == NGHTTP2_ENHANCE_YOUR_CALM ? AIODUCT_E_LIMIT : AIODUCT_E_PROTOCOL,
                   code, "HTTP/2 connection error %s%s%.*s", ad_h2_code_name(code),
                   frame->goaway.opaque_data_len > 0 ? ": " : "",
                   (int)frame->goaway.opaque_data_len, (const char *)frame->goaway.opaque_data);
        h2->goaway_due = false; /* this was it */
    }
    return 0;
}

static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code,
                             void *user)
{
    struct ad_h2 *h2 = user;
    struct ad_h2_stream *s = ad_h2_stream_of(h2, frame->hd.stream_id);
    struct aioduct_error error;
    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        h2->unsent--;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && s != NULL) {
        bool too_large = code == NGHTTP2_ERR_FRAME_SIZE_ERROR;
        ad_error_set(&error, too_large ? AIODUCT_E_LIMIT : AIODUCT_E_STREAM, AIODUCT_PHASE_SEND,
                     "the request could not be sent over HTTP/2: %s",
                     too_large ? "its head is too large" : nghttp2_strerror(code));
        ad_h2_end(h2, s, AD_H2_REFUSED_STREAM, !too_large, &error);
    }
    return 0;
}

void ad_h2_set_send_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
}

/* ---- produce ---- */

/* Does the peer take a request that names a protocol? (C50) Otherwise it has left. */
static bool takes_extended(struct ad_h2 *h2, struct ad_h2_stream *s)
{
    struct aioduct_error error;
    if (nghttp2_session_get_remote_settings(h2->session,
                                            NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1) {
        return true;
    }
    ad_error_set(&error, AIODUCT_E_UNSUPPORTED, AIODUCT_PHASE_SEND,
                 "the server does not offer Extended CONNECT (RFC 8441), which is how HTTP/2 asks "
                 "for another protocol; HTTP/1.1 may have Upgrade");
    ad_h2_end(h2, s, AD_H2_CANCEL, false, &error);
    return false;
}

static void open_stream(struct ad_h2 *h2, struct ad_h2_stream *s)
{
    ad_ng_data_provider provider = {.read_callback = on_read};
    struct aioduct_error error;
    nghttp2_nv *nv = fill_nv(h2, s->fields, s->field_count, AD_H2_EXTRA_MAX);
    size_t count = nv == NULL ? 0 : put_extra(nv, s, s->field_count);
    int32_t id = nv == NULL ? NGHTTP2_ERR_NOMEM
                            : ad_ng_submit_request(h2->session, NULL, nv, count,
                                                   s->has_body ? &provider : NULL, s);
    if (id > 0) {
        s->id = id;
        s->state = AD_H2_STREAM_OPEN;
        h2->known_id = id;
        h2->known_owner = s;
        h2->next_id = (uint32_t)id + 2;
        h2->unsent++;
        h2->open_count++;
        ad_h2_frames_earn_request(&h2->frames);
        return;
    }
    if (nghttp2_is_fatal(id)) {
        ad_h2_fail_memory(h2);
    }
    ad_error_set(&error, AIODUCT_E_STREAM, AIODUCT_PHASE_SEND,
                 "no HTTP/2 stream could be opened: %s", nghttp2_strerror(id));
    ad_h2_end(h2, s, AD_H2_REFUSED_STREAM, true, &error);
}

/* The first of the queue goes to nghttp2, or waits, or has left. */
static void open_first(struct ad_h2 *h2)
{
    struct ad_h2_stream *s = (struct ad_h2_stream *)(void *)ad_list_pop_front(&h2->queued);
    h2->queued_count--;
    if (s->extended && !h2->has_settings) {
        s->state = AD_H2_STREAM_WAITING;
        ad_list_push_back(&h2->waiting, &s->node);
        h2->waiting_count++;
    } else if (!s->extended || takes_extended(h2, s)) {
        open_stream(h2, s);
    }
}

/* -> was there one? */
static bool take_frame(struct ad_h2 *h2, struct ad_buf *out)
{
    const uint8_t *bytes;
    ad_ng_ssize count = ad_ng_mem_send(h2->session, &bytes);
    if (count < 0 && !h2->failed) {
        ad_h2_fail_library(h2, (int)count);
    }
    if (count <= 0) {
        return false;
    }
    h2->began = true;
    if (ad_buf_append(out, bytes, (size_t)count) < 0) {
        ad_h2_fail_memory(h2); /* a frame is lost, and HPACK is out of step */
    }
    return true;
}

static void take_frames(struct ad_h2 *h2, struct ad_buf *out, size_t end)
{
    while (!h2->failed && ad_buf_bytes(out) < end && take_frame(h2, out)) {
    }
}

/* nghttp2 may have decided during a feed to end the connection: learn why at once. Nothing but
 * control frames is left to be made then. */
static void look_for_end(struct ad_h2 *h2)
{
    if (!h2->goaway && h2->next_id <= INT32_MAX &&
        nghttp2_session_check_request_allowed(h2->session) == 0) {
        take_frames(h2, &h2->spill, SIZE_MAX);
    }
}

static void append_goaway(struct ad_h2 *h2, struct ad_buf *out)
{
    const uint8_t frame[AD_H2_FRAME_HEAD_BYTES + 8] = {
        [2] = 8,
        [3] = NGHTTP2_GOAWAY,
        [AD_H2_FRAME_HEAD_BYTES + 7] = (uint8_t)h2->goaway_code,
    };
    h2->goaway_due = false;
    if (h2->began) {
        (void)ad_buf_append(out, frame, sizeof frame); /* the connection closes either way */
    }
}

static void tell_room(struct ad_h2 *h2)
{
    if (h2->room_due) {
        h2->room_due = false;
        h2->events->on_room(h2->owner);
    }
}

int ad_h2_produce(struct ad_h2 *h2, struct ad_buf *out, size_t room, struct aioduct_error *error)
{
    size_t end = ad_buf_bytes(out) + room;
    if (ad_buf_bytes(&h2->spill) > 0) {
        if ((h2->began || !h2->failed) &&
            ad_buf_append(out, ad_buf_data(&h2->spill), ad_buf_bytes(&h2->spill)) < 0) {
            ad_h2_fail_memory(h2);
        }
        ad_buf_fini(&h2->spill);
    }
    h2->out = out;
    h2->out_end = end;
    /* One by one: in nghttp2's queue they could be left behind by a lower stream limit, and neither
     * sent nor taken back. */
    while (!h2->failed && !ad_list_empty(&h2->queued) && ad_buf_bytes(out) < end) {
        open_first(h2);
        while (h2->unsent > 0 && !h2->failed && ad_buf_bytes(out) < end && take_frame(h2, out)) {
        }
    }
    take_frames(h2, out, end);
    h2->out = NULL;
    tell_room(h2);
    if (!h2->failed) {
        return 0;
    }
    if (h2->goaway_due) {
        append_goaway(h2, out);
    }
    return ad_h2_failure(h2, error);
}

int ad_h2_feed(struct ad_h2 *h2, const uint8_t *bytes, size_t count, struct aioduct_error *error)
{
    struct ad_h2_offence offence;
    if (!h2->failed) {
        size_t good = ad_h2_frames_scan(&h2->frames, bytes, count, &offence);
        ad_ng_ssize used = good == 0 ? 0 : ad_ng_mem_recv(h2->session, bytes, good);
        if (used < 0 && !h2->failed) {
            ad_h2_fail_library(h2, (int)used);
        }
        if (!h2->failed) {
            ad_h2_tell_consumed(h2);
            look_for_end(h2);
        }
        tell_room(h2);
        if (!h2->failed && offence.text != NULL) {
            ad_h2_fail(h2,
                       offence.code == NGHTTP2_ENHANCE_YOUR_CALM ? AIODUCT_E_LIMIT
                                                                 : AIODUCT_E_PROTOCOL,
                       offence.code, "%s", offence.text);
            if (!h2->frames.began && h2->error != NULL) {
                ad_error_hint(h2->error, "does that port speak HTTP/2? Else ask for HTTP/1.1");
            }
        }
    }
    if (h2->failed) {
        return ad_h2_failure(h2, error);
    }
    return 0;
}
