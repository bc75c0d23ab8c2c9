/* SPDX-License-Identifier: MIT */
#include "tester.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct tester_memory {
    struct tester_memory *next;
};

struct tester_request {
    struct tester_request *next;
    struct aioduct_request *request;
};

const struct tester_flavour tester_plain = {false, NULL}, tester_over_tls = {true, NULL};
static struct nginx *the_nginx;

uint64_t test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void test_pause_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

/* ---- suites ---- */

/* Is @name in the comma list of AIODUCT_REQUIRE? Then it must run here. */
static bool is_required(const char *name)
{
    const char *list = getenv("AIODUCT_REQUIRE");
    return list != NULL && name != NULL && (strstr(list, name) != NULL || strcmp(list, "all") == 0);
}

static void *on_first_thread(void *user)
{
    return user;
}

static void on_log(int level, const char *message, void *user)
{
    (void)user;
    printf("# log %d: %s\n", level, message);
}

int suite_begin(void **state)
{
    (void)state;
    if (getenv("AIODUCT_TEST_LOG") != NULL) {
        aioduct_log_set(on_log, NULL, 4);
    }
    /* Thread sanitizers start a thread of their own beside the first one; it is not a leak. */
    pthread_t first;
    if (pthread_create(&first, NULL, on_first_thread, NULL) == 0) {
        pthread_join(first, NULL);
    }
    struct aioduct_error error = {0};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client = NULL;
    const char *name = getenv("AIODUCT_RUNTIME");
    options.config_file = "";
    int code = aioduct_client_create(&options, &client, &error);
    aioduct_client_destroy(client);
    if (code == 0) {
        return 0;
    }
    if (code == AIODUCT_E_UNAVAILABLE && !is_required(name)) {
        return tap_skip_all("runtime %s: %s", name, error.message);
    }
    printf("# no client on runtime %s: %s: %s\n", name != NULL ? name : "auto",
           aioduct_error_name(code), error.message);
    return code;
}

int suite_begin_nginx(void **state)
{
    int code = suite_begin(state);
    if (code != 0 || tap_is_skipped()) {
        return code;
    }
    code = nginx_start(&the_nginx);
    if (code == -ENOENT && !is_required("nginx")) {
        return tap_skip_all("nginx is not installed");
    }
    return code;
}

int suite_end(void **state)
{
    (void)state;
    nginx_stop(the_nginx);
    the_nginx = NULL;
    return 0;
}

struct nginx *suite_nginx(void)
{
    return the_nginx;
}

/* ---- life of a tester ---- */

int tester_setup(void **state)
{
    const struct tester_flavour *flavour = *state;
    struct tester *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return -1;
    }
    if (flavour != NULL) {
        t->tls = flavour->tls;
        t->extra = flavour->extra;
    }
    t->nginx = the_nginx;
    t->options = (struct aioduct_client_options)AIODUCT_CLIENT_OPTIONS_INIT;
    t->options.config_file = "";
    t->descriptors = test_descriptor_count();
    t->threads = test_thread_count();
    *state = t;
    return 0;
}

static void free_results(struct tester *t)
{
    struct result *next;
    for (struct result *r = t->results; r != NULL; r = next) {
        next = r->next;
        char hex[65];
        if (r->hash.state != NULL) {
            test_hash_end(&r->hash, hex);
        }
        free(r->headers);
        free(r->trailers);
        free(r->body);
        free(r);
    }
}

int tester_teardown(void **state)
{
    struct tester *t = *state;
    struct tester_request *next_request;
    for (struct tester_request *q = t->requests; q != NULL; q = next_request) {
        next_request = q->next;
        aioduct_request_destroy(q->request);
        free(q);
    }
    aioduct_client_destroy(t->client);
    peer_stop(t->peer);
    nginx_stop(t->own_nginx);
    /* A client that was destroyed inside a worker's callback ends by itself, and may still tell of
     * its connections. */
    int threads = test_threads_settle(t->threads) - t->threads;
    int unfinished = 0, twice = 0;
    for (struct result *r = t->results; r != NULL; r = r->next) {
        unfinished += r->submitted && r->done_count == 0;
        twice += r->done_count > 1;
    }
    free_results(t);
    struct tester_memory *next;
    for (struct tester_memory *m = t->memory; m != NULL; m = next) {
        next = m->next;
        free(m);
    }
    int descriptors = test_descriptor_count() - t->descriptors;
    free(t);
    if (unfinished != 0 || twice != 0) {
        print_message("%d exchanges never completed, %d completed twice\n", unfinished, twice);
        return -1;
    }
    if (threads > 0 || descriptors != 0) { /* one that ended late was counted before */
        print_message("left behind: %d descriptors, %d threads\n", descriptors, threads);
        return -1;
    }
    return 0;
}

void *tester_alloc(struct tester *t, size_t bytes)
{
    size_t head = (sizeof(struct tester_memory) + 15) & ~(size_t)15;
    struct tester_memory *m = calloc(1, head + bytes);
    assert_non_null(m);
    m->next = t->memory;
    t->memory = m;
    return (char *)m + head;
}

/* ---- arrange ---- */

/* The suite is run for workers: whoever does not choose gets so many. */
static int suite_workers(void)
{
    const char *text = getenv("TEST_WORKERS");
    return text == NULL ? 0 : (int)strtol(text, NULL, 10);
}

void tester_client(struct tester *t)
{
    if (t->options.workers == 0 && t->options.binding != AIODUCT_BINDING_LOCAL &&
        t->options.loop.kind == NULL) {
        t->options.workers = suite_workers();
    }
    if (t->options.tls.ca_file == NULL) {
        t->options.tls.ca_file = test_cert("ca.pem");
    }
    struct aioduct_error error = {0};
    int code = aioduct_client_create(&t->options, &t->client, &error);
    if (code != 0) {
        tap_fail("no client: %s: %s", aioduct_error_name(code), error.message);
    }
}

void tester_destroy(struct tester *t)
{
    struct aioduct_client *client = t->client;
    t->client = NULL;
    aioduct_client_destroy(client);
}

void tester_peer_with(struct tester *t, const struct peer_options *options)
{
    struct peer_options own = *options;
    own.tls = own.tls || t->tls;
    assert_code(0, peer_start(&own, &t->peer));
}

void tester_peer(struct tester *t, peer_play_fn play, void *user)
{
    tester_peer_with(t, &(struct peer_options){.play = play, .user = user});
}

enum nginx_listener tester_listener(const struct tester *t)
{
    return t->tls ? NGINX_TLS : NGINX_PLAIN;
}

const char *tester_url(const struct tester *t, const char *path)
{
    return nginx_url(t->own_nginx != NULL ? t->own_nginx : t->nginx, tester_listener(t), NULL,
                     path);
}

struct aioduct_request *tester_request(struct tester *t, const char *method, const char *url)
{
    struct aioduct_error error = {0};
    struct tester_request *entry = calloc(1, sizeof *entry);
    assert_non_null(entry);
    int code = aioduct_request_create(method, url, &entry->request, &error);
    if (code != 0) {
        free(entry);
        tap_fail("no request for %s: %s: %s", url, aioduct_error_name(code), error.message);
    }
    entry->next = t->requests;
    t->requests = entry;
    return entry->request;
}

struct result *tester_result(struct tester *t)
{
    struct result *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->tester = t;
    r->headers = calloc(1, 1);
    r->trailers = calloc(1, 1);
    r->body = calloc(1, 1);
    r->next = t->results;
    t->results = r;
    return r;
}

/* ---- callbacks ---- */

static unsigned bit_of(char event)
{
    return 1u << (event - 'A');
}

/* The callback is through but for its return: a test on another thread may act on it. */
static void tell(struct result *r, char event)
{
    unsigned bits = bit_of(event) | (r->paused ? bit_of('P') : 0);
    __atomic_store_n(&r->told_bytes, r->body_bytes, __ATOMIC_RELEASE);
    __atomic_fetch_or(&r->told, bits, __ATOMIC_RELEASE);
}

bool result_told(const struct result *r, char event)
{
    return (__atomic_load_n(&r->told, __ATOMIC_ACQUIRE) & bit_of(event)) != 0;
}

uint64_t result_told_bytes(const struct result *r)
{
    return __atomic_load_n(&r->told_bytes, __ATOMIC_ACQUIRE);
}

bool result_is_paused(void *result)
{
    return result_told(result, 'P');
}

bool result_is_done(void *result)
{
    return __atomic_load_n(&((struct result *)result)->done_count, __ATOMIC_ACQUIRE) > 0;
}

static void note(struct result *r, struct aioduct_exchange *exchange, char event)
{
    size_t used = strlen(r->order);
    bool repeated = event == 'B' && used > 0 && r->order[used - 1] == 'B';
    if (!repeated && used + 1 < sizeof r->order) {
        r->order[used] = event;
    }
    if (r->on_event != NULL) {
        r->on_event(r, exchange, event);
    }
    if (event == r->pause_at && !r->paused &&
        (event != 'B' || r->body_bytes >= r->pause_at_bytes)) {
        r->paused = aioduct_exchange_pause(exchange) == 0;
    }
}

static char *fields_text(const struct aioduct_head *head)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *h = &head->headers[i];
        fprintf(out, "%.*s: %.*s\n", (int)h->name_bytes, h->name, (int)h->value_bytes, h->value);
    }
    fclose(out);
    return text;
}

static void on_interim(struct aioduct_exchange *exchange, const struct aioduct_head *head,
                       void *user)
{
    struct result *r = user;
    if (r->interim_count < 32) {
        r->interims[r->interim_count] = head->status;
    }
    r->interim_count++;
    note(r, exchange, 'I');
    tell(r, 'I');
}

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct result *r = user;
    r->status = head->status;
    r->version = head->version;
    snprintf(r->reason, sizeof r->reason, "%.*s", (int)head->reason_bytes, head->reason);
    free(r->headers);
    r->headers = fields_text(head);
    note(r, exchange, 'H');
    int code = r->head_code;
    tell(r, 'H');
    return code;
}

static void keep_body(struct result *r, const void *bytes, size_t count)
{
    size_t used = r->body_bytes < RESULT_BODY_MAX ? (size_t)r->body_bytes : RESULT_BODY_MAX;
    size_t taken = count < RESULT_BODY_MAX - used ? count : RESULT_BODY_MAX - used;
    if (taken == 0) {
        return;
    }
    if (used + taken + 1 > r->body_room) {
        r->body_room = (used + taken) * 2 + 1;
        char *larger = realloc(r->body, r->body_room);
        if (larger == NULL) {
            abort();
        }
        r->body = larger;
    }
    memcpy(r->body + used, bytes, taken);
    r->body[used + taken] = '\0';
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct result *r = user;
    if (r->hash_body) {
        if (r->hash.state == NULL) {
            test_hash_begin(&r->hash);
        }
        test_hash_add(&r->hash, bytes, count);
    } else {
        keep_body(r, bytes, count);
    }
    r->body_bytes += count;
    note(r, exchange, 'B');
    int code = r->hold_body ? AIODUCT_HOLD : r->body_code;
    tell(r, 'B');
    return code;
}

static void on_trailers(struct aioduct_exchange *exchange, const struct aioduct_head *trailers,
                        void *user)
{
    struct result *r = user;
    free(r->trailers);
    r->trailers = fields_text(trailers);
    note(r, exchange, 'T');
    tell(r, 'T');
}

/* Until now a call on it was legal, and another thread may have read it for one that changes
 * nothing of the end: ThreadSanitizer need not see that. */
__attribute__((no_sanitize_thread, noinline)) static void forget_exchange(struct result *r)
{
    r->exchange = NULL;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct result *r = user;
    r->info.size = sizeof r->info;
    aioduct_exchange_info(exchange, &r->info);
    snprintf(r->protocol, sizeof r->protocol, "%s", r->info.protocol);
    snprintf(r->tls_version, sizeof r->tls_version, "%s", r->info.tls_version);
    snprintf(r->peer_address, sizeof r->peer_address, "%s", r->info.peer_address);
    r->info.request_head = NULL;
    r->error = *error;
    r->code = error->code;
    if (r->hash.state != NULL) {
        test_hash_end(&r->hash, r->sha256);
    }
    forget_exchange(r);
    note(r, exchange, 'D');
    /* Last: a test on another thread waits for it. */
    __atomic_add_fetch(&r->done_count, 1, __ATOMIC_RELEASE);
}

static const struct aioduct_callbacks callbacks = {
    .size = sizeof(struct aioduct_callbacks),
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_done = on_done,
};

/* ---- act ---- */

int tester_submit_code(struct tester *t, struct aioduct_request *request, struct result *r)
{
    r->submitted = true;
    int code = aioduct_client_submit(t->client, request, &callbacks, r, &r->exchange);
    if (code != 0) {
        r->submitted = false;
    }
    return code;
}

int tester_submit_out(struct tester *t, struct aioduct_request *request, struct result *r,
                      struct aioduct_exchange **out)
{
    return aioduct_client_submit(t->client, request, &callbacks, r, out);
}

void tester_submit_into(struct tester *t, struct aioduct_request *request, struct result *r)
{
    assert_code(0, tester_submit_code(t, request, r));
}

struct result *tester_submit(struct tester *t, struct aioduct_request *request)
{
    struct result *r = tester_result(t);
    tester_submit_into(t, request, r);
    return r;
}

int tester_perform_code(struct tester *t, struct aioduct_request *request, struct result *r)
{
    return aioduct_client_perform(t->client, request, &callbacks, r, NULL);
}

void tester_perform_into(struct tester *t, struct aioduct_request *request, struct result *r)
{
    struct aioduct_error error = {0};
    int code = aioduct_client_perform(t->client, request, &callbacks, r, &error);
    assert_int_equal(r->done_count, 1);
    assert_code(r->code, code);
    if (code != 0) {
        assert_code(code, error.code);
    }
}

struct result *tester_perform(struct tester *t, struct aioduct_request *request)
{
    struct result *r = tester_result(t);
    tester_perform_into(t, request, r);
    return r;
}

struct result *tester_get(struct tester *t, const char *url)
{
    return tester_perform(t, tester_request(t, "GET", url));
}

void tester_turn(struct tester *t, unsigned ms)
{
    if (t->options.workers > 0) {
        test_pause_ms(ms);
        return;
    }
    int code = aioduct_client_turn(t->client, (int)ms);
    if (code < 0) {
        tap_fail("turn: %s", aioduct_error_name(code));
    }
}

void tester_turn_a_little(struct tester *t)
{
    for (int i = 0; i < 6; i++) {
        tester_turn(t, 5);
    }
}

void tester_run(struct tester *t)
{
    if (t->options.workers == 0) {
        assert_code(0, aioduct_client_run(t->client));
    }
    while (aioduct_client_outstanding(t->client) > 0) {
        tester_turn(t, 1);
    }
    assert_int_equal(aioduct_client_outstanding(t->client), 0);
}

/* The limit is for what never comes; a crowd's handshakes on a machine with other work may take
 * 30 s. */
void tester_turn_until(struct tester *t, bool (*until)(void *user), void *user)
{
    uint64_t end = test_now_ms() + 60000;
    while (!until(user)) {
        tester_turn(t, t->options.workers > 0 ? 1 : 20);
        if (test_now_ms() > end) {
            tap_fail("the event that was waited for did not come");
        }
    }
}

/* ---- assert ---- */

bool result_header(const struct result *r, const char *name, char *value, size_t room)
{
    size_t name_bytes = strlen(name);
    for (const char *line = r->headers; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncasecmp(line, name, name_bytes) == 0 && strncmp(line + name_bytes, ": ", 2) == 0) {
            line += name_bytes + 2;
            snprintf(value, room, "%.*s", (int)strcspn(line, "\n"), line);
            return true;
        }
    }
    return false;
}

static void print_result(const struct result *r)
{
    print_message("result: order %s, status %d, %llu body bytes; %s in phase %s: %s%s%s%s\n",
                  r->order, r->status, (unsigned long long)r->body_bytes,
                  aioduct_error_name(r->code), aioduct_phase_name(r->error.phase), r->error.message,
                  r->error.safe_to_retry ? " [safe]" : "", r->error.partial ? " [partial]" : "",
                  r->done_count == 0 ? " [not done]" : "");
}

void tester_assert_answer(const struct result *r, int status, const char *file, int line)
{
    if (__atomic_load_n(&r->done_count, __ATOMIC_ACQUIRE) != 1 || r->code != 0 ||
        r->status != status) {
        print_result(r);
        print_message("expected: status %d, no error\n", status);
        _fail(file, line);
    }
}

void tester_assert_error(const struct result *r, int code, enum aioduct_phase phase,
                         const char *file, int line)
{
    if (__atomic_load_n(&r->done_count, __ATOMIC_ACQUIRE) != 1 || r->code != code ||
        r->error.phase != phase) {
        print_result(r);
        print_message("expected: %s in phase %s\n", aioduct_error_name(code),
                      aioduct_phase_name(phase));
        _fail(file, line);
    }
    if (r->error.message[0] == '\0' || strchr(r->error.message, '\n') != NULL) {
        print_result(r);
        print_message("expected: one line of message\n");
        _fail(file, line);
    }
}

void tester_assert_header(const struct result *r, const char *name, const char *value,
                          const char *file, int line)
{
    char found[1024];
    bool has = result_header(r, name, found, sizeof found);
    if (has != (value != NULL) || (has && strcmp(found, value) != 0)) {
        print_result(r);
        print_message("header %s is %s, expected %s\n", name, has ? found : "absent",
                      value != NULL ? value : "absent");
        _fail(file, line);
    }
}

void tester_assert_code(int expected, int actual, const char *text, const char *file, int line)
{
    if (expected != actual) {
        print_message("%s gave %s (%d), expected %s (%d)\n", text, aioduct_error_name(actual),
                      actual, aioduct_error_name(expected), expected);
        _fail(file, line);
    }
}
