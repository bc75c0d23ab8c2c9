/* SPDX-License-Identifier: MIT */
/**
 * A request body that the caller writes: a bounded queue from any thread to the loop. What is
 * written waits here until the connection has room for it.
 *
 * Life: create with the exchange -> write ... end | stop -> destroy with the exchange.
 */
#ifndef AD_HTTP_PUSH_H
#define AD_HTTP_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AD_PUSH_BYTES 131072u /* what may wait: a few rounds of output, so that none runs dry */

struct ad_push;

struct ad_push *ad_push_create(void); /* NULL: out of memory */
void ad_push_destroy(struct ad_push *push);

/* [any] Take as much as there is room for -> bytes taken, 0 if there is none; -EINVAL after the
 * end; -EPIPE after a stop; -ENOMEM */
int64_t ad_push_write(struct ad_push *push, const void *bytes, size_t count);
/* [any] No more comes. 0 | -EINVAL (it had ended) */
int ad_push_end(struct ad_push *push);

/* As the read of a body source. *@out_writable: a write took less than it was given, and there is
 * room again. */
int64_t ad_push_read(struct ad_push *push, void *to, size_t capacity, bool *out_writable);
/* Nobody reads any more: drop what is there. */
void ad_push_stop(struct ad_push *push);

#endif
