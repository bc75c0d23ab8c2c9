/* SPDX-License-Identifier: MIT */
/* A place that a stopped receive did not use up is the next one's. */
#include "zoo.h"

static struct {
    void *state, *memory;
    size_t bytes;
    bool kept;
} place;

static void recv_at(void *state, void *memory, size_t bytes)
{
    struct zoo_stream *s = state;
    if (s->bytes > 0) { /* it receives */
        place.state = memory != NULL ? state : NULL;
        place.memory = memory;
        place.bytes = bytes;
    }
    aioduct_readiness_recv_at(state, memory, bytes);
}

static int recv_start(void *state)
{
    int code = aioduct_readiness_recv_start(state);
    if (code == 0) {
        ((struct zoo_stream *)state)->bytes = 1;
        if (place.state == state && place.kept) {
            aioduct_readiness_recv_at(state, place.memory, place.bytes);
        }
        place.kept = false;
    }
    return code;
}

static void recv_stop(void *state)
{
    ((struct zoo_stream *)state)->bytes = 0;
    place.kept = place.state == state;
    aioduct_readiness_recv_stop(state);
}

static void data(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    place.state = slice == place.memory ? NULL : place.state;
    real->on_data(ctx, stream, slice, bytes);
}

static void spoil(void)
{
    zoo.connector.recv_at = recv_at;
    zoo.connector.recv_start = recv_start;
    zoo.connector.recv_stop = recv_stop;
    zoo.host.on_data = data;
}
