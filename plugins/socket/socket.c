/* SPDX-License-Identifier: MIT */
#include "socket/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* What every step below needs. */
struct setup {
    const struct aioduct_host *host;
    const struct aioduct_socket_config *config;
    int fd;
    int family;
    bool mapped; /* IPv4 behind an IPv6 socket */
};

/* Tell the user why; -> @code */
static int refuse(const struct setup *s, int code, const char *what)
{
    char text[256];
    const char *name = s->config->host != NULL ? s->config->host : "the peer";
    snprintf(text, sizeof text, "connecting to %s: %s", name, what);
    s->host->error(s->host->ctx, code, text);
    return code;
}

static int set_int(const struct setup *s, int level, int option, int64_t value, const char *name)
{
    int number = (int)value;
    int code = 0;
    if (value > INT_MAX) {
        code = -EINVAL;
    } else if (setsockopt(s->fd, level, option, &number, sizeof number) < 0) {
        code = -errno;
    }
    if (code < 0) {
        char what[96];
        snprintf(what, sizeof what, "cannot set %s to %lld", name, (long long)value);
        refuse(s, code, what);
    }
    return code;
}

/* "fe80::1%eth0" and "fe80::1%2" carry a zone, which inet_pton does not know. */
static int parse_ip6(const char *text, struct sockaddr_in6 *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *zone = strchr(text, '%');
    size_t bytes = zone != NULL ? (size_t)(zone - text) : strlen(text);
    if (bytes >= sizeof address) {
        return 0;
    }
    memcpy(address, text, bytes);
    address[bytes] = '\0';
    if (inet_pton(AF_INET6, address, &out->sin6_addr) != 1) {
        return 0;
    }
    if (zone != NULL) {
        char *end;
        out->sin6_scope_id = if_nametoindex(zone + 1);
        if (out->sin6_scope_id == 0) {
            out->sin6_scope_id = (uint32_t)strtoul(zone + 1, &end, 10);
            return zone[1] >= '0' && zone[1] <= '9' && *end == '\0';
        }
    }
    return 1;
}

static int choose_address(const struct setup *s, struct ad_socket_addr *out)
{
    const struct aioduct_socket_config *config = s->config;
    memset(out, 0, sizeof *out);
    if (config->addr != NULL) {
        if (config->addr_bytes > sizeof out->storage ||
            config->addr_bytes < sizeof(sa_family_t) + 1) {
            return refuse(s, -EINVAL, "the address has an impossible length");
        }
        memcpy(&out->storage, config->addr, config->addr_bytes);
        out->bytes = config->addr_bytes;
        return 0;
    }
    if (config->host == NULL) {
        return refuse(s, -EINVAL, "neither a host nor an address was given");
    }
    struct sockaddr_in *in4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
    if (inet_pton(AF_INET, config->host, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(config->port);
        out->bytes = sizeof *in4;
    } else if (parse_ip6(config->host, in6)) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(config->port);
        out->bytes = sizeof *in6;
    } else {
        return refuse(s, AIODUCT_E_UNSUPPORTED,
                      "this connector does not resolve names; give it an address");
    }
    return 0;
}

/* ---- options ---- */

static int set_keepalive(const struct setup *s)
{
    const struct aioduct_socket_config *config = s->config;
    int code = 0;
    if (config->keepalive_idle_s == 0) {
        return 0;
    }
    code = set_int(s, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    if (code == 0) {
        code = set_int(s, IPPROTO_TCP, TCP_KEEPIDLE, config->keepalive_idle_s, "TCP_KEEPIDLE");
    }
    if (code == 0 && config->keepalive_interval_s != 0) {
        code =
            set_int(s, IPPROTO_TCP, TCP_KEEPINTVL, config->keepalive_interval_s, "TCP_KEEPINTVL");
    }
    if (code == 0 && config->keepalive_count != 0) {
        code = set_int(s, IPPROTO_TCP, TCP_KEEPCNT, config->keepalive_count, "TCP_KEEPCNT");
    }
    return code;
}

/* Options of TCP over IP. */
static int set_tcp(const struct setup *s)
{
    const struct aioduct_socket_config *config = s->config;
    int code = 0;
    if (config->nodelay >= 0) {
        code = set_int(s, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    }
    if (code == 0) {
        code = set_keepalive(s);
    }
    if (code == 0 && config->user_timeout_ms != 0) {
        code =
            set_int(s, IPPROTO_TCP, TCP_USER_TIMEOUT, config->user_timeout_ms, "TCP_USER_TIMEOUT");
    }
    if (code == 0 && config->tos != 0 && s->family == AF_INET6) {
        code = set_int(s, IPPROTO_IPV6, IPV6_TCLASS, config->tos, "IPV6_TCLASS");
    }
    if (code == 0 && config->tos != 0 && (s->family == AF_INET || s->mapped)) {
        code = set_int(s, IPPROTO_IP, IP_TOS, config->tos, "IP_TOS");
    }
    if (code == 0 && config->fast_open != 0) {
        int on = 1; /* a hint: an old kernel is not an error */
        (void)setsockopt(s->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
    }
    return code;
}

/* The kernel cuts a name that is too long, and another device may have what is left. */
static int set_device(const struct setup *s)
{
    const char *device = s->config->device;
    size_t bytes = strlen(device);
    char what[96];
    if (bytes >= IFNAMSIZ) {
        snprintf(what, sizeof what, "the device's name %.24s%s is longer than %d bytes", device,
                 bytes > 24 ? "..." : "", IFNAMSIZ - 1);
        return refuse(s, -EINVAL, what);
    }
    if (setsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)bytes) < 0) {
        int code = -errno;
        snprintf(what, sizeof what, "cannot set SO_BINDTODEVICE to %s", device);
        return refuse(s, code, what);
    }
    return 0;
}

static int set_buffers(const struct setup *s)
{
    const struct aioduct_socket_config *config = s->config;
    int code = 0;
    if (config->send_buffer_bytes != 0) {
        code = set_int(s, SOL_SOCKET, SO_SNDBUF, config->send_buffer_bytes, "SO_SNDBUF");
    }
    if (code == 0 && config->recv_buffer_bytes != 0) {
        code = set_int(s, SOL_SOCKET, SO_RCVBUF, config->recv_buffer_bytes, "SO_RCVBUF");
    }
    return code;
}

/* By which way through the network. */
static int set_network(const struct setup *s)
{
    const struct aioduct_socket_config *config = s->config;
    int code = 0;
    if (config->mark != 0) {
        int mark = (int)config->mark; /* all 32 bits mean something */
        if (setsockopt(s->fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0) {
            code = refuse(s, -errno, "cannot set SO_MARK");
        }
    }
    if (code == 0 && config->device != NULL && config->device[0] != '\0') {
        code = set_device(s);
    }
    return code;
}

/* ---- local address ---- */

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

/* The first port of the range that is free. */
static int bind_range(const struct setup *s, struct ad_socket_addr *local, unsigned first,
                      unsigned last)
{
    for (unsigned port = first; port <= last; port++) {
        *port_of(&local->storage) = htons((uint16_t)port);
        if (bind(s->fd, (struct sockaddr *)&local->storage, local->bytes) == 0) {
            return 0;
        }
        if (errno != EADDRINUSE) {
            return refuse(s, -errno, "cannot bind to the local address or port");
        }
    }
    return refuse(s, -EADDRINUSE, "no local port of the range is free");
}

static int bind_local(const struct setup *s)
{
    const struct aioduct_socket_config *config = s->config;
    struct ad_socket_addr local = {.bytes = config->local_addr_bytes};
    unsigned first = config->local_port_min, last = config->local_port_max;
    if (config->local_addr == NULL && first == 0 && last == 0) {
        return 0;
    }
    if (config->local_addr != NULL) {
        if (config->local_addr_bytes > sizeof local.storage ||
            config->local_addr_bytes < sizeof(struct sockaddr_in) ||
            config->local_addr->sa_family != s->family) {
            return refuse(s, -EINVAL, "the local address is not of the target's family");
        }
        memcpy(&local.storage, config->local_addr, config->local_addr_bytes);
    } else {
        local.storage.ss_family = (sa_family_t)s->family;
        local.bytes =
            s->family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    }
    if (first == 0 && last == 0) {
        first = last = ntohs(*port_of(&local.storage));
    } else if (last == 0) {
        last = first;
    }
    if (first > last || (first == 0 && last != 0)) {
        return refuse(s, -EINVAL, "the range of local ports is empty");
    }
    if (last == 0) {
        /* The port is chosen by connect, when the kernel knows the peer: many more are free. */
        int code = set_int(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT");
        if (code < 0) {
            return code;
        }
    }
    return bind_range(s, &local, first, last);
}

/* ---- public ---- */

int ad_socket_create(const struct aioduct_host *host, const struct aioduct_socket_config *config,
                     int type_flags, struct ad_socket_addr *out_addr)
{
    struct setup s = {.host = host, .config = config, .fd = -1};
    struct ad_socket_addr address;
    int code = choose_address(&s, &address);
    if (code < 0) {
        return code;
    }
    s.family = address.storage.ss_family;
    s.mapped = s.family == AF_INET6 &&
               IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&address.storage)->sin6_addr);
    s.fd = socket(s.family, SOCK_STREAM | SOCK_CLOEXEC | type_flags, 0);
    if (s.fd < 0) {
        return refuse(&s, -errno, "no socket");
    }
    code = set_buffers(&s);
    if (s.family == AF_INET || s.family == AF_INET6) {
        code = code < 0 ? code : set_network(&s);
        code = code < 0 ? code : set_tcp(&s);
        code = code < 0 ? code : bind_local(&s);
    }
    if (code < 0) {
        close(s.fd);
        return code;
    }
    *out_addr = address;
    return s.fd;
}

int ad_socket_info(int fd, struct aioduct_stream_info *info)
{
    struct aioduct_stream_info full = {.size = info->size, .fd = fd};
    socklen_t bytes = sizeof full.local_addr;
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)full.local_addr, &bytes) == 0) {
        full.local_addr_bytes = bytes;
    }
    bytes = sizeof full.peer_addr;
    if (fd >= 0 && getpeername(fd, (struct sockaddr *)full.peer_addr, &bytes) == 0) {
        full.peer_addr_bytes = bytes;
    }
    memcpy(info, &full, info->size < sizeof full ? info->size : sizeof full);
    return 0;
}
