/* SPDX-License-Identifier: MIT */
/* After stream_close there may be one more byte, where a receive was running. */
#include "zoo.h"

static struct aioduct_stream *receiving[64]; /* of streams that close */
static unsigned closes;

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

static void close_and_note(void *state)
{
    struct zoo_stream *s = state;
    if (s->ops != 0 && ++closes % 5 == 0) {
        receiving[closes / 5 % 64] = s->core;
    }
    aioduct_readiness_stream_close(state);
}

static void done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    for (unsigned i = 0; i < 64 && op == AIODUCT_OP_RECV && code == -ECANCELED; i++) {
        if (receiving[i] == stream) {
            receiving[i] = NULL;
            real->on_data(ctx, stream, "!", 1);
        }
    }
    real->on_done(ctx, stream, op, code, bytes);
}

static void spoil(void)
{
    zoo.connector.connect = connect_and_note;
    zoo.connector.recv_start = start_and_note;
    zoo.connector.stream_close = close_and_note;
    zoo.host.on_done = done;
}
