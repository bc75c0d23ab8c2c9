/* SPDX-License-Identifier: MIT */
/**
 * One loop: an instance of a runtime, its connector, and what the core keeps for one thread beside
 * them. Everything above this room reaches the runtime only through these functions, so nothing
 * above knows which runtime it is.
 *
 * Life: create -> block_on / turn -> ... -> destroy. Unless said otherwise a function is for the
 * loop's thread.
 */
#ifndef AD_RUNTIME_LOOP_H
#define AD_RUNTIME_LOOP_H

#include "base/buf.h"
#include "base/list.h"

#include <aioduct/error.h>
#include <stdbool.h>
#include <stdint.h>

struct ad_chain;
struct ad_config;
struct ad_loop;
struct aioduct_foreign;
struct ad_plugin;
struct ad_task;

/**
 * Open an instance of @plugin. With a local runtime the calling thread owns it for life; with a
 * poll runtime whoever is inside block_on or turn does. Returns: 0 | -ENOMEM |
 * AIODUCT_E_UNAVAILABLE | other negative of the plugin; @error says why
 */
int ad_loop_create(const struct ad_plugin *plugin, const struct ad_config *config,
                   struct ad_loop **out, struct aioduct_error *error);

struct ad_loop_params {
    const struct ad_plugin *plugin;
    const struct ad_config *config; /* NULL: none */
    const struct ad_chain *chain;   /* connectors beside the runtime's own; NULL: none */
    /* The application's loop, to live in; NULL: one of its own. Then the loop is called back
     * whenever that runs; each callback claims it for the thread that the application runs on,
     * which from then on is its own: between callbacks block_on, turn, settle and destroy are
     * AIODUCT_E_THREAD to any other. */
    const struct aioduct_foreign *foreign;
};
int ad_loop_open(const struct ad_loop_params *params, struct ad_loop **out,
                 struct aioduct_error *error);
bool ad_loop_is_adopted(const struct ad_loop *loop); /* [any] */
/* Adopted: a turn in which the application's loop does not run. Results as block_on. */
int ad_loop_settle(struct ad_loop *loop);
/* Adopted, inside a callback: call @gone before the application's loop goes on, when nothing of
 * this one is on the stack; it may destroy the loop. */
void ad_loop_leave_then(struct ad_loop *loop, void (*gone)(void *arg), void *arg);
/* Adopted, in a child after fork: take it out of the child's copy of the application's loop. The
 * loop's memory stays. */
void ad_loop_abandon(struct ad_loop *loop);
/* Adopted rings: see aioduct_runtime_foreign. 1, 0 or negative. */
int ad_loop_complete(struct ad_loop *loop, uint64_t user_data, int32_t result, uint32_t flags);
int ad_loop_prepare(struct ad_loop *loop);

/* Every stream must be closed, every task ready. Posts still queued are run first. */
void ad_loop_destroy(struct ad_loop *loop);

/* Run until @root is ready. -> 0 | AIODUCT_E_NESTED | AIODUCT_E_THREAD | AIODUCT_E_FORKED | -errno
 */
int ad_loop_block_on(struct ad_loop *loop, struct ad_task *root);
/* One turn; @timeout_ns 0 does not wait, negative waits as long as it takes. Results as block_on,
 * or UNSUPPORTED. */
int ad_loop_turn(struct ad_loop *loop, int64_t timeout_ns);
int ad_loop_poll_fd(struct ad_loop *loop); /* descriptor, or AIODUCT_E_UNSUPPORTED */

/**
 * Make the calling thread the one that drives @loop, around calls made outside block_on and turn
 * (both claim by themselves). Claims nest in one thread. -> 0 | AIODUCT_E_THREAD (another thread
 * drives or owns it) | AIODUCT_E_FORKED
 */
int ad_loop_claim(struct ad_loop *loop); /* [any] */
void ad_loop_unclaim(struct ad_loop *loop);

/* Text of the plugin's last host->error on this loop, for the call that has just failed; "" if it
 * said nothing. */
const char *ad_loop_plugin_error(const struct ad_loop *loop);
void ad_loop_plugin_error_clear(struct ad_loop *loop);

bool ad_loop_is_current(const struct ad_loop *loop); /* [any] does the calling thread drive it? */
/* May the calling thread use it now? 0 | AIODUCT_E_THREAD (another thread drives or owns it) |
 * AIODUCT_E_FORKED */
int ad_loop_check_thread(const struct ad_loop *loop); /* [any] */
bool ad_loop_in_turn(const struct ad_loop *loop);     /* inside a callback of this loop */
/* Another number in a child of fork. [any] */
unsigned ad_runtime_fork_generation(void);
/* Monotonic; one value a turn; read anew outside turns. */
uint64_t ad_loop_now_ns(struct ad_loop *loop);
const struct ad_plugin *ad_loop_plugin(const struct ad_loop *loop); /* [any] */
/* Do its connectors take a host by its name, without an address? [any] */
bool ad_loop_dials_by_name(const struct ad_loop *loop);

/* ---- tasks: the executor, which alone knows whether a runtime has spawn_send or spawn_local ----
 */

typedef int (*ad_task_fn)(struct ad_task *task, void *user); /* 1: ready, 0: pending */

int ad_task_create(struct ad_loop *loop, ad_task_fn run, void *user,
                   struct ad_task **out); /* [any] */
/* Hand to the runtime; [any] on a poll runtime, loop thread on a local one. A root for block_on is
 * not spawned. */
int ad_task_spawn(struct ad_task *task);
void ad_task_wake(struct ad_task *task); /* [any] */
/* Ready, never spawned, or its loop gone. A task that is ready may be used as a root again after
 * ad_task_reset. */
void ad_task_destroy(struct ad_task *task);
void ad_task_reset(struct ad_task *task);

/* ---- posts: run something on the loop's thread ---- */

struct ad_post {
    struct ad_post *next;
    void (*run)(struct ad_post *post); /* on the loop's thread; owns the memory from then on */
};
void ad_loop_post(struct ad_loop *loop, struct ad_post *post); /* [any] in order of arrival */

/* ---- end of turn ---- */

struct ad_turn_hook {
    struct ad_list node; /* ad_list_init before first use */
    void (*run)(struct ad_turn_hook *hook);
};
/* Run @hook once at the end of this turn (outside turns: of the next one, which is made to come).
 * Again: no effect. */
void ad_loop_at_turn_end(struct ad_loop *loop, struct ad_turn_hook *hook);

/* Run @hook at the end of each turn in which nothing happened: what a burst has needed may be given
 * back. It lives as long as the loop. */
void ad_loop_when_quiet(struct ad_loop *loop, struct ad_turn_hook *hook);

/* Memory that somebody on the stack may still look at: @release runs after the hooks of this turn.
 */
struct ad_deferred {
    struct ad_deferred *next;
    void (*release)(struct ad_deferred *deferred);
};
void ad_loop_defer(struct ad_loop *loop, struct ad_deferred *deferred);

/* ---- deadlines: stored, not armed; up to 8 ms late, never early ---- */

struct ad_deadline {
    uint64_t at_ns;      /* 0: not set; read-only outside core/runtime */
    uint64_t heap_ns;    /* where it sits in the heap; not after at_ns */
    uint32_t heap_index; /* 0: not in the heap */
    uint32_t own;        /* the owner's, where there would be a hole */
    void (*expired)(struct ad_deadline *deadline);
};
/* A place in the heap; what ad_deadline_set does where a store is not enough. */
int ad_deadline_place(struct ad_loop *loop, struct ad_deadline *d, uint64_t at_ns);
void ad_deadline_remove(struct ad_loop *loop, struct ad_deadline *d); /* before its memory goes */

/* @at_ns on the clock of ad_loop_now_ns. Moving it later costs a store, and cannot fail. -> 0 |
 * -ENOMEM or what the runtime says: then it is not set at all */
static inline int ad_deadline_set(struct ad_loop *loop, struct ad_deadline *d, uint64_t at_ns)
{
    if (d->heap_index == 0 || at_ns < d->heap_ns) {
        return ad_deadline_place(loop, d, at_ns);
    }
    d->at_ns = at_ns;
    return 0;
}

static inline void ad_deadline_clear(struct ad_deadline *d)
{
    d->at_ns = 0;
}

/* ---- buffers: idle connections own none; they borrow from here while bytes are under way ---- */

#define AD_LOOP_BUF_BYTES 32768                       /* two full TLS records' plaintext */
struct ad_buf *ad_loop_buf_get(struct ad_loop *loop); /* empty; NULL: out of memory */
void ad_loop_buf_put(struct ad_loop *loop, struct ad_buf *buf); /* with or without bytes in it */
/* @buf will be lent for long: if little is in it, that is moved to a small one. -> the one that
 * has the bytes now */
struct ad_buf *ad_loop_buf_shrink(struct ad_loop *loop, struct ad_buf *buf);

#endif
