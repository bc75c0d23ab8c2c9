/* SPDX-License-Identifier: MIT */
/*
 * Buffers of a loop. Large ones are few, for they pass from hand to hand within a turn and stay
 * warm in the cache. Where a runtime keeps what it sends until later, a request head would hold a
 * large one all that time: it is moved to a small one.
 */
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "runtime/loop_private.h"

#include <errno.h>
#include <string.h>

#define SMALL_BYTES 2048

int ad_loop_buf_get(struct ad_loop *loop, struct ad_buf *buf)
{
    AD_DEBUG_ASSERT(buf->block == NULL);
    uint8_t *block = loop->spare_buf_count > 0 ? loop->spare_bufs[--loop->spare_buf_count]
                                               : ad_alloc(AD_LOOP_BUF_BYTES);
    if (block == NULL) {
        return -ENOMEM;
    }
    *buf = (struct ad_buf){.block = block, .capacity = AD_LOOP_BUF_BYTES};
    return 0;
}

static bool keep(uint8_t **spares, unsigned *count, size_t max, struct ad_buf *buf)
{
    if (*count == max) {
        return false;
    }
    spares[(*count)++] = buf->block;
    *buf = (struct ad_buf){0};
    return true;
}

void ad_loop_buf_put(struct ad_loop *loop, struct ad_buf *buf)
{
    const size_t max = sizeof loop->spare_bufs / sizeof loop->spare_bufs[0];
    const size_t small_max = sizeof loop->spare_small_bufs / sizeof loop->spare_small_bufs[0];
    bool kept = false;
    if (buf->block != NULL && buf->capacity == AD_LOOP_BUF_BYTES) {
        kept = keep(loop->spare_bufs, &loop->spare_buf_count, max, buf);
    } else if (buf->block != NULL && buf->capacity == SMALL_BYTES) {
        kept = keep(loop->spare_small_bufs, &loop->spare_small_buf_count, small_max, buf);
    }
    if (!kept) {
        ad_buf_fini(buf);
    }
}

void ad_loop_buf_shrink(struct ad_loop *loop, struct ad_buf *buf)
{
    size_t bytes = ad_buf_bytes(buf);
    if (bytes > SMALL_BYTES || buf->capacity <= SMALL_BYTES) {
        return;
    }
    uint8_t *block = loop->spare_small_buf_count > 0
                         ? loop->spare_small_bufs[--loop->spare_small_buf_count]
                         : ad_alloc(SMALL_BYTES);
    if (block == NULL) {
        return; /* the large one will do */
    }
    memcpy(block, ad_buf_data(buf), bytes);
    ad_loop_buf_put(loop, buf);
    *buf = (struct ad_buf){.block = block, .end = bytes, .capacity = SMALL_BYTES};
}

void ad_loop_bufs_free(struct ad_loop *loop)
{
    while (loop->spare_buf_count > 0) {
        ad_free(loop->spare_bufs[--loop->spare_buf_count]);
    }
    while (loop->spare_small_buf_count > 0) {
        ad_free(loop->spare_small_bufs[--loop->spare_small_buf_count]);
    }
}
