/* SPDX-License-Identifier: MIT */
/*
 * aioduct-load [-n REQUESTS] [-c AT_ONCE] [-w WORKERS] [-1 | -2 | -H] [-f] [-i] [-k CAFILE] URL
 * A closed loop over the public API, as a user's program would be: verification, deadlines, pool
 * and header delivery are on. Each worker loop keeps its share of AT_ONCE requests under way. -2 /
 * -H  HTTP/2 by ALPN / by prior knowledge: AT_ONCE streams on one connection -f       a connection
 * for each request -i       open AT_ONCE connections, leave them idle, and say what they cost in
 * memory Prints one line of JSON.
 */
#include <aioduct/aioduct.h>

#include <inttypes.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct load {
    struct aioduct_client *client;
    struct aioduct_request *request;
    _Atomic long left; /* to be started */
    _Atomic long failed;
    _Atomic uint64_t body_bytes;
};

struct settings {
    long requests;
    int at_once, workers, version;
    bool fresh, idle;
    const char *url, *ca_file;
};

static void die(const char *what, const struct aioduct_error *error)
{
    fprintf(stderr, "aioduct-load: %s: %s\n", what, error->message);
    exit(1);
}

/* ---- the loop ---- */

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    (void)user;
    return head->status == 200 ? 0 : -1;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    (void)exchange;
    (void)bytes;
    struct load *load = user;
    atomic_fetch_add_explicit(&load->body_bytes, count, memory_order_relaxed);
    return 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user);

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

static bool start(struct load *load)
{
    if (atomic_fetch_sub_explicit(&load->left, 1, memory_order_relaxed) <= 0) {
        return false;
    }
    int code = aioduct_client_submit(load->client, load->request, &callbacks, load, NULL);
    if (code < 0) {
        fprintf(stderr, "aioduct-load: submit: %s\n", aioduct_error_text(code));
        exit(1);
    }
    return true;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    (void)exchange;
    struct load *load = user;
    if (error->code != 0 && atomic_fetch_add(&load->failed, 1) == 0) {
        fprintf(stderr, "aioduct-load: %s\n", error->message);
    }
    start(load);
}

static void run(struct load *load, const struct settings *settings)
{
    for (int i = 0; i < settings->at_once && start(load); i++) {
    }
    if (settings->workers == 0) {
        aioduct_client_run(load->client);
        return;
    }
    while (aioduct_client_outstanding(load->client) > 0) {
        usleep(2000);
    }
}

/* ---- figures ---- */

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void setup(struct load *load, const struct settings *settings)
{
    struct aioduct_error error = {0};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    int many = settings->at_once;
    options.workers = settings->workers;
    options.connections_per_origin_max = many;
    options.idle_per_origin_max = options.idle_total_max = many;
    if (settings->idle) {
        options.h2_connections_per_origin_max = many;
    } else {
        options.h2_connections_per_origin_max = 1;
    }
    options.tls.ca_file = settings->ca_file;
    if (aioduct_client_create(&options, &load->client, &error) < 0) {
        die("client", &error);
    }
    if (aioduct_request_create("GET", settings->url, &load->request, &error) < 0) {
        die(settings->url, &error);
    }
    aioduct_request_version(load->request, settings->version);
    if (settings->fresh) {
        aioduct_request_header_set(load->request, "Connection", "close");
    }
}

/* All connections are opened by one burst and go idle; what the heap grew by is theirs. */
static void measure_idle(struct load *load, const struct settings *settings)
{
    atomic_store(&load->left, 1); /* what the first connection brings is not a connection's cost */
    run(load, settings);
    size_t before = heap_bytes();
    atomic_store(&load->left, settings->at_once);
    run(load, settings);
    for (int i = 0; i < 50; i++) {
        aioduct_client_turn(load->client, 20);
    }
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    aioduct_client_stats(load->client, &stats);
    size_t idle = stats.connections_idle;
    printf("{\"runtime\":\"%s\",\"idle\":%zu,\"failed\":%ld,\"bytes_each\":%.1f}\n",
           aioduct_client_runtime(load->client), idle, atomic_load(&load->failed),
           (double)(heap_bytes() - before) / (double)(idle > 1 ? idle - 1 : 1));
}

static void measure_load(struct load *load, const struct settings *settings)
{
    atomic_store(&load->left, settings->requests);
    double wall = now(), used = cpu();
    run(load, settings);
    wall = now() - wall;
    used = cpu() - used;
    printf("{\"runtime\":\"%s\",\"requests\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"cpu\":%.6f,"
           "\"body_bytes\":%" PRIu64 "}\n",
           aioduct_client_runtime(load->client), settings->requests, atomic_load(&load->failed),
           wall, used, atomic_load(&load->body_bytes));
}

static int usage(void)
{
    fprintf(stderr, "aioduct-load [-n REQUESTS] [-c AT_ONCE] [-w WORKERS] [-1 | -2 | -H] [-f] [-i] "
                    "[-k CAFILE] URL\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct settings settings = {.requests = 1000, .at_once = 1, .version = AIODUCT_HTTP_1_1};
    static struct load load;
    int option;
    while ((option = getopt(argc, argv, "n:c:w:k:12Hfi")) != -1) {
        switch (option) {
        case 'n':
            settings.requests = strtol(optarg, NULL, 10);
            break;
        case 'c':
            settings.at_once = (int)strtol(optarg, NULL, 10);
            break;
        case 'w':
            settings.workers = (int)strtol(optarg, NULL, 10);
            break;
        case 'k':
            settings.ca_file = optarg;
            break;
        case '1':
            settings.version = AIODUCT_HTTP_1_1;
            break;
        case '2':
            settings.version = AIODUCT_HTTP_2;
            break;
        case 'H':
            settings.version = AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
            break;
        case 'f':
            settings.fresh = true;
            break;
        case 'i':
            settings.idle = true;
            break;
        default:
            return usage();
        }
    }
    if (optind != argc - 1 || (settings.idle && settings.workers > 0)) {
        return usage();
    }
    settings.url = argv[optind];
    setup(&load, &settings);
    if (settings.idle) {
        measure_idle(&load, &settings);
    } else {
        measure_load(&load, &settings);
    }
    aioduct_request_destroy(load.request);
    aioduct_client_destroy(load.client);
    return atomic_load(&load.failed) == 0 ? 0 : 1;
}
