/* SPDX-License-Identifier: MIT */
/**
 * Connections that carry many exchanges, seen from inside, with a codec and a server of the test's
 * own: one dial for a burst, room and the lack of it. The same with HTTP/2 itself is in tests/http.
 */
#include "shared_scene.h"

/* ---- C107: one dial for a burst ---- */

static void check_burst(struct scene *s, const char *alpn)
{
    shared_begin(s, play_shared, alpn);
    shared_get_many(s, 100);
    shared_turn(s);
    assert_true(shared_stats(s).dials == 1);
    shared_run(s);
    assert_all_fine(s);
    assert_int_equal(peer_connections(s->peer), 1);
    assert_int_equal(shared_stats(s).dials, 1);
    assert_int_equal(shared_stats(s).h2_streams, 0);
    assert_int_equal(shared_stats(s).connections_idle, 1);
}

static void test_burst(void **state)
{
    check_burst(*state, NULL);
}

static void test_burst_by_alpn(void **state)
{
    check_burst(*state, "h2,http/1.1");
}

static void play_h1_at_gate(struct peer_conn *conn, int index, void *user)
{
    if (peer_read_request(conn) && peer_wait_gate(conn, GO)) {
        peer_answer(conn, 200, "", "ok");
        play_h1(conn, index, user);
    }
}

/* HTTP/1.1 after all: the waiters dial at once, and no response is waited for. */
static void test_burst_over_h1(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_h1_at_gate, "http/1.1");
    shared_get_many(s, 5);
    assert_int_equal(aioduct_client_turn(s->client, 0), 0);
    assert_int_equal(shared_stats(s).dials, 1);
    TURN_UNTIL(s, peer_requests(s->peer) == 5);
    assert_int_equal(s->done_count, 0);
    assert_int_equal(peer_connections(s->peer), 5);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_all_fine(s);

    /* Now it is known, and nobody waits for a probe. */
    TURN_UNTIL(s, shared_stats(s).connections_opening == 0);
    assert_int_equal(aioduct_client_close_idle(s->client), 0);
    shared_get_many(s, 3);
    assert_int_equal(aioduct_client_turn(s->client, 0), 0);
    assert_int_equal(shared_stats(s).dials, 5 + 3);
    shared_run(s);
    assert_all_fine(s);

    /* Ten minutes later it may be otherwise. A dial that ended meanwhile would know it anew. */
    TURN_UNTIL(s, shared_stats(s).connections_opening == 0);
    uint64_t until_ns = 0;
    for (unsigned i = 0; i < AD_KNOWN_PLACES; i++) {
        struct ad_known *known = &shared_engine(s)->pool.known[i];
        until_ns = known->until_ns > until_ns ? known->until_ns : until_ns;
        known->until_ns = 1;
    }
    uint64_t left_ns = until_ns - ad_loop_now_ns(shared_engine(s)->loop);
    assert_in_range(left_ns / 1000000000u, 590, 600);
    assert_int_equal(aioduct_client_close_idle(s->client), 0);
    TURN_UNTIL(s, shared_stats(s).connections_open == 0);
    shared_get_many(s, 3);
    TURN_UNTIL(s, shared_stats(s).dials > 8);
    assert_int_equal(shared_stats(s).dials, 8 + 1);
    shared_run(s);
    assert_all_fine(s);
}

/* Those over the connection cap counted on the probe, and wait for a slot now. */
static void test_probe_then_cap(void **state)
{
    struct scene *s = *state;
    s->options.connections_per_origin_max = 2;
    shared_begin(s, play_h1, "http/1.1");
    shared_get_many(s, 20);
    shared_run(s);
    assert_all_fine(s);
    for (int i = 1; i < 20; i++) {
        assert_true(s->outcomes[i].place >= i - 2); /* first in, first out over two connections */
    }
    assert_int_equal(shared_stats(s).dials, 2);
}

static void test_probe_fails_all(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_shared, NULL);
    int port = peer_port(s->peer);
    peer_stop(s->peer);
    s->peer = NULL;
    for (int i = 0; i < 10; i++) {
        struct aioduct_request *request = NULL;
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
        assert_int_equal(aioduct_request_create("GET", url, &request, NULL), 0);
        assert_int_equal(aioduct_request_version(request, AIODUCT_HTTP_2_PRIOR_KNOWLEDGE), 0);
        shared_submit(s, request);
    }
    shared_run(s);
    for (int i = 0; i < 10; i++) {
        assert_failed(&s->outcomes[i], -ECONNREFUSED, AIODUCT_PHASE_CONNECT);
    }
    assert_int_equal(shared_stats(s).dials, 1);
}

/* ---- C57: the dial of a burst stands still ---- */

static void test_probe_stands_still(void **state)
{
    struct scene *s = *state;
    s->options.connect_timeout_ms = 150;
    s->peer_options.accept_nothing = true;
    shared_begin(s, play_shared, "h2");
    shared_get_many(s, 3);
    aioduct_exchange_cancel(s->outcomes[0].exchange); /* who asked for it first goes, it stays */
    uint64_t start = shared_now_ms();
    shared_run(s);
    assert_int_equal(s->outcomes[0].error.code, -ECANCELED);
    for (int i = 1; i < 3; i++) {
        assert_failed(&s->outcomes[i], AIODUCT_E_TIMEOUT, AIODUCT_PHASE_TLS);
    }
    assert_in_range(shared_now_ms() - start, 150, 1150);
    assert_int_equal(shared_stats(s).dials, 1);
    assert_int_equal(shared_stats(s).connections_opening, 0); /* and with the last one the dial */
}

/* ---- full connections ---- */

static void test_full_opens_another(void **state)
{
    struct scene *s = *state;
    fake_room = 3;
    s->options.h2_connections_per_origin_max = 2;
    shared_begin(s, play_at_gate, NULL);
    shared_get_many(s, 8);
    TURN_UNTIL(s, peer_requests(s->peer) == 6);
    assert_int_equal(peer_connections(s->peer), 2);
    struct aioduct_client_stats stats = shared_stats(s);
    assert_int_equal(stats.h2_streams, 6);
    assert_int_equal(stats.waiters, 2);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_all_fine(s);
    assert_int_equal(peer_connections(s->peer), 2);
}

static void test_four_connections(void **state)
{
    struct scene *s = *state;
    fake_room = 1;
    shared_begin(s, play_at_gate, NULL);
    shared_get_many(s, 10);
    TURN_UNTIL(s, peer_requests(s->peer) == 4);
    assert_int_equal(shared_stats(s).waiters, 6);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_all_fine(s);
    assert_int_equal(peer_connections(s->peer), 4);
    for (int i = 4; i < 10; i++) { /* the queue, whichever connection served it */
        assert_true(s->outcomes[i].place >= i - 3);
    }
}

/* Answers the first request when NEXT is open, and the others after GO. */
static void play_first_first(struct peer_conn *conn, int index, void *user)
{
    char paths[3][64];
    int count = index == 0 ? 3 : 1;
    for (int i = 0; i < count; i++) {
        peer_read_request(conn);
        snprintf(paths[i], sizeof paths[i], "%s", shared_path(conn));
    }
    if (index == 0 && peer_wait_gate(conn, NEXT)) {
        peer_format(conn, "A%s\n", paths[0]);
    }
    while (index != 0 && !peer_is_open(peer_of(conn), GO) && peer_read_request(conn)) {
        shared_tell(conn, 'A');
    }
    peer_wait_gate(conn, GO);
    for (int i = index == 0; i < count; i++) {
        peer_format(conn, "A%s\n", paths[i]);
    }
    play_shared(conn, index, user);
}

static void test_fewest_streams(void **state)
{
    struct scene *s = *state;
    fake_room = 3;
    shared_begin(s, play_first_first, NULL);
    shared_get_many(s, 4); /* three on the first connection, one on the second */
    TURN_UNTIL(s, peer_requests(s->peer) == 4);
    peer_open(s->peer, NEXT);
    TURN_UNTIL(s, s->done_count == 1); /* now it has two, and room as well */
    struct outcome *o = shared_get(s, "/x");
    TURN_UNTIL(s, peer_requests(s->peer) == 5);
    assert_int_equal(peer_request(s->peer, 4)->connection, 1);
    TURN_UNTIL(s, o->done_count == 1);
    peer_open(s->peer, GO);
    shared_get(s, "/y"); /* for the second one to look at the gate */
    shared_run(s);
    assert_all_fine(s);
}

/* A request from a callback, at a moment when there is room, does not overtake those who wait. */
static void submit_late(struct scene *s)
{
    shared_get(s, "/late");
}

static void test_no_overtaking(void **state)
{
    struct scene *s = *state;
    fake_room = 1;
    s->options.h2_connections_per_origin_max = 1;
    shared_begin(s, play_shared, NULL);
    s->after_first = submit_late;
    shared_get_many(s, 3);
    shared_run(s);
    assert_all_fine(s);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s->outcomes[i].place, i);
    }
}

/* Two at a time, which the first burst cannot know. */
static void play_two_at_a_time(struct peer_conn *conn, int index, void *user)
{
    char paths[2][64];
    int count = index == 0 ? ((struct scene *)user)->count : 2;
    peer_send(conn, "M 2\n");
    for (int i = 0; i < count && peer_read_request(conn); i++) {
        if (i < 2) {
            snprintf(paths[i], sizeof paths[i], "%s", shared_path(conn));
        } else {
            shared_tell(conn, 'R');
        }
    }
    peer_wait_gate(conn, GO);
    for (int i = 0; i < 2; i++) {
        peer_format(conn, "A%s\n", paths[i]);
    }
    play_shared(conn, index, user);
}

static void test_limit_is_remembered(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_two_at_a_time, NULL);
    shared_get_many(s, 30);
    /* Also when 22 of the 28 were sent back there are 8 streams and 22 that wait. */
    TURN_UNTIL(s, shared_stats(s).replays == 28 && shared_stats(s).h2_streams == 8 &&
                      shared_stats(s).waiters == 22);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_all_fine(s);
    assert_int_equal(shared_stats(s).replays, 28);
    assert_int_equal(peer_connections(s->peer), 4);
}

/* ---- C35: no room ---- */

static void play_no_room_first(struct peer_conn *conn, int index, void *user)
{
    if (peer_wait_gate(conn, GO)) {
        peer_send(conn, "M 1\n");
        play_shared(conn, index, user);
    }
}

static void test_no_room_waits(void **state)
{
    struct scene *s = *state;
    fake_room = 0;
    shared_begin(s, play_no_room_first, NULL);
    shared_get_many(s, 3);
    TURN_UNTIL(s, shared_stats(s).connections_open == 4);
    assert_int_equal(shared_stats(s).waiters, 3);
    assert_int_equal(shared_stats(s).h2_streams, 0);
    aioduct_exchange_cancel(s->outcomes[1].exchange);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_fine(&s->outcomes[0]);
    assert_int_equal(s->outcomes[1].error.code, -ECANCELED);
    assert_fine(&s->outcomes[2]);
    assert_int_equal(shared_stats(s).dials, 4);
}

/* The wait has its deadline even where connecting has none. */
static void check_no_room_deadline(struct scene *s)
{
    fake_room = 0;
    s->options.acquire_timeout_ms = 200;
    shared_begin(s, play_no_room_first, NULL);
    shared_get_many(s, 2);
    uint64_t start = shared_now_ms();
    shared_run(s);
    assert_failed(&s->outcomes[0], AIODUCT_E_TIMEOUT, AIODUCT_PHASE_QUEUE);
    assert_failed(&s->outcomes[1], AIODUCT_E_TIMEOUT, AIODUCT_PHASE_QUEUE);
    assert_non_null(strstr(s->outcomes[0].error.message, "acquire_timeout_ms"));
    assert_in_range(shared_now_ms() - start, 200, 1200);
}

static void test_no_room_deadline(void **state)
{
    check_no_room_deadline(*state);
}

static void test_no_room_deadline_alone(void **state)
{
    struct scene *s = *state;
    s->options.connect_timeout_ms = AIODUCT_NO_LIMIT;
    check_no_room_deadline(s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE("C107: a burst to a new origin makes one dial", test_burst),
        CASE("C107: a burst to a new https origin makes one dial", test_burst_by_alpn),
        CASE("C107: waiters dial at once when ALPN says http/1.1", test_burst_over_h1),
        CASE("C107: waiters over the connection cap go on in order", test_probe_then_cap),
        CASE("C107: a dial that fails fails all that counted on it", test_probe_fails_all),
        CASE("C57: waiting for the dial of another is in the connect deadline",
             test_probe_stands_still),
        CASE("C107: a full connection opens another, then requests queue", test_full_opens_another),
        CASE("C107: four connections to an origin, and a queue in order", test_four_connections),
        CASE("C39: how many a server takes is remembered, and not tried again",
             test_limit_is_remembered),
        CASE("the connection with the fewest exchanges is taken", test_fewest_streams),
        CASE("C107: nobody overtakes those who wait for room", test_no_overtaking),
        CASE("C35: without room requests wait, and can be cancelled", test_no_room_waits),
        CASE("C35: waiting for room has a deadline", test_no_room_deadline),
        CASE("C35: waiting for room has a deadline though connecting has none",
             test_no_room_deadline_alone),
    };
    return TAP_RUN(cases, NULL, NULL);
}
