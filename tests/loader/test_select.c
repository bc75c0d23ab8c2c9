/* SPDX-License-Identifier: MIT */
/* Whose word counts, what lists and auto do, in which order places are searched, and what the
 * program itself may add or forbid. */
#include "support.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One safe directory each: the first holds good, libev (sound) and uring (unavailable); the second
 * its own good; the third nothing. */
static char first[128], second[128], third[128];
static char first_good[256], second_good[256], first_libev[256];

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    strcpy(first, loader_mkdir("first", 0755));
    strcpy(second, loader_mkdir("second", 0755));
    strcpy(third, loader_mkdir("third", 0755));
    strcpy(first_good, loader_install("good", first));
    strcpy(first_libev, loader_install("libev", first));
    loader_install("uring", first);
    loader_install("localonly", first);
    strcpy(second_good, loader_install("good", second));
    return 0;
}

/* ---- whose word ---- */

static void test_precedence(void **state)
{
    (void)state;
    struct loader_outcome got;
    const char *config = "# first line\nruntime = libev\n";
    struct loader_run run = {
        .option = "good", .runtime = "localonly", .config = config, .path = first};
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", first_good);
    assert_string_equal(got.report.source, "option");

    run.option = NULL;
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "localonly", NULL);
    assert_string_equal(got.report.source, "AIODUCT_RUNTIME");

    run.runtime = NULL;
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "libev", first_libev);
    loader_expect_text(got.report.source, "/config-");
    assert_string_equal(strrchr(got.report.source, ':'), ":2");

    run.config = "workers = 2\n";
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "libev", first_libev); /* uring is unavailable */
    assert_string_equal(got.report.source, "automatic");

    run.path = NULL;
    run.config = NULL;
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "epoll", "built in");
}

static void test_empty_variable(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.runtime = "", .path = first}, &got);
    loader_expect_chosen(&got, "libev", NULL);
    assert_string_equal(got.report.source, "automatic");
}

static void test_log_line(void **state)
{
    (void)state;
    struct loader_outcome got;
    char want[400];
    loader_choose(&(struct loader_run){.runtime = "good", .path = first}, &got);
    snprintf(want, sizeof want,
             "3 runtime good 1.2.3 (from AIODUCT_RUNTIME; %s; abi " ABI_HERE ")\n", first_good);
    assert_string_equal(got.log, want); /* the one line, and no other */
    assert_string_equal(got.report.version, "1.2.3");
    assert_string_equal(got.report.abi, ABI_HERE);
    assert_string_equal(got.report.notice, "");
}

static void test_order(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.option = "uring", .path = first}, &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: EPERM",
                  "kernel.io_uring_disabled");
    assert_string_equal(got.log, ""); /* the error is the caller's to show */
    loader_choose(&(struct loader_run){.runtime = "libevent", .path = first}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, "runtime 'libevent' not found", "");
}

/* ---- lists ---- */

static void test_list(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.option = "good,libev", .path = first}, &got);
    loader_expect_chosen(&got, "good", first_good);
    assert_string_equal(got.report.notice, "");
    assert_int_equal(loader_count(got.log, "\n"), 1);

    const char *notice = "acme not found; uring unavailable (io_uring_setup: EPERM); using libev";
    loader_choose(
        &(struct loader_run){.option = "acme,uring,libev,good", .path = first, .times = 4}, &got);
    loader_expect_chosen(&got, "libev", first_libev);
    assert_string_equal(got.report.notice, notice);
    assert_int_equal(loader_count(got.log, "2 acme not found"), 1);
    assert_int_equal(loader_count(got.log, notice), 1);
    assert_int_equal(loader_count(got.log, "3 runtime libev"), 4);
}

static void test_auto(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.path = first, .times = 2}, &got);
    loader_expect_chosen(&got, "libev", NULL);
    assert_string_equal(got.report.notice,
                        "uring unavailable (io_uring_setup: EPERM); using libev");
    assert_int_equal(loader_count(got.log, "2 uring unavailable"), 1);

    /* That others are not installed is no news, though the report has it. */
    loader_choose(&(struct loader_run){.option = "auto", .path = third}, &got);
    loader_expect_chosen(&got, "epoll", "built in");
    assert_string_equal(got.report.notice,
                        "uring not found; libev not found; libevent not found; using epoll");
    assert_int_equal(loader_count(got.log, "\n"), 1);

    loader_choose(&(struct loader_run){.option = "acme,auto", .path = first}, &got);
    loader_expect_chosen(&got, "libev", NULL);
    loader_expect_text(got.report.notice, "acme not found; uring unavailable");
}

static void test_list_fails(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.option = "acme,uring,libevent", .path = first}, &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE,
                  "no runtime of 'acme,uring,libevent' (from option) can be used: acme not found; "
                  "uring unavailable (io_uring_setup: EPERM); libevent not found. Looked in: ",
                  "kernel.io_uring_disabled");
    loader_expect_text(got.error.message, first);
    loader_choose(&(struct loader_run){.option = "acme,other", .path = first}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, "acme not found; other not found",
                  "AIODUCT_PLUGIN_PATH");
}

/* ---- capabilities ---- */

static void test_need(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct loader_run run = {.option = "localonly", .path = first, .need = AD_CAP_POLL};
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_CAPABILITY,
                  "/libaioduct-rt-localonly.so) offers local,connector; this client asked for send "
                  "(submit from any thread)",
                  "workers");
    loader_expect_text(got.error.message, "runtime 'localonly' (");
    run.option = "localonly,good";
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", NULL);
    loader_expect_text(got.report.notice, "localonly passed over (runtime 'localonly' (");
    loader_expect_no_text(got.log, "1 "); /* it is not broken */

    run.option = "epoll";
    run.need = AD_CAP_LOCAL;
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_CAPABILITY, "this client asked for local", "uring");
    run.option = "localonly";
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "localonly", NULL);
}

/* ---- places ---- */

static void add_second(void)
{
    MUST(aioduct_plugin_directory_add(second) == 0);
}

static void test_places(void **state)
{
    (void)state;
    struct loader_outcome got;
    char list[400], config[400];
    struct loader_run run = {.option = "good"};

    snprintf(list, sizeof list, "%s:%s:%s", third, second, first);
    run.path = list;
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", second_good);

    snprintf(config, sizeof config, "plugin_directory = %s\nplugin_directory = %s\n", third, first);
    run.config = config;
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", first_good); /* the file comes before the environment */

    run.before = add_second;
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", second_good); /* the program before the file */
    run.option = "libev";
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "libev", first_libev);
}

static void test_first_file(void **state)
{
    (void)state;
    struct loader_outcome got;
    char list[300], path[300];
    snprintf(path, sizeof path, "%s/libaioduct-rt-good.so", third);
    loader_write(path, "no plugin\n", 10, 0644);
    snprintf(list, sizeof list, "%s:%s", third, first);
    loader_choose(&(struct loader_run){.option = "good", .path = list}, &got);
    unlink(path);
    loader_expect(&got, AIODUCT_E_PLUGIN_INVALID, path, "");
}

/* Position of the defaults, told from where a runtime that is nowhere was looked for. */
static void test_empty_element(void **state)
{
    (void)state;
    struct loader_outcome got;
    for (int i = 0; i < 3; i++) {
        char list[300], own[300];
        snprintf(list, sizeof list, "%s%s%s", i == 0 ? ":" : "", third, i == 1 ? ":" : "");
        snprintf(own, sizeof own, "%s/libaioduct-rt-acme.so", third);
        loader_choose(&(struct loader_run){.option = "acme", .path = list}, &got);
        loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, own, "");
        const char *mine = strstr(got.error.message, own);
        const char *standard = strstr(got.error.message, "/aioduct-1/libaioduct-rt-acme.so");
        assert_non_null(standard);
        assert_int_equal(standard < mine, i == 0);
        assert_int_equal(loader_count(got.error.message, "/aioduct-1/libaioduct-rt-acme.so"), 1);
    }
    loader_choose(&(struct loader_run){.option = "acme", .path = ""}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, "/aioduct-1/libaioduct-rt-acme.so", "");
}

static void test_trace(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct loader_run run = {.option = "good", .path = first};
    loader_choose(&run, &got);
    loader_expect_no_text(got.log, "4 ");
    run.debug = "calls,plugins";
    loader_choose(&run, &got);
    loader_expect_text(got.log, "4 plugins: selecting 'good' (from option)\n");
    loader_expect_text(got.log, "4 plugins: place 1: ");
    loader_expect_text(got.log, ": note abi=1.0 needs=0 name=good\n");
    loader_expect_text(got.log, ": dlopen\n");
    loader_expect_text(got.log, "4 plugins: good: probe says 0\n");
    loader_expect_text(got.log, "4 plugins: selected good (");
    run.option = "nonesuch,good";
    loader_choose(&run, &got);
    loader_expect_text(got.log, "4 plugins: 'nonesuch' cannot be used: runtime 'nonesuch' not");
    loader_expect_text(got.log, "4 plugins: selected good (");
    run.option = "good";
    run.debug = "calls";
    loader_choose(&run, &got);
    loader_expect_no_text(got.log, "4 ");
}

/* ---- one record a file ---- */

static const struct ad_plugin *choose_path(const char *path)
{
    const struct ad_plugin *plugin = NULL;
    struct aioduct_error error = {0};
    struct ad_selection want = {.option = path};
    if (ad_runtime_choose(&want, &plugin, NULL, &error) != 0) {
        printf("%s\n", error.message);
    }
    MUST(plugin != NULL);
    return plugin;
}

static void same_file(struct loader_outcome *out, const void *user)
{
    (void)user;
    (void)out;
    char hard[300], soft[300], renamed[300];
    snprintf(hard, sizeof hard, "%s/libaioduct-rt-good.so", third);
    MUST(link(first_good, hard) == 0);
    const struct ad_plugin *plugin = choose_path(first_good);
    MUST(choose_path(first_good) == plugin);
    MUST(choose_path(hard) == plugin);
    MUST(strcmp(plugin->origin, first_good) == 0);
    MUST(unlink(hard) == 0 && symlink(first_good, hard) == 0);
    snprintf(soft, sizeof soft, "%s/../third/libaioduct-rt-good.so", third);
    MUST(choose_path(soft) == plugin);
    MUST(choose_path(second_good) != plugin);

    /* Known or not: the name in the path must be the plugin's. */
    struct aioduct_error error = {0};
    const struct ad_plugin *other = NULL;
    struct ad_selection want = {.option = renamed};
    snprintf(renamed, sizeof renamed, "%s/libaioduct-rt-other.so", third);
    MUST(symlink(first_good, renamed) == 0);
    MUST(ad_runtime_choose(&want, &other, NULL, &error) == AIODUCT_E_PLUGIN_INVALID);
    MUST(strstr(error.message, "the names disagree") != NULL && other == NULL);
    MUST(unlink(hard) == 0 && unlink(renamed) == 0);
}

static void test_same_file(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.debug = "plugins"}, same_file, NULL, &got);
    assert_int_equal(loader_count(got.log, ": dlopen\n"), 2); /* once a file */
}

/* A package upgrade under a running process: what is loaded stays what it was. */
static void replaced(struct loader_outcome *out, const void *user)
{
    (void)out;
    char path[300], fresh[300], command[1300];
    snprintf(path, sizeof path, "%s/libaioduct-rt-good.so", third);
    snprintf(fresh, sizeof fresh, "%s/fresh", third);
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "cp %s %s && mv %s %s", first_good, fresh, fresh, path);
        MUST(system(command) == 0);
        if (i == 0) {
            user = choose_path(path);
        }
    }
    MUST(choose_path(path) == user);
    MUST(unlink(path) == 0);
}

static void test_replaced(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.debug = "plugins"}, replaced, NULL, &got);
    assert_int_equal(loader_count(got.log, ": dlopen\n"), 2); /* the file is another */
}

enum { THREADS = 8 };
static pthread_barrier_t barrier;

static void *choose_often(void *user)
{
    const struct ad_plugin **out = user;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 50; i++) {
        struct ad_selection want = {.option = i % 2 == 0 ? "good" : "uring,libev"};
        const struct ad_plugin *plugin = NULL;
        MUST(ad_runtime_choose(&want, &plugin, NULL, NULL) == 0);
        MUST(out[i % 2] == NULL || out[i % 2] == plugin);
        out[i % 2] = plugin;
    }
    return NULL;
}

static void many_threads(struct loader_outcome *out, const void *user)
{
    (void)user;
    (void)out;
    pthread_t threads[THREADS];
    const struct ad_plugin *chosen[THREADS][2] = {{NULL}};
    MUST(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, choose_often, chosen[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
        MUST(chosen[i][0] == chosen[0][0] && chosen[i][1] == chosen[0][1]);
    }
}

static void test_threads(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct loader_run run = {.path = first};
    loader_in_child(&run, many_threads, NULL, &got);
    assert_int_equal(loader_count(got.log, "2 uring unavailable"), 1);
}

/* ---- what the program adds and forbids ---- */

static void register_good(void)
{
    struct aioduct_error error = {0};
    MUST(aioduct_runtime_register(&aioduct_plugin_good, &error) == 0);
    MUST(aioduct_runtime_register(&aioduct_plugin_good, &error) == -EEXIST);
    MUST(strcmp(error.message, "a runtime called 'good' is registered already") == 0);
    MUST(aioduct_runtime_register(&aioduct_plugin_epoll, &error) == -EEXIST);
    MUST(strcmp(error.message, "a runtime called 'epoll' is built in already") == 0);
}

static void test_registered(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct loader_run run = {.option = "good", .path = first, .before = register_good};
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", "registered");
    run.option = "uring,good";
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", "registered");
    run.option = first_good; /* a path means that file */
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", first_good);
}

static void register_bad(struct loader_outcome *out, const void *user)
{
    (void)user;
    (void)out;
    struct aioduct_error error = {0};
    struct aioduct_plugin bad = aioduct_plugin_good;
    MUST(aioduct_runtime_register(NULL, &error) == AIODUCT_E_PLUGIN_INVALID);
    bad.magic = 1;
    MUST(aioduct_runtime_register(&bad, &error) == AIODUCT_E_PLUGIN_INVALID);
    MUST(strstr(error.message, "the registered plugin: the descriptor's magic") != NULL);
    bad = aioduct_plugin_good;
    bad.abi_major = 3;
    MUST(aioduct_runtime_register(&bad, &error) == AIODUCT_E_PLUGIN_ABI);
    MUST(strstr(error.message, "ABI 3") != NULL);
    bad = aioduct_plugin_good;
    bad.abi_minor_needed = 3;
    MUST(aioduct_runtime_register(&bad, NULL) == AIODUCT_E_PLUGIN_ABI);
    bad = aioduct_plugin_good;
    bad.name = "Not a name";
    MUST(aioduct_runtime_register(&bad, &error) == AIODUCT_E_PLUGIN_INVALID);
    ad_mem_fail_nth(1);
    MUST(aioduct_runtime_register(&aioduct_plugin_good, &error) == -ENOMEM);
    ad_mem_fail_nth(1);
    MUST(aioduct_plugin_directory_add(first) == -ENOMEM);
    ad_mem_fail_nth(0);
    MUST(aioduct_plugin_directory_add("plugins") == AIODUCT_E_PLUGIN_NAME);
    MUST(aioduct_plugin_directory_add("") == AIODUCT_E_PLUGIN_NAME);
    MUST(aioduct_plugin_directory_add(NULL) == AIODUCT_E_PLUGIN_NAME);
}

static void test_register_bad(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.path = NULL}, register_bad, NULL, &got);
}

static void too_late(struct loader_outcome *out, const void *user)
{
    (void)user;
    ad_registry_freeze();
    MUST(aioduct_plugin_directory_add(first) == AIODUCT_E_TOO_LATE);
    MUST(aioduct_runtime_register(&aioduct_plugin_good, &out->error) == AIODUCT_E_TOO_LATE);
    MUST(strstr(out->log, "plugin directories cannot change after the first client was created") !=
         NULL);
    MUST(strstr(out->error.message, "cannot be registered after the first client was created") !=
         NULL);
}

static void test_too_late(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.path = NULL}, too_late, NULL, &got);
}

static void disable(void)
{
    MUST(aioduct_plugins_disable() == 0);
    register_good();
}

static void test_disabled(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct loader_run run = {.option = "libev", .path = first, .before = disable};
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND,
                  "runtime 'libev' not found. Tried: built in (no). Known here: epoll, good.",
                  "Loading plugin files is switched off");
    run.option = first_libev;
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, first_libev, "built in or registered");
    run.option = NULL;
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "epoll", "built in");
    run.option = "libev,good";
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", "registered");
}

/* ---- the public dry run, and want of memory ---- */

static void dry_run(struct loader_outcome *out, const void *user)
{
    (void)user;
    struct aioduct_runtime_selection made = {.size = sizeof made};
    MUST(aioduct_runtime_select(NULL, &made, NULL) == 0);
    MUST(strcmp(made.name, "libev") == 0 && strcmp(made.origin, first_libev) == 0);
    MUST(made.size == sizeof made);

    struct aioduct_runtime_selection before = made;
    MUST(aioduct_runtime_select("acme", &made, &out->error) == AIODUCT_E_PLUGIN_NOT_FOUND);
    MUST(memcmp(&before, &made, sizeof made) == 0);
    MUST(aioduct_runtime_select("good", NULL, NULL) == -EINVAL);
    made.size = 0;
    MUST(aioduct_runtime_select("good", &made, &out->error) == -EINVAL);

    /* A program built against a shorter struct. */
    struct aioduct_runtime_selection shorter;
    memset(&shorter, 'x', sizeof shorter);
    shorter.size = offsetof(struct aioduct_runtime_selection, version);
    MUST(aioduct_runtime_select("good", &shorter, NULL) == 0);
    MUST(strcmp(shorter.name, "good") == 0 && shorter.version[0] == 'x');
    MUST(shorter.size == offsetof(struct aioduct_runtime_selection, version));
}

static void test_dry_run(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.path = first}, dry_run, NULL, &got);
}

static void bad_config(struct loader_outcome *out, const void *user)
{
    (void)out;
    struct aioduct_error error = {0};
    struct aioduct_runtime_selection made = {.size = sizeof made};
    setenv("AIODUCT_CONFIG", user, 1);
    MUST(aioduct_runtime_select("epoll", &made, &error) == AIODUCT_E_CONFIG);
    MUST(strstr(error.message, ":1: unknown key 'rutime'") != NULL);
}

static void test_bad_config(void **state)
{
    (void)state;
    struct loader_outcome got;
    const char *path = loader_path("typing-error.conf");
    loader_write(path, "rutime = epoll\n", 15, 0644);
    loader_in_child(&(struct loader_run){.path = NULL}, bad_config, path, &got);
}

static void no_memory(struct loader_outcome *out, const void *user)
{
    (void)user;
    struct ad_selection want = {.option = "uring,good"};
    const struct ad_plugin *plugin = NULL;
    unsigned failures = 0;
    for (unsigned nth = 1;; nth++) {
        ad_mem_fail_nth(nth);
        int code = ad_runtime_choose(&want, &plugin, NULL, &out->error);
        ad_mem_fail_nth(0);
        if (code == 0) {
            break;
        }
        MUST(code == -ENOMEM && plugin == NULL && nth < 100);
        MUST(strcmp(out->error.message, "out of memory") == 0);
        failures++;
    }
    MUST(failures >= 4);
    MUST(strcmp(plugin->name, "good") == 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.path = first}, no_memory, NULL, &got);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"option, then AIODUCT_RUNTIME, then the file, then automatic", test_precedence, NULL, NULL,
         NULL},
        {"an empty AIODUCT_RUNTIME is none", test_empty_variable, NULL, NULL, NULL},
        {"success is one line in the log", test_log_line, NULL, NULL, NULL},
        {"a single name never falls back", test_order, NULL, NULL, NULL},
        {"a list falls through, and says so once", test_list, NULL, NULL, NULL},
        {"auto falls through, and says so once if it is news", test_auto, NULL, NULL, NULL},
        {"a list of which nothing runs says what became of each", test_list_fails, NULL, NULL,
         NULL},
        {"what the client needs is compared with what there is", test_need, NULL, NULL, NULL},
        {"the program's directories, the file's, then the environment's", test_places, NULL, NULL,
         NULL},
        {"the first file decides, also when it is broken", test_first_file, NULL, NULL, NULL},
        {"an empty element of AIODUCT_PLUGIN_PATH is the defaults", test_empty_element, NULL, NULL,
         NULL},
        {"AIODUCT_DEBUG=plugins logs each step", test_trace, NULL, NULL, NULL},
        {"one file is one record, whatever its path", test_same_file, NULL, NULL, NULL},
        {"a file that was replaced while it is loaded gives the old record", test_replaced, NULL,
         NULL, NULL},
        {"eight threads that choose at once get the same", test_threads, NULL, NULL, NULL},
        {"a registered plugin wins over a file, a path over both", test_registered, NULL, NULL,
         NULL},
        {"registration checks what loading checks", test_register_bad, NULL, NULL, NULL},
        {"after the first client directories and registrations are fixed", test_too_late, NULL,
         NULL, NULL},
        {"with plugins disabled only what is linked in remains", test_disabled, NULL, NULL, NULL},
        {"the dry run fills its struct, and leaves it alone on failure", test_dry_run, NULL, NULL,
         NULL},
        {"a wrong configuration file fails the choice", test_bad_config, NULL, NULL, NULL},
        {"every allocation may fail", test_no_memory, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
