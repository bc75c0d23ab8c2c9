/* SPDX-License-Identifier: MIT */
/* What the bare clients share: a connection being opened, and when an answer is whole. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char bare_request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bare\r\n"
                                   "Accept: */*\r\nConnection: close\r\n\r\n";

/* An answer as far as it has come: head and body together are short. */
struct bare_answer {
    char bytes[2048];
    size_t count;
};

_Noreturn static inline void bare_die(const char *what)
{
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A connection to @port of 127.0.0.1, under way. */
static inline int bare_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        bare_die("socket");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        bare_die("connect");
    }
    return fd;
}

static inline void bare_check_connected(int fd)
{
    int code = 0;
    socklen_t count = sizeof code;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &count) < 0 || code != 0) {
        errno = code;
        bare_die("connect");
    }
}

/* Is it whole? An answer other than 200 with a length ends the program. */
static inline bool bare_answer_whole(const struct bare_answer *answer)
{
    const char *end = memmem(answer->bytes, answer->count, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    size_t head = (size_t)(end + 4 - answer->bytes);
    const char *length = memmem(answer->bytes, head, "Content-Length: ", 16);
    if (length == NULL || memcmp(answer->bytes, "HTTP/1.1 200 ", 13) != 0) {
        errno = EPROTO;
        bare_die("answer");
    }
    return answer->count >= head + strtoul(length + 16, NULL, 10);
}

static inline double bare_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

#endif
