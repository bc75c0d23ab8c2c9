/* SPDX-License-Identifier: MIT */
/* Receiving. That each byte is the right one, and none comes twice, is checked at every slice. */
#include "case.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* ---- every byte ---- */

static void receive_exactly(struct ct_case *c, uint64_t bytes, uint64_t seed)
{
    int fd;
    struct ct_stream *stream = ct_dial(c, &fd);
    stream->seed = seed;
    assert_int_equal(ct_recv_start(stream), 0);
    struct ct_peer *peer = ct_start(c, ct_peer_source, fd, seed, bytes);
    ct_peer_join(peer); /* the system's buffers take as much as this */
    assert_int_equal(peer->code, 0);
    ct_drop_fd(c, fd);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, bytes);
    assert_int_equal(stream->recv.code, 0);
    assert_int_equal(stream->recv.completed, 1);
    ct_close_and_wait(stream);
}

/* In the buffers before the loop looks. */
static void small_amounts_arrive_whole(struct ct_case *c)
{
    const uint64_t sizes[] = {1, 2, 3, 1000, 4095, 4096, 4097, 16384, 30000, 65535};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        receive_exactly(c, sizes[i], 10 + i);
    }
}

static void receive_beside(struct ct_case *c, uint64_t bytes, uint64_t seed)
{
    int fd;
    struct ct_stream *stream = ct_dial(c, &fd);
    stream->seed = seed;
    assert_int_equal(ct_recv_start(stream), 0);
    struct ct_peer *peer = ct_start(c, ct_peer_source, fd, seed, bytes);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    ct_peer_join(peer);
    assert_int_equal(peer->code, 0);
    assert_int_equal(stream->received, bytes);
    assert_int_equal(stream->recv.code, 0);
    ct_close_and_wait(stream);
    ct_drop_fd(c, fd);
}

/* While the peer writes. */
static void large_amounts_arrive_whole(struct ct_case *c)
{
    const uint64_t sizes[] = {65536, 65537, 1000003, 4 * MIB, 16 * MIB};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        receive_beside(c, sizes[i], 20 + i);
    }
}

static void bytes_that_came_before_recv_start_are_not_lost(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 3;
    assert_int_equal(ct_write_pattern(peer, 3, 20000), 0);
    ct_drop_fd(c, peer);
    ct_run_for(&c->rig, 10);
    assert_int_equal(stream->slices, 0);
    assert_int_equal(ct_recv_start(stream), 0);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 20000);
    assert_true(stream->ended);
}

static void use_everything(struct ct_stream *stream, const void *slice, size_t bytes)
{
    static char copy[4096];
    size_t count = bytes < sizeof copy ? bytes : sizeof copy;
    memcpy(copy, slice, count);
    struct ct_stream *other = stream->user;
    if (other->connected && !other->closing) {
        CT_EXPECT(stream->rig, ct_recv_start(other) == 0 || other->recv.in_flight);
        CT_EXPECT(stream->rig, ct_send_bytes(stream, "abc", 3) >= 0);
        CT_EXPECT(stream->rig, ct_send_bytes(other, "abc", 3) >= 0);
        ct_stream_close(other);
    }
    ct_recv_stop(stream);
    ct_cancel(stream, AIODUCT_OP_RECV);
    CT_EXPECT(stream->rig, memcmp(copy, slice, count) == 0);
}

/* ST-4, ST-20; the rig compares every slice before and after the hook. */
static void a_slice_stays_as_it_is_until_on_data_returns(struct ct_case *c)
{
    int peer, other_peer;
    struct ct_stream *other = ct_dial(c, &other_peer);
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 4;
    stream->user = other;
    stream->on_data = use_everything;
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_pattern(peer, 4, 50000), 0);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    CT_UNTIL(&c->rig, ct_is_closed, other);
    assert_true(stream->received > 0);
}

/* ---- the end ---- */

static void the_end_comes_once_and_after_the_data(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_all(peer, "last words", 10), 0);
    ct_drop_fd(c, peer);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 10);
    assert_true(stream->recv.order > stream->data_order);
    ct_run_for(&c->rig, 10);
    assert_int_equal(stream->recv.completed, 1);
    assert_int_equal(stream->recv.code, 0);
}

static void sending_goes_on_after_the_peers_end(struct ct_case *c)
{
    int fd;
    struct ct_stream *stream = ct_dial(c, &fd);
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_true(stream->ended);
    static uint8_t bytes[3 << 20];
    ct_pattern_fill(bytes, sizeof bytes, 7, 0);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 7, 0);
    assert_true(ct_send_bytes(stream, bytes, sizeof bytes) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, sizeof bytes);
    assert_int_equal(peer->code, 0);
}

static void a_reset_is_an_error(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    assert_int_equal(ct_recv_start(stream), 0);
    ct_run_for(&c->rig, 2);
    ct_drop_fd_by_reset(c, peer);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->recv.code, -ECONNRESET);
    ct_close_and_wait(stream);
    assert_int_equal(stream->recv.completed, 1);
}

/* Nobody looked while it came. */
static void a_reset_that_came_before_recv_start_is_an_error(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    ct_drop_fd_by_reset(c, peer);
    ct_run_for(&c->rig, 5);
    int code = ct_recv_start(stream);
    if (code == 0) {
        CT_UNTIL(&c->rig, ct_is_recv_done, stream);
        code = stream->recv.code;
    }
    assert_int_equal(code, -ECONNRESET);
}

/* ---- stop and go on ---- */

static void a_second_receive_is_busy(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 9;
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_recv_start(stream), -EBUSY);
    ct_run_for(&c->rig, 2);
    assert_int_equal(ct_recv_start(stream), -EBUSY);
    assert_int_equal(ct_write_pattern(peer, 9, 100), 0);
    ct_drop_fd(c, peer);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 100);
}

static void a_stopped_receive_completes_and_delivers_nothing_more(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 8;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(ct_recv_start(stream), 0);
        ct_recv_stop(stream);
        ct_recv_stop(stream);
        CT_UNTIL(&c->rig, ct_is_recv_done, stream);
        assert_int_equal(stream->recv.code, -ECANCELED);
        assert_int_equal(stream->recv.completed, i);
    }
    uint64_t before = stream->received;
    assert_int_equal(ct_write_pattern(peer, 8, 5000), 0);
    ct_drop_fd(c, peer);
    ct_run_for(&c->rig, 20);
    assert_int_equal(stream->received, before);
    assert_int_equal(ct_recv_start(stream), 0);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 5000);
    assert_true(stream->ended);
}

static void stopping_when_nothing_is_received_does_nothing(struct ct_case *c)
{
    struct ct_stream *stream = ct_dial(c, NULL);
    ct_recv_stop(stream);
    ct_cancel(stream, AIODUCT_OP_RECV);
    ct_run_for(&c->rig, 5);
    assert_int_equal(stream->recv.completed, 0);
    assert_int_equal(ct_recv_start(stream), 0);
    ct_run_for(&c->rig, 5);
    assert_true(stream->recv.in_flight); /* nothing of the old stop is left */
}

static void a_cancelled_receive_may_start_again(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 12;
    assert_int_equal(ct_recv_start(stream), 0);
    ct_run_for(&c->rig, 2);
    ct_cancel(stream, AIODUCT_OP_RECV);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->recv.code, -ECANCELED);
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_pattern(peer, 12, 300), 0);
    ct_drop_fd(c, peer);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 300);
}

static void stop_now(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    ct_recv_stop(stream);
}

/* Slices that were on their way may come, but it ends, and what is left waits. */
static void a_receive_is_stopped_inside_on_data(struct ct_case *c)
{
    enum { BYTES = 16 << 20 };
    int fd;
    struct ct_stream *stream = ct_dial(c, &fd);
    stream->seed = 11;
    stream->on_data = stop_now;
    struct ct_peer *peer = ct_start(c, ct_peer_source, fd, 11, BYTES);
    unsigned rounds = 0;
    while (!stream->ended) {
        assert_int_equal(ct_recv_start(stream), 0);
        CT_UNTIL(&c->rig, ct_is_recv_done, stream);
        assert_true(stream->recv.code == -ECANCELED || stream->recv.code == 0);
        rounds++;
    }
    ct_peer_join(peer);
    assert_int_equal(stream->received, BYTES);
    assert_true(rounds > 2);
}

static void stop_at_random(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    if (ct_random(stream->user) % 4 == 0) {
        ct_recv_stop(stream);
    }
}

static void start_again(struct ct_stream *stream, int op, int code, size_t bytes)
{
    (void)bytes;
    if (op == AIODUCT_OP_RECV && code == -ECANCELED) {
        CT_EXPECT(stream->rig, ct_recv_start(stream) == 0);
    }
}

static bool has_ended(void *arg)
{
    return ((struct ct_stream *)arg)->ended;
}

/* Started again inside the completion. */
static void stopping_and_starting_at_random_loses_nothing(struct ct_case *c)
{
    enum { BYTES = 8 << 20 };
    int fd;
    uint64_t seed = ct_seed(1);
    struct ct_stream *stream = ct_dial(c, &fd);
    stream->seed = 13;
    stream->user = &seed;
    stream->on_data = stop_at_random;
    stream->on_done = start_again;
    struct ct_peer *peer = ct_start(c, ct_peer_source, fd, 13, BYTES);
    assert_int_equal(ct_recv_start(stream), 0);
    CT_UNTIL(&c->rig, has_ended, stream);
    ct_peer_join(peer);
    assert_int_equal(stream->received, BYTES);
    assert_int_equal(stream->recv.accepted, stream->recv.completed);
}

/* ---- beside others ---- */

static void flood_until_stopped(struct ct_peer *peer)
{
    while (!peer->stop && ct_write_pattern(peer->fd, 1, MIB) == 0) {
    }
}

struct race {
    struct ct_timer *timer;
    struct ct_stream *loud, *quiet;
    uint64_t turn, in_turn, most_in_turn;
};

/* Slower than the peer, so that there is always more. */
static void take_your_time(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    struct race *race = stream->user;
    if (race->turn != stream->rig->turns) {
        race->turn = stream->rig->turns;
        race->in_turn = 0;
    }
    race->in_turn += bytes;
    if (race->in_turn > race->most_in_turn) {
        race->most_in_turn = race->in_turn;
    }
    struct timespec pause = {.tv_nsec = 300000};
    nanosleep(&pause, NULL);
}

static bool both_came(void *arg)
{
    struct race *race = arg;
    return race->timer->fires > 0 && race->quiet->received == 1;
}

static bool enough_came(void *arg)
{
    struct race *race = arg;
    return race->loud->received > 96 * MIB;
}

static void a_peer_that_floods_starves_neither_timers_nor_other_streams(struct ct_case *c)
{
    int loud_fd, quiet_fd;
    struct race race = {.loud = ct_dial(c, &loud_fd), .quiet = ct_dial(c, &quiet_fd)};
    race.loud->on_data = take_your_time;
    race.loud->user = &race;
    assert_int_equal(ct_recv_start(race.loud), 0);
    assert_int_equal(ct_recv_start(race.quiet), 0);
    struct ct_peer *peer = ct_start(c, flood_until_stopped, loud_fd, 0, 0);
    CT_UNTIL(&c->rig, ct_has_data, race.loud);
    race.timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_sleep(race.timer, ct_now(&c->rig) + 5000000), 0);
    assert_int_equal(ct_write_all(quiet_fd, "x", 1), 0);
    CT_UNTIL(&c->rig, both_came, &race);
    CT_UNTIL(&c->rig, enough_came, &race);
    assert_in_range(race.most_in_turn, 1, 16 * MIB);
    ct_close_and_wait(race.loud);
    ct_peer_join(peer);
}

static const struct ct_test cases[] = {
    CT_CASE(small_amounts_arrive_whole, "ST-3", "ST-5"),
    CT_CASE(large_amounts_arrive_whole, "ST-3", "ST-5"),
    CT_CASE(bytes_that_came_before_recv_start_are_not_lost, "ST-3"),
    CT_CASE(a_slice_stays_as_it_is_until_on_data_returns, "ST-4", "ST-20"),
    CT_CASE(the_end_comes_once_and_after_the_data, "ST-5"),
    CT_CASE(sending_goes_on_after_the_peers_end, "ST-5", "ST-26"),
    CT_CASE(a_reset_is_an_error, "ST-6"),
    CT_CASE(a_reset_that_came_before_recv_start_is_an_error, "ST-6"),
    CT_CASE(a_second_receive_is_busy, "ST-1"),
    CT_CASE(a_stopped_receive_completes_and_delivers_nothing_more, "ST-7"),
    CT_CASE(stopping_when_nothing_is_received_does_nothing, "ST-8"),
    CT_CASE(a_cancelled_receive_may_start_again, "ST-15"),
    CT_CASE(a_receive_is_stopped_inside_on_data, "ST-7"),
    CT_CASE(stopping_and_starting_at_random_loses_nothing, "ST-7", "ST-20"),
    CT_CASE(a_peer_that_floods_starves_neither_timers_nor_other_streams, "ST-25", "RT-14"),
};

CT_GROUP(recv, CT_BY_POLL | CT_OVER_IPV6)
