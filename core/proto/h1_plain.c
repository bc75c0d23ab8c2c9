/* SPDX-License-Identifier: MIT */
/*
 * The usual head in one pass: a status line, "Name: value" lines and an empty one, each ended by
 * CRLF, with nothing in them that anybody could read in two ways. Whatever else there is, wrong or
 * only odd, is left to h1_lines.c and llhttp, which say what it is. What is taken here must come
 * out as it does there: tests feed each answer whole, which comes here, and byte by byte, which
 * does not.
 */
#include "proto/h1_private.h"

#include <endian.h>

#define LENGTH_DIGITS_MAX 18 /* any number of them is below INT64_MAX */

static bool is_crlf(const char *at, const char *end)
{
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n';
}

/* The first control byte, HTAB too, of eight bytes at a time: subtracting makes the eighth bit of
 * a byte below 0x20, or of one that is 0x7f, the lowest that is set in vain. */
static const char *text_end(const char *at, const char *end)
{
    const uint64_t each = 0x0101010101010101u;
    for (; end - at >= 8; at += 8) {
        uint64_t bytes;
        memcpy(&bytes, at, sizeof bytes);
        bytes = le64toh(bytes);
        uint64_t del = bytes ^ each * 0x7f;
        uint64_t found = (((bytes - each * 0x20) & ~bytes) | ((del - each) & ~del)) & each * 0x80;
        if (found != 0) {
            return at + __builtin_ctzll(found) / 8;
        }
    }
    while (at < end && (uint8_t)*at >= 0x20 && *at != 0x7f) {
        at++;
    }
    return at;
}

/* Could two readers disagree about this Content-Length? */
static bool is_odd_length(const struct aioduct_header *field)
{
    uint32_t digits = 0;
    while (digits < field->value_bytes && field->value[digits] >= '0' &&
           field->value[digits] <= '9') {
        digits++;
    }
    bool plain = digits == field->value_bytes && digits > 0 && digits <= LENGTH_DIGITS_MAX;
    return !plain && ad_slice_case_equal((struct ad_slice){field->name, field->name_bytes},
                                         ad_slice_of("content-length"));
}

/* A line from @at on -> where the next one begins; NULL: not a plain one */
static const char *take_field(struct aioduct_header *field, const char *at, const char *end)
{
    const char *colon = at;
    while (colon < end && ad_h1_token_bytes[(uint8_t)*colon]) {
        colon++;
    }
    if (colon == at || colon == end || *colon != ':') {
        return NULL;
    }
    const char *value = colon + 1;
    while (value < end && *value == ' ') {
        value++;
    }
    const char *next = text_end(value, end);
    if (!is_crlf(next, end)) {
        return NULL;
    }
    const char *value_end = next;
    while (value_end > value && value_end[-1] == ' ') {
        value_end--;
    }
    *field = (struct aioduct_header){.name = at,
                                     .value = value,
                                     .name_bytes = (uint32_t)(colon - at),
                                     .value_bytes = (uint32_t)(value_end - value)};
    bool odd = field->name_bytes == sizeof "content-length" - 1 && is_odd_length(field);
    return odd ? NULL : next + 2;
}

size_t ad_h1_plain_find(struct ad_h1_fields *out, struct ad_slice bytes)
{
    const char *end = bytes.p + bytes.bytes;
    if (bytes.bytes <= AD_H1_STATUS_BYTES) {
        return 0;
    }
    const char *reason = bytes.p + AD_H1_STATUS_BYTES;
    reason += *reason == ' ';
    const char *at = text_end(reason, end);
    if (!is_crlf(at, end)) {
        return 0;
    }
    out->reason = (struct ad_slice){reason, (size_t)(at - reason)};
    out->count = 0;
    at += 2;
    while (at != NULL && !is_crlf(at, end)) {
        if (out->count == out->room) {
            return 0;
        }
        at = take_field(&out->headers[out->count++], at, end);
    }
    return at != NULL ? (size_t)(at + 2 - bytes.p) : 0;
}
