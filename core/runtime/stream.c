/* SPDX-License-Identifier: MIT */
#include "runtime/stream.h"

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/loop_private.h"

#include <errno.h>
#include <string.h>

#define SPARES_MAX 64 /* streams kept for reuse: a burst of short connections allocates nothing */

static struct aioduct_stream *opaque(struct ad_stream *stream)
{
    return (struct aioduct_stream *)(void *)stream;
}

static const struct aioduct_connector *connector(const struct ad_stream *stream)
{
    return stream->loop->connector;
}

static void *state_of(const struct ad_stream *stream)
{
    return (uint8_t *)(uintptr_t)stream + stream->loop->stream_state;
}

/* ---- life ---- */

static const struct ad_stream_events *events_of(const struct ad_stream *stream)
{
    return stream->loop->stream_events[stream->events];
}

/* There are so few tables that a stream has the number of its own. */
static void set_events(struct ad_stream *stream, const struct ad_stream_events *events)
{
    const struct ad_stream_events **tables = stream->loop->stream_events;
    uint8_t i = 0;
    while (tables[i] != events && tables[i] != NULL) {
        i++;
        AD_ASSERT(i < AD_STREAM_EVENTS_MAX);
    }
    tables[i] = events;
    stream->events = i;
}

static void release(struct ad_stream *stream)
{
    struct ad_loop *loop = stream->loop;
    if (loop->spare_stream_count >= SPARES_MAX) {
        ad_free(stream);
        return;
    }
    *(void **)stream = loop->spare_streams;
    loop->spare_streams = stream;
    loop->spare_stream_count++;
}

void ad_stream_spares_free(struct ad_loop *loop)
{
    while (loop->spare_streams != NULL) {
        void *next = *(void **)loop->spare_streams;
        ad_free(loop->spare_streams);
        loop->spare_streams = next;
    }
}

static void release_all(struct ad_deferred *deferred)
{
    struct ad_loop *loop = AD_CONTAINER_OF(deferred, struct ad_loop, streams_end);
    while (loop->streams_over != NULL) {
        struct ad_stream *stream = loop->streams_over;
        loop->streams_over = stream->next_over;
        release(stream);
    }
}

static void closed(struct ad_stream *stream)
{
    struct ad_loop *loop = stream->loop;
    AD_ASSERT(stream->closing && stream->inflight == 0);
    events_of(stream)->on_closed(stream);
    if (loop->streams_over == NULL) {
        loop->streams_end.release = release_all;
        ad_loop_defer(loop, &loop->streams_end);
    }
    stream->next_over = loop->streams_over;
    loop->streams_over = stream;
}

static void on_never_known(struct ad_turn_hook *hook)
{
    closed(AD_CONTAINER_OF(hook, struct ad_stream_unknown, hook)->stream);
}

static struct ad_stream *stream_alloc(struct ad_loop *loop)
{
    struct ad_stream *stream = loop->spare_streams;
    if (stream != NULL) {
        loop->spare_streams = *(void **)stream;
        loop->spare_stream_count--;
        memset(stream, 0, loop->stream_bytes);
    } else {
        stream = loop->stream_align <= _Alignof(max_align_t)
                     ? ad_zalloc(loop->stream_bytes)
                     : ad_zalloc_aligned(loop->stream_bytes, loop->stream_align);
    }
    if (stream == NULL) {
        return NULL;
    }
    stream->loop = loop;
    if (loop->chain != NULL) {
        ad_chain_stream_init(loop->chain, opaque(stream), state_of(stream));
    }
    return stream;
}

int ad_stream_create(struct ad_loop *loop, const struct ad_stream_events *events, void *owner,
                     struct ad_stream **out)
{
    AD_DEBUG_ASSERT(ad_loop_is_current(loop));
    struct ad_stream *stream = stream_alloc(loop);
    if (stream == NULL) {
        return -ENOMEM;
    }
    set_events(stream, events);
    stream->owner = owner;
    *out = stream;
    return 0;
}

void ad_stream_set_owner(struct ad_stream *stream, const struct ad_stream_events *events,
                         void *owner)
{
    AD_ASSERT((stream->inflight & ~(unsigned)AIODUCT_OP_RECV) == 0 && !stream->closing);
    set_events(stream, events);
    stream->owner = owner;
}

void *ad_stream_owner(const struct ad_stream *stream)
{
    return stream->owner;
}

struct ad_loop *ad_stream_loop(const struct ad_stream *stream)
{
    return stream->loop;
}

void ad_stream_close(struct ad_stream *stream)
{
    if (stream == NULL || stream->closing) {
        return;
    }
    AD_DEBUG_ASSERT(ad_loop_is_current(stream->loop));
    stream->closing = true;
    if (stream->known) {
        connector(stream)->stream_close(state_of(stream));
    } else {
        struct ad_stream_unknown *unknown = state_of(stream);
        *unknown = (struct ad_stream_unknown){.hook.run = on_never_known, .stream = stream};
        ad_list_init(&unknown->hook.node);
        ad_loop_at_turn_end(stream->loop, &unknown->hook);
    }
}

/* ---- operations ---- */

static int begin(struct ad_stream *stream, unsigned op)
{
    AD_ASSERT(!stream->closing);
    AD_DEBUG_ASSERT(ad_loop_is_current(stream->loop));
    if (stream->inflight & op) {
        return -EBUSY;
    }
    stream->inflight |= (uint8_t)op;
    return 0;
}

/* What the plugin answered to an operation that may finish later. */
static int accepted(struct ad_stream *stream, unsigned op, int code)
{
    AD_ASSERT(code <= AIODUCT_PENDING);
    if (code != AIODUCT_PENDING) {
        stream->inflight &= (uint8_t)~op;
    }
    return code;
}

int ad_stream_connect(struct ad_stream *stream, const struct aioduct_socket_config *config)
{
    AD_ASSERT(!stream->known);
    int code = begin(stream, AIODUCT_OP_CONNECT);
    if (code < 0) {
        return code;
    }
    code = connector(stream)->connect(stream->loop->cx, opaque(stream), state_of(stream), config);
    AD_ASSERT(code == AIODUCT_PENDING || code < 0);
    stream->known = code == AIODUCT_PENDING;
    if (code < 0 && stream->loop->chain != NULL) {
        ad_chain_stream_over(stream->loop->chain, opaque(stream));
    }
    return accepted(stream, AIODUCT_OP_CONNECT, code);
}

int ad_stream_recv_start(struct ad_stream *stream)
{
    int code = begin(stream, AIODUCT_OP_RECV);
    if (code < 0) {
        return code;
    }
    code = connector(stream)->recv_start(state_of(stream));
    AD_ASSERT(code <= 0);
    if (code < 0) {
        stream->inflight &= (uint8_t)~AIODUCT_OP_RECV;
    }
    return code;
}

void ad_stream_recv_stop(struct ad_stream *stream)
{
    AD_ASSERT(!stream->closing);
    if (stream->inflight & AIODUCT_OP_RECV) {
        connector(stream)->recv_stop(state_of(stream));
    }
}

void ad_stream_recv_at(struct ad_stream *stream, void *memory, size_t bytes)
{
    AD_ASSERT(!stream->closing && (memory == NULL) == (bytes == 0));
    if (stream->inflight & AIODUCT_OP_RECV) {
        connector(stream)->recv_at(state_of(stream), memory, bytes);
    }
}

bool ad_stream_receiving(const struct ad_stream *stream)
{
    return (stream->inflight & AIODUCT_OP_RECV) != 0;
}

int ad_stream_send(struct ad_stream *stream, const struct iovec *pieces, unsigned count)
{
    int code = begin(stream, AIODUCT_OP_SEND);
    if (code < 0) {
        return code;
    }
    return accepted(stream, AIODUCT_OP_SEND,
                    connector(stream)->send(state_of(stream), pieces, count));
}

int ad_stream_send_file(struct ad_stream *stream, int fd, int64_t offset, size_t bytes)
{
    int code = begin(stream, AIODUCT_OP_SEND);
    if (code < 0) {
        return code;
    }
    code = connector(stream)->send_file(state_of(stream), fd, offset, bytes);
    AD_ASSERT(code != AIODUCT_DONE);
    return accepted(stream, AIODUCT_OP_SEND, code);
}

int ad_stream_shutdown(struct ad_stream *stream)
{
    int code = begin(stream, AIODUCT_OP_SHUTDOWN);
    if (code < 0) {
        return code;
    }
    return accepted(stream, AIODUCT_OP_SHUTDOWN, connector(stream)->shutdown(state_of(stream)));
}

void ad_stream_cancel(struct ad_stream *stream, unsigned ops)
{
    AD_ASSERT(!stream->closing);
    ops &= stream->inflight;
    if (ops != 0) {
        connector(stream)->cancel(state_of(stream), ops);
    }
}

int ad_stream_info(struct ad_stream *stream, struct aioduct_stream_info *info)
{
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    info->fd = -1;
    if (!stream->known || stream->closing) {
        return AIODUCT_E_UNSUPPORTED;
    }
    return connector(stream)->stream_info(state_of(stream), info);
}

/* ---- what the plugin calls ---- */

void ad_stream_on_data(void *ctx, struct aioduct_stream *opaque_stream, const void *bytes,
                       size_t count)
{
    struct ad_loop *loop = ctx;
    struct ad_stream *stream = (struct ad_stream *)(void *)opaque_stream;
    AD_ASSERT(stream->loop == loop && (stream->inflight & AIODUCT_OP_RECV) && count > 0);
    if (stream->closing) {
        return; /* on its way when we closed: nobody wants it */
    }
    loop->heard = true;
    ad_loop_enter(loop);
    events_of(stream)->on_data(stream, bytes, count);
    ad_loop_leave(loop);
}

void ad_stream_on_done(void *ctx, struct aioduct_stream *opaque_stream, int op, int code,
                       size_t bytes)
{
    struct ad_loop *loop = ctx;
    struct ad_stream *stream = (struct ad_stream *)(void *)opaque_stream;
    AD_ASSERT(stream->loop == loop && (stream->inflight & (unsigned)op) && code <= 0);
    stream->inflight &= (uint8_t)~op;
    loop->heard = true;
    ad_loop_enter(loop);
    events_of(stream)->on_done(stream, op, code, bytes);
    ad_loop_leave(loop);
}

void ad_stream_on_closed(void *ctx, struct aioduct_stream *opaque_stream)
{
    struct ad_loop *loop = ctx;
    struct ad_stream *stream = (struct ad_stream *)(void *)opaque_stream;
    AD_ASSERT(stream->loop == loop && stream->known);
    ad_loop_enter(loop);
    closed(stream);
    ad_loop_leave(loop);
}
