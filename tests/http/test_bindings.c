/* SPDX-License-Identifier: MIT */
/* The bindings: which threads may call a client and its exchanges. A call from a thread that may
 * not is a typed error, and changes nothing. */
#include "tester.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define EACH 25

enum gate { GO };

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        if (strncmp(peer_last_request(conn)->head, "GET /wait ", 10) == 0) {
            peer_wait_gate(conn, GO);
        }
        peer_answer(conn, 200, "", "answer");
    }
}

static void assert_fine(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->body, "answer");
}

/* ---- every call of the public interface, from a place where none is allowed ---- */

enum call {
    SUBMIT,
    PERFORM,
    FETCH,
    RUN,
    TURN,
    POLL_FD,
    CANCEL,
    RELEASE,
    PAUSE,
    RESUME,
    BODY_READY,
    INFO,
    DESTROY,
    CALL_COUNT
};

static const char *const call_names[CALL_COUNT] = {
    "submit",  "perform", "fetch",  "run",        "turn", "poll_fd", "cancel",
    "release", "pause",   "resume", "body_ready", "info", "destroy",
};

struct calls {
    struct aioduct_client *client;
    struct aioduct_request *request;
    struct aioduct_exchange *exchange;
    int codes[CALL_COUNT];
};

static void call_all(struct calls *c)
{
    struct aioduct_callbacks none = {.size = sizeof none};
    struct aioduct_response *response = NULL;
    struct aioduct_exchange_info info = {.size = sizeof info};
    c->codes[SUBMIT] = aioduct_client_submit(c->client, c->request, &none, NULL, NULL);
    c->codes[PERFORM] = aioduct_client_perform(c->client, c->request, &none, NULL, NULL);
    c->codes[FETCH] = aioduct_client_fetch(c->client, c->request, &response, NULL);
    c->codes[RUN] = aioduct_client_run(c->client);
    c->codes[TURN] = aioduct_client_turn(c->client, 0);
    c->codes[POLL_FD] = aioduct_client_poll_fd(c->client);
    c->codes[CANCEL] = aioduct_exchange_cancel(c->exchange);
    c->codes[RELEASE] = aioduct_exchange_release(c->exchange, 0);
    c->codes[PAUSE] = aioduct_exchange_pause(c->exchange);
    c->codes[RESUME] = aioduct_exchange_resume(c->exchange);
    c->codes[BODY_READY] = aioduct_exchange_body_ready(c->exchange);
    c->codes[INFO] = aioduct_exchange_info(c->exchange, &info);
    c->codes[DESTROY] = aioduct_client_destroy(c->client);
}

static void *call_all_here(void *user)
{
    call_all(user);
    return NULL;
}

static void assert_all(const struct calls *c, int code)
{
    for (int i = 0; i < CALL_COUNT; i++) {
        if (c->codes[i] != code) {
            tap_fail("%s gave %s, not %s", call_names[i], aioduct_error_name(c->codes[i]),
                     aioduct_error_name(code));
        }
    }
}

static void elsewhere(void *(*work)(void *), void *user)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, user), 0);
    pthread_join(thread, NULL);
}

/* While it is driven: inside the callback that starts the other thread. */
static void on_call_elsewhere(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'H') {
        pthread_t thread;
        if (pthread_create(&thread, NULL, call_all_here, r->user) == 0) {
            pthread_join(thread, NULL);
        }
    }
}

static void assert_local(struct tester *t)
{
    tester_peer(t, play_answer, NULL);
    struct calls *c = tester_alloc(t, sizeof *c);
    struct result *r = tester_result(t);
    c->client = t->client;
    c->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    r->on_event = on_call_elsewhere;
    r->user = c;
    tester_submit_into(t, c->request, r);
    c->exchange = r->exchange;
    tester_run(t);
    assert_fine(r);
    assert_all(c, AIODUCT_E_THREAD);
    assert_int_equal(peer_requests(t->peer), 1);
    assert_fine(tester_get(t, peer_url(t->peer, "/")));
}

static void test_local(void **state)
{
    struct tester *t = *state;
    t->options.binding = AIODUCT_BINDING_LOCAL;
    tester_client(t);
    assert_local(t);
}

/* Outside of turns too. */
static void test_local_at_rest(void **state)
{
    struct tester *t = *state;
    t->options.binding = AIODUCT_BINDING_LOCAL;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct calls *c = tester_alloc(t, sizeof *c);
    c->client = t->client;
    c->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *r = tester_submit(t, c->request);
    c->exchange = r->exchange;
    elsewhere(call_all_here, c);
    c->codes[INFO] = AIODUCT_E_THREAD; /* nobody drives the loop now: it may be asked */
    assert_all(c, AIODUCT_E_THREAD);
    assert_int_equal(aioduct_client_outstanding(t->client), 1);
    tester_run(t);
    assert_fine(r);
    assert_int_equal(peer_requests(t->peer), 1);
}

static bool runtime_is_local(struct tester *t)
{
    struct aioduct_client_options options = t->options;
    struct aioduct_client *client = NULL;
    options.binding = AIODUCT_BINDING_SEND;
    int code = aioduct_client_create(&options, &client, NULL);
    assert_code(0, aioduct_client_destroy(client));
    return code == AIODUCT_E_PLUGIN_CAPABILITY;
}

static void test_auto_on_a_local_runtime(void **state)
{
    struct tester *t = *state;
    if (!runtime_is_local(t)) {
        tap_skip("this runtime takes requests from any thread");
    }
    tester_client(t);
    assert_local(t);
}

/* ---- send, without workers: one thread drives, any thread asks ---- */

struct crew {
    struct tester *t;
    struct aioduct_request *request;
    struct result *results[THREADS][EACH];
    struct result *waiting;
    int codes[THREADS];
    int cancelled;
    int next; /* atomic: number of the next thread */
};

static void *work_submit(void *user)
{
    struct crew *crew = user;
    int me = __atomic_fetch_add(&crew->next, 1, __ATOMIC_RELAXED);
    for (int k = 0; k < EACH && crew->codes[me] == 0; k++) {
        crew->codes[me] = tester_submit_code(crew->t, crew->request, crew->results[me][k]);
    }
    return NULL;
}

/* When the crew is through, end the exchange that keeps the driver busy. */
static void *work_finish(void *user)
{
    struct crew *crew = user;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work_submit, crew) != 0) {
            return NULL;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    crew->cancelled = aioduct_exchange_cancel(crew->waiting->exchange);
    return NULL;
}

static void assert_send(struct tester *t)
{
    tester_peer(t, play_answer, NULL);
    struct crew *crew = tester_alloc(t, sizeof *crew);
    crew->t = t;
    crew->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < THREADS * EACH; i++) {
        crew->results[i / EACH][i % EACH] = tester_result(t);
    }
    crew->waiting = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/wait")));
    pthread_t finisher;
    assert_int_equal(pthread_create(&finisher, NULL, work_finish, crew), 0);
    tester_run(t);
    pthread_join(finisher, NULL);
    tester_run(t); /* what came after the cancel */
    assert_code(0, crew->cancelled);
    assert_code(-ECANCELED, crew->waiting->code);
    for (int i = 0; i < THREADS * EACH; i++) {
        assert_code(0, crew->codes[i / EACH]);
        assert_fine(crew->results[i / EACH][i % EACH]);
    }
}

static void test_send(void **state)
{
    struct tester *t = *state;
    if (runtime_is_local(t)) {
        tap_skip("this runtime is local: it has no send binding without workers");
    }
    t->options.binding = AIODUCT_BINDING_SEND;
    tester_client(t);
    assert_send(t);
}

static void test_auto_on_a_poll_runtime(void **state)
{
    struct tester *t = *state;
    if (runtime_is_local(t)) {
        tap_skip("this runtime is local");
    }
    tester_client(t);
    assert_send(t);
}

/* Two at once are one too many; one after the other is fine. */
static void *work_drive(void *user)
{
    struct calls *c = user;
    c->codes[RUN] = aioduct_client_run(c->client);
    c->codes[TURN] = aioduct_client_turn(c->client, 0);
    return NULL;
}

static void on_drive_elsewhere(struct result *r, struct aioduct_exchange *exchange, char event)
{
    pthread_t thread;
    (void)exchange;
    if (event == 'H' && pthread_create(&thread, NULL, work_drive, r->user) == 0) {
        pthread_join(thread, NULL);
    }
}

static void test_one_drives_at_a_time(void **state)
{
    struct tester *t = *state;
    if (runtime_is_local(t)) {
        tap_skip("this runtime is local");
    }
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct calls *c = tester_alloc(t, sizeof *c);
    c->client = t->client;
    struct result *r = tester_result(t);
    r->on_event = on_drive_elsewhere;
    r->user = c;
    tester_perform_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    assert_code(AIODUCT_E_THREAD, c->codes[RUN]);
    assert_code(AIODUCT_E_THREAD, c->codes[TURN]);
    struct result *next = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    elsewhere(work_drive, c);
    assert_code(0, c->codes[RUN]);
    assert_fine(next);
}

static void test_send_chooses_a_poll_runtime(void **state)
{
    struct tester *t = *state;
    t->options.runtime = "uring,epoll";
    t->options.binding = AIODUCT_BINDING_SEND;
    tester_client(t);
    assert_string_equal(aioduct_client_runtime(t->client), "epoll");
}

/* ---- workers: any thread asks, on every runtime ---- */

static void with_workers(struct tester *t, enum aioduct_binding binding)
{
    t->options.binding = binding;
    t->options.workers = 2;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct crew *crew = tester_alloc(t, sizeof *crew);
    crew->t = t;
    crew->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < THREADS * EACH; i++) {
        crew->results[i / EACH][i % EACH] = tester_result(t);
    }
    crew->waiting = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/wait")));
    elsewhere(work_finish, crew);
    uint64_t end = test_now_ms() + 20000;
    while (aioduct_client_outstanding(t->client) > 0 && test_now_ms() < end) {
        test_pause_ms(1);
    }
    assert_code(-ECANCELED, crew->waiting->code);
    for (int i = 0; i < THREADS * EACH; i++) {
        assert_code(0, crew->codes[i / EACH]);
        assert_fine(crew->results[i / EACH][i % EACH]);
    }
}

static void test_workers_auto(void **state)
{
    with_workers(*state, AIODUCT_BINDING_AUTO);
}

static void test_workers_send(void **state)
{
    with_workers(*state, AIODUCT_BINDING_SEND);
}

/* Information is read where it is written. */
static void test_info_on_another_thread(void **state)
{
    struct tester *t = *state;
    t->options.workers = 1;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/wait")));
    struct aioduct_exchange_info info = {.size = sizeof info};
    assert_int_equal(peer_wait_requests(t->peer, 1), 1);
    assert_code(AIODUCT_E_THREAD, aioduct_exchange_info(r->exchange, &info));
    peer_open(t->peer, GO);
}

static void test_local_with_workers(void **state)
{
    struct tester *t = *state;
    struct aioduct_error error = {0};
    t->options.binding = AIODUCT_BINDING_LOCAL;
    t->options.workers = 2;
    assert_code(-EINVAL, aioduct_client_create(&t->options, &t->client, &error));
    assert_non_null(strstr(error.message, "binding"));
}

/* ---- the end, twice ---- */

static void on_destroy_twice(struct result *r, struct aioduct_exchange *exchange, char event)
{
    int *codes = r->user;
    struct tester *t = r->tester;
    struct aioduct_client *client = t->client;
    (void)exchange;
    if (event == 'H') {
        t->client = NULL;
        codes[0] = aioduct_client_destroy(client);
        codes[1] = aioduct_client_destroy(client);
    }
}

static void test_destroy_twice(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    int *codes = tester_alloc(t, 2 * sizeof *codes);
    struct result *r = tester_result(t);
    r->on_event = on_destroy_twice;
    r->user = codes;
    struct aioduct_client *client = t->client;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    assert_code(0, aioduct_client_run(client));
    assert_code(0, codes[0]);
    assert_code(AIODUCT_E_CLIENT_CLOSED, codes[1]);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
}

/* ---- C64 ---- */

static void test_fork(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct calls *c = tester_alloc(t, sizeof *c);
    c->client = t->client;
    c->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *r = tester_submit(t, c->request);
    c->exchange = r->exchange;
    pid_t pid = tap_fork();
    if (pid == 0) {
        alarm(20);
        call_all(c);
        int bad = 0;
        for (int i = 0; i < CALL_COUNT; i++) {
            bad = c->codes[i] != AIODUCT_E_FORKED && bad == 0 ? i + 1 : bad;
        }
        _exit(bad);
    }
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    if (status != 0) {
        tap_fail("in the child, status %d: %s", status,
                 WIFEXITED(status) ? call_names[WEXITSTATUS(status) - 1] : "killed");
    }
    tester_run(t);
    assert_fine(r);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASE("local: every call from another thread is refused", test_local),
        HTTP_CASE("local: between turns too", test_local_at_rest),
        HTTP_CASE("auto on a local runtime is local", test_auto_on_a_local_runtime),
        HTTP_CASES("send: any thread asks a client that one thread drives", test_send),
        HTTP_CASE("auto on a poll runtime is send", test_auto_on_a_poll_runtime),
        HTTP_CASE("send: one thread drives at a time", test_one_drives_at_a_time),
        HTTP_CASE("send without workers chooses a poll runtime", test_send_chooses_a_poll_runtime),
        HTTP_CASES("workers: any thread asks", test_workers_auto),
        HTTP_CASE("workers with send: the same", test_workers_send),
        HTTP_CASE("information is refused to other threads", test_info_on_another_thread),
        HTTP_CASE("a local client has no workers", test_local_with_workers),
        HTTP_CASE("a second destroy is refused", test_destroy_twice),
        HTTP_CASE("C64: every call of a child is refused", test_fork),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
