/* SPDX-License-Identifier: MIT */
/*
 * Bytes go straight into the connection's output block; a chunk's size line is put before them
 * afterwards. A source with a declared length is asked once more at the end, so that a
 * surplus is noticed (C20).
 */
#include "http/upload.h"

#include "base/error.h"
#include "http/dispatch.h"
#include "http/exchange.h"
#include "http/push.h"
#include "http/request.h"

#include <aioduct/request.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_LINE_BYTES 10u /* eight hexadecimal digits and CRLF */
#define CHUNK_BYTES_MAX 0xffffffu
#define PIECE_BYTES_MIN 32768     /* a buffer of this is as good */
#define PIECE_BYTES_MAX (1 << 30) /* connectors take what is good for their loop */
#define CHUNK_ROOM_MIN 64u        /* smaller rests of a block are not worth a chunk of their own */

static enum ad_upload_step out_of_memory(struct aioduct_exchange *ex)
{
    ad_exchange_failf(ex, -ENOMEM, AIODUCT_PHASE_SEND, "out of memory");
    return AD_UPLOAD_ENDED;
}

static enum ad_upload_step source_failed(struct aioduct_exchange *ex, int64_t result)
{
    struct aioduct_error error;
    ad_error_set(&error, AIODUCT_E_BODY_SOURCE, AIODUCT_PHASE_SEND,
                 "the body source gave up after %llu bytes: %s",
                 (unsigned long long)ex->upload.sent,
                 aioduct_error_text(result < INT32_MIN ? -EIO : (int)result));
    error.os_code = result < -4095 ? 0 : (int)-result;
    ad_exchange_fail(ex, &error);
    return AD_UPLOAD_ENDED;
}

static enum ad_upload_step wrong_length(struct aioduct_exchange *ex, const char *how)
{
    ad_exchange_failf(ex, AIODUCT_E_BODY_LENGTH, AIODUCT_PHASE_SEND,
                      "the body source gave %s than the %lld bytes declared", how,
                      (long long)ex->request->body_length);
    return AD_UPLOAD_ENDED;
}

/* What a read gave instead of bytes; enumerations may be unsigned. */
static int64_t instead(enum ad_upload_step step)
{
    return -(int64_t)step;
}

static int64_t read_file(const struct aioduct_exchange *ex, uint8_t *to, size_t capacity)
{
    ssize_t got;
    do {
        got = pread(ex->request->file_fd, to, capacity,
                    (off_t)(ex->request->file_offset + (int64_t)ex->upload.sent));
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static int64_t read_push(struct aioduct_exchange *ex, uint8_t *to, size_t capacity)
{
    bool writable;
    int64_t got = ad_push_read(ex->push, to, capacity, &writable);
    if (writable) {
        ad_dispatch_writable(ex);
    }
    return got;
}

static int64_t ask_source(struct aioduct_exchange *ex, uint8_t *to, size_t capacity)
{
    switch (ex->request->body_kind) {
    case AD_BODY_FILE:
        return read_file(ex, to, capacity);
    case AD_BODY_PUSH:
        return read_push(ex, to, capacity);
    default:
        return ad_dispatch_body_read(ex, to, capacity);
    }
}

/* Read the source into @to. > 0: bytes; 0: the end; negative: a step, with the exchange told. */
static int64_t read_source(struct aioduct_exchange *ex, uint8_t *to, size_t capacity)
{
    ex->upload.touched = true;
    ex->upload.ready = false;
    int64_t got = ask_source(ex, to, capacity);
    if (ex->place != AD_PLACE_CONN) {
        return instead(AD_UPLOAD_ENDED);
    }
    if (got == AIODUCT_BODY_WAIT) {
        return instead(AD_UPLOAD_WAIT);
    }
    if (got < 0 || (uint64_t)got > capacity) {
        return instead(source_failed(ex, got < 0 ? got : -EOVERFLOW));
    }
    return got;
}

/* After the last declared byte: has the source more? A source that has nothing to say is believed.
 */
static enum ad_upload_step check_surplus(struct aioduct_exchange *ex)
{
    uint8_t byte;
    if (ex->request->body_kind < AD_BODY_PULL) {
        return AD_UPLOAD_END;
    }
    int64_t got = read_source(ex, &byte, 1);
    if (got == instead(AD_UPLOAD_WAIT) || got == 0) {
        return AD_UPLOAD_END;
    }
    return got < 0 ? ad_upload_step_of(got) : wrong_length(ex, "more");
}

int64_t ad_upload_left(const struct aioduct_exchange *ex)
{
    const struct aioduct_request *request = ex->request;
    return request->body_length < 0 ? -1 : request->body_length - (int64_t)ex->upload.sent;
}

int64_t ad_upload_read(struct aioduct_exchange *ex, uint8_t *to, size_t capacity)
{
    const struct aioduct_request *request = ex->request;
    int64_t left = ad_upload_left(ex);
    int64_t got;
    if (left == 0) {
        return instead(check_surplus(ex));
    }
    if (left > 0 && (uint64_t)left < capacity) {
        capacity = (size_t)left;
    }
    capacity = ad_pace_send_room(ex, capacity);
    if (capacity == 0) {
        ex->upload.ready = false; /* the deadline asks the source, ready or not */
        return instead(AD_UPLOAD_WAIT);
    }
    if (request->body_kind == AD_BODY_MEMORY) {
        memcpy(to, request->body + ex->upload.sent, capacity);
        got = (int64_t)capacity;
    } else {
        got = read_source(ex, to, capacity);
    }
    if (got == 0) {
        return instead(left < 0 ? AD_UPLOAD_END : wrong_length(ex, "fewer"));
    }
    if (got > 0) {
        ex->upload.sent += (uint64_t)got;
        ad_pace_send_took(ex, (size_t)got);
    }
    return got;
}

/* ---- without reading ---- */

size_t ad_upload_file_room(struct aioduct_exchange *ex)
{
    const struct aioduct_request *request = ex->request;
    if (request->body_kind != AD_BODY_FILE || ex->upload.by_reading || ex->raw ||
        ad_request_is_chunked(request)) {
        return 0;
    }
    int64_t left = ad_upload_left(ex);
    size_t room = left < PIECE_BYTES_MAX ? (size_t)left : PIECE_BYTES_MAX;
    room = room < PIECE_BYTES_MIN ? 0 : ad_pace_send_room(ex, room);
    return room < PIECE_BYTES_MIN ? 0 : room;
}

enum ad_upload_step ad_upload_file_took(struct aioduct_exchange *ex, int code, size_t count)
{
    ex->upload.sent += count;
    ad_pace_send_took(ex, count);
    if (code == AIODUCT_E_UNSUPPORTED) {
        ex->upload.by_reading = true;
    }
    bool is_wanted = ex->send == AD_SEND_BODY;
    return code == 0 && count == 0 && is_wanted ? wrong_length(ex, "fewer")
           : ad_upload_left(ex) == 0            ? AD_UPLOAD_END
                                                : AD_UPLOAD_MORE;
}

/* ---- HTTP/1.1 ---- */

static enum ad_upload_step as_it_is(struct aioduct_exchange *ex, struct ad_buf *out, size_t room)
{
    int64_t left;
    while ((left = ad_upload_left(ex)) != 0) {
        size_t capacity = left > 0 && (uint64_t)left < room ? (size_t)left : room;
        if (capacity == 0) {
            return AD_UPLOAD_MORE;
        }
        uint8_t *to = ad_buf_reserve(out, capacity);
        if (to == NULL) {
            return out_of_memory(ex);
        }
        int64_t got = ad_upload_read(ex, to, capacity);
        if (got < 0) {
            return ad_upload_step_of(got);
        }
        ad_buf_commit(out, (size_t)got);
        room -= (size_t)got;
    }
    return check_surplus(ex);
}

/* The bytes lie after room for the longest size line; put the real one before them. */
static void frame_chunk(uint8_t *at, size_t count)
{
    char line[CHUNK_LINE_BYTES + 1];
    int bytes = snprintf(line, sizeof line, "%zx\r\n", count);
    memcpy(at, line, (size_t)bytes);
    memmove(at + bytes, at + CHUNK_LINE_BYTES, count);
    memcpy(at + (size_t)bytes + count, "\r\n", 2);
}

static size_t chunk_frame_bytes(size_t count)
{
    size_t digits = 1;
    while (count >= 16) {
        count /= 16;
        digits++;
    }
    return digits + 4;
}

static int append_trailers(const struct ad_list *trailers, struct ad_buf *out)
{
    AD_LIST_FOR_EACH (it, trailers) {
        const struct ad_field *field = (const struct ad_field *)(const void *)it;
        if (ad_buf_append(out, field->name.p, field->name.bytes) < 0 ||
            ad_buf_append_str(out, ": ") < 0 ||
            ad_buf_append(out, field->value.p, field->value.bytes) < 0 ||
            ad_buf_append_str(out, "\r\n") < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static enum ad_upload_step last_chunk(struct aioduct_exchange *ex, struct ad_buf *out)
{
    bool written = ad_buf_append_str(out, "0\r\n") == 0 &&
                   append_trailers(&ex->request->trailers, out) == 0 &&
                   append_trailers(&ex->trailers, out) == 0 && ad_buf_append_str(out, "\r\n") == 0;
    return written ? AD_UPLOAD_END : out_of_memory(ex);
}

static enum ad_upload_step in_chunks(struct aioduct_exchange *ex, struct ad_buf *out, size_t room)
{
    for (;;) {
        if (room < CHUNK_ROOM_MIN) {
            return AD_UPLOAD_MORE;
        }
        size_t capacity = room - CHUNK_LINE_BYTES - 2;
        capacity = capacity < CHUNK_BYTES_MAX ? capacity : CHUNK_BYTES_MAX;
        uint8_t *at = ad_buf_reserve(out, capacity + CHUNK_LINE_BYTES + 2);
        if (at == NULL) {
            return out_of_memory(ex);
        }
        int64_t got = ad_upload_read(ex, at + CHUNK_LINE_BYTES, capacity);
        if (got == instead(AD_UPLOAD_END)) {
            return last_chunk(ex, out);
        }
        if (got < 0) {
            return ad_upload_step_of(got);
        }
        frame_chunk(at, (size_t)got);
        size_t whole = (size_t)got + chunk_frame_bytes((size_t)got);
        ad_buf_commit(out, whole);
        room -= whole;
    }
}

enum ad_upload_step ad_upload_produce(struct aioduct_exchange *ex, struct ad_buf *out, size_t room)
{
    return ad_request_is_chunked(ex->request) ? in_chunks(ex, out, room) : as_it_is(ex, out, room);
}

/* ---- life ---- */

bool ad_upload_replayable(const struct aioduct_exchange *ex)
{
    switch (ex->request->body_kind) {
    case AD_BODY_PULL:
        return !ex->upload.touched || ex->request->source.rewind != NULL;
    case AD_BODY_PUSH:
        return !ex->upload.touched;
    default:
        return true;
    }
}

int ad_upload_rewind(struct aioduct_exchange *ex)
{
    int code = 0;
    if (ex->request->body_kind == AD_BODY_PULL && ex->upload.touched) {
        code = ad_dispatch_body_rewind(ex);
    }
    ex->upload = (struct ad_upload){.by_reading = ex->upload.by_reading};
    ad_request_field_list_fini(&ex->trailers);
    return code;
}

void ad_upload_finish(struct aioduct_exchange *ex)
{
    if (ex->push != NULL) {
        ad_push_stop(ex->push);
    }
    if (ex->pull_claimed) {
        ex->pull_claimed = false;
        ad_dispatch_body_finished(ex);
        atomic_store_explicit(&ex->request->pull_busy, false, memory_order_release);
    }
}
