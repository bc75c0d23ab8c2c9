/* SPDX-License-Identifier: MIT */
/** aioduct [options] URL...: one client, one transfer after the other. */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

struct options;

/* Exit code of the last transfer, as curl. */
int transfer_all(const struct options *options);

#endif
