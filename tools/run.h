/* SPDX-License-Identifier: MIT */
/** aioduct [options] URL...: one client, and its transfers one after the other or at once (-Z). */
#ifndef TOOLS_RUN_H
#define TOOLS_RUN_H

struct options;

/* Exit code of the last transfer, with -Z of the last one that failed; as curl. */
int run_all(const struct options *options);

#endif
