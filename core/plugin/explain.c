/* SPDX-License-Identifier: MIT */
/* What a program, or a person, may ask of the selection without making a client. */
#include "base/error.h"
#include "plugin/config.h"
#include "plugin/find.h"
#include "plugin/load.h"
#include "plugin/name.h"
#include "plugin/place.h"
#include "plugin/register.h"
#include "plugin/tables.h"
#include "plugin/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- which one, and why ---- */

struct listener {
    struct aioduct_runtime_explainer explainer;
    void *user;
};

static void on_tried(const char *candidate, const struct ad_plugin *plugin, int code,
                     const struct aioduct_error *why, void *user)
{
    const struct listener *l = user;
    char capabilities[40] = "", abi[16] = "", version[40] = "";
    if (l->explainer.on_candidate == NULL) {
        return;
    }
    if (plugin != NULL) {
        ad_tables_caps_text(plugin->caps, capabilities);
        snprintf(abi, sizeof abi, "%u.%u", plugin->descriptor->abi_major,
                 plugin->descriptor->abi_minor_built);
        ad_text_copy(version, sizeof version, plugin->descriptor->version);
    }
    struct aioduct_runtime_info info = {
        .size = sizeof info,
        .name = plugin != NULL ? plugin->name : candidate,
        .status = code == 0                       ? AIODUCT_RUNTIME_OK
                  : code == AIODUCT_E_UNAVAILABLE ? AIODUCT_RUNTIME_SKIP
                                                  : AIODUCT_RUNTIME_ERROR,
        .capabilities = capabilities,
        .abi = abi,
        .version = version,
        .origin = plugin != NULL ? plugin->origin : "",
        .reason = code == 0 ? "" : why->message,
        .hint = code == 0 ? "" : why->hint,
    };
    l->explainer.on_candidate(&info, l->user);
}

static void say_words(const struct listener *l, const struct ad_selection *want)
{
    char source[512];
    for (unsigned rank = 0; l->explainer.on_word != NULL && rank < AD_WORD_COUNT; rank++) {
        const char *word = ad_runtime_word(want, rank, source);
        if (word != NULL) {
            l->explainer.on_word(source, word, l->user);
        }
    }
}

/* @chosen NULL: none is. */
static void say_unheeded(const struct listener *l, const struct ad_config *config,
                         const char *chosen)
{
    if (l->explainer.on_unheeded == NULL) {
        return;
    }
    ad_places_each_absent(config, l->explainer.on_unheeded, l->user);
    if (chosen != NULL) {
        ad_config_each_idle_option(config, chosen, l->explainer.on_unheeded, l->user);
    }
}

static int select_and_tell(const char *value, struct listener *listener,
                           struct aioduct_runtime_selection *out, struct aioduct_error *error)
{
    struct aioduct_runtime_selection made;
    struct ad_config *config = NULL;
    const struct ad_plugin *plugin;
    if (out == NULL || out->size <= offsetof(struct aioduct_runtime_selection, name)) {
        return ad_plugin_fail(error, -EINVAL,
                              "the selection's size is not sizeof(struct "
                              "aioduct_runtime_selection)");
    }
    int code = ad_config_read(NULL, &config, error);
    if (code < 0) {
        return code;
    }
    struct ad_selection want = {.option = value, .config = config};
    if (listener != NULL) {
        want.need = listener->explainer.need == AIODUCT_NEED_SEND    ? AD_CAP_POLL
                    : listener->explainer.need == AIODUCT_NEED_LOCAL ? AD_CAP_LOCAL
                                                                     : 0;
        want.on_tried = on_tried;
        want.user = listener;
        say_words(listener, &want);
    }
    code = ad_runtime_choose(&want, &plugin, &made, error);
    if (listener != NULL) {
        say_unheeded(listener, config, code < 0 ? NULL : plugin->name);
    }
    ad_config_destroy(config);
    if (code == 0) {
        size_t size = out->size < sizeof made ? out->size : sizeof made;
        memcpy(out, &made, size);
        out->size = size;
    }
    return code;
}

int aioduct_runtime_select(const char *value, struct aioduct_runtime_selection *out,
                           struct aioduct_error *error)
{
    return select_and_tell(value, NULL, out, error);
}

int aioduct_runtime_explain(const char *value, const struct aioduct_runtime_explainer *explainer,
                            void *user, struct aioduct_runtime_selection *out,
                            struct aioduct_error *error)
{
    struct listener listener = {.user = user};
    if (explainer == NULL || explainer->size < sizeof explainer->size) {
        return ad_plugin_fail(error, -EINVAL,
                              "the explainer's size is not sizeof(struct "
                              "aioduct_runtime_explainer)");
    }
    memcpy(&listener.explainer, explainer,
           explainer->size < sizeof *explainer ? explainer->size : sizeof *explainer);
    return select_and_tell(value, &listener, out, error);
}

/* ---- one plugin, unloaded ---- */

static void say_capabilities(unsigned caps, char *out, size_t capacity)
{
    char others[40];
    ad_tables_caps_text(caps, others);
    snprintf(out, capacity, "%s%s%s", caps & AD_CAP_RUNTIME ? "runtime" : "",
             caps & AD_CAP_RUNTIME && others[0] != '\0' ? "," : "", others);
}

static void inspect_linked(const struct ad_plugin *plugin, struct aioduct_plugin_inspection *out)
{
    const struct aioduct_plugin *d = plugin->descriptor;
    ad_text_copy(out->origin, sizeof out->origin, plugin->origin);
    ad_text_copy(out->name, sizeof out->name, plugin->name);
    ad_text_copy(out->version, sizeof out->version, d->version);
    snprintf(out->abi, sizeof out->abi, "%u.%u", d->abi_major, d->abi_minor_built);
    snprintf(out->abi_needed, sizeof out->abi_needed, "%u.%u", d->abi_major, d->abi_minor_needed);
    say_capabilities(plugin->caps, out->capabilities, sizeof out->capabilities);
}

/* -> 0 | -ENOENT | -ENOMEM */
static int inspect_file(const char *path, struct aioduct_plugin_inspection *out)
{
    struct stat st;
    struct ad_note note = {0};
    struct aioduct_error *content = &out->content;
    int code = ad_place_check(path, false, &st, &out->place);
    if (code == -ENOENT) {
        return code;
    }
    snprintf(out->origin, sizeof out->origin, "%s", path);
    if (code < 0 && code != AIODUCT_E_PLUGIN_UNSAFE) { /* no file that could be read */
        *content = out->place;
        memset(&out->place, 0, sizeof out->place);
        return 0;
    }
    code = ad_load_read(path, &note, content);
    if (note.abi_major != 0 || note.abi_minor != 0) {
        snprintf(out->abi, sizeof out->abi, "%u.%u", note.abi_major, note.abi_minor);
    }
    if (note.name[0] != '\0') { /* the rest of a note is of our major */
        snprintf(out->name, sizeof out->name, "%s", note.name);
        snprintf(out->abi_needed, sizeof out->abi_needed, "%u.%u", note.abi_major, note.needs);
        say_capabilities(note.caps, out->capabilities, sizeof out->capabilities);
    }
    return code == -ENOMEM ? code : 0;
}

/* The first file of that name, as in a selection. */
static int inspect_name(const struct ad_places *places, enum ad_kind kind, const char *name,
                        struct aioduct_plugin_inspection *out)
{
    const struct ad_plugin *plugin = ad_registry_static_by_name(kind, name);
    char path[PATH_MAX];
    int code = -ENOENT;
    if (plugin != NULL) {
        inspect_linked(plugin, out);
        return 0;
    }
    for (unsigned i = 0; code == -ENOENT && i < places->count; i++) {
        ad_place_file(path, places->directories[i], kind, name);
        code = inspect_file(path, out);
    }
    return code;
}

/* "/x/libaioduct-cx-mine.so", or the name of a runtime, or, where there is none, of a connector. */
static int inspect_found(const char *what, const struct ad_places *places,
                         struct aioduct_plugin_inspection *out, struct aioduct_error *error)
{
    int code;
    if (what[0] == '/') {
        code = inspect_file(what, out);
        return code == -ENOENT ? ad_find_missing_file(what, error) : code;
    }
    code = inspect_name(places, AD_KIND_RUNTIME, what, out);
    if (code == -ENOENT) {
        code = inspect_name(places, AD_KIND_CONNECTOR, what, out);
    }
    return code == -ENOENT ? ad_find_missing(places, AD_KIND_RUNTIME, what, error) : code;
}

static int inspect(const char *what, struct aioduct_plugin_inspection *out,
                   struct aioduct_error *error)
{
    struct ad_config *config = NULL;
    struct ad_places places = {0};
    int code = ad_config_read(NULL, &config, error);
    code = code < 0 ? code : ad_places_init(&places, config, error);
    code = code < 0 ? code : inspect_found(what, &places, out, error);
    if (code == -ENOMEM) {
        ad_plugin_fail_memory(error);
    }
    ad_places_fini(&places);
    ad_config_destroy(config);
    return code;
}

/* One name or path, of either kind. */
static int check_what(const char *what, struct aioduct_error *error)
{
    struct ad_chain_word connector;
    struct ad_choice choice;
    if (what[0] == '/' && ad_kind_of_path(what) == AD_KIND_CONNECTOR &&
        ad_chain_parse(what, &connector, error) == 0 && connector.count == 1) {
        return 0;
    }
    int code = ad_choice_parse(what, &choice, error);
    return code == 0 && !choice.order
               ? ad_plugin_fail(error, AIODUCT_E_PLUGIN_NAME, "'%.200s' is not one runtime", what)
               : code;
}

int aioduct_plugin_inspect(const char *what, struct aioduct_plugin_inspection *out,
                           struct aioduct_error *error)
{
    struct aioduct_plugin_inspection made = {.size = sizeof made};
    struct aioduct_error why = {0};
    if (what == NULL || out == NULL ||
        out->size <= offsetof(struct aioduct_plugin_inspection, origin)) {
        return ad_plugin_fail(error, -EINVAL,
                              "the inspection's size is not sizeof(struct "
                              "aioduct_plugin_inspection)");
    }
    int code = check_what(what, &why);
    code = code < 0 ? code : inspect(what, &made, &why);
    if (code < 0) {
        if (error != NULL) {
            *error = why;
        }
        return code;
    }
    made.size = out->size < sizeof made ? out->size : sizeof made;
    memcpy(out, &made, made.size);
    return 0;
}
