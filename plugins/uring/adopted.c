/* SPDX-License-Identifier: MIT */
/*
 * In a ring that the application owns. It submits, waits and takes completions; ours it knows by
 * the tag in user_data and hands over. Entries are put on the ring in prepare alone, so that they
 * never stand between those of the application. Timers are a kernel timer on the ring.
 *
 * user_data: tag (16 bits), number of the instance (12), number of the stream (32), kind (4). No
 * addresses, for completions may come to the application when who asked for them is gone: the
 * client is destroyed at once, and the kernel is made to let go of its operations at once (see
 * IORING_REGISTER_SYNC_CANCEL in io_uring_register(2)), but what it says of them stays in the ring.
 */
#include "uring/uring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define TAG (UINT64_C(0xadc7) << 48) /* AIODUCT_RING_TAG of <aioduct/loop.h> */
#define INSTANCE_SHIFT 36
#define INSTANCES 4096
#define INSTANCE_MASK (UINT64_C(0xfff) << INSTANCE_SHIFT)
#define TAG_MASK (UINT64_C(0xffff) << 48 | INSTANCE_MASK)

/* ---- letting go ---- */

/* -> 0 nothing of it is left that the kernel could run or write to | -EINVAL: an old kernel */
static int let_go(struct io_uring *ring, uint64_t user_data, int fd)
{
    struct io_uring_sync_cancel_reg reg = {
        .addr = user_data, .fd = fd, .flags = IORING_ASYNC_CANCEL_ALL, .timeout = {-1, -1}};
    if (fd >= 0) {
        reg.flags |= IORING_ASYNC_CANCEL_FD;
    }
    io_uring_get_events(ring); /* what was about to run has run */
    int code = io_uring_register_sync_cancel(ring, &reg);
    io_uring_get_events(ring);
    return code == -EINVAL ? code : 0;
}

/* Entries that the application has not submitted yet become NOPs: those of streams that close, or
 * @all of ours. */
static void take_back(const struct ad_uring *u, bool all)
{
    struct io_uring_sq *sq = &u->ring->sq;
    unsigned shift = (u->ring->flags & IORING_SETUP_SQE128) != 0;
    for (unsigned i = IO_URING_READ_ONCE(*sq->khead); i != sq->sqe_tail; i++) {
        struct io_uring_sqe *sqe = &sq->sqes[(i & sq->ring_mask) << shift];
        uint64_t user_data = sqe->user_data;
        if ((user_data & TAG_MASK) != u->tag) {
            continue;
        }
        enum ad_uring_kind kind = user_data & AD_URING_KIND_MASK;
        struct ad_uring_stream *s =
            kind >= AD_URING_CONNECT ? ad_uring_stream_of(u, user_data) : NULL;
        if (!all && (s == NULL || !s->closing)) {
            continue;
        }
        io_uring_prep_nop(sqe);
        sqe->user_data = ad_uring_tag(u, AD_URING_NOTHING);
        if (s != NULL && kind == AD_URING_CLOSE) {
            s->gone = false;
        }
    }
}

/* ---- opening ---- */

static int check(const struct ad_uring *u, const struct aioduct_foreign *foreign)
{
    const struct io_uring *ring = foreign->loop;
    const struct aioduct_host *host = u->host;
    if (foreign->kind == NULL || strcmp(foreign->kind, "io_uring") != 0) {
        return ad_uring_fail(host, AIODUCT_E_UNSUPPORTED, "the loop to adopt is not a ring");
    }
    if (ring == NULL) {
        return ad_uring_fail(host, -EINVAL, "there is no ring to adopt");
    }
    if (ring->flags & (IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL)) {
        return ad_uring_fail(host, AIODUCT_E_UNSUPPORTED, "a ring with %s cannot be adopted",
                             ring->flags & IORING_SETUP_IOPOLL ? "IORING_SETUP_IOPOLL"
                                                               : "IORING_SETUP_SQPOLL");
    }
    if ((u->options.without & AD_URING_NO_BUFFER_RING) != 0) {
        return ad_uring_fail(host, AIODUCT_E_UNSUPPORTED,
                             "a ring cannot be adopted without buffer rings");
    }
    return 0;
}

/* Numbers are used in turn, so that late completions of an instance that is gone find nobody. */
static atomic_uint next_number;
static atomic_bool number_used[INSTANCES];

static uint64_t take_tag(void)
{
    for (unsigned i = 0; i < INSTANCES; i++) {
        unsigned number = atomic_fetch_add(&next_number, 1) % INSTANCES;
        if (!atomic_exchange(&number_used[number], true)) {
            return TAG | (uint64_t)number << INSTANCE_SHIFT;
        }
    }
    return 0;
}

static void give_tag(struct ad_uring *u)
{
    atomic_store(&number_used[(u->tag & INSTANCE_MASK) >> INSTANCE_SHIFT], false);
}

int ad_uring_adopt(struct ad_uring *u, const struct aioduct_foreign *foreign)
{
    struct aioduct_probe why = {.size = sizeof why};
    int code = check(u, foreign);
    if (code < 0) {
        return code;
    }
    code = ad_uring_ring_ask(foreign->loop, &why);
    if (code < 0) {
        return ad_uring_fail(u->host, code, "the ring to adopt: %s (%s)", why.reason, why.hint);
    }
    u->ring = foreign->loop;
    u->tag = take_tag();
    if (u->tag == 0) {
        return ad_uring_fail(u->host, -EMFILE, "%d clients live in rings already", INSTANCES);
    }
    if (let_go(u->ring, ad_uring_tag(u, AD_URING_WAKE), -1) < 0) {
        give_tag(u);
        return ad_uring_fail(u->host, AIODUCT_E_UNAVAILABLE,
                             "the ring to adopt: io_uring without IORING_REGISTER_SYNC_CANCEL "
                             "(Linux 6.0 or later has it)");
    }
    return 0;
}

/* ---- streams by number ---- */

static int grow(struct ad_uring *u)
{
    uint32_t count = u->slot_count == 0 ? 64 : u->slot_count * 2;
    void *larger = u->host->alloc(u->host->ctx, u->slots, count * sizeof *u->slots, 0);
    if (larger == NULL) {
        return -ENOMEM;
    }
    u->slots = larger;
    memset(u->slots + u->slot_count, 0, (count - u->slot_count) * sizeof *u->slots);
    u->slot_used += u->slot_count == 0; /* number 0 is the instance's own */
    u->slot_count = count;
    return 0;
}

int ad_uring_slot_get(struct ad_uring *u, struct ad_uring_stream *s)
{
    if (u->tag == 0) {
        return 0;
    }
    if (u->slot_used == u->slot_count && grow(u) < 0) {
        return -ENOMEM;
    }
    do {
        u->slot_hint = u->slot_hint + 1 < u->slot_count ? u->slot_hint + 1 : 1;
    } while (u->slots[u->slot_hint] != NULL);
    u->slot_used++;
    u->slots[u->slot_hint] = s;
    s->slot = u->slot_hint;
    return 0;
}

void ad_uring_slot_put(struct ad_uring_stream *s)
{
    if (s->slot != 0) {
        s->u->slots[s->slot] = NULL;
        s->u->slot_used--;
        s->slot = 0;
    }
}

/* ---- the application runs its ring ---- */

static int adopted_complete(void *rt, uint64_t user_data, int32_t result, uint32_t flags)
{
    struct ad_uring *u = rt;
    int code = ad_uring_enter(u);
    if (code < 0) {
        return code;
    }
    bool ours = (user_data & TAG_MASK) == u->tag;
    if (ours) {
        u->now_ns = ad_uring_clock_ns();
        ad_uring_complete(u, user_data, result, flags);
    }
    ad_tasks_leave(&u->tasks);
    return ours;
}

/* Something is left to do: an entry that completes at once ends the wait. */
static void come_round(struct ad_uring *u)
{
    struct io_uring_sqe *sqe = ad_uring_ring_sqe(u->ring);
    if (sqe != NULL) { /* else there are completions to be taken, and the wait ends by them */
        io_uring_prep_nop(sqe);
        sqe->user_data = ad_uring_tag(u, AD_URING_NOTHING);
    }
}

static int adopted_prepare(void *rt)
{
    struct ad_uring *u = rt;
    int code = ad_uring_enter(u);
    if (code < 0) {
        return code;
    }
    u->now_ns = ad_uring_clock_ns();
    ad_uring_finish_turn(u);
    bool flushed = ad_uring_flush(u);
    ad_uring_arm_tick(u);
    if (ad_uring_has_work(u) || !flushed) {
        come_round(u);
    }
    ad_tasks_leave(&u->tasks);
    return 0;
}

/* ---- the end ---- */

static void cut(struct ad_uring_stream *s)
{
    if (s->refs > 0 && !s->gone) {
        let_go(s->u->ring, 0, s->fd);
    }
    ad_uring_stream_cut(s);
}

/* A send that is not on the ring yet, a TLS session's last word say, is made here and now. */
static void send_now(struct ad_uring_stream *s)
{
    if ((s->todo & AIODUCT_OP_SEND) == 0 || s->sends == AD_URING_SENDS_FILE) {
        return;
    }
    struct msghdr message = ad_uring_send_message(s);
    ssize_t sent = sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0 || errno != EAGAIN) {
        ad_uring_stream_sent(s, sent >= 0 ? (int)sent : -errno);
    }
}

static int adopted_settle(void *rt)
{
    struct ad_uring *u = rt;
    int code = ad_uring_enter(u);
    if (code < 0) {
        return code;
    }
    u->now_ns = ad_uring_clock_ns();
    ad_uring_finish_turn(u);
    take_back(u, false);
    for (uint32_t i = 1; i < u->slot_count; i++) {
        struct ad_uring_stream *s = u->slots[i];
        if (s != NULL && s->closing) {
            cut(s);
        } else if (s != NULL) {
            send_now(s);
        }
    }
    ad_tasks_leave(&u->tasks);
    return 0;
}

void ad_uring_adopted_close(struct ad_uring *u)
{
    take_back(u, true);
    if (u->wake_armed) { /* the kernel would write what it reads into the instance */
        let_go(u->ring, ad_uring_tag(u, AD_URING_WAKE), -1);
    }
    if (u->tick_armed) {
        let_go(u->ring, ad_uring_tag(u, AD_URING_TICK), -1);
    }
    if (u->slots != NULL) {
        u->host->alloc(u->host->ctx, u->slots, 0, 0);
    }
    give_tag(u);
}

static const char *const kinds[] = {"io_uring", NULL};

const struct aioduct_runtime_foreign ad_uring_foreign_table = {
    .size = sizeof ad_uring_foreign_table,
    .kinds = kinds,
    .settle = adopted_settle,
    .complete = adopted_complete,
    .prepare = adopted_prepare,
};
