/* SPDX-License-Identifier: MIT */
/**
 * From a plugin's descriptor and tables, of whatever size its builder knew, to full-size copies of
 * ours. Done once a plugin, so that nobody tests a version at a call.
 */
#ifndef AD_PLUGIN_TABLES_H
#define AD_PLUGIN_TABLES_H

#include "plugin/registry.h"

struct ad_note;

/**
 * Magic, size, versions and name of @descriptor. @where is the file's path, or words for a plugin
 * that has none; @note is the file's, NULL if there is none.
 * Returns: 0 | AIODUCT_E_PLUGIN_INVALID | AIODUCT_E_PLUGIN_ABI
 */
int ad_tables_check_descriptor(const struct aioduct_plugin *descriptor, const char *where,
                               const struct ad_note *note, struct aioduct_error *error);
/* The part of that which the note alone tells, before the file is loaded. */
int ad_tables_check_abi(unsigned major, unsigned minor_needed, unsigned minor_built,
                        const char *where, struct aioduct_error *error);

/**
 * Ask a checked descriptor for its tables and fill @out but for its origin: members beyond the
 * plugin's size, and optional ones that it left NULL, become stubs. Runs the plugin's
 * get_interface. Returns: 0 | AIODUCT_E_PLUGIN_INVALID: a required member is missing, a layout or
 * flag makes no sense, or the tables are not what @note (may be NULL) promised
 */
int ad_tables_copy(struct ad_plugin *out, const struct aioduct_plugin *descriptor,
                   const char *where, const struct ad_note *note, struct aioduct_error *error);

/**
 * Has a plugin with @caps what a client with @need (AD_CAP_*, beside runtime and connector) asks?
 * Returns: 0 | AIODUCT_E_PLUGIN_CAPABILITY
 */
int ad_tables_check_need(unsigned caps, unsigned need, const char *name, const char *origin,
                         struct aioduct_error *error);

/* "poll,connector": what the user is told; the runtime itself goes without saying. */
void ad_tables_caps_text(unsigned caps, char out[40]);

#endif
