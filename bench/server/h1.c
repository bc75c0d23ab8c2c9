/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 as load generators write it: heads without folding, bodies with Content-Length. */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint64_t number_after(const char *head, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = head; line != NULL && line < end;) {
        if ((size_t)(end - line) > length && strncasecmp(line, name, length) == 0) {
            return strtoull(line + length, NULL, 10);
        }
        line = memchr(line, '\n', (size_t)(end - line));
        line = line == NULL ? NULL : line + 1;
    }
    return 0;
}

static void answer(struct conn *conn, uint64_t body_bytes)
{
    char head[160];
    int count = snprintf(head, sizeof head,
                         "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n"
                         "Content-Length: %llu\r\n\r\n",
                         (unsigned long long)body_bytes);
    out_append(&conn->out, head, (size_t)count);
    conn->u.h1.download_left = body_bytes;
    h1_produce(conn);
}

/* One head, @end behind its empty line. */
static void request(struct conn *conn, const char *head, const char *end)
{
    struct h1_state *h1 = &conn->u.h1;
    uint64_t body_bytes;
    if (end - head > 8 && memcmp(head, "GET /b/", 7) == 0) {
        body_bytes = strtoull(head + 7, NULL, 10);
    } else {
        body_bytes = next_body_bytes(conn);
    }
    if (head[0] == 'P') { /* POST, PUT */
        h1->upload_left = number_after(head, end, "Content-Length:");
        if (h1->upload_left > 0) {
            h1->answer_after_upload = true;
            return;
        }
    }
    answer(conn, body_bytes);
}

void h1_produce(struct conn *conn)
{
    struct h1_state *h1 = &conn->u.h1;
    while (h1->download_left > 0 && out_waiting(&conn->out) < FLUSH_BYTES) {
        size_t count = h1->download_left < FLUSH_BYTES ? (size_t)h1->download_left : FLUSH_BYTES;
        out_body(&conn->out, count);
        h1->download_left -= count;
    }
}

static size_t eat_upload(struct conn *conn, size_t count)
{
    struct h1_state *h1 = &conn->u.h1;
    size_t eaten = h1->upload_left < count ? (size_t)h1->upload_left : count;
    h1->upload_left -= eaten;
    if (h1->upload_left == 0) {
        h1->answer_after_upload = false;
        answer(conn, conn->options->body_bytes);
    }
    return eaten;
}

/* The end of a head, or NULL. */
static const char *head_end(const char *text, size_t count)
{
    const char *end = memmem(text, count, "\r\n\r\n", 4);
    return end == NULL ? NULL : end + 4;
}

bool h1_input(struct conn *conn, const uint8_t *bytes, size_t count)
{
    struct h1_state *h1 = &conn->u.h1;
    while (count > 0) {
        const char *text = (const char *)bytes;
        const char *end = h1->head_bytes == 0 ? head_end(text, count) : NULL;
        size_t used;
        if (h1->answer_after_upload) {
            used = eat_upload(conn, count);
        } else if (end != NULL) {
            used = (size_t)(end - text);
            request(conn, text, end);
        } else {
            /* Byte by byte is slow but rare: a head cut by the end of a read. */
            used = 1;
            if (h1->head_bytes == sizeof h1->head) {
                return false;
            }
            h1->head[h1->head_bytes++] = *text;
            if (head_end(h1->head, h1->head_bytes) != NULL) {
                size_t length = h1->head_bytes;
                h1->head_bytes = 0;
                request(conn, h1->head, h1->head + length);
            }
        }
        bytes += used;
        count -= used;
    }
    return true;
}
