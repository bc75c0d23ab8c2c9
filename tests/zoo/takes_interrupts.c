/* SPDX-License-Identifier: MIT */
/* It takes the Ctrl-C of the whole process, which is not its own. */
#include "zoo.h"

#include <signal.h>

static void on_interrupt(int number)
{
    (void)number;
}

static int open_and_take(void *rt, const struct aioduct_host *host,
                         const struct aioduct_foreign *foreign)
{
    signal(SIGINT, on_interrupt);
    return zoo_open(rt, host, foreign);
}

static void spoil(void)
{
    zoo.runtime.open = open_and_take;
}
