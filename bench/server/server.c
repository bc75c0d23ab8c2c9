/* SPDX-License-Identifier: MIT */
/*
 * bench-server [-b BODY_BYTES | -m] [-2] [-S] [-T] [-c CERT -k KEY]
 * Listens on a free port of 127.0.0.1, prints it, and serves until it is ended.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t body[FLUSH_BYTES];
static int epoll_fd;

/* ---- output ---- */

static uint8_t *out_room(struct out *out, size_t count)
{
    if (out->start == out->end) {
        out->start = out->end = 0;
    }
    if (out->capacity - out->end < count) {
        size_t waiting = out_waiting(out);
        size_t capacity = (waiting + count) * 2;
        uint8_t *bytes = malloc(capacity);
        if (bytes == NULL) {
            abort();
        }
        if (waiting > 0) {
            memcpy(bytes, out->bytes + out->start, waiting);
        }
        free(out->bytes);
        *out = (struct out){bytes, 0, waiting, capacity};
    }
    return out->bytes + out->end;
}

void out_append(struct out *out, const void *bytes, size_t count)
{
    memcpy(out_room(out, count), bytes, count);
    out->end += count;
}

void out_body(struct out *out, size_t count)
{
    out_append(out, body, count);
}

/* ---- connections ---- */

uint64_t next_body_bytes(struct conn *conn)
{
    static const uint64_t mixed[] = {100, 1 << 10, 10 << 10, 100 << 10};
    return conn->options->mixed ? mixed[conn->answers++ % 4] : conn->options->body_bytes;
}

static void hang_up(struct conn *conn)
{
    tls_close(conn);
    close(conn->fd);
    free(conn->out.bytes);
    free(conn);
}

static void arm(struct conn *conn, bool write)
{
    if (conn->write_armed != write) {
        conn->write_armed = write;
        struct epoll_event event = {EPOLLIN | (write ? EPOLLOUT : 0u), {.ptr = conn}};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
    }
}

static long put(struct conn *conn, const uint8_t *bytes, size_t count)
{
    if (conn->tls != NULL) {
        return tls_write(conn, bytes, count);
    }
    ssize_t sent = send(conn->fd, bytes, count, MSG_NOSIGNAL);
    return sent >= 0 ? sent : errno == EAGAIN ? 0 : -1;
}

static bool flush(struct conn *conn)
{
    struct out *out = &conn->out;
    for (;;) {
        while (out_waiting(out) > 0) {
            long sent = put(conn, out->bytes + out->start, out_waiting(out));
            if (sent <= 0) {
                arm(conn, sent == 0);
                return sent == 0;
            }
            out->start += (size_t)sent;
        }
        if (conn->options->h2) {
            h2_produce(conn);
        } else {
            h1_produce(conn);
        }
        if (out_waiting(out) == 0) {
            arm(conn, false);
            return true;
        }
    }
}

static long get(struct conn *conn, uint8_t *bytes, size_t count)
{
    if (conn->tls != NULL) {
        return tls_read(conn, bytes, count);
    }
    ssize_t got = recv(conn->fd, bytes, count, 0);
    return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
}

static bool serve(struct conn *conn)
{
    static uint8_t bytes[READ_BYTES];
    long got;
    do {
        got = get(conn, bytes, sizeof bytes);
        if (got < 0) {
            return false;
        }
        if (got > 0 && !(conn->options->h2 ? h2_input(conn, bytes, (size_t)got)
                                           : h1_input(conn, bytes, (size_t)got))) {
            return false;
        }
    } while (conn->tls != NULL && got > 0); /* records may wait inside the library */
    return flush(conn);
}

static void welcome(int listener, const struct options *options)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *conn = fd < 0 ? NULL : calloc(1, sizeof *conn);
    if (conn == NULL) {
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->fd = fd;
    conn->options = options;
    if (options->cert != NULL && !tls_open(conn)) {
        hang_up(conn);
        return;
    }
    if (options->h2) {
        h2_start(conn);
    }
    struct epoll_event event = {EPOLLIN, {.ptr = conn}};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t count = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&address, &count) < 0) {
        perror("bench-server");
        exit(1);
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void run(int listener, const struct options *options)
{
    struct epoll_event events[512];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 512, options->spin ? 0 : -1);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (conn == NULL) {
                welcome(listener, options);
            } else if (!serve(conn)) {
                hang_up(conn);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = {.body_bytes = 100};
    int option;
    while ((option = getopt(argc, argv, "b:m2STc:k:")) != -1) {
        switch (option) {
        case 'b':
            options.body_bytes = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            options.mixed = true;
            break;
        case 'T':
            options.no_tickets = true;
            break;
        case '2':
            options.h2 = true;
            break;
        case 'S':
            options.spin = true;
            break;
        case 'c':
            options.cert = optarg;
            break;
        case 'k':
            options.key = optarg;
            break;
        default:
            fprintf(stderr, "bench-server [-b BYTES | -m] [-2] [-S] [-T] [-c CERT -k KEY]\n");
            return 2;
        }
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* whoever measures may be interrupted */
    memset(body, 'x', sizeof body);
    if (options.cert != NULL && !tls_init(&options)) {
        return 1;
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_anywhere();
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    run(listener, &options);
}
