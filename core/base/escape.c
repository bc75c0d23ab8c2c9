/* SPDX-License-Identifier: MIT */
#include "base/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the character at @p that may be shown as they are; 0: escape the first byte. The bounds
 * of second bytes are those of RFC 3629 section 4: no overlong forms, no surrogates. */
static size_t plain_bytes(const uint8_t *p, size_t left)
{
    static const struct {
        uint8_t first, last, second_min, second_max;
        size_t bytes;
    } forms[] = {
        {0xc2, 0xc2, 0xa0, 0xbf, 2}, /* from 0x80 on lie the C1 controls */
        {0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (p[0] < 0x80) {
        return p[0] >= 0x20 && p[0] != 0x7f;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (p[0] < forms[i].first || p[0] > forms[i].last) {
            continue;
        }
        size_t bytes = forms[i].bytes;
        bool good = bytes <= left && p[1] >= forms[i].second_min && p[1] <= forms[i].second_max;
        for (size_t k = 2; good && k < bytes; k++) {
            good = (p[k] & 0xc0) == 0x80;
        }
        return good ? bytes : 0;
    }
    return 0;
}

size_t ad_escape(char *to, size_t room, const char *from, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)from, *end = p + bytes;
    size_t at = 0;
    while (p < end) {
        size_t plain = plain_bytes(p, (size_t)(end - p));
        if (at + (plain > 0 ? plain : 4) >= room) {
            break;
        }
        if (plain > 0) {
            memcpy(to + at, p, plain);
            at += plain;
            p += plain;
        } else {
            const char escaped[] = {'\\', 'x', digits[*p >> 4], digits[*p & 15]};
            memcpy(to + at, escaped, sizeof escaped);
            at += sizeof escaped;
            p++;
        }
    }
    to[at] = '\0';
    return at;
}

void ad_escape_in_place(char *text, size_t room)
{
    char copy[1024];
    size_t bytes = strlen(text);
    const uint8_t *p = (const uint8_t *)text;
    size_t clean = 0;
    while (clean < bytes) {
        size_t plain = plain_bytes(p + clean, bytes - clean);
        if (plain == 0) {
            break;
        }
        clean += plain;
    }
    if (clean == bytes) {
        return;
    }
    size_t rest = bytes - clean < sizeof copy ? bytes - clean : sizeof copy;
    memcpy(copy, text + clean, rest);
    ad_escape(text + clean, room - clean, copy, rest);
}
