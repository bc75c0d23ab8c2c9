/* SPDX-License-Identifier: MIT */
/* What every plugin that is made with this room says in the same words: its tables, and whether it
 * can live in a loop of the application. */
#include "readiness/readiness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct aioduct_runtime_poll poll_table = {
    .size = sizeof poll_table,
    .timer = AD_TIMER_LAYOUT,
    .spawn_send = ad_readiness_spawn,
    .sleep = ad_readiness_sleep,
    .sleep_cancel = ad_readiness_sleep_cancel,
};

const void *ad_readiness_interface(const struct ad_readiness_tables *tables, const char *id)
{
    if (strcmp(id, AIODUCT_IFACE_RUNTIME) == 0) {
        return tables->runtime;
    }
    if (strcmp(id, AIODUCT_IFACE_POLL) == 0) {
        return &poll_table;
    }
    if (strcmp(id, AIODUCT_IFACE_FOREIGN) == 0) {
        return tables->foreign;
    }
    return strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? tables->connector : NULL;
}

int ad_readiness_check_foreign(const struct aioduct_host *host,
                               const struct aioduct_foreign *foreign, const char *kind,
                               const char *witness_name, void (*witness)(void))
{
    char why[160];
    int code = 0;
    if (kind == NULL) {
        code = AIODUCT_E_UNSUPPORTED;
        snprintf(why, sizeof why, "this runtime adopts no loop");
    } else if (foreign->kind == NULL || strcmp(foreign->kind, kind) != 0) {
        code = AIODUCT_E_UNSUPPORTED;
        snprintf(why, sizeof why, "the loop to adopt is not %s's", kind);
    } else if (foreign->loop == NULL) {
        code = -EINVAL;
        snprintf(why, sizeof why, "there is no loop to adopt");
    } else if (foreign->witness != NULL && foreign->witness != witness) {
        code = AIODUCT_E_CLASH;
        snprintf(why, sizeof why, "the loop to adopt was made by another copy of %s (%s differs)",
                 kind, witness_name);
    }
    if (code < 0) {
        host->error(host->ctx, code, why);
    }
    return code;
}

int ad_readiness_descriptors_free(unsigned count)
{
    enum { MOST = 16 };
    int spare[MOST];
    unsigned got = 0;
    int code = count > MOST ? -EINVAL : 0;
    while (code == 0 && got < count) {
        spare[got] = eventfd(0, EFD_CLOEXEC);
        code = spare[got] < 0 ? -errno : 0;
        got += code == 0;
    }
    while (got > 0) {
        close(spare[--got]);
    }
    return code;
}

int ad_readiness_poll_set(struct ad_readiness *loop)
{
    int fd = ad_readiness_find_epoll(loop);
    int code = fd < 0 ? fd : ad_readiness_be_polled(loop);
    return code < 0 ? code : fd;
}
