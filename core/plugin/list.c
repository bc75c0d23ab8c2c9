/* SPDX-License-Identifier: MIT */
/* Every runtime, or connector, that a name could mean, in search order. Without probing nothing is
 * loaded. */
#include "base/environment.h"
#include "base/mem.h"
#include "plugin/config.h"
#include "plugin/load.h"
#include "plugin/name.h"
#include "plugin/place.h"
#include "plugin/probe.h"
#include "plugin/register.h"
#include "plugin/tables.h"
#include "plugin/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef int (*visit_fn)(const struct aioduct_runtime_info *info, void *user);

struct walk {
    enum ad_kind kind;
    int probe;
    visit_fn visit;
    void *user;
    const struct ad_config *config;
    const struct ad_places *places;
    unsigned place; /* the one that is being walked */
};

/* What one line says; the texts live here while @visit runs. */
struct line {
    struct aioduct_runtime_info info;
    char capabilities[40], abi[16], version[40];
    char reason[512], hint[256];
};

static void line_init(struct line *l, const char *name, const char *origin)
{
    memset(l, 0, sizeof *l);
    l->info = (struct aioduct_runtime_info){
        .size = sizeof l->info,
        .name = name,
        .capabilities = l->capabilities,
        .abi = l->abi,
        .version = l->version,
        .origin = origin,
        .reason = l->reason,
        .hint = l->hint,
    };
}

static void say_why(struct line *l, enum aioduct_runtime_status status, const char *reason,
                    const char *hint)
{
    l->info.status = status;
    ad_text_copy(l->reason, sizeof l->reason, reason);
    ad_text_copy(l->hint, sizeof l->hint, hint);
}

/* That a connector is a layer its note does not say. */
static void say_capabilities(const struct ad_plugin *plugin, char out[40])
{
    ad_tables_caps_text(plugin->caps, out);
    if ((plugin->caps & AD_CAP_CONNECTOR) && (plugin->connector.flags & AIODUCT_CX_LAYER)) {
        size_t bytes = strlen(out);
        snprintf(out + bytes, 40 - bytes, ",layer");
    }
}

static void say_plugin(const struct walk *w, struct line *l, const struct ad_plugin *plugin)
{
    struct aioduct_probe answer;
    say_capabilities(plugin, l->capabilities);
    snprintf(l->abi, sizeof l->abi, "%u.%u", plugin->descriptor->abi_major,
             plugin->descriptor->abi_minor_built);
    ad_text_copy(l->version, sizeof l->version, plugin->descriptor->version);
    int code = w->probe ? ad_probe_run(w->kind, plugin, w->config, &answer) : 0;
    if (code < 0) {
        say_why(l, code == AIODUCT_E_UNAVAILABLE ? AIODUCT_RUNTIME_SKIP : AIODUCT_RUNTIME_ERROR,
                answer.reason, answer.hint);
    }
}

static int visit_static(const struct walk *w)
{
    const struct ad_plugin *plugin;
    int result = 0;
    for (unsigned i = 0; result == 0 && (plugin = ad_registry_static(i)) != NULL; i++) {
        struct line l;
        /* A runtime's own connector is on that runtime's line. */
        bool runtime = (plugin->caps & AD_CAP_RUNTIME) != 0;
        if (runtime != (w->kind == AD_KIND_RUNTIME)) {
            continue;
        }
        line_init(&l, plugin->name, plugin->origin);
        say_plugin(w, &l, plugin);
        result = w->visit(&l.info, w->user);
    }
    return result;
}

/* ---- files ---- */

/* Where the plugin that @name means comes from, if it comes before the place being walked. */
static bool is_hidden(const struct walk *w, const char *name, char by[PATH_MAX])
{
    const struct ad_plugin *plugin = ad_registry_static_by_name(w->kind, name);
    if (plugin != NULL) {
        snprintf(by, PATH_MAX, "%s", plugin->origin);
        return true;
    }
    for (unsigned i = 0; i < w->place; i++) {
        struct stat st;
        ad_place_file(by, w->places->directories[i], w->kind, name);
        if (lstat(by, &st) == 0) {
            return true;
        }
    }
    return false;
}

static void say_error(struct line *l, const struct aioduct_error *why)
{
    say_why(l, AIODUCT_RUNTIME_ERROR, why->message, why->hint);
}

/* From the note alone; also when it is loaded afterwards, so that a broken one says what it can. */
static int say_note(struct line *l, const char *path, struct aioduct_error *why)
{
    struct ad_note note = {0};
    int code = ad_load_inspect(path, false, &note, why);
    if (note.abi_major != 0) {
        snprintf(l->abi, sizeof l->abi, "%u.%u", note.abi_major, note.abi_minor);
        ad_tables_caps_text(note.caps, l->capabilities);
    }
    return code;
}

static void say_file(const struct walk *w, struct line *l, const char *path)
{
    const struct ad_plugin *plugin;
    struct aioduct_error why = {0};
    int code = say_note(l, path, &why);
    if (code == 0 && w->probe) {
        code = ad_load_file(path, false, 0, &plugin, &why);
        if (code == 0) {
            say_plugin(w, l, plugin);
        }
    }
    if (code == -ENOENT) {
        say_why(l, AIODUCT_RUNTIME_ERROR, "the file went away", "");
    } else if (code < 0) {
        say_error(l, &why);
    }
}

static int on_file(const char *file, void *user)
{
    const struct walk *w = user;
    const char *directory = w->places->directories[w->place];
    char path[PATH_MAX + 256], name[256], by[PATH_MAX];
    struct ad_slice part = ad_name_of_file(w->kind, file);
    struct line l;

    snprintf(name, sizeof name, "%.*s", (int)part.bytes, part.p);
    snprintf(path, sizeof path, "%s/%s", directory[1] == '\0' ? "" : directory, file);
    line_init(&l, name, path);
    if (!ad_name_valid(part)) {
        ad_text_copy(by, sizeof by, name);
        l.info.name = by;
        say_why(&l, AIODUCT_RUNTIME_ERROR, "the name of the file is malformed",
                "A plugin is named by [a-z0-9][a-z0-9_-]{0,31}.");
    } else if (is_hidden(w, name, by)) {
        struct aioduct_error why = {0};
        say_note(&l, path, &why);
        char reason[512];
        snprintf(reason, sizeof reason, "the name means another, which comes first: %.400s", by);
        say_why(&l, AIODUCT_RUNTIME_SKIP, reason, "Select it by its path.");
    } else {
        say_file(w, &l, path);
    }
    return w->visit(&l.info, w->user);
}

static int walk_all(struct walk *w)
{
    int result = visit_static(w);
    for (w->place = 0; result == 0 && w->place < w->places->count; w->place++) {
        result = ad_place_each(w->places->directories[w->place], w->kind, on_file, w);
    }
    return result;
}

static int list(enum ad_kind kind, int probe, visit_fn visit, void *user,
                struct aioduct_error *error)
{
    struct ad_config *config = NULL;
    struct ad_places places;
    int code = ad_config_read(NULL, &config, error);
    if (code < 0) {
        return code;
    }
    code = ad_places_init(&places, config, error);
    if (code == 0) {
        struct walk w = {.kind = kind,
                         .probe = probe,
                         .visit = visit,
                         .user = user,
                         .config = config,
                         .places = &places};
        code = walk_all(&w);
        ad_places_fini(&places);
    }
    ad_config_destroy(config);
    return code;
}

int aioduct_runtime_list(int probe, visit_fn visit, void *user, struct aioduct_error *error)
{
    return list(AD_KIND_RUNTIME, probe, visit, user, error);
}

int aioduct_connector_list(int probe, visit_fn visit, void *user, struct aioduct_error *error)
{
    return list(AD_KIND_CONNECTOR, probe, visit, user, error);
}
