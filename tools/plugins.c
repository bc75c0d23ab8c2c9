/* SPDX-License-Identifier: MIT */
#include "plugins.h"

#include "exitcode.h"
#include "json.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *plugins_status(enum aioduct_runtime_status status)
{
    return status == AIODUCT_RUNTIME_OK ? "ok" : status == AIODUCT_RUNTIME_SKIP ? "skip" : "error";
}

static const char *or_dash(const char *text)
{
    return text == NULL || text[0] == '\0' ? "-" : text;
}

/* ---- the list ---- */

struct list {
    struct plugin_row *rows;
    size_t count, capacity;
    size_t connectors; /* where they begin */
    size_t answered;   /* those that were asked */
    unsigned unheeded; /* told to programs */
};

/* As its note and its place say. */
static int on_known(const struct aioduct_runtime_info *info, void *user)
{
    struct list *list = user;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        struct plugin_row *larger = realloc(list->rows, capacity * sizeof *larger);
        if (larger == NULL) {
            return -ENOMEM;
        }
        list->rows = larger;
        list->capacity = capacity;
    }
    plugin_row_set(&list->rows[list->count++], info);
    return 0;
}

/* What the note says is known already; "NAME unavailable: " stands before the reason of a probe. */
static void on_asked(const struct plugin_row *said, void *user)
{
    struct plugin_row *row = user;
    char prefix[80];
    size_t bytes = (size_t)snprintf(prefix, sizeof prefix, "%s unavailable: ", row->name);
    const char *reason = said->reason;
    if (strncmp(reason, prefix, bytes) == 0) {
        reason += bytes;
    }
    row->status = said->status;
    if (said->version[0] != '\0') {
        memcpy(row->version, said->version, sizeof row->version);
        memcpy(row->capabilities, said->capabilities, sizeof row->capabilities);
    }
    snprintf(row->reason, sizeof row->reason, "%s", reason);
    memcpy(row->hint, said->hint, sizeof row->hint);
}

static void say_error(struct plugin_row *row, const struct aioduct_error *error)
{
    row->status = AIODUCT_RUNTIME_ERROR;
    snprintf(row->reason, sizeof row->reason, "%s", error->message);
    snprintf(row->hint, sizeof row->hint, "%s", error->hint);
}

static void ask_each(struct list *list, unsigned timeout_seconds)
{
    static const struct plugin_hears on = {.on_tried = on_asked};
    for (size_t i = 0; i < list->connectors; i++) {
        struct plugin_row *row = &list->rows[i];
        struct aioduct_runtime_selection chosen;
        struct aioduct_error error;
        const struct plugin_question question = {.wanted = row->origin[0] == '/' ? row->origin
                                                                                 : row->name,
                                                 .timeout_seconds = timeout_seconds};
        if (row->status == AIODUCT_RUNTIME_OK &&
            plugins_ask(&question, &on, row, &chosen, &error) < 0 &&
            row->status == AIODUCT_RUNTIME_OK) {
            say_error(row, &error);
        }
    }
}

static void on_connector(const struct plugin_row *said, void *user)
{
    struct list *list = user;
    if (list->answered < list->count) {
        list->rows[list->answered++] = *said;
    }
}

/* One child asks them all, in the order of the list: where it ends is the one that ended it. */
static void ask_connectors(struct list *list, unsigned timeout_seconds)
{
    static const struct plugin_hears on = {.on_tried = on_connector};
    const struct plugin_question question = {.connectors = true,
                                             .timeout_seconds = timeout_seconds};
    struct aioduct_runtime_selection chosen;
    struct aioduct_error error;
    list->answered = list->connectors;
    if (list->connectors == list->count ||
        plugins_ask(&question, &on, list, &chosen, &error) == 0) {
        return;
    }
    for (size_t i = list->answered; i < list->count; i++) {
        say_error(&list->rows[i], &error);
        snprintf(error.message, sizeof error.message, "not asked, for %s was not survived",
                 list->rows[list->answered].name);
        error.hint[0] = '\0';
    }
}

/* ---- for people ---- */

static void show_row(const struct plugin_row *row)
{
    printf("%-10s %-7s %-17s %-5s %-9s %s\n", row->name, plugins_status(row->status),
           or_dash(row->capabilities), or_dash(row->abi), or_dash(row->version), row->origin);
    if (row->status != AIODUCT_RUNTIME_OK) {
        printf("           reason: %s\n", or_dash(row->reason));
        if (row->hint[0] != '\0') {
            printf("           hint: %s\n", row->hint);
        }
    }
}

void plugins_complain(const struct aioduct_error *error)
{
    fprintf(stderr, "aioduct: %s\n",
            error->message[0] != '\0' ? error->message : aioduct_error_text(error->code));
    if (error->hint[0] != '\0') {
        fprintf(stderr, "aioduct: hint: %s\n", error->hint);
    }
}

static void show_unheeded(const char *source, const char *what, void *user)
{
    (void)user;
    printf("unheeded: %s: %s\n", source, what);
}

static void show_table(const struct list *list)
{
    printf("%-10s %-7s %-17s %-5s %-9s %s\n", "NAME", "STATUS", "CAPS", "ABI", "VERSION", "FROM");
    for (size_t i = 0; i < list->count; i++) {
        show_row(&list->rows[i]);
    }
}

static int show_chosen(int code, const struct aioduct_runtime_selection *chosen,
                       const struct aioduct_error *error)
{
    if (code < 0) {
        printf("selected: none\n");
        fflush(stdout);
        plugins_complain(error);
        return EXIT_USAGE;
    }
    printf("selected: %s (%s)\n", chosen->name, chosen->source);
    if (chosen->notice[0] != '\0') {
        printf("notice: %s\n", chosen->notice);
    }
    return 0;
}

/* ---- for programs ---- */

void plugins_json_row(const struct plugin_row *row)
{
    fputc('{', stdout);
    json_member(stdout, "name", row->name, ", ");
    json_member(stdout, "status", plugins_status(row->status), ", ");
    json_member(stdout, "capabilities", row->capabilities, ", ");
    json_member(stdout, "abi", row->abi, ", ");
    json_member(stdout, "version", row->version, ", ");
    json_member(stdout, "from", row->origin, ", ");
    json_member(stdout, "reason", row->reason, ", ");
    json_member(stdout, "hint", row->hint, "}");
}

int plugins_json_chosen(int code, const struct aioduct_runtime_selection *chosen,
                        const struct aioduct_error *error)
{
    if (code < 0) {
        fputs("  \"selected\": null,\n  ", stdout);
        json_member(stdout, "error", error->message, ",\n  ");
        json_member(stdout, "hint", error->hint, "\n}\n");
        return EXIT_USAGE;
    }
    fputs("  \"selected\": {", stdout);
    json_member(stdout, "name", chosen->name, ", ");
    json_member(stdout, "source", chosen->source, ", ");
    json_member(stdout, "from", chosen->origin, ", ");
    json_member(stdout, "notice", chosen->notice, "}\n}\n");
    return 0;
}

void plugins_json_unheeded(const char *source, const char *what)
{
    fputs("\n    {", stdout);
    json_member(stdout, "source", source, ", ");
    json_member(stdout, "what", what, "}");
}

static void json_unheeded(const char *source, const char *what, void *user)
{
    struct list *list = user;
    fputs(list->unheeded++ > 0 ? "," : "", stdout);
    plugins_json_unheeded(source, what);
}

static void json_lists(const struct list *list)
{
    fputs("{\n  \"runtimes\": [", stdout);
    for (size_t i = 0; i < list->count; i++) {
        if (i == list->connectors) {
            fputs("\n  ],\n  \"connectors\": [", stdout);
        }
        fputs(i > 0 && i != list->connectors ? ",\n    " : "\n    ", stdout);
        plugins_json_row(&list->rows[i]);
    }
    fputs(list->connectors == list->count ? "\n  ],\n  \"connectors\": [" : "", stdout);
    fputs("\n  ],\n  \"unheeded\": [", stdout);
}

static int plugins_list(const struct plugin_question *question, bool json)
{
    static const struct plugin_hears people = {.on_unheeded = show_unheeded};
    static const struct plugin_hears programs = {.on_unheeded = json_unheeded};
    struct list list = {.rows = NULL};
    struct aioduct_runtime_selection chosen = {.size = sizeof chosen};
    struct aioduct_error error = {0};
    int code = aioduct_runtime_list(0, on_known, &list, &error);
    list.connectors = list.count;
    code = code < 0 ? code : aioduct_connector_list(0, on_known, &list, &error);
    if (code < 0 && !json) {
        plugins_complain(&error);
        free(list.rows);
        return EXIT_USAGE;
    }
    ask_each(&list, question->timeout_seconds);
    ask_connectors(&list, question->timeout_seconds);
    (json ? json_lists : show_table)(&list);
    code =
        code < 0 ? code : plugins_ask(question, json ? &programs : &people, &list, &chosen, &error);
    fputs(json ? "\n  ],\n" : "", stdout);
    code = (json ? plugins_json_chosen : show_chosen)(code, &chosen, &error);
    free(list.rows);
    return code;
}

/* ---- the command line ---- */

enum { TIMEOUT_SECONDS = 10 };

struct arguments {
    const char *verb; /* "" lists */
    const char *what; /* NULL: not given */
    bool json;
    struct plugin_question question;
};

static int show_usage(FILE *to)
{
    fprintf(to, "usage: aioduct plugins [--json] [--runtime NAME] [--timeout SECONDS]\n"
                "       aioduct plugins inspect [--json] NAME|PATH\n"
                "       aioduct plugins which [--json] [--need local|send] [--timeout SECONDS] "
                "[NAME|LIST]\n"
                "       aioduct plugins check [OPTION...] NAME|PATH\n");
    return to == stdout ? 0 : EXIT_USAGE;
}

static int usage(const char *what, const char *argument)
{
    fprintf(stderr, "aioduct plugins: %s '%s'\n", what, argument);
    return show_usage(stderr);
}

static int usage_value(const char *option, const char *value)
{
    fprintf(stderr, "aioduct plugins: %s: expected %s, not '%s'\n", option,
            strcmp(option, "--need") == 0 ? "local or send" : "seconds from 1 to 3600", value);
    return show_usage(stderr);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

/* Does @verb have the option? */
static bool belongs(const char *option, const char *verb)
{
    bool lists = verb[0] == '\0', which = strcmp(verb, "which") == 0;
    return strcmp(option, "--json") == 0      ? true
           : strcmp(option, "--runtime") == 0 ? lists
           : strcmp(option, "--need") == 0    ? which
           : strcmp(option, "--timeout") == 0 ? lists || which
                                              : false;
}

static bool set_value(struct arguments *a, const char *option, const char *value)
{
    if (strcmp(option, "--runtime") == 0) {
        a->question.wanted = value;
        return true;
    }
    if (strcmp(option, "--need") == 0) {
        bool local = strcmp(value, "local") == 0;
        a->question.need = local ? AIODUCT_NEED_LOCAL : AIODUCT_NEED_SEND;
        return local || strcmp(value, "send") == 0;
    }
    char *end;
    unsigned long seconds = strtoul(value, &end, 10);
    a->question.timeout_seconds = (unsigned)seconds;
    return value[0] >= '0' && value[0] <= '9' && *end == '\0' && seconds > 0 && seconds <= 3600;
}

/* -> 0 or an exit code */
static int parse(struct arguments *a, int argc, char **argv)
{
    for (int i = 1 + (a->verb[0] != '\0'); i < argc; i++) {
        const char *argument = argv[i];
        if (argument[0] != '-') {
            if (a->what != NULL || a->verb[0] == '\0') {
                return usage("unknown argument", argument);
            }
            a->what = argument;
        } else if (!belongs(argument, a->verb)) {
            return usage("unknown argument", argument);
        } else if (strcmp(argument, "--json") == 0) {
            a->json = true;
        } else if (i + 1 == argc) {
            return usage("no value after", argument);
        } else if (!set_value(a, argument, argv[++i])) {
            return usage_value(argument, argv[i]);
        }
    }
    return 0;
}

int plugins_main(int argc, char **argv)
{
    const char *verb = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
    struct arguments a = {
        .verb = verb,
        .question = {.wanted_by = "--runtime", .client = true, .timeout_seconds = TIMEOUT_SECONDS}};
    if (strcmp(verb, "check") == 0) {
        return plugins_check(argc - 1, argv + 1);
    }
    if (verb[0] != '\0' && strcmp(verb, "inspect") != 0 && strcmp(verb, "which") != 0) {
        return usage("unknown argument", verb);
    }
    if (asks_for_help(argc, argv)) {
        return show_usage(stdout);
    }
    int code = parse(&a, argc, argv);
    if (code != 0) {
        return code;
    }
    if (strcmp(verb, "which") == 0) {
        a.question.wanted = a.what;
        a.question.wanted_by = "argument";
        return plugins_which(&a.question, a.json);
    }
    if (verb[0] == '\0') {
        return plugins_list(&a.question, a.json);
    }
    return a.what == NULL ? usage("no name or path after", verb) : plugins_inspect(a.what, a.json);
}
