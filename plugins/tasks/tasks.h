/* SPDX-License-Identifier: MIT */
/**
 * tasks.h - the run queue of a runtime: tasks that any thread may wake and one thread runs.
 *
 * A runtime embeds one `struct ad_tasks`, says `layout.task = AD_TASK_LAYOUT`, and keeps to this
 * order in each turn:
 *
 *     if (ad_tasks_may_wait(q)) { wait } else { poll }   then   ad_tasks_awake(q);
 *     ... callbacks of descriptors and timers ...
 *     ad_tasks_run(q);
 *     host->turn_end(host->ctx);
 *
 * Invariants: a task is in the queue at most once; it runs on one thread at a time; a wake that
 * comes while it runs queues it again; after it was ready its state is never looked at again, so
 * its memory may go inside that last run. A run takes at most AD_TASKS_BATCH tasks and none that
 * was woken during it, so tasks that wake themselves leave descriptors and timers their turn.
 */
#ifndef AD_TASKS_TASKS_H
#define AD_TASKS_TASKS_H

#include <aioduct/plugin/plugin.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Longest time without I/O is this many tasks. */
#define AD_TASKS_BATCH 256

/* A runtime's half of a task; zeroed by the core. */
struct ad_task_state {
    _Atomic uint32_t bits;
    struct ad_task_state *next; /* whoever has it: the waker until it is pushed, then the loop */
    struct aioduct_task *task;
};

#define AD_TASK_LAYOUT                                               \
    {                                                                \
        sizeof(struct ad_task_state), _Alignof(struct ad_task_state) \
    }

struct ad_tasks {
    const struct aioduct_host *host; /* immutable */
    struct {
        _Atomic(struct ad_task_state *) newest; /* arrived since the last run, newest first */
        atomic_bool waiting;                    /* nobody will look: a push has to signal */
    } shared;
    struct {
        struct ad_task_state *first, **end; /* in order of arrival */
        struct aioduct_task *root;          /* of block_on; NULL: none, or ready */
        bool driving;                       /* inside block_on or turn */
    } loop;
};

/* The queue starts as of a loop that waits. */
void ad_tasks_init(struct ad_tasks *tasks, const struct aioduct_host *host);

/**
 * Queue @task for its first run, or again if it is not queued yet.
 * Thread:  any
 * Returns: true if the loop waits, or may be about to: signal it. Only one of many callers gets
 * true.
 */
bool ad_tasks_spawn(struct ad_tasks *tasks, struct aioduct_task *task, struct ad_task_state *state);
bool ad_tasks_wake(struct ad_tasks *tasks, struct ad_task_state *state);

/* ---- loop thread ---- */

/* Run a batch. */
void ad_tasks_run(struct ad_tasks *tasks);
/* True: nothing is queued, and from now on the next arrival asks for a signal. False: do not wait.
 */
bool ad_tasks_may_wait(struct ad_tasks *tasks);
/* The loop looks at the queue by itself again. */
void ad_tasks_awake(struct ad_tasks *tasks);

/* Around block_on, turn, and whatever else runs callbacks. -> 0 or AIODUCT_E_NESTED */
int ad_tasks_enter(struct ad_tasks *tasks);
/* -> true if tasks are still queued: a descriptor that an application polls has to say so. Later
 * arrivals ask for a signal. */
bool ad_tasks_leave(struct ad_tasks *tasks);

/* Queue @task as the one that block_on waits for. */
void ad_tasks_root_set(struct ad_tasks *tasks, struct aioduct_task *task,
                       struct ad_task_state *state);
bool ad_tasks_root_ready(const struct ad_tasks *tasks);
/* block_on gives up before the root is ready: its memory may go, so it leaves the queue. No wake of
 * it may be under way. */
void ad_tasks_root_drop(struct ad_tasks *tasks, struct ad_task_state *state);

#endif
