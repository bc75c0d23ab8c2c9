/* SPDX-License-Identifier: MIT */
/* The reference runtime: epoll(7) itself under plugins/readiness. Linked into the library, so that
 * it works with no plugin installed. */
#include "readiness/readiness.h"

#include <aioduct/plugin/plugin.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Events taken from the kernel at once: the rest waits in its own queue. */
#define EPOLL_BATCH 128

struct epoll_rt {
    struct ad_readiness loop; /* first */
    int fd;
    struct epoll_event ready[EPOLL_BATCH];
};

static struct epoll_rt *rt_of(struct ad_readiness *loop)
{
    return (struct epoll_rt *)(void *)loop;
}

/* ---- descriptors ---- */

static int control(const struct epoll_rt *rt, int operation, struct ad_watch *watch,
                   unsigned events)
{
    struct epoll_event event = {.data.ptr = watch};
    event.events = (events & AD_READ ? EPOLLIN : 0) | (events & AD_WRITE ? EPOLLOUT : 0);
    return epoll_ctl(rt->fd, operation, watch->fd, &event) < 0 ? -errno : 0;
}

/* A descriptor without interest leaves the set: EPOLLHUP and EPOLLERR cannot be switched off. */
static int epoll_watch(struct ad_watch *watch, unsigned events)
{
    int operation = events == 0          ? EPOLL_CTL_DEL
                    : watch->events == 0 ? EPOLL_CTL_ADD
                                         : EPOLL_CTL_MOD;
    return control(rt_of(watch->cx->loop), operation, watch, events);
}

/* Milliseconds, rounded up: a timer is never early. */
static int timeout_ms(uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        return -1;
    }
    uint64_t now_ns = deadline_ns == 0 ? 0 : ad_readiness_clock_ns();
    if (deadline_ns <= now_ns) {
        return 0;
    }
    uint64_t ms = (deadline_ns - now_ns + 999999) / 1000000;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static int epoll_wait_for(struct ad_readiness *loop, uint64_t deadline_ns)
{
    struct epoll_rt *rt = rt_of(loop);
    int count = epoll_wait(rt->fd, rt->ready, EPOLL_BATCH, timeout_ms(deadline_ns));
    if (count < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    for (int i = 0; i < count; i++) {
        uint32_t events = rt->ready[i].events;
        bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
        /* The watch outlives the batch: streams are closed after it. */
        ad_readiness_ready(rt->ready[i].data.ptr, (events & EPOLLIN || failed ? AD_READ : 0) |
                                                      (events & EPOLLOUT || failed ? AD_WRITE : 0));
    }
    return 0;
}

static const struct ad_readiness_ops ops = {
    .is_exact = true,
    .watch = epoll_watch,
    .wait = epoll_wait_for,
};

/* ---- the runtime ---- */

static int epoll_open(void *opaque, const struct aioduct_host *host,
                      const struct aioduct_foreign *foreign)
{
    struct epoll_rt *rt = opaque;
    if (foreign != NULL) {
        return ad_readiness_check_foreign(host, foreign, NULL, NULL, NULL);
    }
    rt->fd = epoll_create1(EPOLL_CLOEXEC);
    if (rt->fd < 0) {
        int code = -errno;
        char text[96];
        snprintf(text, sizeof text, "epoll_create1: %s", strerror(-code));
        host->error(host->ctx, code, text);
        return code;
    }
    int code = ad_readiness_open(&rt->loop, &ops, host);
    if (code < 0) {
        close(rt->fd);
    }
    return code;
}

static void epoll_close(void *opaque)
{
    struct epoll_rt *rt = opaque;
    ad_readiness_close(&rt->loop);
    close(rt->fd);
}

static int epoll_poll_fd(void *opaque)
{
    struct epoll_rt *rt = opaque;
    int code = ad_readiness_be_polled(&rt->loop);
    return code < 0 ? code : rt->fd;
}

static int watch_again(const struct epoll_rt *rt, struct ad_watch *watch)
{
    return watch->events == 0 ? 0 : control(rt, EPOLL_CTL_ADD, watch, watch->events);
}

/* The set is the parent's too: what we changed in it would change there. */
static int epoll_after_fork_child(void *opaque)
{
    struct epoll_rt *rt = opaque;
    int fresh = epoll_create1(EPOLL_CLOEXEC);
    if (fresh < 0) {
        return -errno;
    }
    close(rt->fd);
    rt->fd = fresh;
    int code = watch_again(rt, &rt->loop.wake);
    code = code < 0 ? code : watch_again(rt, &rt->loop.clock);
    struct ad_readiness_stream *s = NULL;
    while (code == 0 && (s = ad_readiness_stream_after(&rt->loop, s)) != NULL) {
        code = watch_again(rt, &s->watch);
    }
    return code < 0 ? code : ad_readiness_after_fork(&rt->loop);
}

static const struct aioduct_runtime runtime = {
    AD_READINESS_RUNTIME(struct epoll_rt),
    .open = epoll_open,
    .close = epoll_close,
    .poll_fd = epoll_poll_fd,
    .after_fork_child = epoll_after_fork_child,
};

static const struct aioduct_connector connector =
    AD_READINESS_CONNECTOR_TABLE(struct ad_readiness_stream);

/* ---- the plugin ---- */

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0; /* epoll is as old as the kernels that run us */
}

static const void *interfaces(const char *id)
{
    static const struct ad_readiness_tables tables = {.runtime = &runtime, .connector = &connector};
    return ad_readiness_interface(&tables, id);
}

AIODUCT_PLUGIN_EXPORT(epoll) = {
    AIODUCT_PLUGIN_HEAD(epoll),   .version = AD_PLUGIN_VERSION,
    .vendor = "aioduct",          .url = "",
    .summary = "epoll, built in", .probe = probe,
    .get_interface = interfaces,
};
