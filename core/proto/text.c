/* SPDX-License-Identifier: MIT */
#include "proto/text.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

/* -> characters written, at most 4, without NUL */
static size_t escape_one(unsigned char c, char out[5])
{
    static const char named[] = "\rr\nn\tt\"\"\\\\";
    for (const char *p = named; *p != '\0'; p += 2) {
        if ((unsigned char)*p == c) {
            out[0] = '\\';
            out[1] = p[1];
            return 2;
        }
    }
    if (c >= 0x20 && c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    return (size_t)snprintf(out, 5, "\\x%02x", c);
}

void ad_text_escape(const char *p, size_t bytes, char *out, size_t out_bytes)
{
    size_t count = 0;
    size_t fits = 0; /* how much may stay if "..." has to follow */
    AD_ASSERT(out_bytes >= 8);
    for (size_t i = 0; i < bytes; i++) {
        char one[5];
        size_t more = escape_one((unsigned char)p[i], one);
        if (count + more >= out_bytes) {
            memcpy(out + fits, "...", 4);
            return;
        }
        memcpy(out + count, one, more);
        count += more;
        if (count + 4 <= out_bytes) {
            fits = count;
        }
    }
    out[count] = '\0';
}
