/* SPDX-License-Identifier: MIT */
#include "port.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t loopback(bool ip6, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    memcpy(out, ip6 ? (void *)&in6 : (void *)&in, ip6 ? sizeof in6 : sizeof in);
    return ip6 ? sizeof in6 : sizeof in;
}

static bool share(int fd)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
}

static int give_up(int fd)
{
    int code = -errno;
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

int port_reserve(bool ip6, int *out_port)
{
    struct sockaddr_storage at;
    socklen_t bytes = loopback(ip6, 0, &at);
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The port is chosen first: a socket that may share one could be given another's. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, bytes) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &bytes) != 0 || !share(fd)) {
        return give_up(fd);
    }
    *out_port = ntohs(ip6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                          : ((struct sockaddr_in *)&at)->sin_port);
    return fd;
}

int port_bind(bool ip6, int port)
{
    struct sockaddr_storage at;
    socklen_t bytes = loopback(ip6, port, &at);
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !share(fd) || bind(fd, (struct sockaddr *)&at, bytes) != 0) {
        return give_up(fd);
    }
    return fd;
}
