/* SPDX-License-Identifier: MIT */
/**
 * readiness.h - makes a runtime out of "tell me when this descriptor is ready".
 *
 * A runtime (the backend) embeds `struct ad_readiness` as the first member of its own state and
 * gives two functions: watch a descriptor, and wait. From these come block_on, turn, tasks, timers
 * and all operations of a stream. Level-triggered: a descriptor that stays ready is reported again.
 *
 * One turn: wait -> ad_readiness_ready for each descriptor -> timers -> completions that were put
 * off -> a batch of tasks -> host->turn_end. In a loop that the application owns and runs, the
 * same happens piece by piece: each report is a turn's beginning, ad_readiness_round its end.
 *
 * All of it belongs to the loop's thread, but for ad_readiness_wake and ad_readiness_spawn [any].
 *
 * A loop may run inside a callback of ours, if its library and the application let it: what is
 * reported there is not heard.
 *
 * Reading order: this file, loop.c (turns), stream.c (operations).
 */
#ifndef AD_READINESS_READINESS_H
#define AD_READINESS_READINESS_H

#include "tasks/tasks.h"
#include "tasks/timers.h"

#include <aioduct/plugin/plugin.h>
#include <stdbool.h>
#include <sys/uio.h>

struct ad_readiness;

enum { AD_READ = 1, AD_WRITE = 2 };

/* A connector of the loop. */
struct ad_readiness_cx {
    struct ad_readiness *loop;
    const struct aioduct_host *host;
};

/* A descriptor that the backend watches. */
struct ad_watch {
    struct ad_readiness_cx *cx;
    int fd;
    uint8_t events; /* AD_READ | AD_WRITE: what the backend reports now; 0: not watched */
    /* The rest is of a stream's operations: here it takes no room. */
    uint8_t inflight : 4; /* AIODUCT_OP_* that the core waits for */
    uint8_t decided : 4;  /* of these, whose result is known and put off */
    uint8_t phase : 2;    /* enum in stream.c */
    uint8_t send : 2;     /* enum in stream.c: of the send in flight */
    bool file_part : 1;   /* of it less than was asked for has gone */
    bool file_short : 1;  /* the last piece found no room for all of it: the next has to wait */
    bool at_once : 1;     /* connect found nothing to wait for */
    bool shut : 1;        /* our side has ended, or will after the send in flight */
    bool closing : 1, listed : 1;
    uint8_t place : 6; /* what is received next goes to that one of the loop's; 0: to its scratch */
};

struct ad_readiness_ops {
    /* Where the backend's memory lies in its struct for streams, which begins with the watch. */
    size_t stream_watcher;
    /* Nothing is reported without a reason, and errors and hang-ups as both, whatever is watched:
     * one that was connecting, and is reported for writing alone, is connected. */
    bool is_exact;
    /* Report @events from now on, no longer watch->events; errors and hang-ups as both. -> 0 or
     * -errno */
    int (*watch)(struct ad_watch *watch, unsigned events);
    /* Report what is ready; wait for it until @deadline_ns (0: do not wait, UINT64_MAX: for ever).
     * Early returns are fine. -> 0 or -errno */
    int (*wait)(struct ad_readiness *loop, uint64_t deadline_ns);
    /* @watch is over and its descriptor is about to be closed; also if it never reported anything.
     * Leaves the backend's memory fit for another. NULL: that takes nothing. */
    void (*forget)(struct ad_watch *watch);
    /* For adopted loops, else NULL: see that the loop comes round at @deadline_ns (UINT64_MAX:
     * whenever). */
    void (*arm)(struct ad_readiness *loop, uint64_t deadline_ns);
    /* For adopted loops, else NULL: 0, or AIODUCT_E_NESTED because the application runs the loop.
     */
    int (*may_drive)(struct ad_readiness *loop);
    /* For adopted loops that do not tell when they are about to wait, else NULL: see that
     * ad_readiness_round is called before this one does. */
    void (*come_round)(struct ad_readiness *loop);
};

/* A page's: what the kernel copies there costs a quarter less than where malloc begins a block. */
enum { AD_SCRATCH_ALIGN = 4096 };

struct ad_readiness {
    const struct ad_readiness_ops *ops;
    const struct aioduct_host *host;
    struct ad_tasks tasks;
    struct ad_timers timers;
    uint64_t now_ns;            /* of this turn; 0: to be read */
    struct ad_readiness_cx own; /* of the next two */
    struct ad_watch wake;       /* eventfd: another thread, or work left over */
    struct ad_watch clock; /* timerfd, only once an application polls our descriptor; else -1 */
    void *wake_backend, *clock_backend;
    uint64_t clock_ns; /* what it is set to */
    bool polled;       /* the application waits for our descriptor between turns */
    int set_fd;        /* what ad_readiness_find_epoll has found; -1: not yet */
    bool waits;        /* inside the backend's wait, and in no callback */
    bool unsettled;    /* the backend takes notice of a watch only when it waits next */
    /* Streams that have a descriptor: those with something put off, in their order; the others. */
    struct ad_readiness_stream *due, **due_end;
    struct ad_readiness_stream *open;
    void (*gone)(void *arg); /* to be called when the application gets its loop back */
    void *gone_arg;
    uint8_t *scratch; /* what every receive reads into */
    size_t scratch_bytes;
    unsigned full_reads;
    struct iovec *places; /* of streams whose bytes are wanted there; NULL: none were yet */
};

/**
 * @loop is zeroed but for wake_backend and clock_backend. Opens and watches the eventfd.
 * Returns: 0 | -errno, and nothing is left open
 */
int ad_readiness_open(struct ad_readiness *loop, const struct ad_readiness_ops *ops,
                      const struct aioduct_host *host);
void ad_readiness_close(struct ad_readiness *loop);

/* The backend tells of a descriptor. In an adopted loop this counts as a callback of its own. */
void ad_readiness_ready(struct ad_watch *watch, unsigned events);
/* End a turn of an adopted loop that the application runs; nothing inside block_on and turn. */
void ad_readiness_round(struct ad_readiness *loop);
/* From now on our descriptor polls readable whenever turn(0) has work. -> 0 or -errno */
int ad_readiness_be_polled(struct ad_readiness *loop);
/* In the child: descriptors that are shared with the parent are replaced. The backend's kernel
 * object is its own again when this is called. -> 0 or -errno */
int ad_readiness_after_fork(struct ad_readiness *loop);
/* The epoll descriptor in which the eventfd is watched, asked of the kernel because libraries do
 * not tell; once, for it reads about every descriptor of the process. -> descriptor or
 * AIODUCT_E_UNSUPPORTED */
int ad_readiness_find_epoll(struct ad_readiness *loop);
uint64_t ad_readiness_clock_ns(void);

/* ---- members of the tables; @rt is a struct ad_readiness ---- */

int ad_readiness_block_on(void *rt, struct aioduct_task *root, void *root_state);
int ad_readiness_turn(void *rt, int64_t timeout_ns);
void ad_readiness_wake(void *rt, struct aioduct_task *task, void *task_state);
uint64_t ad_readiness_now_ns(void *rt);
int ad_readiness_spawn(void *rt, struct aioduct_task *task, void *task_state);
int ad_readiness_sleep(void *rt, struct aioduct_timer *timer, void *timer_state,
                       uint64_t deadline_ns);
void ad_readiness_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state);

/* What a struct aioduct_runtime has in common; @TYPE is the backend's state. */
#define AD_READINESS_RUNTIME(TYPE)                                                        \
    .size = sizeof(struct aioduct_runtime), .rt = {sizeof(TYPE), _Alignof(TYPE)},         \
    .task = AD_TASK_LAYOUT, .block_on = ad_readiness_block_on, .wake = ad_readiness_wake, \
    .now_ns = ad_readiness_now_ns, .turn = ad_readiness_turn

/* ---- members of aioduct.runtime.foreign/1 ---- */

int ad_readiness_settle(void *rt);
void ad_readiness_leave(void *rt, void (*gone)(void *arg), void *arg);
/* What abandon has to do once the child's copy of the loop is the child's own. */
void ad_readiness_abandon(struct ad_readiness *loop);

/* ---- streams ---- */

/* What a send that waits for room has to remember: an idle stream carries none of it. */
struct ad_readiness_rest {
    union {
        size_t sent;         /* of the pieces */
        int64_t file_offset; /* where the piece of a file begins */
    };
    union {
        struct {
            uint32_t first, count; /* of the pieces */
        };
        struct {
            uint32_t file_bytes;
            int file_fd;
        };
    };
    struct iovec pieces[];
};

/* A connector's half of a stream; the backend's own memory follows it. */
struct ad_readiness_stream {
    struct ad_watch watch;
    struct aioduct_stream *stream;
    struct ad_readiness_stream *next, **link; /* in the loop's due while listed, else in its open */
    union {                                   /* of the send in flight */
        struct ad_readiness_rest *rest;       /* what is to be written; result 0 */
        struct {
            uint64_t sent : 48; /* what was, if nothing more will be */
            int64_t code : 16;  /* and why */
        } over;
    };
};

int ad_readiness_cx_open(void *cx, const struct aioduct_host *host, void *rt);
void ad_readiness_cx_close(void *cx);
int ad_readiness_connect(void *cx, struct aioduct_stream *stream, void *state,
                         const struct aioduct_socket_config *config);
int ad_readiness_recv_start(void *state);
void ad_readiness_recv_stop(void *state);
void ad_readiness_recv_at(void *state, void *memory, size_t bytes);
int ad_readiness_send(void *state, const struct iovec *pieces, unsigned count);
int ad_readiness_send_file(void *state, int fd, int64_t offset, size_t bytes);
int ad_readiness_shutdown(void *state);
void ad_readiness_cancel(void *state, unsigned ops);
void ad_readiness_stream_close(void *state);
int ad_readiness_stream_info(void *state, struct aioduct_stream_info *info);

/* All of aioduct.connector/1; @TYPE is the backend's struct for streams. */
#define AD_READINESS_CONNECTOR_TABLE(TYPE)                                            \
    {                                                                                 \
        .size = sizeof(struct aioduct_connector), .flags = AIODUCT_BIND_SEND,         \
        .cx = {sizeof(struct ad_readiness_cx), _Alignof(struct ad_readiness_cx)},     \
        .stream = {sizeof(TYPE), _Alignof(TYPE)}, .open = ad_readiness_cx_open,       \
        .close = ad_readiness_cx_close, .connect = ad_readiness_connect,              \
        .recv_start = ad_readiness_recv_start, .recv_stop = ad_readiness_recv_stop,   \
        .send = ad_readiness_send, .shutdown = ad_readiness_shutdown,                 \
        .cancel = ad_readiness_cancel, .stream_close = ad_readiness_stream_close,     \
        .stream_info = ad_readiness_stream_info, .send_file = ad_readiness_send_file, \
        .recv_at = ad_readiness_recv_at                                               \
    }

/* ---- the plugin ---- */

/* Beside these every backend has the same aioduct.runtime.poll/1. */
struct ad_readiness_tables {
    const struct aioduct_runtime *runtime;
    const struct aioduct_connector *connector;
    const struct aioduct_runtime_foreign *foreign; /* NULL: no loop is adopted */
};

/* For get_interface. */
const void *ad_readiness_interface(const struct ad_readiness_tables *tables, const char *id);
/* Can a backend for loops of @kind (NULL: none) adopt @foreign? @witness is its own address of the
 * function @witness_name. -> 0, or the reason, which the host was told */
int ad_readiness_check_foreign(const struct aioduct_host *host,
                               const struct aioduct_foreign *foreign, const char *kind,
                               const char *witness_name, void (*witness)(void));
/* Are that many descriptors free? For libraries that end the process if there are not. -> 0 or
 * -errno */
int ad_readiness_descriptors_free(unsigned count);
/* For poll_fd of a library that keeps its epoll descriptor to itself. -> descriptor, -errno or
 * AIODUCT_E_UNSUPPORTED */
int ad_readiness_poll_set(struct ad_readiness *loop);

/* The backend's own memory for @watch, zeroed at first. */
static inline void *ad_readiness_backend(struct ad_watch *watch)
{
    struct ad_readiness *loop = watch->cx->loop;
    return watch == &loop->wake    ? loop->wake_backend
           : watch == &loop->clock ? loop->clock_backend
                                   : (char *)watch + loop->ops->stream_watcher;
}

/* ---- inside the room ---- */

/* Set what is watched, if it differs. -> 0 or -errno */
int ad_readiness_watch(struct ad_watch *watch, unsigned events);
/* The last of a watch: its descriptor is closed. */
void ad_readiness_watch_end(struct ad_watch *watch);
/* Something was put off: the loop must not wait, and must come round if nobody drives it. */
void ad_readiness_nudge(struct ad_readiness *loop);
/* Deliver what was put off before this call. */
void ad_readiness_deliver(struct ad_readiness *loop);
/* The descriptor of a stream is ready. */
void ad_readiness_stream_ready(struct ad_watch *watch, unsigned events);
/* The streams that have a descriptor, one after the other, from NULL to NULL. */
struct ad_readiness_stream *ad_readiness_stream_after(const struct ad_readiness *loop,
                                                      const struct ad_readiness_stream *s);
/* Close every descriptor of a stream, and tell nobody. */
void ad_readiness_streams_drop(struct ad_readiness *loop);

#endif
