/* SPDX-License-Identifier: MIT */
/** The little JSON that is printed. */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdio.h>

/* A quoted string; NULL is printed as "". */
void json_string(FILE *to, const char *text);
/* "name": "value", and what follows it. */
void json_member(FILE *to, const char *name, const char *value, const char *separator);

#endif
