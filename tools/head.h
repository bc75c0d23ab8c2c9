/* SPDX-License-Identifier: MIT */
/** Heads as text: as they went over the wire on HTTP/1.1, put together like that on HTTP/2. */
#ifndef TOOLS_HEAD_H
#define TOOLS_HEAD_H

#include <stdbool.h>
#include <stddef.h>

struct aioduct_head;

/* The head up to and with its empty line. *@out is owned if it is in *@out_made, which is to be
 * freed, else borrowed from @head. -> 0 | -ENOMEM */
int head_text(const struct aioduct_head *head, const char **out, size_t *out_bytes,
              char **out_made);
/* The lines of a request that went over HTTP/2, in the words of HTTP/1.1, as curl has it: "GET /
 * HTTP/2", Host and the fields. To be freed; NULL: out of memory. */
char *head_of_h2(const char *text, size_t bytes);
/* A copy of lines with the values of credentials and cookies replaced; NULL: out of memory. */
char *head_redacted(const char *text, size_t bytes);
/* Is that field's value to be hidden? */
bool head_is_secret(const char *name, size_t bytes);

#endif
