/* SPDX-License-Identifier: MIT */
/* The conformance kit's program: what `aioduct plugins check` runs. */
#include <aioduct/plugin/kit.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 64 };

static const char me[] = "aioduct plugins check";

/* Linked in, as it is into the library. */
extern const struct aioduct_plugin aioduct_plugin_epoll;

struct arguments {
    struct aioduct_kit_options options;
    const char *only[WORDS_MAX + 1], *skip[WORDS_MAX + 1];
    char path[PATH_MAX], runtime_path[PATH_MAX];
    const char *plugin;
};

static int usage(const char *what, const char *argument)
{
    if (what != NULL) {
        fprintf(stderr, "aioduct plugins check: %s '%s'\n", what, argument);
    }
    fputs("usage: aioduct plugins check [OPTION...] NAME|PATH\n"
          "  --only WORD       a rule (RT-12, RT), a group of cases, a pattern or part of a name\n"
          "  --skip WORD       not these\n"
          "  --runtime NAME|PATH  the runtime under a connector\n"
          "  --list            show the cases and their rules, run nothing\n"
          "  --verbose         a line for each case\n"
          "  --tap             the results as TAP\n"
          "  --junit FILE      the results as JUnit's XML too\n"
          "  --jobs N          cases at the same time\n"
          "  --seed N          all randomness follows from it\n"
          "  --scale PERCENT   of the rounds of long cases\n"
          "  --timeout SECONDS of a case\n"
          "  --must-run        that it cannot run here is a failure\n",
          what == NULL ? stdout : stderr);
    return what == NULL ? AIODUCT_KIT_PASSED : AIODUCT_KIT_NOT_RUN;
}

/* ---- which file ---- */

static bool find_in(const char *directory, size_t bytes, const char *name, char path[PATH_MAX])
{
    static const char *const kinds[] = {"rt", "cx"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, PATH_MAX, "%.*s/libaioduct-%s-%s.so", (int)bytes, directory, kinds[i], name);
        if (bytes > 0 && access(path, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

/* A name, in the directories of AIODUCT_PLUGIN_PATH and in the one that was compiled in; or a path,
 * which has a slash in it. -> was it found? */
static bool find(const char *what, char path[PATH_MAX], const struct aioduct_plugin **linked)
{
    if (strchr(what, '/') != NULL) {
        return realpath(what, path) != NULL;
    }
    if (strcmp(what, "epoll") == 0) {
        *linked = &aioduct_plugin_epoll;
        return true;
    }
    const char *directories = getenv("AIODUCT_PLUGIN_PATH");
    while (directories != NULL && *directories != '\0') {
        size_t bytes = strcspn(directories, ":");
        if (find_in(directories, bytes, what, path)) {
            return true;
        }
        directories += bytes + (directories[bytes] == ':');
    }
    return find_in(AD_PLUGIN_DIR, strlen(AD_PLUGIN_DIR), what, path);
}

/* Why find found nothing. */
static int not_found(const char *option, const char *what)
{
    const char *directories = getenv("AIODUCT_PLUGIN_PATH");
    bool is_path = strchr(what, '/') != NULL;
    fprintf(stderr, "%s: %s%s", me, option, option[0] == '\0' ? "" : ": ");
    if (is_path) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        return AIODUCT_KIT_NOT_RUN;
    }
    fprintf(stderr, "no plugin '%s'. Tried: built in (no); ", what);
    if (directories != NULL && directories[0] != '\0') {
        fprintf(stderr, "AIODUCT_PLUGIN_PATH (%s) and ", directories);
    }
    fprintf(stderr, "%s, for libaioduct-rt-%s.so and libaioduct-cx-%s.so\n", AD_PLUGIN_DIR, what,
            what);
    if (access(what, F_OK) == 0) {
        fprintf(stderr, "%s: hint: for the file of that name that is here, write ./%s\n", me, what);
    } else {
        fprintf(stderr,
                "%s: hint: a path has a slash in it; aioduct plugins lists what is installed\n",
                me);
    }
    return AIODUCT_KIT_NOT_RUN;
}

/* Is the runtime one of AIODUCT_REQUIRE, names with commas between them? */
static bool is_required(const char *name)
{
    const char *names = getenv("AIODUCT_REQUIRE");
    size_t bytes = strlen(name);
    while (names != NULL && *names != '\0') {
        size_t one = strcspn(names, ",");
        if (one == bytes && memcmp(names, name, bytes) == 0) {
            return true;
        }
        names += one + (names[one] == ',');
    }
    return false;
}

/* ---- the command line ---- */

static bool number(const char *text, unsigned long long most, unsigned long long *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out <= most;
}

static bool add_word(const char *words[WORDS_MAX + 1], const char *word)
{
    unsigned count = 0;
    while (words[count] != NULL) {
        count++;
    }
    if (count < WORDS_MAX) {
        words[count] = word;
    }
    return count < WORDS_MAX;
}

static bool take_number(struct aioduct_kit_options *options, const char *name, const char *value)
{
    unsigned long long n;
    if (strcmp(name, "--seed") == 0) {
        bool good = number(value, ULLONG_MAX, &n);
        options->seed = n;
        return good;
    }
    if (!number(value, 1000000, &n)) {
        return false;
    }
    uint32_t *place = strcmp(name, "--jobs") == 0    ? &options->jobs
                      : strcmp(name, "--scale") == 0 ? &options->scale_percent
                                                     : &options->timeout_s;
    *place = (uint32_t)n;
    return true;
}

static int wrong_value(const char *name, const char *value, const char *why)
{
    fprintf(stderr, "%s: %s '%s': %s\n", me, name, value, why);
    return AIODUCT_KIT_NOT_RUN;
}

/* -> -1 go on; else the exit status */
static int take_value(struct arguments *a, const char *name, const char *value)
{
    static const char too_many[] = "more than 64 of this option";
    if (strcmp(name, "--only") == 0) {
        a->options.only = a->only;
        return add_word(a->only, value) ? -1 : wrong_value(name, value, too_many);
    }
    if (strcmp(name, "--skip") == 0) {
        a->options.skip = a->skip;
        return add_word(a->skip, value) ? -1 : wrong_value(name, value, too_many);
    }
    if (strcmp(name, "--junit") == 0) {
        a->options.junit_path = value;
        return -1;
    }
    if (strcmp(name, "--runtime") == 0) {
        if (!find(value, a->runtime_path, &a->options.runtime_plugin)) {
            return not_found(name, value);
        }
        a->options.runtime_path = a->options.runtime_plugin == NULL ? a->runtime_path : NULL;
        return -1;
    }
    return take_number(&a->options, name, value)
               ? -1
               : wrong_value(name, value,
                             strcmp(name, "--seed") == 0 ? "not a number"
                                                         : "not a number from 0 to 1000000");
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0) {
            return true;
        }
    }
    return false;
}

/* -> -1 go on; else the exit status */
static int parse(int argc, char **argv, struct arguments *a)
{
    static const char *const valued[] = {"--only", "--skip",  "--junit",   "--runtime", "--jobs",
                                         "--seed", "--scale", "--timeout", NULL};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--help") == 0) {
            return usage(NULL, NULL);
        }
        if (strcmp(argument, "--list") == 0) {
            a->options.format = AIODUCT_KIT_LIST;
        } else if (strcmp(argument, "--tap") == 0) {
            a->options.format = AIODUCT_KIT_TAP;
        } else if (strcmp(argument, "--must-run") == 0) {
            a->options.must_run = 1;
        } else if (strcmp(argument, "--verbose") == 0) {
            a->options.format = AIODUCT_KIT_VERBOSE;
        } else if (is_one_of(argument, valued)) {
            if (i + 1 == argc) {
                return usage("no value after", argument);
            }
            int code = take_value(a, argument, argv[++i]);
            if (code >= 0) {
                return code;
            }
        } else if (argument[0] == '-' || a->plugin != NULL) {
            return usage("unknown argument", argument);
        } else {
            a->plugin = argument;
        }
    }
    if (a->plugin == NULL) {
        fprintf(stderr,
                "%s: which plugin? Give its name or its path; aioduct plugins lists what is "
                "installed, --help the options\n",
                me);
        return AIODUCT_KIT_NOT_RUN;
    }
    return -1;
}

int main(int argc, char **argv)
{
    static struct arguments a;
    a.options = (struct aioduct_kit_options)AIODUCT_KIT_OPTIONS_INIT;
    int code = parse(argc, argv, &a);
    if (code >= 0) {
        return code;
    }
    if (!find(a.plugin, a.path, &a.options.plugin)) {
        return not_found("", a.plugin);
    }
    a.options.path = a.options.plugin == NULL ? a.path : NULL;
    a.options.must_run |= is_required(a.plugin);
    return aioduct_kit_run(&a.options);
}
