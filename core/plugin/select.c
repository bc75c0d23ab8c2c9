/* SPDX-License-Identifier: MIT */
/* Whose word counts, which candidates it stands for, and what is said when one is passed over. */
#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/config.h"
#include "plugin/find.h"
#include "plugin/name.h"
#include "plugin/place.h"
#include "plugin/probe.h"
#include "plugin/registry.h"
#include "plugin/tables.h"
#include "plugin/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct search {
    const struct ad_selection *want;
    const char *word;
    char source[512]; /* whose word it is */
    bool named;       /* the caller's own, so a path in it is the program's */
    struct ad_choice choice;
    struct ad_places places;
};

static int check_adopts(const struct search *s, const struct ad_plugin *plugin,
                        struct aioduct_error *error)
{
    if (s->want->foreign == NULL || ad_plugin_adopts(plugin, s->want->foreign)) {
        return 0;
    }
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_CAPABILITY,
                   "runtime '%s' cannot live in the application's loop, which is of kind '%s'",
                   plugin->name, s->want->foreign);
    ad_error_hint(error, "Give no runtime: the loop says which one it needs.");
    return AIODUCT_E_PLUGIN_CAPABILITY;
}

/* @name NULL: the path of the choice. *@out is set as soon as it is loaded. */
static int try_silently(const struct search *s, const char *name, const struct ad_plugin **out,
                        struct aioduct_error *error)
{
    unsigned need = s->want->need;
    int code = name == NULL ? ad_find_by_path(s->choice.path, s->named, need, out, error)
                            : ad_find_by_name(&s->places, AD_KIND_RUNTIME, name, need, out, error);
    code = code < 0 ? code
                    : ad_tables_check_need((*out)->caps, need, (*out)->name, (*out)->origin, error);
    code = code < 0 ? code : check_adopts(s, *out, error);
    return code < 0 ? code : ad_probe_check(AD_KIND_RUNTIME, *out, s->want->config, error);
}

static int try(const struct search *s, const char *name, const struct ad_plugin **out,
               struct aioduct_error *error)
{
    *out = NULL;
    int code = try_silently(s, name, out, error);
    if (code < 0) {
        ad_plugin_trace("'%s' cannot be used: %s", name == NULL ? s->choice.path : name,
                        error->message);
    }
    if (s->want->on_tried != NULL) {
        s->want->on_tried(name == NULL ? s->choice.path : name, *out, code, error, s->want->user);
    }
    return code;
}

/* ---- a list of them ---- */

/* "uring unavailable (why); libev not found" */
struct line {
    struct ad_text text;
    char buffer[420];
};

struct passed_over {
    struct line all;
    struct line rest;            /* without the reasons of those that have a warning each */
    char *broken[AD_CHOICE_MAX]; /* those warnings */
    unsigned broken_count;
    bool news; /* something other than "auto, and it is not installed" */
    int code;  /* of the first that is installed, else not found */
    char hint[256];
};

static void add_to(struct line *line, const char *name, const char *how, const char *why)
{
    ad_text_add(&line->text, "%s%s%s%s%s%s", line->text.bytes == 0 ? "" : "; ", name, how,
                why == NULL ? "" : " (", why == NULL ? "" : why, why == NULL ? "" : ")");
}

/* Of one that is installed and broken: to be said apart, if another one is chosen. */
static bool keep_warning(struct passed_over *p, const char *name, const char *message)
{
    char text[sizeof((struct aioduct_error *)0)->message + AD_NAME_BYTES_MAX + 32];
    snprintf(text, sizeof text, "runtime '%s' passed over: %s", name, message);
    char *kept = ad_strdup(text);
    if (kept == NULL) {
        return false; /* then the reason is in the one line */
    }
    p->broken[p->broken_count++] = kept;
    return true;
}

static void end_passed_over(struct passed_over *p)
{
    for (unsigned i = 0; i < p->broken_count; i++) {
        ad_free(p->broken[i]);
    }
}

static void pass_over(struct passed_over *p, const struct search *s, const char *name,
                      const struct aioduct_error *error)
{
    bool absent = error->code == AIODUCT_E_PLUGIN_NOT_FOUND;
    bool broken = false;
    const char *how = " passed over", *why = error->message;
    if (absent) {
        how = " not found";
        why = NULL;
    } else if (error->code == AIODUCT_E_UNAVAILABLE) {
        const char *colon = strstr(error->message, ": ");
        how = " unavailable";
        why = colon == NULL ? error->message : colon + 2;
    } else if (error->code != AIODUCT_E_PLUGIN_CAPABILITY) {
        broken = keep_warning(p, name, error->message);
    }
    add_to(&p->all, name, how, why);
    add_to(&p->rest, name, how, broken ? NULL : why);
    p->news = p->news || !absent || !s->choice.automatic;
    if (p->code == 0 || p->code == AIODUCT_E_PLUGIN_NOT_FOUND) {
        p->code = error->code;
        memcpy(p->hint, error->hint, sizeof p->hint);
    }
}

/* Each once: those that are broken in a line of their own, the others together. */
static void warn_of_broken(const struct passed_over *p)
{
    for (unsigned i = 0; i < p->broken_count; i++) {
        if (ad_plugin_say_once(p->broken[i])) {
            ad_log(AD_LOG_WARNING, p->broken[i]);
        }
    }
}

static int none_can_run(const struct search *s, const struct passed_over *p,
                        struct aioduct_error *error)
{
    char looked[300];
    struct ad_text text;
    ad_text_init(&text, looked, sizeof looked);
    for (unsigned i = 0; i < s->places.count; i++) {
        ad_text_add(&text, "%s%s", i == 0 ? "" : ", ", s->places.directories[i]);
    }
    ad_plugin_fail(error, p->code, "no runtime of '%s' (from %s) can be used: %s%s. Looked in: %s",
                   s->word, s->source, p->all.buffer, p->all.text.full ? "; ..." : "",
                   looked[0] == '\0' ? "no directory" : looked);
    ad_error_hint(error, "%s", p->hint);
    if (p->all.text.full) { /* the error has no room for them */
        warn_of_broken(p);
    }
    return p->code;
}

static void report_passed_over(struct passed_over *p, const char *chosen,
                               struct aioduct_runtime_selection *report)
{
    char line[sizeof report->notice];
    if (p->all.text.bytes == 0 && !p->all.text.full) {
        return;
    }
    snprintf(report->notice, sizeof report->notice, "%s%s; using %s", p->all.buffer,
             p->all.text.full ? "; ..." : "", chosen);
    warn_of_broken(p);
    snprintf(line, sizeof line, "%s%s; using %s", p->rest.buffer, p->rest.text.full ? "; ..." : "",
             chosen);
    if (p->news && ad_plugin_say_once(line)) {
        ad_log(AD_LOG_NOTICE, line);
    }
}

/* The first that runs. */
static int try_list(const struct search *s, const struct ad_plugin **out,
                    struct aioduct_runtime_selection *report, struct aioduct_error *error)
{
    struct passed_over p = {.news = false};
    int code = AIODUCT_E_PLUGIN_NOT_FOUND;
    ad_text_init(&p.all.text, p.all.buffer, sizeof p.all.buffer);
    ad_text_init(&p.rest.text, p.rest.buffer, sizeof p.rest.buffer);
    for (unsigned i = 0; i < s->choice.count && code != 0 && code != -ENOMEM; i++) {
        struct aioduct_error why = {0};
        code = try(s, s->choice.names[i], out, &why);
        if (code == 0) {
            report_passed_over(&p, (*out)->name, report);
        } else if (code == -ENOMEM) {
            *error = why;
        } else {
            pass_over(&p, s, s->choice.names[i], &why);
        }
    }
    if (code != 0 && code != -ENOMEM) {
        code = none_can_run(s, &p, error);
    }
    end_passed_over(&p);
    return code;
}

/* ---- whose word ---- */

/* A loop of the application is served by the runtime of its kind. The operator's word cannot change
 * that; that it was not followed is said. */
static const char *word_of_loop(const struct ad_selection *want, char source[512])
{
    char line[300];
    const char *name = strcmp(want->foreign, "io_uring") == 0 ? "uring" : want->foreign;
    const char *env = ad_env_get("AIODUCT_RUNTIME");
    snprintf(source, 512, "the application's loop");
    if (env != NULL && env[0] != '\0' && strcmp(env, name) != 0) {
        snprintf(line, sizeof line,
                 "AIODUCT_RUNTIME is '%.100s', but the application's loop is '%.32s'", env,
                 want->foreign);
        if (ad_plugin_say_once(line)) {
            ad_log(AD_LOG_NOTICE, line);
        }
    }
    return name;
}

const char *ad_runtime_word(const struct ad_selection *want, unsigned rank, char source[512])
{
    const char *word;
    unsigned line = 0;
    switch (rank) {
    case 0:
        snprintf(source, 512, "option");
        return want->option;
    case 1:
        word = ad_env_get("AIODUCT_RUNTIME");
        snprintf(source, 512, "AIODUCT_RUNTIME");
        /* empty is how a shell unsets one for a command */
        return word != NULL && word[0] != '\0' ? word : NULL;
    case 2:
        word = ad_config_runtime(want->config, &line);
        snprintf(source, 512, "%.490s:%u", ad_config_path(want->config), line);
        return word;
    default:
        snprintf(source, 512, "automatic");
        return "auto";
    }
}

static const char *whose_word(const struct ad_selection *want, char source[512])
{
    const char *word = NULL;
    if (want->option == NULL && want->foreign != NULL) {
        return word_of_loop(want, source);
    }
    for (unsigned rank = 0; word == NULL && rank < AD_WORD_COUNT; rank++) {
        word = ad_runtime_word(want, rank, source);
    }
    return word;
}

static void fill_report(struct aioduct_runtime_selection *report, const struct ad_plugin *plugin,
                        const char *source)
{
    report->size = sizeof *report;
    ad_text_copy(report->name, sizeof report->name, plugin->name);
    ad_text_copy(report->origin, sizeof report->origin, plugin->origin);
    ad_text_copy(report->version, sizeof report->version, plugin->descriptor->version);
    snprintf(report->abi, sizeof report->abi, "%u.%u", plugin->descriptor->abi_major,
             plugin->descriptor->abi_minor_built);
    ad_text_copy(report->source, sizeof report->source, source);
    ad_plugin_trace("selected %s (%s)", report->name, report->origin);
    ad_logf(AD_LOG_INFO, "runtime %s%s%s (from %s; %s; abi %s)", report->name,
            report->version[0] == '\0' ? "" : " ", report->version, source, plugin->origin,
            report->abi);
}

/* Whose word led to @error: a variable or a file may be forgotten. */
static void say_source(const struct search *s, struct aioduct_error *error)
{
    char hint[sizeof error->hint];
    memcpy(hint, error->hint, sizeof hint);
    ad_plugin_fail(error, error->code, "%s: %s", s->source, error->message);
    ad_error_hint(error, "%s", hint);
}

static int choose(struct search *s, const struct ad_plugin **out,
                  struct aioduct_runtime_selection *report, struct aioduct_error *error)
{
    const struct ad_plugin *plugin = NULL;
    int code;
    if (s->choice.order) {
        code = try(s, s->choice.path != NULL ? NULL : s->choice.names[0], &plugin, error);
        if (code < 0 && code != -ENOMEM) {
            say_source(s, error);
        }
    } else {
        code = try_list(s, &plugin, report, error);
    }
    if (code == 0) {
        fill_report(report, plugin, s->source);
        *out = plugin;
    }
    return code;
}

int ad_runtime_choose(const struct ad_selection *want, const struct ad_plugin **out,
                      struct aioduct_runtime_selection *report, struct aioduct_error *error)
{
    struct aioduct_runtime_selection made = {0};
    struct aioduct_error why = {0};
    struct search s = {.want = want, .named = want->option != NULL};
    if (ad_env_read() < 0) {
        return ad_plugin_fail_memory(error);
    }
    s.word = whose_word(want, s.source);
    ad_plugin_trace("selecting '%s' (from %s)", s.word, s.source);
    int code = ad_choice_parse(s.word, &s.choice, &why);
    if (code < 0) {
        say_source(&s, &why);
    } else {
        code = ad_places_init(&s.places, want->config, &why);
    }
    if (code == 0) {
        code = choose(&s, out, &made, &why);
        ad_places_fini(&s.places);
    }
    if (code < 0 && error != NULL) {
        *error = why;
    }
    if (code == 0 && report != NULL) {
        *report = made;
    }
    return code;
}
