/* SPDX-License-Identifier: MIT */
/* A loop that knows nothing of ours but one descriptor and one function: the descriptor tells of
 * all there is to do, and of nothing else. */
#include "tester.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QUIET_TURNS_MAX 10 /* what is left after an exchange takes this many turns at most */

enum gate { GO };

static void play(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        const char *head = peer_last_request(conn)->head;
        if (strncmp(head, "GET /hang ", 10) == 0) {
            peer_hang(conn);
        }
        peer_answer(conn, 200, "", "answer");
        if (strncmp(head, "GET /end ", 9) == 0) {
            peer_wait_gate(conn, GO);
            return;
        }
    }
}

static int polled(struct tester *t)
{
    tester_client(t);
    tester_peer(t, play, NULL);
    int fd = aioduct_client_poll_fd(t->client);
    if (fd == AIODUCT_E_UNSUPPORTED) {
        tap_skip("this runtime has no descriptor to poll");
    }
    assert_true(fd >= 0);
    return fd;
}

/* What poll(2) says within @ms; a signal-like interruption is no answer. */
static bool is_readable(int fd, int ms)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};
    int count;
    do {
        count = poll(&event, 1, ms);
    } while (count < 0 && errno == EINTR);
    return count == 1;
}

static void run_until_done(struct tester *t, int fd, const struct result *r)
{
    while (r->done_count == 0) {
        assert_true(is_readable(fd, 10000)); /* it says when there is work */
        assert_code(0, aioduct_client_turn(t->client, 0));
    }
}

/* A deadline that was cleared, as that of the connection's second attempt, may still tell of itself
 * once: deadlines are stored, not armed. */
static void run_until_quiet(struct tester *t, int fd)
{
    for (int turns = 0; is_readable(fd, 400); turns++) {
        assert_in_range(turns, 0, QUIET_TURNS_MAX);
        assert_code(0, aioduct_client_turn(t->client, 0));
    }
}

static struct result *submit(struct tester *t, const char *path)
{
    return tester_submit(t, tester_request(t, "GET", peer_url(t->peer, path)));
}

/* Times that threads other than this one have gone to sleep: each system call that waits is one. */
static unsigned long switches(void)
{
    unsigned long sum = 0, count;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char path[300], line[256];
        if (entry->d_name[0] == '.' || atol(entry->d_name) == syscall(SYS_gettid)) {
            continue;
        }
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            sum += sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1 ? count : 0;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    closedir(folder);
    return sum;
}

/* This thread is in poll all the time, and no other does anything. */
static void test_idle(void **state)
{
    struct tester *t = *state;
    int fd = polled(t);
    struct result *r = submit(t, "/");
    run_until_done(t, fd, r);
    assert_answer(r, 200);
    run_until_quiet(t, fd);
    unsigned long before = switches();
    assert_false(is_readable(fd, 1000));
#ifndef __SANITIZE_THREAD__ /* has a thread of its own, which does not rest */
    assert_int_equal(switches(), before);
#else
    assert_true(switches() >= before);
#endif
    r = submit(t, "/"); /* and it is as alive as before */
    run_until_done(t, fd, r);
    assert_answer(r, 200);
    assert_int_equal(r->info.reused, 1);
}

static void test_earlier_deadline(void **state)
{
    struct tester *t = *state;
    int fd = polled(t);
    struct result *late = submit(t, "/hang"); /* a minute */
    while (peer_requests(t->peer) == 0) {
        if (is_readable(fd, 20)) {
            assert_code(0, aioduct_client_turn(t->client, 0));
        }
    }
    run_until_quiet(t, fd);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/hang"));
    assert_code(0, aioduct_request_total_timeout_ms(request, 150));
    uint64_t start = test_now_ms();
    struct result *early = tester_submit(t, request);
    run_until_done(t, fd, early);
    assert_code(AIODUCT_E_TIMEOUT, early->code);
    assert_in_range(test_now_ms() - start, 150, 5000);
    assert_int_equal(late->done_count, 0);
    aioduct_exchange_cancel(late->exchange); /* outside of any turn */
    run_until_done(t, fd, late);
    assert_code(-ECANCELED, late->code);
    run_until_quiet(t, fd);
}

static void test_peer_ends(void **state)
{
    struct tester *t = *state;
    int fd = polled(t);
    struct result *r = submit(t, "/end");
    run_until_done(t, fd, r);
    assert_answer(r, 200);
    run_until_quiet(t, fd);
    peer_open(t->peer, GO); /* the idle connection ends: that is work */
    assert_true(is_readable(fd, 10000));
    run_until_quiet(t, fd);
    r = submit(t, "/");
    run_until_done(t, fd, r);
    assert_answer(r, 200);
    assert_int_equal(r->info.reused, 0);
}

struct other {
    struct tester *t;
    struct aioduct_request *request;
    struct result *result;
    int code;
};

static void *submit_elsewhere(void *arg)
{
    struct other *other = arg;
    other->code = tester_submit_code(other->t, other->request, other->result);
    return NULL;
}

static void test_other_thread(void **state)
{
    struct tester *t = *state;
    int fd = polled(t);
    if (strcmp(aioduct_client_runtime(t->client), "uring") == 0) {
        tap_skip("this runtime is local");
    }
    run_until_quiet(t, fd);
    struct other other = {.t = t, .result = tester_result(t)};
    other.request = tester_request(t, "GET", peer_url(t->peer, "/"));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, submit_elsewhere, &other), 0);
    pthread_join(thread, NULL);
    assert_code(0, other.code);
    assert_true(is_readable(fd, 0));
    run_until_done(t, fd, other.result);
    assert_answer(other.result, 200);
}

static void on_destroy(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        tester_destroy(r->tester);
    }
}

static void test_destroy_in_callback(void **state)
{
    struct tester *t = *state;
    int fd = polled(t);
    struct result *r = tester_result(t);
    r->on_event = on_destroy;
    tester_submit_into(t, tester_request(t, "GET", peer_url(t->peer, "/")), r);
    while (t->client != NULL) {
        assert_true(is_readable(fd, 10000));
        aioduct_client_turn(t->client, 0);
    }
    assert_answer(r, 200);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("an idle client makes no system call for a second", test_idle),
        HTTP_CASES("a deadline that comes earlier is told of, and so is a cancel",
                   test_earlier_deadline),
        HTTP_CASES("the end of an idle connection is told of", test_peer_ends),
        HTTP_CASE("a submit from another thread is told of", test_other_thread),
        HTTP_CASES("a callback destroys the client inside the turn", test_destroy_in_callback),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
