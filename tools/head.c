/* SPDX-License-Identifier: MIT */
#include "head.h"

#include <aioduct/exchange.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HIDDEN ": [hidden]"

int head_text(const struct aioduct_head *head, const char **out, size_t *out_bytes, char **out_made)
{
    *out_made = NULL;
    *out = head->raw;
    *out_bytes = head->raw_bytes;
    if (head->raw != NULL) {
        return 0;
    }
    size_t room = 64;
    for (uint32_t i = 0; i < head->header_count; i++) {
        room += head->headers[i].name_bytes + head->headers[i].value_bytes + 4;
    }
    char *text = malloc(room);
    if (text == NULL) {
        return -ENOMEM;
    }
    /* The reason phrase is HTTP/1.1's alone. */
    char *at = text + snprintf(text, room, "HTTP/%d%s %d \r\n", head->version / 10,
                               head->version == 10   ? ".0"
                               : head->version == 11 ? ".1"
                                                     : "",
                               head->status);
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *h = &head->headers[i];
        at = mempcpy(at, h->name, h->name_bytes);
        at = mempcpy(at, ": ", 2);
        at = mempcpy(at, h->value, h->value_bytes);
        at = mempcpy(at, "\r\n", 2);
    }
    at = mempcpy(at, "\r\n", 2);
    *out = *out_made = text;
    *out_bytes = (size_t)(at - text);
    return 0;
}

bool head_is_secret(const char *name, size_t bytes)
{
    static const char *const names[] = {"authorization", "proxy-authorization", "cookie",
                                        "set-cookie"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == bytes && strncasecmp(name, names[i], bytes) == 0) {
            return true;
        }
    }
    return false;
}

char *head_redacted(const char *text, size_t bytes)
{
    size_t lines = 1;
    for (size_t i = 0; i < bytes; i++) {
        lines += text[i] == '\n';
    }
    char *copy = malloc(bytes + lines * sizeof HIDDEN + 1);
    char *to = copy;
    while (copy != NULL && bytes > 0) {
        const char *end = memchr(text, '\n', bytes);
        size_t line = end == NULL ? bytes : (size_t)(end - text) + 1;
        const char *colon = memchr(text, ':', line);
        if (colon != NULL && head_is_secret(text, (size_t)(colon - text))) {
            to = mempcpy(to, text, (size_t)(colon - text));
            to = stpcpy(to, HIDDEN "\r\n");
        } else {
            to = mempcpy(to, text, line);
        }
        text += line;
        bytes -= line;
    }
    if (copy != NULL) {
        *to = '\0';
    }
    return copy;
}

/* Value of the line "@name: value" of @text, up to its CR, as "%.*s" takes it. */
static int value_of(const char *text, const char *name, const char **out)
{
    size_t name_bytes = strlen(name);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, name, name_bytes) == 0 && strncmp(line + name_bytes, ": ", 2) == 0) {
            *out = line + name_bytes + 2;
            return (int)strcspn(*out, "\r\n");
        }
    }
    *out = "";
    return 0;
}

char *head_of_h2(const char *text, size_t bytes)
{
    const char *method, *path, *host;
    char *whole = strndup(text, bytes), *made = NULL;
    if (whole == NULL) {
        return NULL;
    }
    const char *rest = whole;
    while (*rest == ':') { /* each line ends with CRLF */
        rest += strcspn(rest, "\n") + 1;
    }
    int method_bytes = value_of(whole, ":method", &method);
    int path_bytes = value_of(whole, ":path", &path);
    int host_bytes = value_of(whole, ":authority", &host);
    if (asprintf(&made, "%.*s %.*s HTTP/2\r\nHost: %.*s\r\n%s", method_bytes, method, path_bytes,
                 path, host_bytes, host, rest) < 0) {
        made = NULL;
    }
    free(whole);
    return made;
}
