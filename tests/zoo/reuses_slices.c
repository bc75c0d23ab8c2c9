/* SPDX-License-Identifier: MIT */
/* The bytes of a slice change when a send begins. */
#include "zoo.h"

static unsigned char slice_now[1 << 20];
static bool delivering;

static void deliver(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    if (delivering || bytes > sizeof slice_now) {
        real->on_data(ctx, stream, slice, bytes);
        return;
    }
    memcpy(slice_now, slice, bytes);
    delivering = true;
    real->on_data(ctx, stream, slice_now, bytes);
    delivering = false;
}

static int recv_and_spoil(void *state)
{
    if (delivering) {
        slice_now[0] ^= 1;
    }
    return aioduct_readiness_recv_start(state);
}

static void spoil(void)
{
    zoo.host.on_data = deliver;
    zoo.connector.recv_start = recv_and_spoil;
}
