/* SPDX-License-Identifier: MIT */
/* The codec's life, how it ends, and the owner's verbs. */
#include "proto/h2.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "proto/h2_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_HEAD_MAX (1u << 24) /* our own; what the caller built is not limited here */
#define WINDOW_MAX 0x7fffffffu      /* RFC 9113 section 6.9.1 */

const char *ad_h2_code_name(uint32_t code)
{
    return nghttp2_http2_strerror(code);
}

/* ---- whose stream ---- */

/* In the place of an owner: the stream is being reset. */
static char reset_mark;

/* Frames come in runs for one stream, so the last one asked for is kept. */
static void *owner_of(struct ad_h2 *h2, int32_t id)
{
    if (id == h2->known_id) {
        return h2->known_owner;
    }
    void *owner = nghttp2_session_get_stream_user_data(h2->session, id);
    if (owner != NULL) { /* else the stream may not be open yet */
        h2->known_id = id;
        h2->known_owner = owner;
    }
    return owner;
}

static void set_owner(struct ad_h2 *h2, int32_t id, void *owner)
{
    bool open = nghttp2_session_set_stream_user_data(h2->session, id, owner) == 0;
    h2->known_id = id;
    h2->known_owner = open ? owner : NULL;
}

struct ad_h2_stream *ad_h2_stream_of(struct ad_h2 *h2, int32_t id)
{
    void *owner = owner_of(h2, id);
    return owner == &reset_mark ? NULL : owner;
}

/* ---- ends ---- */

int ad_h2_fail(struct ad_h2 *h2, int code, uint32_t h2_code, const char *format, ...)
{
    char text[sizeof h2->error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!h2->failed) {
        h2->failed = h2->goaway_due = true;
        h2->goaway_code = h2_code;
        h2->error = ad_zalloc(sizeof *h2->error);
        if (h2->error != NULL) {
            ad_error_set(h2->error, code, AIODUCT_PHASE_NONE, "%s", text);
        }
    }
    return code;
}

int ad_h2_failure(const struct ad_h2 *h2, struct aioduct_error *error)
{
    if (h2->error == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_NONE, "out of memory");
    }
    *error = *h2->error;
    return error->code;
}

int ad_h2_fail_memory(struct ad_h2 *h2)
{
    return ad_h2_fail(h2, -ENOMEM, NGHTTP2_INTERNAL_ERROR, "out of memory");
}

int ad_h2_fail_library(struct ad_h2 *h2, int code)
{
    switch (code) {
    case NGHTTP2_ERR_NOMEM:
        return ad_h2_fail_memory(h2);
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        return ad_h2_fail(h2, AIODUCT_E_LIMIT, NGHTTP2_ENHANCE_YOUR_CALM, "flood: %s",
                          nghttp2_strerror(code));
    default:
        return ad_h2_fail(h2, AIODUCT_E_PROTOCOL, NGHTTP2_PROTOCOL_ERROR, "HTTP/2: %s",
                          nghttp2_strerror(code));
    }
}

enum aioduct_phase ad_h2_phase(const struct ad_h2_stream *s)
{
    return s->got_head ? AIODUCT_PHASE_BODY : AIODUCT_PHASE_HEAD;
}

void ad_h2_detach(struct ad_h2 *h2, struct ad_h2_stream *s)
{
    if (h2->current == s) {
        h2->current = NULL;
    }
    if (h2->block.s == s) {
        h2->block.s = NULL;
    }
    if (s->state == AD_H2_STREAM_OPEN) {
        set_owner(h2, s->id, NULL);
    }
    s->state = AD_H2_STREAM_IDLE;
}

static void say_code(const struct ad_h2 *h2, const struct ad_h2_stream *s, uint32_t code,
                     bool refused, struct aioduct_error *error)
{
    if (refused && h2->goaway) {
        ad_error_set(error, AIODUCT_E_STREAM, ad_h2_phase(s),
                     "the server is going away and has not acted on the request");
    } else if (!refused && h2->reset_id != s->id) { /* nghttp2 has found fault with the peer */
        ad_error_set(error, AIODUCT_E_PROTOCOL, ad_h2_phase(s), "HTTP/2 stream error %s",
                     ad_h2_code_name(code));
    } else {
        ad_error_set(error, AIODUCT_E_STREAM, ad_h2_phase(s),
                     "the server ended the HTTP/2 stream early: %s (%u)", ad_h2_code_name(code),
                     code);
    }
}

void ad_h2_end(struct ad_h2 *h2, struct ad_h2_stream *s, uint32_t code, bool refused,
               const struct aioduct_error *error)
{
    struct aioduct_error said;
    struct ad_h2_end end = {.code = code, .refused = refused, .error = error};
    if (error == NULL) {
        say_code(h2, s, code, refused, &said);
        end.error = &said;
    }
    ad_h2_detach(h2, s);
    h2->events->on_closed(h2->owner, s, &end);
}

/* ---- resets, and the pings that pace them (C44) ---- */

static int ping(struct ad_h2 *h2, uint64_t *payload)
{
    uint64_t value = ++h2->ping_count;
    uint8_t bytes[sizeof value];
    memcpy(bytes, &value, sizeof value);
    if (nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, bytes) != 0) {
        return ad_h2_fail_memory(h2);
    }
    *payload = value;
    return 0;
}

void ad_h2_pace_resets(struct ad_h2 *h2)
{
    if (h2->reset_ping == 0 && h2->resets_waiting > 0 && ping(h2, &h2->reset_ping) == 0) {
        h2->resets_covered = h2->resets_waiting;
        h2->resets_waiting = 0;
    }
}

void ad_h2_reset(struct ad_h2 *h2, int32_t id, uint32_t code)
{
    if (nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, code) != 0) {
        ad_h2_fail_memory(h2);
        return;
    }
    set_owner(h2, id, &reset_mark);
    h2->resets_unsent++;
}

/* The ping goes behind the reset, so that its answer says that the peer has seen both. */
void ad_h2_reset_sent(struct ad_h2 *h2, int32_t id)
{
    if (owner_of(h2, id) == &reset_mark) {
        h2->resets_unsent--;
        h2->resets_waiting++;
        ad_h2_pace_resets(h2);
    }
}

/* ---- life ---- */

uint32_t ad_h2_remote_streams(const struct ad_h2 *h2)
{
    return nghttp2_session_get_remote_settings(h2->session,
                                               NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

#ifdef AD_H2_HAVE_RAND
/* The seed of the stream table, in versions that have one. The ids in it are our own, so nobody can
 * choose them to collide: where this program lies in memory is random enough. */
static void on_rand(uint8_t *to, size_t count)
{
    uint64_t state = (uintptr_t)to ^ (uintptr_t)&reset_mark;
    for (size_t i = 0; i < count; i++) {
        state = (state ^ i) * 0x100000001b3u;
        to[i] = (uint8_t)(state >> 32);
    }
}
#endif

/* It lies in what sessions share. */
static int take_preface(struct ad_h2 *h2)
{
    const uint8_t *bytes;
    ad_ng_ssize count = ad_ng_mem_send(h2->session, &bytes);
    return count > 0 ? ad_buf_append(&h2->spill, bytes, (size_t)count) : -ENOMEM;
}

static int new_session(struct ad_h2 *h2, struct ad_h2_scratch *scratch)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int code = -ENOMEM;
    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
        ad_h2_set_receive_callbacks(callbacks);
        ad_h2_set_send_callbacks(callbacks);
#ifdef AD_H2_HAVE_RAND
        nghttp2_session_callbacks_set_rand_callback(callbacks, on_rand);
#endif
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_max_send_header_block_length(option, REQUEST_HEAD_MAX);
#ifdef AD_H2_HAVE_MAX_CONTINUATIONS
        /* h2_frames.c counts them; some versions count pieces of their headers. */
        nghttp2_option_set_max_continuations(option, SIZE_MAX);
#endif
        nghttp2_option_set_no_http_messaging(option, 1); /* see h2_message.c */
        if (ad_h2_scratch_session(scratch, &h2->session, callbacks, h2, option) == 0) {
            code = take_preface(h2);
        }
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return code;
}

static uint32_t window_of(uint64_t bytes)
{
    return bytes < WINDOW_MAX ? (uint32_t)bytes : WINDOW_MAX;
}

static int announce(struct ad_h2 *h2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window_of(h2->limits->stream_window_bytes)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2->limits->head_bytes_max},
    };
    if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
                                sizeof settings / sizeof settings[0]) != 0 ||
        nghttp2_session_set_local_window_size(
            h2->session, NGHTTP2_FLAG_NONE, 0,
            (int32_t)window_of(h2->limits->connection_window_bytes)) != 0) {
        return -ENOMEM;
    }
    return 0;
}

int ad_h2_create(const struct ad_h2_limits *limits, const struct ad_h2_events *events, void *owner,
                 struct ad_h2_scratch *scratch, struct ad_h2 **out)
{
    struct ad_h2 *h2 = ad_zalloc(sizeof *h2);
    if (h2 == NULL) {
        return -ENOMEM;
    }
    h2->limits = limits;
    h2->events = events;
    h2->owner = owner;
    ad_list_init(&h2->queued);
    ad_list_init(&h2->waiting);
    ad_h2_frames_init(&h2->frames);
    h2->next_id = 1;
    if (new_session(h2, scratch) < 0 || announce(h2) < 0) {
        ad_h2_destroy(h2);
        return -ENOMEM;
    }
    h2->streams_max = ad_h2_remote_streams(h2);
    *out = h2;
    return 0;
}

void ad_h2_destroy(struct ad_h2 *h2)
{
    if (h2 == NULL) {
        return;
    }
    nghttp2_session_del(h2->session);
    ad_h2_block_fini(&h2->block);
    ad_buf_fini(&h2->spill);
    ad_free(h2->nv);
    ad_free(h2->error);
    ad_free(h2);
}

/* ---- verbs ---- */

bool ad_h2_wants_write(const struct ad_h2 *h2)
{
    if (h2->failed) {
        return h2->goaway_due || ad_buf_bytes(&h2->spill) > 0;
    }
    return h2->queued_count > 0 || nghttp2_session_want_write(h2->session) != 0;
}

unsigned ad_h2_resets(const struct ad_h2 *h2)
{
    /* After a GOAWAY nobody wants the places, and without streams nghttp2 sends no ping. */
    return h2->goaway || h2->retired ? 0
                                     : h2->resets_unsent + h2->resets_waiting + h2->resets_covered;
}

void ad_h2_retire(struct ad_h2 *h2)
{
    h2->retired = true;
}

bool ad_h2_is_final(const struct ad_h2 *h2)
{
    return h2->failed || h2->goaway || h2->retired || h2->next_id > INT32_MAX;
}

unsigned ad_h2_streams_max(const struct ad_h2 *h2)
{
    uint32_t max = h2->streams_max;
    if (!h2->has_settings) {
        return 0;
    }
    max = max > 0 ? max : 1; /* none for a while: then one is the least */
    return max < h2->limits->streams_max ? max : h2->limits->streams_max;
}

static uint32_t used_by(const struct ad_h2 *h2)
{
    return h2->queued_count + h2->waiting_count + h2->open_count + h2->resets_waiting +
           h2->resets_covered;
}

bool ad_h2_is_queued(const struct ad_h2_stream *s)
{
    return s->state == AD_H2_STREAM_QUEUED;
}

unsigned ad_h2_surplus(const struct ad_h2 *h2)
{
    uint32_t used = used_by(h2);
    uint32_t surplus = used > h2->streams_max ? used - h2->streams_max : 0;
    return surplus < h2->queued_count ? surplus : h2->queued_count;
}

unsigned ad_h2_room(const struct ad_h2 *h2)
{
    if (ad_h2_is_final(h2)) {
        return 0;
    }
    uint32_t ids_left = (INT32_MAX - h2->next_id) / 2 + 1;
    uint32_t used = used_by(h2);
    uint32_t max =
        h2->streams_max < h2->limits->streams_max ? h2->streams_max : h2->limits->streams_max;
    uint32_t room = max > used ? max - used : 0;
    uint32_t unopened = h2->queued_count + h2->waiting_count;
    ids_left = ids_left > unopened ? ids_left - unopened : 0;
    return room < ids_left ? room : ids_left;
}

void ad_h2_submit(struct ad_h2 *h2, struct ad_h2_stream *s, const struct ad_h2_field *fields,
                  uint32_t count, bool has_body)
{
    *s = (struct ad_h2_stream){.state = AD_H2_STREAM_QUEUED,
                               .has_body = has_body,
                               .length = -1,
                               .window = window_of(h2->limits->stream_window_bytes),
                               .fields = fields,
                               .field_count = count};
    ad_list_push_back(&h2->queued, &s->node);
    h2->queued_count++;
}

void ad_h2_cancel(struct ad_h2 *h2, struct ad_h2_stream *s, uint32_t code)
{
    bool open = s->state == AD_H2_STREAM_OPEN;
    if (s->state == AD_H2_STREAM_QUEUED) {
        ad_list_remove(&s->node);
        h2->queued_count--;
    } else if (s->state == AD_H2_STREAM_WAITING) {
        ad_list_remove(&s->node);
        h2->waiting_count--;
    }
    ad_h2_detach(h2, s);
    if (open && !h2->failed) {
        ad_h2_reset(h2, s->id, code);
    }
}

bool ad_h2_consume(struct ad_h2 *h2, struct ad_h2_stream *s, size_t count)
{
    if (s->state != AD_H2_STREAM_OPEN || s->got_end) {
        return false;
    }
    /* Half of the window is what nghttp2 tells the peer of; it need not hear of less, but until the
     * peer has our SETTINGS, for until then it has a smaller window. */
    s->unconsumed += count;
    bool half = s->unconsumed >= s->window / 2;
    if (half || s->padded || !h2->has_ack) {
        if (nghttp2_session_consume_stream(h2->session, s->id, s->unconsumed) != 0) {
            ad_h2_fail_memory(h2);
        }
        s->unconsumed = 0;
    }
    return half && h2->has_ack;
}

uint32_t ad_h2_widen(struct ad_h2 *h2, struct ad_h2_stream *s, uint32_t more)
{
    more = more < WINDOW_MAX - s->window ? more : WINDOW_MAX - s->window;
    if (more == 0) {
        return 0;
    }
    if (nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, s->id,
                                              (int32_t)(s->window + more)) != 0) {
        ad_h2_fail_memory(h2);
        return 0;
    }
    s->window += more;
    return more;
}

void ad_h2_resume(struct ad_h2 *h2, struct ad_h2_stream *s)
{
    if (s->state == AD_H2_STREAM_OPEN) {
        /* Refused where the source was not asked yet, or is not waited for. */
        (void)nghttp2_session_resume_data(h2->session, s->id);
    }
}

void ad_h2_ping(struct ad_h2 *h2)
{
    if (h2->live_ping == 0 && !h2->failed) {
        (void)ping(h2, &h2->live_ping);
    }
}

void ad_h2_leave(struct ad_h2 *h2)
{
    if (!h2->failed &&
        nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0) != 0) {
        ad_h2_fail_memory(h2);
    }
}

void ad_h2_set_next_id(struct ad_h2 *h2, uint32_t id)
{
    int code = nghttp2_session_set_next_stream_id(h2->session, (int32_t)id);
    AD_ASSERT(code == 0);
    h2->next_id = id;
}
