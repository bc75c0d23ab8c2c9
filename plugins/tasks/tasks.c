/* SPDX-License-Identifier: MIT */
/* Arrivals are a stack that any thread pushes to and the loop takes whole; reversed, it is the
 * order of arrival. */
#include "tasks/tasks.h"

/* Bits of a task. All zero: never spawned. Who finds a task SPAWNED and neither WOKEN nor TAKEN and
 * sets WOKEN has the right and the duty to push it. */
enum {
    SPAWNED = 1,
    WOKEN = 2, /* it will run again */
    TAKEN = 4  /* running, or ready: only its runner may push it, and a ready task has none */
};

void ad_tasks_init(struct ad_tasks *tasks, const struct aioduct_host *host)
{
    *tasks = (struct ad_tasks){.host = host};
    atomic_init(&tasks->shared.newest, NULL);
    atomic_init(&tasks->shared.waiting, true);
    tasks->loop.end = &tasks->loop.first;
}

/* Sequentially consistent on both sides: either the loop that is about to wait sees the task, or we
 * see that it waits. */
static bool push(struct ad_tasks *tasks, struct ad_task_state *state)
{
    struct ad_task_state *newest = atomic_load(&tasks->shared.newest);
    do {
        state->next = newest;
    } while (!atomic_compare_exchange_weak(&tasks->shared.newest, &newest, state));
    return atomic_load(&tasks->shared.waiting) && atomic_exchange(&tasks->shared.waiting, false);
}

bool ad_tasks_spawn(struct ad_tasks *tasks, struct aioduct_task *task, struct ad_task_state *state)
{
    state->task = task;
    uint32_t before = atomic_fetch_or(&state->bits, SPAWNED | WOKEN);
    bool queued = (before & SPAWNED) && (before & (WOKEN | TAKEN));
    return !queued && push(tasks, state);
}

bool ad_tasks_wake(struct ad_tasks *tasks, struct ad_task_state *state)
{
    return atomic_fetch_or(&state->bits, WOKEN) == SPAWNED && push(tasks, state);
}

/* Append what arrived to the loop's own list. */
static void take_arrivals(struct ad_tasks *tasks)
{
    struct ad_task_state *newest = atomic_exchange(&tasks->shared.newest, NULL);
    struct ad_task_state *oldest = NULL;
    struct ad_task_state **end = newest != NULL ? &newest->next : tasks->loop.end;
    while (newest != NULL) {
        struct ad_task_state *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    *tasks->loop.end = oldest;
    tasks->loop.end = end;
}

static void run_one(struct ad_tasks *tasks, struct ad_task_state *state)
{
    struct aioduct_task *task = state->task;
    atomic_store(&state->bits, SPAWNED | TAKEN);
    if (tasks->host->task_run(tasks->host->ctx, task)) {
        if (task == tasks->loop.root) {
            tasks->loop.root = NULL;
        }
        return;
    }
    if (atomic_fetch_and(&state->bits, ~(uint32_t)TAKEN) & WOKEN) {
        push(tasks, state);
    }
}

void ad_tasks_run(struct ad_tasks *tasks)
{
    take_arrivals(tasks);
    for (unsigned i = 0; i < AD_TASKS_BATCH && tasks->loop.first != NULL; i++) {
        struct ad_task_state *state = tasks->loop.first;
        tasks->loop.first = state->next;
        if (tasks->loop.first == NULL) {
            tasks->loop.end = &tasks->loop.first;
        }
        run_one(tasks, state);
    }
}

static bool is_empty(struct ad_tasks *tasks)
{
    return tasks->loop.first == NULL && atomic_load(&tasks->shared.newest) == NULL;
}

bool ad_tasks_may_wait(struct ad_tasks *tasks)
{
    if (!is_empty(tasks)) {
        return false;
    }
    atomic_store(&tasks->shared.waiting, true);
    if (is_empty(tasks)) {
        return true;
    }
    atomic_store(&tasks->shared.waiting, false);
    return false;
}

void ad_tasks_awake(struct ad_tasks *tasks)
{
    if (atomic_load_explicit(&tasks->shared.waiting, memory_order_relaxed)) {
        atomic_store(&tasks->shared.waiting, false);
    }
}

int ad_tasks_enter(struct ad_tasks *tasks)
{
    if (tasks->loop.driving) {
        return AIODUCT_E_NESTED;
    }
    tasks->loop.driving = true;
    ad_tasks_awake(tasks);
    return 0;
}

bool ad_tasks_leave(struct ad_tasks *tasks)
{
    tasks->loop.driving = false;
    atomic_store(&tasks->shared.waiting, true);
    return !is_empty(tasks);
}

void ad_tasks_root_set(struct ad_tasks *tasks, struct aioduct_task *task,
                       struct ad_task_state *state)
{
    tasks->loop.root = task;
    ad_tasks_spawn(tasks, task, state);
}

bool ad_tasks_root_ready(const struct ad_tasks *tasks)
{
    return tasks->loop.root == NULL;
}

void ad_tasks_root_drop(struct ad_tasks *tasks, struct ad_task_state *state)
{
    tasks->loop.root = NULL;
    if (!(atomic_exchange(&state->bits, SPAWNED | TAKEN) & WOKEN)) {
        return;
    }
    take_arrivals(tasks);
    struct ad_task_state **link = &tasks->loop.first;
    while (*link != NULL && *link != state) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = state->next;
        if (tasks->loop.end == &state->next) {
            tasks->loop.end = link;
        }
    }
}
