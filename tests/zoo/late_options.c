/* SPDX-License-Identifier: MIT */
/* The class of service is set when connect(2) has been called. */
#include "zoo.h"

#include <netinet/in.h>
#include <sys/socket.h>

static int connect_first(void *cx, struct aioduct_stream *stream, void *state,
                         const struct aioduct_socket_config *config)
{
    struct aioduct_socket_config other = *config;
    struct aioduct_stream_info info = {.size = sizeof info, .fd = -1};
    int tos = (int)config->tos;
    other.tos = 0;
    int code = aioduct_readiness_connect(cx, stream, state, &other);
    if (code >= 0 && tos != 0 && aioduct_readiness_stream_info(state, &info) == 0) {
        setsockopt(info.fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    }
    return code;
}

static void spoil(void)
{
    zoo.connector.connect = connect_first;
}
