/* SPDX-License-Identifier: MIT */
#include "trace.h"
#include "proc.h"

#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* -> exit status, or -1 if there is no strace */
static int run(char *const argv[], int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    pid_t child;
    int code = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code != 0) {
        return -1;
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static char *read_all(int fd)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)bytes + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)bytes, 0), bytes);
    return text;
}

void ct_trace_self(struct ct_trace *trace, const char *variable)
{
    if (ct_under_sanitizer()) {
        tap_skip("a sanitizer does not like to be traced");
    }
    char self[4096], path[64];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(bytes > 0);
    self[bytes] = '\0';
    int calls = memfd_create("calls", 0); /* strace opens it by its path in /proc */
    int output = memfd_create("output", MFD_CLOEXEC);
    assert_true(calls >= 0 && output >= 0);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), calls);
    char strace[] = "strace", follow[] = "-f", quiet[] = "-qq", filter[] = "-e",
         what[] = "trace=setsockopt,bind,connect,io_uring_enter,listen", into[] = "-o";
    char *const argv[] = {strace, follow, quiet, filter, what, into, path, self, NULL};
    setenv(variable, "1", 1);
    int status = run(argv, output);
    unsetenv(variable);
    trace->text = read_all(calls);
    char *said = read_all(output);
    close(calls);
    close(output);
    if (status == -1 || strstr(said, "ptrace") != NULL) {
        free(said);
        free(trace->text);
        tap_skip("strace cannot be used here");
    }
    if (status != 0) {
        print_error("%s\n", said);
    }
    free(said);
    assert_int_equal(status, 0);
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
        tap_skip("the runtime sets its options in a way that strace does not show");
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
