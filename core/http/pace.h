/* SPDX-License-Identifier: MIT */
/**
 * How fast an exchange moves bytes: at most at the rates that its request sets, and not for long
 * below the speed that its client accepts. A rate is a bucket that fills with time and holds a
 * quarter of a second's bytes: that much may go at once, also at the start.
 *
 * The deadlines end with the exchange.
 */
#ifndef AD_HTTP_PACE_H
#define AD_HTTP_PACE_H

#include "runtime/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aioduct_exchange;

struct ad_pace {
    uint64_t recv_empty_ns, send_empty_ns; /* when the bucket was empty; 0: not used yet */
    uint64_t moved;                        /* bytes at the start of the low-speed window */
    bool recv_dry;                         /* the caller gets no more until the bucket has filled */
};

/* The deadlines are kept when the exchange's memory is used again. */
struct ad_pace_deadlines {
    struct ad_deadline recv, send, slow;
};

void ad_pace_init(struct aioduct_exchange *ex);
/* Measure the speed from now on: the request is on a connection, or what the caller did may explain
 * that it was low. */
void ad_pace_restart(struct aioduct_exchange *ex);

/* How many of @count bytes may be delivered, or sent, now. 0: a deadline brings the exchange back
 * to it. The bytes are counted by _took. */
size_t ad_pace_recv_room(struct aioduct_exchange *ex, size_t count);
void ad_pace_recv_took(struct aioduct_exchange *ex, size_t count);
size_t ad_pace_send_room(struct aioduct_exchange *ex, size_t count);
void ad_pace_send_took(struct aioduct_exchange *ex, size_t count);

#endif
