/* SPDX-License-Identifier: MIT */
/* An application on GLib; the runtime that lives in its context is one of the examples. */
#include "embed_app.h"

#include <glib.h>

static GMainLoop *running;
static GSource *ticks, *call;
static void (*call_fn)(void *arg);
static void *call_arg;

static void *create(void)
{
    return g_main_context_new();
}

static void drop(GSource **source)
{
    if (*source != NULL) {
        g_source_destroy(*source);
        g_source_unref(*source);
        *source = NULL;
    }
}

static void destroy(void *loop)
{
    drop(&call);
    g_main_context_unref(loop);
}

static struct aioduct_foreign_loop foreign(void *loop)
{
    return (struct aioduct_foreign_loop){
        .kind = "glibrt", .loop = loop, .witness = (void (*)(void))g_main_context_iteration};
}

static void know(void *loop, struct aioduct_client **slot)
{
    (void)loop;
    (void)slot;
}

static GSource *timer(void *loop, unsigned ms, GSourceFunc fn, void *user)
{
    GSource *source = g_timeout_source_new(ms);
    g_source_set_callback(source, fn, user, NULL);
    g_source_attach(source, loop);
    return source;
}

static void stop(void *loop)
{
    (void)loop;
    if (running != NULL) {
        g_main_loop_quit(running);
    }
}

static gboolean on_limit(gpointer loop)
{
    stop(loop);
    return G_SOURCE_REMOVE;
}

static void run(void *loop)
{
    GSource *limit = timer(loop, 20000, on_limit, loop);
    GMainLoop *outer = running;
    running = g_main_loop_new(loop, FALSE);
    g_main_loop_run(running);
    g_main_loop_unref(running);
    running = outer;
    drop(&limit);
}

static gboolean on_call(gpointer loop)
{
    (void)loop;
    drop(&call); /* it may ask for another */
    call_fn(call_arg);
    return G_SOURCE_REMOVE;
}

static void later(void *loop, unsigned ms, void (*fn)(void *arg), void *arg)
{
    drop(&call);
    call_fn = fn;
    call_arg = arg;
    call = timer(loop, ms, on_call, loop);
}

static gboolean on_tick(gpointer count)
{
    ++*(unsigned *)count;
    return G_SOURCE_CONTINUE;
}

static void start_ticks(void *loop, unsigned *count)
{
    ticks = timer(loop, 1, on_tick, count);
}

static void stop_ticks(void *loop)
{
    (void)loop;
    drop(&ticks);
}

/* A context numbers its sources from 1. */
static bool is_empty(void *loop)
{
    bool empty = call == NULL;
    GSource *last = g_idle_source_new();
    guint end = g_source_attach(last, loop);
    drop(&call);
    for (guint id = 1; id < end; id++) {
        empty = empty && g_main_context_find_source_by_id(loop, id) == NULL;
    }
    drop(&last);
    return empty;
}

static void after_fork(void *loop)
{
    (void)loop; /* GLib asks for nothing */
}

const struct app app_glibrt = {
    .runtime = "glibrt",
    .nests = true,
    .create = create,
    .destroy = destroy,
    .foreign = foreign,
    .know = know,
    .run = run,
    .stop = stop,
    .later = later,
    .start_ticks = start_ticks,
    .stop_ticks = stop_ticks,
    .is_empty = is_empty,
    .after_fork = after_fork,
};
