/* SPDX-License-Identifier: MIT */
/**
 * aioduct/plugin/kit.h - does a plugin keep the contract? The conformance kit, for a test program
 * of the plugin's own. `aioduct plugins check` is the same from the command line.
 *
 * libaioduct-kit.a (pkg-config aioduct-kit) has some 200 cases under a host table that is
 * suspicious of each callback. Every case runs in a process of its own, with a time limit, so that
 * one that crashes or hangs hides no other; those processes are forked from the caller, which must
 * have no other thread then. Each case checks numbered rules, those of docs/CONTRACT.md and
 * aioduct-plugin(7), and what fails names its rule.
 *
 *     struct aioduct_kit_options options = AIODUCT_KIT_OPTIONS_INIT;
 *     options.path = "/abs/path/libaioduct-rt-mine.so";
 *     return aioduct_kit_run(&options);
 */
#ifndef AIODUCT_PLUGIN_KIT_H
#define AIODUCT_PLUGIN_KIT_H

#include <aioduct/plugin/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How the results are written to standard output. */
enum {
    AIODUCT_KIT_TEXT = 0,    /**< for people: what failed and why, and a line at the end */
    AIODUCT_KIT_VERBOSE = 1, /**< the same, with a line for each case */
    AIODUCT_KIT_TAP = 2,     /**< TAP version 13 */
    AIODUCT_KIT_LIST = 3     /**< run nothing: a line for each case that would, with its rules */
};

/** What aioduct_kit_run answers; fit for an exit status. */
enum {
    AIODUCT_KIT_PASSED = 0, /**< nothing failed */
    AIODUCT_KIT_FAILED = 1, /**< at least one case failed */
    /** A wrong option, no such file, a connector that does not open without options, or the plugin
     * cannot run on this machine. With AIODUCT_KIT_TAP the latter is AIODUCT_KIT_PASSED: each case
     * is reported as skipped. */
    AIODUCT_KIT_NOT_RUN = 2
};

/** What to check and how. Zero is the default of every member but size. */
struct aioduct_kit_options {
    uint32_t size;    /**< of this struct */
    uint32_t format;  /**< AIODUCT_KIT_TEXT ... */
    const char *path; /**< the plugin: a file, by its absolute path */
    /** Or one that is linked in; it has no file to look at. */
    const struct aioduct_plugin *plugin;
    /** For a connector alone: the runtime under it. Then the rules CX, ST and PL are checked. */
    const char *runtime_path;
    /** Or one that is linked in. */
    const struct aioduct_plugin *runtime_plugin;
    /** Which cases: words, NULL at the end; NULL: all. A word is a rule (RT-12), a group of rules
     * (RT), a group of cases (send), a pattern with * and ?, or a part of a name. */
    const char *const *only;
    const char *const *skip; /**< which of these not, likewise */
    const char *junit_path;  /**< write a JUnit report there too */
    uint64_t seed;           /**< all randomness follows from it; 0 is 1 */
    uint32_t jobs;           /**< cases at the same time; 0: one for each processor */
    uint32_t scale_percent;  /**< of the rounds of long cases; 0: 100 */
    uint32_t timeout_s;      /**< of a case; a third of it is what one event may take; 0: 60 */
    uint32_t must_run;       /**< 1: that the plugin cannot run here is a failure */
};
/** What a struct aioduct_kit_options begins with. */
#define AIODUCT_KIT_OPTIONS_INIT                                                                  \
    {                                                                                             \
        sizeof(struct aioduct_kit_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, \
            0, 0                                                                                  \
    }

/**
 * Check a plugin against the contract.
 * Thread:   the only one of the process; children are forked, SIGCHLD is blocked meanwhile
 * Owns:     nothing; @options and what it points to are borrowed for the call
 * Returns:  AIODUCT_KIT_PASSED | AIODUCT_KIT_FAILED | AIODUCT_KIT_NOT_RUN, with a line on standard
 *           error that says why
 */
int aioduct_kit_run(const struct aioduct_kit_options *options);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_PLUGIN_KIT_H */
