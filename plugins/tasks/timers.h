/* SPDX-License-Identifier: MIT */
/**
 * timers.h - a runtime's timers where its loop library has none: a heap of deadlines.
 *
 * A runtime embeds one `struct ad_timers`, says `layout.timer = AD_TIMER_LAYOUT`, waits no longer
 * than until ad_timers_next, and calls ad_timers_fire after the wait. Loop thread only.
 *
 * Invariants: a timer that is armed while others fire fires in a later call, however short its
 * deadline; a timer's state is never looked at once it is neither armed nor about to fire.
 */
#ifndef AD_TASKS_TIMERS_H
#define AD_TASKS_TIMERS_H

#include <aioduct/plugin/plugin.h>

/* A runtime's half of a timer; zeroed by the core. */
struct ad_timer_state {
    uint64_t deadline_ns;
    uint32_t index;                     /* in the heap, from 1; 0: not there */
    struct ad_timer_state *prev, *next; /* among those that fire now; NULL: not there */
    struct aioduct_timer *timer;
};

#define AD_TIMER_LAYOUT                                                \
    {                                                                  \
        sizeof(struct ad_timer_state), _Alignof(struct ad_timer_state) \
    }

struct ad_timers {
    const struct aioduct_host *host;
    struct ad_timer_state **heap; /* heap[1] is the earliest; heap[0] is not used */
    uint32_t count, capacity;
    struct ad_timer_state due; /* head of the circular list of those that fire now */
};

void ad_timers_init(struct ad_timers *timers, const struct aioduct_host *host);
void ad_timers_fini(struct ad_timers *timers);

/* Arm, or move. -> 0 | -ENOMEM, and an armed timer stays as it was */
int ad_timers_set(struct ad_timers *timers, struct aioduct_timer *timer,
                  struct ad_timer_state *state, uint64_t deadline_ns);
void ad_timers_cancel(struct ad_timers *timers, struct ad_timer_state *state);

/* The earliest deadline; UINT64_MAX: none. */
uint64_t ad_timers_next(const struct ad_timers *timers);
/* Fire what is due at @now_ns, earliest first. */
void ad_timers_fire(struct ad_timers *timers, uint64_t now_ns);

#endif
