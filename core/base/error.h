/* SPDX-License-Identifier: MIT */
/** Filling a struct aioduct_error, and the one list of aioduct's own codes. */
#ifndef AD_BASE_ERROR_H
#define AD_BASE_ERROR_H

#include <aioduct/error.h>

/* Set code, phase and message (cut to fit); everything else is cleared. @e may be NULL. -> @code,
 * for "return". */
__attribute__((cold, format(printf, 4, 5))) int ad_error_set(struct aioduct_error *e, int code,
                                                             enum aioduct_phase phase,
                                                             const char *format, ...);
/* Add the remedy. @e may be NULL. */
__attribute__((cold, format(printf, 2, 3))) void ad_error_hint(struct aioduct_error *e,
                                                               const char *format, ...);

/* The list behind the names and texts, for documents and tests. */
struct ad_error_entry {
    int code;
    const char *name, *text;
    int class;
    int retry; /* 1: trying the same again may help */
};
const struct ad_error_entry *ad_error_entries(size_t *out_count);

#endif
