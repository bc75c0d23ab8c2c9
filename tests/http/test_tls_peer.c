/* SPDX-License-Identifier: MIT */
/* TLS servers that end, or go on, in unusual ways. */
#include "tester.h"

#include <gnutls/gnutls.h>
#include <string.h>

enum gate { GO, DONE };

/* ---- C8, C61: ends ---- */

enum ending { CLOSE_NOTIFY, CUT };

struct ending_play {
    enum ending ending;
    const char *answer;
};

static void play_ending(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    const struct ending_play *play = user;
    if (peer_read_request(conn)) {
        peer_send(conn, play->answer);
        (play->ending == CUT ? peer_cut : peer_close)(conn);
    }
}

static struct result *get_ending(struct tester *t, enum ending ending, const char *answer)
{
    struct ending_play *play = tester_alloc(t, sizeof *play);
    *play = (struct ending_play){ending, answer};
    tester_client(t);
    tester_peer(t, play_ending, play);
    return tester_get(t, peer_url(t->peer, "/"));
}

static void test_cut_close_delimited(void **state)
{
    struct result *r = get_ending(*state, CUT, "HTTP/1.1 200 OK\r\n\r\nok");
    assert_error(r, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
    assert_string_equal(r->body, "ok");
}

static void test_cut_allowed(void **state)
{
    struct tester *t = *state;
    t->options.tls.flags = AIODUCT_TLS_ALLOW_TRUNCATION;
    struct result *r = get_ending(t, CUT, "HTTP/1.1 200 OK\r\n\r\nok");
    assert_answer(r, 200);
    assert_string_equal(r->body, "ok");
    assert_int_equal(r->error.partial, 1);
}

static void test_cut_allowed_not_for_lengths(void **state)
{
    struct tester *t = *state;
    t->options.tls.flags = AIODUCT_TLS_ALLOW_TRUNCATION;
    struct result *r = get_ending(t, CUT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok");
    assert_error(r, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
}

static void test_notified_end(void **state)
{
    struct result *r = get_ending(*state, CLOSE_NOTIFY, "HTTP/1.1 200 OK\r\n\r\nok");
    assert_answer(r, 200);
    assert_int_equal(r->error.partial, 0);
}

static void test_cut_behind_length(void **state)
{
    struct result *r = get_ending(*state, CUT, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_answer(r, 200);
    assert_int_equal(r->error.partial, 0);
}

static void test_cut_behind_chunks(void **state)
{
    struct result *r = get_ending(*state, CUT,
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "2\r\nok\r\n0\r\n\r\n");
    assert_answer(r, 200);
}

static void play_until_closed(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "x");
    }
}

static void test_close_notify_by_us(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_until_closed, NULL);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    tester_destroy(t);
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
    assert_true(peer_saw_close_notify(t->peer, 0));
}

static void test_close_notify_when_told_to_close(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_until_closed, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    if (aioduct_request_header_set(request, "Connection", "close") != 0) {
        tap_skip("a request cannot ask for the connection to be closed");
    }
    assert_answer(tester_perform(t, request), 200);
    for (int i = 0; i < 3; i++) {
        assert_true(aioduct_client_turn(t->client, 10) >= 0);
    }
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
    assert_true(peer_saw_close_notify(t->peer, 0));
}

/* ---- C62: records that are no data ---- */

static void play_records_while_idle(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    bool (*send_record)(struct peer_conn *) = *(bool (**)(struct peer_conn *))user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "x");
        if (peer_requests(peer_of(conn)) == 1 && peer_wait_gate(conn, GO)) {
            for (int i = 0; i < 3; i++) {
                send_record(conn);
            }
            peer_open(peer_of(conn), DONE);
        }
    }
}

static bool is_sent(void *user)
{
    return peer_is_open(user, DONE);
}

static void idle_records(struct tester *t, bool (*send_record)(struct peer_conn *), bool driven)
{
    bool (**verb)(struct peer_conn *) = tester_alloc(t, sizeof *verb);
    *verb = send_record;
    tester_client(t);
    tester_peer_with(t, &(struct peer_options){.play = play_records_while_idle,
                                               .user = verb,
                                               .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3"});
    assert_answer(tester_get(t, peer_url(t->peer, "/1")), 200);
    peer_open(t->peer, GO);
    if (driven) {
        tester_turn_until(t, is_sent, t->peer);
        for (int i = 0; i < 5; i++) {
            assert_true(aioduct_client_turn(t->client, 10) >= 0);
        }
    } else {
        assert_true(peer_wait_open(t->peer, DONE));
    }
    for (int i = 0; i < 3; i++) {
        struct result *r = tester_get(t, peer_url(t->peer, "/2"));
        assert_answer(r, 200);
        assert_int_equal(r->info.reused, 1);
    }
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_idle_tickets(void **state)
{
    idle_records(*state, peer_send_ticket, true);
}

static void test_idle_tickets_unseen(void **state)
{
    idle_records(*state, peer_send_ticket, false);
}

static void test_idle_key_updates(void **state)
{
    idle_records(*state, peer_send_key_update, true);
}

static void test_idle_key_updates_unseen(void **state)
{
    idle_records(*state, peer_send_key_update, false);
}

/* Tickets and key updates between the pieces of a body. */
static void play_records_in_body(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    char piece[1000];
    if (!peer_read_request(conn)) {
        return;
    }
    peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    for (unsigned i = 0; i < 100; i++) {
        test_fill(piece, sizeof piece, (uint64_t)i * sizeof piece);
        peer_send_bytes(conn, piece, sizeof piece);
        if (i % 10 == 0) {
            peer_send_ticket(conn);
        }
        if (i % 25 == 5) { /* GnuTLS takes no more than 8 in a second */
            peer_send_key_update(conn);
        }
    }
    peer_read_request(conn);
}

static void test_records_in_body(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer_with(t, &(struct peer_options){.play = play_records_in_body,
                                               .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3"});
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, 100000);
    char *expected = tester_alloc(t, 100001);
    test_fill(expected, 100000, 0);
    assert_string_equal(r->body, expected);
}

/* ---- a broken stream of records ---- */

static void play_garbage_records(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok");
        if (peer_wait_gate(conn, GO)) {
            peer_send_raw(conn, "\x17\x03\x03\x00\x20this is no ciphertext of anybody", 37);
            peer_hang(conn);
        }
    }
}

static void on_open_gate_at_body(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'B') {
        peer_open(r->tester->peer, GO);
    }
}

static void test_garbage_records(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_garbage_records, NULL);
    struct result *r = tester_result(t);
    r->on_event = on_open_gate_at_body;
    tester_perform_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    assert_error(r, AIODUCT_E_TLS, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
    assert_int_equal(r->error.tls_code, GNUTLS_E_DECRYPTION_FAILED);
    if (strstr(r->error.message, gnutls_strerror(GNUTLS_E_DECRYPTION_FAILED)) == NULL) {
        tap_fail("message: %s", r->error.message);
    }
    assert_string_equal(r->body, "ok");
}

static void play_leave(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    if (index == 0) {
        peer_cut(conn);
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "x");
    }
}

/* The handshake is done for the server, and the connection is gone before the request. */
/* Nothing of the request was sent, so it may be sent again, but not for ever. */
static void test_answers_before_every_request(void **state)
{
    struct tester *t = *state;
    t->options.replays_max = 3;
    tester_client(t);
    tester_peer_with(
        t, &(struct peer_options){.play = play_until_closed,
                                  .early = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
                                  .early_each = true,
                                  .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:%NO_TICKETS"});
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_error(r, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_SEND);
    assert_int_equal(r->error.safe_to_retry, 1);
    assert_string_equal(r->order, "D");
    assert_int_equal(peer_connections(t->peer), 4);
    assert_int_equal(peer_requests(t->peer), 0);
}

static void test_gone_before_request(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_leave, NULL);
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_int_equal(r->done_count, 1);
    if (r->code != 0) {
        assert_true(r->code == AIODUCT_E_CLOSED || r->code == AIODUCT_E_TRUNCATED ||
                    r->code == -ECONNRESET || r->code == -EPIPE);
        assert_string_equal(r->order, "D");
    }
}

/* C13: the first connection brings an answer in one piece with the end of the handshake, before any
 * request can have been sent. */
static void test_answer_before_request(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer_with(
        t, &(struct peer_options){.play = play_until_closed,
                                  .early = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
                                  .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3"});
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(r, 200);
    assert_string_equal(r->body, "x");
    assert_int_equal(peer_connections(t->peer), 2);
    assert_int_equal(peer_requests(t->peer), 1);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTPS_CASE("C8: a body to the end without close_notify is truncated",
                   test_cut_close_delimited),
        HTTPS_CASE("C8: it is accepted, flagged, if the option says so", test_cut_allowed),
        HTTPS_CASE("C8: the option is not for bodies with a length",
                   test_cut_allowed_not_for_lengths),
        HTTPS_CASE("C8: a body to the end with close_notify is whole", test_notified_end),
        HTTPS_CASE("C61: no close_notify is needed behind a length", test_cut_behind_length),
        HTTPS_CASE("C61: no close_notify is needed behind the last chunk", test_cut_behind_chunks),
        HTTPS_CASE("C61: destroy sends close_notify", test_close_notify_by_us),
        HTTPS_CASE("C61: a close that was asked for sends close_notify",
                   test_close_notify_when_told_to_close),
        HTTPS_CASE("C62: tickets on an idle connection keep it", test_idle_tickets),
        HTTPS_CASE("C62: tickets that nobody read yet keep it", test_idle_tickets_unseen),
        HTTPS_CASE("C62: key updates on an idle connection keep it", test_idle_key_updates),
        HTTPS_CASE("C62: key updates that nobody read yet keep it", test_idle_key_updates_unseen),
        HTTPS_CASE("C62: tickets and key updates inside a body", test_records_in_body),
        HTTPS_CASE("a record that does not decrypt fails the body", test_garbage_records),
        HTTPS_CASE("C13: an answer before the request is nobody's", test_answer_before_request),
        HTTPS_CASE("C22: an unsent request is sent again at most replays_max times",
                   test_answers_before_every_request),
        HTTPS_CASE("a connection that is gone before the request", test_gone_before_request),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
