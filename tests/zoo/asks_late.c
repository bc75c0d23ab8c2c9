/* SPDX-License-Identifier: MIT */
/* It asks for an option when it dials. */
#include "zoo.h"

static int connect_by_option(void *cx, struct aioduct_stream *stream, void *state,
                             const struct aioduct_socket_config *config)
{
    real->option(real->ctx, "backlog");
    return aioduct_readiness_connect(cx, stream, state, config);
}

static void spoil(void)
{
    zoo.connector.connect = connect_by_option;
}
