/* SPDX-License-Identifier: MIT */
/**
 * Memory: malloc behind one door, so that tests can make the nth allocation fail. Out of memory is
 * an error everywhere, never an abort.
 */
#ifndef AD_BASE_MEM_H
#define AD_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *ad_alloc(size_t bytes);                        /* not zeroed; NULL on failure or bytes 0 */
void *ad_zalloc(size_t bytes);                       /* zeroed */
void *ad_zalloc_aligned(size_t bytes, size_t align); /* zeroed; align a power of two */
void *ad_realloc(void *old, size_t bytes);           /* as realloc; @old stays on failure */
void ad_free(void *p);                               /* NULL does nothing */
char *ad_strdup(const char *s);                      /* NULL gives NULL */
char *ad_strndup(const char *s, size_t bytes);

/* Tests: the @nth allocation from now on this thread's process fails (1 is the next); 0 switches
 * off. */
void ad_mem_fail_nth(uint64_t nth);
/* Allocations since the process started. */
uint64_t ad_mem_count(void);

#endif
