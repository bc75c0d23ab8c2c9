/* SPDX-License-Identifier: MIT */
/**
 * peer.h - a server on 127.0.0.1 that does what a test tells it, right or wrong.
 *
 * Each connection is played by a function on a thread of its own: it reads requests, sends any
 * bytes, waits for gates that the test opens, and ends the connection in the way it wants. When it
 * returns without having ended it, the connection is closed in an orderly way. All waiting ends
 * when the peer is stopped; verbs then fail, and the function should return.
 *
 * Life: peer_start -> connections play -> peer_stop.
 */
#ifndef TESTS_SUPPORT_PEER_H
#define TESTS_SUPPORT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;
struct peer_conn;

typedef void (*peer_play_fn)(struct peer_conn *conn, int index, void *user);

struct peer_options {
    bool tls;
    const char *cert;     /* name of a test certificate, "server" if NULL */
    const char *priority; /* GnuTLS priority string, "NORMAL" if NULL */
    const char *alpn;     /* "h2", "h2,http/1.1"; "http/1.1" if NULL */
    const char *early;    /* TLS 1.3: sent in one piece with the handshake's end ... */
    bool early_each;      /* ... on every connection, not on the first alone */
    peer_play_fn play;    /* @index counts connections from 0 */
    void *user;
    int backlog;             /* 0: 128 */
    unsigned receive_buffer; /* of the connections, bytes; 0: the system's */
    bool accept_nothing;     /* listen, and leave connections in the queue */
};

/* A request as it came. */
struct peer_request {
    char *head; /* with the empty line, NUL-terminated */
    char *body; /* without chunk framing, NUL-terminated */
    size_t body_bytes;
    char *trailers; /* lines of a chunked body's trailer section, each with CRLF; "" if none */
    int connection; /* index of the connection it came on */
};

/* -> 0 or negative */
int peer_start(const struct peer_options *options, struct peer **out);
/* End all connections and threads; NULL does nothing. */
void peer_stop(struct peer *peer);
/* As peer_stop, but the port stays nobody's, and connects to it are refused, until the descriptor
 * is closed. -> descriptor */
int peer_leave(struct peer *peer);

int peer_port(const struct peer *peer);
/* "http[s]://localhost:PORT/path", in a buffer valid for the next 8 calls. */
const char *peer_url(const struct peer *peer, const char *path);

/* Counters; the waiting ones give what is reached after at most 10 s. */
int peer_connections(struct peer *peer);
int peer_requests(struct peer *peer);
int peer_wait_connections(struct peer *peer, int count);
int peer_wait_requests(struct peer *peer, int count);
/* Connections whose play has ended. */
int peer_wait_ended(struct peer *peer, int count);
/* The i-th request that was read whole; NULL if there are fewer. Valid until peer_stop. */
const struct peer_request *peer_request(struct peer *peer, int i);
/* Value of a field of that head -> true with the value in @value */
bool peer_request_field(const struct peer_request *request, const char *name, char *value,
                        size_t room);

/* Gates 0 to 31 are shut at first; any thread opens them, for good. */
void peer_open(struct peer *peer, int gate);
bool peer_is_open(struct peer *peer, int gate);
/* For the test's own thread: wait until a play has opened it, at most 10 s. */
bool peer_wait_open(struct peer *peer, int gate);

/* ---- verbs for a play; each blocks, and gives false when the connection or the peer has ended
 * ---- */

struct peer *peer_of(const struct peer_conn *conn);

/* Read a whole request, or only its head (whose body, if any, is left for peer_read). */
bool peer_read_request(struct peer_conn *conn);
bool peer_read_head(struct peer_conn *conn);
/* Read the body of the head that was read last: a request of its own, with the same head. */
bool peer_read_body(struct peer_conn *conn);
/* The last one that was read on this connection; NULL before. */
const struct peer_request *peer_last_request(struct peer_conn *conn);
/* Read exactly @count bytes and drop them. */
bool peer_read(struct peer_conn *conn, size_t count);
/* Read exactly @count bytes into @bytes. */
bool peer_read_bytes(struct peer_conn *conn, void *bytes, size_t count);
/* Read and drop all until the client ends: 0 orderly, -ECONNRESET and so on. *@out_count (may be
 * NULL): bytes dropped. */
int peer_read_end(struct peer_conn *conn, uint64_t *out_count);
/* Does the client end its direction within @ms milliseconds? Reads nothing. */
bool peer_saw_end(struct peer_conn *conn, int ms);

bool peer_send(struct peer_conn *conn, const char *text);
bool peer_send_bytes(struct peer_conn *conn, const void *bytes, size_t count);
/* Past TLS, if there is any. */
bool peer_send_raw(struct peer_conn *conn, const void *bytes, size_t count);
/* As peer_send_bytes in pieces of @piece bytes; each has left this side before the next one is
 * sent. */
bool peer_send_pieces(struct peer_conn *conn, const void *bytes, size_t count, size_t piece);
/* A whole answer with Content-Length; @more is further header lines or "". */
bool peer_answer(struct peer_conn *conn, int status, const char *more, const char *body);
bool peer_format(struct peer_conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Wait until the test opens @gate. */
bool peer_wait_gate(struct peer_conn *conn, int gate);
/* Wait until the peer is stopped: never answer. */
void peer_hang(struct peer_conn *conn);

/* Ends. Over TLS peer_close sends close_notify first, peer_cut does not. */
void peer_close(struct peer_conn *conn);
void peer_cut(struct peer_conn *conn);
void peer_reset(struct peer_conn *conn);
/* No more bytes from here; reading goes on. */
void peer_half_close(struct peer_conn *conn);
/* What was agreed by ALPN; "" for nothing and on clear text. */
const char *peer_alpn(struct peer_conn *conn);
/* TLS 1.3: send a new session ticket now. */
bool peer_send_ticket(struct peer_conn *conn);
/* TLS 1.3: send a key update and ask for one. */
bool peer_send_key_update(struct peer_conn *conn);
/* Did the client say close_notify (TLS), as seen by peer_read_end? */
bool peer_saw_close_notify(struct peer *peer, int connection);

#endif
