/* SPDX-License-Identifier: MIT */
/** From the name or the path of a plugin to its record. */
#ifndef AD_PLUGIN_FIND_H
#define AD_PLUGIN_FIND_H

#include "plugin/registry.h"

#include <stdbool.h>

struct ad_places;

/**
 * Linked in, else the first file of that name in @places, which decides, also when it fails.
 * Returns: 0 | AIODUCT_E_PLUGIN_NOT_FOUND, @error saying where it was looked for | what loading
 * gave
 */
int ad_find_by_name(const struct ad_places *places, enum ad_kind kind, const char *name,
                    unsigned need, const struct ad_plugin **out, struct aioduct_error *error);
/* The file's name tells the kind. @named: the program itself gave the path; see ad_place_check. */
int ad_find_by_path(const char *path, bool named, unsigned need, const struct ad_plugin **out,
                    struct aioduct_error *error);
/* -> AIODUCT_E_PLUGIN_NOT_FOUND, @error saying where it was looked for, or that it is not there */
int ad_find_missing(const struct ad_places *places, enum ad_kind kind, const char *name,
                    struct aioduct_error *error);
int ad_find_missing_file(const char *path, struct aioduct_error *error);

#endif
