/* SPDX-License-Identifier: MIT */
/* The ways to drive a client: blocking, callbacks, turn by turn, from a loop of one's own, with
 * workers and many threads. */
#include "tester.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define EACH 50

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        const char *head = peer_last_request(conn)->head;
        if (strncmp(head, "GET /hang ", 10) == 0) {
            peer_hang(conn);
        }
        peer_answer(conn, 200, "", "answer");
    }
}

static void assert_fine(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->body, "answer");
    assert_string_equal(r->order, "HBD");
}

/* ---- one thread ---- */

static void test_blocking(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_response *response = NULL;
    assert_code(0, aioduct_client_fetch(t->client, tester_request(t, "GET", peer_url(t->peer, "/")),
                                        &response, NULL));
    size_t count = 0;
    assert_string_equal(aioduct_response_body(response, &count), "answer");
    aioduct_response_destroy(response);
}

static void test_run(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    tester_run(t); /* nothing to do is done at once */
    for (int round = 0; round < 3; round++) {
        struct result *results[10];
        for (int i = 0; i < 10; i++) {
            results[i] = tester_submit(t, request);
        }
        tester_run(t);
        for (int i = 0; i < 10; i++) {
            assert_fine(results[i]);
        }
    }
}

static void test_poll_loop(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    int fd = aioduct_client_poll_fd(t->client);
    if (fd == AIODUCT_E_UNSUPPORTED) {
        tap_skip("this runtime has no descriptor to poll");
    }
    assert_true(fd >= 0);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *results[10];
    for (int i = 0; i < 10; i++) {
        results[i] = tester_submit(t, request);
    }
    while (aioduct_client_outstanding(t->client) > 0) {
        struct pollfd event = {.fd = fd, .events = POLLIN};
        assert_true(poll(&event, 1, 10000) == 1); /* it says when there is work */
        assert_code(0, aioduct_client_turn(t->client, 0));
    }
    for (int i = 0; i < 10; i++) {
        assert_fine(results[i]);
    }
    /* Idle, it is quiet: the answers are in, and nothing else is due for a second. */
    for (int i = 0; i < 20; i++) {
        struct pollfd event = {.fd = fd, .events = POLLIN};
        if (poll(&event, 1, 50) == 0) {
            break;
        }
        assert_code(0, aioduct_client_turn(t->client, 0));
    }
    int woken = 0;
    for (int i = 0; i < 10; i++) {
        struct pollfd event = {.fd = fd, .events = POLLIN};
        if (poll(&event, 1, 30) > 0) {
            woken++;
            assert_code(0, aioduct_client_turn(t->client, 0));
        }
    }
    assert_in_range(woken, 0, 2);
}

/* A deadline makes the descriptor readable too. */
static void test_poll_deadline(void **state)
{
    struct tester *t = *state;
    t->options.head_timeout_ms = 200;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    int fd = aioduct_client_poll_fd(t->client);
    if (fd == AIODUCT_E_UNSUPPORTED) {
        tap_skip("this runtime has no descriptor to poll");
    }
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/hang")));
    uint64_t start = test_now_ms();
    while (r->done_count == 0) {
        struct pollfd event = {.fd = fd, .events = POLLIN};
        assert_true(poll(&event, 1, 20000) == 1);
        assert_code(0, aioduct_client_turn(t->client, 0));
    }
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
    assert_in_range(test_now_ms() - start, 200, 15000);
}

static void test_turn_timeout(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    uint64_t start = test_now_ms();
    assert_code(0, aioduct_client_turn(t->client, 0));
    assert_true(test_now_ms() - start < 10000);
    start = test_now_ms();
    assert_code(0, aioduct_client_turn(t->client, 150));
    assert_true(test_now_ms() - start < 10000);
}

/* ---- threads ---- */

struct crew {
    struct tester *t;
    struct aioduct_request *request;
    struct result *results[THREADS][EACH];
    int codes[THREADS];
    int next; /* atomic: number of the next thread */
    int callback_threads;
    pthread_t seen[16];
    pthread_mutex_t lock;
};

static void on_note_thread(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct crew *crew = r->user;
    (void)exchange;
    if (event != 'D') {
        return;
    }
    pthread_mutex_lock(&crew->lock);
    int i = 0;
    while (i < crew->callback_threads && !pthread_equal(crew->seen[i], pthread_self())) {
        i++;
    }
    if (i == crew->callback_threads && i < 16) {
        crew->seen[crew->callback_threads++] = pthread_self();
    }
    pthread_mutex_unlock(&crew->lock);
}

static struct crew *new_crew(struct tester *t)
{
    struct crew *crew = tester_alloc(t, sizeof *crew);
    crew->t = t;
    crew->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    pthread_mutex_init(&crew->lock, NULL);
    for (int i = 0; i < THREADS; i++) {
        for (int k = 0; k < EACH; k++) {
            crew->results[i][k] = tester_result(t);
            crew->results[i][k]->on_event = on_note_thread;
            crew->results[i][k]->user = crew;
        }
    }
    return crew;
}

static void run_crew(struct crew *crew, void *(*work)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, crew), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void wait_done(struct crew *crew)
{
    uint64_t end = test_now_ms() + 20000;
    while (aioduct_client_outstanding(crew->t->client) > 0 && test_now_ms() < end) {
        test_pause_ms(1);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_code(0, crew->codes[i]);
        for (int k = 0; k < EACH; k++) {
            assert_fine(crew->results[i][k]);
        }
    }
}

static void *work_submit(void *user)
{
    struct crew *crew = user;
    int me = __atomic_fetch_add(&crew->next, 1, __ATOMIC_RELAXED);
    for (int k = 0; k < EACH && crew->codes[me] == 0; k++) {
        crew->codes[me] = tester_submit_code(crew->t, crew->request, crew->results[me][k]);
    }
    return NULL;
}

static void *work_perform(void *user)
{
    struct crew *crew = user;
    int me = __atomic_fetch_add(&crew->next, 1, __ATOMIC_RELAXED);
    for (int k = 0; k < EACH && crew->codes[me] == 0; k++) {
        crew->codes[me] = tester_perform_code(crew->t, crew->request, crew->results[me][k]);
    }
    return NULL;
}

static void workers_client(struct tester *t)
{
    t->options.workers = 2;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
}

static void test_workers_submit(void **state)
{
    struct tester *t = *state;
    workers_client(t);
    struct crew *crew = new_crew(t);
    run_crew(crew, work_submit);
    wait_done(crew);
    assert_in_range(crew->callback_threads, 1, 2); /* callbacks run on workers alone */
    assert_int_equal(peer_requests(t->peer), THREADS * EACH);
}

static void test_workers_perform(void **state)
{
    struct tester *t = *state;
    workers_client(t);
    struct crew *crew = new_crew(t);
    run_crew(crew, work_perform);
    wait_done(crew);
    assert_in_range(crew->callback_threads, 1, 2);
}

struct late {
    struct aioduct_client *client;
    struct aioduct_request *request;
    int code;
};

/* One worker is long gone when a callback on the other asks for more. */
static void on_late_end(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct late *late = r->user;
    (void)exchange;
    if (event == 'D') {
        test_pause_ms(300);
        late->code = aioduct_client_submit(late->client, late->request, NULL, NULL, NULL);
    }
}

static void test_workers_submit_at_the_end(void **state)
{
    struct tester *t = *state;
    workers_client(t);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/hang"));
    struct late *late = tester_alloc(t, sizeof *late);
    *late = (struct late){t->client, request, 0};
    tester_submit(t, request); /* on the one worker */
    struct result *r = tester_result(t);
    r->on_event = on_late_end;
    r->user = late;
    tester_submit_into(t, request, r); /* on the other */
    assert_int_equal(peer_wait_requests(t->peer, 2), 2);
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, late->code);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
}

static void test_workers_are_not_driven(void **state)
{
    struct tester *t = *state;
    workers_client(t);
    assert_code(-EINVAL, aioduct_client_run(t->client));
    assert_code(-EINVAL, aioduct_client_turn(t->client, 0));
    assert_code(-EINVAL, aioduct_client_poll_fd(t->client));
}

static void test_workers_destroy(void **state)
{
    struct tester *t = *state;
    workers_client(t);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/hang"));
    struct result *results[10];
    for (int i = 0; i < 10; i++) {
        results[i] = tester_submit(t, request);
    }
    assert_true(peer_wait_requests(t->peer, 1) >= 1);
    tester_destroy(t);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(results[i]->done_count, 1);
        assert_code(AIODUCT_E_CLIENT_CLOSED, results[i]->code);
    }
}

static void test_workers_cancel(void **state)
{
    struct tester *t = *state;
    workers_client(t);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/hang"));
    struct result *results[10];
    for (int i = 0; i < 10; i++) {
        results[i] = tester_submit(t, request);
    }
    assert_true(peer_wait_requests(t->peer, 5) >= 5);
    for (int i = 0; i < 10; i++) {
        aioduct_exchange_cancel(results[i]->exchange);
    }
    uint64_t end = test_now_ms() + 10000;
    while (aioduct_client_outstanding(t->client) > 0 && test_now_ms() < end) {
        test_pause_ms(1);
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(results[i]->done_count, 1);
        assert_code(-ECANCELED, results[i]->code);
    }
}

/* perform, called on a worker's own thread, would wait for itself. */
static void on_perform_nested(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct crew *crew = r->user;
    (void)exchange;
    if (event == 'H') {
        struct aioduct_callbacks none = {.size = sizeof none};
        crew->codes[0] =
            aioduct_client_perform(r->tester->client, crew->request, &none, NULL, NULL);
    }
}

static void test_workers_nested(void **state)
{
    struct tester *t = *state;
    workers_client(t);
    struct crew *crew = new_crew(t);
    struct result *r = tester_result(t);
    r->on_event = on_perform_nested;
    r->user = crew;
    tester_perform_into(t, crew->request, r);
    assert_fine(r);
    assert_code(AIODUCT_E_NESTED, crew->codes[0]);
}

/* ---- C64 ---- */

static int in_child(struct tester *t, struct aioduct_request *request)
{
    struct aioduct_callbacks none = {.size = sizeof none};
    int bad = 0;
    bad |= aioduct_client_submit(t->client, request, &none, NULL, NULL) != AIODUCT_E_FORKED;
    bad |= (aioduct_client_perform(t->client, request, &none, NULL, NULL) != AIODUCT_E_FORKED) << 1;
    bad |= (aioduct_client_run(t->client) != AIODUCT_E_FORKED) << 2;
    bad |= (aioduct_client_turn(t->client, 0) != AIODUCT_E_FORKED) << 3;
    aioduct_client_destroy(t->client);
    return bad;
}

static void test_fork(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_fine(tester_perform(t, request));
    pid_t pid = tap_fork();
    if (pid == 0) {
        alarm(20);
        _exit(in_child(t, request));
    }
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_int_equal(status, 0);
    for (int i = 0; i < 3; i++) {
        struct result *r = tester_perform(t, request);
        assert_fine(r);
        assert_int_equal(r->info.reused, 1);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("blocking: fetch", test_blocking),
        HTTP_CASES("callbacks: submit and run", test_run),
        HTTP_CASES("a loop of one's own: poll and turn", test_poll_loop),
        HTTP_CASE("a deadline wakes a loop of one's own", test_poll_deadline),
        HTTP_CASE("turn waits no longer than told", test_turn_timeout),
        HTTP_CASES("two workers serve submissions from eight threads", test_workers_submit),
        HTTP_CASES("two workers serve eight threads that wait", test_workers_perform),
        HTTP_CASE("a client with workers is not driven by its caller", test_workers_are_not_driven),
        HTTP_CASES("C122: destroy ends the exchanges of workers", test_workers_destroy),
        HTTP_CASE("a submit in on_done is refused when the other worker has ended",
                  test_workers_submit_at_the_end),
        HTTP_CASES("exchanges of workers are cancelled from another thread", test_workers_cancel),
        HTTP_CASE("a blocking call on a worker is refused", test_workers_nested),
        HTTP_CASES("C64: a child's calls on the parent's client are refused", test_fork),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
