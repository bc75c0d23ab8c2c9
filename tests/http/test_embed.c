/* SPDX-License-Identifier: MIT */
/* A client inside the application's loop, which the application runs. */
#include "embed_place.h"

#include <string.h>

/* ---- requests ---- */

static void test_requests(void **state)
{
    struct place *place = place_new(*state);
    assert_string_equal(aioduct_client_runtime(place->t->client), app->runtime);
    assert_code(AIODUCT_E_UNSUPPORTED, aioduct_client_poll_fd(place->t->client));
    for (int round = 0; round < 3; round++) {
        struct result *results[10];
        for (int i = 0; i < 10; i++) {
            results[i] = place_ask(place, "/");
        }
        assert_int_equal(results[0]->done_count, 0); /* nothing happens before it runs */
        app->run(place->loop);
        for (int i = 0; i < 10; i++) {
            place_assert_fine(results[i]);
        }
    }
    place_end(place);
}

static void test_own_events(void **state)
{
    struct place *place = place_new(*state);
    app->start_ticks(place->loop, &place->ticks);
    struct result *r = place_ask(place, "/gate");
    app->later(place->loop, 30, place_open_gate_after_ticks, place);
    app->run(place->loop);
    place_assert_fine(r);
    assert_true(place->ticks >= TICKS);
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
    struct result *r = place_ask(place, "/hang");
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
        place_fill(want, part, large->received + done);
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
    place_fill(body, LARGE_BYTES, 0);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_copy(request, body, LARGE_BYTES));
    struct result *r = tester_result(t);
    r->on_event = place_on_count;
    r->user = place;
    place->left = 1;
    tester_submit_into(t, request, r);
    app->run(place->loop);
    place_assert_fine(r);
    assert_int_equal(peer_request(t->peer, 0)->body_bytes, LARGE_BYTES);
    assert_memory_equal(peer_request(t->peer, 0)->body, body, LARGE_BYTES);
    place_end(place);
}

static void on_ask_again(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct place *place = r->user;
    (void)exchange;
    if (event == 'D') {
        place->result = place_ask(place, "/");
        place_count_down(place);
    }
}

static void test_submit_in_callback(void **state)
{
    struct place *place = place_new(*state);
    struct result *r = place_ask(place, "/");
    r->on_event = on_ask_again;
    app->run(place->loop);
    place_assert_fine(r);
    place_assert_fine(place->result);
    assert_int_equal(place->result->info.reused, 1);
    place_end(place);
}

static void on_ask_from_app(void *arg)
{
    struct place *place = arg;
    place->result = place_ask(place, "/");
    assert_int_equal(place->result->done_count, 0);
}

static void test_submit_in_own_event(void **state)
{
    struct place *place = place_new(*state);
    app->later(place->loop, 1, on_ask_from_app, place);
    app->run(place->loop);
    place_assert_fine(place->result);
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
    place->result = place_ask(place, "/hang");
    app->later(place->loop, 20, on_cancel_from_app, place);
    app->run(place->loop);
    assert_code(-ECANCELED, place->result->code);
    struct result *r = place_ask(place, "/"); /* and before it runs at all */
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
        app->later(place->loop, 5, place_stop, place); /* the loop goes on without it */
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
        struct result *r = place_ask(place, "/");
        struct result *hanging = place_ask(place, "/hang");
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
    app->later(place->loop, 5, place_stop, place);
}

static void test_destroy_in_own_event(void **state)
{
    struct place *place = place_new(*state);
    place->result = place_ask(place, "/hang");
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
    struct result *r = place_ask(place, "/");
    app->run(place->loop);
    place_assert_fine(r);
    struct result *never = place_ask(place, "/"); /* has not begun */
    never->on_event = NULL;
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, never->code);
    assert_true(app->is_empty(place->loop));

    tester_client(t);
    struct result *hanging = place_ask(place, "/hang"); /* has */
    hanging->on_event = NULL;
    place_run_for(place, 20);
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
        place_count_down(place);
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
            a[i] = place_ask(place, "/");
            t->client = place->other;
            b[i] = place_ask(place, "/");
            t->client = mine;
        }
        if (round == 1) { /* and one ends the other, whose hanging exchange ends too */
            t->client = place->other;
            struct result *hanging = place_ask(place, "/hang");
            t->client = mine;
            app->run(place->loop);
            assert_code(AIODUCT_E_CLIENT_CLOSED, hanging->code);
        } else {
            app->run(place->loop);
            a[0]->on_event = NULL;
        }
        for (int i = 0; i < 5; i++) {
            place_assert_fine(a[i]);
            place_assert_fine(b[i]);
        }
        if (round == 0) {
            /* for the second round: a[4]'s end destroys the other */
            struct result *r = place_ask(place, "/gate");
            r->on_event = on_destroy_other;
            app->later(place->loop, 1000, place_open_gate, place); /* when all else is answered */
        }
    }
    assert_null(place->other);
    place_end(place);
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
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
