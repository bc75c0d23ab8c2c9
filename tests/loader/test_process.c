/* SPDX-License-Identifier: MIT */
/* How the process came to be: what it is linked with, preloaded with, run as. Each case runs a
 * helper program and reads what it prints. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, OWNER = 4321 };

static char place[128]; /* plugin "guarded" and the library that it needs */

static void copy_built(const char *file, const char *to, mode_t mode)
{
    char from[600];
    size_t bytes;
    snprintf(from, sizeof from, "%s/%s", getenv("LOADER_PLUGINS"), file);
    unsigned char *content = loader_read(from, &bytes);
    loader_write(to, content, bytes, mode);
    free(content);
}

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    strcpy(place, loader_mkdir("place", 0755));
    loader_install("guarded", place);
    loader_install("good", place);
    copy_built("libloaderloopa.so", loader_path("place/libloaderloopa.so"), 0644);
    copy_built("libloaderloopb.so", loader_path("place/libloaderloopb.so"), 0644);
    return 0;
}

/* The sanitizers' runtimes want to be first in the process, and to look into it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- running the helper ---- */

struct program {
    const char *path;
    const char *arguments[3];
    const char *variables[6]; /* NAME=value */
    uid_t user;               /* 0: as the test */
};

static void start(const struct program *p, int out)
{
    dup2(out, STDOUT_FILENO);
    unsetenv("AIODUCT_RUNTIME");
    unsetenv("AIODUCT_PLUGIN_PATH");
    unsetenv("LD_LIBRARY_PATH");
    setenv("AIODUCT_CONFIG", "", 1);
    for (int i = 0; p->variables[i] != NULL; i++) {
        putenv((char *)(uintptr_t)p->variables[i]);
    }
    if (p->user != 0) {
        MUST(setresgid(p->user, p->user, p->user) == 0);
        MUST(setresuid(p->user, p->user, p->user) == 0);
    }
    execl(p->path, p->path, p->arguments[0], p->arguments[1], NULL);
    _exit(127);
}

static const char *run(const struct program *p)
{
    static char text[4096];
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = tap_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        start(p, ends[1]);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0) {
        fail_msg("%s ended with status %#x: %s", p->path, status, text);
    }
    return text;
}

static const char *built(const char *file)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", getenv("LOADER_PLUGINS"), file);
    return path;
}

static const char *variable(const char *name, const char *value)
{
    static char buffers[8][400];
    static unsigned next;
    char *buffer = buffers[next++ % 8];
    snprintf(buffer, sizeof buffers[0], "%s=%s", name, value);
    return buffer;
}

/* ---- the guard ---- */

static void test_guard_clean(void **state)
{
    (void)state;
    const char *text =
        run(&(struct program){.path = built("loader_helper"),
                              .arguments = {"guarded"},
                              .variables = {variable("AIODUCT_PLUGIN_PATH", place)}});
    loader_expect_text(text, "code=0 ");
    loader_expect_text(text, "name=guarded ");
}

static void expect_clash(const char *text, const char *symbol, const char *library)
{
    char want[300];
    snprintf(want, sizeof want, "code=%d ", AIODUCT_E_CLASH);
    loader_expect_text(text, want);
    snprintf(want, sizeof want, "cannot use guarded here: %s resolves to ", symbol);
    loader_expect_text(text, want);
    snprintf(want, sizeof want, "%s, already in the program's global scope\n", library);
    loader_expect_text(text, want);
    loader_expect_text(text, "choose the runtime that goes with it, or another.");
}

static void test_guard_preloaded(void **state)
{
    (void)state;
    if (SANITIZED) {
        tap_skip("a sanitizer's runtime must be preloaded first");
    }
    struct program p = {
        .path = built("loader_helper"),
        .arguments = {"guarded"},
        .variables = {variable("AIODUCT_PLUGIN_PATH", place),
                      variable("LD_PRELOAD", loader_path("place/libloaderloopb.so"))}};
    expect_clash(run(&p), "guarded_loop", "libloaderloopb.so");
    /* In a list the next one is taken. */
    p.arguments[0] = "guarded,good";
    loader_expect_text(run(&p), "name=good ");
}

static void test_guard_linked(void **state)
{
    (void)state;
    struct program p = {
        .path = built("loader_helper_loopb"),
        .arguments = {"guarded"},
        .variables = {variable("AIODUCT_PLUGIN_PATH", place), variable("LD_LIBRARY_PATH", place)}};
    expect_clash(run(&p), "guarded_loop", "libloaderloopb.so");
}

static void test_guard_same(void **state)
{
    (void)state;
    struct program p = {
        .path = built("loader_helper_loopa"),
        .arguments = {"guarded"},
        .variables = {variable("AIODUCT_PLUGIN_PATH", place), variable("LD_LIBRARY_PATH", place)}};
    loader_expect_text(run(&p), "name=guarded ");
}

static void test_guard_linkage_slot(void **state)
{
    (void)state;
#if !defined(__x86_64__)
    tap_skip("a linkage table slot as address of a function is known from x86-64");
#endif
    struct program p = {
        .path = built("loader_helper_nopie_loopa"),
        .arguments = {"guarded"},
        .variables = {variable("AIODUCT_PLUGIN_PATH", place), variable("LD_LIBRARY_PATH", place)}};
    loader_expect_text(run(&p), "name=guarded ");
    /* With the other library the next symbol tells. */
    p.path = built("loader_helper_nopie_loopb");
    expect_clash(run(&p), "guarded_add", "libloaderloopb.so");
}

/* ---- beside the library ---- */

static void test_beside(void **state)
{
    (void)state;
    char want[300];
    loader_mkdir("tree", 0755);
    loader_mkdir("tree/lib", 0755);
    const char *plugins = loader_mkdir("tree/lib/aioduct-1", 0755);
    loader_install("good", plugins);
    copy_built("libloaderbeside.so", loader_path("tree/lib/libloaderbeside.so"), 0644);
    struct program p = {
        .path = built("loader_helper_beside"),
        .arguments = {"good"},
        .variables = {variable("LD_LIBRARY_PATH", loader_path("tree/lib"))},
    };
    snprintf(want, sizeof want, "name=good origin=%s/libaioduct-rt-good.so ", plugins);
    loader_expect_text(run(&p), want);

    /* After the environment's places, before the compiled-in one; an empty element moves both. */
    p.variables[1] = variable("AIODUCT_PLUGIN_PATH", place);
    snprintf(want, sizeof want, "origin=%s/libaioduct-rt-good.so ", place);
    loader_expect_text(run(&p), want);
    char list[300];
    snprintf(list, sizeof list, ":%s", place);
    p.variables[1] = variable("AIODUCT_PLUGIN_PATH", list);
    snprintf(want, sizeof want, "origin=%s/libaioduct-rt-good.so ", plugins);
    loader_expect_text(run(&p), want);
    p.arguments[0] = "acme";
    const char *text = run(&p);
    const char *beside = strstr(text, plugins), *compiled_in = strstr(text, getenv("LOADER_DIR"));
    assert_true(beside != NULL && compiled_in != NULL && beside < compiled_in);
}

/* ---- more rights than the caller ---- */

static void skip_unless_secure(const char *how)
{
    struct statvfs fs;
    if (SANITIZED) {
        tap_skip("a sanitizer cannot look into %s", how);
    }
    if (geteuid() != 0) {
        tap_skip("only root can make %s", how);
    }
    if (statvfs(loader_dir, &fs) < 0 || (fs.f_flag & ST_NOSUID)) {
        tap_skip("%s is mounted nosuid", loader_dir);
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0) {
        tap_skip("no_new_privs is set");
    }
}

static const char *secure_helper(void)
{
    skip_unless_secure("a set-user-id program of another user");
    const char *path = loader_path("secure-helper");
    copy_built("loader_helper", path, 0755);
    assert_int_equal(chown(path, OWNER, OWNER), 0);
    assert_int_equal(chmod(path, 04755), 0);
    return path;
}

static void test_secure(void **state)
{
    (void)state;
    const char *config = loader_path("secure.conf");
    loader_write(config, "runtime = good\n", 15, 0644);
    struct program p = {
        .path = secure_helper(),
        .arguments = {"-", place},
        .variables = {variable("AIODUCT_PLUGIN_PATH", place), variable("AIODUCT_RUNTIME", "good"),
                      variable("AIODUCT_CONFIG", config), variable("AIODUCT_DEBUG", "plugins")},
        .user = NOBODY,
    };
    const char *text = run(&p);
    if (strstr(text, "secure=0") != NULL) {
        tap_skip("the system did not start a set-user-id program as secure");
    }
    /* Neither variable, nor the added directory, nor the named file: automatic, from one place. */
    loader_expect_text(text, "(from automatic)");
    loader_expect_no_text(text, place);

    p.arguments[0] = "good";
    text = run(&p);
    char want[500]; /* not there, or, in a build directory closed to others, not to be seen */
    snprintf(want, sizeof want, "%s/libaioduct-rt-good.so", getenv("LOADER_DIR"));
    loader_expect_text(text, want);
    loader_expect_no_text(text, "name=good ");
    loader_expect_no_text(text, place);

    /* The same program without the bit. */
    assert_int_equal(chmod(p.path, 0755), 0);
    text = run(&p);
    loader_expect_text(text, "secure=0");
    loader_expect_text(text, "name=good ");
}

static void test_secure_owner(void **state)
{
    (void)state;
    const char *path = loader_install("good", place);
    struct program p = {.path = secure_helper(), .arguments = {path}, .user = NOBODY};
    const char *text = run(&p);
    if (strstr(text, "secure=0") != NULL) {
        tap_skip("the system did not start a set-user-id program as secure");
    }
    loader_expect_text(text, "name=good "); /* root's, and the program's own word */

    assert_int_equal(chown(path, OWNER, OWNER), 0);
    text = run(&p);
    assert_int_equal(chown(path, 0, 0), 0);
    char want[400];
    snprintf(want, sizeof want, "refusing %s: owned by user %d, neither root", path, OWNER);
    loader_expect_text(text, want);
}

static void test_secure_place(void **state)
{
    (void)state;
    const char *directory = getenv("LOADER_DIR");
    struct program p = {.path = secure_helper(), .arguments = {"secured"}, .user = NOBODY};
    char path[600], want[700];
    struct stat st;
    if (stat(directory, &st) < 0 && mkdir(directory, 0755) < 0) {
        fail_msg("%s: %s", directory, strerror(errno));
    }
    strcpy(path, loader_install("secured", directory));
    const char *text = run(&p);
    unlink(path);
    if (strstr(text, "secure=0") != NULL) {
        tap_skip("the system did not start a set-user-id program as secure");
    }
    if (strstr(text, "Permission denied") != NULL) {
        tap_skip("the build directory is closed to other users");
    }
    snprintf(want, sizeof want, "name=secured origin=%s ", path);
    loader_expect_text(text, want);
}

/* Capabilities of the file make a program secure, too, whoever owns it. */
static void test_capabilities(void **state)
{
    (void)state;
    char command[300];
    skip_unless_secure("a program with file capabilities");
    const char *path = loader_path("able-helper");
    copy_built("loader_helper", path, 0755);
    snprintf(command, sizeof command,
             "PATH=$PATH:/usr/sbin:/sbin setcap cap_net_bind_service+ep %s >/dev/null 2>&1", path);
    if (system(command) != 0) {
        tap_skip("setcap cannot give a file capabilities here");
    }
    struct program p = {
        .path = path,
        .arguments = {"good", place},
        .variables = {variable("AIODUCT_PLUGIN_PATH", place)},
        .user = NOBODY,
    };
    const char *text = run(&p);
    if (strstr(text, "secure=0") != NULL) {
        tap_skip("the system did not start a program with capabilities as secure");
    }
    loader_expect_no_text(text, "name=good ");
    loader_expect_no_text(text, place);
    p.arguments[0] = "-";
    p.variables[1] = variable("AIODUCT_RUNTIME", "good");
    text = run(&p);
    loader_expect_text(text, "(from automatic)");
    loader_expect_no_text(text, place);

    /* A copy has none. */
    p.path = loader_path("unable-helper");
    copy_built("loader_helper", p.path, 0755);
    text = run(&p);
    loader_expect_text(text, "secure=0");
    loader_expect_text(text, "name=good ");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a loop library of the plugin's own is no clash", test_guard_clean, NULL, NULL, NULL},
        {"a preloaded library with the same names is a clash", test_guard_preloaded, NULL, NULL,
         NULL},
        {"a linked library with the same names is a clash", test_guard_linked, NULL, NULL, NULL},
        {"the same library in the program is no clash", test_guard_same, NULL, NULL, NULL},
        {"a program that takes a function's address is no false alarm", test_guard_linkage_slot,
         NULL, NULL, NULL},
        {"plugins are found in aioduct-1 beside the library", test_beside, NULL, NULL, NULL},
        {"a set-user-id program hears neither environment nor directories", test_secure, NULL, NULL,
         NULL},
        {"a program with file capabilities hears neither", test_capabilities, NULL, NULL, NULL},
        {"a set-user-id program loads root's files only", test_secure_owner, NULL, NULL, NULL},
        {"a set-user-id program finds the compiled-in directory", test_secure_place, NULL, NULL,
         NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
