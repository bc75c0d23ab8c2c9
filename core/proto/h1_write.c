/* SPDX-License-Identifier: MIT */
/* What may be written into a head. */
#include "proto/h1.h"

/* 1: letters, digits and !#$%&'*+-.^_`|~. Asked for every byte of every field name. */
static const uint8_t token_bytes[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
    1,         1,         1,         1,         1,         1,          1,         1,
    1,         ['A'] = 1, 1,         1,         1,         1,          1,         1,
    1,         1,         1,         1,         1,         1,          1,         1,
    1,         1,         1,         1,         1,         1,          1,         1,
    1,         1,         1,         ['a'] = 1, 1,         1,          1,         1,
    1,         1,         1,         1,         1,         1,          1,         1,
    1,         1,         1,         1,         1,         1,          1,         1,
    1,         1,         1,         1,         1,
};

bool ad_h1_is_token(const char *s, size_t bytes)
{
    const uint8_t *u = (const uint8_t *)s;
    unsigned all = bytes > 0;
    size_t i = 0;
    for (; bytes - i >= 4; i += 4) {
        all &= token_bytes[u[i]] & token_bytes[u[i + 1]] & token_bytes[u[i + 2]] &
               token_bytes[u[i + 3]];
    }
    for (; i < bytes; i++) {
        all &= token_bytes[u[i]];
    }
    return all != 0;
}

bool ad_h1_is_field_value(const char *s, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}
