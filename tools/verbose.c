/* SPDX-License-Identifier: MIT */
#include "verbose.h"

#include "output.h"

#include <aioduct/aioduct.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_secret(const char *line, size_t name_bytes)
{
    static const char *const names[] = {"authorization", "proxy-authorization", "cookie",
                                        "set-cookie"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == name_bytes && strncasecmp(line, names[i], name_bytes) == 0) {
            return true;
        }
    }
    return false;
}

static void print_line(const char *mark, const char *line, size_t bytes, bool secrets)
{
    const char *colon = memchr(line, ':', bytes);
    fputs(mark, stderr);
    if (colon != NULL && !secrets && is_secret(line, (size_t)(colon - line))) {
        print_escaped(line, (size_t)(colon - line));
        fputs(": [hidden]", stderr);
    } else {
        print_escaped(line, bytes);
    }
    fputc('\n', stderr);
}

void verbose_head(const char *mark, const char *head, size_t bytes, bool secrets)
{
    while (bytes > 0) {
        const char *end = memchr(head, '\n', bytes);
        size_t line = end == NULL ? bytes : (size_t)(end - head);
        size_t step = end == NULL ? bytes : line + 1;
        if (line > 0 && head[line - 1] == '\r') {
            line--;
        }
        print_line(mark, head, line, secrets);
        head += step;
        bytes -= step;
    }
}

void verbose_connection(const struct aioduct_exchange_info *info, const char *runtime,
                        const char *origin)
{
    fprintf(stderr, "* Runtime %s (%s)\n", runtime, origin);
    fprintf(stderr, "* %s %s port %d from %s port %d\n",
            info->reused ? "Reusing the connection to" : "Connected to", info->peer_address,
            info->peer_port, info->local_address, info->local_port);
    if (info->tls_version[0] != '\0') {
        fprintf(stderr, "* %s, %s%s\n", info->tls_version, info->tls_cipher,
                info->tls_resumed ? ", resumed" : "");
    }
    fprintf(stderr, "* Protocol %s\n", info->protocol);
}
