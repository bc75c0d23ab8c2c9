/* SPDX-License-Identifier: MIT */
/* Instances: open, close, several of them. */
#include "case.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>

static int ready_at_once(struct ct_task *task)
{
    (void)task;
    return 1;
}

static int never_ready(struct ct_task *task)
{
    (void)task;
    return 0;
}

/* A small use of everything, so that what is made late is made. */
static void use(struct ct_rig *rig)
{
    struct ct_task *task = ct_task_new(rig, ready_at_once, NULL);
    struct ct_timer *timer = ct_timer_new(rig, NULL, NULL);
    assert_int_equal(ct_spawn(task), 0);
    assert_int_equal(ct_sleep(timer, ct_now(rig) + 1000000000), 0);
    struct ct_task *root = ct_task_new(rig, ready_at_once, NULL);
    assert_int_equal(ct_block_on(rig, root), 0);
    ct_sleep_cancel(timer);
}

static void open_use_close(struct ct_case *c)
{
    ct_rig_init(&c->rig);
    assert_int_equal(ct_rig_open(&c->rig), 0);
    use(&c->rig);
    ct_rig_close(&c->rig);
    ct_check(&c->rig);
}

static void opening_and_closing_a_thousand_times_leaves_nothing(struct ct_case *c)
{
    for (int i = 0; i < 20; i++) {
        open_use_close(c);
    }
    unsigned fds = ct_fd_count(), threads = ct_thread_count(), mappings = ct_mapping_count();
    size_t space = ct_address_space_bytes();
    size_t heap = mallinfo2().uordblks;
    unsigned rounds = ct_scaled(1000);
    for (unsigned i = 0; i < rounds; i++) {
        open_use_close(c);
    }
    assert_int_equal(ct_fd_count(), fds);
    assert_int_equal(ct_thread_count_settled(threads), threads);
    if (!ct_under_sanitizer()) {
        assert_in_range(mallinfo2().uordblks, 0, heap + 16384);
        assert_in_range(ct_mapping_count(), 0, mappings + 2);
        assert_in_range(ct_address_space_bytes(), 0, space + (2 << 20));
    }
}

static void two_instances_live_side_by_side(struct ct_case *c)
{
    struct ct_rig other;
    ct_rig_init(&other);
    assert_int_equal(ct_rig_open(&other), 0);

    struct ct_timer *here = ct_timer_new(&c->rig, NULL, NULL);
    struct ct_timer *there = ct_timer_new(&other, NULL, NULL);
    assert_int_equal(ct_sleep(here, ct_now(&c->rig) + 1000000), 0);
    assert_int_equal(ct_sleep(there, ct_now(&other) + 1000000), 0);
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    ct_run_for(&c->rig, 5);
    assert_int_equal(here->fires, 1);
    assert_int_equal(there->fires, 0); /* its loop did not run */
    ct_run_for(&other, 5);
    assert_int_equal(there->fires, 1);

    ct_rig_close(&other);
    ct_check(&other);
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_pattern(peer, 1, 10), 0);
    CT_UNTIL(&c->rig, ct_has_data, stream);
}

static int run_the_other(struct ct_task *task)
{
    struct ct_rig *other = task->user;
    struct ct_task *root = ct_task_new(other, ready_at_once, NULL);
    CT_EXPECT(task->rig, ct_block_on(other, root) == 0);
    if (other->subject->rt->turn != NULL) {
        CT_EXPECT(task->rig, ct_turn(other, 0) == 0);
    }
    return 1;
}

static void one_instance_runs_inside_a_callback_of_another(struct ct_case *c)
{
    struct ct_rig other;
    ct_rig_init(&other);
    assert_int_equal(ct_rig_open(&other), 0);
    struct ct_task *task = ct_task_new(&c->rig, run_the_other, &other);
    assert_int_equal(ct_block_on(&c->rig, task), 0);
    ct_rig_close(&other);
    ct_check(&other);
}

/* There is no loop of this kind anywhere. */
static void a_refused_open_leaves_nothing_and_says_why(struct ct_case *c)
{
    int nothing = 0;
    const struct aioduct_foreign foreign = {
        .size = sizeof foreign,
        .kind = "org.example.abacus",
        .loop = &nothing,
    };
    for (int i = 0; i < 3; i++) {
        unsigned fds = ct_fd_count();
        int errors = c->rig.errors;
        int code = ct_rig_open_on(&c->rig, &foreign);
        assert_int_equal(code, AIODUCT_E_UNSUPPORTED);
        assert_true(c->rig.errors > errors);
        assert_int_equal(c->rig.error_code, code);
        assert_int_equal(ct_fd_count(), fds);
        assert_int_equal(c->rig.live_blocks, 0);
    }
    /* Nothing that happened stays in the way of a good open. */
    assert_int_equal(ct_rig_open(&c->rig), 0);
    use(&c->rig);
}

static void close_drops_the_tasks_that_are_left(struct ct_case *c)
{
    struct ct_task *queued[8], *waiting = ct_task_new(&c->rig, never_ready, NULL);
    assert_int_equal(ct_spawn(waiting), 0);
    use(&c->rig);
    unsigned runs = waiting->runs;
    for (int i = 0; i < 8; i++) {
        queued[i] = ct_task_new(&c->rig, never_ready, NULL);
        assert_int_equal(ct_spawn(queued[i]), 0);
    }
    ct_wake(waiting);
    uint64_t sequence = c->rig.sequence;
    /* The rig frees its tasks, so what is asked of them is asked of the record. */
    assert_int_equal(runs, 1);
    ct_rig_close(&c->rig);
    assert_int_equal(c->rig.sequence, sequence);
}

static void an_instance_that_never_ran_closes(struct ct_case *c)
{
    struct ct_task *task = ct_task_new(&c->rig, never_ready, NULL);
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_spawn(task), 0);
    ct_wake(task);
    assert_int_equal(ct_sleep(timer, 0), 0);
    ct_sleep_cancel(timer);
    ct_rig_close(&c->rig);
    assert_int_equal(c->rig.sequence, 0);
}

static void descriptors_are_closed_on_exec(struct ct_case *c)
{
    struct ct_fds before, after;
    ct_fds_now(&before);
    assert_int_equal(ct_rig_open(&c->rig), 0);
    ct_listen(&c->listener, AF_INET);
    struct ct_stream *stream = ct_dial(c, NULL);
    assert_int_equal(ct_recv_start(stream), 0);
    if (c->rig.subject->rt->poll_fd != NULL) {
        c->rig.subject->rt->poll_fd(c->rig.rt);
    }
    ct_run_for(&c->rig, 1);
    ct_fds_now(&after);
    for (int fd = 0; (fd = ct_fds_next_new(&before, &after, fd)) >= 0; fd++) {
        if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) {
            ct_fail("descriptor %d stays open across exec", fd);
        }
    }
}

/* The host notes what is asked later. */
static void the_host_is_asked_for_options_in_open_alone(struct ct_case *c)
{
    assert_int_equal(ct_rig_open(&c->rig), 0);
    use(&c->rig);
    if (c->rig.subject->rt->turn != NULL) {
        assert_int_equal(ct_turn(&c->rig, 0), 0);
    }
    ct_rig_close(&c->rig);
}

/* As much of everything as makes tables grow. The host counts. */
static void memory_is_given_back_by_the_end_of_close(struct ct_case *c)
{
    for (int i = 0; i < 500; i++) {
        struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
        assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 3600ull * 1000000000), 0);
        assert_int_equal(ct_spawn(ct_task_new(&c->rig, never_ready, NULL)), 0);
    }
    for (int i = 0; i < 20 && c->rig.subject->cx != NULL; i++) {
        assert_int_equal(ct_recv_start(ct_dial(c, NULL)), 0);
    }
    use(&c->rig);
    ct_rig_close(&c->rig);
}

static const struct ct_test cases[] = {
    CT_BARE_CASE(opening_and_closing_a_thousand_times_leaves_nothing, "RT-2"),
    CT_CASE(two_instances_live_side_by_side, "RT-3"),
    CT_CASE(one_instance_runs_inside_a_callback_of_another, "RT-3", "RT-6"),
    CT_BARE_CASE(a_refused_open_leaves_nothing_and_says_why, "RT-1", "PL-11"),
    CT_CASE(close_drops_the_tasks_that_are_left, "RT-2"),
    CT_CASE(an_instance_that_never_ran_closes, "RT-2"),
    CT_BARE_CASE(the_host_is_asked_for_options_in_open_alone, "PL-10"),
    CT_CASE(memory_is_given_back_by_the_end_of_close, "PL-8"),
    CT_BARE_CASE(descriptors_are_closed_on_exec, "PL-7"),
};

CT_GROUP(open, 0)
