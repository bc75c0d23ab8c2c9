/* SPDX-License-Identifier: MIT */
/* What a client tells an observer: events in their order, why connections end, what an exchange
 * cost; that everything may be called inside an event; and that the log keeps secrets. */
#include "tester.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_MAX 256

/* What was heard, and what to do in the middle. Events of one loop come one after the other; with
 * workers only `count` is looked at. */
struct observer {
    struct tester *t;
    _Atomic int count;
    char order[4096]; /* names with blanks between */
    struct aioduct_event seen[EVENTS_MAX];
    char address[EVENTS_MAX][64];
    enum aioduct_close_reason closed; /* of the last that was */
    struct aioduct_error error;       /* of the last replay or failed opening */

    enum aioduct_event_kind when; /* to act */
    void (*act)(struct observer *o, const struct aioduct_event *event);
    int acted, code;
    struct aioduct_request *request;
    struct result *extra;
};

static void on_event(const struct aioduct_event *event, void *user)
{
    struct observer *o = user;
    int i = atomic_fetch_add(&o->count, 1);
    if (o->t->options.workers > 0) {
        return;
    }
    if (i < EVENTS_MAX) {
        o->seen[i] = *event;
        snprintf(o->address[i], sizeof o->address[i], "%s", event->address);
    }
    size_t at = strlen(o->order);
    snprintf(o->order + at, sizeof o->order - at, "%s%s", at > 0 ? " " : "",
             aioduct_event_name(event->kind));
    if (event->kind == AIODUCT_EVENT_CLOSED) {
        o->closed = event->reason;
    }
    if (event->kind == AIODUCT_EVENT_REPLAY || event->kind == AIODUCT_EVENT_OPEN_FAILED) {
        o->error = *event->error;
    }
    if (o->act != NULL && event->kind == o->when && o->acted++ == 0) {
        o->act(o, event);
    }
}

static struct observer *observe(struct tester *t)
{
    struct observer *o = tester_alloc(t, sizeof *o);
    o->t = t;
    t->options.on_event = on_event;
    t->options.event_user = o;
    return o;
}

static void forget(struct observer *o)
{
    o->order[0] = '\0';
    o->count = 0;
}

/* The first of that kind. */
static const struct aioduct_event *event_of(const struct observer *o, enum aioduct_event_kind kind)
{
    for (int i = 0; i < o->count && i < EVENTS_MAX; i++) {
        if (o->seen[i].kind == kind) {
            return &o->seen[i];
        }
    }
    tap_fail("no event %s in: %s", aioduct_event_name(kind), o->order);
    return NULL;
}

static void play_answers(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    while (peer_read_request(conn)) {
        if (strstr(peer_last_request(conn)->head, "GET /hint") != NULL) {
            peer_send(conn, "HTTP/1.1 103 Early Hints\r\n\r\n");
        }
        peer_answer(conn, 200, user != NULL ? user : "", "hello");
    }
}

/* ---- order and members ---- */

static void test_order(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/hint", t->tls ? "https" : "http",
             peer_port(t->peer));
    struct result *r = tester_get(t, url);
    assert_answer(r, 200);
    assert_string_equal(o->order,
                        t->tls ? "started dial resolved connect connected secured opened picked "
                                 "sent interim head done"
                               : "started dial resolved connect connected opened picked "
                                 "sent interim head done");
    for (int i = 1; i < o->count; i++) {
        assert_true(o->seen[i].at_ns >= o->seen[i - 1].at_ns);
        assert_int_equal(o->seen[i].port, peer_port(t->peer));
    }
    const struct aioduct_event *connected = event_of(o, AIODUCT_EVENT_CONNECTED);
    assert_string_equal(o->address[connected - o->seen], "127.0.0.1");
    assert_int_equal(connected->address_port, peer_port(t->peer));
    assert_true(connected->connection > 0);
    assert_null(connected->exchange);
    assert_int_equal(event_of(o, AIODUCT_EVENT_RESOLVED)->count, 1);
    const struct aioduct_event *picked = event_of(o, AIODUCT_EVENT_PICKED);
    assert_true(picked->connection == connected->connection);
    assert_true(picked->connection == r->info.connection);
    assert_ptr_equal(picked->user, r);
    assert_int_equal(picked->reused, 0);
    assert_int_equal(event_of(o, AIODUCT_EVENT_INTERIM)->status, 103);
    assert_int_equal(event_of(o, AIODUCT_EVENT_HEAD)->status, 200);
    assert_int_equal(event_of(o, AIODUCT_EVENT_DONE)->status, 200);

    forget(o);
    assert_answer(tester_get(t, url), 200);
    assert_string_equal(o->order, "started picked sent interim head done");
    assert_int_equal(event_of(o, AIODUCT_EVENT_PICKED)->reused, 1);
    assert_true(event_of(o, AIODUCT_EVENT_PICKED)->connection == r->info.connection);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(aioduct_event_name(AIODUCT_EVENT_DIAL), "dial");
    assert_string_equal(aioduct_event_name((enum aioduct_event_kind)0), "unknown");
    assert_string_equal(aioduct_event_name((enum aioduct_event_kind)999), "unknown");
    assert_string_equal(aioduct_close_reason_name(AIODUCT_CLOSE_IDLE), "idle");
    assert_string_equal(aioduct_close_reason_name((enum aioduct_close_reason)999), "unknown");
}

static void test_failed_opening(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(t->peer));
    int port = peer_leave(t->peer);
    t->peer = NULL;
    struct result *r = tester_get(t, url);
    close(port);
    assert_code(-ECONNREFUSED, r->code);
    assert_string_equal(o->order,
                        "started dial resolved connect connect_failed open_failed closed done");
    assert_code(-ECONNREFUSED, o->error.code);
    assert_code(-ECONNREFUSED, event_of(o, AIODUCT_EVENT_CONNECT_FAILED)->code);
    assert_int_equal(o->closed, AIODUCT_CLOSE_OPENING);
    assert_code(-ECONNREFUSED, event_of(o, AIODUCT_EVENT_DONE)->code);
}

/* ---- why a connection ends ---- */

static bool has_closed(void *user)
{
    const struct observer *o = user;
    return o->closed != AIODUCT_CLOSE_NONE;
}

static void test_closed_idle(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    t->options.idle_timeout_ms = 30;
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    tester_turn_until(t, has_closed, o);
    assert_int_equal(o->closed, AIODUCT_CLOSE_IDLE);
    assert_int_equal(event_of(o, AIODUCT_EVENT_CLOSED)->count, 1);
}

static void test_closed_age(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    t->options.connection_age_ms = 30;
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    tester_turn_until(t, has_closed, o);
    assert_int_equal(o->closed, AIODUCT_CLOSE_AGE);
}

static void play_one(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "hello");
    }
}

static void test_closed_by_the_peer(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_one, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    tester_turn_until(t, has_closed, o);
    assert_int_equal(o->closed, AIODUCT_CLOSE_PEER);
}

static void play_unasked(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "hello");
        peer_wait_gate(conn, 0);
        peer_send(conn, "HTTP/1.1 408 Request Timeout\r\n\r\n");
        peer_hang(conn);
    }
}

static void test_closed_unasked(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_unasked, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    peer_open(t->peer, 0);
    tester_turn_until(t, has_closed, o);
    assert_int_equal(o->closed, AIODUCT_CLOSE_UNASKED);
}

static void test_closed_final(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_answers, (void *)(uintptr_t) "Connection: close\r\n");
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_int_equal(o->closed, AIODUCT_CLOSE_FINAL);
}

static void test_closed_with_the_client(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_int_equal(o->closed, AIODUCT_CLOSE_NONE);
    tester_destroy(t);
    assert_int_equal(o->closed, AIODUCT_CLOSE_CLIENT);
}

static void play_hang(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    peer_hang(conn);
}

static void test_closed_by_a_cancel(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_hang, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_total_timeout_ms(request, 100));
    struct result *r = tester_perform(t, request);
    assert_code(AIODUCT_E_TIMEOUT, r->code);
    assert_int_equal(o->closed, AIODUCT_CLOSE_CANCELLED);
}

/* ---- a resend ---- */

static void play_stale(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    if (!peer_read_request(conn) || !peer_answer(conn, 200, "", "fresh")) {
        return;
    }
    if (peer_read_request(conn) && index > 0) {
        peer_answer(conn, 200, "", "again");
    }
}

static void test_replay(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    tester_client(t);
    tester_peer(t, play_stale, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    forget(o);
    struct result *r = tester_get(t, peer_url(t->peer, "/2"));
    assert_answer(r, 200);
    assert_int_equal(r->info.replays, 1);
    const struct aioduct_event *replay = event_of(o, AIODUCT_EVENT_REPLAY);
    assert_int_equal(replay->count, 1);
    assert_true(replay->connection != r->info.connection);
    assert_code(AIODUCT_E_CLOSED, o->error.code);
    assert_non_null(strstr(o->order, "started picked sent"));
    assert_non_null(strstr(o->order, "opened picked sent head done"));
}

/* ---- HTTP/2 ---- */

/* SETTINGS; then, once the request is out, HEADERS, DATA and GOAWAY. */
static void play_goaway(struct peer_conn *conn, int index, void *user)
{
    static const char settings[] = "\0\0\0\4\0\0\0\0\0";
    static const char answer[] = "\0\0\1\1\4\0\0\0\1\x88" /* :status 200 */
                                 "\0\0\5\0\1\0\0\0\1hello"
                                 "\0\0\13\7\0\0\0\0\0\0\0\0\1\0\0\0\0bye";
    (void)index;
    (void)user;
    if (peer_read(conn, 24)) { /* the preface */
        peer_send_bytes(conn, settings, sizeof settings - 1);
        peer_wait_gate(conn, 0);
        peer_send_bytes(conn, answer, sizeof answer - 1);
        peer_read_end(conn, NULL);
    }
}

static void act_answer(struct observer *o, const struct aioduct_event *event)
{
    (void)event;
    peer_open(o->t->peer, 0);
}

static void test_goaway(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    t->options.version = AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    o->when = AIODUCT_EVENT_SENT;
    o->act = act_answer;
    tester_client(t);
    tester_peer(t, play_goaway, NULL);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 200);
    assert_string_equal(r->protocol, "h2");
    tester_turn_until(t, has_closed, o);
    assert_int_equal(o->closed, AIODUCT_CLOSE_GOAWAY);
    assert_int_equal(event_of(o, AIODUCT_EVENT_GOAWAY)->code, 0);
    assert_true(event_of(o, AIODUCT_EVENT_GOAWAY)->connection == r->info.connection);
    assert_non_null(strstr(o->order, "opened picked sent head"));
    assert_true(r->info.sent_bytes > 0 && r->info.received_bytes > 5);
    assert_true(r->info.wire_sent_bytes > 24);
}

/* ---- what an exchange cost ---- */

static void test_costs(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    struct aioduct_request *request = tester_request(t, "POST", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_copy(request, "0123456789", 10));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 200);
    const struct aioduct_exchange_info *info = &r->info;
    const struct aioduct_timings *times = &info->timings;
    assert_true(times->dialled_ns > 0 && times->dialled_ns <= times->resolved_ns);
    assert_true(times->resolved_ns <= times->connected_ns);
    assert_true(times->connected_ns <= times->picked_ns);
    assert_true(!t->tls || (times->connected_ns <= times->secured_ns &&
                            times->secured_ns <= times->picked_ns));
    assert_true(times->picked_ns <= times->sent_ns);
    assert_int_equal(info->replays, 0);
    assert_true(info->connection > 0);
    assert_int_equal(info->sent_bytes, info->request_head_bytes + 10);
    assert_int_equal(info->received_bytes, info->head_bytes + 5);
    if (t->tls) {
        assert_true(info->wire_sent_bytes > info->sent_bytes);
        assert_true(info->wire_received_bytes > info->received_bytes);
    } else {
        assert_int_equal(info->wire_sent_bytes, info->sent_bytes);
        assert_int_equal(info->wire_received_bytes, info->received_bytes);
    }
    struct result *second = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(second, 200);
    assert_int_equal(second->info.timings.dialled_ns, 0);
    assert_true(second->info.timings.picked_ns > 0);
    assert_int_equal(second->info.sent_bytes, second->info.request_head_bytes);
    assert_true(second->info.connection == info->connection);
    assert_true(second->info.wire_sent_bytes > info->wire_sent_bytes);
}

/* ---- everything may be called inside an event ---- */

static void act_cancel(struct observer *o, const struct aioduct_event *event)
{
    struct result *r = event->user;
    (void)o;
    if (r != NULL && r->exchange != NULL) {
        aioduct_exchange_cancel(r->exchange);
    } else if (event->exchange != NULL) {
        aioduct_exchange_cancel(event->exchange);
    }
}

static void act_submit(struct observer *o, const struct aioduct_event *event)
{
    (void)event;
    o->code = tester_submit_code(o->t, o->request, o->extra);
}

static void act_pause(struct observer *o, const struct aioduct_event *event)
{
    (void)o;
    if (event->exchange != NULL) {
        aioduct_exchange_pause(event->exchange);
        aioduct_exchange_resume(event->exchange);
    }
}

static void act_nested(struct observer *o, const struct aioduct_event *event)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    o->code = aioduct_client_turn(o->t->client, 0);
    if (event->exchange != NULL && aioduct_exchange_info(event->exchange, &info) < 0) {
        o->code = -1;
    }
}

static void act_destroy(struct observer *o, const struct aioduct_event *event)
{
    (void)event;
    tester_destroy(o->t);
}

static const struct {
    const char *name;
    void (*act)(struct observer *o, const struct aioduct_event *event);
} acts[] = {
    {"cancel", act_cancel}, {"submit another", act_submit},      {"pause and resume", act_pause},
    {"drive", act_nested},  {"destroy the client", act_destroy},
};
#define ACT_COUNT (sizeof acts / sizeof acts[0])

struct move {
    enum aioduct_event_kind when;
    size_t act;
};

static void test_move(void **state)
{
    struct tester *t = *state;
    const struct move *move = t->extra;
    struct observer *o = observe(t);
    o->when = move->when;
    o->act = acts[move->act].act;
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    o->extra = tester_result(t);
    o->request = tester_request(t, "GET", peer_url(t->peer, "/extra"));
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/hint")));
    aioduct_client_run(t->client);
    if (move->when == AIODUCT_EVENT_CLOSED) {
        o->act = o->act == act_destroy ? NULL : o->act; /* it is being destroyed */
        tester_destroy(t);
    }
    assert_int_equal(r->done_count, 1);
    assert_true(o->acted > 0 || o->act == NULL);
    bool of_exchange = move->when >= AIODUCT_EVENT_STARTED;
    int wanted = o->act == act_cancel && of_exchange ? -ECANCELED
                 : o->act == act_destroy             ? AIODUCT_E_CLIENT_CLOSED
                                                     : 0;
    /* What is asked for comes in a later turn, and the answer may be quicker. */
    if (r->code != wanted && r->code != 0) {
        tap_fail("%s: %s", aioduct_error_name(r->code), r->error.message);
    }
    if (r->code == 0) {
        assert_answer(r, 200);
    }
    if (o->act == act_submit) {
        bool gone = move->when == AIODUCT_EVENT_CLOSED; /* the tester knows no client any more */
        assert_code(gone ? -EINVAL : 0, o->code);
        assert_int_equal(o->extra->done_count, gone ? 0 : 1);
    }
    if (o->act == act_nested) {
        assert_code(move->when == AIODUCT_EVENT_CLOSED ? -EINVAL : AIODUCT_E_NESTED, o->code);
    }
}

/* ---- threads ---- */

static void test_workers(void **state)
{
    struct tester *t = *state;
    struct observer *o = observe(t);
    t->options.workers = 2;
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    for (int i = 0; i < 4; i++) {
        assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    }
    assert_true(atomic_load(&o->count) >= 4 * 5);
    tester_destroy(t);
}

/* ---- the log ---- */

struct lines {
    size_t bytes;
    char text[65536];
};

static void on_line(int level, const char *message, void *user)
{
    struct lines *lines = user;
    int more = snprintf(lines->text + lines->bytes, sizeof lines->text - lines->bytes, "%d %s\n",
                        level, message);
    if (more > 0 && lines->bytes + (size_t)more < sizeof lines->text) {
        lines->bytes += (size_t)more;
    }
}

static void assert_in_log(const struct lines *lines, const char *text, bool expected)
{
    if ((strstr(lines->text, text) != NULL) != expected) {
        tap_fail("%s '%s' in:\n%s", expected ? "no" : "there is", text, lines->text);
    }
}

static void test_log_keeps_secrets(void **state)
{
    struct tester *t = *state;
    struct lines *lines = tester_alloc(t, sizeof *lines);
    tester_client(t);
    tester_peer(t, play_answers,
                (void *)(uintptr_t) "Set-Cookie: sid=hunter2\r\nX-Odd: a\x9b\r\n"
                                    "Location: https://me:hunter2@h.example/x?token=hunter2\r\n");
    char url[128];
    snprintf(url, sizeof url, "%s://me:hunter2@localhost:%d/path?q=hunter2",
             t->tls ? "https" : "http", peer_port(t->peer));
    struct aioduct_request *request = tester_request(t, "GET", url);
    assert_code(0, aioduct_request_header_set(request, "Cookie", "sid=hunter2"));
    assert_code(0, aioduct_request_header_set(request, "proxy-authorization", "x hunter2"));
    assert_code(0, aioduct_request_header_set(request, "X-Shown", "yes"));
    aioduct_log_set(on_line, lines, 5);
    struct result *r = tester_perform(t, request);
    aioduct_log_set(NULL, NULL, 0);
    assert_answer(r, 200);
    assert_in_log(lines, "hunter2", false);
    assert_in_log(lines, "aHVudGVyMg", false); /* the same in Basic, me:hunter2 */
    assert_in_log(lines, "bWU6aHVudGVyMg", false);
    assert_in_log(lines, "> GET /path?[hidden]\n", true);
    assert_in_log(lines, "> Authorization: [hidden]\n", true);
    assert_in_log(lines, "> Cookie: [hidden]\n", true);
    assert_in_log(lines, "> proxy-authorization: [hidden]\n", true);
    assert_in_log(lines, "> X-Shown: yes\n", true);
    assert_in_log(lines, "< Set-Cookie: [hidden]\n", true);
    assert_in_log(lines, "< Location: https://[hidden]@h.example/x?[hidden]\n", true);
    assert_in_log(lines, "< X-Odd: a\\x9b\n", true);
    assert_in_log(lines, "/path?[hidden]\n", true);
}

static void test_log_levels(void **state)
{
    struct tester *t = *state;
    struct lines *lines = tester_alloc(t, sizeof *lines);
    tester_client(t);
    tester_peer(t, play_answers, NULL);
    aioduct_log_set(on_line, lines, 3);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    assert_in_log(lines, "picked", false);
    aioduct_log_set(on_line, lines, 4);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    aioduct_log_set(NULL, NULL, 0);
    assert_in_log(lines, "picked: a used connection", true);
    assert_in_log(lines, "done: status 200, 5 bytes of body", true);
    assert_in_log(lines, "> GET", false);
}

int main(void)
{
    static const struct CMUnitTest fixed[] = {
        HTTP_CASES("events tell the way of a request, in order", test_order),
        HTTP_CASE("events and reasons have names", test_names),
        HTTP_CASE("an opening that fails is told with its reason", test_failed_opening),
        HTTP_CASES("a connection ends for idleness", test_closed_idle),
        HTTP_CASES("a connection ends for its age", test_closed_age),
        HTTP_CASES("a connection ends by its peer", test_closed_by_the_peer),
        HTTP_CASES("a connection ends for bytes that nobody asked for", test_closed_unasked),
        HTTP_CASES("a connection ends after its last response", test_closed_final),
        HTTP_CASES("a connection ends with its client", test_closed_with_the_client),
        HTTP_CASES("a connection ends with an exchange that is cut off", test_closed_by_a_cancel),
        HTTP_CASES("a resend is told with its reason", test_replay),
        HTTP_CASE("GOAWAY is told, and is why the connection ends", test_goaway),
        HTTP_CASES("what an exchange cost is known to the byte", test_costs),
        HTTP_CASES("events come from worker threads too", test_workers),
        HTTP_CASES("C124: the log keeps secrets", test_log_keeps_secrets),
        HTTP_CASE("the log says as much as its level allows", test_log_levels),
    };
    static const enum aioduct_event_kind kinds[] = {
        AIODUCT_EVENT_DIAL,      AIODUCT_EVENT_RESOLVED, AIODUCT_EVENT_CONNECT,
        AIODUCT_EVENT_CONNECTED, AIODUCT_EVENT_OPENED,   AIODUCT_EVENT_CLOSED,
        AIODUCT_EVENT_STARTED,   AIODUCT_EVENT_PICKED,   AIODUCT_EVENT_SENT,
        AIODUCT_EVENT_INTERIM,   AIODUCT_EVENT_HEAD,     AIODUCT_EVENT_DONE,
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0], FIXED = sizeof fixed / sizeof fixed[0] };
    enum { MOVES = KINDS * ACT_COUNT };
    static struct CMUnitTest cases[FIXED + 2 * MOVES];
    static struct tester_flavour flavours[2 * MOVES];
    static struct move moves[MOVES];
    memcpy(cases, fixed, sizeof fixed);
    size_t count = FIXED;
    for (size_t i = 0; i < MOVES; i++) {
        moves[i] = (struct move){kinds[i / ACT_COUNT], i % ACT_COUNT};
        for (int tls = 0; tls < 2; tls++) {
            flavours[2 * i + tls] = (struct tester_flavour){tls == 1, &moves[i]};
            cases[count++] = (struct CMUnitTest){
                test_format("C75: in the event %s: %s%s", aioduct_event_name(moves[i].when),
                            acts[moves[i].act].name, tls == 1 ? " (over TLS)" : ""),
                test_move, tester_setup, tester_teardown, &flavours[2 * i + tls]};
        }
    }
    return tap_run(cases, count, suite_begin, suite_end);
}
