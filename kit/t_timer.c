/* SPDX-License-Identifier: MIT */
/* Timers. That none fires early, twice, or without being armed is checked at every one. */
#include "case.h"

#include <stdlib.h>
#include <string.h>

#define MS ((uint64_t)1000000)

static bool has_fired(void *arg)
{
    return ((struct ct_timer *)arg)->fires > 0;
}

static struct ct_timer *armed(struct ct_case *c, void (*fired)(struct ct_timer *), void *user,
                              uint64_t delay_ns)
{
    struct ct_timer *timer = ct_timer_new(&c->rig, fired, user);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + delay_ns), 0);
    return timer;
}

/* ---- when they fire ---- */

static void a_timer_fires_once(struct ct_case *c)
{
    struct ct_timer *timer = armed(c, NULL, NULL, 5 * MS);
    CT_UNTIL(&c->rig, has_fired, timer);
    ct_run_for(&c->rig, 20);
    assert_int_equal(timer->fires, 1);
}

static void timers_fire_in_the_order_of_their_deadlines(struct ct_case *c)
{
    enum { COUNT = 40 };
    struct ct_timer *timers[COUNT];
    uint64_t now = ct_now(&c->rig);
    for (int i = 0; i < COUNT; i++) {
        timers[i] = ct_timer_new(&c->rig, NULL, NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        int shuffled = i * 17 % COUNT;
        assert_int_equal(ct_sleep(timers[shuffled], now + (5 + 2 * (uint64_t)shuffled) * MS), 0);
    }
    CT_UNTIL(&c->rig, has_fired, timers[COUNT - 1]);
    for (int i = 1; i < COUNT; i++) {
        assert_int_equal(timers[i]->fires, 1);
        assert_true(timers[i]->order > timers[i - 1]->order);
    }
}

/* They are all late, so they come in one turn. */
static void timers_that_are_due_together_keep_their_order(struct ct_case *c)
{
    enum { COUNT = 40 };
    struct ct_timer *timers[COUNT];
    uint64_t now = ct_now(&c->rig);
    for (int i = 0; i < COUNT; i++) {
        int shuffled = i * 17 % COUNT;
        timers[shuffled] = ct_timer_new(&c->rig, NULL, NULL);
        assert_int_equal(ct_sleep(timers[shuffled], now - 500 * MS + 2 * (uint64_t)shuffled * MS),
                         0);
    }
    CT_UNTIL(&c->rig, has_fired, timers[COUNT - 1]);
    for (int i = 1; i < COUNT; i++) {
        assert_int_equal(timers[i]->fires, 1);
        assert_true(timers[i]->order > timers[i - 1]->order);
    }
}

static void a_timer_at_zero_or_in_the_past_fires_on_the_next_turn(struct ct_case *c)
{
    uint64_t now = ct_now(&c->rig);
    const uint64_t deadlines[] = {0, 1, now - 3600000 * MS, now - 1, now};
    struct ct_timer *timers[5];
    for (int i = 0; i < 5; i++) {
        timers[i] = ct_timer_new(&c->rig, NULL, NULL);
        assert_int_equal(ct_sleep(timers[i], deadlines[i]), 0);
        assert_int_equal(timers[i]->fires, 0);
    }
    uint64_t turns = c->rig.turns;
    for (int i = 0; i < 5; i++) {
        CT_UNTIL(&c->rig, has_fired, timers[i]);
    }
    assert_in_range(c->rig.turns - turns, 1, 10);
}

struct again {
    uint64_t last_turn;
    unsigned left;
};

static void sleep_again_in_the_past(struct ct_timer *timer)
{
    struct again *again = timer->user;
    CT_EXPECT(timer->rig, timer->rig->turns > again->last_turn);
    again->last_turn = timer->rig->turns;
    if (again->left-- > 0) {
        CT_EXPECT(timer->rig, ct_sleep(timer, 0) == 0);
    }
}

static bool is_used_up(void *arg)
{
    return ((struct again *)arg)->left == UINT32_MAX;
}

/* Each time in a turn of its own, so that it cannot keep the loop to itself. */
static void a_timer_set_in_the_past_by_itself_waits_for_the_next_turn(struct ct_case *c)
{
    struct again again = {.left = 200};
    struct ct_timer *timer = ct_timer_new(&c->rig, sleep_again_in_the_past, &again);
    ct_run_for(&c->rig, 1); /* a turn has been, so that the first is later than turn 0 */
    assert_int_equal(ct_sleep(timer, 0), 0);
    CT_UNTIL(&c->rig, is_used_up, &again);
    assert_int_equal(timer->fires, 201);
}

static void a_timer_far_away_does_not_fire(struct ct_case *c)
{
    uint64_t now = ct_now(&c->rig);
    const uint64_t deadlines[] = {
        UINT64_MAX,
        UINT64_MAX - 1,
        (uint64_t)INT64_MAX,
        (uint64_t)INT64_MAX + 1,
        (uint64_t)1 << 53,
        now + 3155760000000 * MS,
        now + 86400000 * MS * 50,
    };
    struct ct_timer *timers[7];
    for (int i = 0; i < 7; i++) {
        timers[i] = ct_timer_new(&c->rig, NULL, NULL);
        /* 2^53 ns is a hundred days: not yet reached by this machine's clock, or it is skipped. */
        if (deadlines[i] > now) {
            assert_int_equal(ct_sleep(timers[i], deadlines[i]), 0);
        }
    }
    struct ct_timer *near = armed(c, NULL, NULL, 10 * MS);
    CT_UNTIL(&c->rig, has_fired, near);
    ct_run_for(&c->rig, 10);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(timers[i]->fires, 0);
    }
}

/* Deadlines between the ticks of whatever clock the loop library keeps. */
static void no_timer_is_early_at_any_fraction_of_a_millisecond(struct ct_case *c)
{
    uint64_t seed = ct_seed(1);
    unsigned rounds = ct_scaled(300);
    for (unsigned i = 0; i < rounds; i++) {
        struct ct_timer *timer = armed(c, NULL, NULL, ct_random(&seed) % (2 * MS));
        CT_UNTIL(&c->rig, has_fired, timer);
    }
}

/* ---- moving ---- */

static void a_timer_is_moved_to_an_earlier_time(struct ct_case *c)
{
    struct ct_timer *timer = armed(c, NULL, NULL, 60000 * MS);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 5 * MS), 0);
    CT_UNTIL(&c->rig, has_fired, timer);
    ct_run_for(&c->rig, 5);
    assert_int_equal(timer->fires, 1);
}

/* The rig notes one that fires at its old time. */
static void a_timer_is_moved_to_a_later_time(struct ct_case *c)
{
    struct ct_timer *timer = armed(c, NULL, NULL, 5 * MS);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 60 * MS), 0);
    struct ct_timer *moved_while_running = armed(c, NULL, NULL, 10 * MS);
    ct_run_for(&c->rig, 2);
    assert_int_equal(ct_sleep(moved_while_running, ct_now(&c->rig) + 50 * MS), 0);
    CT_UNTIL(&c->rig, has_fired, timer);
    CT_UNTIL(&c->rig, has_fired, moved_while_running);
    assert_int_equal(timer->fires, 1);
}

static void a_timer_is_moved_a_thousand_times_and_fires_once(struct ct_case *c)
{
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    uint64_t seed = ct_seed(1), now = ct_now(&c->rig);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(ct_sleep(timer, now + 1000 * MS + ct_random(&seed) % (1000 * MS)), 0);
    }
    assert_int_equal(ct_sleep(timer, now + 10 * MS), 0);
    CT_UNTIL(&c->rig, has_fired, timer);
    ct_run_for(&c->rig, 5);
    assert_int_equal(timer->fires, 1);
}

static void sleep_again(struct ct_timer *timer)
{
    unsigned *left = timer->user;
    if (--*left > 0) {
        CT_EXPECT(timer->rig, ct_sleep(timer, ct_now(timer->rig) + MS) == 0);
    }
}

static bool is_zero(void *arg)
{
    return *(unsigned *)arg == 0;
}

static void a_timer_that_fired_is_set_again(struct ct_case *c)
{
    unsigned left = 5;
    struct ct_timer *timer = armed(c, sleep_again, &left, MS);
    CT_UNTIL(&c->rig, is_zero, &left);
    assert_int_equal(timer->fires, 5);
    left = 2; /* and from outside */
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + MS), 0);
    CT_UNTIL(&c->rig, is_zero, &left);
    assert_int_equal(timer->fires, 7);
}

static void move_the_user(struct ct_timer *timer)
{
    struct ct_timer *other = timer->user;
    if (other->fires == 0) {
        CT_EXPECT(timer->rig, ct_sleep(other, ct_now(timer->rig) + 30 * MS) == 0);
    }
}

/* The rig notes the one that fires at its old time. */
static void a_timer_is_moved_by_another_that_fires_in_the_same_turn(struct ct_case *c)
{
    for (int i = 0; i < 3; i++) {
        struct ct_timer *one = ct_timer_new(&c->rig, move_the_user, NULL);
        struct ct_timer *two = ct_timer_new(&c->rig, move_the_user, one);
        one->user = two;
        assert_int_equal(ct_sleep(one, ct_now(&c->rig) - 10 * MS), 0);
        assert_int_equal(ct_sleep(two, ct_now(&c->rig) - 10 * MS), 0);
        CT_UNTIL(&c->rig, has_fired, one);
        CT_UNTIL(&c->rig, has_fired, two);
        assert_int_equal(one->fires + two->fires, 2);
    }
}

/* ---- cancelling ---- */

static void a_cancelled_timer_does_not_fire(struct ct_case *c)
{
    struct ct_timer *timer = armed(c, NULL, NULL, 5 * MS);
    struct ct_timer *past = armed(c, NULL, NULL, 0);
    ct_sleep_cancel(timer);
    ct_sleep_cancel(past);
    ct_run_for(&c->rig, 20);
    assert_int_equal(timer->fires + past->fires, 0);
}

/* Zeroed state, cancelled twice, after it fired. */
static void cancelling_a_timer_that_is_not_armed_does_nothing(struct ct_case *c)
{
    struct ct_timer *timer = ct_timer_new(&c->rig, NULL, NULL);
    ct_sleep_cancel(timer);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig) + 60000 * MS), 0);
    ct_sleep_cancel(timer);
    ct_sleep_cancel(timer);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig)), 0);
    CT_UNTIL(&c->rig, has_fired, timer);
    ct_sleep_cancel(timer);
    ct_sleep_cancel(timer);
    assert_int_equal(ct_sleep(timer, ct_now(&c->rig)), 0);
    ct_run_for(&c->rig, 5);
    assert_int_equal(timer->fires, 2);
}

static void cancel_itself(struct ct_timer *timer)
{
    ct_sleep_cancel(timer);
    CT_EXPECT(timer->rig, ct_sleep(timer, ct_now(timer->rig) + 60000 * MS) == 0);
    ct_sleep_cancel(timer);
}

static void cancel_the_user(struct ct_timer *timer)
{
    ct_sleep_cancel(timer->user);
}

static void a_timer_is_cancelled_inside_its_own_callback(struct ct_case *c)
{
    struct ct_timer *timer = armed(c, cancel_itself, NULL, 0);
    CT_UNTIL(&c->rig, has_fired, timer);
    ct_run_for(&c->rig, 5);
    assert_int_equal(timer->fires, 1);
}

static bool one_has_fired(void *arg)
{
    struct ct_timer *one = arg, *two = one->user;
    return one->fires + two->fires > 0;
}

/* Both are due, so the other is already in the runtime's hands. */
static void a_timer_is_cancelled_by_another_that_fires_in_the_same_turn(struct ct_case *c)
{
    for (int i = 0; i < 3; i++) {
        struct ct_timer *one = ct_timer_new(&c->rig, cancel_the_user, NULL);
        struct ct_timer *two = ct_timer_new(&c->rig, cancel_the_user, one);
        one->user = two;
        assert_int_equal(ct_sleep(one, ct_now(&c->rig) - 10 * MS), 0);
        assert_int_equal(ct_sleep(two, ct_now(&c->rig) - 10 * MS), 0);
        CT_UNTIL(&c->rig, one_has_fired, one);
        ct_run_for(&c->rig, 2);
        assert_int_equal(one->fires + two->fires, 1);
    }
}

struct chain {
    struct ct_timer *timers[64];
};

static void cancel_all_others(struct ct_timer *timer)
{
    struct chain *chain = timer->user;
    for (int i = 0; i < 64; i++) {
        if (chain->timers[i] != timer) {
            ct_sleep_cancel(chain->timers[i]);
            ct_timer_renew(chain->timers[i]);
        }
    }
}

static bool any_fired(void *arg)
{
    struct chain *chain = arg;
    for (int i = 0; i < 64; i++) {
        if (chain->timers[i]->fires > 0) {
            return true;
        }
    }
    return false;
}

static void the_memory_of_a_cancelled_timer_goes_at_once(struct ct_case *c)
{
    struct chain chain;
    for (int i = 0; i < 64; i++) {
        chain.timers[i] = armed(c, cancel_all_others, &chain, (uint64_t)(i % 2) * 3 * MS);
        if (i % 3 == 0) {
            ct_sleep_cancel(chain.timers[i]);
            ct_timer_renew(chain.timers[i]);
            assert_int_equal(ct_sleep(chain.timers[i], ct_now(&c->rig)), 0);
        }
    }
    CT_UNTIL(&c->rig, any_fired, &chain);
    ct_run_for(&c->rig, 8);
    unsigned fires = 0;
    for (int i = 0; i < 64; i++) {
        fires += chain.timers[i]->fires;
    }
    assert_int_equal(fires, 1);
}

static void give_back_the_memory(struct ct_timer *timer)
{
    ct_timer_renew(timer);
}

static void the_memory_of_a_timer_goes_inside_its_callback(struct ct_case *c)
{
    struct ct_timer *timer = NULL;
    for (uint64_t i = 0; i < 100; i++) {
        timer = armed(c, give_back_the_memory, NULL, i % 4 * MS);
    }
    CT_UNTIL(&c->rig, has_fired, timer);
}

/* ---- many ---- */

struct swarm {
    struct ct_timer **timers;
    unsigned count, fired, expected;
    uint64_t last_deadline;
};

static void count_in_order(struct ct_timer *timer)
{
    struct swarm *swarm = timer->user;
    swarm->fired++;
    CT_EXPECT(timer->rig, timer->deadline_ns + MS > swarm->last_deadline);
    if (timer->deadline_ns > swarm->last_deadline) {
        swarm->last_deadline = timer->deadline_ns;
    }
}

static bool all_fired(void *arg)
{
    struct swarm *swarm = arg;
    return swarm->fired == swarm->expected;
}

static void a_hundred_thousand_timers_fire_or_are_cancelled(struct ct_case *c)
{
    struct swarm swarm = {.count = ct_scaled(100000)};
    swarm.timers = calloc(swarm.count, sizeof(struct ct_timer *));
    assert_non_null(swarm.timers);
    uint64_t seed = ct_seed(1), start = ct_now(&c->rig) + 20 * MS;
    for (unsigned i = 0; i < swarm.count; i++) {
        swarm.timers[i] = ct_timer_new(&c->rig, count_in_order, &swarm);
        uint64_t delay = ct_random(&seed) % (400 * MS);
        assert_int_equal(ct_sleep(swarm.timers[i], start + delay), 0);
    }
    for (unsigned i = 0; i < swarm.count; i += 2) {
        ct_sleep_cancel(swarm.timers[ct_random(&seed) % swarm.count]);
    }
    for (unsigned i = 0; i < swarm.count; i++) {
        swarm.expected += swarm.timers[i]->armed;
    }
    CT_UNTIL(&c->rig, all_fired, &swarm);
    for (unsigned i = 0; i < swarm.count; i++) {
        assert_false(swarm.timers[i]->armed);
    }
    free(swarm.timers);
}

static const struct ct_test cases[] = {
    CT_CASE(a_timer_fires_once, "RT-22"),
    CT_CASE(timers_fire_in_the_order_of_their_deadlines, "RT-23"),
    CT_CASE(timers_that_are_due_together_keep_their_order, "RT-23"),
    CT_CASE(a_timer_at_zero_or_in_the_past_fires_on_the_next_turn, "RT-24"),
    CT_CASE(a_timer_set_in_the_past_by_itself_waits_for_the_next_turn, "RT-24", "RT-14"),
    CT_CASE(a_timer_far_away_does_not_fire, "RT-25"),
    CT_CASE(no_timer_is_early_at_any_fraction_of_a_millisecond, "RT-22"),
    CT_CASE(a_timer_is_moved_to_an_earlier_time, "RT-26"),
    CT_CASE(a_timer_is_moved_to_a_later_time, "RT-26"),
    CT_CASE(a_timer_is_moved_a_thousand_times_and_fires_once, "RT-26"),
    CT_CASE(a_timer_that_fired_is_set_again, "RT-26"),
    CT_CASE(a_timer_is_moved_by_another_that_fires_in_the_same_turn, "RT-26"),
    CT_CASE(a_timer_is_cancelled_inside_its_own_callback, "RT-27"),
    CT_CASE(a_timer_is_cancelled_by_another_that_fires_in_the_same_turn, "RT-27"),
    CT_CASE(a_cancelled_timer_does_not_fire, "RT-27"),
    CT_CASE(cancelling_a_timer_that_is_not_armed_does_nothing, "RT-27"),
    CT_CASE(the_memory_of_a_cancelled_timer_goes_at_once, "RT-28"),
    CT_CASE(the_memory_of_a_timer_goes_inside_its_callback, "RT-28"),
    CT_CASE(a_hundred_thousand_timers_fire_or_are_cancelled, "RT-29", "RT-23"),
};

CT_GROUP(timer, CT_BY_POLL)
