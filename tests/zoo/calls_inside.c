/* SPDX-License-Identifier: MIT */
/* A receive that is stopped completes inside the call. */
#include "zoo.h"

static struct aioduct_stream *told[64]; /* of which the completion is still to come */
static unsigned stops;

static int connect_and_note(void *cx, struct aioduct_stream *stream, void *state,
                            const struct aioduct_socket_config *config)
{
    ((struct zoo_stream *)state)->core = stream;
    return aioduct_readiness_connect(cx, stream, state, config);
}

static int start_and_note(void *state)
{
    int code = aioduct_readiness_recv_start(state);
    ((struct zoo_stream *)state)->ops |= code == 0 ? AIODUCT_OP_RECV : 0;
    return code;
}

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    for (unsigned i = 0; i < 64 && op == AIODUCT_OP_RECV; i++) {
        if (told[i] == stream) {
            told[i] = NULL;
            return;
        }
    }
    real->on_done(ctx, stream, op, code, bytes);
}

static void stop_and_tell(void *state)
{
    struct zoo_stream *s = state;
    aioduct_readiness_recv_stop(state);
    if ((s->ops & AIODUCT_OP_RECV) != 0) {
        s->ops = 0;
        told[stops++ % 64] = s->core;
        real->on_done(real->ctx, s->core, AIODUCT_OP_RECV, -ECANCELED, 0);
    }
}

static void spoil(void)
{
    zoo.connector.connect = connect_and_note;
    zoo.connector.recv_start = start_and_note;
    zoo.connector.recv_stop = stop_and_tell;
    zoo.host.on_done = done;
}
