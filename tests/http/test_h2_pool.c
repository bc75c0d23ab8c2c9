/* SPDX-License-Identifier: MIT */
/* Many requests over few HTTP/2 connections: nghttpd, which takes as many at a time as it is told.
 */
#include "port.h"
#include "process.h"
#include "tester.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE_BYTES (4u << 20) /* of which a caller that holds lets a part come */

struct nghttpd {
    char dir[64];
    int port;
    pid_t pid;
};

static struct nghttpd server;
static bool running; /* until the next case starts another, or the suite ends */
static const char *program;

static void stop(void)
{
    static const char *const files[] = {"small", "large", "output"};
    char path[128];
    if (!running) {
        return;
    }
    process_stop(server.pid);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", server.dir, files[i]);
        unlink(path);
    }
    rmdir(server.dir);
    running = false;
}

static void write_file(const char *name, size_t bytes)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", server.dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    close(fd);
}

/* One that takes @streams at a time on each connection. */
static void start(struct tester *t, int streams)
{
    char port[8], max[8], root[80];
    stop();
    snprintf(server.dir, sizeof server.dir, "/tmp/aioduct-nghttpd-XXXXXX");
    assert_non_null(mkdtemp(server.dir));
    write_file("small", 100);
    write_file("large", LARGE_BYTES);
    int reserved = port_reserve(false, &server.port);
    assert_true(reserved >= 0);
    snprintf(port, sizeof port, "%d", server.port);
    snprintf(max, sizeof max, "%d", streams);
    snprintf(root, sizeof root, "--htdocs=%s", server.dir);
    char *const clear[] = {
        (char *)(uintptr_t)program, "-a", "127.0.0.1", "-m", max, root, "--no-tls", port, NULL};
    char *const tls[] = {(char *)(uintptr_t)program,
                         "-a",
                         "127.0.0.1",
                         "-m",
                         max,
                         root,
                         port,
                         (char *)(uintptr_t)test_cert("server.key"),
                         (char *)(uintptr_t)test_cert("server.pem"),
                         NULL};
    server.pid = process_start(server.dir, t->tls ? tls : clear);
    assert_true(server.pid > 0);
    running = true;
    assert_int_equal(process_wait_port(server.pid, server.port), 0);
    close(reserved);
}

static int begin(void **state)
{
    static const char *const places[] = {"/usr/sbin/nghttpd", "/usr/bin/nghttpd",
                                         "/usr/local/bin/nghttpd"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        program = program == NULL && access(places[i], X_OK) == 0 ? places[i] : program;
    }
    return suite_begin(state);
}

static int end(void **state)
{
    stop();
    return suite_end(state);
}

static void arrange(struct tester *t, int streams)
{
    if (program == NULL) {
        tap_skip("nghttpd is not installed (nghttp2-server)");
    }
    t->options.version = t->tls ? AIODUCT_HTTP_AUTO : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    start(t, streams);
    tester_client(t);
}

static const char *url_of(const struct tester *t, const char *path)
{
    static char urls[8][80];
    static unsigned next;
    char *url = urls[next++ % 8];
    snprintf(url, sizeof urls[0], "http%s://localhost:%d%s", t->tls ? "s" : "", server.port, path);
    return url;
}

static struct aioduct_client_stats stats_of(struct tester *t)
{
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    assert_code(0, aioduct_client_stats(t->client, &stats));
    return stats;
}

static void submit(struct tester *t, struct result **results, int count, const char *path)
{
    struct aioduct_request *request = tester_request(t, "GET", url_of(t, path));
    for (int i = 0; i < count; i++) {
        results[i] = tester_result(t);
        results[i]->hold_body = strcmp(path, "/large") == 0;
        tester_submit_into(t, request, results[i]);
    }
}

static void let_go(struct result **results, int count)
{
    for (int i = 0; i < count; i++) {
        results[i]->hold_body = false;
        if (results[i]->exchange != NULL) {
            assert_code(0, aioduct_exchange_release(results[i]->exchange, results[i]->body_bytes));
        }
    }
}

static void assert_h2(const struct result *r, uint64_t bytes)
{
    assert_answer(r, 200);
    assert_string_equal(r->protocol, "h2");
    assert_int_equal(r->body_bytes, bytes);
}

struct wanted {
    struct tester *t;
    uint64_t streams, waiters;
};

static bool has_come(void *user)
{
    const struct wanted *w = user;
    struct aioduct_client_stats s = stats_of(w->t);
    return s.h2_streams == w->streams && s.waiters == w->waiters && s.connections_opening == 0;
}

static void wait_for(struct tester *t, uint64_t streams, uint64_t waiters)
{
    struct wanted w = {t, streams, waiters};
    tester_turn_until(t, has_come, &w);
}

static void test_burst(void **state)
{
    struct tester *t = *state;
    struct result *results[100];
    arrange(t, 100);
    submit(t, results, 100, "/small");
    tester_run(t);
    for (int i = 0; i < 100; i++) {
        assert_h2(results[i], 100);
        assert_int_equal(results[i]->info.connection, results[0]->info.connection);
    }
    struct aioduct_client_stats s = stats_of(t);
    assert_int_equal(s.dials, 1);
    assert_int_equal(s.replays, 0);
    assert_int_equal(s.h2_streams, 0);
    assert_int_equal(s.connections_idle, 1);
}

/* The first connection finds out that there are five places, and the others know. */
static void test_full_opens_others(void **state)
{
    struct tester *t = *state;
    struct result *results[30];
    arrange(t, 5);
    submit(t, results, 30, "/large");
    wait_for(t, 20, 10);
    assert_int_equal(stats_of(t).connections_open, 4);
    assert_true(stats_of(t).replays <= 25);
    let_go(results, 30);
    tester_run(t);
    for (int i = 0; i < 30; i++) {
        assert_h2(results[i], LARGE_BYTES);
    }
    assert_int_equal(stats_of(t).dials, 4);
}

static void test_limit_of_connections(void **state)
{
    struct tester *t = *state;
    struct result *results[6];
    t->options.h2_connections_per_origin_max = 1;
    arrange(t, 2);
    submit(t, results, 6, "/large");
    wait_for(t, 2, 4);
    let_go(results, 6);
    tester_run(t);
    for (int i = 0; i < 6; i++) {
        assert_h2(results[i], LARGE_BYTES);
    }
    assert_int_equal(stats_of(t).dials, 1);
}

/* The others are given to the connection before it is known that one is the limit, or after: they
 * wait with a deadline either way. */
static void test_room_has_a_deadline(void **state)
{
    struct tester *t = *state;
    struct result *results[3];
    t->options.h2_connections_per_origin_max = 1;
    t->options.acquire_timeout_ms = 1000;
    arrange(t, 1);
    submit(t, results, 1, "/large");
    wait_for(t, 1, 0);
    submit(t, results + 1, 2, "/large");
    wait_for(t, 1, 2);
    aioduct_exchange_cancel(results[2]->exchange);
    wait_for(t, 1, 0);
    assert_error(results[1], AIODUCT_E_TIMEOUT, AIODUCT_PHASE_QUEUE);
    assert_int_equal(results[1]->error.safe_to_retry, 1);
    assert_code(-ECANCELED, results[2]->code);
    let_go(results, 1);
    tester_run(t);
    assert_h2(results[0], LARGE_BYTES);
}

/* Cancelled downloads free their places. */
static void test_cancelled_make_room(void **state)
{
    struct tester *t = *state;
    struct result *results[4];
    t->options.h2_connections_per_origin_max = 1;
    arrange(t, 2);
    submit(t, results, 2, "/large");
    wait_for(t, 2, 0);
    submit(t, results + 2, 2, "/small");
    aioduct_exchange_cancel(results[0]->exchange);
    aioduct_exchange_cancel(results[1]->exchange);
    tester_run(t);
    assert_h2(results[2], 100);
    assert_h2(results[3], 100);
    assert_int_equal(stats_of(t).dials, 1);
}

static void test_idle_end(void **state)
{
    struct tester *t = *state;
    struct result *results[5];
    t->options.idle_timeout_ms = 150;
    arrange(t, 100);
    submit(t, results, 5, "/small");
    tester_run(t);
    uint64_t start_ms = test_now_ms();
    wait_for(t, 0, 0);
    while (stats_of(t).connections_open > 0) {
        assert_true(aioduct_client_turn(t->client, 50) >= 0);
    }
    assert_in_range(test_now_ms() - start_ms, 100, 1150);
    assert_int_equal(stats_of(t).closed[AIODUCT_CLOSE_IDLE], 1);
}

static void test_workers(void **state)
{
    struct tester *t = *state;
    struct result *results[60];
    t->options.workers = 2;
    arrange(t, 100);
    submit(t, results, 60, "/small");
    while (aioduct_client_outstanding(t->client) > 0) {
        test_pause_ms(1);
    }
    for (int i = 0; i < 60; i++) {
        assert_h2(results[i], 100);
    }
    assert_in_range(stats_of(t).dials, 1, 2); /* one a loop at most */
}

static void test_drain(void **state)
{
    struct tester *t = *state;
    struct result *results[10];
    arrange(t, 100);
    submit(t, results, 10, "/small");
    assert_code(0, aioduct_client_drain(t->client, 10000));
    for (int i = 0; i < 10; i++) {
        assert_h2(results[i], 100);
    }
    assert_int_equal(stats_of(t).connections_idle, 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("C107: a burst to a new origin makes one dial", test_burst),
        HTTP_CASES("C107: a full connection opens others, four at most", test_full_opens_others),
        HTTP_CASES("C107: with one connection the rest queues", test_limit_of_connections),
        HTTP_CASES("C35: waiting for room has a deadline and can be cancelled",
                   test_room_has_a_deadline),
        HTTP_CASES("C35: cancelled requests make room", test_cancelled_make_room),
        HTTP_CASES("C108: an idle connection is closed at its limit", test_idle_end),
        HTTP_CASES("workers have one connection each at most for a burst", test_workers),
        HTTP_CASES("C122: drain lets exchanges end", test_drain),
    };
    return TAP_RUN(cases, begin, end);
}
