/* SPDX-License-Identifier: MIT */
/*
 * A whole runtime in one file, over poll(2): the starting point for one of your own. Build it with
 *
 *   cc -std=c11 -fPIC -shared -fvisibility=hidden -Wl,-z,defs,-z,now pollrt.c \
 *      $(pkg-config --cflags --libs aioduct-readiness) -o libaioduct-rt-pollrt.so
 *
 * and run any aioduct program with AIODUCT_PLUGIN_PATH=$PWD AIODUCT_RUNTIME=pollrt.
 *
 * What a loop has to give is here: watch a descriptor (poll_watch), and run until a time
 * (poll_run). The rest, from tasks to streams, is libaioduct-readiness, which is linked into the
 * plugin. A loop whose operations complete instead (io_uring, IOCP) does without it and fills the
 * tables itself; <aioduct/plugin/plugin.h> says what every function there has to keep to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <aioduct/plugin/plugin.h>
#include <aioduct/plugin/readiness.h>

#include <errno.h>
#include <poll.h>
#include <time.h>

/* What the loop keeps of each descriptor that it watches: where in the array it is, from 1. */
struct watcher {
    size_t place;
};

struct poll_stream {
    struct aioduct_readiness_stream base; /* first */
    struct watcher watcher;               /* second */
};

struct poll_rt {
    struct aioduct_readiness base; /* first */
    const struct aioduct_host *host;
    struct pollfd *polled;
    struct aioduct_watch **watches; /* each belongs to the pollfd of the same index */
    size_t count, capacity;
    struct watcher own[2]; /* of the library's own descriptors */
};

/* ---- watch a descriptor ---- */

static int grow(struct poll_rt *rt)
{
    const struct aioduct_host *host = rt->host;
    size_t capacity = rt->capacity == 0 ? 16 : 2 * rt->capacity;
    void *polled = host->alloc(host->ctx, rt->polled, capacity * sizeof *rt->polled, 0);
    if (polled == NULL) {
        return -ENOMEM;
    }
    rt->polled = polled;
    void *watches = host->alloc(host->ctx, rt->watches, capacity * sizeof *rt->watches, 0);
    if (watches == NULL) {
        return -ENOMEM;
    }
    rt->watches = watches;
    rt->capacity = capacity;
    return 0;
}

static void take_out(struct poll_rt *rt, struct watcher *watcher)
{
    size_t i = watcher->place - 1;
    size_t last = --rt->count;
    struct watcher *moved = aioduct_watch_watcher(rt->watches[last]);
    rt->polled[i] = rt->polled[last];
    rt->watches[i] = rt->watches[last];
    moved->place = i + 1;
    watcher->place = 0;
}

static int poll_watch(struct aioduct_watch *watch, unsigned events)
{
    struct poll_rt *rt = aioduct_watch_runtime(watch);
    struct watcher *watcher = aioduct_watch_watcher(watch);
    if (events == 0) {
        take_out(rt, watcher);
        return 0;
    }
    if (aioduct_watch_events(watch) == 0) {
        int code = rt->count == rt->capacity ? grow(rt) : 0;
        if (code < 0) {
            return code;
        }
        rt->polled[rt->count] = (struct pollfd){.fd = aioduct_watch_fd(watch)};
        rt->watches[rt->count] = watch;
        watcher->place = ++rt->count;
    }
    rt->polled[watcher->place - 1].events = (short)((events & AIODUCT_READABLE ? POLLIN : 0) |
                                                    (events & AIODUCT_WRITABLE ? POLLOUT : 0));
    return 0;
}

/* ---- run until a time ---- */

static struct timespec rest_until(uint64_t deadline_ns)
{
    uint64_t now_ns = deadline_ns == 0 ? 0 : aioduct_readiness_clock_ns();
    uint64_t rest_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    return (struct timespec){.tv_sec = (time_t)(rest_ns / 1000000000u),
                             .tv_nsec = (long)(rest_ns % 1000000000u)};
}

static int poll_run(void *state, uint64_t deadline_ns)
{
    struct poll_rt *rt = state;
    struct timespec rest = rest_until(deadline_ns);
    int left = ppoll(rt->polled, rt->count, deadline_ns == UINT64_MAX ? NULL : &rest, NULL);
    if (left < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    /* From the end, for a descriptor that is taken out meanwhile leaves its place to the last one,
     * which is new or was reported already. */
    for (size_t i = rt->count; i > 0 && left > 0; i--) {
        if (i > rt->count || rt->polled[i - 1].revents == 0) {
            continue;
        }
        int found = rt->polled[i - 1].revents;
        rt->polled[i - 1].revents = 0;
        left--;
        unsigned both = found & (POLLERR | POLLHUP | POLLNVAL) ? POLLIN | POLLOUT : 0;
        aioduct_readiness_ready(rt->watches[i - 1],
                                ((found | both) & POLLIN ? AIODUCT_READABLE : 0) |
                                    ((found | both) & POLLOUT ? AIODUCT_WRITABLE : 0));
    }
    return 0;
}

static const struct aioduct_readiness_ops ops = {
    .size = sizeof ops,
    .watcher_bytes = sizeof(struct watcher),
    .watch = poll_watch,
    .run = poll_run,
};

/* ---- the runtime ---- */

static void free_arrays(struct poll_rt *rt)
{
    rt->host->alloc(rt->host->ctx, rt->polled, 0, 0);
    rt->host->alloc(rt->host->ctx, rt->watches, 0, 0);
}

static int poll_open(void *state, const struct aioduct_host *host,
                     const struct aioduct_foreign *foreign)
{
    struct poll_rt *rt = state;
    if (foreign != NULL) {
        return aioduct_readiness_check_foreign(host, foreign, NULL, NULL, NULL);
    }
    rt->host = host;
    int code = aioduct_readiness_open(rt, &ops, rt->own, host);
    if (code < 0) {
        free_arrays(rt);
    }
    return code;
}

static void poll_close(void *state)
{
    aioduct_readiness_close(state);
    free_arrays(state);
}

/* No poll_fd: poll(2) has no descriptor that stands for those it waits for. */
static const struct aioduct_runtime runtime = {
    AIODUCT_READINESS_RUNTIME(struct poll_rt), .open = poll_open, .close = poll_close,
    .after_fork_child = aioduct_readiness_after_fork, /* the array is the child's own */
};

static const struct aioduct_connector connector = {AIODUCT_READINESS_CONNECTOR(struct poll_stream)};

/* ---- the plugin ---- */

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0; /* poll(2) is everywhere */
}

static const void *interfaces(const char *id)
{
    static const struct aioduct_readiness_tables tables = {.runtime = &runtime,
                                                           .connector = &connector};
    return aioduct_readiness_interface(&tables, id);
}

AIODUCT_PLUGIN_NOTE(pollrt, "runtime,poll,connector")
AIODUCT_PLUGIN_EXPORT(pollrt) = {
    AIODUCT_PLUGIN_HEAD(pollrt),
    .version = "1.0",
    .vendor = "aioduct examples",
    .url = "",
    .summary = "poll(2): a runtime to start from",
    .probe = probe,
    .get_interface = interfaces,
};
