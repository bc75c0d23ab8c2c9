/* SPDX-License-Identifier: MIT */
/**
 * subject.h - the plugin under test, and the runtime under it if it is a connector alone: where
 * they are, and, once loaded into this process, what they offer.
 *
 * The runner never loads one: each case's process does, so that what a plugin does when it is
 * loaded concerns nobody else. Tables are copied as the core does it, so that members that a
 * plugin does not have are NULL, however short its tables are.
 */
#ifndef CT_SUBJECT_H
#define CT_SUBJECT_H

#include <aioduct/plugin/plugin.h>
#include <stdbool.h>

enum { CT_PATH_BYTES = 4096, CT_WHY_BYTES = 512 };

/* Where a plugin is: in a file, or linked in. */
struct ct_target {
    char path[CT_PATH_BYTES];            /* "" if it is linked in */
    const struct aioduct_plugin *plugin; /* linked in, or NULL */
};

struct ct_subject {
    const char *name;
    const char *path; /* NULL if it is linked in */
    const struct aioduct_plugin *plugin;
    const struct aioduct_runtime *rt;          /* its own, or of the runtime under it */
    const struct aioduct_runtime_poll *poll;   /* or NULL */
    const struct aioduct_runtime_local *local; /* or NULL */
    const struct aioduct_connector *cx;        /* or NULL */
    const struct aioduct_connector *base;      /* under it, if that is a layer; else NULL */
    bool connector_alone;

    /* From whichever of the two tables there is; poll wins. */
    struct aioduct_layout timer;
    int (*spawn)(void *rt, struct aioduct_task *task, void *task_state);
    int (*sleep)(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns);
    void (*sleep_cancel)(void *rt, struct aioduct_timer *timer, void *timer_state);
    bool any_thread; /* spawn works from every thread */
};

/* How far a load came. */
enum ct_loaded {
    CT_LOADED_NOT,    /* no such file, or the loader refuses it, or it has no entry */
    CT_LOADED_OBJECT, /* there is an entry, but not a descriptor of ours */
    CT_LOADED_PLUGIN, /* the descriptor can be used */
    CT_LOADED_TABLES  /* the tables can, too */
};

/* Load @plugin, and @runtime (NULL: none) for a connector alone, into this process. @why
 * (CT_WHY_BYTES) says what was wrong where it stopped. */
enum ct_loaded ct_subject_load(const struct ct_target *plugin, const struct ct_target *runtime,
                               char *why);
/* The loaded one. */
const struct ct_subject *ct_subject(void);

#endif
