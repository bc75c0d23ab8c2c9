/* SPDX-License-Identifier: MIT */
/* A plugin file seen from outside: nothing in it is run, so that a strange one may be looked at. */
#include "exitcode.h"
#include "json.h"
#include "plugins.h"

#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(const char *label, const char *value)
{
    printf("%-11s %s\n", label, value[0] == '\0' ? "-" : value);
}

/* Is @word one of the comma-separated @list? */
static bool has_word(const char *list, const char *word)
{
    size_t bytes = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += bytes) {
        if ((at == list || at[-1] == ',') && (at[bytes] == '\0' || at[bytes] == ',')) {
            return true;
        }
    }
    return false;
}

static void show_interfaces(const char *capabilities)
{
    static const struct {
        const char *word, *interface;
    } known[] = {{"runtime", "aioduct.runtime/1"},
                 {"poll", "aioduct.runtime.poll/1"},
                 {"local", "aioduct.runtime.local/1"},
                 {"connector", "aioduct.connector/1"}};
    char text[128] = "";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (has_word(capabilities, known[i].word)) {
            size_t bytes = strlen(text);
            snprintf(text + bytes, sizeof text - bytes, "%s%s", bytes == 0 ? "" : ", ",
                     known[i].interface);
        }
    }
    show("interfaces", text);
}

static const char *kind_of(const char *capabilities)
{
    bool connector = has_word(capabilities, "connector");
    return has_word(capabilities, "runtime") ? connector ? "runtime and connector" : "runtime"
           : connector                       ? "connector"
                                             : "";
}

/* Of the file that a symbolic link leads to, as the loader judges it. */
static void show_file(const char *path)
{
    struct stat st;
    char text[320];
    if (path[0] != '/' || stat(path, &st) < 0) {
        return;
    }
    const struct passwd *user = getpwuid(st.st_uid);
    snprintf(text, sizeof text, "%u%s%.255s%s", (unsigned)st.st_uid, user == NULL ? "" : " (",
             user == NULL ? "" : user->pw_name, user == NULL ? "" : ")");
    show("owner", text);
    snprintf(text, sizeof text, "%04o", (unsigned)st.st_mode & 07777);
    show("mode", text);
}

static void show_problem(const struct aioduct_error *problem)
{
    if (problem->code == 0) {
        return;
    }
    printf("%-11s %s: %s\n", "problem", aioduct_error_name(problem->code), problem->message);
    if (problem->hint[0] != '\0') {
        printf("%-11s %s\n", "hint", problem->hint);
    }
}

/* "./libaioduct-rt-mine.so" stands for a file here; the library takes absolute paths alone. */
static const char *made_absolute(const char *what, char path[PATH_MAX])
{
    char here[PATH_MAX];
    if (what[0] == '/' || strchr(what, '/') == NULL || getcwd(here, sizeof here) == NULL ||
        snprintf(path, PATH_MAX, "%s/%s", here, what) >= PATH_MAX) {
        return what;
    }
    return path;
}

static bool is_sound(const struct aioduct_plugin_inspection *seen)
{
    return seen->place.code == 0 && seen->content.code == 0;
}

static void show_all(const struct aioduct_plugin_inspection *seen)
{
    char abi[64];
    snprintf(abi, sizeof abi, "%s%s%s", seen->abi, seen->abi_needed[0] == '\0' ? "" : ", needs ",
             seen->abi_needed);
    show("name", seen->name);
    show("version", seen->origin[0] == '/' ? "not in the note" : seen->version);
    show("abi", abi);
    show("kind", kind_of(seen->capabilities));
    show_interfaces(seen->capabilities);
    show("from", seen->origin);
    show_file(seen->origin);
    show_problem(&seen->place);
    show_problem(&seen->content);
    if (is_sound(seen)) {
        show("problem", "none found");
    }
}

static void json_problem(const struct aioduct_error *problem, bool *any)
{
    if (problem->code == 0) {
        return;
    }
    fputs(*any ? ",\n    {" : "\n    {", stdout);
    json_member(stdout, "error", aioduct_error_name(problem->code), ", ");
    json_member(stdout, "message", problem->message, ", ");
    json_member(stdout, "hint", problem->hint, "}");
    *any = true;
}

static void json_all(const struct aioduct_plugin_inspection *seen)
{
    struct stat st;
    bool any = false;
    fputs("{\n  ", stdout);
    json_member(stdout, "name", seen->name, ",\n  ");
    json_member(stdout, "version", seen->version, ",\n  ");
    json_member(stdout, "abi", seen->abi, ",\n  ");
    json_member(stdout, "needs", seen->abi_needed, ",\n  ");
    json_member(stdout, "capabilities", seen->capabilities, ",\n  ");
    json_member(stdout, "from", seen->origin, ",\n  ");
    if (seen->origin[0] == '/' && stat(seen->origin, &st) == 0) {
        printf("\"owner\": %u,\n  \"mode\": \"%04o\",\n  ", (unsigned)st.st_uid,
               (unsigned)st.st_mode & 07777);
    }
    fputs("\"problems\": [", stdout);
    json_problem(&seen->place, &any);
    json_problem(&seen->content, &any);
    fputs(any ? "\n  ]\n}\n" : "]\n}\n", stdout);
}

int plugins_inspect(const char *what, bool json)
{
    struct aioduct_error error = {0};
    struct aioduct_plugin_inspection seen = {.size = sizeof seen};
    char path[PATH_MAX];
    if (aioduct_plugin_inspect(made_absolute(what, path), &seen, &error) < 0) {
        plugins_complain(&error);
        return EXIT_USAGE;
    }
    (json ? json_all : show_all)(&seen);
    return is_sound(&seen) ? 0 : EXIT_USAGE;
}
