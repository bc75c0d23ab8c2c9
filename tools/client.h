/* SPDX-License-Identifier: MIT */
/** What the options say of a client. */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include "options.h"

#include <aioduct/client.h>
#include <limits.h>

/* All but runtime and connectors. @c points into @o, @socket_name and @resolve, whose items are the
 * caller's to free when the client was created. */
void client_set(struct aioduct_client_options *c, const struct options *o,
                char socket_name[PATH_MAX], struct strings *resolve);
/* The library's messages go to standard error, as far as @o wants to hear them. */
void client_log(const struct options *o);

#endif
