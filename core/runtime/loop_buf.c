/* SPDX-License-Identifier: MIT */
/*
 * Buffers of a loop. Large ones are few, for they pass from hand to hand within a turn and stay
 * warm in the cache. Where a runtime keeps what it sends until later, a request head would hold a
 * large one all that time: it is moved to a small one.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "runtime/loop_private.h"

#include <string.h>

#define SMALL_BYTES 2048
#define SPARES_ALWAYS 2u

static void destroy(struct ad_buf *buf)
{
    ad_buf_fini(buf);
    ad_free(buf);
}

static struct ad_buf *create(size_t bytes)
{
    struct ad_buf *buf = ad_zalloc(sizeof *buf);
    if (buf != NULL && ad_buf_reserve(buf, bytes) == NULL) {
        ad_free(buf);
        buf = NULL;
    }
    return buf;
}

struct ad_buf *ad_loop_buf_get(struct ad_loop *loop)
{
    return loop->spare_buf_count > 0 ? loop->spare_bufs[--loop->spare_buf_count]
                                     : create(AD_LOOP_BUF_BYTES);
}

static bool keep(struct ad_buf **spares, unsigned *count, size_t max, struct ad_buf *buf)
{
    if (*count == max) {
        return false;
    }
    ad_buf_clear(buf);
    spares[(*count)++] = buf;
    return true;
}

void ad_loop_buf_put(struct ad_loop *loop, struct ad_buf *buf)
{
    const size_t max = sizeof loop->spare_bufs / sizeof loop->spare_bufs[0];
    const size_t small_max = sizeof loop->spare_small_bufs / sizeof loop->spare_small_bufs[0];
    bool kept = false;
    if (buf->capacity == AD_LOOP_BUF_BYTES) {
        kept = keep(loop->spare_bufs, &loop->spare_buf_count, max, buf);
    } else if (buf->capacity == SMALL_BYTES) {
        kept = keep(loop->spare_small_bufs, &loop->spare_small_buf_count, small_max, buf);
    }
    if (!kept) {
        destroy(buf);
    }
}

struct ad_buf *ad_loop_buf_shrink(struct ad_loop *loop, struct ad_buf *buf)
{
    size_t bytes = ad_buf_bytes(buf);
    if (bytes > SMALL_BYTES || buf->capacity <= SMALL_BYTES) {
        return buf;
    }
    struct ad_buf *small = loop->spare_small_buf_count > 0
                               ? loop->spare_small_bufs[--loop->spare_small_buf_count]
                               : create(SMALL_BYTES);
    if (small == NULL) {
        return buf; /* the large one will do */
    }
    memcpy(small->block, ad_buf_data(buf), bytes);
    small->end = bytes;
    ad_loop_buf_put(loop, buf);
    return small;
}

static void free_down_to(struct ad_buf **spares, unsigned *count, unsigned to)
{
    while (*count > to) {
        destroy(spares[--*count]);
    }
}

/* A quarter goes each time, so that a pause alone costs the next burst little. */
void ad_loop_bufs_trim(struct ad_loop *loop)
{
    unsigned few = SPARES_ALWAYS + loop->spare_buf_count * 3 / 4;
    unsigned few_small = SPARES_ALWAYS + loop->spare_small_buf_count * 3 / 4;
    free_down_to(loop->spare_bufs, &loop->spare_buf_count, few);
    free_down_to(loop->spare_small_bufs, &loop->spare_small_buf_count, few_small);
}

void ad_loop_bufs_free(struct ad_loop *loop)
{
    free_down_to(loop->spare_bufs, &loop->spare_buf_count, 0);
    free_down_to(loop->spare_small_bufs, &loop->spare_small_buf_count, 0);
}
