/* SPDX-License-Identifier: MIT */
/* The host table: every callback is checked here, before and after the hook of the case runs. */
#include "host.h"
#include "check.h"
#include "pattern.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Thread_local const char *ct_in_call;

void ct_violation(struct ct_rig *rig, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&rig->lock);
    if (rig->violation_count < CT_VIOLATIONS) {
        vsnprintf(rig->violations[rig->violation_count], CT_TEXT, format, args);
    }
    rig->violation_count++;
    pthread_mutex_unlock(&rig->lock);
    va_end(args);
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The clock stands still within a turn, never goes back, and is not ahead of the system's. */
static void check_now(struct ct_rig *rig, const char *what)
{
    uint64_t now = rig->subject->rt->now_ns(rig->rt);
    if (rig->turn_now == 0) {
        rig->turn_now = now;
        if (now < rig->last_now) {
            ct_violation(rig, "RT-15: now_ns went back by %llu ns before %s",
                         (unsigned long long)(rig->last_now - now), what);
        }
        if (now > clock_ns()) {
            ct_violation(rig, "RT-15: now_ns is ahead of CLOCK_MONOTONIC in %s", what);
        }
    } else if (now != rig->turn_now) {
        ct_violation(rig, "RT-15: now_ns changed by %lld ns within a turn, in %s",
                     (long long)(now - rig->turn_now), what);
    }
}

static void enter(struct ct_rig *rig, const char *what, const void *object, int op, int code,
                  size_t bytes)
{
    if (ct_in_call != NULL) {
        ct_violation(rig, "RT-4: %s ran inside the call of %s", what, ct_in_call);
    }
    if (!rig->driving) {
        ct_violation(rig, "RT-4: %s ran outside block_on and turn", what);
    } else if (atomic_load_explicit(&rig->driver, memory_order_relaxed) !=
               (unsigned long)pthread_self()) {
        ct_violation(rig, "RT-4: %s ran on a thread that does not drive the loop", what);
    }
    if (rig->callback != NULL) {
        ct_violation(rig, "RT-4: %s ran inside %s", what, rig->callback);
    }
    if (rig->subject->base != NULL && rig->in_lower == 0 && strncmp(what, "on_", 3) == 0) {
        ct_violation(rig, "RT-4: a layer's %s ran outside of an event of a stream below", what);
    }
    rig->callback = what;
    atomic_store_explicit(&ct_report_now()->callback, what, memory_order_relaxed);
    rig->sequence++;
    rig->last_was_turn_end = false;
    rig->events[rig->event_count++ % CT_EVENTS] = (struct ct_event){what, object, op, code, bytes};
    if (rig->doomed != NULL) {
        if (!ct_block_free(&rig->graves, rig->doomed->state)) {
            ct_violation(rig, "RT-10: a task's memory was written to outside its bounds");
        }
        rig->doomed->state = NULL;
        rig->doomed = NULL;
    }
    check_now(rig, what);
}

static void leave(struct ct_rig *rig)
{
    rig->callback = NULL;
}

/* ---- memory and messages ---- */

struct mem_head {
    void *base;
    size_t bytes;
};

static void mem_free(struct ct_rig *rig, void *old)
{
    struct mem_head head;
    memcpy(&head, (char *)old - sizeof head, sizeof head);
    atomic_fetch_sub_explicit(&rig->live_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&rig->live_bytes, (long)head.bytes, memory_order_relaxed);
    free(head.base);
}

/* Always moves, so that nobody gets used to an address. */
static void *host_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    struct ct_rig *rig = ctx;
    if (bytes == 0) {
        if (old != NULL) {
            mem_free(rig, old);
        }
        return NULL;
    }
    if (align & (align - 1)) {
        ct_violation(rig, "PL-8: alloc with an alignment of %zu", align);
    }
    atomic_fetch_add_explicit(&rig->allocs, 1, memory_order_relaxed);
    if (atomic_load_explicit(&rig->fail_in, memory_order_relaxed) > 0 &&
        atomic_fetch_sub_explicit(&rig->fail_in, 1, memory_order_relaxed) == 1) {
        return NULL;
    }
    size_t unit = align < 2 * sizeof(void *) ? 2 * sizeof(void *) : align;
    char *base = malloc(sizeof(struct mem_head) + unit + bytes);
    if (base == NULL) {
        return NULL;
    }
    uintptr_t at = ((uintptr_t)base + sizeof(struct mem_head) + unit - 1) / unit * unit;
    char *fresh = (char *)at;
    struct mem_head head = {base, bytes};
    memcpy(fresh - sizeof head, &head, sizeof head);
    memset(fresh, 0xCB, bytes);
    if (old != NULL) {
        memcpy(&head, (char *)old - sizeof head, sizeof head);
        memcpy(fresh, old, head.bytes < bytes ? head.bytes : bytes);
        mem_free(rig, old);
    }
    atomic_fetch_add_explicit(&rig->live_blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&rig->live_bytes, (long)bytes, memory_order_relaxed);
    return fresh;
}

static void host_log(void *ctx, int level, const char *message)
{
    struct ct_rig *rig = ctx;
    if (level < AIODUCT_LOG_ERROR || level > AIODUCT_LOG_DEBUG || message == NULL ||
        strchr(message, '\n') != NULL) {
        ct_violation(rig, "PL-11: log with level %d, or more than one line", level);
    }
}

static void host_error(void *ctx, int code, const char *message)
{
    struct ct_rig *rig = ctx;
    if (code >= 0 || message == NULL || message[0] == '\0') {
        ct_violation(rig, "PL-11: error with code %d, or without a message", code);
        return;
    }
    pthread_mutex_lock(&rig->lock);
    rig->error_code = code;
    snprintf(rig->error_text, sizeof rig->error_text, "%s", message);
    pthread_mutex_unlock(&rig->lock);
    atomic_fetch_add(&rig->errors, 1);
}

static const char *host_option(void *ctx, const char *key)
{
    struct ct_rig *rig = ctx;
    if (!rig->setup) {
        ct_violation(rig, "PL-10: option(%.32s) after open", key);
    }
    return rig->option == NULL ? NULL : rig->option(key);
}

static int host_is_loop_thread(void *ctx)
{
    struct ct_rig *rig = ctx;
    return atomic_load_explicit(&rig->driver, memory_order_relaxed) ==
           (unsigned long)pthread_self();
}

static const void *host_get_interface(void *ctx, const char *id)
{
    struct ct_rig *rig = ctx;
    if (!rig->setup || id == NULL) {
        ct_violation(rig, "PL-10: get_interface after open, or without an id");
    }
    return id != NULL && strcmp(id, AIODUCT_IFACE_HOST_LOWER) == 0 ? ct_lower_table(rig) : NULL;
}

/* ---- tasks and timers ---- */

static int host_task_run(void *ctx, struct aioduct_task *opaque)
{
    struct ct_rig *rig = ctx;
    struct ct_task *task = (struct ct_task *)opaque;
    enter(rig, "task_run", task, 0, 0, 0);
    if (task->magic != CT_TASK_MAGIC || task->rig != rig) {
        ct_violation(rig, "RT-8: task_run for something that is not a task of this instance");
        leave(rig);
        return 1;
    }
    if (atomic_load_explicit(&task->ready, memory_order_relaxed)) {
        ct_violation(rig, "RT-10: a task ran after it was ready");
    }
    if (atomic_exchange_explicit(&task->running, true, memory_order_relaxed)) {
        ct_violation(rig, "RT-11: a task ran twice at the same time");
    }
    if (!rig->subject->any_thread && rig->opener != (unsigned long)pthread_self()) {
        ct_violation(rig, "RT-11: a local task ran on another thread than open's");
    }
    atomic_fetch_add_explicit(&task->runs, 1, memory_order_relaxed);
    int ready = rig->muted && !task->own ? 1 : task->run(task);
    atomic_store_explicit(&task->running, false, memory_order_relaxed);
    if (ready) {
        atomic_store_explicit(&task->ready, true, memory_order_relaxed);
        if (task->free_when_ready) {
            rig->doomed = task;
        }
    }
    leave(rig);
    return ready;
}

static void host_timer_fired(void *ctx, struct aioduct_timer *opaque)
{
    struct ct_rig *rig = ctx;
    struct ct_timer *timer = (struct ct_timer *)opaque;
    enter(rig, "timer_fired", timer, 0, 0, 0);
    if (timer->magic != CT_TIMER_MAGIC || timer->rig != rig) {
        ct_violation(rig, "RT-22: timer_fired for something that is not a timer of this instance");
        leave(rig);
        return;
    }
    if (!timer->armed) {
        ct_violation(rig, "RT-22: a timer fired that was not armed");
    }
    uint64_t now = rig->subject->rt->now_ns(rig->rt);
    if (now < timer->deadline_ns || clock_ns() < timer->deadline_ns) {
        ct_violation(rig, "RT-22: a timer fired %llu ns early",
                     (unsigned long long)(timer->deadline_ns - now));
    }
    timer->armed = false;
    timer->fires++;
    timer->order = rig->sequence;
    if (timer->fired != NULL && (timer->own || !rig->muted)) {
        timer->fired(timer);
    }
    leave(rig);
}

static void host_turn_end(void *ctx)
{
    struct ct_rig *rig = ctx;
    ct_lower_turn_end(rig);
    enter(rig, "turn_end", NULL, 0, 0, 0);
    rig->turns++;
    if (rig->turn_end != NULL && !rig->muted) {
        rig->turn_end(rig);
    }
    if (rig->until != NULL && rig->until(rig->until_arg)) {
        ct_wake(rig->until_root);
    }
    leave(rig);
    rig->last_now = rig->turn_now;
    rig->turn_now = 0;
    rig->last_was_turn_end = true;
}

/* ---- streams ---- */

static struct ct_stream *stream_of(struct ct_rig *rig, struct aioduct_stream *opaque)
{
    struct ct_stream *stream = (struct ct_stream *)opaque;
    if (stream->magic != CT_STREAM_MAGIC || stream->rig != rig) {
        ct_violation(rig, "ST-2: %s for something that is not a stream of this instance",
                     rig->callback);
        return NULL;
    }
    if (stream->closed) {
        ct_violation(rig, "ST-16: %s after on_closed", rig->callback);
        return NULL;
    }
    return stream;
}

static void check_pattern(struct ct_stream *stream, const void *slice, size_t bytes, uint64_t from)
{
    if (stream->seed == 0) {
        return;
    }
    size_t good = ct_pattern_match(slice, bytes, stream->seed, from);
    if (good != bytes) {
        ct_violation(stream->rig, "ST-3: received byte %llu is not what was sent",
                     (unsigned long long)(from + good));
        stream->seed = 0;
    }
}

/* A slice lies elsewhere, or at the place's start and inside it. */
static void check_place(struct ct_stream *stream, const uint8_t *slice, size_t bytes)
{
    const uint8_t *place = stream->place;
    bool apart = place == NULL || slice >= place + stream->place_bytes || slice + bytes <= place;
    if (!apart && (slice != place || bytes > stream->place_bytes)) {
        ct_violation(stream->rig, "ST-30: %zu bytes from %td on of a place for %zu", bytes,
                     slice - place, stream->place_bytes);
    }
    stream->place = NULL;
}

static void host_on_data(void *ctx, struct aioduct_stream *opaque, const void *slice, size_t bytes)
{
    struct ct_rig *rig = ctx;
    if (ct_lower_of(opaque) != NULL) {
        ct_lower_on_data(ct_lower_of(opaque), slice, bytes);
        return;
    }
    enter(rig, "on_data", opaque, AIODUCT_OP_RECV, 0, bytes);
    struct ct_stream *stream = stream_of(rig, opaque);
    if (stream != NULL) {
        if (!stream->recv.in_flight) {
            ct_violation(rig, "ST-3: on_data while no receive is running");
        }
        if (stream->closing) {
            ct_violation(rig, "ST-17: on_data after stream_close");
        }
        if (bytes == 0 || slice == NULL) {
            ct_violation(rig, "ST-3: on_data without bytes");
        }
        uint64_t from = stream->received;
        check_place(stream, slice, bytes);
        check_pattern(stream, slice, bytes, from);
        stream->received += bytes;
        stream->slices++;
        stream->data_order = rig->sequence;
        if (stream->on_data != NULL && !rig->muted) {
            stream->on_data(stream, slice, bytes);
            check_pattern(stream, slice, bytes, from);
        }
    }
    leave(rig);
}

struct ct_op *ct_stream_op(struct ct_stream *stream, int op)
{
    switch (op) {
    case AIODUCT_OP_CONNECT:
        return &stream->connect;
    case AIODUCT_OP_RECV:
        return &stream->recv;
    case AIODUCT_OP_SEND:
        return &stream->send;
    case AIODUCT_OP_SHUTDOWN:
        return &stream->shutdown;
    default:
        return NULL;
    }
}

static void check_done(struct ct_stream *stream, int op, int code, size_t bytes)
{
    struct ct_rig *rig = stream->rig;
    const struct ct_op *of = ct_stream_op(stream, op);
    if (!of->in_flight) {
        ct_violation(rig, "ST-2: on_done(%d, %d) for an operation that is not in flight", op, code);
    }
    if (code > 0 || code == -EAGAIN || code == -EINTR || code == -EINPROGRESS) {
        ct_violation(rig, "ST-2: on_done(%d) with code %d", op, code);
    }
    if (op != AIODUCT_OP_SEND && bytes != 0) {
        ct_violation(rig, "ST-2: on_done(%d) with %zu bytes", op, bytes);
    }
    if (op == AIODUCT_OP_SEND && of->of_file) {
        if (bytes > (size_t)16 << 20) {
            ct_violation(rig, "ST-25: a piece of %zu bytes in one turn", bytes);
        }
        if (bytes > of->asked || (bytes > 0 && code == AIODUCT_E_UNSUPPORTED)) {
            ct_violation(rig, "ST-28: a piece of %zu bytes completed with %d and %zu bytes",
                         of->asked, code, bytes);
        }
    } else if (op == AIODUCT_OP_SEND &&
               (code == 0 ? bytes != of->asked : bytes >= of->asked && of->asked > 0)) {
        ct_violation(rig, "ST-9: a send of %zu bytes completed with %d and %zu bytes", of->asked,
                     code, bytes);
    }
}

static void host_on_done(void *ctx, struct aioduct_stream *opaque, int op, int code, size_t bytes)
{
    struct ct_rig *rig = ctx;
    if (ct_lower_of(opaque) != NULL) {
        ct_lower_on_done(ct_lower_of(opaque), op, code, bytes);
        return;
    }
    enter(rig, "on_done", opaque, op, code, bytes);
    struct ct_stream *stream = stream_of(rig, opaque);
    struct ct_op *of = stream == NULL ? NULL : ct_stream_op(stream, op);
    if (of == NULL) {
        ct_violation(rig, "ST-2: on_done with operation %d", op);
        leave(rig);
        return;
    }
    check_done(stream, op, code, bytes);
    of->in_flight = false;
    of->completed++;
    of->code = code;
    of->bytes = bytes;
    of->order = rig->sequence;
    if (op == AIODUCT_OP_CONNECT && code == 0) {
        stream->connected = true;
    } else if (op == AIODUCT_OP_RECV && code == 0) {
        stream->ended = true;
    } else if (op == AIODUCT_OP_SEND) {
        stream->taken += bytes;
    }
    if (stream->on_done != NULL && !rig->muted) {
        stream->on_done(stream, op, code, bytes);
    }
    leave(rig);
}

static void host_on_closed(void *ctx, struct aioduct_stream *opaque)
{
    struct ct_rig *rig = ctx;
    if (ct_lower_of(opaque) != NULL) {
        ct_lower_on_closed(ct_lower_of(opaque));
        return;
    }
    enter(rig, "on_closed", opaque, 0, 0, 0);
    struct ct_stream *stream = stream_of(rig, opaque);
    if (stream != NULL) {
        if (!stream->closing) {
            ct_violation(rig, "ST-16: on_closed without stream_close");
        }
        for (int op = AIODUCT_OP_CONNECT; op <= AIODUCT_OP_SHUTDOWN; op *= 2) {
            if (ct_stream_op(stream, op)->in_flight) {
                ct_violation(rig, "ST-16: on_closed before operation %d completed", op);
            }
        }
        stream->closed = true;
        if (!stream->keep_state) {
            if (!ct_block_free(&rig->graves, stream->state)) {
                ct_violation(rig, "ST-18: a stream's memory was written to outside its bounds");
            }
            stream->state = NULL;
        }
        if (stream->on_closed != NULL && !rig->muted) {
            stream->on_closed(stream);
        }
    }
    leave(rig);
}

void ct_rig_init(struct ct_rig *rig)
{
    memset(rig, 0, sizeof *rig);
    pthread_mutex_init(&rig->lock, NULL);
    rig->subject = ct_subject();
    rig->given = &rig->host;
    rig->host = (struct aioduct_host){
        .size = sizeof rig->host,
        .abi_major = AIODUCT_ABI_MAJOR,
        .abi_minor = AIODUCT_ABI_MINOR,
        .ctx = rig,
        .alloc = host_alloc,
        .log = host_log,
        .error = host_error,
        .option = host_option,
        .task_run = host_task_run,
        .timer_fired = host_timer_fired,
        .turn_end = host_turn_end,
        .on_data = host_on_data,
        .on_done = host_on_done,
        .on_closed = host_on_closed,
        .is_loop_thread = host_is_loop_thread,
        .get_interface = host_get_interface,
    };
}
