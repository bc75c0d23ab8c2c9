/* SPDX-License-Identifier: MIT */
#include "http/dispatch.h"

#include "base/assert.h"
#include "http/engine.h"
#include "http/event.h"
#include "http/exchange.h"
#include "http/request.h"

#define CALL(ex, call)                       \
    do {                                     \
        struct ad_engine *e_ = (ex)->engine; \
        AD_DEBUG_ASSERT(!e_->in_callback);   \
        e_->in_callback = true;              \
        call;                                \
        e_->in_callback = false;             \
    } while (0)

void ad_dispatch_interim(struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    ad_event_exchange(ex, AIODUCT_EVENT_INTERIM, head->status, NULL);
    ad_trace_response(ex, head);
    if (ex->callbacks.on_interim != NULL) {
        CALL(ex, ex->callbacks.on_interim(ex, head, ex->user));
    }
}

static void refused(struct aioduct_exchange *ex, enum aioduct_phase phase, const char *callback,
                    int result)
{
    ad_exchange_failf(ex, AIODUCT_E_SINK, phase, "%s refused the response: %d", callback, result);
}

void ad_dispatch_head(struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    int result = 0;
    ex->status = head->status;
    ad_event_exchange(ex, AIODUCT_EVENT_HEAD, head->status, NULL);
    ad_trace_response(ex, head);
    if (ex->callbacks.on_head != NULL) {
        CALL(ex, result = ex->callbacks.on_head(ex, head, ex->user));
    }
    if (result < 0) {
        refused(ex, AIODUCT_PHASE_HEAD, "on_head", result);
    }
}

void ad_dispatch_body(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count)
{
    int result = 0;
    ex->body_bytes += count;
    if (ex->callbacks.on_body == NULL) {
        return;
    }
    /* Counted before the call: the callback may release some of it already. */
    atomic_fetch_add_explicit(&ex->held, count, memory_order_relaxed);
    CALL(ex, result = ex->callbacks.on_body(ex, bytes, count, ex->user));
    if (result != AIODUCT_HOLD) {
        uint64_t held = atomic_load_explicit(&ex->held, memory_order_relaxed);
        atomic_fetch_sub_explicit(&ex->held, count < held ? count : held, memory_order_relaxed);
    }
    if (result < 0) {
        refused(ex, AIODUCT_PHASE_BODY, "on_body", result);
    }
}

void ad_dispatch_trailers(struct aioduct_exchange *ex, const struct aioduct_head *trailers)
{
    if (ex->callbacks.on_trailers != NULL) {
        CALL(ex, ex->callbacks.on_trailers(ex, trailers, ex->user));
    }
}

void ad_dispatch_done(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    ad_event_exchange(ex, AIODUCT_EVENT_DONE, ex->status, error);
    if (ex->sink_claimed) {
        ad_sink_finish(ex); /* inside on_done the request may be submitted again */
    }
    if (ex->callbacks.on_done != NULL) {
        CALL(ex, ex->callbacks.on_done(ex, error, ex->user));
    }
}

void ad_dispatch_writable(struct aioduct_exchange *ex)
{
    if (ex->callbacks.on_writable != NULL) {
        CALL(ex, ex->callbacks.on_writable(ex, ex->user));
    }
}

int64_t ad_dispatch_body_read(struct aioduct_exchange *ex, void *buffer, size_t capacity)
{
    const struct aioduct_body_source *source = &ex->request->source;
    int64_t result;
    CALL(ex, result = source->read(source->user, buffer, capacity));
    return result;
}

int ad_dispatch_body_rewind(struct aioduct_exchange *ex)
{
    const struct aioduct_body_source *source = &ex->request->source;
    int result;
    CALL(ex, result = source->rewind(source->user));
    return result;
}

void ad_dispatch_body_finished(struct aioduct_exchange *ex)
{
    const struct aioduct_body_source *source = &ex->request->source;
    if (source->finished != NULL) {
        CALL(ex, source->finished(source->user));
    }
}
