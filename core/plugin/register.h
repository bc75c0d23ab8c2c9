/* SPDX-License-Identifier: MIT */
/** What the program itself told the loader: plugins that are linked in, directories, "load none".
 */
#ifndef AD_PLUGIN_REGISTER_H
#define AD_PLUGIN_REGISTER_H

#include "plugin/registry.h"

#include <stdbool.h>

/* May files be loaded: by this build, and as far as aioduct_plugins_disable was not called? */
bool ad_registry_loading(void);
/* Directories added by API, in order; NULL after the last. Static. */
const char *ad_registry_directory(unsigned i);
/* Plugins that are linked in: built in, then registered; NULL after the last. Static. */
const struct ad_plugin *ad_registry_static(unsigned i);
const struct ad_plugin *ad_registry_static_by_name(enum ad_kind kind, const char *name);

#endif
