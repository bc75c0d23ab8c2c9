/* SPDX-License-Identifier: MIT */
#include "h2peer.h"

#include "h2wire.h"

#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFACE_BYTES 24u
#define HEAD_BYTES 9u
#define WAIT_S 10
#define LOG_BYTES (1u << 18)
#define SHOWN_BYTES 800u /* in a message */

/* What does not fit is lost; no test looks at so much. */
struct log {
    char text[LOG_BYTES];
    size_t count;
};

struct h2peer {
    struct h2peer_options options;
    struct tester *tester;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct log logs[H2PEER_CONNECTIONS]; /* under the lock */
    char shown[LOG_BYTES];
};

struct h2play {
    struct h2peer *h2;
    struct peer_conn *conn;
    int index;
    struct h2_reader *reader;
    struct h2_bytes out;
    bool mute, serves, began;
    const char *wanted; /* NULL: nothing is waited for */
    uint32_t id;        /* of the frame that met it */
};

/* ---- the log ---- */

static void note(struct h2play *play, const char *line)
{
    struct h2peer *h2 = play->h2;
    if (play->index < H2PEER_CONNECTIONS) {
        pthread_mutex_lock(&h2->lock);
        struct log *log = &h2->logs[play->index];
        size_t bytes = strlen(line);
        if (log->count + bytes + 1 < LOG_BYTES) {
            memcpy(log->text + log->count, line, bytes);
            log->text[log->count + bytes] = '\n';
            log->count += bytes + 1;
        }
        pthread_cond_broadcast(&h2->changed);
        pthread_mutex_unlock(&h2->lock);
    }
}

static int count_lines(const struct log *log, const char *text)
{
    size_t bytes = strlen(text);
    int count = 0;
    for (const char *at = log->text; *at != '\0'; at = strchr(at, '\n') + 1) {
        count += strncmp(at, text, bytes) == 0;
    }
    return count;
}

int h2peer_wait(struct h2peer *h2, int connection, const char *text, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&h2->lock);
    int found = count_lines(&h2->logs[connection], text);
    while (found < count && pthread_cond_timedwait(&h2->changed, &h2->lock, &until) == 0) {
        found = count_lines(&h2->logs[connection], text);
    }
    pthread_mutex_unlock(&h2->lock);
    if (found < count) {
        const char *log = h2peer_log(h2, connection);
        size_t bytes = strlen(log); /* what came last says most */
        print_message("connection %d has \"%s\" %d times:\n%s\n", connection, text, found,
                      bytes > SHOWN_BYTES ? log + bytes - SHOWN_BYTES : log);
    }
    return found;
}

int h2peer_count(struct h2peer *h2, int connection, const char *text)
{
    pthread_mutex_lock(&h2->lock);
    int found = count_lines(&h2->logs[connection], text);
    pthread_mutex_unlock(&h2->lock);
    return found;
}

const char *h2peer_log(struct h2peer *h2, int connection)
{
    pthread_mutex_lock(&h2->lock);
    memcpy(h2->shown, h2->logs[connection].text, LOG_BYTES);
    pthread_mutex_unlock(&h2->lock);
    return h2->shown;
}

/* ---- frames ---- */

static bool flush(struct h2play *play)
{
    bool sent = peer_send_bytes(play->conn, play->out.p, play->out.count);
    play->out.count = 0;
    return sent;
}

static void answer_request(struct h2play *play, uint32_t id)
{
    char line[64];
    snprintf(line, sizeof line, "HEADERS %u | :status: 200", id);
    h2_wire_add(&play->out, line);
    snprintf(line, sizeof line, "DATA %u end ok", id);
    h2_wire_add(&play->out, line);
}

static void on_frame(void *user, const struct h2_frame *frame)
{
    struct h2play *play = user;
    bool ack = (frame->flags & NGHTTP2_FLAG_ACK) != 0;
    note(play, frame->line);
    if (frame->type == NGHTTP2_SETTINGS && !ack) {
        h2_wire_add(&play->out, "SETTINGS ack");
    } else if (frame->type == NGHTTP2_PING && !ack && !play->mute) {
        h2_wire_frame(&play->out, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame->payload, frame->count);
    } else if (play->serves && (frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA) &&
               (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        answer_request(play, frame->id);
    }
    if (play->wanted != NULL && strncmp(frame->line, play->wanted, strlen(play->wanted)) == 0) {
        play->wanted = NULL;
        play->id = frame->id;
    }
}

static bool read_frame(struct h2play *play)
{
    uint8_t bytes[HEAD_BYTES + 65536];
    if (!play->began) {
        play->began = true;
        if (!peer_read_bytes(play->conn, bytes, PREFACE_BYTES) ||
            !h2_reader_feed(play->reader, bytes, PREFACE_BYTES)) {
            return false;
        }
    }
    if (!peer_read_bytes(play->conn, bytes, HEAD_BYTES)) {
        return false;
    }
    size_t length = (size_t)bytes[0] << 16 | (size_t)bytes[1] << 8 | bytes[2];
    if (length + HEAD_BYTES > sizeof bytes ||
        !peer_read_bytes(play->conn, bytes + HEAD_BYTES, length) ||
        !h2_reader_feed(play->reader, bytes, HEAD_BYTES + length)) {
        return false;
    }
    (void)flush(play); /* a client that takes no more has said why: reading goes on */
    return true;
}

/* ---- verbs ---- */

bool h2play_send(struct h2play *play, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&text, format, args);
    va_end(args);
    if (bytes < 0) {
        return false;
    }
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        h2_wire_add(&play->out, line);
    }
    free(text);
    return flush(play);
}

bool h2play_wait(struct h2play *play, const char *text)
{
    play->wanted = text;
    while (play->wanted != NULL) {
        if (!read_frame(play)) {
            return false;
        }
    }
    return true;
}

uint32_t h2play_id(const struct h2play *play)
{
    return play->id;
}

struct peer_conn *h2play_conn(struct h2play *play)
{
    return play->conn;
}

void h2play_mute(struct h2play *play, bool mute)
{
    play->mute = mute;
}

static void serve(struct h2play *play)
{
    play->serves = true;
    while (read_frame(play)) {
    }
}

static bool step(struct h2play *play, const char *line)
{
    int gate;
    if (line[0] == '<') {
        return h2play_send(play, "%s", line + 2);
    }
    if (line[0] == '?') {
        return h2play_wait(play, line + 2);
    }
    if (sscanf(line, "gate %d", &gate) == 1) {
        return peer_wait_gate(play->conn, gate);
    }
    if (sscanf(line, "open %d", &gate) == 1) {
        peer_open(peer_of(play->conn), gate);
    } else if (strcmp(line, "mute") == 0) {
        play->mute = true;
    } else if (strcmp(line, "serve") == 0) {
        serve(play);
    } else if (strcmp(line, "close") == 0) {
        peer_close(play->conn);
    } else if (strcmp(line, "half-close") == 0) {
        peer_half_close(play->conn);
    } else if (strcmp(line, "cut") == 0) {
        peer_cut(play->conn);
    } else if (strcmp(line, "reset") == 0) {
        peer_reset(play->conn);
    } else if (line[0] != '\0') {
        fprintf(stderr, "h2peer: no such step: %s\n", line);
        abort();
    }
    return true;
}

bool h2play_script(struct h2play *play, const char *script)
{
    char *text = strdup(script);
    char *rest = text;
    bool going = true;
    for (char *line; going && (line = strsep(&rest, "\n")) != NULL;) {
        going = step(play, line);
    }
    free(text);
    return going;
}

/* ---- life ---- */

static void play_http1(struct peer_conn *conn)
{
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "one");
    }
}

static const char *script_of(const struct h2peer *h2, int index)
{
    const char *script = NULL;
    for (int i = 0; i <= index && i < H2PEER_CONNECTIONS && h2->options.scripts[i] != NULL; i++) {
        script = h2->options.scripts[i];
    }
    return script;
}

static void play_connection(struct peer_conn *conn, int index, void *user)
{
    struct h2peer *h2 = user;
    struct h2play play = {.h2 = h2, .conn = conn, .index = index};
    if (strcmp(peer_alpn(conn), "http/1.1") == 0) {
        play_http1(conn);
        return;
    }
    play.reader = h2_reader_create(on_frame, &play);
    if (h2->options.play != NULL) {
        h2->options.play(&play, index, h2->options.user);
    } else {
        h2play_script(&play, script_of(h2, index));
    }
    while (read_frame(&play)) {
    }
    note(&play, "end");
    h2_reader_destroy(play.reader);
    h2_bytes_fini(&play.out);
}

struct h2peer *h2peer_start(struct tester *t, const struct h2peer_options *options)
{
    struct h2peer *h2 = tester_alloc(t, sizeof *h2);
    h2->options = *options;
    h2->tester = t;
    pthread_mutex_init(&h2->lock, NULL);
    pthread_cond_init(&h2->changed, NULL);
    tester_peer_with(t, &(struct peer_options){.play = play_connection,
                                               .user = h2,
                                               .alpn = options->alpn != NULL ? options->alpn : "h2",
                                               .receive_buffer = options->receive_buffer,
                                               .priority = options->priority});
    return h2;
}

struct h2peer *h2peer_script(struct tester *t, const char *script)
{
    return h2peer_start(t, &(struct h2peer_options){.scripts = {script}});
}
