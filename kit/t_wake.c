/* SPDX-License-Identifier: MIT */
/* Wakes under load: from many threads, at random, none lost. */
#include "case.h"

#include <string.h>
#include <time.h>

enum { TASKS = 64, THREADS_MAX = 16 };

/* A wake is kept if a run started after it: the run then sees what was written before it. */
struct box {
    struct ct_task *task;
    atomic_uint posted; /* written before the wake */
    atomic_uint seen;   /* by the last run */
};

struct load {
    struct ct_rig *rig;
    struct box boxes[TASKS];
    unsigned wakes; /* each thread's */
    bool pauses;
    atomic_uint running; /* threads */
};

struct worker {
    struct load *load;
    pthread_t thread;
    uint64_t seed;
};

static int look_into_the_box(struct ct_task *task)
{
    struct box *box = task->user;
    box->seen = box->posted;
    return 0;
}

static void pause_a_little(uint64_t random)
{
    if (random % 512 == 0) {
        /* Long enough for the loop to go to sleep in between. */
        struct timespec pause = {.tv_nsec = (long)(random >> 20) % 200000};
        nanosleep(&pause, NULL);
    }
}

static void *post_and_wake(void *arg)
{
    struct worker *worker = arg;
    struct load *load = worker->load;
    for (unsigned i = 0; i < load->wakes; i++) {
        uint64_t random = ct_random(&worker->seed);
        struct box *box = &load->boxes[random % TASKS];
        box->posted++;
        ct_wake(box->task);
        if (load->pauses) {
            pause_a_little(random >> 8);
        }
    }
    load->running--;
    return NULL;
}

static bool all_seen(void *arg)
{
    struct load *load = arg;
    if (load->running > 0) {
        return false;
    }
    for (int i = 0; i < TASKS; i++) {
        if (load->boxes[i].seen != load->boxes[i].posted) {
            return false;
        }
    }
    return true;
}

static void run_load(struct ct_case *c, unsigned threads, unsigned wakes, bool pauses)
{
    static struct load load;
    memset(&load, 0, sizeof load);
    load.rig = &c->rig;
    load.wakes = wakes;
    load.pauses = pauses;
    load.running = threads;
    for (int i = 0; i < TASKS; i++) {
        load.boxes[i].task = ct_task_new(&c->rig, look_into_the_box, &load.boxes[i]);
        assert_int_equal(ct_spawn(load.boxes[i].task), 0);
    }
    struct worker workers[THREADS_MAX];
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.load = &load, .seed = ct_seed(i)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, post_and_wake, &workers[i]), 0);
    }
    /* The condition is asked at the end of a turn, and the last wake makes a turn. A last thread
     * that counts itself out after that turn is waited for with a short sleep of the loop. */
    while (load.running > 0) {
        ct_run_for(&c->rig, 2);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    CT_UNTIL(&c->rig, all_seen, &load);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(load.boxes[i].seen, load.boxes[i].posted);
    }
}

/* A million of them. */
static void no_wake_from_sixteen_threads_is_lost(struct ct_case *c)
{
    run_load(c, 16, ct_scaled(62500), false);
}

/* The loop sleeps and wakes in between. */
static void no_wake_at_a_random_moment_is_lost(struct ct_case *c)
{
    run_load(c, 3, ct_scaled(60000), true);
}

/* ---- one wake at a time: each must end a wait ---- */

struct ping {
    struct ct_task *task;
    unsigned rounds;
    atomic_uint at; /* odd: the loop's turn */
};

static int answer(struct ct_task *task)
{
    struct ping *ping = task->user;
    if (ping->at % 2 == 1) {
        ping->at++;
    }
    return ping->at >= ping->rounds;
}

static void *ask(void *arg)
{
    struct ping *ping = arg;
    while (ping->at < ping->rounds) {
        if (ping->at % 2 == 0) {
            ping->at++;
            ct_wake(ping->task);
        } else {
            sched_yield();
        }
    }
    return NULL;
}

/* A lost one would leave both sides waiting. */
static void each_single_wake_ends_the_wait(struct ct_case *c)
{
    struct ping ping = {.rounds = 2 * ct_scaled(5000)};
    ping.task = ct_task_new(&c->rig, answer, &ping);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, &ping), 0);
    assert_int_equal(ct_block_on(&c->rig, ping.task), 0);
    pthread_join(thread, NULL);
}

/* ---- tasks that end while others still wake them ---- */

struct ending {
    struct ct_task *tasks[TASKS];
    atomic_bool stop;
    atomic_uint started;
};

static int end_at_the_tenth(struct ct_task *task)
{
    return task->runs >= 10;
}

static void *wake_all_the_time(void *arg)
{
    struct ending *ending = arg;
    ending->started++;
    while (!ending->stop) {
        for (int i = 0; i < TASKS; i++) {
            ct_wake(ending->tasks[i]);
        }
    }
    return NULL;
}

static bool all_ended(void *arg)
{
    struct ending *ending = arg;
    for (int i = 0; i < TASKS; i++) {
        if (!ending->tasks[i]->ready) {
            return false;
        }
    }
    return true;
}

static void tasks_end_while_other_threads_wake_them(struct ct_case *c)
{
    static struct ending ending;
    memset(&ending, 0, sizeof ending);
    for (int i = 0; i < TASKS; i++) {
        ending.tasks[i] = ct_task_new(&c->rig, end_at_the_tenth, NULL);
        assert_int_equal(ct_spawn(ending.tasks[i]), 0);
    }
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wake_all_the_time, &ending), 0);
    }
    CT_UNTIL(&c->rig, all_ended, &ending);
    ct_run_for(&c->rig, 5);
    ending.stop = true;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    ct_run_for(&c->rig, 1);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(ending.tasks[i]->runs, 10);
    }
}

static const struct ct_test cases[] = {
    CT_CASE(no_wake_from_sixteen_threads_is_lost, "RT-9", "RT-11"),
    CT_CASE(no_wake_at_a_random_moment_is_lost, "RT-9"),
    CT_CASE(each_single_wake_ends_the_wait, "RT-9"),
    CT_CASE(tasks_end_while_other_threads_wake_them, "RT-10"),
};

CT_GROUP(wake, 0)
