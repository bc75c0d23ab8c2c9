/* SPDX-License-Identifier: MIT */
/**
 * aioduct/stats.h - what a client has done so far, in numbers.
 *
 * Each loop counts for itself and nothing is locked, so the numbers of one reading may be of
 * slightly different moments. A count never goes back.
 */
#ifndef AIODUCT_STATS_H
#define AIODUCT_STATS_H

#include <aioduct/client.h>
#include <aioduct/event.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AIODUCT_STATS_REASONS 16 /**< room for every enum aioduct_close_reason */

/** Counters of a client. */
struct aioduct_client_stats {
    size_t size; /**< sizeof(struct aioduct_client_stats), set by the caller */

    /** now */
    uint64_t connections_opening;
    uint64_t connections_open; /**< idle ones too */
    uint64_t connections_idle; /**< of these, those that carry no exchange */
    uint64_t h2_streams;       /**< exchanges on HTTP/2 connections */
    uint64_t waiters;          /**< exchanges that wait for a connection */
    uint64_t outstanding;      /**< exchanges submitted and not completed */

    /* since the client was created */
    uint64_t hits;             /**< exchanges that found an open connection */
    uint64_t misses;           /**< exchanges that had to wait for one; a resend counts again */
    uint64_t dials;            /**< connections that were begun */
    uint64_t dial_failures;    /**< connections that could not be opened */
    uint64_t replays;          /**< resends */
    uint64_t exchanges_done;   /**< completed with code 0 */
    uint64_t exchanges_failed; /**< completed with an error, cancelled ones too */
    uint64_t bytes_in;         /**< received on connections, heads and framing too, without TLS */
    uint64_t bytes_out;        /**< sent, in the same way */
    uint64_t closed[AIODUCT_STATS_REASONS]; /**< connections, by enum aioduct_close_reason */
};

/** Counters with nothing but their size: begin with it. */
#ifdef __cplusplus
static inline struct aioduct_client_stats aioduct_client_stats_init_(void)
{
    struct aioduct_client_stats stats = {};
    stats.size = sizeof stats;
    return stats;
}
#define AIODUCT_CLIENT_STATS_INIT aioduct_client_stats_init_()
#else
#define AIODUCT_CLIENT_STATS_INIT                   \
    {                                               \
        .size = sizeof(struct aioduct_client_stats) \
    }
#endif

/**
 * Read the counters of @client, as far as @out's size reaches. Costs the client nothing.
 * Thread:   any, whatever the binding
 * Returns:  0 | -EINVAL (NULL, or the size is not set)
 */
AIODUCT_API int aioduct_client_stats(const struct aioduct_client *client,
                                     struct aioduct_client_stats *out);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_STATS_H */
