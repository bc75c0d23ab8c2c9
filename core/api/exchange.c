/* SPDX-License-Identifier: MIT */
#include "http/exchange.h"

#include "base/error.h"
#include "base/slice.h"
#include "http/client.h"

#include <errno.h>

/* A table that is too short to hold its own size says nothing. */
static bool callbacks_fit(const struct aioduct_callbacks *callbacks)
{
    return callbacks == NULL || callbacks->size >= sizeof callbacks->size;
}

int aioduct_client_submit(struct aioduct_client *client, struct aioduct_request *request,
                          const struct aioduct_callbacks *callbacks, void *user,
                          struct aioduct_exchange **out)
{
    if (client == NULL || request == NULL || !callbacks_fit(callbacks)) {
        return -EINVAL;
    }
    return ad_client_submit(client, request, callbacks, user, NULL, out, NULL);
}

int aioduct_client_perform(struct aioduct_client *client, struct aioduct_request *request,
                           const struct aioduct_callbacks *callbacks, void *user,
                           struct aioduct_error *error)
{
    if (client == NULL || request == NULL || !callbacks_fit(callbacks)) {
        return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                            "client and request must not be NULL, callbacks need their size");
    }
    return ad_client_perform(client, request, callbacks, user, error);
}

int aioduct_exchange_cancel(struct aioduct_exchange *exchange)
{
    return exchange == NULL ? -EINVAL : ad_exchange_cancel(exchange);
}

int aioduct_exchange_release(struct aioduct_exchange *exchange, size_t count)
{
    return exchange == NULL ? -EINVAL : ad_exchange_release(exchange, count);
}

int aioduct_exchange_pause(struct aioduct_exchange *exchange)
{
    return exchange == NULL ? -EINVAL : ad_exchange_pause(exchange, true);
}

int aioduct_exchange_resume(struct aioduct_exchange *exchange)
{
    return exchange == NULL ? -EINVAL : ad_exchange_pause(exchange, false);
}

int aioduct_exchange_body_ready(struct aioduct_exchange *exchange)
{
    return exchange == NULL ? -EINVAL : ad_exchange_body_ready(exchange);
}

int64_t aioduct_exchange_write(struct aioduct_exchange *exchange, const void *bytes, size_t count)
{
    if (exchange == NULL || (bytes == NULL && count > 0) || count > INT64_MAX) {
        return -EINVAL;
    }
    return ad_exchange_write(exchange, bytes, count);
}

int aioduct_exchange_write_end(struct aioduct_exchange *exchange)
{
    return exchange == NULL ? -EINVAL : ad_exchange_write_end(exchange);
}

int aioduct_exchange_trailer_add(struct aioduct_exchange *exchange, const char *name,
                                 const char *value)
{
    if (exchange == NULL || name == NULL || value == NULL) {
        return -EINVAL;
    }
    return ad_exchange_trailer_add(exchange, name, value);
}

int aioduct_exchange_info(const struct aioduct_exchange *exchange,
                          struct aioduct_exchange_info *info)
{
    if (exchange == NULL || info == NULL || info->size < sizeof info->size) {
        return -EINVAL;
    }
    /* What is put together on the first question is kept in the exchange. */
    return ad_exchange_info((struct aioduct_exchange *)exchange, info);
}

const char *aioduct_head_find(const struct aioduct_head *head, const char *name,
                              uint32_t *out_bytes)
{
    if (head == NULL || name == NULL) {
        return NULL;
    }
    struct ad_slice wanted = ad_slice_of(name);
    char first = ad_ascii_lower(name[0]);
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *h = &head->headers[i];
        if (h->name_bytes == wanted.bytes && wanted.bytes > 0 &&
            ad_ascii_lower(h->name[0]) == first &&
            ad_slice_case_equal((struct ad_slice){h->name, h->name_bytes}, wanted)) {
            if (out_bytes != NULL) {
                *out_bytes = h->value_bytes;
            }
            return h->value;
        }
    }
    return NULL;
}

int aioduct_head_retry_after(const struct aioduct_head *head, int64_t now_s, int64_t *out_s)
{
    struct ad_slice after = {0}, date = {0};
    uint32_t after_bytes = 0, date_bytes = 0;
    if (head == NULL || out_s == NULL) {
        return -EINVAL;
    }
    after.p = aioduct_head_find(head, "Retry-After", &after_bytes);
    after.bytes = after_bytes;
    date.p = aioduct_head_find(head, "Date", &date_bytes);
    date.bytes = date_bytes;
    return after.p == NULL ? -ENOENT : ad_exchange_retry_after(after, date, now_s, out_s);
}
