/* SPDX-License-Identifier: MIT */
/**
 * Byte queue in one block: bytes are appended at the end and consumed at the front. Capacity only
 * grows, until reset; max bounds it.
 */
#ifndef AD_BASE_BUF_H
#define AD_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct ad_buf {
    uint8_t *block;
    size_t begin, end; /* unread bytes are block[begin, end) */
    size_t capacity;
};

static inline size_t ad_buf_bytes(const struct ad_buf *b)
{
    return b->end - b->begin;
}

static inline const uint8_t *ad_buf_data(const struct ad_buf *b)
{
    return b->block == NULL ? NULL : b->block + b->begin;
}

/* Make room for @bytes more after the end -> pointer to it, NULL when out of memory. May move what
 * is there. */
uint8_t *ad_buf_reserve(struct ad_buf *b, size_t bytes);
/* Count @bytes, written after reserve, as appended. */
void ad_buf_commit(struct ad_buf *b, size_t bytes);
/* 0 or -ENOMEM; all or nothing. */
int ad_buf_append(struct ad_buf *b, const void *bytes, size_t count);
int ad_buf_append_str(struct ad_buf *b, const char *s);
void ad_buf_consume(struct ad_buf *b, size_t count);
/* Empty, block kept. */
void ad_buf_clear(struct ad_buf *b);
/* Empty, block freed. */
void ad_buf_fini(struct ad_buf *b);

#endif
