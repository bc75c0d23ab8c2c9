/* SPDX-License-Identifier: MIT */
/**
 * A client's options, checked, with defaults filled in and strings copied: what the engine reads.
 * Immutable once made, so every thread may look.
 */
#ifndef AD_HTTP_SETTINGS_H
#define AD_HTTP_SETTINGS_H

#include "base/slice.h"
#include "http/route.h"
#include "proto/h1.h"
#include "proto/h2.h"

#include <aioduct/client.h>

#define AD_LOW_SPEED_S 30 /* where a low speed is named and no time */

/* Durations are nanoseconds, 0 for none. Counts without a limit are the type's maximum, those that
 * are switched off 0. */
struct ad_settings {
    char *runtime, *connectors, *config_file; /* NULL: not given */
    int workers;
    enum aioduct_binding binding;
    struct aioduct_foreign_loop loop; /* kind NULL: none */

    uint64_t connect_ns, acquire_ns, head_ns, read_gap_ns, write_gap_ns, expect_ns, total_ns;
    uint64_t idle_ns, age_ns;
    uint64_t low_speed_bytes, low_speed_ns; /* a second, and for how long; 0: any speed */

    struct ad_h1_limits h1;
    struct ad_h2_limits h2;
    uint64_t ping_ns, ping_interval_ns;
    uint32_t url_bytes_max;
    uint32_t drain_bytes_max;
    uint32_t connections_per_origin_max, h2_connections_per_origin_max, idle_per_origin_max,
        idle_total_max;
    uint32_t waiters_max, replays_max;
    uint64_t window_bytes;
    uint64_t collect_bytes_max;

    int version; /* AIODUCT_HTTP_* of requests that leave it open */
    enum aioduct_family family;
    struct aioduct_socket_options socket;
    struct aioduct_tls_options tls;
    struct ad_routes routes;
    char *agent_line; /* "User-Agent: ...\r\n", or empty */
    struct ad_slice agent;
    int resolver_threads, dns_cache_ms;
    int resolution_delay_ms, attempt_delay_ms; /* as the dial has them: 0: its default */
    bool h2_probe;
    aioduct_event_fn on_event; /* NULL: none */
    void *event_user;
};

/* @options NULL: all defaults. 0 | -EINVAL with the option named in @error | -ENOMEM */
int ad_settings_init(struct ad_settings *settings, const struct aioduct_client_options *options,
                     struct aioduct_error *error);
void ad_settings_fini(struct ad_settings *settings); /* zeroed or made */

#endif
