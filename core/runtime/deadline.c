/* SPDX-License-Identifier: MIT */
/*
 * Deadlines: a binary heap whose entries may be out of date. Moving a deadline later or clearing it
 * is a store; the entry is looked at again when its old time comes. One timer of the runtime serves
 * the top of the heap.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/loop_private.h"

#include <errno.h>

#define SLACK_NS 4000000u /* times are rounded up to this, so that neighbours share one wake-up */
#define HEAP_MIN 64u

static void place(struct ad_loop *loop, uint32_t i, struct ad_deadline *d)
{
    loop->heap[i] = d;
    d->heap_index = i;
}

static void sift_up(struct ad_loop *loop, uint32_t i)
{
    struct ad_deadline *d = loop->heap[i];
    while (i > 1 && loop->heap[i / 2]->heap_ns > d->heap_ns) {
        place(loop, i, loop->heap[i / 2]);
        i /= 2;
    }
    place(loop, i, d);
}

static void sift_down(struct ad_loop *loop, uint32_t i)
{
    struct ad_deadline *d = loop->heap[i];
    for (;;) {
        uint32_t child = i * 2;
        if (child > loop->heap_count) {
            break;
        }
        if (child < loop->heap_count &&
            loop->heap[child + 1]->heap_ns < loop->heap[child]->heap_ns) {
            child++;
        }
        if (loop->heap[child]->heap_ns >= d->heap_ns) {
            break;
        }
        place(loop, i, loop->heap[child]);
        i = child;
    }
    place(loop, i, d);
}

static uint64_t round_up(uint64_t at_ns)
{
    return at_ns > UINT64_MAX - SLACK_NS ? at_ns : (at_ns + SLACK_NS - 1) / SLACK_NS * SLACK_NS;
}

/* Have the runtime's timer fire no later than the top of the heap; an earlier one is left to fire
 * for nothing. */
static int arm(struct ad_loop *loop)
{
    if (loop->heap_count == 0) {
        return 0;
    }
    uint64_t top_ns = loop->heap[1]->heap_ns;
    if (loop->timer_ns != 0 && loop->timer_ns <= top_ns) {
        return 0;
    }
    const struct ad_plugin *plugin = loop->plugin;
    int code = loop->local ? plugin->local.sleep(loop->rt, loop->timer, loop->timer_state, top_ns)
                           : plugin->poll.sleep(loop->rt, loop->timer, loop->timer_state, top_ns);
    if (code == 0) {
        loop->timer_ns = top_ns;
    }
    return code;
}

/* Nobody asked just now whom a failure could be told: try again in the next turn, which is made to
 * come. */
void ad_deadline_rearm(struct ad_loop *loop)
{
    loop->rearm = arm(loop) < 0;
    if (loop->rearm) {
        ad_task_wake(loop->mailbox);
    }
}

static int heap_resize(struct ad_loop *loop, uint32_t capacity)
{
    void *heap = ad_realloc(loop->heap, (capacity + 1) * sizeof *loop->heap);
    if (heap == NULL) {
        return -ENOMEM;
    }
    loop->heap = heap;
    loop->heap_capacity = capacity;
    return 0;
}

static int heap_grow(struct ad_loop *loop)
{
    uint32_t half = loop->heap_capacity / 2;
    return heap_resize(loop, loop->heap_capacity == 0 ? HEAP_MIN : loop->heap_capacity + half);
}

/* What a burst of requests has needed is given back behind it, but for a quarter more than is left.
 */
static void heap_shrink(struct ad_loop *loop)
{
    if (loop->heap_capacity > 2 * HEAP_MIN && loop->heap_count < loop->heap_capacity / 2) {
        (void)heap_resize(loop, loop->heap_count + loop->heap_count / 4); /* else it stays large */
    }
}

/* A sixteenth more than is needed is worth no copy, half as much again is worth one. */
void ad_deadlines_trim(struct ad_loop *loop)
{
    uint32_t few = loop->heap_count + loop->heap_count / 32 + HEAP_MIN;
    if (loop->heap_capacity > few + loop->heap_count / 32 + HEAP_MIN) {
        (void)heap_resize(loop, few); /* else it stays large */
    }
}

int ad_deadline_place(struct ad_loop *loop, struct ad_deadline *d, uint64_t at_ns)
{
    AD_DEBUG_ASSERT(at_ns != 0);
    if (d->heap_index != 0 && (at_ns >= d->heap_ns || round_up(at_ns) >= d->heap_ns)) {
        d->at_ns = at_ns;
        return 0;
    }
    if (d->heap_index == 0) {
        if (loop->heap_count == loop->heap_capacity && heap_grow(loop) < 0) {
            return -ENOMEM;
        }
        place(loop, ++loop->heap_count, d);
    }
    d->at_ns = at_ns;
    d->heap_ns = round_up(at_ns);
    sift_up(loop, d->heap_index);
    int code = arm(loop);
    if (code < 0) {
        ad_deadline_remove(loop, d);
    }
    return code;
}

void ad_deadline_remove(struct ad_loop *loop, struct ad_deadline *d)
{
    uint32_t i = d->heap_index;
    d->at_ns = 0;
    if (i == 0) {
        return;
    }
    AD_ASSERT(loop->heap[i] == d);
    d->heap_index = 0;
    struct ad_deadline *last = loop->heap[loop->heap_count--];
    if (last != d) {
        place(loop, i, last);
        sift_up(loop, i);
        sift_down(loop, last->heap_index);
    }
    heap_shrink(loop);
}

void ad_deadline_fire(void *ctx, struct aioduct_timer *timer)
{
    struct ad_loop *loop = ctx;
    uint64_t now_ns = ad_loop_now_ns(loop);
    AD_ASSERT(timer == loop->timer);
    loop->timer_ns = 0;
    ad_loop_enter(loop);
    while (loop->heap_count > 0 && loop->heap[1]->heap_ns <= now_ns) {
        struct ad_deadline *d = loop->heap[1];
        if (d->at_ns > now_ns) {
            d->heap_ns = round_up(d->at_ns);
            sift_down(loop, 1);
            continue;
        }
        bool due = d->at_ns != 0;
        ad_deadline_remove(loop, d);
        if (due) {
            d->expired(d);
        }
    }
    ad_loop_leave(loop);
    ad_deadline_rearm(loop);
}
