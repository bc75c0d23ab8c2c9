/* SPDX-License-Identifier: MIT */
/**
 * Names of runtimes, names of their files, and the word that selects a runtime: a name, a list of
 * names, "auto", or the absolute path of a file. Nothing here touches the file system.
 */
#ifndef AD_PLUGIN_NAME_H
#define AD_PLUGIN_NAME_H

#include "base/slice.h"

#include <aioduct/error.h>

#define AD_NAME_BYTES_MAX 32 /* [a-z0-9][a-z0-9_-]{0,31} */
#define AD_NAME_FILE_PREFIX "libaioduct-rt-"
#define AD_NAME_FILE_SUFFIX ".so"

bool ad_name_valid(struct ad_slice name);
/* The part of "libaioduct-rt-<name>.so" that is the name, valid or not; NULL if @file (no slashes)
 * is not of that form. */
struct ad_slice ad_name_of_file(const char *file);

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

#endif
