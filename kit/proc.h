/* SPDX-License-Identifier: MIT */
/**
 * proc.h - what the system knows of this process: descriptors, threads, mappings, signals.
 */
#ifndef CT_PROC_H
#define CT_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

unsigned ct_fd_count(void);
unsigned ct_thread_count(void);
/* The same, when those that have been joined are gone: the kernel takes a moment longer. */
unsigned ct_thread_count_settled(unsigned expected);
/* Sanitizers map memory as they like: then 0. */
unsigned ct_mapping_count(void);
size_t ct_address_space_bytes(void);
bool ct_under_sanitizer(void);

/* Bit n: descriptor n is open. */
struct ct_fds {
    uint64_t bits[1024 / 64];
};
void ct_fds_now(struct ct_fds *fds);
/* -> the first descriptor of @after, from @from on, that @before has not, or -1 */
int ct_fds_next_new(const struct ct_fds *before, const struct ct_fds *after, int from);
bool ct_is_socket(int fd);

/* The signal lines of /proc/self/status: blocked, ignored, caught. */
struct ct_signals {
    char lines[3][64];
};
void ct_signals_now(struct ct_signals *signals);

uint64_t ct_cpu_ns(void); /* of all threads */
/* Voluntary ones of the calling thread: how often it slept. */
long ct_switches(void);

#endif
