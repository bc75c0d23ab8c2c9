/* SPDX-License-Identifier: MIT */
/* Signals: the runtime has none of its own, and those of the application do it no harm. */
#include "case.h"
#include "proc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void masks_and_handlers_stay_as_they_are(struct ct_case *c)
{
    struct ct_signals open, after;
    assert_int_equal(ct_rig_open(&c->rig), 0);
    ct_listen(&c->listener, AF_INET);
    struct ct_stream *stream = ct_dial(c, NULL);
    assert_int_equal(ct_recv_start(stream), 0);
    assert_true(ct_send_bytes(stream, "x", 1) >= 0);
    ct_run_for(&c->rig, 5);
    ct_signals_now(&open);
    ct_rig_close(&c->rig);
    ct_signals_now(&after);
    assert_memory_equal(&c->signals_before, &open, sizeof open);
    assert_memory_equal(&c->signals_before, &after, sizeof after);
}

static atomic_uint signals_seen;

static void on_signal(int number)
{
    (void)number;
    signals_seen++;
}

struct storm {
    timer_t timer;
    struct sigaction before;
};

/* A signal every 200 us to this very thread, and no SA_RESTART. */
static void storm_begin(struct storm *storm)
{
    struct sigaction action = {.sa_handler = on_signal};
    assert_int_equal(sigaction(SIGRTMIN + 3, &action, &storm->before), 0);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
#else
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
#endif
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &storm->timer), 0);
    struct itimerspec often = {.it_value = {.tv_nsec = 200000}, .it_interval = {.tv_nsec = 200000}};
    assert_int_equal(timer_settime(storm->timer, 0, &often, NULL), 0);
    signals_seen = 0;
}

static void storm_end(struct storm *storm)
{
    timer_delete(storm->timer);
    sigaction(SIGRTMIN + 3, &storm->before, NULL);
}

static bool has_stormed(void *arg)
{
    return ((struct ct_timer *)arg)->fires >= 40 && signals_seen > 100;
}

static void sleep_on(struct ct_timer *timer)
{
    if (!has_stormed(timer)) {
        CT_EXPECT(timer->rig, ct_sleep(timer, ct_now(timer->rig) + 2000000) == 0);
    }
}

static void a_storm_of_signals_interrupts_nothing(struct ct_case *c)
{
    enum { BYTES = 8 << 20 };
    static uint8_t bytes[BYTES];
    ct_pattern_fill(bytes, BYTES, 80, 0);
    struct storm storm;
    storm_begin(&storm);

    struct ct_peer *echo = ct_start(c, ct_peer_echo, c->listener.fd, 0, 0);
    struct ct_stream *stream = ct_dial(c, NULL);
    struct ct_timer *timer = ct_timer_new(&c->rig, sleep_on, NULL);
    stream->seed = 80;
    assert_int_equal(ct_sleep(timer, 0), 0);
    assert_int_equal(ct_recv_start(stream), 0);
    assert_true(ct_send_bytes(stream, bytes, BYTES) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_int_equal(stream->send.accepted == 0 ? 0 : stream->send.code, 0);
    CT_UNTIL(&c->rig, has_stormed, timer);
    assert_true(ct_shutdown(stream) >= 0);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    storm_end(&storm);
    assert_int_equal(stream->received, BYTES);
    assert_int_equal(stream->recv.code, 0);
    ct_close_and_wait(stream);
    ct_peer_join(echo);
}

static int never_ready(struct ct_task *task)
{
    (void)task;
    return 0;
}

/* An early end of the wait is fine, an error is not. */
static void a_signal_during_the_wait_of_a_turn_is_no_error(struct ct_case *c)
{
    if (c->rig.subject->rt->turn == NULL) {
        ct_skip("the runtime has no turn");
    }
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    struct storm storm;
    storm_begin(&storm);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ct_turn(&c->rig, 5000000), 0);
    }
    storm_end(&storm);
    assert_int_equal(task->runs, 1);
    ct_wake(task);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    assert_int_equal(task->runs, 2);
}

static const struct ct_test cases[] = {
    CT_BARE_CASE(masks_and_handlers_stay_as_they_are, "PL-6"),
    CT_CASE(a_storm_of_signals_interrupts_nothing, "RT-19"),
    CT_CASE(a_signal_during_the_wait_of_a_turn_is_no_error, "RT-19"),
};

CT_GROUP(signal, CT_BY_POLL)
