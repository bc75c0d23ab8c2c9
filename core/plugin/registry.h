/* SPDX-License-Identifier: MIT */
/**
 * Name -> file -> checked tables. A plugin that passed every check becomes a record with full-size
 * copies of its tables, stubs in the gaps, and stays for the life of the process (it is never
 * unloaded, so never freed).
 *
 * Reading order: place.c (directories, safety), elf.c (header and note), load.c (dlopen, guard,
 * tables), select.c.
 */
#ifndef AD_PLUGIN_REGISTRY_H
#define AD_PLUGIN_REGISTRY_H

#include "plugin/name.h"

#include <aioduct/plugin/plugin.h>
#include <aioduct/runtime.h>
#include <stdbool.h>

struct ad_config;

/* FOREIGN is no word of a note: it is asked of the tables alone. */
enum {
    AD_CAP_RUNTIME = 1,
    AD_CAP_POLL = 2,
    AD_CAP_LOCAL = 4,
    AD_CAP_CONNECTOR = 8,
    AD_CAP_FOREIGN = 16
};

struct ad_plugin {
    const struct aioduct_plugin *descriptor;
    const char *name;
    const char *origin; /* absolute path, "built in" or "registered" */
    unsigned caps;      /* AD_CAP_*: which of the tables below are filled */
    struct aioduct_runtime runtime;
    struct aioduct_runtime_poll poll;
    struct aioduct_runtime_local local;
    struct aioduct_connector connector;
    struct aioduct_runtime_foreign foreign;
};

/* What one of that kind has at least. */
static inline unsigned ad_plugin_cap(enum ad_kind kind)
{
    return kind == AD_KIND_CONNECTOR ? AD_CAP_CONNECTOR : AD_CAP_RUNTIME;
}

/* Does @plugin adopt loops of that kind? */
bool ad_plugin_adopts(const struct ad_plugin *plugin, const char *kind);

/* The runtimes that are linked in; called once, before anything else, by core/api. */
void ad_registry_add_builtin(const struct aioduct_plugin *plugin);

struct ad_selection {
    const char *option;             /* the caller's word; NULL: none */
    const struct ad_config *config; /* the configuration file; NULL: none */
    unsigned need; /* AD_CAP_* that the client cannot do without, beside RUNTIME and CONNECTOR */
    const char *foreign; /* kind of the application's loop that is to be adopted; NULL: none */
    /* Hears what became of each candidate; NULL: nobody does. @plugin as far as it was loaded. */
    void (*on_tried)(const char *candidate, const struct ad_plugin *plugin, int code,
                     const struct aioduct_error *why, void *user);
    void *user;
};

enum { AD_WORD_COUNT = 4 };
/* The words on which runtime to use: option, variable, file, automatic. The first one there is
 * decides. -> NULL if that one says nothing, else the word, with whose it is in @source */
const char *ad_runtime_word(const struct ad_selection *want, unsigned rank, char source[512]);

/**
 * Choose, load, check and probe a runtime: option, AIODUCT_RUNTIME, config, automatic.
 * Thread:  any
 * Returns: 0 with *@out borrowed for ever and @report (may be NULL) filled, or a negative code with
 * @error filled: message, every path tried, hint. Nothing is printed; a fall-back is logged once as
 * a notice.
 */
int ad_runtime_choose(const struct ad_selection *want, const struct ad_plugin **out,
                      struct aioduct_runtime_selection *report, struct aioduct_error *error);

struct ad_chain_selection {
    const char *option;              /* the caller's word; NULL: none */
    const struct ad_config *config;  /* NULL: none */
    const struct ad_plugin *runtime; /* on which they are to run */
};

/* The connectors to open on each loop, the outermost first, without the runtime's own; that one is
 * below the last unless the last is no layer. */
struct ad_chain {
    unsigned count;
    const struct ad_plugin *plugins[AD_CHAIN_MAX];
};

/**
 * Choose, load, check and probe connectors: option, AIODUCT_CONNECTOR, config, none. The word is an
 * order: one that cannot be used is an error.
 * Thread:  any
 * Returns: 0 with @out filled | a negative code with @error filled
 */
int ad_chain_choose(const struct ad_chain_selection *want, struct ad_chain *out,
                    struct aioduct_error *error);

/* Host table with alloc, log, option and error only, for probe; @config and @error may be NULL. */
struct ad_setup_host {
    struct aioduct_host host;
    const struct ad_config *config;
    enum ad_kind kind;
    const char *plugin_name;
    struct aioduct_error *error;
};
void ad_setup_host_init(struct ad_setup_host *h, enum ad_kind kind, const char *plugin_name,
                        const struct ad_config *config, struct aioduct_error *error);

/* From the first client on, directories and registrations are fixed. */
void ad_registry_freeze(void);

#endif
