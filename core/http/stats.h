/* SPDX-License-Identifier: MIT */
/**
 * What one loop has counted. Only the loop's thread writes, so a count is a load and a store; any
 * thread may read. aioduct_client_stats adds the loops up.
 */
#ifndef AD_HTTP_STATS_H
#define AD_HTTP_STATS_H

#include <aioduct/event.h>
#include <stdatomic.h>
#include <stdint.h>

enum ad_stat {
    /* now */
    AD_STAT_OPENING = 0,
    AD_STAT_OPEN, /* idle ones too */
    AD_STAT_IDLE,
    AD_STAT_STREAMS, /* exchanges on shared connections */
    AD_STAT_WAITERS,
    /* since the client was created */
    AD_STAT_HITS,
    AD_STAT_MISSES,
    AD_STAT_DIALS,
    AD_STAT_DIAL_FAILURES,
    AD_STAT_REPLAYS,
    AD_STAT_DONE,
    AD_STAT_FAILED,
    AD_STAT_BYTES_IN,
    AD_STAT_BYTES_OUT,
    AD_STAT_CLOSED, /* and enum aioduct_close_reason */
    AD_STAT_COUNT = AD_STAT_CLOSED + AIODUCT_CLOSE_CLIENT + 1
};

struct ad_stats {
    _Atomic uint64_t at[AD_STAT_COUNT];
};

static inline void ad_stats_add(struct ad_stats *stats, enum ad_stat which, uint64_t count)
{
    uint64_t now = atomic_load_explicit(&stats->at[which], memory_order_relaxed);
    atomic_store_explicit(&stats->at[which], now + count, memory_order_relaxed);
}

static inline void ad_stats_sub(struct ad_stats *stats, enum ad_stat which, uint64_t count)
{
    ad_stats_add(stats, which, (uint64_t)0 - count);
}

static inline uint64_t ad_stats_read(const struct ad_stats *stats, enum ad_stat which) /* [any] */
{
    return atomic_load_explicit(&stats->at[which], memory_order_relaxed);
}

#endif
