/* SPDX-License-Identifier: MIT */
/* fork(2): the parent never notices, and the child may repair its copy. The child does not assert:
 * it says by its exit status whether a rule was broken. */
#include "case.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS ((uint64_t)1000000)
enum { CHILD_SECONDS = 15, CHILD_WRONG = 1, CHILD_REFUSED = 2 };

static int wait_for(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect_life(struct ct_case *c, struct ct_stream *stream, int peer,
                        struct ct_timer *timer)
{
    uint64_t received = stream->received;
    assert_int_equal(ct_write_pattern(peer, 1, 100), 0);
    while (stream->received < received + 100) {
        ct_run_for(&c->rig, 2);
    }
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + MS), 0);
    ct_run_for(&c->rig, 5);
    assert_false(timer->armed);
    assert_true(stream->recv.in_flight);
}

static void a_child_that_does_nothing_does_not_disturb_the_parent(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_recv_start(stream), 0);
    expect_life(c, stream, peer, timer);
    pid_t child = ct_fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(0);
    }
    expect_life(c, stream, peer, timer);
    assert_int_equal(wait_for(child), 0);
    expect_life(c, stream, peer, timer);
}

static int ready_when_all_came(struct ct_task *task)
{
    struct ct_timer *timer = task->user;
    return timer->fires > 0;
}

static void wake_the_root(struct ct_timer *timer)
{
    ct_wake(timer->user);
}

static int ready_at_once(struct ct_task *task)
{
    (void)task;
    return 1;
}

/* The copy of the parent's stream is closed before the loop runs, else two processes would read
 * from one socket. Then tasks, timers and a wake work in the repaired instance. */
static void live_in_the_child(struct ct_case *c, struct ct_stream *stream)
{
    alarm(CHILD_SECONDS);
    struct ct_rig *rig = &c->rig;
    if (rig->subject->rt->after_fork_child(rig->rt) != 0) {
        _exit(CHILD_REFUSED);
    }
    ct_stream_close(stream);
    struct ct_task *task = ct_task_new(rig, ready_at_once, NULL);
    struct ct_timer *timer = ct_timer_new(rig, wake_the_root, NULL);
    struct ct_task *root = ct_task_new(rig, ready_when_all_came, timer);
    timer->user = root;
    CT_EXPECT(rig, ct_spawn(task) == 0);
    CT_EXPECT(rig, ct_sleep(timer, ct_now(rig) + 5 * MS) == 0);
    CT_EXPECT(rig, ct_block_on(rig, root) == 0);
    CT_EXPECT(rig, task->ready && timer->fires == 1 && stream->closed);
    ct_rig_close(rig);
    _exit(rig->violation_count > 0 ? CHILD_WRONG : 0);
}

static void a_child_repairs_its_copy_and_closes_it(struct ct_case *c)
{
    if (c->rig.subject->rt->after_fork_child == NULL) {
        ct_skip("the runtime has no after_fork_child");
    }
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_recv_start(stream), 0);
    expect_life(c, stream, peer, timer);
    pid_t child = ct_fork();
    assert_true(child >= 0);
    if (child == 0) {
        live_in_the_child(c, stream);
    }
    expect_life(c, stream, peer, timer);
    assert_int_equal(wait_for(child), 0);
    /* The child has closed its copy of the stream: ours is still connected. */
    expect_life(c, stream, peer, timer);
    assert_true(ct_send_bytes(stream, "x", 1) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_true(ct_wait_readable(peer, 1));
}

static const struct ct_test cases[] = {
    CT_CASE(a_child_that_does_nothing_does_not_disturb_the_parent, "RT-21"),
    CT_CASE(a_child_repairs_its_copy_and_closes_it, "RT-21"),
};

CT_GROUP(fork, 0)
