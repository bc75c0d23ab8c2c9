/* SPDX-License-Identifier: MIT */
#include "plugin/register.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/guard.h"
#include "plugin/tables.h"
#include "plugin/text.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { BUILTIN_MAX = 4 /* the library links one; tests add a few of their own */ };

struct directory {
    struct directory *next;
    char path[];
};

struct registered {
    struct registered *next;
    struct ad_plugin plugin;
};

/* Lists only grow, and what is in them never changes: pointers into them need no lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool frozen, disabled;
static struct ad_plugin builtin[BUILTIN_MAX];
static unsigned builtin_count;
static struct registered *registered;
static struct directory *directories;

void ad_registry_freeze(void)
{
    pthread_mutex_lock(&lock);
    frozen = true;
    pthread_mutex_unlock(&lock);
}

bool ad_registry_loading(void)
{
    pthread_mutex_lock(&lock);
    bool loading = AD_PLUGIN_LOADING && !disabled;
    pthread_mutex_unlock(&lock);
    return loading;
}

int aioduct_plugins_disable(void)
{
    pthread_mutex_lock(&lock);
    disabled = true;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* ---- directories ---- */

static int add_directory(const char *path)
{
    size_t bytes = strlen(path) + 1;
    struct directory *directory = ad_alloc(sizeof *directory + bytes);
    if (directory == NULL) {
        return -ENOMEM;
    }
    directory->next = NULL;
    memcpy(directory->path, path, bytes);

    pthread_mutex_lock(&lock);
    if (frozen) {
        pthread_mutex_unlock(&lock);
        ad_free(directory);
        return AIODUCT_E_TOO_LATE;
    }
    struct directory **end = &directories;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = directory;
    pthread_mutex_unlock(&lock);
    return 0;
}

int aioduct_plugin_directory_add(const char *path)
{
    if (path == NULL || path[0] != '/') {
        return AIODUCT_E_PLUGIN_NAME;
    }
    int code = add_directory(path);
    if (code == AIODUCT_E_TOO_LATE) {
        ad_logf(AD_LOG_WARNING,
                "plugin directories cannot change after the first client was created: %s ignored",
                path);
    }
    return code;
}

const char *ad_registry_directory(unsigned i)
{
    pthread_mutex_lock(&lock);
    const struct directory *directory = directories;
    while (directory != NULL && i-- > 0) {
        directory = directory->next;
    }
    pthread_mutex_unlock(&lock);
    return directory == NULL ? NULL : directory->path;
}

/* ---- plugins that are linked in ---- */

static const struct ad_plugin *static_locked(unsigned i)
{
    if (i < builtin_count) {
        return &builtin[i];
    }
    i -= builtin_count;
    const struct registered *r = registered;
    while (r != NULL && i-- > 0) {
        r = r->next;
    }
    return r == NULL ? NULL : &r->plugin;
}

const struct ad_plugin *ad_registry_static(unsigned i)
{
    pthread_mutex_lock(&lock);
    const struct ad_plugin *plugin = static_locked(i);
    pthread_mutex_unlock(&lock);
    return plugin;
}

/* One that offers any of @caps. */
static const struct ad_plugin *by_name_locked(const char *name, unsigned caps)
{
    const struct ad_plugin *plugin;
    for (unsigned i = 0; (plugin = static_locked(i)) != NULL; i++) {
        if ((plugin->caps & caps) && strcmp(plugin->name, name) == 0) {
            return plugin;
        }
    }
    return NULL;
}

const struct ad_plugin *ad_registry_static_by_name(enum ad_kind kind, const char *name)
{
    pthread_mutex_lock(&lock);
    const struct ad_plugin *plugin = by_name_locked(name, ad_plugin_cap(kind));
    pthread_mutex_unlock(&lock);
    return plugin;
}

/* The checks that a file passes too; no lock is held, because the plugin is asked for its tables.
 */
static int check(const struct aioduct_plugin *descriptor, enum ad_kind kind, const char *origin,
                 struct ad_plugin *out, struct aioduct_error *error)
{
    const char *what =
        strcmp(origin, "built in") == 0 ? "the built-in plugin" : "the registered plugin";
    int code = ad_tables_check_descriptor(descriptor, what, NULL, error);
    code = code < 0 ? code : ad_guard_check(descriptor, NULL, error);
    code = code < 0 ? code : ad_tables_copy(out, descriptor, what, NULL, error);
    if (code == 0 && !(out->caps & ad_plugin_cap(kind))) {
        code = ad_plugin_fail(
            error, AIODUCT_E_PLUGIN_INVALID, "%s '%s' does not offer %s", what, descriptor->name,
            kind == AD_KIND_CONNECTOR ? AIODUCT_IFACE_CONNECTOR : AIODUCT_IFACE_RUNTIME);
    }
    out->origin = origin;
    return code;
}

void ad_registry_add_builtin(const struct aioduct_plugin *descriptor)
{
    struct ad_plugin plugin = {0};
    int code = check(descriptor, AD_KIND_RUNTIME, "built in", &plugin, NULL);
    AD_ASSERT(code == 0);
    pthread_mutex_lock(&lock);
    const struct ad_plugin *before = by_name_locked(plugin.name, AD_CAP_RUNTIME);
    AD_ASSERT(before == NULL || before->descriptor == descriptor);
    if (before == NULL) {
        AD_ASSERT(builtin_count < BUILTIN_MAX);
        builtin[builtin_count++] = plugin;
    }
    pthread_mutex_unlock(&lock);
}

static int add_registered(struct registered *r, enum ad_kind kind, struct aioduct_error *error)
{
    const char *name = r->plugin.name;
    if (frozen) {
        return ad_plugin_fail(error, AIODUCT_E_TOO_LATE,
                              "%s '%s' cannot be registered after the first client was created",
                              ad_kind_word(kind), name);
    }
    const struct ad_plugin *before =
        by_name_locked(name, r->plugin.caps & (AD_CAP_RUNTIME | AD_CAP_CONNECTOR));
    if (before != NULL) {
        return ad_plugin_fail(error, -EEXIST, "a %s called '%s' is %s already", ad_kind_word(kind),
                              name, before->origin);
    }
    struct registered **end = &registered;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = r;
    return 0;
}

static int register_as(const struct aioduct_plugin *descriptor, enum ad_kind kind,
                       struct aioduct_error *error)
{
    if (descriptor == NULL) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "no plugin was given");
    }
    struct registered *r = ad_zalloc(sizeof *r);
    if (r == NULL) {
        return ad_plugin_fail_memory(error);
    }
    int code = check(descriptor, kind, "registered", &r->plugin, error);
    if (code == 0) {
        pthread_mutex_lock(&lock);
        code = add_registered(r, kind, error);
        pthread_mutex_unlock(&lock);
    }
    if (code < 0) {
        ad_free(r);
    }
    return code;
}

int aioduct_runtime_register(const struct aioduct_plugin *descriptor, struct aioduct_error *error)
{
    return register_as(descriptor, AD_KIND_RUNTIME, error);
}

int aioduct_connector_register(const struct aioduct_plugin *descriptor, struct aioduct_error *error)
{
    return register_as(descriptor, AD_KIND_CONNECTOR, error);
}
