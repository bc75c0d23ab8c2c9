/* SPDX-License-Identifier: MIT */
/**
 * tap.h - runs cmocka cases and prints TAP that says why a case was skipped.
 *
 * cmocka's own TAP writes "not ok ... # SKIP" for a skipped case, which readers take for a failure,
 * and it has no place for a reason. Here every case is run by cmocka as a group of its own, and the
 * lines are printed from what came of it. A case's name is free text, best a sentence.
 *
 *     static const struct CMUnitTest cases[] = {
 *         {"a body arrives whole", test_body, NULL, NULL, NULL},
 *         cmocka_unit_test_setup_teardown(test_other, setup, teardown),
 *     };
 *     return TAP_RUN(cases, NULL, NULL);
 */
#ifndef TESTS_SUPPORT_TAP_H
#define TESTS_SUPPORT_TAP_H

/* cmocka.h needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

/**
 * Run @cases in order. @setup makes the state that every case without an initial_state of its own
 * starts from, @teardown ends it; both run outside cmocka, so they return non-zero instead of
 * asserting; either may be NULL. A @setup that calls tap_skip_all skips the whole suite.
 * Environment: TAP_ONLY=text runs only cases whose name contains it, TAP_CASE_SECONDS=n replaces
 * the limit of 60 s a case (0: none).
 * Returns: 0 if all passed or were skipped, else 1: the exit status of the program
 */
int tap_run(const struct CMUnitTest *cases, size_t count, int (*setup)(void **state),
            int (*teardown)(void **state));
#define TAP_RUN(cases, setup, teardown) \
    tap_run((cases), sizeof(cases) / sizeof((cases)[0]), (setup), (teardown))

/* Inside a case: end it here as skipped, for this reason. Does not return. */
void tap_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Instead of tap_run, or in its setup: print that the whole suite is skipped. -> 0: the exit
 * status. */
int tap_skip_all(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Was tap_skip_all called? */
bool tap_is_skipped(void);

/* Inside a case: fail with a message that the report shows (cmocka's fail_msg writes to standard
 * error, which it does not). */
#define tap_fail(...) (print_message(__VA_ARGS__), print_message("\n"), _fail(__FILE__, __LINE__))

/**
 * fork(2) inside a case. In the child a crash is a crash (its parent sees the signal), and it does
 * not outlive the runner; it must end by _exit or exec, for cmocka's frames are its parent's. One
 * that comes back into the runner all the same, as by a failed assertion, ends with status 99.
 */
pid_t tap_fork(void);

/* Seconds each following case may take; inside a case: from now on, this one included. */
void tap_limit_seconds(unsigned seconds);

#endif
