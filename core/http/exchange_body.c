/* SPDX-License-Identifier: MIT */
/* The byte ledger of a response body: what the caller may have now, what it holds, and what is kept
 * for it. */
#include "base/error.h"
#include "http/dispatch.h"
#include "http/engine.h"
#include "http/exchange.h"

#include <errno.h>

bool ad_exchange_blocked(const struct aioduct_exchange *ex)
{
    return ex->pace.recv_dry || atomic_load_explicit(&ex->want_paused, memory_order_relaxed) ||
           atomic_load_explicit(&ex->held, memory_order_relaxed) >=
               ex->engine->settings->window_bytes;
}

/* As many of @count bytes as the request wants of this body. Fails the exchange if that is none. */
static size_t within_max(struct aioduct_exchange *ex, size_t count)
{
    uint64_t left = ex->body_max - ex->body_bytes;
    if (count <= left) {
        return count;
    }
    if (left == 0) {
        ad_exchange_failf(ex, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY,
                          "the body is larger than %llu bytes (%s)",
                          (unsigned long long)ex->body_max, ad_sink_max_name(ex));
    }
    return (size_t)left;
}

static void hand_over(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count)
{
    if (ex->sinking) {
        ad_sink_write(ex, bytes, count);
    } else {
        ad_dispatch_body(ex, bytes, count);
    }
}

/* Deliver as much as the window has room for. -> bytes delivered; the exchange may have ended. */
static size_t deliver(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count)
{
    uint64_t window = ex->engine->settings->window_bytes;
    size_t done = 0;
    while (done < count && ex->place < AD_PLACE_ENDED && !ad_exchange_blocked(ex)) {
        uint64_t room = window - atomic_load_explicit(&ex->held, memory_order_relaxed);
        size_t piece = count - done < room ? count - done : (size_t)room;
        piece = ad_pace_recv_room(ex, within_max(ex, piece));
        if (piece > 0) {
            ad_pace_recv_took(ex, piece);
            hand_over(ex, bytes + done, piece);
        }
        done += piece;
    }
    return done;
}

static bool stash(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count)
{
    if (ex->place < AD_PLACE_ENDED && count > 0 && ad_buf_append(&ex->stash, bytes, count) < 0) {
        ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_BODY, "out of memory");
    }
    return ex->place < AD_PLACE_ENDED;
}

bool ad_exchange_body(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count)
{
    size_t done = ad_buf_bytes(&ex->stash) == 0 ? deliver(ex, bytes, count) : 0;
    return stash(ex, bytes + done, count - done);
}

bool ad_exchange_unstash(struct aioduct_exchange *ex)
{
    /* Taken off first: the callback may pause, resume and release as it likes. */
    struct ad_buf kept = ex->stash;
    ex->stash = (struct ad_buf){0};
    size_t done = deliver(ex, ad_buf_data(&kept), ad_buf_bytes(&kept));
    bool alive = ex->place < AD_PLACE_ENDED;
    ad_buf_consume(&kept, done);
    if (alive && ad_buf_bytes(&kept) > 0) {
        ex->stash = kept;
    } else {
        ad_buf_fini(&kept);
    }
    return alive;
}
