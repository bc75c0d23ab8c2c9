/* SPDX-License-Identifier: MIT */
/* aioduct_runtime_list: what is built in, registered and installed, in search order. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char first[128], second[128], both[300];

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    strcpy(first, loader_mkdir("first", 0755));
    strcpy(second, loader_mkdir("second", 0755));
    snprintf(both, sizeof both, "%s:%s", first, second);
    loader_install("good", first);
    loader_install("unavailable", first);
    loader_install("broken", first);
    loader_install("notemajor", first);
    loader_install("nowake", first);
    loader_install("noconnector", first);
    char path[300];
    snprintf(path, sizeof path, "%s/libaioduct-rt-text.so", first);
    loader_write(path, "hello\n", 6, 0644);
    snprintf(path, sizeof path, "%s/libaioduct-rt-Wrong.so", first);
    loader_write(path, "hello\n", 6, 0644);
    snprintf(path, sizeof path, "%s/readme.txt", first);
    loader_write(path, "hello\n", 6, 0644);
    loader_install("good", second);
    loader_install("localonly", second);
    return 0;
}

/* "name|status|capabilities|abi|version|origin|reason|hint\n" */
static int on_runtime(const struct aioduct_runtime_info *info, void *user)
{
    struct loader_outcome *out = user;
    size_t used = strlen(out->log);
    MUST(info->size == sizeof *info);
    snprintf(out->log + used, sizeof out->log - used, "%s|%d|%s|%s|%s|%s|%s|%s\n", info->name,
             (int)info->status, info->capabilities, info->abi, info->version, info->origin,
             info->reason, info->hint);
    return 0;
}

struct ask {
    int probe;
    bool registered; /* with "good" linked in, too */
};

static void list(struct loader_outcome *out, const void *user)
{
    const struct ask *ask = user;
    MUST(!ask->registered || aioduct_runtime_register(&aioduct_plugin_good, NULL) == 0);
    out->log[0] = '\0';
    out->code = aioduct_runtime_list(ask->probe, on_runtime, out, &out->error);
}

static void list_all(struct ask ask, struct loader_outcome *got)
{
    struct loader_run run = {.path = both};
    loader_in_child(&run, list, &ask, got);
    if (got->code != 0) {
        fail_msg("%s", got->error.message);
    }
}

/* The line that starts so is there, and comes after @after. */
static const char *expect_line(const struct loader_outcome *got, const char *after,
                               const char *format, ...)
{
    char want[700] = "\n";
    va_list args;
    va_start(args, format);
    vsnprintf(want + 1, sizeof want - 1, format, args);
    va_end(args);
    const char *at = after == got->log && strncmp(after, want + 1, strlen(want + 1)) == 0
                         ? after
                         : strstr(after, want);
    if (at == NULL) {
        fail_msg("no line '%s' at its place in:\n%s", want + 1, got->log);
    }
    return at;
}

static void test_notes(void **state)
{
    (void)state;
    struct loader_outcome got;
    list_all((struct ask){.probe = 0}, &got);
    const char *at =
        expect_line(&got, got.log, "epoll|0|poll,connector|" ABI_HERE "|1.2.3|built in||\n");
    at = expect_line(&got, at, "Wrong|2||||%s/libaioduct-rt-Wrong.so|the name of the file", first);
    at =
        expect_line(&got, at, "broken|0|poll,connector|1.0||%s/libaioduct-rt-broken.so||\n", first);
    at = expect_line(&got, at, "good|0|poll,connector|1.0||%s/libaioduct-rt-good.so||\n", first);
    at = expect_line(&got, at, "noconnector|0|poll|1.0||");
    at = expect_line(&got, at,
                     "notemajor|2||2.0||%s/libaioduct-rt-notemajor.so|%s/libaioduct-rt-"
                     "notemajor.so was built for aioduct ABI 2; this library speaks 1|",
                     first, first);
    at = expect_line(&got, at, "nowake|0|poll,connector|1.0||"); /* the note looks well */
    at = expect_line(&got, at,
                     "text|2||||%s/libaioduct-rt-text.so|%s/libaioduct-rt-text.so is not "
                     "an aioduct plugin",
                     first, first);
    at = expect_line(&got, at, "unavailable|0|poll,connector|1.0||");
    at = expect_line(&got, at,
                     "good|1|poll,connector|1.0||%s/libaioduct-rt-good.so|the name means another, "
                     "which comes first: %s/libaioduct-rt-good.so|Select it by its path.\n",
                     second, first);
    expect_line(&got, at, "localonly|0|local,connector|1.0||");
    assert_int_equal(loader_count(got.log, "\n"), 11);
}

static void test_probing(void **state)
{
    (void)state;
    struct loader_outcome got;
    list_all((struct ask){.probe = 1}, &got);
    expect_line(&got, got.log, "epoll|0|poll,connector|" ABI_HERE "|1.2.3|built in||\n");
    expect_line(&got, got.log,
                "good|0|poll,connector|" ABI_HERE "|1.2.3|%s/libaioduct-rt-good.so||\n", first);
    expect_line(&got, got.log,
                "broken|2|poll,connector|" ABI_HERE "|1.2.3|%s/libaioduct-rt-broken.so|the "
                "wheel fell off|",
                first);
    expect_line(&got, got.log,
                "unavailable|1|poll,connector|" ABI_HERE "|1.2.3|%s/libaioduct-rt-"
                "unavailable.so|no wheel: ENOENT|Buy one; see wheel(8).\n",
                first);
    expect_line(&got, got.log,
                "nowake|2|poll,connector|1.0||%s/libaioduct-rt-nowake.so|%s/"
                "libaioduct-rt-nowake.so offers aioduct.runtime/1 without wake|",
                first, first);
    assert_int_equal(loader_count(got.log, "\n"), 11);
}

static void test_registered(void **state)
{
    (void)state;
    struct loader_outcome got;
    list_all((struct ask){.probe = 1, .registered = true}, &got);
    const char *at = expect_line(&got, got.log, "epoll|0|");
    at = expect_line(&got, at, "good|0|poll,connector|" ABI_HERE "|1.2.3|registered||\n");
    at = expect_line(&got, at,
                     "good|1|poll,connector|1.0||%s/libaioduct-rt-good.so|the name means "
                     "another, which comes first: registered|",
                     first);
    expect_line(&got, at, "good|1|poll,connector|1.0||%s/libaioduct-rt-good.so|", second);
}

static int stop(const struct aioduct_runtime_info *info, void *user)
{
    int *visits = user;
    (*visits)++;
    return strcmp(info->name, "good") == 0 ? -77 : 0;
}

static void list_some(struct loader_outcome *out, const void *user)
{
    (void)user;
    int visits = 0;
    out->code = aioduct_runtime_list(0, stop, &visits, &out->error);
    MUST(visits == 4);
}

static void test_stop(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.path = both}, list_some, NULL, &got);
    assert_int_equal(got.code, -77);
}

static void test_relative(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct ask ask = {.probe = 0};
    loader_in_child(&(struct loader_run){.path = "plugins"}, list, &ask, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NAME, "'plugins' is not an absolute path", "");
    assert_string_equal(got.log, "");
}

static void list_wrong_config(struct loader_outcome *out, const void *user)
{
    struct ask ask = {.probe = 0};
    setenv("AIODUCT_CONFIG", user, 1);
    list(out, &ask);
}

static void test_config(void **state)
{
    (void)state;
    struct loader_outcome got;
    char text[200];
    const char *path = loader_path("list.conf");
    loader_write(path, "nonsense\n", 9, 0644);
    loader_in_child(&(struct loader_run){.path = both}, list_wrong_config, path, &got);
    loader_expect(&got, AIODUCT_E_CONFIG, "list.conf:1: not a \"key = value\" line",
                  "as in: runtime = epoll");

    snprintf(text, sizeof text, "plugin_directory = %s\n", second);
    loader_write(path, text, strlen(text), 0644);
    loader_in_child(&(struct loader_run){.path = NULL}, list_wrong_config, path, &got);
    assert_int_equal(got.code, 0);
    expect_line(&got, got.log, "localonly|0|local,connector|1.0||%s/", second);
}

static void disable_and_list(struct loader_outcome *out, const void *user)
{
    aioduct_plugins_disable();
    list(out, user);
}

static void test_disabled(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct ask ask = {.probe = 1};
    loader_in_child(&(struct loader_run){.path = both}, disable_and_list, &ask, &got);
    assert_string_equal(got.log, "epoll|0|poll,connector|" ABI_HERE "|1.2.3|built in||\n");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"without probing only notes are read", test_notes, NULL, NULL, NULL},
        {"with probing each says ok, skip or error, and why", test_probing, NULL, NULL, NULL},
        {"a registered plugin comes before files and hides them", test_registered, NULL, NULL,
         NULL},
        {"the visitor's answer ends the walk and is returned", test_stop, NULL, NULL, NULL},
        {"a relative element is an error", test_relative, NULL, NULL, NULL},
        {"the configuration file is read, and a wrong one is an error", test_config, NULL, NULL,
         NULL},
        {"with plugins disabled no file is listed", test_disabled, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
