/* SPDX-License-Identifier: MIT */
/** Where a transfer's bytes go: standard output or a file that is made when the final head arrives.
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct output {
    char *path;  /* NULL: standard output */
    int fd;      /* -1 until opened */
    bool append; /* keep what the file holds */
    int error;   /* errno of the first failure */
};

/* @name NULL or "-": standard output. */
int output_init(struct output *out, const char *name);
/* A name from the last segment of @url's path, for -O; NULL if there is none that may be used.
 * Returned owned. */
char *output_name_from_url(const char *url);
int output_open(struct output *out);
/* All of it, or -errno kept in out->error. */
int output_write(struct output *out, const void *bytes, size_t count);
/* -> 0 or -errno of the close. */
int output_close(struct output *out);

/* Print with control bytes but tab escaped, so that a server cannot drive the user's terminal. */
void print_escaped(FILE *to, const char *bytes, size_t count);

#endif
