/* SPDX-License-Identifier: MIT */
/**
 * What one loop of a client owns: its pool, its exchanges and connections, and the work that waits
 * for the end of the turn. A client has one engine without workers, else one a worker. Loop thread
 * only, but for the members said to be shared.
 *
 * Life: init -> exchanges come and go -> close -> drained -> fini.
 */
#ifndef AD_HTTP_ENGINE_H
#define AD_HTTP_ENGINE_H

#include "base/list.h"
#include "http/pass.h"
#include "http/pool.h"
#include "http/settings.h"
#include "net/dial.h"
#include "runtime/loop.h"

#include <aioduct/exchange.h>
#include <stdatomic.h>

struct ad_codec;
struct ad_binding;
struct ad_completion;
struct ad_h1_side;
struct ad_h2_scratch;
struct ad_resolver;
struct ad_tls_context;

/* Is its client being drained? */
enum ad_drain {
    AD_DRAIN_NO = 0,
    AD_DRAIN_WAIT, /* what was submitted goes on, no connection stays idle */
    AD_DRAIN_CUT   /* the time is over: exchanges end */
};

/* What other threads ask of a loop; bits of `asked`. */
enum { AD_ASK_CLOSE_IDLE = 1, AD_ASK_DRAIN = 2 };

/* Exchanges, since the client was created: submitted in one place, on_done returned perhaps in
 * another. Each loop has its own, so that no two write the same memory for every request. */
struct ad_tally {
    _Atomic size_t submitted, gone;
};

struct ad_engine {
    /* immutable */
    struct ad_loop *loop;
    const struct ad_settings *settings;
    struct ad_resolver *resolver;
    struct ad_tls_context *tls;
    const struct ad_codec *codec_h2; /* NULL: HTTP/2 is not built in, and not offered */
    const struct ad_binding *binding;
    unsigned loop_count;       /* loops that share the client's limits */
    _Atomic unsigned *waiting; /* the client's count of queued exchanges */
    /* Called when this engine has finished an exchange, or may be drained. */
    void (*progress)(struct ad_engine *engine);
    void *owner;

    struct ad_tally tally; /* written by the loop, and by threads that have none */
    struct ad_pass pass;   /* what other loops know of this one */
    struct ad_stats stats; /* written by the loop, read by any thread */
    struct ad_post ask_post;
    _Atomic unsigned asked; /* not 0: the post is on its way */

    /* loop */
    struct ad_pool pool;
    struct ad_dial_history dial_history;
    struct ad_list outstanding_list, ended, kicked;
    struct ad_list answered; /* over HTTP/2, by h2.node: told when the codec has read on */
    struct ad_list conns; /* all that are not closed, but for the idle ones, which the pool has */
    size_t conn_count, closing_count;
    struct ad_turn_hook hook;
    const struct ad_conn_way *way;  /* of the connection that opens just now; else NULL */
    struct ad_turn_hook quiet;      /* of the loop */
    struct aioduct_exchange *spare; /* exchanges for reuse */
    unsigned spare_count;
    struct ad_h1_side *spare_h1[64]; /* an idle connection has none */
    unsigned spare_h1_count;
    struct ad_h2_scratch *h2_scratch;     /* made with the first HTTP/2 connection */
    uint64_t h2_ahead;                    /* what windows of streams have beyond window_bytes */
    struct aioduct_request *last_request; /* only compared: it may be gone */
    struct aioduct_request *kept_request; /* came twice in a row; with kept_refs references */
    unsigned kept_refs;
    enum ad_drain drain;
    struct ad_deadline drain_deadline;
    bool closing, in_callback;
    bool in_event;           /* on_event is on the stack: what it asks for is posted */
    uint64_t exchange_count; /* started so far: the number of the next in the log */
};

/* The immutable members are set by the caller before. */
void ad_engine_init(struct ad_engine *engine);
/* End everything: exchanges complete with AIODUCT_E_CLIENT_CLOSED, connections close. Returns at
 * once. */
void ad_engine_close(struct ad_engine *engine);
/* After close: is nothing left that the loop could still touch? */
bool ad_engine_drained(const struct ad_engine *engine);
void ad_engine_fini(struct ad_engine *engine); /* drained */

/* ---- letting go (drain.c) ---- */
void ad_drain_init(struct ad_engine *engine);
void ad_drain_fini(struct ad_engine *engine);
/* End @ex: the time is over. */
void ad_drain_fail(struct aioduct_exchange *ex);

/* There is work for the end of this turn. */
void ad_engine_kick(struct ad_engine *engine);

/* ---- exchanges ---- */

/* The reference that an exchange of this loop has. Loops that send one request again and again take
 * many at a time, so that its count is not written by all of them for each. */
void ad_engine_request_ref(struct ad_engine *engine, struct aioduct_request *request);
void ad_engine_request_unref(struct ad_engine *engine, struct aioduct_request *request);
/* [any] with @foreign, else the loop. NULL: out of memory. */
struct aioduct_exchange *ad_engine_exchange_get(struct ad_engine *engine, bool foreign);
void ad_engine_exchange_put(struct aioduct_exchange *ex);
/* It leaves the loop's thread: nothing of it stays in the loop's books. */
void ad_engine_exchange_detach(struct aioduct_exchange *ex);
void ad_engine_exchange_free(struct aioduct_exchange *ex); /* [any] detached */

#endif
