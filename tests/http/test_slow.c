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

static size_t grown(size_t before)
{
    size_t now = test_resident_bytes();
    return now > before ? now - before : 0;
}

static void assert_bounded(const struct tester *t, size_t bytes, unsigned count)
{
    bool ring = strcmp(aioduct_client_runtime(t->client), "uring") == 0;
    size_t under_way = ring ? RUN_BYTES : SLICE_BYTES;
    size_t bound = count * (WINDOW_BYTES + under_way + CONNECTION_BYTES);
    if (bytes > bound && !test_is_slow_build()) {
        tap_fail("%u paused downloads keep %zu bytes each, more than %zu", count, bytes / count,
                 bound / count);
    }
}

static void start_all(struct tester *t, struct crowd *crowd, unsigned count)
{
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/file"));
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

static void test_crowd(void **state)
{
    struct tester *t = *state;
    unsigned count = t->tls ? TLS_COUNT : CLEAR_COUNT;
    struct crowd *crowd = tester_alloc(t, sizeof *crowd);
    t->options.window_bytes = WINDOW_BYTES;
    t->options.connections_per_origin_max = (int)count;
    t->options.connect_timeout_ms = t->options.head_timeout_ms = 60000;
    tester_client(t);
    assert_answer(tester_perform(t, tester_request(t, "HEAD", tester_url(t, "/file"))), 200);

    malloc_trim(0); /* what the case before left to the allocator would hide growth */
    size_t before = test_resident_bytes(), peak = 0;
    start_all(t, crowd, count);
    for (int round = 0; round < ROUNDS; round++) {
        await_all(t, crowd, count);
        peak = grown(before) > peak ? grown(before) : peak;
        for (unsigned i = 0; i < count && round + 1 < ROUNDS; i++) {
            aioduct_exchange_resume(crowd->results[i]->exchange);
        }
    }
    print_message("%u paused downloads: %zu bytes each\n", count, peak / count);
    assert_bounded(t, peak, count);

    crowd->flowing = true;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(crowd->results[i]->done_count, 0);
        (i < WHOLE_COUNT ? aioduct_exchange_resume
                         : aioduct_exchange_cancel)(crowd->results[i]->exchange);
    }
    tester_run(t);
    for (unsigned i = 0; i < count; i++) {
        if (i < WHOLE_COUNT) {
            assert_answer(crowd->results[i], 200);
            assert_string_equal(crowd->results[i]->sha256, file_hash);
        } else {
            assert_code(-ECANCELED, crowd->results[i]->code);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("paused downloads in a crowd keep no more than their windows", test_crowd),
    };
    return TAP_RUN(cases, begin_suite, suite_end);
}
