/* SPDX-License-Identifier: MIT */
#include "http/stats.h"

#include "http/client.h"

#include <aioduct/stats.h>
#include <string.h>

_Static_assert(AIODUCT_CLOSE_CLIENT < AIODUCT_STATS_REASONS, "a place for every reason");

static uint64_t sum(const struct aioduct_client *client, unsigned which)
{
    unsigned loops = client->worker_count == 0 ? 1 : client->worker_count;
    uint64_t total = 0;
    for (unsigned i = 0; i < loops; i++) {
        total += ad_stats_read(&client->workers[i].engine.stats, which);
    }
    return total;
}

void ad_client_stats(const struct aioduct_client *client, struct aioduct_client_stats *out)
{
    struct aioduct_client_stats all = {
        .size = out->size,
        .connections_opening = sum(client, AD_STAT_OPENING),
        .connections_open = sum(client, AD_STAT_OPEN),
        .connections_idle = sum(client, AD_STAT_IDLE),
        .h2_streams = sum(client, AD_STAT_STREAMS),
        .waiters = sum(client, AD_STAT_WAITERS),
        .outstanding = ad_client_outstanding(client),
        .hits = sum(client, AD_STAT_HITS),
        .misses = sum(client, AD_STAT_MISSES),
        .dials = sum(client, AD_STAT_DIALS),
        .dial_failures = sum(client, AD_STAT_DIAL_FAILURES),
        .replays = sum(client, AD_STAT_REPLAYS),
        .exchanges_done = sum(client, AD_STAT_DONE),
        .exchanges_failed = sum(client, AD_STAT_FAILED),
        .bytes_in = sum(client, AD_STAT_BYTES_IN),
        .bytes_out = sum(client, AD_STAT_BYTES_OUT),
    };
    for (unsigned i = 0; i <= AIODUCT_CLOSE_CLIENT; i++) {
        all.closed[i] = sum(client, AD_STAT_CLOSED + i);
    }
    memcpy(out, &all, out->size < sizeof all ? out->size : sizeof all);
}
