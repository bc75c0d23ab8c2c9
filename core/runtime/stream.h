/* SPDX-License-Identifier: MIT */
/**
 * A byte stream of the loop's connector: checked dispatch over `struct aioduct_connector`. Asserts
 * before the call that we keep the contract, and after it that the plugin does. Loop thread only.
 *
 * Life: create -> connect -> recv_start, send ... -> close -> on_closed; the memory goes at the end
 * of that turn.
 */
#ifndef AD_RUNTIME_STREAM_H
#define AD_RUNTIME_STREAM_H

#include <aioduct/plugin/plugin.h>
#include <stdbool.h>
#include <stdint.h>

struct ad_loop;
struct ad_stream;

struct ad_stream_events {
    /* Slices belong to the runtime, until this returns. */
    void (*on_data)(struct ad_stream *stream, const uint8_t *bytes, size_t count);
    /* As aioduct_host.on_done: the one completion of each accepted operation. */
    void (*on_done)(struct ad_stream *stream, int op, int code, size_t bytes);
    void (*on_closed)(struct ad_stream *stream);
};

int ad_stream_create(struct ad_loop *loop, const struct ad_stream_events *events, void *owner,
                     struct ad_stream **out);
/* A stream changes hands (dial -> transport) between callbacks; nothing but recv may be in flight.
 */
void ad_stream_set_owner(struct ad_stream *stream, const struct ad_stream_events *events,
                         void *owner);
void *ad_stream_owner(const struct ad_stream *stream);
struct ad_loop *ad_stream_loop(const struct ad_stream *stream);

/* AIODUCT_PENDING or negative; @config lives until the completion. */
int ad_stream_connect(struct ad_stream *stream, const struct aioduct_socket_config *config);
int ad_stream_recv_start(struct ad_stream *stream);
void ad_stream_recv_stop(struct ad_stream *stream);
/* What comes next may be put at @memory; NULL and 0: no more. A hint, for one slice. Nothing is
 * written there once on_data has come, or this (again), recv_stop or close has returned. */
void ad_stream_recv_at(struct ad_stream *stream, void *memory, size_t bytes);
bool ad_stream_receiving(const struct ad_stream *stream); /* recv is in flight */
int ad_stream_send(struct ad_stream *stream, const struct iovec *pieces, unsigned count);
/* AIODUCT_PENDING, AIODUCT_E_UNSUPPORTED (read it and send that) or another negative. */
int ad_stream_send_file(struct ad_stream *stream, int fd, int64_t offset, size_t bytes);
int ad_stream_shutdown(struct ad_stream *stream);
void ad_stream_cancel(struct ad_stream *stream, unsigned ops);
/* Once, in any state after create; NULL does nothing. on_closed comes later, even if connect was
 * never called. */
void ad_stream_close(struct ad_stream *stream);
/* 0, or AIODUCT_E_UNSUPPORTED with @info cleared. */
int ad_stream_info(struct ad_stream *stream, struct aioduct_stream_info *info);

#endif
