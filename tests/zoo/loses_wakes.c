/* SPDX-License-Identifier: MIT */
/* A wake that comes from another thread while the task runs is lost. */
#include "zoo.h"

static struct aioduct_task *_Atomic running;

static int run(void *ctx, struct aioduct_task *task)
{
    running = task;
    int ready = real->task_run(ctx, task);
    running = NULL;
    return ready;
}

static void wake_unless_running(void *rt, struct aioduct_task *task, void *task_state)
{
    if (running == task && !real->is_loop_thread(real->ctx)) {
        return;
    }
    aioduct_readiness_wake(rt, task, task_state);
}

static void spoil(void)
{
    zoo.runtime.wake = wake_unless_running;
    zoo.host.task_run = run;
}
