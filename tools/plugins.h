/* SPDX-License-Identifier: MIT */
/** aioduct plugins: what is installed, what can run here and why not; one file from outside
 * (inspect); which one would be chosen and by whose word (which); the conformance kit (check). With
 * --json the first three speak to programs. */
#ifndef TOOLS_PLUGINS_H
#define TOOLS_PLUGINS_H

#include "plugins_child.h"

#include <aioduct/runtime.h>
#include <stdbool.h>

int plugins_main(int argc, char **argv);

/* The verbs; -> exit code. @what: a name, or a path, relative ones too. */
int plugins_inspect(const char *what, bool json);
int plugins_which(const struct plugin_question *question, bool json);
/* Runs the conformance kit in the place of this program. @argv: "check" and what follows it. */
int plugins_check(int argc, char **argv);

/* ---- what they share ---- */

const char *plugins_status(enum aioduct_runtime_status status);
/* Message and hint on standard error. */
void plugins_complain(const struct aioduct_error *error);
/* An object of a list. */
void plugins_json_row(const struct plugin_row *row);
/* An object behind the comma of a list. */
void plugins_json_unheeded(const char *source, const char *what);
/* The last members of an object, and its end: selected, error, hint. -> exit code */
int plugins_json_chosen(int code, const struct aioduct_runtime_selection *chosen,
                        const struct aioduct_error *error);

#endif
