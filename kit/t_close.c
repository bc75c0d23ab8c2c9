/* SPDX-License-Identifier: MIT */
/* The end of a stream, in every state and from everywhere. That each operation completes once and
 * before on_closed, that on_closed is the last word and comes once, and that no slice follows
 * stream_close, is checked at every stream. */
#include "case.h"
#include "proc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void an_idle_stream_closes_and_the_peer_sees_the_end(struct ct_case *c)
{
    int peer, code;
    struct ct_stream *stream = ct_dial(c, &peer);
    ct_stream_close(stream);
    assert_false(stream->closed); /* not inside the call */
    CT_UNTIL(&c->rig, ct_is_closed, stream);
    assert_int_equal(ct_drain(peer, 1, &code), 0);
    assert_int_equal(code, 0);
}

static void a_stream_closes_with_everything_pending(struct ct_case *c)
{
    for (int i = 0; i < 3; i++) {
        int fd, code;
        uint64_t at = 0;
        struct ct_stream *stream = ct_dial(c, &fd);
        assert_int_equal(ct_recv_start(stream), 0);
        ct_send_until_pending(stream, 60, &at);
        assert_int_equal(ct_shutdown(stream), AIODUCT_PENDING);
        if (i == 1) {
            ct_cancel(stream, AIODUCT_OP_SEND | AIODUCT_OP_RECV | AIODUCT_OP_SHUTDOWN);
        } else if (i == 2) {
            ct_run_for(&c->rig, 5);
        }
        ct_close_and_wait(stream);
        assert_int_equal(stream->recv.completed, 1);
        assert_int_equal(stream->send.completed, stream->send.accepted);
        assert_int_equal(stream->shutdown.completed, 1);
        assert_int_equal(stream->recv.code, -ECANCELED);
        assert_int_equal(stream->send.code, -ECANCELED);
        uint64_t came = ct_drain(fd, 60, &code);
        assert_int_equal(code, 0);
        assert_int_equal(came, stream->taken);
        ct_drop_fd(c, fd);
    }
}

/* It is there, the loop has not looked yet. */
static void data_that_waits_is_not_delivered_after_the_close(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    assert_int_equal(ct_recv_start(stream), 0);
    ct_run_for(&c->rig, 2);
    assert_int_equal(ct_write_pattern(peer, 1, 50000), 0);
    ct_close_and_wait(stream);
    assert_int_equal(stream->received, 0);
    assert_int_equal(stream->recv.completed, 1);
}

/* ---- from inside callbacks ---- */

static void close_on_data(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    ct_stream_close(stream);
}

static void close_on_done(struct ct_stream *stream, int op, int code, size_t bytes)
{
    (void)op;
    (void)code;
    (void)bytes;
    if (!stream->closing) {
        ct_stream_close(stream);
    }
}

static void close_the_user_on_data(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    struct ct_stream *other = stream->user;
    if (!other->closing && !stream->closing) {
        ct_stream_close(other);
    }
}

static void a_stream_closes_inside_its_on_data(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->on_data = close_on_data;
    assert_int_equal(ct_write_pattern(peer, 1, 200000), 0);
    assert_int_equal(ct_recv_start(stream), 0);
    CT_UNTIL(&c->rig, ct_is_closed, stream);
    assert_int_equal(stream->slices, 1);
}

static void a_stream_closes_inside_each_completion(struct ct_case *c)
{
    struct ct_stream *connecting = ct_dial_to(c, &c->listener);
    connecting->on_done = close_on_done;
    CT_UNTIL(&c->rig, ct_is_closed, connecting);
    int first = ct_keep_fd(c, ct_accept(&c->listener));

    int peer;
    struct ct_stream *ending = ct_dial(c, &peer);
    ending->on_done = close_on_done;
    assert_int_equal(ct_recv_start(ending), 0);
    ct_drop_fd(c, peer);
    CT_UNTIL(&c->rig, ct_is_closed, ending);

    uint64_t at = 0;
    struct ct_stream *sending = ct_dial(c, &peer);
    ct_send_until_pending(sending, 61, &at);
    sending->on_done = close_on_done;
    struct ct_peer *sink = ct_start(c, ct_peer_sink, peer, 61, 0);
    CT_UNTIL(&c->rig, ct_is_closed, sending);
    ct_peer_join(sink);
    assert_int_equal(sink->bytes, at);
    ct_drop_fd(c, first);
}

static bool one_is_closed(void *arg)
{
    struct ct_stream *one = arg, *two = one->user;
    return one->closed || two->closed;
}

/* The other's slice is in the same turn. */
static void a_stream_closes_inside_the_on_data_of_another(struct ct_case *c)
{
    for (int i = 0; i < 5; i++) {
        int one_fd, two_fd;
        struct ct_stream *one = ct_dial(c, &one_fd), *two = ct_dial(c, &two_fd);
        one->user = two;
        two->user = one;
        one->on_data = two->on_data = close_the_user_on_data;
        assert_int_equal(ct_recv_start(one), 0);
        assert_int_equal(ct_recv_start(two), 0);
        ct_run_for(&c->rig, 1);
        assert_int_equal(ct_write_pattern(one_fd, 1, 1000), 0);
        assert_int_equal(ct_write_pattern(two_fd, 1, 1000), 0);
        CT_UNTIL(&c->rig, one_is_closed, one);
        ct_run_for(&c->rig, 2);
        assert_int_equal(one->closed + two->closed, 1);
    }
}

static void close_in_timer(struct ct_timer *timer)
{
    ct_stream_close(timer->user);
}

static int close_in_task(struct ct_task *task)
{
    ct_stream_close(task->user);
    return 1;
}

static void close_in_turn_end(struct ct_rig *rig)
{
    rig->turn_end = NULL;
    ct_stream_close(rig->user);
}

/* In the last case nothing but the close itself can end the wait. */
static void a_stream_closes_in_a_timer_a_task_and_the_end_of_a_turn(struct ct_case *c)
{
    struct ct_stream *streams[3];
    for (int i = 0; i < 3; i++) {
        streams[i] = ct_dial(c, NULL);
        assert_int_equal(ct_recv_start(streams[i]), 0);
    }
    struct ct_timer *timer = ct_timer_new(&c->rig, close_in_timer, streams[0]);
    assert_int_equal(ct_sleep(timer, 0), 0);
    assert_int_equal(ct_spawn(ct_task_new(&c->rig, close_in_task, streams[1])), 0);
    CT_UNTIL(&c->rig, ct_is_closed, streams[0]);
    CT_UNTIL(&c->rig, ct_is_closed, streams[1]);
    ct_run_for(&c->rig, 5); /* no signal to the loop is left over */
    c->rig.user = streams[2];
    c->rig.turn_end = close_in_turn_end;
    CT_UNTIL(&c->rig, ct_is_closed, streams[2]);
}

/* ---- memory ---- */

struct heir {
    struct ct_case *c;
    struct ct_stream *now;
    unsigned left;
};

static void dial_on_the_same_memory(struct ct_stream *stream)
{
    struct heir *heir = stream->user;
    struct aioduct_socket_config config;
    ct_config(&config, &heir->c->listener);
    struct ct_stream *next = ct_stream_new_on(stream->rig, stream);
    next->user = heir;
    next->on_done = close_on_done;
    next->on_closed = dial_on_the_same_memory;
    next->keep_state = true;
    heir->now = next;
    if (--heir->left == 0) {
        next->on_closed = NULL;
        next->keep_state = false;
    }
    CT_EXPECT(stream->rig, ct_connect(next, &config) == AIODUCT_PENDING);
}

static bool heirs_are_gone(void *arg)
{
    struct heir *heir = arg;
    return heir->left == 0 && heir->now->closed;
}

/* Inside on_closed, without a turn in between. */
static void the_memory_of_a_closed_stream_is_used_for_another_at_once(struct ct_case *c)
{
    struct heir heir = {.c = c, .left = 100};
    struct ct_stream *stream = ct_dial(c, NULL);
    stream->user = &heir;
    stream->keep_state = true;
    stream->on_closed = dial_on_the_same_memory;
    assert_int_equal(ct_recv_start(stream), 0);
    ct_stream_close(stream);
    CT_UNTIL(&c->rig, heirs_are_gone, &heir);
}

static void two_thousand_streams_one_after_another_leave_nothing(struct ct_case *c)
{
    unsigned rounds = ct_scaled(2000);
    unsigned fds = 0;
    long blocks = 0, bytes = 0;
    for (unsigned i = 0; i < rounds; i++) {
        struct ct_stream *stream = ct_dial_to(c, &c->listener);
        CT_UNTIL(&c->rig, ct_is_connect_done, stream);
        assert_int_equal(stream->connect.code, 0);
        int peer = ct_accept(&c->listener);
        assert_int_equal(ct_recv_start(stream), 0);
        assert_true(ct_send_bytes(stream, "hello", 5) >= 0);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        /* The peer's reset spares the system its waiting time. */
        ct_reset(peer);
        ct_close_and_wait(stream);
        if (i == 20) {
            fds = ct_fd_count();
            blocks = c->rig.live_blocks;
            bytes = c->rig.live_bytes;
        }
    }
    if (rounds > 20) {
        assert_int_equal(ct_fd_count(), fds);
        assert_int_equal(c->rig.live_blocks, blocks);
        assert_int_equal(c->rig.live_bytes, bytes);
    }
}

static const struct ct_test cases[] = {
    CT_CASE(an_idle_stream_closes_and_the_peer_sees_the_end, "ST-16", "ST-23"),
    CT_CASE(a_stream_closes_with_everything_pending, "ST-16"),
    CT_CASE(data_that_waits_is_not_delivered_after_the_close, "ST-17"),
    CT_CASE(a_stream_closes_inside_its_on_data, "ST-20", "ST-17"),
    CT_CASE(a_stream_closes_inside_each_completion, "ST-20"),
    CT_CASE(a_stream_closes_inside_the_on_data_of_another, "ST-20"),
    CT_CASE(a_stream_closes_in_a_timer_a_task_and_the_end_of_a_turn, "ST-16", "RT-16"),
    CT_CASE(the_memory_of_a_closed_stream_is_used_for_another_at_once, "ST-18"),
    CT_CASE(two_thousand_streams_one_after_another_leave_nothing, "ST-18", "RT-2"),
};

CT_GROUP(close, CT_BY_POLL | CT_OVER_IPV6)
