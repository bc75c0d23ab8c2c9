/* SPDX-License-Identifier: MIT */
/* What may be written into a head. */
#include "proto/h1.h"

/* 3: lower-case letters, digits and !#$%&'*+-.^_`|~; 1: capital letters. Asked for every byte of
 * every field name. */
static const uint8_t token_bytes[256] = {
    ['!'] = 3, ['#'] = 3, ['$'] = 3, ['%'] = 3, ['&'] = 3, ['\''] = 3, ['*'] = 3, ['+'] = 3,
    ['-'] = 3, ['.'] = 3, ['^'] = 3, ['_'] = 3, ['`'] = 3, ['|'] = 3,  ['~'] = 3, ['0'] = 3,
    3,         3,         3,         3,         3,         3,          3,         3,
    3,         ['A'] = 1, 1,         1,         1,         1,          1,         1,
    1,         1,         1,         1,         1,         1,          1,         1,
    1,         1,         1,         1,         1,         1,          1,         1,
    1,         1,         1,         ['a'] = 3, 3,         3,          3,         3,
    3,         3,         3,         3,         3,         3,          3,         3,
    3,         3,         3,         3,         3,         3,          3,         3,
    3,         3,         3,         3,         3,
};

/* Control bytes, without the tab. */
static const uint8_t control_bytes[256] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1,
                                           1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                           1, 1, 1, 1, 1, 1, 1, 1, 1, 1, [0x7f] = 1};

/* What all bytes have in common there; 0 for none. */
static unsigned all_of(const char *s, size_t bytes)
{
    const uint8_t *u = (const uint8_t *)s;
    unsigned all = bytes > 0 ? 3 : 0;
    size_t i = 0;
    for (; bytes - i >= 4; i += 4) {
        all &= token_bytes[u[i]] & token_bytes[u[i + 1]] & token_bytes[u[i + 2]] &
               token_bytes[u[i + 3]];
    }
    for (; i < bytes; i++) {
        all &= token_bytes[u[i]];
    }
    return all;
}

bool ad_h1_is_token(const char *s, size_t bytes)
{
    return all_of(s, bytes) != 0;
}

bool ad_h1_is_lower_token(const char *s, size_t bytes)
{
    return all_of(s, bytes) == 3;
}

bool ad_h1_is_field_value(const char *s, size_t bytes)
{
    const uint8_t *u = (const uint8_t *)s;
    unsigned any = 0;
    size_t i = 0;
    for (; bytes - i >= 4; i += 4) {
        any |= control_bytes[u[i]] | control_bytes[u[i + 1]] | control_bytes[u[i + 2]] |
               control_bytes[u[i + 3]];
    }
    for (; i < bytes; i++) {
        any |= control_bytes[u[i]];
    }
    return any == 0;
}
