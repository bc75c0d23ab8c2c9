/* SPDX-License-Identifier: MIT */
/*
 * startup [-n TIMES] COMMAND [ARGUMENT...]
 * Start a command again and again: how long until its first byte of output, and what it costs.
 * Prints one line of JSON: the median of the seconds from before the exec to the first byte, and
 * the CPU of all children.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "startup: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double children_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* -> seconds until the first byte */
static double once(char **command)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        die("pipe");
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    double started = now();
    pid_t pid;
    errno = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
    if (errno != 0) {
        die(command[0]);
    }
    close(ends[1]);
    char bytes[4096];
    ssize_t got = read(ends[0], bytes, sizeof bytes);
    double seconds = now() - started;
    while (got > 0 && read(ends[0], bytes, sizeof bytes) > 0) {
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0 || got <= 0) {
        fprintf(stderr, "startup: %s: status %d, %s output\n", command[0], status,
                got > 0 ? "with" : "no");
        exit(1);
    }
    close(ends[0]);
    posix_spawn_file_actions_destroy(&actions);
    return seconds;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    long times = 100;
    int option;
    while ((option = getopt(argc, argv, "+n:")) != -1) {
        times = option == 'n' ? strtol(optarg, NULL, 10) : 0;
    }
    if (optind == argc || times < 1) {
        fprintf(stderr, "startup [-n TIMES] COMMAND [ARGUMENT...]\n");
        return 2;
    }
    double *seconds = calloc((size_t)times, sizeof *seconds);
    if (seconds == NULL) {
        die("start");
    }
    once(argv + optind); /* files come into the page cache */
    double used = children_cpu();
    for (long i = 0; i < times; i++) {
        seconds[i] = once(argv + optind);
    }
    used = children_cpu() - used;
    qsort(seconds, (size_t)times, sizeof *seconds, by_size);
    printf("{\"requests\":%ld,\"cpu\":%.6f,\"first_byte\":%.6f}\n", times, used,
           seconds[times / 2]);
    free(seconds);
    return 0;
}
