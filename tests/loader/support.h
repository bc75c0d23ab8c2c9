/* SPDX-License-Identifier: MIT */
/**
 * What the cases of this suite share: a directory of their own, and a way to choose a runtime in a
 * child process, because environment, loaded objects and registrations belong to a process.
 */
#ifndef TESTS_LOADER_SUPPORT_H
#define TESTS_LOADER_SUPPORT_H

#include "plugin/registry.h"

#include "tap.h"

#include <stdbool.h>
#include <sys/types.h>

/* The plugin of plugin.c, linked in under the name of the built-in one, and under another. */
extern const struct aioduct_plugin aioduct_plugin_epoll;
extern const struct aioduct_plugin aioduct_plugin_good;

/* What a plugin that is built with this tree is said to be built with. */
#define ABI_HERE AIODUCT_STR(AIODUCT_ABI_MAJOR) "." AIODUCT_STR(AIODUCT_ABI_MINOR)

/* ---- files ---- */

extern char loader_dir[64];        /* this process's own, mode 0755; "" before setup */
int loader_setup(void **state);    /* for TAP_RUN: makes it ... */
int loader_teardown(void **state); /* ... and removes it */

/* "<loader_dir>/<rest>" in one of a few static buffers. */
const char *loader_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *loader_mkdir(const char *name, mode_t mode); /* -> its path */
/* Bytes of a file; freed by the caller. */
unsigned char *loader_read(const char *path, size_t *out_bytes);
void loader_write(const char *path, const void *bytes, size_t count, mode_t mode);
/* Copy the built plugin @name into @directory -> path of the copy, mode 0644. */
const char *loader_install(const char *name, const char *directory);
/* Where the build put it. */
const char *loader_built(const char *name);

/* ---- choosing in a child ---- */

struct loader_run {
    const char *option;
    const char *runtime, *path; /* AIODUCT_RUNTIME, AIODUCT_PLUGIN_PATH; NULL: not set */
    const char *config;         /* text of the configuration file; NULL: none */
    const char *debug;          /* AIODUCT_DEBUG */
    unsigned need;
    int times;            /* 0 is 1 */
    bool open;            /* open a loop on what was chosen, too */
    void (*before)(void); /* in the child, before the choice */
    uid_t user;           /* 0: as the test */
};

struct loader_outcome {
    int code;
    struct aioduct_error error;
    struct aioduct_runtime_selection report;
    struct ad_plugin plugin; /* a copy; pointers in it are the child's */
    int signal;              /* that ended the child; 0: none */
    char log[16384];         /* "<level> <message>\n" ... */
};

/* Fails the case if the child crashed. */
void loader_choose(const struct loader_run *run, struct loader_outcome *out);
/* Run @body(@user) in a child with the environment of @run; what it writes to @out is seen here. */
void loader_in_child(const struct loader_run *run,
                     void (*body)(struct loader_outcome *out, const void *user), const void *user,
                     struct loader_outcome *out);

/* In a child, where cmocka's assertions cannot be used. */
void loader_must(bool condition, const char *what, int line);
#define MUST(x) loader_must((x), #x, __LINE__)

/* Assertions that show both texts. */
void loader_expect(const struct loader_outcome *got, int code, const char *in_message,
                   const char *in_hint);
void loader_expect_chosen(const struct loader_outcome *got, const char *name, const char *origin);
void loader_expect_text(const char *text, const char *part);
void loader_expect_no_text(const char *text, const char *part);
unsigned loader_count(const char *text, const char *part);

#endif
