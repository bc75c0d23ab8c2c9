/* SPDX-License-Identifier: MIT */
/* Many streams, and streams that take over each other's descriptors. */
#include "case.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- descriptor reuse in one batch of events ---- */

struct batch {
    struct ct_case *c;
    struct ct_stream *streams[8];
    struct ct_stream *heirs[8];
    struct ct_listener *heir_goes_to;
    unsigned heir_count;
    bool on_their_memory; /* heirs are dialled when their place is free, not before */
    bool reset;           /* the peers end by a reset: all that an event can say is true of them */
    bool sprung;
};

static void dial_heir(struct batch *batch, struct ct_stream *heir)
{
    struct aioduct_socket_config config;
    ct_config(&config, batch->heir_goes_to);
    CT_EXPECT(heir->rig, ct_connect(heir, &config) == AIODUCT_PENDING);
}

/* Inside on_closed, where memory and descriptor are free again. */
static void dial_in_the_place(struct ct_stream *stream)
{
    struct batch *batch = stream->user;
    struct ct_stream *heir = ct_stream_new_on(stream->rig, stream);
    batch->heirs[batch->heir_count++] = heir;
    dial_heir(batch, heir);
}

/* The first to get its slice closes all others, whose slices are in the same batch, and dials new
 * streams, or lets them be dialled as soon as there is place. */
static void close_others_and_dial(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    struct batch *batch = stream->user;
    if (batch->sprung) {
        return;
    }
    batch->sprung = true;
    for (int i = 0; i < 8; i++) {
        if (batch->streams[i] != stream) {
            batch->streams[i]->keep_state = batch->on_their_memory;
            batch->streams[i]->on_closed = batch->on_their_memory ? dial_in_the_place : NULL;
            ct_stream_close(batch->streams[i]);
        }
    }
    for (unsigned i = 0; i < batch->heir_count; i++) {
        batch->heirs[i] = ct_stream_new(stream->rig);
        dial_heir(batch, batch->heirs[i]);
    }
}

static bool others_are_closed(void *arg)
{
    struct batch *batch = arg;
    unsigned closed = 0;
    for (int i = 0; i < 8; i++) {
        closed += batch->streams[i]->closed;
    }
    return closed == 7;
}

static void spring(struct ct_case *c, struct batch *batch)
{
    int fds[8];
    for (int i = 0; i < 8; i++) {
        batch->streams[i] = ct_dial(c, &fds[i]);
        batch->streams[i]->user = batch;
        batch->streams[i]->seed = 70;
        batch->streams[i]->on_data = close_others_and_dial;
        assert_int_equal(ct_recv_start(batch->streams[i]), 0);
    }
    ct_run_for(&c->rig, 1);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(ct_write_pattern(fds[i], 70, 100), 0);
        if (batch->reset) {
            ct_drop_fd_by_reset(c, fds[i]);
        }
    }
    CT_UNTIL(&c->rig, others_are_closed, batch);
    for (int i = 0; i < 8 && !batch->reset; i++) {
        ct_drop_fd(c, fds[i]);
    }
}

static bool heirs_are_connected(void *arg)
{
    struct batch *batch = arg;
    for (unsigned i = 0; i < batch->heir_count; i++) {
        if (batch->heirs[i]->connect.in_flight) {
            return false;
        }
    }
    return true;
}

/* An heir that got an event of its predecessor would report bytes, or the wrong ones. */
static void events_of_closed_streams_do_not_reach_their_heirs(struct ct_case *c)
{
    for (int round = 0; round < 20; round++) {
        struct batch batch = {.c = c, .heir_goes_to = &c->listener, .heir_count = 7};
        spring(c, &batch);
        CT_UNTIL(&c->rig, heirs_are_connected, &batch);
        for (int i = 0; i < 7; i++) {
            struct ct_stream *heir = batch.heirs[i];
            assert_int_equal(heir->connect.code, 0);
            int peer = ct_accept(&c->listener);
            heir->seed = 71;
            assert_int_equal(ct_recv_start(heir), 0);
            assert_int_equal(ct_write_pattern(peer, 71, 200), 0);
            close(peer);
        }
        for (int i = 0; i < 7; i++) {
            CT_UNTIL(&c->rig, ct_is_recv_done, batch.heirs[i]);
            assert_int_equal(batch.heirs[i]->received, 200);
            ct_stream_close(batch.heirs[i]);
        }
        for (int i = 0; i < 8; i++) {
            if (!batch.streams[i]->closing) {
                ct_close_and_wait(batch.streams[i]);
            }
        }
    }
}

/* Nobody answers the heirs: one that is connected, or refused, was told another's news. */
static void dial_into_silence(struct ct_case *c, struct batch plan)
{
    struct ct_listener full;
    ct_listen_full(&full);
    for (int round = 0; round < 5; round++) {
        struct batch batch = plan;
        batch.c = c;
        batch.heir_goes_to = &full;
        batch.reset = true;
        spring(c, &batch);
        ct_run_for(&c->rig, 5);
        for (unsigned i = 0; i < batch.heir_count; i++) {
            assert_true(batch.heirs[i]->connect.in_flight);
            ct_close_and_wait(batch.heirs[i]);
        }
        for (int i = 0; i < 8; i++) {
            if (!batch.streams[i]->closing) {
                ct_close_and_wait(batch.streams[i]);
            }
        }
    }
    ct_unlisten(&full);
}

/* An heir that still dials would take the event for the end of its connect. */
static void an_heir_that_dials_is_not_connected_by_an_old_event(struct ct_case *c)
{
    dial_into_silence(c, (struct batch){.heir_count = 3});
}

/* The same where the heir lives in the memory of the one before it. */
static void an_heir_on_old_memory_is_not_connected_by_an_old_event(struct ct_case *c)
{
    dial_into_silence(c, (struct batch){.on_their_memory = true});
}

/* ---- many ---- */

struct crowd {
    struct ct_stream **streams;
    unsigned count;
};

static bool crowd_is_connected(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < crowd->count; i++) {
        if (crowd->streams[i]->connect.in_flight) {
            return false;
        }
    }
    return true;
}

struct pinger {
    unsigned rounds_left;
    size_t expected;
    uint8_t bytes[64];
};

static bool crowd_is_through(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < crowd->count; i++) {
        if (((struct pinger *)crowd->streams[i]->user)->rounds_left > 0) {
            return false;
        }
    }
    return true;
}

static void send_ping(struct ct_stream *stream)
{
    struct pinger *pinger = stream->user;
    pinger->expected = sizeof pinger->bytes;
    ct_pattern_fill(pinger->bytes, sizeof pinger->bytes, stream->seed, stream->received);
    CT_EXPECT(stream->rig, ct_send_bytes(stream, pinger->bytes, sizeof pinger->bytes) >= 0);
}

/* The next ping waits for both: the echo and, where sends complete later, the completion. */
static void next_round(struct ct_stream *stream)
{
    struct pinger *pinger = stream->user;
    if (pinger->expected == 0 && !stream->send.in_flight && pinger->rounds_left > 0 &&
        --pinger->rounds_left > 0) {
        send_ping(stream);
    }
}

static void on_pong(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    struct pinger *pinger = stream->user;
    CT_EXPECT(stream->rig, bytes <= pinger->expected);
    pinger->expected -= bytes;
    next_round(stream);
}

static void on_ping_sent(struct ct_stream *stream, int op, int code, size_t bytes)
{
    (void)bytes;
    CT_EXPECT(stream->rig, code == 0 || op == AIODUCT_OP_RECV);
    if (op == AIODUCT_OP_SEND) {
        next_round(stream);
    }
}

static void a_thousand_streams_play_ping_pong(struct ct_case *c)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned count = ct_scaled(1000);
    if (limit.rlim_cur < 2 * count + 100) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < 2 * count + 100) {
        count = (unsigned)(limit.rlim_cur - 100) / 2;
    }
    struct ct_peer *echo = ct_start(c, ct_peer_echo, c->listener.fd, 0, 0);
    struct crowd crowd = {calloc(count, sizeof(struct ct_stream *)), count};
    struct pinger *pingers = calloc(count, sizeof *pingers);
    assert_non_null(crowd.streams);
    assert_non_null(pingers);
    for (unsigned i = 0; i < count; i++) {
        crowd.streams[i] = ct_dial_to(c, &c->listener);
        crowd.streams[i]->user = &pingers[i];
        crowd.streams[i]->seed = 100 + i;
    }
    CT_UNTIL(&c->rig, crowd_is_connected, &crowd);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(crowd.streams[i]->connect.code, 0);
        crowd.streams[i]->on_data = on_pong;
        crowd.streams[i]->on_done = on_ping_sent;
        pingers[i].rounds_left = 4;
        assert_int_equal(ct_recv_start(crowd.streams[i]), 0);
        send_ping(crowd.streams[i]);
    }
    CT_UNTIL(&c->rig, crowd_is_through, &crowd);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(crowd.streams[i]->received, 4 * sizeof pingers->bytes);
        ct_stream_close(crowd.streams[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        CT_UNTIL(&c->rig, ct_is_closed, crowd.streams[i]);
    }
    ct_peer_join(echo);
    assert_int_equal(echo->code, 0);
    free(crowd.streams);
    free(pingers);
}

/* ---- anything, at random ---- */

enum { ACTORS = 24 };

struct actor {
    struct ct_stream *stream;
    uint64_t sent;
    uint8_t bytes[20000];
    bool may_be_cut; /* a cancelled send or stop: the echo may end anywhere */
};

struct stage {
    struct ct_case *c;
    struct actor actors[ACTORS];
    uint64_t random;
    unsigned acts;
};

static void act_send(struct actor *actor, uint64_t random)
{
    struct ct_stream *stream = actor->stream;
    if (!stream->connected || stream->send.in_flight || stream->shutdown.accepted > 0) {
        return;
    }
    size_t bytes = 1 + random % sizeof actor->bytes;
    ct_pattern_fill(actor->bytes, bytes, stream->seed, stream->taken);
    int code = ct_send_bytes(stream, actor->bytes, bytes);
    CT_EXPECT(stream->rig, code >= 0);
}

static void act(struct stage *stage, struct actor *actor)
{
    uint64_t random = ct_random(&stage->random);
    struct ct_stream *stream = actor->stream;
    if (stream == NULL || stream->closed) {
        struct aioduct_socket_config config;
        ct_config(&config, &stage->c->listener);
        actor->stream = ct_stream_new(&stage->c->rig);
        actor->stream->seed = 1 + random % 1000;
        CT_EXPECT(&stage->c->rig, ct_connect(actor->stream, &config) == AIODUCT_PENDING);
        return;
    }
    if (stream->closing) {
        return;
    }
    switch (random % 16) {
    case 0:
        ct_stream_close(stream);
        break;
    case 1:
        ct_cancel(stream, (unsigned)(random >> 8) % 16 & ~(unsigned)AIODUCT_OP_CONNECT);
        break;
    case 2:
        ct_recv_stop(stream);
        break;
    case 3:
        ct_cancel(stream, AIODUCT_OP_SEND);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        if (stream->connected && !stream->recv.in_flight && !stream->ended) {
            CT_EXPECT(stream->rig, ct_recv_start(stream) == 0);
        }
        break;
    default:
        act_send(actor, random >> 8);
        break;
    }
}

static void act_on_some(struct ct_rig *rig)
{
    struct stage *stage = rig->user;
    for (int i = 0; i < 4 && stage->acts > 0; i++) {
        stage->acts--;
        act(stage, &stage->actors[ct_random(&stage->random) % ACTORS]);
    }
}

static void act_in_callback(struct ct_timer *timer)
{
    struct stage *stage = timer->user;
    if (stage->acts > 0) {
        act_on_some(timer->rig);
        CT_EXPECT(timer->rig, ct_sleep(timer, ct_now(timer->rig) + 50000) == 0);
    }
}

static bool play_is_over(void *arg)
{
    return ((struct stage *)arg)->acts == 0;
}

/* Whatever the order, the rig's books add up and what comes back is what was sent. */
static void streams_used_at_random_keep_their_books(struct ct_case *c)
{
    ct_start(c, ct_peer_echo, c->listener.fd, 0, 0);
    static struct stage stage;
    memset(&stage, 0, sizeof stage);
    stage.c = c;
    stage.random = ct_seed(1);
    stage.acts = ct_scaled(20000);
    c->rig.user = &stage;
    c->rig.turn_end = act_on_some;
    struct ct_timer *timer = ct_timer_new(&c->rig, act_in_callback, &stage);
    assert_int_equal(ct_sleep(timer, 0), 0);
    CT_UNTIL(&c->rig, play_is_over, &stage);
    c->rig.turn_end = NULL;
}

static const struct ct_test cases[] = {
    CT_CASE(events_of_closed_streams_do_not_reach_their_heirs, "ST-19"),
    CT_CASE(an_heir_that_dials_is_not_connected_by_an_old_event, "ST-19"),
    CT_CASE(an_heir_on_old_memory_is_not_connected_by_an_old_event, "ST-19", "ST-18"),
    CT_CASE(a_thousand_streams_play_ping_pong, "ST-25"),
    CT_CASE(streams_used_at_random_keep_their_books, "ST-2", "ST-16"),
};

CT_GROUP(crowd, CT_BY_POLL)
