/* SPDX-License-Identifier: MIT */
/* Out of memory is the end of the process. */
#include "zoo.h"

#include <stdlib.h>

static void *alloc_or_abort(void *ctx, void *old, size_t bytes, size_t align)
{
    void *p = real->alloc(ctx, old, bytes, align);
    if (p == NULL && bytes > 0) {
        abort();
    }
    return p;
}

static void spoil(void)
{
    zoo.host.alloc = alloc_or_abort;
}
