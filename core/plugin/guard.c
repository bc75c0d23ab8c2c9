/* SPDX-License-Identifier: MIT */
#include "plugin/guard.h"

#include "base/error.h"
#include "plugin/text.h"

#include <aioduct/plugin/plugin.h>
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

/* A program that is not position-independent and takes a library function's address has that
 * function live in its own linkage table, for everybody: a defined address, an undefined symbol.
 * Which library is behind it cannot be told from the address. */
static bool is_linkage_slot(const void *address, const char **out_object)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    if (dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0) {
        *out_object = "another library";
        return false;
    }
    *out_object = info.dli_fname;
    return symbol != NULL && symbol->st_shndx == SHN_UNDEF;
}

/* Files of one build of one library, whole or in parts ("libevent-2.1.so.7" and
 * "libevent_core-2.1.so.7"): the same word first, and the same version at the end. Whichever comes
 * first in the program's scope, all of it comes from there. */
static bool is_same_library(const void *one, const void *other)
{
    Dl_info a, b;
    if (dladdr(one, &a) == 0 || dladdr(other, &b) == 0) {
        return false;
    }
    if (a.dli_fbase == b.dli_fbase) {
        return true;
    }
    const char *x = strrchr(a.dli_fname, '/'), *y = strrchr(b.dli_fname, '/');
    if (x == NULL || y == NULL) {
        return false;
    }
    size_t word = strcspn(x, "-_."), version = strcspn(x, "-.");
    return x[version] != '\0' && strcspn(y, "-_.") == word && strncmp(x, y, word) == 0 &&
           strcmp(x + version, y + strcspn(y, "-.")) == 0;
}

/* The object that a linked-in plugin is part of; NULL if it cannot be told (a static program). */
static void *handle_of(const struct aioduct_plugin *plugin)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (dladdr1(plugin, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL) {
        return NULL;
    }
    return map->l_name[0] == '\0' ? dlopen(NULL, RTLD_LAZY)
                                  : dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD);
}

static int refuse(const struct aioduct_plugin *plugin, const char *symbol, const char *object,
                  struct aioduct_error *error)
{
    ad_plugin_fail(error, AIODUCT_E_CLASH,
                   "cannot use %s here: %s resolves to %s, already in the program's global scope",
                   plugin->name, symbol, object);
    ad_error_hint(error,
                  "The program, or a library it was started with, links %s: choose the runtime "
                  "that goes with it, or another.",
                  object);
    return AIODUCT_E_CLASH;
}

/* What is linked in has no scope of its own: it gets each function from whatever library comes
 * first. All must come from one, and the last symbol, which no other library has, says from which.
 */
static int check_linked(const struct aioduct_plugin *plugin, struct aioduct_error *error)
{
    const char *const *symbol = plugin->guard_symbols;
    const void *last = NULL;
    const char *object;
    for (; *symbol != NULL; symbol++) {
        last = dlsym(RTLD_DEFAULT, *symbol);
    }
    for (symbol = plugin->guard_symbols; last != NULL && *symbol != NULL; symbol++) {
        const void *seen = dlsym(RTLD_DEFAULT, *symbol);
        if (seen != NULL && !is_linkage_slot(last, &object) && !is_linkage_slot(seen, &object) &&
            !is_same_library(seen, last)) {
            return refuse(plugin, *symbol, object, error);
        }
    }
    return 0;
}

int ad_guard_check(const struct aioduct_plugin *plugin, void *handle, struct aioduct_error *error)
{
    const char *const *symbol = plugin->guard_symbols;
    if (symbol == NULL) {
        return 0;
    }
    if (handle == NULL) {
        int code = check_linked(plugin, error);
        if (code < 0) {
            return code;
        }
        handle = handle_of(plugin);
    }
    for (; handle != NULL && *symbol != NULL; symbol++) {
        void *seen = dlsym(RTLD_DEFAULT, *symbol), *own = dlsym(handle, *symbol);
        const char *object;
        if (seen != NULL && own != NULL && seen != own && !is_linkage_slot(seen, &object) &&
            !is_same_library(seen, own)) {
            return refuse(plugin, *symbol, object, error);
        }
    }
    return 0;
}
