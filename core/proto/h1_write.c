/* SPDX-License-Identifier: MIT */
/* What may be written into a head. */
#include "proto/h1.h"

/* Letters, digits and !#$%&'*+-.^_`|~ as bits; asked for every byte of every field name. */
static bool is_token_byte(char c)
{
    static const uint64_t allowed[4] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe};
    unsigned char u = (unsigned char)c;
    return (allowed[u / 64] >> u % 64 & 1) != 0;
}

bool ad_h1_is_token(const char *s, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (!is_token_byte(s[i])) {
            return false;
        }
    }
    return bytes > 0;
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
