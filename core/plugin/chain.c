/* SPDX-License-Identifier: MIT */
/* Which connectors a client's loops open beside the runtime's own: whose word counts, where each
 * comes from, and whether they fit the runtime and each other. */
#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "plugin/config.h"
#include "plugin/find.h"
#include "plugin/place.h"
#include "plugin/probe.h"
#include "plugin/registry.h"
#include "plugin/text.h"

#include <stdio.h>
#include <string.h>

struct word {
    const char *text; /* NULL: nobody said anything */
    char source[512];
    bool named; /* the caller's own, so a path in it is the program's */
};

static void find_word(const struct ad_chain_selection *want, struct word *out)
{
    unsigned line = 0;
    *out = (struct word){
        .text = want->option, .source = "client option connectors", .named = want->option != NULL};
    if (out->text == NULL) {
        const char *env = ad_env_get("AIODUCT_CONNECTOR");
        /* empty is how a shell unsets one for a command */
        out->text = env != NULL && env[0] != '\0' ? env : NULL;
        snprintf(out->source, sizeof out->source, "AIODUCT_CONNECTOR");
    }
    if (out->text == NULL) {
        out->text = ad_config_connector(want->config, &line);
        snprintf(out->source, sizeof out->source, "%.490s:%u", ad_config_path(want->config), line);
    }
}

/* ---- does it fit? ---- */

static bool names(const char *const *list, const char *name)
{
    while (list != NULL && *list != NULL && strcmp(*list, name) != 0) {
        list++;
    }
    return list != NULL && *list != NULL;
}

static bool is_layer(const struct ad_plugin *plugin)
{
    return (plugin->connector.flags & AIODUCT_CX_LAYER) != 0;
}

static int misfit(const struct ad_plugin *plugin, const char *why, const char *hint,
                  struct aioduct_error *error)
{
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_CAPABILITY, "connector '%s' (%s) %s", plugin->name,
                   plugin->origin, why);
    ad_error_hint(error, "%s", hint);
    return AIODUCT_E_PLUGIN_CAPABILITY;
}

static int check_runs_on(const struct ad_plugin *plugin, const struct ad_plugin *runtime,
                         struct aioduct_error *error)
{
    const char *const *list = plugin->connector.runs_on;
    char why[256];
    struct ad_text text;
    if (list == NULL && !is_layer(plugin) && plugin != runtime) {
        snprintf(why, sizeof why, "names no runtime that it runs on; this client's is '%s'",
                 runtime->name);
        misfit(plugin, why, "", error);
        if (plugin->caps & AD_CAP_RUNTIME) {
            ad_error_hint(error,
                          "It belongs to the runtime '%s': choose that, or another connector.",
                          plugin->name);
        } else {
            ad_error_hint(error, "Choose another connector; for this one its author has to name "
                                 "runtimes in runs_on.");
        }
        return AIODUCT_E_PLUGIN_CAPABILITY;
    }
    if (list == NULL || names(list, runtime->name)) {
        return 0;
    }
    ad_text_init(&text, why, sizeof why);
    ad_text_add(&text, "runs on");
    for (unsigned i = 0; list[i] != NULL; i++) {
        ad_text_add(&text, "%s %s", i == 0 ? "" : ",", list[i]);
    }
    ad_text_add(&text, "%s; this client's runtime is '%s'", list[0] == NULL ? " nothing" : "",
                runtime->name);
    return misfit(plugin, why, "Choose a runtime that it names, or leave the connector out.",
                  error);
}

/* Streams that never leave a thread are no use where any thread may drive the loop. */
static int check_binding(const struct ad_plugin *plugin, const struct ad_plugin *runtime,
                         struct aioduct_error *error)
{
    char why[160];
    if (!(plugin->connector.flags & AIODUCT_BIND_LOCAL) || !(runtime->caps & AD_CAP_POLL)) {
        return 0;
    }
    snprintf(why, sizeof why, "is local (bound to one thread); runtime '%s' is not", runtime->name);
    return misfit(plugin, why, "Choose a local runtime: uring.", error);
}

static int check_place(const struct ad_plugin *plugin, bool last, const struct ad_plugin *runtime,
                       struct aioduct_error *error)
{
    if (!is_layer(plugin) && !last) {
        return misfit(plugin, "is no layer, and others are named after it",
                      "It can only be the last of the list.", error);
    }
    int code = check_runs_on(plugin, runtime, error);
    return code < 0 ? code : check_binding(plugin, runtime, error);
}

/* ---- the list ---- */

static int find_one(const struct ad_places *places, struct ad_slice element, bool named,
                    const struct ad_plugin **out, struct aioduct_error *error)
{
    char text[PATH_MAX];
    if (element.bytes >= sizeof text) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_NAME, "the path of a connector is too long");
    }
    snprintf(text, sizeof text, "%.*s", (int)element.bytes, element.p);
    return text[0] == '/' ? ad_find_by_path(text, named, 0, out, error)
                          : ad_find_by_name(places, AD_KIND_CONNECTOR, text, 0, out, error);
}

static int add_all(const struct ad_chain_selection *want, const struct ad_chain_word *word,
                   bool named, const struct ad_places *places, struct ad_chain *out,
                   struct aioduct_error *error)
{
    int code = 0;
    for (unsigned i = 0; code == 0 && i < word->count; i++) {
        const struct ad_plugin *plugin = NULL;
        code = find_one(places, word->elements[i], named, &plugin, error);
        code = code < 0 ? code : check_place(plugin, i + 1 == word->count, want->runtime, error);
        if (code < 0 || plugin == want->runtime) {
            continue; /* the runtime's own is there anyway */
        }
        code = ad_probe_check(AD_KIND_CONNECTOR, plugin, want->config, error);
        out->plugins[out->count++] = plugin;
    }
    return code;
}

static void report(const struct ad_chain *chain, const char *source)
{
    for (unsigned i = 0; i < chain->count; i++) {
        const struct ad_plugin *plugin = chain->plugins[i];
        const char *version = plugin->descriptor->version;
        ad_logf(AD_LOG_INFO, "connector %s%s%s (from %s; %s; abi %u.%u)", plugin->name,
                version == NULL ? "" : " ", version == NULL ? "" : version, source, plugin->origin,
                plugin->descriptor->abi_major, plugin->descriptor->abi_minor_built);
    }
}

/* Whose word led to @why: a variable or a file may be forgotten. */
static void say_source(const char *source, const struct aioduct_error *why,
                       struct aioduct_error *error)
{
    ad_plugin_fail(error, why->code, "%s: %s", source, why->message);
    ad_error_hint(error, "%s", why->hint);
}

int ad_chain_choose(const struct ad_chain_selection *want, struct ad_chain *out,
                    struct aioduct_error *error)
{
    struct aioduct_error why = {0};
    struct ad_chain_word parsed;
    struct ad_places places;
    struct word word;
    out->count = 0;
    if (ad_env_read() < 0) {
        return ad_plugin_fail_memory(error);
    }
    find_word(want, &word);
    if (word.text == NULL) {
        return 0;
    }
    ad_plugin_trace("connectors '%s' (from %s)", word.text, word.source);
    int code = ad_chain_parse(word.text, &parsed, &why);
    if (code < 0) {
        say_source(word.source, &why, error);
        return code;
    }
    code = ad_places_init(&places, want->config, &why);
    if (code == 0) {
        code = add_all(want, &parsed, word.named, &places, out, &why);
        ad_places_fini(&places);
    }
    if (code == 0) {
        report(out, word.source);
    } else {
        say_source(word.source, &why, error);
    }
    return code;
}
