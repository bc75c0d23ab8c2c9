/* SPDX-License-Identifier: MIT */
/* Several runtimes, and several clients of one, in one process: at the same time, on two threads
 * and on one, inside each other's callbacks. TEST_RUNTIMES names them. Whatever they do, signals
 * stay as they were. */
#include "tester.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EACH = 25, SIDES_MAX = 8, SIGNALS = 65 };

static void play(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "answer");
    }
}

/* ---- the runtimes that can run here ---- */

static char names[SIDES_MAX][33];
static int count;

static bool can_run(const char *name)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client = NULL;
    options.config_file = "";
    options.runtime = name;
    int code = aioduct_client_create(&options, &client, NULL);
    aioduct_client_destroy(client);
    if (code != 0 && code != AIODUCT_E_UNAVAILABLE) {
        fail_msg("%s: %s", name, aioduct_error_name(code));
    }
    return code == 0;
}

static int begin(void **state)
{
    char list[256];
    const char *value = getenv("TEST_RUNTIMES");
    int code = suite_begin(state);
    if (code != 0) {
        return code;
    }
    snprintf(list, sizeof list, "%s", value == NULL ? "epoll" : value);
    char *rest;
    for (char *name = strtok_r(list, ",", &rest); name != NULL && count < SIDES_MAX;
         name = strtok_r(NULL, ",", &rest)) {
        if (can_run(name)) {
            snprintf(names[count++], sizeof names[0], "%s", name);
        }
    }
    return 0;
}

/* ---- a client that fetches ---- */

struct side {
    struct tester *t;
    const char *runtime, *url;
    unsigned workers;
    struct aioduct_client *client;
    int code, ok;
};

static int side_create(struct side *side)
{
    struct aioduct_client_options options = side->t->options;
    options.runtime = side->runtime;
    options.workers = side->workers;
    return aioduct_client_create(&options, &side->client, NULL);
}

static void side_fetch(struct side *side)
{
    struct aioduct_response *response = NULL;
    int code = aioduct_get(side->client, side->url, &response, NULL);
    side->ok += code == 0 && aioduct_response_status(response) == 200;
    side->code = code != 0 ? code : side->code;
    aioduct_response_destroy(response);
}

static void *run_side(void *arg)
{
    struct side *side = arg;
    side->code = side_create(side);
    for (int i = 0; side->code == 0 && i < EACH; i++) {
        side_fetch(side);
    }
    aioduct_client_destroy(side->client);
    return NULL;
}

static struct side *side_new(struct tester *t, const char *runtime)
{
    struct side *side = tester_alloc(t, sizeof *side);
    t->options.tls.ca_file = test_cert("ca.pem");
    side->t = t;
    side->runtime = runtime;
    side->url = peer_url(t->peer, "/");
    return side;
}

static void assert_side(const struct side *side)
{
    if (side->code != 0 || side->ok != EACH) {
        tap_fail("%s: %s, %d answers", side->runtime, aioduct_error_name(side->code), side->ok);
    }
}

static void run_together(struct side **sides, int side_count)
{
    pthread_t threads[2 * SIDES_MAX];
    for (int i = 0; i < side_count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_side, sides[i]), 0);
    }
    for (int i = 0; i < side_count; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < side_count; i++) {
        assert_side(sides[i]);
    }
}

/* ---- cases ---- */

static const char *known(const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return names[i];
        }
    }
    tap_skip("%s is not among the runtimes here", name);
    return NULL;
}

static void test_libev_and_libevent(void **state)
{
    struct tester *t = *state;
    const char *one = known("libev"), *other = known("libevent");
    tester_peer(t, play, NULL);
    run_together((struct side *[]){side_new(t, one), side_new(t, other)}, 2);
    run_together((struct side *[]){side_new(t, other), side_new(t, one)}, 2);
}

static void test_all(void **state)
{
    struct tester *t = *state;
    struct side *sides[2 * SIDES_MAX];
    tester_peer(t, play, NULL);
    for (int i = 0; i < 2 * count; i++) {
        sides[i] = side_new(t, names[i / 2]); /* each twice */
        sides[i]->workers = (unsigned)i % 2;
    }
    run_together(sides, 2 * count);
}

static void test_one_thread(void **state)
{
    struct tester *t = *state;
    struct side *sides[2 * SIDES_MAX];
    tester_peer(t, play, NULL);
    for (int i = 0; i < 2 * count; i++) {
        sides[i] = side_new(t, names[i / 2]);
        assert_code(0, side_create(sides[i]));
    }
    for (int k = 0; k < EACH; k++) {
        for (int i = 0; i < 2 * count; i++) {
            side_fetch(sides[i]);
        }
    }
    for (int i = 0; i < 2 * count; i++) {
        aioduct_client_destroy(sides[i]->client);
        assert_side(sides[i]);
    }
}

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    (void)head;
    side_fetch(user);
    return 0;
}

static void test_inside(void **state)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_head = on_head};
    struct tester *t = *state;
    tester_peer(t, play, NULL);
    for (int i = 0; i < count * count; i++) {
        struct side *outer = side_new(t, names[i / count]);
        struct side *inner = side_new(t, names[i % count]);
        struct aioduct_request *request = tester_request(t, "GET", outer->url);
        assert_code(0, side_create(outer));
        assert_code(0, side_create(inner));
        for (int k = 0; k < EACH; k++) {
            assert_code(0, aioduct_client_perform(outer->client, request, &callbacks, inner, NULL));
        }
        aioduct_client_destroy(outer->client);
        aioduct_client_destroy(inner->client);
        assert_side(inner);
    }
}

/* ---- signals ---- */

struct signals {
    struct sigaction actions[SIGNALS];
    sigset_t mask;
    stack_t stack;
};

static void signals_now(struct signals *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 1; i < SIGNALS; i++) {
        sigaction(i, NULL, &out->actions[i]);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &out->mask);
    sigaltstack(NULL, &out->stack);
}

static void assert_same_signals(const struct signals *a, const char *when, const char *runtime)
{
    struct signals b;
    signals_now(&b);
    for (int i = 1; i < SIGNALS; i++) {
        if (a->actions[i].sa_handler != b.actions[i].sa_handler ||
            a->actions[i].sa_flags != b.actions[i].sa_flags) {
            tap_fail("%s of %s changed what is done on signal %d", when, runtime, i);
        }
        if (sigismember(&a->mask, i) != sigismember(&b.mask, i)) {
            tap_fail("%s of %s changed the mask of signal %d", when, runtime, i);
        }
    }
    assert_ptr_equal(a->stack.ss_sp, b.stack.ss_sp);
}

static void test_signals(void **state)
{
    struct tester *t = *state;
    struct signals before;
    tester_peer(t, play, NULL);
    signals_now(&before);
    for (int i = 0; i < 2 * count; i++) {
        struct side *side = side_new(t, names[i / 2]);
        side->workers = (unsigned)i % 2;
        assert_code(0, side_create(side));
        assert_same_signals(&before, "creating a client", side->runtime);
        for (int k = 0; k < EACH; k++) {
            side_fetch(side);
        }
        assert_same_signals(&before, "a fetch", side->runtime);
        aioduct_client_destroy(side->client);
        assert_same_signals(&before, "destroying a client", side->runtime);
        assert_side(side);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("libev and libevent fetch at the same time, on two threads",
                   test_libev_and_libevent),
        HTTP_CASES("every runtime fetches twice over at the same time", test_all),
        HTTP_CASES("every runtime fetches twice over, in turn on one thread", test_one_thread),
        HTTP_CASE("a client fetches inside a callback of another, on every two runtimes",
                  test_inside),
        HTTP_CASES("signals stay as they are", test_signals),
    };
    return TAP_RUN(cases, begin, NULL);
}
