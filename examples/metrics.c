/* SPDX-License-Identifier: MIT */
/* What a metrics exporter needs: a client's counters, and how long its exchanges took, in the text
 * format of Prometheus.   metrics URL [COUNT] */
#include <aioduct/aioduct.h>
#include <aioduct/stats.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const double bounds[] = {0.005, 0.05, 0.5, 5};
#define BOUNDS (sizeof bounds / sizeof bounds[0])

/* Filled by on_event; with worker threads the members would have to be atomic. */
struct durations {
    uint64_t buckets[BOUNDS], count;
    double sum;
};

static void on_event(const struct aioduct_event *event, void *user)
{
    struct durations *d = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    if (event->kind != AIODUCT_EVENT_DONE || aioduct_exchange_info(event->exchange, &info) < 0) {
        return;
    }
    double took = (double)info.timings.end_ns / 1e9;
    for (size_t i = 0; i < BOUNDS; i++) {
        d->buckets[i] += took <= bounds[i];
    }
    d->count++;
    d->sum += took;
}

static void print_counters(const struct aioduct_client_stats *s)
{
    printf("# HELP aioduct_connections Connections by state.\n"
           "# TYPE aioduct_connections gauge\n"
           "aioduct_connections{state=\"opening\"} %" PRIu64 "\n"
           "aioduct_connections{state=\"open\"} %" PRIu64 "\n"
           "aioduct_connections{state=\"idle\"} %" PRIu64 "\n",
           s->connections_opening, s->connections_open, s->connections_idle);
    printf("# TYPE aioduct_waiters gauge\naioduct_waiters %" PRIu64 "\n", s->waiters);
    printf("# TYPE aioduct_exchanges_total counter\n"
           "aioduct_exchanges_total{result=\"done\"} %" PRIu64 "\n"
           "aioduct_exchanges_total{result=\"failed\"} %" PRIu64 "\n",
           s->exchanges_done, s->exchanges_failed);
    printf("# TYPE aioduct_pool_lookups_total counter\n"
           "aioduct_pool_lookups_total{result=\"hit\"} %" PRIu64 "\n"
           "aioduct_pool_lookups_total{result=\"miss\"} %" PRIu64 "\n",
           s->hits, s->misses);
    printf("# TYPE aioduct_dials_total counter\naioduct_dials_total %" PRIu64 "\n", s->dials);
    printf("# TYPE aioduct_replays_total counter\naioduct_replays_total %" PRIu64 "\n", s->replays);
    printf("# TYPE aioduct_bytes_total counter\n"
           "aioduct_bytes_total{direction=\"in\"} %" PRIu64 "\n"
           "aioduct_bytes_total{direction=\"out\"} %" PRIu64 "\n",
           s->bytes_in, s->bytes_out);
    printf("# TYPE aioduct_closed_total counter\n");
    for (int reason = AIODUCT_CLOSE_PEER; reason <= AIODUCT_CLOSE_CLIENT; reason++) {
        printf("aioduct_closed_total{reason=\"%s\"} %" PRIu64 "\n",
               aioduct_close_reason_name((enum aioduct_close_reason)reason), s->closed[reason]);
    }
}

static void print_durations(const struct durations *d)
{
    printf("# HELP aioduct_exchange_seconds From submit to completion.\n"
           "# TYPE aioduct_exchange_seconds histogram\n");
    for (size_t i = 0; i < BOUNDS; i++) {
        printf("aioduct_exchange_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", bounds[i],
               d->buckets[i]);
    }
    printf("aioduct_exchange_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
           "aioduct_exchange_seconds_sum %f\n"
           "aioduct_exchange_seconds_count %" PRIu64 "\n",
           d->count, d->sum, d->count);
}

int main(int argc, char **argv)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    struct aioduct_client *client;
    struct aioduct_error error = {0};
    struct durations durations = {0};

    if (argc < 2 || argc > 3) {
        return fprintf(stderr, "usage: metrics URL [COUNT]\n"), 2;
    }
    options.on_event = on_event;
    options.event_user = &durations;
    if (aioduct_client_create(&options, &client, &error) < 0) {
        return fprintf(stderr, "metrics: %s\n", error.message), 1;
    }
    int count = argc == 3 ? atoi(argv[2]) : 1;
    for (int i = 0; i < count; i++) {
        struct aioduct_response *response = NULL;
        if (aioduct_get(client, argv[1], &response, &error) < 0) {
            fprintf(stderr, "metrics: %s\n", error.message); /* counted as failed */
        }
        aioduct_response_destroy(response);
    }
    int code = aioduct_client_stats(client, &stats);
    if (code == 0) {
        print_counters(&stats);
        print_durations(&durations);
    }
    aioduct_client_destroy(client);
    return code < 0;
}
