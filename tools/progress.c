/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 60 /* with the number it fits the narrowest terminal */

bool progress_wanted(const struct options *o)
{
    return o->progress_bar && !o->silent && !o->parallel;
}

void progress_draw(uint64_t moved, int64_t expected, bool last)
{
    char bar[WIDTH + 1];
    if (expected > 0) {
        double part = (double)moved / (double)expected;
        part = part > 1 ? 1 : part;
        size_t filled = (size_t)(part * WIDTH);
        memset(bar, '#', filled);
        memset(bar + filled, ' ', WIDTH - filled);
        bar[WIDTH] = '\0';
        fprintf(stderr, "\r%s %5.1f%%", bar, part * 100);
    } else {
        fprintf(stderr, "\r%" PRIu64 " bytes", moved);
    }
    if (last) {
        fputc('\n', stderr);
    }
    fflush(stderr);
}
