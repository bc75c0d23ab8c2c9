/* SPDX-License-Identifier: MIT */
/**
 * How exchanges and connections come apart, seen from inside, with a codec and a server of the
 * test's own: going away, refusals, losses, calm, idleness.
 */
#include "shared_scene.h"

/* ---- C38: going away ---- */

static void play_going_away(struct peer_conn *conn, int index, void *user)
{
    if (index > 0) {
        play_shared(conn, index, user);
        return;
    }
    peer_read_request(conn);
    peer_send(conn, "G\n");
    peer_wait_gate(conn, GO);
    shared_tell(conn, 'A');
    peer_open(peer_of(conn), peer_read_end(conn, NULL) == 0 ? ENDED : NEXT);
}

static void test_going_away(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_going_away, NULL);
    struct outcome *first = shared_get(s, "/first");
    TURN_UNTIL(s, peer_requests(s->peer) == 1);
    struct ad_conn *conn = first->exchange->conn;
    TURN_UNTIL(s, conn->retired);
    struct outcome *second = shared_get(s, "/second");
    TURN_UNTIL(s, second->done_count == 1);
    assert_fine(second);
    assert_int_equal(first->done_count, 0); /* it goes on */
    assert_int_equal(peer_request(s->peer, 1)->connection, 1);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_fine(first);
    TURN_UNTIL(s, peer_is_open(s->peer, ENDED));
    assert_int_equal(shared_stats(s).closed[AIODUCT_CLOSE_GOAWAY], 1);
    assert_int_equal(shared_stats(s).connections_open, 1);
}

/* ---- C39: refused ---- */

static void play_refuse(struct peer_conn *conn, int index, void *user)
{
    int times = 0;
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        int most = strcmp(shared_path(conn), "/twice") == 0 ? 2 : 1000;
        shared_tell(conn, times++ < most ? 'R' : 'A');
    }
}

static void test_refused(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_refuse, NULL);
    struct outcome *o =
        shared_submit(s, shared_request(s, "POST", AIODUCT_HTTP_2_PRIOR_KNOWLEDGE, "/twice"));
    shared_run(s);
    assert_fine(o);
    assert_int_equal(peer_requests(s->peer), 3);
    assert_int_equal(shared_stats(s).replays, 2);
    assert_int_equal(peer_connections(s->peer), 1);
}

static void check_refused_always(struct scene *s, int sendings)
{
    shared_begin(s, play_refuse, NULL);
    struct outcome *o =
        shared_submit(s, shared_request(s, "POST", AIODUCT_HTTP_2_PRIOR_KNOWLEDGE, "/always"));
    shared_run(s);
    assert_failed(o, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    assert_int_equal(o->error.safe_to_retry, 1);
    assert_int_equal(peer_requests(s->peer), sendings);
}

static void test_refused_always(void **state)
{
    check_refused_always(*state, 3);
}

static void test_replays_off(void **state)
{
    struct scene *s = *state;
    s->options.replays_max = AIODUCT_OFF;
    check_refused_always(s, 1);
}

/* ---- C22: lost ---- */

static void play_lose_second(struct peer_conn *conn, int index, void *user)
{
    if (index > 0) {
        play_shared(conn, index, user);
        return;
    }
    peer_read_request(conn);
    shared_tell(conn, 'A');
    while (peer_read_request(conn)) {
        shared_tell(conn, 'L');
    }
}

static void test_lost_goes_elsewhere(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_lose_second, NULL);
    assert_true(shared_get(s, "/a") != NULL);
    shared_run(s);
    struct outcome *get = shared_get(s, "/b");
    struct outcome *post =
        shared_submit(s, shared_request(s, "POST", AIODUCT_HTTP_2_PRIOR_KNOWLEDGE, "/c"));
    shared_run(s);
    assert_fine(get);
    assert_failed(post, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    assert_int_equal(post->error.safe_to_retry, 0);
    assert_int_equal(peer_connections(s->peer), 2); /* the first one may be dead */
    assert_int_equal(peer_requests(s->peer), 4);
}

static void play_silent(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_end(conn, NULL);
}

static void test_fresh_loss_is_an_error(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_silent, NULL);
    struct outcome *o = shared_get(s, "/x");
    TURN_UNTIL(s, o->exchange->conn != NULL);
    struct aioduct_error error = {.code = AIODUCT_E_CLOSED, .phase = AIODUCT_PHASE_SEND};
    struct ad_conn *conn = o->exchange->conn;
    conn->codec->cancel(conn, o->exchange);
    o->exchange->written = false; /* nothing went out, and still: it was no stale connection */
    ad_exchange_lost(o->exchange, &error);
    shared_run(s);
    assert_failed(o, AIODUCT_E_CLOSED, AIODUCT_PHASE_SEND);
    assert_int_equal(o->error.safe_to_retry, 1);
    assert_int_equal(shared_stats(s).dials, 1);
}

/* A surplus connection that lay in the pool may be as stale as one that served. */
static void play_h1_then_reset(struct peer_conn *conn, int index, void *user)
{
    if (index > 0) {
        play_h1(conn, index, user);
        return;
    }
    peer_read_request(conn);
    peer_answer(conn, 200, "", "ok");
    peer_read_request(conn);
    peer_reset(conn);
}

static void test_surplus_may_be_stale(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_h1_then_reset, NULL);
    shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_1_1, "/"));
    shared_run(s);
    struct ad_conn *conn = AD_CONTAINER_OF(shared_engine(s)->pool.lru.next, struct ad_conn, node);
    conn->served = 0; /* as if it had been opened for somebody who was served elsewhere */
    shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_1_1, "/"));
    shared_run(s);
    assert_all_fine(s);
    assert_int_equal(shared_stats(s).replays, 1);
}

/* ---- C40: HTTP/1.1 required, calm ---- */

static void play_h1_required(struct peer_conn *conn, int index, void *user)
{
    if (strcmp(peer_alpn(conn), "h2") != 0) {
        play_h1(conn, index, user);
        return;
    }
    while (peer_read_request(conn)) {
        shared_tell(conn, '1');
    }
}

static void test_h1_required(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_h1_required, "h2,http/1.1");
    struct outcome *o = shared_submit(s, shared_request(s, "POST", AIODUCT_HTTP_AUTO, "/x"));
    shared_run(s);
    assert_fine(o);
    assert_string_equal(o->protocol, "http/1.1");
    struct outcome *strict = shared_submit(s, shared_request(s, "POST", AIODUCT_HTTP_2, "/y"));
    shared_run(s);
    assert_failed(strict, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    assert_int_equal(strict->error.safe_to_retry, 1);
}

static void test_h1_required_of_a_strict_client(void **state)
{
    struct scene *s = *state;
    s->options.version = AIODUCT_HTTP_2;
    shared_begin(s, play_h1_required, "h2,http/1.1");
    struct outcome *o = shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_AUTO, "/x"));
    shared_run(s);
    assert_failed(o, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    assert_int_equal(peer_requests(s->peer), 1);
}

static void play_calm(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        shared_tell(conn, strncmp(shared_path(conn), "/calm", 5) == 0 ? 'C' : 'A');
    }
}

static void test_calm(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_calm, NULL);
    struct outcome *first = shared_get(s, "/calm1");
    shared_run(s);
    assert_failed(first, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    uint64_t start = shared_now_ms();
    struct outcome *second = shared_get(s, "/calm2");
    shared_run(s);
    assert_failed(second, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD);
    assert_in_range(shared_now_ms() - start, 950, 1900);
    start = shared_now_ms();
    struct outcome *third = shared_get(s, "/x");
    shared_run(s);
    assert_fine(third);
    assert_in_range(shared_now_ms() - start, 1950, 2900); /* twice as long */
    assert_int_equal(peer_connections(s->peer), 1);
}

/* ---- idle shared connections ---- */

static void play_until_end(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        if (strcmp(shared_path(conn), "/bye") != 0) {
            shared_tell(conn, 'A');
        }
    }
    peer_open(peer_of(conn), ENDED);
}

static void test_idle_shared(void **state)
{
    struct scene *s = *state;
    s->options.idle_timeout_ms = 200;
    shared_begin(s, play_until_end, NULL);
    shared_get_many(s, 3);
    shared_run(s);
    assert_int_equal(shared_stats(s).connections_idle, 1);
    uint64_t start = shared_now_ms();
    TURN_UNTIL(s, peer_is_open(s->peer, ENDED));
    assert_in_range(shared_now_ms() - start, 150, 1200);
    assert_int_equal(shared_stats(s).closed[AIODUCT_CLOSE_IDLE], 1);
    char method[8], path[16];
    sscanf(peer_request(s->peer, 3)->head, "%7s %15s", method, path);
    assert_string_equal(path, "/bye"); /* an orderly close has its last words */
}

#define UNASKED_MAX 65536

static void play_unasked(struct peer_conn *conn, int index, void *user)
{
    static const char bytes[UNASKED_MAX]; /* which the codec drops */
    (void)index;
    (void)user;
    if (peer_read_request(conn)) {
        shared_tell(conn, 'A');
        if (peer_wait_gate(conn, GO) && peer_send_bytes(conn, bytes, sizeof bytes) &&
            peer_wait_gate(conn, NEXT)) {
            peer_send_bytes(conn, bytes, 1);
        }
        peer_hang(conn);
    }
}

static void test_unasked_shared(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_unasked, NULL);
    shared_get_many(s, 1);
    shared_run(s);
    const struct ad_conn *conn =
        AD_CONTAINER_OF(shared_engine(s)->pool.lru.next, struct ad_conn, node);
    peer_open(s->peer, GO);
    TURN_UNTIL(s, shared_stats(s).connections_idle == 0 || conn->share->idle_bytes == UNASKED_MAX);
    assert_int_equal(shared_stats(s).connections_idle, 1);
    peer_open(s->peer, NEXT);
    TURN_UNTIL(s, shared_stats(s).closed[AIODUCT_CLOSE_UNASKED] == 1);
}

static void play_in_turn(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn) && peer_wait_gate(conn, GO)) {
        shared_tell(conn, 'A');
    }
}

static void test_old_shared(void **state)
{
    struct scene *s = *state;
    s->options.connection_age_ms = 100;
    shared_begin(s, play_in_turn, NULL);
    struct outcome *first = shared_get(s, "/first");
    TURN_UNTIL(s, peer_requests(s->peer) == 1);
    uint64_t until = shared_now_ms() + 150;
    while (shared_now_ms() < until) {
        shared_turn(s);
    }
    struct outcome *second = shared_get(s, "/second");
    TURN_UNTIL(s, peer_connections(s->peer) == 2);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_fine(first);
    assert_fine(second);
    TURN_UNTIL(s, shared_stats(s).closed[AIODUCT_CLOSE_AGE] >= 1);
}

static void play_chatty(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    peer_read_request(conn);
    shared_tell(conn, 'A');
    peer_wait_gate(conn, GO);
    for (int i = 0; i < 1000; i++) {
        peer_send(conn, "Ping\n");
    }
    peer_open(peer_of(conn), NEXT);
    if (peer_read_request(conn)) {
        shared_tell(conn, 'A');
    }
    for (int i = 0; i < 20000 && peer_send(conn, "Ping\n"); i++) {
    }
    peer_read_end(conn, NULL);
}

static void test_chatty(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_chatty, NULL);
    shared_get_many(s, 1);
    shared_run(s);
    peer_open(s->peer, GO);
    TURN_UNTIL(s, peer_is_open(s->peer, NEXT));
    shared_get_many(s, 1); /* some control frames are fine */
    shared_run(s);
    assert_all_fine(s);
    assert_int_equal(peer_connections(s->peer), 1);
    TURN_UNTIL(s, shared_stats(s).closed[AIODUCT_CLOSE_UNASKED] == 1);
    assert_int_equal(shared_stats(s).connections_open, 0);
}

static void test_nothing_idle(void **state)
{
    struct scene *s = *state;
    s->options.idle_per_origin_max = AIODUCT_OFF;
    shared_begin(s, play_shared, NULL);
    shared_get_many(s, 3);
    shared_run(s);
    assert_all_fine(s);
    TURN_UNTIL(s, shared_stats(s).connections_open == 0);
}

static void test_idle_total(void **state)
{
    struct scene *s = *state;
    s->options.idle_total_max = 1;
    fake_room = 1;
    shared_begin(s, play_at_gate, NULL);
    shared_get_many(s, 3);
    TURN_UNTIL(s, peer_requests(s->peer) == 3);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_all_fine(s);
    assert_int_equal(shared_stats(s).connections_idle, 1);
    assert_int_equal(shared_stats(s).closed[AIODUCT_CLOSE_LIMIT], 2);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE("C38: a connection that goes away takes no more and ends after its last",
             test_going_away),
        CASE("C39: what was refused is sent again, a POST too", test_refused),
        CASE("C39: what is refused always fails, safe to retry", test_refused_always),
        CASE("C39: AIODUCT_OFF switches resends off", test_replays_off),
        CASE("C22: what was lost on a shared connection goes to a new one",
             test_lost_goes_elsewhere),
        CASE("C22: what a fresh connection lost is not sent again", test_fresh_loss_is_an_error),
        CASE("C22: a connection that only lay in the pool counts as kept",
             test_surplus_may_be_stale),
        CASE("C40: HTTP_1_1_REQUIRED is asked once more over HTTP/1.1", test_h1_required),
        CASE("C40: a client that wants HTTP/2 alone is not sent over HTTP/1.1",
             test_h1_required_of_a_strict_client),
        CASE("C40: calm keeps new streams back, twice as long the second time", test_calm),
        CASE("C108: an idle shared connection is closed at its limit", test_idle_shared),
        CASE("an old shared connection takes no more", test_old_shared),
        CASE("a shared connection that is chatty while idle is closed", test_chatty),
        CASE("an idle shared connection takes what it may to the byte", test_unasked_shared),
        CASE("AIODUCT_OFF leaves no connection idle", test_nothing_idle),
        CASE("idle shared connections count in idle_total_max", test_idle_total),
    };
    return TAP_RUN(cases, NULL, NULL);
}
