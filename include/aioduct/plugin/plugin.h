/* SPDX-License-Identifier: MIT */
/**
 * aioduct/plugin/plugin.h - the wall between the aioduct core and its plugins.
 *
 * This is the only aioduct header that a plugin includes. A plugin is a shared object with one
 * exported data symbol, `aioduct_plugin_entry_1`, and one ELF note that can be read without running
 * any of its code. It may offer a runtime (an event loop), a connector (a way to open byte
 * streams), or both. A plugin links libc and its loop library, never libaioduct: what it needs of
 * the core is handed to it in a `struct aioduct_host`.
 *
 * Growth. Within one interface id members are appended, never moved and never given a new meaning.
 * Every table starts with its `size`; the core copies what it knows of a table once, when the
 * plugin is loaded, and puts stubs into the gaps. A plugin that wants a host member newer than
 * minor 0 asks with AIODUCT_HAS first.
 *
 * Threads. Each member is marked [any] any thread, [loop] the thread that drives this instance (the
 * one inside block_on or turn, or, before the first of them, the one that called open), [setup]
 * before open has returned. The host's [loop] members are called from inside block_on and turn
 * only, one at a time, and never from inside another member of the plugin; those of an adopted loop
 * also while the application runs it, on the thread that does. There each descriptor that is ready
 * may read the clock anew, and a turn without any callback of ours may have no turn_end.
 *
 * Results. 0 or more is success. -1 to -4095 is -errno. Below that lie aioduct's own codes. A call
 * that returns an error took nothing and calls nothing back. No callback ever runs inside the call
 * that asked for it.
 *
 * Memory. State is zeroed before its first use. The core may take it back: a task's once task_run
 * has answered 1 (after that callback) and no wake is under way, the root's once block_on has
 * returned; a timer's whenever it is not armed, inside timer_fired too; a stream's from inside
 * on_closed on, or when connect was refused.
 *
 * The whole contract, clause by clause and with the tests that check it: docs/CONTRACT.md.
 */
#ifndef AIODUCT_PLUGIN_PLUGIN_H
#define AIODUCT_PLUGIN_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AIODUCT_PLUGIN_MAGIC 0x54434441u /**< "ADCT" in memory on a little-endian machine */
#define AIODUCT_ABI_MAJOR 1 /**< also in the symbol's name, the directory and the note */
#define AIODUCT_ABI_MINOR 1 /**< counts appended members */

/** Does the struct that the other side handed us reach as far as member @f, and is it set? */
#define AIODUCT_HAS(type, p, f) ((p)->size >= offsetof(type, f) + sizeof((p)->f) && (p)->f)

struct iovec;    /**< <sys/uio.h> */
struct sockaddr; /**< <sys/socket.h> */

/** The core's own, opaque to a plugin. A plugin gets a pointer to the core's half and a pointer to
 * its own half. */
struct aioduct_task;
struct aioduct_timer;
struct aioduct_stream;

/** What operations of a stream answer, if they are not refused. */
enum {
    AIODUCT_DONE = 0,   /**< finished; no completion follows */
    AIODUCT_PENDING = 1 /**< exactly one completion follows, later */
};

/* The same lines stand in <aioduct/error.h>, so that either header stands alone. */
#ifndef AIODUCT_SHARED_CODES
/** Whichever header came first has defined the codes below. */
#define AIODUCT_SHARED_CODES
/** Codes that core and plugins share. */
enum {
    AIODUCT_E_UNAVAILABLE = -5001, /**< cannot run on this machine */
    AIODUCT_E_UNSUPPORTED = -5002, /**< an option or operation that the runtime does not have */
    AIODUCT_E_THREAD = -5003,      /**< called from a thread that does not own the object */
    AIODUCT_E_NESTED = -5004,      /**< a blocking call inside a callback of the same instance */
    AIODUCT_E_FORKED = -5005,      /**< the object belongs to the parent process */
    AIODUCT_E_CLASH = -5006        /**< the loop library's symbols belong to another library */
};
#endif

/** Operations of a stream; bits, so that cancel can name several. */
enum {
    AIODUCT_OP_CONNECT = 1, /**< connect */
    AIODUCT_OP_RECV = 2,    /**< recv_start */
    AIODUCT_OP_SEND = 4,    /**< send, send_file */
    AIODUCT_OP_SHUTDOWN = 8 /**< shutdown */
};

/** Levels of messages. */
enum {
    AIODUCT_LOG_ERROR = 0,   /**< something failed */
    AIODUCT_LOG_WARNING = 1, /**< something works, but not as it should */
    AIODUCT_LOG_NOTICE = 2,  /**< what an operator wants to know: once a process */
    AIODUCT_LOG_INFO = 3,    /**< what an operator may want to know */
    AIODUCT_LOG_DEBUG = 4    /**< for whoever looks for a mistake */
};

/* ------------------------------------------------------------------------------------------
 * core -> plugin
 */

/** What a plugin gets of the core. One an instance; it stays until close has returned. */
struct aioduct_host {
    uint32_t size;      /**< of this table, as the core knows it */
    uint16_t abi_major; /**< AIODUCT_ABI_MAJOR of the core */
    uint16_t abi_minor; /**< AIODUCT_ABI_MINOR of the core */
    void *ctx;          /**< first argument of every member below; one host table an instance */

    /** [any] As realloc: @old NULL allocates, @bytes 0 frees. @align is a power of two; 0 means
     * malloc's. */
    void *(*alloc)(void *ctx, void *old, size_t bytes, size_t align);
    /** [any] One line, no newline; level is AIODUCT_LOG_*. */
    void (*log)(void *ctx, int level, const char *message);
    /** [any] Why the call that is about to return an error fails; @message is copied. */
    void (*error)(void *ctx, int code, const char *message);
    /** [setup] Value of the option "<plugin name>.<key>"; NULL if not set. A plugin asks for
     * each of its options by the end of open: one that is set and was not asked for is refused
     * as unknown. In the text of an error about an option its key stands as it is. Borrowed
     * until open returns. */
    const char *(*option)(void *ctx, const char *key);

    /** [loop] Run a task. 1: ready, never run it again. 0: pending, run it again after a wake. */
    int (*task_run)(void *ctx, struct aioduct_task *task);
    /** [loop] A deadline given to sleep has passed. The timer is no longer armed when this is
     * called. */
    void (*timer_fired)(void *ctx, struct aioduct_timer *timer);
    /** [loop] Once every turn, after its callbacks (also when there were none) and before the loop
     * may wait. The core sends here. A task woken or spawned inside it runs before the wait. */
    void (*turn_end)(void *ctx);

    /** [loop] Bytes arrived. The slice belongs to the runtime and is valid until this returns;
     * bytes > 0. */
    void (*on_data)(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes);
    /** [loop] The one completion of an accepted operation. @op is one AIODUCT_OP_*; @code 0 or
     * negative; @bytes counts what a send took, also when it failed or was cancelled; else 0. */
    void (*on_done)(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes);
    /** [loop] Last word on a stream after stream_close: its memory goes. */
    void (*on_closed)(void *ctx, struct aioduct_stream *stream);

    /** [any] 1 if the calling thread drives this instance. */
    int (*is_loop_thread)(void *ctx);
    /** [setup] Services added later, by id; NULL if unknown. */
    const void *(*get_interface)(void *ctx, const char *id);
};

/* ------------------------------------------------------------------------------------------
 * plugin -> core: one const static table a capability. That get_interface returns a table is the
 * capability.
 */

/** RuntimeCompletion: block_on; every runtime has it. A struct aioduct_runtime. */
#define AIODUCT_IFACE_RUNTIME "aioduct.runtime/1"
/** RuntimePoll: spawn_send, sleep. A struct aioduct_runtime_poll. */
#define AIODUCT_IFACE_POLL "aioduct.runtime.poll/1"
/** RuntimeLocal: spawn_local, sleep. A struct aioduct_runtime_local. */
#define AIODUCT_IFACE_LOCAL "aioduct.runtime.local/1"
/** ConnectorSend or ConnectorLocal, by its flag. A struct aioduct_connector. */
#define AIODUCT_IFACE_CONNECTOR "aioduct.connector/1"

/** Size and alignment of plugin state that the core allocates, zeroed. Read at run time: either
 * side may grow. */
struct aioduct_layout {
    uint32_t bytes; /**< sizeof */
    uint32_t align; /**< _Alignof: a power of two */
};

/** A loop that the application owns and the runtime is to adopt. It outlives the instance; what the
 * instance watches keeps it running, like anything else that is watched in it. */
struct aioduct_foreign {
    uint32_t size;       /**< of this struct, as the core knows it */
    uint32_t flags;      /**< none defined yet: 0 */
    const char *kind;    /**< "libevent", "libev", "io_uring" */
    const char *version; /**< of the library that made it; may be NULL */
    void *loop;          /**< struct event_base *, struct ev_loop *, struct io_uring * */
    /** The application's address of the loop library's run function; NULL: not checked. */
    void (*witness)(void);
};

/** AIODUCT_IFACE_RUNTIME: what every runtime is. Tables are static and never change. */
struct aioduct_runtime {
    uint32_t size;              /**< of this table, as its maker knows it */
    uint32_t flags;             /**< none defined yet: 0 */
    struct aioduct_layout rt;   /**< state of an instance */
    struct aioduct_layout task; /**< state of a task */

    /** [setup] Make an instance in @rt (zeroed). @foreign NULL: own loop. -> 0 or negative; then
     * close is not called. */
    int (*open)(void *rt, const struct aioduct_host *host, const struct aioduct_foreign *foreign);
    /** [loop] The core has closed every stream and cancelled every timer before. Tasks still queued
     * are dropped. */
    void (*close)(void *rt);
    /** [loop] Run the loop until @root is ready, to the end of that turn. @root runs first
     * without a wake. Other tasks stay alive for the next call. The caller becomes [loop].
     * -> 0; AIODUCT_E_NESTED inside a callback; AIODUCT_E_THREAD if the runtime has no
     * aioduct.runtime.poll/1 and another thread than this one called open. */
    int (*block_on)(void *rt, struct aioduct_task *root, void *root_state);
    /** [any] Have a spawned (or root) task run again: once for any number of wakes since it last
     * started to run. A wake while the task runs counts. A wake after the task was ready does
     * nothing. */
    void (*wake)(void *rt, struct aioduct_task *task, void *task_state);
    /** [loop] CLOCK_MONOTONIC nanoseconds, read once a turn after the wait: the same for all
     * callbacks of one turn. Outside block_on and turn: read anew. */
    uint64_t (*now_ns)(void *rt);

    /** Optional, for callers with a loop of their own.
     * [loop] One turn: wait at most @timeout_ns (0: do not wait; negative: as long as it takes),
     * run what is ready, turn_end. A signal may end the wait early; that is no error.
     * -> 0, AIODUCT_E_NESTED, AIODUCT_E_THREAD (as block_on) or -errno. */
    int (*turn)(void *rt, int64_t timeout_ns);
    /** [loop] A descriptor that polls readable when turn(0) has work (a wake, a due timer, I/O) and
     * not when it has none; the runtime's own, never closed by the caller. Negative: none. */
    int (*poll_fd)(void *rt);
    /** [loop, in the child] Make the instance usable again after fork(2). Absent: the core answers
     * E_FORKED. */
    int (*after_fork_child)(void *rt);
};

/** open adopts loops of the application. A struct aioduct_runtime_foreign. */
#define AIODUCT_IFACE_FOREIGN "aioduct.runtime.foreign/1"

/** What the core needs beside the other tables while the application runs the loop. There @foreign
 * of open has one of @kinds; the instance is called back from the application's loop, or, where
 * that loop knows completions only by their number (a ring), from prepare and complete. Then
 * block_on and turn, if they are possible at all, drive the application's loop; if that runs
 * already they are AIODUCT_E_NESTED and call nothing. */
struct aioduct_runtime_foreign {
    uint32_t size;            /**< of this table, as its maker knows it */
    uint32_t flags;           /**< none defined yet: 0 */
    const char *const *kinds; /**< "libevent"; NULL at the end */
    /** [loop] A turn of the instance alone, turn_end and all, in which nothing of the
     * application is called: what was put off, timers that are due, tasks. Descriptors are not
     * looked at. On a ring, streams that close are over after it, without a word of the
     * application's.
     * -> 0; AIODUCT_E_NESTED inside a callback of the instance; -errno: it cannot go on */
    int (*settle)(void *rt);
    /** [loop] Inside a callback: call gone(arg) once nothing of the instance is on the stack,
     * before the application's loop goes on. It may close the instance. At most once. NULL for
     * rings. */
    void (*leave)(void *rt, void (*gone)(void *arg), void *arg);
    /** [in the child] After fork(2), for an instance that the child is not to use: take what
     * was put into the loop out of the child's copy of it, close the child's descriptors, say
     * nothing to any peer. The last call. Optional. */
    void (*abandon)(void *rt);
    /** Rings, else NULL. [loop] A completion that the application took.
     * -> 1 it was of this instance; 0 it was not; negative as settle */
    int (*complete)(void *rt, uint64_t user_data, int32_t result, uint32_t flags);
    /** Rings, else NULL. [loop] The end of a turn, just before the application submits and waits:
     * entries of the instance are put into the ring. -> as settle */
    int (*prepare)(void *rt);
};

/** One-shot timers. @deadline_ns is on the clock of now_ns; a past deadline fires on the next turn,
 * UINT64_MAX never. Never early; earlier deadlines first, but deadlines less than 1 ms apart may
 * come in any order. sleep on an armed timer moves it. sleep_cancel on a timer that is not armed
 * does nothing; after it timer_fired is not called. */
struct aioduct_runtime_poll {
    uint32_t size;               /**< of this table, as its maker knows it */
    uint32_t flags;              /**< none defined yet: 0 */
    struct aioduct_layout timer; /**< state of a timer */
    /** [any] Have a task run, soon and not inside this call. -> 0 or negative: nothing was taken */
    int (*spawn_send)(void *rt, struct aioduct_task *task, void *task_state);
    /** [loop] Arm a timer, or move it. -> 0 or negative: it is as it was */
    int (*sleep)(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns);
    /** [loop] Disarm it. */
    void (*sleep_cancel)(void *rt, struct aioduct_timer *timer, void *timer_state);
};

/** AIODUCT_IFACE_LOCAL. Timers as in struct aioduct_runtime_poll. */
struct aioduct_runtime_local {
    uint32_t size;               /**< of this table, as its maker knows it */
    uint32_t flags;              /**< none defined yet: 0 */
    struct aioduct_layout timer; /**< state of a timer */
    /** [loop] Have a task run, soon and not inside this call; AIODUCT_E_THREAD from any other
     * thread. -> 0 or negative: nothing was taken */
    int (*spawn_local)(void *rt, struct aioduct_task *task, void *task_state);
    /** [loop] Arm a timer, or move it. -> 0 or negative: it is as it was */
    int (*sleep)(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns);
    /** [loop] Disarm it. */
    void (*sleep_cancel)(void *rt, struct aioduct_timer *timer, void *timer_state);
};

/** Name look-up hints for a connector that resolves by itself. */
enum {
    AIODUCT_DNS_ANY = 0,      /**< both */
    AIODUCT_DNS_ONLY_4 = 1,   /**< IPv4 */
    AIODUCT_DNS_ONLY_6 = 2,   /**< IPv6 */
    AIODUCT_DNS_PREFER_4 = 3, /**< IPv4 first */
    AIODUCT_DNS_PREFER_6 = 4  /**< IPv6 first */
};

/**
 * How to make one connection: a value, all of it applied before connect(2). Zero means the default
 * said beside the member. An option that the system refuses fails the connect with that error;
 * fast_open alone is a hint. The struct is borrowed for the call; what its pointers point to, until
 * the connect completes.
 */
struct aioduct_socket_config {
    uint32_t size;    /**< of this struct, as the core knows it */
    uint32_t flags;   /**< none defined yet: 0 */
    const char *host; /**< target name: for messages, and for a connector that resolves */
    /** Address to dial; NULL: the connector resolves @host (numeric hosts at least). */
    const struct sockaddr *addr;
    uint32_t addr_bytes;               /**< of @addr */
    uint16_t port;                     /**< used with @host when @addr is NULL */
    uint16_t dns_family;               /**< AIODUCT_DNS_* */
    const char *dns_resolver;          /**< NULL: the client's */
    uint32_t dns_flags;                /**< none defined yet: 0 */
    int32_t nodelay;                   /**< TCP_NODELAY: 0 default (on), 1 on, -1 off */
    uint32_t keepalive_idle_s;         /**< 0: no keepalive; else SO_KEEPALIVE with TCP_KEEPIDLE */
    uint32_t keepalive_interval_s;     /**< TCP_KEEPINTVL; 0: the system's */
    uint32_t keepalive_count;          /**< TCP_KEEPCNT; 0: the system's */
    const struct sockaddr *local_addr; /**< NULL: any */
    uint32_t local_addr_bytes;         /**< of @local_addr */
    uint16_t local_port_min;           /**< 0: any; else the first free port from here */
    uint16_t local_port_max;           /**< to here; 0: only local_port_min */
    const char *device;                /**< SO_BINDTODEVICE; NULL: none */
    int32_t fast_open;                 /**< TCP_FASTOPEN_CONNECT: 0 off, 1 on */
    uint32_t user_timeout_ms;          /**< TCP_USER_TIMEOUT; 0: the system's */
    uint32_t send_buffer_bytes;        /**< SO_SNDBUF; 0: the system's */
    uint32_t recv_buffer_bytes;        /**< SO_RCVBUF; 0: the system's */
    uint32_t mark;                     /**< SO_MARK; 0: none */
    uint32_t tos;                      /**< IP_TOS or IPV6_TCLASS; 0: none */
};

/** Flags of a connector. */
enum {
    /** ConnectorSend: streams may be used by whichever thread drives the loop. */
    AIODUCT_BIND_SEND = 1,
    /** ConnectorLocal: streams never leave the thread that opened the instance. */
    AIODUCT_BIND_LOCAL = 2,
    AIODUCT_CX_LAYER = 4, /**< sits on another connector, by aioduct.host.lower/1 */
    /** Needs no address: dialled once with @host alone, which nobody looks up before. */
    AIODUCT_CX_BY_NAME = 8
};

/** What a connected stream can say of itself; zero where unknown. */
struct aioduct_stream_info {
    uint32_t size;             /**< of this struct, as the core knows it */
    int32_t fd;                /**< the descriptor, for diagnostics only; -1 if there is none */
    uint8_t local_addr[128];   /**< struct sockaddr_storage: our end */
    uint8_t peer_addr[128];    /**< struct sockaddr_storage: the other end */
    uint32_t local_addr_bytes; /**< of @local_addr that are used */
    uint32_t peer_addr_bytes;  /**< of @peer_addr that are used */
};

/**
 * A connector opens streams; a stream is operations that complete, not a descriptor that becomes
 * ready. At most one operation of each kind is in flight on a stream; a second is -EBUSY. Every
 * member below is [loop] and legal inside on_data and on_done of any stream. A stream is dialled
 * once; recv_start, send and shutdown on one that is not connected are -ENOTCONN.
 */
struct aioduct_connector {
    uint32_t size;                /**< of this table, as its maker knows it */
    uint32_t flags;               /**< exactly one of BIND_SEND and BIND_LOCAL */
    struct aioduct_layout cx;     /**< state of an instance of the connector */
    struct aioduct_layout stream; /**< state of a stream */
    /** Runtime names, NULL at the end; NULL: only this plugin's own runtime; a layer: any. */
    const char *const *runs_on;
    /** [setup] After the runtime's open. -> 0 or negative; then close is not called */
    int (*open)(void *cx, const struct aioduct_host *host, void *rt);
    /** After every stream's on_closed, before the runtime's close. */
    void (*close)(void *cx);

    /** PENDING, then one on_done(OP_CONNECT), and the stream is to be closed whatever its code; or
     * negative, and there is no stream: @state is as before. */
    int (*connect)(void *cx, struct aioduct_stream *stream, void *state,
                   const struct aioduct_socket_config *config);
    /** 0 or negative. Slices by on_data until the end; then one on_done(OP_RECV): 0 the peer's end
     * of stream, -ECANCELED after recv_stop or cancel, else the reason. May be called again after
     * that completion unless it was the end of stream or an error. */
    int (*recv_start)(void *state);
    /** Ask the receive to end. Slices that were on their way may still come first. Nothing if it is
     * not running. */
    void (*recv_stop)(void *state);
    /** DONE: every byte was taken. PENDING: one on_done(OP_SEND) follows; the bytes stay valid and
     * unchanged until then (the iovec array itself need not). Negative: nothing was taken. Any
     * @count; no bytes at all are DONE. Never raises SIGPIPE. */
    int (*send)(void *state, const struct iovec *pieces, unsigned count);
    /** End our side, after the bytes of a send in flight; if that send fails or is cancelled, this
     * completes with its code and the end is not sent. DONE, PENDING or negative. A send after it
     * is -EPIPE, unless it completed with an error; receiving goes on. */
    int (*shutdown)(void *state);
    /** Each named operation that is in flight still completes once, with -ECANCELED or what really
     * happened. */
    void (*cancel)(void *state, unsigned ops);
    /** Once, and the core's last call on the stream. No more slices; pending operations complete,
     * then one on_closed; never inside this call. Bytes that sends took still reach the peer. */
    void (*stream_close)(void *state);
    /** Fill @info as far as its size reaches. Optional. */
    int (*stream_info)(void *state, struct aioduct_stream_info *info);
    /** Since 1.1, optional. Send at most @bytes (not 0) of the regular file @fd from @offset on,
     * behind what was sent before; the descriptor's own position is not used, and stays. It is a
     * send in all else: one at a time with send, and named by OP_SEND; a shutdown that is asked for
     * meanwhile completes with -ECANCELED unless all of @bytes went.
     * PENDING: one on_done(OP_SEND) follows as soon as some of the bytes were taken, with their
     * number: the caller asks again for the rest, so what one call takes is bounded. 0 and no
     * bytes: the file has none there. -ECANCELED or what is wrong with the connection: @bytes of it
     * went before.
     * AIODUCT_E_UNSUPPORTED, as answer or completion: nothing was taken; this file, or any, cannot
     * be sent so, or not be read, and the caller reads it to see. Any other negative: nothing was
     * taken.
     * @fd stays open until the completion, or until cancel or stream_close names the operation:
     * from then on it is not used. Never raises SIGPIPE. */
    int (*send_file)(void *state, int fd, int64_t offset, size_t bytes);
    /** Since 1.1, optional. A hint for the receive that runs: what comes next may be put at
     * @memory, at most @bytes (not 0) of it, and the slice of on_data is then that. It holds for
     * one slice: the next on_data ends it, wherever its bytes lie; who wants more there asks again,
     * inside it. So do the completion of the receive, another recv_at, and NULL, which asks for
     * nothing. What was received already comes first, and as it would have come. Nothing if no
     * receive runs, or if it was asked to end.
     * @memory may be written to from this call on, and no more once on_data, or on_done of the
     * receive, has been called, or once recv_stop, a cancel of it, stream_close or another recv_at
     * has returned: nothing is left with the system that could. */
    void (*recv_at)(void *state, void *memory, size_t bytes);
};

/**
 * The host's table for layers. A connector with AIODUCT_CX_LAYER opens its streams by the connector
 * below it: the next of the client's list, in the end the runtime's own. Each stream of a layer has
 * one stream below it, which is named by the layer's own and whose memory the core has put beside
 * it. The layer reaches it through the table that host->get_interface(ctx, this) gives it in open,
 * with the host's ctx, and hears of it by the events that it attaches there. For the stream below
 * the layer is what the core is for other connectors: everything that is said of struct
 * aioduct_connector and of on_data, on_done and on_closed holds there too.
 *
 * The layer owes the same upwards. Inside those events, on_later too, and nowhere else, it calls
 * on_data, on_done and on_closed of its host: none of them inside one of its own members, an
 * on_data only while its receive runs, on_closed last, when the stream below is closed or was never
 * dialled. What comes up may be handed on as it is: the slice of an event, inside that event, and
 * the pieces of a send.
 */
#define AIODUCT_IFACE_HOST_LOWER "aioduct.host.lower/1"

/** What a layer hears; @state is that of its own stream. [loop], one at a time, inside block_on and
 * turn. */
struct aioduct_lower_events {
    uint32_t size;  /**< of this table, as its maker knows it */
    uint32_t flags; /**< none defined yet: 0 */
    /** As on_data of the host. */
    void (*on_data)(void *state, const void *slice, size_t bytes);
    /** As on_done of the host. */
    void (*on_done)(void *state, int op, int code, size_t bytes);
    /** As on_closed of the host; the stream below may be dialled anew. */
    void (*on_closed)(void *state);
    /** Asked for by later. Optional. */
    void (*on_later)(void *state);
};

/** The stream below; @stream is the layer's own, as its connect got it. */
struct aioduct_host_lower {
    uint32_t size;  /**< of this table, as the core knows it */
    uint32_t flags; /**< BIND_SEND or BIND_LOCAL, CX_BY_NAME: of the connector below */
    /** [setup] Once, by the end of open; @events is static. -> 0 | -EINVAL (one is missing) */
    int (*attach)(void *ctx, const struct aioduct_lower_events *events);
    /** [loop] This and the next as the members of struct aioduct_connector. @config may be the
     * layer's own; what it points to stays until the completion. A layer that refuses its own
     * connect has no stream below. -> PENDING or negative */
    int (*connect)(void *ctx, struct aioduct_stream *stream,
                   const struct aioduct_socket_config *config);
    /** [loop] */
    int (*recv_start)(void *ctx, struct aioduct_stream *stream);
    /** [loop] */
    void (*recv_stop)(void *ctx, struct aioduct_stream *stream);
    /** [loop] */
    int (*send)(void *ctx, struct aioduct_stream *stream, const struct iovec *pieces,
                unsigned count);
    /** [loop] */
    int (*shutdown)(void *ctx, struct aioduct_stream *stream);
    /** [loop] */
    void (*cancel)(void *ctx, struct aioduct_stream *stream, unsigned ops);
    /** [loop] on_closed follows, once, also of a stream that was never dialled or refused to.
     * Again, before that, does nothing. */
    void (*close)(void *ctx, struct aioduct_stream *stream);
    /** [loop] -> 0, or negative with nothing but the size in @info */
    int (*info)(void *ctx, struct aioduct_stream *stream, struct aioduct_stream_info *info);
    /** [loop] Have on_later called once, at the end of this turn: for what the layer knows already,
     * and may not say inside the call that asked for it. Again, before that, does nothing. It is
     * forgotten with the layer's on_closed. */
    void (*later)(void *ctx, struct aioduct_stream *stream);
    /** [loop] Since 1.1: ask AIODUCT_HAS. A layer that changes no bytes hands its send_file on; one
     * without it, or which changes them, is sent what was read. AIODUCT_E_UNSUPPORTED if the
     * connector below has none. */
    int (*send_file)(void *ctx, struct aioduct_stream *stream, int fd, int64_t offset,
                     size_t bytes);
    /** [loop] Since 1.1: ask AIODUCT_HAS. A layer that hands slices on as they come hands its
     * recv_at on; one that does not has none. Nothing if the connector below has none. */
    void (*recv_at)(void *ctx, struct aioduct_stream *stream, void *memory, size_t bytes);
};

/** Can this runtime run here? Inline text, so that nothing is owned and the struct fits through a
 * pipe. */
struct aioduct_probe {
    uint32_t size;    /**< of this struct, as the core knows it */
    int32_t code;     /**< 0 yes; AIODUCT_E_UNAVAILABLE no, for @reason; other negative: broken */
    char reason[192]; /**< "io_uring_setup: EPERM" */
    char hint[192];   /**< "kernel.io_uring_disabled is 2; see sysctl(8)" */
};

/** The one exported object. */
struct aioduct_plugin {
    uint32_t magic;            /**< AIODUCT_PLUGIN_MAGIC */
    uint32_t size;             /**< of this struct, as its maker knows it */
    uint16_t abi_major;        /**< AIODUCT_ABI_MAJOR that it was built with: must be the core's */
    uint16_t abi_minor_built;  /**< AIODUCT_ABI_MINOR that it was built with: for people */
    uint16_t abi_minor_needed; /**< AIODUCT_ABI_NEEDED: the core's must be this at least */
    uint16_t flags;            /**< none defined yet: 0 */
    const char *name; /**< [a-z0-9][a-z0-9_-]{0,31}; the same in the note and in the file's name */
    const char *version; /**< the plugin's own, "1.0.0" */
    const char *vendor;  /**< who made it */
    const char *url;     /**< where more is said; may be "" */
    const char *summary; /**< one line */
    /** Functions of the loop library whose addresses must be the ones that the plugin was
     * linked to; NULL at the end. The last is one that no other library has: it tells where all
     * must come from when the plugin is linked into a program. */
    const char *const *guard_symbols;
    /** [any] Leaves no descriptor, thread, handler or mapping behind. Only alloc, log and option of
     * @host may be used. */
    void (*probe)(const struct aioduct_host *host, struct aioduct_probe *out);
    const void *(*get_interface)(const char *id); /**< static tables; NULL: not offered */
};

/* ------------------------------------------------------------------------------------------
 * Defining a plugin. Last lines of its main file:
 *
 *     AIODUCT_PLUGIN_NOTE(mine, "runtime,poll,connector")
 *     AIODUCT_PLUGIN_EXPORT(mine) = {
 *         AIODUCT_PLUGIN_HEAD(mine), .version = "1.0.0", .probe = probe,
 *         .get_interface = interfaces };
 *
 * Built with AIODUCT_PLUGIN_STATIC the object is called aioduct_plugin_mine and the application
 * registers it; else it is exported as aioduct_plugin_entry_1.
 */

#ifdef __cplusplus
#define AIODUCT_PLUGIN_EXTERN_ extern "C"
#else
#define AIODUCT_PLUGIN_EXTERN_ extern
#endif
/* Raise it only if a newer member is used without asking AIODUCT_HAS. */
#ifndef AIODUCT_ABI_NEEDED
/** The lowest minor of a core that the plugin does with. */
#define AIODUCT_ABI_NEEDED 0
#endif
#define AIODUCT_STR_(x) #x
/** What the macro @x stands for, as a string. */
#define AIODUCT_STR(x) AIODUCT_STR_(x)

/* clang-format off */
/** What can be known of the plugin before any of it runs: an ELF note, section .note.aioduct, owner
 * "aioduct", type "ADCT"; its text is key=value pairs, separated by semicolons. @NAME is a word,
 * @CAPS a string: "runtime,poll,connector". */
#define AIODUCT_PLUGIN_NOTE(NAME, CAPS)                                                           \
    __asm__(".pushsection .note.aioduct,\"a\",%note\n"                                            \
            ".balign 4\n"                                                                         \
            ".long 2f-1f, 4f-3f, 0x54434441\n"                                                    \
            "1: .asciz \"aioduct\"\n"                                                             \
            "2: .balign 4\n"                                                                      \
            "3: .asciz \"abi=" AIODUCT_STR(AIODUCT_ABI_MAJOR) "." AIODUCT_STR(AIODUCT_ABI_MINOR)  \
            ";needs=" AIODUCT_STR(AIODUCT_ABI_NEEDED) ";name=" #NAME ";caps=" CAPS "\"\n"         \
            "4: .balign 4\n"                                                                      \
            ".popsection\n");
/* clang-format on */

/** The object that the core looks for; its initialiser follows. */
#ifdef AIODUCT_PLUGIN_STATIC
#define AIODUCT_PLUGIN_EXPORT(NAME)                                           \
    AIODUCT_PLUGIN_EXTERN_ const struct aioduct_plugin aioduct_plugin_##NAME; \
    const struct aioduct_plugin aioduct_plugin_##NAME
#else
#define AIODUCT_PLUGIN_EXPORT(NAME)                                           \
    AIODUCT_PLUGIN_EXTERN_ const struct aioduct_plugin aioduct_plugin_entry_1 \
        __attribute__((visibility("default")));                               \
    const struct aioduct_plugin aioduct_plugin_entry_1
#endif

/** The fixed head of the descriptor, for use inside its initialiser. */
#define AIODUCT_PLUGIN_HEAD(NAME)                                         \
    .magic = AIODUCT_PLUGIN_MAGIC, .size = sizeof(struct aioduct_plugin), \
    .abi_major = AIODUCT_ABI_MAJOR, .abi_minor_built = AIODUCT_ABI_MINOR, \
    .abi_minor_needed = AIODUCT_ABI_NEEDED, .flags = 0, .name = #NAME

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_PLUGIN_PLUGIN_H */
