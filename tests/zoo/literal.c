/* SPDX-License-Identifier: MIT */
/* It wants an address, not the text of one. */
#include "zoo.h"

static int connect_to_address(void *cx, struct aioduct_stream *stream, void *state,
                              const struct aioduct_socket_config *config)
{
    return config->addr == NULL ? -EINVAL : aioduct_readiness_connect(cx, stream, state, config);
}

static void spoil(void)
{
    zoo.connector.connect = connect_to_address;
}
