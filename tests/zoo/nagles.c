/* SPDX-License-Identifier: MIT */
/* Small writes wait, unless they are told not to. */
#include "zoo.h"

static int connect_otherwise(void *cx, struct aioduct_stream *stream, void *state,
                             const struct aioduct_socket_config *config)
{
    struct aioduct_socket_config other = *config;
    if (other.nodelay == 0) {
        other.nodelay = -1;
    }
    return aioduct_readiness_connect(cx, stream, state, &other);
}

static void spoil(void)
{
    zoo.connector.connect = connect_otherwise;
}
