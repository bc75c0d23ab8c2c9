/* SPDX-License-Identifier: MIT */
/**
 * Where a response's body goes instead of to on_body: the request's memory or file. All of it
 * happens on the loop's thread, and a piece is written whole before the next is looked at, so that
 * nothing is under way when the exchange ends.
 */
#ifndef AD_HTTP_SINK_H
#define AD_HTTP_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aioduct_exchange;
struct aioduct_head;

/* Nobody else writes there until it is finished. false: somebody does already. */
bool ad_sink_claim(struct aioduct_exchange *ex);
/* Of one that was claimed: no more is written. */
void ad_sink_finish(struct aioduct_exchange *ex);

/* The final head: does the body go there? Lowers body_max to what there is room for. */
void ad_sink_head(struct aioduct_exchange *ex, const struct aioduct_head *head);
/* What says body_max; for people. */
const char *ad_sink_max_name(const struct aioduct_exchange *ex);

/* Where the next *@bytes of the body may be received, so that they need not be written: lowers
 * *@bytes to what there is room for. NULL: nowhere. */
uint8_t *ad_sink_place(const struct aioduct_exchange *ex, size_t *bytes);

/* Write and count a piece that is within that. The exchange fails if it cannot be. */
void ad_sink_write(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count);

#endif
