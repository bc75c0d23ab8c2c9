/* SPDX-License-Identifier: MIT */
#include "h2requests.h"

#include "h2wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFACE_BYTES 24
#define HEAD_BYTES 9
#define STREAMS_MAX 256 /* requests that come in at the same time */

struct h2_requests {
    struct peer_conn *conn;
    struct h2_reader *reader;
    char *line;
    struct h2_frame frame; /* the last one */
    struct h2_request coming[STREAMS_MAX];
    size_t coming_count;
    struct h2_bytes in;
    bool begun, ended;
};

static void on_frame(void *user, const struct h2_frame *frame)
{
    struct h2_requests *h2 = user;
    free(h2->line);
    h2->frame = *frame;
    h2->line = strdup(frame->line);
    if (h2->line == NULL) {
        abort();
    }
}

struct h2_requests *h2_requests_begin(struct peer_conn *conn, const char *settings)
{
    struct h2_requests *h2 = calloc(1, sizeof *h2);
    uint8_t preface[PREFACE_BYTES];
    if (h2 == NULL) {
        abort();
    }
    h2->conn = conn;
    h2->reader = h2_reader_create(on_frame, h2);
    h2->ended = !peer_read_bytes(conn, preface, sizeof preface) ||
                !h2_reader_feed(h2->reader, preface, sizeof preface) ||
                !h2_requests_send(h2, "%s", settings);
    return h2;
}

void h2_requests_end(struct h2_requests *h2)
{
    h2_reader_destroy(h2->reader);
    h2_bytes_fini(&h2->in);
    free(h2->line);
    free(h2);
}

bool h2_requests_send(struct h2_requests *h2, const char *format, ...)
{
    struct h2_bytes out = {0};
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    h2_wire_add(&out, line);
    bool sent = peer_send_bytes(h2->conn, out.p, out.count);
    h2_bytes_fini(&out);
    return sent;
}

/* One whole frame into `frame` and `line`. */
static bool read_frame(struct h2_requests *h2)
{
    uint8_t head[HEAD_BYTES];
    uint8_t *payload = NULL;
    if (!peer_read_bytes(h2->conn, head, sizeof head)) {
        return false;
    }
    size_t count = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    payload = malloc(count + 1);
    if (payload == NULL) {
        abort();
    }
    bool good = peer_read_bytes(h2->conn, payload, count) &&
                h2_reader_feed(h2->reader, head, sizeof head) &&
                h2_reader_feed(h2->reader, payload, count);
    free(payload);
    return good;
}

static bool answer_frame(struct h2_requests *h2)
{
    const char *line = h2->line;
    if (strncmp(line, "SETTINGS", 8) == 0 && strstr(line, " ack") == NULL) {
        return h2_requests_send(h2, "SETTINGS ack");
    }
    if (strncmp(line, "PING ", 5) == 0 && strstr(line, " ack") == NULL) {
        return h2_requests_send(h2, "FRAME 6 1 0 %s", line + 5);
    }
    if (strncmp(line, "DATA ", 5) == 0 && h2->frame.count > 0) {
        return h2_requests_send(h2, "WINDOW_UPDATE 0 %zu", h2->frame.count) &&
               h2_requests_send(h2, "WINDOW_UPDATE %u %zu", h2->frame.id, h2->frame.count);
    }
    return true;
}

const char *h2_requests_read(struct h2_requests *h2)
{
    h2->ended = h2->ended || !read_frame(h2) || !answer_frame(h2);
    return h2->ended ? NULL : h2->line;
}

/* ---- requests ---- */

static struct h2_request *find(struct h2_requests *h2, uint32_t stream)
{
    for (size_t i = 0; i < h2->coming_count; i++) {
        if (h2->coming[i].stream == stream) {
            return &h2->coming[i];
        }
    }
    return NULL;
}

static void copy_field(const char *line, const char *name, char *value, size_t room)
{
    const char *at = strstr(line, name);
    value[0] = '\0';
    if (at != NULL) {
        at += strlen(name);
        size_t bytes = strcspn(at, " ");
        snprintf(value, room, "%.*s", (int)bytes, at);
    }
}

static struct h2_request *note_head(struct h2_requests *h2)
{
    if (h2->coming_count == STREAMS_MAX) {
        abort();
    }
    struct h2_request *request = &h2->coming[h2->coming_count++];
    *request = (struct h2_request){.stream = h2->frame.id};
    copy_field(h2->line, ":method: ", request->method, sizeof request->method);
    copy_field(h2->line, ":path: ", request->path, sizeof request->path);
    return request;
}

bool h2_requests_next(struct h2_requests *h2, struct h2_request *out)
{
    const char *line;
    while ((line = h2_requests_read(h2)) != NULL) {
        struct h2_request *request = find(h2, h2->frame.id);
        bool is_head = strncmp(line, "HEADERS ", 8) == 0;
        bool is_data = strncmp(line, "DATA ", 5) == 0;
        if (is_head && request == NULL) {
            request = note_head(h2);
        } else if (is_data && request != NULL) {
            request->body_bytes += h2->frame.count;
        }
        bool over = (is_head || is_data) && (h2->frame.flags & 1) != 0;
        if (request != NULL && (over || strncmp(line, "RST_STREAM ", 11) == 0)) {
            *out = *request;
            *request = h2->coming[--h2->coming_count];
            if (over) {
                return true;
            }
        }
    }
    return false;
}
