/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t count;
static _Atomic uint64_t fail_at; /* value of count at which to fail; 0: never */

static int must_fail(void)
{
    uint64_t n = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) + 1;
    return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

void ad_mem_fail_nth(uint64_t nth)
{
    atomic_store(&fail_at, nth == 0 ? 0 : atomic_load(&count) + nth);
}

uint64_t ad_mem_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

void *ad_alloc(size_t bytes)
{
    if (bytes == 0 || must_fail()) {
        return NULL;
    }
    return malloc(bytes);
}

void *ad_zalloc(size_t bytes)
{
    if (bytes == 0 || must_fail()) {
        return NULL;
    }
    return calloc(1, bytes);
}

void *ad_zalloc_aligned(size_t bytes, size_t align)
{
    void *p = NULL;
    if (bytes == 0 || must_fail()) {
        return NULL;
    }
    if (align < sizeof(void *)) {
        align = sizeof(void *);
    }
    if (posix_memalign(&p, align, bytes) != 0) {
        return NULL;
    }
    return memset(p, 0, bytes);
}

void *ad_realloc(void *old, size_t bytes)
{
    if (bytes == 0 || must_fail()) {
        return NULL;
    }
    return realloc(old, bytes);
}

/* Most of what may have to be freed is not there. */
void ad_free(void *p)
{
    if (p != NULL) {
        free(p);
    }
}

char *ad_strdup(const char *s)
{
    return s == NULL ? NULL : ad_strndup(s, strlen(s));
}

char *ad_strndup(const char *s, size_t bytes)
{
    char *copy = ad_alloc(bytes + 1);
    if (copy != NULL) {
        memcpy(copy, s, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}
