/* SPDX-License-Identifier: MIT */
#include "uring_rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct rig_variant rig_variants[] = {
    {"everything that the kernel has", {{NULL, NULL}}},
    {"no multishot", {{"without", "multishot"}, {NULL, NULL}}},
    {"no buffer ring", {{"without", "buffer_ring"}, {NULL, NULL}}},
    {"neither multishot nor buffer ring", {{"without", "multishot,buffer_ring"}, {NULL, NULL}}},
    {"no deferred task work", {{"without", "defer_taskrun"}, {NULL, NULL}}},
    {"a plain ring", {{"without", "defer_taskrun,coop_taskrun"}, {NULL, NULL}}},
    {"no limit of a run", {{"without", "run_limit"}, {NULL, NULL}}},
    {"four small buffers",
     {{"entries", "16"}, {"buffers", "4"}, {"buffer_bytes", "1024"}, {NULL, NULL}}},
    {"four small buffers without a ring",
     {{"entries", "16"},
      {"buffers", "4"},
      {"buffer_bytes", "1024"},
      {"without", "buffer_ring"},
      {NULL, NULL}}},
};
const unsigned rig_variant_count = sizeof rig_variants / sizeof rig_variants[0];

void rig_variant_case(struct CMUnitTest *out, char *title, const struct CMUnitTest *test,
                      const char *name, unsigned v, CMFixtureFunction setup,
                      CMFixtureFunction teardown)
{
    snprintf(title, RIG_TITLE_BYTES, "%s (%s)", name, rig_variants[v].name);
    *out = (struct CMUnitTest){title, test->test_func, setup, teardown,
                               (void *)(uintptr_t)&rig_variants[v]};
}

/* ---- the host ---- */

static void *host_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    struct rig *rig = ctx;
    assert_true(align <= _Alignof(max_align_t));
    if (bytes == 0) {
        rig->blocks -= old != NULL;
        free(old);
        return NULL;
    }
    if (rig->allocs_left > 0 && --rig->allocs_left == 0) {
        return NULL;
    }
    rig->blocks += old == NULL;
    return realloc(old, bytes);
}

static void host_log(void *ctx, int level, const char *message)
{
    (void)ctx, (void)level, (void)message;
}

static void host_error(void *ctx, int code, const char *message)
{
    struct rig *rig = ctx;
    assert_true(code < 0);
    snprintf(rig->error, sizeof rig->error, "%s", message);
}

static const char *host_option(void *ctx, const char *key)
{
    const struct rig *rig = ctx;
    for (const struct rig_option *o = rig->options; o != NULL && o->key != NULL; o++) {
        if (strcmp(o->key, key) == 0) {
            return o->value;
        }
    }
    return NULL;
}

static int host_task_run(void *ctx, struct aioduct_task *task)
{
    (void)ctx;
    task->runs++;
    return task->run == NULL ? 0 : task->run(task);
}

static void host_timer_fired(void *ctx, struct aioduct_timer *timer)
{
    (void)ctx;
    timer->fired++;
    timer->fired_ns = ad_uring_now_ns(timer->rig->u);
}

static void host_turn_end(void *ctx)
{
    struct rig *rig = ctx;
    rig->turn_ends++;
    if (rig->at_turn_end != NULL) {
        rig->at_turn_end(rig);
    }
}

static void host_on_data(void *ctx, struct aioduct_stream *s, const void *slice, size_t bytes)
{
    (void)ctx;
    assert_true(bytes > 0);
    assert_int_equal(s->closed, 0);
    if (s->bytes + bytes > s->capacity) {
        s->capacity = (s->bytes + bytes) * 2;
        s->data = realloc(s->data, s->capacity);
        assert_non_null(s->data);
    }
    memcpy(s->data + s->bytes, slice, bytes);
    s->bytes += bytes;
    s->slices++;
    s->slice_max = bytes > s->slice_max ? bytes : s->slice_max;
    if (s->on_data != NULL) {
        s->on_data(s);
    }
}

static void host_on_done(void *ctx, struct aioduct_stream *s, int op, int code, size_t bytes)
{
    (void)ctx;
    assert_int_equal(s->closed, 0);
    s->done[op].count++;
    s->done[op].code = code;
    s->done[op].bytes = bytes;
    if (s->on_done != NULL) {
        s->on_done(s, op);
    }
}

static void host_on_closed(void *ctx, struct aioduct_stream *s)
{
    (void)ctx;
    s->closed++;
    free(s->state); /* the plugin must not look at it again */
    s->state = NULL;
}

/* ---- life ---- */

int rig_open(struct rig *rig, const struct rig_option *options)
{
    memset(rig, 0, sizeof *rig);
    rig->host = (struct aioduct_host){.size = sizeof rig->host,
                                      .abi_major = AIODUCT_ABI_MAJOR,
                                      .abi_minor = AIODUCT_ABI_MINOR,
                                      .ctx = rig,
                                      .alloc = host_alloc,
                                      .log = host_log,
                                      .error = host_error,
                                      .option = host_option,
                                      .task_run = host_task_run,
                                      .timer_fired = host_timer_fired,
                                      .turn_end = host_turn_end,
                                      .on_data = host_on_data,
                                      .on_done = host_on_done,
                                      .on_closed = host_on_closed};
    rig->options = options;
    rig->listener = -1;
    rig->u = aligned_alloc(64, (sizeof *rig->u + 63) / 64 * 64);
    assert_non_null(rig->u);
    memset(rig->u, 0, sizeof *rig->u);
    int code = ad_uring_open(rig->u, &rig->host, NULL);
    rig->cx.u = rig->u;
    if (code < 0) {
        free(rig->u);
        assert_int_equal(rig->blocks, 0);
    }
    return code;
}

void rig_close(struct rig *rig)
{
    ad_uring_close(rig->u);
    free(rig->u);
    if (rig->listener >= 0) {
        close(rig->listener);
    }
    assert_int_equal(rig->blocks, 0);
}

static uint64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void rig_turns_until(struct rig *rig, bool (*done)(void *arg), void *arg)
{
    uint64_t end_ns = clock_ns() + 30000000000u;
    while (!done(arg)) {
        assert_true(clock_ns() < end_ns);
        assert_int_equal(ad_uring_turn(rig->u, 100000000), 0);
    }
}

/* ---- streams ---- */

static void listen_once(struct rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    if (rig->listener >= 0) {
        return;
    }
    rig->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rig->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(rig->listener, 128), 0);
    assert_int_equal(getsockname(rig->listener, (struct sockaddr *)&address, &bytes), 0);
    rig->port = ntohs(address.sin_port);
}

void rig_stream_init(struct rig *rig, struct aioduct_stream *s)
{
    memset(s, 0, sizeof *s);
    s->rig = rig;
    s->peer = -1;
    s->state = aligned_alloc(16, (sizeof *s->state + 15) / 16 * 16);
    assert_non_null(s->state);
    memset(s->state, 0, sizeof *s->state);
}

int rig_dial(struct rig *rig, struct aioduct_stream *s, const struct aioduct_socket_config *extra)
{
    struct aioduct_socket_config config = {.size = sizeof config};
    if (extra != NULL) {
        config = *extra;
    }
    listen_once(rig);
    rig_stream_init(rig, s);
    if (config.host == NULL) {
        config.host = "127.0.0.1";
        config.port = rig->port;
    }
    return ad_uring_connect(&rig->cx, s, s->state, &config);
}

struct done_wait {
    struct aioduct_stream *s;
    int op;
};

static bool is_done(void *arg)
{
    struct done_wait *wait = arg;
    return wait->s->done[wait->op].count > 0;
}

void rig_wait_done(struct aioduct_stream *s, int op)
{
    struct done_wait wait = {s, op};
    rig_turns_until(s->rig, is_done, &wait);
}

void rig_connect(struct rig *rig, struct aioduct_stream *s)
{
    assert_int_equal(rig_dial(rig, s, NULL), AIODUCT_PENDING);
    rig_wait_done(s, AIODUCT_OP_CONNECT);
    assert_int_equal(s->done[AIODUCT_OP_CONNECT].code, 0);
    s->peer = accept(rig->listener, NULL, NULL);
    assert_true(s->peer >= 0);
}

struct bytes_wait {
    struct aioduct_stream *s;
    size_t bytes;
};

static bool has_bytes(void *arg)
{
    struct bytes_wait *wait = arg;
    return wait->s->bytes >= wait->bytes;
}

void rig_wait_bytes(struct aioduct_stream *s, size_t bytes)
{
    struct bytes_wait wait = {s, bytes};
    rig_turns_until(s->rig, has_bytes, &wait);
}

static bool is_closed(void *arg)
{
    return ((struct aioduct_stream *)arg)->closed > 0;
}

void rig_wait_closed(struct aioduct_stream *s)
{
    rig_turns_until(s->rig, is_closed, s);
}

void rig_disconnect(struct aioduct_stream *s)
{
    if (s->closed == 0) {
        ad_uring_stream_close(s->state); /* a second time does nothing */
        rig_wait_closed(s);
    }
    assert_int_equal(s->closed, 1);
    if (s->peer >= 0) {
        close(s->peer);
    }
    free(s->data);
}

/* ---- the process ---- */

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

unsigned rig_count_fds(void)
{
    return count_entries("/proc/self/fd");
}

unsigned rig_count_threads(void)
{
    return count_entries("/proc/self/task");
}

void rig_count_mappings(unsigned *out_all, unsigned *out_rings)
{
    char line[512];
    FILE *file = fopen("/proc/self/maps", "re");
    assert_non_null(file);
    *out_all = *out_rings = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        *out_all += 1;
        *out_rings += strstr(line, "[io_uring]") != NULL;
    }
    fclose(file);
}

int rig_require_uring(void **state)
{
    struct aioduct_probe probe = {.size = sizeof probe};
    (void)state;
    ad_uring_probe(NULL, &probe);
    if (probe.code == 0) {
        return 0;
    }
    const char *must = getenv("AIODUCT_REQUIRE");
    if (must != NULL && strstr(must, "uring") != NULL) {
        printf("Bail out! %s (%s)\n", probe.reason, probe.hint);
        return -1;
    }
    return tap_skip_all("%s (%s)", probe.reason, probe.hint);
}
