/* SPDX-License-Identifier: MIT */
/* The connection side of a peer: bytes, TLS, requests. The server side is in peer_server.c. */
#include "peer_inside.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES_MAX (256u * 1024u)

struct peer *peer_of(const struct peer_conn *conn)
{
    return conn->peer;
}

/* ---- bytes ---- */

/* More bytes behind those that are there -> count; 0 at the end; -errno */
static ssize_t receive(struct peer_conn *conn)
{
    if (conn->fd < 0) {
        return -EBADF; /* the number may be another connection's by now, and GnuTLS still has it */
    }
    if (conn->start > 0) {
        memmove(conn->bytes, conn->bytes + conn->start, conn->count);
        conn->start = 0;
    }
    if (conn->count == sizeof conn->bytes) {
        return -ENOBUFS;
    }
    char *at = conn->bytes + conn->count;
    size_t room = sizeof conn->bytes - conn->count;
    ssize_t got;
    if (conn->tls != NULL) {
        do {
            got = gnutls_record_recv(conn->tls, at, room);
        } while (got == GNUTLS_E_INTERRUPTED || got == GNUTLS_E_AGAIN);
        if (got == 0) {
            conn->saw_close_notify = true;
        } else if (got < 0) {
            got = got == GNUTLS_E_PREMATURE_TERMINATION ? -EPIPE : -ECONNRESET;
        }
    } else {
        do {
            got = recv(conn->fd, at, room, 0);
        } while (got < 0 && errno == EINTR);
        got = got < 0 ? -errno : got;
    }
    if (got > 0) {
        conn->count += (size_t)got;
    }
    return got;
}

static bool read_exactly(struct peer_conn *conn, char *to, size_t count)
{
    while (count > 0) {
        if (conn->count == 0 && receive(conn) <= 0) {
            return false;
        }
        size_t taken = count < conn->count ? count : conn->count;
        if (to != NULL) {
            memcpy(to, conn->bytes + conn->start, taken);
            to += taken;
        }
        conn->start += taken;
        conn->count -= taken;
        count -= taken;
    }
    return true;
}

bool peer_read(struct peer_conn *conn, size_t count)
{
    return read_exactly(conn, NULL, count);
}

bool peer_read_bytes(struct peer_conn *conn, void *bytes, size_t count)
{
    return read_exactly(conn, bytes, count);
}

int peer_read_end(struct peer_conn *conn, uint64_t *out_count)
{
    uint64_t total = 0;
    ssize_t got;
    do {
        total += conn->count;
        conn->start = conn->count = 0;
        got = receive(conn);
    } while (got > 0);
    if (out_count != NULL) {
        *out_count = total;
    }
    return (int)got;
}

bool peer_saw_end(struct peer_conn *conn, int ms)
{
    struct pollfd event = {.fd = conn->fd, .events = POLLRDHUP};
    return poll(&event, 1, ms) > 0;
}

bool peer_send_bytes(struct peer_conn *conn, const void *bytes, size_t count)
{
    const char *p = bytes;
    while (count > 0 && conn->fd >= 0) {
        ssize_t sent;
        if (conn->tls != NULL) {
            sent = gnutls_record_send(conn->tls, p, count);
            if (sent == GNUTLS_E_INTERRUPTED || sent == GNUTLS_E_AGAIN) {
                continue;
            }
        } else {
            sent = send(conn->fd, p, count, MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) {
                continue;
            }
        }
        if (sent <= 0) {
            return false;
        }
        p += sent;
        count -= (size_t)sent;
    }
    return count == 0;
}

bool peer_send_raw(struct peer_conn *conn, const void *bytes, size_t count)
{
    return send(conn->fd, bytes, count, MSG_NOSIGNAL) == (ssize_t)count;
}

bool peer_send(struct peer_conn *conn, const char *text)
{
    return peer_send_bytes(conn, text, strlen(text));
}

/* Wait until the other side's system has taken all that was sent: then the next bytes are a piece
 * of their own unless the reader is slow. */
static bool wait_sent(struct peer_conn *conn)
{
    int left = 0;
    while (ioctl(conn->fd, SIOCOUTQ, &left) == 0 && left > 0) {
        struct pollfd event = {.fd = conn->fd, .events = 0};
        if (poll(&event, 1, 1) > 0) {
            return false;
        }
    }
    return true;
}

bool peer_send_pieces(struct peer_conn *conn, const void *bytes, size_t count, size_t piece)
{
    const char *p = bytes;
    while (count > 0) {
        size_t now = count < piece ? count : piece;
        if (!peer_send_bytes(conn, p, now) || !wait_sent(conn)) {
            return false;
        }
        p += now;
        count -= now;
    }
    return true;
}

bool peer_format(struct peer_conn *conn, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&text, format, args);
    va_end(args);
    if (bytes < 0) {
        return false;
    }
    bool sent = peer_send_bytes(conn, text, (size_t)bytes);
    free(text);
    return sent;
}

bool peer_answer(struct peer_conn *conn, int status, const char *more, const char *body)
{
    return peer_format(conn, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n%s", status,
                       strlen(body), more, body);
}

/* ---- requests ---- */

/* The head's end in what was received -> bytes of the head, 0 if it is not there yet */
static size_t find_head(const struct peer_conn *conn)
{
    const char *start = conn->bytes + conn->start;
    const char *end = memmem(start, conn->count, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - start) + 4;
}

static char *read_head(struct peer_conn *conn)
{
    size_t bytes;
    while ((bytes = find_head(conn)) == 0) {
        if (receive(conn) <= 0) {
            return NULL;
        }
    }
    char *head = strndup(conn->bytes + conn->start, bytes);
    conn->start += bytes;
    conn->count -= bytes;
    return head;
}

bool peer_request_field(const struct peer_request *request, const char *name, char *value,
                        size_t room)
{
    size_t name_bytes = strlen(name);
    for (const char *line = request->head; line != NULL && *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        if (end == NULL) {
            return false;
        }
        if (strncasecmp(line, name, name_bytes) == 0 && line[name_bytes] == ':') {
            line += name_bytes + 1;
            line += strspn(line, " ");
            snprintf(value, room, "%.*s", (int)(end - line), line);
            return true;
        }
        line = end + 2;
    }
    return false;
}

static bool append_body(struct peer_conn *conn, struct peer_request *request, size_t count)
{
    char *larger = realloc(request->body, request->body_bytes + count + 1);
    if (larger == NULL) {
        return false;
    }
    request->body = larger;
    while (count > 0) {
        if (conn->count == 0 && receive(conn) <= 0) {
            return false;
        }
        size_t taken = count < conn->count ? count : conn->count;
        memcpy(request->body + request->body_bytes, conn->bytes + conn->start, taken);
        request->body_bytes += taken;
        conn->start += taken;
        conn->count -= taken;
        count -= taken;
    }
    request->body[request->body_bytes] = '\0';
    return true;
}

/* A line without its CRLF into @line. */
static bool read_line(struct peer_conn *conn, char *line, size_t room)
{
    const char *end;
    while ((end = memmem(conn->bytes + conn->start, conn->count, "\r\n", 2)) == NULL) {
        if (receive(conn) <= 0) {
            return false;
        }
    }
    size_t bytes = (size_t)(end - conn->bytes) - conn->start;
    snprintf(line, room, "%.*s", (int)bytes, conn->bytes + conn->start);
    conn->start += bytes + 2;
    conn->count -= bytes + 2;
    return true;
}

static bool read_chunks(struct peer_conn *conn, struct peer_request *request)
{
    char line[128];
    for (;;) {
        if (!read_line(conn, line, sizeof line)) {
            return false;
        }
        size_t size = strtoul(line, NULL, 16);
        if (size > 0 && !append_body(conn, request, size)) {
            return false;
        }
        if (size == 0) {
            break;
        }
        if (!read_line(conn, line, sizeof line) || line[0] != '\0') {
            return false;
        }
    }
    for (;;) {
        if (!read_line(conn, line, sizeof line)) {
            return false;
        }
        if (line[0] == '\0') {
            return true;
        }
        char *longer = NULL;
        if (asprintf(&longer, "%s%s\r\n", request->trailers, line) < 0) {
            return false;
        }
        free(request->trailers);
        request->trailers = longer;
    }
}

static bool read_body(struct peer_conn *conn, struct peer_request *request)
{
    char value[64];
    if (peer_request_field(request, "Transfer-Encoding", value, sizeof value)) {
        return read_chunks(conn, request);
    }
    if (peer_request_field(request, "Content-Length", value, sizeof value)) {
        return append_body(conn, request, strtoul(value, NULL, 10));
    }
    return true;
}

/* @head belongs to the request from now on. */
static bool read_request(struct peer_conn *conn, char *head, bool with_body)
{
    struct peer_request request = {.head = head, .connection = conn->index};
    request.body = calloc(1, 1);
    request.trailers = calloc(1, 1);
    if (head == NULL || request.body == NULL || request.trailers == NULL ||
        (with_body && !read_body(conn, &request)) || !peer_note_request(conn->peer, &request)) {
        free(request.head);
        free(request.body);
        free(request.trailers);
        return false;
    }
    conn->last = request;
    return true;
}

const struct peer_request *peer_last_request(struct peer_conn *conn)
{
    return conn->last.head != NULL ? &conn->last : NULL;
}

bool peer_read_request(struct peer_conn *conn)
{
    return read_request(conn, read_head(conn), true);
}

bool peer_read_head(struct peer_conn *conn)
{
    return read_request(conn, read_head(conn), false);
}

bool peer_read_body(struct peer_conn *conn)
{
    return conn->last.head != NULL && read_request(conn, strdup(conn->last.head), true);
}

/* ---- ends ---- */

void peer_half_close(struct peer_conn *conn)
{
    if (conn->fd < 0) {
        return;
    }
    if (conn->tls != NULL) {
        gnutls_bye(conn->tls, GNUTLS_SHUT_WR);
    }
    shutdown(conn->fd, SHUT_WR);
}

void peer_cut(struct peer_conn *conn)
{
    peer_forget_fd(conn);
}

void peer_close(struct peer_conn *conn)
{
    if (conn->tls != NULL && conn->fd >= 0) {
        gnutls_bye(conn->tls, GNUTLS_SHUT_WR);
    }
    peer_forget_fd(conn);
}

void peer_reset(struct peer_conn *conn)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    peer_forget_fd(conn);
}

bool peer_send_ticket(struct peer_conn *conn)
{
    return conn->tls != NULL && conn->fd >= 0 && gnutls_session_ticket_send(conn->tls, 1, 0) == 0;
}

bool peer_send_key_update(struct peer_conn *conn)
{
    return conn->tls != NULL && conn->fd >= 0 &&
           gnutls_session_key_update(conn->tls, GNUTLS_KU_PEER) == 0;
}
