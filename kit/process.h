/* SPDX-License-Identifier: MIT */
/**
 * process.h - a process for each case: started, watched, ended with all that it has started.
 */
#ifndef CT_PROCESS_H
#define CT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ct_process {
    pid_t pid;
    int output; /* what it prints: a file in memory */
    uint64_t started_ns, deadline_ns;
    int status; /* as waitpid has it, when it is over */
    bool late;  /* it was ended for it gave no result in time */
};

uint64_t ct_clock_ns(void);
/* Between the two SIGCHLD is blocked, so that ct_process_wait can wait for it. */
void ct_processes_begin(void);
void ct_processes_end(void);

/* Run @work(@arg) in a child. @work does not return. -> 0 or -errno */
int ct_process_start(struct ct_process *process, unsigned timeout_s, void (*work)(const void *arg),
                     const void *arg);
/* Wait until one of @count is over, or until @deadline_ns at the latest. */
void ct_process_wait(uint64_t deadline_ns);
/* Is it over? Then nothing of it is left, and .status is set. */
bool ct_process_is_over(struct ct_process *process);
/* How often this system has ended a connection because it had no memory for it: then a case that
 * failed meanwhile says nothing of the plugin. */
unsigned long ct_connections_lost(void);
/* What it printed, to be freed, or NULL. Closes .output. */
char *ct_process_output(struct ct_process *process);

#endif
