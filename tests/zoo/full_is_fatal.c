/* SPDX-License-Identifier: MIT */
/* Without a free descriptor nothing can be dialled, now or later. */
#include "zoo.h"

static bool over;

static int connect_until_full(void *cx, struct aioduct_stream *stream, void *state,
                              const struct aioduct_socket_config *config)
{
    int code = over ? -EMFILE : aioduct_readiness_connect(cx, stream, state, config);
    over = over || code == -EMFILE;
    return code;
}

static void spoil(void)
{
    zoo.connector.connect = connect_until_full;
}
