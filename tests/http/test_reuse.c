/* SPDX-License-Identifier: MIT */
/* Connections that are used again, and those that must not be: what a server does to an idle one,
 * and resends. */
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum gate { GO, DONE };

/* For clients that see it on another thread, at a time of their own. */
static bool has_no_connection(void *user)
{
    struct tester *t = user;
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    assert_code(0, aioduct_client_stats(t->client, &stats));
    return stats.connections_open == 0;
}

/* ---- C22: a stale connection ---- */

/* The first connection answers once and drops the next request unanswered; later ones answer. */
static void play_stale(struct peer_conn *conn, int index, void *user)
{
    const enum { FIN, RST } *how = user;
    if (!peer_read_request(conn) || !peer_answer(conn, 200, "", "fresh")) {
        return;
    }
    while (peer_read_request(conn)) {
        if (index == 0) {
            (*how == RST ? peer_reset : peer_close)(conn);
            return;
        }
        peer_answer(conn, 200, "", "again");
    }
}

static const int how_fin = 0, how_rst = 1;

static void stale_get(struct tester *t, const int *how, const char *method)
{
    tester_client(t);
    tester_peer(t, play_stale, (void *)(uintptr_t)how);
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    struct result *r = tester_perform(t, tester_request(t, method, peer_url(t->peer, "/2")));
    assert_answer(r, 200);
    assert_int_equal(peer_connections(t->peer), 2);
    assert_int_equal(peer_requests(t->peer), 3);
    assert_int_equal(r->info.reused, 0);
}

static void test_stale_get(void **state)
{
    stale_get(*state, &how_fin, "GET");
}

static void test_stale_get_reset(void **state)
{
    stale_get(*state, &how_rst, "GET");
}

static void test_stale_delete(void **state)
{
    stale_get(*state, &how_fin, "DELETE");
}

static void test_stale_post(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_stale, (void *)(uintptr_t)&how_fin);
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    struct aioduct_request *post = tester_request(t, "POST", peer_url(t->peer, "/2"));
    assert_code(0, aioduct_request_body_copy(post, "once", 4));
    struct result *r = tester_perform(t, post);
    assert_error(r, AIODUCT_E_CLOSED, AIODUCT_PHASE_HEAD);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_int_equal(peer_connections(t->peer), 1);
    assert_int_equal(peer_requests(t->peer), 2);
}

static void play_always_stale(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    if (index == 0 && peer_read_request(conn)) {
        peer_answer(conn, 200, "", "fresh");
    }
    peer_read_request(conn);
}

static void test_stale_every_time(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_always_stale, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    struct result *r = tester_get(t, peer_url(t->peer, "/2"));
    assert_error(r, AIODUCT_E_CLOSED, AIODUCT_PHASE_HEAD);
    assert_int_equal(peer_connections(t->peer), 2);
    assert_int_equal(peer_requests(t->peer), 3);
}

/* Two connections are idle, and both are stale. */
static void play_two_stale(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    if (!peer_read_request(conn)) {
        return;
    }
    if (index < 2) {
        peer_wait_requests(peer_of(conn), 2);
        peer_answer(conn, 200, "", "fresh");
        peer_read_request(conn);
        return;
    }
    peer_answer(conn, 200, "", "again");
}

static void test_stale_twice(void **state)
{
    struct tester *t = *state;
    t->options.replays_max = 1;
    tester_client(t);
    tester_peer(t, play_two_stale, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    struct result *first = tester_submit(t, request), *second = tester_submit(t, request);
    tester_run(t);
    assert_answer(first, 200);
    assert_answer(second, 200);
    assert_int_equal(peer_connections(t->peer), 2);
    struct result *r = tester_perform(t, request);
    assert_answer(r, 200);
    assert_string_equal(r->body, "again");
    assert_int_equal(peer_connections(t->peer), 3);
    assert_int_equal(peer_requests(t->peer), 4);
}

static void play_answer_once(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "fresh");
        peer_read_request(conn);
        peer_hang(conn);
    }
}

static bool has_two_requests(void *user)
{
    return peer_requests(user) == 2;
}

/* What became of the first sending is not known, whatever happens to the resend. */
static void test_stale_then_unreachable(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer_once, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_answer(tester_perform(t, request), 200);
    if (t->options.workers > 0) {
        tap_skip("a worker would resend before the server is gone");
    }
    struct result *r = tester_submit(t, request);
    tester_turn_until(t, has_two_requests, t->peer);
    int port = peer_leave(t->peer);
    t->peer = NULL;
    tester_run(t);
    close(port);
    assert_error(r, -ECONNREFUSED, AIODUCT_PHASE_CONNECT);
    assert_int_equal(r->error.safe_to_retry, 0);
}

/* A body that can be read again, or not. */
struct source {
    int at, rewinds, finished;
};

static int64_t on_read(void *user, void *buffer, size_t capacity)
{
    struct source *s = user;
    (void)capacity;
    static const char text[] = "abc";
    if (s->at == 3) {
        return 0;
    }
    *(char *)buffer = text[s->at++];
    return 1;
}

static int on_rewind(void *user)
{
    struct source *s = user;
    s->at = 0;
    s->rewinds++;
    return 0;
}

static void on_finished(void *user)
{
    ((struct source *)user)->finished++;
}

static void stale_put(struct tester *t, bool can_rewind)
{
    tester_client(t);
    tester_peer(t, play_stale, (void *)(uintptr_t)&how_fin);
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    struct source *source = tester_alloc(t, sizeof *source);
    struct aioduct_request *put = tester_request(t, "PUT", peer_url(t->peer, "/2"));
    struct aioduct_body_source pull = {.size = sizeof pull,
                                       .read = on_read,
                                       .rewind = can_rewind ? on_rewind : NULL,
                                       .finished = on_finished,
                                       .user = source};
    assert_code(0, aioduct_request_body_pull(put, &pull, AIODUCT_LENGTH_UNKNOWN));
    struct result *r = tester_perform(t, put);
    assert_int_equal(source->finished, 1);
    assert_int_equal(source->rewinds, can_rewind);
    assert_string_equal(peer_request(t->peer, 1)->body, "abc");
    if (can_rewind) {
        assert_answer(r, 200);
        assert_string_equal(peer_request(t->peer, 2)->body, "abc");
    } else {
        assert_error(r, AIODUCT_E_CLOSED, AIODUCT_PHASE_HEAD);
        assert_int_equal(peer_requests(t->peer), 2);
    }
}

static void test_stale_put_rewound(void **state)
{
    stale_put(*state, true);
}

static void test_stale_put_one_shot(void **state)
{
    stale_put(*state, false);
}

/* ---- idle connections that get bytes or an end ---- */

enum idle_event { IDLE_408, IDLE_GARBAGE, IDLE_FIN, IDLE_RST };

struct idle {
    enum idle_event event;
};

static void play_idle(struct peer_conn *conn, int index, void *user)
{
    const struct idle *idle = user;
    if (!peer_read_request(conn) || !peer_answer(conn, 200, "", "good")) {
        return;
    }
    if (index == 0) {
        if (!peer_wait_gate(conn, GO)) {
            return;
        }
        switch (idle->event) {
        case IDLE_408:
            peer_send(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n"
                            "Connection: close\r\n\r\n");
            break;
        case IDLE_GARBAGE:
            peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            break;
        case IDLE_FIN:
            peer_close(conn);
            break;
        case IDLE_RST:
            peer_reset(conn);
            break;
        }
        peer_open(peer_of(conn), DONE);
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "good");
    }
}

/* The client sees the event before the next request is made. */
static void idle_event(struct tester *t, enum idle_event event, const char *method)
{
    struct idle *idle = tester_alloc(t, sizeof *idle);
    idle->event = event;
    tester_client(t);
    tester_peer(t, play_idle, idle);
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    peer_open(t->peer, GO);
    tester_turn_until(t, has_no_connection, t);
    struct result *r = tester_perform(t, tester_request(t, method, peer_url(t->peer, "/2")));
    assert_answer(r, 200);
    assert_string_equal(r->body, "good");
    assert_int_equal(r->info.reused, 0);
    assert_int_equal(peer_connections(t->peer), 2);
}

static void test_idle_408(void **state)
{
    idle_event(*state, IDLE_408, "GET");
}

static void test_idle_garbage(void **state)
{
    idle_event(*state, IDLE_GARBAGE, "GET");
}

static void test_idle_fin(void **state)
{
    idle_event(*state, IDLE_FIN, "POST");
}

static void test_idle_rst(void **state)
{
    idle_event(*state, IDLE_RST, "POST");
}

/* The peer acts while nobody drives the client; the next request is then performed, or submitted
 * before anything of it can have been noticed. */
static void idle_event_unseen(struct tester *t, enum idle_event event, const char *method,
                              bool submitted)
{
    struct idle *idle = tester_alloc(t, sizeof *idle);
    idle->event = event;
    tester_client(t);
    tester_peer(t, play_idle, idle);
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    peer_open(t->peer, GO);
    assert_true(peer_wait_open(t->peer, DONE));
    struct aioduct_request *request = tester_request(t, method, peer_url(t->peer, "/2"));
    struct result *r = submitted ? tester_submit(t, request) : tester_perform(t, request);
    if (submitted) {
        tester_run(t);
    }
    assert_answer(r, 200);
    assert_string_equal(r->body, "good");
    assert_int_equal(peer_connections(t->peer), 2);
}

static void test_idle_408_unseen(void **state)
{
    idle_event_unseen(*state, IDLE_408, "GET", false);
}

static void test_idle_garbage_unseen(void **state)
{
    idle_event_unseen(*state, IDLE_GARBAGE, "GET", false);
}

static void test_idle_fin_unseen(void **state)
{
    idle_event_unseen(*state, IDLE_FIN, "POST", false);
}

static void test_idle_408_submit(void **state)
{
    idle_event_unseen(*state, IDLE_408, "GET", true);
}

static void test_idle_garbage_submit(void **state)
{
    idle_event_unseen(*state, IDLE_GARBAGE, "GET", true);
}

static void test_idle_fin_submit(void **state)
{
    idle_event_unseen(*state, IDLE_FIN, "POST", true);
}

/* ---- C106: an unread answer never poisons the next ---- */

static void play_long_answers(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    char *body = malloc(1 << 20);
    memset(body, 'x', 1 << 20);
    while (peer_read_request(conn)) {
        peer_format(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Number: %d\r\n\r\n", 1 << 20,
                    peer_requests(peer_of(conn)));
        peer_send_bytes(conn, body, 1 << 20);
    }
    free(body);
}

static void on_cancel_in_body(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)r;
    if (event == 'B') {
        aioduct_exchange_cancel(exchange);
    }
}

static void test_unread_answer(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_long_answers, NULL);
    struct result *r = tester_result(t);
    r->on_event = on_cancel_in_body;
    tester_perform_into(t, tester_request(t, "GET", peer_url(t->peer, "/1")), r);
    assert_code(-ECANCELED, r->code);
    r = tester_get(t, peer_url(t->peer, "/2"));
    assert_answer(r, 200);
    assert_header(r, "X-Number", "2");
    assert_int_equal(r->body_bytes, 1 << 20);
}

/* The next one waits already. */
static void test_unread_answer_and_waiter(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 1;
    tester_client(t);
    tester_peer(t, play_long_answers, NULL);
    struct result *first = tester_result(t);
    first->on_event = on_cancel_in_body;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/1")), first);
    struct result *second = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/2")));
    tester_run(t);
    assert_code(-ECANCELED, first->code);
    assert_answer(second, 200);
    assert_header(second, "X-Number", "2");
    assert_int_equal(second->body_bytes, 1 << 20);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C22: GET on a stale connection is sent again", test_stale_get),
        HTTP_CASES("C22: GET on a connection reset in the meantime is sent again",
                   test_stale_get_reset),
        HTTP_CASES("C22: DELETE is idempotent and sent again", test_stale_delete),
        HTTP_CASES("C22: POST that was written is never sent twice", test_stale_post),
        HTTP_CASES("C22: a fresh connection that closes is not tried for ever",
                   test_stale_every_time),
        HTTP_CASES("C22: it is sent again on a new connection, not on another idle one",
                   test_stale_twice),
        HTTP_CASES("C22: a resend that cannot connect is not safe to retry",
                   test_stale_then_unreachable),
        HTTP_CASES("C22: a body that rewinds is sent again", test_stale_put_rewound),
        HTTP_CASES("C22: a body that does not rewind is not", test_stale_put_one_shot),
        HTTP_CASES("C24: 408 on an idle connection is no answer", test_idle_408),
        HTTP_CASES("C24: 408 that nobody read yet is no answer", test_idle_408_unseen),
        HTTP_CASES("C12: bytes on an idle connection close it", test_idle_garbage),
        HTTP_CASES("C12: bytes that nobody read yet are no answer", test_idle_garbage_unseen),
        HTTP_CASES("an idle connection that the server ends is not used", test_idle_fin),
        HTTP_CASES("an idle connection that the server resets is not used", test_idle_rst),
        HTTP_CASES("POST does not go to a connection that ended unseen", test_idle_fin_unseen),
        HTTP_CASES("C24: 408 that came before submit is no answer", test_idle_408_submit),
        HTTP_CASES("C12: bytes that came before submit are no answer", test_idle_garbage_submit),
        HTTP_CASES("POST submitted on a connection that ended goes to another one",
                   test_idle_fin_submit),
        HTTP_CASES("C106: an answer given up never poisons the next", test_unread_answer),
        HTTP_CASES("C106: nor the one that waits for the connection",
                   test_unread_answer_and_waiter),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
