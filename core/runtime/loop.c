/* SPDX-License-Identifier: MIT */
/* Opening, driving and closing an instance of a runtime; the host table that it sees. */
#include "runtime/loop.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/config.h"
#include "runtime/calls.h"
#include "runtime/loop_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- fork and threads ---- */

static _Atomic unsigned fork_generation = 1;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void on_fork_child(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, on_fork_child);
}

unsigned ad_runtime_fork_generation(void)
{
    return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

const void *ad_runtime_thread_token(void)
{
    static _Thread_local char token;
    return &token;
}

static bool forked(const struct ad_loop *loop)
{
    return loop->fork_generation != ad_runtime_fork_generation();
}

bool ad_loop_is_current(const struct ad_loop *loop)
{
    const void *me = ad_runtime_thread_token();
    return loop->owner_thread == me ||
           atomic_load_explicit(&loop->driver, memory_order_relaxed) == me;
}

/* 0, or why the calling thread may not drive the loop even if nobody does. */
static int check_owner(const struct ad_loop *loop, const void *me)
{
    if (forked(loop)) {
        return AIODUCT_E_FORKED;
    }
    if (loop->local && loop->owner_thread != me) {
        return AIODUCT_E_THREAD;
    }
    bool elsewhere = loop->adopted && atomic_load_explicit(&loop->home, memory_order_relaxed) != me;
    return elsewhere ? AIODUCT_E_THREAD : 0;
}

int ad_loop_check_thread(const struct ad_loop *loop)
{
    const void *me = ad_runtime_thread_token();
    const void *driver = atomic_load_explicit(&loop->driver, memory_order_relaxed);
    int code = check_owner(loop, me);
    return code < 0 || driver == NULL || driver == me ? code : AIODUCT_E_THREAD;
}

int ad_loop_claim(struct ad_loop *loop)
{
    const void *me = ad_runtime_thread_token();
    const void *driver = NULL;
    int code = check_owner(loop, me);
    if (code < 0) {
        return code;
    }
    if (!atomic_compare_exchange_strong_explicit(&loop->driver, &driver, me, memory_order_acquire,
                                                 memory_order_relaxed) &&
        driver != me) {
        return AIODUCT_E_THREAD;
    }
    loop->claims++;
    return 0;
}

void ad_loop_unclaim(struct ad_loop *loop)
{
    AD_ASSERT(loop->claims > 0);
    if (--loop->claims == 0) {
        loop->now_ns = 0;
        atomic_store_explicit(&loop->driver, NULL, memory_order_release);
    }
}

void ad_loop_step_in(struct ad_loop *loop)
{
    const void *me = ad_runtime_thread_token();
    if (atomic_load_explicit(&loop->driver, memory_order_relaxed) == me) {
        return; /* block_on and the like: claimed already */
    }
    /* A child that runs its copy of the loop reads its parent's bytes: better no child. */
    AD_ASSERT(!forked(loop));
    atomic_store_explicit(&loop->home, me, memory_order_relaxed);
    int code = ad_loop_claim(loop);
    AD_ASSERT(code == 0);
    loop->stepped_in = true;
}

void ad_loop_step_out(struct ad_loop *loop)
{
    if (loop->stepped_in) {
        loop->stepped_in = false;
        ad_loop_unclaim(loop);
    }
}

/* ---- the host table ---- */

static void *host_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    (void)ctx;
    if (bytes == 0) {
        ad_free(old);
        return NULL;
    }
    if (align > _Alignof(max_align_t)) {
        /* Nothing of ours grows an over-aligned block, and realloc could not keep the alignment. */
        return old == NULL ? ad_zalloc_aligned(bytes, align) : NULL;
    }
    return old == NULL ? ad_zalloc(bytes) : ad_realloc(old, bytes);
}

static void host_log(void *ctx, int level, const char *message)
{
    const struct ad_loop *loop = ctx;
    ad_logf(level, "%s: %s", loop->plugin->name, message);
}

static void host_error(void *ctx, int code, const char *message)
{
    struct ad_loop *loop = ctx;
    (void)code;
    /* The text belongs to the call that is failing on the loop's thread; from elsewhere it is a log
     * line. */
    if (!ad_loop_is_current(loop)) {
        host_log(ctx, AIODUCT_LOG_ERROR, message);
        return;
    }
    size_t bytes = strnlen(message, sizeof loop->plugin_error - 1);
    memcpy(loop->plugin_error, message, bytes);
    loop->plugin_error[bytes] = '\0';
}

static const char *host_option(void *ctx, const char *key)
{
    const struct ad_loop *loop = ctx;
    return loop->config == NULL
               ? NULL
               : ad_config_option(loop->config, AD_KIND_RUNTIME, loop->plugin->name, key);
}

static int host_is_loop_thread(void *ctx)
{
    return ad_loop_is_current(ctx);
}

static const void *host_get_interface(void *ctx, const char *id)
{
    (void)ctx;
    (void)id;
    return NULL; /* minor 0 has no further services */
}

/* What a burst has needed. */
static void give_back(struct ad_loop *loop)
{
    if (loop->spare_small_buf_count + loop->spare_buf_count > 0) {
        ad_loop_bufs_trim(loop);
    }
    ad_deadlines_trim(loop);
    if (loop->when_quiet != NULL) {
        loop->when_quiet->run(loop->when_quiet);
    }
}

/* Rounds of hooks that wake each other in one turn; what remains runs in the next, which is made to
 * come. */
#define HOOK_ROUNDS_MAX 8

static void host_turn_end(void *ctx)
{
    struct ad_loop *loop = ctx;
    ad_loop_enter(loop);
    bool quiet = !loop->heard && loop->deferred == NULL && ad_list_empty(&loop->hooks);
    for (int round = 0; round < HOOK_ROUNDS_MAX && !ad_list_empty(&loop->hooks); round++) {
        struct ad_list now;
        struct ad_list *node;
        ad_list_init(&now);
        ad_list_splice_back(&now, &loop->hooks);
        while ((node = ad_list_pop_front(&now)) != NULL) {
            struct ad_turn_hook *hook = AD_CONTAINER_OF(node, struct ad_turn_hook, node);
            hook->run(hook);
        }
    }
    if (!ad_list_empty(&loop->hooks)) {
        ad_task_wake(loop->mailbox);
    }
    while (loop->deferred != NULL) {
        struct ad_deferred *d = loop->deferred;
        loop->deferred = d->next;
        d->release(d);
    }
    if (quiet) {
        give_back(loop);
    }
    loop->heard = false;
    loop->now_ns = 0;
    ad_loop_leave(loop);
}

static const struct aioduct_host host_template = {
    .size = sizeof(struct aioduct_host),
    .abi_major = AIODUCT_ABI_MAJOR,
    .abi_minor = AIODUCT_ABI_MINOR,
    .alloc = host_alloc,
    .log = host_log,
    .error = host_error,
    .option = host_option,
    .task_run = ad_task_run,
    .timer_fired = ad_deadline_fire,
    .turn_end = host_turn_end,
    .on_data = ad_stream_on_data,
    .on_done = ad_stream_on_done,
    .on_closed = ad_stream_on_closed,
    .is_loop_thread = host_is_loop_thread,
    .get_interface = host_get_interface,
};

/* ---- life ---- */

void *ad_runtime_alloc_pair(size_t core_bytes, const struct aioduct_layout *layout,
                            void **out_state)
{
    size_t align = layout->align < _Alignof(max_align_t) ? _Alignof(max_align_t) : layout->align;
    size_t offset = (core_bytes + align - 1) / align * align;
    uint8_t *block = align == _Alignof(max_align_t)
                         ? ad_zalloc(offset + layout->bytes)
                         : ad_zalloc_aligned(offset + layout->bytes, align);
    if (block != NULL) {
        *out_state = block + offset;
    }
    return block;
}

static int open_failed(struct ad_loop *loop, int code, const char *what,
                       struct aioduct_error *error)
{
    const char *said = loop->plugin_error;
    unsigned line = ad_config_line_of(loop->config, AD_KIND_RUNTIME, loop->plugin->name, said);
    if (line != 0) {
        ad_error_set(error, AIODUCT_E_CONFIG, AIODUCT_PHASE_SETUP, "%s:%u: runtime '%s': %s",
                     ad_config_path(loop->config), line, loop->plugin->name, said);
        return AIODUCT_E_CONFIG;
    }
    return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "runtime '%s': %s failed: %s",
                        loop->plugin->name, what,
                        said[0] != '\0' ? said : aioduct_error_text(code));
}

/* ---- connectors ---- */

static bool uses_own_connector(const struct ad_loop *loop)
{
    return loop->chain == NULL || loop->chain[loop->cx_count - 1].plugin == loop->plugin;
}

static void close_connectors(struct ad_loop *loop)
{
    ad_chain_close(loop);
    if (uses_own_connector(loop)) {
        loop->plugin->connector.close(loop->own_cx);
    }
}

static int open_connectors(struct ad_loop *loop, struct aioduct_error *error)
{
    const struct aioduct_connector *own = &loop->plugin->connector;
    loop->connector = own;
    loop->cx = loop->own_cx;
    int code = uses_own_connector(loop) ? own->open(loop->own_cx, &loop->host, loop->rt) : 0;
    if (code < 0) {
        return open_failed(loop, code, "opening the connector", error);
    }
    code = ad_chain_open(loop, error);
    if (code < 0) {
        close_connectors(loop);
    }
    return code;
}

/* One block a stream: the core's half, the connector's, and those of streams below it. */
static void lay_out_streams(struct ad_loop *loop)
{
    const struct aioduct_layout *layout =
        loop->chain == NULL ? &loop->plugin->connector.stream : &loop->chain[0].table->stream;
    const size_t least = _Alignof(struct ad_stream);
    size_t align = layout->align < least ? least : layout->align;
    loop->stream_align = align;
    loop->stream_state = (sizeof(struct ad_stream) + align - 1) / align * align;
    size_t bytes = layout->bytes; /* a stream that the plugin never knew needs some of it, too */
    bytes = bytes < sizeof(struct ad_stream_unknown) ? sizeof(struct ad_stream_unknown) : bytes;
    loop->stream_bytes = loop->stream_state + bytes;
    ad_chain_lay_out(loop);
}

/* ---- opening ---- */

static int open_plugin(struct ad_loop *loop, const struct aioduct_foreign *foreign,
                       struct aioduct_error *error)
{
    const struct ad_plugin *plugin = loop->plugin;
    const struct aioduct_layout *timer =
        plugin->caps & AD_CAP_POLL ? &plugin->poll.timer : &plugin->local.timer;

    loop->rt = ad_zalloc_aligned(plugin->runtime.rt.bytes, plugin->runtime.rt.align);
    if (uses_own_connector(loop)) {
        loop->own_cx =
            ad_zalloc_aligned(plugin->connector.cx.bytes + 1, plugin->connector.cx.align);
    }
    loop->timer = ad_runtime_alloc_pair(sizeof *loop->timer, timer, &loop->timer_state);
    if (loop->rt == NULL || loop->timer == NULL ||
        (loop->own_cx == NULL && uses_own_connector(loop))) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    loop->timer->loop = loop;
    int code = plugin->runtime.open(loop->rt, &loop->host, foreign);
    if (code < 0) {
        return open_failed(loop, code, "open", error);
    }
    code = open_connectors(loop, error);
    if (code < 0) {
        plugin->runtime.close(loop->rt);
        return code;
    }
    code = ad_config_check_options(loop->config, AD_KIND_RUNTIME, plugin->name, error);
    if (code == 0 && (code = ad_mailbox_open(loop)) < 0) {
        open_failed(loop, code, "starting the mailbox task", error);
    }
    if (code < 0) {
        close_connectors(loop);
        plugin->runtime.close(loop->rt);
    }
    return code;
}

static void free_loop(struct ad_loop *loop)
{
    ad_mailbox_close(loop);
    ad_stream_spares_free(loop);
    ad_loop_bufs_free(loop);
    ad_chain_free(loop);
    ad_free(loop->heap);
    ad_free(loop->timer);
    ad_free(loop->own_cx);
    ad_free(loop->rt);
    ad_free(loop);
}

int ad_loop_create(const struct ad_plugin *plugin, const struct ad_config *config,
                   struct ad_loop **out, struct aioduct_error *error)
{
    const struct ad_loop_params params = {.plugin = plugin, .config = config};
    return ad_loop_open(&params, out, error);
}

int ad_loop_open(const struct ad_loop_params *params, struct ad_loop **out,
                 struct aioduct_error *error)
{
    const struct ad_plugin *plugin = params->plugin;
    AD_ASSERT((plugin->caps & AD_CAP_RUNTIME) && (plugin->caps & AD_CAP_CONNECTOR));
    AD_ASSERT(plugin->caps & (AD_CAP_POLL | AD_CAP_LOCAL));
    pthread_once(&fork_once, watch_forks);

    struct ad_loop *loop = ad_zalloc(sizeof *loop);
    if (loop == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    loop->plugin = ad_calls_plugin(plugin);
    if (loop->plugin == NULL) {
        ad_free(loop);
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    loop->config = params->config;
    loop->host = host_template;
    loop->host.ctx = loop;
    loop->local = (plugin->caps & AD_CAP_POLL) == 0;
    loop->owner_thread = loop->local ? ad_runtime_thread_token() : NULL;
    loop->adopted = params->foreign != NULL;
    loop->by_name = (plugin->connector.flags & AIODUCT_CX_BY_NAME) != 0;
    atomic_init(&loop->home, ad_runtime_thread_token());
    loop->fork_generation = ad_runtime_fork_generation();
    ad_list_init(&loop->hooks);

    int code = ad_loop_claim(loop);
    AD_ASSERT(code == 0);
    code = ad_chain_prepare(loop, params->chain, error);
    if (code == 0) {
        lay_out_streams(loop);
        code = open_plugin(loop, params->foreign, error);
    }
    ad_loop_unclaim(loop);
    if (code < 0) {
        free_loop(loop);
        return code;
    }
    *out = loop;
    return 0;
}

void ad_loop_destroy(struct ad_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (forked(loop)) {
        return; /* descriptors and kernel objects are the parent's too: touch nothing, leak it all
                 */
    }
    AD_ASSERT(loop->depth == 0);
    int code = ad_loop_claim(loop);
    AD_ASSERT(code == 0);
    ad_posters_wait(loop);
    ad_posts_run(loop);
    host_turn_end(loop); /* deferred memory of calls made outside turns */
    if (loop->timer_ns != 0) {
        if (loop->local) {
            loop->plugin->local.sleep_cancel(loop->rt, loop->timer, loop->timer_state);
        } else {
            loop->plugin->poll.sleep_cancel(loop->rt, loop->timer, loop->timer_state);
        }
    }
    close_connectors(loop);
    loop->plugin->runtime.close(loop->rt);
    free_loop(loop);
}

/* ---- driving ---- */

static int begin_drive(struct ad_loop *loop)
{
    if (loop->fork_generation == ad_runtime_fork_generation() && ad_loop_is_current(loop) &&
        loop->depth > 0) {
        return AIODUCT_E_NESTED;
    }
    return ad_loop_claim(loop);
}

int ad_loop_block_on(struct ad_loop *loop, struct ad_task *root)
{
    AD_ASSERT(root->loop == loop && !root->ready);
    int code = begin_drive(loop);
    if (code < 0) {
        return code;
    }
    root->handed = true;
    code =
        loop->plugin->runtime.block_on(loop->rt, (struct aioduct_task *)(void *)root, root->state);
    if (code < 0) {
        root->handed = false; /* the runtime gave it up */
    }
    ad_loop_unclaim(loop);
    return code;
}

int ad_loop_turn(struct ad_loop *loop, int64_t timeout_ns)
{
    int code = begin_drive(loop);
    if (code < 0) {
        return code;
    }
    code = loop->plugin->runtime.turn(loop->rt, timeout_ns);
    ad_loop_unclaim(loop);
    return code;
}

int ad_loop_poll_fd(struct ad_loop *loop)
{
    int code = ad_loop_claim(loop);
    if (code < 0) {
        return code;
    }
    code = loop->plugin->runtime.poll_fd(loop->rt);
    ad_loop_unclaim(loop);
    return code;
}

/* ---- adopted loops ---- */

bool ad_loop_is_adopted(const struct ad_loop *loop)
{
    return loop->adopted;
}

int ad_loop_settle(struct ad_loop *loop)
{
    int code = begin_drive(loop);
    if (code < 0) {
        return code;
    }
    code = loop->plugin->foreign.settle(loop->rt);
    ad_loop_unclaim(loop);
    return code;
}

void ad_loop_leave_then(struct ad_loop *loop, void (*gone)(void *arg), void *arg)
{
    AD_ASSERT(loop->adopted && ad_loop_in_turn(loop));
    loop->plugin->foreign.leave(loop->rt, gone, arg);
}

void ad_loop_abandon(struct ad_loop *loop)
{
    AD_ASSERT(loop->adopted && forked(loop));
    loop->plugin->foreign.abandon(loop->rt);
}

int ad_loop_complete(struct ad_loop *loop, uint64_t user_data, int32_t result, uint32_t flags)
{
    int code = begin_drive(loop);
    if (code < 0) {
        return code;
    }
    code = loop->plugin->foreign.complete(loop->rt, user_data, result, flags);
    ad_loop_unclaim(loop);
    return code;
}

int ad_loop_prepare(struct ad_loop *loop)
{
    int code = begin_drive(loop);
    if (code < 0) {
        return code;
    }
    code = loop->plugin->foreign.prepare(loop->rt);
    ad_loop_unclaim(loop);
    return code;
}

bool ad_loop_in_turn(const struct ad_loop *loop)
{
    return ad_loop_is_current(loop) && loop->depth > 0;
}

uint64_t ad_loop_now_ns(struct ad_loop *loop)
{
    if (loop->now_ns != 0) {
        return loop->now_ns;
    }
    uint64_t now_ns = loop->plugin->runtime.now_ns(loop->rt);
    if (loop->depth > 0) {
        loop->now_ns = now_ns;
    }
    return now_ns;
}

const struct ad_plugin *ad_loop_plugin(const struct ad_loop *loop)
{
    return loop->plugin;
}

bool ad_loop_dials_by_name(const struct ad_loop *loop)
{
    return loop->by_name;
}

const char *ad_loop_plugin_error(const struct ad_loop *loop)
{
    return loop->plugin_error;
}

void ad_loop_plugin_error_clear(struct ad_loop *loop)
{
    loop->plugin_error[0] = '\0';
}

/* ---- end of turn ---- */

void ad_loop_when_quiet(struct ad_loop *loop, struct ad_turn_hook *hook)
{
    loop->when_quiet = hook;
}

void ad_loop_at_turn_end(struct ad_loop *loop, struct ad_turn_hook *hook)
{
    if (!ad_list_empty(&hook->node)) {
        return;
    }
    ad_list_push_back(&loop->hooks, &hook->node);
    if (loop->depth == 0) {
        ad_task_wake(loop->mailbox); /* outside turns: make one come */
    }
}

void ad_loop_defer(struct ad_loop *loop, struct ad_deferred *deferred)
{
    deferred->next = loop->deferred;
    loop->deferred = deferred;
    if (loop->depth == 0) {
        ad_task_wake(loop->mailbox);
    }
}
