/* SPDX-License-Identifier: MIT */
/* A thousand downloads at once whose consumers are slow: each is paused after every slice. What the
 * library keeps of them is bounded by windows, not by what the servers would like to send. */
#include "tester.h"

#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

#define FILE_BYTES (4u << 20)
#define WINDOW_BYTES 65536u
/* What is under way when a consumer pauses: one receive, or on a ring of a Linux before 6.17 a run
 * of 32, in a buffer that grew by doubling. */
#define SLICE_BYTES 262144u
#define RUN_BYTES (2u * 32u * 16384u)
/* Buffers of TLS, of the parser and of the runtime; heads, in the test too. */
#define CONNECTION_BYTES 65536u

enum { CLEAR_COUNT = 1000, TLS_COUNT = 250, ROUNDS = 4, WHOLE_COUNT = 16 };

static char file_hash[65];

static int begin_suite(void **state)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 4096) {
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur < 2 * CLEAR_COUNT) {
            return tap_skip_all("no more than %lu descriptors", (unsigned long)limit.rlim_cur);
        }
    }
    int code = suite_begin_nginx(state);
    return code != 0 || tap_is_skipped()
               ? code
               : nginx_add_file(suite_nginx(), "file", FILE_BYTES, file_hash);
}

struct crowd {
    struct result *results[CLEAR_COUNT];
    bool waits[CLEAR_COUNT]; /* for a slice, since it was resumed */
    unsigned waiting;
    bool flowing; /* nobody is paused any more */
};

struct place {
    struct crowd *crowd;
    unsigned index;
};

static void served(const struct place *place)
{
    struct crowd *crowd = place->crowd;
    crowd->waiting -= crowd->waits[place->index];
    crowd->waits[place->index] = false;
}

static void on_slice(struct result *r, struct aioduct_exchange *exchange, char event)
{
    const struct place *place = r->user;
    if (event == 'B' && !place->crowd->flowing) {
        aioduct_exchange_pause(exchange);
    }
    if (event == 'B' || event == 'D') {
        served(place);
    }
}

static bool all_served(void *user)
{
    return ((struct crowd *)user)->waiting == 0;
}

static void await_all(struct tester *t, struct crowd *crowd, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        crowd->waits[i] = crowd->results[i]->done_count == 0;
        crowd->waiting += crowd->waits[i];
    }
    tester_turn_until(t, all_served, crowd);
}

/* Not what is resident: how much of it the allocator keeps of blocks that were outgrown is another
 * thing in each run. */
static size_t in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static size_t grown(size_t before)
{
    size_t now = in_use();
    return now > before ? now - before : 0;
}

/* Of a stream of HTTP/2 nothing is under way but what its window lets through. */
static size_t under_way(const struct tester *t, bool http2)
{
    bool ring = strcmp(aioduct_client_runtime(t->client), "uring") == 0;
    return http2 ? 0 : ring ? RUN_BYTES : SLICE_BYTES;
}

static void assert_bounded(size_t bytes, unsigned count, size_t beside_window)
{
    size_t bound = count * (WINDOW_BYTES + beside_window + CONNECTION_BYTES);
    if (bytes > bound && !test_is_slow_build()) {
        tap_fail("%u paused downloads keep %zu bytes each, more than %zu", count, bytes / count,
                 bound / count);
    }
}

static void start_all(struct tester *t, struct crowd *crowd, unsigned count, const char *url)
{
    struct aioduct_request *request = tester_request(t, "GET", url);
    struct place *places = tester_alloc(t, count * sizeof *places);
    for (unsigned i = 0; i < count; i++) {
        places[i] = (struct place){crowd, i};
        struct result *r = crowd->results[i] = tester_result(t);
        r->hash_body = true;
        r->user = &places[i];
        r->on_event = on_slice;
        tester_submit_into(t, request, r);
    }
}

static bool some_are_done(void *user)
{
    const struct crowd *crowd = user;
    for (unsigned i = 0; i < WHOLE_COUNT; i++) {
        if (crowd->results[i]->done_count == 0) {
            return false;
        }
    }
    return true;
}

/* A few go on to their end beside all that stand still. */
static void finish_some(struct tester *t, struct crowd *crowd)
{
    crowd->flowing = true;
    for (unsigned i = 0; i < WHOLE_COUNT; i++) {
        assert_int_equal(crowd->results[i]->done_count, 0);
        aioduct_exchange_resume(crowd->results[i]->exchange);
    }
    tester_turn_until(t, some_are_done, crowd);
    for (unsigned i = 0; i < WHOLE_COUNT; i++) {
        assert_answer(crowd->results[i], 200);
        assert_string_equal(crowd->results[i]->sha256, file_hash);
    }
}

static void run_crowd(struct tester *t, int version)
{
    bool http2 = version > AIODUCT_HTTP_1_1;
    enum nginx_listener listener = !http2   ? tester_listener(t)
                                   : t->tls ? NGINX_TLS_HTTP2
                                            : NGINX_HTTP2;
    const char *url = nginx_url(t->nginx, listener, NULL, "/file");
    unsigned count = t->tls ? TLS_COUNT : CLEAR_COUNT;
    struct crowd *crowd = tester_alloc(t, sizeof *crowd);
    t->options.version = version;
    t->options.window_bytes = WINDOW_BYTES;
    t->options.h2_connections_per_origin_max = 16;
    t->options.connections_per_origin_max = (int)count;
    t->options.connect_timeout_ms = t->options.head_timeout_ms = 60000;
    tester_client(t);
    struct result *first = tester_perform(t, tester_request(t, "HEAD", url));
    assert_answer(first, 200);
    assert_string_equal(first->protocol, http2 ? "h2" : "http/1.1");

    size_t before = in_use(), peak = 0;
    start_all(t, crowd, count, url);
    for (int round = 0; round < ROUNDS; round++) {
        await_all(t, crowd, count);
        peak = grown(before) > peak ? grown(before) : peak;
        for (unsigned i = 0; i < count && round + 1 < ROUNDS; i++) {
            aioduct_exchange_resume(crowd->results[i]->exchange);
        }
    }
    print_message("%u paused downloads: %zu bytes each\n", count, peak / count);
    assert_bounded(peak, count, under_way(t, http2));

    finish_some(t, crowd);
    for (unsigned i = WHOLE_COUNT; i < count; i++) {
        assert_int_equal(crowd->results[i]->done_count, 0);
        aioduct_exchange_cancel(crowd->results[i]->exchange);
    }
    tester_run(t);
    for (unsigned i = WHOLE_COUNT; i < count; i++) {
        assert_code(-ECANCELED, crowd->results[i]->code);
    }
}

static void test_http1(void **state)
{
    run_crowd(*state, AIODUCT_HTTP_1_1);
}

static void test_http2(void **state)
{
    run_crowd(*state, AIODUCT_HTTP_2_PRIOR_KNOWLEDGE);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("paused downloads in a crowd keep no more than their windows", test_http1),
        HTTP_CASES("C37: paused streams in a crowd keep no more, and let others pass", test_http2),
    };
    return TAP_RUN(cases, begin_suite, suite_end);
}
