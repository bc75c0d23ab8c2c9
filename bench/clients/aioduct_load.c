/* SPDX-License-Identifier: MIT */
/*
 * aioduct-load [-n REQUESTS] [-c AT_ONCE] [-w WORKERS] [-1 | -2 | -H] [-f] [-i] [-u BYTES]
 *              [-U FILE] [-m BYTES] [-k CAFILE] URL
 * A closed loop over the public API, as a user's program would be: verification, deadlines, pool
 * and header delivery are on. AT_ONCE requests are under way, each followed by the next on its
 * loop. Whatever URL's host is, 127.0.0.1 is dialled. With more than one request, and -f not given,
 * AT_ONCE are made before that are not counted.
 *   -2 / -H  HTTP/2 by ALPN / by prior knowledge: AT_ONCE streams on one connection
 *   -f       a connection for each request
 *   -i       open AT_ONCE connections, leave them idle, and say what they cost in memory; with
 *            HTTP/2 each is to a host of its own, URL's with a number in front
 *   -u       PUT so many bytes, made piece by piece; one at a time
 *   -U       of this file, as the body
 *   -m       the answer goes into memory of so many bytes, the same each time; one at a time
 * Prints one line of JSON.
 */
#include <aioduct/aioduct.h>

#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct load;

/* One of the AT_ONCE requests under way: on one loop all its life, so nothing here is shared. */
struct lane {
    _Alignas(64) struct load *load;
    struct aioduct_request *request;
    long left, failed, resumed;
    uint64_t body_bytes, upload_left;
};

struct load {
    struct aioduct_client *client;
    struct lane *lanes;
    int lane_count;
    uint64_t upload_bytes; /* of each request */
    void *memory;          /* for the body of each answer; NULL: on_body counts it */
    bool looks_back;       /* on_done asks what became of the exchange */
};

struct settings {
    long requests;
    int at_once, workers, version;
    bool fresh, idle;
    uint64_t upload_bytes;
    size_t memory_bytes;
    const char *url, *ca_file, *file;
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
    ((struct lane *)user)->body_bytes += count;
    return 0;
}

static int64_t on_upload(void *user, void *buffer, size_t capacity)
{
    struct lane *lane = user;
    size_t count = lane->upload_left < capacity ? (size_t)lane->upload_left : capacity;
    memset(buffer, 'x', count);
    lane->upload_left -= count;
    return (int64_t)count;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user);

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

static void start(struct lane *lane)
{
    if (lane->left == 0) {
        return;
    }
    lane->left--;
    lane->upload_left = lane->load->upload_bytes;
    int code = aioduct_client_submit(lane->load->client, lane->request, &callbacks, lane, NULL);
    if (code < 0) {
        fprintf(stderr, "aioduct-load: submit: %s\n", aioduct_error_text(code));
        exit(1);
    }
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct lane *lane = user;
    if (lane->load->looks_back) {
        struct aioduct_exchange_info info = {.size = sizeof info};
        aioduct_exchange_info(exchange, &info);
        lane->resumed += info.tls_resumed;
        lane->body_bytes += lane->load->memory != NULL ? info.body_bytes : 0;
    }
    if (error->code != 0 && lane->failed++ == 0) {
        fprintf(stderr, "aioduct-load: %s\n", error->message);
    }
    start(lane);
}

/* @requests of them, from all lanes together. */
static void run(struct load *load, const struct settings *settings, long requests)
{
    for (int i = 0; i < load->lane_count; i++) {
        load->lanes[i].left =
            requests / load->lane_count + (i < requests % load->lane_count ? 1 : 0);
    }
    for (int i = 0; i < load->lane_count; i++) {
        start(&load->lanes[i]);
    }
    if (settings->workers == 0) {
        aioduct_client_run(load->client);
        return;
    }
    while (aioduct_client_outstanding(load->client) > 0) {
        usleep(2000);
    }
}

static long failures(const struct load *load)
{
    long failed = 0;
    for (int i = 0; i < load->lane_count; i++) {
        failed += load->lanes[i].failed;
    }
    return failed;
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

static void create_client(struct load *load, const struct settings *settings)
{
    struct aioduct_error error = {0};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    int many = settings->at_once;
    const char *connect_to[] = {"::127.0.0.1:", NULL};
    options.workers = settings->workers;
    options.connections_per_origin_max = many;
    options.idle_per_origin_max = options.idle_total_max = many;
    options.h2_connections_per_origin_max = 1;
    options.connect_to = connect_to;
    options.tls.ca_file = settings->ca_file;
    if (settings->idle) {
        options.connect_timeout_ms = AIODUCT_NO_LIMIT; /* thousands at once keep a server busy */
        options.idle_timeout_ms = AIODUCT_NO_LIMIT;
    }
    if (aioduct_client_create(&options, &load->client, &error) < 0) {
        die("client", &error);
    }
}

static struct aioduct_request *create_request(const struct settings *settings, const char *url)
{
    struct aioduct_error error = {0};
    struct aioduct_request *request;
    const char *method = settings->upload_bytes > 0 ? "PUT" : "GET";
    if (aioduct_request_create(method, url, &request, &error) < 0) {
        die(url, &error);
    }
    aioduct_request_version(request, settings->version);
    if (settings->fresh) {
        aioduct_request_header_set(request, "Connection", "close");
    }
    return request;
}

/* HTTP/2 shares a connection, so each gets a host of its own: the URL's, with a number in front. */
static void create_lanes(struct load *load, const struct settings *settings)
{
    const char *host = strstr(settings->url, "//");
    bool apart = settings->idle && settings->version != AIODUCT_HTTP_1_1 && host != NULL;
    load->lane_count = settings->at_once;
    load->lanes =
        aligned_alloc(_Alignof(struct lane), (size_t)load->lane_count * sizeof *load->lanes);
    if (load->lanes == NULL) {
        exit(1);
    }
    struct aioduct_request *shared = apart ? NULL : create_request(settings, settings->url);
    for (int i = 0; i < load->lane_count; i++) {
        struct aioduct_request *request = shared;
        if (apart) {
            char url[512];
            snprintf(url, sizeof url, "%.*sh%d.%s", (int)(host + 2 - settings->url), settings->url,
                     i, host + 2);
            request = create_request(settings, url);
        }
        load->lanes[i] = (struct lane){.load = load, .request = request};
    }
    if (settings->memory_bytes > 0) {
        load->memory = malloc(settings->memory_bytes);
        if (load->memory == NULL) {
            exit(1);
        }
        aioduct_request_into_memory(shared, load->memory, settings->memory_bytes);
    }
    if (settings->file != NULL) {
        int fd = open(settings->file, O_RDONLY | O_CLOEXEC); /* as long as the process */
        int code = aioduct_request_body_file(shared, fd, 0, (int64_t)settings->upload_bytes);
        if (code < 0) {
            fprintf(stderr, "aioduct-load: %s: %s\n", settings->file, aioduct_error_text(code));
            exit(1);
        }
    } else if (settings->upload_bytes > 0) {
        struct aioduct_body_source source = {.size = sizeof source, .user = &load->lanes[0]};
        source.read = on_upload;
        aioduct_request_body_pull(shared, &source, (int64_t)settings->upload_bytes);
    }
}

static void destroy_lanes(struct load *load)
{
    for (int i = 0; i < load->lane_count; i++) {
        if (i == 0 || load->lanes[i].request != load->lanes[0].request) {
            aioduct_request_destroy(load->lanes[i].request);
        }
    }
    free(load->lanes);
    free(load->memory);
}

static size_t idle_connections(const struct load *load)
{
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    aioduct_client_stats(load->client, &stats);
    return stats.connections_idle;
}

/* All connections are opened by one burst and go idle; what the heap grew by is theirs. What the
 * first one brings (trust store, buffers of the loop) is not. On a busy machine some are open only
 * after all requests are done: those whose requests took the connections of others. */
static void measure_idle(struct load *load, const struct settings *settings)
{
    run(load, settings, 1);
    size_t before = heap_bytes();
    run(load, settings, settings->at_once);
    double end = now() + 10;
    while (idle_connections(load) < (size_t)settings->at_once && now() < end) {
        aioduct_client_turn(load->client, 20);
    }
    for (int i = 0; i < 10; i++) { /* and what they were opened with is given back */
        aioduct_client_turn(load->client, 20);
    }
    size_t idle = idle_connections(load);
    printf("{\"runtime\":\"%s\",\"idle\":%zu,\"failed\":%ld,\"bytes_each\":%.1f}\n",
           aioduct_client_runtime(load->client), idle, failures(load),
           (double)(heap_bytes() - before) / (double)(idle > 1 ? idle - 1 : 1));
}

/* Connections are open, and what the first request of each brings is done. */
static void warm_up(struct load *load, const struct settings *settings)
{
    run(load, settings, load->lane_count);
    for (int i = 0; i < load->lane_count; i++) {
        load->lanes[i].body_bytes = 0;
    }
}

static void measure_load(struct load *load, const struct settings *settings)
{
    if (!settings->fresh && settings->requests > 1) {
        warm_up(load, settings);
    }
    double wall = now(), used = cpu();
    run(load, settings, settings->requests);
    wall = now() - wall;
    used = cpu() - used;
    uint64_t body_bytes = (uint64_t)settings->requests * settings->upload_bytes;
    long resumed = 0;
    for (int i = 0; i < load->lane_count; i++) {
        body_bytes += load->lanes[i].body_bytes;
        resumed += load->lanes[i].resumed;
    }
    printf("{\"runtime\":\"%s\",\"requests\":%ld,\"failed\":%ld,\"resumed\":%ld,"
           "\"seconds\":%.6f,\"cpu\":%.6f,\"body_bytes\":%" PRIu64 "}\n",
           aioduct_client_runtime(load->client), settings->requests, failures(load), resumed, wall,
           used, body_bytes);
}

static int usage(void)
{
    fprintf(stderr, "aioduct-load [-n REQUESTS] [-c AT_ONCE] [-w WORKERS] [-1 | -2 | -H] [-f] [-i] "
                    "[-u BYTES] [-U FILE] [-m BYTES] [-k CAFILE] URL\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct settings settings = {.requests = 1000, .at_once = 1, .version = AIODUCT_HTTP_1_1};
    static struct load load;
    int option;
    while ((option = getopt(argc, argv, "n:c:w:k:m:u:U:12Hfi")) != -1) {
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
        case 'm':
            settings.memory_bytes = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 'u':
            settings.upload_bytes = strtoull(optarg, NULL, 10);
            break;
        case 'U':
            settings.file = optarg;
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
    bool many = settings.workers > 0 || settings.at_once > 1;
    if (optind != argc - 1 || (settings.idle && settings.workers > 0) ||
        ((settings.upload_bytes > 0 || settings.memory_bytes > 0) && many) ||
        (settings.memory_bytes > 0 && settings.idle) ||
        (settings.file != NULL && settings.upload_bytes == 0)) {
        return usage();
    }
    settings.url = argv[optind];
    load.upload_bytes = settings.upload_bytes;
    load.looks_back = (settings.fresh && settings.ca_file != NULL) || settings.memory_bytes > 0;
    create_client(&load, &settings);
    create_lanes(&load, &settings);
    if (settings.idle) {
        measure_idle(&load, &settings);
    } else {
        measure_load(&load, &settings);
    }
    int failed = failures(&load) != 0;
    destroy_lanes(&load);
    aioduct_client_destroy(load.client);
    return failed;
}
