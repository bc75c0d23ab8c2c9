/* SPDX-License-Identifier: MIT */
/** Request bodies of the command line: -d and its kin gather bytes, -T streams a file. */
#ifndef TOOLS_DATA_H
#define TOOLS_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Append @text, or the file that @NAME names (@-: standard input), after an & if @joined. Unless
 * @binary, carriage returns, line feeds and NULs of a file are left out. -> 0 or an exit code; a
 * message has been printed. */
int data_append(char **data, size_t *bytes, bool joined, const char *text, bool binary);
/* The same for text in which @ has no meaning. */
int data_append_text(char **data, size_t *bytes, bool joined, const char *text);

/* A file as the body of a PUT, or bytes in memory. */
struct upload {
    int fd;
    const char *memory; /* NULL: a file */
    int64_t length;     /* AIODUCT_LENGTH_UNKNOWN for a pipe */
    int64_t sent;
    bool regular; /* can be read again from the start */
    int error;    /* errno of a failed read */
};
int upload_open(struct upload *upload, const char *path);
/* @bytes stay where they are. */
void upload_memory(struct upload *upload, const char *bytes, size_t count);
void upload_close(struct upload *upload);
int64_t upload_read(void *user, void *buffer, size_t capacity); /* for struct aioduct_body_source */
int upload_rewind(void *user);

#endif
