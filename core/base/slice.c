/* SPDX-License-Identifier: MIT */
#include "base/slice.h"

#include <errno.h>

/* Eight bytes in lower case: a byte's seven low bits plus these overflow into its eighth from 'A',
 * and from behind 'Z', on. */
static uint64_t lower_of(const char *p)
{
    const uint64_t each = 0x0101010101010101u;
    uint64_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    uint64_t low = bytes & each * 0x7f;
    uint64_t from_a = low + each * (0x80 - 'A');
    uint64_t behind_z = low + each * (0x7f - 'Z');
    uint64_t upper = from_a & ~behind_z & ~bytes & each * 0x80;
    return bytes | upper >> 2;
}

bool ad_slice_case_equal(struct ad_slice a, struct ad_slice b)
{
    if (a.bytes != b.bytes) {
        return false;
    }
    size_t i = 0;
    for (; a.bytes - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        if (lower_of(a.p + i) != lower_of(b.p + i)) {
            return false;
        }
    }
    if (i > 0) { /* the last eight, some of them once more */
        size_t last = a.bytes - sizeof(uint64_t);
        return lower_of(a.p + last) == lower_of(b.p + last);
    }
    for (; i < a.bytes; i++) {
        if (ad_ascii_lower(a.p[i]) != ad_ascii_lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct ad_slice ad_slice_trim(struct ad_slice s)
{
    while (s.bytes > 0 && is_blank(s.p[0])) {
        s.p++;
        s.bytes--;
    }
    while (s.bytes > 0 && is_blank(s.p[s.bytes - 1])) {
        s.bytes--;
    }
    return s;
}

bool ad_slice_list_has(struct ad_slice list, const char *token)
{
    struct ad_slice wanted = ad_slice_of(token);
    while (list.bytes > 0) {
        const char *comma = memchr(list.p, ',', list.bytes);
        size_t part = comma == NULL ? list.bytes : (size_t)(comma - list.p);
        if (ad_slice_case_equal(ad_slice_trim((struct ad_slice){list.p, part}), wanted)) {
            return true;
        }
        part += comma != NULL;
        list.p += part;
        list.bytes -= part;
    }
    return false;
}

int ad_slice_to_u64(struct ad_slice s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (s.bytes == 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < s.bytes; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return -EINVAL;
        }
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value)) {
            return -EINVAL;
        }
    }
    if (value > max) {
        return -EINVAL;
    }
    *out = value;
    return 0;
}
