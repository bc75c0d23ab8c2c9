/* SPDX-License-Identifier: MIT */
#include "data.h"

#include "exitcode.h"

#include <aioduct/request.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int out_of_memory(void)
{
    fputs("aioduct: out of memory\n", stderr);
    return EXIT_MEMORY;
}

static int append(char **data, size_t *bytes, const char *more, size_t count)
{
    char *grown = realloc(*data, *bytes + count + 1);
    if (grown == NULL) {
        return out_of_memory();
    }
    memcpy(grown + *bytes, more, count);
    *bytes += count;
    grown[*bytes] = '\0';
    *data = grown;
    return 0;
}

static size_t strip(char *text, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] != '\r' && text[i] != '\n' && text[i] != '\0') {
            text[kept++] = text[i];
        }
    }
    return kept;
}

static int append_file(char **data, size_t *bytes, const char *name, bool binary)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    char block[65536];
    size_t got;
    int code = 0;
    if (file == NULL) {
        fprintf(stderr, "aioduct: cannot read %s: %s\n", name, strerror(errno));
        return EXIT_READ;
    }
    while (code == 0 && (got = fread(block, 1, sizeof block, file)) > 0) {
        code = append(data, bytes, block, binary ? got : strip(block, got));
    }
    if (code == 0 && ferror(file)) {
        fprintf(stderr, "aioduct: cannot read %s: %s\n", name, strerror(errno));
        code = EXIT_READ;
    }
    if (file != stdin) {
        fclose(file);
    }
    return code;
}

int data_append_text(char **data, size_t *bytes, bool joined, const char *text)
{
    int code = joined ? append(data, bytes, "&", 1) : 0;
    return code != 0 ? code : append(data, bytes, text, strlen(text));
}

int data_append(char **data, size_t *bytes, bool joined, const char *text, bool binary)
{
    if (text[0] != '@') {
        return data_append_text(data, bytes, joined, text);
    }
    int code = joined ? append(data, bytes, "&", 1) : append(data, bytes, "", 0);
    return code != 0 ? code : append_file(data, bytes, text + 1, binary);
}

/* ---- -T ---- */

int upload_open(struct upload *upload, const char *path)
{
    struct stat st;
    *upload = (struct upload){.fd = STDIN_FILENO, .length = AIODUCT_LENGTH_UNKNOWN};
    if (strcmp(path, "-") == 0) {
        return 0;
    }
    upload->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (upload->fd < 0 || fstat(upload->fd, &st) < 0) {
        fprintf(stderr, "aioduct: cannot read %s: %s\n", path, strerror(errno));
        upload_close(upload);
        return EXIT_READ;
    }
    if (S_ISDIR(st.st_mode)) {
        fprintf(stderr, "aioduct: cannot send %s: it is a directory\n", path);
        upload_close(upload);
        return EXIT_READ;
    }
    if (S_ISREG(st.st_mode)) {
        upload->regular = true;
        upload->length = st.st_size;
    }
    return 0;
}

void upload_memory(struct upload *upload, const char *bytes, size_t count)
{
    *upload = (struct upload){.fd = -1, .memory = bytes, .length = (int64_t)count, .regular = true};
}

void upload_close(struct upload *upload)
{
    if (upload->fd > STDIN_FILENO) {
        close(upload->fd);
    }
    upload->fd = -1;
}

int64_t upload_read(void *user, void *buffer, size_t capacity)
{
    struct upload *upload = user;
    ssize_t got;
    if (upload->regular) { /* what is added meanwhile was not announced */
        int64_t left = upload->length - upload->sent;
        capacity = (int64_t)capacity < left ? capacity : (size_t)left;
    }
    if (upload->memory != NULL) {
        memcpy(buffer, upload->memory + upload->sent, capacity);
        upload->sent += (int64_t)capacity;
        return (int64_t)capacity;
    }
    do {
        got = read(upload->fd, buffer, capacity);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        upload->error = errno;
        return -EIO; /* never -EAGAIN, which would mean "later" */
    }
    upload->sent += got;
    return got;
}

int upload_rewind(void *user)
{
    struct upload *upload = user;
    upload->sent = 0;
    if (upload->memory != NULL) {
        return 0;
    }
    return lseek(upload->fd, 0, SEEK_SET) < 0 ? -errno : 0;
}
