/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include "base/error.h"
#include "http/settings.h"

#include <aioduct/client.h>
#include <errno.h>
#include <string.h>

int aioduct_request_create(const char *method, const char *url, struct aioduct_request **out,
                           struct aioduct_error *error)
{
    if (method == NULL || url == NULL || out == NULL) {
        return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                            "method, url and out must not be NULL");
    }
    *out = NULL;
    return ad_request_create(method, url, out, error);
}

void aioduct_request_destroy(struct aioduct_request *request)
{
    ad_request_unref(request);
}

int aioduct_request_header_add(struct aioduct_request *request, const char *name, const char *value)
{
    if (request == NULL || name == NULL || value == NULL) {
        return -EINVAL;
    }
    return ad_request_field_add(request, name, value);
}

int aioduct_request_header_set(struct aioduct_request *request, const char *name, const char *value)
{
    if (request == NULL || name == NULL || value == NULL) {
        return -EINVAL;
    }
    return ad_request_field_set(request, name, value);
}

int aioduct_request_header_remove(struct aioduct_request *request, const char *name)
{
    if (request == NULL || name == NULL) {
        return -EINVAL;
    }
    return ad_request_field_remove(request, name);
}

int aioduct_request_authority(struct aioduct_request *request, const char *authority)
{
    if (request == NULL || authority == NULL) {
        return -EINVAL;
    }
    return ad_request_authority_set(request, authority);
}

int aioduct_request_trailer_add(struct aioduct_request *request, const char *name,
                                const char *value)
{
    if (request == NULL || name == NULL || value == NULL) {
        return -EINVAL;
    }
    return ad_request_trailer_add(request, name, value);
}

int aioduct_request_basic_auth(struct aioduct_request *request, const char *user,
                               const char *password)
{
    if (request == NULL || user == NULL || password == NULL) {
        return -EINVAL;
    }
    return ad_request_basic_auth(request, user, password);
}

int aioduct_request_body_copy(struct aioduct_request *request, const void *bytes, size_t count)
{
    return request == NULL ? -EINVAL : ad_request_body_memory(request, bytes, count, true);
}

int aioduct_request_body_borrow(struct aioduct_request *request, const void *bytes, size_t count)
{
    return request == NULL ? -EINVAL : ad_request_body_memory(request, bytes, count, false);
}

int aioduct_request_body_file(struct aioduct_request *request, int fd, int64_t offset,
                              int64_t length)
{
    return request == NULL ? -EINVAL : ad_request_body_file(request, fd, offset, length);
}

int aioduct_request_body_push(struct aioduct_request *request, int64_t length)
{
    return request == NULL ? -EINVAL : ad_request_body_push(request, length);
}

int aioduct_request_body_pull(struct aioduct_request *request,
                              const struct aioduct_body_source *source, int64_t length)
{
    struct aioduct_body_source own = {0};
    if (request == NULL || source == NULL || source->size < sizeof source->size) {
        return -EINVAL;
    }
    memcpy(&own, source, source->size < sizeof own ? source->size : sizeof own);
    return ad_request_body_pull(request, &own, length);
}

int aioduct_request_expect_continue(struct aioduct_request *request, int on)
{
    if (request == NULL || on < 0 || on > 1) {
        return -EINVAL;
    }
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    request->expect = on != 0;
    return 0;
}

int aioduct_request_upgrade(struct aioduct_request *request, const char *protocol)
{
    return request == NULL || protocol == NULL ? -EINVAL : ad_request_upgrade(request, protocol);
}

int aioduct_request_tunnel(struct aioduct_request *request, const char *target)
{
    return request == NULL || target == NULL ? -EINVAL : ad_request_tunnel(request, target);
}

int aioduct_request_version(struct aioduct_request *request, int version)
{
    if (request == NULL ||
        (version != AIODUCT_HTTP_AUTO && version != AIODUCT_HTTP_1_1 && version != AIODUCT_HTTP_2 &&
         version != AIODUCT_HTTP_2_PRIOR_KNOWLEDGE)) {
        return -EINVAL;
    }
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    request->version = version;
    return 0;
}

int aioduct_request_into_memory(struct aioduct_request *request, void *memory, size_t capacity)
{
    return request == NULL || memory == NULL ? -EINVAL
                                             : ad_request_into_memory(request, memory, capacity);
}

int aioduct_request_into_file(struct aioduct_request *request, int fd, int64_t offset)
{
    return request == NULL ? -EINVAL : ad_request_into_file(request, fd, offset);
}

int aioduct_request_connect_to(struct aioduct_request *request, const char *target)
{
    return request == NULL ? -EINVAL : ad_request_connect_to(request, target);
}

int aioduct_request_total_timeout_ms(struct aioduct_request *request, int timeout_ms)
{
    if (request == NULL || timeout_ms < AIODUCT_NO_LIMIT) {
        return -EINVAL;
    }
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    request->timeouts_ms[AD_TIMEOUT_TOTAL] = timeout_ms;
    return 0;
}

int aioduct_request_timeouts(struct aioduct_request *request,
                             const struct aioduct_request_timeouts *timeouts)
{
    struct aioduct_request_timeouts own = {0};
    if (request == NULL || timeouts == NULL || timeouts->size < sizeof timeouts->size) {
        return -EINVAL;
    }
    memcpy(&own, timeouts, timeouts->size < sizeof own ? timeouts->size : sizeof own);
    const int ms[AD_TIMEOUT_COUNT] = {
        [AD_TIMEOUT_CONNECT] = own.connect_ms,     [AD_TIMEOUT_ACQUIRE] = own.acquire_ms,
        [AD_TIMEOUT_HEAD] = own.head_ms,           [AD_TIMEOUT_READ_GAP] = own.read_gap_ms,
        [AD_TIMEOUT_WRITE_GAP] = own.write_gap_ms, [AD_TIMEOUT_EXPECT] = own.expect_ms,
        [AD_TIMEOUT_TOTAL] = own.total_ms,
    };
    for (int i = 0; i < AD_TIMEOUT_COUNT; i++) {
        if (ms[i] < AIODUCT_NO_LIMIT) {
            return -EINVAL;
        }
    }
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    memcpy(request->timeouts_ms, ms, sizeof ms);
    return 0;
}

/* A number of bytes, 0 for any. */
static int set_bytes(struct aioduct_request *request, uint64_t *to, int64_t bytes)
{
    if (bytes < 0) {
        return -EINVAL;
    }
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    *to = (uint64_t)bytes;
    return 0;
}

int aioduct_request_recv_rate_max(struct aioduct_request *request, int64_t bytes_per_s)
{
    return request == NULL ? -EINVAL : set_bytes(request, &request->recv_rate, bytes_per_s);
}

int aioduct_request_send_rate_max(struct aioduct_request *request, int64_t bytes_per_s)
{
    return request == NULL ? -EINVAL : set_bytes(request, &request->send_rate, bytes_per_s);
}

int aioduct_request_recv_bytes_max(struct aioduct_request *request, int64_t bytes)
{
    return request == NULL ? -EINVAL : set_bytes(request, &request->recv_bytes_max, bytes);
}

int aioduct_request_low_speed(struct aioduct_request *request, int bytes_per_s, int seconds)
{
    if (request == NULL || bytes_per_s < AIODUCT_NO_LIMIT || seconds < 0 ||
        (bytes_per_s <= 0 && seconds > 0)) {
        return -EINVAL;
    }
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    request->own_low_speed = bytes_per_s != 0;
    request->low_speed_bytes = bytes_per_s > 0 ? (uint64_t)bytes_per_s : 0;
    request->low_speed_ns =
        bytes_per_s > 0 ? (uint64_t)(seconds == 0 ? AD_LOW_SPEED_S : seconds) * 1000000000u : 0;
    return 0;
}

const char *aioduct_request_url(const struct aioduct_request *request)
{
    return request == NULL ? NULL : request->url.text;
}
