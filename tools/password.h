/* SPDX-License-Identifier: MIT */
/** The password that -u does not have. */
#ifndef TOOLS_PASSWORD_H
#define TOOLS_PASSWORD_H

struct options;

/* Ask for it once, on the terminal, if one is needed; it becomes part of options->user. -> 0 or an
 * exit code; a message has been printed. */
int password_ask(struct options *options);

#endif
