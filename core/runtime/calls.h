/* SPDX-License-Identifier: MIT */
/**
 * calls.h - AIODUCT_DEBUG=calls: a line for each call between the core and a plugin.
 *
 * A copy of the plugin's record, with functions of ours in its tables, goes between: it is a
 * runtime whose state has a head of ours before the plugin's, so that a call finds its instance
 * without a search. The plugin in turn is given a host table of ours. Without the topic a loop uses
 * the plugin's record itself, and nothing of this is on the way of a call.
 *
 * What is called back nowhere has one line, when it returns: "> " the core calls, "< " the plugin.
 * What others may happen inside (block_on, turn, task_run ...) has one when it begins, and one with
 * its result.
 *
 * Of a chain of connectors (chain.h) only the runtime's own is seen.
 *
 * Reading order: calls.c (the plugin's tables), calls_host.c (the host's).
 */
#ifndef AD_RUNTIME_CALLS_H
#define AD_RUNTIME_CALLS_H

#include "plugin/registry.h"

#include <stdatomic.h>

/* -> @plugin, or what goes between if AIODUCT_DEBUG lists "calls" (for the life of the process);
 * NULL: no memory. Thread: any */
const struct ad_plugin *ad_calls_plugin(const struct ad_plugin *plugin);

/* Is @plugin what the record @real stands for, be it that or what goes between? */
bool ad_calls_is(const struct ad_plugin *plugin, const struct ad_plugin *real);
/* The plugin's own state in that of an instance of @plugin. */
void *ad_calls_rt(const struct ad_plugin *plugin, void *rt);

/* ---- inside ---- */

/* Where in a state the plugin's own begins. */
struct ad_calls_offsets {
    size_t rt, task, timer, cx, stream;
};

/* A record that goes between. */
struct ad_calls_face {
    struct ad_plugin plugin; /* first */
    const struct ad_plugin *real;
    struct ad_calls_offsets at;
    atomic_uint instances;
    struct ad_calls_face *next;
};

/* The head of a runtime's state: an instance. */
struct ad_calls {
    struct ad_calls_face *face;
    const struct aioduct_host *above; /* the core's */
    struct aioduct_host host;         /* the plugin's */
    unsigned number;
    atomic_uint tasks, timers, streams;
};

/* The head of any other state. To the plugin it is the core's half, too. */
struct ad_calls_head {
    struct ad_calls *calls;
    void *above;     /* the core's half */
    unsigned number; /* 0: not seen yet */
};

/* A line of an instance: "calls: epoll#1 > send(stream 1, ...) -> 0". */
__attribute__((format(printf, 2, 3))) void ad_calls_say(const struct ad_calls *calls,
                                                        const char *format, ...);
/* What a call answered: "0", "1", "ECONNREFUSED"; PENDING is 1. */
const char *ad_calls_result(int code, char buffer[16]);
/* "recv", "connect+send" */
const char *ad_calls_ops(unsigned ops, char buffer[40]);

/* The host table of @calls over @calls->above. */
void ad_calls_host_init(struct ad_calls *calls);

#endif
