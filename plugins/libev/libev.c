/* SPDX-License-Identifier: MIT */
/* The runtime on libev: one loop an instance, or one that the application owns. Of libev's watchers
 * it uses ev_io, one ev_timer for the next deadline, and in an adopted loop one ev_prepare. */
#include "readiness/readiness.h"

#include <aioduct/plugin/plugin.h>
#include <ev.h>
#include <stdio.h>

struct libev_stream {
    struct ad_readiness_stream base;
    ev_io io;
};

struct libev_rt {
    struct ad_readiness loop; /* first */
    struct ev_loop *ev;
    bool adopted;
    ev_io wake, clock;
    ev_timer limit; /* ends the wait at... */
    uint64_t limit_ns;
    ev_prepare prepare; /* adopted: the end of each turn */
};

static struct libev_rt *rt_of(struct ad_readiness *loop)
{
    return (struct libev_rt *)(void *)loop;
}

/* ---- watching and waiting ---- */

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    unsigned ready = (events & EV_READ ? AD_READ : 0) | (events & EV_WRITE ? AD_WRITE : 0);
    ad_readiness_ready(io->data, events & EV_ERROR ? AD_READ | AD_WRITE : ready);
}

/* libev tells the kernel when it waits next. */
static int libev_watch(struct ad_watch *watch, unsigned events)
{
    struct ev_loop *ev = rt_of(watch->cx->loop)->ev;
    ev_io *io = ad_readiness_backend(watch);
    if (watch->events != 0) {
        ev_io_stop(ev, io);
    }
    if (events != 0) {
        ev_io_init(io, on_io, watch->fd,
                   (events & AD_READ ? EV_READ : 0) | (events & AD_WRITE ? EV_WRITE : 0));
        io->data = watch;
        ev_io_start(ev, io);
    }
    watch->cx->loop->unsettled = true;
    return 0;
}

static void on_limit(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    struct libev_rt *rt = timer->data;
    rt->limit_ns = UINT64_MAX;
}

static void set_limit(struct ad_readiness *loop, uint64_t deadline_ns)
{
    struct libev_rt *rt = rt_of(loop);
    if (deadline_ns == rt->limit_ns) {
        return;
    }
    ev_timer_stop(rt->ev, &rt->limit);
    rt->limit_ns = deadline_ns;
    if (deadline_ns == UINT64_MAX) {
        return;
    }
    /* Our clock first: libev counts from a later now, so that the timer is not early. */
    uint64_t now_ns = ad_readiness_clock_ns();
    ev_now_update(rt->ev);
    ev_timer_set(&rt->limit, deadline_ns > now_ns ? (double)(deadline_ns - now_ns) * 1e-9 : 0., 0.);
    ev_timer_start(rt->ev, &rt->limit);
}

static int libev_wait(struct ad_readiness *loop, uint64_t deadline_ns)
{
    if (deadline_ns != 0) {
        set_limit(loop, deadline_ns);
    }
    ev_run(rt_of(loop)->ev, deadline_ns == 0 ? EVRUN_NOWAIT : EVRUN_ONCE);
    return 0;
}

static const struct ad_readiness_ops own_ops = {
    .stream_watcher = offsetof(struct libev_stream, io),
    .watch = libev_watch,
    .wait = libev_wait,
};

/* libev would run inside itself, and the application's watchers in the middle of each other. */
static int may_drive(struct ad_readiness *loop)
{
    return ev_depth(rt_of(loop)->ev) > 0 ? AIODUCT_E_NESTED : 0;
}

/* An adopted loop says by ev_prepare when it is about to wait. */
static const struct ad_readiness_ops adopted_ops = {
    .stream_watcher = offsetof(struct libev_stream, io),
    .watch = libev_watch,
    .wait = libev_wait,
    .arm = set_limit,
    .may_drive = may_drive,
};

static void on_prepare(struct ev_loop *ev, ev_prepare *prepare, int events)
{
    (void)ev;
    (void)events;
    ad_readiness_round(prepare->data);
}

/* ---- the runtime ---- */

static int choose_loop(struct libev_rt *rt, const struct aioduct_host *host,
                       const struct aioduct_foreign *foreign)
{
    if (foreign == NULL) {
        rt->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOSIGMASK | EVFLAG_NOINOTIFY |
                             EVFLAG_NOTIMERFD);
        if (rt->ev == NULL) {
            host->error(host->ctx, AIODUCT_E_UNAVAILABLE, "ev_loop_new failed");
            return AIODUCT_E_UNAVAILABLE;
        }
        return 0;
    }
    int code = ad_readiness_check_foreign(host, foreign, "libev", "ev_run", (void (*)(void))ev_run);
    if (code == 0) {
        rt->ev = foreign->loop;
        rt->adopted = true;
    }
    return code;
}

static int libev_open(void *opaque, const struct aioduct_host *host,
                      const struct aioduct_foreign *foreign)
{
    struct libev_rt *rt = opaque;
    int code = choose_loop(rt, host, foreign);
    if (code < 0) {
        return code;
    }
    rt->limit_ns = UINT64_MAX;
    ev_init(&rt->limit, on_limit);
    rt->limit.data = rt;
    rt->loop.wake_backend = &rt->wake;
    rt->loop.clock_backend = &rt->clock;
    code = ad_readiness_open(&rt->loop, rt->adopted ? &adopted_ops : &own_ops, host);
    if (code < 0 && !rt->adopted) {
        ev_loop_destroy(rt->ev);
    }
    if (code == 0 && rt->adopted) {
        ev_prepare_init(&rt->prepare, on_prepare);
        ev_set_priority(&rt->prepare, EV_MINPRI); /* after the application's own */
        rt->prepare.data = rt;
        ev_prepare_start(rt->ev, &rt->prepare);
    }
    return code;
}

static void libev_close(void *opaque)
{
    struct libev_rt *rt = opaque;
    ad_readiness_close(&rt->loop);
    ev_timer_stop(rt->ev, &rt->limit);
    if (rt->adopted) {
        ev_prepare_stop(rt->ev, &rt->prepare);
    } else {
        ev_loop_destroy(rt->ev);
    }
}

static void keep_pending(struct ev_loop *ev)
{
    (void)ev;
}

/* The set exists and holds our eventfd once libev has looked at it; what it finds meanwhile stays
 * pending, for nothing may be called back from here. */
static int libev_poll_fd(void *opaque)
{
    struct libev_rt *rt = opaque;
    if (rt->adopted) {
        return AIODUCT_E_UNSUPPORTED; /* the application polls its own loop */
    }
    if (rt->loop.set_fd < 0 && !rt->loop.tasks.loop.driving) {
        ev_set_invoke_pending_cb(rt->ev, keep_pending);
        ev_run(rt->ev, EVRUN_NOWAIT);
        ev_set_invoke_pending_cb(rt->ev, ev_invoke_pending);
    }
    return ad_readiness_poll_set(&rt->loop);
}

static int libev_after_fork_child(void *opaque)
{
    struct libev_rt *rt = opaque;
    ev_loop_fork(rt->ev); /* acts before it touches the parent's set */
    return ad_readiness_after_fork(&rt->loop);
}

/* ---- in the application's loop ---- */

static void libev_abandon(void *opaque)
{
    struct libev_rt *rt = opaque;
    ev_loop_fork(rt->ev); /* before it tells the kernel of anything below */
    ad_readiness_abandon(&rt->loop);
    ev_timer_stop(rt->ev, &rt->limit);
    ev_prepare_stop(rt->ev, &rt->prepare);
}

static const char *const kinds[] = {"libev", NULL};

static const struct aioduct_runtime_foreign foreign_table = {
    .size = sizeof foreign_table,
    .kinds = kinds,
    .settle = ad_readiness_settle,
    .leave = ad_readiness_leave,
    .abandon = libev_abandon,
};

/* ---- tables ---- */

static const struct aioduct_runtime runtime = {
    AD_READINESS_RUNTIME(struct libev_rt),
    .open = libev_open,
    .close = libev_close,
    .poll_fd = libev_poll_fd,
    .after_fork_child = libev_after_fork_child,
};

static const struct aioduct_connector connector = AD_READINESS_CONNECTOR_TABLE(struct libev_stream);

/* ---- the plugin ---- */

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0;
    if (ev_version_major() != EV_VERSION_MAJOR || ev_version_minor() < EV_VERSION_MINOR) {
        out->code = AIODUCT_E_UNAVAILABLE;
        snprintf(out->reason, sizeof out->reason, "libev %d.%d is older than %d.%d",
                 ev_version_major(), ev_version_minor(), EV_VERSION_MAJOR, EV_VERSION_MINOR);
    } else if (!(ev_supported_backends() & EVBACKEND_EPOLL)) {
        out->code = AIODUCT_E_UNAVAILABLE;
        snprintf(out->reason, sizeof out->reason, "this libev was built without epoll");
    }
}

static const void *interfaces(const char *id)
{
    static const struct ad_readiness_tables tables = {
        .runtime = &runtime, .connector = &connector, .foreign = &foreign_table};
    return ad_readiness_interface(&tables, id);
}

static const char *const guards[] = {"ev_run",         "ev_loop_new",   "ev_io_start", "ev_io_stop",
                                     "ev_timer_start", "ev_timer_stop", NULL};

AIODUCT_PLUGIN_NOTE(libev, "runtime,poll,connector")
AIODUCT_PLUGIN_EXPORT(libev) = {
    AIODUCT_PLUGIN_HEAD(libev),
    .version = AD_PLUGIN_VERSION,
    .vendor = "aioduct",
    .url = "",
    .summary = "libev, with its epoll backend",
    .guard_symbols = guards,
    .probe = probe,
    .get_interface = interfaces,
};
