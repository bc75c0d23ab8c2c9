/* SPDX-License-Identifier: MIT */
/** aioduct plugins: what is installed, what can run here and why not (table, --json); one file from
 * outside (inspect); which one would be chosen and by whose word (which); the conformance kit
 * (check). */
#ifndef TOOLS_PLUGINS_H
#define TOOLS_PLUGINS_H

#include <aioduct/runtime.h>

int plugins_main(int argc, char **argv);

/* The verbs; -> exit code. @what: a name, or a path, relative ones too. @wanted: a name, a list;
 * NULL: no option. */
int plugins_inspect(const char *what);
int plugins_which(const char *wanted);
/* Runs the conformance kit in the place of this program. @argv: "check" and what follows it. */
int plugins_check(int argc, char **argv);

/* ---- what they share ---- */

const char *plugins_status(enum aioduct_runtime_status status);
/* Message and hint on standard error. */
void plugins_complain(const struct aioduct_error *error);

#endif
