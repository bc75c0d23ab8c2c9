/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS 10
#define START_MS 20000
#define STOP_MS 5000

static void pause_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
}

static void run_child(const char *dir, char *const argv[], pid_t parent)
{
    char home[512], temporary[512];
    const char *path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    snprintf(home, sizeof home, "HOME=%s", dir);
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", dir);
    char *const envp[] = {(char *)path, home, temporary, NULL};
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || chdir(dir) != 0) {
        _exit(127);
    }
    int in = open("/dev/null", O_RDONLY);
    int out = open("output", O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
        _exit(127);
    }
    execve(argv[0], argv, envp);
    _exit(127);
}

pid_t process_start(const char *dir, char *const argv[])
{
    pid_t parent = getpid();
    fflush(stdout);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* its children are ours once it is gone */
    pid_t pid = fork();
    if (pid == 0) {
        run_child(dir, argv, parent);
    }
    if (pid > 0) {
        setpgid(pid, pid);
    }
    return pid < 0 ? -errno : pid;
}

bool process_has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Reap what has ended -> is nobody of the group left? */
static bool group_is_gone(pid_t pid)
{
    pid_t ended;
    while ((ended = waitpid(-pid, NULL, WNOHANG)) > 0) {
    }
    return ended < 0 && errno == ECHILD;
}

void process_stop(pid_t pid)
{
    if (pid <= 0) {
        return;
    }
    kill(pid, SIGTERM);
    for (int ms = 0; ms < STOP_MS; ms += PAUSE_MS) {
        if (group_is_gone(pid)) {
            return;
        }
        pause_a_moment();
    }
    kill(-pid, SIGKILL);
    while (waitpid(-pid, NULL, 0) > 0 || errno == EINTR) {
    }
}

int process_wait_port(pid_t pid, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int ms = 0; ms < START_MS; ms += PAUSE_MS) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int code = connect(fd, (struct sockaddr *)&in, sizeof in);
        close(fd);
        if (code == 0) {
            return 0;
        }
        if (process_has_ended(pid)) {
            return -ECHILD;
        }
        pause_a_moment();
    }
    return -ETIMEDOUT;
}
