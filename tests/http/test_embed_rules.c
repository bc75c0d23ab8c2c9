/* SPDX-License-Identifier: MIT */
/* A client inside the application's loop: who else may use it, and what is refused. */
#include "embed_place.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- blocking calls ---- */

static void on_block_from_app(void *arg)
{
    struct place *place = arg;
    struct aioduct_client *client = place->t->client;
    struct aioduct_callbacks none = {.size = sizeof none};
    place->codes[0] = aioduct_client_perform(client, place->request, &none, NULL, NULL);
    place->codes[1] = aioduct_client_run(client);
    place->codes[2] = aioduct_client_turn(client, 0);
    app->stop(place->loop);
}

static void on_block_in_callback(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        on_block_from_app(r->user);
    }
}

static void test_blocking(void **state)
{
    struct tester *t = *state;
    if (app->ring) {
        tap_skip("a ring is the application's to wait for");
    }
    struct place *place = place_new(t);
    app->start_ticks(place->loop, &place->ticks);
    place->request = tester_request(t, "GET", peer_url(t->peer, "/gate"));
    app->later(place->loop, 30, place_open_gate_after_ticks, place);
    place_assert_fine(
        tester_perform(t, place->request)); /* the application's events run meanwhile */
    assert_true(place->ticks >= TICKS);
    struct result *r = place_ask(place, "/");
    assert_code(0, aioduct_client_run(t->client));
    place_assert_fine(r);
    assert_code(0, aioduct_client_turn(t->client, 1));
    app->stop_ticks(place->loop);
    place_end(place);
}

static void test_blocking_nested(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    int refused = app->ring ? AIODUCT_E_UNSUPPORTED : AIODUCT_E_NESTED;
    place->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    app->later(place->loop, 1, on_block_from_app, place);
    app->run(place->loop);
    for (int i = 0; i < 3; i++) {
        assert_code(refused, place->codes[i]);
    }
    assert_int_equal(peer_requests(t->peer), 0);
    assert_int_equal(aioduct_client_outstanding(t->client), 0);
    struct result *r = place_ask(place, "/");
    r->on_event = on_block_in_callback;
    app->run(place->loop);
    place_assert_fine(r);
    for (int i = 0; i < 3; i++) {
        assert_code(AIODUCT_E_NESTED, place->codes[i]);
    }
    assert_int_equal(peer_requests(t->peer), 1);
    place_end(place);
}

/* As a dialog does that a callback shows: the other request is answered long before it ends. */
static void on_nest(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    struct place *place = r->user;
    if (event != 'D') {
        return;
    }
    place_open_gate(place);
    place_run_for(place, 50);
    place->codes[0] = (int)strlen(place->result->order);
    place_count_down(place);
}

static void test_nested_loop(void **state)
{
    struct tester *t = *state;
    if (!app->nests) {
        tap_skip("this loop does not run inside itself");
    }
    struct place *place = place_new(t);
    place->result = place_ask(place, "/gate");
    struct result *r = place_ask(place, "/");
    r->on_event = on_nest;
    app->run(place->loop);
    place_assert_fine(r);
    assert_int_equal(place->codes[0], 0); /* callbacks do not come inside each other */
    place_assert_fine(place->result);
    place_end(place);
}

/* ---- threads ---- */

static void *work(void *arg)
{
    struct place *place = arg;
    struct tester *t = place->t;
    struct aioduct_callbacks none = {.size = sizeof none};
    place->codes[0] = tester_submit_code(t, place->request, place->result);
    place->codes[1] = aioduct_client_perform(t->client, place->request, &none, NULL, NULL);
    place->codes[2] = aioduct_client_turn(t->client, 0);
    place->codes[3] = aioduct_client_destroy(t->client);
    return NULL;
}

static void test_other_thread(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    pthread_t thread;
    place->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    place->result = tester_result(t);
    place->result->on_event = place_on_count;
    place->result->user = place;
    place->left = 1;
    assert_int_equal(pthread_create(&thread, NULL, work, place), 0);
    pthread_join(thread, NULL);
    assert_code(app->ring ? AIODUCT_E_THREAD : 0, place->codes[0]);
    assert_code(AIODUCT_E_THREAD, place->codes[1]);
    assert_code(AIODUCT_E_THREAD, place->codes[2]);
    assert_code(AIODUCT_E_THREAD, place->codes[3]);
    if (!app->ring) {
        app->run(place->loop);
        place_assert_fine(place->result);
    }
    place->left = 0;
    struct result *r = place_ask(place, "/");
    app->run(place->loop);
    place_assert_fine(r);
    place_end(place);
}

static void *run_loop(void *arg)
{
    struct place *place = arg;
    app->run(place->loop);
    tester_destroy(place->t); /* it is this thread's now */
    return NULL;
}

static void test_loop_moves(void **state)
{
    struct tester *t = *state;
    if (app->ring) {
        tap_skip("a ring stays on its thread");
    }
    struct place *place = place_new(t);
    struct result *r = place_ask(place, "/");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, place), 0);
    pthread_join(thread, NULL);
    place_assert_fine(r);
    assert_null(t->client);
    place_end(place);
}

/* ---- fork ---- */

static int in_child(struct place *place)
{
    struct aioduct_client *client = place->t->client;
    struct aioduct_callbacks none = {.size = sizeof none};
    int bad = 0;
    bad |= aioduct_client_perform(client, place->request, &none, NULL, NULL) != AIODUCT_E_FORKED;
    bad |= (aioduct_client_submit(client, place->request, &none, NULL, NULL) != AIODUCT_E_FORKED)
           << 1;
    if (app->ring) {
        aioduct_client_destroy(client); /* the ring itself is the parent's */
        return bad;
    }
    app->after_fork(place->loop);
    aioduct_client_destroy(client);
    bad |= (!app->is_empty(place->loop)) << 2;
    app->start_ticks(place->loop, &place->ticks);
    place_run_for_ticks(place);
    bad |= (place->ticks < TICKS) << 3;
    return bad;
}

static void test_fork(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    place->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_non_null(place->request);
    struct result *first = place_ask(place, "/");
    app->run(place->loop);
    place_assert_fine(first);
    pid_t pid = tap_fork();
    if (pid == 0) {
        alarm(20);
        _exit(in_child(place));
    }
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_int_equal(status, 0);
    for (int i = 0; i < 3; i++) {
        struct result *r = place_ask(place, "/");
        app->run(place->loop);
        place_assert_fine(r);
        assert_int_equal(r->info.reused, 1);
    }
    place_end(place);
}

/* ---- refusals ---- */

static void refused(struct tester *t, int code, const char *word)
{
    struct aioduct_error error = {0};
    struct aioduct_client *client = NULL;
    assert_code(code, aioduct_client_create(&t->options, &client, &error));
    if (strstr(error.message, word) == NULL) {
        tap_fail("'%s' is not in '%s'", word, error.message);
    }
}

static void test_refusals(void **state)
{
    struct tester *t = *state;
    void *loop = app->create();
    t->options.loop = app->foreign(loop);
    t->options.workers = 1;
    refused(t, -EINVAL, "workers");
    t->options.workers = 0;
    t->options.loop.loop = NULL;
    refused(t, -EINVAL, "loop.loop");
    t->options.loop = app->foreign(loop);
    t->options.loop.kind = NULL;
    refused(t, -EINVAL, "loop.kind");
    t->options.loop = app->foreign(loop);
    t->options.runtime = "epoll"; /* which has no such loop */
    refused(t, AIODUCT_E_PLUGIN_CAPABILITY, "cannot live in the application's loop");
    t->options.runtime = app->runtime;
    t->options.loop.kind = "tape"; /* nobody's */
    refused(t, AIODUCT_E_PLUGIN_CAPABILITY, "'tape'");
    t->options.runtime = NULL;
    refused(t, AIODUCT_E_PLUGIN_NOT_FOUND, "'tape'");
    if (!app->ring) {
        t->options.loop = app->foreign(loop);
        t->options.loop.witness = (void (*)(void))test_refusals;
        refused(t, AIODUCT_E_CLASH, "another copy");
    }
    t->options.loop = app->foreign(loop);
    t->options.runtime = "epoll,libev,libevent,uring,glibrt"; /* the one that can */
    tester_client(t);
    assert_string_equal(aioduct_client_runtime(t->client), app->runtime);
    tester_destroy(t);
    assert_true(app->is_empty(loop));
    app->destroy(loop);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("a blocking call runs the application's loop", test_blocking),
        HTTP_CASE("a blocking call while the loop runs is refused without effect",
                  test_blocking_nested),
        HTTP_CASE("a loop that runs inside a callback keeps other callbacks waiting",
                  test_nested_loop),
        HTTP_CASE("other threads submit and nothing else", test_other_thread),
        HTTP_CASE("the loop may be run by another thread", test_loop_moves),
        HTTP_CASES("C64: a child takes the client out of its copy of the loop", test_fork),
        HTTP_CASE("what cannot be is refused in words", test_refusals),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
