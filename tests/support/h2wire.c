/* SPDX-License-Identifier: MIT */
#include "h2wire.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define LINE_MAX_BYTES 4096
#define HEAD_BYTES 9u
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- bytes ---- */

void h2_bytes_add(struct h2_bytes *to, const void *p, size_t count)
{
    if (to->count + count > to->room) {
        to->room = (to->count + count) * 2;
        to->p = realloc(to->p, to->room);
        if (to->p == NULL) {
            abort();
        }
    }
    if (count > 0) {
        memcpy(to->p + to->count, p, count);
        to->count += count;
    }
}

void h2_bytes_fini(struct h2_bytes *bytes)
{
    free(bytes->p);
    *bytes = (struct h2_bytes){0};
}

static void add_u8(struct h2_bytes *to, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    h2_bytes_add(to, &byte, 1);
}

static void add_u32(struct h2_bytes *to, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    h2_bytes_add(to, bytes, sizeof bytes);
}

void h2_wire_frame(struct h2_bytes *to, uint8_t type, uint8_t flags, uint32_t id,
                   const void *payload, size_t count)
{
    add_u8(to, (unsigned)(count >> 16));
    add_u8(to, (unsigned)(count >> 8) & 0xff);
    add_u8(to, (unsigned)count & 0xff);
    add_u8(to, type);
    add_u8(to, flags);
    add_u32(to, id);
    h2_bytes_add(to, payload, count);
}

/* ---- text -> frames ---- */

static void wrong(const char *what, const char *line)
{
    fprintf(stderr, "h2wire: %s: \"%s\"\n", what, line);
    abort();
}

/* The next word, and *at after it and its space. */
static const char *word(const char **at, char *out, size_t room)
{
    size_t count = strcspn(*at, " ");
    if (count >= room) {
        wrong("a word too long", *at);
    }
    memcpy(out, *at, count);
    out[count] = '\0';
    *at += count;
    *at += **at == ' ';
    return out;
}

static uint32_t number(const char **at)
{
    char text[32];
    char *end;
    unsigned long value = strtoul(word(at, text, sizeof text), &end, 0);
    if (end == text || *end != '\0') {
        wrong("not a number", text);
    }
    return (uint32_t)value;
}

/* Is the next word @wanted? Then it is taken. */
static bool take(const char **at, const char *wanted)
{
    size_t count = strlen(wanted);
    if (strncmp(*at, wanted, count) != 0 || ((*at)[count] != ' ' && (*at)[count] != '\0')) {
        return false;
    }
    *at += count;
    *at += **at == ' ';
    return true;
}

/* "key=" at the start: taken, and its number too. */
static bool take_number(const char **at, const char *key, uint32_t *out)
{
    size_t count = strlen(key);
    if (strncmp(*at, key, count) != 0) {
        return false;
    }
    *at += count;
    *out = number(at);
    return true;
}

static void add_string(struct h2_bytes *to, const char *p, size_t count)
{
    if (count < 127) {
        add_u8(to, (unsigned)count);
    } else { /* an integer of more than one byte (RFC 7541 section 5.1) */
        size_t rest = count - 127;
        add_u8(to, 127);
        for (; rest >= 128; rest /= 128) {
            add_u8(to, (unsigned)(rest % 128) + 128);
        }
        add_u8(to, (unsigned)rest);
    }
    h2_bytes_add(to, p, count);
}

/* "| name: value | ..."; "x*300" as a value is 300 times x. */
static void add_fields(struct h2_bytes *to, const char *at)
{
    while (*at == '|') {
        at += at[1] == ' ' ? 2 : 1;
        const char *end = strstr(at, " |");
        const char *next = end == NULL ? at + strlen(at) : end + 1;
        end = end == NULL ? next : end;
        const char *colon = memchr(at + 1, ':', (size_t)(end - at));
        if (colon == NULL || colon > end) {
            wrong("no colon", at);
        }
        const char *value = colon + 1 + (colon + 1 < end && colon[1] == ' ');
        unsigned long times = end - value > 2 && value[1] == '*' ? strtoul(value + 2, NULL, 10) : 0;
        add_u8(to, 0); /* literal without indexing, new name */
        add_string(to, at, (size_t)(colon - at));
        if (times > 0) {
            char *many = malloc(times);
            memset(many, value[0], times);
            add_string(to, many, times);
            free(many);
        } else {
            add_string(to, value, (size_t)(end - value));
        }
        at = next;
    }
}

static void add_block(struct h2_bytes *to, uint8_t type, const char *at)
{
    struct h2_bytes payload = {0};
    uint8_t flags = NGHTTP2_FLAG_END_HEADERS;
    uint32_t id = number(&at);
    if (type == NGHTTP2_PUSH_PROMISE) {
        add_u32(&payload, number(&at));
    }
    if (take(&at, "end")) {
        flags |= NGHTTP2_FLAG_END_STREAM;
    }
    if (take(&at, "open")) {
        flags &= (uint8_t)~NGHTTP2_FLAG_END_HEADERS;
    }
    add_fields(&payload, at);
    h2_wire_frame(to, type, flags, id, payload.p, payload.count);
    h2_bytes_fini(&payload);
}

static void add_data(struct h2_bytes *to, const char *at)
{
    struct h2_bytes payload = {0};
    uint8_t flags = 0;
    uint32_t id = number(&at);
    uint32_t pad = 0, size = 0;
    if (take(&at, "end")) {
        flags |= NGHTTP2_FLAG_END_STREAM;
    }
    if (take_number(&at, "pad=", &pad)) {
        flags |= NGHTTP2_FLAG_PADDED;
        add_u8(&payload, pad);
    }
    if (take_number(&at, "size=", &size)) {
        for (uint32_t i = 0; i < size; i++) {
            add_u8(&payload, 'a' + i % 26);
        }
    }
    h2_bytes_add(&payload, at, strlen(at));
    for (uint32_t i = 0; i < pad; i++) {
        add_u8(&payload, 0);
    }
    h2_wire_frame(to, NGHTTP2_DATA, flags, id, payload.p, payload.count);
    h2_bytes_fini(&payload);
}

static void add_settings(struct h2_bytes *to, const char *at)
{
    struct h2_bytes payload = {0};
    uint8_t flags = take(&at, "ack") ? NGHTTP2_FLAG_ACK : 0;
    while (*at != '\0') {
        char text[32];
        unsigned key, value;
        if (sscanf(word(&at, text, sizeof text), "%u=%u", &key, &value) != 2) {
            wrong("not a setting", text);
        }
        add_u8(&payload, key >> 8);
        add_u8(&payload, key & 0xff);
        add_u32(&payload, value);
    }
    h2_wire_frame(to, NGHTTP2_SETTINGS, flags, 0, payload.p, payload.count);
    h2_bytes_fini(&payload);
}

static void add_ping(struct h2_bytes *to, const char *at)
{
    uint8_t flags = take(&at, "ack") ? NGHTTP2_FLAG_ACK : 0;
    h2_wire_frame(to, NGHTTP2_PING, flags, 0, at, strlen(at));
}

/* Frames of numbers only. */
static void add_numbers(struct h2_bytes *to, uint8_t type, bool on_stream, int count,
                        const char *at)
{
    struct h2_bytes payload = {0};
    uint32_t id = on_stream ? number(&at) : 0;
    for (int i = 0; i < count; i++) {
        add_u32(&payload, number(&at));
    }
    h2_bytes_add(&payload, at, strlen(at));
    h2_wire_frame(to, type, 0, id, payload.p, payload.count);
    h2_bytes_fini(&payload);
}

static void add_hex(struct h2_bytes *to, const char *at)
{
    for (; *at != '\0'; at += at[0] == ' ' ? 1 : 2) {
        unsigned byte;
        if (*at == ' ') {
            continue;
        }
        if (sscanf(at, "%2x", &byte) != 1 || at[1] == '\0') {
            wrong("not hexadecimal", at);
        }
        add_u8(to, byte);
    }
}

static void add_bomb(struct h2_bytes *to, const char *at)
{
    struct h2_bytes payload = {0};
    uint32_t id = number(&at);
    uint32_t size = number(&at);
    char *value = malloc(size);
    memset(value, 'x', size);
    add_u8(&payload, 0x88); /* :status: 200 of the static table */
    add_u8(&payload, 0x40); /* literal with indexing, new name */
    add_string(&payload, "a", 1);
    add_string(&payload, value, size);
    for (uint32_t left = number(&at); left > 0; left--) {
        add_u8(&payload, 0x80 | 62); /* the newest entry of the dynamic table */
    }
    h2_wire_frame(to, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, payload.p, payload.count);
    h2_bytes_fini(&payload);
    free(value);
}

static void add_frame(struct h2_bytes *to, const char *at)
{
    struct h2_bytes payload = {0};
    uint8_t type = (uint8_t)number(&at);
    uint8_t flags = (uint8_t)number(&at);
    uint32_t id = number(&at);
    add_hex(&payload, at);
    h2_wire_frame(to, type, flags, id, payload.p, payload.count);
    h2_bytes_fini(&payload);
}

void h2_wire_add(struct h2_bytes *to, const char *line)
{
    const char *at = line;
    char name[32];
    word(&at, name, sizeof name);
    if (strcmp(name, "REPEAT") == 0) {
        for (uint32_t left = number(&at); left > 0; left--) {
            h2_wire_add(to, at);
        }
    } else if (strcmp(name, "SETTINGS") == 0) {
        add_settings(to, at);
    } else if (strcmp(name, "HEADERS") == 0) {
        add_block(to, NGHTTP2_HEADERS, at);
    } else if (strcmp(name, "CONTINUATION") == 0) {
        add_block(to, NGHTTP2_CONTINUATION, at);
    } else if (strcmp(name, "PUSH_PROMISE") == 0) {
        add_block(to, NGHTTP2_PUSH_PROMISE, at);
    } else if (strcmp(name, "DATA") == 0) {
        add_data(to, at);
    } else if (strcmp(name, "RST_STREAM") == 0) {
        add_numbers(to, NGHTTP2_RST_STREAM, true, 1, at);
    } else if (strcmp(name, "WINDOW_UPDATE") == 0) {
        add_numbers(to, NGHTTP2_WINDOW_UPDATE, true, 1, at);
    } else if (strcmp(name, "GOAWAY") == 0) {
        add_numbers(to, NGHTTP2_GOAWAY, false, 2, at);
    } else if (strcmp(name, "PRIORITY") == 0) {
        uint32_t id = number(&at);
        h2_wire_frame(to, NGHTTP2_PRIORITY, 0, id, "\0\0\0\0\x10", 5);
    } else if (strcmp(name, "PING") == 0) {
        add_ping(to, at);
    } else if (strcmp(name, "BOMB") == 0) {
        add_bomb(to, at);
    } else if (strcmp(name, "FRAME") == 0) {
        add_frame(to, at);
    } else if (strcmp(name, "RAW") == 0) {
        add_hex(to, at);
    } else {
        wrong("no such frame", line);
    }
}

/* ---- frames -> text ---- */

struct h2_reader {
    void (*told)(void *user, const struct h2_frame *frame);
    void *user;
    nghttp2_hd_inflater *inflater;
    struct h2_bytes kept; /* an incomplete frame */
    bool began;
};

struct h2_reader *h2_reader_create(void (*told)(void *user, const struct h2_frame *frame),
                                   void *user)
{
    struct h2_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL || nghttp2_hd_inflate_new(&reader->inflater) != 0) {
        abort();
    }
    reader->told = told;
    reader->user = user;
    return reader;
}

void h2_reader_destroy(struct h2_reader *reader)
{
    if (reader != NULL) {
        nghttp2_hd_inflate_del(reader->inflater);
        h2_bytes_fini(&reader->kept);
        free(reader);
    }
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool print_fields(struct h2_reader *reader, FILE *out, const uint8_t *p, size_t count,
                         bool last)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(reader->inflater, &nv, &flags, p, count, last);
        if (used < 0) {
            return false;
        }
        p += used;
        count -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            fprintf(out, " | %.*s: %.*s", (int)nv.namelen, nv.name, (int)nv.valuelen, nv.value);
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
            nghttp2_hd_inflate_end_headers(reader->inflater);
            return true;
        }
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && count == 0) {
            return true;
        }
    }
}

static void print_settings(FILE *out, const struct h2_frame *frame)
{
    for (size_t at = 0; at + 6 <= frame->count; at += 6) {
        fprintf(out, " %u=%u", frame->payload[at] << 8 | frame->payload[at + 1],
                u32(frame->payload + at + 2));
    }
}

static bool print_frame(struct h2_reader *reader, FILE *out, const struct h2_frame *frame)
{
    static const char *const names[] = {"DATA",          "HEADERS",     "PRIORITY", "RST_STREAM",
                                        "SETTINGS",      "PUSH",        "PING",     "GOAWAY",
                                        "WINDOW_UPDATE", "CONTINUATION"};
    if (frame->type >= sizeof names / sizeof names[0]) {
        fprintf(out, "FRAME %u", frame->type);
        return true;
    }
    fputs(names[frame->type], out);
    bool is_data = frame->type == NGHTTP2_DATA;
    bool is_block = frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_CONTINUATION;
    if (frame->id != 0 || frame->type == NGHTTP2_WINDOW_UPDATE) {
        fprintf(out, " %u", frame->id);
    }
    if ((is_data || is_block) && (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        fputs(" end", out);
    }
    if (is_block) {
        return print_fields(reader, out, frame->payload, frame->count,
                            (frame->flags & NGHTTP2_FLAG_END_HEADERS) != 0);
    }
    if (is_data) {
        fprintf(out, " %zu %.*s", frame->count, frame->count < 40 ? (int)frame->count : 40,
                (const char *)frame->payload);
        return true;
    }
    if ((frame->flags & NGHTTP2_FLAG_ACK) != 0) {
        fputs(" ack", out);
    }
    if (frame->type == NGHTTP2_SETTINGS) {
        print_settings(out, frame);
    } else if (frame->type == NGHTTP2_PING) {
        fputc(' ', out);
        for (size_t i = 0; i < frame->count; i++) {
            fprintf(out, "%02x", frame->payload[i]);
        }
    } else {
        for (size_t at = 0; at + 4 <= frame->count && at < 8; at += 4) {
            fprintf(out, " %u", u32(frame->payload + at));
        }
    }
    return true;
}

static bool tell(struct h2_reader *reader, struct h2_frame *frame)
{
    char *line = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&line, &bytes);
    bool good = print_frame(reader, out, frame);
    fclose(out);
    frame->line = line;
    if (good) {
        reader->told(reader->user, frame);
    }
    free(line);
    return good;
}

bool h2_reader_feed(struct h2_reader *reader, const uint8_t *bytes, size_t count)
{
    struct h2_bytes *kept = &reader->kept;
    bool good = true;
    h2_bytes_add(kept, bytes, count);
    size_t at = 0;
    if (!reader->began && kept->count >= sizeof preface - 1) {
        good = memcmp(kept->p, preface, sizeof preface - 1) == 0;
        reader->began = true;
        at = sizeof preface - 1;
    }
    while (good && reader->began && kept->count - at >= HEAD_BYTES) {
        const uint8_t *head = kept->p + at;
        size_t length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (kept->count - at < HEAD_BYTES + length) {
            break;
        }
        struct h2_frame frame = {.type = head[3],
                                 .flags = head[4],
                                 .id = u32(head + 5) & 0x7fffffff,
                                 .payload = head + HEAD_BYTES,
                                 .count = length};
        at += HEAD_BYTES + length;
        good = tell(reader, &frame);
    }
    memmove(kept->p, kept->p + at, kept->count - at);
    kept->count -= at;
    return good;
}
