/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "proc.h"

#include <aioduct/plugin/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct ct_report *report;
static const char *first; /* rule of the case */
static const char *blamed;
static pid_t owner; /* the case's process, not a child of it */

void ct_report_begin(struct ct_report *fresh, const char *first_rule)
{
    report = fresh;
    first = first_rule;
    blamed = NULL;
    owner = getpid();
}

struct ct_report *ct_report_now(void)
{
    return report;
}

static void append(const char *line, size_t bytes)
{
    size_t at = atomic_fetch_add(&report->bytes, bytes);
    if (at < sizeof report->text - 1) {
        size_t room = sizeof report->text - 1 - at;
        memcpy(report->text + at, line, bytes < room ? bytes : room);
    }
}

static void say(const char *place, const char *format, va_list args)
{
    char line[700];
    int head = snprintf(line, sizeof line, "%s", place);
    vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    size_t bytes = strlen(line);
    line[bytes] = '\n';
    append(line, bytes + 1);
}

void ct_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("", format, args);
    va_end(args);
}

const char *ct_blame(const char *rule)
{
    const char *before = blamed;
    blamed = rule;
    return before;
}

const char *ct_blame_helper(const char *rule)
{
    return blamed == NULL ? ct_blame(rule) : blamed;
}

void ct_end_failed(const char *rule)
{
    const char *against = rule != NULL ? rule : blamed != NULL ? blamed : first;
    int none = CT_NONE;
    if (atomic_compare_exchange_strong(&report->verdict, &none, CT_FAILED)) {
        snprintf(report->rule, sizeof report->rule, "%s", against);
    }
    _exit(getpid() == owner ? 0 : CT_CHILD_FAILED);
}

void ct_fail_at(const char *file, int line, const char *format, ...)
{
    char place[100];
    const char *slash = strrchr(file, '/');
    snprintf(place, sizeof place, "%.60s:%d: ", slash == NULL ? file : slash + 1, line);
    va_list args;
    va_start(args, format);
    say(place, format, args);
    va_end(args);
    ct_end_failed(NULL);
}

void ct_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("", format, args);
    va_end(args);
    int none = CT_NONE;
    atomic_compare_exchange_strong(&report->verdict, &none, CT_SKIPPED);
    _exit(0);
}

void ct_end_passed(void)
{
    int none = CT_NONE;
    atomic_compare_exchange_strong(&report->verdict, &none, CT_PASSED);
    if (ct_under_sanitizer()) {
        exit(0); /* it says at exit what leaked or raced, by the status */
    }
    _exit(0);
}

pid_t ct_fork(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(CT_CHILD_FAILED);
        }
    }
    return pid;
}

/* ---- assertions ---- */

static const char *code_name(intmax_t code)
{
    switch (code) {
    case AIODUCT_E_UNAVAILABLE:
        return " (AIODUCT_E_UNAVAILABLE)";
    case AIODUCT_E_UNSUPPORTED:
        return " (AIODUCT_E_UNSUPPORTED)";
    case AIODUCT_E_THREAD:
        return " (AIODUCT_E_THREAD)";
    case AIODUCT_E_NESTED:
        return " (AIODUCT_E_NESTED)";
    case AIODUCT_E_FORKED:
        return " (AIODUCT_E_FORKED)";
    case AIODUCT_E_CLASH:
        return " (AIODUCT_E_CLASH)";
    default:
        return "";
    }
}

/* A number, and what it means if it can be a code. */
static void explain(char out[96], intmax_t number)
{
    if (number < 0 && number > -4096) {
        snprintf(out, 96, "%jd (%.60s)", number, strerror((int)-number));
    } else {
        snprintf(out, 96, "%jd%s", number, code_name(number));
    }
}

void ct_check_equal(const char *file, int line, const char *expression, const char *other,
                    intmax_t have, intmax_t want)
{
    if (have == want) {
        return;
    }
    char is[96], should[96];
    explain(is, have);
    explain(should, want);
    ct_fail_at(file, line, "not so: %s == %s: it is %s, not %s", expression, other, is, should);
}

void ct_check_range(const char *file, int line, const char *expression, uintmax_t have,
                    uintmax_t low, uintmax_t high)
{
    if (have < low || have > high) {
        ct_fail_at(file, line, "not so: %s is within %ju and %ju: it is %ju", expression, low, high,
                   have);
    }
}

void ct_check_text(const char *file, int line, const char *expression, const char *have,
                   const char *want)
{
    if (have == NULL || want == NULL || strcmp(have, want) != 0) {
        ct_fail_at(file, line, "not so: %s is \"%s\": it is \"%s\"", expression,
                   want == NULL ? "NULL" : want, have == NULL ? "NULL" : have);
    }
}
