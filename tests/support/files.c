/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gnutls/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024u * 1024u)
#define DENSE_BYTES_MAX (128u * MIB)
#define PATTERN_BYTES 4096u

char *test_dir_create(void)
{
    const char *base = getenv("TMPDIR");
    char *path = test_format("%s/aioduct-test-XXXXXX", base != NULL ? base : "/tmp");
    if (path == NULL || mkdtemp(path) == NULL) {
        free(path);
        return NULL;
    }
    return path;
}

static int on_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    remove(path);
    return 0;
}

void test_dir_remove(char *path)
{
    if (path != NULL) {
        nftw(path, on_remove, 16, FTW_DEPTH | FTW_PHYS);
        free(path);
    }
}

char *test_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
    }
    va_end(args);
    return text;
}

void test_fill(void *bytes, size_t count, uint64_t offset)
{
    unsigned char *out = bytes;
    for (size_t i = 0; i < count; i++) {
        /* One multiplication and two shifts of the position: no byte depends on another, so any
         * range can be made alone. */
        uint64_t x = (offset + i) / 8 + 1;
        x *= 0x9e3779b97f4a7c15u;
        x ^= x >> 29;
        out[i] = (unsigned char)('a' + (x >> ((offset + i) % 8 * 5)) % 26);
    }
}

static int write_all(int fd, const void *bytes, size_t count, off_t at)
{
    const char *p = bytes;
    while (count > 0) {
        ssize_t done = pwrite(fd, p, count, at);
        if (done < 0) {
            return -errno;
        }
        p += done;
        at += done;
        count -= (size_t)done;
    }
    return 0;
}

int test_file_create(const char *path, uint64_t bytes)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    size_t piece_max = bytes <= DENSE_BYTES_MAX ? MIB : PATTERN_BYTES;
    char *piece = malloc(MIB);
    int code = piece == NULL || ftruncate(fd, (off_t)bytes) != 0 ? -ENOMEM : 0;
    for (uint64_t at = 0; code == 0 && at < bytes; at += MIB) {
        size_t count = bytes - at < piece_max ? (size_t)(bytes - at) : piece_max;
        test_fill(piece, count, at);
        code = write_all(fd, piece, count, (off_t)at);
    }
    free(piece);
    close(fd);
    return code;
}

int test_file_write(const char *path, const void *bytes, size_t count)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    int code = write_all(fd, bytes, count, 0);
    close(fd);
    return code;
}

char *test_file_read(const char *path, size_t *out_count)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    size_t count = 0, room = 65536;
    char *text = malloc(room + 1);
    while (text != NULL) {
        ssize_t got = read(fd, text + count, room - count);
        if (got <= 0) {
            break;
        }
        count += (size_t)got;
        if (count == room) {
            room *= 2;
            char *larger = realloc(text, room + 1);
            if (larger == NULL) {
                free(text);
            }
            text = larger;
        }
    }
    close(fd);
    if (text != NULL) {
        text[count] = '\0';
        if (out_count != NULL) {
            *out_count = count;
        }
    }
    return text;
}

/* ---- SHA-256 ---- */

void test_hash_begin(struct test_hash *hash)
{
    gnutls_hash_hd_t state = NULL;
    if (gnutls_hash_init(&state, GNUTLS_DIG_SHA256) < 0) {
        abort();
    }
    hash->state = state;
}

void test_hash_add(struct test_hash *hash, const void *bytes, size_t count)
{
    gnutls_hash(hash->state, bytes, count);
}

void test_hash_end(struct test_hash *hash, char hex[65])
{
    unsigned char digest[32];
    gnutls_hash_deinit(hash->state, digest);
    hash->state = NULL;
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

void test_hash_bytes(const void *bytes, size_t count, char hex[65])
{
    struct test_hash hash;
    test_hash_begin(&hash);
    test_hash_add(&hash, bytes, count);
    test_hash_end(&hash, hex);
}

int test_hash_file(const char *path, char hex[65])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    char *piece = malloc(MIB);
    if (piece == NULL) {
        close(fd);
        return -ENOMEM;
    }
    struct test_hash hash;
    test_hash_begin(&hash);
    ssize_t got;
    while ((got = read(fd, piece, MIB)) > 0) {
        test_hash_add(&hash, piece, (size_t)got);
    }
    test_hash_end(&hash, hex);
    free(piece);
    close(fd);
    return 0;
}

/* ---- this process ---- */

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return -1;
    }
    int count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

int test_descriptor_count(void)
{
    return count_entries("/proc/self/fd") - 1; /* less the one that reads the list */
}

int test_thread_count(void)
{
    return count_entries("/proc/self/task");
}

int test_threads_settle(int count)
{
    int now = test_thread_count();
    for (int i = 0; now > count && i < 1000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        now = test_thread_count();
    }
    return now;
}

size_t test_resident_bytes(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %zu", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

bool test_is_slow_build(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "valgrind") != NULL;
}
