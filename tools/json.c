/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <stdint.h>

/* Bytes of the character that @c begins with, by table 3-7 of the Unicode standard; 0: none. */
static size_t utf8_bytes(const char *c)
{
    static const struct {
        uint8_t first, last, second_first, second_last, bytes;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const uint8_t *u = (const uint8_t *)c;
    size_t row = 0;
    while (row < sizeof rows / sizeof rows[0] && u[0] > rows[row].last) {
        row++;
    }
    if (row == sizeof rows / sizeof rows[0] || u[0] < rows[row].first) {
        return 0;
    }
    if (rows[row].bytes > 1 && (u[1] < rows[row].second_first || u[1] > rows[row].second_last)) {
        return 0;
    }
    for (size_t i = 2; i < rows[row].bytes; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return rows[row].bytes;
}

/* Names of files, and what peers say, may be no text at all; JSON always is (RFC 8259 section 8.1).
 */
void json_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (const char *c = text != NULL ? text : ""; *c != '\0';) {
        size_t bytes = utf8_bytes(c);
        if (bytes == 0) {
            fputs("\\ufffd", to);
        } else if (*c == '"' || *c == '\\') {
            fprintf(to, "\\%c", *c);
        } else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            fprintf(to, "\\u%04x", (unsigned)(unsigned char)*c);
        } else {
            fwrite(c, 1, bytes, to);
        }
        c += bytes == 0 ? 1 : bytes;
    }
    fputc('"', to);
}

void json_member(FILE *to, const char *name, const char *value, const char *separator)
{
    json_string(to, name);
    fputs(": ", to);
    json_string(to, value);
    fputs(separator, to);
}
