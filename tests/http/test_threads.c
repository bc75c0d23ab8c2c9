/* SPDX-License-Identifier: MIT */
/* A program of many threads: eight of them ask one client, each in all the ways there are, and each
 * request is answered once, with its own answer. Nothing here knows which runtime it runs on. */
#include "tester.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define EACH 60 /* 20 of each way to ask */

static void play_echo(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        char path[32] = "";
        sscanf(peer_last_request(conn)->head, "GET %31s", path);
        peer_answer(conn, 200, "", path);
    }
}

struct ask {
    struct aioduct_request *request;
    char path[32];
    struct result *result; /* of a submit or a perform */
    int code;
    bool right; /* of a fetch */
};

struct program {
    struct tester *t;
    struct ask asks[THREADS][EACH];
    int next; /* atomic: number of the next thread */
};

static void fetch(struct program *p, struct ask *ask)
{
    struct aioduct_response *response = NULL;
    ask->code = aioduct_client_fetch(p->t->client, ask->request, &response, NULL);
    if (ask->code == 0) {
        size_t count = 0;
        const char *body = aioduct_response_body(response, &count);
        ask->right = aioduct_response_status(response) == 200 && strcmp(body, ask->path) == 0;
    }
    aioduct_response_destroy(response);
}

static void *work(void *user)
{
    struct program *p = user;
    struct ask *asks = p->asks[__atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED)];
    for (int i = 0; i < EACH; i++) {
        struct ask *ask = &asks[i];
        if (i % 3 == 0) {
            ask->code = tester_submit_code(p->t, ask->request, ask->result);
        } else if (i % 3 == 1) {
            ask->code = tester_perform_code(p->t, ask->request, ask->result);
        } else {
            fetch(p, ask);
        }
    }
    return NULL;
}

static void run(struct tester *t, int workers)
{
    t->options.workers = workers;
    tester_client(t);
    tester_peer(t, play_echo, NULL);
    struct program *p = tester_alloc(t, sizeof *p);
    pthread_t threads[THREADS];
    p->t = t;
    for (int i = 0; i < THREADS * EACH; i++) {
        struct ask *ask = &p->asks[i / EACH][i % EACH];
        snprintf(ask->path, sizeof ask->path, "/%d/%d", i / EACH, i % EACH);
        ask->request = tester_request(t, "GET", peer_url(t->peer, ask->path));
        ask->result = i % EACH % 3 == 2 ? NULL : tester_result(t);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, p), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    uint64_t end = test_now_ms() + 20000;
    while (aioduct_client_outstanding(t->client) > 0 && test_now_ms() < end) {
        test_pause_ms(1);
    }
    for (int i = 0; i < THREADS * EACH; i++) {
        const struct ask *ask = &p->asks[i / EACH][i % EACH];
        assert_code(0, ask->code);
        if (ask->result == NULL) {
            assert_true(ask->right);
            continue;
        }
        assert_answer(ask->result, 200);
        assert_string_equal(ask->result->body, ask->path);
        assert_string_equal(ask->result->order, "HBD");
    }
    assert_int_equal(peer_requests(t->peer), THREADS * EACH);
    assert_in_range(peer_connections(t->peer), 1, 64 * workers);
}

static void test_one_worker(void **state)
{
    run(*state, 1);
}

static void test_two_workers(void **state)
{
    run(*state, 2);
}

static void test_as_many_workers(void **state)
{
    run(*state, THREADS);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("eight threads, one worker", test_one_worker),
        HTTP_CASES("eight threads, two workers", test_two_workers),
        HTTP_CASE("eight threads, eight workers", test_as_many_workers),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
