/* SPDX-License-Identifier: MIT */
/* C22 under load: a server is killed and started again, several times, with 64 requests under way.
 * By its own log no request that may not be repeated was received twice, what the client calls safe
 * to send again was never received, what was answered was received; and each exchange completes
 * once. */
#include "process.h"
#include "tester.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN_FLIGHT 64
#define KILLS 6
#define BETWEEN 150 /* answers from one kill to the next, and after the last */
#define REQUESTS_MAX 8192
#define REPLAYS_MAX 2 /* the client's default */

struct sent {
    struct load *load;
    struct aioduct_request *request;
    bool post;
    int done_count, code, safe;
};

struct load {
    struct tester *t;
    char *dir, *log;
    int reserved, port;
    pid_t pid;
    unsigned random; /* of the test's thread */
    struct sent sent[REQUESTS_MAX];
    int count;
    int done, answered; /* atomic */
};

/* ---- the server ---- */

static void start_server(struct load *load)
{
    char port[16];
    snprintf(port, sizeof port, "%d", load->port);
    char *const argv[] = {(char *)TEST_RECEIPT_SERVER, port, load->log, NULL};
    load->pid = process_start(load->dir, argv);
    assert_true(load->pid > 0);
    assert_int_equal(process_wait_port(load->pid, load->port), 0);
}

static void kill_server(struct load *load)
{
    assert_int_equal(kill(load->pid, SIGKILL), 0);
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(load->pid, NULL, 0)), load->pid);
    load->pid = 0;
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
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%d", load->port, id);
    sent->request = tester_request(load->t, sent->post ? "POST" : "GET", url);
    if (sent->post) {
        assert_code(
            0, aioduct_request_body_borrow(sent->request, body, next_random(load) % sizeof body));
    }
    assert_code(0, aioduct_client_submit(load->t->client, sent->request, &callbacks, sent, NULL));
}

static int done(const struct load *load)
{
    return __atomic_load_n(&load->done, __ATOMIC_ACQUIRE);
}

/* Keep so many under way until @answers more have come. */
static void run_until(struct load *load, int answers)
{
    uint64_t end = test_now_ms() + 30000;
    int until = __atomic_load_n(&load->answered, __ATOMIC_RELAXED) + answers;
    while (__atomic_load_n(&load->answered, __ATOMIC_RELAXED) < until) {
        while (load->count - done(load) < IN_FLIGHT) {
            send_one(load);
        }
        tester_turn(load->t, 1);
        assert_true(test_now_ms() < end);
    }
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
    int failed = 0, uncertain = 0;
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
            assert_int_equal(receipts[i], 0);
        } else if (sent->post) {
            uncertain += receipts[i];
        }
    }
    print_message("%d requests, %d failed, %d of them received\n", load->count, failed, uncertain);
    assert_true(failed > 0); /* the kills met requests under way */
}

static void test_restarts(void **state)
{
    struct tester *t = *state;
    const int *workers = t->extra;
    struct load *load = tester_alloc(t, sizeof *load);
    load->t = t;
    load->random = (unsigned)getpid();
    print_message("seed %u\n", load->random);
    load->dir = test_dir_create();
    assert_non_null(load->dir);
    load->log = test_format("%s/log", load->dir);
    load->reserved = process_reserve_port(&load->port);
    assert_true(load->reserved >= 0);
    start_server(load);
    t->options.workers = *workers;
    tester_client(t);
    for (int i = 0; i < KILLS; i++) {
        run_until(load, BETWEEN);
        kill_server(load);
        start_server(load);
    }
    run_until(load, BETWEEN);
    tester_run(t);
    tester_destroy(t); /* what it holds open would count as left behind */
    kill_server(load);
    assert_log(load);
    close(load->reserved);
    free(load->log);
    test_dir_remove(load->dir);
}

int main(void)
{
    static const int driven = 0, two_workers = 2;
    static const struct tester_flavour flavours[] = {{false, &driven}, {false, &two_workers}};
    const struct CMUnitTest cases[] = {
        {"C22: kill -9 under load: nothing is sent twice that may not be", test_restarts,
         tester_setup, tester_teardown, (void *)(uintptr_t)&flavours[0]},
        {"C22: kill -9 under load, with workers", test_restarts, tester_setup, tester_teardown,
         (void *)(uintptr_t)&flavours[1]},
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
