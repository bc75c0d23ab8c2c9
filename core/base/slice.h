/* SPDX-License-Identifier: MIT */
/** Borrowed bytes, and ASCII comparisons that no locale changes. */
#ifndef AD_BASE_SLICE_H
#define AD_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ad_slice {
    const char *p;
    size_t bytes;
};

static inline struct ad_slice ad_slice_of(const char *s)
{
    return (struct ad_slice){s, strlen(s)};
}

static inline bool ad_slice_equal(struct ad_slice a, struct ad_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.p, b.p, a.bytes) == 0);
}

static inline char ad_ascii_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Equal when ASCII case is ignored. */
bool ad_slice_case_equal(struct ad_slice a, struct ad_slice b);
/* Without spaces and tabs at both ends. */
struct ad_slice ad_slice_trim(struct ad_slice s);
/* Does the comma-separated list @list hold @token (ASCII case ignored, no quoted strings)? */
bool ad_slice_list_has(struct ad_slice list, const char *token);
/* Decimal digits only -> 0 and *out, or -EINVAL (empty, other bytes, above @max). */
int ad_slice_to_u64(struct ad_slice s, uint64_t max, uint64_t *out);

#endif
