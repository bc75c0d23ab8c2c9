/* SPDX-License-Identifier: MIT */
/* fork(2) at each point in a client's life, by the thread that drives it or beside a worker. The
 * child's calls are refused by name, its destroy is harmless, and the parent goes on. */
#include "tester.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED 1
#endif
#ifndef THREAD_SANITIZED
#define THREAD_SANITIZED 0
#endif

enum gate { GO };
enum { FILLERS = 4, CHILD_SECONDS = 20 };

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "answer");
    }
}

/* The head and half of the body; the rest behind the gate. */
static void play_half(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        if (!peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nans") ||
            !peer_wait_gate(conn, GO) || !peer_send(conn, "wer")) {
            return;
        }
    }
}

static void play_hang(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_hang(conn);
}

static void assert_fine(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->body, "answer");
}

/* ---- the child ---- */

/* Which call, counted from 1, was not refused; 0: all were. Callbacks must not come. */
static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    (void)exchange;
    (void)error;
    (void)user;
    _exit(90);
}

static int calls_of_a_child(struct aioduct_client *client, struct aioduct_request *request,
                            struct aioduct_exchange *exchange)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    const int codes[] = {
        aioduct_client_submit(client, request, &callbacks, NULL, NULL),
        aioduct_client_perform(client, request, &callbacks, NULL, NULL),
        aioduct_client_run(client),
        aioduct_client_turn(client, 0),
        aioduct_client_close_idle(client),
        exchange == NULL ? AIODUCT_E_FORKED : aioduct_exchange_cancel(exchange),
        aioduct_client_destroy(client),
        aioduct_client_destroy(client), /* it was the parent's before, and is it still */
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] != AIODUCT_E_FORKED) {
            return (int)i + 1;
        }
    }
    return 0;
}

/* -> wait status of a child that tried every call on the parent's client */
static int fork_now(struct aioduct_client *client, struct aioduct_request *request,
                    struct aioduct_exchange *exchange)
{
    pid_t pid = tap_fork();
    if (pid == 0) {
        alarm(CHILD_SECONDS);
        _exit(calls_of_a_child(client, request, exchange));
    }
    int status = -1;
    return pid > 0 && TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) == pid ? status : -1;
}

static void assert_refused(int status)
{
    if (status != 0) {
        tap_fail("in the child: %s %d", WIFEXITED(status) ? "call" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
}

/* ---- idle ---- */

static void test_unused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_refused(fork_now(t->client, request, NULL));
    assert_fine(tester_perform(t, request));
}

static void test_idle(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_fine(tester_perform(t, request));
    for (int i = 0; i < 3; i++) {
        assert_refused(fork_now(t->client, request, NULL));
        struct result *r = tester_perform(t, request);
        assert_fine(r);
        assert_int_equal(r->info.reused, 1);
    }
    assert_int_equal(peer_connections(t->peer), 1);
}

/* ---- dialling ---- */

/* A listening socket whose queue is full lets further connections hang in the handshake. */
static void test_connecting(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer_with(t, &(struct peer_options){.backlog = 1, .accept_nothing = true});
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)peer_port(t->peer)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fillers[FILLERS];
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fillers[i], (struct sockaddr *)&in, sizeof in);
    }
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(t->peer));
    struct aioduct_request *request = tester_request(t, "GET", url);
    struct result *r = tester_submit(t, request);
    tester_turn_a_little(t);
    int status = fork_now(t->client, request, NULL);
    tester_turn_a_little(t);
    size_t outstanding = aioduct_client_outstanding(t->client);
    tester_destroy(t);
    for (int i = 0; i < FILLERS; i++) {
        close(fillers[i]);
    }
    assert_refused(status);
    assert_int_equal(outstanding, 1); /* the parent's dial goes on */
    assert_int_equal(r->code, AIODUCT_E_CLIENT_CLOSED);
}

static void test_handshaking(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer_with(t, &(struct peer_options){.play = play_hang});
    char url[64];
    snprintf(url, sizeof url, "https://localhost:%d/", peer_port(t->peer));
    struct aioduct_request *request = tester_request(t, "GET", url);
    struct result *r = tester_submit(t, request);
    tester_turn_a_little(t);
    int status = fork_now(t->client, request, NULL);
    tester_turn_a_little(t);
    assert_int_equal(aioduct_client_outstanding(t->client), 1);
    tester_destroy(t);
    assert_refused(status);
    assert_int_equal(r->code, AIODUCT_E_CLIENT_CLOSED);
}

/* ---- in flight ---- */

static bool has_half(void *user)
{
    return result_told_bytes(user) >= 3;
}

static void test_in_flight(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_half, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *r = tester_submit(t, request);
    tester_turn_until(t, has_half, r);
    int status = fork_now(t->client, request, r->exchange);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_refused(status);
    assert_fine(r);
    r = tester_perform(t, request);
    assert_fine(r);
    assert_int_equal(r->info.reused, 1);
}

/* ---- inside a callback ---- */

struct moment {
    struct aioduct_request *request;
    char when;
    bool destroy;
    int code, status;
};

static void on_moment(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct moment *m = r->user;
    if (event == m->when) {
        struct aioduct_client *client = r->tester->client;
        if (m->destroy) {
            r->tester->client = NULL;
            m->code = aioduct_client_destroy(client);
        }
        m->status = fork_now(client, m->request, exchange);
    }
}

static struct moment *run_moment(struct tester *t, char when, bool destroy, struct result **out)
{
    struct moment *m = tester_alloc(t, sizeof *m);
    m->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    m->when = when;
    m->destroy = destroy;
    m->status = -1;
    struct result *r = tester_result(t);
    r->on_event = on_moment;
    r->user = m;
    *out = r;
    tester_perform_into(t, m->request, r);
    return m;
}

static void test_in_callbacks(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    for (const char *when = "HBD"; *when != '\0'; when++) {
        struct result *r;
        assert_refused(run_moment(t, *when, false, &r)->status);
        assert_fine(r);
    }
    assert_int_equal(peer_connections(t->peer), 1);
}

/* ---- closing ---- */

static void test_closing(void **state)
{
    struct tester *t = *state;
    struct result *r;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct moment *m = run_moment(t, 'H', true, &r);
    assert_code(0, m->code);
    assert_refused(m->status);
    assert_int_equal(r->code, AIODUCT_E_CLIENT_CLOSED);
}

/* ---- a client of the child's own ---- */

static int fetch_in_child(struct tester *t, const char *url)
{
    struct aioduct_client_options options = t->options;
    struct aioduct_response *response = NULL;
    struct aioduct_client *client = NULL;
    options.tls.ca_file = test_cert("ca.pem");
    if (aioduct_client_create(&options, &client, NULL) < 0) {
        return 1;
    }
    int code = aioduct_get(client, url, &response, NULL);
    bool fine = code == 0 && aioduct_response_status(response) == 200;
    aioduct_response_destroy(response);
    return aioduct_client_destroy(client) != 0 ? 3 : fine ? 0 : 2;
}

static void test_own(void **state)
{
    struct tester *t = *state;
    if (THREAD_SANITIZED) {
        tap_skip("ThreadSanitizer lets no child of a program with threads start one");
    }
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    const char *url = peer_url(t->peer, "/");
    struct aioduct_request *request = tester_request(t, "GET", url);
    assert_fine(tester_perform(t, request));
    pid_t pid = tap_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(CHILD_SECONDS);
        _exit(fetch_in_child(t, url));
    }
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_int_equal(status, 0);
    struct result *r = tester_perform(t, request);
    assert_fine(r);
    assert_int_equal(r->info.reused, 1);
    assert_int_equal(peer_connections(t->peer), 2);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASE("fork beside a client that did nothing yet", test_unused),
        HTTP_CASES("fork beside an idle connection", test_idle),
        HTTP_CASE("fork while a connection is dialled", test_connecting),
        HTTP_CASE("fork during a TLS handshake", test_handshaking),
        HTTP_CASES("fork while an answer is under way", test_in_flight),
        HTTP_CASES("fork inside callbacks", test_in_callbacks),
        HTTP_CASES("fork while the client is closing", test_closing),
        HTTP_CASES("a child has a client of its own", test_own),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
