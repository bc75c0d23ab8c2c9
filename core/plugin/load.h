/* SPDX-License-Identifier: MIT */
/** One plugin file: from a path to a record that passed every check, or to the reason why not. */
#ifndef AD_PLUGIN_LOAD_H
#define AD_PLUGIN_LOAD_H

#include "plugin/note.h"
#include "plugin/registry.h"

#include <stdbool.h>
#include <sys/stat.h>

/**
 * What can be known of the absolute @path without running it; it is called libaioduct-rt-<name>.so
 * or libaioduct-cx-<name>.so, which says what it must offer:
 * owner and mode, architecture, note, versions, name. @named: see ad_place_check. Returns: 0 with
 * *@out_note filled | -ENOENT, @error untouched | AIODUCT_E_PLUGIN_*
 */
int ad_load_inspect(const char *path, bool named, struct ad_note *out_note,
                    struct aioduct_error *error);

/* The part of that which the file's bytes tell, whoever could have written them. *@note is filled
 * as far as it was understood, also after an error. -> 0 | AIODUCT_E_PLUGIN_* | -ENOMEM */
int ad_load_read(const char *path, struct ad_note *note, struct aioduct_error *error);

/**
 * Inspect, then load and check everything but whether it can run here. A second call for the same
 * file, by whatever path, gives the same record. @need: of a runtime, see ad_tables_check_need.
 * Thread:  any; the plugin's get_interface runs without the lock
 * Returns: 0 with *@out borrowed for ever | -ENOENT, @error untouched | AIODUCT_E_PLUGIN_* |
 * AIODUCT_E_CLASH | -ENOMEM
 */
int ad_load_file(const char *path, bool named, unsigned need, const struct ad_plugin **out,
                 struct aioduct_error *error);

#endif
