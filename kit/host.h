/* SPDX-License-Identifier: MIT */
/**
 * host.h - a debug host: what the core is to a plugin, but suspicious.
 *
 * A rig is one instance of the runtime and its connector under a host table of its own. Every call
 * into the plugin goes through a ct_ function of this header, and every callback is checked against
 * the contract: the right thread, inside block_on or turn, never inside another call or callback,
 * one clock value a turn, one completion for each accepted operation, nothing after the end. What
 * breaks a rule is noted (never asserted: a callback must return) and fails the case at the next
 * ct_check, with the last events before it.
 *
 * Objects belong to the rig and live until it closes; the plugin's half of them is a guarded block.
 */
#ifndef CT_HOST_H
#define CT_HOST_H

#include "block.h"
#include "subject.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct ct_rig;

struct ct_task {
    uint32_t magic;
    struct ct_rig *rig;
    struct ct_task *next;
    int (*run)(struct ct_task *task); /* as task_run: 1 ready, 0 pending */
    void *user;
    void *state;
    bool free_when_ready; /* the state goes at the callback that follows */
    bool own;             /* the rig's, not the case's */
    atomic_uint runs;
    atomic_bool ready;
    atomic_bool running;
};

struct ct_timer {
    uint32_t magic;
    struct ct_rig *rig;
    struct ct_timer *next;
    void (*fired)(struct ct_timer *timer); /* may be NULL */
    void *user;
    void *state;
    bool armed;
    bool own; /* the rig's, not the case's */
    uint64_t deadline_ns;
    unsigned fires;
    uint64_t order; /* the rig's sequence number when it fired last */
};

/* What is known of the operations of one kind. */
struct ct_op {
    bool in_flight;
    unsigned accepted, completed;
    int code;       /* of the last completion */
    size_t asked;   /* bytes of the send in flight, or of the last one */
    size_t bytes;   /* of the last completion */
    bool of_file;   /* a send_file: a part of what was asked for is no less good */
    uint64_t order; /* the rig's sequence number at the last completion */
};

struct ct_stream {
    uint32_t magic;
    struct ct_rig *rig;
    struct ct_stream *next;
    void *state;
    void *user;
    struct ct_lower *lower; /* under a layer's stream, else NULL */
    struct ct_op connect, recv, send, shutdown;
    bool dialled; /* connect answered PENDING */
    bool connected, ended, closing, closed;
    bool keep_state; /* at on_closed, for ct_stream_new_on */

    uint64_t seed;     /* not 0: what arrives must be this pattern */
    uint64_t received; /* bytes in all */
    uint8_t *place;    /* where the next slice may lie; NULL: none was named */
    size_t place_bytes;
    unsigned slices;
    uint64_t taken;      /* bytes that sends took, by DONE and by completion */
    uint64_t data_order; /* sequence number of the last slice */

    void (*on_data)(struct ct_stream *stream, const void *slice, size_t bytes);
    void (*on_done)(struct ct_stream *stream, int op, int code, size_t bytes);
    void (*on_closed)(struct ct_stream *stream);
};

struct ct_event {
    const char *what;
    const void *object;
    int op, code;
    size_t bytes;
};

enum { CT_EVENTS = 32, CT_VIOLATIONS = 8, CT_TEXT = 240 };

struct ct_rig {
    struct aioduct_host host;
    const struct aioduct_host *given; /* what open gets: &host, unless a case sets another */
    const struct ct_subject *subject;
    void *rt, *cx, *base;
    struct aioduct_lower_events lower_events; /* of a layer that has attached itself */
    struct ct_task *lower_task;               /* makes a turn for what is put off to its end */
    unsigned in_lower;                        /* events of streams below that run */
    bool is_open, setup;
    int polled_fd; /* what poll_fd answered; 0: not asked yet */
    bool muted;    /* the case is over: hooks of the case are not called any more */

    /* Who drives: the thread, whether it is inside block_on or turn, and the callback that runs. */
    atomic_ulong driver;
    unsigned long opener;
    bool driving;
    const char *callback;

    uint64_t sequence; /* callbacks so far */
    uint64_t turns;    /* turn_ends so far */
    uint64_t turn_now, last_now;
    bool last_was_turn_end;
    void (*turn_end)(struct ct_rig *rig);
    void *user;

    /* ct_until */
    bool (*until)(void *arg);
    void *until_arg;
    struct ct_task *until_root;
    bool late;

    const char *(*option)(const char *key);
    atomic_int errors;
    int error_code;
    char error_text[CT_TEXT];

    atomic_long live_blocks, live_bytes, allocs;
    atomic_long fail_in; /* the allocation that fails: 1 is the next; 0 none */

    struct ct_task *tasks;
    struct ct_timer *timers;
    struct ct_stream *streams;
    struct ct_graveyard graves;
    struct ct_task *doomed; /* its state goes before the next callback */

    pthread_mutex_t lock; /* of what follows, and of error_text */
    struct ct_event events[CT_EVENTS];
    unsigned event_count;
    char violations[CT_VIOLATIONS][CT_TEXT];
    unsigned violation_count;
};

/* ---- a rig ---- */

/* Fill in @rig and its host table; nothing is opened. */
void ct_rig_init(struct ct_rig *rig);
/* Runtime, then connector, by the plugin's open. -> 0 or what an open answered; then all is undone
 */
int ct_rig_open(struct ct_rig *rig);
/* As ct_rig_open with a loop to adopt. */
int ct_rig_open_on(struct ct_rig *rig, const struct aioduct_foreign *foreign);
/* Close what is open: streams, timers, connector, runtime, and check that nothing is left. */
void ct_rig_close(struct ct_rig *rig);
/* Fail the running case if a rule was broken. */
void ct_check(struct ct_rig *rig);
/* Note a broken rule. */
void ct_violation(struct ct_rig *rig, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* For use in callbacks, where a failing assertion would jump over the plugin's frames. */
#define CT_EXPECT(rig, condition)                                                     \
    do {                                                                              \
        if (!(condition)) {                                                           \
            ct_violation((rig), "%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
        }                                                                             \
    } while (0)

/* ---- driving ---- */

int ct_block_on(struct ct_rig *rig, struct ct_task *root);
int ct_turn(struct ct_rig *rig, int64_t timeout_ns);
/* Run the loop until @done, which is asked at the end of every turn. @what is said when it does
 * not come. The loop is run by block_on, or by poll(2) and turn(0) if the case runs
 * by poll_fd. */
void ct_until(struct ct_rig *rig, bool (*done)(void *arg), void *arg, const char *what);
#define CT_UNTIL(rig, done, arg) ct_until((rig), (done), (arg), #done)
/* The descriptor to poll, asked for once, as an application does; negative: there is none. */
int ct_poll_fd(struct ct_rig *rig);
/* Run the loop for this long: what must not happen has had its chance. */
void ct_run_for(struct ct_rig *rig, unsigned milliseconds);
bool ct_drives_by_poll(void);
uint64_t ct_now(struct ct_rig *rig);

/* ---- tasks ---- */

struct ct_task *ct_task_new(struct ct_rig *rig, int (*run)(struct ct_task *task), void *user);
int ct_spawn(struct ct_task *task);
void ct_wake(struct ct_task *task); /* any thread */
/* The state of a ready, or never spawned, task goes; it may be spawned again afterwards. */
void ct_task_renew(struct ct_task *task);

/* ---- timers ---- */

struct ct_timer *ct_timer_new(struct ct_rig *rig, void (*fired)(struct ct_timer *timer),
                              void *user);
int ct_sleep(struct ct_timer *timer, uint64_t deadline_ns);
void ct_sleep_cancel(struct ct_timer *timer);
/* The state of a timer that is not armed goes, and it gets a new one. */
void ct_timer_renew(struct ct_timer *timer);

/* ---- streams ---- */

struct ct_stream *ct_stream_new(struct ct_rig *rig);
/* On the state that a closed stream kept, zeroed again: the memory of the one is the other's. */
struct ct_stream *ct_stream_new_on(struct ct_rig *rig, struct ct_stream *old);
int ct_connect(struct ct_stream *stream, const struct aioduct_socket_config *config);
int ct_recv_start(struct ct_stream *stream);
void ct_recv_stop(struct ct_stream *stream);
/* A connector without it: the case is skipped. */
void ct_recv_at(struct ct_stream *stream, void *memory, size_t bytes);
int ct_send(struct ct_stream *stream, const struct iovec *pieces, unsigned count);
/* A connector without it: the case is skipped. */
int ct_send_file(struct ct_stream *stream, int fd, int64_t offset, size_t bytes);
int ct_send_bytes(struct ct_stream *stream, const void *bytes, size_t count);
int ct_shutdown(struct ct_stream *stream);
void ct_cancel(struct ct_stream *stream, unsigned ops);
void ct_stream_close(struct ct_stream *stream);
int ct_stream_info(struct ct_stream *stream, struct aioduct_stream_info *info);

/* ---- between host.c, calls.c and lower.c ---- */

/* What this thread is calling; a callback meanwhile breaks the first rule. */
extern _Thread_local const char *ct_in_call;
struct ct_op *ct_stream_op(struct ct_stream *stream, int op);
enum {
    CT_TASK_MAGIC = 0x7461736b,
    CT_TIMER_MAGIC = 0x74696d65,
    CT_STREAM_MAGIC = 0x73747265,
    CT_LOWER_MAGIC = 0x6c6f7765
};

/* What a layer gets: aioduct.host.lower/1. NULL: the connector is not a layer. */
const struct aioduct_host_lower *ct_lower_table(struct ct_rig *rig);
void ct_lower_init(struct ct_stream *stream);
/* The memory of the stream below goes. -> false if somebody wrote beside it */
bool ct_lower_fini(struct ct_stream *stream);
/* -> the stream below that @opaque is, or NULL: it is one of the layer's own */
struct ct_lower *ct_lower_of(struct aioduct_stream *opaque);
void ct_lower_on_data(struct ct_lower *lower, const void *slice, size_t bytes);
void ct_lower_on_done(struct ct_lower *lower, int op, int code, size_t bytes);
void ct_lower_on_closed(struct ct_lower *lower);
/* The end of a turn: what was put off until then. */
void ct_lower_turn_end(struct ct_rig *rig);

#endif
