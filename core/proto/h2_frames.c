/* SPDX-License-Identifier: MIT */
/*
 * Frame headers, read beside nghttp2, whose callbacks do not see all frames and whose own limits
 * differ by version. Floods (C43) are counted without a clock: frames that carry nothing cost from
 * a budget that useful bytes and requests of ours fill up again, so a long-lived connection has it
 * full, and a peer that only makes work has spent it soon.
 */
#include "proto/h2_private.h"

#include <string.h>

#define ODD_FRAME 256                   /* the price of a frame that carries nothing */
#define BUDGET_FULL (10000 * ODD_FRAME) /* enough for hours of pings on a silent connection */
#define REQUEST_EARNS (100 * ODD_FRAME) /* heads, interim responses, resets, window updates */
#define DATA_EARNS (4 * ODD_FRAME)      /* at least, if there is anything in it */
#define CONTINUATIONS_MAX 8             /* a head of the size allowed needs four */

void ad_h2_frames_init(struct ad_h2_frames *frames)
{
    *frames = (struct ad_h2_frames){.budget = BUDGET_FULL};
}

static void earn(struct ad_h2_frames *frames, uint64_t amount)
{
    uint64_t missing = (uint64_t)(BUDGET_FULL - frames->budget);
    frames->budget += (int64_t)(amount < missing ? amount : missing);
}

void ad_h2_frames_earn_request(struct ad_h2_frames *frames)
{
    earn(frames, REQUEST_EARNS);
}

/* Streams of small messages have a ping or two and window updates for each. */
void ad_h2_frames_earn(struct ad_h2_frames *frames, size_t bytes)
{
    earn(frames, bytes < DATA_EARNS ? DATA_EARNS : bytes);
}

static bool refuse(struct ad_h2_offence *offence, uint32_t code, const char *text)
{
    offence->code = code;
    offence->text = text;
    return false;
}

static bool check_first(const struct ad_h2_frames *frames, struct ad_h2_offence *offence)
{
    if (frames->head[3] == NGHTTP2_SETTINGS && (frames->head[4] & NGHTTP2_FLAG_ACK) == 0) {
        return true;
    }
    return refuse(offence, NGHTTP2_PROTOCOL_ERROR,
                  memcmp(frames->head, "HTTP/1.", 7) == 0
                      ? "the server answered in HTTP/1, not in HTTP/2"
                      : "the server's first frame is not SETTINGS");
}

static const char *flood_of(uint8_t type)
{
    static const char *const names[] = {
        [NGHTTP2_DATA] = "flood: too many empty DATA frames",
        [NGHTTP2_HEADERS] = "flood: too many HEADERS frames",
        [NGHTTP2_PRIORITY] = "flood: too many PRIORITY frames",
        [NGHTTP2_RST_STREAM] = "flood: too many RST_STREAM frames",
        [NGHTTP2_SETTINGS] = "flood: too many SETTINGS frames",
        [NGHTTP2_PUSH_PROMISE] = "flood: too many PUSH_PROMISE frames",
        [NGHTTP2_PING] = "flood: too many PING frames",
        [NGHTTP2_GOAWAY] = "flood: too many GOAWAY frames",
        [NGHTTP2_WINDOW_UPDATE] = "flood: too many WINDOW_UPDATE frames",
        [NGHTTP2_CONTINUATION] = "flood: too many CONTINUATION frames",
    };
    return type < sizeof names / sizeof names[0] ? names[type]
                                                 : "flood: too many frames of unknown types";
}

/* A frame that carries nothing. false: it is one too many. */
static bool spend(struct ad_h2_frames *frames, struct ad_h2_offence *offence)
{
    frames->budget -= ODD_FRAME;
    if (frames->budget >= 0) {
        return true;
    }
    frames->budget = 0;
    return refuse(offence, NGHTTP2_ENHANCE_YOUR_CALM, flood_of(frames->head[3]));
}

/* A DATA frame with @count bytes of a body: padding is none. */
static bool check_data(struct ad_h2_frames *frames, uint32_t count, struct ad_h2_offence *offence)
{
    if (count > 0) {
        ad_h2_frames_earn(frames, count);
        return true;
    }
    return (frames->head[4] & NGHTTP2_FLAG_END_STREAM) != 0 || spend(frames, offence);
}

/* A whole frame header was read. false: it offends. */
static bool check(struct ad_h2_frames *frames, struct ad_h2_offence *offence)
{
    const uint8_t *head = frames->head;
    uint32_t length = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    uint8_t type = head[3];
    if (!frames->began && !check_first(frames, offence)) {
        return false;
    }
    frames->began = true;
    frames->payload_left = length;
    if (type == NGHTTP2_PUSH_PROMISE) {
        return refuse(offence, NGHTTP2_PROTOCOL_ERROR, "the server pushed, which was switched off");
    }
    frames->continuations = type == NGHTTP2_CONTINUATION ? frames->continuations + 1 : 0;
    if (frames->continuations > CONTINUATIONS_MAX) {
        return refuse(offence, NGHTTP2_ENHANCE_YOUR_CALM, flood_of(type));
    }
    if (type == NGHTTP2_DATA && length > 0 && (head[4] & NGHTTP2_FLAG_PADDED) != 0) {
        frames->padded = true;
        return true;
    }
    return type == NGHTTP2_DATA ? check_data(frames, length, offence) : spend(frames, offence);
}

/* The first byte of a padded DATA frame's payload. More padding than frame is nghttp2's to refuse.
 */
static bool check_padding(struct ad_h2_frames *frames, uint8_t padding,
                          struct ad_h2_offence *offence)
{
    uint32_t rest = frames->payload_left - 1;
    frames->padded = false;
    return check_data(frames, rest > padding ? rest - padding : 0, offence);
}

size_t ad_h2_frames_scan(struct ad_h2_frames *frames, const uint8_t *bytes, size_t count,
                         struct ad_h2_offence *offence)
{
    size_t at = 0, frame_at = 0;
    offence->text = NULL;
    while (at < count) {
        if (frames->padded && !check_padding(frames, bytes[at], offence)) {
            return frame_at;
        }
        if (frames->payload_left > 0) {
            size_t skip = frames->payload_left < count - at ? frames->payload_left : count - at;
            frames->payload_left -= (uint32_t)skip;
            at += skip;
            continue;
        }
        if (frames->head_bytes == 0) {
            frame_at = at;
        }
        if (frames->head_bytes == 0 && count - at >= AD_H2_FRAME_HEAD_BYTES) { /* the usual case */
            memcpy(frames->head, bytes + at, AD_H2_FRAME_HEAD_BYTES);
            frames->head_bytes = AD_H2_FRAME_HEAD_BYTES;
            at += AD_H2_FRAME_HEAD_BYTES;
        } else {
            size_t step = AD_H2_FRAME_HEAD_BYTES - frames->head_bytes;
            step = step < count - at ? step : count - at;
            memcpy(frames->head + frames->head_bytes, bytes + at, step);
            frames->head_bytes = (uint8_t)(frames->head_bytes + step);
            at += step;
        }
        if (frames->head_bytes == AD_H2_FRAME_HEAD_BYTES) {
            frames->head_bytes = 0;
            if (!check(frames, offence)) {
                return frame_at;
            }
        }
    }
    return count;
}
