/* SPDX-License-Identifier: MIT */
/* What a program may do in callbacks (everything), in every callback; when an exchange completes
 * (once); and what a client leaves behind (nothing). */
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum gate { GO };

/* An interim answer, a body in two parts, trailers: every callback comes. */
static void play_everything(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        if (strncmp(peer_last_request(conn)->head, "GET /hang ", 10) == 0) {
            peer_hang(conn);
        }
        peer_send(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n");
        peer_send(conn, "6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n");
    }
}

static void play_hang(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_hang(conn);
}

static void assert_everything(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->order, "IHBTD");
    assert_string_equal(r->body, "hello world");
    assert_string_equal(r->trailers, "X-Sum: 1\n");
}

/* ---- C75: every action in every callback ---- */

enum action {
    CANCEL_THIS,
    CANCEL_TWICE,
    CANCEL_OTHER,
    SUBMIT,
    PAUSE_AND_RESUME,
    RUN_NESTED,
    DESTROY_REQUEST,
    DESTROY_CLIENT,
    ACTION_COUNT
};

static const char *const action_names[ACTION_COUNT] = {
    "cancel this",      "cancel this twice",          "cancel another",   "submit another",
    "pause and resume", "drive the client (refused)", "drop the request", "destroy the client",
};

static const struct {
    char event;
    const char *name;
} events[] = {{'I', "on_interim"},
              {'H', "on_head"},
              {'B', "on_body"},
              {'T', "on_trailers"},
              {'D', "on_done"}};

#define EVENT_COUNT (sizeof events / sizeof events[0])

struct move {
    char event;
    enum action action;
};

struct scene {
    const struct move *move;
    struct result *other; /* on another connection; hangs if it is to be cancelled */
    struct result *third; /* submitted in the callback */
    struct aioduct_request *request;
    int acted;
    int codes[3]; /* what calls gave; asserted outside the callback, which must return */
};

static void on_scene_event(struct result *r, struct aioduct_exchange *exchange, char event)
{
    struct scene *scene = r->user;
    struct tester *t = r->tester;
    if (event != scene->move->event || scene->acted++ > 0) {
        return;
    }
    switch (scene->move->action) {
    case CANCEL_TWICE:
        aioduct_exchange_cancel(exchange);
        aioduct_exchange_cancel(exchange);
        break;
    case CANCEL_THIS:
        aioduct_exchange_cancel(exchange);
        break;
    case CANCEL_OTHER:
        aioduct_exchange_cancel(scene->other->exchange);
        break;
    case SUBMIT:
        scene->third = tester_submit(t, scene->request);
        break;
    case PAUSE_AND_RESUME:
        aioduct_exchange_pause(exchange);
        aioduct_exchange_resume(exchange);
        break;
    case RUN_NESTED: {
        struct aioduct_callbacks none = {.size = sizeof none};
        scene->codes[0] = aioduct_client_run(t->client);
        scene->codes[1] = aioduct_client_turn(t->client, 0);
        scene->codes[2] = aioduct_client_perform(t->client, scene->request, &none, NULL, NULL);
        break;
    }
    case DESTROY_REQUEST:
        aioduct_request_destroy(scene->request);
        scene->request = NULL;
        break;
    case DESTROY_CLIENT:
        tester_destroy(t);
        break;
    case ACTION_COUNT:
        break;
    }
}

static void test_move(void **state)
{
    struct tester *t = *state;
    const struct move *move = t->extra;
    tester_client(t);
    tester_peer(t, play_everything, NULL);

    struct scene *scene = tester_alloc(t, sizeof *scene);
    scene->move = move;
    struct aioduct_error error = {0};
    assert_code(0, aioduct_request_create("GET", peer_url(t->peer, "/"), &scene->request, &error));
    const char *path = move->action == CANCEL_OTHER ? "/hang" : "/other";
    struct result *other = scene->other =
        tester_submit(t, tester_request(t, "GET", peer_url(t->peer, path)));
    struct result *r = tester_result(t);
    r->on_event = on_scene_event;
    r->user = scene;
    tester_submit_into(t, scene->request, r);

    if (move->action == DESTROY_CLIENT) {
        struct aioduct_client *client = t->client;
        aioduct_client_run(client); /* it is gone when this returns */
        assert_null(t->client);
    } else {
        tester_run(t);
    }
    aioduct_request_destroy(scene->request);
    assert_int_equal(r->done_count, 1);
    assert_int_equal(other->done_count, 1);
    assert_true(scene->acted > 0);

    bool at_end = move->event == 'D';
    switch (move->action) {
    case CANCEL_THIS:
    case CANCEL_TWICE:
        if (at_end) {
            assert_everything(r);
        } else if (r->code != 0 || move->event != 'T') {
            assert_code(-ECANCELED, r->code);
            assert_int_equal(r->order[strlen(r->order) - 2], move->event);
        }
        break;
    case CANCEL_OTHER:
        assert_everything(r);
        assert_code(-ECANCELED, other->code);
        break;
    case RUN_NESTED:
        for (int i = 0; i < 3; i++) {
            assert_code(AIODUCT_E_NESTED, scene->codes[i]);
        }
        assert_everything(r);
        assert_everything(other);
        break;
    case SUBMIT:
        assert_everything(r);
        assert_everything(other);
        assert_everything(scene->third);
        break;
    case DESTROY_CLIENT:
        if (at_end) {
            assert_everything(r);
        } else {
            assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
        }
        break;
    default:
        assert_everything(r);
        assert_everything(other);
        break;
    }
}

/* ---- C76, C122 ---- */

static bool inside_submit;

static void on_check_submit(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)r;
    (void)exchange;
    (void)event;
    if (inside_submit) {
        abort();
    }
}

static void test_never_inside_submit(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_everything, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < 20; i++) {
        /* Every other one is cancelled at once: a completion that is known early comes late too. */
        struct result *r = tester_result(t);
        r->on_event = on_check_submit;
        inside_submit = true;
        tester_submit_into(t, request, r);
        if (i % 2 == 1) {
            aioduct_exchange_cancel(r->exchange);
        }
        inside_submit = false;
        tester_run(t);
        assert_int_equal(r->done_count, 1);
        assert_code(i % 2 == 1 ? -ECANCELED : 0, r->code);
    }
}

static void test_cancel_before_any_turn(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_everything, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    aioduct_exchange_cancel(r->exchange);
    tester_run(t);
    assert_code(-ECANCELED, r->code);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_string_equal(r->order, "D");
    assert_int_equal(peer_requests(t->peer), 0);
}

static bool one_request_came(void *user)
{
    return peer_requests(user) >= 1;
}

static void test_cancel_while_waiting(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    tester_turn_until(t, one_request_came, t->peer);
    aioduct_exchange_cancel(r->exchange);
    uint64_t start = test_now_ms();
    tester_run(t);
    assert_true(test_now_ms() - start < 15000); /* no deadline of the exchange */
    assert_code(-ECANCELED, r->code);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_string_equal(r->order, "D");
}

static void test_destroy_with_exchanges(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 3;
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct result *results[8];
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < 8; i++) {
        results[i] = tester_submit(t, request);
    }
    tester_turn_until(t, one_request_came, t->peer);
    results[7]->on_event = NULL;
    tester_destroy(t);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(results[i]->done_count, 1);
        assert_code(AIODUCT_E_CLIENT_CLOSED, results[i]->code);
        assert_string_equal(results[i]->order, "D");
    }
    /* The peer's: fewer if a connection ended in its handshake. */
    int threads = t->threads + 1 + peer_connections(t->peer);
    assert_true(test_threads_settle(threads) <= threads);
}

static void test_destroy_untouched(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
    assert_int_equal(r->error.safe_to_retry, 1);
    aioduct_client_destroy(NULL);
}

static void test_many_clients(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play_everything, NULL);
    int descriptors = 0;
    for (int i = 0; i < 50; i++) {
        tester_client(t);
        assert_everything(tester_get(t, peer_url(t->peer, "/")));
        tester_destroy(t);
        if (i == 0) {
            assert_int_equal(peer_wait_ended(t->peer, 1), 1);
            descriptors = test_descriptor_count();
        }
    }
    assert_int_equal(peer_wait_ended(t->peer, 50), 50);
    assert_int_equal(test_descriptor_count(), descriptors);
}

int main(void)
{
    static const struct CMUnitTest fixed[] = {
        HTTP_CASES("C76: no callback comes inside submit or cancel", test_never_inside_submit),
        HTTP_CASES("C76: cancel before the first turn", test_cancel_before_any_turn),
        HTTP_CASES("C76: cancel while the answer is waited for", test_cancel_while_waiting),
        HTTP_CASES("C122: destroy completes what is under way and queued",
                   test_destroy_with_exchanges),
        HTTP_CASES("C122: destroy completes what never started", test_destroy_untouched),
        HTTP_CASES("C122: fifty clients in a row leave nothing behind", test_many_clients),
    };
    enum { MOVES = EVENT_COUNT * ACTION_COUNT, FIXED = sizeof fixed / sizeof fixed[0] };
    static struct CMUnitTest cases[FIXED + 2 * MOVES];
    static struct tester_flavour flavours[2 * MOVES];
    static struct move moves[MOVES];
    memcpy(cases, fixed, sizeof fixed);
    size_t count = FIXED;
    for (int i = 0; i < MOVES; i++) {
        moves[i] = (struct move){events[i / ACTION_COUNT].event, i % ACTION_COUNT};
        for (int tls = 0; tls < 2; tls++) {
            struct tester_flavour *flavour = &flavours[2 * i + tls];
            *flavour = (struct tester_flavour){tls == 1, &moves[i]};
            cases[count++] = (struct CMUnitTest){
                test_format("C75: in %s: %s%s", events[i / ACTION_COUNT].name,
                            action_names[i % ACTION_COUNT], tls == 1 ? " (over TLS)" : ""),
                test_move, tester_setup, tester_teardown, flavour};
        }
    }
    return tap_run(cases, count, suite_begin, suite_end);
}
