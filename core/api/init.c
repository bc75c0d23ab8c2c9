/* SPDX-License-Identifier: MIT */
/* What happens once, before anything else: the built-in runtime is registered. Version and log. */
#include "base/log.h"
#include "plugin/registry.h"

#include <aioduct/runtime.h>

extern const struct aioduct_plugin aioduct_plugin_epoll;

/* A constructor, so that no public function has to ask whether it was done. */
__attribute__((constructor)) static void register_builtins(void)
{
    ad_registry_add_builtin(&aioduct_plugin_epoll);
}

const char *aioduct_version(void)
{
    return AIODUCT_VERSION;
}

void aioduct_log_set(aioduct_log_fn log, void *user, int level_max)
{
    ad_log_set(log, user, level_max);
}
