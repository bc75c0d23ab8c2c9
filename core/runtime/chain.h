/* SPDX-License-Identifier: MIT */
/** Connectors that a client has put on top of its runtime's own, or in its place. For the files of
 * this room only. */
#ifndef AD_RUNTIME_CHAIN_H
#define AD_RUNTIME_CHAIN_H

#include "plugin/registry.h"

struct ad_loop;

/* An instance of a connector. The last of a loop's chain may be the runtime's own. */
struct ad_cx {
    struct ad_loop *loop;
    const struct ad_plugin *plugin;
    const struct aioduct_connector *table;
    void *state;
    bool is_open; /* by us: the runtime's own is the loop's to open and close */
    /* of a layer */
    struct aioduct_host host;
    struct aioduct_host_lower lower;
    struct aioduct_lower_events events;
    size_t link_offset;       /* from the core's half of its stream to that of the one below */
    size_t link_state_offset; /* from that to the state */
};

/* Note which connectors @loop is to have; before the runtime is opened. */
int ad_chain_prepare(struct ad_loop *loop, const struct ad_chain *chain,
                     struct aioduct_error *error);
/* Open them, the innermost first; after the runtime, and its own connector if that is used. */
int ad_chain_open(struct ad_loop *loop, struct aioduct_error *error);
/* Add the streams below to the block of a stream, whose size and alignment the loop has. */
void ad_chain_lay_out(struct ad_loop *loop);
void ad_chain_close(struct ad_loop *loop); /* the outermost first; before the runtime's own */
void ad_chain_free(struct ad_loop *loop);

/* The links below @stream, of @cx, whose @state is beside it; the block is zeroed. */
void ad_chain_stream_init(struct ad_cx *cx, struct aioduct_stream *stream, void *state);
/* @cx says that @stream is closed, or has refused to dial it. */
void ad_chain_stream_over(struct ad_cx *cx, struct aioduct_stream *stream);

#endif
