/* SPDX-License-Identifier: MIT */
/* The runtime on libevent: one base an instance, or one that the application owns. Of libevent it
 * uses raw events on descriptors and one timer for the next deadline; no signals, no buffers. */
#include "readiness/readiness.h"

#include <aioduct/plugin/plugin.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <stdio.h>

enum { BASE_DESCRIPTORS = 3 }; /* of an event_base: an epoll set and a pair of sockets */

struct libevent_stream {
    struct ad_readiness_stream base;
    struct event event;
};

struct libevent_rt {
    struct ad_readiness loop; /* first */
    struct event_base *base;
    bool adopted;
    struct event wake, clock;
    struct event limit; /* ends the wait at... */
    uint64_t limit_ns;
    struct event round; /* adopted: active while a turn has not ended */
};

static struct libevent_rt *rt_of(struct ad_readiness *loop)
{
    return (struct libevent_rt *)(void *)loop;
}

/* Not every failure of libevent leaves a reason. */
static int last_error(void)
{
    return errno != 0 ? -errno : -ENOMEM;
}

/* ---- watching and waiting ---- */

static void on_event(evutil_socket_t fd, short events, void *watch)
{
    (void)fd;
    ad_readiness_ready(watch,
                       (events & EV_READ ? AD_READ : 0) | (events & EV_WRITE ? AD_WRITE : 0));
}

static int libevent_watch(struct ad_watch *watch, unsigned events)
{
    struct event_base *base = rt_of(watch->cx->loop)->base;
    struct event *event = ad_readiness_backend(watch);
    if (watch->events != 0) {
        event_del(event);
        watch->events = 0;
    }
    if (events == 0) {
        return 0;
    }
    short what =
        (short)(EV_PERSIST | (events & AD_READ ? EV_READ : 0) | (events & AD_WRITE ? EV_WRITE : 0));
    errno = 0;
    if (event_assign(event, base, watch->fd, what, on_event, watch) < 0 ||
        event_add(event, NULL) < 0) {
        return last_error();
    }
    return 0;
}

/* An event stays active until it ran, so this is after all that is active now, and once. */
static void come_round(struct ad_readiness *loop)
{
    event_active(&rt_of(loop)->round, EV_TIMEOUT, 0);
}

static void on_round(evutil_socket_t fd, short events, void *rt)
{
    (void)fd;
    (void)events;
    ad_readiness_round(rt);
}

static void on_limit(evutil_socket_t fd, short events, void *opaque)
{
    (void)fd;
    (void)events;
    struct libevent_rt *rt = opaque;
    rt->limit_ns = UINT64_MAX;
    if (rt->adopted) {
        come_round(&rt->loop);
    }
}

static void set_limit(struct ad_readiness *loop, uint64_t deadline_ns)
{
    struct libevent_rt *rt = rt_of(loop);
    if (deadline_ns == rt->limit_ns) {
        return;
    }
    rt->limit_ns = deadline_ns;
    if (deadline_ns == UINT64_MAX) {
        event_del(&rt->limit);
        return;
    }
    uint64_t now_ns = ad_readiness_clock_ns();
    uint64_t rest_us = deadline_ns > now_ns ? (deadline_ns - now_ns + 999) / 1000 : 0;
    struct timeval rest = {.tv_sec = (time_t)(rest_us / 1000000),
                           .tv_usec = (suseconds_t)(rest_us % 1000000)};
    event_add(&rt->limit, &rest);
}

static int libevent_wait(struct ad_readiness *loop, uint64_t deadline_ns)
{
    struct libevent_rt *rt = rt_of(loop);
    if (deadline_ns != 0) {
        set_limit(loop, deadline_ns);
    }
    /* Without ONCE a loop that does not block goes on until nothing is ready any more, which a peer
     * that floods us never lets happen. */
    int flags = EVLOOP_ONCE | (deadline_ns == 0 ? EVLOOP_NONBLOCK : 0);
    errno = 0;
    if (event_base_loop(rt->base, flags) >= 0) {
        return 0;
    }
    /* An application inside a callback of its own base is refused by libevent, with no reason. */
    return rt->adopted && errno == 0 ? AIODUCT_E_NESTED : last_error();
}

/* libevent refuses to run inside itself, but prints why, and cannot be asked (what tells the
 * running event crashes if there is none). But while it runs, its clock stands still. With a base
 * that has no such clock the refusal is what tells. */
static int may_drive(struct ad_readiness *loop)
{
    struct timeval first, second, start, now;
    event_base_gettimeofday_cached(rt_of(loop)->base, &first);
    evutil_gettimeofday(&start, NULL);
    do {
        evutil_gettimeofday(&now, NULL);
    } while (now.tv_sec == start.tv_sec && now.tv_usec - start.tv_usec < 2);
    event_base_gettimeofday_cached(rt_of(loop)->base, &second);
    return evutil_timercmp(&first, &second, ==) ? AIODUCT_E_NESTED : 0;
}

static const struct ad_readiness_ops own_ops = {
    .stream_watcher = offsetof(struct libevent_stream, event),
    .watch = libevent_watch,
    .wait = libevent_wait,
};

/* An adopted base does not say when it is about to wait: an event of ours ends the turn. */
static const struct ad_readiness_ops adopted_ops = {
    .stream_watcher = offsetof(struct libevent_stream, event),
    .watch = libevent_watch,
    .wait = libevent_wait,
    .arm = set_limit,
    .may_drive = may_drive,
    .come_round = come_round,
};

/* ---- the runtime ---- */

/* libevent ends the process if it finds no descriptors for its set and its pipe of signals, so see
 * first whether there are any. No locks: other threads touch our eventfd only. */
static struct event_base *new_base(void)
{
    struct event_base *base = NULL;
    int code = ad_readiness_descriptors_free(BASE_DESCRIPTORS);
    if (code < 0) {
        errno = -code;
        return NULL;
    }
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0) {
        base = event_base_new_with_config(config);
    }
    event_config_free(config);
    return base;
}

static int choose_base(struct libevent_rt *rt, const struct aioduct_host *host,
                       const struct aioduct_foreign *foreign)
{
    if (foreign == NULL) {
        errno = 0;
        rt->base = new_base();
        int code = rt->base != NULL ? 0 : last_error();
        if (code < 0) {
            host->error(host->ctx, code, "event_base_new_with_config failed");
        }
        return code;
    }
    int code = ad_readiness_check_foreign(host, foreign, "libevent", "event_base_loop",
                                          (void (*)(void))event_base_loop);
    if (code == 0) {
        rt->base = foreign->loop;
        rt->adopted = true;
    }
    return code;
}

static int libevent_open(void *opaque, const struct aioduct_host *host,
                         const struct aioduct_foreign *foreign)
{
    struct libevent_rt *rt = opaque;
    int code = choose_base(rt, host, foreign);
    if (code < 0) {
        return code;
    }
    rt->limit_ns = UINT64_MAX;
    event_assign(&rt->limit, rt->base, -1, 0, on_limit, rt);
    event_assign(&rt->round, rt->base, -1, 0, on_round, rt);
    rt->loop.wake_backend = &rt->wake;
    rt->loop.clock_backend = &rt->clock;
    struct timeval later = {.tv_sec = 3600};
    code = event_add(&rt->limit, &later) < 0 ? -ENOMEM : 0; /* later it needs no memory */
    event_del(&rt->limit);
    if (code == 0) {
        code = ad_readiness_open(&rt->loop, rt->adopted ? &adopted_ops : &own_ops, host);
    }
    if (code < 0 && !rt->adopted) {
        event_base_free(rt->base);
    }
    return code;
}

static void libevent_close(void *opaque)
{
    struct libevent_rt *rt = opaque;
    ad_readiness_close(&rt->loop);
    event_del(&rt->limit);
    event_del(&rt->round);
    if (!rt->adopted) {
        event_base_free(rt->base);
    }
}

static int libevent_poll_fd(void *opaque)
{
    struct libevent_rt *rt = opaque;
    if (rt->adopted) {
        return AIODUCT_E_UNSUPPORTED; /* the application polls its own base */
    }
    return ad_readiness_poll_set(&rt->loop);
}

static int libevent_after_fork_child(void *opaque)
{
    struct libevent_rt *rt = opaque;
    errno = 0;
    return event_reinit(rt->base) < 0 ? last_error() : ad_readiness_after_fork(&rt->loop);
}

/* ---- in the application's loop ---- */

static void libevent_abandon(void *opaque)
{
    struct libevent_rt *rt = opaque;
    event_reinit(rt->base); /* else what is taken out here were taken out of the parent's set */
    ad_readiness_abandon(&rt->loop);
    event_del(&rt->limit);
    event_del(&rt->round);
}

static const char *const kinds[] = {"libevent", NULL};

static const struct aioduct_runtime_foreign foreign_table = {
    .size = sizeof foreign_table,
    .kinds = kinds,
    .settle = ad_readiness_settle,
    .leave = ad_readiness_leave,
    .abandon = libevent_abandon,
};

/* ---- tables ---- */

static const struct aioduct_runtime runtime = {
    AD_READINESS_RUNTIME(struct libevent_rt),
    .open = libevent_open,
    .close = libevent_close,
    .poll_fd = libevent_poll_fd,
    .after_fork_child = libevent_after_fork_child,
};

static const struct aioduct_connector connector =
    AD_READINESS_CONNECTOR_TABLE(struct libevent_stream);

/* ---- the plugin ---- */

/* Events lie inside our own structs, so their size has to be the one that we were built with. */
static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0;
    if (event_get_struct_event_size() != sizeof(struct event)) {
        out->code = AIODUCT_E_UNAVAILABLE;
        snprintf(out->reason, sizeof out->reason,
                 "libevent %s has events of another size than " LIBEVENT_VERSION,
                 event_get_version());
    }
}

static const void *interfaces(const char *id)
{
    static const struct ad_readiness_tables tables = {
        .runtime = &runtime, .connector = &connector, .foreign = &foreign_table};
    return ad_readiness_interface(&tables, id);
}

/* Of the names that libev exports too, those that we or libevent itself would miss. */
/* The last is libevent's alone. */
static const char *const guards[] = {
    "event_base_loop",
    "event_add",
    "event_del",
    "event_active",
    "event_base_free",
    "event_base_new",
    "event_pending",
    "event_get_version",
    "event_base_new_with_config",
    NULL,
};

AIODUCT_PLUGIN_NOTE(libevent, "runtime,poll,connector")
AIODUCT_PLUGIN_EXPORT(libevent) = {
    AIODUCT_PLUGIN_HEAD(libevent),
    .version = AD_PLUGIN_VERSION,
    .vendor = "aioduct",
    .url = "",
    .summary = "libevent, raw events",
    .guard_symbols = guards,
    .probe = probe,
    .get_interface = interfaces,
};
