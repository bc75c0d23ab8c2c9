/* SPDX-License-Identifier: MIT */
#include "http/binding.h"

#include "runtime/loop.h"

#include <aioduct/error.h>

void ad_binding_init(struct ad_binding *binding)
{
    *binding = (struct ad_binding){
        .owner = pthread_self(),
        .fork_generation = ad_runtime_fork_generation(),
    };
}

int ad_binding_check(const struct ad_binding *binding)
{
    if (binding->fork_generation != ad_runtime_fork_generation()) {
        return AIODUCT_E_FORKED;
    }
    return binding->local && !pthread_equal(binding->owner, pthread_self()) ? AIODUCT_E_THREAD : 0;
}
