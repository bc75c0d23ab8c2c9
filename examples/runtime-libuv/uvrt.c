/* SPDX-License-Identifier: MIT */
/*
 * A runtime on libuv: a uv_loop_t of its own for each instance. Build it with
 *
 *   cc -std=gnu11 -fPIC -shared -fvisibility=hidden -Wl,-z,defs,-z,now uvrt.c \
 *      $(pkg-config --cflags --libs aioduct-readiness libuv) -o libaioduct-rt-uvrt.so
 *
 * and run any aioduct program with AIODUCT_PLUGIN_PATH=$PWD AIODUCT_RUNTIME=uvrt.
 *
 * A handle that is closed lives on until the loop has come round, so a uv_poll_t cannot lie in the
 * watcher, whose memory goes with the stream. There is no uv_async_t: other threads reach the loop
 * through an eventfd that the readiness library has it watch. An application's loop is not adopted,
 * since after a close of ours it would have to run once more: give it the descriptor of poll_fd. */
#include <aioduct/plugin/plugin.h>
#include <aioduct/plugin/readiness.h>

#include <errno.h>
#include <stdbool.h>
#include <uv.h>

/* Of a loop, and of the first one in a process: without these libuv ends it. */
enum { LOOP_DESCRIPTORS = 6 };

struct uvrt_stream {
    struct aioduct_readiness_stream base; /* first */
    uv_poll_t *watcher;                   /* second: NULL before the descriptor was watched */
};

struct uvrt_rt {
    struct aioduct_readiness base; /* first */
    const struct aioduct_host *host;
    uv_loop_t loop;
    uv_poll_t *own[2]; /* of the library's own descriptors */
    uv_timer_t limit;  /* ends the wait at... */
    uint64_t limit_ns;
    bool deaf; /* what is found now is reported in the next run */
};

/* ---- watch a descriptor ---- */

static int to_libuv(unsigned events)
{
    return (events & AIODUCT_READABLE ? UV_READABLE : 0) |
           (events & AIODUCT_WRITABLE ? UV_WRITABLE : 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct aioduct_watch *watch = poll->data;
    struct uvrt_rt *rt = aioduct_watch_runtime(watch);
    unsigned found = (events & UV_READABLE ? AIODUCT_READABLE : 0) |
                     (events & UV_WRITABLE ? AIODUCT_WRITABLE : 0);
    if (status < 0) { /* an error or a hang-up: libuv has stopped the handle */
        found = AIODUCT_READABLE | AIODUCT_WRITABLE;
        uv_poll_start(poll, to_libuv(aioduct_watch_events(watch)), on_poll);
    }
    if (!rt->deaf) {
        aioduct_readiness_ready(watch, found);
    }
}

static void on_poll_closed(uv_handle_t *poll)
{
    struct uvrt_rt *rt = poll->loop->data;
    rt->host->alloc(rt->host->ctx, poll, 0, 0);
}

static int new_poll(struct uvrt_rt *rt, struct aioduct_watch *watch, uv_poll_t **out)
{
    uv_poll_t *poll = rt->host->alloc(rt->host->ctx, NULL, sizeof *poll, 0);
    int code = poll == NULL ? -ENOMEM : uv_poll_init(&rt->loop, poll, aioduct_watch_fd(watch));
    if (code < 0) {
        rt->host->alloc(rt->host->ctx, poll, 0, 0);
        return code;
    }
    poll->data = watch;
    *out = poll;
    return 0;
}

static int uvrt_watch(struct aioduct_watch *watch, unsigned events)
{
    uv_poll_t **poll = aioduct_watch_watcher(watch);
    if (events == 0) {
        return uv_poll_stop(*poll);
    }
    int code = *poll == NULL ? new_poll(aioduct_watch_runtime(watch), watch, poll) : 0;
    return code < 0 ? code : uv_poll_start(*poll, to_libuv(events), on_poll);
}

static void uvrt_forget(struct aioduct_watch *watch)
{
    uv_poll_t **poll = aioduct_watch_watcher(watch);
    if (*poll != NULL) {
        uv_close((uv_handle_t *)*poll, on_poll_closed);
        *poll = NULL;
    }
}

/* ---- run until a time ---- */

/* It may be due before the wait: then there must be none. */
static void on_limit(uv_timer_t *timer)
{
    ((struct uvrt_rt *)timer->loop->data)->limit_ns = UINT64_MAX;
    uv_stop(timer->loop);
}

/* libuv counts whole milliseconds, from a time that it has noted. */
static void set_limit(struct uvrt_rt *rt, uint64_t deadline_ns)
{
    if (deadline_ns == rt->limit_ns) {
        return;
    }
    rt->limit_ns = deadline_ns;
    uv_timer_stop(&rt->limit);
    if (deadline_ns != UINT64_MAX) {
        uv_update_time(&rt->loop);
        uint64_t now_ns = aioduct_readiness_clock_ns();
        uint64_t rest_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        uv_timer_start(&rt->limit, on_limit, (rest_ns + 999999) / 1000000, 0);
    }
}

static int uvrt_run(void *state, uint64_t deadline_ns)
{
    struct uvrt_rt *rt = state;
    if (deadline_ns != 0) {
        set_limit(rt, deadline_ns);
    }
    uv_run(&rt->loop, deadline_ns == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    return 0;
}

static const struct aioduct_readiness_ops ops = {
    .size = sizeof ops,
    .watcher_bytes = sizeof(uv_poll_t *),
    .flags = AIODUCT_READINESS_LAZY,
    .watch = uvrt_watch,
    .forget = uvrt_forget,
    .run = uvrt_run,
};

/* The loop tells the kernel what it waits for, and nothing is called back. */
static void tell_kernel(struct uvrt_rt *rt)
{
    rt->deaf = true;
    uv_run(&rt->loop, UV_RUN_NOWAIT);
    rt->deaf = false;
}

/* ---- the runtime ---- */

/* Handles end in a run of the loop. */
static void end_loop(struct uvrt_rt *rt)
{
    uv_close((uv_handle_t *)&rt->limit, NULL);
    while (uv_loop_close(&rt->loop) == UV_EBUSY) {
        uv_run(&rt->loop, UV_RUN_NOWAIT);
    }
}

static int uvrt_open(void *state, const struct aioduct_host *host,
                     const struct aioduct_foreign *foreign)
{
    struct uvrt_rt *rt = state;
    if (foreign != NULL) {
        return aioduct_readiness_check_foreign(host, foreign, NULL, NULL, NULL);
    }
    int code = aioduct_readiness_descriptors_free(LOOP_DESCRIPTORS);
    code = code < 0 ? code : uv_loop_init(&rt->loop);
    if (code < 0) {
        host->error(host->ctx, code, "uv_loop_init failed");
        return code;
    }
    rt->host = host;
    rt->loop.data = rt;
    rt->limit_ns = UINT64_MAX;
    uv_timer_init(&rt->loop, &rt->limit);
    code = aioduct_readiness_open(rt, &ops, rt->own, host);
    if (code < 0) {
        end_loop(rt);
        return code;
    }
    tell_kernel(rt); /* of the eventfd, which has to be in the set that is polled */
    return 0;
}

static void uvrt_close(void *state)
{
    aioduct_readiness_close(state);
    end_loop(state);
}

static int uvrt_poll_fd(void *state)
{
    struct uvrt_rt *rt = state;
    int code = aioduct_readiness_be_polled(rt);
    return code < 0 ? code : uv_backend_fd(&rt->loop);
}

static int uvrt_after_fork_child(void *state)
{
    struct uvrt_rt *rt = state;
    int code = uv_loop_fork(&rt->loop);
    code = code < 0 ? code : aioduct_readiness_after_fork(rt);
    tell_kernel(rt);
    return code;
}

static const struct aioduct_runtime runtime = {
    AIODUCT_READINESS_RUNTIME(struct uvrt_rt),
    .open = uvrt_open,
    .close = uvrt_close,
    .poll_fd = uvrt_poll_fd,
    .after_fork_child = uvrt_after_fork_child,
};

static const struct aioduct_connector connector = {AIODUCT_READINESS_CONNECTOR(struct uvrt_stream)};

/* ---- the plugin ---- */

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0; /* what it links to is all that it needs */
}

static const void *interfaces(const char *id)
{
    static const struct aioduct_readiness_tables tables = {.runtime = &runtime,
                                                           .connector = &connector};
    return aioduct_readiness_interface(&tables, id);
}

/* Programs that have a libuv of their own inside, as Node.js has, show its functions to us. */
static const char *const guards[] = {"uv_run", "uv_loop_init", "uv_poll_start", NULL};

AIODUCT_PLUGIN_NOTE(uvrt, "runtime,poll,connector")
AIODUCT_PLUGIN_EXPORT(uvrt) = {
    AIODUCT_PLUGIN_HEAD(uvrt),
    .version = "1.0",
    .vendor = "aioduct examples",
    .url = "",
    .summary = "libuv, uv_poll_t handles",
    .guard_symbols = guards,
    .probe = probe,
    .get_interface = interfaces,
};
