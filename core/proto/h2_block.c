/* SPDX-License-Identifier: MIT */
/* A header block is decoded field by field, and a field may be a reference of one byte to a large
 * entry of the table: the decoded size is what is limited (C9, C43). Blocks never interleave on a
 * connection, so one is gathered at a time. */
#include "proto/h2_private.h"

#include "base/error.h"
#include "base/mem.h"
#include "proto/h1_private.h"
#include "proto/text.h"

#include <errno.h>
#include <string.h>

#define FIELD_OVERHEAD 32u   /* RFC 9113 section 6.5.2 */
#define KEPT_TEXT_BYTES 4096 /* what is kept from one block to the next: usual ones fit */
#define KEPT_FIELDS 64
#define FIRST_FIELDS 16
#define FIRST_TEXT_BYTES 512

void ad_h2_block_begin(struct ad_h2_block *block, const struct ad_h2_limits *limits,
                       struct ad_h2_stream *s)
{
    block->s = s;
    block->status = 0;
    block->has_status = block->regular = false;
    block->bytes = 0;
    block->bytes_max =
        s != NULL && s->got_head ? limits->trailer_bytes_max : limits->head_bytes_max;
    block->text_bytes = 0;
    block->count = 0;
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

/* A value may be a secret. */
static int wrong(struct aioduct_error *error, const struct ad_h2_stream *s, struct ad_slice name)
{
    char shown[64];
    ad_text_escape(name.p, name.bytes, shown, sizeof shown);
    return ad_error_set(error, AIODUCT_E_PROTOCOL, ad_h2_phase(s),
                        "malformed response: field \"%s\"", shown);
}

static int grow_fields(struct ad_h2_block *block)
{
    uint32_t room = block->room == 0 ? FIRST_FIELDS : block->room * 2;
    struct aioduct_header *headers = ad_realloc(block->headers, room * sizeof *headers);
    if (headers == NULL) {
        return -ENOMEM;
    }
    block->headers = headers;
    block->room = room;
    return 0;
}

static int grow_text(struct ad_h2_block *block, size_t bytes)
{
    size_t room = block->text_room == 0 ? FIRST_TEXT_BYTES : block->text_room;
    while (room - block->text_bytes < bytes) { /* limited above */
        room *= 2;
    }
    char *text = ad_alloc(room);
    if (text == NULL) {
        return -ENOMEM;
    }
    if (block->text_bytes > 0) {
        memcpy(text, block->text, block->text_bytes);
    }
    for (uint32_t i = 0; i < block->count; i++) {
        struct aioduct_header *header = &block->headers[i];
        header->name = text + (header->name - block->text);
        header->value = text + (header->value - block->text);
    }
    ad_free(block->text);
    block->text = text;
    block->text_room = room;
    return 0;
}

int ad_h2_block_add(struct ad_h2_block *block, const struct ad_h2_limits *limits,
                    struct ad_slice name, struct ad_slice value, struct aioduct_error *error)
{
    block->bytes += name.bytes + value.bytes + FIELD_OVERHEAD;
    if (block->bytes > block->bytes_max) {
        return over(error, limits, block->s->got_head, false);
    }
    enum ad_h2_field_kind kind = ad_h2_message_field(block, name, value);
    if (kind != AD_H2_FIELD_TAKEN) {
        return kind == AD_H2_FIELD_DROPPED ? 0 : wrong(error, block->s, name);
    }
    value = ad_slice_trim(value); /* servers do send spaces around what is no number */
    if (block->count == limits->head_fields_max) {
        return over(error, limits, block->s->got_head, true);
    }
    size_t bytes = name.bytes + value.bytes;
    if ((block->count == block->room && grow_fields(block) < 0) ||
        (block->text_room - block->text_bytes < bytes && grow_text(block, bytes) < 0)) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_HEAD, "out of memory");
    }
    char *to = block->text + block->text_bytes;
    block->text_bytes += bytes;
    memcpy(to, name.p, name.bytes);
    memcpy(to + name.bytes, value.p, value.bytes);
    block->headers[block->count++] = (struct aioduct_header){.name = to,
                                                             .name_bytes = (uint32_t)name.bytes,
                                                             .value = to + name.bytes,
                                                             .value_bytes = (uint32_t)value.bytes};
    return 0;
}

static uint32_t keep_allowed(struct aioduct_header *headers, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        headers[kept] = headers[i];
        kept += ad_h1_trailer_allowed(&headers[i]);
    }
    return kept;
}

void ad_h2_block_head(struct ad_h2_block *block, bool trailers, struct aioduct_head *out)
{
    *out = (struct aioduct_head){
        .size = sizeof *out,
        .status = block->status,
        .version = 20,
        .reason = "",
        .header_count = trailers ? keep_allowed(block->headers, block->count) : block->count,
        .headers = block->headers};
}

void ad_h2_block_end(struct ad_h2_block *block)
{
    block->s = NULL;
    if (block->text_room > KEPT_TEXT_BYTES || block->room > KEPT_FIELDS) {
        ad_h2_block_fini(block);
    }
}

void ad_h2_block_fini(struct ad_h2_block *block)
{
    ad_free(block->text);
    ad_free(block->headers);
    block->text = NULL;
    block->headers = NULL;
    block->text_room = block->text_bytes = 0;
    block->room = block->count = 0;
}
