/* SPDX-License-Identifier: MIT */
#include "proc.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

bool ct_under_sanitizer(void)
{
    return SANITIZED;
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

unsigned ct_fd_count(void)
{
    return count_entries("/proc/self/fd");
}

unsigned ct_thread_count(void)
{
    return count_entries("/proc/self/task");
}

unsigned ct_thread_count_settled(unsigned expected)
{
    unsigned count = ct_thread_count();
    for (int waited_ms = 0; count > expected && waited_ms < 1000; waited_ms++) {
        poll(NULL, 0, 1);
        count = ct_thread_count();
    }
    return count;
}

unsigned ct_mapping_count(void)
{
    if (SANITIZED) {
        return 0;
    }
    unsigned lines = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        return 0;
    }
    for (int c; (c = getc(maps)) != EOF;) {
        lines += c == '\n';
    }
    fclose(maps);
    return lines;
}

size_t ct_address_space_bytes(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL) {
        return 0;
    }
    if (fscanf(statm, "%lu", &pages) != 1) {
        pages = 0;
    }
    fclose(statm);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

void ct_fds_now(struct ct_fds *fds)
{
    memset(fds, 0, sizeof *fds);
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return;
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd < 1024 && fd != dirfd(directory)) {
            fds->bits[fd / 64] |= (uint64_t)1 << fd % 64;
        }
    }
    closedir(directory);
}

int ct_fds_next_new(const struct ct_fds *before, const struct ct_fds *after, int from)
{
    for (int fd = from; fd < 1024; fd++) {
        uint64_t bit = (uint64_t)1 << fd % 64;
        if ((after->bits[fd / 64] & bit) && !(before->bits[fd / 64] & bit)) {
            return fd;
        }
    }
    return -1;
}

bool ct_is_socket(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
}

void ct_signals_now(struct ct_signals *signals)
{
    static const char *const names[3] = {"SigBlk:", "SigIgn:", "SigCgt:"};
    memset(signals, 0, sizeof *signals);
    FILE *status = fopen("/proc/thread-self/status", "re");
    if (status == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof line, status) != NULL) {
        for (int i = 0; i < 3; i++) {
            if (strncmp(line, names[i], strlen(names[i])) == 0) {
                snprintf(signals->lines[i], sizeof signals->lines[i], "%.60s", line);
            }
        }
    }
    fclose(status);
}

uint64_t ct_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

long ct_switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}
