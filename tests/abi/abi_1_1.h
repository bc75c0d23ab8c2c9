/* SPDX-License-Identifier: MIT */
/**
 * abi_1_1.h - what the plugin ABI 1.1 added to 1.0: the structs that grew, whole.
 *
 * Nothing here changes once a version with it is out. See abi_1_0.h.
 */
#ifndef TESTS_ABI_ABI_1_1_H
#define TESTS_ABI_ABI_1_1_H

#include "abi_1_0.h"

struct abi_1_1_connector {
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
    int (*send_file)(void *state, int fd, int64_t offset, size_t bytes);
    void (*recv_at)(void *state, void *memory, size_t bytes);
};

struct abi_1_1_host_lower {
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
    int (*send_file)(void *ctx, struct aioduct_stream *stream, int fd, int64_t offset,
                     size_t bytes);
    void (*recv_at)(void *ctx, struct aioduct_stream *stream, void *memory, size_t bytes);
};

/* ---- the same once more, as lists ---- */

#define ABI_1_1_TABLES(T) \
    T(connector)          \
    T(host_lower)

/* clang-format off */
#define ABI_1_1_MEMBERS(M, L)                                                                      \
    M(connector, size) M(connector, flags) L(connector, cx) L(connector, stream)                   \
    M(connector, runs_on) M(connector, open) M(connector, close) M(connector, connect)             \
    M(connector, recv_start) M(connector, recv_stop) M(connector, send) M(connector, shutdown)     \
    M(connector, cancel) M(connector, stream_close) M(connector, stream_info)                      \
    M(connector, send_file) M(connector, recv_at)                                                  \
    M(host_lower, size) M(host_lower, flags) M(host_lower, attach) M(host_lower, connect)          \
    M(host_lower, recv_start) M(host_lower, recv_stop) M(host_lower, send)                         \
    M(host_lower, shutdown) M(host_lower, cancel) M(host_lower, close) M(host_lower, info)         \
    M(host_lower, later) M(host_lower, send_file) M(host_lower, recv_at)
/* clang-format on */

#endif
