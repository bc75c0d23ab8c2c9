/* SPDX-License-Identifier: MIT */
/**
 * The benchmark's server: one thread, one epoll, canned answers, so that it is not what is
 * measured. It speaks HTTP/1.1 and HTTP/2, clear or in TLS, trusts its peer to be well-behaved, and
 * must not be used for anything else.
 *
 * A connection has a transport side (server.c, tls.c), which moves bytes, and a protocol side
 * (h1.c, h2.c), which turns requests into answers.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READ_BYTES 65536
#define FLUSH_BYTES (256 * 1024) /* no more is produced while so much waits to be sent */

struct options {
    uint64_t body_bytes;    /* of each answer, unless an HTTP/1.1 path /b/N says N */
    bool mixed;             /* answers of 100 B, 1 KiB, 10 KiB, 100 KiB in turn on a connection */
    bool no_tickets;        /* no TLS session can be resumed */
    bool h2;                /* prior knowledge in clear text; ALPN "h2" in TLS */
    bool spin;              /* poll without sleeping: no wake-up cost in the peer's figures */
    const char *cert, *key; /* NULL: clear text */
};

struct out {
    uint8_t *bytes;
    size_t start, end, capacity;
};

struct h1_state {
    char head[4096]; /* a head that came in pieces */
    size_t head_bytes;
    uint64_t upload_left;   /* of a request's body */
    uint64_t download_left; /* of an answer's body, not produced yet */
    bool answer_after_upload;
};

#define H2_STREAMS 1024
struct h2_stream {
    uint32_t id;
    uint64_t left; /* of the body, not produced */
    int64_t window;
};
struct h2_state {
    uint8_t frame[9];
    size_t frame_have; /* bytes of the frame header */
    size_t preface_left;
    uint32_t payload_left, payload_length;
    uint8_t payload[64]; /* the start of a control frame's payload */
    int64_t window, initial_window;
    uint64_t received;                    /* request body bytes to give credit for */
    struct h2_stream streams[H2_STREAMS]; /* with body left, in the order they came */
    unsigned stream_count;
    bool started;
};

struct conn {
    int fd;
    void *tls; /* gnutls_session_t; NULL: clear text */
    bool handshaken, write_armed, ended;
    struct out out;
    const struct options *options;
    unsigned answers; /* given, if they are mixed */
    union {
        struct h1_state h1;
        struct h2_state h2;
    } u;
};

/* Bytes of the next answer's body. */
uint64_t next_body_bytes(struct conn *conn);

/* Append @count bytes of a body, or of @bytes. */
void out_append(struct out *out, const void *bytes, size_t count);
void out_body(struct out *out, size_t count);
static inline size_t out_waiting(const struct out *out)
{
    return out->end - out->start;
}

/* Requests in, answers appended to conn->out. false: the peer is not one of ours, hang up. */
bool h1_input(struct conn *conn, const uint8_t *bytes, size_t count);
void h1_produce(struct conn *conn); /* more of a long answer, while little waits to be sent */
bool h2_input(struct conn *conn, const uint8_t *bytes, size_t count);
void h2_produce(struct conn *conn);
void h2_start(struct conn *conn);

/* ---- TLS: 0 again, negative gone ---- */
bool tls_init(const struct options *options);
bool tls_open(struct conn *conn);
void tls_close(struct conn *conn);
long tls_read(struct conn *conn, uint8_t *bytes, size_t count);
long tls_write(struct conn *conn, const uint8_t *bytes, size_t count);

#endif
