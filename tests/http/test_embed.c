/* SPDX-License-Identifier: MIT */
/* A client inside the application's loop, which the application runs; APP says which kind. */
#include "embed_app.h"
#include "tester.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct app *const app = &APP;

enum gate { GO };

#define LARGE_BYTES (8u * 1024 * 1024)

/* Bytes that tell their place. */
static void fill(char *bytes, size_t count, uint64_t at)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (char)((at + i) * 7 >> 3);
    }
}

static void send_large(struct peer_conn *conn)
{
    char piece[65536];
    peer_format(conn, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", LARGE_BYTES);
    for (uint64_t at = 0; at < LARGE_BYTES; at += sizeof piece) {
        fill(piece, sizeof piece, at);
        if (!peer_send_bytes(conn, piece, sizeof piece)) {
            return;
        }
    }
}

static void play(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        const char *head = peer_last_request(conn)->head;
        if (strncmp(head, "GET /hang ", 10) == 0) {
            peer_hang(conn);
        }
        if (strncmp(head, "GET /gate ", 10) == 0) {
            peer_wait_gate(conn, GO);
        }
        if (strncmp(head, "GET /large ", 11) == 0) {
            send_large(conn);
            continue;
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

/* ---- the application ---- */

struct place {
    struct tester *t;
    void *loop;
    struct aioduct_client *other; /* a second client */
    unsigned left;                /* exchanges until the loop is to stop */
    unsigned ticks;
    struct aioduct_request *request;
    struct result *result;
    int codes[4];
};

static void use_loop(struct place *place)
{
    struct tester *t = place->t;
    t->options.loop = app->foreign(place->loop);
    tester_client(t);
    app->know(place->loop, &t->client);
    app->know(place->loop, &place->other);
}

static struct place *place_new(struct tester *t)
{
    struct place *place = tester_alloc(t, sizeof *place);
    place->t = t;
    place->loop = app->create();
    assert_non_null(place->loop);
    use_loop(place);
    tester_peer(t, play, NULL);
    return place;
}

/* The loop was the application's before, and is again. */
static void place_end(struct place *place)
{
    tester_destroy(place->t);
    aioduct_client_destroy(place->other);
    place->other = NULL;
    assert_true(app->is_empty(place->loop));
    app->destroy(place->loop);
}

static void count_down(struct place *place)
{
    if (--place->left == 0) {
        app->stop(place->loop);
    }
}

static void on_count(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        count_down(r->user);
    }
}

static struct result *ask(struct place *place, const char *path)
{
    struct result *r = tester_result(place->t);
    r->on_event = on_count;
    r->user = place;
    place->left++;
    tester_submit_into(place->t, tester_request(place->t, "GET", peer_url(place->t->peer, path)),
                       r);
    return r;
}

static void stop_now(void *arg)
{
    struct place *place = arg;
    app->stop(place->loop);
}

static void run_for(struct place *place, unsigned ms)
{
    app->later(place->loop, ms, stop_now, place);
    app->run(place->loop);
}

/* ---- requests ---- */

static void test_requests(void **state)
{
    struct place *place = place_new(*state);
    assert_string_equal(aioduct_client_runtime(place->t->client), app->runtime);
    assert_code(AIODUCT_E_UNSUPPORTED, aioduct_client_poll_fd(place->t->client));
    for (int round = 0; round < 3; round++) {
        struct result *results[10];
        for (int i = 0; i < 10; i++) {
            results[i] = ask(place, "/");
        }
        assert_int_equal(results[0]->done_count, 0); /* nothing happens before it runs */
        app->run(place->loop);
        for (int i = 0; i < 10; i++) {
            assert_fine(results[i]);
        }
    }
    place_end(place);
}

static void on_open_gate(void *arg)
{
    struct place *place = arg;
    peer_open(place->t->peer, GO);
}

/* Not before the application's ticks have come, however late all of them are. */
static void on_open_gate_after_ticks(void *arg)
{
    struct place *place = arg;
    if (place->ticks < 3) {
        app->later(place->loop, 10, on_open_gate_after_ticks, place);
    } else {
        on_open_gate(place);
    }
}

static void test_own_events(void **state)
{
    struct place *place = place_new(*state);
    app->start_ticks(place->loop, &place->ticks);
    struct result *r = ask(place, "/gate");
    app->later(place->loop, 30, on_open_gate_after_ticks, place);
    app->run(place->loop);
    assert_fine(r);
    assert_true(place->ticks >= 3);
    app->stop_ticks(place->loop);
    place_end(place);
}

/* Nothing else wakes the loop. */
static void test_deadline(void **state)
{
    struct tester *t = *state;
    t->options.head_timeout_ms = 100;
    struct place *place = place_new(t);
    uint64_t start = test_now_ms();
    struct result *r = ask(place, "/hang");
    app->run(place->loop);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_HEAD);
    assert_in_range(test_now_ms() - start, 100, 5000);
    place_end(place);
}

/* ---- bodies ---- */

struct large {
    struct place *place;
    struct aioduct_exchange *exchange;
    uint64_t received, wrong, pauses;
    int code;
};

static void on_resume(void *arg)
{
    struct large *large = arg;
    aioduct_exchange_resume(large->exchange);
}

/* Paused at each mebibyte; an event of the application goes on with it. */
static int on_large_body(struct aioduct_exchange *exchange, const void *bytes, size_t count,
                         void *user)
{
    struct large *large = user;
    char want[65536];
    for (size_t done = 0; done < count;) {
        size_t part = count - done < sizeof want ? count - done : sizeof want;
        fill(want, part, large->received + done);
        large->wrong += memcmp(want, (const char *)bytes + done, part) != 0;
        done += part;
    }
    uint64_t before = large->received >> 20;
    large->received += count;
    if (large->received >> 20 != before && large->received < LARGE_BYTES) {
        large->pauses++;
        aioduct_exchange_pause(exchange);
        app->later(large->place->loop, 1, on_resume, large);
    }
    return 0;
}

static void on_large_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                          void *user)
{
    struct large *large = user;
    (void)exchange;
    large->code = error->code;
    app->stop(large->place->loop);
}

static void test_large(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    struct large large = {.place = place, .code = 1};
    const struct aioduct_callbacks callbacks = {
        .size = sizeof callbacks, .on_body = on_large_body, .on_done = on_large_done};
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/large"));
    assert_code(0, aioduct_client_submit(t->client, request, &callbacks, &large, &large.exchange));
    app->run(place->loop);
    assert_code(0, large.code);
    assert_int_equal(large.received, LARGE_BYTES);
    assert_int_equal(large.wrong, 0);
    assert_in_range(large.pauses, 1, 8);
    place_end(place);
}

static void test_upload(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    char *body = tester_alloc(t, LARGE_BYTES);
    fill(body, LARGE_BYTES, 0);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_copy(request, body, LARGE_BYTES));
    struct result *r = tester_result(t);
    r->on_event = on_count;
    r->user = place;
    place->left = 1;
    tester_submit_into(t, request, r);
    app->run(place->loop);
    assert_fine(r);
    assert_int_equal(peer_request(t->peer, 0)->body_bytes, LARGE_BYTES);
    assert_memory_equal(peer_request(t->peer, 0)->body, body, LARGE_BYTES);
    place_end(place);
}

static void on_ask_again(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct place *place = r->user;
    (void)exchange;
    if (event == 'D') {
        place->result = ask(place, "/");
        count_down(place);
    }
}

static void test_submit_in_callback(void **state)
{
    struct place *place = place_new(*state);
    struct result *r = ask(place, "/");
    r->on_event = on_ask_again;
    app->run(place->loop);
    assert_fine(r);
    assert_fine(place->result);
    assert_int_equal(place->result->info.reused, 1);
    place_end(place);
}

static void on_ask_from_app(void *arg)
{
    struct place *place = arg;
    place->result = ask(place, "/");
    assert_int_equal(place->result->done_count, 0);
}

static void test_submit_in_own_event(void **state)
{
    struct place *place = place_new(*state);
    app->later(place->loop, 1, on_ask_from_app, place);
    app->run(place->loop);
    assert_fine(place->result);
    place_end(place);
}

/* ---- cancel ---- */

static void on_cancel_from_app(void *arg)
{
    struct place *place = arg;
    aioduct_exchange_cancel(place->result->exchange);
}

static void test_cancel(void **state)
{
    struct place *place = place_new(*state);
    place->result = ask(place, "/hang");
    app->later(place->loop, 20, on_cancel_from_app, place);
    app->run(place->loop);
    assert_code(-ECANCELED, place->result->code);
    struct result *r = ask(place, "/"); /* and before it runs at all */
    aioduct_exchange_cancel(r->exchange);
    app->run(place->loop);
    assert_code(-ECANCELED, r->code);
    place_end(place);
}

/* ---- destroy ---- */

static void on_destroy_at(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct place *place = r->user;
    (void)exchange;
    if (event == (char)place->codes[0]) {
        tester_destroy(place->t);
        app->later(place->loop, 5, stop_now, place); /* the loop goes on without it */
    }
}

static void test_destroy_in_callback(void **state)
{
    struct tester *t = *state;
    static const char events[] = "HBD";
    struct place *place = place_new(t);
    for (const char *event = events; *event != '\0'; event++) {
        if (t->client == NULL) {
            tester_client(t);
        }
        place->codes[0] = *event;
        struct result *r = ask(place, "/");
        struct result *hanging = ask(place, "/hang");
        r->on_event = on_destroy_at;
        hanging->on_event = NULL;
        app->run(place->loop);
        assert_int_equal(r->done_count, 1);
        assert_code(*event == 'D' ? 0 : AIODUCT_E_CLIENT_CLOSED, r->code);
        assert_int_equal(hanging->done_count, 1);
        assert_code(AIODUCT_E_CLIENT_CLOSED, hanging->code);
        assert_true(app->is_empty(place->loop));
    }
    place_end(place);
}

static void on_destroy_from_app(void *arg)
{
    struct place *place = arg;
    struct result *r = place->result;
    r->on_event = NULL;
    assert_int_equal(r->done_count, 0);
    tester_destroy(place->t);
    place->codes[0] = r->done_count; /* it is over when destroy returns */
    app->later(place->loop, 5, stop_now, place);
}

static void test_destroy_in_own_event(void **state)
{
    struct place *place = place_new(*state);
    place->result = ask(place, "/hang");
    app->later(place->loop, 20, on_destroy_from_app, place);
    app->run(place->loop);
    assert_int_equal(place->codes[0], 1);
    assert_code(AIODUCT_E_CLIENT_CLOSED, place->result->code);
    place_end(place);
}

static void test_destroy_at_rest(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    struct result *r = ask(place, "/");
    app->run(place->loop);
    assert_fine(r);
    struct result *never = ask(place, "/"); /* has not begun */
    never->on_event = NULL;
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, never->code);
    assert_true(app->is_empty(place->loop));

    tester_client(t);
    struct result *hanging = ask(place, "/hang"); /* has */
    hanging->on_event = NULL;
    run_for(place, 20);
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, hanging->code);
    for (int i = 0; i < 50; i++) { /* nothing adds up */
        tester_client(t);
        tester_destroy(t);
    }
    place_end(place);
}

/* ---- two clients ---- */

static void on_destroy_other(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct place *place = r->user;
    (void)exchange;
    if (event == 'D') {
        struct aioduct_client *other = place->other;
        place->other = NULL;
        aioduct_client_destroy(other);
        count_down(place);
    }
}

static void test_two_clients(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    struct aioduct_error error = {0};
    assert_code(0, aioduct_client_create(&t->options, &place->other, &error));
    for (int round = 0; round < 2; round++) {
        struct aioduct_client *mine = t->client;
        struct result *a[5], *b[5];
        for (int i = 0; i < 5; i++) {
            a[i] = ask(place, "/");
            t->client = place->other;
            b[i] = ask(place, "/");
            t->client = mine;
        }
        if (round == 1) { /* and one ends the other, whose hanging exchange ends too */
            t->client = place->other;
            struct result *hanging = ask(place, "/hang");
            t->client = mine;
            app->run(place->loop);
            assert_code(AIODUCT_E_CLIENT_CLOSED, hanging->code);
        } else {
            app->run(place->loop);
            a[0]->on_event = NULL;
        }
        for (int i = 0; i < 5; i++) {
            assert_fine(a[i]);
            assert_fine(b[i]);
        }
        if (round == 0) {
            /* for the second round: a[4]'s end destroys the other */
            struct result *r = ask(place, "/gate");
            r->on_event = on_destroy_other;
            app->later(place->loop, 50, on_open_gate, place);
        }
    }
    assert_null(place->other);
    place_end(place);
}

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
    app->later(place->loop, 30, on_open_gate, place);
    assert_fine(tester_perform(t, place->request)); /* the application's events run meanwhile */
    assert_true(place->ticks >= 3);
    struct result *r = ask(place, "/");
    assert_code(0, aioduct_client_run(t->client));
    assert_fine(r);
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
    struct result *r = ask(place, "/");
    r->on_event = on_block_in_callback;
    app->run(place->loop);
    assert_fine(r);
    for (int i = 0; i < 3; i++) {
        assert_code(AIODUCT_E_NESTED, place->codes[i]);
    }
    assert_int_equal(peer_requests(t->peer), 1);
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
    place->result->on_event = on_count;
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
        assert_fine(place->result);
    }
    place->left = 0;
    struct result *r = ask(place, "/");
    app->run(place->loop);
    assert_fine(r);
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
    struct result *r = ask(place, "/");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, place), 0);
    pthread_join(thread, NULL);
    assert_fine(r);
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
    run_for(place, 30);
    bad |= (place->ticks < 3) << 3;
    return bad;
}

static void test_fork(void **state)
{
    struct tester *t = *state;
    struct place *place = place_new(t);
    place->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_non_null(place->request);
    struct result *first = ask(place, "/");
    app->run(place->loop);
    assert_fine(first);
    pid_t pid = tap_fork();
    if (pid == 0) {
        alarm(20);
        _exit(in_child(place));
    }
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_int_equal(status, 0);
    for (int i = 0; i < 3; i++) {
        struct result *r = ask(place, "/");
        app->run(place->loop);
        assert_fine(r);
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
    t->options.runtime = "epoll,libev,libevent,uring"; /* the one that can */
    tester_client(t);
    assert_string_equal(aioduct_client_runtime(t->client), app->runtime);
    tester_destroy(t);
    assert_true(app->is_empty(loop));
    app->destroy(loop);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("requests complete while the application runs its loop", test_requests),
        HTTP_CASES("the application's own events go on meanwhile", test_own_events),
        HTTP_CASE("a deadline wakes the application's loop", test_deadline),
        HTTP_CASES("a large body arrives, paused and resumed by the application's events",
                   test_large),
        HTTP_CASES("a large body is sent", test_upload),
        HTTP_CASES("a callback submits", test_submit_in_callback),
        HTTP_CASES("an event of the application submits", test_submit_in_own_event),
        HTTP_CASES("an event of the application cancels", test_cancel),
        HTTP_CASES("a callback destroys the client, and the loop goes on",
                   test_destroy_in_callback),
        HTTP_CASES("an event of the application destroys the client", test_destroy_in_own_event),
        HTTP_CASES("the client is destroyed while the loop rests", test_destroy_at_rest),
        HTTP_CASES("two clients live in one loop", test_two_clients),
        HTTP_CASES("a blocking call runs the application's loop", test_blocking),
        HTTP_CASE("a blocking call while the loop runs is refused without effect",
                  test_blocking_nested),
        HTTP_CASE("other threads submit and nothing else", test_other_thread),
        HTTP_CASE("the loop may be run by another thread", test_loop_moves),
        HTTP_CASES("C64: a child takes the client out of its copy of the loop", test_fork),
        HTTP_CASE("what cannot be is refused in words", test_refusals),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
