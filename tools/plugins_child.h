/* SPDX-License-Identifier: MIT */
/** Plugins are loaded and asked in a child process: one that crashes or never answers is a line in
 * the answer, and not the end of it. */
#ifndef TOOLS_PLUGINS_CHILD_H
#define TOOLS_PLUGINS_CHILD_H

#include <aioduct/runtime.h>
#include <stdbool.h>

/* A struct aioduct_runtime_info that goes through a pipe. */
struct plugin_row {
    enum aioduct_runtime_status status;
    char name[64], capabilities[64], abi[16], version[40], origin[4096], reason[512], hint[256];
};

void plugin_row_set(struct plugin_row *row, const struct aioduct_runtime_info *info);

/* What may be asked. */
struct plugin_question {
    bool connectors;          /* what there is of them; or else, of runtimes: */
    const char *wanted;       /* a name, a list, a path; NULL: no option */
    const char *wanted_by;    /* what to call that in an error; NULL: the library's word */
    enum aioduct_need need;   /* what the runtime has to offer */
    bool client;              /* is one made, with all that is set for it? */
    unsigned timeout_seconds; /* of the child */
};

/* What comes of it; members of @on are called in the parent, in order. */
struct plugin_hears {
    void (*on_word)(const char *source, const char *word, void *user);
    void (*on_tried)(const struct plugin_row *row, void *user);
    void (*on_unheeded)(const char *source, const char *what, void *user);
};

/**
 * aioduct_runtime_explain, or aioduct_connector_list, in a child, which then makes a client.
 * -> 0 with @chosen | negative with @error, also if the child did not live to say it
 */
int plugins_ask(const struct plugin_question *question, const struct plugin_hears *on, void *user,
                struct aioduct_runtime_selection *chosen, struct aioduct_error *error);

#endif
