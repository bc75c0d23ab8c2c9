/* SPDX-License-Identifier: MIT */
/**
 * Names of plugins, names of their files, and the words that select them: for a runtime a name, a
 * list of names, "auto", or the absolute path of a file; for connectors a list of names and paths.
 * Nothing here touches the file system.
 */
#ifndef AD_PLUGIN_NAME_H
#define AD_PLUGIN_NAME_H

#include "base/slice.h"

#include <aioduct/error.h>

#define AD_NAME_BYTES_MAX 32 /* [a-z0-9][a-z0-9_-]{0,31} */
#define AD_NAME_FILE_SUFFIX ".so"

/* What a plugin is asked for. */
enum ad_kind { AD_KIND_RUNTIME, AD_KIND_CONNECTOR };
const char *ad_kind_word(enum ad_kind kind);   /* "runtime" */
const char *ad_kind_prefix(enum ad_kind kind); /* "libaioduct-rt-"; all are of one length */
#define AD_KIND_PREFIX_BYTES 14
enum ad_kind ad_kind_of_path(const char *path); /* by the file's name; else a runtime */

bool ad_name_valid(struct ad_slice name);
/* The part of "libaioduct-rt-<name>.so" that is the name, valid or not; NULL if @file (no slashes)
 * is not of that form. */
struct ad_slice ad_name_of_file(enum ad_kind kind, const char *file);

enum {
    AD_CHOICE_MAX = 16 /* names in one list: more than there are loops to choose from */
};

struct ad_choice {
    bool order;       /* one name or path: it runs or it is an error */
    bool automatic;   /* the word was "auto": that something is not installed is no news */
    const char *path; /* absolute, borrowed from the word; NULL: use the names */
    unsigned count;
    char names[AD_CHOICE_MAX][AD_NAME_BYTES_MAX + 1];
};

/* -> 0 | AIODUCT_E_PLUGIN_NAME with @error filled, message and hint. @word NULL is "auto". */
int ad_choice_parse(const char *word, struct ad_choice *out, struct aioduct_error *error);

enum {
    AD_CHAIN_MAX = 8 /* connectors on top of each other: more than anybody could make sense of */
};

/* Which connectors, the outermost first. */
struct ad_chain_word {
    unsigned count;
    struct ad_slice elements[AD_CHAIN_MAX]; /* names and absolute paths; parts of the word */
};

/* @word: "none", empty, or names and absolute paths of files with commas between. -> 0 |
 * AIODUCT_E_PLUGIN_NAME with @error filled, message and hint */
int ad_chain_parse(const char *word, struct ad_chain_word *out, struct aioduct_error *error);

#endif
