/* SPDX-License-Identifier: MIT */
#include "http/client.h"

#include "base/error.h"
#include "plugin/registry.h"

#include <aioduct/stats.h>
#include <errno.h>

int aioduct_client_create(const struct aioduct_client_options *options,
                          struct aioduct_client **out_client, struct aioduct_error *error)
{
    if (out_client == NULL) {
        return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP, "out_client must not be NULL");
    }
    *out_client = NULL;
    return ad_client_create(options, out_client, error);
}

int aioduct_client_destroy(struct aioduct_client *client)
{
    return client == NULL ? 0 : ad_client_destroy(client);
}

int aioduct_client_run(struct aioduct_client *client)
{
    return client == NULL ? -EINVAL : ad_client_run(client);
}

int aioduct_client_turn(struct aioduct_client *client, int timeout_ms)
{
    return client == NULL ? -EINVAL : ad_client_turn(client, timeout_ms);
}

int aioduct_client_poll_fd(struct aioduct_client *client)
{
    return client == NULL ? -EINVAL : ad_client_poll_fd(client);
}

static int check_ring(struct aioduct_client *client)
{
    if (client == NULL) {
        return -EINVAL;
    }
    int code = ad_client_check(client);
    return code < 0 ? code : client->settings.loop.kind == NULL ? AIODUCT_E_UNSUPPORTED : 0;
}

int aioduct_client_ring_prepare(struct aioduct_client *client)
{
    int code = check_ring(client);
    return code < 0 ? code : ad_client_ring_prepare(client);
}

int aioduct_client_ring_complete(struct aioduct_client *client, uint64_t user_data, int32_t result,
                                 uint32_t flags)
{
    int code = check_ring(client);
    return code < 0 ? code : ad_client_ring_complete(client, user_data, result, flags);
}

int aioduct_client_close_idle(struct aioduct_client *client)
{
    return client == NULL ? -EINVAL : ad_client_close_idle(client);
}

int aioduct_client_drain(struct aioduct_client *client, int timeout_ms)
{
    return client == NULL || timeout_ms < AIODUCT_NO_LIMIT ? -EINVAL
                                                           : ad_client_drain(client, timeout_ms);
}

int aioduct_client_stats(const struct aioduct_client *client, struct aioduct_client_stats *out)
{
    if (client == NULL || out == NULL || out->size < sizeof out->size) {
        return -EINVAL;
    }
    ad_client_stats(client, out);
    return 0;
}

size_t aioduct_client_outstanding(const struct aioduct_client *client)
{
    return client == NULL ? 0 : ad_client_outstanding(client);
}

const char *aioduct_client_runtime(const struct aioduct_client *client)
{
    return client == NULL ? "" : client->plugin->name;
}

const char *aioduct_client_runtime_origin(const struct aioduct_client *client)
{
    return client == NULL ? "" : client->plugin->origin;
}
