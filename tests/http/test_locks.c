/* SPDX-License-Identifier: MIT */
/* A warm request takes no lock: every way of the C library to take or wait for one is counted, for
 * the library, its plugins and what they use, while requests follow each other on warm
 * connections. */
#include "tester.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WARM_UP 20
#define COUNTED 1000
#define CHAINS 2

enum gate { GO };

/* ---- this program's own pthread functions stand before the C library's ---- */

static _Thread_local bool counting;
static _Thread_local long taken, writes;

static void find_true(const char *name, void *out_function)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    memcpy(out_function, &found, sizeof found);
}

/* GnuTLS locks each session for itself, also where one thread alone knows it: that is not ours to
 * change, and nobody waits. */
static bool is_of_gnutls(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "libgnutls") != NULL;
}

#define COUNTED_FUNCTION(name, parameters, arguments)                    \
    __attribute__((visibility("default"))) int name parameters           \
    {                                                                    \
        static _Thread_local int(*true_one) parameters;                  \
        if (true_one == NULL) {                                          \
            find_true(#name, &true_one);                                 \
        }                                                                \
        taken += counting && !is_of_gnutls(__builtin_return_address(0)); \
        return true_one arguments;                                       \
    }

COUNTED_FUNCTION(pthread_mutex_lock, (pthread_mutex_t * lock), (lock))
COUNTED_FUNCTION(pthread_mutex_trylock, (pthread_mutex_t * lock), (lock))
COUNTED_FUNCTION(pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
COUNTED_FUNCTION(pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
COUNTED_FUNCTION(pthread_spin_lock, (pthread_spinlock_t * lock), (lock))
COUNTED_FUNCTION(pthread_cond_signal, (pthread_cond_t * cond), (cond))
COUNTED_FUNCTION(pthread_cond_broadcast, (pthread_cond_t * cond), (cond))
COUNTED_FUNCTION(sem_wait, (sem_t * semaphore), (semaphore))
COUNTED_FUNCTION(sem_post, (sem_t * semaphore), (semaphore))

/* Nothing but wake-ups of a loop is written so. */
__attribute__((visibility("default"))) ssize_t write(int fd, const void *bytes, size_t count)
{
    static _Thread_local ssize_t (*true_one)(int, const void *, size_t);
    if (true_one == NULL) {
        find_true("write", &true_one);
    }
    writes += counting;
    return true_one(fd, bytes, count);
}

/* ---- requests, one after the other ---- */

struct chain {
    struct aioduct_client *client;
    struct aioduct_request *request;
    int done;
    int wrong;
    long taken; /* in the counted requests */
    pthread_t thread;
    int moved; /* callbacks on another thread than the first */
    int over;  /* atomic */
};

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user);

static const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct chain *chain = user;
    (void)exchange;
    chain->wrong += error->code != 0;
    if (chain->done++ == 0) {
        chain->thread = pthread_self();
    }
    chain->moved += !pthread_equal(chain->thread, pthread_self());
    if (chain->done == WARM_UP) {
        taken = 0;
        counting = true;
    }
    if (chain->done == WARM_UP + COUNTED) {
        counting = false;
        chain->taken = taken;
        __atomic_store_n(&chain->over, 1, __ATOMIC_RELEASE);
    } else if (aioduct_client_submit(chain->client, chain->request, &callbacks, chain, NULL) < 0) {
        chain->wrong++;
        __atomic_store_n(&chain->over, 1, __ATOMIC_RELEASE);
    }
}

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_wait_gate(conn, GO);
        peer_answer(conn, 200, "", "answer");
    }
}

static struct chain *start(struct tester *t, struct aioduct_request *request)
{
    struct chain *chain = tester_alloc(t, sizeof *chain);
    chain->client = t->client;
    chain->request = request;
    assert_code(0, aioduct_client_submit(t->client, request, &callbacks, chain, NULL));
    return chain;
}

static void assert_lockless(const struct chain *chain)
{
    assert_int_equal(chain->wrong, 0);
    assert_int_equal(chain->done, WARM_UP + COUNTED);
    assert_int_equal(chain->moved, 0);
    assert_int_equal(chain->taken, 0);
}

static void test_driven(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    peer_open(t->peer, GO);
    struct chain *chain = start(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    tester_run(t);
    assert_lockless(chain);
    assert_int_equal(peer_connections(t->peer), 1);
}

/* A blocking call ends in a callback of its own loop: nobody has to be woken. */
static void test_no_wake_up(void **state)
{
    struct tester *t = *state;
    struct aioduct_callbacks none = {.size = sizeof none};
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    peer_open(t->peer, GO);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_answer(tester_perform(t, request), 200);
    writes = 0;
    counting = true;
    int code = 0;
    for (int i = 0; i < 20 && code == 0; i++) {
        code = aioduct_client_perform(t->client, request, &none, NULL, NULL);
    }
    counting = false;
    assert_code(0, code);
    assert_int_equal(writes, 0);
}

static void test_workers(void **state)
{
    struct tester *t = *state;
    struct chain *chains[CHAINS];
    t->options.workers = CHAINS;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    for (int i = 0; i < CHAINS; i++) {
        chains[i] = start(t, request);
    }
    /* One connection on each worker, before one is free for the other. */
    assert_int_equal(peer_wait_requests(t->peer, CHAINS), CHAINS);
    peer_open(t->peer, GO);
    uint64_t end = test_now_ms() + 40000;
    while (aioduct_client_outstanding(t->client) > 0 && test_now_ms() < end) {
        test_pause_ms(1);
    }
    for (int i = 0; i < CHAINS; i++) {
        assert_lockless(chains[i]);
    }
    assert_false(pthread_equal(chains[0]->thread, chains[1]->thread));
    assert_int_equal(peer_connections(t->peer), CHAINS);
}

/* Not a rule of the library's, but a proof that its locks are counted: one thread waits for
 * another. */
static void test_locks_are_counted(void **state)
{
    struct tester *t = *state;
    t->options.workers = 1;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    peer_open(t->peer, GO);
    taken = 0;
    counting = true;
    struct result *r = tester_get(t, peer_url(t->peer, "/"));
    counting = false;
    assert_answer(r, 200);
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASE("a lock of the library is counted", test_locks_are_counted),
        HTTP_CASES("a thousand warm requests take no lock", test_driven),
        HTTP_CASE("a warm blocking call wakes nobody", test_no_wake_up),
        HTTP_CASES("a thousand warm requests on each of two workers take no lock", test_workers),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
