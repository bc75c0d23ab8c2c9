/* SPDX-License-Identifier: MIT */
/*
 * Connectors on top of each other. A stream of the loop is one block: the core's half of the
 * outermost stream and that connector's state, then for each connector below a link, which is the
 * core's half of its stream, and its state. A link stands for the core towards the connector below
 * it, and for that connector towards the layer above: it checks on the way down what stream.c
 * checks for the engine, and on the way up what the host table does.
 *
 * A loop without connectors of its client has none of this: its streams are those of the runtime's
 * connector, and nothing here runs.
 */
#include "runtime/chain.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/config.h"
#include "runtime/calls.h"
#include "runtime/loop_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum link_phase { LINK_IDLE, LINK_DIALLED, LINK_CLOSING };

struct ad_link {
    struct ad_cx *layer; /* whose stream this is the lower one of */
    void *upper;         /* the layer's state */
    void *state;         /* of the connector below */
    enum link_phase phase;
    unsigned inflight;               /* AIODUCT_OP_* */
    struct ad_turn_hook closed_hook; /* on_closed of a stream that was not dialled */
    struct ad_turn_hook later_hook;
};

/* ---- where things are in the block ---- */

static struct ad_link *link_below(const struct ad_cx *cx, struct aioduct_stream *stream)
{
    struct ad_link *link = (struct ad_link *)(void *)((uint8_t *)stream + cx->link_offset);
    AD_DEBUG_ASSERT(link->layer == cx);
    return link;
}

static struct aioduct_stream *opaque(struct ad_link *link)
{
    return (struct aioduct_stream *)(void *)link;
}

static size_t align_up(size_t bytes, size_t align)
{
    return (bytes + align - 1) / align * align;
}

/* The links and their states behind a block of @bytes, whose last thing is the outermost state. */
static void lay_out(struct ad_loop *loop)
{
    size_t at = loop->stream_bytes, core_half = 0;
    for (unsigned i = 0; i + 1 < loop->cx_count; i++) {
        struct ad_cx *cx = &loop->chain[i];
        const struct aioduct_layout *below = &cx[1].table->stream;
        size_t link = align_up(at, _Alignof(struct ad_link));
        size_t state = align_up(link + sizeof(struct ad_link), below->align);
        cx->link_offset = link - core_half;
        cx->link_state_offset = state - link;
        core_half = link;
        at = state + below->bytes;
        if (below->align > loop->stream_align) {
            loop->stream_align = below->align;
        }
    }
    loop->stream_bytes = at;
}

/* ---- a layer's calls downwards ---- */

static bool is_usable(const struct ad_link *link)
{
    return link->phase == LINK_DIALLED;
}

static int begin(struct ad_link *link, unsigned op)
{
    if (!is_usable(link)) {
        return -ENOTCONN;
    }
    if (link->inflight & op) {
        return -EBUSY;
    }
    link->inflight |= op;
    return 0;
}

/* What the connector below answered to an operation that may finish later. */
static int accepted(struct ad_link *link, unsigned op, int code)
{
    AD_ASSERT(code <= AIODUCT_PENDING);
    if (code != AIODUCT_PENDING) {
        link->inflight &= ~op;
    }
    return code;
}

static const struct aioduct_connector *below(const struct ad_link *link)
{
    return link->layer[1].table;
}

static int lower_attach(void *ctx, const struct aioduct_lower_events *events)
{
    struct ad_cx *cx = ctx;
    struct aioduct_lower_events copy = {0};
    size_t bytes = events->size < sizeof copy ? events->size : sizeof copy;
    memcpy(&copy, events, bytes);
    if (copy.on_data == NULL || copy.on_done == NULL || copy.on_closed == NULL) {
        return -EINVAL;
    }
    cx->events = copy;
    return 0;
}

static int lower_connect(void *ctx, struct aioduct_stream *stream,
                         const struct aioduct_socket_config *config)
{
    struct ad_cx *cx = ctx;
    struct ad_link *link = link_below(cx, stream);
    AD_DEBUG_ASSERT(ad_loop_is_current(cx->loop));
    if (link->phase != LINK_IDLE) {
        return link->inflight & AIODUCT_OP_CONNECT ? -EBUSY : -EISCONN;
    }
    if (!ad_list_empty(&link->closed_hook.node)) {
        return -EBUSY; /* being closed, though it was not dialled */
    }
    int code = below(link)->connect(cx[1].state, opaque(link), link->state, config);
    AD_ASSERT(code == AIODUCT_PENDING || code < 0);
    if (code < 0) {
        ad_chain_stream_over(cx + 1, opaque(link));
        return code;
    }
    link->phase = LINK_DIALLED;
    link->inflight = AIODUCT_OP_CONNECT;
    return code;
}

static int lower_recv_start(void *ctx, struct aioduct_stream *stream)
{
    struct ad_link *link = link_below(ctx, stream);
    int code = begin(link, AIODUCT_OP_RECV);
    if (code < 0) {
        return code;
    }
    code = below(link)->recv_start(link->state);
    AD_ASSERT(code <= 0);
    if (code < 0) {
        link->inflight &= ~(unsigned)AIODUCT_OP_RECV;
    }
    return code;
}

static void lower_recv_stop(void *ctx, struct aioduct_stream *stream)
{
    struct ad_link *link = link_below(ctx, stream);
    if (is_usable(link) && (link->inflight & AIODUCT_OP_RECV)) {
        below(link)->recv_stop(link->state);
    }
}

static void lower_recv_at(void *ctx, struct aioduct_stream *stream, void *memory, size_t bytes)
{
    struct ad_link *link = link_below(ctx, stream);
    if (is_usable(link) && (link->inflight & AIODUCT_OP_RECV)) {
        below(link)->recv_at(link->state, memory, bytes);
    }
}

static int lower_send(void *ctx, struct aioduct_stream *stream, const struct iovec *pieces,
                      unsigned count)
{
    struct ad_link *link = link_below(ctx, stream);
    int code = begin(link, AIODUCT_OP_SEND);
    return code < 0
               ? code
               : accepted(link, AIODUCT_OP_SEND, below(link)->send(link->state, pieces, count));
}

static int lower_send_file(void *ctx, struct aioduct_stream *stream, int fd, int64_t offset,
                           size_t bytes)
{
    struct ad_link *link = link_below(ctx, stream);
    int code = begin(link, AIODUCT_OP_SEND);
    if (code < 0) {
        return code;
    }
    code = below(link)->send_file(link->state, fd, offset, bytes);
    AD_ASSERT(code != AIODUCT_DONE);
    return accepted(link, AIODUCT_OP_SEND, code);
}

static int lower_shutdown(void *ctx, struct aioduct_stream *stream)
{
    struct ad_link *link = link_below(ctx, stream);
    int code = begin(link, AIODUCT_OP_SHUTDOWN);
    return code < 0 ? code
                    : accepted(link, AIODUCT_OP_SHUTDOWN, below(link)->shutdown(link->state));
}

static void lower_cancel(void *ctx, struct aioduct_stream *stream, unsigned ops)
{
    struct ad_link *link = link_below(ctx, stream);
    ops &= link->inflight;
    if (is_usable(link) && ops != 0) {
        below(link)->cancel(link->state, ops);
    }
}

static void lower_close(void *ctx, struct aioduct_stream *stream)
{
    struct ad_cx *cx = ctx;
    struct ad_link *link = link_below(cx, stream);
    AD_DEBUG_ASSERT(ad_loop_is_current(cx->loop));
    if (link->phase == LINK_DIALLED) {
        link->phase = LINK_CLOSING;
        below(link)->stream_close(link->state);
    } else if (link->phase == LINK_IDLE) {
        ad_loop_at_turn_end(cx->loop, &link->closed_hook);
    }
}

static int lower_info(void *ctx, struct aioduct_stream *stream, struct aioduct_stream_info *info)
{
    struct ad_link *link = link_below(ctx, stream);
    uint32_t size = info->size;
    memset(info, 0, size);
    info->size = size;
    return is_usable(link) ? below(link)->stream_info(link->state, info) : -ENOTCONN;
}

static void lower_later(void *ctx, struct aioduct_stream *stream)
{
    struct ad_cx *cx = ctx;
    AD_ASSERT(cx->events.on_later != NULL);
    ad_loop_at_turn_end(cx->loop, &link_below(cx, stream)->later_hook);
}

static const struct aioduct_host_lower lower_template = {
    .size = sizeof(struct aioduct_host_lower),
    .attach = lower_attach,
    .connect = lower_connect,
    .recv_start = lower_recv_start,
    .recv_stop = lower_recv_stop,
    .send = lower_send,
    .shutdown = lower_shutdown,
    .cancel = lower_cancel,
    .close = lower_close,
    .info = lower_info,
    .later = lower_later,
    .send_file = lower_send_file,
    .recv_at = lower_recv_at,
};

/* ---- what the connector below says, to the layer above it ---- */

static void on_lower_data(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    struct ad_link *link = (struct ad_link *)(void *)stream;
    struct ad_loop *loop = link->layer->loop;
    (void)ctx;
    AD_ASSERT((link->inflight & AIODUCT_OP_RECV) && bytes > 0);
    if (link->phase == LINK_CLOSING) {
        return; /* on its way when it was closed: nobody wants it */
    }
    loop->heard = true;
    ad_loop_enter(loop);
    link->layer->events.on_data(link->upper, slice, bytes);
    ad_loop_leave(loop);
}

static void on_lower_done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    struct ad_link *link = (struct ad_link *)(void *)stream;
    struct ad_loop *loop = link->layer->loop;
    (void)ctx;
    AD_ASSERT((link->inflight & (unsigned)op) && code <= 0);
    link->inflight &= ~(unsigned)op;
    loop->heard = true;
    if (op == AIODUCT_OP_CONNECT) {
        ad_loop_plugin_error_clear(loop); /* what a layer says now is about this one */
    }
    ad_loop_enter(loop);
    link->layer->events.on_done(link->upper, op, code, bytes);
    ad_loop_leave(loop);
}

static void on_lower_closed(void *ctx, struct aioduct_stream *stream)
{
    struct ad_link *link = (struct ad_link *)(void *)stream;
    struct ad_loop *loop = link->layer->loop;
    (void)ctx;
    AD_ASSERT(link->phase == LINK_CLOSING && link->inflight == 0);
    link->phase = LINK_IDLE;
    memset(link->state, 0, below(link)->stream.bytes);
    if (link->layer + 2 < loop->chain + loop->cx_count) {
        ad_chain_stream_init(link->layer + 1, opaque(link), link->state);
    }
    ad_loop_enter(loop);
    link->layer->events.on_closed(link->upper);
    ad_loop_leave(loop);
}

static void on_never_dialled(struct ad_turn_hook *hook)
{
    struct ad_link *link = AD_CONTAINER_OF(hook, struct ad_link, closed_hook);
    link->layer->events.on_closed(link->upper);
}

static void on_later(struct ad_turn_hook *hook)
{
    struct ad_link *link = AD_CONTAINER_OF(hook, struct ad_link, later_hook);
    link->layer->events.on_later(link->upper);
}

/* ---- streams ---- */

void ad_chain_stream_init(struct ad_cx *cx, struct aioduct_stream *stream, void *state)
{
    const struct ad_cx *last = &cx->loop->chain[cx->loop->cx_count - 1];
    for (; cx < last; cx++) {
        struct ad_link *link = (struct ad_link *)(void *)((uint8_t *)stream + cx->link_offset);
        *link = (struct ad_link){.layer = cx,
                                 .upper = state,
                                 .state = (uint8_t *)link + cx->link_state_offset,
                                 .closed_hook.run = on_never_dialled,
                                 .later_hook.run = on_later};
        ad_list_init(&link->closed_hook.node);
        ad_list_init(&link->later_hook.node);
        stream = opaque(link);
        state = link->state;
    }
}

void ad_chain_stream_over(struct ad_cx *cx, struct aioduct_stream *stream)
{
    if (cx + 1 == cx->loop->chain + cx->loop->cx_count) {
        return;
    }
    struct ad_link *link = link_below(cx, stream);
    AD_ASSERT(link->phase == LINK_IDLE); /* a layer says on_closed after the stream below it */
    ad_list_remove(&link->closed_hook.node);
    ad_list_remove(&link->later_hook.node);
}

/* ---- the host tables ---- */

static void cx_log(void *ctx, int level, const char *message)
{
    const struct ad_cx *cx = ctx;
    ad_logf(level, "%s: %s", cx->plugin->name, message);
}

static void cx_error(void *ctx, int code, const char *message)
{
    struct ad_cx *cx = ctx;
    if (!ad_loop_is_current(cx->loop)) {
        cx_log(ctx, AIODUCT_LOG_ERROR, message);
        return;
    }
    char text[2 * sizeof cx->loop->plugin_error];
    bool more = cx->loop->plugin_error[0] != '\0'; /* by one below, of the same call */
    snprintf(text, sizeof text, "%s%s%s", message, more ? ": " : "",
             more ? cx->loop->plugin_error : "");
    cx->loop->host.error(cx->loop, code, text);
}

static const char *cx_option(void *ctx, const char *key)
{
    const struct ad_cx *cx = ctx;
    return ad_config_option(cx->loop->config, AD_KIND_CONNECTOR, cx->plugin->name, key);
}

static int cx_is_loop_thread(void *ctx)
{
    const struct ad_cx *cx = ctx;
    return ad_loop_is_current(cx->loop);
}

static const void *cx_get_interface(void *ctx, const char *id)
{
    const struct ad_cx *cx = ctx;
    bool layer = (cx->table->flags & AIODUCT_CX_LAYER) != 0;
    return layer && strcmp(id, AIODUCT_IFACE_HOST_LOWER) == 0 ? &cx->lower : NULL;
}

static void no_turn_end(void *ctx)
{
    (void)ctx; /* the runtime's to say */
}

static int no_task_run(void *ctx, struct aioduct_task *task)
{
    (void)ctx;
    (void)task;
    return 1;
}

static void no_timer_fired(void *ctx, struct aioduct_timer *timer)
{
    (void)ctx;
    (void)timer;
}

/* The outermost connector talks to the engine. */
static void on_data(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    ad_stream_on_data(((struct ad_cx *)ctx)->loop, stream, slice, bytes);
}

static void on_done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    ad_stream_on_done(((struct ad_cx *)ctx)->loop, stream, op, code, bytes);
}

static void on_closed(void *ctx, struct aioduct_stream *stream)
{
    struct ad_cx *cx = ctx;
    ad_chain_stream_over(cx, stream);
    ad_stream_on_closed(cx->loop, stream);
}

/* One in the middle, to the layer above it. */
static void on_middle_closed(void *ctx, struct aioduct_stream *stream)
{
    ad_chain_stream_over(ctx, stream);
    on_lower_closed(ctx, stream);
}

static void fill_host(struct ad_cx *cx, bool outermost)
{
    cx->host = cx->loop->host; /* alloc, and how long the table is */
    cx->host.ctx = cx;
    cx->host.log = cx_log;
    cx->host.error = cx_error;
    cx->host.option = cx_option;
    cx->host.task_run = no_task_run;
    cx->host.timer_fired = no_timer_fired;
    cx->host.turn_end = no_turn_end;
    cx->host.on_data = outermost ? on_data : on_lower_data;
    cx->host.on_done = outermost ? on_done : on_lower_done;
    cx->host.on_closed = outermost ? on_closed : on_middle_closed;
    cx->host.is_loop_thread = cx_is_loop_thread;
    cx->host.get_interface = cx_get_interface;
    cx->lower = lower_template;
}

/* ---- opening and closing ---- */

static int open_failed(struct ad_cx *cx, int code, struct aioduct_error *error)
{
    struct ad_loop *loop = cx->loop;
    const char *said = loop->plugin_error, *name = cx->plugin->name;
    unsigned line = ad_config_line_of(loop->config, AD_KIND_CONNECTOR, name, said);
    if (line != 0) {
        return ad_error_set(error, AIODUCT_E_CONFIG, AIODUCT_PHASE_SETUP,
                            "%s:%u: connector '%s': %s", ad_config_path(loop->config), line, name,
                            said);
    }
    return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "connector '%s': open failed: %s", name,
                        said[0] != '\0' ? said : aioduct_error_text(code));
}

/* The binding of @cx, and what it or one below it can do without. */
static uint32_t flags_from(const struct ad_loop *loop, const struct ad_cx *cx)
{
    uint32_t flags = cx->table->flags & (AIODUCT_BIND_SEND | AIODUCT_BIND_LOCAL);
    for (; cx < loop->chain + loop->cx_count; cx++) {
        flags |= cx->table->flags & AIODUCT_CX_BY_NAME;
    }
    return flags;
}

static int open_one(struct ad_cx *cx, struct aioduct_error *error)
{
    struct ad_loop *loop = cx->loop;
    bool layer = (cx->table->flags & AIODUCT_CX_LAYER) != 0;
    cx->state = ad_zalloc_aligned(cx->table->cx.bytes, cx->table->cx.align);
    if (cx->state == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    fill_host(cx, cx == loop->chain);
    if (layer) {
        cx->lower.flags = flags_from(loop, cx + 1);
    }
    ad_loop_plugin_error_clear(loop);
    int code = cx->table->open(cx->state, &cx->host, ad_calls_rt(loop->plugin, loop->rt));
    if (code < 0) {
        return open_failed(cx, code, error);
    }
    if (layer && cx->events.on_data == NULL) {
        code = ad_error_set(error, AIODUCT_E_PLUGIN_INVALID, AIODUCT_PHASE_SETUP,
                            "connector '%s': it is a layer, and attached itself to nothing",
                            cx->plugin->name);
    } else {
        code = ad_config_check_options(loop->config, AD_KIND_CONNECTOR, cx->plugin->name, error);
    }
    if (code < 0) {
        cx->table->close(cx->state);
    }
    cx->is_open = code == 0;
    return code;
}

/* The runtime's own connector, if it is the last: its streams call back to the loop's host. */
static void add_own(struct ad_loop *loop)
{
    struct ad_cx *cx = &loop->chain[loop->cx_count++];
    cx->loop = loop;
    cx->plugin = loop->plugin;
    cx->table = &loop->plugin->connector;
    loop->host.on_data = on_lower_data;
    loop->host.on_done = on_lower_done;
    loop->host.on_closed = on_lower_closed;
}

int ad_chain_prepare(struct ad_loop *loop, const struct ad_chain *chain,
                     struct aioduct_error *error)
{
    if (chain == NULL || chain->count == 0) {
        return 0;
    }
    loop->chain = ad_zalloc((chain->count + 1) * sizeof *loop->chain);
    if (loop->chain == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    for (unsigned i = 0; i < chain->count; i++) {
        struct ad_cx *cx = &loop->chain[loop->cx_count++];
        cx->loop = loop;
        cx->plugin =
            ad_calls_is(loop->plugin, chain->plugins[i]) ? loop->plugin : chain->plugins[i];
        cx->table = &cx->plugin->connector;
    }
    if (loop->chain[chain->count - 1].table->flags & AIODUCT_CX_LAYER) {
        add_own(loop);
    }
    loop->by_name = (flags_from(loop, loop->chain) & AIODUCT_CX_BY_NAME) != 0;
    return 0;
}

int ad_chain_open(struct ad_loop *loop, struct aioduct_error *error)
{
    int code = 0;
    if (loop->chain == NULL) {
        return 0;
    }
    for (unsigned i = loop->cx_count; code == 0 && i-- > 0;) {
        struct ad_cx *cx = &loop->chain[i];
        if (cx->plugin == loop->plugin) {
            cx->state = loop->own_cx;
        } else {
            code = open_one(cx, error);
        }
    }
    if (code < 0) {
        ad_chain_close(loop);
        return code;
    }
    loop->connector = loop->chain[0].table;
    loop->cx = loop->chain[0].state;
    return 0;
}

void ad_chain_lay_out(struct ad_loop *loop)
{
    if (loop->chain != NULL) {
        lay_out(loop);
    }
}

void ad_chain_close(struct ad_loop *loop)
{
    for (unsigned i = 0; i < loop->cx_count; i++) {
        struct ad_cx *cx = &loop->chain[i];
        if (cx->is_open) {
            cx->is_open = false;
            cx->table->close(cx->state);
        }
    }
}

void ad_chain_free(struct ad_loop *loop)
{
    for (unsigned i = 0; i < loop->cx_count; i++) {
        if (loop->chain[i].plugin != loop->plugin) {
            ad_free(loop->chain[i].state);
        }
    }
    ad_free(loop->chain);
}
