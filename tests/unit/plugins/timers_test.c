/* SPDX-License-Identifier: MIT */
/* The heap of timers alone, with a host table that counts and whose timers call the test back. */
#include "tap.h"
#include "tasks/timers.h"

#include <errno.h>
#include <stdlib.h>

struct aioduct_timer {
    struct ad_timer_state state;
    uint64_t wanted_ns; /* what the test expects; 0: not armed */
    unsigned fired;
    void (*act)(struct aioduct_timer *timer);
    struct aioduct_timer *other;
};

static struct ad_timers timers;
static unsigned blocks, allocs_left;
static uint64_t now_ns, last_fired_ns;

static void *host_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    (void)ctx, (void)align;
    if (bytes == 0) {
        blocks -= old != NULL;
        free(old);
        return NULL;
    }
    if (allocs_left > 0 && --allocs_left == 0) {
        return NULL;
    }
    blocks += old == NULL;
    return realloc(old, bytes);
}

static void host_timer_fired(void *ctx, struct aioduct_timer *timer)
{
    (void)ctx;
    assert_true(timer->wanted_ns != 0);
    assert_true(timer->wanted_ns <= now_ns);
    assert_true(timer->wanted_ns >= last_fired_ns);
    last_fired_ns = timer->wanted_ns;
    timer->wanted_ns = 0;
    timer->fired++;
    if (timer->act != NULL) {
        timer->act(timer);
    }
}

static const struct aioduct_host host = {
    .size = sizeof host, .alloc = host_alloc, .timer_fired = host_timer_fired};

static void arm(struct aioduct_timer *timer, uint64_t deadline_ns)
{
    assert_int_equal(ad_timers_set(&timers, timer, &timer->state, deadline_ns), 0);
    timer->wanted_ns = deadline_ns;
}

static void disarm(struct aioduct_timer *timer)
{
    ad_timers_cancel(&timers, &timer->state);
    timer->wanted_ns = 0;
}

static void fire(uint64_t at_ns)
{
    now_ns = at_ns;
    last_fired_ns = 0;
    ad_timers_fire(&timers, at_ns);
}

static int setup(void **state)
{
    (void)state;
    blocks = allocs_left = 0;
    ad_timers_init(&timers, &host);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ad_timers_fini(&timers);
    return blocks == 0 ? 0 : -1;
}

static void test_order_and_next(void **state)
{
    (void)state;
    struct aioduct_timer t[3] = {0};
    assert_true(ad_timers_next(&timers) == UINT64_MAX);
    arm(&t[0], 30);
    arm(&t[1], 10);
    arm(&t[2], 20);
    assert_int_equal(ad_timers_next(&timers), 10);
    fire(9);
    assert_int_equal(t[1].fired, 0);
    fire(25);
    assert_int_equal(t[1].fired + t[2].fired, 2);
    assert_int_equal(t[0].fired, 0);
    assert_int_equal(ad_timers_next(&timers), 30);
    fire(30);
    fire(1000);
    assert_int_equal(t[0].fired, 1);
}

static void rearm_at_once(struct aioduct_timer *timer)
{
    arm(timer, now_ns);
}

static void test_rearmed_timer_leaves_the_round(void **state)
{
    (void)state;
    struct aioduct_timer t = {.act = rearm_at_once};
    arm(&t, 1);
    fire(5);
    assert_int_equal(t.fired, 1);
    fire(5);
    assert_int_equal(t.fired, 2);
    disarm(&t);
}

static void cancel_other(struct aioduct_timer *timer)
{
    disarm(timer->other);
}

static void move_other(struct aioduct_timer *timer)
{
    arm(timer->other, 100);
}

static void test_others_that_are_due(void **state)
{
    (void)state;
    struct aioduct_timer cancelled = {0}, moved = {0};
    struct aioduct_timer first = {.act = cancel_other, .other = &cancelled};
    struct aioduct_timer second = {.act = move_other, .other = &moved};
    arm(&first, 1);
    arm(&second, 2);
    arm(&cancelled, 3);
    arm(&moved, 4);
    fire(50);
    assert_int_equal(first.fired + second.fired, 2);
    assert_int_equal(cancelled.fired, 0);
    assert_int_equal(moved.fired, 0);
    fire(100);
    assert_int_equal(moved.fired, 1);
    disarm(&moved);
    disarm(&moved);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct aioduct_timer t[64] = {0};
    unsigned armed = 0;
    for (; armed < 64; armed++) {
        allocs_left = 1; /* the next allocation fails */
        if (ad_timers_set(&timers, &t[armed], &t[armed].state, 7) < 0) {
            allocs_left = 0;
            assert_int_equal(ad_timers_set(&timers, &t[armed], &t[armed].state, 7), 0);
        }
        t[armed].wanted_ns = 7;
    }
    allocs_left = 0;
    fire(7);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(t[i].fired, 1);
    }
}

static void test_random_against_a_plain_list(void **state)
{
    enum { COUNT = 500, STEPS = 200000 };
    static struct aioduct_timer t[COUNT];
    uint32_t seed = 12345;
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525u + 1013904223u;
        struct aioduct_timer *timer = &t[(seed >> 8) % COUNT];
        if ((seed >> 24) % 4 == 0) {
            disarm(timer);
        } else {
            arm(timer, now_ns + 1 + (seed >> 12) % 5000);
        }
        if (step % 50 == 0) {
            uint64_t next_ns = UINT64_MAX;
            fire(now_ns + (seed >> 16) % 300);
            for (int i = 0; i < COUNT; i++) {
                if (t[i].wanted_ns != 0 && t[i].wanted_ns < next_ns) {
                    next_ns = t[i].wanted_ns;
                }
            }
            assert_true(next_ns > now_ns);
            assert_true(ad_timers_next(&timers) == next_ns);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        disarm(&t[i]);
    }
    assert_true(ad_timers_next(&timers) == UINT64_MAX);
}

#define CASE(name, function)                  \
    {                                         \
        name, function, setup, teardown, NULL \
    }

static const struct CMUnitTest cases[] = {
    CASE("timers fire in order, none early", test_order_and_next),
    CASE("a timer armed inside its own callback waits for the next round",
         test_rearmed_timer_leaves_the_round),
    CASE("a callback cancels and moves others that are due", test_others_that_are_due),
    CASE("without memory a timer is refused and the rest fire", test_no_memory),
    CASE("random use agrees with a plain list", test_random_against_a_plain_list),
};

int main(void)
{
    return TAP_RUN(cases, NULL, NULL);
}
