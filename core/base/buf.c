/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define BUF_MIN 512 /* smallest block: a short request head fits */

uint8_t *ad_buf_reserve(struct ad_buf *b, size_t bytes)
{
    size_t used = ad_buf_bytes(b);
    if (b->capacity - b->end >= bytes && b->block != NULL) {
        return b->block + b->end;
    }
    if (b->block != NULL && b->capacity - used >= bytes && b->begin >= used) {
        memmove(b->block, b->block + b->begin, used);
        b->begin = 0;
        b->end = used;
        return b->block + used;
    }
    if (bytes > SIZE_MAX / 2 - used) {
        return NULL;
    }
    size_t capacity = b->capacity < BUF_MIN ? BUF_MIN : b->capacity;
    while (capacity < used + bytes) {
        capacity *= 2;
    }
    uint8_t *block = ad_alloc(capacity);
    if (block == NULL) {
        return NULL;
    }
    if (used > 0) {
        memcpy(block, b->block + b->begin, used);
    }
    ad_free(b->block);
    b->block = block;
    b->capacity = capacity;
    b->begin = 0;
    b->end = used;
    return block + used;
}

void ad_buf_commit(struct ad_buf *b, size_t bytes)
{
    AD_ASSERT(bytes <= b->capacity - b->end);
    b->end += bytes;
}

int ad_buf_append(struct ad_buf *b, const void *bytes, size_t count)
{
    if (count == 0) {
        return 0;
    }
    uint8_t *to = ad_buf_reserve(b, count);
    if (to == NULL) {
        return -ENOMEM;
    }
    memcpy(to, bytes, count);
    b->end += count;
    return 0;
}

int ad_buf_append_str(struct ad_buf *b, const char *s)
{
    return ad_buf_append(b, s, strlen(s));
}

void ad_buf_consume(struct ad_buf *b, size_t count)
{
    AD_ASSERT(count <= ad_buf_bytes(b));
    b->begin += count;
    if (b->begin == b->end) {
        b->begin = b->end = 0;
    }
}

void ad_buf_clear(struct ad_buf *b)
{
    b->begin = b->end = 0;
}

void ad_buf_fini(struct ad_buf *b)
{
    ad_free(b->block);
    *b = (struct ad_buf){0};
}
