/* SPDX-License-Identifier: MIT */
/**
 * A server that writes down every request that it has received whole, before it answers: one line
 * "METHOD PATH" in a log that outlives it. It answers a moment after that, so that killing it
 * leaves requests which were processed and not answered.
 *
 *     receipt_server LISTENER LOG
 *
 * LISTENER is an open descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512
#define REQUEST_MAX 65536
#define PAUSE_MS 2 /* between a receipt and its answer */

struct connection {
    int fd;
    char *bytes; /* of the request that is coming in */
    size_t count;
    bool owes; /* received whole, written down, not answered */
    char path[64];
};

static struct connection connections[CONNECTIONS_MAX];
static size_t connection_count;
static int log_fd;

static void forget(size_t i)
{
    close(connections[i].fd);
    free(connections[i].bytes);
    connections[i] = connections[--connection_count];
}

static void answer(struct connection *c)
{
    char text[256];
    int bytes = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                         strlen(c->path), c->path);
    if (send(c->fd, text, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
        abort(); /* a few bytes fit into a socket that owes nothing else */
    }
    c->owes = false;
}

/* The length of a request that is whole; 0: more has to come. */
static size_t whole_bytes(const struct connection *c)
{
    const char *end = memmem(c->bytes, c->count, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - c->bytes) + 4, body = 0;
    for (const char *line = c->bytes; line < end;
         line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1) {
        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            body = strtoul(line + 15, NULL, 10);
        }
    }
    return c->count >= head + body ? head + body : 0;
}

static void write_receipt(struct connection *c)
{
    char line[128], method[16];
    if (sscanf(c->bytes, "%15s %63s", method, c->path) != 2) {
        abort();
    }
    int bytes = snprintf(line, sizeof line, "%s %s\n", method, c->path);
    if (write(log_fd, line, (size_t)bytes) != bytes) {
        abort();
    }
    c->owes = true;
}

/* false: the connection has ended */
static bool receive(struct connection *c)
{
    ssize_t got = recv(c->fd, c->bytes + c->count, REQUEST_MAX - c->count, MSG_DONTWAIT);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    c->count += (size_t)got;
    c->bytes[c->count] = '\0';
    size_t bytes = whole_bytes(c);
    if (bytes > 0) {
        write_receipt(c);
        c->count -= bytes;
        memmove(c->bytes, c->bytes + bytes, c->count);
    }
    return true;
}

static void meet(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || connection_count == CONNECTIONS_MAX) {
        abort();
    }
    char *bytes = malloc(REQUEST_MAX + 1);
    if (bytes == NULL) {
        abort();
    }
    connections[connection_count++] = (struct connection){.fd = fd, .bytes = bytes};
}

static void serve(int listener)
{
    static struct pollfd polled[CONNECTIONS_MAX + 1];
    bool owing = false;
    for (;;) {
        size_t count = connection_count;
        for (size_t i = 0; i < count; i++) {
            polled[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
        }
        polled[count] = (struct pollfd){.fd = listener, .events = POLLIN};
        if (owing) {
            poll(NULL, 0, PAUSE_MS);
        }
        if (poll(polled, count + 1, owing ? 0 : -1) < 0 && errno != EINTR) {
            abort();
        }
        for (size_t i = count; i-- > 0;) {
            if (connections[i].owes) {
                answer(&connections[i]);
            } else if (polled[i].revents != 0 && !receive(&connections[i])) {
                forget(i);
            }
        }
        owing = false;
        for (size_t i = 0; i < connection_count; i++) {
            owing = owing || connections[i].owes;
        }
        if (polled[count].revents != 0) {
            meet(listener);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) {
        perror(argv[2]);
        return 1;
    }
    serve((int)strtol(argv[1], NULL, 10));
}
