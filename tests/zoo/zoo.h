/* SPDX-License-Identifier: MIT */
/**
 * zoo.h - a good runtime that can be spoilt in one place.
 *
 * An animal is a file that includes this and defines spoil(), which changes members of `zoo`: its
 * tables are copies of those of the runtime template, its host a copy of the core's in which what
 * is set in zoo.host stands before the real member. `real` is the core's host, for those that go
 * on to it. The name comes from the build (ZOO_NAME).
 *
 * ZOO_OWN_PROBE and ZOO_OWN_INTERFACES, if defined before, leave zoo_probe and zoo_interfaces to
 * the animal; ZOO_SAID is the name that its descriptor has instead of its own.
 */
#ifndef ZOO_H
#define ZOO_H

#include <aioduct/plugin/plugin.h>

/* The template's own descriptor and note stay in this file. */
#pragma push_macro("AIODUCT_PLUGIN_NOTE")
#pragma push_macro("AIODUCT_PLUGIN_EXPORT")
#undef AIODUCT_PLUGIN_NOTE
#undef AIODUCT_PLUGIN_EXPORT
#define AIODUCT_PLUGIN_NOTE(NAME, CAPS)
#define AIODUCT_PLUGIN_EXPORT(NAME) static const struct aioduct_plugin template
#include "../../examples/runtime-template/pollrt.c"
#pragma pop_macro("AIODUCT_PLUGIN_NOTE")
#pragma pop_macro("AIODUCT_PLUGIN_EXPORT")

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#ifndef ZOO_SAID
#define ZOO_SAID ZOO_NAME
#endif
#define ZOO_NOTE(NAME) AIODUCT_PLUGIN_NOTE(NAME, "runtime,poll,connector")
#define ZOO_EXPORT(NAME) AIODUCT_PLUGIN_EXPORT(NAME)
#define ZOO_HEAD(NAME) AIODUCT_PLUGIN_HEAD(NAME)

struct zoo_rt {
    struct poll_rt good; /* first */
    struct aioduct_host host;
};

/* What an animal may keep with a stream. */
struct zoo_stream {
    struct poll_stream good; /* first */
    struct aioduct_stream *core;
    unsigned ops;
    size_t bytes;
    bool closing;
};

static struct {
    struct aioduct_runtime runtime;
    struct aioduct_runtime_poll poll;
    struct aioduct_connector connector;
    struct aioduct_host host;
} zoo;

static const struct aioduct_host *real; /* of the last instance: all of a process have the same */

static void spoil(void);

/* ---- the host that the good runtime sees ---- */

#define ZOO_HOST_MEMBERS(X)                                                                     \
    X(alloc)                                                                                    \
    X(log)                                                                                      \
    X(error)                                                                                    \
    X(option)                                                                                   \
    X(task_run) X(timer_fired) X(turn_end) X(on_data) X(on_done) X(on_closed) X(is_loop_thread) \
        X(get_interface)

static void zoo_host(struct aioduct_host *out, const struct aioduct_host *host)
{
    size_t bytes = host->size < sizeof *out ? host->size : sizeof *out;
    memset(out, 0, sizeof *out);
    memcpy(out, host, bytes);
    out->size = (uint32_t)bytes;
    real = host;
#define ZOO_OVER(member)               \
    if (zoo.host.member != NULL) {     \
        out->member = zoo.host.member; \
    }
    ZOO_HOST_MEMBERS(ZOO_OVER)
}

static int zoo_open(void *state, const struct aioduct_host *host,
                    const struct aioduct_foreign *foreign)
{
    struct zoo_rt *rt = state;
    zoo_host(&rt->host, host);
    return poll_open(state, &rt->host, foreign);
}

static int zoo_cx_open(void *cx, const struct aioduct_host *host, void *rt)
{
    (void)host;
    return aioduct_readiness_cx_open(cx, &((struct zoo_rt *)rt)->host, rt);
}

/* ---- the plugin ---- */

static void zoo_stock(void)
{
    zoo.runtime = runtime;
    zoo.runtime.rt = (struct aioduct_layout)AIODUCT_READINESS_LAYOUT_(struct zoo_rt);
    zoo.runtime.open = zoo_open;
    zoo.poll = *(const struct aioduct_runtime_poll *)interfaces(AIODUCT_IFACE_POLL);
    zoo.connector = connector;
    zoo.connector.stream = (struct aioduct_layout)AIODUCT_READINESS_LAYOUT_(struct zoo_stream);
    zoo.connector.open = zoo_cx_open;
    spoil();
}

static const void *zoo_interfaces(const char *id);
static void zoo_probe(const struct aioduct_host *host, struct aioduct_probe *out);

/* One of the tables, or NULL. */
static const void *zoo_table(const char *id)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, zoo_stock);
    return strcmp(id, AIODUCT_IFACE_RUNTIME) == 0     ? (const void *)&zoo.runtime
           : strcmp(id, AIODUCT_IFACE_POLL) == 0      ? (const void *)&zoo.poll
           : strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? (const void *)&zoo.connector
                                                      : NULL;
}

#ifndef ZOO_OWN_INTERFACES
static const void *zoo_interfaces(const char *id)
{
    return zoo_table(id);
}
#endif

#ifndef ZOO_OWN_PROBE
static void zoo_probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    template.probe(host, out);
}
#endif

ZOO_NOTE(ZOO_NAME)
ZOO_EXPORT(ZOO_NAME) = {
    ZOO_HEAD(ZOO_SAID),
    .version = "1.0",
    .vendor = "aioduct tests",
    .url = "",
    .summary = "wrong in one way",
    .probe = zoo_probe,
    .get_interface = zoo_interfaces,
};

#endif
