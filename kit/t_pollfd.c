/* SPDX-License-Identifier: MIT */
/* The descriptor for an application with a loop of its own: readable when, and only when, turn(0)
 * has work. */
#include "case.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MS ((uint64_t)1000000)
enum { PATIENCE_MS = 10000 };

static int never_ready(struct ct_task *task)
{
    (void)task;
    return 0;
}

static bool readable_within(struct ct_case *c, int milliseconds)
{
    struct pollfd fd = {.fd = ct_poll_fd(&c->rig), .events = POLLIN};
    int count;
    do {
        count = poll(&fd, 1, milliseconds);
    } while (count < 0 && errno == EINTR);
    return count > 0 && (fd.revents & POLLIN);
}

/* Turn until there is nothing to do; a few turns are enough for what is under way. */
static void settle(struct ct_case *c)
{
    if (ct_poll_fd(&c->rig) < 0) {
        ct_skip("the runtime has no turn or no poll_fd");
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    assert_false(readable_within(c, 0));
}

/* Readable, and turn(0) does it. The loop may need a second one: what it was told by the kernel
 * and what is due a microsecond later are two things. */
static void expect_work(struct ct_case *c, bool (*done)(void *arg), void *arg)
{
    for (int i = 0; i < 3 && !done(arg); i++) {
        assert_true(readable_within(c, PATIENCE_MS));
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    assert_true(done(arg));
}

static bool ran_twice(void *arg)
{
    return ((struct ct_task *)arg)->runs == 2;
}

static bool has_run(void *arg)
{
    return ((struct ct_task *)arg)->runs == 1;
}

static bool has_fired(void *arg)
{
    return ((struct ct_timer *)arg)->fires == 1;
}

static void it_is_quiet_when_there_is_nothing_to_do(struct ct_case *c)
{
    settle(c);
    assert_false(readable_within(c, 50));
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 60000 * MS), 0);
    settle(c);
    assert_false(readable_within(c, 50));
}

static void it_is_the_same_descriptor_each_time(struct ct_case *c)
{
    settle(c);
    const struct aioduct_runtime *rt = c->rig.subject->rt;
    int fd = rt->poll_fd(c->rig.rt);
    assert_int_equal(ct_turn(&c->rig, 0), 0);
    assert_int_equal(rt->poll_fd(c->rig.rt), fd);
}

static void it_tells_of_a_task_that_was_spawned_or_woken(struct ct_case *c)
{
    settle(c);
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    expect_work(c, has_run, task);
    settle(c);
    ct_wake(task);
    expect_work(c, ran_twice, task);
    settle(c);
}

static void *wake_after_a_while(void *arg)
{
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    ct_wake(arg);
    return NULL;
}

static void it_tells_of_a_wake_from_another_thread(struct ct_case *c)
{
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    settle(c);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_after_a_while, task), 0);
    expect_work(c, ran_twice, task);
    pthread_join(thread, NULL);
    settle(c);
}

static void it_tells_of_a_timer_when_it_is_due(struct ct_case *c)
{
    settle(c);
    for (uint64_t delay = 0; delay <= 30; delay += 10) {
        struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
        assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + delay * MS), 0);
        expect_work(c, has_fired, timer);
        settle(c);
    }
}

/* Set outside a turn, after the application has begun to look at the descriptor. */
static void it_tells_of_a_timer_that_was_moved_to_an_earlier_time(struct ct_case *c)
{
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 60000 * MS), 0);
    settle(c);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 20 * MS), 0);
    expect_work(c, has_fired, timer);
}

static void it_forgets_a_timer_that_was_cancelled(struct ct_case *c)
{
    settle(c);
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 20 * MS), 0);
    ct_sleep_cancel(timer);
    /* A runtime may let the old time pass once; what it may not do is go on about it. */
    if (readable_within(c, 60)) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    settle(c);
    assert_int_equal(timer->fires, 0);
}

static void it_tells_of_data(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    assert_int_equal(ct_recv_start(stream), 0);
    settle(c);
    assert_int_equal(ct_write_all(peer, "x", 1), 0);
    expect_work(c, ct_has_data, stream);
    settle(c);
    ct_drop_fd(c, peer);
    expect_work(c, ct_is_recv_done, stream);
}

static void it_tells_of_a_connect_and_of_a_close(struct ct_case *c)
{
    settle(c);
    struct ct_stream *stream = ct_dial_to(c, &c->listener);
    expect_work(c, ct_is_connect_done, stream);
    assert_int_equal(stream->connect.code, 0);
    settle(c);
    ct_stream_close(stream);
    expect_work(c, ct_is_closed, stream);
    settle(c);
}

/* Whether the bytes are on their way at once or not, somebody has to be told. */
static void it_tells_of_a_send_that_can_go_on(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    uint64_t at = 0;
    ct_send_until_pending(stream, 5, &at);
    settle(c);
    ct_start(c, ct_peer_sink, peer, 5, 0);
    for (int i = 0; i < 100000 && stream->send.in_flight; i++) {
        assert_true(readable_within(c, PATIENCE_MS));
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    assert_false(stream->send.in_flight);
    assert_int_equal(stream->send.code, 0);
}

static void spawn_at_turn_end(struct ct_rig *rig)
{
    rig->turn_end = NULL;
    CT_EXPECT(rig, ct_spawn(rig->user) == 0);
}

static void it_tells_of_work_that_the_end_of_a_turn_made(struct ct_case *c)
{
    settle(c);
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    c->rig.user = task;
    c->rig.turn_end = spawn_at_turn_end;
    assert_int_equal(ct_turn(&c->rig, 0), 0);
    expect_work(c, has_run, task);
    settle(c);
}

static int wait_in_set(int set)
{
    struct epoll_event event;
    int count;
    do {
        count = epoll_wait(set, &event, 1, PATIENCE_MS);
    } while (count < 0 && errno == EINTR);
    return count;
}

/* As most applications will look at it. */
static void it_lives_in_an_epoll_set(struct ct_case *c)
{
    settle(c);
    int set = ct_keep_fd(c, epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, ct_poll_fd(&c->rig), &event), 0);
    assert_int_equal(epoll_wait(set, &event, 1, 0), 0);
    int peer;
    struct ct_stream *stream = ct_dial_to(c, &c->listener);
    while (stream->connect.in_flight) {
        assert_int_equal(wait_in_set(set), 1);
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    peer = ct_keep_fd(c, ct_accept(&c->listener));
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_all(peer, "x", 1), 0);
    while (stream->received == 0) {
        assert_int_equal(wait_in_set(set), 1);
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
}

static const struct ct_test cases[] = {
    CT_CASE(it_is_quiet_when_there_is_nothing_to_do, "RT-18"),
    CT_CASE(it_is_the_same_descriptor_each_time, "RT-18"),
    CT_CASE(it_tells_of_a_task_that_was_spawned_or_woken, "RT-18"),
    CT_CASE(it_tells_of_a_wake_from_another_thread, "RT-18"),
    CT_CASE(it_tells_of_a_timer_when_it_is_due, "RT-18"),
    CT_CASE(it_tells_of_a_timer_that_was_moved_to_an_earlier_time, "RT-18"),
    CT_CASE(it_forgets_a_timer_that_was_cancelled, "RT-18"),
    CT_CASE(it_tells_of_data, "RT-18"),
    CT_CASE(it_tells_of_a_connect_and_of_a_close, "RT-18"),
    CT_CASE(it_tells_of_a_send_that_can_go_on, "RT-18"),
    CT_CASE(it_tells_of_work_that_the_end_of_a_turn_made, "RT-18", "RT-16"),
    CT_CASE(it_lives_in_an_epoll_set, "RT-18"),
};

CT_GROUP(pollfd, 0)
