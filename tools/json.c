/* SPDX-License-Identifier: MIT */
#include "json.h"

void json_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (const char *c = text != NULL ? text : ""; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            fprintf(to, "\\%c", *c);
        } else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            fprintf(to, "\\u%04x", (unsigned)(unsigned char)*c);
        } else {
            fputc(*c, to);
        }
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
