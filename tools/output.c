/* SPDX-License-Identifier: MIT */
#include "output.h"

#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int output_init(struct output *out, const char *name)
{
    *out = (struct output){.fd = -1};
    if (name == NULL || strcmp(name, "-") == 0) {
        return 0;
    }
    out->path = strdup(name);
    return out->path == NULL ? -ENOMEM : 0;
}

char *output_name_from_url(const char *url)
{
    const char *path = url_authority(url);
    path += strcspn(path, "/?#");
    if (*path != '/') {
        return NULL;
    }
    size_t bytes = strcspn(path, "?#");
    const char *name = path + bytes;
    while (name > path && name[-1] != '/') {
        name--;
    }
    size_t name_bytes = (size_t)(path + bytes - name);
    bool is_dots = (name_bytes == 1 && name[0] == '.') ||
                   (name_bytes == 2 && name[0] == '.' && name[1] == '.');
    if (name_bytes == 0 || name_bytes > 255 || is_dots || memchr(name, '\\', name_bytes) != NULL) {
        return NULL;
    }
    return strndup(name, name_bytes);
}

int output_open(struct output *out)
{
    if (out->fd >= 0 || out->error != 0) {
        return -out->error;
    }
    if (out->path == NULL) {
        out->fd = STDOUT_FILENO;
        return 0;
    }
    out->fd =
        open(out->path, O_WRONLY | O_CREAT | (out->append ? O_APPEND : O_TRUNC) | O_CLOEXEC, 0666);
    if (out->fd < 0) {
        out->error = errno;
    }
    return -out->error;
}

int output_write(struct output *out, const void *bytes, size_t count)
{
    const char *at = bytes;
    if (output_open(out) < 0) {
        return -out->error;
    }
    if (out->fd == STDOUT_FILENO) {
        fflush(stdout); /* of what was printed there before, such as --trace's lines */
    }
    while (count > 0) {
        ssize_t written = write(out->fd, at, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            out->error = errno;
            return -out->error;
        }
        at += written;
        count -= (size_t)written;
    }
    return 0;
}

int output_close(struct output *out)
{
    if (out->fd > STDERR_FILENO && close(out->fd) < 0 && out->error == 0) {
        out->error = errno;
    }
    out->fd = -1;
    free(out->path);
    out->path = NULL;
    return -out->error;
}

/* A C1 control in UTF-8: some terminals obey those too. */
static bool is_c1(const char *bytes, size_t left)
{
    return left >= 2 && (unsigned char)bytes[0] == 0xc2 && ((unsigned char)bytes[1] & 0xe0) == 0x80;
}

void print_escaped(FILE *to, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (is_c1(bytes + i, count - i)) {
            fprintf(to, "\\xc2\\x%02x", (unsigned char)bytes[++i]);
        } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
            fprintf(to, "\\x%02x", c);
        } else {
            fputc(c, to);
        }
    }
}
