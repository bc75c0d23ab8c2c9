/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "check.h"
#include "pattern.h"
#include "settings.h"

#include <aioduct/plugin/plugin.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { CHUNK_BYTES = 65536, CONNECTIONS_MAX = 8192 };

/* ---- listeners ---- */

static int new_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void set_patience(int fd)
{
    struct timeval limit = {.tv_sec = (time_t)(ct_patience_ns() / 1000000000)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static void loopback(struct ct_listener *listener, int family)
{
    memset(&listener->addr, 0, sizeof listener->addr);
    if (family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&listener->addr;
        in6->sin6_family = AF_INET6;
        in6->sin6_addr = in6addr_loopback;
        listener->addr_bytes = sizeof *in6;
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&listener->addr;
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener->addr_bytes = sizeof *in;
    }
}

static void listen_with(struct ct_listener *listener, int family, int backlog)
{
    memset(listener, 0, sizeof *listener);
    loopback(listener, family);
    listener->fd = new_socket(family);
    struct sockaddr *addr = (struct sockaddr *)&listener->addr;
    assert_int_equal(bind(listener->fd, addr, listener->addr_bytes), 0);
    assert_int_equal(listen(listener->fd, backlog), 0);
    assert_int_equal(getsockname(listener->fd, addr, &listener->addr_bytes), 0);
    set_patience(listener->fd);
}

bool ct_has_ipv6(void)
{
    struct ct_listener listener = {0};
    loopback(&listener, AF_INET6);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = fd >= 0 && bind(fd, (struct sockaddr *)&listener.addr, listener.addr_bytes) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return there;
}

void ct_listen(struct ct_listener *listener, int family)
{
    listen_with(listener, family, 4096);
}

void ct_listen_full(struct ct_listener *listener)
{
    listen_with(listener, AF_INET, 0);
    /* Connects succeed until the queue is full; the first that does not is proof. */
    for (unsigned i = 0; i < sizeof listener->fillers / sizeof listener->fillers[0]; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        listener->fillers[listener->filler_count++] = fd;
        if (connect(fd, (struct sockaddr *)&listener->addr, listener->addr_bytes) != 0) {
            assert_int_equal(errno, EINPROGRESS);
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, 100) == 0) {
                return;
            }
        }
    }
    ct_fail("the listener's queue does not fill up");
}

void ct_unlisten(struct ct_listener *listener)
{
    for (unsigned i = 0; i < listener->filler_count; i++) {
        close(listener->fillers[i]);
    }
    listener->filler_count = 0;
    if (listener->fd > 0) {
        close(listener->fd);
        listener->fd = 0;
    }
}

void ct_nobody(struct ct_listener *listener)
{
    /* Bound, so that nobody else gets the port, but not listening. */
    memset(listener, 0, sizeof *listener);
    loopback(listener, AF_INET);
    listener->fd = new_socket(AF_INET);
    struct sockaddr *addr = (struct sockaddr *)&listener->addr;
    assert_int_equal(bind(listener->fd, addr, listener->addr_bytes), 0);
    assert_int_equal(getsockname(listener->fd, addr, &listener->addr_bytes), 0);
}

int ct_accept(const struct ct_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    set_patience(fd);
    return fd;
}

uint16_t ct_port(const struct ct_listener *listener)
{
    /* sin_port and sin6_port lie at the same place. */
    return ntohs(((const struct sockaddr_in *)&listener->addr)->sin_port);
}

void ct_config(struct aioduct_socket_config *config, const struct ct_listener *listener)
{
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
    config->host = listener->addr.ss_family == AF_INET6 ? "::1" : "127.0.0.1";
    config->port = ct_port(listener);
    config->addr = (const struct sockaddr *)&listener->addr;
    config->addr_bytes = listener->addr_bytes;
}

/* ---- blocking transfers ---- */

void ct_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

uint64_t ct_drain(int fd, uint64_t seed, int *code)
{
    uint8_t buffer[CHUNK_BYTES];
    uint64_t done = 0;
    for (;;) {
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0) {
            *code = got == 0 ? 0 : -errno;
            return done;
        }
        size_t good = ct_pattern_match(buffer, (size_t)got, seed, done);
        done += good;
        if (good != (size_t)got) {
            *code = -EBADMSG;
            return done;
        }
    }
}

int ct_write_all(int fd, const void *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        ssize_t put = send(fd, (const uint8_t *)bytes + done, count - done, MSG_NOSIGNAL);
        if (put < 0) {
            return -errno;
        }
        done += (size_t)put;
    }
    return 0;
}

int ct_write_pattern(int fd, uint64_t seed, uint64_t bytes)
{
    uint8_t buffer[CHUNK_BYTES];
    int code = 0;
    for (uint64_t done = 0; done < bytes && code == 0;) {
        size_t piece = bytes - done < sizeof buffer ? (size_t)(bytes - done) : sizeof buffer;
        ct_pattern_fill(buffer, piece, seed, done);
        code = ct_write_all(fd, buffer, piece);
        done += piece;
    }
    return code;
}

bool ct_wait_readable(int fd, size_t bytes)
{
    for (unsigned waited_ms = 0; waited_ms < ct_patience_ns() / 1000000; waited_ms++) {
        int have = 0;
        if (ioctl(fd, FIONREAD, &have) == 0 && (size_t)have >= bytes) {
            return true;
        }
        poll(NULL, 0, 1);
    }
    return false;
}

/* ---- threads ---- */

void ct_peer_source(struct ct_peer *peer)
{
    peer->code = ct_write_pattern(peer->fd, peer->seed, peer->bytes);
    shutdown(peer->fd, SHUT_WR);
}

void ct_peer_sink(struct ct_peer *peer)
{
    peer->bytes = ct_drain(peer->fd, peer->seed, &peer->code);
}

/* -> false when the connection is over */
static bool echo_once(int fd)
{
    uint8_t buffer[CHUNK_BYTES];
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    return got > 0 && ct_write_all(fd, buffer, (size_t)got) == 0;
}

void ct_peer_echo(struct ct_peer *peer)
{
    bool is_open[CONNECTIONS_MAX] = {false};
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = peer->fd};
    epoll_ctl(set, EPOLL_CTL_ADD, peer->fd, &event);
    while (!peer->stop) {
        struct epoll_event events[64];
        int count = epoll_wait(set, events, 64, 20);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != peer->fd) {
                if (!echo_once(fd)) {
                    is_open[fd] = false;
                    close(fd);
                }
                continue;
            }
            fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0 || fd >= CONNECTIONS_MAX) {
                peer->code = fd < 0 ? -errno : -EMFILE;
                continue;
            }
            set_patience(fd);
            is_open[fd] = true;
            event.data.fd = fd;
            epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
        }
    }
    for (int fd = 0; fd < CONNECTIONS_MAX; fd++) {
        if (is_open[fd]) {
            close(fd);
        }
    }
    close(set);
}

static void *run_peer(void *arg)
{
    struct ct_peer *peer = arg;
    peer->run(peer);
    return NULL;
}

void ct_peer_start(struct ct_peer *peer)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&peer->thread, NULL, run_peer, peer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(code, 0);
}

void ct_peer_join(struct ct_peer *peer)
{
    if (!peer->joined) {
        peer->stop = true;
        pthread_join(peer->thread, NULL);
        peer->joined = true;
    }
}
