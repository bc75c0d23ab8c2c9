/* SPDX-License-Identifier: MIT */
/* The descriptor for callers with a loop of their own: readable when a turn has work, quiet when it
 * has none. */
#include "uring_rig.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct rig rig;
static int fd;

static bool readable(int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int n;
    do {
        n = poll(&ready, 1, timeout_ms);
    } while (n < 0);
    return n == 1;
}

#define SOON 5000 /* ms until a test gives up; the answer is expected at once */
#define QUIET 30  /* ms without an event that are taken for silence */

/* Turns as a caller would run them, until nothing is left. */
static void drain(void)
{
    while (readable(0)) {
        assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    }
}

static int open_variant(void **state)
{
    const struct rig_variant *variant = *state;
    int code = rig_open(&rig, variant->options);
    fd = code == 0 ? ad_uring_poll_fd(rig.u) : -1;
    return fd >= 0 ? 0 : -1;
}

static int close_variant(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void test_quiet_when_idle(void **state)
{
    (void)state;
    assert_false(readable(QUIET));
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    assert_false(readable(QUIET));
}

static int run_once(struct aioduct_task *task)
{
    return task->runs == 1;
}

static int run_until_woken_twice(struct aioduct_task *task)
{
    return task->runs == 3;
}

static void test_spawn_and_wake_between_turns(void **state)
{
    struct aioduct_task task = {.rig = &rig, .run = run_until_woken_twice};
    (void)state;
    assert_int_equal(ad_uring_spawn_local(rig.u, &task, &task.state), 0);
    for (unsigned runs = 1; runs <= 3; runs++) {
        assert_true(readable(SOON));
        assert_int_equal(ad_uring_turn(rig.u, 0), 0);
        assert_int_equal(task.runs, runs);
        assert_false(readable(QUIET));
        ad_uring_wake(rig.u, &task, &task.state);
    }
    assert_false(readable(QUIET)); /* it was ready */
}

static int run_wake_itself(struct aioduct_task *task)
{
    ad_uring_wake(task->rig->u, task, &task->state);
    return task->runs == 3;
}

static void test_task_left_over(void **state)
{
    struct aioduct_task task = {.rig = &rig, .run = run_wake_itself};
    (void)state;
    assert_int_equal(ad_uring_spawn_local(rig.u, &task, &task.state), 0);
    for (unsigned runs = 1; runs <= 3; runs++) {
        assert_true(readable(SOON));
        assert_int_equal(ad_uring_turn(rig.u, 0), 0);
        assert_int_equal(task.runs, runs);
    }
    assert_false(readable(QUIET));
}

static void *wake_it(void *arg)
{
    struct aioduct_task *task = arg;
    ad_uring_wake(task->rig->u, task, &task->state);
    return NULL;
}

static void test_wake_from_a_thread(void **state)
{
    struct aioduct_task task = {.rig = &rig};
    (void)state;
    assert_int_equal(ad_uring_spawn_local(rig.u, &task, &task.state), 0);
    drain();
    for (unsigned round = 1; round <= 20; round++) {
        pthread_t thread;
        assert_false(readable(0));
        assert_int_equal(pthread_create(&thread, NULL, wake_it, &task), 0);
        assert_true(readable(SOON));
        pthread_join(thread, NULL);
        drain();
        assert_int_equal(task.runs, round + 1);
    }
}

static void test_timers(void **state)
{
    struct aioduct_timer timer = {.rig = &rig}, far = {.rig = &rig};
    (void)state;
    uint64_t start_ns = ad_uring_now_ns(rig.u);
    assert_int_equal(
        ad_uring_sleep(rig.u, &far, &far.state, start_ns + (uint64_t)3600 * 1000000000u), 0);
    assert_false(readable(0));
    assert_int_equal(ad_uring_sleep(rig.u, &timer, &timer.state, start_ns + 20000000u), 0);
    assert_true(readable(SOON));
    assert_true(ad_uring_now_ns(rig.u) >= start_ns + 20000000u);
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    assert_int_equal(timer.fired, 1);
    assert_false(readable(QUIET)); /* the far one was armed instead */

    /* A deadline in the past, also when an hour is what the kernel waits for. */
    assert_int_equal(ad_uring_sleep(rig.u, &timer, &timer.state, 1), 0);
    assert_true(readable(SOON));
    drain();
    assert_int_equal(timer.fired, 2);

    /* Moved later, and cancelled: not readable at the first deadline. */
    start_ns = ad_uring_now_ns(rig.u);
    assert_int_equal(ad_uring_sleep(rig.u, &timer, &timer.state, start_ns + 20000000u), 0);
    ad_uring_sleep_cancel(rig.u, &timer, &timer.state);
    ad_uring_sleep_cancel(rig.u, &far, &far.state);
    assert_false(readable(60));
    assert_int_equal(ad_uring_sleep(rig.u, &timer, &timer.state, start_ns + 100000000u), 0);
    assert_true(readable(SOON));
    drain();
    assert_int_equal(timer.fired, 3);
    assert_true(timer.fired_ns >= start_ns + 100000000u);
    assert_int_equal(ad_uring_sleep(rig.u, &timer, &timer.state, UINT64_MAX), 0);
    assert_false(readable(QUIET));
    ad_uring_sleep_cancel(rig.u, &timer, &timer.state);
}

static void test_streams(void **state)
{
    struct aioduct_stream s;
    char got[4] = {0};
    (void)state;
    assert_int_equal(rig_dial(&rig, &s, NULL), AIODUCT_PENDING);
    while (s.done[AIODUCT_OP_CONNECT].count == 0) {
        assert_true(readable(SOON)); /* it was submitted without a turn */
        assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    }
    s.peer = accept(rig.listener, NULL, NULL);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    drain();
    assert_false(readable(QUIET));
    assert_int_equal(ad_uring_send(s.state, &(struct iovec){(char *)"ping", 4}, 1),
                     AIODUCT_PENDING);
    assert_int_equal(recv(s.peer, got, 4, MSG_WAITALL), 4); /* gone without a turn */
    while (s.done[AIODUCT_OP_SEND].count == 0) {
        assert_true(readable(SOON));
        assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    }
    drain();
    for (unsigned round = 1; round <= 20; round++) {
        assert_false(readable(0));
        assert_int_equal(send(s.peer, "pong", 4, 0), 4);
        assert_true(readable(SOON));
        drain();
        assert_int_equal(s.bytes, round * 4);
    }
    ad_uring_recv_stop(s.state);
    while (s.done[AIODUCT_OP_RECV].count == 0) {
        assert_true(readable(SOON));
        assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    }
    /* Something that the ring never sees is reported all the same. */
    drain();
    ad_uring_stream_close(s.state);
    while (s.closed == 0) {
        assert_true(readable(SOON));
        assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    }
    drain();
    assert_false(readable(QUIET));
    rig_disconnect(&s);
}

/* Work that the kernel does for a ring in our name ends a wait with EINTR. */
static int epoll_count(int epoll, int timeout_ms)
{
    struct epoll_event event;
    int count;
    do {
        count = epoll_wait(epoll, &event, 1, timeout_ms);
    } while (count < 0 && errno == EINTR);
    return count;
}

static void test_epoll_sees_it(void **state)
{
    struct aioduct_task task = {.rig = &rig, .run = run_once};
    struct epoll_event event = {.events = EPOLLIN};
    (void)state;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    assert_int_equal(epoll_count(epoll, QUIET), 0);
    assert_int_equal(ad_uring_spawn_local(rig.u, &task, &task.state), 0);
    assert_int_equal(epoll_count(epoll, SOON), 1);
    drain();
    assert_int_equal(epoll_count(epoll, QUIET), 0);
    close(epoll);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_quiet_when_idle), cmocka_unit_test(test_spawn_and_wake_between_turns),
    cmocka_unit_test(test_task_left_over),  cmocka_unit_test(test_wake_from_a_thread),
    cmocka_unit_test(test_timers),          cmocka_unit_test(test_streams),
    cmocka_unit_test(test_epoll_sees_it),
};

static const char *const names[] = {
    "the descriptor is quiet when there is nothing",
    "spawn and wake between turns make it readable",
    "a task that is still queued after a turn makes it readable",
    "a wake from another thread makes it readable",
    "it follows the earliest timer and forgets cancelled ones",
    "operations started between turns go out and come back",
    "epoll sees the same as poll",
};

int main(void)
{
    enum { TESTS = sizeof tests / sizeof tests[0] };
    static struct CMUnitTest cases[TESTS * 16];
    static char titles[TESTS * 16][RIG_TITLE_BYTES];
    size_t count = 0;
    for (unsigned v = 0; v < rig_variant_count; v++) {
        for (size_t t = 0; t < TESTS; t++, count++) {
            rig_variant_case(&cases[count], titles[count], &tests[t], names[t], v, open_variant,
                             close_variant);
        }
    }
    return tap_run(cases, count, rig_require_uring, NULL);
}
