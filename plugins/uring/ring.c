/* SPDX-License-Identifier: MIT */
/*
 * Setting up the ring, asking what it can do, submitting and waiting. What the kernel can do is
 * asked of the kernel (set-up flags, feature bits, the probe of opcodes), never taken from its
 * version.
 */
#include "uring/uring.h"

#include <errno.h>

/* From the best to the plainest. DEFER_TASKRUN runs completions only when we fetch them, in batches
 * and without interrupts; COOP_TASKRUN at least spares the interrupts; the plain ring costs a
 * quarter more than epoll but works. SUBMIT_ALL: an entry that fails does not hold up the rest. */
static const struct {
    unsigned flags, part;
} modes[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_SUBMIT_ALL,
     AD_URING_NO_DEFER},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
     AD_URING_NO_COOP},
    {IORING_SETUP_SUBMIT_ALL, 0},
    {0, 0},
};

/* Eight completions for a submission: multishot receives post one a slice. The kernel keeps what
 * does not fit (NODROP), so this bounds memory, not correctness. */
static unsigned completions(const struct ad_uring_options *options)
{
    unsigned wanted = options->entries * 8;
    if (wanted < options->buffers * 2) {
        wanted = options->buffers * 2;
    }
    return wanted < 65536 ? wanted : 65536;
}

static int set_up(struct io_uring *ring, const struct ad_uring_options *options)
{
    int code = -EINVAL;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0] && code == -EINVAL; i++) {
        if (options->without & modes[i].part) {
            continue;
        }
        struct io_uring_params params = {.flags = modes[i].flags | IORING_SETUP_CQSIZE,
                                         .cq_entries = completions(options)};
        code = io_uring_queue_init_params(options->entries, ring, &params);
    }
    return code;
}

static const struct {
    unsigned bit;
    const char *name;
} features[] = {
    {IORING_FEAT_NODROP, "IORING_FEAT_NODROP"},
    {IORING_FEAT_SUBMIT_STABLE, "IORING_FEAT_SUBMIT_STABLE"},
    {IORING_FEAT_FAST_POLL, "IORING_FEAT_FAST_POLL"}, /* else sockets would need kernel threads */
    {IORING_FEAT_EXT_ARG, "IORING_FEAT_EXT_ARG"},     /* the wait's own timeout */
    {IORING_FEAT_CQE_SKIP, "IORING_FEAT_CQE_SKIP"},
};

static const struct {
    int opcode;
    const char *name;
} opcodes[] = {
    {IORING_OP_NOP, "IORING_OP_NOP"},
    {IORING_OP_READ, "IORING_OP_READ"},
    {IORING_OP_TIMEOUT, "IORING_OP_TIMEOUT"},
    {IORING_OP_TIMEOUT_REMOVE, "IORING_OP_TIMEOUT_REMOVE"},
    {IORING_OP_ASYNC_CANCEL, "IORING_OP_ASYNC_CANCEL"},
    {IORING_OP_CONNECT, "IORING_OP_CONNECT"},
    {IORING_OP_SEND, "IORING_OP_SEND"},
    {IORING_OP_SENDMSG, "IORING_OP_SENDMSG"},
    {IORING_OP_RECV, "IORING_OP_RECV"},
    {IORING_OP_POLL_ADD, "IORING_OP_POLL_ADD"},
    {IORING_OP_CLOSE, "IORING_OP_CLOSE"},
    {IORING_OP_PROVIDE_BUFFERS, "IORING_OP_PROVIDE_BUFFERS"},
};

#define OPCODES_MAX 256

static bool can(const struct io_uring_probe *probe, unsigned opcode)
{
    return opcode < probe->ops_len && (probe->ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0;
}

int ad_uring_ring_ask(struct io_uring *ring, struct aioduct_probe *why)
{
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        if ((ring->features & features[i].bit) == 0) {
            return ad_uring_explain_lack(why, features[i].name);
        }
    }
    uint64_t room[(sizeof(struct io_uring_probe) + OPCODES_MAX * sizeof(struct io_uring_probe_op)) /
                  sizeof(uint64_t)] = {0};
    struct io_uring_probe *probe = (struct io_uring_probe *)(void *)room;
    int code = io_uring_register_probe(ring, probe, OPCODES_MAX);
    if (code < 0) {
        return ad_uring_explain(why, "io_uring_register", code);
    }
    for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
        if (!can(probe, opcodes[i].opcode)) {
            return ad_uring_explain_lack(why, opcodes[i].name);
        }
    }
    return 0;
}

static int round_trip(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    io_uring_prep_nop(sqe);
    sqe->user_data = AD_URING_NOTHING;
    int code = io_uring_submit(ring);
    if (code < 0) {
        return code;
    }
    struct io_uring_cqe *cqe;
    do {
        code = io_uring_wait_cqe(ring, &cqe);
    } while (code == -EINTR);
    if (code < 0) {
        return code;
    }
    code = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return code;
}

int ad_uring_ring_open(struct io_uring *ring, const struct ad_uring_options *options,
                       struct aioduct_probe *why)
{
    int code = set_up(ring, options);
    if (code < 0) {
        return ad_uring_explain(why, "io_uring_setup", code);
    }
    code = ad_uring_ring_ask(ring, why);
    if (code == 0) {
        int tripped = round_trip(ring);
        code = tripped < 0 ? ad_uring_explain(why, "io_uring_enter", tripped) : 0;
    }
    if (code < 0) {
        io_uring_queue_exit(ring);
    }
    return code;
}

/* Does the kernel hold completions that only an enter fetches? The modes that defer work have
 * TASKRUN_FLAG, so that it says so; a plain ring posts by itself. */
static bool needs_enter(const struct io_uring *ring)
{
    unsigned flags = IO_URING_READ_ONCE(*ring->sq.kflags);
    return (flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
}

bool ad_uring_ring_busy(const struct io_uring *ring)
{
    return io_uring_cq_ready(ring) > 0 || needs_enter(ring);
}

int ad_uring_ring_wait(struct io_uring *ring, int64_t timeout_ns)
{
    int code = 0;
    if (timeout_ns == 0) {
        if (io_uring_sq_ready(ring) > 0 || needs_enter(ring)) {
            code = io_uring_submit_and_get_events(ring);
        }
    } else {
        struct __kernel_timespec ts = {.tv_sec = timeout_ns / 1000000000,
                                       .tv_nsec = timeout_ns % 1000000000};
        struct io_uring_cqe *cqe;
        code = io_uring_submit_and_wait_timeout(ring, &cqe, 1, timeout_ns < 0 ? NULL : &ts, NULL);
    }
    /* EBUSY, EAGAIN: the kernel takes nothing more until completions are reaped, which comes next;
     * the entries stay in the queue. */
    return code >= 0 || code == -ETIME || code == -EBUSY || code == -EAGAIN ? 0 : code;
}

struct io_uring_sqe *ad_uring_ring_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    if (sqe == NULL && io_uring_submit(ring) > 0) {
        sqe = io_uring_get_sqe(ring);
    }
    return sqe;
}
