/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2 without HPACK: request heads are not decoded, answer heads are the same bytes each time.
 * Windows are honoured, both ways.
 */
#include "server.h"

#include <stdio.h>
#include <string.h>

#define PREFACE_BYTES 24
#define FRAME_MAX 16384
#define RECEIVE_WINDOW (1u << 30)
#define CREDIT_BYTES (1u << 28)

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static void frame(struct conn *conn, unsigned type, unsigned flags, uint32_t stream,
                  const void *payload, size_t count)
{
    uint8_t head[9] = {(uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count, (uint8_t)type,
                       (uint8_t)flags};
    put32(head + 5, stream);
    out_append(&conn->out, head, sizeof head);
    if (payload != NULL) {
        out_append(&conn->out, payload, count);
    }
}

void h2_start(struct conn *conn)
{
    struct h2_state *h2 = &conn->u.h2;
    h2->preface_left = PREFACE_BYTES;
    h2->window = h2->initial_window = 65535;
    uint8_t settings[12] = {0, 3, 0, 0, 4, 0, 0, 4}; /* 1,024 streams; their window: */
    put32(settings + 8, RECEIVE_WINDOW);
    frame(conn, SETTINGS, 0, 0, settings, sizeof settings);
    uint8_t credit[4];
    put32(credit, RECEIVE_WINDOW);
    frame(conn, WINDOW_UPDATE, 0, 0, credit, sizeof credit);
}

/* ---- answers ---- */

static void answer_head(struct conn *conn, uint32_t stream, uint64_t body_bytes)
{
    /* :status 200; server, content-type and content-length as literals without indexing. */
    static const uint8_t fixed[] = {0x88, 0x0f, 39,  5,   'b', 'e', 'n', 'c', 'h', 0x0f, 16,
                                    10,   't',  'e', 'x', 't', '/', 'p', 'l', 'a', 'i',  'n'};
    uint8_t block[64];
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)body_bytes);
    memcpy(block, fixed, sizeof fixed);
    size_t at = sizeof fixed;
    block[at++] = 0x0f;
    block[at++] = 13;
    block[at++] = (uint8_t)count;
    memcpy(block + at, digits, (size_t)count);
    bool empty = body_bytes == 0;
    frame(conn, HEADERS, END_HEADERS | (empty ? END_STREAM : 0), stream, block, at + (size_t)count);
}

/* Body frames of @s as far as windows and the output allow. true: it is through. */
static bool stream_produce(struct conn *conn, struct h2_stream *s)
{
    struct h2_state *h2 = &conn->u.h2;
    while (s->left > 0 && s->window > 0 && h2->window > 0 &&
           out_waiting(&conn->out) < FLUSH_BYTES) {
        int64_t count = s->left < FRAME_MAX ? (int64_t)s->left : FRAME_MAX;
        count = count < s->window ? count : s->window;
        count = count < h2->window ? count : h2->window;
        s->left -= (uint64_t)count;
        s->window -= count;
        h2->window -= count;
        frame(conn, DATA, s->left == 0 ? END_STREAM : 0, s->id, NULL, (size_t)count);
        out_body(&conn->out, (size_t)count);
    }
    return s->left == 0;
}

void h2_produce(struct conn *conn)
{
    struct h2_state *h2 = &conn->u.h2;
    unsigned kept = 0;
    for (unsigned i = 0; i < h2->stream_count; i++) {
        if (!stream_produce(conn, &h2->streams[i])) {
            h2->streams[kept++] = h2->streams[i];
        }
    }
    h2->stream_count = kept;
}

static bool answer(struct conn *conn, uint32_t id)
{
    struct h2_state *h2 = &conn->u.h2;
    uint64_t body_bytes = next_body_bytes(conn);
    struct h2_stream s = {.id = id, .left = body_bytes, .window = h2->initial_window};
    answer_head(conn, id, body_bytes);
    if (!stream_produce(conn, &s)) {
        if (h2->stream_count == H2_STREAMS) {
            return false;
        }
        h2->streams[h2->stream_count++] = s;
    }
    return true;
}

/* ---- frames in ---- */

static void on_settings(struct conn *conn)
{
    struct h2_state *h2 = &conn->u.h2;
    size_t have = h2->payload_length < sizeof h2->payload ? h2->payload_length : sizeof h2->payload;
    for (size_t at = 0; at + 6 <= have; at += 6) {
        if (h2->payload[at] == 0 && h2->payload[at + 1] == 4) {
            int64_t window = get32(h2->payload + at + 2);
            for (unsigned i = 0; i < h2->stream_count; i++) {
                h2->streams[i].window += window - h2->initial_window;
            }
            h2->initial_window = window;
        }
    }
    frame(conn, SETTINGS, ACK, 0, NULL, 0);
}

static void on_window_update(struct conn *conn, uint32_t stream)
{
    struct h2_state *h2 = &conn->u.h2;
    uint32_t credit = get32(h2->payload);
    if (stream == 0) {
        h2->window += credit;
        return;
    }
    for (unsigned i = 0; i < h2->stream_count; i++) {
        if (h2->streams[i].id == stream) {
            h2->streams[i].window += credit;
        }
    }
}

static void on_reset(struct h2_state *h2, uint32_t stream)
{
    for (unsigned i = 0; i < h2->stream_count; i++) {
        if (h2->streams[i].id == stream) {
            h2->streams[i].left = 0;
        }
    }
}

static void on_data(struct conn *conn)
{
    struct h2_state *h2 = &conn->u.h2;
    h2->received += h2->payload_length;
    if (h2->received >= CREDIT_BYTES) {
        uint8_t credit[4];
        put32(credit, (uint32_t)h2->received);
        frame(conn, WINDOW_UPDATE, 0, 0, credit, sizeof credit);
        frame(conn, WINDOW_UPDATE, 0, get32(h2->frame + 5), credit, sizeof credit);
        h2->received = 0;
    }
}

/* A frame is complete. */
static bool on_frame(struct conn *conn)
{
    struct h2_state *h2 = &conn->u.h2;
    uint8_t type = h2->frame[3], flags = h2->frame[4];
    uint32_t stream = get32(h2->frame + 5) & 0x7fffffff;
    if (type == DATA) {
        on_data(conn);
    } else if (type == SETTINGS && !(flags & ACK)) {
        on_settings(conn);
    } else if (type == PING && !(flags & ACK)) {
        frame(conn, PING, ACK, 0, h2->payload, 8);
    } else if (type == WINDOW_UPDATE) {
        on_window_update(conn, stream);
    } else if (type == RST_STREAM) {
        on_reset(h2, stream);
    }
    if ((type == HEADERS || type == DATA) && (flags & END_STREAM)) {
        return answer(conn, stream);
    }
    return true;
}

static size_t eat_payload(struct h2_state *h2, const uint8_t *bytes, size_t count)
{
    size_t at = h2->payload_length - h2->payload_left;
    size_t take = count < h2->payload_left ? count : h2->payload_left;
    if (at < sizeof h2->payload && h2->frame[3] != DATA) {
        size_t room = sizeof h2->payload - at;
        memcpy(h2->payload + at, bytes, take < room ? take : room);
    }
    h2->payload_left -= (uint32_t)take;
    return take;
}

bool h2_input(struct conn *conn, const uint8_t *bytes, size_t count)
{
    struct h2_state *h2 = &conn->u.h2;
    size_t at = h2->preface_left < count ? h2->preface_left : count;
    h2->preface_left -= at;
    while (at < count) {
        if (h2->frame_have < 9) {
            size_t take = 9 - h2->frame_have < count - at ? 9 - h2->frame_have : count - at;
            memcpy(h2->frame + h2->frame_have, bytes + at, take);
            h2->frame_have += take;
            at += take;
            if (h2->frame_have < 9) {
                break;
            }
            h2->payload_length = h2->payload_left =
                (uint32_t)h2->frame[0] << 16 | (uint32_t)h2->frame[1] << 8 | h2->frame[2];
        }
        at += eat_payload(h2, bytes + at, count - at);
        if (h2->payload_left == 0) {
            h2->frame_have = 0;
            if (!on_frame(conn)) {
                return false;
            }
        }
    }
    h2_produce(conn);
    return true;
}
