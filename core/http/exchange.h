/* SPDX-License-Identifier: MIT */
/**
 * One request under way and its response. An exchange belongs to the loop of its engine; other
 * threads reach it only through the posted operations at the top of the struct.
 *
 * Invariants: it completes exactly once, never inside a call of the user's, and its memory is used
 * again only after on_done has returned and no posted operation is left. Delivered minus released
 * is counted in one place, `held`, against window_bytes.
 *
 * Life: alloc (engine.h) -> start -> waits in the pool -> works on a connection -> complete or fail
 * -> finish (on_done) -> used again.
 */
#ifndef AD_HTTP_EXCHANGE_H
#define AD_HTTP_EXCHANGE_H

#include "base/buf.h"
#include "base/list.h"
#include "http/conn.h"
#include "http/pace.h"
#include "http/request.h"
#include "http/sink.h"
#include "http/upload.h"
#include "proto/h2.h"
#include "runtime/loop.h"

#include <aioduct/exchange.h>
#include <stdatomic.h>

struct ad_conn;
struct ad_engine;
struct ad_kept_trailers;
struct ad_origin;

/* Where an exchange is. */
enum ad_place {
    AD_PLACE_NEW = 0, /* not started: perhaps on its way to the loop */
    AD_PLACE_WAITING, /* queued in the pool for a connection */
    AD_PLACE_CONN,    /* on a connection */
    AD_PLACE_HELD,    /* the response is complete, or broke off, but the caller has paused */
    AD_PLACE_ENDED,   /* the result is known; on_done comes in this turn */
    AD_PLACE_GONE     /* on_done has returned */
};

/* The request's direction. */
enum ad_send_state {
    AD_SEND_IDLE = 0, /* no connection yet */
    AD_SEND_HEAD,     /* the head is to be written */
    AD_SEND_EXPECT,   /* it is; the body waits for a 100 */
    AD_SEND_BODY,     /* body bytes are to be written */
    AD_SEND_WAIT,     /* the body source has nothing now */
    AD_SEND_FLUSH,    /* all written, not all given to the system */
    AD_SEND_SENT,     /* all given to the system */
    AD_SEND_STOPPED   /* sending failed, or the rest is not wanted; the answer may still come */
};

/* The response's direction. */
enum ad_recv_state {
    AD_RECV_IDLE = 0, /* no connection yet */
    AD_RECV_HEAD,     /* the final head is expected */
    AD_RECV_BODY,     /* the head was delivered */
    AD_RECV_END       /* complete, or nothing more will come */
};

/* Operations that are asked for from outside its loop; bits of `ops`. With the last one it is over,
 * and whoever meets the post frees it. */
enum { AD_OP_START = 1, AD_OP_CANCEL = 2, AD_OP_SYNC = 4, AD_OP_READY = 8, AD_OP_GONE = 16 };

/* Its place on an HTTP/2 connection. */
struct ad_h2_slot {
    struct ad_h2_stream stream;
    struct ad_list node;       /* connection's list of exchanges */
    struct ad_list flush_node; /* connection's list of those with output on its way */
    uint64_t given_back;       /* of the stream's window */
    uint64_t ahead;            /* what the window has beyond window_bytes, until the end */
    bool on;                   /* it is there */
    bool complete;             /* raw, and over but for output on its way */
};

/* Told after the user's on_done; the blocking calls wait on one. */
struct ad_completion {
    void (*done)(struct ad_completion *completion, const struct aioduct_error *error);
};

struct aioduct_exchange {
    /* kept when the memory is used again: a deadline that is still in the heap costs nothing */
    struct ad_deadline read_deadline;  /* queue, connect, head, read gap: what the place says */
    struct ad_deadline write_deadline; /* write gap */
    struct ad_deadline total_deadline;
    struct ad_pace_deadlines pace_deadlines;
    struct ad_engine *engine; /* whose loop it belongs to; changes once at most (pass.h) */

    /* shared */
    _Atomic(struct ad_engine *) at; /* the same, for other threads: where posts go */
    struct ad_post post;
    _Atomic unsigned ops; /* not 0: the post is on its way */
    _Atomic bool want_paused;
    _Atomic uint64_t held;     /* delivered with AIODUCT_HOLD and not released */
    _Atomic uint64_t released; /* since the loop was last asked to look at that */

    /* loop; set for each use */
    struct ad_list node;      /* engine's list of outstanding or of ended exchanges */
    struct ad_list wait_node; /* origin's queue */
    struct ad_list kick_node; /* engine's list of those that the caller let go on */
    struct aioduct_request *request;
    struct aioduct_callbacks callbacks;
    void *user;
    struct ad_completion *completion;
    struct ad_list trailers; /* of struct ad_field: said while the body was sent */
    struct ad_h2_slot h2;    /* set by the HTTP/2 connection that takes it */
    struct ad_conn_way way;  /* of the connection that it is on, unless that was kept */

    /* loop; cleared for each use, from here on */
    enum ad_place place;
    enum ad_send_state send;
    enum ad_recv_state recv;
    struct ad_conn *conn;     /* the last connection it was on; referenced */
    struct ad_origin *origin; /* while waiting */
    bool passed;              /* came from another loop */
    bool foreign;             /* allocated outside the loop: freed, not kept */
    bool covered;             /* a dial under way is counted on */
    bool connect_started;     /* the connect deadline runs */
    bool fresh_only;          /* a resend: only on a connection opened at lost_ns or later */
    bool again;               /* a resend: before those that have not had their turn */
    bool h1_only;             /* a resend: refused over HTTP/2 */
    bool written;             /* request bytes may have reached the peer */
    bool written_before;      /* the same, in a sending that was lost */
    bool reused;              /* on a connection that had served before */
    bool kept;                /* on one that may have gone stale: it had served, or was idle */
    bool pull_claimed;        /* has the request's body source */
    bool sink_claimed;        /* and what its answer's body goes to */
    bool sinking;             /* the body does */
    bool raw;                 /* the response's head is over, and HTTP with it: bytes both ways */
    bool peer_ended;          /* of a raw one: the peer has no more bytes, which the caller knows */
    bool no_expect;           /* the server does not know Expect (417) */
    bool misdirected;         /* asked again after a 421 */
    bool truncated_ok;        /* ended without close_notify, which the caller accepts */
    unsigned replays;
    struct ad_upload upload;
    struct ad_pace pace;
    struct ad_push *push;                   /* the body's bytes, if the caller writes them */
    struct ad_buf stash;                    /* body bytes that came while the caller held back */
    struct ad_kept_trailers *kept_trailers; /* those that came behind them */

    uint64_t head_bytes, body_bytes;
    uint64_t body_max;                   /* from the final head on: larger ones are an error */
    uint64_t sent_bytes, received_bytes; /* with framing, counted by the codec */
    uint64_t start_ns, picked_ns, sent_ns, first_byte_ns, head_ns, end_ns;
    uint64_t lost_ns;       /* when its last connection was lost, or of no use */
    uint64_t acquire_by_ns; /* of one that was passed: its deadline where it came from; 0: none */
    uint64_t number;        /* in the log; unique in the engine */
    int status;             /* of the final head; 0: none came */

    int code; /* the result */
    struct aioduct_error *error;
    char *head_copy; /* request head as sent; made when it is asked for */
    uint32_t head_copy_bytes;
};

/* ---- states ---- */
void ad_exchange_set_place(struct aioduct_exchange *ex, enum ad_place place);
void ad_exchange_set_send(struct aioduct_exchange *ex, enum ad_send_state state);
void ad_exchange_set_recv(struct aioduct_exchange *ex, enum ad_recv_state state);
enum aioduct_phase ad_exchange_phase(const struct aioduct_exchange *ex);

/* Fresh memory: what stays over all uses. */
void ad_exchange_init(struct aioduct_exchange *ex);

/* ---- on the loop ---- */

/* Begin: join the pool. Failures come by on_done. */
void ad_exchange_start(struct aioduct_exchange *ex);
/* The response is complete and the connection is rid of it. May call on_done. */
void ad_exchange_complete(struct aioduct_exchange *ex);
/* End with @error (copied); the first result stands. Leaves pool or connection; on_done comes at
 * the end of the turn. */
void ad_exchange_fail(struct aioduct_exchange *ex, const struct aioduct_error *error);
/* The same by an end of the answer that is not its own, when the connection is rid of it: bytes
 * that the caller holds back are delivered first. */
void ad_exchange_break(struct aioduct_exchange *ex, const struct aioduct_error *error);
__attribute__((format(printf, 4, 5))) void ad_exchange_failf(struct aioduct_exchange *ex, int code,
                                                             enum aioduct_phase phase,
                                                             const char *format, ...);
/* The last word: on_done, then the memory. */
void ad_exchange_finish(struct aioduct_exchange *ex);
/* The connection was lost before an answer. Queue it again if that is safe (C22), else fail. The
 * exchange is off the connection already. */
void ad_exchange_lost(struct aioduct_exchange *ex, const struct aioduct_error *error);
/* The server did not process it, and said so (C38, C39): queue it again whatever its method, at
 * most replays_max times, else fail with safe_to_retry. It is off the connection already, which has
 * no room for it or may refuse it again. */
void ad_exchange_refused(struct aioduct_exchange *ex, const struct aioduct_error *error);
/* The connection has no room for it after all, and nothing of it was written: back to the pool. */
void ad_exchange_put_back(struct aioduct_exchange *ex);
/* Refused, and again over HTTP/1.1 and once: the server will not have it over HTTP/2 (C40). */
void ad_exchange_refused_h2(struct aioduct_exchange *ex, const struct aioduct_error *error);

/* Leave the connection in the middle of an answer that is dropped, and queue again; the codec's
 * cancel is called. Needs a body that is replayable. */
void ad_exchange_again(struct aioduct_exchange *ex);
/* Have the codec's credit called at the end of the turn. */
void ad_exchange_kick(struct aioduct_exchange *ex);

/* ---- told by the codec, which looks at the states afterwards (exchange_flow.c) ---- */

/* Does its head say Expect: 100-continue? */
bool ad_exchange_expects(const struct aioduct_exchange *ex);
/* The head is written. The send state becomes FLUSH without a body, BODY, or EXPECT: then credit
 * comes when the body may be written. */
void ad_exchange_head_written(struct aioduct_exchange *ex);
/* Bytes of it were written, and are not with the system yet: the write gap runs. */
void ad_exchange_produced(struct aioduct_exchange *ex);
/* In state BODY: what ad_upload_produce or ad_upload_read has said. The state becomes FLUSH after
 * the last byte, WAIT if there is nothing now: credit comes when there is. */
void ad_exchange_uploaded(struct aioduct_exchange *ex, enum ad_upload_step step);
/* All that was written is with the system. */
void ad_exchange_sent(struct aioduct_exchange *ex);
/* No more of the request can be sent, or is wanted; the answer is read on. */
void ad_exchange_stop_sending(struct aioduct_exchange *ex);
/* The wait for a 100 took too long. */
void ad_exchange_expect_over(struct aioduct_exchange *ex);
/* A 1xx response. */
void ad_exchange_interim(struct aioduct_exchange *ex, const struct aioduct_head *head);
/* The final head. The send state is STOPPED afterwards if the answer refuses the body, and its
 * source has been told; raw may be set, and the state BODY again for what goes out. false: the
 * exchange has left, by the codec's cancel: it ended, or is queued again. */
bool ad_exchange_head(struct aioduct_exchange *ex, const struct aioduct_head *head);
/* In a raw exchange the peer has ended its direction: the caller is told. Is ours over too, so that
 * the exchange is complete? false also if it has ended. */
bool ad_exchange_peer_end(struct aioduct_exchange *ex);
/* Is our direction of a raw exchange over, by the end of its bytes? */
bool ad_exchange_raw_sent(const struct aioduct_exchange *ex);

/* ---- the response body ---- */

/* Deliver one body slice; what the caller cannot take now is stashed. false: the exchange ended. */
bool ad_exchange_body(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count);
/* Deliver what was stashed, as far as the caller takes it. false: the exchange ended. */
bool ad_exchange_unstash(struct aioduct_exchange *ex);
bool ad_exchange_unstash_trailers(struct aioduct_exchange *ex);
/* Trailers, behind what is stashed. */
void ad_exchange_trailers(struct aioduct_exchange *ex, const struct aioduct_head *trailers);
/* Does the caller hold back? */
bool ad_exchange_blocked(const struct aioduct_exchange *ex);
/* Let the read gap run, or not while the caller holds back. */
void ad_exchange_read_timer(struct aioduct_exchange *ex);
/* Arm one of its deadlines @ns from now; 0 clears it. */
void ad_exchange_arm(struct aioduct_exchange *ex, struct ad_deadline *deadline, uint64_t ns);
/* Clear all of them; take them out of the loop, before the memory goes or another loop has it. */
void ad_exchange_deadlines_clear(struct aioduct_exchange *ex);
void ad_exchange_deadlines_remove(struct aioduct_exchange *ex);
/* The request's own, else the client's; 0: none. */
uint64_t ad_exchange_timeout_ns(const struct aioduct_exchange *ex, enum ad_timeout which);

/* ---- the caller's verbs: any thread that may submit, others get AIODUCT_E_THREAD or
 * AIODUCT_E_FORKED ---- */
int ad_exchange_cancel(struct aioduct_exchange *ex);
int ad_exchange_release(struct aioduct_exchange *ex, uint64_t count);
int ad_exchange_pause(struct aioduct_exchange *ex, bool paused);
int ad_exchange_body_ready(struct aioduct_exchange *ex);
int64_t ad_exchange_write(struct aioduct_exchange *ex, const void *bytes, size_t count);
int ad_exchange_write_end(struct aioduct_exchange *ex);
int ad_exchange_trailer_add(struct aioduct_exchange *ex, const char *name, const char *value);
/* Take @ex, which waits in the pool, from its loop and start it on that of @to. False: another
 * thread is asking something of it just now. */
bool ad_exchange_pass(struct aioduct_exchange *ex, struct ad_engine *to);
/* Ask for @op on the loop: done now on the loop's thread, else posted. */
void ad_exchange_ask(struct aioduct_exchange *ex, unsigned op);

/* ---- information (exchange_info.c) ---- */
/* 0 | AIODUCT_E_THREAD (another thread drives its loop) | AIODUCT_E_FORKED */
int ad_exchange_info(struct aioduct_exchange *ex, struct aioduct_exchange_info *info);

/* @after is the field's value; @date that of Date (p NULL: none), so that the server's clock need
 * not be ours. 0 | -EINVAL */
int ad_exchange_retry_after(struct ad_slice after, struct ad_slice date, int64_t now_s,
                            int64_t *out_s);

#endif
