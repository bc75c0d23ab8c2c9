/* SPDX-License-Identifier: MIT */
/* block_on: the root, what survives it, who may call it and where. */
#include "case.h"

#include <time.h>

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

static bool is_ready(void *arg)
{
    return ((struct ct_task *)arg)->ready;
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

/* No timer, no descriptor, nothing that could end a wait. */
static void a_root_that_is_ready_at_once_ends_block_on(struct ct_case *c)
{
    for (int i = 0; i < 10; i++) {
        struct ct_task *root = ct_task_new(&c->rig, ready_at_once, NULL);
        assert_int_equal(ct_block_on(&c->rig, root), 0);
        assert_int_equal(root->runs, 1);
        ct_task_renew(root);
    }
}

static int wake_the_user(struct ct_task *task)
{
    ct_wake(task->user);
    return 1;
}

static int spawn_and_wait(struct ct_task *task)
{
    if (task->runs == 1) {
        CT_EXPECT(task->rig, ct_spawn(task->user) == 0);
    }
    return task->runs == 2;
}

static int wake_self_once(struct ct_task *task)
{
    ct_wake(task);
    return task->runs == 2;
}

static int ready_at_the_second(struct ct_task *task)
{
    return task->runs == 2;
}

static void a_task_wakes_the_root(struct ct_case *c)
{
    struct ct_task *root = ct_task_new(&c->rig, spawn_and_wait, NULL);
    root->user = ct_task_new(&c->rig, wake_the_user, root);
    assert_int_equal(ct_block_on(&c->rig, root), 0);
    assert_int_equal(root->runs, 2);
}

static void *wake_after_a_while(void *arg)
{
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    ct_wake(arg);
    return NULL;
}

/* The loop sleeps without a deadline; the wake alone ends it. */
static void another_thread_wakes_the_root(struct ct_case *c)
{
    for (int i = 0; i < 3; i++) {
        struct ct_task *root = ct_task_new(&c->rig, ready_at_the_second, NULL);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_after_a_while, root), 0);
        assert_int_equal(ct_block_on(&c->rig, root), 0);
        pthread_join(thread, NULL);
    }
}

static int count_to_hundred(struct ct_task *task)
{
    ct_wake(task);
    return task->runs == 100;
}

static void other_tasks_survive_block_on_and_go_on_in_the_next(struct ct_case *c)
{
    struct ct_task *busy = ct_task_new(&c->rig, count_to_hundred, NULL);
    struct ct_task *idle = ct_task_new(&c->rig, ready_at_the_second, NULL);
    assert_int_equal(ct_spawn(busy), 0);
    assert_int_equal(ct_spawn(idle), 0);
    struct ct_task *root = ct_task_new(&c->rig, ready_at_once, NULL);
    assert_int_equal(ct_block_on(&c->rig, root), 0);
    assert_false(busy->ready);
    ct_wake(idle);
    CT_UNTIL(&c->rig, is_ready, busy);
    CT_UNTIL(&c->rig, is_ready, idle);
    assert_int_equal(idle->runs, 2);
}

static void expect_refusal(struct ct_rig *rig)
{
    struct ct_task *root = ct_task_new(rig, ready_at_once, NULL);
    CT_EXPECT(rig, rig->subject->rt->block_on(rig->rt, (struct aioduct_task *)root, root->state) ==
                       AIODUCT_E_NESTED);
    CT_EXPECT(rig, !root->ready && root->runs == 0);
    if (rig->subject->rt->turn != NULL) {
        CT_EXPECT(rig, rig->subject->rt->turn(rig->rt, 0) == AIODUCT_E_NESTED);
        CT_EXPECT(rig, rig->subject->rt->turn(rig->rt, -1) == AIODUCT_E_NESTED);
    }
}

static int nest_in_task(struct ct_task *task)
{
    expect_refusal(task->rig);
    return 1;
}

static void nest_in_timer(struct ct_timer *timer)
{
    expect_refusal(timer->rig);
}

static void nest_in_data(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    expect_refusal(stream->rig);
}

static void nest_in_done(struct ct_stream *stream, int op, int code, size_t bytes)
{
    (void)op;
    (void)code;
    (void)bytes;
    expect_refusal(stream->rig);
}

static void nest_in_turn_end(struct ct_rig *rig)
{
    rig->turn_end = NULL;
    expect_refusal(rig);
}

static void block_on_and_turn_are_refused_inside_every_callback(struct ct_case *c)
{
    int peer;
    struct progress progress = {.stream = ct_dial(c, &peer)};
    progress.timer = ct_timer_new(&c->rig, nest_in_timer, NULL);
    progress.stream->on_data = nest_in_data;
    progress.stream->on_done = nest_in_done;
    c->rig.turn_end = nest_in_turn_end;
    assert_int_equal(ct_spawn(ct_task_new(&c->rig, nest_in_task, NULL)), 0);
    assert_int_equal(ct_recv_start(progress.stream), 0);
    assert_int_equal(ct_sleep(progress.timer, ct_now(&c->rig) + 1), 0);
    assert_int_equal(ct_write_all(peer, "x", 1), 0);
    CT_UNTIL(&c->rig, both_came, &progress);
    ct_blame("ST-15"); /* only the way into one more callback */
    ct_cancel(progress.stream, AIODUCT_OP_RECV);
    CT_UNTIL(&c->rig, ct_is_recv_done, progress.stream);
    ct_blame(NULL);
}

struct elsewhere {
    struct ct_rig *rig;
    struct ct_task *root;
    int block_on, turn;
};

static void *drive_elsewhere(void *arg)
{
    struct elsewhere *elsewhere = arg;
    elsewhere->block_on = ct_block_on(elsewhere->rig, elsewhere->root);
    elsewhere->turn = ct_turn(elsewhere->rig, 0);
    return NULL;
}

static void another_thread_drives_a_poll_runtime_and_not_a_local_one(struct ct_case *c)
{
    struct ct_task *here = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(here), 0);
    ct_run_for(&c->rig, 1);
    ct_wake(here);
    struct elsewhere elsewhere = {&c->rig, ct_task_new(&c->rig, wake_self_once, NULL), 0, 0};
    bool any = ct_subject()->any_thread;
    bool has_turn = ct_subject()->rt->turn != NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drive_elsewhere, &elsewhere), 0);
    pthread_join(thread, NULL);
    c->rig.driver = (unsigned long)pthread_self();
    ct_run_for(&c->rig, 1);
    if (any) {
        assert_int_equal(elsewhere.block_on, 0);
        assert_int_equal(elsewhere.turn, has_turn ? 0 : AIODUCT_E_UNSUPPORTED);
    } else {
        assert_int_equal(elsewhere.block_on, AIODUCT_E_THREAD);
        assert_int_equal(elsewhere.turn, has_turn ? AIODUCT_E_THREAD : AIODUCT_E_UNSUPPORTED);
        assert_int_equal(elsewhere.root->runs, 0);
    }
    assert_int_equal(here->runs, 2);
}

static void *open_drive_and_end(void *arg)
{
    struct elsewhere *elsewhere = arg;
    elsewhere->turn = ct_rig_open(elsewhere->rig);
    if (elsewhere->turn == 0) {
        elsewhere->root = ct_task_new(elsewhere->rig, wake_self_once, NULL);
        elsewhere->block_on = ct_block_on(elsewhere->rig, elsewhere->root);
    }
    return NULL;
}

/* What the thread had of its own is gone; the instance is not. */
static void the_thread_that_opened_and_drove_may_end(struct ct_case *c)
{
    struct elsewhere elsewhere = {&c->rig, NULL, -1, -1};
    pthread_t thread;
    if (!ct_subject()->any_thread) {
        ct_skip("tasks of this runtime are bound to the thread that opened it");
    }
    assert_int_equal(pthread_create(&thread, NULL, open_drive_and_end, &elsewhere), 0);
    pthread_join(thread, NULL);
    assert_int_equal(elsewhere.turn, 0);
    assert_int_equal(elsewhere.block_on, 0);
    c->rig.driver = (unsigned long)pthread_self();
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_spawn(task), 0);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 1000000), 0);
    ct_run_for(&c->rig, 3);
    assert_int_equal(timer->fires, 1);
    assert_int_equal(task->runs, 1);
}

static const struct ct_test cases[] = {
    CT_CASE(a_root_that_is_ready_at_once_ends_block_on, "RT-5"),
    CT_CASE(a_task_wakes_the_root, "RT-5"),
    CT_CASE(another_thread_wakes_the_root, "RT-9"),
    CT_CASE(other_tasks_survive_block_on_and_go_on_in_the_next, "RT-5"),
    CT_CASE(block_on_and_turn_are_refused_inside_every_callback, "RT-6"),
    CT_CASE(another_thread_drives_a_poll_runtime_and_not_a_local_one, "RT-7", "RT-11", "RT-4"),
    CT_BARE_CASE(the_thread_that_opened_and_drove_may_end, "RT-7"),
};

CT_GROUP(block_on, 0)
