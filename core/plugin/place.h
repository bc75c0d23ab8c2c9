/* SPDX-License-Identifier: MIT */
/**
 * Where plugin files are looked for, and whether a file may be trusted as far as its owner and its
 * mode tell. Only absolute paths exist here.
 */
#ifndef AD_PLUGIN_PLACE_H
#define AD_PLUGIN_PLACE_H

#include "plugin/name.h"

#include <aioduct/error.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct ad_config;

/* Directories in search order, each once. */
struct ad_places {
    char **directories;
    unsigned count, capacity;
};

/**
 * (1) directories added by API, then those of @config; (2) the elements of AIODUCT_PLUGIN_PATH, an
 * empty one standing for (3) and (4); (3) aioduct-1/ beside libaioduct.so; (4) the compiled-in
 * directory. Under AT_SECURE only (4); none when loading is switched off.
 * Returns: 0 with @out owned | AIODUCT_E_PLUGIN_NAME (relative element) | -ENOMEM
 */
int ad_places_init(struct ad_places *out, const struct ad_config *config,
                   struct aioduct_error *error);
void ad_places_fini(struct ad_places *places);

/* Tell each directory that the configuration or AIODUCT_PLUGIN_PATH names in vain. */
void ad_places_each_absent(const struct ad_config *config,
                           void (*tell)(const char *source, const char *what, void *user),
                           void *user);

/* "<directory>/libaioduct-rt-<name>.so" */
void ad_place_file(char path[PATH_MAX], const char *directory, enum ad_kind kind, const char *name);

/* Call @visit for each file called libaioduct-rt-*.so, in alphabetical order; non-zero ends the
 * walk and is returned. A directory that cannot be read has none. */
int ad_place_each(const char *directory, enum ad_kind kind,
                  int (*visit)(const char *file, void *user), void *user);

/* Why others could have written the file or directory of @st, possibly in @text; NULL if they could
 * not: it belongs to root or to the user of this process, and nobody else may write it. */
const char *ad_place_unsafe(const struct stat *st, char text[64]);

/**
 * Look at @path before anything opens it: a regular file, and neither it nor its directory (nor the
 * directory that a symbolic link leads to) writable by others. @named: the program itself gave this
 * path, so that owner and mode only cost a warning; not so under AT_SECURE.
 * Returns: 0 with @out filled | -ENOENT, @error untouched: there is no such file |
 * AIODUCT_E_PLUGIN_UNSAFE | AIODUCT_E_PLUGIN_INVALID
 */
int ad_place_check(const char *path, bool named, struct stat *out, struct aioduct_error *error);

#endif
