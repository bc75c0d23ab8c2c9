/* SPDX-License-Identifier: MIT */
/**
 * peer.h - the other end: listeners on the loopback interface, and threads that send, drain or echo
 * with plain blocking sockets. Assertions belong to the case's thread: a peer's thread only notes.
 */
#ifndef CT_PEER_H
#define CT_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct aioduct_socket_config;

struct ct_listener {
    int fd;
    struct sockaddr_storage addr;
    socklen_t addr_bytes;
    int fillers[8];
    unsigned filler_count;
};

bool ct_has_ipv6(void);
/* On an ephemeral port of 127.0.0.1 (AF_INET) or ::1 (AF_INET6). */
void ct_listen(struct ct_listener *listener, int family);
/* One whose queue is full, so that a connect to it stays pending. */
void ct_listen_full(struct ct_listener *listener);
void ct_unlisten(struct ct_listener *listener);
/* An address at which nobody listens. */
void ct_nobody(struct ct_listener *listener);
/* -> descriptor, blocking, with time limits; waits for the connection */
int ct_accept(const struct ct_listener *listener);
uint16_t ct_port(const struct ct_listener *listener);
/* All defaults, and the listener's address. */
void ct_config(struct aioduct_socket_config *config, const struct ct_listener *listener);

/* Close so that the other side sees a reset. */
void ct_reset(int fd);
/* Read the pattern to the end. -> bytes that were right; @code 0 at the end of stream, else -errno,
 * or -EBADMSG for a wrong byte */
uint64_t ct_drain(int fd, uint64_t seed, int *code);
/* Write all. -> 0 or -errno */
int ct_write_all(int fd, const void *bytes, size_t count);
/* Write so much of the pattern. -> 0 or -errno */
int ct_write_pattern(int fd, uint64_t seed, uint64_t bytes);
/* Wait until this many bytes can be read. -> were there so many in time? */
bool ct_wait_readable(int fd, size_t bytes);

struct ct_peer {
    struct ct_peer *next;
    pthread_t thread;
    void (*run)(struct ct_peer *peer);
    int fd;
    uint64_t seed;
    uint64_t bytes; /* source: to write; sink: were right */
    int code;       /* 0 or -errno */
    atomic_bool stop;
    bool joined;
};

/* The jobs of a peer. */
void ct_peer_source(struct ct_peer *peer); /* write .bytes of the pattern, then end */
void ct_peer_sink(struct ct_peer *peer);   /* read the pattern to the end */
void ct_peer_echo(struct ct_peer *peer);   /* .fd listens: echo every connection until .stop */
void ct_peer_start(struct ct_peer *peer);
void ct_peer_join(struct ct_peer *peer);

#endif
