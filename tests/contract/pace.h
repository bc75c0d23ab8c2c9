/* SPDX-License-Identifier: MIT */
/**
 * pace.h - how long the suite waits for what must come, and how much it does.
 */
#ifndef CT_PACE_H
#define CT_PACE_H

#include <stdint.h>

/* Only a broken runtime takes this long, also on a busy machine under a sanitizer. */
#define CT_PATIENCE_NS ((uint64_t)20 * 1000000000)

/* @count scaled by AIODUCT_CONTRACT_SCALE, in percent (default 100); at least 1. */
unsigned ct_scaled(unsigned count);

#endif
