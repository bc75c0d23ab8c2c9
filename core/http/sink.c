/* SPDX-License-Identifier: MIT */
#include "http/sink.h"

#include "base/error.h"
#include "http/exchange.h"
#include "http/request.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool ad_sink_claim(struct aioduct_exchange *ex)
{
    ex->sink_claimed =
        !atomic_exchange_explicit(&ex->request->sink_busy, true, memory_order_acq_rel);
    return ex->sink_claimed;
}

void ad_sink_finish(struct aioduct_exchange *ex)
{
    ex->sink_claimed = false;
    atomic_store_explicit(&ex->request->sink_busy, false, memory_order_release);
}

void ad_sink_head(struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    const struct aioduct_request *request = ex->request;
    ex->sinking = head->status / 100 == 2;
    if (ex->sinking && request->sink_kind == AD_SINK_MEMORY && request->sink_room < ex->body_max) {
        ex->body_max = request->sink_room;
    }
}

const char *ad_sink_max_name(const struct aioduct_exchange *ex)
{
    uint64_t asked = ex->request->recv_bytes_max; /* 0: as much as comes */
    return asked != 0 && ex->body_max == asked ? "aioduct_request_recv_bytes_max"
                                               : "aioduct_request_into_memory";
}

/* -> bytes written, or -errno */
static ssize_t write_file(const struct aioduct_exchange *ex, const uint8_t *bytes, size_t count)
{
    const struct aioduct_request *request = ex->request;
    ssize_t wrote;
    do {
        wrote = request->sink_offset == AIODUCT_OFFSET_CURRENT
                    ? write(request->sink_fd, bytes, count)
                    : pwrite(request->sink_fd, bytes, count,
                             (off_t)(request->sink_offset + (int64_t)ex->body_bytes));
    } while (wrote < 0 && errno == EINTR);
    return wrote < 0 ? -errno : wrote;
}

static void write_failed(struct aioduct_exchange *ex, int code)
{
    struct aioduct_error error;
    ad_error_set(&error, AIODUCT_E_SINK, AIODUCT_PHASE_BODY,
                 "the body could not be written to its file after %llu bytes: %s",
                 (unsigned long long)ex->body_bytes, aioduct_error_text(code));
    error.os_code = -code;
    ad_exchange_fail(ex, &error);
}

/* Nowhere while the exchange gets no more, or at a rate: it would be there before its time. */
uint8_t *ad_sink_place(const struct aioduct_exchange *ex, size_t *bytes)
{
    const struct aioduct_request *request = ex->request;
    if (!ex->sinking || request->sink_kind != AD_SINK_MEMORY || request->recv_rate != 0 ||
        ex->place != AD_PLACE_CONN || ad_buf_bytes(&ex->stash) > 0 || ad_exchange_blocked(ex)) {
        return NULL;
    }
    uint64_t room = ex->body_max - ex->body_bytes;
    *bytes = *bytes < room ? *bytes : (size_t)room;
    return request->sink_memory + ex->body_bytes;
}

void ad_sink_write(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count)
{
    if (ex->request->sink_kind == AD_SINK_MEMORY) {
        uint8_t *to = ex->request->sink_memory + ex->body_bytes;
        if (bytes != to) { /* else they were received there */
            memmove(to, bytes, count);
        }
        ex->body_bytes += count;
        return;
    }
    for (size_t done = 0; done < count;) {
        ssize_t wrote = write_file(ex, bytes + done, count - done);
        if (wrote <= 0) {
            write_failed(ex, wrote < 0 ? (int)wrote : -EIO);
            return;
        }
        done += (size_t)wrote;
        ex->body_bytes += (uint64_t)wrote;
    }
}
