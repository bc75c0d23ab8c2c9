/* SPDX-License-Identifier: MIT */
/*
 * A runtime on GLib's GMainContext: one of its own, or one of the application. Build it with
 *
 *   cc -std=gnu11 -fPIC -shared -fvisibility=hidden -Wl,-z,defs,-z,now glibrt.c \
 *      $(pkg-config --cflags --libs aioduct-readiness glib-2.0) -o libaioduct-rt-glibrt.so
 *
 * and run any aioduct program with AIODUCT_PLUGIN_PATH=$PWD AIODUCT_RUNTIME=glibrt, or give a
 * client the application's context:
 *
 *   options.loop = (struct aioduct_foreign_loop){
 *       "glibrt", g_main_context_default(), (void (*)(void))g_main_context_iteration};
 *
 * GLib waits with poll(2): there is no descriptor that stands for the loop, nothing in the kernel
 * that a fork shares, and much to do for a thousand connections. */
#include <aioduct/plugin/plugin.h>
#include <aioduct/plugin/readiness.h>

#include <glib.h>
#include <stdbool.h>

enum { CONTEXT_DESCRIPTORS = 1 }; /* GLib ends the process if it finds none */

/* A source of ours: what it reports to is behind GLib's part. */
struct source {
    GSource base; /* first */
    void *about;  /* its watch, or the runtime */
    GPollFD fd;
};

struct glib_stream {
    struct aioduct_readiness_stream base; /* first */
    struct source *watcher;               /* second: NULL while the descriptor is not watched */
};

struct glib_rt {
    struct aioduct_readiness base; /* first */
    GMainContext *context;
    struct source *own[2]; /* of the library's own descriptors */
    struct source *limit;  /* is due at... */
    uint64_t limit_ns;
    bool round; /* adopted: a turn has begun, so it is due now */
};

/* The source belongs to the context from here on; destroying it there is its end. */
static struct source *add_source(struct glib_rt *rt, GSourceFuncs *functions, void *about)
{
    GSource *source = g_source_new(functions, sizeof(struct source));
    struct source *ours = (struct source *)source;
    ours->about = about;
    g_source_set_can_recurse(source, TRUE); /* else GLib wakes itself up around each dispatch */
    g_source_attach(source, rt->context);
    g_source_unref(source);
    return ours;
}

/* ---- watch a descriptor ---- */

static gboolean is_ready(GSource *base)
{
    return ((struct source *)base)->fd.revents != 0;
}

static gboolean on_ready(GSource *base, GSourceFunc function, gpointer user)
{
    (void)function;
    (void)user;
    const struct source *source = (struct source *)base;
    unsigned found = source->fd.revents;
    bool failed = (found & (G_IO_ERR | G_IO_HUP | G_IO_NVAL)) != 0;
    aioduct_readiness_ready(source->about, (found & G_IO_IN || failed ? AIODUCT_READABLE : 0) |
                                               (found & G_IO_OUT || failed ? AIODUCT_WRITABLE : 0));
    return G_SOURCE_CONTINUE; /* it may be destroyed by now: GLib has a hold on it till here */
}

static GSourceFuncs watch_functions = {.check = is_ready, .dispatch = on_ready};

/* Without interest no source: poll(2) tells of hang-ups to whoever waits for nothing, too. What is
 * waited for is changed in place, and not by g_source_modify_unix_fd, which ends the next wait. */
static int glib_watch(struct aioduct_watch *watch, unsigned events)
{
    struct source **source = aioduct_watch_watcher(watch);
    if (events == 0) {
        g_source_destroy(&(*source)->base);
        *source = NULL;
        return 0;
    }
    if (*source == NULL) {
        *source = add_source(aioduct_watch_runtime(watch), &watch_functions, watch);
        (*source)->fd.fd = aioduct_watch_fd(watch);
        g_source_add_poll(&(*source)->base, &(*source)->fd);
    }
    (*source)->fd.events = (gushort)((events & AIODUCT_READABLE ? G_IO_IN : 0) |
                                     (events & AIODUCT_WRITABLE ? G_IO_OUT : 0));
    return 0;
}

/* ---- run until a time ---- */

/* Not by g_source_set_ready_time, which ends the wait that follows. */
static gboolean is_due(GSource *base, gint *timeout_ms)
{
    const struct glib_rt *rt = ((struct source *)base)->about;
    *timeout_ms = -1;
    if (rt->round || rt->limit_ns == UINT64_MAX) {
        return rt->round;
    }
    uint64_t now_ns = aioduct_readiness_clock_ns();
    uint64_t rest_ns = rt->limit_ns > now_ns ? rt->limit_ns - now_ns : 0;
    *timeout_ms = (gint)MIN((rest_ns + 999999) / 1000000, G_MAXINT);
    return rest_ns == 0;
}

static gboolean is_due_after_wait(GSource *base)
{
    return is_due(base, &(gint){0});
}

static gboolean on_limit(GSource *base, GSourceFunc function, gpointer user)
{
    (void)function;
    (void)user;
    struct glib_rt *rt = ((struct source *)base)->about;
    rt->limit_ns = UINT64_MAX;
    rt->round = false;
    aioduct_readiness_round(rt); /* @rt may be gone after it */
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs limit_functions = {
    .prepare = is_due, .check = is_due_after_wait, .dispatch = on_limit};

static void glib_arm(void *state, uint64_t deadline_ns)
{
    ((struct glib_rt *)state)->limit_ns = deadline_ns;
}

static int glib_run(void *state, uint64_t deadline_ns)
{
    struct glib_rt *rt = state;
    glib_arm(rt, deadline_ns);
    g_main_context_iteration(rt->context, deadline_ns != 0);
    return 0;
}

static const struct aioduct_readiness_ops own_ops = {
    .size = sizeof own_ops,
    .watcher_bytes = sizeof(struct source *),
    .watch = glib_watch,
    .run = glib_run,
};

/* ---- in the application's context ---- */

/* An owner that dispatches nothing has taken the context, but does not run it. */
static int glib_may_drive(void *state)
{
    struct glib_rt *rt = state;
    gboolean runs = g_main_depth() > 0 && g_main_context_is_owner(rt->context);
    return runs ? AIODUCT_E_NESTED : 0;
}

static void glib_come_round(void *state)
{
    ((struct glib_rt *)state)->round = true;
}

static const struct aioduct_readiness_ops adopted_ops = {
    .size = sizeof adopted_ops,
    .watcher_bytes = sizeof(struct source *),
    .watch = glib_watch,
    .run = glib_run,
    .arm = glib_arm,
    .may_drive = glib_may_drive,
    .come_round = glib_come_round,
};

static void leave_context(struct glib_rt *rt)
{
    g_source_destroy(&rt->limit->base);
    g_main_context_unref(rt->context);
}

static void glib_abandon(void *state)
{
    aioduct_readiness_abandon(state);
    leave_context(state);
}

/* ---- the runtime ---- */

static int glib_open(void *state, const struct aioduct_host *host,
                     const struct aioduct_foreign *foreign)
{
    struct glib_rt *rt = state;
    int code =
        foreign == NULL
            ? aioduct_readiness_descriptors_free(CONTEXT_DESCRIPTORS)
            : aioduct_readiness_check_foreign(host, foreign, "glibrt", "g_main_context_iteration",
                                              (void (*)(void))g_main_context_iteration);
    if (code < 0) {
        if (foreign == NULL) {
            host->error(host->ctx, code, "no free descriptors for a GMainContext");
        }
        return code;
    }
    rt->context = foreign == NULL ? g_main_context_new() : g_main_context_ref(foreign->loop);
    rt->limit = add_source(rt, &limit_functions, rt);
    rt->limit_ns = UINT64_MAX;
    code = aioduct_readiness_open(rt, foreign == NULL ? &own_ops : &adopted_ops, rt->own, host);
    if (code < 0) {
        leave_context(rt);
    }
    return code;
}

static void glib_close(void *state)
{
    aioduct_readiness_close(state);
    leave_context(state);
}

static const struct aioduct_runtime runtime = {
    AIODUCT_READINESS_RUNTIME(struct glib_rt), .open = glib_open, .close = glib_close,
    .after_fork_child = aioduct_readiness_after_fork, /* nothing in the kernel is shared */
};

static const char *const kinds[] = {"glibrt", NULL}; /* as the runtime that a client then has */
static const struct aioduct_runtime_foreign foreign_table = {AIODUCT_READINESS_FOREIGN(kinds),
                                                             .abandon = glib_abandon};
static const struct aioduct_connector connector = {AIODUCT_READINESS_CONNECTOR(struct glib_stream)};

/* ---- the plugin ---- */

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0; /* what it links to is all that it needs */
}

static const void *interfaces(const char *id)
{
    static const struct aioduct_readiness_tables tables = {
        .runtime = &runtime, .connector = &connector, .foreign = &foreign_table};
    return aioduct_readiness_interface(&tables, id);
}

AIODUCT_PLUGIN_NOTE(glibrt, "runtime,poll,connector")
AIODUCT_PLUGIN_EXPORT(glibrt) = {
    AIODUCT_PLUGIN_HEAD(glibrt),      .version = "1.0", .vendor = "aioduct examples", .url = "",
    .summary = "GLib's main context", .probe = probe,   .get_interface = interfaces,
};
