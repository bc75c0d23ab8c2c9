/* SPDX-License-Identifier: MIT */
/* The chunked coding, RFC 9112 7.1, byte by byte between the data and in whole slices inside it. */
#include "proto/h1_private.h"

#include "base/error.h"
#include "proto/text.h"

/* Leading zeros included: a size line is not a place to hide endless bytes. */
#define DIGITS_MAX 16

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int refuse(struct aioduct_error *error, const char *where, uint8_t byte)
{
    char shown[8];
    ad_text_escape((const char *)&byte, 1, shown, sizeof shown);
    return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_BODY,
                        "malformed chunked body: '%s' %s", shown, where);
}

static int expect(struct ad_h1_chunk *chunk, uint8_t byte, uint8_t wanted,
                  enum ad_h1_chunk_state next, struct aioduct_error *error)
{
    if (byte != wanted) {
        bool data = chunk->state != AD_H1_CHUNK_SIZE_LF;
        return refuse(error, data ? "where CRLF ends a chunk" : "after CR in a chunk size line",
                      byte);
    }
    chunk->state = (uint8_t)next;
    return 0;
}

static int take_size(struct ad_h1_chunk *chunk, uint8_t byte, struct aioduct_error *error)
{
    int digit = hex(byte);
    if (digit >= 0) {
        if (chunk->digits == DIGITS_MAX || chunk->left > (uint64_t)INT64_MAX >> 4) {
            return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_BODY,
                                "malformed chunked body: chunk size too large");
        }
        chunk->digits++;
        chunk->left = chunk->left * 16 + (unsigned)digit;
        return 0;
    }
    if (chunk->digits == 0) {
        return refuse(error, "where a chunk size begins", byte);
    }
    if (byte != ';' && byte != '\r') {
        return refuse(error, "after a chunk size", byte);
    }
    chunk->state = byte == ';' ? AD_H1_CHUNK_EXTENSION : AD_H1_CHUNK_SIZE_LF;
    chunk->extension_bytes += byte == ';';
    return 0;
}

static int take_extension(struct ad_h1_chunk *chunk, uint8_t byte, struct aioduct_error *error)
{
    if (byte == '\r') {
        chunk->state = AD_H1_CHUNK_SIZE_LF;
        return 0;
    }
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
        return refuse(error, "in a chunk extension", byte);
    }
    chunk->extension_bytes++;
    return 0;
}

static int take_byte(struct ad_h1_chunk *chunk, uint8_t byte, struct aioduct_error *error)
{
    switch ((enum ad_h1_chunk_state)chunk->state) {
    case AD_H1_CHUNK_SIZE:
        return take_size(chunk, byte, error);
    case AD_H1_CHUNK_EXTENSION:
        return take_extension(chunk, byte, error);
    case AD_H1_CHUNK_SIZE_LF:
        return expect(chunk, byte, '\n', chunk->left == 0 ? AD_H1_CHUNK_LAST : AD_H1_CHUNK_DATA,
                      error);
    case AD_H1_CHUNK_DATA_CR:
        return expect(chunk, byte, '\r', AD_H1_CHUNK_DATA_LF, error);
    case AD_H1_CHUNK_DATA_LF:
        chunk->digits = 0;
        return expect(chunk, byte, '\n', AD_H1_CHUNK_SIZE, error);
    default:
        return 0;
    }
}

int64_t ad_h1_chunk_feed(struct ad_h1_chunk *chunk, const uint8_t *bytes, size_t count,
                         uint32_t extension_bytes_max, struct ad_slice *out_data,
                         struct aioduct_error *error)
{
    size_t used = 0;
    *out_data = (struct ad_slice){0};
    while (used < count && chunk->state != AD_H1_CHUNK_LAST) {
        if (chunk->state == AD_H1_CHUNK_DATA) {
            size_t left = count - used;
            size_t piece = chunk->left < left ? (size_t)chunk->left : left;
            *out_data = (struct ad_slice){(const char *)bytes + used, piece};
            chunk->left -= piece;
            if (chunk->left == 0) {
                chunk->state = AD_H1_CHUNK_DATA_CR;
            }
            return (int64_t)(used + piece);
        }
        int result = take_byte(chunk, bytes[used], error);
        if (result < 0) {
            return result;
        }
        if (chunk->extension_bytes > extension_bytes_max) {
            return ad_error_set(error, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY,
                                "more than %u bytes of chunk extensions (chunk_ext_max)",
                                extension_bytes_max);
        }
        used++;
    }
    return (int64_t)used;
}
