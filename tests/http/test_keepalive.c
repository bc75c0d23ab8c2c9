/* SPDX-License-Identifier: MIT */
/* Long use of a real server: ten thousand requests on one connection, a server that ends
 * connections as it likes, and one that is killed. */
#include "tester.h"

#include <stdio.h>
#include <string.h>

static int begin(void **state)
{
    int code = suite_begin_nginx(state);
    if (code == 0 && suite_nginx() != NULL) {
        code = nginx_add_file(suite_nginx(), "small", 100, NULL);
    }
    return code;
}

struct count {
    int heads, done, failed;
    int fresh; /* came on a connection that had not served before */
    uint64_t bytes;
};

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct count *count = user;
    (void)exchange;
    count->heads += head->status == 200;
    return 0;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t bytes_count,
                   void *user)
{
    struct count *count = user;
    (void)exchange;
    (void)bytes;
    count->bytes += bytes_count;
    return 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct count *count = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    aioduct_exchange_info(exchange, &info);
    count->fresh += !info.reused;
    count->done++;
    count->failed += error->code != 0;
}

static const struct aioduct_callbacks counting = {
    .size = sizeof(struct aioduct_callbacks),
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

/* -> connections that were made for it */
static int perform_many(struct tester *t, struct aioduct_request *request, int many)
{
    struct count count = {0};
    for (int i = 0; i < many; i++) {
        int code = aioduct_client_perform(t->client, request, &counting, &count, NULL);
        if (code != 0) {
            tap_fail("request %d: %s", i, aioduct_error_name(code));
        }
    }
    assert_int_equal(count.heads, many);
    assert_int_equal(count.done, many);
    assert_int_equal(count.bytes, (uint64_t)many * 100);
    return count.fresh;
}

#define MANY 10000

static void test_ten_thousand(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/small"));
    assert_int_equal(perform_many(t, request, 1000), 1); /* pools and arenas have their size now */
    size_t resident = test_resident_bytes();
    int descriptors = test_descriptor_count(), threads = test_thread_count();
    assert_int_equal(perform_many(t, request, MANY - 1000), 0);
    size_t grown = test_resident_bytes();
    assert_int_equal(test_descriptor_count(), descriptors);
    assert_int_equal(test_thread_count(), threads);
    /* Pages of code that runs for the first time count too; 29 bytes a request would show. */
    if (!test_is_slow_build() && grown > resident + 262144) {
        tap_fail("resident memory grew by %zu bytes", grown - resident);
    }
    /* The server counts the requests of this connection; a count of connections would take in the
     * strangers that other tests' closed ports bring. */
    struct result *last = tester_perform(t, request);
    char value[64];
    long serial, requests;
    assert_true(result_header(last, "X-Connection", value, sizeof value));
    assert_int_equal(sscanf(value, "%ld %ld", &serial, &requests), 2);
    assert_int_equal(requests, MANY + 1);
}

/* The server closes after every third request, some of them with the answer, without a word. */
static void test_server_closes(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    enum nginx_listener listener = t->tls ? NGINX_TLS_SHORT : NGINX_SHORT;
    struct aioduct_request *request =
        tester_request(t, "GET", nginx_url(t->nginx, listener, NULL, "/small"));
    assert_int_equal(perform_many(t, request, 300), 100);
}

static void test_server_closes_many_at_once(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    enum nginx_listener listener = t->tls ? NGINX_TLS_SHORT : NGINX_SHORT;
    struct aioduct_request *request =
        tester_request(t, "GET", nginx_url(t->nginx, listener, NULL, "/small"));
    struct count *count = tester_alloc(t, sizeof *count);
    for (int i = 0; i < 300; i++) {
        assert_code(0, aioduct_client_submit(t->client, request, &counting, count, NULL));
    }
    tester_run(t);
    assert_int_equal(count->done, 300);
    assert_int_equal(count->failed, 0);
    assert_int_equal(count->heads, 300);
}

/* nginx ends idle connections after one second; nobody drives the client meanwhile, so that it
 * finds the end of its connection only with the next request. */
static void test_idle_end_unseen(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    const char *url = nginx_url(t->nginx, NGINX_BRIEF, NULL, "/small");
    assert_answer(tester_get(t, url), 200);
    test_pause_ms(1300); /* silence is what is tested */
    struct result *r = tester_get(t, url);
    assert_answer(r, 200);
    assert_int_equal(r->info.reused, 0);
}

static void on_kill_in_body(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'B') {
        nginx_kill(r->tester->own_nginx);
    }
}

#define LARGE_BYTES (64u << 20)

static void test_killed(void **state)
{
    struct tester *t = *state;
    assert_code(0, nginx_start(&t->own_nginx));
    assert_code(0, nginx_add_file(t->own_nginx, "large", LARGE_BYTES, NULL));
    tester_client(t);
    struct result *r = tester_result(t);
    r->on_event = on_kill_in_body;
    tester_perform_into(t, tester_request(t, "GET", tester_url(t, "/large")), r);
    assert_true(r->code == AIODUCT_E_TRUNCATED || r->code == -ECONNRESET);
    assert_error(r, r->code, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.partial, 1);
    assert_string_equal(r->order, "HBD");
    assert_in_range(r->body_bytes, 1, LARGE_BYTES - 1);
    char expected[1000];
    test_fill(expected, sizeof expected, 0);
    assert_memory_equal(r->body, expected,
                        r->body_bytes < sizeof expected ? r->body_bytes : sizeof expected);
    /* Nobody listens there any more. */
    r = tester_get(t, tester_url(t, "/large"));
    assert_error(r, -ECONNREFUSED, AIODUCT_PHASE_CONNECT);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("ten thousand requests share one connection in flat memory", test_ten_thousand),
        HTTP_CASES("GET never fails on a server that ends connections", test_server_closes),
        HTTP_CASES("nor do three hundred at once", test_server_closes_many_at_once),
        HTTP_CASE("nor does one that finds its connection ended unseen", test_idle_end_unseen),
        HTTP_CASES("a server killed in mid-body leaves a truncated answer", test_killed),
    };
    return TAP_RUN(cases, begin, suite_end);
}
