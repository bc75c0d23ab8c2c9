/* SPDX-License-Identifier: MIT */
/* The face of this room for plugins of others: the functions of <aioduct/plugin/readiness.h>, whose
 * structs are opaque there so that ours may change. */
#include "readiness/readiness.h"

#include <aioduct/plugin/readiness.h>
#include <errno.h>
#include <stdio.h>

/* What lies in a struct aioduct_readiness. */
struct helper {
    struct ad_readiness loop; /* first */
    const struct aioduct_readiness_ops *ops;
};

static struct helper *helper_of(struct ad_readiness *loop)
{
    return (struct helper *)(void *)loop;
}

_Static_assert(sizeof(struct helper) <= sizeof(struct aioduct_readiness), "room for a loop");
_Static_assert(sizeof(struct ad_readiness_stream) <= sizeof(struct aioduct_readiness_stream),
               "room for a stream");
_Static_assert(sizeof(struct ad_task_state) <= sizeof(struct aioduct_readiness_part) &&
                   sizeof(struct ad_timer_state) <= sizeof(struct aioduct_readiness_part) &&
                   sizeof(struct ad_readiness_cx) <= sizeof(struct aioduct_readiness_part),
               "room for parts");
_Static_assert(_Alignof(struct helper) <= _Alignof(struct aioduct_readiness) &&
                   _Alignof(struct ad_readiness_stream) <=
                       _Alignof(struct aioduct_readiness_stream),
               "the same alignment");
_Static_assert((int)AIODUCT_READABLE == (int)AD_READ && (int)AIODUCT_WRITABLE == (int)AD_WRITE,
               "the same bits");

/* A struct aioduct_watch is a struct ad_watch of which nobody else knows. */
static const struct ad_watch *inside(const struct aioduct_watch *watch)
{
    return (const struct ad_watch *)(const void *)watch;
}

/* ---- watches ---- */

int aioduct_watch_fd(const struct aioduct_watch *watch)
{
    return inside(watch)->fd;
}

unsigned aioduct_watch_events(const struct aioduct_watch *watch)
{
    return inside(watch)->events;
}

void *aioduct_watch_watcher(const struct aioduct_watch *watch)
{
    return ad_readiness_backend((struct ad_watch *)(uintptr_t)inside(watch));
}

void *aioduct_watch_runtime(const struct aioduct_watch *watch)
{
    return inside(watch)->cx->loop;
}

void aioduct_readiness_ready(struct aioduct_watch *watch, unsigned events)
{
    ad_readiness_ready((struct ad_watch *)(void *)watch, events);
}

/* ---- the loop ---- */

static int helper_watch(struct ad_watch *watch, unsigned events)
{
    const struct aioduct_readiness_ops *ops = helper_of(watch->cx->loop)->ops;
    if (ops->flags & AIODUCT_READINESS_LAZY) {
        watch->cx->loop->unsettled = true;
    }
    return ops->watch((struct aioduct_watch *)(void *)watch, events);
}

static void helper_forget(struct ad_watch *watch)
{
    const struct aioduct_readiness_ops *ops = helper_of(watch->cx->loop)->ops;
    if (ops->forget != NULL) {
        ops->forget((struct aioduct_watch *)(void *)watch);
    }
}

static int helper_wait(struct ad_readiness *loop, uint64_t deadline_ns)
{
    return helper_of(loop)->ops->run(loop, deadline_ns);
}

static void helper_arm(struct ad_readiness *loop, uint64_t deadline_ns)
{
    helper_of(loop)->ops->arm(loop, deadline_ns);
}

static int helper_may_drive(struct ad_readiness *loop)
{
    return helper_of(loop)->ops->may_drive(loop);
}

static void helper_come_round(struct ad_readiness *loop)
{
    const struct aioduct_readiness_ops *ops = helper_of(loop)->ops;
    if (ops->come_round != NULL) {
        ops->come_round(loop);
    }
}

static const struct ad_readiness_ops own_ops = {
    .stream_watcher = sizeof(struct aioduct_readiness_stream),
    .watch = helper_watch,
    .forget = helper_forget,
    .wait = helper_wait,
};

static const struct ad_readiness_ops adopted_ops = {
    .stream_watcher = sizeof(struct aioduct_readiness_stream),
    .watch = helper_watch,
    .forget = helper_forget,
    .wait = helper_wait,
    .arm = helper_arm,
    .may_drive = helper_may_drive,
    .come_round = helper_come_round,
};

/* -> -EINVAL, said to the host; 0: @ops has what it must have */
static int check_ops(const struct aioduct_readiness_ops *ops, const struct aioduct_host *host)
{
    const char *wrong =
        ops->size < sizeof *ops                      ? "size is not set, or too small"
        : ops->watch == NULL                         ? "watch is missing"
        : ops->run == NULL                           ? "run is missing"
        : ops->arm == NULL && ops->may_drive != NULL ? "may_drive is there without arm"
        : ops->arm != NULL && ops->may_drive == NULL ? "arm is there without may_drive"
                                                     : NULL;
    if (wrong == NULL) {
        return 0;
    }
    char text[96];
    snprintf(text, sizeof text, "aioduct_readiness_open: in ops, %s", wrong);
    host->error(host->ctx, -EINVAL, text);
    return -EINVAL;
}

int aioduct_readiness_open(void *rt, const struct aioduct_readiness_ops *ops, void *own,
                           const struct aioduct_host *host)
{
    struct helper *helper = rt;
    int code = check_ops(ops, host);
    if (code < 0) {
        return code;
    }
    helper->ops = ops;
    helper->loop.wake_backend = own;
    helper->loop.clock_backend = (char *)own + ops->watcher_bytes;
    return ad_readiness_open(&helper->loop, ops->arm != NULL ? &adopted_ops : &own_ops, host);
}

void aioduct_readiness_close(void *rt)
{
    ad_readiness_close(rt);
}

int aioduct_readiness_be_polled(void *rt)
{
    return ad_readiness_be_polled(rt);
}

int aioduct_readiness_after_fork(void *rt)
{
    return ad_readiness_after_fork(rt);
}

uint64_t aioduct_readiness_clock_ns(void)
{
    return ad_readiness_clock_ns();
}

int aioduct_readiness_descriptors_free(unsigned count)
{
    return ad_readiness_descriptors_free(count);
}

/* ---- a loop of the application ---- */

int aioduct_readiness_check_foreign(const struct aioduct_host *host,
                                    const struct aioduct_foreign *foreign, const char *kind,
                                    const char *witness_name, void (*witness)(void))
{
    return ad_readiness_check_foreign(host, foreign, kind, witness_name, witness);
}

void aioduct_readiness_round(void *rt)
{
    ad_readiness_round(rt);
}

int aioduct_readiness_settle(void *rt)
{
    return ad_readiness_settle(rt);
}

void aioduct_readiness_leave(void *rt, void (*gone)(void *arg), void *arg)
{
    ad_readiness_leave(rt, gone, arg);
}

void aioduct_readiness_abandon(void *rt)
{
    ad_readiness_abandon(rt);
}

/* ---- members of the tables ---- */

const void *aioduct_readiness_interface(const struct aioduct_readiness_tables *tables,
                                        const char *id)
{
    const struct ad_readiness_tables ours = {
        .runtime = tables->runtime, .connector = tables->connector, .foreign = tables->foreign};
    return ad_readiness_interface(&ours, id);
}

int aioduct_readiness_block_on(void *rt, struct aioduct_task *root, void *root_state)
{
    return ad_readiness_block_on(rt, root, root_state);
}

int aioduct_readiness_turn(void *rt, int64_t timeout_ns)
{
    return ad_readiness_turn(rt, timeout_ns);
}

void aioduct_readiness_wake(void *rt, struct aioduct_task *task, void *task_state)
{
    ad_readiness_wake(rt, task, task_state);
}

uint64_t aioduct_readiness_now_ns(void *rt)
{
    return ad_readiness_now_ns(rt);
}

int aioduct_readiness_spawn(void *rt, struct aioduct_task *task, void *task_state)
{
    return ad_readiness_spawn(rt, task, task_state);
}

int aioduct_readiness_sleep(void *rt, struct aioduct_timer *timer, void *timer_state,
                            uint64_t deadline_ns)
{
    return ad_readiness_sleep(rt, timer, timer_state, deadline_ns);
}

void aioduct_readiness_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state)
{
    ad_readiness_sleep_cancel(rt, timer, timer_state);
}

int aioduct_readiness_cx_open(void *cx, const struct aioduct_host *host, void *rt)
{
    return ad_readiness_cx_open(cx, host, rt);
}

void aioduct_readiness_cx_close(void *cx)
{
    ad_readiness_cx_close(cx);
}

int aioduct_readiness_connect(void *cx, struct aioduct_stream *stream, void *state,
                              const struct aioduct_socket_config *config)
{
    return ad_readiness_connect(cx, stream, state, config);
}

int aioduct_readiness_recv_start(void *state)
{
    return ad_readiness_recv_start(state);
}

void aioduct_readiness_recv_stop(void *state)
{
    ad_readiness_recv_stop(state);
}

void aioduct_readiness_recv_at(void *state, void *memory, size_t bytes)
{
    ad_readiness_recv_at(state, memory, bytes);
}

int aioduct_readiness_send(void *state, const struct iovec *pieces, unsigned count)
{
    return ad_readiness_send(state, pieces, count);
}

int aioduct_readiness_send_file(void *state, int fd, int64_t offset, size_t bytes)
{
    return ad_readiness_send_file(state, fd, offset, bytes);
}

int aioduct_readiness_shutdown(void *state)
{
    return ad_readiness_shutdown(state);
}

void aioduct_readiness_cancel(void *state, unsigned ops)
{
    ad_readiness_cancel(state, ops);
}

void aioduct_readiness_stream_close(void *state)
{
    ad_readiness_stream_close(state);
}

int aioduct_readiness_stream_info(void *state, struct aioduct_stream_info *info)
{
    return ad_readiness_stream_info(state, info);
}
