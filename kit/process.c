/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_BYTES_MAX = 1 << 16 };

static sigset_t mask_before;

uint64_t ct_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ct_processes_begin(void)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &mask_before);
}

void ct_processes_end(void)
{
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

/* In the child: a process group of its own, so that it is ended with all of its children; it does
 * not outlive the runner; what it prints goes into the file. */
static void settle_child(pid_t parent, int output)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(0);
    }
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL); /* so that one is seen */
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

int ct_process_start(struct ct_process *process, unsigned timeout_s, void (*work)(const void *arg),
                     const void *arg)
{
    *process = (struct ct_process){.output = memfd_create("case output", MFD_CLOEXEC)};
    if (process->output < 0) {
        return -errno;
    }
    fflush(NULL);
    pid_t parent = getpid();
    process->started_ns = ct_clock_ns();
    process->deadline_ns = process->started_ns + timeout_s * (uint64_t)1000000000;
    process->pid = fork();
    if (process->pid < 0) {
        int code = -errno;
        close(process->output);
        return code;
    }
    if (process->pid == 0) {
        settle_child(parent, process->output);
        work(arg);
        _exit(0);
    }
    setpgid(process->pid, process->pid); /* whoever of the two comes first */
    return 0;
}

void ct_process_wait(uint64_t deadline_ns)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    uint64_t now = ct_clock_ns(), rest = deadline_ns > now ? deadline_ns - now : 0;
    /* Another thread of the program may take the signal: look again at times. */
    rest = rest < 200000000 ? rest : 200000000;
    struct timespec limit = {.tv_nsec = (long)rest};
    sigtimedwait(&child, NULL, &limit);
}

bool ct_process_is_over(struct ct_process *process)
{
    if (!process->late && ct_clock_ns() >= process->deadline_ns) {
        process->late = true;
        kill(-process->pid, SIGKILL);
        kill(process->pid, SIGKILL);
    }
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
        if (errno == EINTR) {
            return false;
        }
        process->status = 0;
        return true; /* somebody else has waited for it */
    }
    if (info.si_pid == 0) {
        return false;
    }
    kill(-process->pid, SIGKILL); /* children that it has left */
    while (waitpid(process->pid, &process->status, 0) < 0 && errno == EINTR) {
    }
    return true;
}

char *ct_process_output(struct ct_process *process)
{
    off_t bytes = lseek(process->output, 0, SEEK_END);
    size_t wanted = bytes < 0 ? 0 : bytes < OUTPUT_BYTES_MAX ? (size_t)bytes : OUTPUT_BYTES_MAX;
    char *text = calloc(1, wanted + 1);
    if (text != NULL && pread(process->output, text, wanted, 0) < 0) {
        text[0] = '\0';
    }
    close(process->output);
    return text;
}

/* Two lines "TcpExt: ...": names and values. */
unsigned long ct_connections_lost(void)
{
    static char names[8192], values[8192];
    FILE *file = fopen("/proc/net/netstat", "re");
    unsigned long count = 0;
    if (file == NULL) {
        return 0;
    }
    if (fgets(names, sizeof names, file) != NULL && fgets(values, sizeof values, file) != NULL) {
        char *rest_n = NULL, *rest_v = NULL;
        const char *name = strtok_r(names, " \n", &rest_n);
        const char *value = strtok_r(values, " \n", &rest_v);
        while (name != NULL && value != NULL && strcmp(name, "TCPAbortOnMemory") != 0) {
            name = strtok_r(NULL, " \n", &rest_n);
            value = strtok_r(NULL, " \n", &rest_v);
        }
        count = name == NULL || value == NULL ? 0 : strtoul(value, NULL, 10);
    }
    fclose(file);
    return count;
}
