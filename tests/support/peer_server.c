/* SPDX-License-Identifier: MIT */
/* The server side of a peer: listening, threads, counters, gates, and the end of it all. */
#include "nginx.h"
#include "peer_inside.h"
#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 10

struct peer {
    struct peer_options options;
    int port;
    int port_fd; /* keeps the port */
    int listen_fd, stop_fd;
    pthread_t thread; /* accepts */
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t ticket_key;

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t changed;
    bool stopping;
    uint32_t gates;
    struct peer_conn *conns;
    int connection_count, ended_count;
    struct peer_request *requests;
    int request_count;
};

/* ---- counters, gates ---- */

bool peer_stopping(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    bool stopping = peer->stopping;
    pthread_mutex_unlock(&peer->lock);
    return stopping;
}

bool peer_note_request(struct peer *peer, struct peer_request *request)
{
    pthread_mutex_lock(&peer->lock);
    size_t count = (size_t)peer->request_count;
    struct peer_request *larger = realloc(peer->requests, (count + 1) * sizeof *larger);
    if (larger != NULL) {
        peer->requests = larger;
        larger[peer->request_count++] = *request;
        pthread_cond_broadcast(&peer->changed);
    }
    pthread_mutex_unlock(&peer->lock);
    return larger != NULL;
}

const struct peer_request *peer_request(struct peer *peer, int i)
{
    static _Thread_local struct peer_request copies[8];
    static _Thread_local unsigned next;
    struct peer_request *found = NULL;
    pthread_mutex_lock(&peer->lock);
    if (i < peer->request_count) {
        found = &copies[next++ % 8]; /* the array itself may move */
        *found = peer->requests[i];
    }
    pthread_mutex_unlock(&peer->lock);
    return found;
}

static int wait_counter(struct peer *peer, const int *counter, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&peer->lock);
    while (*counter < count && pthread_cond_timedwait(&peer->changed, &peer->lock, &until) == 0) {
    }
    int reached = *counter;
    pthread_mutex_unlock(&peer->lock);
    return reached;
}

int peer_wait_connections(struct peer *peer, int count)
{
    return wait_counter(peer, &peer->connection_count, count);
}

int peer_wait_requests(struct peer *peer, int count)
{
    return wait_counter(peer, &peer->request_count, count);
}

int peer_wait_ended(struct peer *peer, int count)
{
    return wait_counter(peer, &peer->ended_count, count);
}

int peer_connections(struct peer *peer)
{
    return wait_counter(peer, &peer->connection_count, 0);
}

int peer_requests(struct peer *peer)
{
    return wait_counter(peer, &peer->request_count, 0);
}

bool peer_saw_close_notify(struct peer *peer, int connection)
{
    bool saw = false;
    pthread_mutex_lock(&peer->lock);
    for (struct peer_conn *conn = peer->conns; conn != NULL; conn = conn->next) {
        saw |= conn->index == connection && conn->saw_close_notify;
    }
    pthread_mutex_unlock(&peer->lock);
    return saw;
}

void peer_open(struct peer *peer, int gate)
{
    pthread_mutex_lock(&peer->lock);
    peer->gates |= 1u << gate;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
}

bool peer_is_open(struct peer *peer, int gate)
{
    pthread_mutex_lock(&peer->lock);
    bool open = (peer->gates >> gate & 1) != 0;
    pthread_mutex_unlock(&peer->lock);
    return open;
}

bool peer_wait_open(struct peer *peer, int gate)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&peer->lock);
    while ((peer->gates >> gate & 1) == 0 &&
           pthread_cond_timedwait(&peer->changed, &peer->lock, &until) == 0) {
    }
    bool open = (peer->gates >> gate & 1) != 0;
    pthread_mutex_unlock(&peer->lock);
    return open;
}

bool peer_wait_gate(struct peer_conn *conn, int gate)
{
    struct peer *peer = conn->peer;
    pthread_mutex_lock(&peer->lock);
    while ((peer->gates >> gate & 1) == 0 && !peer->stopping) {
        pthread_cond_wait(&peer->changed, &peer->lock);
    }
    bool go_on = !peer->stopping;
    pthread_mutex_unlock(&peer->lock);
    return go_on;
}

void peer_hang(struct peer_conn *conn)
{
    struct peer *peer = conn->peer;
    pthread_mutex_lock(&peer->lock);
    while (!peer->stopping) {
        pthread_cond_wait(&peer->changed, &peer->lock);
    }
    pthread_mutex_unlock(&peer->lock);
}

void peer_forget_fd(struct peer_conn *conn)
{
    pthread_mutex_lock(&conn->peer->lock);
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
    pthread_mutex_unlock(&conn->peer->lock);
}

/* ---- connections ---- */

static void set_cork(struct peer_conn *conn, int on)
{
    setsockopt(conn->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

static void set_alpn(struct peer_conn *conn)
{
    const char *list = conn->peer->options.alpn != NULL ? conn->peer->options.alpn : "http/1.1";
    gnutls_datum_t names[4];
    unsigned count = 0;
    while (*list != '\0' && count < 4) {
        size_t bytes = strcspn(list, ",");
        names[count++] = (gnutls_datum_t){(unsigned char *)(uintptr_t)list, (unsigned)bytes};
        list += bytes + (list[bytes] == ',');
    }
    gnutls_alpn_set_protocols(conn->tls, names, count, GNUTLS_ALPN_SERVER_PRECEDENCE);
}

const char *peer_alpn(struct peer_conn *conn)
{
    static _Thread_local char text[32];
    gnutls_datum_t name;
    text[0] = '\0';
    if (conn->tls != NULL && gnutls_alpn_get_selected_protocol(conn->tls, &name) == 0) {
        snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.data);
    }
    return text;
}

static bool handshake(struct peer_conn *conn)
{
    struct peer *peer = conn->peer;
    const char *priority = peer->options.priority;
    const char *early = conn->index == 0 || peer->options.early_each ? peer->options.early : NULL;
    unsigned flags = GNUTLS_SERVER | GNUTLS_NO_SIGNAL;
    if (gnutls_init(&conn->tls, early != NULL ? flags | GNUTLS_ENABLE_EARLY_START : flags) < 0) {
        return false;
    }
    gnutls_transport_set_int(conn->tls, conn->fd);
    set_alpn(conn);
    gnutls_session_ticket_enable_server(conn->tls, &peer->ticket_key);
    if (gnutls_priority_set_direct(conn->tls, priority != NULL ? priority : "NORMAL", NULL) < 0 ||
        gnutls_credentials_set(conn->tls, GNUTLS_CRD_CERTIFICATE, peer->credentials) < 0) {
        return false;
    }
    if (early != NULL) {
        set_cork(conn, 1);
    }
    int code;
    do {
        code = gnutls_handshake(conn->tls);
    } while (code < 0 && gnutls_error_is_fatal(code) == 0);
    if (early != NULL && code == 0) {
        peer_send(conn, early);
        set_cork(conn, 0);
    }
    return code == 0;
}

static void *run_conn(void *argument)
{
    struct peer_conn *conn = argument;
    struct peer *peer = conn->peer;
    if (!peer->options.tls || handshake(conn)) {
        peer->options.play(conn, conn->index, peer->options.user);
        peer_close(conn);
    }
    peer_forget_fd(conn);
    if (conn->tls != NULL) {
        gnutls_deinit(conn->tls);
    }
    pthread_mutex_lock(&peer->lock);
    conn->ended = true;
    peer->ended_count++;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
    return NULL;
}

static void add_conn(struct peer *peer, int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct peer_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        close(fd);
        return;
    }
    conn->peer = peer;
    conn->fd = fd;
    pthread_mutex_lock(&peer->lock);
    conn->index = peer->connection_count;
    if (pthread_create(&conn->thread, NULL, run_conn, conn) == 0) {
        conn->next = peer->conns;
        peer->conns = conn;
        peer->connection_count++;
        pthread_cond_broadcast(&peer->changed);
    } else {
        close(fd);
        free(conn);
    }
    pthread_mutex_unlock(&peer->lock);
}

static void *run_server(void *argument)
{
    struct peer *peer = argument;
    struct pollfd events[2] = {{.fd = peer->stop_fd, .events = POLLIN},
                               {.fd = peer->listen_fd, .events = POLLIN}};
    nfds_t count = peer->options.accept_nothing ? 1 : 2;
    for (;;) {
        if (poll(events, count, -1) < 0) {
            continue;
        }
        if (events[0].revents != 0) {
            return NULL;
        }
        int fd = accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            add_conn(peer, fd);
        }
    }
}

/* ---- life ---- */

static int start_tls(struct peer *peer)
{
    const char *name = peer->options.cert != NULL ? peer->options.cert : "server";
    char cert[600], key[600];
    snprintf(cert, sizeof cert, "%s%s.pem", test_cert(""), name);
    snprintf(key, sizeof key, "%s%s.key", test_cert(""), name);
    if (gnutls_certificate_allocate_credentials(&peer->credentials) < 0 ||
        gnutls_certificate_set_x509_key_file(peer->credentials, cert, key, GNUTLS_X509_FMT_PEM) <
            0 ||
        gnutls_session_ticket_key_generate(&peer->ticket_key) < 0) {
        return -EINVAL;
    }
    return 0;
}

static int start_listening(struct peer *peer)
{
    const struct peer_options *o = &peer->options;
    peer->port_fd = port_reserve(false, &peer->port);
    if (peer->port_fd < 0) {
        return peer->port_fd;
    }
    peer->listen_fd = port_bind(false, peer->port);
    if (peer->listen_fd < 0) {
        return peer->listen_fd;
    }
    peer->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (peer->stop_fd < 0) {
        return -errno;
    }
    if (o->receive_buffer > 0) {
        int room = (int)o->receive_buffer;
        setsockopt(peer->listen_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    return listen(peer->listen_fd, o->backlog > 0 ? o->backlog : 128) != 0 ? -errno : 0;
}

static void free_peer(struct peer *peer)
{
    if (peer->port_fd >= 0) {
        close(peer->port_fd);
    }
    if (peer->listen_fd >= 0) {
        close(peer->listen_fd);
    }
    if (peer->stop_fd >= 0) {
        close(peer->stop_fd);
    }
    if (peer->credentials != NULL) {
        gnutls_certificate_free_credentials(peer->credentials);
    }
    gnutls_free(peer->ticket_key.data);
    for (int i = 0; i < peer->request_count; i++) {
        free(peer->requests[i].head);
        free(peer->requests[i].body);
        free(peer->requests[i].trailers);
    }
    free(peer->requests);
    pthread_cond_destroy(&peer->changed);
    pthread_mutex_destroy(&peer->lock);
    free(peer);
}

int peer_start(const struct peer_options *options, struct peer **out)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return -ENOMEM;
    }
    peer->options = *options;
    peer->port_fd = peer->listen_fd = peer->stop_fd = -1;
    pthread_mutex_init(&peer->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&peer->changed, &attributes);
    pthread_condattr_destroy(&attributes);

    int code = start_listening(peer);
    if (code == 0 && options->tls) {
        code = start_tls(peer);
    }
    if (code == 0) {
        code = -pthread_create(&peer->thread, NULL, run_server, peer);
    }
    if (code != 0) {
        free_peer(peer);
        return code;
    }
    *out = peer;
    return 0;
}

void peer_stop(struct peer *peer)
{
    if (peer == NULL) {
        return;
    }
    uint64_t one = 1;
    ssize_t written = write(peer->stop_fd, &one, sizeof one);
    (void)written;
    pthread_join(peer->thread, NULL);

    pthread_mutex_lock(&peer->lock);
    peer->stopping = true;
    pthread_cond_broadcast(&peer->changed);
    for (struct peer_conn *conn = peer->conns; conn != NULL; conn = conn->next) {
        if (conn->fd >= 0) {
            shutdown(conn->fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&peer->lock);
    struct peer_conn *next;
    for (struct peer_conn *conn = peer->conns; conn != NULL; conn = next) {
        next = conn->next;
        pthread_join(conn->thread, NULL);
        free(conn);
    }
    free_peer(peer);
}

int peer_leave(struct peer *peer)
{
    int fd = peer->port_fd;
    peer->port_fd = -1;
    peer_stop(peer);
    return fd;
}

int peer_port(const struct peer *peer)
{
    return peer->port;
}

const char *peer_url(const struct peer *peer, const char *path)
{
    static _Thread_local char urls[8][1024];
    static _Thread_local unsigned next;
    char *url = urls[next++ % 8];
    snprintf(url, sizeof urls[0], "%s://localhost:%d%s", peer->options.tls ? "https" : "http",
             peer->port, path);
    return url;
}
