/* SPDX-License-Identifier: MIT */
#include "plugin/find.h"

#include "base/error.h"
#include "plugin/load.h"
#include "plugin/name.h"
#include "plugin/place.h"
#include "plugin/register.h"
#include "plugin/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Names that are installed, for the message that one is not. */
struct known {
    enum ad_kind kind;
    struct ad_text text;
};

static void add_known(struct known *known, const char *name)
{
    char word[AD_NAME_BYTES_MAX + 3];
    snprintf(word, sizeof word, ", %s", name);
    const char *at = strstr(known->text.buffer, word + 2);
    /* Each name once: it is there already if it stands between separators. */
    while (at != NULL) {
        char after = at[strlen(name)];
        if ((after == ',' || after == '\0') && (at == known->text.buffer || at[-1] == ' ')) {
            return;
        }
        at = strstr(at + 1, word + 2);
    }
    ad_text_add(&known->text, "%s", known->text.bytes == 0 ? word + 2 : word);
}

static int on_known_file(const char *file, void *user)
{
    char name[AD_NAME_BYTES_MAX + 1];
    const struct known *known = user;
    struct ad_slice part = ad_name_of_file(known->kind, file);
    if (ad_name_valid(part)) {
        memcpy(name, part.p, part.bytes);
        name[part.bytes] = '\0';
        add_known(user, name);
    }
    return 0;
}

/* What a runtime has for itself is of no use to another. */
static bool is_own_connector(const struct ad_plugin *plugin)
{
    return (plugin->caps & AD_CAP_RUNTIME) && !(plugin->connector.flags & AIODUCT_CX_LAYER) &&
           plugin->connector.runs_on == NULL;
}

static void list_known(const struct ad_places *places, enum ad_kind kind, char *out,
                       size_t capacity)
{
    struct known known = {.kind = kind};
    const struct ad_plugin *plugin;
    ad_text_init(&known.text, out, capacity);
    for (unsigned i = 0; (plugin = ad_registry_static(i)) != NULL; i++) {
        if ((plugin->caps & ad_plugin_cap(kind)) &&
            (kind == AD_KIND_RUNTIME || !is_own_connector(plugin))) {
            add_known(&known, plugin->name);
        }
    }
    for (unsigned i = 0; i < places->count; i++) {
        ad_place_each(places->directories[i], kind, on_known_file, &known);
    }
}

static bool is_connector(const struct ad_places *places, const char *name)
{
    char path[PATH_MAX];
    bool found = ad_registry_static_by_name(AD_KIND_CONNECTOR, name) != NULL;
    for (unsigned i = 0; !found && i < places->count; i++) {
        ad_place_file(path, places->directories[i], AD_KIND_CONNECTOR, name);
        found = access(path, F_OK) == 0;
    }
    return found;
}

int ad_find_missing(const struct ad_places *places, enum ad_kind kind, const char *name,
                    struct aioduct_error *error)
{
    char tried[300], known[80], path[PATH_MAX];
    struct ad_text text;
    list_known(places, kind, known, sizeof known);
    ad_text_init(&text, tried, sizeof tried);
    ad_text_add(&text, "built in (no)");
    for (unsigned i = 0; i < places->count; i++) {
        bool exists = access(places->directories[i], F_OK) == 0;
        ad_place_file(path, places->directories[i], kind, name);
        ad_text_add(&text, "; %s (no such %s)", path, exists ? "file" : "directory");
    }
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_NOT_FOUND,
                   "%s '%s' not found. Tried: %s%s. Known here: %s.", ad_kind_word(kind), name,
                   tried, text.full ? "; ..." : "", known[0] == '\0' ? "none" : known);
    if (!ad_registry_loading()) {
        ad_error_hint(error,
                      "Loading plugin files is switched off here: choose a %s that is built in or "
                      "registered.",
                      ad_kind_word(kind));
    } else if (kind == AD_KIND_RUNTIME && is_connector(places, name)) {
        ad_error_hint(error, "'%s' is a connector: name it as one (AIODUCT_CONNECTOR).", name);
    } else if (kind == AD_KIND_RUNTIME &&
               (strcmp(name, "uring") == 0 || strncmp(name, "libev", 5) == 0)) {
        ad_error_hint(error, "Install libaioduct-runtime-%s or set AIODUCT_PLUGIN_PATH.", name);
    } else {
        ad_error_hint(error, "Install its file, or set AIODUCT_PLUGIN_PATH.");
    }
    return AIODUCT_E_PLUGIN_NOT_FOUND;
}

int ad_find_by_name(const struct ad_places *places, enum ad_kind kind, const char *name,
                    unsigned need, const struct ad_plugin **out, struct aioduct_error *error)
{
    char path[PATH_MAX];
    *out = ad_registry_static_by_name(kind, name);
    if (*out != NULL) {
        ad_plugin_trace("%s: %s", name, (*out)->origin);
        return 0;
    }
    for (unsigned i = 0; i < places->count; i++) {
        ad_place_file(path, places->directories[i], kind, name);
        int code = ad_load_file(path, false, need, out, error);
        ad_plugin_trace("%s: %s", path,
                        code == 0         ? "loaded"
                        : code == -ENOENT ? "no such file"
                                          : error->message);
        if (code != -ENOENT) {
            return code; /* the first file decides, also when it fails */
        }
    }
    return ad_find_missing(places, kind, name, error);
}

int ad_find_missing_file(const char *path, struct aioduct_error *error)
{
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_NOT_FOUND, "%s plugin %s not found: no such file",
                   ad_kind_word(ad_kind_of_path(path)), path);
    ad_error_hint(error, "Check the path.");
    return AIODUCT_E_PLUGIN_NOT_FOUND;
}

int ad_find_by_path(const char *path, bool named, unsigned need, const struct ad_plugin **out,
                    struct aioduct_error *error)
{
    if (!ad_registry_loading()) {
        ad_plugin_fail(error, AIODUCT_E_PLUGIN_NOT_FOUND,
                       "%s not loaded: loading plugin files is "
                       "switched off here",
                       path);
        ad_error_hint(error, "Choose a %s that is built in or registered.",
                      ad_kind_word(ad_kind_of_path(path)));
        return AIODUCT_E_PLUGIN_NOT_FOUND;
    }
    int code = ad_load_file(path, named, need, out, error);
    return code == -ENOENT ? ad_find_missing_file(path, error) : code;
}
