/* SPDX-License-Identifier: MIT */
/** -#: one line on standard error that is drawn again and again. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct options;

/* Asked for, and not in the way of other output? */
bool progress_wanted(const struct options *options);
/* @expected -1: nobody knows how much will come. */
void progress_draw(uint64_t moved, int64_t expected, bool last);

#endif
