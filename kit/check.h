/* SPDX-License-Identifier: MIT */
/**
 * check.h - what a case asserts with, and how it says what it saw.
 *
 * A case is a process. An assertion that does not hold writes file, line, expression and values
 * into the case's report, which the runner reads, and ends the process; nothing is unwound, for
 * the process takes with it what the plugin has left. Only the case's own thread asserts.
 *
 * A failure counts against a rule: the one that a broken rule's text begins with ("RT-15: ..."),
 * else the one blamed for what goes on at the moment (ct_blame), else the case's first.
 */
#ifndef CT_CHECK_H
#define CT_CHECK_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum { CT_RULE_BYTES = 8, CT_REPORT_BYTES = 6000 };
enum ct_verdict { CT_NONE = 0, CT_PASSED, CT_FAILED, CT_SKIPPED };

/* Memory that the case's process shares with the runner, so that it outlives a crash. */
struct ct_report {
    atomic_int verdict;
    char rule[CT_RULE_BYTES]; /* of the failure */
    char text[CT_REPORT_BYTES];
    atomic_size_t bytes; /* of text; may be more than there is room for */
    /* The member of the plugin and the callback of the host that run; literals of this program. */
    _Atomic(const char *) call;
    _Atomic(const char *) callback;
};

/* Of this process; set before a case starts. */
void ct_report_begin(struct ct_report *report, const char *first_rule);
struct ct_report *ct_report_now(void);

/* One line for whoever reads the report. */
void ct_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What follows is about this rule (NULL: the case's first). -> what it was about before */
const char *ct_blame(const char *rule);
/* The same by a helper of many cases: what the case itself has blamed stands. */
const char *ct_blame_helper(const char *rule);
/* The verdict, against @rule (NULL: as ct_blame has it); the process ends. */
_Noreturn void ct_end_failed(const char *rule);
/* Note where and what, then ct_end_failed. */
_Noreturn void ct_fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define ct_fail(...) ct_fail_at(__FILE__, __LINE__, __VA_ARGS__)
/* The case cannot be run here, for this reason; the process ends. */
_Noreturn void ct_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The case is over and good; the process ends. */
_Noreturn void ct_end_passed(void);

/* fork(2) inside a case. The child does not outlive the case; it ends by _exit. An assertion that
 * fails in it is in the report, and its exit status is CT_CHILD_FAILED. */
enum { CT_CHILD_FAILED = 99 };
pid_t ct_fork(void);

/* ---- assertions ---- */

void ct_check_equal(const char *file, int line, const char *expression, const char *other,
                    intmax_t have, intmax_t want);
void ct_check_range(const char *file, int line, const char *expression, uintmax_t have,
                    uintmax_t low, uintmax_t high);
void ct_check_text(const char *file, int line, const char *expression, const char *have,
                   const char *want);

#define assert_int_equal(have, want) \
    ct_check_equal(__FILE__, __LINE__, #have, #want, (intmax_t)(have), (intmax_t)(want))
#define assert_in_range(have, low, high)                                           \
    ct_check_range(__FILE__, __LINE__, #have, (uintmax_t)(have), (uintmax_t)(low), \
                   (uintmax_t)(high))
#define assert_string_equal(have, want) ct_check_text(__FILE__, __LINE__, #have, (have), (want))
#define assert_true(condition)                                        \
    do {                                                              \
        if (!(condition)) {                                           \
            ct_fail_at(__FILE__, __LINE__, "not so: %s", #condition); \
        }                                                             \
    } while (0)
#define assert_false(condition) assert_true(!(condition))
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_ptr_equal(have, want) assert_true((const void *)(have) == (const void *)(want))
#define assert_memory_equal(have, want, bytes) assert_true(memcmp((have), (want), (bytes)) == 0)

#endif
