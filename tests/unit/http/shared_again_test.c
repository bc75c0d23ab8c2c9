/* SPDX-License-Identifier: MIT */
/** Requests that come back to the pool: their order, and the limit of the queue, which they have
 * met before. */
#include "http/pool_private.h"
#include "shared_scene.h"

#define COUNT 8

/* @count on the one connection, which has no room for more. */
static struct ad_conn *fill(struct scene *s, int count)
{
    shared_get(s, "/0");
    TURN_UNTIL(s, s->outcomes[0].exchange->place == AD_PLACE_CONN);
    for (int i = 1; i < count; i++) {
        char path[8];
        snprintf(path, sizeof path, "/%d", i);
        shared_get(s, path);
    }
    TURN_UNTIL(s, peer_requests(s->peer) == count);
    struct ad_conn *conn = s->outcomes[0].exchange->conn;
    assert_int_equal(conn->exchange_count, count);
    conn->retired = true;
    return conn;
}

static void come_back(struct scene *s, struct ad_conn *conn, int number)
{
    struct aioduct_exchange *ex = s->outcomes[number].exchange;
    const struct aioduct_error error = {.code = AIODUCT_E_STREAM, .phase = AIODUCT_PHASE_HEAD};
    conn->codec->cancel(conn, ex);
    ad_exchange_refused(ex, &error);
}

static void play_first_at_gate(struct peer_conn *conn, int index, void *user)
{
    if (index == 0) {
        while (peer_read_request(conn)) {
        }
        return;
    }
    play_shared(conn, index, user);
}

/* On the second connection. */
static void assert_in_order(struct scene *s, int count)
{
    int next = 0;
    for (int i = 0; i < peer_requests(s->peer) && next < count; i++) {
        const struct peer_request *request = peer_request(s->peer, i);
        char expected[32];
        snprintf(expected, sizeof expected, "GET /%d ", next);
        if (request->connection == 1) {
            assert_memory_equal(request->head, expected, strlen(expected));
            assert_int_equal(s->outcomes[next].place, next);
            next++;
        }
    }
    assert_int_equal(next, count);
}

/* As the codec meets them: by number, or in the order of some table. */
static void check_order(struct scene *s, const int *numbers)
{
    shared_begin(s, play_first_at_gate, NULL);
    struct ad_conn *conn = fill(s, COUNT);
    for (int i = 0; i < COUNT; i++) {
        come_back(s, conn, numbers[i]);
    }
    shared_get(s, "/new"); /* behind all that were there before */
    shared_run(s);
    assert_all_fine(s);
    assert_in_order(s, COUNT);
    assert_int_equal(s->outcomes[COUNT].place, COUNT);
}

static void test_order(void **state)
{
    check_order(*state, (const int[COUNT]){0, 1, 2, 3, 4, 5, 6, 7});
}

static void test_reversed(void **state)
{
    check_order(*state, (const int[COUNT]){7, 6, 5, 4, 3, 2, 1, 0});
}

static void test_mixed(void **state)
{
    check_order(*state, (const int[COUNT]){3, 0, 7, 1, 6, 2, 5, 4});
}

/* What was accepted once is not refused for those that are there as well. */
static void test_limit(void **state)
{
    struct scene *s = *state;
    s->options.waiters_max = 1;
    shared_begin(s, play_first_at_gate, NULL);
    struct ad_conn *conn = fill(s, COUNT);
    for (int i = 0; i < COUNT; i++) {
        come_back(s, conn, i);
    }
    assert_int_equal(shared_stats(s).waiters, COUNT);
    struct outcome *new_one = shared_get(s, "/new");
    shared_run(s);
    assert_failed(new_one, AIODUCT_E_LIMIT, AIODUCT_PHASE_QUEUE);
    for (int i = 0; i < COUNT; i++) {
        assert_fine(&s->outcomes[i]);
    }
}

/* The same for one that moves to another loop: here it comes back to the one it left. */
static void test_limit_when_passed(void **state)
{
    struct scene *s = *state;
    s->options.waiters_max = 1;
    s->options.h2_connections_per_origin_max = 1;
    fake_room = 1;
    shared_begin(s, play_at_gate, NULL);
    shared_get(s, "/0");
    TURN_UNTIL(s, s->outcomes[0].exchange->place == AD_PLACE_CONN);
    struct aioduct_exchange *moves = shared_get(s, "/1")->exchange;
    shared_turn(s);
    assert_int_equal(moves->place, AD_PLACE_WAITING);
    ad_pool_leave(moves);
    ad_exchange_set_place(moves, AD_PLACE_NEW);
    moves->passed = true;
    shared_get(s, "/2");
    shared_turn(s);
    assert_int_equal(shared_stats(s).waiters, 1);
    ad_pool_acquire(moves);
    assert_int_equal(shared_stats(s).waiters, 2);
    peer_open(s->peer, GO);
    shared_run(s);
    assert_all_fine(s);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE("C107: refused requests keep their order", test_order),
        CASE("C107: the last ones first: the same order", test_reversed),
        CASE("C107: in any order: the same order", test_mixed),
        CASE("C107: waiters_max does not refuse what comes back", test_limit),
        CASE("C107: waiters_max does not refuse what moves", test_limit_when_passed),
    };
    return TAP_RUN(cases, NULL, NULL);
}
