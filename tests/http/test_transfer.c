/* SPDX-License-Identifier: MIT */
/* Ordinary requests to a real server: what anybody does with an HTTP client. */
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BYTES 100
#define MIDDLE_BYTES (1024u * 1024u)
#define LARGE_BYTES (64u * 1024u * 1024u)

static char middle_hash[65], large_hash[65];

static int begin(void **state)
{
    int code = suite_begin_nginx(state);
    struct nginx *nginx = suite_nginx();
    if (code == 0 && nginx != NULL) {
        code = nginx_add_file(nginx, "small", SMALL_BYTES, NULL) +
               nginx_add_file(nginx, "empty", 0, NULL) +
               nginx_add_file(nginx, "middle", MIDDLE_BYTES, middle_hash) +
               nginx_add_file(nginx, "large", LARGE_BYTES, large_hash);
    }
    return code;
}

static void assert_small(const struct result *r)
{
    char expected[SMALL_BYTES + 1] = "";
    test_fill(expected, SMALL_BYTES, 0);
    assert_answer(r, 200);
    assert_string_equal(r->body, expected);
}

static void test_get_small(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_get(t, tester_url(t, "/small"));
    assert_small(r);
    assert_int_equal(r->version, 11);
    assert_string_equal(r->reason, "OK");
    assert_header(r, "content-length", "100");
    assert_header(r, "No-Such-Field", NULL);
    assert_string_equal(r->order, "HBD");
    assert_string_equal(r->protocol, "http/1.1");
    assert_string_equal(r->peer_address, "127.0.0.1");
    assert_int_equal(r->info.peer_port, nginx_port(t->nginx, tester_listener(t)));
    assert_int_equal(r->info.reused, 0);
    assert_int_equal(r->info.body_bytes, SMALL_BYTES);
    const struct aioduct_timings *times = &r->info.timings;
    assert_true(times->connected_ns > 0);
    assert_true((times->secured_ns > 0) == t->tls);
    assert_true(times->sent_ns >= times->connected_ns);
    assert_true(times->first_byte_ns >= times->sent_ns);
    assert_true(times->head_ns >= times->first_byte_ns);
    assert_true(times->end_ns >= times->head_ns);
}

static void test_empty_file(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_get(t, tester_url(t, "/empty"));
    assert_answer(r, 200);
    assert_string_equal(r->order, "HD");
    assert_int_equal(r->body_bytes, 0);
}

static void test_head(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_perform(t, tester_request(t, "HEAD", tester_url(t, "/small")));
    assert_answer(r, 200);
    assert_header(r, "Content-Length", "100");
    assert_string_equal(r->order, "HD");
    r = tester_get(t, tester_url(t, "/small"));
    assert_small(r);
    assert_int_equal(r->info.reused, 1);
}

static void test_statuses(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    static const struct {
        const char *path;
        int status;
        const char *body;
    } rows[] = {
        {"/status/404", 404, "nothing here\n"}, {"/status/204", 204, ""},
        {"/status/500", 500, "broken\n"},       {"/status/304", 304, ""},
        {"/status/404", 404, "nothing here\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result *r = tester_get(t, tester_url(t, rows[i].path));
        assert_answer(r, rows[i].status);
        assert_string_equal(r->body, rows[i].body);
        assert_int_equal(r->info.reused, i > 0);
    }
}

static void test_conditional(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_get(t, tester_url(t, "/small"));
    char etag[64];
    assert_true(result_header(r, "ETag", etag, sizeof etag));
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/small"));
    assert_code(0, aioduct_request_header_set(request, "If-None-Match", etag));
    r = tester_perform(t, request);
    assert_answer(r, 304);
    assert_string_equal(r->order, "HD");
    assert_small(tester_get(t, tester_url(t, "/small")));
}

static void test_chunked(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_result(t);
    r->hash_body = true;
    tester_perform_into(t, tester_request(t, "GET", tester_url(t, "/chunked/middle")), r);
    assert_answer(r, 200);
    assert_header(r, "Transfer-Encoding", "chunked");
    assert_header(r, "Content-Length", NULL);
    assert_int_equal(r->body_bytes, MIDDLE_BYTES);
    assert_string_equal(r->sha256, middle_hash);
    r = tester_get(t, tester_url(t, "/small"));
    assert_small(r);
    assert_int_equal(r->info.reused, 1);
}

static void test_large(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_result(t);
    r->hash_body = true;
    tester_perform_into(t, tester_request(t, "GET", tester_url(t, "/large")), r);
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, LARGE_BYTES);
    assert_string_equal(r->sha256, large_hash);
}

static void test_request_head(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/echo?a=b%20c#part"));
    assert_code(0, aioduct_request_header_add(request, "X-Test", "one two"));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 200);
    char *expected = test_format("GET /echo?a=b%%20c HTTP/1.1\nhost=localhost:%d\n"
                                 "user-agent=aioduct/%s\naccept=*/*\nauthorization=\n"
                                 "x-test=one two\nconnection=\ncontent-length=\n"
                                 "transfer-encoding=\n",
                                 nginx_port(t->nginx, tester_listener(t)), aioduct_version());
    if (strcmp(r->body, expected) != 0) {
        print_message("got:\n%s", r->body);
    }
    int same = strcmp(r->body, expected);
    free(expected);
    assert_int_equal(same, 0);
}

static void test_header_changes(void **state)
{
    struct tester *t = *state;
    t->options.user_agent = "tester/1";
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/echo"));
    assert_code(0, aioduct_request_header_remove(request, "accept"));
    assert_code(0, aioduct_request_header_set(request, "X-TEST", "first"));
    assert_code(0, aioduct_request_header_set(request, "x-test", "second"));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 200);
    assert_non_null(strstr(r->body, "user-agent=tester/1\n"));
    assert_non_null(strstr(r->body, "accept=\n"));
    assert_non_null(strstr(r->body, "x-test=second\n"));

    request = tester_request(t, "GET", tester_url(t, "/echo"));
    assert_code(0, aioduct_request_header_remove(request, "User-Agent"));
    r = tester_perform(t, request);
    assert_non_null(strstr(r->body, "user-agent=\n"));
}

static void test_credentials(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    char *url = test_format("%s://user:pass%%20word@localhost:%d/echo", t->tls ? "https" : "http",
                            nginx_port(t->nginx, tester_listener(t)));
    struct aioduct_request *request = tester_request(t, "GET", url);
    free(url);
    assert_null(strstr(aioduct_request_url(request), "pass"));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 200);
    assert_non_null(strstr(r->body, "authorization=Basic dXNlcjpwYXNzIHdvcmQ=\n"));

    request = tester_request(t, "GET", tester_url(t, "/echo"));
    assert_code(-EINVAL, aioduct_request_basic_auth(request, "a:b", "c"));
    assert_code(0, aioduct_request_basic_auth(request, "Aladdin", "open sesame"));
    r = tester_perform(t, request);
    assert_non_null(strstr(r->body, "authorization=Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n"));
}

static void test_reuse(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    char first[64] = "";
    for (int i = 1; i <= 10; i++) {
        struct result *r = tester_get(t, tester_url(t, "/small"));
        assert_small(r);
        assert_int_equal(r->info.reused, i > 1);
        char value[64];
        assert_true(result_header(r, "X-Connection", value, sizeof value));
        long serial, requests;
        assert_int_equal(sscanf(value, "%ld %ld", &serial, &requests), 2);
        assert_int_equal(requests, i);
        char now[64];
        snprintf(now, sizeof now, "%ld", serial);
        if (i == 1) {
            memcpy(first, now, sizeof first);
        }
        assert_string_equal(now, first);
    }
}

static void test_post_bytes(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    static const size_t sizes[] = {1, 1000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *body = tester_alloc(t, sizes[i] + 1);
        test_fill(body, sizes[i], 7);
        struct aioduct_request *request = tester_request(t, "POST", tester_url(t, "/post"));
        assert_code(0, aioduct_request_body_copy(request, body, sizes[i]));
        struct result *r = tester_perform(t, request);
        assert_answer(r, 200);
        assert_int_equal(r->info.upload_bytes, sizes[i]);
        char path[512], expected[65], found[65];
        assert_true(result_header(r, "X-Body-File", path, sizeof path));
        test_hash_bytes(body, sizes[i], expected);
        assert_int_equal(test_hash_file(path, found), 0);
        assert_string_equal(found, expected);
    }
}

static void test_post_nothing(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct result *r = tester_perform(t, tester_request(t, "POST", tester_url(t, "/echo")));
    assert_answer(r, 200);
    assert_non_null(strstr(r->body, "content-length=0\n"));
    assert_non_null(strstr(r->body, "POST /echo"));
}

/* nginx answers once it has seen Content-Length, and lets the body run into the void for a while.
 */
static void test_post_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    const size_t bytes = 10u << 20;
    struct aioduct_request *request = tester_request(t, "POST", tester_url(t, "/limited"));
    assert_code(0, aioduct_request_body_borrow(request, tester_alloc(t, bytes), bytes));
    for (int i = 0; i < 3; i++) {
        struct result *r = tester_perform(t, request);
        assert_answer(r, 413);
        assert_non_null(strstr(r->body, "413 Request Entity Too Large"));
        assert_small(tester_get(t, tester_url(t, "/small")));
    }
}

/* A source that gives the text of test_fill in odd pieces. */
struct source {
    uint64_t at, bytes;
    int finished;
};

static int64_t on_source_read(void *user, void *buffer, size_t capacity)
{
    struct source *s = user;
    uint64_t left = s->bytes - s->at;
    size_t count = capacity < 7777 ? capacity : 7777;
    count = left < count ? (size_t)left : count;
    test_fill(buffer, count, s->at);
    s->at += count;
    return (int64_t)count;
}

static void on_source_finished(void *user)
{
    ((struct source *)user)->finished++;
}

static void put_from_source(struct tester *t, uint64_t bytes, bool length_known)
{
    struct source *source = tester_alloc(t, sizeof *source);
    source->bytes = bytes;
    char *path = test_format("/upload/%s-%d-%d", getenv("AIODUCT_RUNTIME"), t->tls, length_known);
    struct aioduct_request *request = tester_request(t, "PUT", tester_url(t, path));
    struct aioduct_body_source pull = {.size = sizeof pull,
                                       .read = on_source_read,
                                       .finished = on_source_finished,
                                       .user = source};
    assert_code(0, aioduct_request_body_pull(
                       request, &pull, length_known ? (int64_t)bytes : AIODUCT_LENGTH_UNKNOWN));
    struct result *r = tester_perform(t, request);
    char *file = test_format("%s%s", nginx_dir(t->nginx), path);
    size_t count = 0;
    char *stored = test_file_read(file, &count);
    free(file);
    free(path);
    assert_true(r->status == 201 || r->status == 204);
    assert_answer(r, r->status);
    assert_int_equal(source->finished, 1);
    assert_int_equal(r->info.upload_bytes, bytes);
    assert_non_null(stored);
    char expected[65], found[65];
    char *body = tester_alloc(t, bytes + 1);
    test_fill(body, bytes, 0);
    test_hash_bytes(body, bytes, expected);
    test_hash_bytes(stored, count, found);
    free(stored);
    assert_int_equal(count, bytes);
    assert_string_equal(found, expected);
}

static void test_put_chunked(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    put_from_source(t, 0, false);
    put_from_source(t, 1, false);
    put_from_source(t, 2000000, false);
}

static void test_put_length(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    put_from_source(t, 0, true);
    put_from_source(t, 1, true);
    put_from_source(t, 2000000, true);
}

static void test_64_at_once(void **state)
{
    struct tester *t = *state;
    t->options.connections_per_origin_max = 16;
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/middle"));
    struct result *results[64];
    for (int i = 0; i < 64; i++) {
        results[i] = tester_result(t);
        results[i]->hash_body = true;
        tester_submit_into(t, request, results[i]);
    }
    assert_int_equal(aioduct_client_outstanding(t->client), 64);
    tester_run(t);
    int connections = 0;
    for (int i = 0; i < 64; i++) {
        assert_answer(results[i], 200);
        assert_string_equal(results[i]->sha256, middle_hash);
        connections += !results[i]->info.reused;
    }
    assert_in_range(connections, 1, 16);
}

static void test_ip6(void **state)
{
    struct tester *t = *state;
    enum nginx_listener listener = t->tls ? NGINX_TLS_IP6 : NGINX_PLAIN_IP6;
    if (nginx_port(t->nginx, listener) == 0) {
        tap_skip("this machine has no IPv6 loopback address");
    }
    tester_client(t);
    struct result *r = tester_get(t, nginx_url(t->nginx, listener, NULL, "/echo"));
    assert_answer(r, 200);
    char host[64];
    snprintf(host, sizeof host, "host=[::1]:%d\n", nginx_port(t->nginx, listener));
    assert_non_null(strstr(r->body, host));
    assert_string_equal(r->peer_address, "::1");
}

static void test_fetch(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    struct aioduct_error error = {0};
    struct aioduct_response *response = NULL;
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/small"));
    assert_code(0, aioduct_client_fetch(t->client, request, &response, &error));
    assert_int_equal(aioduct_response_status(response), 200);
    assert_string_equal(aioduct_response_header(response, "content-LENGTH"), "100");
    assert_null(aioduct_response_header(response, "X-None"));
    size_t count = 0;
    const char *body = aioduct_response_body(response, &count);
    char expected[SMALL_BYTES + 1] = "";
    test_fill(expected, SMALL_BYTES, 0);
    assert_int_equal(count, SMALL_BYTES);
    assert_string_equal(body, expected);
    assert_string_equal(aioduct_response_info(response)->protocol, "http/1.1");
    uint32_t bytes = 0;
    const char *type = aioduct_head_find(aioduct_response_head(response), "Content-Type", &bytes);
    assert_int_equal(bytes, 10);
    assert_memory_equal(type, "text/plain", 10);
    aioduct_response_destroy(response);
}

static void test_fetch_limit(void **state)
{
    struct tester *t = *state;
    t->options.collect_bytes_max = 100000;
    tester_client(t);
    struct aioduct_error error = {0};
    struct aioduct_response *response = NULL;
    struct aioduct_request *request = tester_request(t, "GET", tester_url(t, "/middle"));
    assert_code(AIODUCT_E_LIMIT, aioduct_client_fetch(t->client, request, &response, &error));
    assert_non_null(strstr(error.message, "collect_bytes_max"));
    assert_int_equal(error.partial, response != NULL);
    size_t count = 0;
    if (response != NULL) {
        aioduct_response_body(response, &count);
    }
    assert_true(count <= 100000);
    aioduct_response_destroy(response);
}

static void test_get_without_client(void **state)
{
    struct tester *t = *state;
    struct aioduct_error error = {0};
    struct aioduct_response *response = NULL;
    assert_code(0, aioduct_get(NULL, tester_url(t, "/small"), &response, &error));
    assert_int_equal(aioduct_response_status(response), 200);
    aioduct_response_destroy(response);
    assert_code(AIODUCT_E_URL_SCHEME, aioduct_get(NULL, "ftp://localhost/", &response, &error));
    assert_null(response);
}

static void test_retry_after(void **state)
{
    struct aioduct_header headers[] = {
        {"date", "Tue, 14 Nov 2023 22:13:20 GMT", 4, 29},
        {"retry-after", "Tue, 14 Nov 2023 22:14:20 GMT", 11, 29},
    };
    struct aioduct_head head = {.size = sizeof head, .status = 503, .headers = headers};
    int64_t seconds = -1;
    (void)state;
    assert_int_equal(aioduct_head_retry_after(&head, 0, &seconds), -ENOENT);
    head.header_count = 2;
    assert_int_equal(aioduct_head_retry_after(&head, 0, &seconds), 0);
    assert_int_equal(seconds, 60); /* whatever our own clock says */
    head.headers++;
    head.header_count = 1;
    assert_int_equal(aioduct_head_retry_after(&head, 1699999900, &seconds), 0);
    assert_int_equal(seconds, 160);
    headers[1].value_bytes = 3;
    assert_int_equal(aioduct_head_retry_after(&head, 0, &seconds), -EINVAL);
    assert_int_equal(aioduct_head_retry_after(NULL, 0, &seconds), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("GET brings a small file with its head and its times", test_get_small),
        HTTP_CASES("an empty file has a head and no body", test_empty_file),
        HTTP_CASES("C2: HEAD has no body, and the next answer parses", test_head),
        HTTP_CASES("C2: any status is an answer, 204 and 304 have no body", test_statuses),
        HTTP_CASES("an If-None-Match gives 304", test_conditional),
        HTTP_CASES("a chunked answer arrives whole", test_chunked),
        HTTP_CASES("64 MiB arrive whole and in order", test_large),
        HTTP_CASES("C17: target, Host and default fields are as documented", test_request_head),
        HTTP_CASES("default fields are replaced and removed", test_header_changes),
        HTTP_CASES("credentials become Basic and leave the URL", test_credentials),
        HTTP_CASES("ten requests share one connection", test_reuse),
        HTTP_CASES("POST sends bytes", test_post_bytes),
        HTTP_CASES("C15: POST that the server finds too large gets its 413", test_post_refused),
        HTTP_CASES("C19: POST without a body says Content-Length: 0", test_post_nothing),
        HTTP_CASES("PUT from a source of unknown length is chunked", test_put_chunked),
        HTTP_CASES("PUT from a source of known length", test_put_length),
        HTTP_CASES("64 requests at once share 16 connections", test_64_at_once),
        HTTP_CASES("an IPv6 address in the URL works", test_ip6),
        HTTP_CASES("fetch gathers the response", test_fetch),
        HTTP_CASES("fetch stops at collect_bytes_max", test_fetch_limit),
        HTTP_CASE("C25: Retry-After counts from the server's own Date", test_retry_after),
        HTTP_CASE("aioduct_get needs no client", test_get_without_client),
    };
    return TAP_RUN(cases, begin, suite_end);
}
