/* SPDX-License-Identifier: MIT */
/* The conformance kit is a program of its own: found beside this one, and run in its place. */
#include "exitcode.h"
#include "plugins.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Without its last element. -> is there one? */
static bool cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

static bool is_program(const char *directory, const char *from_there, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s/%s/plugin-check", directory, from_there) < PATH_MAX &&
           access(out, X_OK) == 0;
}

/* Relative to this program, so that a tree may be moved; in a build tree, which has the kit beside
 * the tools; then where it was to be installed. */
static bool find_program(char out[PATH_MAX])
{
    char here[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", here, sizeof here - 1);
    if (bytes > 0) {
        here[bytes] = '\0';
        cut_last(here);
        if (is_program(here, AD_LIBEXEC_FROM_BIN, out)) {
            return true;
        }
        const char *last = strrchr(here, '/');
        if (last != NULL && strcmp(last, "/tools") == 0 && is_program(here, "../kit", out)) {
            return true;
        }
    }
    return is_program(AD_LIBEXEC_DIR, ".", out);
}

/* A name is looked for as the library does it, configuration file and all; what it finds is a
 * path. */
static const char *resolved(const char *what, struct aioduct_plugin_inspection *seen)
{
    struct aioduct_error error = {0};
    if (strchr(what, '/') != NULL || aioduct_plugin_inspect(what, seen, &error) < 0 ||
        seen->origin[0] != '/') {
        return what;
    }
    return seen->origin;
}

int plugins_check(int argc, char **argv)
{
    static char program[PATH_MAX];
    struct aioduct_plugin_inspection seen = {.size = sizeof seen};
    if (!find_program(program)) {
        fprintf(stderr, "aioduct: the conformance kit is not installed (%s/plugin-check)\n",
                AD_LIBEXEC_DIR);
        return EXIT_USAGE;
    }
    if (argc > 1 && argv[argc - 1][0] != '-') {
        argv[argc - 1] = (char *)resolved(argv[argc - 1], &seen);
    }
    argv[0] = program;
    execv(program, argv);
    perror(program);
    return EXIT_USAGE;
}
