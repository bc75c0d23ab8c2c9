/* SPDX-License-Identifier: MIT */
/* The streams under those of a layer: what aioduct.host.lower/1 is to it. They are streams of the
 * runtime's own connector, which has been checked by itself; here the layer is watched. */
#include "check.h"
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum phase { IDLE, DIALLED, CLOSING };

struct ct_lower {
    uint32_t magic;
    struct ct_stream *upper;
    void *state;
    enum phase phase;
    unsigned inflight;
    bool closes_idle, wants_later; /* at the end of the turn */
};

static struct ct_lower *below(struct aioduct_stream *opaque)
{
    return ((struct ct_stream *)opaque)->lower;
}

static const struct aioduct_connector *base(const struct ct_lower *lower)
{
    return lower->upper->rig->subject->base;
}

static struct aioduct_stream *opaque_of(struct ct_lower *lower)
{
    return (struct aioduct_stream *)lower;
}

void ct_lower_init(struct ct_stream *stream)
{
    if (stream->rig->subject->base == NULL) {
        return;
    }
    struct ct_lower *lower = calloc(1, sizeof *lower);
    if (lower == NULL) {
        abort();
    }
    lower->magic = CT_LOWER_MAGIC;
    lower->upper = stream;
    lower->state = ct_block_new(stream->rig->subject->base->stream);
    stream->lower = lower;
}

bool ct_lower_fini(struct ct_stream *stream)
{
    if (stream->lower == NULL) {
        return true;
    }
    bool whole = ct_block_free(&stream->rig->graves, stream->lower->state);
    free(stream->lower);
    stream->lower = NULL;
    return whole;
}

struct ct_lower *ct_lower_of(struct aioduct_stream *opaque)
{
    struct ct_lower *lower = (struct ct_lower *)opaque;
    return lower->magic == CT_LOWER_MAGIC ? lower : NULL;
}

/* ---- what the layer hears: as a callback of the runtime that calls into the plugin ---- */

struct event {
    const char *outer_call;
};

static struct event begin_event(struct ct_rig *rig)
{
    struct event event = {ct_in_call};
    if (ct_in_call != NULL) {
        ct_violation(rig, "RT-4: an event of the stream below ran inside the call of %s",
                     ct_in_call);
    }
    ct_in_call = NULL;
    rig->in_lower++;
    return event;
}

static void end_event(struct ct_rig *rig, struct event event)
{
    rig->in_lower--;
    ct_in_call = event.outer_call;
}

void ct_lower_on_data(struct ct_lower *lower, const void *slice, size_t bytes)
{
    struct ct_rig *rig = lower->upper->rig;
    if (lower->phase == DIALLED) { /* else on its way when it was closed */
        struct event event = begin_event(rig);
        rig->lower_events.on_data(lower->upper->state, slice, bytes);
        end_event(rig, event);
    }
}

void ct_lower_on_done(struct ct_lower *lower, int op, int code, size_t bytes)
{
    struct ct_rig *rig = lower->upper->rig;
    struct event event = begin_event(rig);
    lower->inflight &= ~(unsigned)op;
    rig->lower_events.on_done(lower->upper->state, op, code, bytes);
    end_event(rig, event);
}

void ct_lower_on_closed(struct ct_lower *lower)
{
    struct ct_rig *rig = lower->upper->rig;
    struct event event = begin_event(rig);
    lower->phase = IDLE;
    ct_block_zero(lower->state);
    rig->lower_events.on_closed(lower->upper->state);
    end_event(rig, event);
}

/* ---- the end of a turn ---- */

static int stay(struct ct_task *task)
{
    (void)task;
    return 0;
}

/* What was asked for outside of a turn, or too late in one, makes one. */
static void make_a_turn(struct ct_rig *rig)
{
    const char *outer = ct_in_call;
    if (rig->lower_task == NULL) {
        rig->lower_task = ct_task_new(rig, stay, NULL);
        rig->lower_task->own = true;
        ct_spawn(rig->lower_task);
    } else {
        ct_wake(rig->lower_task);
    }
    ct_in_call = outer;
}

void ct_lower_turn_end(struct ct_rig *rig)
{
    for (struct ct_stream *stream = rig->streams; stream != NULL; stream = stream->next) {
        struct ct_lower *lower = stream->lower;
        if (lower != NULL && lower->wants_later) {
            struct event event = begin_event(rig);
            lower->wants_later = false;
            rig->lower_events.on_later(stream->state);
            end_event(rig, event);
        }
        lower = stream->lower; /* it may have said on_closed */
        if (lower != NULL && lower->closes_idle) {
            struct event event = begin_event(rig);
            lower->closes_idle = false;
            rig->lower_events.on_closed(stream->state);
            end_event(rig, event);
        }
    }
}

/* ---- the table ---- */

static int attach(void *ctx, const struct aioduct_lower_events *events)
{
    struct ct_rig *rig = ctx;
    struct aioduct_lower_events copy = {0};
    memcpy(&copy, events, events->size < sizeof copy ? events->size : sizeof copy);
    if (!rig->setup) {
        ct_violation(rig, "PL-10: attach after open");
    }
    if (copy.on_data == NULL || copy.on_done == NULL || copy.on_closed == NULL) {
        return -EINVAL;
    }
    rig->lower_events = copy;
    return 0;
}

static int dial(void *ctx, struct aioduct_stream *stream,
                const struct aioduct_socket_config *config)
{
    struct ct_rig *rig = ctx;
    struct ct_lower *lower = below(stream);
    if (lower->phase != IDLE || lower->closes_idle) {
        return lower->inflight & AIODUCT_OP_CONNECT || lower->closes_idle ? -EBUSY : -EISCONN;
    }
    int code = base(lower)->connect(rig->base, opaque_of(lower), lower->state, config);
    if (code == AIODUCT_PENDING) {
        lower->phase = DIALLED;
        lower->inflight = AIODUCT_OP_CONNECT;
    }
    return code;
}

/* -> 0: it may begin */
static int begin_op(struct ct_lower *lower, unsigned op)
{
    if (lower->phase != DIALLED) {
        return -ENOTCONN;
    }
    return lower->inflight & op ? -EBUSY : 0;
}

static int recv_start(void *ctx, struct aioduct_stream *stream)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    int code = begin_op(lower, AIODUCT_OP_RECV);
    code = code < 0 ? code : base(lower)->recv_start(lower->state);
    lower->inflight |= code == 0 ? AIODUCT_OP_RECV : 0;
    return code;
}

static void recv_stop(void *ctx, struct aioduct_stream *stream)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    if (lower->phase == DIALLED) {
        base(lower)->recv_stop(lower->state);
    }
}

static void recv_at(void *ctx, struct aioduct_stream *stream, void *place, size_t bytes)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    if (lower->phase == DIALLED && base(lower)->recv_at != NULL) {
        base(lower)->recv_at(lower->state, place, bytes);
    }
}

static int send_pieces(void *ctx, struct aioduct_stream *stream, const struct iovec *pieces,
                       unsigned count)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    int code = begin_op(lower, AIODUCT_OP_SEND);
    code = code < 0 ? code : base(lower)->send(lower->state, pieces, count);
    lower->inflight |= code == AIODUCT_PENDING ? AIODUCT_OP_SEND : 0;
    return code;
}

static int send_piece(void *ctx, struct aioduct_stream *stream, int fd, int64_t offset,
                      size_t bytes)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    int code = begin_op(lower, AIODUCT_OP_SEND);
    code = code < 0 ? code
           : base(lower)->send_file == NULL
               ? AIODUCT_E_UNSUPPORTED
               : base(lower)->send_file(lower->state, fd, offset, bytes);
    lower->inflight |= code == AIODUCT_PENDING ? AIODUCT_OP_SEND : 0;
    return code;
}

static int end_sending(void *ctx, struct aioduct_stream *stream)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    int code = begin_op(lower, AIODUCT_OP_SHUTDOWN);
    code = code < 0 ? code : base(lower)->shutdown(lower->state);
    lower->inflight |= code == AIODUCT_PENDING ? AIODUCT_OP_SHUTDOWN : 0;
    return code;
}

static void cancel(void *ctx, struct aioduct_stream *stream, unsigned ops)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    if (lower->phase == DIALLED) {
        base(lower)->cancel(lower->state, ops);
    }
}

static void hang_up(void *ctx, struct aioduct_stream *stream)
{
    struct ct_lower *lower = below(stream);
    if (lower->phase == DIALLED) {
        lower->phase = CLOSING;
        base(lower)->stream_close(lower->state);
    } else if (lower->phase == IDLE) {
        lower->closes_idle = true;
        make_a_turn(ctx);
    }
}

static int info(void *ctx, struct aioduct_stream *stream, struct aioduct_stream_info *out)
{
    struct ct_lower *lower = below(stream);
    (void)ctx;
    return lower->phase != DIALLED            ? -ENOTCONN
           : base(lower)->stream_info == NULL ? AIODUCT_E_UNSUPPORTED
                                              : base(lower)->stream_info(lower->state, out);
}

static void later(void *ctx, struct aioduct_stream *stream)
{
    struct ct_rig *rig = ctx;
    if (rig->lower_events.on_later == NULL) {
        ct_violation(rig, "CX-1: later without an on_later");
        return;
    }
    below(stream)->wants_later = true;
    make_a_turn(rig);
}

const struct aioduct_host_lower *ct_lower_table(struct ct_rig *rig)
{
    static struct aioduct_host_lower table = {
        .size = sizeof table,
        .attach = attach,
        .connect = dial,
        .recv_start = recv_start,
        .recv_stop = recv_stop,
        .send = send_pieces,
        .shutdown = end_sending,
        .cancel = cancel,
        .close = hang_up,
        .info = info,
        .later = later,
        .send_file = send_piece,
        .recv_at = recv_at,
    };
    if (rig->subject->base == NULL) {
        return NULL;
    }
    table.flags = rig->subject->base->flags & (AIODUCT_BIND_SEND | AIODUCT_BIND_LOCAL);
    return &table;
}
