/* SPDX-License-Identifier: MIT */
/** -v: heads as they went over the wire, and what is known of the connection, on standard error. */
#ifndef TOOLS_VERBOSE_H
#define TOOLS_VERBOSE_H

#include <stdbool.h>
#include <stddef.h>

struct aioduct_exchange_info;

void verbose_connection(const struct aioduct_exchange_info *info, const char *runtime,
                        const char *origin);
/* Each line behind @mark ("> " or "< "); values of credentials and cookies are masked unless
 * @secrets. */
void verbose_head(const char *mark, const char *head, size_t bytes, bool secrets);

#endif
