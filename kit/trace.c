/* SPDX-License-Identifier: MIT */
#include "trace.h"
#include "case.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* -> strace of @child, whose calls go to @calls and whose own words to @words; negative: none */
static pid_t start_strace(pid_t child, int calls, int words)
{
    char path[64], target[16];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), calls);
    snprintf(target, sizeof target, "%d", (int)child);
    char strace[] = "strace", follow[] = "-f", quiet[] = "-qq", filter[] = "-e",
         what[] = "trace=setsockopt,bind,connect,io_uring_enter,listen", into[] = "-o",
         process[] = "-p";
    char *const argv[] = {strace, follow, quiet, filter, what, into, path, process, target, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, words, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, words, STDERR_FILENO);
    pid_t pid;
    int code = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? pid : -1;
}

static bool is_traced(pid_t pid)
{
    char path[64], line[128];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *status = fopen(path, "re");
    int tracer = 0;
    while (status != NULL && tracer == 0 && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "TracerPid: %d", &tracer) != 1) {
            tracer = 0;
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return tracer != 0;
}

/* -> is @child traced by @strace? No, if that has ended. */
static bool wait_for_strace(pid_t strace, pid_t child)
{
    int status;
    for (;;) {
        if (is_traced(child)) {
            return true;
        }
        if (strace < 0 || waitpid(strace, &status, WNOHANG) != 0) {
            return false;
        }
        poll(NULL, 0, 1);
    }
}

static int exit_status(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *read_all(int fd)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)bytes + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)bytes, 0), bytes);
    return text;
}

/* The child works when it is told to, and not if nobody is left who could. */
static _Noreturn void work_when_told(int go, void (*work)(struct ct_case *c), struct ct_case *c)
{
    char word;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (read(go, &word, 1) == 1) {
        work(c);
    }
    _exit(0);
}

void ct_trace_child(struct ct_trace *trace, void (*work)(struct ct_case *c), struct ct_case *c)
{
    if (ct_under_sanitizer()) {
        ct_skip("a sanitizer does not like to be traced");
    }
    int calls = memfd_create("calls", 0); /* strace opens it by its path in /proc */
    int words = memfd_create("words", MFD_CLOEXEC);
    int go[2];
    assert_true(calls >= 0 && words >= 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid_t child = ct_fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(go[1]);
        work_when_told(go[0], work, c);
    }
    pid_t strace = start_strace(child, calls, words);
    bool traced = wait_for_strace(strace, child);
    if (traced) {
        assert_int_equal(write(go[1], "x", 1), 1);
    }
    close(go[0]);
    close(go[1]);
    int status = exit_status(child);
    if (!traced) {
        ct_skip("strace cannot be used here");
    }
    exit_status(strace);
    assert_int_equal(status, 0);
    trace->text = read_all(calls);
    close(calls);
    close(words);
}

void ct_trace_free(struct ct_trace *trace)
{
    free(trace->text);
    trace->text = NULL;
}

/* The number of the first line from @from on that has @call and is about @fd (-1: any), or -1;
 * @out_fd is the call's first argument. */
static int find_line(const struct ct_trace *trace, const char *call, int from, int fd, int *out_fd)
{
    int number = 0;
    for (const char *line = trace->text; *line != '\0'; number++) {
        size_t bytes = strcspn(line, "\n");
        const char *paren = memchr(line, '(', bytes);
        int first = paren == NULL ? -1 : atoi(paren + 1);
        if (number >= from && memmem(line, bytes, call, strlen(call)) != NULL &&
            (fd < 0 || first == fd)) {
            *out_fd = first;
            return number;
        }
        line += bytes + (line[bytes] == '\n');
    }
    return -1;
}

const char *ct_trace_check_before_connect(const struct ct_trace *trace, const char *call)
{
    int fd = -1, unused;
    int first = find_line(trace, "TCP_NODELAY", 0, -1, &fd);
    if (first < 0) {
        ct_skip("the runtime sets its options in a way that strace does not show");
    }
    int at = find_line(trace, call, 0, fd, &unused);
    if (at < 0) {
        return "never applied";
    }
    int connect = find_line(trace, "connect(", 0, fd, &unused);
    if (connect >= 0) {
        return at < connect ? NULL : "applied after connect";
    }
    /* A ring connects: nothing may be handed to it between the first option and the last. */
    int enter = find_line(trace, "io_uring_enter(", first, -1, &unused);
    return enter < 0 || at < enter ? NULL : "applied after something was handed to the ring";
}
