/* SPDX-License-Identifier: MIT */
/* Whose word decides, what it stands for, and what became of each candidate. */
#include "exitcode.h"
#include "json.h"
#include "plugins.h"

#include <stdbool.h>
#include <stdio.h>

/* ---- for people ---- */

static void show_word(const char *source, const char *word, void *user)
{
    bool *decided = user;
    printf("%-9s %s: %s\n", *decided ? "unheeded" : "decides", source, word);
    *decided = true;
}

static void show_candidate(const struct plugin_row *row, void *user)
{
    (void)user;
    printf("tried     %s: %s%s%s\n", row->name, plugins_status(row->status),
           row->origin[0] == '\0' ? "" : ", ", row->origin);
    if (row->status != AIODUCT_RUNTIME_OK) {
        printf("          reason: %s\n", row->reason);
        if (row->hint[0] != '\0') {
            printf("          hint: %s\n", row->hint);
        }
    }
}

static void show_unheeded(const char *source, const char *what, void *user)
{
    (void)user;
    printf("unheeded  %s: %s\n", source, what);
}

static int which_for_people(const struct plugin_question *question)
{
    static const struct plugin_hears on = {show_word, show_candidate, show_unheeded};
    struct aioduct_runtime_selection chosen;
    struct aioduct_error error;
    bool decided = false;
    int code = plugins_ask(question, &on, &decided, &chosen, &error);
    printf("selected  %s\n", code < 0 ? "none" : chosen.name);
    if (code < 0) {
        fflush(stdout);
        plugins_complain(&error);
        return EXIT_USAGE;
    }
    return 0;
}

/* ---- for programs ---- */

/* Which of the lists is open, and how long it is. */
struct lists {
    enum { WORDS, TRIED, UNHEEDED } open;
    unsigned count;
};

static void json_word(const char *source, const char *word, void *user)
{
    struct lists *lists = user;
    fputs(lists->count++ > 0 ? ",\n    {" : "\n    {", stdout);
    json_member(stdout, "source", source, ", ");
    json_member(stdout, "word", word, "}");
}

/* Those before it are closed. */
static void open_list(struct lists *lists, int open)
{
    static const char *const names[] = {"words", "tried", "unheeded"};
    while ((int)lists->open < open) {
        lists->open++;
        lists->count = 0;
        printf("\n  ],\n  \"%s\": [", names[lists->open]);
    }
}

static void json_candidate(const struct plugin_row *row, void *user)
{
    struct lists *lists = user;
    open_list(lists, TRIED);
    fputs(lists->count++ > 0 ? ",\n    " : "\n    ", stdout);
    plugins_json_row(row);
}

static void json_unheeded(const char *source, const char *what, void *user)
{
    struct lists *lists = user;
    open_list(lists, UNHEEDED);
    fputs(lists->count++ > 0 ? "," : "", stdout);
    plugins_json_unheeded(source, what);
}

static int which_for_programs(const struct plugin_question *question)
{
    static const struct plugin_hears on = {json_word, json_candidate, json_unheeded};
    struct aioduct_runtime_selection chosen;
    struct aioduct_error error;
    struct lists lists = {.open = WORDS};
    fputs("{\n  \"words\": [", stdout);
    int code = plugins_ask(question, &on, &lists, &chosen, &error);
    open_list(&lists, UNHEEDED);
    fputs("\n  ],\n", stdout);
    return plugins_json_chosen(code, &chosen, &error);
}

int plugins_which(const struct plugin_question *question, bool json)
{
    return json ? which_for_programs(question) : which_for_people(question);
}
