/* SPDX-License-Identifier: MIT */
/* HTTP/2 against nginx, over TLS by ALPN and on clear text by prior knowledge. */
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES (8u << 20)
#define MANY 100

static const char *url_of(const struct tester *t, const char *path)
{
    return nginx_url(suite_nginx(), t->tls ? NGINX_TLS_HTTP2 : NGINX_HTTP2, NULL, path);
}

/* A client that speaks HTTP/2 either way. */
static void client(struct tester *t)
{
    t->options.version = t->tls ? AIODUCT_HTTP_AUTO : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    tester_client(t);
}

static struct result *hashed(struct tester *t)
{
    struct result *r = tester_result(t);
    r->hash_body = true;
    return r;
}

static void assert_h2(const struct result *r, int status)
{
    assert_answer(r, status);
    assert_string_equal(r->protocol, "h2");
    assert_int_equal(r->version, 20);
}

static void test_get(void **state)
{
    struct tester *t = *state;
    char hex[65];
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-small", 1000, hex));
    for (int i = 0; i < 3; i++) {
        struct result *r = hashed(t);
        tester_perform_into(t, tester_request(t, "GET", url_of(t, "/h2-small")), r);
        assert_h2(r, 200);
        assert_string_equal(r->sha256, hex);
        assert_int_equal(r->info.reused, i > 0);
        assert_string_equal(r->order, "HBD");
        assert_true(r->info.sent_bytes > 9);
        assert_true(r->info.received_bytes > 1000);
    }
}

static void test_many_at_once(void **state)
{
    struct tester *t = *state;
    struct result *results[MANY];
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    char hex[65];
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-many", 100000, hex));
    struct aioduct_request *request = tester_request(t, "GET", url_of(t, "/h2-many"));
    for (int i = 0; i < MANY; i++) {
        results[i] = hashed(t);
        tester_submit_into(t, request, results[i]);
    }
    tester_run(t);
    for (int i = 0; i < MANY; i++) {
        assert_h2(results[i], 200);
        assert_string_equal(results[i]->sha256, hex);
        assert_int_equal(results[i]->info.connection, results[0]->info.connection);
    }
    assert_code(0, aioduct_client_stats(t->client, &stats));
    assert_int_equal(stats.dials, 1);
}

static void test_large(void **state)
{
    struct tester *t = *state;
    char hex[65];
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-large", LARGE_BYTES, hex));
    struct result *results[4];
    for (int i = 0; i < 4; i++) {
        results[i] = hashed(t);
        tester_submit_into(t, tester_request(t, "GET", url_of(t, "/h2-large")), results[i]);
    }
    tester_run(t);
    for (int i = 0; i < 4; i++) {
        assert_h2(results[i], 200);
        assert_string_equal(results[i]->sha256, hex);
    }
}

static void test_head_and_statuses(void **state)
{
    struct tester *t = *state;
    char hex[65];
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-head", 5000, hex));
    struct result *r = tester_perform(t, tester_request(t, "HEAD", url_of(t, "/h2-head")));
    assert_h2(r, 200);
    assert_header(r, "Content-Length", "5000");
    assert_int_equal(r->body_bytes, 0);
    assert_h2(tester_get(t, url_of(t, "/status/204")), 204);
    assert_h2(tester_get(t, url_of(t, "/status/304")), 304);
    assert_h2(tester_get(t, url_of(t, "/nowhere")), 404);
    assert_h2(tester_get(t, url_of(t, "/status/500")), 500);
}

static void test_fields(void **state)
{
    struct tester *t = *state;
    client(t);
    struct aioduct_request *request = tester_request(t, "GET", url_of(t, "/echo"));
    assert_code(0, aioduct_request_header_add(request, "X-Test", "One"));
    assert_code(0, aioduct_request_header_add(request, "Authorization", "Basic eDp5"));
    assert_code(0, aioduct_request_header_add(request, "Connection", "keep-alive"));
    assert_code(0, aioduct_request_header_add(request, "Keep-Alive", "timeout=5"));
    assert_code(0, aioduct_request_header_add(request, "TE", "gzip"));
    struct result *r = tester_perform(t, request);
    assert_h2(r, 200);
    char *host = test_format("host=localhost:%d\n",
                             nginx_port(suite_nginx(), t->tls ? NGINX_TLS_HTTP2 : NGINX_HTTP2));
    assert_non_null(strstr(r->body, host));
    free(host);
    assert_non_null(strstr(r->body, "GET /echo HTTP/2.0\n"));
    assert_non_null(strstr(r->body, "user-agent=aioduct/"));
    assert_non_null(strstr(r->body, "accept=*/*\n"));
    assert_non_null(strstr(r->body, "authorization=Basic eDp5\n"));
    assert_non_null(strstr(r->body, "x-test=One\n"));
    assert_non_null(strstr(r->body, "connection=\n"));
}

/* ---- uploads ---- */

static void assert_uploaded(struct tester *t, const char *name, uint64_t bytes)
{
    char *path = test_format("%s/upload/%s", nginx_dir(suite_nginx()), name);
    char *found = tester_alloc(t, bytes + 1);
    FILE *file = fopen(path, "rb");
    free(path);
    assert_non_null(file);
    size_t count = fread(found, 1, bytes + 1, file);
    fclose(file);
    assert_source_bytes(found, count, bytes);
}

static void test_put_memory(void **state)
{
    struct tester *t = *state;
    client(t);
    char *body = tester_alloc(t, LARGE_BYTES);
    test_fill(body, LARGE_BYTES, 0);
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, "/upload/h2-memory"));
    assert_code(0, aioduct_request_body_borrow(request, body, LARGE_BYTES));
    struct result *r = tester_perform(t, request);
    assert_true(r->status == 201 || r->status == 204);
    assert_h2(r, r->status);
    assert_int_equal(r->info.upload_bytes, LARGE_BYTES);
    assert_uploaded(t, "h2-memory", LARGE_BYTES);
}

static void put_pull(struct tester *t, const char *name, int64_t length)
{
    char path[64];
    snprintf(path, sizeof path, "/upload/%s", name);
    struct source *source = source_new(t, 3000000);
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, path));
    source_attach(request, source, length, true);
    struct result *r = tester_perform(t, request);
    assert_true(r->status == 201 || r->status == 204);
    assert_h2(r, r->status);
    assert_int_equal(source->finished, 1);
    assert_uploaded(t, name, 3000000);
}

static void test_put_pull(void **state)
{
    struct tester *t = *state;
    client(t);
    put_pull(t, "h2-known", 3000000);
    put_pull(t, "h2-unknown", AIODUCT_LENGTH_UNKNOWN);
}

static void test_put_wait(void **state)
{
    struct tester *t = *state;
    client(t);
    struct source *source = source_new(t, 200000);
    source->wait_at = 70000;
    source->piecewise = true;
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, "/upload/h2-wait"));
    source_attach(request, source, AIODUCT_LENGTH_UNKNOWN, true);
    struct result *r = tester_submit(t, request);
    tester_turn_until(t, source_has_waited, source);
    /* Others are not kept from going on. */
    assert_h2(tester_get(t, url_of(t, "/status/204")), 204);
    int reads = source->reads;
    tester_turn(t, 20);
    assert_int_equal(source->reads, reads); /* nobody asks in vain */
    assert_code(0, aioduct_exchange_body_ready(r->exchange));
    tester_run(t);
    assert_true(r->status == 201 || r->status == 204);
    assert_uploaded(t, "h2-wait", 200000);
}

static void test_source_fails(void **state)
{
    struct tester *t = *state;
    client(t);
    struct source *source = source_new(t, 3000000);
    source->fail_at = 3;
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, "/upload/h2-fails"));
    source_attach(request, source, 3000000, true);
    assert_error(tester_perform(t, request), AIODUCT_E_BODY_SOURCE, AIODUCT_PHASE_SEND);
    struct source *longer = source_new(t, 1001);
    request = tester_request(t, "PUT", url_of(t, "/upload/h2-longer"));
    source_attach(request, longer, 1000, true);
    assert_error(tester_perform(t, request), AIODUCT_E_BODY_LENGTH, AIODUCT_PHASE_SEND);
    struct source *shorter = source_new(t, 999);
    request = tester_request(t, "PUT", url_of(t, "/upload/h2-shorter"));
    source_attach(request, shorter, 1000, true);
    assert_error(tester_perform(t, request), AIODUCT_E_BODY_LENGTH, AIODUCT_PHASE_SEND);
    struct result *r = tester_get(t, url_of(t, "/status/204"));
    assert_h2(r, 204);
    assert_int_equal(r->info.reused, 0); /* none of them has had a whole answer */
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    assert_code(0, aioduct_client_stats(t->client, &stats));
    assert_int_equal(stats.dials, 1);
}

static void test_expect(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = 50;
    client(t);
    struct aioduct_request *request = tester_request(t, "PUT", url_of(t, "/upload/h2-expect"));
    assert_code(0, aioduct_request_header_add(request, "Expect", "100-continue"));
    struct source *source = source_new(t, 30000);
    source_attach(request, source, 30000, true);
    struct result *r = tester_perform(t, request); /* nginx sends no 100 over HTTP/2 */
    assert_true(r->status == 201 || r->status == 204);
    assert_uploaded(t, "h2-expect", 30000);
}

/* ---- pace ---- */

static bool has_body(void *user)
{
    return result_told_bytes(user) > 0;
}

static void test_cancel(void **state)
{
    struct tester *t = *state;
    char hex[65];
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-cancel", 20u << 20, hex));
    struct result *first = tester_result(t);
    first->hold_body = true; /* more than the window cannot have come, however late the cancel is */
    tester_submit_into(t, tester_request(t, "GET", url_of(t, "/h2-cancel")), first);
    tester_turn_until(t, has_body, first);
    assert_code(0, aioduct_exchange_cancel(first->exchange));
    tester_run(t);
    assert_error(first, -ECANCELED, AIODUCT_PHASE_BODY);
    assert_int_equal(first->error.partial, 1);
    struct result *second = tester_get(t, url_of(t, "/status/204"));
    assert_h2(second, 204);
    assert_int_equal(second->info.connection, first->info.connection);
}

static bool is_full(void *user)
{
    return result_told_bytes(user) >= 65536;
}

/* C37: those who hold back do not hold back the others. */
static void test_paused_beside_running(void **state)
{
    struct tester *t = *state;
    struct result *paused[31];
    char hex[65];
    t->options.window_bytes = 65536;
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-pace", 400000, hex));
    struct aioduct_request *request = tester_request(t, "GET", url_of(t, "/h2-pace"));
    for (int i = 0; i < 31; i++) {
        paused[i] = hashed(t);
        paused[i]->hold_body = true;
        tester_submit_into(t, request, paused[i]);
    }
    for (int i = 0; i < 31; i++) {
        tester_turn_until(t, is_full, paused[i]);
    }
    struct result *free_one = hashed(t);
    tester_perform_into(t, request, free_one);
    assert_h2(free_one, 200);
    assert_string_equal(free_one->sha256, hex);
    for (int i = 0; i < 31; i++) {
        assert_int_equal(paused[i]->body_bytes, 65536);
        assert_int_equal(paused[i]->done_count, 0);
        paused[i]->hold_body = false;
        assert_code(0, aioduct_exchange_release(paused[i]->exchange, 65536));
    }
    tester_run(t);
    for (int i = 0; i < 31; i++) {
        assert_h2(paused[i], 200);
        assert_string_equal(paused[i]->sha256, hex);
    }
}

/* Releases byte by byte below the limit must reach the server too. */
static void test_release_in_pieces(void **state)
{
    struct tester *t = *state;
    char hex[65];
    uint64_t released = 0;
    t->options.window_bytes = 65536;
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-pieces", 500000, hex));
    struct result *r = hashed(t);
    r->hold_body = true;
    r->pause_at = 'B'; /* the exchange is there until the last byte is released */
    r->pause_at_bytes = 500000;
    tester_submit_into(t, tester_request(t, "GET", url_of(t, "/h2-pieces")), r);
    while (released < 500000) {
        uint64_t bytes = result_told_bytes(r);
        while (released < bytes) {
            uint64_t piece = bytes - released < 1000 ? bytes - released : 1000;
            assert_code(0, aioduct_exchange_release(r->exchange, piece));
            released += piece;
            if (released % 7 == 0) {
                break;
            }
        }
        tester_turn(t, 5);
    }
    tester_turn_until(t, result_is_paused, r);
    assert_code(0, aioduct_exchange_resume(r->exchange));
    tester_run(t);
    assert_h2(r, 200);
    assert_string_equal(r->sha256, hex);
}

static void test_pause(void **state)
{
    struct tester *t = *state;
    char hex[65];
    client(t);
    assert_code(0, nginx_add_file(suite_nginx(), "h2-pause", 3000000, hex));
    struct result *r = hashed(t);
    r->pause_at = 'B';
    tester_submit_into(t, tester_request(t, "GET", url_of(t, "/h2-pause")), r);
    tester_turn_until(t, result_is_paused, r);
    uint64_t seen = result_told_bytes(r);
    for (int i = 0; i < 20; i++) {
        tester_turn(t, 10);
    }
    assert_int_equal(result_told_bytes(r), seen);
    assert_true(seen < 3000000);
    assert_code(0, aioduct_exchange_resume(r->exchange));
    tester_run(t);
    assert_h2(r, 200);
    assert_string_equal(r->sha256, hex);
}

/* ---- versions ---- */

static void test_alpn_choice(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_get(t, nginx_url(suite_nginx(), NGINX_TLS, NULL, "/echo"));
    assert_answer(r, 200);
    assert_string_equal(r->protocol, "http/1.1");
    struct aioduct_request *request =
        tester_request(t, "GET", nginx_url(suite_nginx(), NGINX_TLS_HTTP2, NULL, "/echo"));
    assert_code(0, aioduct_request_version(request, AIODUCT_HTTP_1_1));
    r = tester_perform(t, request);
    assert_answer(r, 200);
    assert_string_equal(r->protocol, "http/1.1");
    request = tester_request(t, "GET", nginx_url(suite_nginx(), NGINX_TLS, NULL, "/echo"));
    assert_code(0, aioduct_request_version(request, AIODUCT_HTTP_2));
    r = tester_perform(t, request);
    assert_true(r->code == AIODUCT_E_PROTOCOL || r->code == AIODUCT_E_TLS);
    assert_int_equal(r->error.phase, AIODUCT_PHASE_TLS);
}

static void test_not_h2(void **state)
{
    struct tester *t = *state;
    t->options.version = AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    tester_client(t);
    struct result *r = tester_get(t, nginx_url(suite_nginx(), NGINX_PLAIN, NULL, "/echo"));
    assert_int_equal(r->code, AIODUCT_E_PROTOCOL);
    assert_non_null(strstr(r->error.message, "HTTP/1"));
}

/* ---- what is told ---- */

static void test_request_head(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "tester/1";
    client(t);
    struct aioduct_request *request = tester_request(t, "GET", url_of(t, "/echo?a=b"));
    assert_code(0, aioduct_request_header_add(request, "X-Mixed", "Case"));
    struct aioduct_response *response = NULL;
    struct aioduct_error error = {0};
    int code = aioduct_client_fetch(t->client, request, &response, &error);
    const struct aioduct_exchange_info *info =
        response != NULL ? aioduct_response_info(response) : NULL;
    char *got = info != NULL ? strndup(info->request_head, info->request_head_bytes) : NULL;
    aioduct_response_destroy(response);
    assert_code(0, code);
    assert_non_null(got);
    const char *authority = strstr(got, ":authority: ");
    int port = authority == NULL ? 0 : atoi(authority + strlen(":authority: localhost:"));
    char *wanted = test_format(":method: GET\r\n:scheme: %s\r\n:authority: localhost:%d\r\n"
                               ":path: /echo?a=b\r\naccept: */*\r\nx-mixed: Case\r\n"
                               "user-agent: tester/1\r\n\r\n",
                               t->tls ? "https" : "http", port);
    if (strcmp(got, wanted) != 0) {
        print_message("got:\n%s", got);
    }
    int same = strcmp(got, wanted);
    free(wanted);
    free(got);
    assert_int_equal(same, 0);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("a file comes over HTTP/2, and again on the same connection", test_get),
        HTTP_CASES("a hundred requests share one connection", test_many_at_once),
        HTTP_CASES("large files come side by side", test_large),
        HTTP_CASES("C2: HEAD and statuses without a body", test_head_and_statuses),
        HTTP_CASES("C47: fields of a request", test_fields),
        HTTP_CASES("C47: the head is told as it was sent", test_request_head),
        HTTP_CASES("a body from memory goes up", test_put_memory),
        HTTP_CASES("a body from a callback goes up, with and without a length", test_put_pull),
        HTTP_CASES("a body whose source waits is not asked in vain", test_put_wait),
        HTTP_CASES("C20: a body source that fails or lies costs its stream alone",
                   test_source_fails),
        HTTP_CASES("C21: a body that no 100 comes for goes after a while", test_expect),
        HTTP_CASES("a cancelled download leaves the connection to others", test_cancel),
        HTTP_CASES("C37: paused bodies do not hold back the others", test_paused_beside_running),
        HTTP_CASES("bytes released in pieces let the body go on", test_release_in_pieces),
        HTTP_CASES("a paused body stands still, and goes on", test_pause),
        HTTPS_CASE("ALPN decides, within what was asked for", test_alpn_choice),
        HTTP_CASE("C53: prior knowledge that is wrong is an error", test_not_h2),
    };
    return TAP_RUN(cases, suite_begin_nginx, suite_end);
}
