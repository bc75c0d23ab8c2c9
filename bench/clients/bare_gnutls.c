/* SPDX-License-Identifier: MIT */
/*
 * bare-gnutls [-n REQUESTS] [-c AT_ONCE] [-r] -k CAFILE PORT
 * A TLS connection for each request: connect, handshake, one GET, close_notify, close. What
 * handshakes cost with GnuTLS and nothing around it: the trust store is loaded once, chain and name
 * are verified, GnuTLS is fed from one large recv and its output leaves in one send a step.
 *   -r  each connection takes up the session of the one before it
 * Prints one line of JSON.
 */
#include "bare.h"

#include <gnutls/gnutls.h>
#include <sys/epoll.h>

struct lane {
    int fd;
    gnutls_session_t session;
    enum { CONNECTING, SHAKING, ASKED } state;
    char in[16384 + 512], out[16384];
    size_t in_start, in_end, out_count;
    gnutls_datum_t ticket;
    struct bare_answer answer;
};

static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priority;
static int epoll_fd, port;
static bool resume;
static long resumed;

static void check(int code, const char *what)
{
    if (code < 0) {
        fprintf(stderr, "bare-gnutls: %s: %s\n", what, gnutls_strerror(code));
        exit(1);
    }
}

/* ---- transport ---- */

static ssize_t on_pull(gnutls_transport_ptr_t user, void *bytes, size_t count)
{
    struct lane *lane = user;
    size_t have = lane->in_end - lane->in_start;
    if (have == 0) {
        gnutls_transport_set_errno(lane->session, EAGAIN);
        return -1;
    }
    count = count < have ? count : have;
    memcpy(bytes, lane->in + lane->in_start, count);
    lane->in_start += count;
    return (ssize_t)count;
}

static ssize_t on_push(gnutls_transport_ptr_t user, const void *bytes, size_t count)
{
    struct lane *lane = user;
    if (count > sizeof lane->out - lane->out_count) {
        gnutls_transport_set_errno(lane->session, ENOBUFS);
        return -1;
    }
    memcpy(lane->out + lane->out_count, bytes, count);
    lane->out_count += count;
    return (ssize_t)count;
}

static void flush(struct lane *lane)
{
    if (lane->out_count > 0 &&
        send(lane->fd, lane->out, lane->out_count, MSG_NOSIGNAL) != (ssize_t)lane->out_count) {
        bare_die("send");
    }
    lane->out_count = 0;
}

static void fill(struct lane *lane)
{
    size_t left = lane->in_end - lane->in_start;
    memmove(lane->in, lane->in + lane->in_start, left);
    ssize_t got = recv(lane->fd, lane->in + left, sizeof lane->in - left, 0);
    if (got <= 0) {
        bare_die("recv");
    }
    lane->in_start = 0;
    lane->in_end = left + (size_t)got;
}

/* ---- one connection ---- */

static int on_ticket(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                     const gnutls_datum_t *message)
{
    (void)type;
    (void)when;
    (void)message;
    struct lane *lane = gnutls_session_get_ptr(session);
    if (incoming) {
        gnutls_free(lane->ticket.data);
        lane->ticket = (gnutls_datum_t){0};
        check(gnutls_session_get_data2(session, &lane->ticket), "ticket");
    }
    return 0;
}

static void open_session(struct lane *lane)
{
    static const gnutls_datum_t h1 = {(unsigned char *)"http/1.1", 8};
    gnutls_session_t session;
    check(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), "session");
    lane->session = session;
    gnutls_session_set_ptr(session, lane);
    check(gnutls_priority_set(session, priority), "priority");
    check(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), "credentials");
    check(gnutls_alpn_set_protocols(session, &h1, 1, 0), "ALPN");
    gnutls_session_set_verify_cert(session, "127.0.0.1", 0);
    gnutls_transport_set_ptr(session, lane);
    gnutls_transport_set_pull_function(session, on_pull);
    gnutls_transport_set_push_function(session, on_push);
    if (resume) {
        gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
                                           GNUTLS_HOOK_POST, on_ticket);
        if (lane->ticket.data != NULL) { /* a ticket is used once */
            check(gnutls_session_set_data(session, lane->ticket.data, lane->ticket.size), "resume");
            gnutls_free(lane->ticket.data);
            lane->ticket = (gnutls_datum_t){0};
        }
    }
}

static void start(struct lane *lane)
{
    lane->state = CONNECTING;
    lane->in_start = lane->in_end = lane->out_count = lane->answer.count = 0;
    lane->fd = bare_connect(port);
    struct epoll_event event = {EPOLLOUT, {.ptr = lane}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, lane->fd, &event) < 0) {
        bare_die("epoll_ctl");
    }
}

static void connected(struct lane *lane)
{
    bare_check_connected(lane->fd);
    open_session(lane);
    lane->state = SHAKING;
    struct epoll_event event = {EPOLLIN, {.ptr = lane}};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, lane->fd, &event);
}

static void shake(struct lane *lane)
{
    int code = gnutls_handshake(lane->session);
    if (code == 0) {
        lane->state = ASKED;
        resumed += gnutls_session_is_resumed(lane->session) != 0;
        check((int)gnutls_record_send(lane->session, bare_request, sizeof bare_request - 1),
              "send");
    } else if (gnutls_error_is_fatal(code)) {
        check(code, "handshake");
    }
    flush(lane);
}

static void finish(struct lane *lane)
{
    gnutls_bye(lane->session, GNUTLS_SHUT_WR);
    flush(lane);
    gnutls_deinit(lane->session);
    close(lane->fd);
}

/* true: the answer is whole, and the connection closed. */
static bool hear(struct lane *lane)
{
    struct bare_answer *answer = &lane->answer;
    do {
        ssize_t got = gnutls_record_recv(lane->session, answer->bytes + answer->count,
                                         sizeof answer->bytes - answer->count);
        if (got > 0) {
            answer->count += (size_t)got;
        } else if (got == 0 || gnutls_error_is_fatal((int)got)) {
            check(got == 0 ? GNUTLS_E_PREMATURE_TERMINATION : (int)got, "recv");
        }
    } while (lane->in_start < lane->in_end);
    if (!bare_answer_whole(answer)) {
        return false;
    }
    finish(lane);
    return true;
}

/* true: through with its connection. */
static bool on_event(struct lane *lane)
{
    if (lane->state == CONNECTING) {
        connected(lane);
        shake(lane);
        return false;
    }
    fill(lane);
    if (lane->state == SHAKING) {
        shake(lane);
        return false;
    }
    return hear(lane);
}

static void run(struct lane *lanes, int at_once, long requests)
{
    struct epoll_event events[256];
    long left = requests;
    for (int i = 0; i < at_once && left > 0; i++, left--) {
        start(&lanes[i]);
    }
    for (long done = 0; done < requests;) {
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct lane *lane = events[i].data.ptr;
            if (on_event(lane)) {
                done++;
                if (left > 0) {
                    left--;
                    start(lane);
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    long requests = 1000;
    int at_once = 1, option;
    const char *ca_file = NULL;
    while ((option = getopt(argc, argv, "n:c:k:r")) != -1) {
        if (option == 'n') {
            requests = strtol(optarg, NULL, 10);
        } else if (option == 'c') {
            at_once = (int)strtol(optarg, NULL, 10);
        } else if (option == 'k') {
            ca_file = optarg;
        } else if (option == 'r') {
            resume = true;
        } else {
            optind = argc;
        }
    }
    if (optind != argc - 1 || at_once < 1 || ca_file == NULL) {
        fprintf(stderr, "bare-gnutls [-n REQUESTS] [-c AT_ONCE] [-r] -k CAFILE PORT\n");
        return 2;
    }
    port = (int)strtol(argv[optind], NULL, 10);
    check(gnutls_certificate_allocate_credentials(&credentials), "credentials");
    check(gnutls_certificate_set_x509_trust_file(credentials, ca_file, GNUTLS_X509_FMT_PEM),
          ca_file);
    check(gnutls_priority_init(&priority, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL),
          "priority");
    struct lane *lanes = calloc((size_t)at_once, sizeof *lanes);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (lanes == NULL || epoll_fd < 0) {
        bare_die("start");
    }
    double used = bare_cpu();
    run(lanes, at_once, requests);
    printf("{\"requests\":%ld,\"resumed\":%ld,\"cpu\":%.6f}\n", requests, resumed,
           bare_cpu() - used);
    for (int i = 0; i < at_once; i++) {
        gnutls_free(lanes[i].ticket.data);
    }
    free(lanes);
    gnutls_priority_deinit(priority);
    gnutls_certificate_free_credentials(credentials);
    return 0;
}
