/* SPDX-License-Identifier: MIT */
/**
 * uring_rig.h - one instance of the uring runtime under a host of the test's own, and a peer on
 * 127.0.0.1 that the test plays itself.
 *
 * What the host hears of tasks, timers and streams is written down in them. `rig_turns_until`
 * drives the loop until a condition of the test holds.
 */
#ifndef TESTS_UNIT_PLUGINS_URING_RIG_H
#define TESTS_UNIT_PLUGINS_URING_RIG_H

#include "tap.h"
#include "uring/uring.h"

struct rig_option {
    const char *key, *value;
};

struct rig {
    struct aioduct_host host;
    const struct rig_option *options; /* ends with key NULL; NULL: none */
    struct ad_uring *u;
    struct ad_uring_connector cx;
    char error[512];
    unsigned turn_ends, blocks; /* blocks: of host memory that live */
    unsigned allocs_left;       /* 0: no limit; 1: the next one fails */
    void (*at_turn_end)(struct rig *rig);
    int listener;
    uint16_t port;
};

struct aioduct_task {
    struct rig *rig;
    struct ad_task_state state;
    int (*run)(struct aioduct_task *task);
    unsigned runs;
};

struct aioduct_timer {
    struct rig *rig;
    struct ad_timer_state state;
    unsigned fired;
    uint64_t fired_ns;
};

struct aioduct_stream {
    struct rig *rig;
    struct ad_uring_stream *state;
    uint8_t *data;
    size_t bytes, capacity;
    unsigned slices;
    size_t slice_max;
    struct {
        unsigned count;
        int code;
        size_t bytes;
    } done[AIODUCT_OP_SHUTDOWN + 1];
    unsigned closed;
    bool stopped;
    int file_fd;
    size_t file_at;
    int peer; /* the accepted descriptor, -1: none */
    void (*on_data)(struct aioduct_stream *s);
    void (*on_done)(struct aioduct_stream *s, int op);
};

/* -> what open answered; 0: close with rig_close */
int rig_open(struct rig *rig, const struct rig_option *options);
void rig_close(struct rig *rig);

/* Turns until @done(@arg) or half a minute has passed (then the case fails). */
void rig_turns_until(struct rig *rig, bool (*done)(void *arg), void *arg);

/* A stream that is connected to a peer accepted by the test. */
void rig_stream_init(struct rig *rig, struct aioduct_stream *s);
void rig_connect(struct rig *rig, struct aioduct_stream *s);
int rig_dial(struct rig *rig, struct aioduct_stream *s,
             const struct aioduct_socket_config *extra); /* connect only */
void rig_wait_done(struct aioduct_stream *s, int op);
void rig_wait_bytes(struct aioduct_stream *s, size_t bytes);
void rig_wait_closed(struct aioduct_stream *s);
/* stream_close, turns until on_closed, free. */
void rig_disconnect(struct aioduct_stream *s);

unsigned rig_count_fds(void);
void rig_count_mappings(unsigned *out_all, unsigned *out_rings);
unsigned rig_count_threads(void);

/* Can this machine run the plugin? Else the suite is skipped: for TAP_RUN's setup. */
int rig_require_uring(void **state);

/* Names of option sets that every path of receiving is tested with. */
struct rig_variant {
    const char *name;
    struct rig_option options[6];
};
extern const struct rig_variant rig_variants[];
extern const unsigned rig_variant_count;

#define RIG_TITLE_BYTES 160
/* Make @test a case of variant number @v, which setup finds as its state. */
void rig_variant_case(struct CMUnitTest *out, char *title, const struct CMUnitTest *test,
                      const char *name, unsigned v, CMFixtureFunction setup,
                      CMFixtureFunction teardown);

#endif
