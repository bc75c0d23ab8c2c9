/* SPDX-License-Identifier: MIT */
/* A block is: header, front guard, state, back guard. */
#include "block.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUARD_BYTES = 64,
    GUARD_FILL = 0xA5,
    DEAD_FILL = 0xDD,
    GRAVE_BYTES_MAX = 8 << 20 /* enough for some thousand objects */
};

#if defined(__SANITIZE_ADDRESS__)
#define SEES_LATE_ACCESS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SEES_LATE_ACCESS 1
#endif
#endif

struct ct_block {
    struct ct_block *next;
    uint8_t *state;
    size_t bytes;
};

/* The header's address stands right before the front guard. */
static struct ct_block *block_of(const void *state)
{
    struct ct_block *block;
    memcpy(&block, (const uint8_t *)state - GUARD_BYTES - sizeof block, sizeof block);
    return block;
}

static bool all_are(const uint8_t *bytes, size_t count, uint8_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

void *ct_block_new(struct aioduct_layout layout)
{
    size_t align = layout.align < sizeof(void *) ? sizeof(void *) : layout.align;
    size_t head = sizeof(struct ct_block) + sizeof(struct ct_block *) + GUARD_BYTES;
    struct ct_block *block = malloc(head + 2 * align + layout.bytes + GUARD_BYTES);
    if (block == NULL) {
        abort();
    }
    /* An odd multiple of the alignment: whoever counts on more than was asked for finds out. */
    uintptr_t at = ((uintptr_t)block + head + align - 1) / align * align;
    if (at / align % 2 == 0) {
        at += align;
    }
    uint8_t *state = (uint8_t *)at;
    block->next = NULL;
    block->state = state;
    block->bytes = layout.bytes;
    memset(state - GUARD_BYTES, GUARD_FILL, GUARD_BYTES);
    memset(state, 0, layout.bytes);
    memset(state + layout.bytes, GUARD_FILL, GUARD_BYTES);
    memcpy(state - GUARD_BYTES - sizeof block, &block, sizeof block);
    return state;
}

void ct_block_zero(void *state)
{
    memset(state, 0, block_of(state)->bytes);
}

bool ct_block_whole(const void *state)
{
    const uint8_t *bytes = state;
    return all_are(bytes - GUARD_BYTES, GUARD_BYTES, GUARD_FILL) &&
           all_are(bytes + block_of(state)->bytes, GUARD_BYTES, GUARD_FILL);
}

/* Free the oldest. -> false if it was written to. */
static bool bury_oldest(struct ct_graveyard *graves)
{
    struct ct_block *block = graves->first;
    bool untouched = all_are(block->state, block->bytes, DEAD_FILL);
    graves->first = block->next;
    if (graves->first == NULL) {
        graves->last = NULL;
    }
    graves->bytes -= block->bytes;
    free(block);
    return untouched;
}

bool ct_block_free(struct ct_graveyard *graves, void *state)
{
    if (state == NULL) {
        return true;
    }
    bool whole = ct_block_whole(state);
    struct ct_block *block = block_of(state);
#ifdef SEES_LATE_ACCESS
    (void)graves;
    (void)bury_oldest;
    free(block); /* the sanitizer sees reads as well */
#else
    memset(state, DEAD_FILL, block->bytes);
    if (graves->last != NULL) {
        graves->last->next = block;
    } else {
        graves->first = block;
    }
    graves->last = block;
    graves->bytes += block->bytes;
    while (graves->bytes > GRAVE_BYTES_MAX) {
        whole = bury_oldest(graves) && whole;
    }
#endif
    return whole;
}

bool ct_graveyard_clear(struct ct_graveyard *graves)
{
    bool untouched = true;
    while (graves->first != NULL) {
        untouched = bury_oldest(graves) && untouched;
    }
    return untouched;
}

void ct_spoil(void *memory, size_t bytes)
{
    memset(memory, 0x41, bytes);
}
