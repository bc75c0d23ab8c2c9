/* SPDX-License-Identifier: MIT */
/* What servers of the world answer to the same requests: nginx, Apache httpd, HAProxy, Caddy,
 * nghttpx, in clear text and over TLS, by each protocol that they and the client speak. */
#include "servers.h"
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES (10u << 20)
#define UPLOAD_BYTES (1u << 20)
#define MEDIUM_BYTES (1u << 20)
#define SLOW_BYTES (64u << 10)

enum { NGINX = SERVER_KIND_COUNT, KIND_COUNT };

/* A way to ask a server. */
struct way {
    int kind; /* enum server_kind, or NGINX */
    bool tls;
    int version; /* AIODUCT_HTTP_* */
};

static struct server *servers[SERVER_KIND_COUNT];
static int start_codes[SERVER_KIND_COUNT];
static bool http2_is_built;
static char small_hash[65], medium_hash[65], large_hash[65], slow_hash[65], upload_hash[65];
static char upload[UPLOAD_BYTES];

/* ---- the suite ---- */

static bool is_required(const char *package)
{
    const char *list = getenv("AIODUCT_REQUIRE");
    return list != NULL && (strstr(list, package) != NULL || strcmp(list, "all") == 0);
}

/* A client that has it takes the request; nobody waits for what comes of it. */
static bool asks_by_http2(void)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client = NULL;
    struct aioduct_request *q = NULL;
    options.config_file = "";
    bool asks = aioduct_client_create(&options, &client, NULL) == 0 &&
                aioduct_request_create("GET", "https://localhost:9/", &q, NULL) == 0 &&
                aioduct_request_version(q, AIODUCT_HTTP_2) == 0 &&
                aioduct_client_submit(client, q, NULL, NULL, NULL) == 0;
    aioduct_request_destroy(q);
    aioduct_client_destroy(client);
    return asks;
}

static int end_suite(void **state)
{
    for (int i = 0; i < SERVER_KIND_COUNT; i++) {
        server_stop(servers[i]);
        servers[i] = NULL;
    }
    return suite_end(state);
}

static int begin_suite(void **state)
{
    int code = suite_begin_nginx(state);
    if (code != 0 || tap_is_skipped()) {
        return code;
    }
    const struct nginx *nginx = suite_nginx();
    http2_is_built = asks_by_http2();
    test_fill(upload, sizeof upload, 0);
    test_hash_bytes(upload, sizeof upload, upload_hash);
    code = nginx_add_file(nginx, "small", 100, small_hash);
    code = code < 0 ? code : nginx_add_file(nginx, "close", 100, NULL);
    code = code < 0 ? code : nginx_add_file(nginx, "medium", MEDIUM_BYTES, medium_hash);
    code = code < 0 ? code : nginx_add_file(nginx, "large", LARGE_BYTES, large_hash);
    code = code < 0 ? code : nginx_add_file(nginx, "slow", SLOW_BYTES, slow_hash);
    for (int i = 0; i < SERVER_KIND_COUNT && code == 0; i++) {
        start_codes[i] = server_start(i, nginx, &servers[i]);
        if (start_codes[i] != -ENOENT) {
            code = start_codes[i];
        } else if (is_required(server_package(i))) {
            printf("# %s is not installed\n", server_package(i));
            code = -ENOENT;
        }
    }
    if (code < 0) {
        end_suite(state);
    }
    return code;
}

/* ---- a case ---- */

static const struct way *way_of(const struct tester *t)
{
    return t->extra;
}

static const char *url_of(const struct tester *t, const char *path)
{
    const struct way *way = way_of(t);
    if (way->kind != NGINX) {
        return server_url(servers[way->kind], way->tls, path);
    }
    enum nginx_listener listener = way->tls                          ? NGINX_TLS_HTTP2
                                   : way->version > AIODUCT_HTTP_1_1 ? NGINX_HTTP2
                                                                     : NGINX_PLAIN;
    return nginx_url(t->nginx, listener, NULL, path);
}

static struct aioduct_request *request(struct tester *t, const char *method, const char *path)
{
    struct aioduct_request *q = tester_request(t, method, url_of(t, path));
    assert_code(0, aioduct_request_version(q, way_of(t)->version));
    return q;
}

static bool is_http2(const struct tester *t)
{
    return way_of(t)->version > AIODUCT_HTTP_1_1;
}

/* A client, if the server is there and the client speaks the protocol. */
static void arrange(struct tester *t)
{
    const struct way *way = way_of(t);
    if (way->kind != NGINX && start_codes[way->kind] == -ENOENT) {
        tap_skip("%s is not installed", server_package(way->kind));
    }
    if (is_http2(t) && !http2_is_built) {
        tap_skip("HTTP/2 is not built in");
    }
    tester_client(t);
}

static void assert_protocol(const struct tester *t, const struct result *r)
{
    assert_string_equal(r->protocol, is_http2(t) ? "h2" : "http/1.1");
    assert_int_equal(r->version, is_http2(t) ? 20 : 11);
    assert_int_equal(r->tls_version[0] != '\0', way_of(t)->tls);
}

static struct result *get_hashed(struct tester *t, const char *path)
{
    struct result *r = tester_result(t);
    r->hash_body = true;
    tester_perform_into(t, request(t, "GET", path), r);
    return r;
}

/* ---- the table of behaviours ---- */

static void test_small(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct result *r = get_hashed(t, "/small");
    assert_answer(r, 200);
    assert_protocol(t, r);
    assert_string_equal(r->sha256, small_hash);
    assert_string_equal(r->order, "HBD");
    assert_header(r, "Content-Length", "100");
}

static void test_large(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct result *r = get_hashed(t, "/large");
    assert_answer(r, 200);
    assert_int_equal(r->body_bytes, LARGE_BYTES);
    assert_string_equal(r->sha256, large_hash);
}

static void test_head(void **state)
{
    struct tester *t = *state;
    arrange(t);
    for (int i = 0; i < 3; i++) {
        struct result *r = tester_perform(t, request(t, "HEAD", "/large"));
        assert_answer(r, 200);
        assert_string_equal(r->order, "HD");
        assert_header(r, "Content-Length", "10485760");
        assert_int_equal(r->info.reused, i > 0);
    }
}

static void test_missing(void **state)
{
    struct tester *t = *state;
    arrange(t);
    assert_answer(tester_perform(t, request(t, "GET", "/nothing")), 404);
    struct result *r = get_hashed(t, "/small");
    assert_answer(r, 200);
    assert_int_equal(r->info.reused, 1);
}

static void test_range(void **state)
{
    struct tester *t = *state;
    char wanted[100];
    arrange(t);
    struct aioduct_request *q = request(t, "GET", "/large");
    assert_code(0, aioduct_request_header_set(q, "Range", "bytes=1000000-1000099"));
    struct result *r = tester_perform(t, q);
    assert_answer(r, 206);
    assert_header(r, "Content-Range", "bytes 1000000-1000099/10485760");
    assert_int_equal(r->body_bytes, 100);
    test_fill(wanted, sizeof wanted, 1000000);
    assert_memory_equal(r->body, wanted, sizeof wanted);
}

/* The server echoes what it was sent, or names the file that it kept it in. */
static void assert_uploaded(const struct result *r, const char *hash)
{
    char hex[65], path[512];
    assert_answer(r, 200);
    if (result_header(r, "X-Body-File", path, sizeof path)) {
        assert_code(0, test_hash_file(path, hex));
    } else {
        test_hash_bytes(r->body, (size_t)r->body_bytes, hex);
    }
    assert_string_equal(hex, hash);
}

static void test_post(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct aioduct_request *q = request(t, "POST", "/post");
    assert_code(0, aioduct_request_body_borrow(q, upload, sizeof upload));
    for (int i = 0; i < 2; i++) {
        struct result *r = tester_perform(t, q);
        assert_uploaded(r, upload_hash);
        assert_int_equal(r->info.upload_bytes, sizeof upload);
    }
}

struct source {
    size_t at;
};

static int64_t on_read(void *user, void *buffer, size_t capacity)
{
    struct source *source = user;
    size_t left = sizeof upload - source->at;
    size_t count = left < capacity ? left : capacity;
    count = count < 5000 ? count : 5000;
    memcpy(buffer, upload + source->at, count);
    source->at += count;
    return (int64_t)count;
}

static void test_post_unknown_length(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct source *source = tester_alloc(t, sizeof *source);
    struct aioduct_body_source body = {.size = sizeof body, .read = on_read, .user = source};
    struct aioduct_request *q = request(t, "POST", "/post");
    assert_code(0, aioduct_request_body_pull(q, &body, AIODUCT_LENGTH_UNKNOWN));
    assert_uploaded(tester_perform(t, q), upload_hash);
}

/* Over HTTP/2 not all of them say so: then the body goes after a while. */
static void test_expect(void **state)
{
    struct tester *t = *state;
    t->options.expect_timeout_ms = is_http2(t) ? 100 : 20000;
    arrange(t);
    struct aioduct_request *q = request(t, "POST", "/post");
    assert_code(0, aioduct_request_body_borrow(q, upload, sizeof upload));
    assert_code(0, aioduct_request_expect_continue(q, 1));
    struct result *r = tester_perform(t, q);
    assert_uploaded(r, upload_hash);
    if (!is_http2(t)) {
        assert_int_equal(r->interim_count, 1);
        assert_int_equal(r->interims[0], 100);
    }
}

static void test_no_length(void **state)
{
    struct tester *t = *state;
    arrange(t);
    for (int i = 0; i < 2; i++) {
        struct result *r = get_hashed(t, "/chunked/medium");
        assert_answer(r, 200);
        assert_header(r, "Content-Length", NULL);
        assert_string_equal(r->sha256, medium_hash);
        assert_int_equal(r->info.reused, i > 0);
    }
}

static void test_keep_alive(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct aioduct_request *q = request(t, "GET", "/small");
    int port = 0;
    for (int i = 0; i < 100; i++) {
        struct result *r = tester_perform(t, q);
        assert_answer(r, 200);
        assert_int_equal(r->body_bytes, 100);
        assert_int_equal(r->info.reused, i > 0);
        port = i == 0 ? r->info.local_port : port;
        assert_int_equal(r->info.local_port, port);
    }
}

static void test_slow(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 5000;
    arrange(t);
    struct result *r = get_hashed(t, "/slow/slow");
    assert_answer(r, 200);
    assert_string_equal(r->sha256, slow_hash);
}

/* HTTP/2 has no such field; a server that closes sends a GOAWAY, or goes on. */
static void test_close_by_server(void **state)
{
    struct tester *t = *state;
    arrange(t);
    assert_answer(tester_perform(t, request(t, "GET", "/close")), 200);
    struct result *r = get_hashed(t, "/small");
    assert_answer(r, 200);
    if (!is_http2(t) && way_of(t)->kind != SERVER_NGHTTPX) { /* which keeps the client's */
        assert_int_equal(r->info.reused, 0);
    }
    assert_string_equal(r->sha256, small_hash);
}

static void test_close_by_client(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct aioduct_request *q = request(t, "GET", "/small");
    assert_code(0, aioduct_request_header_set(q, "Connection", "close"));
    for (int i = 0; i < 2; i++) {
        struct result *r = tester_perform(t, q);
        assert_answer(r, 200);
        assert_int_equal(r->body_bytes, 100);
        if (!is_http2(t)) {
            assert_int_equal(r->info.reused, 0);
        }
    }
}

static void test_many_at_once(void **state)
{
    struct tester *t = *state;
    struct result *results[40];
    arrange(t);
    for (int i = 0; i < 40; i++) {
        results[i] = tester_result(t);
        results[i]->hash_body = true;
        const char *path = i % 8 == 0 ? "/medium" : "/small";
        tester_submit_into(t, request(t, "GET", path), results[i]);
    }
    tester_run(t);
    for (int i = 0; i < 40; i++) {
        assert_answer(results[i], 200);
        assert_protocol(t, results[i]);
        if (is_http2(t)) {
            assert_int_equal(results[i]->info.local_port, results[0]->info.local_port);
        }
        assert_string_equal(results[i]->sha256, i % 8 == 0 ? medium_hash : small_hash);
    }
}

static const struct {
    const char *name;
    CMUnitTestFunction run;
} behaviours[] = {
    {"a small file", test_small},
    {"10 MiB whole and in order", test_large},
    {"HEAD has a length and no body", test_head},
    {"404, and the connection is kept", test_missing},
    {"a range", test_range},
    {"POST of 1 MiB, twice", test_post},
    {"POST of unknown length", test_post_unknown_length},
    {"POST that waits for a 100", test_expect},
    {"an answer of unknown length", test_no_length},
    {"a hundred requests share one connection", test_keep_alive},
    {"a slow body", test_slow},
    {"the server closes", test_close_by_server},
    {"the client closes", test_close_by_client},
    {"forty requests at once", test_many_at_once},
};

/* ---- what HAProxy says itself ---- */

static void test_haproxy_answers(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct result *r = tester_perform(t, request(t, "GET", "/return"));
    assert_answer(r, 200);
    assert_string_equal(r->body, "returned");
    assert_answer(tester_perform(t, request(t, "GET", "/deny")), 403);
    assert_answer(tester_perform(t, request(t, "GET", "/small")), 200);
}

static int64_t on_read_stands_still(void *user, void *buffer, size_t capacity)
{
    struct source *source = user;
    if (source->at > 0) {
        return AIODUCT_BODY_WAIT;
    }
    source->at = capacity < 1000 ? capacity : 1000;
    memset(buffer, 'x', source->at);
    return (int64_t)source->at;
}

/* It waits for the whole body before it asks anybody, and not for ever. */
static void test_haproxy_408(void **state)
{
    struct tester *t = *state;
    arrange(t);
    struct source *source = tester_alloc(t, sizeof *source);
    struct aioduct_body_source body = {
        .size = sizeof body, .read = on_read_stands_still, .user = source};
    struct aioduct_request *q = request(t, "POST", "/late");
    assert_code(0, aioduct_request_body_pull(q, &body, UPLOAD_BYTES));
    assert_answer(tester_perform(t, q), 408);
    assert_answer(tester_perform(t, request(t, "GET", "/small")), 200);
}

/* ---- all cases ---- */

enum {
    BEHAVIOURS = sizeof behaviours / sizeof behaviours[0],
    HAPROXY_CASES = 2,
    WAYS = KIND_COUNT * 4,
    CASES_MAX = WAYS * BEHAVIOURS + 4 * HAPROXY_CASES
};

static struct CMUnitTest cases[CASES_MAX];
static size_t case_count;

static void add(const struct tester_flavour *flavour, const char *what, CMUnitTestFunction run)
{
    const struct way *way = flavour->extra;
    const char *name = way->kind == NGINX ? "nginx" : server_name((enum server_kind)way->kind);
    const char *protocol = way->version > AIODUCT_HTTP_1_1 ? "HTTP/2" : "HTTP/1.1";
    cases[case_count++] = (struct CMUnitTest){
        test_format("%s by %s%s: %s", name, protocol, way->tls ? " over TLS" : "", what), run,
        tester_setup, tester_teardown, (void *)(uintptr_t)flavour};
}

int main(void)
{
    static struct way ways[WAYS];
    static struct tester_flavour flavours[WAYS];
    for (int i = 0; i < WAYS; i++) {
        static const int versions[] = {AIODUCT_HTTP_1_1, AIODUCT_HTTP_1_1,
                                       AIODUCT_HTTP_2_PRIOR_KNOWLEDGE, AIODUCT_HTTP_2};
        bool tls = i % 2 == 1;
        ways[i] = (struct way){i / 4, tls, versions[i % 4]};
        flavours[i] = (struct tester_flavour){tls, &ways[i]};
        for (int b = 0; b < BEHAVIOURS; b++) {
            add(&flavours[i], behaviours[b].name, behaviours[b].run);
        }
        if (ways[i].kind == SERVER_HAPROXY) {
            add(&flavours[i], "answers of its own", test_haproxy_answers);
            add(&flavours[i], "its 408 to a body that stands still", test_haproxy_408);
        }
    }
    return tap_run(cases, case_count, begin_suite, end_suite);
}
