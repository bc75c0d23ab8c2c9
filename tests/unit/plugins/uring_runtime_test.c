/* SPDX-License-Identifier: MIT */
/* What is particular to this runtime's turn: its one thread, and what a turn leaves submitted. */
#include "uring_rig.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    return rig_open(&rig, NULL);
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static int run_ready(struct aioduct_task *task)
{
    (void)task;
    return 1;
}

/* ---- the wrong thread ---- */

static struct {
    int spawn, block_on, turn, poll_fd;
} answers;

static void *call_everything(void *arg)
{
    struct aioduct_task *task = arg;
    answers.spawn = ad_uring_spawn_local(rig.u, task, &task->state);
    answers.block_on = ad_uring_block_on(rig.u, task, &task->state);
    answers.turn = ad_uring_turn(rig.u, 0);
    answers.poll_fd = ad_uring_poll_fd(rig.u);
    return NULL;
}

static void test_other_threads(void **state)
{
    pthread_t thread;
    struct aioduct_task task = {.rig = &rig, .run = run_ready};
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, call_everything, &task), 0);
    pthread_join(thread, NULL);
    assert_int_equal(answers.spawn, AIODUCT_E_THREAD);
    assert_int_equal(answers.block_on, AIODUCT_E_THREAD);
    assert_int_equal(answers.turn, AIODUCT_E_THREAD);
    assert_int_equal(answers.poll_fd, AIODUCT_E_THREAD);
    assert_int_equal(task.runs, 0);
    assert_int_equal(ad_uring_block_on(rig.u, &task, &task.state), 0);
    assert_int_equal(task.runs, 1);
}

static int run_nested(struct aioduct_task *task)
{
    struct aioduct_task inner = {.rig = &rig, .run = run_ready};
    assert_int_equal(ad_uring_block_on(rig.u, &inner, &inner.state), AIODUCT_E_NESTED);
    assert_int_equal(ad_uring_turn(rig.u, 0), AIODUCT_E_NESTED);
    assert_int_equal(inner.runs, 0);
    (void)task;
    return 1;
}

static void test_nested(void **state)
{
    struct aioduct_task root = {.rig = &rig, .run = run_nested};
    (void)state;
    assert_int_equal(ad_uring_block_on(rig.u, &root, &root.state), 0);
}

/* ---- what a turn leaves behind ---- */

static struct aioduct_stream stream;

static void send_once(struct rig *r)
{
    r->at_turn_end = NULL;
    assert_int_equal(ad_uring_send(stream.state, &(struct iovec){(char *)"bye", 3}, 1),
                     AIODUCT_PENDING);
}

static void test_last_turn_is_submitted(void **state)
{
    struct aioduct_task root = {.rig = &rig, .run = run_ready};
    char got[3];
    (void)state;
    rig_connect(&rig, &stream);
    rig.at_turn_end = send_once;
    assert_int_equal(ad_uring_block_on(rig.u, &root, &root.state), 0);
    assert_int_equal(recv(stream.peer, got, 3, MSG_WAITALL), 3);
    assert_memory_equal(got, "bye", 3);
    rig_disconnect(&stream);
}

/* ---- wakes ---- */

enum { THREADS = 8, WAKES = 20000 };

static struct aioduct_task woken[THREADS];
static atomic_uint said[THREADS], heard[THREADS];
static atomic_uint running;

static int run_listening(struct aioduct_task *task)
{
    atomic_store(&heard[task - woken], atomic_load(&said[task - woken]));
    return 0;
}

static struct aioduct_task root;

static void *wake_many(void *arg)
{
    struct aioduct_task *task = arg;
    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&said[task - woken], 1);
        ad_uring_wake(rig.u, task, &task->state);
    }
    atomic_fetch_sub(&running, 1);
    ad_uring_wake(rig.u, &root, &root.state);
    return NULL;
}

static int run_until_all_gone(struct aioduct_task *task)
{
    (void)task;
    return atomic_load(&running) == 0;
}

static void test_wakes_from_many_threads(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    root = (struct aioduct_task){.rig = &rig, .run = run_until_all_gone};
    atomic_store(&running, THREADS);
    for (int i = 0; i < THREADS; i++) {
        woken[i] = (struct aioduct_task){.rig = &rig, .run = run_listening};
        assert_int_equal(ad_uring_spawn_local(rig.u, &woken[i], &woken[i].state), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wake_many, &woken[i]), 0);
    }
    assert_int_equal(ad_uring_block_on(rig.u, &root, &root.state), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(atomic_load(&said[i]), WAKES);
        assert_int_equal(atomic_load(&heard[i]), WAKES);
    }
}

/* ---- signals ---- */

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals++;
}

static bool has_fired_and_signals_came(void *arg)
{
    return ((struct aioduct_timer *)arg)->fired > 0 && signals > 0;
}

static void test_signals_do_not_fire_timers_early(void **state)
{
    struct aioduct_timer timer = {.rig = &rig};
    struct sigaction action = {.sa_handler = on_signal}, before;
    (void)state;
    sigaction(SIGUSR1, &action, &before);
    pid_t child = tap_fork();
    if (child == 0) {
        for (int i = 0; i < 200; i++) {
            kill(getppid(), SIGUSR1);
            poll(NULL, 0, 1);
        }
        _exit(0);
    }
    uint64_t due_ns = ad_uring_now_ns(rig.u) + 100000000;
    assert_int_equal(ad_uring_sleep(rig.u, &timer, &timer.state, due_ns), 0);
    rig_turns_until(&rig, has_fired_and_signals_came, &timer);
    assert_true(timer.fired_ns >= due_ns);
    assert_int_equal(timer.fired, 1);
    while (waitpid(child, NULL, 0) < 0) {
    }
    sigaction(SIGUSR1, &before, NULL);
}

#define CASE(name, function)                  \
    {                                         \
        name, function, setup, teardown, NULL \
    }

static const struct CMUnitTest cases[] = {
    CASE("other threads may only wake", test_other_threads),
    CASE("block_on and turn do not nest", test_nested),
    CASE("what the last turn_end sent is gone when block_on returns", test_last_turn_is_submitted),
    CASE("wakes from eight threads are never lost", test_wakes_from_many_threads),
    CASE("signals neither end a block_on nor fire a timer early",
         test_signals_do_not_fire_timers_early),
};

int main(void)
{
    return TAP_RUN(cases, rig_require_uring, NULL);
}
