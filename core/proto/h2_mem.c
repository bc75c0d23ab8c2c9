/* SPDX-License-Identifier: MIT */
/*
 * nghttp2 takes and gives back half a dozen small blocks for each request. With many streams open
 * at once that is more than malloc keeps at hand, and costs as much as a third of the protocol.
 * What comes back here is kept for the loop's next request, by size, up to a bound.
 */
#include "proto/h2_private.h"

#include "base/mem.h"

#include <malloc.h>
#include <string.h>

/* A block that is used after its end shall be seen. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
#define KEPT_BYTES_MAX 0u
#else
#define KEPT_BYTES_MAX (256u << 10) /* some 400 streams */
#endif

struct ad_h2_mem_block { /* what lies in one that is kept */
    struct ad_h2_mem_block *next;
};

/* Blocks of class k have room for 16 k bytes, whatever malloc made of them. */
static size_t class_for(size_t bytes)
{
    return (bytes + AD_H2_MEM_STEP - 1) / AD_H2_MEM_STEP;
}

void *ad_h2_mem_get(struct ad_h2_mem *mem, size_t bytes)
{
    size_t class = class_for(bytes == 0 ? 1 : bytes);
    if (mem == NULL || class >= AD_H2_MEM_CLASSES) {
        return ad_alloc(bytes == 0 ? 1 : bytes);
    }
    struct ad_h2_mem_block *block = mem->kept[class];
    if (block == NULL) {
        return ad_alloc(class * AD_H2_MEM_STEP);
    }
    mem->kept[class] = block->next;
    mem->kept_bytes -= class * AD_H2_MEM_STEP;
    return block;
}

void ad_h2_mem_put(struct ad_h2_mem *mem, void *p)
{
    size_t class = malloc_usable_size(p) / AD_H2_MEM_STEP;
    size_t bytes = class * AD_H2_MEM_STEP;
    if (mem == NULL || class == 0 || class >= AD_H2_MEM_CLASSES ||
        mem->kept_bytes + bytes > KEPT_BYTES_MAX) {
        ad_free(p);
        return;
    }
    struct ad_h2_mem_block *block = p;
    block->next = mem->kept[class];
    mem->kept[class] = block;
    mem->kept_bytes += bytes;
}

void ad_h2_mem_fini(struct ad_h2_mem *mem)
{
    for (size_t class = 0; class < AD_H2_MEM_CLASSES; class ++) {
        struct ad_h2_mem_block *block;
        while ((block = mem->kept[class]) != NULL) {
            mem->kept[class] = block->next;
            ad_free(block);
        }
    }
    mem->kept_bytes = 0;
}
