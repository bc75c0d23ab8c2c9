/* SPDX-License-Identifier: MIT */
/** The little JSON that is printed. */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdio.h>

/* A quoted string; NULL is printed as "". */
void json_string(FILE *to, const char *text);

#endif
