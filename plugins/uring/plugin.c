/* SPDX-License-Identifier: MIT */
/* What the plugin offers: RuntimeCompletion, RuntimeLocal, and a ConnectorLocal. */
#include "uring/uring.h"

#include <string.h>

static const struct aioduct_runtime runtime_table = {
    .size = sizeof(struct aioduct_runtime),
    .rt = {sizeof(struct ad_uring), 64},
    .task = AD_TASK_LAYOUT,
    .open = ad_uring_open,
    .close = ad_uring_close,
    .block_on = ad_uring_block_on,
    .wake = ad_uring_wake,
    .now_ns = ad_uring_now_ns,
    .turn = ad_uring_turn,
    .poll_fd = ad_uring_poll_fd,
    .after_fork_child = ad_uring_after_fork_child,
};

static const struct aioduct_runtime_local local_table = {
    .size = sizeof(struct aioduct_runtime_local),
    .timer = AD_TIMER_LAYOUT,
    .spawn_local = ad_uring_spawn_local,
    .sleep = ad_uring_sleep,
    .sleep_cancel = ad_uring_sleep_cancel,
};

static int connector_open(void *cx, const struct aioduct_host *host, void *rt)
{
    (void)host;
    ((struct ad_uring_connector *)cx)->u = rt;
    return 0;
}

static void connector_close(void *cx)
{
    (void)cx;
}

/* The alignment of a stream leaves the low bits of its address to the kind of completion. */
static const struct aioduct_connector connector_table = {
    .size = sizeof(struct aioduct_connector),
    .flags = AIODUCT_BIND_LOCAL,
    .cx = {sizeof(struct ad_uring_connector), _Alignof(struct ad_uring_connector)},
    .stream = {sizeof(struct ad_uring_stream), AD_URING_KIND_MASK + 1},
    .open = connector_open,
    .close = connector_close,
    .connect = ad_uring_connect,
    .recv_start = ad_uring_recv_start,
    .recv_stop = ad_uring_recv_stop,
    .send = ad_uring_send,
    .shutdown = ad_uring_shutdown,
    .cancel = ad_uring_cancel,
    .stream_close = ad_uring_stream_close,
    .stream_info = ad_uring_stream_info,
    .send_file = ad_uring_send_file,
    .recv_at = ad_uring_recv_at,
};

static const void *get_interface(const char *id)
{
    if (strcmp(id, AIODUCT_IFACE_RUNTIME) == 0) {
        return &runtime_table;
    }
    if (strcmp(id, AIODUCT_IFACE_LOCAL) == 0) {
        return &local_table;
    }
    if (strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0) {
        return &connector_table;
    }
    if (strcmp(id, AIODUCT_IFACE_FOREIGN) == 0) {
        return &ad_uring_foreign_table;
    }
    return NULL;
}

static const char *const guard_symbols[] = {"io_uring_queue_init_params", "io_uring_submit", NULL};

/* clang-format off */
AIODUCT_PLUGIN_NOTE(uring, "runtime,local,connector")
AIODUCT_PLUGIN_EXPORT(uring) = {
    AIODUCT_PLUGIN_HEAD(uring),
    .version = AD_PLUGIN_VERSION,
    .vendor = "aioduct",
    .url = "",
    .summary = "io_uring: operations that complete, on one thread",
    .guard_symbols = guard_symbols,
    .probe = ad_uring_probe,
    .get_interface = get_interface,
};
/* clang-format on */
