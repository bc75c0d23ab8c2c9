/* SPDX-License-Identifier: MIT */
/**
 * files.h - what tests need of the file system: a directory of their own that goes away, files with
 * contents that show a missing or moved piece, and SHA-256.
 */
#ifndef TESTS_SUPPORT_FILES_H
#define TESTS_SUPPORT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A fresh directory -> its absolute path, to be freed; NULL if it cannot be made. */
char *test_dir_create(void);
/* Remove it with all it holds and free the path; NULL does nothing. */
void test_dir_remove(char *path);

/* "format" printed into new memory; NULL if there is none. */
char *test_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Bytes @offset to @offset + @count of one endless text without repetition; ASCII letters. */
void test_fill(void *bytes, size_t count, uint64_t offset);

/* Make a file of @bytes bytes. Up to 128 MiB are test_fill throughout; a larger one is sparse, with
 * 4 KiB of it at the start of each MiB. -> 0 or -errno */
int test_file_create(const char *path, uint64_t bytes);
int test_file_write(const char *path, const void *bytes, size_t count);
/* Whole file with a NUL behind it, to be freed; NULL if it cannot be read. */
char *test_file_read(const char *path, size_t *out_count);

/* SHA-256 as 64 hexadecimal digits. */
struct test_hash {
    void *state;
};
void test_hash_begin(struct test_hash *hash);
void test_hash_add(struct test_hash *hash, const void *bytes, size_t count);
void test_hash_end(struct test_hash *hash, char hex[65]);
void test_hash_bytes(const void *bytes, size_t count, char hex[65]);
int test_hash_file(const char *path, char hex[65]); /* 0 or -errno */

/* Open descriptors, and threads, of this process. */
int test_descriptor_count(void);
int test_thread_count(void);
/* Wait until the count is down to @count, at most 5 s: threads that ended leave a moment later.
 * -> the count reached */
int test_threads_settle(int count);
/* Bytes this process keeps in memory now: VmRSS. */
size_t test_resident_bytes(void);

/* Is this build slowed down by a sanitizer or valgrind? */
bool test_is_slow_build(void);

#endif
