/* SPDX-License-Identifier: MIT */
/* What is said of a choice that fails or passes something over: by whose word, once, and where. */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first holds good (sound) and uring (unavailable), the third nothing. */
static char first[128], third[128], first_good[256];

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    strcpy(first, loader_mkdir("first", 0755));
    strcpy(third, loader_mkdir("third", 0755));
    strcpy(first_good, loader_install("good", first));
    loader_install("uring", first);
    return 0;
}

/* That it cannot be had, and who wants it. */
static void test_whose_word_fails(void **state)
{
    (void)state;
    struct loader_outcome got;
    const char *told = "runtime 'acme' not found. Tried: built in (no); ";
    struct loader_run run = {
        .option = "acme", .runtime = "acme", .config = "\nruntime = acme\n", .path = first};
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, told, "AIODUCT_PLUGIN_PATH");
    assert_int_equal(strncmp(got.error.message, "option: runtime", 15), 0);
    run.option = NULL;
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, told, "AIODUCT_PLUGIN_PATH");
    assert_int_equal(strncmp(got.error.message, "AIODUCT_RUNTIME: runtime", 24), 0);
    run.runtime = NULL;
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, told, "AIODUCT_PLUGIN_PATH");
    const char *line = strstr(got.error.message, ":2: runtime 'acme'");
    assert_true(got.error.message[0] == '/' && line != NULL &&
                line == strchr(got.error.message, ':'));
    run.config = "runtime = uring\n"; /* the same of what is there and cannot run */
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, ":1: uring unavailable", "kernel.io_uring_disabled");
}

/* Several that are broken: each in a line of its own, and not once more in the one for all. */
static void test_list_broken(void **state)
{
    (void)state;
    struct loader_outcome got;
    char bad[300], worse[300];
    snprintf(bad, sizeof bad, "%s/libaioduct-rt-bad.so", third);
    snprintf(worse, sizeof worse, "%s/libaioduct-rt-worse.so", third);
    loader_write(bad, "no plugin\n", 10, 0644);
    loader_write(worse, "no plugin\n", 10, 0666);
    struct loader_run run = {.option = "bad,acme,worse,epoll", .path = third, .times = 3};
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "epoll", "built in");
    assert_int_equal(loader_count(got.log, "1 runtime 'bad' passed over: "), 1);
    assert_int_equal(loader_count(got.log, "1 runtime 'worse' passed over: "), 1);
    assert_int_equal(loader_count(got.log, bad), 1);
    assert_int_equal(
        loader_count(got.log,
                     "2 bad passed over; acme not found; worse passed over; using epoll\n"),
        1);
    loader_expect_text(got.report.notice, "bad passed over (");
    loader_expect_text(got.report.notice, bad);
    loader_expect_text(got.report.notice, "worse passed over (refusing ");

    run.option = "bad,worse"; /* the error says it, and the log does not */
    loader_choose(&run, &got);
    unlink(bad);
    unlink(worse);
    loader_expect_text(got.error.message, "bad passed over (");
    assert_string_equal(got.log, "");
}

/* The file's: one slip of the pen, or one file for many machines. */
static void test_no_directory(void **state)
{
    (void)state;
    struct loader_outcome got;
    char config[400];
    snprintf(config, sizeof config, "# where\nplugin_directory = %s/gone\nplugin_directory = %s\n",
             third, first);
    struct loader_run run = {.option = "good", .config = config, .times = 3};
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", first_good);
    assert_int_equal(loader_count(got.log, "1 /"), 1);
    loader_expect_text(got.log, ":2: plugin_directory ");
    loader_expect_text(got.log, "/third/gone: ");
    run.option = "acme"; /* and where it is missed */
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND,
                  "/third/gone/libaioduct-rt-acme.so (no such directory); ", "");
    snprintf(config, sizeof config, "plugin_directory = %s\n", first_good);
    run.option = "epoll";
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "epoll", "built in");
    loader_expect_text(got.log, ":1: plugin_directory ");
    snprintf(config, sizeof config, "plugin_directory = %s\n", first);
    loader_choose(&run, &got);
    loader_expect_no_text(got.log, "plugin_directory");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"what cannot be had is said with whose word it was", test_whose_word_fails, NULL, NULL,
         NULL},
        {"a list says once what is broken in it", test_list_broken, NULL, NULL, NULL},
        {"a plugin_directory that is not there is said once", test_no_directory, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
