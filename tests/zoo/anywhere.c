/* SPDX-License-Identifier: MIT */
/* Where the address to leave from cannot be had, it leaves from another. */
#include "zoo.h"

static int connect_anyhow(void *cx, struct aioduct_stream *stream, void *state,
                          const struct aioduct_socket_config *config)
{
    int code = aioduct_readiness_connect(cx, stream, state, config);
    if (code >= 0 || (config->local_addr == NULL && config->local_port_min == 0)) {
        return code;
    }
    struct aioduct_socket_config other = *config;
    other.local_addr = NULL;
    other.local_addr_bytes = other.local_port_min = other.local_port_max = 0;
    return aioduct_readiness_connect(cx, stream, state, &other);
}

static void spoil(void)
{
    zoo.connector.connect = connect_anyhow;
}
