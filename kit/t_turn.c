/* SPDX-License-Identifier: MIT */
/* Turns: what one does, how long it waits, its end, and its clock. */
#include "case.h"

#include <string.h>
#include <time.h>

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void nap(unsigned milliseconds)
{
    struct timespec pause = {.tv_sec = milliseconds / 1000,
                             .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static void need_turn(struct ct_case *c)
{
    if (c->rig.subject->rt->turn == NULL) {
        ct_skip("the runtime has no turn");
    }
    /* The first turns may find what open has left. */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
}

static int never_ready(struct ct_task *task)
{
    (void)task;
    return 0;
}

static int ready_at_once(struct ct_task *task)
{
    (void)task;
    return 1;
}

enum { SECOND = 1000000000 };

/* ---- how long a turn waits ---- */

static void a_turn_without_time_does_not_wait(struct ct_case *c)
{
    need_turn(c);
    assert_int_equal(ct_sleep(ct_timer_new(&c->rig, NULL, NULL), ct_now(&c->rig) + 60ull * SECOND),
                     0);
    uint64_t start = clock_ns();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    assert_in_range(clock_ns() - start, 0, 5ull * SECOND);
}

static void a_turn_runs_what_is_ready(struct ct_case *c)
{
    need_turn(c);
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    struct ct_task *task = ct_task_new(&c->rig, ready_at_once, NULL);
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_turn(&c->rig, 0), 0); /* the receive is under way */
    assert_int_equal(ct_write_all(peer, "x", 1), 0);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig)), 0);
    assert_int_equal(ct_spawn(task), 0);
    nap(2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    assert_true(task->ready);
    assert_int_equal(timer->fires, 1);
    assert_int_equal(stream->received, 1);
}

static void a_turn_with_a_time_limit_ends_by_it(struct ct_case *c)
{
    need_turn(c);
    uint64_t start = clock_ns();
    unsigned turns = 0;
    while (clock_ns() - start < 200000000) {
        assert_int_equal(ct_turn(&c->rig, 40000000), 0);
        turns++;
    }
    assert_in_range(clock_ns() - start, 0, 5ull * SECOND);
    assert_in_range(turns, 1, 50); /* it did wait */
}

static void a_turn_with_a_tiny_limit_ends_too(struct ct_case *c)
{
    need_turn(c);
    uint64_t start = clock_ns();
    for (int i = 0; i < 50; i++) {
        assert_int_equal(ct_turn(&c->rig, 1 + i * 1000), 0);
    }
    assert_in_range(clock_ns() - start, 0, 5ull * SECOND);
}

/* The same with limits that do not fit a timespec, or an int of milliseconds. */
static void a_turn_with_a_huge_limit_ends_when_there_is_work(struct ct_case *c)
{
    need_turn(c);
    static const int64_t limits[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 52};
    for (int i = 0; i < 4; i++) {
        struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
        assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 10000000), 0);
        uint64_t start = clock_ns();
        while (timer->fires == 0) {
            assert_int_equal(ct_turn(&c->rig, limits[i]), 0);
            assert_in_range(clock_ns() - start, 0, 10ull * SECOND);
        }
    }
}

static void *wake_after_a_while(void *arg)
{
    nap(20);
    ct_wake(arg);
    return NULL;
}

static void a_wake_from_another_thread_ends_the_wait(struct ct_case *c)
{
    need_turn(c);
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    assert_int_equal(ct_turn(&c->rig, 0), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_after_a_while, task), 0);
    uint64_t start = clock_ns();
    while (task->runs < 2) {
        assert_int_equal(ct_turn(&c->rig, 60ll * SECOND), 0);
        assert_in_range(clock_ns() - start, 0, 20ull * SECOND);
    }
    pthread_join(thread, NULL);
}

/* None of these may wait, for nothing would end the wait. */
static void work_that_is_queued_keeps_a_turn_from_waiting(struct ct_case *c)
{
    need_turn(c);
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    assert_int_equal(ct_turn(&c->rig, -1), 0);
    assert_int_equal(task->runs, 1);
    ct_wake(task);
    assert_int_equal(ct_turn(&c->rig, -1), 0);
    assert_int_equal(task->runs, 2);
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_sleep(timer, 0), 0);
    assert_int_equal(ct_turn(&c->rig, -1), 0);
    assert_int_equal(timer->fires, 1);
}

/* ---- the end of a turn ---- */

/* Ct_turn compares the count, this is the case in which there is nothing else. */
static void turn_end_comes_in_an_empty_turn_too(struct ct_case *c)
{
    need_turn(c);
    uint64_t turns = c->rig.turns, sequence = c->rig.sequence;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    assert_int_equal(c->rig.turns, turns + 10);
    assert_int_equal(c->rig.sequence, sequence + 10);
}

struct trap {
    uint64_t set_at;
    uint64_t turns_then;
    uint64_t turn_ended_at;
    struct ct_task *task;
    struct ct_timer *timer;
    struct ct_stream *stream;
};

static void note_turn_end(struct ct_rig *rig)
{
    struct trap *trap = rig->user;
    trap->turn_ended_at = clock_ns();
    rig->turn_end = NULL;
}

static int arm_and_watch(struct ct_task *task)
{
    struct trap *trap = task->rig->user;
    trap->set_at = clock_ns();
    task->rig->turn_end = note_turn_end;
    CT_EXPECT(task->rig, ct_sleep(trap->timer, ct_now(task->rig) + 200000000) == 0);
    return 1;
}

static bool trap_fired(void *arg)
{
    struct trap *trap = arg;
    return trap->timer->fires > 0;
}

static void turn_end_comes_before_the_wait(struct ct_case *c)
{
    struct trap trap = {.timer = ct_timer_new(&c->rig, NULL, NULL)};
    c->rig.user = &trap;
    assert_int_equal(ct_spawn(ct_task_new(&c->rig, arm_and_watch, NULL)), 0);
    CT_UNTIL(&c->rig, trap_fired, &trap);
    assert_true(trap.turn_ended_at >= trap.set_at);
    assert_true(trap.turn_ended_at < trap.timer->deadline_ns);
}

static void wake_at_turn_end(struct ct_rig *rig)
{
    struct trap *trap = rig->user;
    rig->turn_end = NULL;
    trap->set_at = clock_ns();
    ct_wake(trap->task);
}

static void spawn_at_turn_end(struct ct_rig *rig)
{
    struct trap *trap = rig->user;
    rig->turn_end = NULL;
    trap->set_at = clock_ns();
    CT_EXPECT(rig, ct_spawn(trap->task) == 0);
}

static int note_time(struct ct_task *task)
{
    struct trap *trap = task->user;
    trap->turn_ended_at = clock_ns();
    return 0;
}

static bool trapped_task_ran(void *arg)
{
    struct trap *trap = arg;
    return trap->set_at != 0 && trap->turn_ended_at >= trap->set_at;
}

/* Only the case's time limit would end the wait. */
static void a_task_woken_at_the_end_of_a_turn_runs_before_the_wait(struct ct_case *c)
{
    struct trap trap = {0};
    trap.task = ct_task_new(&c->rig, note_time, &trap);
    assert_int_equal(ct_spawn(trap.task), 0);
    ct_run_for(&c->rig, 2);
    c->rig.user = &trap;
    c->rig.turn_end = wake_at_turn_end;
    CT_UNTIL(&c->rig, trapped_task_ran, &trap);
    assert_in_range(trap.turn_ended_at - trap.set_at, 0, 5ull * SECOND);
}

static void a_task_spawned_at_the_end_of_a_turn_runs_before_the_wait(struct ct_case *c)
{
    struct trap trap = {0};
    trap.task = ct_task_new(&c->rig, note_time, &trap);
    c->rig.user = &trap;
    c->rig.turn_end = spawn_at_turn_end;
    CT_UNTIL(&c->rig, trapped_task_ran, &trap);
    assert_in_range(trap.turn_ended_at - trap.set_at, 0, 5ull * SECOND);
}

static void work_from_the_end_of_a_turn_keeps_the_next_turn_from_waiting(struct ct_case *c)
{
    need_turn(c);
    struct trap trap = {0};
    trap.task = ct_task_new(&c->rig, note_time, &trap);
    c->rig.user = &trap;
    c->rig.turn_end = spawn_at_turn_end;
    assert_int_equal(ct_turn(&c->rig, 0), 0);
    assert_int_equal(ct_turn(&c->rig, -1), 0);
    assert_int_equal(trap.task->runs, 1);
}

static void sleep_at_turn_end(struct ct_rig *rig)
{
    struct trap *trap = rig->user;
    rig->turn_end = NULL;
    trap->set_at = clock_ns();
    CT_EXPECT(rig, ct_sleep(trap->timer, ct_now(rig) + 10000000) == 0);
}

static void a_timer_set_at_the_end_of_a_turn_counts_for_the_wait(struct ct_case *c)
{
    struct trap trap = {.timer = ct_timer_new(&c->rig, NULL, NULL)};
    c->rig.user = &trap;
    c->rig.turn_end = sleep_at_turn_end;
    CT_UNTIL(&c->rig, trap_fired, &trap);
    assert_in_range(clock_ns() - trap.set_at, 10000000, 5ull * SECOND);
}

static void send_at_turn_end(struct ct_rig *rig)
{
    struct trap *trap = rig->user;
    rig->turn_end = NULL;
    trap->set_at = clock_ns();
    CT_EXPECT(rig, ct_send_bytes(trap->stream, "ping", 4) >= 0);
}

static bool answer_came(void *arg)
{
    struct trap *trap = arg;
    return trap->stream->received == 4;
}

static void answer_ping(struct ct_peer *peer)
{
    char ping[4];
    if (recv(peer->fd, ping, 4, MSG_WAITALL) == 4) {
        peer->code = ct_write_all(peer->fd, "pong", 4);
    }
}

/* This is where the core sends. */
static void a_send_at_the_end_of_a_turn_goes_out_before_the_wait(struct ct_case *c)
{
    int peer;
    struct trap trap = {.stream = ct_dial(c, &peer)};
    assert_int_equal(ct_recv_start(trap.stream), 0);
    ct_start(c, answer_ping, peer, 0, 0);
    c->rig.user = &trap;
    c->rig.turn_end = send_at_turn_end;
    CT_UNTIL(&c->rig, answer_came, &trap);
    assert_in_range(clock_ns() - trap.set_at, 0, 5ull * SECOND);
}

static void end_at_turn_end(struct ct_rig *rig)
{
    struct trap *trap = rig->user;
    rig->turn_end = NULL;
    trap->set_at = clock_ns();
    CT_EXPECT(rig, ct_recv_start(trap->stream) == 0);
    ct_recv_stop(trap->stream);
}

static bool trap_received(void *arg)
{
    return ct_is_recv_done(((struct trap *)arg)->stream) &&
           ((struct trap *)arg)->stream->recv.completed > 0;
}

/* Neither the peer nor the kernel has anything to say about it. */
static void a_receive_ended_at_the_end_of_a_turn_completes_before_the_wait(struct ct_case *c)
{
    int peer;
    struct trap trap = {.stream = ct_dial(c, &peer)};
    ct_run_for(&c->rig, 5); /* no signal to the loop is left over */
    c->rig.user = &trap;
    c->rig.turn_end = end_at_turn_end;
    CT_UNTIL(&c->rig, trap_received, &trap);
    assert_in_range(clock_ns() - trap.set_at, 0, 5ull * SECOND);
}

/* ---- the clock ---- */

static int look_twice_at_the_clock(struct ct_task *task)
{
    uint64_t before = ct_now(task->rig);
    nap(5);
    CT_EXPECT(task->rig, ct_now(task->rig) == before);
    return 1;
}

static bool second_came(void *arg)
{
    return ((struct ct_timer *)arg)->fires > 0;
}

/* Every callback compares; here time passes in between. */
static void the_clock_stands_still_within_a_turn(struct ct_case *c)
{
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ct_spawn(ct_task_new(&c->rig, look_twice_at_the_clock, NULL)), 0);
    }
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig)), 0);
    CT_UNTIL(&c->rig, second_came, timer);
}

static void the_clock_is_read_anew_outside_turns(struct ct_case *c)
{
    for (int i = 0; i < 3; i++) {
        uint64_t low = clock_ns();
        uint64_t now = ct_now(&c->rig);
        uint64_t high = clock_ns();
        assert_in_range(now, low, high);
        nap(2);
        assert_true(ct_now(&c->rig) >= now + 2000000);
        ct_run_for(&c->rig, 1);
    }
}

struct wait_probe {
    uint64_t before, after;
    struct ct_timer *timer;
};

static void note_clock(struct ct_timer *timer)
{
    struct wait_probe *probe = timer->user;
    probe->after = ct_now(timer->rig);
    CT_EXPECT(timer->rig, clock_ns() - probe->after < 5ull * SECOND);
}

/* The value of the turn is that after the wait, not that before. */
static void the_clock_is_read_after_the_wait(struct ct_case *c)
{
    struct wait_probe probe = {.before = ct_now(&c->rig)};
    probe.timer = ct_timer_new(&c->rig, note_clock, &probe);
    assert_int_equal(ct_sleep(probe.timer, probe.before + 30000000), 0);
    CT_UNTIL(&c->rig, second_came, probe.timer);
    assert_true(probe.after >= probe.before + 30000000);
}

/* Outside of a turn all of it is put off. */
static void nothing_is_called_back_inside_a_call_of_the_core(struct ct_case *c)
{
    struct ct_rig *rig = &c->rig;
    uint64_t sequence = rig->sequence;
    struct ct_task *task = ct_task_new(rig, never_ready, NULL);
    struct ct_timer *timer = ct_timer_new(rig, NULL, NULL);
    assert_int_equal(ct_spawn(task), 0);
    ct_wake(task);
    assert_int_equal(ct_sleep(timer, 0), 0);
    nap(2);
    assert_int_equal(ct_sleep(timer, ct_now(rig)), 0);
    ct_sleep_cancel(timer);
    assert_int_equal(ct_sleep(timer, 0), 0);
    if (rig->subject->cx != NULL) {
        struct ct_stream *stream = ct_dial_to(c, &c->listener);
        nap(2);
        ct_cancel(stream, AIODUCT_OP_CONNECT);
        ct_stream_close(stream);
        nap(2);
    }
    ct_poll_fd(rig);
    assert_int_equal(rig->sequence, sequence);
}

static const struct ct_test cases[] = {
    CT_CASE(nothing_is_called_back_inside_a_call_of_the_core, "RT-4"),
    CT_CASE(a_turn_without_time_does_not_wait, "RT-17"),
    CT_CASE(a_turn_runs_what_is_ready, "RT-17"),
    CT_CASE(a_turn_with_a_time_limit_ends_by_it, "RT-17"),
    CT_CASE(a_turn_with_a_tiny_limit_ends_too, "RT-17"),
    CT_CASE(a_turn_with_a_huge_limit_ends_when_there_is_work, "RT-17"),
    CT_CASE(a_wake_from_another_thread_ends_the_wait, "RT-17", "RT-9"),
    CT_CASE(work_that_is_queued_keeps_a_turn_from_waiting, "RT-17"),
    CT_CASE(turn_end_comes_in_an_empty_turn_too, "RT-16"),
    CT_CASE(turn_end_comes_before_the_wait, "RT-16"),
    CT_CASE(a_task_woken_at_the_end_of_a_turn_runs_before_the_wait, "RT-16"),
    CT_CASE(a_task_spawned_at_the_end_of_a_turn_runs_before_the_wait, "RT-16"),
    CT_CASE(work_from_the_end_of_a_turn_keeps_the_next_turn_from_waiting, "RT-16", "RT-17"),
    CT_CASE(a_timer_set_at_the_end_of_a_turn_counts_for_the_wait, "RT-16"),
    CT_CASE(a_send_at_the_end_of_a_turn_goes_out_before_the_wait, "RT-16"),
    CT_CASE(a_receive_ended_at_the_end_of_a_turn_completes_before_the_wait, "RT-16", "ST-7"),
    CT_CASE(the_clock_stands_still_within_a_turn, "RT-15"),
    CT_CASE(the_clock_is_read_anew_outside_turns, "RT-15"),
    CT_CASE(the_clock_is_read_after_the_wait, "RT-15"),
};

CT_GROUP(turn, 0)
