/* SPDX-License-Identifier: MIT */
/* A piece of a file without a connection is refused, but not as a send is. */
#include "zoo.h"

static int send_piece(void *state, int fd, int64_t offset, size_t bytes)
{
    int code = aioduct_readiness_send_file(state, fd, offset, bytes);
    return code == -ENOTCONN ? -EINVAL : code;
}

static void spoil(void)
{
    zoo.connector.send_file = send_piece;
}
