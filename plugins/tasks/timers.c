/* SPDX-License-Identifier: MIT */
/* A binary heap. What is due is moved to a list before the first one fires, so that timers armed by
 * callbacks cannot keep the loop here, and callbacks may cancel those that are about to fire. */
#include "tasks/timers.h"

#include <errno.h>

void ad_timers_init(struct ad_timers *timers, const struct aioduct_host *host)
{
    *timers = (struct ad_timers){.host = host};
    timers->due.prev = timers->due.next = &timers->due;
}

void ad_timers_fini(struct ad_timers *timers)
{
    if (timers->heap != NULL) {
        timers->host->alloc(timers->host->ctx, timers->heap, 0, 0);
        timers->heap = NULL;
    }
}

static void place(struct ad_timers *timers, uint32_t i, struct ad_timer_state *state)
{
    timers->heap[i] = state;
    state->index = i;
}

/* Let @state, whose place is @i, go up or down to where it belongs. */
static void settle(struct ad_timers *timers, uint32_t i, struct ad_timer_state *state)
{
    struct ad_timer_state **heap = timers->heap;
    while (i > 1 && heap[i / 2]->deadline_ns > state->deadline_ns) {
        place(timers, i, heap[i / 2]);
        i /= 2;
    }
    for (;;) {
        uint32_t child = i * 2;
        if (child < timers->count && heap[child + 1]->deadline_ns < heap[child]->deadline_ns) {
            child++;
        }
        if (child > timers->count || heap[child]->deadline_ns >= state->deadline_ns) {
            break;
        }
        place(timers, i, heap[child]);
        i = child;
    }
    place(timers, i, state);
}

static int grow(struct ad_timers *timers)
{
    uint32_t capacity = timers->capacity == 0 ? 16 : timers->capacity * 2;
    void *heap = timers->host->alloc(timers->host->ctx, timers->heap,
                                     (capacity + (size_t)1) * sizeof(struct ad_timer_state *), 0);
    if (heap == NULL) {
        return -ENOMEM;
    }
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

int ad_timers_set(struct ad_timers *timers, struct aioduct_timer *timer,
                  struct ad_timer_state *state, uint64_t deadline_ns)
{
    if (state->index == 0) {
        if (timers->count == timers->capacity && grow(timers) < 0) {
            return -ENOMEM;
        }
        ad_timers_cancel(timers, state); /* it may be about to fire */
        state->index = ++timers->count;
    }
    state->timer = timer;
    state->deadline_ns = deadline_ns;
    settle(timers, state->index, state);
    return 0;
}

static void remove_from_heap(struct ad_timers *timers, struct ad_timer_state *state)
{
    uint32_t i = state->index;
    struct ad_timer_state *last = timers->heap[timers->count--];
    state->index = 0;
    if (last != state) {
        settle(timers, i, last);
    }
}

static void remove_from_due(struct ad_timer_state *state)
{
    state->prev->next = state->next;
    state->next->prev = state->prev;
    state->prev = state->next = NULL;
}

void ad_timers_cancel(struct ad_timers *timers, struct ad_timer_state *state)
{
    if (state->index != 0) {
        remove_from_heap(timers, state);
    } else if (state->next != NULL) {
        remove_from_due(state);
    }
}

uint64_t ad_timers_next(const struct ad_timers *timers)
{
    return timers->count > 0 ? timers->heap[1]->deadline_ns : UINT64_MAX;
}

void ad_timers_fire(struct ad_timers *timers, uint64_t now_ns)
{
    struct ad_timer_state *due = &timers->due;
    while (timers->count > 0 && timers->heap[1]->deadline_ns <= now_ns) {
        struct ad_timer_state *state = timers->heap[1];
        remove_from_heap(timers, state);
        state->prev = due->prev;
        state->next = due;
        due->prev->next = state;
        due->prev = state;
    }
    while (due->next != due) {
        struct ad_timer_state *state = due->next;
        remove_from_due(state);
        timers->host->timer_fired(timers->host->ctx, state->timer); /* state may be gone now */
    }
}
