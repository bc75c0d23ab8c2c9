/* SPDX-License-Identifier: MIT */
/* The runner itself: what becomes of cases and of their children that crash. Each case runs this
 * program again with the name of a case that goes wrong. */
#include "tap.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- cases that go wrong ---- */

static void crash(void)
{
    raise(
        SIGSEGV); /* a sanitizer does not report one that was sent, and says the same at the end */
}

static void bad_crash(void **state)
{
    (void)state;
    crash();
}

static int bad_teardown(void **state)
{
    (void)state;
    print_message("teardown in %s\n", getenv("TEST_TAP_RUNNER"));
    return 0;
}

static void wait_for(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    print_message("status %#x\n", status);
}

static void bad_child_crash(void **state)
{
    (void)state;
    pid_t child = tap_fork();
    if (child == 0) {
        crash();
        _exit(0);
    }
    wait_for(child);
}

static void bad_child_assertion(void **state)
{
    (void)state;
    pid_t child = tap_fork();
    if (child == 0) {
        setenv("TEST_TAP_RUNNER", "the child", 1);
        assert_int_equal(1, 2);
        _exit(0);
    }
    wait_for(child);
}

static void bad_child_return(void **state)
{
    (void)state;
    pid_t child = tap_fork();
    if (child != 0) {
        wait_for(child);
    }
}

static void good(void **state)
{
    (void)state;
}

static int run_bad(const char *which)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } bad[] = {{"crash", bad_crash},
               {"child crash", bad_child_crash},
               {"child assertion", bad_child_assertion},
               {"child return", bad_child_return}};
    setenv("TEST_TAP_RUNNER", "the runner", 1);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (strcmp(bad[i].name, which) == 0) {
            const struct CMUnitTest cases[] = {
                {"bad", bad[i].run, NULL, bad_teardown, NULL},
                {"good", good, NULL, NULL, NULL},
            };
            return TAP_RUN(cases, NULL, NULL);
        }
    }
    return 3;
}

/* ---- what is seen of them ---- */

static char output[4096];

/* -> as waitpid's */
static int run(const char *which)
{
    int ends[2], status = -1;
    assert_int_equal(pipe(ends), 0);
    pid_t child = tap_fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execl("/proc/self/exe", "test_tap", which, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], output + used, sizeof output - 1 - used)) > 0) {
        used += (size_t)got;
    }
    output[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static unsigned count(const char *text)
{
    unsigned found = 0;
    for (const char *at = output; (at = strstr(at, text)) != NULL; at++) {
        found++;
    }
    return found;
}

static void expect(const char *text, unsigned times)
{
    if (count(text) != times) {
        tap_fail("'%s' is %u times in:\n%s", text, count(text), output);
    }
}

static void a_crash_names_its_case_and_ends_the_program(void **state)
{
    (void)state;
    int status = run("crash");
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    expect("not ok 1 - bad\n", 1);
    expect("Bail out! a case crashed\n", 1);
    expect("teardown", 0);
    expect("good", 0);
}

static void a_childs_crash_is_its_parents_to_see(void **state)
{
    (void)state;
    assert_int_equal(run("child crash"), 0);
    expect("status 0\n", 0);
    expect("# status 0x", 1);
    expect("ok 1 - bad\n", 1);
    expect("ok 2 - good\n", 1);
    expect("Bail out", 0);
    expect("1..2\n", 1);
}

static void a_child_that_comes_back_is_ended(void **state)
{
    (void)state;
    static const char *const ways[] = {"child assertion", "child return"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run(ways[i]), 0);
        expect("# status 0x6300\n", 1);
        expect("# teardown in the runner\n", 1);
        expect("teardown", 1);
        expect("ok 1 - bad\n", 1);
        expect("good", 1);
        expect("1..2\n", 1);
    }
}

#define CASE(name)                     \
    {                                  \
#name, name, NULL, NULL, NULL, \
    }

int main(int argc, char **argv)
{
    if (argc == 2) {
        return run_bad(argv[1]);
    }
    const struct CMUnitTest cases[] = {
        CASE(a_crash_names_its_case_and_ends_the_program),
        CASE(a_childs_crash_is_its_parents_to_see),
        CASE(a_child_that_comes_back_is_ended),
    };
    return TAP_RUN(cases, NULL, NULL);
}
