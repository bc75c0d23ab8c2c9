/* SPDX-License-Identifier: MIT */
/* The executor: spawn, wake, ready, and that tasks leave the loop its time. */
#include "case.h"

#include <semaphore.h>

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

static bool has_run(void *arg)
{
    return ((struct ct_task *)arg)->runs > 0;
}

static bool is_ready(void *arg)
{
    return ((struct ct_task *)arg)->ready;
}

/* ---- when a task runs ---- */

static void a_spawned_task_runs_once(struct ct_case *c)
{
    struct ct_task *pending = ct_task_new(&c->rig, never_ready, NULL);
    struct ct_task *ready = ct_task_new(&c->rig, ready_at_once, NULL);
    assert_int_equal(ct_spawn(pending), 0);
    assert_int_equal(ct_spawn(ready), 0);
    ct_run_for(&c->rig, 20);
    assert_int_equal(pending->runs, 1);
    assert_int_equal(ready->runs, 1);
}

static void a_pending_task_runs_again_after_a_wake_and_only_then(struct ct_case *c)
{
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    for (unsigned round = 1; round < 5; round++) {
        ct_run_for(&c->rig, 3);
        assert_int_equal(task->runs, round);
        ct_wake(task);
    }
}

static void many_wakes_before_a_run_are_one(struct ct_case *c)
{
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    ct_run_for(&c->rig, 1);
    for (int i = 0; i < 1000; i++) {
        ct_wake(task);
    }
    ct_run_for(&c->rig, 3);
    assert_int_equal(task->runs, 2);
}

static void a_wake_before_the_first_run_is_the_same_run(struct ct_case *c)
{
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(task), 0);
    ct_wake(task);
    ct_wake(task);
    ct_run_for(&c->rig, 3);
    assert_int_equal(task->runs, 1);
    ct_wake(task);
    ct_run_for(&c->rig, 3);
    assert_int_equal(task->runs, 2);
}

static int wake_self_until_ten(struct ct_task *task)
{
    if (task->runs == 10) {
        return 1;
    }
    ct_wake(task);
    ct_wake(task);
    return 0;
}

static void a_task_that_wakes_itself_runs_again(struct ct_case *c)
{
    struct ct_task *task = ct_task_new(&c->rig, wake_self_until_ten, NULL);
    assert_int_equal(ct_spawn(task), 0);
    CT_UNTIL(&c->rig, is_ready, task);
    assert_int_equal(task->runs, 10);
}

struct handshake {
    sem_t running, woken;
    struct ct_task *task;
};

static void *wake_while_it_runs(void *arg)
{
    struct handshake *shake = arg;
    sem_wait(&shake->running);
    ct_wake(shake->task);
    sem_post(&shake->woken);
    return NULL;
}

static int wait_for_the_wake(struct ct_task *task)
{
    struct handshake *shake = task->user;
    if (task->runs == 1) {
        sem_post(&shake->running);
        sem_wait(&shake->woken);
        return 0;
    }
    return 1;
}

/* The wake came after the run had started, so the run does not answer it. */
static void a_wake_while_the_task_runs_counts(struct ct_case *c)
{
    struct handshake shake = {.task = ct_task_new(&c->rig, wait_for_the_wake, &shake)};
    sem_init(&shake.running, 0, 0);
    sem_init(&shake.woken, 0, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_while_it_runs, &shake), 0);
    assert_int_equal(ct_spawn(shake.task), 0);
    CT_UNTIL(&c->rig, is_ready, shake.task);
    assert_int_equal(shake.task->runs, 2);
    pthread_join(thread, NULL);
    sem_destroy(&shake.running);
    sem_destroy(&shake.woken);
}

static void *wake_a_thousand_times(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        ct_wake(arg);
    }
    return NULL;
}

static void a_wake_after_the_task_was_ready_does_nothing(struct ct_case *c)
{
    struct ct_task *task = ct_task_new(&c->rig, ready_at_once, NULL);
    assert_int_equal(ct_spawn(task), 0);
    CT_UNTIL(&c->rig, is_ready, task);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_a_thousand_times, task), 0);
    ct_wake(task);
    ct_run_for(&c->rig, 5);
    pthread_join(thread, NULL);
    ct_run_for(&c->rig, 5);
    assert_int_equal(task->runs, 1);
}

static int wake_self_and_be_ready(struct ct_task *task)
{
    ct_wake(task);
    return 1;
}

/* Also of one that was woken in its last run. */
static void the_memory_of_a_ready_task_goes_at_the_next_callback(struct ct_case *c)
{
    struct ct_task *tasks[500];
    for (int i = 0; i < 500; i++) {
        tasks[i] = ct_task_new(&c->rig, i % 2 ? ready_at_once : wake_self_and_be_ready, NULL);
        tasks[i]->free_when_ready = true;
        assert_int_equal(ct_spawn(tasks[i]), 0);
    }
    ct_run_for(&c->rig, 5);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(tasks[i]->runs, 1);
        assert_null(tasks[i]->state);
    }
}

static void ten_thousand_tasks_run_once_each(struct ct_case *c)
{
    enum { COUNT = 10000 };
    static struct ct_task *tasks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = ct_task_new(&c->rig, i % 3 ? ready_at_once : never_ready, NULL);
        assert_int_equal(ct_spawn(tasks[i]), 0);
    }
    CT_UNTIL(&c->rig, has_run, tasks[COUNT - 1]);
    ct_run_for(&c->rig, 1);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(tasks[i]->runs, 1);
    }
}

/* ---- spawn, from everywhere ---- */

struct nest {
    struct ct_task *inner[4];
};

static int spawn_first(struct ct_task *task)
{
    struct nest *nest = task->user;
    CT_EXPECT(task->rig, ct_spawn(nest->inner[0]) == 0);
    return 1;
}

static void spawn_second(struct ct_timer *timer)
{
    struct nest *nest = timer->user;
    CT_EXPECT(timer->rig, ct_spawn(nest->inner[1]) == 0);
}

static void spawn_third(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    struct nest *nest = stream->user;
    CT_EXPECT(stream->rig, ct_spawn(nest->inner[2]) == 0);
}

static void spawn_fourth(struct ct_rig *rig)
{
    struct nest *nest = rig->user;
    rig->turn_end = NULL;
    CT_EXPECT(rig, ct_spawn(nest->inner[3]) == 0);
}

static bool all_four_ran(void *arg)
{
    struct nest *nest = arg;
    return nest->inner[0]->ready && nest->inner[1]->ready && nest->inner[2]->ready &&
           nest->inner[3]->ready;
}

static void a_task_is_spawned_inside_any_callback(struct ct_case *c)
{
    struct nest nest;
    for (int i = 0; i < 4; i++) {
        nest.inner[i] = ct_task_new(&c->rig, ready_at_once, NULL);
    }
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->user = &nest;
    stream->on_data = spawn_third;
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_all(peer, "x", 1), 0);
    assert_int_equal(ct_spawn(ct_task_new(&c->rig, spawn_first, &nest)), 0);
    assert_int_equal(ct_sleep(ct_timer_new(&c->rig, spawn_second, &nest), ct_now(&c->rig)), 0);
    c->rig.turn_end = spawn_fourth;
    c->rig.user = &nest;
    CT_UNTIL(&c->rig, all_four_ran, &nest);
}

struct crowd {
    struct ct_task **tasks;
    unsigned count;
    int wrong;
    bool spawn;
    int expected;
};

static void *spawn_crowd(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < crowd->count; i++) {
        crowd->wrong += ct_spawn(crowd->tasks[i]) != crowd->expected;
    }
    return NULL;
}

static bool all_ready(void *arg)
{
    struct crowd *crowd = arg;
    while (crowd->count > 0 && crowd->tasks[crowd->count - 1]->ready) {
        crowd->count--;
    }
    return crowd->count == 0;
}

static void spawn_from_other_threads_runs_or_is_refused(struct ct_case *c)
{
    enum { THREADS = 8, EACH = 500 };
    static struct ct_task *tasks[THREADS * EACH];
    bool any = ct_subject()->any_thread;
    for (int i = 0; i < THREADS * EACH; i++) {
        tasks[i] = ct_task_new(&c->rig, ready_at_once, NULL);
    }
    pthread_t threads[THREADS];
    struct crowd crowds[THREADS];
    for (int i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){.tasks = tasks + (size_t)i * EACH,
                                   .count = EACH,
                                   .expected = any ? 0 : AIODUCT_E_THREAD};
        assert_int_equal(pthread_create(&threads[i], NULL, spawn_crowd, &crowds[i]), 0);
    }
    struct crowd all = {.tasks = tasks, .count = THREADS * EACH};
    if (any) {
        CT_UNTIL(&c->rig, all_ready, &all);
    } else {
        ct_run_for(&c->rig, 20);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowds[i].wrong, 0);
    }
    ct_run_for(&c->rig, 1);
    for (int i = 0; i < THREADS * EACH; i++) {
        assert_int_equal(tasks[i]->runs, any ? 1 : 0);
    }
}

/* ---- the loop goes on beside busy tasks ---- */

static int wake_self_for_ever(struct ct_task *task)
{
    ct_wake(task);
    return 0;
}

static int wake_each_other(struct ct_task *task)
{
    ct_wake(task->user);
    return 0;
}

struct progress {
    struct ct_timer *timer;
    struct ct_stream *stream;
};

static bool both_came(void *arg)
{
    struct progress *progress = arg;
    return progress->timer->fires > 0 && progress->stream->received > 0;
}

static void expect_progress(struct ct_case *c)
{
    int peer;
    struct progress progress = {.stream = ct_dial(c, &peer)};
    progress.timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_recv_start(progress.stream), 0);
    assert_int_equal(ct_sleep(progress.timer, ct_now(&c->rig) + 2000000), 0);
    assert_int_equal(ct_write_all(peer, "x", 1), 0);
    CT_UNTIL(&c->rig, both_came, &progress);
}

static void a_task_that_wakes_itself_starves_neither_timers_nor_streams(struct ct_case *c)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ct_spawn(ct_task_new(&c->rig, wake_self_for_ever, NULL)), 0);
    }
    expect_progress(c);
}

static void tasks_that_wake_each_other_starve_neither_timers_nor_streams(struct ct_case *c)
{
    struct ct_task *one = ct_task_new(&c->rig, wake_each_other, NULL);
    struct ct_task *two = ct_task_new(&c->rig, wake_each_other, one);
    one->user = two;
    assert_int_equal(ct_spawn(one), 0);
    assert_int_equal(ct_spawn(two), 0);
    expect_progress(c);
}

static int spawn_a_successor(struct ct_task *task)
{
    CT_EXPECT(task->rig, ct_spawn(ct_task_new(task->rig, spawn_a_successor, NULL)) == 0);
    return 1;
}

static void tasks_that_spawn_their_successors_starve_neither_timers_nor_streams(struct ct_case *c)
{
    assert_int_equal(ct_spawn(ct_task_new(&c->rig, spawn_a_successor, NULL)), 0);
    expect_progress(c);
}

static const struct ct_test cases[] = {
    CT_CASE(a_spawned_task_runs_once, "RT-8"),
    CT_CASE(a_pending_task_runs_again_after_a_wake_and_only_then, "RT-8"),
    CT_CASE(many_wakes_before_a_run_are_one, "RT-9"),
    CT_CASE(a_wake_before_the_first_run_is_the_same_run, "RT-9"),
    CT_CASE(a_task_that_wakes_itself_runs_again, "RT-9"),
    CT_CASE(a_wake_while_the_task_runs_counts, "RT-9"),
    CT_CASE(a_wake_after_the_task_was_ready_does_nothing, "RT-10"),
    CT_CASE(the_memory_of_a_ready_task_goes_at_the_next_callback, "RT-10"),
    CT_CASE(ten_thousand_tasks_run_once_each, "RT-8"),
    CT_CASE(a_task_is_spawned_inside_any_callback, "RT-12"),
    CT_CASE(spawn_from_other_threads_runs_or_is_refused, "RT-13"),
    CT_CASE(a_task_that_wakes_itself_starves_neither_timers_nor_streams, "RT-14"),
    CT_CASE(tasks_that_wake_each_other_starve_neither_timers_nor_streams, "RT-14"),
    CT_CASE(tasks_that_spawn_their_successors_starve_neither_timers_nor_streams, "RT-14"),
};

CT_GROUP(task, CT_BY_POLL)
