/* SPDX-License-Identifier: MIT */
/**
 * What -v and --trace tell: heads as they went over the wire, bodies (--trace), and what goes on
 * with connections. One for all transfers. Values of credentials and cookies are masked unless
 * --show-secrets, and control bytes are escaped.
 */
#ifndef TOOLS_VERBOSE_H
#define TOOLS_VERBOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct aioduct_event;
struct options;

enum verbose_kind {
    VERBOSE_INFO,
    VERBOSE_HEAD_OUT,
    VERBOSE_HEAD_IN,
    VERBOSE_BODY_OUT,
    VERBOSE_BODY_IN
};

struct verbose {
    FILE *to; /* NULL: neither is asked for */
    bool trace, ascii, time, secrets;
};

/* Opens --trace's file. -> 0 or an exit code; a message has been printed. */
int verbose_open(struct verbose *v, const struct options *options);
void verbose_close(struct verbose *v);

void verbose_bytes(const struct verbose *v, enum verbose_kind kind, const char *bytes,
                   size_t count);
/* A request's head as the library has it, sent over @protocol. */
void verbose_request(const struct verbose *v, const char *protocol, const char *head, size_t bytes);
void verbose_info(const struct verbose *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void verbose_event(const struct verbose *v, const struct aioduct_event *event);

#endif
