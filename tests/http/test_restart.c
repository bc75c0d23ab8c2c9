/* SPDX-License-Identifier: MIT */
/* C22 under load: a server is killed and started again, several times, with 64 requests under way.
 * By its own log no request that may not be repeated was received twice, what the client calls safe
 * to send again was never received, what was answered was received; and each exchange completes
 * once. Over HTTP/2 it says GOAWAY before every other kill. */
#include "port.h"
#include "process.h"
#include "tester.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN_FLIGHT 64
#define KILLS 6
#define BETWEEN 150 /* answers from one kill to the next, and after the last */
#define REQUESTS_MAX 8192
#define REPLAYS_MAX 2 /* the client's default */

struct way {
    bool h2;
    int workers; /* 0: the caller drives */
};

struct sent {
    struct load *load;
    struct aioduct_request *request;
    bool post;
    int done_count, code, safe;
};

struct load {
    struct tester *t;
    const struct way *way;
    char *dir, *log;
    int reserved, listener, port;
    pid_t pid;
    unsigned random; /* of the test's thread */
    struct sent sent[REQUESTS_MAX];
    int count;
    int done, answered, goaways; /* atomic */
};

/* ---- the server ---- */

/* The socket that listens is ours: who comes while no server runs waits for the next one. */
static void start_server(struct load *load)
{
    char listener[16], cert[256], key[256];
    snprintf(listener, sizeof listener, "%d", load->listener);
    char *argv[6] = {load->way->h2 ? TEST_RECEIPT_H2_SERVER : TEST_RECEIPT_SERVER, listener,
                     load->log};
    if (load->t->tls) {
        snprintf(cert, sizeof cert, "%s", test_cert("server.pem"));
        snprintf(key, sizeof key, "%s", test_cert("server.key"));
        argv[3] = cert;
        argv[4] = key;
    }
    load->pid = process_start(load->dir, argv);
    assert_true(load->pid > 0);
}

static void kill_server(struct load *load)
{
    assert_int_equal(kill(load->pid, SIGKILL), 0);
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(load->pid, NULL, 0)), load->pid);
    load->pid = 0;
}

static void open_listener(struct load *load)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)load->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    load->listener = socket(AF_INET, SOCK_STREAM, 0); /* the server inherits it */
    assert_true(load->listener >= 0);
    assert_int_equal(setsockopt(load->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(load->listener, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(load->listener, 128), 0);
}

/* ---- requests ---- */

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct sent *sent = user;
    (void)exchange;
    sent->done_count++;
    sent->code = error->code;
    sent->safe = error->safe_to_retry;
    __atomic_add_fetch(&sent->load->answered, error->code == 0, __ATOMIC_RELAXED);
    __atomic_add_fetch(&sent->load->done, 1, __ATOMIC_RELEASE);
}

static const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};

static unsigned next_random(struct load *load)
{
    load->random = load->random * 1103515245u + 12345u;
    return load->random >> 16;
}

static void send_one(struct load *load)
{
    static char body[20000];
    char url[64];
    assert_true(load->count < REQUESTS_MAX);
    int id = load->count++;
    struct sent *sent = &load->sent[id];
    sent->load = load;
    sent->post = next_random(load) % 2 == 0;
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/%d", load->t->tls ? "https" : "http", load->port,
             id);
    sent->request = tester_request(load->t, sent->post ? "POST" : "GET", url);
    if (sent->post) {
        assert_code(
            0, aioduct_request_body_borrow(sent->request, body, next_random(load) % sizeof body));
    }
    assert_code(0, aioduct_client_submit(load->t->client, sent->request, &callbacks, sent, NULL));
}

static void on_event(const struct aioduct_event *event, void *user)
{
    struct load *load = user;
    __atomic_add_fetch(&load->goaways, event->kind == AIODUCT_EVENT_GOAWAY, __ATOMIC_RELEASE);
}

static int done(const struct load *load)
{
    return __atomic_load_n(&load->done, __ATOMIC_ACQUIRE);
}

static void step(struct load *load)
{
    while (load->count - done(load) < IN_FLIGHT) {
        send_one(load);
    }
    tester_turn(load->t, 1);
}

/* Keep so many under way until @counter is so high. */
static void run_until(struct load *load, const int *counter, int until)
{
    uint64_t end = test_now_ms() + 30000;
    while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < until) {
        step(load);
        assert_true(test_now_ms() < end);
    }
}

static void run_between(struct load *load)
{
    int answered = __atomic_load_n(&load->answered, __ATOMIC_ACQUIRE);
    run_until(load, &load->answered, answered + BETWEEN);
}

/* The connections that it takes leave of end in part, and new ones are there in part. */
static void have_it_go(struct load *load)
{
    int before = __atomic_load_n(&load->goaways, __ATOMIC_ACQUIRE);
    assert_int_equal(kill(load->pid, SIGUSR1), 0);
    run_until(load, &load->goaways, before + 1);
    for (unsigned turns = next_random(load) % 8; turns > 0; turns--) {
        step(load);
    }
}

/* For a moment whoever comes is refused. */
static void be_dark(struct load *load)
{
    close(load->listener);
    tester_turn(load->t, 1);
    tester_turn(load->t, 1);
    open_listener(load);
}

/* ---- what the log says ---- */

static void read_log(const struct load *load, int *receipts)
{
    char method[16];
    int id;
    FILE *f = fopen(load->log, "r");
    assert_non_null(f);
    while (fscanf(f, "%15s /%d", method, &id) == 2) {
        assert_in_range(id, 0, load->count - 1);
        assert_string_equal(method, load->sent[id].post ? "POST" : "GET");
        receipts[id]++;
    }
    fclose(f);
}

static void assert_log(const struct load *load)
{
    int *receipts = tester_alloc(load->t, REQUESTS_MAX * sizeof *receipts);
    int failed = 0, safe = 0, uncertain = 0;
    read_log(load, receipts);
    for (int i = 0; i < load->count; i++) {
        const struct sent *sent = &load->sent[i];
        assert_int_equal(sent->done_count, 1);
        if (sent->post && receipts[i] > 1) {
            tap_fail("POST /%d was received %d times", i, receipts[i]);
        }
        assert_in_range(receipts[i], 0, 1 + REPLAYS_MAX);
        if (sent->code == 0) {
            assert_true(receipts[i] > 0);
            continue;
        }
        failed++;
        if (sent->safe) {
            safe++;
            assert_int_equal(receipts[i], 0);
        } else if (sent->post) {
            uncertain += receipts[i];
        }
    }
    print_message("%d requests, %d failed, %d of them safely, %d of the POSTs received\n",
                  load->count, failed, safe, uncertain);
    assert_true(failed > 0); /* the kills met requests under way */
}

static void begin(struct load *load, struct tester *t)
{
    load->t = t;
    load->way = t->extra;
    load->random = (unsigned)getpid();
    print_message("seed %u\n", load->random);
    load->dir = test_dir_create();
    assert_non_null(load->dir);
    load->log = test_format("%s/log", load->dir);
    load->reserved = port_reserve(false, &load->port);
    assert_true(load->reserved >= 0);
    open_listener(load);
    start_server(load);
    t->options.workers = load->way->workers;
    t->options.version = load->way->h2 ? AIODUCT_HTTP_2_PRIOR_KNOWLEDGE : AIODUCT_HTTP_AUTO;
    t->options.on_event = on_event;
    t->options.event_user = load;
    tester_client(t);
}

/* libev takes a descriptor out of its set when an event comes that nobody wants. A child that is
 * about to start the server holds the connection for a moment, so such an event may come when the
 * number is another thread's new socket: the kernel finds nothing (ENOENT), and libev goes on. */
static bool has_false_alarms(const struct tester *t)
{
#if defined(__SANITIZE_THREAD__)
    const char *runtime = getenv("AIODUCT_RUNTIME");
    return ((const struct way *)t->extra)->workers > 1 && runtime != NULL &&
           strcmp(runtime, "libev") == 0;
#else
    (void)t;
    return false;
#endif
}

static void test_restarts(void **state)
{
    if (has_false_alarms(*state)) {
        tap_skip("libev looks at descriptors that are another thread's by then, which is harmless");
    }
    struct load *load = tester_alloc(*state, sizeof *load);
    begin(load, *state);
    for (int i = 0; i < KILLS; i++) {
        run_between(load);
        if (load->way->h2 && i % 2 == 1) {
            have_it_go(load);
        }
        kill_server(load);
        if (i % 3 == 1) {
            be_dark(load);
        }
        start_server(load);
    }
    run_between(load);
    tester_run(load->t);
    tester_destroy(load->t); /* what it holds open would count as left behind */
    kill_server(load);
    assert_log(load);
    close(load->listener);
    close(load->reserved);
    free(load->log);
    test_dir_remove(load->dir);
}

#define RESTART_CASE(name, flavour)                                                      \
    {                                                                                    \
        name, test_restarts, tester_setup, tester_teardown, (void *)(uintptr_t)(flavour) \
    }

int main(void)
{
    static const struct way ways[] = {{false, 0}, {false, 2}, {true, 0}, {true, 2}};
    static const struct tester_flavour plain[] = {
        {false, &ways[0]}, {false, &ways[1]}, {false, &ways[2]}, {false, &ways[3]}};
    static const struct tester_flavour tls[] = {{true, &ways[2]}, {true, &ways[3]}};
    const struct CMUnitTest cases[] = {
        RESTART_CASE("C22: kill -9 under load: nothing is sent twice that may not be", &plain[0]),
        RESTART_CASE("C22: kill -9 under load, with workers", &plain[1]),
        RESTART_CASE("C22: kill -9 under load, over HTTP/2: nothing is sent twice that may not be",
                     &plain[2]),
        RESTART_CASE("C22: kill -9 under load, over HTTP/2, with workers", &plain[3]),
        RESTART_CASE("C22: kill -9 under load, over HTTP/2 and TLS", &tls[0]),
        RESTART_CASE("C22: kill -9 under load, over HTTP/2 and TLS, with workers", &tls[1]),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
