/* SPDX-License-Identifier: MIT */
/* One task in a thousand that is pending is asked again at once. */
#include "zoo.h"

static int run_twice(void *ctx, struct aioduct_task *task)
{
    static unsigned count;
    int ready = real->task_run(ctx, task);
    return ready == 0 && ++count % 200 == 0 ? real->task_run(ctx, task) : ready;
}

static void spoil(void)
{
    zoo.host.task_run = run_twice;
}
