/* SPDX-License-Identifier: MIT */
/**
 * As receipt_server, over HTTP/2: one line "METHOD PATH" in a log that outlives it for every
 * request that was received whole, before it is answered. Each answer has a pause of its own, so
 * that many streams are under way when it is killed. At SIGUSR1 every connection gets a GOAWAY with
 * the last stream that was received whole: what has a higher number is written down no more.
 *
 *     receipt_h2_server LISTENER LOG [CERTIFICATE KEY]
 *
 * LISTENER is an open descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128
#define STREAMS_MAX 100
#define PAUSE_MS 16 /* the longest between a receipt and its answer */

struct request {
    struct request *next;
    int32_t stream;
    bool owes; /* received whole, written down, not answered */
    uint64_t due_ms;
    char method[16], path[64];
};

struct connection {
    int fd;
    gnutls_session_t tls; /* NULL: clear text */
    nghttp2_session *h2;  /* NULL: the handshake is not over */
    struct request *requests;
    const uint8_t *out; /* of h2, not sent yet */
    size_t out_count;
    int32_t last_whole;
    bool going; /* GOAWAY was said, with last_whole */
};

static struct connection *connections[CONNECTIONS_MAX];
static size_t connection_count;
static int log_fd;
static gnutls_certificate_credentials_t credentials;
static volatile sig_atomic_t shall_go;

static void need(bool good, const char *what)
{
    if (!good) {
        perror(what);
        abort();
    }
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- requests ---- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct connection *c = user;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct request *r = calloc(1, sizeof *r);
        need(r != NULL, "calloc");
        *r = (struct request){.next = c->requests, .stream = frame->hd.stream_id};
        c->requests = r;
        nghttp2_session_set_stream_user_data(h2, r->stream, r);
    }
    return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user)
{
    struct request *r = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    (void)flags;
    (void)user;
    if (r != NULL && name_bytes == 7 && memcmp(name, ":method", 7) == 0) {
        snprintf(r->method, sizeof r->method, "%.*s", (int)value_bytes, value);
    } else if (r != NULL && name_bytes == 5 && memcmp(name, ":path", 5) == 0) {
        snprintf(r->path, sizeof r->path, "%.*s", (int)value_bytes, value);
    }
    return 0;
}

static void write_receipt(struct connection *c, struct request *r)
{
    char line[128];
    if (c->going && r->stream > c->last_whole) {
        return; /* the client was told that it would not be */
    }
    int bytes = snprintf(line, sizeof line, "%s %s\n", r->method, r->path);
    need(write(log_fd, line, (size_t)bytes) == bytes, "log");
    if (r->stream > c->last_whole) {
        c->last_whole = r->stream;
    }
    r->owes = true;
    r->due_ms = now_ms() + (uint64_t)(rand() % PAUSE_MS);
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    bool last = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct request *r = last ? nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id) : NULL;
    if (r != NULL) {
        write_receipt(user, r);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t code, void *user)
{
    struct connection *c = user;
    (void)h2;
    (void)code;
    for (struct request **at = &c->requests; *at != NULL; at = &(*at)->next) {
        struct request *r = *at;
        if (r->stream == stream) {
            *at = r->next;
            free(r);
            break;
        }
    }
    return 0;
}

static ssize_t on_body(nghttp2_session *h2, int32_t stream, uint8_t *to, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    const struct request *r = source->ptr;
    size_t bytes = strlen(r->path);
    (void)h2;
    (void)stream;
    (void)user;
    need(bytes <= room, "body");
    memcpy(to, r->path, bytes);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)bytes;
}

/* What is due is answered -> milliseconds until the next one is; -1: none is owed */
static int answer(struct connection *c)
{
    nghttp2_nv status = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "200", 7, 3, 0};
    uint64_t now = now_ms();
    int wait = -1;
    for (struct request *r = c->requests; r != NULL; r = r->next) {
        if (!r->owes) {
            continue;
        }
        if (r->due_ms <= now) {
            nghttp2_data_provider body = {.source.ptr = r, .read_callback = on_body};
            need(nghttp2_submit_response(c->h2, r->stream, &status, 1, &body) == 0, "response");
            r->owes = false;
        } else if (wait < 0 || r->due_ms - now < (uint64_t)wait) {
            wait = (int)(r->due_ms - now);
        }
    }
    return wait;
}

/* ---- bytes; false: the connection has ended ---- */

static bool send_out(struct connection *c)
{
    for (;;) {
        if (c->out_count == 0) {
            ssize_t count = nghttp2_session_mem_send(c->h2, &c->out);
            if (count <= 0) {
                return count == 0;
            }
            c->out_count = (size_t)count;
        }
        ssize_t sent = c->tls != NULL ? gnutls_record_send(c->tls, c->out, c->out_count)
                                      : send(c->fd, c->out, c->out_count, MSG_NOSIGNAL);
        if (sent < 0) {
            return c->tls != NULL ? gnutls_error_is_fatal((int)sent) == 0 : errno == EAGAIN;
        }
        c->out += sent;
        c->out_count -= (size_t)sent;
    }
}

static bool receive(struct connection *c)
{
    uint8_t bytes[16384];
    for (;;) {
        ssize_t got = c->tls != NULL ? gnutls_record_recv(c->tls, bytes, sizeof bytes)
                                     : recv(c->fd, bytes, sizeof bytes, 0);
        if (got < 0) {
            return c->tls != NULL ? gnutls_error_is_fatal((int)got) == 0 : errno == EAGAIN;
        }
        if (got == 0 || nghttp2_session_mem_recv(c->h2, bytes, (size_t)got) != got) {
            return false;
        }
    }
}

static void begin(struct connection *c)
{
    nghttp2_settings_entry streams = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX};
    nghttp2_session_callbacks *callbacks;
    need(nghttp2_session_callbacks_new(&callbacks) == 0, "callbacks");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    need(nghttp2_session_server_new(&c->h2, callbacks, c) == 0, "session");
    nghttp2_session_callbacks_del(callbacks);
    need(nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, &streams, 1) == 0, "settings");
}

static bool work(struct connection *c)
{
    if (c->h2 == NULL) {
        int code = c->tls != NULL ? gnutls_handshake(c->tls) : 0;
        if (code < 0) {
            return gnutls_error_is_fatal(code) == 0;
        }
        begin(c);
    }
    return receive(c) && send_out(c) &&
           (nghttp2_session_want_read(c->h2) != 0 || nghttp2_session_want_write(c->h2) != 0);
}

/* ---- connections ---- */

static void forget(size_t i)
{
    struct connection *c = connections[i];
    nghttp2_session_del(c->h2);
    for (struct request *r; (r = c->requests) != NULL;) {
        c->requests = r->next;
        free(r);
    }
    if (c->tls != NULL) {
        gnutls_deinit(c->tls);
    }
    close(c->fd);
    free(c);
    connections[i] = connections[--connection_count];
}

static void meet(int listener)
{
    gnutls_datum_t alpn = {(unsigned char *)(uintptr_t) "h2", 2};
    struct connection *c = calloc(1, sizeof *c);
    int on = 1;
    need(c != NULL && connection_count < CONNECTIONS_MAX, "connections");
    c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    need(c->fd >= 0 && setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "accept");
    if (credentials != NULL) {
        need(gnutls_init(&c->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) == 0 &&
                 gnutls_set_default_priority(c->tls) == 0 &&
                 gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, credentials) == 0 &&
                 gnutls_alpn_set_protocols(c->tls, &alpn, 1, 0) == 0,
             "tls");
        gnutls_transport_set_int(c->tls, c->fd);
    }
    connections[connection_count++] = c;
}

static void go_away(void)
{
    for (size_t i = 0; i < connection_count; i++) {
        struct connection *c = connections[i];
        if (c->h2 == NULL || c->going) {
            continue;
        }
        need(nghttp2_submit_goaway(c->h2, NGHTTP2_FLAG_NONE, c->last_whole, NGHTTP2_NO_ERROR, NULL,
                                   0) == 0,
             "goaway");
        c->going = true;
    }
}

static void on_signal(int number)
{
    (void)number;
    shall_go = 1;
}

/* Answer what is due -> how long until the next one is, as poll has it */
static int answer_all(void)
{
    int wait = -1;
    for (size_t i = connection_count; i-- > 0;) {
        struct connection *c = connections[i];
        int next = c->h2 != NULL ? answer(c) : -1;
        if (c->h2 != NULL && !send_out(c)) {
            forget(i);
        } else if (next >= 0 && (wait < 0 || next < wait)) {
            wait = next;
        }
    }
    return wait;
}

static void serve(int listener, const sigset_t *waiting)
{
    static struct pollfd polled[CONNECTIONS_MAX + 1];
    for (;;) {
        if (shall_go) {
            shall_go = 0;
            go_away();
        }
        int wait = answer_all();
        size_t count = connection_count;
        for (size_t i = 0; i < count; i++) {
            short out = connections[i]->out_count > 0 ? POLLOUT : 0;
            polled[i] = (struct pollfd){.fd = connections[i]->fd, .events = POLLIN | out};
        }
        polled[count] = (struct pollfd){.fd = listener, .events = POLLIN};
        struct timespec limit = {.tv_nsec = wait * 1000000L};
        if (ppoll(polled, count + 1, wait < 0 ? NULL : &limit, waiting) < 0) {
            need(errno == EINTR, "poll");
            continue;
        }
        for (size_t i = count; i-- > 0;) {
            if (polled[i].revents != 0 && !work(connections[i])) {
                forget(i);
            }
        }
        if (polled[count].revents != 0) {
            meet(listener);
        }
    }
}

static void prepare_signal(sigset_t *waiting)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    need(sigprocmask(SIG_BLOCK, &usr1, waiting) == 0, "sigprocmask");
    sigdelset(waiting, SIGUSR1);
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
}

int main(int argc, char **argv)
{
    sigset_t waiting;
    if (argc != 3 && argc != 5) {
        return 2;
    }
    prepare_signal(&waiting);
    if (argc == 5) {
        need(gnutls_certificate_allocate_credentials(&credentials) == 0 &&
                 gnutls_certificate_set_x509_key_file(credentials, argv[3], argv[4],
                                                      GNUTLS_X509_FMT_PEM) >= 0,
             "certificate");
    }
    log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    need(log_fd >= 0, "log");
    serve((int)strtol(argv[1], NULL, 10), &waiting);
}
