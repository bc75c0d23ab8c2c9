/* SPDX-License-Identifier: MIT */
/* The host table of a plugin that has no instance yet. What belongs to a loop answers harmlessly: a
 * probe that calls it is wrong, but must not take the program down. */
#include "plugin/registry.h"

#include "base/log.h"
#include "base/mem.h"
#include "plugin/config.h"
#include "plugin/text.h"

#include <malloc.h>
#include <string.h>

static void *setup_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    (void)ctx;
    if (bytes == 0) {
        ad_free(old);
        return NULL;
    }
    if (align <= _Alignof(max_align_t)) {
        return ad_realloc(old, bytes);
    }
    void *block = ad_zalloc_aligned(bytes, align);
    if (block != NULL && old != NULL) {
        size_t old_bytes = malloc_usable_size(old);
        memcpy(block, old, old_bytes < bytes ? old_bytes : bytes);
        ad_free(old);
    }
    return block;
}

static void setup_log(void *ctx, int level, const char *message)
{
    const struct ad_setup_host *h = ctx;
    char line[512];
    ad_text_copy(line, sizeof line, message);
    ad_logf(level, "%s: %s", h->plugin_name, line);
}

static void setup_error(void *ctx, int code, const char *message)
{
    const struct ad_setup_host *h = ctx;
    ad_plugin_fail(h->error, code, "%s '%s': %s", ad_kind_word(h->kind), h->plugin_name, message);
}

static const char *setup_option(void *ctx, const char *key)
{
    const struct ad_setup_host *h = ctx;
    return ad_config_option(h->config, h->kind, h->plugin_name, key);
}

static void misused(void *ctx, const char *member)
{
    const struct ad_setup_host *h = ctx;
    ad_logf(AD_LOG_ERROR, "%s: called %s before it was opened", h->plugin_name, member);
}

static int no_task_run(void *ctx, struct aioduct_task *task)
{
    (void)task;
    misused(ctx, "task_run");
    return 1;
}

static void no_timer_fired(void *ctx, struct aioduct_timer *timer)
{
    (void)timer;
    misused(ctx, "timer_fired");
}

static void no_turn_end(void *ctx)
{
    misused(ctx, "turn_end");
}

static void no_on_data(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    (void)stream;
    (void)slice;
    (void)bytes;
    misused(ctx, "on_data");
}

static void no_on_done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    (void)stream;
    (void)op;
    (void)code;
    (void)bytes;
    misused(ctx, "on_done");
}

static void no_on_closed(void *ctx, struct aioduct_stream *stream)
{
    (void)stream;
    misused(ctx, "on_closed");
}

static int no_loop_thread(void *ctx)
{
    (void)ctx;
    return 0;
}

static const void *no_interface(void *ctx, const char *id)
{
    (void)ctx;
    (void)id;
    return NULL;
}

void ad_setup_host_init(struct ad_setup_host *h, enum ad_kind kind, const char *plugin_name,
                        const struct ad_config *config, struct aioduct_error *error)
{
    *h = (struct ad_setup_host){
        .host = {.size = sizeof h->host,
                 .abi_major = AIODUCT_ABI_MAJOR,
                 .abi_minor = AIODUCT_ABI_MINOR,
                 .ctx = h,
                 .alloc = setup_alloc,
                 .log = setup_log,
                 .error = setup_error,
                 .option = setup_option,
                 .task_run = no_task_run,
                 .timer_fired = no_timer_fired,
                 .turn_end = no_turn_end,
                 .on_data = no_on_data,
                 .on_done = no_on_done,
                 .on_closed = no_on_closed,
                 .is_loop_thread = no_loop_thread,
                 .get_interface = no_interface},
        .config = config,
        .kind = kind,
        .plugin_name = plugin_name,
        .error = error,
    };
}
