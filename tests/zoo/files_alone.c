/* SPDX-License-Identifier: MIT */
/* What is no file is an error of the connection's. */
#include "zoo.h"

static int send_piece(void *state, int fd, int64_t offset, size_t bytes)
{
    int code = aioduct_readiness_send_file(state, fd, offset, bytes);
    return code == AIODUCT_E_UNSUPPORTED ? -EINVAL : code;
}

static void spoil(void)
{
    zoo.connector.send_file = send_piece;
}
