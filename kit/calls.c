/* SPDX-License-Identifier: MIT */
/* Calls into the plugin: each marks the thread as being inside it, checks the answer, and books
 * what the answer promises. */
#include "check.h"
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *begin(const char *name)
{
    const char *outer = ct_in_call;
    ct_in_call = name;
    atomic_store_explicit(&ct_report_now()->call, name, memory_order_relaxed);
    return outer;
}

static void end(const char *outer)
{
    ct_in_call = outer;
}

static void *new_zeroed(size_t bytes)
{
    void *object = calloc(1, bytes);
    if (object == NULL) {
        abort();
    }
    return object;
}

uint64_t ct_now(struct ct_rig *rig)
{
    const char *outer = begin("now_ns");
    uint64_t now = rig->subject->rt->now_ns(rig->rt);
    end(outer);
    return now;
}

/* ---- tasks ---- */

struct ct_task *ct_task_new(struct ct_rig *rig, int (*run)(struct ct_task *task), void *user)
{
    struct ct_task *task = new_zeroed(sizeof *task);
    task->magic = CT_TASK_MAGIC;
    task->rig = rig;
    task->run = run;
    task->user = user;
    task->state = ct_block_new(rig->subject->rt->task);
    task->next = rig->tasks;
    rig->tasks = task;
    return task;
}

int ct_spawn(struct ct_task *task)
{
    const char *outer = begin("spawn");
    int code = task->rig->subject->spawn(task->rig->rt, (struct aioduct_task *)task, task->state);
    end(outer);
    return code;
}

void ct_wake(struct ct_task *task)
{
    const char *outer = begin("wake");
    task->rig->subject->rt->wake(task->rig->rt, (struct aioduct_task *)task, task->state);
    end(outer);
}

void ct_task_renew(struct ct_task *task)
{
    struct ct_rig *rig = task->rig;
    if (!ct_block_free(&rig->graves, task->state)) {
        ct_violation(rig, "RT-10: a task's memory was written to outside its bounds");
    }
    task->state = ct_block_new(rig->subject->rt->task);
    task->ready = false;
}

/* ---- timers ---- */

struct ct_timer *ct_timer_new(struct ct_rig *rig, void (*fired)(struct ct_timer *timer), void *user)
{
    struct ct_timer *timer = new_zeroed(sizeof *timer);
    timer->magic = CT_TIMER_MAGIC;
    timer->rig = rig;
    timer->fired = fired;
    timer->user = user;
    timer->state = ct_block_new(rig->subject->timer);
    timer->next = rig->timers;
    rig->timers = timer;
    return timer;
}

int ct_sleep(struct ct_timer *timer, uint64_t deadline_ns)
{
    struct ct_rig *rig = timer->rig;
    const char *outer = begin("sleep");
    int code =
        rig->subject->sleep(rig->rt, (struct aioduct_timer *)timer, timer->state, deadline_ns);
    end(outer);
    if (code == 0) {
        timer->armed = true;
        timer->deadline_ns = deadline_ns;
    } else if (code > 0) {
        ct_violation(rig, "RT-22: sleep answered %d", code);
    }
    return code;
}

void ct_sleep_cancel(struct ct_timer *timer)
{
    struct ct_rig *rig = timer->rig;
    const char *outer = begin("sleep_cancel");
    rig->subject->sleep_cancel(rig->rt, (struct aioduct_timer *)timer, timer->state);
    end(outer);
    timer->armed = false;
}

void ct_timer_renew(struct ct_timer *timer)
{
    struct ct_rig *rig = timer->rig;
    if (!ct_block_free(&rig->graves, timer->state)) {
        ct_violation(rig, "RT-28: a timer's memory was written to outside its bounds");
    }
    timer->state = ct_block_new(rig->subject->timer);
}

/* ---- streams ---- */

static struct ct_stream *add_stream(struct ct_rig *rig, void *state)
{
    struct ct_stream *stream = new_zeroed(sizeof *stream);
    stream->magic = CT_STREAM_MAGIC;
    stream->rig = rig;
    stream->state = state;
    ct_lower_init(stream);
    stream->next = rig->streams;
    rig->streams = stream;
    return stream;
}

struct ct_stream *ct_stream_new(struct ct_rig *rig)
{
    if (rig->subject->cx == NULL) {
        ct_skip("the plugin has no connector");
    }
    return add_stream(rig, ct_block_new(rig->subject->cx->stream));
}

struct ct_stream *ct_stream_new_on(struct ct_rig *rig, struct ct_stream *old)
{
    void *state = old->state;
    old->state = NULL;
    if (!ct_block_whole(state)) {
        ct_violation(rig, "ST-18: a stream's memory was written to outside its bounds");
    }
    ct_block_zero(state);
    return add_stream(rig, state);
}

/* Check an answer and book it. @may_be_done: DONE is an answer of this call. */
static int book(struct ct_stream *stream, int op, const char *name, int code, bool may_be_done)
{
    struct ct_rig *rig = stream->rig;
    struct ct_op *of = ct_stream_op(stream, op);
    if (of->in_flight && code != -EBUSY) {
        ct_violation(rig, "ST-1: a second %s in flight was answered %d, not -EBUSY", name, code);
    } else if (code > AIODUCT_PENDING || (code == AIODUCT_DONE && !may_be_done) ||
               code == -EAGAIN || code == -EINTR || code == -EINPROGRESS) {
        ct_violation(rig, "ST-2: %s answered %d", name, code);
    } else if (code == AIODUCT_PENDING) {
        of->in_flight = true;
        of->accepted++;
    }
    return code;
}

int ct_connect(struct ct_stream *stream, const struct aioduct_socket_config *config)
{
    struct aioduct_socket_config *copy = new_zeroed(sizeof *copy);
    *copy = *config;
    const char *outer = begin("connect");
    int code = stream->rig->subject->cx->connect(stream->rig->cx, (struct aioduct_stream *)stream,
                                                 stream->state, copy);
    end(outer);
    /* The struct was lent for the call alone. */
    ct_spoil(copy, sizeof *copy);
    free(copy);
    book(stream, AIODUCT_OP_CONNECT, "connect", code, false);
    stream->dialled = stream->dialled || code == AIODUCT_PENDING;
    return code;
}

int ct_recv_start(struct ct_stream *stream)
{
    const char *outer = begin("recv_start");
    int code = stream->rig->subject->cx->recv_start(stream->state);
    end(outer);
    if (code > 0) {
        ct_violation(stream->rig, "ST-2: recv_start answered %d", code);
    }
    book(stream, AIODUCT_OP_RECV, "recv_start", code == 0 ? AIODUCT_PENDING : code, false);
    return code;
}

void ct_recv_stop(struct ct_stream *stream)
{
    const char *outer = begin("recv_stop");
    stream->rig->subject->cx->recv_stop(stream->state);
    end(outer);
}

void ct_recv_at(struct ct_stream *stream, void *memory, size_t bytes)
{
    if (stream->rig->subject->cx->recv_at == NULL) {
        ct_skip("the connector has no recv_at");
    }
    const char *outer = begin("recv_at");
    stream->rig->subject->cx->recv_at(stream->state, memory, bytes);
    end(outer);
    stream->place = memory;
    stream->place_bytes = bytes;
}

int ct_send(struct ct_stream *stream, const struct iovec *pieces, unsigned count)
{
    size_t bytes = 0;
    struct iovec *copy = new_zeroed((count + 1) * sizeof *copy);
    for (unsigned i = 0; i < count; i++) {
        copy[i] = pieces[i];
        bytes += pieces[i].iov_len;
    }
    const char *outer = begin("send");
    int code = stream->rig->subject->cx->send(stream->state, copy, count);
    end(outer);
    /* The array is the caller's again as soon as the call is over. */
    ct_spoil(copy, (count + 1) * sizeof *copy);
    free(copy);
    bool was_busy = stream->send.in_flight;
    book(stream, AIODUCT_OP_SEND, "send", code, true);
    if (code >= 0 && !was_busy) {
        stream->send.of_file = false;
        stream->send.asked = bytes;
        stream->taken += code == AIODUCT_DONE ? bytes : 0;
    }
    return code;
}

int ct_send_file(struct ct_stream *stream, int fd, int64_t offset, size_t bytes)
{
    if (stream->rig->subject->cx->send_file == NULL) {
        ct_skip("the connector has no send_file");
    }
    const char *outer = begin("send_file");
    int code = stream->rig->subject->cx->send_file(stream->state, fd, offset, bytes);
    end(outer);
    bool was_busy = stream->send.in_flight;
    book(stream, AIODUCT_OP_SEND, "send_file", code, false);
    if (code == AIODUCT_PENDING && !was_busy) {
        stream->send.of_file = true;
        stream->send.asked = bytes;
    }
    return code;
}

int ct_send_bytes(struct ct_stream *stream, const void *bytes, size_t count)
{
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = count};
    return ct_send(stream, &piece, 1);
}

int ct_shutdown(struct ct_stream *stream)
{
    const char *outer = begin("shutdown");
    int code = stream->rig->subject->cx->shutdown(stream->state);
    end(outer);
    return book(stream, AIODUCT_OP_SHUTDOWN, "shutdown", code, true);
}

void ct_cancel(struct ct_stream *stream, unsigned ops)
{
    const char *outer = begin("cancel");
    stream->rig->subject->cx->cancel(stream->state, ops);
    end(outer);
}

void ct_stream_close(struct ct_stream *stream)
{
    stream->closing = true;
    const char *outer = begin("stream_close");
    stream->rig->subject->cx->stream_close(stream->state);
    end(outer);
}

int ct_stream_info(struct ct_stream *stream, struct aioduct_stream_info *info)
{
    if (stream->rig->subject->cx->stream_info == NULL) {
        return AIODUCT_E_UNSUPPORTED;
    }
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    const char *outer = begin("stream_info");
    int code = stream->rig->subject->cx->stream_info(stream->state, info);
    end(outer);
    return code;
}
