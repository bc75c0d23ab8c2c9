/* SPDX-License-Identifier: MIT */
/* The request side: what may be written into a head, and the frames of a chunked body. */
#include "proto/h1.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

int ad_h1_write_chunk(struct ad_buf *out, const uint8_t *bytes, size_t count)
{
    char line[sizeof count * 2 + 3];
    size_t line_bytes = (size_t)snprintf(line, sizeof line, "%zx\r\n", count);
    if (count > SIZE_MAX / 2) {
        return -ENOMEM;
    }
    uint8_t *to = ad_buf_reserve(out, line_bytes + count + 2);
    if (to == NULL) {
        return -ENOMEM;
    }
    memcpy(to, line, line_bytes);
    if (count > 0) {
        memcpy(to + line_bytes, bytes, count);
    }
    memcpy(to + line_bytes + count, "\r\n", 2);
    ad_buf_commit(out, line_bytes + count + 2);
    return 0;
}
