/* SPDX-License-Identifier: MIT */
/**
 * subject.h - the plugin under test: found by name, its tables at hand.
 */
#ifndef CT_SUBJECT_H
#define CT_SUBJECT_H

#include <aioduct/plugin/plugin.h>
#include <stdbool.h>

struct ct_subject {
    const char *name;
    const struct aioduct_plugin *plugin;
    const struct aioduct_runtime *rt;
    const struct aioduct_runtime_poll *poll;   /* or NULL */
    const struct aioduct_runtime_local *local; /* or NULL */
    const struct aioduct_connector *cx;

    /* From whichever of the two tables there is; poll wins. */
    struct aioduct_layout timer;
    int (*spawn)(void *rt, struct aioduct_task *task, void *task_state);
    int (*sleep)(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns);
    void (*sleep_cancel)(void *rt, struct aioduct_timer *timer, void *timer_state);
    bool any_thread; /* spawn works from every thread */
};

/**
 * The runtime named by AIODUCT_RUNTIME: an absolute path, a file libaioduct-rt-NAME.so in a
 * directory of AIODUCT_PLUGIN_PATH, or the built-in epoll, which is also the default. Loaded once.
 * -> NULL with @why (256 bytes) filled
 */
const struct ct_subject *ct_subject_load(char *why);
/* The loaded one. */
const struct ct_subject *ct_subject(void);

#endif
