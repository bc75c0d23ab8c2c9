/* SPDX-License-Identifier: MIT */
/* A loop with nothing to do costs nothing. */
#include "case.h"
#include "proc.h"

enum {
    WINDOW_MS = 300,
    TURNS_MAX = 5,
    SWITCHES_MAX = 20,
    CPU_NS_MAX = WINDOW_MS * 10000 /* 1 % */
};

static void expect_idleness(struct ct_case *c)
{
    ct_run_for(&c->rig, 20); /* what is under way comes to rest */
    uint64_t turns = c->rig.turns, sequence = c->rig.sequence, cpu = ct_cpu_ns();
    long switches = ct_switches();
    ct_run_for(&c->rig, WINDOW_MS);
    /* The root's run, the timer that ends the window, and a few turns around them. */
    assert_in_range(c->rig.turns - turns, 1, TURNS_MAX);
    assert_in_range(c->rig.sequence - sequence, 1, TURNS_MAX + 5);
    assert_in_range(ct_switches() - switches, 0, SWITCHES_MAX);
    if (!ct_under_sanitizer()) {
        assert_in_range(ct_cpu_ns() - cpu, 0, CPU_NS_MAX);
    }
}

static void an_empty_loop_does_not_wake_up(struct ct_case *c)
{
    struct ct_timer *far = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_sleep(far, ct_now(&c->rig) + 3600ull * 1000000000), 0);
    expect_idleness(c);
}

static void idle_streams_do_not_wake_the_loop_up(struct ct_case *c)
{
    int peer;
    for (int i = 0; i < 16; i++) {
        struct ct_stream *stream = ct_dial(c, &peer);
        assert_int_equal(ct_recv_start(stream), 0);
    }
    expect_idleness(c);
}

/* Whose peers have sent what nobody wants to read, or have ended. */
static void streams_that_do_not_receive_do_not_wake_the_loop_up(struct ct_case *c)
{
    int peer;
    for (int i = 0; i < 16; i++) {
        struct ct_stream *stream = ct_dial(c, &peer);
        if (i % 2) {
            assert_int_equal(ct_recv_start(stream), 0);
            ct_recv_stop(stream);
        }
        assert_int_equal(ct_write_pattern(peer, 1, 5000), 0);
        if (i % 3 == 0) {
            ct_drop_fd(c, peer);
        }
    }
    expect_idleness(c);
}

static void streams_whose_end_was_seen_do_not_wake_the_loop_up(struct ct_case *c)
{
    int peer;
    for (int i = 0; i < 4; i++) {
        struct ct_stream *stream = ct_dial(c, &peer);
        assert_int_equal(ct_recv_start(stream), 0);
        if (i % 2) {
            ct_drop_fd_by_reset(c, peer);
        } else {
            ct_drop_fd(c, peer);
        }
        CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    }
    expect_idleness(c);
}

static void a_send_that_waits_does_not_wake_the_loop_up(struct ct_case *c)
{
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, NULL);
    ct_send_until_pending(stream, 3, &at);
    ct_run_for(&c->rig, 250); /* the kernel still moves some of it about */
    expect_idleness(c);
    assert_true(stream->send.in_flight);
}

static void a_connect_that_waits_does_not_wake_the_loop_up(struct ct_case *c)
{
    struct ct_listener full;
    ct_listen_full(&full);
    struct ct_stream *stream = ct_dial_to(c, &full);
    expect_idleness(c);
    assert_true(stream->connect.in_flight);
    ct_close_and_wait(stream);
    ct_unlisten(&full);
}

static const struct ct_test cases[] = {
    CT_CASE(an_empty_loop_does_not_wake_up, "RT-20"),
    CT_CASE(idle_streams_do_not_wake_the_loop_up, "ST-24", "RT-20"),
    CT_CASE(streams_that_do_not_receive_do_not_wake_the_loop_up, "ST-24"),
    CT_CASE(streams_whose_end_was_seen_do_not_wake_the_loop_up, "ST-24"),
    CT_CASE(a_send_that_waits_does_not_wake_the_loop_up, "ST-24"),
    CT_CASE(a_connect_that_waits_does_not_wake_the_loop_up, "ST-24"),
};

CT_GROUP(idle, 0)
