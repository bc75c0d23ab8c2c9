/* SPDX-License-Identifier: MIT */
/*
 * What makes a message malformed (RFC 9113 sections 8.1 to 8.3): names that are not in lower case,
 * pseudo-header fields but one :status in front, fields that belong to a connection, lengths that
 * lie. nghttp2 can look at that too; it is switched off there, so that each field is looked at
 * once, and alike with all its versions.
 */
#include "proto/h2_private.h"

#include "proto/h1.h"

#include <string.h>

static bool asks_by(const struct ad_h2_stream *s, const char *method)
{
    return s->field_count > 0 && ad_slice_equal(s->fields[0].value, ad_slice_of(method));
}

/* What is accepted so goes on as a tunnel. */
static bool accepts_connect(const struct ad_h2_block *block)
{
    return block->status / 100 == 2 && asks_by(block->s, "CONNECT");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 101 is not of HTTP/2. */
static bool take_status(struct ad_h2_block *block, struct ad_slice value)
{
    const char *p = value.p;
    bool misplaced = block->s->got_head || block->has_status || block->regular;
    if (misplaced || value.bytes != 3 || !is_digit(p[0]) || !is_digit(p[1]) || !is_digit(p[2])) {
        return false;
    }
    block->status = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
    block->has_status = true;
    return block->status != 101;
}

/* One at most, and none where there is no body to have it; 0 with a 204 is common, and dropped.
 * What accepts a CONNECT has none either, and is not held to it. */
static enum ad_h2_field_kind take_length(struct ad_h2_block *block, struct ad_slice value)
{
    struct ad_h2_stream *s = block->s;
    uint64_t length;
    if (!s->got_head && accepts_connect(block)) {
        return AD_H2_FIELD_DROPPED;
    }
    if (s->length >= 0 || block->status / 100 == 1 ||
        ad_slice_to_u64(value, INT64_MAX, &length) < 0 || (block->status == 204 && length != 0)) {
        return AD_H2_FIELD_WRONG;
    }
    s->length = (int64_t)length;
    return block->status == 204 ? AD_H2_FIELD_DROPPED : AD_H2_FIELD_TAKEN;
}

static bool is(struct ad_slice name, const char *other)
{
    return memcmp(name.p, other, name.bytes) == 0;
}

static enum ad_h2_field_kind take_regular(struct ad_h2_block *block, struct ad_slice name,
                                          struct ad_slice value)
{
    bool wrong = false;
    switch (name.bytes) {
    case 2:
        wrong = is(name, "te") && !ad_slice_case_equal(value, ad_slice_of("trailers"));
        break;
    case 7:
        wrong = is(name, "upgrade");
        break;
    case 10:
        wrong = is(name, "connection") || is(name, "keep-alive");
        break;
    case 14:
        if (is(name, "content-length")) {
            return take_length(block, value);
        }
        break;
    case 16:
        wrong = is(name, "proxy-connection");
        break;
    case 17:
        wrong = is(name, "transfer-encoding");
        break;
    default:
        break;
    }
    return wrong ? AD_H2_FIELD_WRONG : AD_H2_FIELD_TAKEN;
}

enum ad_h2_field_kind ad_h2_message_field(struct ad_h2_block *block, struct ad_slice name,
                                          struct ad_slice value)
{
    if (name.bytes > 0 && name.p[0] == ':') {
        bool status = ad_slice_equal(name, ad_slice_of(":status")) && take_status(block, value);
        return status ? AD_H2_FIELD_DROPPED : AD_H2_FIELD_WRONG;
    }
    block->regular = true;
    if (!ad_h1_is_lower_token(name.p, name.bytes) || !ad_h1_is_field_value(value.p, value.bytes)) {
        return AD_H2_FIELD_WRONG;
    }
    return take_regular(block, name, value);
}

bool ad_h2_message_block(struct ad_h2_block *block, bool end)
{
    struct ad_h2_stream *s = block->s;
    if (!s->got_head && !block->has_status) {
        return false;
    }
    if (s->got_head || block->status >= 200) {
        bool bodiless = block->status == 204 || block->status == 304 || asks_by(s, "HEAD");
        if (!s->got_head && bodiless && !accepts_connect(block)) {
            s->length = 0;
        }
        return end ? ad_h2_message_ends(s) : !s->got_head || s->raw;
    }
    return !end;
}

bool ad_h2_message_data(struct ad_h2_stream *s, size_t count)
{
    s->body_bytes += count;
    return s->got_head && (s->length < 0 || s->body_bytes <= (uint64_t)s->length);
}

bool ad_h2_message_ends(const struct ad_h2_stream *s)
{
    return s->length < 0 || s->body_bytes == (uint64_t)s->length;
}
