/* SPDX-License-Identifier: MIT */
/**
 * Does a plugin's loop library get its own functions? libev and libevent export functions of the
 * same names. If one of them is in the program's global scope, the calls of the other, and even its
 * calls to itself, arrive there, although the plugin was loaded into a scope of its own.
 */
#ifndef AD_PLUGIN_GUARD_H
#define AD_PLUGIN_GUARD_H

#include <aioduct/error.h>

struct aioduct_plugin;

/**
 * Check @plugin's guard symbols as seen from the program against the plugin's own library list.
 * @handle: of dlopen; NULL: the plugin is linked into the program or one of its libraries.
 * Returns: 0 | AIODUCT_E_CLASH
 */
int ad_guard_check(const struct aioduct_plugin *plugin, void *handle, struct aioduct_error *error);

#endif
