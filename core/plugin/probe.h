/* SPDX-License-Identifier: MIT */
/** Asking a loaded plugin whether it can run on this machine. */
#ifndef AD_PLUGIN_PROBE_H
#define AD_PLUGIN_PROBE_H

#include "plugin/registry.h"

/**
 * Run @plugin's probe, whose options are those of @kind; no lock is held.
 * Returns: 0 | AIODUCT_E_UNAVAILABLE: it says that it cannot run here | AIODUCT_E_PLUGIN_INVALID:
 * it failed otherwise; @out holds reason and hint, clean and terminated
 */
int ad_probe_run(enum ad_kind kind, const struct ad_plugin *plugin, const struct ad_config *config,
                 struct aioduct_probe *out);
/* The same with the answer made into an error. */
int ad_probe_check(enum ad_kind kind, const struct ad_plugin *plugin,
                   const struct ad_config *config, struct aioduct_error *error);

#endif
