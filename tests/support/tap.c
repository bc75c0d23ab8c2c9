/* SPDX-License-Identifier: MIT */
/* Cases are run one group each, with standard output turned into a file in memory; from that and
 * from cmocka's result the TAP line is made.
 *
 * cmocka catches crashes with siglongjmp and goes on. That would run teardowns inside whatever was
 * interrupted, and a forked child that crashes would come back as a second runner, so every case
 * runs with handlers of our own instead: a crash ends the process that crashed. */
#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static unsigned case_seconds = 60;
static bool suite_skipped;
static bool case_skipped;
static char skip_reason[256];
static int real_stdout = -1;

/* Written by signal handlers, so made beforehand. */
struct last_words {
    char text[512];
    size_t bytes;
};
static struct last_words late, crashed;

enum { CRASH_COUNT = 5, CHILD_CAME_BACK = 99 };
static const int crash_signals[CRASH_COUNT] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
static struct sigaction before[CRASH_COUNT]; /* a sanitizer's, or the default */
static pid_t runner;
static const struct CMUnitTest *running;

void tap_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(skip_reason, sizeof skip_reason, format, args);
    va_end(args);
    case_skipped = true;
    skip();
}

int tap_skip_all(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("1..0 # SKIP ", stdout);
    vprintf(format, args);
    putchar('\n');
    fflush(stdout);
    va_end(args);
    suite_skipped = true;
    return 0;
}

bool tap_is_skipped(void)
{
    return suite_skipped;
}

void tap_limit_seconds(unsigned seconds)
{
    case_seconds = seconds;
    if (real_stdout >= 0) {
        alarm(seconds);
    }
}

/* ---- cases that hang or crash ---- */

static void prepare_words(struct last_words *words, size_t number, const char *name,
                          const char *what)
{
    int bytes = snprintf(words->text, sizeof words->text, "not ok %zu - %s\n# %s\nBail out! %s\n",
                         number, name, what, what);
    words->bytes = (size_t)bytes < sizeof words->text ? (size_t)bytes : sizeof words->text - 1;
}

static void say(const struct last_words *words)
{
    ssize_t written = write(real_stdout, words->text, words->bytes);
    (void)written;
}

/* A case that hangs would take the names of all later ones with it: say which, and stop. */
static void on_alarm(int number)
{
    (void)number;
    say(&late);
    _exit(2);
}

/* Back to what was there before, which then gets the same signal: the instruction is executed once
 * more, or what somebody sent is sent again. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    for (int i = 0; i < CRASH_COUNT; i++) {
        sigaction(crash_signals[i], &before[i], NULL);
    }
    if (getpid() == runner) {
        say(&crashed);
    }
    if (info->si_code <= 0) {
        raise(number);
    }
}

/* cmocka sets its handlers each time before it calls a test, a setup or a teardown. */
static void set_crash_handlers(void)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (int i = 0; i < CRASH_COUNT; i++) {
        sigaction(crash_signals[i], &action, NULL);
    }
}

pid_t tap_fork(void)
{
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    for (int i = 0; i < CRASH_COUNT; i++) {
        sigaction(crash_signals[i], &before[i], NULL);
    }
    signal(SIGALRM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a case that is stopped takes its children with it */
    if (getppid() != parent) {
        _exit(CHILD_CAME_BACK);
    }
    return 0;
}

/* A forked child is here that failed an assertion, or whose code forgot to end it. */
static void end_stray_child(void)
{
    if (getpid() != runner) {
        fflush(stdout);
        _exit(CHILD_CAME_BACK);
    }
}

static int call_setup(void **state)
{
    set_crash_handlers();
    return running->setup_func(state);
}

static void call_test(void **state)
{
    set_crash_handlers();
    running->test_func(state);
    end_stray_child();
}

static int call_teardown(void **state)
{
    set_crash_handlers();
    /* A child that failed an assertion leaves the parent's things alone. */
    return getpid() == runner ? running->teardown_func(state) : 0;
}

/* ---- standard output ---- */

/* Redirect standard output -> descriptor of the file in memory. */
static int capture_begin(void)
{
    fflush(stdout);
    int memory = memfd_create("case output", MFD_CLOEXEC);
    real_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (memory < 0 || real_stdout < 0 || dup2(memory, STDOUT_FILENO) < 0) {
        fputs("Bail out! standard output cannot be captured\n", stdout);
        exit(2);
    }
    return memory;
}

/* Put standard output back -> what was printed, to be freed. */
static char *capture_end(int memory)
{
    fflush(stdout);
    dup2(real_stdout, STDOUT_FILENO);
    close(real_stdout);
    real_stdout = -1;
    off_t bytes = lseek(memory, 0, SEEK_END);
    char *text = calloc(1, (size_t)bytes + 1);
    if (text != NULL && pread(memory, text, (size_t)bytes, 0) != bytes) {
        text[0] = '\0';
    }
    close(memory);
    return text;
}

/* cmocka's own result lines ("ok 1 - name", "1..1", "# ok - name") say nothing new, unless they
 * tell of a fixture that failed. */
static bool is_result_line(const char *line)
{
    if (strstr(line, "Could not run test") != NULL) {
        return false;
    }
    if (line[0] == '#' && line[1] == ' ') {
        line += 2;
    }
    return strncmp(line, "ok ", 3) == 0 || strncmp(line, "not ok ", 7) == 0 ||
           strncmp(line, "1..", 3) == 0;
}

/* One comment line; bytes that are not legal in a report are shown in hexadecimal. */
static void print_comment(const char *line)
{
    fputs("# ", stdout);
    for (; *line != '\0'; line++) {
        unsigned char c = (unsigned char)*line;
        printf(c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
    }
    putchar('\n');
}

static void print_comments(char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (!is_result_line(line)) {
            print_comment(strncmp(line, "# ", 2) == 0 ? line + 2 : line);
        }
    }
}

/* -> 0 passed or skipped, 1 failed */
static int run_case(size_t number, const struct CMUnitTest *test)
{
    case_skipped = false;
    skip_reason[0] = '\0';
    prepare_words(&late, number, test->name, "a case gave no result in time");
    prepare_words(&crashed, number, test->name, "a case crashed");
    struct CMUnitTest wrapped = *test;
    wrapped.test_func = call_test;
    wrapped.setup_func = test->setup_func != NULL ? call_setup : NULL;
    wrapped.teardown_func = test->teardown_func != NULL ? call_teardown : NULL;
    running = test;

    int memory = capture_begin();
    alarm(case_seconds);
    int failed = _cmocka_run_group_tests("case", &wrapped, 1, NULL, NULL);
    set_crash_handlers(); /* a thread may crash that the case has left */
    end_stray_child();
    alarm(0);
    char *text = capture_end(memory);

    if (failed == 0 && text != NULL && strstr(text, "1 # SKIP") != NULL) {
        case_skipped = true;
    }
    if (failed != 0) {
        printf("not ok %zu - %s\n", number, test->name);
    } else if (case_skipped) {
        printf("ok %zu - %s # SKIP %s\n", number, test->name, skip_reason);
    } else {
        printf("ok %zu - %s\n", number, test->name);
    }
    if (text != NULL) {
        print_comments(text);
    }
    fflush(stdout);
    free(text);
    return failed != 0;
}

static bool asked_for(const struct CMUnitTest *test)
{
    const char *only = getenv("TAP_ONLY");
    return only == NULL || strstr(test->name, only) != NULL;
}

int tap_run(const struct CMUnitTest *cases, size_t count, int (*setup)(void **state),
            int (*teardown)(void **state))
{
    setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const char *seconds = getenv("TAP_CASE_SECONDS");
    if (seconds != NULL) {
        case_seconds = (unsigned)strtoul(seconds, NULL, 10);
    }
    signal(SIGALRM, on_alarm);
    runner = getpid();
    for (int i = 0; i < CRASH_COUNT; i++) {
        sigaction(crash_signals[i], NULL, &before[i]);
    }

    void *state = NULL;
    if (setup != NULL) {
        int code = setup(&state);
        if (suite_skipped) {
            return 0;
        }
        if (code != 0) {
            printf("1..%zu\nBail out! the suite's setup failed (%d)\n", count, code);
            return 2;
        }
    }
    size_t number = 0;
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        struct CMUnitTest test = cases[i];
        if (!asked_for(&test)) {
            continue;
        }
        if (test.initial_state == NULL) {
            test.initial_state = state;
        }
        failed |= run_case(++number, &test);
    }
    printf("1..%zu\n", number); /* at the end, as TAP allows: only now is it known */
    if (teardown != NULL && teardown(&state) != 0) {
        printf("# the suite's teardown failed\n");
        failed = 1;
    }
    fflush(stdout);
    return failed;
}
