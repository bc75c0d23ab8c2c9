/* SPDX-License-Identifier: MIT */
#include "plugins.h"

#include "exitcode.h"
#include "json.h"

#include <aioduct/aioduct.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *plugins_status(enum aioduct_runtime_status status)
{
    return status == AIODUCT_RUNTIME_OK ? "ok" : status == AIODUCT_RUNTIME_SKIP ? "skip" : "error";
}

static const char *or_dash(const char *text)
{
    return text == NULL || text[0] == '\0' ? "-" : text;
}

/* ---- for people ---- */

static int show_row(const struct aioduct_runtime_info *info, void *user)
{
    (void)user;
    printf("%-10s %-7s %-17s %-5s %-9s %s\n", info->name, plugins_status(info->status),
           or_dash(info->capabilities), or_dash(info->abi), or_dash(info->version), info->origin);
    if (info->status != AIODUCT_RUNTIME_OK) {
        printf("           reason: %s\n", or_dash(info->reason));
        if (info->hint != NULL && info->hint[0] != '\0') {
            printf("           hint: %s\n", info->hint);
        }
    }
    return 0;
}

void plugins_complain(const struct aioduct_error *error)
{
    fprintf(stderr, "aioduct: %s\n",
            error->message[0] != '\0' ? error->message : aioduct_error_text(error->code));
    if (error->hint[0] != '\0') {
        fprintf(stderr, "aioduct: hint: %s\n", error->hint);
    }
}

static int show_table(const char *wanted)
{
    struct aioduct_error error = {0};
    struct aioduct_runtime_selection chosen = {.size = sizeof chosen};
    printf("%-10s %-7s %-17s %-5s %-9s %s\n", "NAME", "STATUS", "CAPS", "ABI", "VERSION", "FROM");
    if (aioduct_runtime_list(1, show_row, NULL, &error) < 0 ||
        aioduct_connector_list(1, show_row, NULL, &error) < 0) {
        plugins_complain(&error);
        return EXIT_USAGE;
    }
    if (aioduct_runtime_select(wanted, &chosen, &error) < 0) {
        printf("selected: none\n");
        fflush(stdout);
        plugins_complain(&error);
        return EXIT_USAGE;
    }
    printf("selected: %s (%s)\n", chosen.name, chosen.source);
    if (chosen.notice[0] != '\0') {
        printf("notice: %s\n", chosen.notice);
    }
    return 0;
}

/* ---- for programs ---- */

static void json_member(const char *name, const char *value, const char *separator)
{
    json_string(stdout, name);
    fputs(": ", stdout);
    json_string(stdout, value);
    fputs(separator, stdout);
}

static int json_row(const struct aioduct_runtime_info *info, void *user)
{
    int *count = user;
    fputs((*count)++ > 0 ? ",\n    {" : "\n    {", stdout);
    json_member("name", info->name, ", ");
    json_member("status", plugins_status(info->status), ", ");
    json_member("capabilities", info->capabilities, ", ");
    json_member("abi", info->abi, ", ");
    json_member("version", info->version, ", ");
    json_member("from", info->origin, ", ");
    json_member("reason", info->reason, ", ");
    json_member("hint", info->hint, "}");
    return 0;
}

static int show_json(const char *wanted)
{
    struct aioduct_error error = {0};
    struct aioduct_runtime_selection chosen = {.size = sizeof chosen};
    int count = 0;
    fputs("{\n  \"runtimes\": [", stdout);
    int code = aioduct_runtime_list(1, json_row, &count, &error);
    fputs("\n  ],\n  \"connectors\": [", stdout);
    count = 0;
    if (code == 0) {
        code = aioduct_connector_list(1, json_row, &count, &error);
    }
    fputs("\n  ],\n", stdout);
    if (code == 0) {
        code = aioduct_runtime_select(wanted, &chosen, &error);
    }
    if (code < 0) {
        fputs("  \"selected\": null,\n  ", stdout);
        json_member("error", error.message, ",\n  ");
        json_member("hint", error.hint, "\n}\n");
        return EXIT_USAGE;
    }
    fputs("  \"selected\": {", stdout);
    json_member("name", chosen.name, ", ");
    json_member("source", chosen.source, ", ");
    json_member("from", chosen.origin, ", ");
    json_member("notice", chosen.notice, "}\n}\n");
    return 0;
}

/* ---- the command line ---- */

static int usage(const char *what, const char *argument)
{
    fprintf(stderr,
            "aioduct plugins: %s '%s'\n"
            "usage: aioduct plugins [--json] [--runtime NAME]\n"
            "       aioduct plugins inspect NAME|PATH\n"
            "       aioduct plugins which [NAME|LIST]\n"
            "       aioduct plugins check [OPTION...] NAME|PATH\n",
            what, argument);
    return EXIT_USAGE;
}

static int list_main(int argc, char **argv)
{
    bool json = false;
    const char *wanted = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--runtime") != 0) {
            return usage("unknown argument", argv[i]);
        } else if (i + 1 == argc) {
            return usage("no value after", argv[i]);
        } else {
            wanted = argv[++i];
        }
    }
    return json ? show_json(wanted) : show_table(wanted);
}

int plugins_main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "inspect") == 0) {
        return argc == 3  ? plugins_inspect(argv[2])
               : argc < 3 ? usage("no name or path after", verb)
                          : usage("unknown argument", argv[3]);
    }
    if (strcmp(verb, "which") == 0) {
        return argc <= 3 ? plugins_which(argc == 3 ? argv[2] : NULL)
                         : usage("unknown argument", argv[3]);
    }
    if (strcmp(verb, "check") == 0) {
        return plugins_check(argc - 1, argv + 1);
    }
    return list_main(argc, argv);
}
