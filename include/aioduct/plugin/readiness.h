/* SPDX-License-Identifier: MIT */
/**
 * readiness.h - makes a runtime out of a loop that can say "this descriptor is ready".
 *
 * Your loop gives two functions: watch a descriptor, and run until a time. The static library
 * libaioduct-readiness makes the rest of them: block_on, turn, wake, tasks, timers, now_ns, and a
 * TCP connector with all operations of its streams. Link it into your plugin; it exports nothing,
 * and needs no library but libc:
 *
 *     cc -shared -fPIC -fvisibility=hidden mine.c $(pkg-config --cflags --libs aioduct-readiness)
 *
 * Your runtime's state begins with a `struct aioduct_readiness`; what your loop keeps of each
 * descriptor is a struct of yours, the watcher, for which the library finds the place. The tables
 * are filled in with the macros below. examples/runtime-template/pollrt.c is a whole runtime.
 *
 * Everything is called by the loop's thread. Other threads reach the loop through an eventfd, which
 * is one of the descriptors that it watches, so your run needs no lock and no wake function.
 *
 * examples/runtime-libuv/uvrt.c is made over a library whose handles end later than they are told
 * to; examples/runtime-glib/glibrt.c lives in a loop of the application too.
 */
#ifndef AIODUCT_PLUGIN_READINESS_H
#define AIODUCT_PLUGIN_READINESS_H

#include <aioduct/plugin/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The library's half of a runtime's state: the first member of yours. */
struct aioduct_readiness {
    union {
        void *pointer;
        uint64_t number;
        unsigned char bytes[768];
    } inside; /**< the library's own */
};

/** The library's half of a stream's state: the first member of yours, the watcher the second. */
struct aioduct_readiness_stream {
    union {
        void *pointer;
        uint64_t number;
        unsigned char bytes[256];
    } inside; /**< the library's own */
};

/** The library's share of tasks, timers and connectors. */
struct aioduct_readiness_part {
    union {
        void *pointer;
        uint64_t number;
        unsigned char bytes[64];
    } inside; /**< the library's own */
};

/* ---- a descriptor that you watch ---- */

/** What a descriptor is ready for. */
enum {
    AIODUCT_READABLE = 1, /**< read, accept, or the end of the stream */
    AIODUCT_WRITABLE = 2  /**< write, or a connect that is over */
};

struct aioduct_watch;

/** The descriptor to be watched. */
int aioduct_watch_fd(const struct aioduct_watch *watch);
/** What you report now, AIODUCT_READABLE | AIODUCT_WRITABLE; 0: it is not watched. */
unsigned aioduct_watch_events(const struct aioduct_watch *watch);
/** Your watcher, zeroed before the first use; it stays where it is while the descriptor is watched.
 */
void *aioduct_watch_watcher(const struct aioduct_watch *watch);
/** Your runtime's state. */
void *aioduct_watch_runtime(const struct aioduct_watch *watch);

/* ---- what your loop gives ---- */

/** A bit of aioduct_readiness_ops.flags: watch tells the loop alone; what the descriptor of poll_fd
 * waits for changes in the next run. */
#define AIODUCT_READINESS_LAZY 1u

/** What your loop gives: a static table. All of it is called by the loop's thread. */
struct aioduct_readiness_ops {
    uint32_t size;          /**< sizeof(struct aioduct_readiness_ops) */
    uint32_t watcher_bytes; /**< sizeof your watcher; its alignment is a pointer's at most */
    /** Report @events from now on, instead of aioduct_watch_events; 0: stop, and forget the watch.
     * Level-triggered: what stays ready is reported in each run. -> 0, or -errno and nothing has
     * changed; stopping always succeeds */
    int (*watch)(struct aioduct_watch *watch, unsigned events);
    /** Call aioduct_readiness_ready for each descriptor that is ready, at most once a run; if there
     * is none, wait until one is or CLOCK_MONOTONIC has reached @deadline_ns (0: do not wait,
     * UINT64_MAX: for ever). To return early is fine. -> 0 or -errno */
    int (*run)(void *rt, uint64_t deadline_ns);

    uint32_t flags; /**< AIODUCT_READINESS_*; 0, as all below, unless you need it */
    /** The descriptor is about to be closed, and the watcher's memory goes: let go of both. It is
     * not watched now, and may never have been; leave the watcher as if it were zeroed. */
    void (*forget)(struct aioduct_watch *watch);

    /** For a loop that the application owns and runs; arm and may_drive make it one. There each
     * report of aioduct_readiness_ready begins a turn, and aioduct_readiness_round ends it. See
     * that the application's loop calls aioduct_readiness_round at @deadline_ns (UINT64_MAX:
     * there is no need to). */
    void (*arm)(void *rt, uint64_t deadline_ns);
    /** -> 0, or AIODUCT_E_NESTED: the application runs its loop now, so it must not run in it */
    int (*may_drive)(void *rt);
    /** A turn has begun: see that aioduct_readiness_round is called before the loop waits again.
     * Not needed if it is called before every wait. */
    void (*come_round)(void *rt);
};

/* ---- what you call ---- */

/**
 * In your open, when watch can be called: it is, for the eventfd. @own is room for two watchers
 * that belong to the library's own descriptors, for as long as the runtime is open.
 * Returns: 0 | -errno, and nothing is left open
 */
int aioduct_readiness_open(void *rt, const struct aioduct_readiness_ops *ops, void *own,
                           const struct aioduct_host *host);
/** In your close, before the loop ends: watch is called once more for each of its own. */
void aioduct_readiness_close(void *rt);
/** Inside run: @watch is ready for @events; an error or a hang-up is both. Watches are stopped and
 * begun meanwhile, also some that this run had still to report: those are not reported any more. In
 * a loop that runs inside a callback of ours, as an application's may, it does nothing. */
void aioduct_readiness_ready(struct aioduct_watch *watch, unsigned events);
/** In your poll_fd, if your loop waits for one descriptor (an epoll set, a kqueue): from now on
 * that one is readable whenever turn(0) has work. -> 0 or -errno */
int aioduct_readiness_be_polled(void *rt);
/** In your after_fork_child, once the loop is the child's own: descriptors that the parent shares
 * are replaced. -> 0 or -errno */
int aioduct_readiness_after_fork(void *rt);
/** CLOCK_MONOTONIC now. */
uint64_t aioduct_readiness_clock_ns(void);
/** Are @count (16 at most) descriptors free now? In your open, for a library that ends the process
 * when it finds none. -> 0 or -errno */
int aioduct_readiness_descriptors_free(unsigned count);

/* ---- a loop of the application ---- */

/** In your open: is @foreign (not NULL) a loop of @kind (NULL: no loop is adopted) that was made by
 * the same copy of the library as ours? @witness is your address of the function @witness_name.
 * -> 0, or the reason, which the host was told */
int aioduct_readiness_check_foreign(const struct aioduct_host *host,
                                    const struct aioduct_foreign *foreign, const char *kind,
                                    const char *witness_name, void (*witness)(void));
/** Called by the application's loop: a turn ends, whatever is due runs. The runtime may be gone
 * when it returns. Nothing inside block_on and turn. */
void aioduct_readiness_round(void *rt);
/** In your abandon, once the loop is the child's own: what watches its copy is taken out. */
void aioduct_readiness_abandon(void *rt);
/** settle of a struct aioduct_runtime_foreign. */
int aioduct_readiness_settle(void *rt);
/** leave of a struct aioduct_runtime_foreign. */
void aioduct_readiness_leave(void *rt, void (*gone)(void *arg), void *arg);

/* ---- the tables ---- */

/** What a plugin offers; the table of aioduct.runtime.poll/1 is the library's own. */
struct aioduct_readiness_tables {
    const struct aioduct_runtime *runtime;         /**< made with AIODUCT_READINESS_RUNTIME */
    const struct aioduct_connector *connector;     /**< made with AIODUCT_READINESS_CONNECTOR */
    const struct aioduct_runtime_foreign *foreign; /**< NULL: no loop is adopted */
};

/** Your get_interface. */
const void *aioduct_readiness_interface(const struct aioduct_readiness_tables *tables,
                                        const char *id);

/** block_on of a struct aioduct_runtime. */
int aioduct_readiness_block_on(void *rt, struct aioduct_task *root, void *root_state);
/** turn of a struct aioduct_runtime. */
int aioduct_readiness_turn(void *rt, int64_t timeout_ns);
/** wake of a struct aioduct_runtime. */
void aioduct_readiness_wake(void *rt, struct aioduct_task *task, void *task_state);
/** now_ns of a struct aioduct_runtime. */
uint64_t aioduct_readiness_now_ns(void *rt);
/** spawn_send of a struct aioduct_runtime_poll. */
int aioduct_readiness_spawn(void *rt, struct aioduct_task *task, void *task_state);
/** sleep of a struct aioduct_runtime_poll. */
int aioduct_readiness_sleep(void *rt, struct aioduct_timer *timer, void *timer_state,
                            uint64_t deadline_ns);
/** sleep_cancel of a struct aioduct_runtime_poll. */
void aioduct_readiness_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state);

/** open of a struct aioduct_connector. */
int aioduct_readiness_cx_open(void *cx, const struct aioduct_host *host, void *rt);
/** close of a struct aioduct_connector. */
void aioduct_readiness_cx_close(void *cx);
/** connect of a struct aioduct_connector. */
int aioduct_readiness_connect(void *cx, struct aioduct_stream *stream, void *state,
                              const struct aioduct_socket_config *config);
/** recv_start of a struct aioduct_connector. */
int aioduct_readiness_recv_start(void *state);
/** recv_stop of a struct aioduct_connector. */
void aioduct_readiness_recv_stop(void *state);
/** recv_at of a struct aioduct_connector. */
void aioduct_readiness_recv_at(void *state, void *memory, size_t bytes);
/** send of a struct aioduct_connector. */
int aioduct_readiness_send(void *state, const struct iovec *pieces, unsigned count);
/** send_file of a struct aioduct_connector. */
int aioduct_readiness_send_file(void *state, int fd, int64_t offset, size_t bytes);
/** shutdown of a struct aioduct_connector. */
int aioduct_readiness_shutdown(void *state);
/** cancel of a struct aioduct_connector. */
void aioduct_readiness_cancel(void *state, unsigned ops);
/** stream_close of a struct aioduct_connector. */
void aioduct_readiness_stream_close(void *state);
/** stream_info of a struct aioduct_connector. */
int aioduct_readiness_stream_info(void *state, struct aioduct_stream_info *info);

#ifdef __cplusplus
#define AIODUCT_READINESS_LAYOUT_(TYPE) \
    {                                   \
        sizeof(TYPE), alignof(TYPE)     \
    }
#else
#define AIODUCT_READINESS_LAYOUT_(TYPE) \
    {                                   \
        sizeof(TYPE), _Alignof(TYPE)    \
    }
#endif

/** Members of a struct aioduct_runtime beside your open and close, and poll_fd and after_fork_child
 * if you have them. @TYPE is your runtime's state. */
#define AIODUCT_READINESS_RUNTIME(TYPE)                                            \
    .size = sizeof(struct aioduct_runtime), .rt = AIODUCT_READINESS_LAYOUT_(TYPE), \
    .task = AIODUCT_READINESS_LAYOUT_(struct aioduct_readiness_part),              \
    .block_on = aioduct_readiness_block_on, .wake = aioduct_readiness_wake,        \
    .now_ns = aioduct_readiness_now_ns, .turn = aioduct_readiness_turn

/** Members of a struct aioduct_runtime_foreign beside your abandon. @KINDS ends with NULL. */
#define AIODUCT_READINESS_FOREIGN(KINDS)                            \
    .size = sizeof(struct aioduct_runtime_foreign), .kinds = KINDS, \
    .settle = aioduct_readiness_settle, .leave = aioduct_readiness_leave

/** All members of a struct aioduct_runtime_poll, if you answer for it yourself. */
#define AIODUCT_READINESS_POLL                                               \
    .size = sizeof(struct aioduct_runtime_poll),                             \
    .timer = AIODUCT_READINESS_LAYOUT_(struct aioduct_readiness_part),       \
    .spawn_send = aioduct_readiness_spawn, .sleep = aioduct_readiness_sleep, \
    .sleep_cancel = aioduct_readiness_sleep_cancel

/** All members of a struct aioduct_connector. @TYPE is your stream's state. */
#define AIODUCT_READINESS_CONNECTOR(TYPE)                                                   \
    .size = sizeof(struct aioduct_connector), .flags = AIODUCT_BIND_SEND,                   \
    .cx = AIODUCT_READINESS_LAYOUT_(struct aioduct_readiness_part),                         \
    .stream = AIODUCT_READINESS_LAYOUT_(TYPE), .open = aioduct_readiness_cx_open,           \
    .close = aioduct_readiness_cx_close, .connect = aioduct_readiness_connect,              \
    .recv_start = aioduct_readiness_recv_start, .recv_stop = aioduct_readiness_recv_stop,   \
    .send = aioduct_readiness_send, .shutdown = aioduct_readiness_shutdown,                 \
    .cancel = aioduct_readiness_cancel, .stream_close = aioduct_readiness_stream_close,     \
    .stream_info = aioduct_readiness_stream_info, .send_file = aioduct_readiness_send_file, \
    .recv_at = aioduct_readiness_recv_at

#ifdef __cplusplus
}
#endif

#endif
