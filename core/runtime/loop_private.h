/* SPDX-License-Identifier: MIT */
/** The inside of a loop, for the files of this room only. */
#ifndef AD_RUNTIME_LOOP_PRIVATE_H
#define AD_RUNTIME_LOOP_PRIVATE_H

#include "plugin/registry.h"
#include "runtime/chain.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

#include <stdatomic.h>

/* The core's halves of what a plugin handles; the plugin's half follows at its own alignment. */
struct aioduct_timer {
    struct ad_loop *loop;
};

struct ad_task {
    struct ad_loop *loop;
    ad_task_fn run;
    void *user;
    void *state; /* the plugin's half */
    bool handed; /* spawned, or was root: the plugin may know it */
    bool ready;
};

struct ad_stream {
    struct ad_loop *loop;
    union {
        void *owner;
        struct ad_stream *next_over; /* after on_closed */
    };
    uint8_t inflight; /* AIODUCT_OP_* */
    uint8_t events;   /* of the loop's stream_events */
    bool known;       /* the plugin accepted connect: it must be told to close */
    bool closing;
    /* the plugin's half follows: loop->stream_state */
};

/* In place of the plugin's half, of a stream that the plugin never knew: on_closed is to come. */
struct ad_stream_unknown {
    struct ad_turn_hook hook;
    struct ad_stream *stream;
};

/* Tables of events that the streams of a loop have at a time or one after the other: those of a
 * dial, of a transport. */
#define AD_STREAM_EVENTS_MAX 4

struct ad_loop {
    /* immutable after create */
    const struct ad_plugin *plugin;
    const struct ad_config *config;
    struct aioduct_host host;
    void *rt, *own_cx; /* own_cx: of the runtime's own connector; NULL: it is not used */
    /* What streams are opened with: the outermost of the chain, or the runtime's own. */
    const struct aioduct_connector *connector;
    void *cx;
    struct ad_cx *chain; /* NULL: the client has no connectors of its own */
    unsigned cx_count;
    bool by_name;                                    /* nobody needs to look up a name before */
    size_t stream_bytes, stream_state, stream_align; /* of a stream's block; where the state is */
    bool local;
    bool adopted; /* the application's loop calls back whenever it runs */
    unsigned fork_generation;
    const void *owner_thread; /* of a local runtime */

    /* shared */
    _Atomic(const void *) driver; /* token of the thread that claimed the loop; NULL: nobody */
    /* Adopted: who ran it last, at first who made it; only that thread may drive or end it. */
    _Atomic(const void *) home;
    _Atomic(struct ad_post *) posts; /* newest first */
    _Atomic unsigned
        posters; /* threads inside ad_loop_post: the loop may not go before they have */

    /* loop thread */
    unsigned claims;
    unsigned depth;             /* callbacks of the plugin on the stack */
    uint64_t now_ns;            /* of this turn, once it was asked for; else 0 */
    bool heard;                 /* a stream had something to say in this turn */
    struct ad_post *late_posts; /* oldest first: for the next turn */
    bool stepped_in;            /* the outermost of them claimed the loop */
    struct ad_task *mailbox;
    struct ad_list hooks;
    struct ad_turn_hook *when_quiet;
    struct ad_deferred *deferred;
    struct ad_deadline **heap; /* 1-based; smallest heap_ns first */
    uint32_t heap_count, heap_capacity;
    struct aioduct_timer *timer; /* the one runtime timer, for the top of the heap */
    void *timer_state;
    uint64_t timer_ns; /* when it fires; 0: not armed */
    bool rearm;        /* it could not be armed: try again */
    struct ad_buf *spare_bufs[16], *spare_small_bufs[256];
    unsigned spare_buf_count, spare_small_buf_count;
    const struct ad_stream_events *stream_events[AD_STREAM_EVENTS_MAX];
    struct ad_stream *streams_over; /* their memory goes at the end of the turn */
    struct ad_deferred streams_end;
    void *spare_streams;
    unsigned spare_stream_count;
    char plugin_error[256];
};

/* A block of {core half, padding, plugin half}, zeroed; *@out_state is the second half. */
void *ad_runtime_alloc_pair(size_t core_bytes, const struct aioduct_layout *layout,
                            void **out_state);
const void *ad_runtime_thread_token(void);

/* host table entries that live in other files of the room */
int ad_task_run(void *ctx, struct aioduct_task *task);
void ad_deadline_fire(void *ctx, struct aioduct_timer *timer);
void ad_deadline_rearm(struct ad_loop *loop);
/* Nothing has happened for a turn: the heap is to have little more room than it needs. */
void ad_deadlines_trim(struct ad_loop *loop);
void ad_stream_on_data(void *ctx, struct aioduct_stream *stream, const void *bytes, size_t count);
void ad_stream_on_done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes);
void ad_stream_on_closed(void *ctx, struct aioduct_stream *stream);

int ad_mailbox_open(struct ad_loop *loop);
void ad_mailbox_close(struct ad_loop *loop);
void ad_posts_run(struct ad_loop *loop);
void ad_posters_wait(struct ad_loop *loop);
void ad_stream_spares_free(struct ad_loop *loop);

/* The claims of an adopted loop while the application runs it. */
void ad_loop_step_in(struct ad_loop *loop);
void ad_loop_step_out(struct ad_loop *loop);

static inline void ad_loop_enter(struct ad_loop *loop)
{
    if (loop->adopted && loop->depth == 0) {
        ad_loop_step_in(loop);
    }
    loop->depth++;
}
static inline void ad_loop_leave(struct ad_loop *loop)
{
    loop->depth--;
    if (loop->adopted && loop->depth == 0) {
        ad_loop_step_out(loop);
    }
}

/* loop_buf.c */
void ad_loop_bufs_free(struct ad_loop *loop);
/* Nothing has happened for a turn: of many spare buffers fewer will do. */
void ad_loop_bufs_trim(struct ad_loop *loop);

#endif
