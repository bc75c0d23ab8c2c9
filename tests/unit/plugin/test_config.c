/* SPDX-License-Identifier: MIT */
/* The configuration file: what it may say, what is refused and with which line number, and which
 * file is read. Cases that depend on the environment run in a child of their own, because it is
 * read once a process. */
#include "base/mem.h"
#include "plugin/config.h"

#include "tap.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];
static char file[128];

static void write_bytes(const char *path, const char *bytes, size_t count)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

static struct ad_config *good(const char *text)
{
    struct ad_config *config = NULL;
    struct aioduct_error error = {0};
    write_bytes(file, text, strlen(text));
    int code = ad_config_read(file, &config, &error);
    if (code != 0) {
        fail_msg("refused: %s", error.message);
    }
    assert_string_equal(ad_config_path(config), file);
    return config;
}

/* The message is "<path>:<line>: <reason>". */
static void bad_bytes(const char *text, size_t bytes, unsigned line, const char *reason)
{
    struct ad_config *config = NULL;
    struct aioduct_error error = {0};
    char want[256];
    write_bytes(file, text, bytes);
    snprintf(want, sizeof want, "%s:%u: %s", file, line, reason);
    assert_int_equal(ad_config_read(file, &config, &error), AIODUCT_E_CONFIG);
    if (strncmp(error.message, want, strlen(want)) != 0) {
        fail_msg("the message is '%s', not '%s'", error.message, want);
    }
    assert_int_equal(error.code, AIODUCT_E_CONFIG);
    assert_int_equal(error.phase, AIODUCT_PHASE_SETUP);
    assert_null(config);
    assert_int_equal(ad_config_read(file, &config, NULL), AIODUCT_E_CONFIG);
}

static void bad(const char *text, unsigned line, const char *reason)
{
    bad_bytes(text, strlen(text), line, reason);
}

static void test_all_keys(void **state)
{
    (void)state;
    unsigned line = 0;
    struct ad_config *c = good("# a comment\n"
                               "\n"
                               "  runtime =  uring,libev  \n"
                               "workers=4\n"
                               "plugin_directory = /opt/one\n"
                               "\tplugin_directory\t=\t/opt/two # the second\n"
                               "runtime.uring.entries = 256\n"
                               "runtime.my-loop.a.b = x = y#z\n"
                               "runtime.my-loop.empty =\n");
    assert_string_equal(ad_config_runtime(c, &line), "uring,libev");
    assert_int_equal(line, 3);
    assert_int_equal(ad_config_workers(c), 4);
    assert_string_equal(ad_config_plugin_directory(c, 0, &line), "/opt/one");
    assert_string_equal(ad_config_plugin_directory(c, 1, &line), "/opt/two");
    assert_int_equal(line, 6);
    assert_null(ad_config_plugin_directory(c, 2, &line));
    assert_string_equal(ad_config_option(c, AD_KIND_RUNTIME, "uring", "entries"), "256");
    assert_string_equal(ad_config_option(c, AD_KIND_RUNTIME, "my-loop", "a.b"), "x = y#z");
    assert_string_equal(ad_config_option(c, AD_KIND_RUNTIME, "my-loop", "empty"), "");
    assert_null(ad_config_option(c, AD_KIND_RUNTIME, "uring", "other"));
    assert_null(ad_config_option(c, AD_KIND_RUNTIME, "urin", "g.entries"));
    ad_config_destroy(c);
}

static void test_empty(void **state)
{
    (void)state;
    struct ad_config *c = good("");
    assert_null(ad_config_runtime(c, NULL));
    assert_int_equal(ad_config_workers(c), 0);
    assert_null(ad_config_plugin_directory(c, 0, NULL));
    ad_config_destroy(c);
    assert_null(ad_config_runtime(NULL, NULL));
    assert_int_equal(ad_config_workers(NULL), 0);
    assert_string_equal(ad_config_path(NULL), "");
    assert_null(ad_config_plugin_directory(NULL, 0, NULL));
    assert_null(ad_config_option(NULL, AD_KIND_RUNTIME, "a", "b"));
    ad_config_destroy(NULL);
}

static void test_line_ends(void **state)
{
    (void)state;
    struct ad_config *c = good("runtime = libev\r\n\r\nworkers = 2\r\n");
    assert_string_equal(ad_config_runtime(c, NULL), "libev");
    assert_int_equal(ad_config_workers(c), 2);
    ad_config_destroy(c);
    c = good("workers = 3");
    assert_int_equal(ad_config_workers(c), 3);
    ad_config_destroy(c);
}

static void test_wrong_lines(void **state)
{
    (void)state;
    bad("runtime = epoll\nnonsense\n", 2, "not a \"key = value\" line: 'nonsense'");
    bad("\n\n = 3\n", 3, "no key before '='");
    bad("runtim = epoll\n", 1, "unknown key 'runtim'");
    bad("Runtime = epoll\n", 1, "unknown key 'Runtime'");
    bad("runtime.x = 1\n", 1, "unknown key 'runtime.x'");
    bad("runtime..a = 1\n", 1, "unknown key 'runtime..a'");
    bad("runtime.X.a = 1\n", 1, "unknown key");
    bad("runtime.x. = 1\n", 1, "unknown key");
    bad("runtime.x.A = 1\n", 1, "unknown key");
    bad("# ok\nsome\tthing = 1\n", 2, "unknown key 'some?thing'");
}

static void test_bad_values(void **state)
{
    (void)state;
    bad("runtime =\n", 1, "runtime: '' is not the name of a runtime");
    bad("runtime = ../x\n", 1, "runtime: '../x' is a relative path");
    bad("runtime = libev,\n", 1, "runtime: 'libev,' has an empty element");
    bad("workers =\n", 1, "workers is not a number from 0 to 1024: ''");
    bad("workers = four\n", 1, "workers is not a number from 0 to 1024: 'four'");
    bad("workers = -1\n", 1, "workers is not a number");
    bad("workers = 1025\n", 1, "workers is not a number");
    bad("workers = 99999999999999999999999\n", 1, "workers is not a number");
    bad("plugin_directory = plugins\n", 1, "plugin_directory is not an absolute path: 'plugins'");
    bad("plugin_directory =\n", 1, "plugin_directory is not an absolute path: ''");
}

static void test_twice(void **state)
{
    (void)state;
    bad("runtime = epoll\n\nruntime = libev\n", 3, "'runtime' was set in line 1 already");
    bad("workers = 1\nworkers = 1\n", 2, "'workers' was set in line 1 already");
    bad("runtime.a.b = 1\nruntime.a.b = 2\n", 2, "'runtime.a.b' was set in line 1 already");
}

static void test_limits(void **state)
{
    (void)state;
    static char text[70000];
    memset(text, 'x', sizeof text);
    text[0] = '#';
    text[10] = '\n';
    text[11] = '#';
    text[5000] = '\n';
    bad_bytes(text, 5001, 2, "the line has 4989 bytes; the limit is");

    memset(text, '\n', sizeof text);
    write_bytes(file, text, 65536);
    struct ad_config *config = NULL;
    assert_int_equal(ad_config_read(file, &config, NULL), 0);
    ad_config_destroy(config);
    struct aioduct_error error = {0};
    write_bytes(file, text, 65537);
    config = NULL;
    assert_int_equal(ad_config_read(file, &config, &error), AIODUCT_E_CONFIG);
    assert_non_null(strstr(error.message, "is larger than 65536 bytes"));
    assert_non_null(strstr(error.message, file));
    assert_null(config);
}

static void test_nul(void **state)
{
    (void)state;
    bad_bytes("runtime = epoll\nwork\0ers = 1\n", 29, 2, "a NUL byte");
    bad_bytes("# \0\n", 4, 1, "a NUL byte");
}

static void unreadable(const char *path, int want)
{
    struct ad_config *config = NULL;
    struct aioduct_error error = {0};
    assert_int_equal(ad_config_read(path, &config, &error), want);
    if (strstr(error.message, path) == NULL) {
        fail_msg("'%s' does not name %s", error.message, path);
    }
    assert_null(config);
}

static void test_unreadable(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/absent.conf", directory);
    unreadable(path, -ENOENT);
    unreadable(directory, -EISDIR);
    snprintf(path, sizeof path, "%s/fifo", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    unreadable(path, AIODUCT_E_CONFIG);
    unlink(path);
    unreadable("/dev/zero", AIODUCT_E_CONFIG);

    struct ad_config *config = NULL;
    assert_int_equal(ad_config_read("/dev/null", &config, NULL), 0);
    ad_config_destroy(config);
}

/* Whoever writes the file chooses what code is loaded. */
static void test_writable_by_others(void **state)
{
    (void)state;
    static const struct {
        uid_t owner;
        mode_t mode;
        const char *why; /* NULL: taken */
    } files[] = {
        {0, 0644, NULL}, {0, 0666, "world-writable"},        {0, 0602, "world-writable"},
        {0, 0664, NULL}, {4242, 0644, "owned by user 4242"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct ad_config *config = NULL;
        struct aioduct_error error = {0};
        bool foreign = files[i].owner != 0;
        if ((foreign || files[i].mode == 0664) && geteuid() != 0) {
            continue; /* only root can make one of another user, and share it with its group */
        }
        write_bytes(file, "runtime = epoll\n", 16);
        assert_int_equal(chmod(file, files[i].mode), 0);
        assert_int_equal(foreign ? chown(file, files[i].owner, (gid_t)-1) : 0, 0);
        int code = ad_config_read(file, &config, &error);
        ad_config_destroy(config);
        assert_int_equal(unlink(file), 0);
        assert_int_equal(code, files[i].why == NULL ? 0 : AIODUCT_E_CONFIG);
        if (files[i].why != NULL &&
            (strstr(error.message, files[i].why) == NULL || strstr(error.message, file) == NULL ||
             strstr(error.hint, "chmod go-w") == NULL)) {
            fail_msg("'%s', '%s'", error.message, error.hint);
        }
    }
}

static void test_options_nobody_asked_for(void **state)
{
    (void)state;
    char want[256];
    struct aioduct_error error = {0};
    struct ad_config *c = good("runtime.uring.entries = 64\n"
                               "runtime.uring.bogus = 1\n"
                               "runtime.other.bogus = 1\n"
                               "runtime.uring.entries_max = 1\n");
    ad_config_option(c, AD_KIND_RUNTIME, "uring", "entries");
    ad_config_option(c, AD_KIND_RUNTIME, "uring", "entries_max");
    ad_config_option(c, AD_KIND_RUNTIME, "uring", "buffers");
    assert_int_equal(ad_config_check_options(c, AD_KIND_RUNTIME, "uring", &error),
                     AIODUCT_E_CONFIG);
    snprintf(want, sizeof want, "%s:2: the runtime 'uring' has no option 'bogus'", file);
    assert_string_equal(error.message, want);
    assert_int_equal(ad_config_check_options(c, AD_KIND_RUNTIME, "libev", &error), 0);
    assert_int_equal(ad_config_line_of(c, AD_KIND_RUNTIME, "uring", "entries takes a number"), 1);
    assert_int_equal(ad_config_line_of(c, AD_KIND_RUNTIME, "uring", "entries_max takes a number"),
                     4);
    assert_int_equal(ad_config_line_of(c, AD_KIND_RUNTIME, "uring", "no memory"), 0);
    ad_config_option(c, AD_KIND_RUNTIME, "uring", "bogus");
    assert_int_equal(ad_config_check_options(c, AD_KIND_RUNTIME, "uring", &error), 0);
    ad_config_destroy(c);
    assert_int_equal(ad_config_check_options(NULL, AD_KIND_RUNTIME, "uring", &error), 0);
}

static void test_memory(void **state)
{
    (void)state;
    const char *text = "runtime = epoll\nruntime.a.b = 1\nruntime.a.c = 1\nruntime.a.d = 1\n"
                       "runtime.a.e = 1\nruntime.a.f = 1\nruntime.a.g = 1\nruntime.a.h = 1\n"
                       "runtime.a.i = 1\nruntime.a.j = 1\n";
    ad_config_destroy(good(text));
    int failures = 0;
    for (unsigned nth = 1; nth < 100; nth++) {
        struct ad_config *config = NULL;
        ad_mem_fail_nth(nth);
        int code = ad_config_read(file, &config, NULL);
        ad_mem_fail_nth(0);
        if (code == 0) {
            ad_config_destroy(config);
            break;
        }
        assert_int_equal(code, -ENOMEM);
        assert_null(config);
        failures++;
    }
    assert_in_range(failures, 4, 20);
}

/* ---- which file ---- */

static void in_child(void (*body)(void))
{
    pid_t pid = tap_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the child ended with status %#x", status);
    }
}

/* In a child cmocka's own assertions would return to the parent's frames. */
static void must(int condition, int line)
{
    if (!condition) {
        printf("line %d\n", line);
        fflush(stdout);
        _exit(1);
    }
}
#define MUST(x) must((x), __LINE__)

static int workers_of(const char *path)
{
    struct ad_config *config = NULL;
    int code = ad_config_read(path, &config, NULL);
    MUST(code == 0);
    int workers = ad_config_workers(config);
    ad_config_destroy(config);
    return workers;
}

static void child_variable(void)
{
    setenv("AIODUCT_CONFIG", file, 1);
    MUST(workers_of(NULL) == 7);
    MUST(workers_of("") == 0);
}

static void child_variable_absent(void)
{
    struct ad_config *config = NULL;
    struct aioduct_error error = {0};
    setenv("AIODUCT_CONFIG", "/nowhere/at/all.conf", 1);
    MUST(ad_config_read(NULL, &config, &error) == -ENOENT);
    MUST(strstr(error.message, "/nowhere/at/all.conf") != NULL);
}

static void child_variable_empty(void)
{
    setenv("AIODUCT_CONFIG", "", 1);
    setenv("XDG_CONFIG_HOME", directory, 1);
    MUST(workers_of(NULL) == 0);
}

static void child_xdg(void)
{
    unsetenv("AIODUCT_CONFIG");
    setenv("XDG_CONFIG_HOME", directory, 1);
    MUST(workers_of(NULL) == 8);
}

static void child_home(void)
{
    unsetenv("AIODUCT_CONFIG");
    setenv("XDG_CONFIG_HOME", "relative", 1);
    setenv("HOME", directory, 1);
    MUST(workers_of(NULL) == 9);
}

static void child_no_home(void)
{
    unsetenv("AIODUCT_CONFIG");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", "/nowhere", 1);
    struct ad_config *config = NULL;
    MUST(ad_config_read(NULL, &config, NULL) == 0);
    MUST(strncmp(ad_config_path(config), "/nowhere", 8) != 0);
}

static void child_users_is_bad(void)
{
    struct ad_config *config = NULL;
    struct aioduct_error error = {0};
    unsetenv("AIODUCT_CONFIG");
    setenv("XDG_CONFIG_HOME", directory, 1);
    MUST(ad_config_read(NULL, &config, &error) == AIODUCT_E_CONFIG);
    MUST(strstr(error.message, "aioduct.conf:1: unknown key") != NULL);
}

static void child_unreadable(void)
{
    struct ad_config *config = NULL;
    struct aioduct_error error = {0};
    char path[256];
    unsetenv("AIODUCT_CONFIG");
    setenv("XDG_CONFIG_HOME", directory, 1);
    snprintf(path, sizeof path, "%s/aioduct/aioduct.conf", directory);
    MUST(chmod(directory, 0711) == 0 && chmod(path, 0000) == 0);
    if (geteuid() == 0) {
        MUST(setresuid(65534, 65534, 65534) == 0);
    }
    MUST(ad_config_read(NULL, &config, &error) == -EACCES);
    MUST(strstr(error.message, path) != NULL);
}

static void child_unsearchable(void)
{
    char path[128];
    unsetenv("AIODUCT_CONFIG");
    snprintf(path, sizeof path, "%s/aioduct", directory);
    setenv("XDG_CONFIG_HOME", directory, 1);
    MUST(chmod(path, 0000) == 0);
    if (geteuid() == 0) {
        MUST(setresuid(65534, 65534, 65534) == 0);
    }
    struct ad_config *config = NULL;
    MUST(ad_config_read(NULL, &config, NULL) == 0);
}

static void test_which_file(void **state)
{
    (void)state;
    char path[160];
    write_bytes(file, "workers = 7\n", 12);
    snprintf(path, sizeof path, "%s/aioduct", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/.config", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/.config/aioduct", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/.config/aioduct/aioduct.conf", directory);
    write_bytes(path, "workers = 9\n", 12);
    snprintf(path, sizeof path, "%s/aioduct/aioduct.conf", directory);
    write_bytes(path, "workers = 8\n", 12);

    in_child(child_variable);
    in_child(child_variable_absent);
    in_child(child_variable_empty);
    in_child(child_xdg);
    in_child(child_home);
    in_child(child_no_home);
    write_bytes(path, "thing = 8\n", 10);
    in_child(child_users_is_bad);
    in_child(child_unreadable);
    in_child(child_unsearchable);
}

static int setup(void **state)
{
    (void)state;
    umask(022); /* a file that its group may write is refused */
    strcpy(directory, "/tmp/aioduct-config-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return 1;
    }
    snprintf(file, sizeof file, "%s/test.conf", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof command, "chmod -R u+rwX %s && rm -rf %s", directory, directory);
    return system(command);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        /* First: its children read the environment, which the process must not have done. */
        {"AIODUCT_CONFIG, then the user's file, then the system's", test_which_file, NULL, NULL,
         NULL},
        {"every key is read, with comments and blanks around it", test_all_keys, NULL, NULL, NULL},
        {"an empty file, and none at all, set nothing", test_empty, NULL, NULL, NULL},
        {"carriage returns and a missing last newline are tolerated", test_line_ends, NULL, NULL,
         NULL},
        {"a wrong line or unknown key is refused with its number", test_wrong_lines, NULL, NULL,
         NULL},
        {"a bad value is refused with its number", test_bad_values, NULL, NULL, NULL},
        {"a key that is set twice is refused, naming the first line", test_twice, NULL, NULL, NULL},
        {"a line or file that is too long is refused", test_limits, NULL, NULL, NULL},
        {"a NUL byte is refused", test_nul, NULL, NULL, NULL},
        {"a named file that cannot be read is an error that names it", test_unreadable, NULL, NULL,
         NULL},
        {"a file that others may write is refused", test_writable_by_others, NULL, NULL, NULL},
        {"an option that its runtime did not ask for is found", test_options_nobody_asked_for, NULL,
         NULL, NULL},
        {"every allocation may fail", test_memory, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, teardown);
}
