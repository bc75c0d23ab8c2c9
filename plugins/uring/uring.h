/* SPDX-License-Identifier: MIT */
/**
 * The io_uring runtime: one ring, one thread, operations that complete.
 *
 * Everything here belongs to the thread that opened the instance, but for the run queue and the
 * eventfd. Streams say what they want in bits (`todo`, `report`) and stand in a list;
 * `ad_uring_flush` turns the wishes of a turn into submissions just before the wait, so that one
 * io_uring_enter serves them all, and a full submission queue loses nothing: what found no place
 * stays in the list.
 *
 * An operation's user_data is the address of its stream or instance with the kind in the low four
 * bits. A stream's memory outlives every completion that can name it (`refs`), so no late
 * completion finds a stranger.
 *
 * In a ring of the application (adopted.c) user_data has a tag in its upper bits as well, and
 * nothing is put on the ring but when the application asks for it.
 */
#ifndef AD_URING_URING_H
#define AD_URING_URING_H

#include <aioduct/plugin/plugin.h>
#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "socket/socket.h"
#include "tasks/tasks.h"
#include "tasks/timers.h"

struct ad_uring;
struct ad_uring_stream;

/* ---- options.c ---- */

/* Parts of io_uring that the instance is to do without (option "without"). */
enum {
    AD_URING_NO_MULTISHOT = 1,
    AD_URING_NO_RUN_LIMIT = 2,
    AD_URING_NO_DEFER = 4,
    AD_URING_NO_COOP = 8,
    AD_URING_NO_BUFFER_RING = 16
};

struct ad_uring_options {
    unsigned entries, buffers, buffer_bytes;
    unsigned without;
};

/* -> 0 | -EINVAL; the host was told which value is wrong */
int ad_uring_options_read(const struct aioduct_host *host, struct ad_uring_options *out);
/* Tell the host why; returns @code. */
int ad_uring_fail(const struct aioduct_host *host, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- lists: circular, with a head ---- */

struct ad_uring_link {
    struct ad_uring_link *prev, *next; /* NULL: in no list */
};

static inline void ad_uring_list_init(struct ad_uring_link *head)
{
    head->prev = head->next = head;
}

static inline bool ad_uring_list_empty(const struct ad_uring_link *head)
{
    return head->next == head;
}

static inline void ad_uring_list_append(struct ad_uring_link *head, struct ad_uring_link *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void ad_uring_list_remove(struct ad_uring_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
}

#define AD_URING_CONTAINER(link, type, member) \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* ---- ring.c: set-up, fallbacks, submission, the wait ---- */

/* Does @ring have what we need? -> 0 | AIODUCT_E_UNAVAILABLE; @why says it in words */
int ad_uring_ring_ask(struct io_uring *ring, struct aioduct_probe *why);
/* Set up a ring with the best flags that the kernel takes, ask what it can do, send a NOP there and
 * back. -> 0 | AIODUCT_E_UNAVAILABLE; @why says it in words, and nothing is left open */
int ad_uring_ring_open(struct io_uring *ring, const struct ad_uring_options *options,
                       struct aioduct_probe *why);
/* Submit, then wait for a completion at most @timeout_ns (0: only fetch what is ready; negative: no
 * limit). -> 0, also when the time passed | -EINTR | -errno */
int ad_uring_ring_wait(struct io_uring *ring, int64_t timeout_ns);
/* Does the next turn find something on the ring? */
bool ad_uring_ring_busy(const struct io_uring *ring);
/* A submission entry; NULL while the queue is full and the kernel takes nothing more. */
struct io_uring_sqe *ad_uring_ring_sqe(struct io_uring *ring);

/* ---- probe.c ---- */

void ad_uring_probe(const struct aioduct_host *host, struct aioduct_probe *out);
/* Put into words that @call answered @code (negative), and what helps. -> AIODUCT_E_UNAVAILABLE */
int ad_uring_explain(struct aioduct_probe *why, const char *call, int code);
int ad_uring_explain_lack(struct aioduct_probe *why, const char *missing);

/* ---- buffers.c: the receive buffers that the kernel picks from, and the loop's own ---- */

/* An adopted ring may have groups of the application: the first of these that is free. */
#define AD_URING_BUFFER_GROUP 0
#define AD_URING_FOREIGN_GROUP 0xadc0
#define AD_URING_FOREIGN_GROUPS 64
/* More gains nothing; memory that no read has reached is not there. */
#define AD_URING_BULK_BYTES 524288

struct ad_uring_buffers {
    struct io_uring_buf_ring *ring; /* NULL: handed over one by one, by submissions */
    uint8_t *memory;
    uint8_t *bulk;     /* what flows in bulk are read into, one after the other */
    uint16_t *waiting; /* without a ring: buffers that are to be handed over, so many: */
    unsigned waiting_count;
    unsigned active; /* the kernel has, or had, the buffers below this; the rest is untouched */
    unsigned calm_rounds; /* of the last active buffer since a receive found too few */
    unsigned count, bytes;
    uint16_t group;
};

int ad_uring_buffers_open(struct ad_uring *u);
void ad_uring_buffers_close(struct ad_uring *u); /* the ring is gone already, or adopted */
/* In a child after fork: hand all over to the new ring. */
int ad_uring_buffers_reopen(struct ad_uring *u);
/* A receive found too few: hand over one more, if there is one. */
void ad_uring_buffers_grow(struct ad_uring_buffers *b);
void ad_uring_buffer_return(struct ad_uring_buffers *b, uint16_t id);
/* Pass the @bytes in buffer @id to the core if @s still wants them; give the buffer back. */
void ad_uring_buffer_deliver(struct ad_uring *u, struct ad_uring_stream *s, uint16_t id,
                             size_t bytes);
/* Without a buffer ring: hand over what waits for it. -> false: the submission queue is full */
bool ad_uring_buffers_flush(struct ad_uring *u);
void ad_uring_buffers_provided(struct ad_uring_buffers *b, uint64_t user_data, int result);

/* ---- streams: stream.c, recv.c, send.c, file.c ---- */

/* Kinds of completion: the low bits of user_data. */
enum ad_uring_kind {
    AD_URING_NOTHING, /* of nobody: says nothing */
    AD_URING_PROVIDE, /* of buffers: see buffers.c */
    AD_URING_WAKE,    /* of the instance: the eventfd was written */
    AD_URING_TICK,    /* of the instance: the kernel's timer for who polls the descriptor */
    AD_URING_CONNECT, /* the rest are of a stream */
    AD_URING_RECV,
    AD_URING_SEND,
    AD_URING_CLOSE,
    AD_URING_CANCEL_CONNECT,
    AD_URING_CANCEL_RECV,
    AD_URING_CANCEL_SEND,
    AD_URING_KIND_MASK = 15
};

/* Bits of todo and report beside AIODUCT_OP_*. */
#define AD_URING_OP_CLOSE 16u                       /* close the descriptor; report on_closed */
#define AD_URING_CANCEL(op) ((uint16_t)((op) << 8)) /* end an operation that is on the ring */

/* A send of more than one piece. */
struct ad_uring_gather {
    struct msghdr message; /* its msg_iov: what is left to send */
    size_t left;           /* so many pieces; the message has as many as it may */
    struct iovec iov[];
};

/* A piece of a file. */
struct ad_uring_piece {
    int64_t offset;
    union {
        int fd;   /* while it waits */
        int code; /* when it is over */
    };
    uint32_t bytes;
};

/* What a stream sends. */
enum ad_uring_sends {
    AD_URING_SENDS_ONE,    /* a piece of memory, or nothing */
    AD_URING_SENDS_GATHER, /* more of them */
    AD_URING_SENDS_FILE,   /* a piece of a file, which waits for room */
    AD_URING_SENDS_OVER    /* a piece of a file that is over: the core is yet to be told */
};

struct ad_uring_stream {
    struct ad_uring *u; /* NULL: connect was never called */
    struct aioduct_stream *core;
    struct ad_uring_link wishes;  /* in u->wishes while todo is not 0 */
    struct ad_uring_link reports; /* in u->reports while report is not 0 */
    int fd;
    uint16_t pending;    /* AIODUCT_OP_*: accepted, on_done not yet called */
    uint16_t on_ring;    /* AIODUCT_OP_*: submitted, the last completion is to come */
    uint16_t cancelled;  /* AIODUCT_OP_*: pending, and asked to end */
    uint16_t todo;       /* to be put on the ring */
    uint16_t report;     /* to be reported without the ring */
    uint16_t refs;       /* submissions whose last completion is to come, cancels too */
    uint16_t generation; /* of the ring that refs are about */
    bool connected : 1, closing : 1;
    bool gone : 1;  /* the ring was told to close the descriptor: its number may be another's */
    bool ended : 1; /* shutdown was called: no more sends */
    bool early_data : 1;      /* fast open was asked for and nothing was sent yet */
    bool recv_held : 1;       /* wanted, but must wait for the first send (fast open) */
    bool filled : 1;          /* the receive has filled a buffer at least once */
    bool short_of_room : 1;   /* the last piece of a file went in part: the next has to wait */
    bool bulk : 1;            /* the receive on the ring only waits for bytes; see recv.c */
    bool brought : 1;         /* a receive has brought something, and there may be more */
    uint8_t sends : 2;        /* enum ad_uring_sends */
    uint8_t recv_without : 2; /* what the receive on the ring was prepared without */
    uint32_t slot;            /* number in an adopted ring; 0: none */
    int shutdown_code;
    uint32_t place; /* number in the loop's places; 0: none */
    union {
        struct ad_socket_addr *address; /* until connected; the ring reads it */
        struct {                        /* after */
            union {                     /* what is left to send */
                struct iovec one;
                struct ad_uring_gather *gather;
                struct ad_uring_piece piece;
            };
            size_t sent;
        };
    };
};

/* Where a caller wants what a stream receives next in bulk. Few have one at a time, so a stream has
 * its number only; who finds all taken does without. */
#define AD_URING_PLACES 32
struct ad_uring_place {
    void *memory; /* NULL: free */
    size_t bytes;
};

struct ad_uring_connector {
    struct ad_uring *u;
};

int ad_uring_connect(void *cx, struct aioduct_stream *core, void *state,
                     const struct aioduct_socket_config *config);
int ad_uring_recv_start(void *state);
void ad_uring_recv_stop(void *state);
void ad_uring_recv_at(void *state, void *memory, size_t bytes);
int ad_uring_send(void *state, const struct iovec *pieces, unsigned count);
int ad_uring_send_file(void *state, int fd, int64_t offset, size_t bytes);
int ad_uring_shutdown(void *state);
void ad_uring_cancel(void *state, unsigned ops);
void ad_uring_stream_close(void *state);
int ad_uring_stream_info(void *state, struct aioduct_stream_info *info);

/* Wish for a submission, or for a report without one. */
void ad_uring_stream_wish(struct ad_uring_stream *s, unsigned bits);
void ad_uring_stream_report(struct ad_uring_stream *s, unsigned bits);
void ad_uring_stream_unreport(struct ad_uring_stream *s, unsigned bits);
/* End @op: tell the core. The stream lives on, whatever the core does in there. */
void ad_uring_stream_done(struct ad_uring_stream *s, int op, int code, size_t bytes);
/* Take a step towards on_closed if nothing is left to wait for. Last use of @s in a handler. */
void ad_uring_stream_settle(struct ad_uring_stream *s);
/* A completion of the kernel for @s. */
/* Whose completion is it? NULL: of a stream that was cut off from its ring. */
struct ad_uring_stream *ad_uring_stream_of(const struct ad_uring *u, uint64_t user_data);
void ad_uring_stream_complete(struct ad_uring_stream *s, enum ad_uring_kind kind, int result,
                              unsigned flags);
/* Put everything that streams wish for on the ring. -> false: the queue is full */
bool ad_uring_streams_flush(struct ad_uring *u);
/* A send that was wished for was made without the ring: what came of it. */
void ad_uring_stream_sent(struct ad_uring_stream *s, int result);
/* The ring will not tell of @s any more: what is in flight is over, and it may close at once. */
void ad_uring_stream_cut(struct ad_uring_stream *s);
/* Deliver the reports that stand now. */
void ad_uring_streams_report(struct ad_uring *u);

void ad_uring_recv_prepare(struct ad_uring_stream *s, struct io_uring_sqe *sqe);
void ad_uring_recv_complete(struct ad_uring_stream *s, int result, unsigned flags);
/* May a send begin? -> 0 or negative */
int ad_uring_send_allowed(const struct ad_uring_stream *s);
/* What is left to send now. */
struct msghdr ad_uring_send_message(struct ad_uring_stream *s);
void ad_uring_send_prepare(struct ad_uring_stream *s, struct io_uring_sqe *sqe);
void ad_uring_send_complete(struct ad_uring_stream *s, int result);
/* The pending send has ended, with @code but if it is a piece of a file that is over: free what it
 * holds and tell the core. */
void ad_uring_send_done(struct ad_uring_stream *s, int code);
/* The ring waited for room for a piece of a file. */
void ad_uring_file_complete(struct ad_uring_stream *s, int result);
/* A piece is over: tell the core now. */
void ad_uring_file_tell(struct ad_uring_stream *s);

/* ---- instance.c, loop.c: the runtime ---- */

struct ad_uring {
    struct ad_tasks tasks; /* shared with other threads, by its own rules */
    int wake_fd;           /* eventfd that the ring reads; other threads write to it */
    atomic_int ready_fd;   /* eventfd that the application polls; -1: it does not; set once */

    const struct aioduct_host *host; /* immutable from here on */
    pthread_t owner;

    struct io_uring *ring; /* the owner's from here on; `own`, or the application's */
    struct io_uring own;
    uint64_t tag;                   /* upper bits of every user_data; 0: the ring is our own */
    struct ad_uring_stream **slots; /* adopted: streams by number, from 1 */
    uint32_t slot_count, slot_used, slot_hint;
    uint16_t generation;             /* counts the rings: a child after fork has another */
    struct ad_uring_options options; /* `without` grows if the kernel turns out to lack something */
    struct ad_uring_buffers buffers;
    struct ad_uring_place places[AD_URING_PLACES];
    struct ad_timers timers;
    struct ad_uring_link wishes;  /* streams with something to put on the ring */
    struct ad_uring_link reports; /* streams with something to report */
    uint64_t now_ns;              /* during a turn */
    uint64_t wake_count;          /* where the kernel puts what it read from the eventfd */
    uint64_t tick_ns;             /* when the kernel's timer fires, while tick_armed */
    struct __kernel_timespec tick;
    bool wake_armed;     /* the eventfd's read is on the ring */
    bool tick_armed;     /* a kernel timer is on the ring; only with ready_fd */
    bool multishot_seen; /* this kernel does have multishot receives */
};

/* Nothing is received any more at the place that was named. */
static inline void ad_uring_recv_displace(struct ad_uring_stream *s)
{
    if (s->place != 0) {
        s->u->places[s->place - 1].memory = NULL;
        s->place = 0;
    }
}

int ad_uring_open(void *rt, const struct aioduct_host *host, const struct aioduct_foreign *foreign);
void ad_uring_close(void *rt);

int ad_uring_after_fork_child(void *rt);

int ad_uring_block_on(void *rt, struct aioduct_task *root, void *root_state);
int ad_uring_turn(void *rt, int64_t timeout_ns);
int ad_uring_poll_fd(void *rt);
void ad_uring_wake(void *rt, struct aioduct_task *task, void *task_state);
uint64_t ad_uring_now_ns(void *rt);
int ad_uring_spawn_local(void *rt, struct aioduct_task *task, void *task_state);
int ad_uring_sleep(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns);
void ad_uring_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state);

/* ---- inside the runtime ---- */

uint64_t ad_uring_clock_ns(void);
uint64_t ad_uring_tag(const struct ad_uring *u, enum ad_uring_kind kind);
uint64_t ad_uring_stream_tag(const struct ad_uring_stream *s, enum ad_uring_kind kind);

/* Put what is wished for on the ring. -> false: the queue is full */
bool ad_uring_flush(struct ad_uring *u);
/* Keep one kernel timer at the earliest deadline. */
void ad_uring_arm_tick(struct ad_uring *u);
/* Is there work that needs no completion? Else a later arrival asks for a signal. */
bool ad_uring_has_work(struct ad_uring *u);
void ad_uring_complete(struct ad_uring *u, uint64_t user_data, int result, unsigned flags);
/* What a turn runs after its completions. */
void ad_uring_finish_turn(struct ad_uring *u);
int ad_uring_enter(struct ad_uring *u); /* 0 | AIODUCT_E_NESTED | AIODUCT_E_THREAD */
void ad_uring_signal_fd(int fd);

/* ---- adopted.c: in a ring of the application ---- */

extern const struct aioduct_runtime_foreign ad_uring_foreign_table;
/* Check @foreign and take its ring. -> 0 or negative, and the host was told why */
int ad_uring_adopt(struct ad_uring *u, const struct aioduct_foreign *foreign);
/* Take out of the ring what no stream put there. */
void ad_uring_adopted_close(struct ad_uring *u);
/* A number for @s. -> 0 or -ENOMEM. Nothing in a ring of our own. */
int ad_uring_slot_get(struct ad_uring *u, struct ad_uring_stream *s);
void ad_uring_slot_put(struct ad_uring_stream *s);

/* Something was wished for. In a turn the wait that comes sees to it; between turns, with a polled
 * descriptor, nobody would: it is submitted at once. */
void ad_uring_touch(struct ad_uring *u);

#endif
