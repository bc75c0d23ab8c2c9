/* SPDX-License-Identifier: MIT */
/* Places in the caller's memory that received bytes may be put to. A plugin need not put any there:
 * what is checked is that all come, and that nothing else is written to. That each byte is the
 * right one, and lies where it may, is checked at every slice. */
#include "case.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define ROOM (8 * MIB)
#define GAP 64u /* between places */
#define GUARD 0x7e

static uint8_t memory[2][ROOM];

struct place {
    size_t at, bytes; /* in the memory */
    size_t took;      /* so many of what was received lie there ... */
    uint64_t from;    /* ... from this one on */
};

/* Of one stream: places one behind the other, a next one whenever bytes came. */
struct places {
    uint8_t *memory;
    uint64_t seed, random;
    struct place all[2000];
    unsigned count;
    size_t used; /* of the memory */
};

static void init_places(struct places *places, unsigned which, struct ct_stream *stream)
{
    *places = (struct places){.memory = memory[which], .seed = stream->seed, .random = ct_seed(90)};
    memset(memory[which], GUARD, ROOM);
    stream->user = places;
}

static void name_another(struct ct_stream *stream)
{
    static const size_t sizes[] = {1, 10, 1000, 16384, 65536, 100000, 600000};
    struct places *places = stream->user;
    size_t bytes = sizes[ct_random(&places->random) % (sizeof sizes / sizeof sizes[0])];
    if (places->used + bytes + 2 * GAP <= ROOM &&
        places->count < sizeof places->all / sizeof places->all[0]) {
        struct place *place = &places->all[places->count++];
        *place = (struct place){.at = places->used + GAP, .bytes = bytes};
        places->used += GAP + bytes;
        ct_recv_at(stream, places->memory + place->at, bytes);
    }
}

static void note_slice(struct ct_stream *stream, const void *slice, size_t bytes)
{
    struct places *places = stream->user;
    struct place *last = &places->all[places->count > 0 ? places->count - 1 : 0];
    if (last->bytes > 0 && last->took == 0 && slice == places->memory + last->at) {
        last->took = bytes;
        last->from = stream->received - bytes;
    }
}

static void note_and_name_another(struct ct_stream *stream, const void *slice, size_t bytes)
{
    note_slice(stream, slice, bytes);
    name_another(stream);
}

static bool is_guard(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != GUARD) {
            return false;
        }
    }
    return true;
}

/* What came to a place is still there, and what lies between them was left alone. */
static void expect_places(const struct places *places)
{
    for (unsigned i = 0; i < places->count; i++) {
        const struct place *place = &places->all[i];
        const uint8_t *at = places->memory + place->at;
        assert_true(is_guard(at - GAP, GAP));
        assert_true(is_guard(at + place->bytes, GAP));
        assert_int_equal(ct_pattern_match(at, place->took, places->seed, place->from), place->took);
    }
}

static struct ct_stream *dial_and_receive(struct ct_case *c, int *fd, uint64_t seed)
{
    struct ct_stream *stream = ct_dial(c, fd);
    stream->seed = seed;
    memset(memory, GUARD, sizeof memory);
    assert_int_equal(ct_recv_start(stream), 0);
    return stream;
}

static bool came_5000(void *arg)
{
    return ((struct ct_stream *)arg)->received == 5000;
}

/* 5000 bytes come, and none of them to the first place. */
static void expect_none_there(struct ct_case *c, struct ct_stream *stream, int fd)
{
    assert_int_equal(ct_write_pattern(fd, stream->seed, 5000), 0);
    CT_UNTIL(&c->rig, came_5000, stream);
    assert_true(is_guard(memory[0], ROOM));
}

/* ---- where bytes come to ---- */

static void every_byte_comes_also_where_places_are_named(struct ct_case *c)
{
    static struct places places;
    const size_t sizes[] = {1, 1000, 65536, 1000003, 16 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int fd;
        struct ct_stream *stream = dial_and_receive(c, &fd, 80 + i);
        init_places(&places, 0, stream);
        stream->on_data = note_and_name_another;
        name_another(stream);
        struct ct_peer *peer = ct_start(c, ct_peer_source, fd, stream->seed, sizes[i]);
        CT_UNTIL(&c->rig, ct_is_recv_done, stream);
        ct_peer_join(peer);
        assert_int_equal(stream->received, sizes[i]);
        assert_int_equal(stream->recv.code, 0);
        ct_close_and_wait(stream);
        ct_drop_fd(c, fd);
        expect_places(&places);
    }
}

static void a_place_takes_no_more_than_it_has_room_for(struct ct_case *c)
{
    int fd;
    struct ct_stream *stream = dial_and_receive(c, &fd, 86);
    ct_recv_at(stream, memory[0], 10);
    assert_int_equal(ct_write_pattern(fd, 86, 5000), 0);
    CT_UNTIL(&c->rig, came_5000, stream);
    assert_true(is_guard(memory[0] + 10, ROOM - 10));
}

static bool both_came(void *arg)
{
    struct ct_stream *const *streams = arg;
    return streams[0]->ended && streams[1]->ended;
}

static void streams_have_places_of_their_own(struct ct_case *c)
{
    static struct places places[2];
    struct ct_stream *streams[2];
    struct ct_peer *peers[2];
    for (unsigned i = 0; i < 2; i++) {
        int fd;
        streams[i] = ct_dial(c, &fd);
        streams[i]->seed = 87 + i;
        init_places(&places[i], i, streams[i]);
        streams[i]->on_data = note_and_name_another;
        assert_int_equal(ct_recv_start(streams[i]), 0);
        name_another(streams[i]);
        peers[i] = ct_start(c, ct_peer_source, fd, streams[i]->seed, 10 * MIB);
    }
    CT_UNTIL(&c->rig, both_came, streams);
    for (unsigned i = 0; i < 2; i++) {
        ct_peer_join(peers[i]);
        assert_int_equal(streams[i]->received, 10 * MIB);
        expect_places(&places[i]);
    }
}

static void a_place_without_a_receive_is_none(struct ct_case *c)
{
    int fd;
    struct ct_stream *fresh = ct_stream_new(&c->rig);
    ct_recv_at(fresh, memory[0], ROOM);
    struct ct_stream *stream = ct_dial(c, &fd);
    stream->seed = 89;
    memset(memory, GUARD, sizeof memory);
    ct_recv_at(stream, memory[0], ROOM);
    assert_int_equal(ct_recv_start(stream), 0);
    ct_recv_stop(stream);
    ct_recv_at(stream, memory[0], ROOM);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(ct_recv_start(stream), 0);
    expect_none_there(c, stream, fd);
}

/* ---- when it is over ---- */

static void a_place_is_for_one_slice(struct ct_case *c)
{
    static uint8_t then[65536];
    int fd;
    struct ct_stream *stream = dial_and_receive(c, &fd, 91);
    ct_recv_at(stream, memory[0], sizeof then);
    assert_int_equal(ct_write_pattern(fd, 91, 500), 0);
    CT_UNTIL(&c->rig, ct_has_data, stream);
    memcpy(then, memory[0], sizeof then);
    static uint8_t more[100000];
    ct_pattern_fill(more, sizeof more, 91, 500);
    assert_int_equal(ct_write_all(fd, more, sizeof more), 0);
    ct_drop_fd(c, fd);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 500 + sizeof more);
    assert_memory_equal(memory[0], then, sizeof then);
}

static void a_place_that_was_taken_back_is_left_alone(struct ct_case *c)
{
    int fd;
    struct ct_stream *stream = dial_and_receive(c, &fd, 92);
    ct_recv_at(stream, memory[0], ROOM);
    ct_recv_at(stream, NULL, 0);
    ct_recv_at(stream, NULL, 0);
    expect_none_there(c, stream, fd);

    stream = dial_and_receive(c, &fd, 93);
    ct_recv_at(stream, memory[0], ROOM);
    ct_run_for(&c->rig, 5);
    ct_recv_at(stream, memory[1], ROOM);
    expect_none_there(c, stream, fd);
}

static void the_place_of_a_receive_that_ends_is_left_alone(struct ct_case *c)
{
    for (int by_cancel = 0; by_cancel < 2; by_cancel++) {
        int fd;
        struct ct_stream *stream = dial_and_receive(c, &fd, 94);
        ct_recv_at(stream, memory[0], ROOM);
        ct_run_for(&c->rig, 5);
        if (by_cancel) {
            ct_cancel(stream, AIODUCT_OP_RECV);
        } else {
            ct_recv_stop(stream);
        }
        assert_int_equal(ct_write_pattern(fd, 94, 2500), 0);
        const char *before = ct_blame(by_cancel ? "ST-15" : "ST-7"); /* that it ends */
        CT_UNTIL(&c->rig, ct_is_recv_done, stream);
        ct_blame(before);
        ct_run_for(&c->rig, 5);
        assert_true(is_guard(memory[0], ROOM));
        assert_int_equal(ct_recv_start(stream), 0);
        CT_UNTIL(&c->rig, ct_has_data, stream);
        ct_run_for(&c->rig, 5);
        assert_true(is_guard(memory[0], ROOM));
    }
}

/* With bytes that wait, and with bytes that come while it closes. */
static void the_place_of_a_stream_that_closes_is_left_alone(struct ct_case *c)
{
    for (int waits = 0; waits < 2; waits++) {
        int fd;
        struct ct_stream *stream = dial_and_receive(c, &fd, 95);
        if (waits) {
            assert_int_equal(ct_write_pattern(fd, 95, 2500), 0);
        }
        ct_recv_at(stream, memory[0], ROOM);
        ct_stream_close(stream);
        if (!waits) {
            assert_int_equal(ct_write_pattern(fd, 95, 2500), 0);
        }
        CT_UNTIL(&c->rig, ct_is_closed, stream);
        ct_run_for(&c->rig, 5);
        assert_true(is_guard(memory[0], ROOM));
    }
}

/* ---- beside others ---- */

struct flood {
    uint64_t turn, in_turn, most_in_turn;
};

/* Slower than the peer, so that there is always more. */
static void name_all_and_take_your_time(struct ct_stream *stream, const void *slice, size_t bytes)
{
    struct flood *flood = stream->user;
    struct timespec pause = {.tv_nsec = 300000};
    (void)slice;
    if (flood->turn != stream->rig->turns) {
        flood->turn = stream->rig->turns;
        flood->in_turn = 0;
    }
    flood->in_turn += bytes;
    if (flood->in_turn > flood->most_in_turn) {
        flood->most_in_turn = flood->in_turn;
    }
    ct_recv_at(stream, memory, sizeof memory);
    nanosleep(&pause, NULL);
}

static bool much_came(void *arg)
{
    return ((struct ct_stream *)arg)->received > 64 * MIB;
}

static void flood_until_stopped(struct ct_peer *peer)
{
    while (!peer->stop && ct_write_pattern(peer->fd, 1, MIB) == 0) {
    }
}

static void a_large_place_is_not_filled_in_one_turn(struct ct_case *c)
{
    int fd;
    struct flood flood = {0};
    struct ct_stream *stream = dial_and_receive(c, &fd, 0);
    stream->on_data = name_all_and_take_your_time;
    stream->user = &flood;
    struct ct_peer *peer = ct_start(c, flood_until_stopped, fd, 0, 0);
    CT_UNTIL(&c->rig, much_came, stream);
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_in_range(flood.most_in_turn, 1, 16 * MIB);
}

static const struct ct_test cases[] = {
    CT_CASE(every_byte_comes_also_where_places_are_named, "ST-30"),
    CT_CASE(a_place_takes_no_more_than_it_has_room_for, "ST-30"),
    CT_CASE(streams_have_places_of_their_own, "ST-30"),
    CT_CASE(a_place_without_a_receive_is_none, "ST-30"),
    CT_CASE(a_place_is_for_one_slice, "ST-31"),
    CT_CASE(a_place_that_was_taken_back_is_left_alone, "ST-31"),
    CT_CASE(the_place_of_a_receive_that_ends_is_left_alone, "ST-31"),
    CT_CASE(the_place_of_a_stream_that_closes_is_left_alone, "ST-31"),
    CT_CASE(a_large_place_is_not_filled_in_one_turn, "ST-25"),
};

CT_GROUP(place, CT_BY_POLL)
