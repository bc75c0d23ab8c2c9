/* SPDX-License-Identifier: MIT */
/* Of many pieces the last does not fit any more, and is dropped. */
#include "zoo.h"

#include <sys/uio.h>

static int send_most(void *state, const struct iovec *pieces, unsigned count)
{
    return aioduct_readiness_send(
        state, pieces, count > 16 && pieces[count - 1].iov_len < 100 ? count - 1 : count);
}

static void spoil(void)
{
    zoo.connector.send = send_most;
}
