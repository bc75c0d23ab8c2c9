/* SPDX-License-Identifier: MIT */
/* A header block is decoded field by field, and a field may be a reference of one byte to a large
 * entry of the table: the decoded size is what is limited (C9, C43). Blocks never interleave on a
 * connection, so one is gathered at a time. */
#include "proto/h2_private.h"

#include "base/error.h"
#include "base/mem.h"
#include "proto/h1_private.h"

#include <errno.h>
#include <string.h>

#define FIELD_OVERHEAD 32u   /* RFC 9113 section 6.5.2 */
#define KEPT_TEXT_BYTES 4096 /* what is kept from one block to the next: usual ones fit */
#define KEPT_FIELDS 64
#define FIRST_FIELDS 16

void ad_h2_block_begin(struct ad_h2_block *block, struct ad_h2_stream *s)
{
    block->s = s;
    block->status = 0;
    block->bytes = 0;
    block->count = 0;
    ad_buf_clear(&block->text);
}

static int over(struct aioduct_error *error, const struct ad_h2_limits *limits, bool trailers,
                bool too_many)
{
    int code = trailers ? AIODUCT_E_LIMIT : AIODUCT_E_HEAD_LIMIT;
    enum aioduct_phase phase = trailers ? AIODUCT_PHASE_BODY : AIODUCT_PHASE_HEAD;
    const char *what = trailers ? "trailer section" : "response head";
    if (too_many) {
        return ad_error_set(error, code, phase, "%s has more than %u fields (head_fields_max)",
                            what, limits->head_fields_max);
    }
    return ad_error_set(error, code, phase, "%s larger than %u bytes (%s)", what,
                        trailers ? limits->trailer_bytes_max : limits->head_bytes_max,
                        trailers ? "trailer_bytes_max" : "head_bytes_max");
}

static int grow(struct ad_h2_block *block)
{
    uint32_t room = block->room == 0 ? FIRST_FIELDS : block->room * 2;
    struct ad_h2_span *spans = ad_realloc(block->spans, room * sizeof *spans);
    if (spans == NULL) {
        return -ENOMEM;
    }
    block->spans = spans;
    struct aioduct_header *headers = ad_realloc(block->headers, room * sizeof *headers);
    if (headers == NULL) {
        return -ENOMEM;
    }
    block->headers = headers;
    block->room = room;
    return 0;
}

int ad_h2_block_add(struct ad_h2_block *block, const struct ad_h2_limits *limits,
                    struct ad_slice name, struct ad_slice value, struct aioduct_error *error)
{
    bool trailers = block->s->got_head;
    uint32_t bytes_max = trailers ? limits->trailer_bytes_max : limits->head_bytes_max;
    value = ad_slice_trim(value);
    block->bytes += name.bytes + value.bytes + FIELD_OVERHEAD;
    if (block->bytes > bytes_max) {
        return over(error, limits, trailers, false);
    }
    if (ad_slice_equal(name, ad_slice_of(":status"))) { /* nghttp2 has seen three digits */
        block->status = (value.p[0] - '0') * 100 + (value.p[1] - '0') * 10 + (value.p[2] - '0');
        return 0;
    }
    if (block->count == limits->head_fields_max) {
        return over(error, limits, trailers, true);
    }
    struct ad_h2_span span = {.name_at = (uint32_t)ad_buf_bytes(&block->text),
                              .name_bytes = (uint32_t)name.bytes,
                              .value_bytes = (uint32_t)value.bytes};
    span.value_at = span.name_at + span.name_bytes;
    uint8_t *to = ad_buf_reserve(&block->text, name.bytes + value.bytes);
    if (to == NULL || (block->count == block->room && grow(block) < 0)) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_HEAD, "out of memory");
    }
    memcpy(to, name.p, name.bytes);
    memcpy(to + name.bytes, value.p, value.bytes);
    ad_buf_commit(&block->text, name.bytes + value.bytes);
    block->spans[block->count++] = span;
    return 0;
}

void ad_h2_block_head(struct ad_h2_block *block, bool trailers, struct aioduct_head *out)
{
    const char *text = block->count == 0 ? "" : (const char *)ad_buf_data(&block->text);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        const struct ad_h2_span *span = &block->spans[i];
        struct aioduct_header *header = &block->headers[kept];
        *header = (struct aioduct_header){.name = text + span->name_at,
                                          .name_bytes = span->name_bytes,
                                          .value = text + span->value_at,
                                          .value_bytes = span->value_bytes};
        kept += !trailers || ad_h1_trailer_allowed(header);
    }
    *out = (struct aioduct_head){.size = sizeof *out,
                                 .status = block->status,
                                 .version = 20,
                                 .reason = "",
                                 .header_count = kept,
                                 .headers = block->headers};
}

void ad_h2_block_end(struct ad_h2_block *block)
{
    block->s = NULL;
    if (block->text.capacity > KEPT_TEXT_BYTES || block->room > KEPT_FIELDS) {
        ad_h2_block_fini(block);
    }
}

void ad_h2_block_fini(struct ad_h2_block *block)
{
    ad_buf_fini(&block->text);
    ad_free(block->spans);
    ad_free(block->headers);
    block->spans = NULL;
    block->headers = NULL;
    block->room = block->count = 0;
}
