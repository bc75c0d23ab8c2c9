/* SPDX-License-Identifier: MIT */
/**
 * block.h - memory for a plugin's state, as the core gives it: zeroed and aligned as the layout
 * asks, but no better; guard bytes on both sides; and kept for a while after it was freed, so that
 * a late write is seen.
 */
#ifndef CT_BLOCK_H
#define CT_BLOCK_H

#include <aioduct/plugin/plugin.h>
#include <stdbool.h>
#include <stddef.h>

/* What was freed and must not change any more. */
struct ct_graveyard {
    struct ct_block *first, *last;
    size_t bytes;
};

/* -> state, zeroed; aborts when the machine is out of memory. */
void *ct_block_new(struct aioduct_layout layout);
/* Zero the state again, as the core does before it uses the memory for another object. */
void ct_block_zero(void *state);
/* Did nobody write beside it? */
bool ct_block_whole(const void *state);
/* -> false if somebody wrote beside it; NULL is fine. */
bool ct_block_free(struct ct_graveyard *graves, void *state);
/* Let the dead go. -> false if somebody wrote to one. */
bool ct_graveyard_clear(struct ct_graveyard *graves);

/* What was lent for a call is over: nobody must look at it any more. (A compiler leaves out a plain
 * memset before a free.) */
void ct_spoil(void *memory, size_t bytes);

#endif
