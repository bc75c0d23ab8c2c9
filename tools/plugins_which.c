/* SPDX-License-Identifier: MIT */
/* Whose word decides, what it stands for, and what became of each candidate. */
#include "exitcode.h"
#include "plugins.h"

#include <stdbool.h>
#include <stdio.h>

static void show_word(const char *source, const char *word, void *user)
{
    bool *decided = user;
    printf("%-9s %s: %s\n", *decided ? "unheeded" : "decides", source, word);
    *decided = true;
}

static void show_candidate(const struct aioduct_runtime_info *info, void *user)
{
    (void)user;
    printf("tried     %s: %s%s%s\n", info->name, plugins_status(info->status),
           info->origin[0] == '\0' ? "" : ", ", info->origin);
    if (info->status != AIODUCT_RUNTIME_OK) {
        printf("          reason: %s\n", info->reason);
        if (info->hint[0] != '\0') {
            printf("          hint: %s\n", info->hint);
        }
    }
}

int plugins_which(const char *wanted)
{
    struct aioduct_error error = {0};
    struct aioduct_runtime_selection chosen = {.size = sizeof chosen};
    const struct aioduct_runtime_explainer explainer = {
        .size = sizeof explainer, .on_word = show_word, .on_candidate = show_candidate};
    bool decided = false;
    int code = aioduct_runtime_explain(wanted, &explainer, &decided, &chosen, &error);
    printf("selected  %s\n", code < 0 ? "none" : chosen.name);
    if (code < 0) {
        fflush(stdout);
        plugins_complain(&error);
        return EXIT_USAGE;
    }
    return 0;
}
