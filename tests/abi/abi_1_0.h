/* SPDX-License-Identifier: MIT */
/**
 * abi_1_0.h - the plugin ABI 1.0 as it was released with aioduct 0.1, written out by hand.
 *
 * Nothing here changes once that version is out: plugins that were built with it are in the world.
 * Pointers name today's structs, because a pointer is a pointer; what is embedded is a copy.
 *
 * The lists below name each member once more, in order, for abi_check.c. M(table, member) is
 * compared in offset, size and type; L(table, member) is an embedded layout.
 */
#ifndef TESTS_ABI_ABI_1_0_H
#define TESTS_ABI_ABI_1_0_H

#include <stddef.h>
#include <stdint.h>

struct aioduct_foreign;
struct aioduct_host;
struct aioduct_lower_events;
struct aioduct_probe;
struct aioduct_socket_config;
struct aioduct_stream;
struct aioduct_stream_info;
struct aioduct_task;
struct aioduct_timer;
struct iovec;
struct sockaddr;

/* ---- core -> plugin ---- */

struct abi_1_0_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;
    void *ctx;
    void *(*alloc)(void *ctx, void *old, size_t bytes, size_t align);
    void (*log)(void *ctx, int level, const char *message);
    void (*error)(void *ctx, int code, const char *message);
    const char *(*option)(void *ctx, const char *key);
    int (*task_run)(void *ctx, struct aioduct_task *task);
    void (*timer_fired)(void *ctx, struct aioduct_timer *timer);
    void (*turn_end)(void *ctx);
    void (*on_data)(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes);
    void (*on_done)(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes);
    void (*on_closed)(void *ctx, struct aioduct_stream *stream);
    int (*is_loop_thread)(void *ctx);
    const void *(*get_interface)(void *ctx, const char *id);
};

struct abi_1_0_foreign {
    uint32_t size, flags;
    const char *kind;
    const char *version;
    void *loop;
    void (*witness)(void);
};

struct abi_1_0_socket_config {
    uint32_t size, flags;
    const char *host;
    const struct sockaddr *addr;
    uint32_t addr_bytes;
    uint16_t port;
    uint16_t dns_family;
    const char *dns_resolver;
    uint32_t dns_flags;
    int32_t nodelay;
    uint32_t keepalive_idle_s;
    uint32_t keepalive_interval_s, keepalive_count;
    const struct sockaddr *local_addr;
    uint32_t local_addr_bytes;
    uint16_t local_port_min, local_port_max;
    const char *device;
    int32_t fast_open;
    uint32_t user_timeout_ms;
    uint32_t send_buffer_bytes, recv_buffer_bytes;
    uint32_t mark;
    uint32_t tos;
};

/* ---- plugin -> core ---- */

/* Without a size of its own: it is part of other tables, so it never grows. */
struct abi_1_0_layout {
    uint32_t bytes, align;
};

struct abi_1_0_runtime {
    uint32_t size, flags;
    struct abi_1_0_layout rt, task;
    int (*open)(void *rt, const struct aioduct_host *host, const struct aioduct_foreign *foreign);
    void (*close)(void *rt);
    int (*block_on)(void *rt, struct aioduct_task *root, void *root_state);
    void (*wake)(void *rt, struct aioduct_task *task, void *task_state);
    uint64_t (*now_ns)(void *rt);
    int (*turn)(void *rt, int64_t timeout_ns);
    int (*poll_fd)(void *rt);
    int (*after_fork_child)(void *rt);
};

struct abi_1_0_runtime_foreign {
    uint32_t size, flags;
    const char *const *kinds;
    int (*settle)(void *rt);
    void (*leave)(void *rt, void (*gone)(void *arg), void *arg);
    void (*abandon)(void *rt);
    int (*complete)(void *rt, uint64_t user_data, int32_t result, uint32_t flags);
    int (*prepare)(void *rt);
};

struct abi_1_0_runtime_poll {
    uint32_t size, flags;
    struct abi_1_0_layout timer;
    int (*spawn_send)(void *rt, struct aioduct_task *task, void *task_state);
    int (*sleep)(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns);
    void (*sleep_cancel)(void *rt, struct aioduct_timer *timer, void *timer_state);
};

struct abi_1_0_runtime_local {
    uint32_t size, flags;
    struct abi_1_0_layout timer;
    int (*spawn_local)(void *rt, struct aioduct_task *task, void *task_state);
    int (*sleep)(void *rt, struct aioduct_timer *timer, void *timer_state, uint64_t deadline_ns);
    void (*sleep_cancel)(void *rt, struct aioduct_timer *timer, void *timer_state);
};

struct abi_1_0_stream_info {
    uint32_t size;
    int32_t fd;
    uint8_t local_addr[128], peer_addr[128];
    uint32_t local_addr_bytes, peer_addr_bytes;
};

struct abi_1_0_connector {
    uint32_t size, flags;
    struct abi_1_0_layout cx, stream;
    const char *const *runs_on;
    int (*open)(void *cx, const struct aioduct_host *host, void *rt);
    void (*close)(void *cx);
    int (*connect)(void *cx, struct aioduct_stream *stream, void *state,
                   const struct aioduct_socket_config *config);
    int (*recv_start)(void *state);
    void (*recv_stop)(void *state);
    int (*send)(void *state, const struct iovec *pieces, unsigned count);
    int (*shutdown)(void *state);
    void (*cancel)(void *state, unsigned ops);
    void (*stream_close)(void *state);
    int (*stream_info)(void *state, struct aioduct_stream_info *info);
};

struct abi_1_0_lower_events {
    uint32_t size, flags;
    void (*on_data)(void *state, const void *slice, size_t bytes);
    void (*on_done)(void *state, int op, int code, size_t bytes);
    void (*on_closed)(void *state);
    void (*on_later)(void *state);
};

struct abi_1_0_host_lower {
    uint32_t size, flags;
    int (*attach)(void *ctx, const struct aioduct_lower_events *events);
    int (*connect)(void *ctx, struct aioduct_stream *stream,
                   const struct aioduct_socket_config *config);
    int (*recv_start)(void *ctx, struct aioduct_stream *stream);
    void (*recv_stop)(void *ctx, struct aioduct_stream *stream);
    int (*send)(void *ctx, struct aioduct_stream *stream, const struct iovec *pieces,
                unsigned count);
    int (*shutdown)(void *ctx, struct aioduct_stream *stream);
    void (*cancel)(void *ctx, struct aioduct_stream *stream, unsigned ops);
    void (*close)(void *ctx, struct aioduct_stream *stream);
    int (*info)(void *ctx, struct aioduct_stream *stream, struct aioduct_stream_info *info);
    void (*later)(void *ctx, struct aioduct_stream *stream);
};

struct abi_1_0_probe {
    uint32_t size;
    int32_t code;
    char reason[192];
    char hint[192];
};

struct abi_1_0_plugin {
    uint32_t magic, size;
    uint16_t abi_major, abi_minor_built, abi_minor_needed, flags;
    const char *name;
    const char *version, *vendor, *url, *summary;
    const char *const *guard_symbols;
    void (*probe)(const struct aioduct_host *host, struct aioduct_probe *out);
    const void *(*get_interface)(const char *id);
};

/* ---- the same once more, as lists ---- */

#define ABI_1_0_TABLES(T) \
    T(host)               \
    T(foreign)            \
    T(socket_config)      \
    T(layout)             \
    T(runtime)            \
    T(runtime_foreign)    \
    T(runtime_poll)       \
    T(runtime_local)      \
    T(stream_info)        \
    T(connector)          \
    T(lower_events)       \
    T(host_lower)         \
    T(probe)              \
    T(plugin)

/* clang-format off */
#define ABI_1_0_MEMBERS(M, L)                                                                      \
    M(host, size) M(host, abi_major) M(host, abi_minor) M(host, ctx) M(host, alloc) M(host, log)   \
    M(host, error) M(host, option) M(host, task_run) M(host, timer_fired) M(host, turn_end)        \
    M(host, on_data) M(host, on_done) M(host, on_closed) M(host, is_loop_thread)                   \
    M(host, get_interface)                                                                         \
    M(foreign, size) M(foreign, flags) M(foreign, kind) M(foreign, version) M(foreign, loop)       \
    M(foreign, witness)                                                                            \
    M(socket_config, size) M(socket_config, flags) M(socket_config, host) M(socket_config, addr)   \
    M(socket_config, addr_bytes) M(socket_config, port) M(socket_config, dns_family)               \
    M(socket_config, dns_resolver) M(socket_config, dns_flags) M(socket_config, nodelay)           \
    M(socket_config, keepalive_idle_s) M(socket_config, keepalive_interval_s)                      \
    M(socket_config, keepalive_count) M(socket_config, local_addr)                                 \
    M(socket_config, local_addr_bytes) M(socket_config, local_port_min)                            \
    M(socket_config, local_port_max) M(socket_config, device) M(socket_config, fast_open)          \
    M(socket_config, user_timeout_ms) M(socket_config, send_buffer_bytes)                          \
    M(socket_config, recv_buffer_bytes) M(socket_config, mark) M(socket_config, tos)               \
    M(layout, bytes) M(layout, align)                                                              \
    M(runtime, size) M(runtime, flags) L(runtime, rt) L(runtime, task) M(runtime, open)            \
    M(runtime, close) M(runtime, block_on) M(runtime, wake) M(runtime, now_ns) M(runtime, turn)    \
    M(runtime, poll_fd) M(runtime, after_fork_child)                                               \
    M(runtime_foreign, size) M(runtime_foreign, flags) M(runtime_foreign, kinds)                   \
    M(runtime_foreign, settle) M(runtime_foreign, leave) M(runtime_foreign, abandon)               \
    M(runtime_foreign, complete) M(runtime_foreign, prepare)                                       \
    M(runtime_poll, size) M(runtime_poll, flags) L(runtime_poll, timer)                            \
    M(runtime_poll, spawn_send) M(runtime_poll, sleep) M(runtime_poll, sleep_cancel)               \
    M(runtime_local, size) M(runtime_local, flags) L(runtime_local, timer)                         \
    M(runtime_local, spawn_local) M(runtime_local, sleep) M(runtime_local, sleep_cancel)           \
    M(stream_info, size) M(stream_info, fd) M(stream_info, local_addr) M(stream_info, peer_addr)   \
    M(stream_info, local_addr_bytes) M(stream_info, peer_addr_bytes)                               \
    M(connector, size) M(connector, flags) L(connector, cx) L(connector, stream)                   \
    M(connector, runs_on) M(connector, open) M(connector, close) M(connector, connect)             \
    M(connector, recv_start) M(connector, recv_stop) M(connector, send) M(connector, shutdown)     \
    M(connector, cancel) M(connector, stream_close) M(connector, stream_info)                      \
    M(lower_events, size) M(lower_events, flags) M(lower_events, on_data)                          \
    M(lower_events, on_done) M(lower_events, on_closed) M(lower_events, on_later)                  \
    M(host_lower, size) M(host_lower, flags) M(host_lower, attach) M(host_lower, connect)          \
    M(host_lower, recv_start) M(host_lower, recv_stop) M(host_lower, send)                         \
    M(host_lower, shutdown) M(host_lower, cancel) M(host_lower, close) M(host_lower, info)         \
    M(host_lower, later)                                                                           \
    M(probe, size) M(probe, code) M(probe, reason) M(probe, hint)                                  \
    M(plugin, magic) M(plugin, size) M(plugin, abi_major) M(plugin, abi_minor_built)               \
    M(plugin, abi_minor_needed) M(plugin, flags) M(plugin, name) M(plugin, version)                \
    M(plugin, vendor) M(plugin, url) M(plugin, summary) M(plugin, guard_symbols)                   \
    M(plugin, probe) M(plugin, get_interface)
/* clang-format on */

#define ABI_1_0_NUMBERS(N)              \
    N(AIODUCT_PLUGIN_MAGIC, 0x54434441) \
    N(AIODUCT_ABI_MAJOR, 1)             \
    N(AIODUCT_DONE, 0)                  \
    N(AIODUCT_PENDING, 1)               \
    N(AIODUCT_E_UNAVAILABLE, -5001)     \
    N(AIODUCT_E_UNSUPPORTED, -5002)     \
    N(AIODUCT_E_THREAD, -5003)          \
    N(AIODUCT_E_NESTED, -5004)          \
    N(AIODUCT_E_FORKED, -5005)          \
    N(AIODUCT_E_CLASH, -5006)           \
    N(AIODUCT_OP_CONNECT, 1)            \
    N(AIODUCT_OP_RECV, 2)               \
    N(AIODUCT_OP_SEND, 4)               \
    N(AIODUCT_OP_SHUTDOWN, 8)           \
    N(AIODUCT_LOG_ERROR, 0)             \
    N(AIODUCT_LOG_WARNING, 1)           \
    N(AIODUCT_LOG_NOTICE, 2)            \
    N(AIODUCT_LOG_INFO, 3)              \
    N(AIODUCT_LOG_DEBUG, 4)             \
    N(AIODUCT_DNS_ANY, 0)               \
    N(AIODUCT_DNS_ONLY_4, 1)            \
    N(AIODUCT_DNS_ONLY_6, 2)            \
    N(AIODUCT_DNS_PREFER_4, 3)          \
    N(AIODUCT_DNS_PREFER_6, 4)          \
    N(AIODUCT_BIND_SEND, 1)             \
    N(AIODUCT_BIND_LOCAL, 2)            \
    N(AIODUCT_CX_LAYER, 4)              \
    N(AIODUCT_CX_BY_NAME, 8)

#define ABI_1_0_TEXTS(S)                                  \
    S(AIODUCT_IFACE_RUNTIME, "aioduct.runtime/1")         \
    S(AIODUCT_IFACE_POLL, "aioduct.runtime.poll/1")       \
    S(AIODUCT_IFACE_LOCAL, "aioduct.runtime.local/1")     \
    S(AIODUCT_IFACE_CONNECTOR, "aioduct.connector/1")     \
    S(AIODUCT_IFACE_FOREIGN, "aioduct.runtime.foreign/1") \
    S(AIODUCT_IFACE_HOST_LOWER, "aioduct.host.lower/1")

#define ABI_1_0_ENTRY "aioduct_plugin_entry_1"
#define ABI_1_0_NOTE_OWNER "aioduct"
#define ABI_1_0_NOTE_TYPE 0x54434441u

#endif
