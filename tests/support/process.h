/* SPDX-License-Identifier: MIT */
/**
 * process.h - a server program as a child: a group of its own, an orderly end, also when the test
 * dies.
 */
#ifndef TESTS_SUPPORT_PROCESS_H
#define TESTS_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Start @argv[0] in @dir with standard output and error in @dir/output, and nothing in its
 * environment but PATH, HOME and TMPDIR, both @dir. -> pid or -errno */
pid_t process_start(const char *dir, char *const argv[]);
/* Has it ended? */
bool process_has_ended(pid_t pid);
/* SIGTERM, and SIGKILL after 5 s; returns when no process of its group is left. */
void process_stop(pid_t pid);

/* Wait until @port of 127.0.0.1 accepts connections, at most 20 s, as long as @pid runs.
 * -> 0 or negative */
int process_wait_port(pid_t pid, int port);

#endif
