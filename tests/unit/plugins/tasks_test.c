/* SPDX-License-Identifier: MIT */
/* The run queue alone, with a host table whose task_run calls the test's own function. */
#include "tap.h"
#include "tasks/tasks.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct aioduct_task {
    struct ad_task_state state;
    int (*run)(struct aioduct_task *task);
    struct ad_tasks *queue;
    unsigned runs;
    unsigned until; /* ready at this run; 0: never */
    atomic_uint wakes;
    atomic_bool running;
};

static int task_run(void *ctx, struct aioduct_task *task)
{
    (void)ctx;
    assert_false(atomic_exchange(&task->running, true));
    task->runs++;
    int ready = task->run != NULL ? task->run(task) : task->runs == task->until;
    atomic_store(&task->running, false);
    return ready;
}

static const struct aioduct_host host = {.size = sizeof host, .task_run = task_run};

static struct ad_tasks queue;

static int setup(void **state)
{
    (void)state;
    ad_tasks_init(&queue, &host);
    return 0;
}

static void test_spawn_runs_once(void **state)
{
    (void)state;
    struct aioduct_task task = {0};
    ad_tasks_enter(&queue);
    ad_tasks_spawn(&queue, &task, &task.state);
    ad_tasks_run(&queue);
    ad_tasks_run(&queue);
    assert_int_equal(task.runs, 1);
    assert_true(ad_tasks_may_wait(&queue));
}

static void test_wakes_merge(void **state)
{
    (void)state;
    struct aioduct_task task = {0};
    ad_tasks_enter(&queue);
    ad_tasks_wake(&queue, &task.state); /* before the spawn: the first run answers it */
    assert_true(ad_tasks_may_wait(&queue));
    ad_tasks_awake(&queue);
    ad_tasks_spawn(&queue, &task, &task.state);
    for (int i = 0; i < 10; i++) {
        ad_tasks_wake(&queue, &task.state);
    }
    ad_tasks_run(&queue);
    ad_tasks_run(&queue);
    assert_int_equal(task.runs, 1);
    for (int i = 0; i < 10; i++) {
        ad_tasks_wake(&queue, &task.state);
    }
    ad_tasks_run(&queue);
    ad_tasks_run(&queue);
    assert_int_equal(task.runs, 2);
}

static int wake_myself(struct aioduct_task *task)
{
    ad_tasks_wake(task->queue, &task->state);
    return task->runs == task->until;
}

static void test_wake_while_running(void **state)
{
    (void)state;
    struct aioduct_task task = {.run = wake_myself, .queue = &queue};
    ad_tasks_enter(&queue);
    ad_tasks_spawn(&queue, &task, &task.state);
    for (unsigned i = 1; i <= 5; i++) {
        ad_tasks_run(&queue);
        assert_int_equal(task.runs, i); /* once a turn: descriptors come between */
        assert_false(ad_tasks_may_wait(&queue));
    }
}

static int free_myself(struct aioduct_task *task)
{
    (void)task;
    return 1;
}

static void test_wake_after_ready(void **state)
{
    (void)state;
    struct aioduct_task task = {.until = 1};
    struct aioduct_task self = {.run = wake_myself, .queue = &queue, .until = 1};
    ad_tasks_enter(&queue);
    ad_tasks_spawn(&queue, &task, &task.state);
    ad_tasks_spawn(&queue, &self, &self.state);
    ad_tasks_run(&queue);
    assert_false(ad_tasks_wake(&queue, &task.state));
    ad_tasks_run(&queue);
    assert_int_equal(task.runs, 1);
    assert_int_equal(self.runs, 1);
    assert_true(ad_tasks_may_wait(&queue));
}

static int task_run_freeing(void *ctx, struct aioduct_task *task)
{
    (void)ctx;
    int ready = task->run(task);
    free(task);
    return ready;
}

static void test_memory_goes_in_last_run(void **state)
{
    (void)state;
    const struct aioduct_host freeing = {.size = sizeof freeing, .task_run = task_run_freeing};
    struct ad_tasks own;
    ad_tasks_init(&own, &freeing);
    ad_tasks_enter(&own);
    for (int i = 0; i < 3; i++) {
        struct aioduct_task *task = calloc(1, sizeof *task);
        assert_non_null(task);
        task->run = free_myself;
        ad_tasks_spawn(&own, task, &task->state);
    }
    ad_tasks_run(&own); /* the sanitizers watch */
    assert_true(ad_tasks_may_wait(&own));
}

static struct aioduct_task *order[600];
static unsigned order_count;

static int note_order(struct aioduct_task *task)
{
    order[order_count++] = task;
    return 1;
}

static void test_batches_keep_order(void **state)
{
    (void)state;
    static struct aioduct_task tasks[600];
    ad_tasks_enter(&queue);
    order_count = 0;
    for (unsigned i = 0; i < 600; i++) {
        tasks[i] = (struct aioduct_task){.run = note_order};
        ad_tasks_spawn(&queue, &tasks[i], &tasks[i].state);
        if (i == 300) {
            ad_tasks_run(&queue);
            assert_int_equal(order_count, AD_TASKS_BATCH);
        }
    }
    ad_tasks_run(&queue);
    assert_int_equal(order_count, 2 * AD_TASKS_BATCH);
    assert_true(ad_tasks_leave(&queue));
    assert_int_equal(ad_tasks_enter(&queue), 0);
    ad_tasks_run(&queue);
    assert_int_equal(order_count, 600);
    for (unsigned i = 0; i < 600; i++) {
        assert_ptr_equal(order[i], &tasks[i]);
    }
    assert_false(ad_tasks_leave(&queue));
}

static void test_signal_only_when_waiting(void **state)
{
    (void)state;
    struct aioduct_task a = {0}, b = {0};
    assert_true(ad_tasks_spawn(&queue, &a, &a.state)); /* nobody drives the loop yet */
    assert_false(ad_tasks_spawn(&queue, &b, &b.state));
    assert_int_equal(ad_tasks_enter(&queue), 0);
    ad_tasks_run(&queue);
    assert_false(ad_tasks_wake(&queue, &a.state)); /* the loop will look */
    assert_false(ad_tasks_may_wait(&queue));
    ad_tasks_run(&queue);
    assert_true(ad_tasks_may_wait(&queue));
    assert_true(ad_tasks_wake(&queue, &a.state));
    assert_false(ad_tasks_wake(&queue, &b.state));
    ad_tasks_awake(&queue);
    ad_tasks_run(&queue);
    assert_false(ad_tasks_leave(&queue));
    assert_true(ad_tasks_wake(&queue, &a.state));
}

static void test_root_and_nesting(void **state)
{
    (void)state;
    struct aioduct_task root = {.until = 2};
    assert_int_equal(ad_tasks_enter(&queue), 0);
    assert_int_equal(ad_tasks_enter(&queue), AIODUCT_E_NESTED);
    ad_tasks_root_set(&queue, &root, &root.state);
    ad_tasks_run(&queue);
    assert_false(ad_tasks_root_ready(&queue));
    ad_tasks_wake(&queue, &root.state);
    ad_tasks_run(&queue);
    assert_true(ad_tasks_root_ready(&queue));
    assert_int_equal(root.runs, 2);
}

static void test_dropped_root_leaves(void **state)
{
    (void)state;
    struct aioduct_task before = {0}, after = {0};
    struct aioduct_task *root = calloc(1, sizeof *root);
    ad_tasks_enter(&queue);
    ad_tasks_spawn(&queue, &before, &before.state);
    ad_tasks_root_set(&queue, root, &root->state);
    ad_tasks_root_drop(&queue, &root->state);
    assert_false(ad_tasks_wake(&queue, &root->state));
    free(root);
    ad_tasks_spawn(&queue, &after, &after.state);
    ad_tasks_run(&queue);
    assert_int_equal(before.runs, 1);
    assert_int_equal(after.runs, 1);
    assert_true(ad_tasks_may_wait(&queue));
}

/* ---- threads ---- */

enum { THREADS = 16, TASKS = 50, WAKES = 20000 };

static struct aioduct_task many[TASKS];
static int signal_pipe[2];
static atomic_uint signals, live;

static int count_run(struct aioduct_task *task)
{
    task->until = atomic_load(&task->wakes); /* what this run has seen */
    return 0;
}

static void *waker(void *arg)
{
    uint32_t seed = (uint32_t)(uintptr_t)arg + 1;
    for (int i = 0; i < WAKES; i++) {
        seed = seed * 1664525 + 1013904223;
        struct aioduct_task *task = &many[(seed >> 16) % TASKS];
        atomic_fetch_add(&task->wakes, 1);
        if (ad_tasks_wake(&queue, &task->state)) {
            atomic_fetch_add(&signals, 1);
            assert_int_equal(write(signal_pipe[1], "x", 1), 1);
        }
    }
    if (atomic_fetch_sub(&live, 1) == 1) {
        assert_int_equal(write(signal_pipe[1], "x", 1), 1);
    }
    return NULL;
}

static void test_sixteen_threads_lose_no_wake(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    assert_int_equal(pipe(signal_pipe), 0);
    ad_tasks_enter(&queue);
    for (int i = 0; i < TASKS; i++) {
        many[i] = (struct aioduct_task){.run = count_run};
        ad_tasks_spawn(&queue, &many[i], &many[i].state);
    }
    atomic_store(&live, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, waker, (void *)i), 0);
    }
    while (atomic_load(&live) > 0 || !ad_tasks_may_wait(&queue)) {
        if (ad_tasks_may_wait(&queue)) {
            char byte;
            assert_int_equal(read(signal_pipe[0], &byte, 1), 1); /* a lost wake hangs here */
        }
        ad_tasks_awake(&queue);
        ad_tasks_run(&queue);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(many[i].until, atomic_load(&many[i].wakes));
    }
    assert_in_range(atomic_load(&signals), 0, THREADS * WAKES);
    close(signal_pipe[0]);
    close(signal_pipe[1]);
}

#define CASE(name, function)              \
    {                                     \
        name, function, setup, NULL, NULL \
    }

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE("a spawned task runs once", test_spawn_runs_once),
        CASE("wakes merge until the task runs", test_wakes_merge),
        CASE("a wake while the task runs counts, one run a turn", test_wake_while_running),
        CASE("a wake after ready does nothing", test_wake_after_ready),
        CASE("a task's memory may go in its last run", test_memory_goes_in_last_run),
        CASE("a run is one batch and keeps the order of arrival", test_batches_keep_order),
        CASE("only a loop that waits is signalled, and once", test_signal_only_when_waiting),
        CASE("a nested block_on is refused; the root ends it", test_root_and_nesting),
        CASE("a root that is given up leaves the queue", test_dropped_root_leaves),
        CASE("wakes from sixteen threads are not lost", test_sixteen_threads_lose_no_wake),
    };
    return TAP_RUN(cases, NULL, NULL);
}
