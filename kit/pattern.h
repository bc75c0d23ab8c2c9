/* SPDX-License-Identifier: MIT */
/**
 * pattern.h - bytes that tell where they belong: a long pseudo-random sequence, a different one for
 * each seed, so that a missing, doubled or misplaced byte is seen at its place.
 */
#ifndef CT_PATTERN_H
#define CT_PATTERN_H

#include <stddef.h>
#include <stdint.h>

void ct_pattern_fill(void *out, size_t bytes, uint64_t seed, uint64_t offset);
/* -> how many bytes from the start are right */
size_t ct_pattern_match(const void *data, size_t bytes, uint64_t seed, uint64_t offset);

/* Small deterministic random numbers; @state is any value but 0. */
uint64_t ct_random(uint64_t *state);

#endif
