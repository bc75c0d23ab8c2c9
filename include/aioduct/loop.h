/* SPDX-License-Identifier: MIT */
/**
 * aioduct/loop.h - a client inside a loop that the application has already.
 *
 *     struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
 *     options.loop = AIODUCT_LOOP_LIBEVENT(base);
 *     aioduct_client_create(&options, &client, &error);
 *     ... submit ...
 *     event_base_dispatch(base);
 *
 * The loop says which runtime the client has; that of the operator does not count then. Callbacks
 * come from the application's loop while it runs, in the thread that runs it. The loop outlives the
 * client, and what a client watches keeps the loop running like anything else that is watched in
 * it: it ends by itself only after the client was destroyed.
 *
 * Threads. The loop's thread is the one that ran it last, before that the one that created the
 * client. aioduct_client_destroy, _run, _turn and blocking calls belong to it; with libevent and
 * libev any thread may submit, cancel and release.
 *
 * Blocking calls, aioduct_client_run and aioduct_client_turn run the application's loop, events of
 * the application and all, until they are done; while it runs already they are AIODUCT_E_NESTED. A
 * ring is the application's to wait for: there they are AIODUCT_E_UNSUPPORTED.
 *
 * aioduct_client_destroy, in a callback of the client or elsewhere, leaves the loop as if the
 * client had never been in it; it may go on running or be freed. In a child after fork(2) destroy
 * is what takes the client out of the child's copy of the loop: call it before the loop runs there.
 *
 * docs/embedding.md has a page on each kind of loop.
 */
#ifndef AIODUCT_LOOP_H
#define AIODUCT_LOOP_H

#include <aioduct/export.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aioduct_client;

/** A loop of the application; all zero: none. Copied, but for the loop itself. */
struct aioduct_foreign_loop {
    const char *kind; /**< "libevent", "libev", "io_uring", or as a third party's runtime has it */
    void *loop;       /**< struct event_base *, struct ev_loop *, struct io_uring * */
    /** The program's address of the library's run function, which must be the one that the runtime
     * has: two copies of a library do not understand each other's loops. NULL: not compared. */
    void (*witness)(void);
};

static inline struct aioduct_foreign_loop aioduct_foreign_loop_(const char *kind, void *loop,
                                                                void (*witness)(void))
{
    struct aioduct_foreign_loop made;
    made.kind = kind;
    made.loop = loop;
    made.witness = witness;
    return made;
}

/** For aioduct_client_options.loop: a struct event_base *. <event2/event.h> is included before. */
#define AIODUCT_LOOP_LIBEVENT(base) \
    aioduct_foreign_loop_("libevent", (base), (void (*)(void))event_base_loop)
/** For aioduct_client_options.loop: a struct ev_loop *. <ev.h> is included before. */
#define AIODUCT_LOOP_LIBEV(loop) aioduct_foreign_loop_("libev", (loop), (void (*)(void))ev_run)
/** For aioduct_client_options.loop: a struct io_uring *. */
#define AIODUCT_LOOP_IO_URING(ring) aioduct_foreign_loop_("io_uring", (ring), NULL)

/* ---- rings ----
 *
 *     for (;;) {
 *         aioduct_client_ring_prepare(client);
 *         io_uring_submit_and_wait(&ring, 1);
 *         unsigned head, count = 0;
 *         struct io_uring_cqe *cqe;
 *         io_uring_for_each_cqe(&ring, head, cqe) {
 *             count++;
 *             if (aioduct_ring_is_ours(cqe->user_data)) {
 *                 aioduct_client_ring_complete(client, cqe->user_data, cqe->res, cqe->flags);
 *             } else {
 *                 ... the application's own ...
 *             }
 *         }
 *         io_uring_cq_advance(&ring, count);
 *     }
 */

/** The upper 16 bits of user_data in every entry of a client, and in none of the application's. */
#define AIODUCT_RING_TAG 0xadc7u

/** Is a completion with this user_data a client's? One whose client is gone is to be dropped. */
static inline int aioduct_ring_is_ours(uint64_t user_data)
{
    return (user_data >> 48) == AIODUCT_RING_TAG;
}

/**
 * Once in every round of the application's loop, just before it submits and waits: runs what is
 * due and puts the client's entries into the ring. Nothing is put there at any other time. If the
 * submission queue is full, what is in it is submitted.
 * Thread:   the client's
 * Calls:    callbacks of exchanges
 * Returns:  0 | AIODUCT_E_NESTED | AIODUCT_E_THREAD | AIODUCT_E_FORKED | AIODUCT_E_CLIENT_CLOSED |
 * AIODUCT_E_UNSUPPORTED (the client is not in a ring of the application) | -errno
 */
AIODUCT_API int aioduct_client_ring_prepare(struct aioduct_client *client);

/**
 * Hand over one completion, by value: its place in the ring may be given back before or after.
 * Thread:   the client's
 * Calls:    callbacks of exchanges
 * Returns:  1: it was of this client | 0: it was not, ask the next one | as ring_prepare
 */
AIODUCT_API int aioduct_client_ring_complete(struct aioduct_client *client, uint64_t user_data,
                                             int32_t result, uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_LOOP_H */
