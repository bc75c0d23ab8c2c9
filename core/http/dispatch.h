/* SPDX-License-Identifier: MIT */
/**
 * The one place from which functions of the user's are called. Each call is marked, so that what is
 * asked for inside it (cancel, submit, pause, destroy ...) is done by states and lists, and nothing
 * calls back into the user from there. After each of them the exchange may have ended: its place
 * says so. Its memory stays until its own on_done has returned.
 */
#ifndef AD_HTTP_DISPATCH_H
#define AD_HTTP_DISPATCH_H

#include <aioduct/exchange.h>

void ad_dispatch_interim(struct aioduct_exchange *ex, const struct aioduct_head *head);
void ad_dispatch_head(struct aioduct_exchange *ex, const struct aioduct_head *head);
/* Credit for what the caller keeps is taken here. */
void ad_dispatch_body(struct aioduct_exchange *ex, const uint8_t *bytes, size_t count);
void ad_dispatch_trailers(struct aioduct_exchange *ex, const struct aioduct_head *trailers);
void ad_dispatch_done(struct aioduct_exchange *ex, const struct aioduct_error *error);

void ad_dispatch_writable(struct aioduct_exchange *ex);
int64_t ad_dispatch_body_read(struct aioduct_exchange *ex, void *buffer, size_t capacity);
int ad_dispatch_body_rewind(struct aioduct_exchange *ex);
void ad_dispatch_body_finished(struct aioduct_exchange *ex);

#endif
