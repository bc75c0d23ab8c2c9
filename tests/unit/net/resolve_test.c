/* SPDX-License-Identifier: MIT */
/* The default resolver over a name service that the test directs. */
#include "tap.h"

#include "base/mem.h"
#include "fake_runtime.h"
#include "net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- a name service: "hang..." waits until it is let go, "no..." does not exist, "four..." has
 * no IPv6 ---- */

static pthread_mutex_t service_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t service_moved = PTHREAD_COND_INITIALIZER;
static int asked, hanging;
static bool let_go;
static char last_name[300], thread_name[32];
static sigset_t thread_mask;

static struct addrinfo *make_addr(const char *text)
{
    struct ad_addr addr;
    assert_int_equal(ad_addr_parse(text, 0, &addr), 0);
    struct addrinfo *ai = calloc(1, sizeof *ai + addr.bytes);
    ai->ai_family = addr.storage.ss_family;
    ai->ai_addrlen = addr.bytes;
    ai->ai_addr = (struct sockaddr *)(void *)(ai + 1);
    memcpy(ai->ai_addr, &addr.storage, addr.bytes);
    return ai;
}

static int fake_getaddrinfo(const char *node, const char *service, const void *hints, void **result)
{
    const struct addrinfo *h = hints;
    int code = 0;
    assert_null(service);
    assert_int_equal(h->ai_socktype, SOCK_STREAM);
    pthread_mutex_lock(&service_lock);
    asked++;
    strncpy(last_name, node, sizeof last_name - 1);
    pthread_getname_np(pthread_self(), thread_name, sizeof thread_name);
    pthread_sigmask(SIG_BLOCK, NULL, &thread_mask);
    if (strncmp(node, "hang", 4) == 0) {
        hanging++;
        pthread_cond_broadcast(&service_moved);
        while (!let_go) {
            pthread_cond_wait(&service_moved, &service_lock);
        }
        hanging--;
    }
    pthread_cond_broadcast(&service_moved);
    pthread_mutex_unlock(&service_lock);
    if (strncmp(node, "no", 2) == 0 ||
        (strncmp(node, "four", 4) == 0 && h->ai_family == AF_INET6)) {
        code = EAI_NONAME;
    } else if (strncmp(node, "again", 5) == 0) {
        code = EAI_AGAIN;
    } else if (strncmp(node, "twice", 5) == 0) {
        struct addrinfo *first = make_addr("192.0.2.7");
        first->ai_next = make_addr("192.0.2.7");
        *result = first;
    } else if (h->ai_family == AF_INET) {
        *result = make_addr("192.0.2.1");
    } else {
        struct addrinfo *first = make_addr("2001:db8::1");
        first->ai_next = h->ai_family == AF_UNSPEC ? make_addr("192.0.2.1") : NULL;
        *result = first;
    }
    return code;
}

static void fake_freeaddrinfo(void *result)
{
    struct addrinfo *ai = result;
    while (ai != NULL) {
        struct addrinfo *next = ai->ai_next;
        free(ai);
        ai = next;
    }
}

static void wait_hanging(int count)
{
    pthread_mutex_lock(&service_lock);
    while (hanging != count) {
        pthread_cond_wait(&service_moved, &service_lock);
    }
    pthread_mutex_unlock(&service_lock);
}

static void release_hanging(void)
{
    pthread_mutex_lock(&service_lock);
    let_go = true;
    pthread_cond_broadcast(&service_moved);
    pthread_mutex_unlock(&service_lock);
    wait_hanging(0);
}

static int asked_now(void)
{
    pthread_mutex_lock(&service_lock);
    int n = asked;
    pthread_mutex_unlock(&service_lock);
    return n;
}

/* ---- one tester ---- */

struct look {
    struct ad_lookup lookup;
    int done; /* calls of on_done */
    int code;
    size_t count;
    char addrs[4][AD_ADDR_TEXT_BYTES];
    uint16_t port;
    char detail[128];
};

struct tester {
    struct fake *fake;
    struct ad_resolver *resolver;
    struct look a, b;
};

static void on_look(struct ad_lookup *lookup, int code, const struct ad_addr *addrs, size_t count,
                    const char *detail)
{
    struct look *look = (struct look *)(void *)lookup;
    look->done++;
    look->code = code;
    look->count = count;
    for (size_t i = 0; i < count && i < 4; i++) {
        ad_addr_text(&addrs[i], look->addrs[i]);
        look->port = ntohs(((const struct sockaddr_in *)(const void *)&addrs[i].storage)->sin_port);
    }
    strncpy(look->detail, detail, sizeof look->detail - 1);
}

static void tester_init_with(struct tester *t, struct ad_resolver_options options)
{
    memset(t, 0, sizeof *t);
    asked = hanging = 0;
    let_go = false;
    options.getaddrinfo = fake_getaddrinfo;
    options.freeaddrinfo = fake_freeaddrinfo;
    t->fake = fake_create();
    assert_int_equal(ad_resolver_create_system(&options, &t->resolver), 0);
    t->a.lookup.on_done = on_look;
    t->b.lookup.on_done = on_look;
}

static void tester_init(struct tester *t)
{
    tester_init_with(t, (struct ad_resolver_options){0});
}

static void tester_fini(struct tester *t)
{
    ad_resolver_destroy(t->resolver);
    fake_destroy(t->fake);
}

static void start(struct tester *t, struct look *look, const char *host, int family)
{
    look->done = 0;
    look->count = 0;
    assert_int_equal(
        ad_resolver_start(t->resolver, fake_loop(t->fake), &look->lookup, host, 8080, family), 0);
    assert_int_equal(look->done, 0);
}

static void ask(struct tester *t, const char *host, int family)
{
    start(t, &t->a, host, family);
    assert_true(fake_wait(t->fake, &t->a.done));
    assert_int_equal(t->a.done, 1);
}

/* ---- cases ---- */

static void test_addresses(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    ask(&t, "Example.TEST", AF_UNSPEC);
    assert_int_equal(t.a.code, 0);
    assert_int_equal(t.a.count, 2);
    assert_string_equal(t.a.addrs[0], "2001:db8::1");
    assert_string_equal(t.a.addrs[1], "192.0.2.1");
    assert_int_equal(t.a.port, 8080);
    assert_string_equal(last_name, "example.test");
    assert_string_equal(thread_name, "aioduct-dns");
    assert_int_equal(sigismember(&thread_mask, SIGTERM), 1);
    assert_int_equal(sigismember(&thread_mask, SIGUSR1), 1);
    ask(&t, "twice.test", AF_UNSPEC);
    assert_int_equal(t.a.count, 1);
    tester_fini(&t);
}

static void test_numeric(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    ask(&t, "127.0.0.1", AF_UNSPEC);
    assert_int_equal(t.a.code, 0);
    assert_string_equal(t.a.addrs[0], "127.0.0.1");
    assert_int_equal(t.a.port, 8080);
    ask(&t, "::1", AF_INET6);
    assert_string_equal(t.a.addrs[0], "::1");
    ask(&t, "fe80::1%3", AF_UNSPEC);
    assert_string_equal(t.a.addrs[0], "fe80::1%3");
    ask(&t, "fe80::1%lo", AF_UNSPEC);
    assert_int_equal(t.a.code, 0);
    ask(&t, "127.0.0.1", AF_INET6);
    assert_int_equal(t.a.code, AIODUCT_E_RESOLVE);
    assert_string_equal(t.a.detail, "not an IPv6 address");
    assert_int_equal(asked_now(), 0);
    tester_fini(&t);
}

static void test_localhost(void **state)
{
    static const char *const names[] = {"localhost", "LocalHost.", "a.b.localhost"};
    struct tester t;
    (void)state;
    tester_init(&t);
    for (size_t i = 0; i < 3; i++) {
        ask(&t, names[i], AF_UNSPEC);
        assert_int_equal(t.a.code, 0);
        assert_int_equal(t.a.count, 2);
        assert_string_equal(t.a.addrs[0], "127.0.0.1");
        assert_string_equal(t.a.addrs[1], "::1");
    }
    ask(&t, "localhost", AF_INET);
    assert_int_equal(t.a.count, 1);
    assert_string_equal(t.a.addrs[0], "127.0.0.1");
    assert_int_equal(asked_now(), 0);
    ask(&t, "notlocalhost", AF_UNSPEC);
    assert_int_equal(asked_now(), 1);
    tester_fini(&t);
}

static void test_no_name(void **state)
{
    char name[400];
    struct tester t;
    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    tester_init(&t);
    ask(&t, name, AF_UNSPEC);
    assert_int_equal(t.a.code, AIODUCT_E_RESOLVE);
    ask(&t, "", AF_UNSPEC);
    assert_int_equal(t.a.code, AIODUCT_E_RESOLVE);
    assert_int_equal(asked_now(), 0);
    tester_fini(&t);
}

static void test_failures(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    ask(&t, "no.test", AF_UNSPEC);
    assert_int_equal(t.a.code, AIODUCT_E_RESOLVE);
    assert_int_equal(t.a.count, 0);
    assert_string_equal(t.a.detail, gai_strerror(EAI_NONAME));
    ask(&t, "again.test", AF_UNSPEC);
    assert_int_equal(t.a.code, AIODUCT_E_RESOLVE_TEMPORARY);
    assert_string_equal(t.a.detail, gai_strerror(EAI_AGAIN));
    tester_fini(&t);
}

static void test_cache(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    ask(&t, "one.test", AF_UNSPEC);
    fake_advance_ms(t.fake, 59000);
    ask(&t, "ONE.test", AF_UNSPEC);
    assert_int_equal(t.a.count, 2);
    assert_int_equal(asked_now(), 1);
    ask(&t, "one.test", AF_INET); /* another family: another question */
    assert_int_equal(asked_now(), 2);
    fake_advance_ms(t.fake, 1000); /* use does not make it younger */
    ask(&t, "one.test", AF_UNSPEC);
    assert_int_equal(asked_now(), 3);

    ask(&t, "no.test", AF_UNSPEC);
    fake_advance_ms(t.fake, 4900);
    ask(&t, "no.test", AF_UNSPEC);
    assert_int_equal(t.a.code, AIODUCT_E_RESOLVE);
    assert_int_equal(asked_now(), 4);
    fake_advance_ms(t.fake, 100);
    ask(&t, "no.test", AF_UNSPEC);
    assert_int_equal(asked_now(), 5);

    ask(&t, "again.test", AF_UNSPEC);
    ask(&t, "again.test", AF_UNSPEC);
    assert_int_equal(asked_now(), 7);
    tester_fini(&t);
}

static void test_cache_off(void **state)
{
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.cache_ms = -1});
    ask(&t, "one.test", AF_UNSPEC);
    ask(&t, "one.test", AF_UNSPEC);
    assert_int_equal(asked_now(), 2);
    tester_fini(&t);
}

static void test_cache_bounded(void **state)
{
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.cache_names_max = 2});
    ask(&t, "one.test", AF_UNSPEC);
    ask(&t, "two.test", AF_UNSPEC);
    ask(&t, "one.test", AF_UNSPEC);
    ask(&t, "three.test", AF_UNSPEC); /* two.test was used longest ago */
    assert_int_equal(asked_now(), 3);
    ask(&t, "one.test", AF_UNSPEC);
    assert_int_equal(asked_now(), 3);
    ask(&t, "two.test", AF_UNSPEC);
    assert_int_equal(asked_now(), 4);
    tester_fini(&t);
}

static void ask_both(struct tester *t, const char *host)
{
    ask(t, host, AF_INET6);
    ask(t, host, AF_INET);
}

static void test_cache_of_families(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    ask(&t, "one.test", AF_INET6);
    assert_int_equal(t.a.count, 1);
    assert_string_equal(t.a.addrs[0], "2001:db8::1");
    fake_advance_ms(t.fake, 30000);
    ask(&t, "one.test", AF_INET); /* the other is there, this one is not */
    assert_int_equal(asked_now(), 2);
    assert_int_equal(t.a.count, 1);
    assert_string_equal(t.a.addrs[0], "192.0.2.1");
    ask_both(&t, "one.test");
    assert_int_equal(asked_now(), 2);
    fake_advance_ms(t.fake, 30000); /* each ages for itself */
    ask(&t, "one.test", AF_INET);
    assert_int_equal(asked_now(), 2);
    ask(&t, "one.test", AF_INET6);
    assert_int_equal(asked_now(), 3);
    tester_fini(&t);
}

static void test_missing_family_is_kept(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    ask_both(&t, "four.test");
    fake_advance_ms(t.fake, 59000);
    ask(&t, "four.test", AF_INET6);
    assert_int_equal(t.a.code, AIODUCT_E_RESOLVE);
    assert_int_equal(asked_now(), 2);
    fake_advance_ms(t.fake, 1000);
    ask(&t, "four.test", AF_INET6);
    assert_int_equal(asked_now(), 3);
    ask_both(&t, "no.test"); /* a name of which nothing is known is another matter */
    fake_advance_ms(t.fake, 5000);
    ask_both(&t, "no.test");
    assert_int_equal(asked_now(), 7);
    tester_fini(&t);
}

static void test_cache_counts_names(void **state)
{
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.cache_names_max = 2});
    ask_both(&t, "one.test");
    ask_both(&t, "two.test");
    ask_both(&t, "one.test");
    ask_both(&t, "two.test");
    assert_int_equal(asked_now(), 4);
    ask(&t, "three.test", AF_INET);
    ask_both(&t, "two.test");
    assert_int_equal(asked_now(), 5);
    ask_both(&t, "one.test");
    assert_int_equal(asked_now(), 7);
    tester_fini(&t);
}

static void test_one_thread(void **state)
{
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.threads = 1});
    start(&t, &t.a, "hang.test", AF_INET6);
    start(&t, &t.b, "hang.test", AF_INET);
    wait_hanging(1);
    assert_int_equal(asked_now(), 1);
    release_hanging();
    assert_true(fake_wait(t.fake, &t.a.done));
    assert_true(fake_wait(t.fake, &t.b.done));
    assert_string_equal(t.a.addrs[0], "2001:db8::1");
    assert_string_equal(t.b.addrs[0], "192.0.2.1");
    assert_int_equal(asked_now(), 2);
    tester_fini(&t);
}

static void test_joined(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    start(&t, &t.a, "hang.test", AF_UNSPEC);
    start(&t, &t.b, "hang.test", AF_UNSPEC);
    wait_hanging(1);
    release_hanging();
    assert_true(fake_wait(t.fake, &t.a.done));
    assert_true(fake_wait(t.fake, &t.b.done));
    assert_int_equal(asked_now(), 1);
    assert_int_equal(t.b.count, 2);
    tester_fini(&t);
}

/* C56: one look-up that hangs neither delays a cancel nor the answer to somebody else. */
static void test_cancel(void **state)
{
    struct timespec before, after;
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.threads = 1});
    start(&t, &t.a, "hang.test", AF_UNSPEC);
    wait_hanging(1);
    start(&t, &t.b, "other.test", AF_UNSPEC); /* waits: there is one thread */
    clock_gettime(CLOCK_MONOTONIC, &before);
    ad_lookup_cancel(t.resolver, &t.a.lookup);
    clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t took_us =
        (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
    assert_in_range(took_us, 0, 10000000);     /* it does not wait for the look-up */
    assert_true(fake_wait(t.fake, &t.b.done)); /* the orphan's place was filled */
    assert_int_equal(t.b.code, 0);
    release_hanging();
    fake_run(t.fake);
    assert_int_equal(t.a.done, 0);
    /* the late answer is kept, or about to be: nobody asks again */
    ask(&t, "hang.test", AF_UNSPEC);
    assert_int_equal(t.a.code, 0);
    assert_int_equal(asked_now(), 2);
    tester_fini(&t);
}

static void test_cancel_stages(void **state)
{
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.threads = 1});
    start(&t, &t.a, "127.0.0.1", AF_UNSPEC); /* answered, not yet told */
    ad_lookup_cancel(t.resolver, &t.a.lookup);
    ad_lookup_cancel(t.resolver, &t.a.lookup); /* again: nothing */
    fake_run(t.fake);
    assert_int_equal(t.a.done, 0);
    start(&t, &t.a, "hang.test", AF_UNSPEC);
    wait_hanging(1);
    start(&t, &t.b, "queued.test", AF_UNSPEC); /* in the queue */
    ad_lookup_cancel(t.resolver, &t.b.lookup);
    release_hanging();
    assert_true(fake_wait(t.fake, &t.a.done));
    assert_int_equal(asked_now(), 1);
    assert_int_equal(t.b.done, 0);
    ad_lookup_cancel(t.resolver, &t.a.lookup); /* after the answer: nothing */
    tester_fini(&t);
}

static void test_rejoin(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    start(&t, &t.a, "hang.test", AF_UNSPEC);
    wait_hanging(1);
    ad_lookup_cancel(t.resolver, &t.a.lookup);
    start(&t, &t.b, "hang.test", AF_UNSPEC);
    release_hanging();
    assert_true(fake_wait(t.fake, &t.b.done));
    assert_int_equal(asked_now(), 1);
    assert_int_equal(t.a.done, 0);
    tester_fini(&t);
}

static void test_destroy_hung(void **state)
{
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.threads = 3});
    ask(&t, "quick.test", AF_UNSPEC); /* its thread is idle, or takes one of the next */
    start(&t, &t.a, "hang1.test", AF_UNSPEC);
    start(&t, &t.b, "hang2.test", AF_UNSPEC);
    wait_hanging(2);
    ad_lookup_cancel(t.resolver, &t.a.lookup);
    ad_lookup_cancel(t.resolver, &t.b.lookup);
    ad_resolver_destroy(t.resolver); /* returns: the case has a time limit */
    fake_destroy(t.fake);
    assert_int_equal(hanging, 2);
    release_hanging();
    assert_int_equal(t.a.done + t.b.done, 0);
}

static int start_queued(struct tester *t, struct look *look, int name, int family)
{
    char text[32];
    snprintf(text, sizeof text, "q%d.test", name);
    *look = (struct look){.lookup.on_done = on_look};
    return ad_resolver_start(t->resolver, fake_loop(t->fake), &look->lookup, text, 1, family);
}

static void test_queue_bounded(void **state)
{
    enum { MANY = 1200, ROOM = 1024 };
    static struct look v6[MANY], v4[MANY];
    struct tester t;
    (void)state;
    tester_init_with(&t, (struct ad_resolver_options){.threads = 1});
    start(&t, &t.a, "hang.test", AF_UNSPEC);
    wait_hanging(1);
    for (int i = 0; i < MANY; i++) {
        int code = i < ROOM ? 0 : AIODUCT_E_LIMIT;
        assert_int_equal(start_queued(&t, &v6[i], i, AF_INET6), code);
    }
    for (int i = 0; i < MANY; i++) { /* of a name that has its place */
        int code = i < ROOM ? 0 : AIODUCT_E_LIMIT;
        assert_int_equal(start_queued(&t, &v4[i], i, AF_INET), code);
    }
    ad_lookup_cancel(t.resolver, &v6[0].lookup); /* the other half still has it */
    assert_int_equal(start_queued(&t, &v6[ROOM], ROOM, AF_INET6), AIODUCT_E_LIMIT);
    ad_lookup_cancel(t.resolver, &v4[0].lookup);
    assert_int_equal(start_queued(&t, &v6[ROOM], ROOM, AF_INET6), 0);
    for (int i = 0; i < MANY; i++) {
        ad_lookup_cancel(t.resolver, &v6[i].lookup);
        ad_lookup_cancel(t.resolver, &v4[i].lookup);
    }
    release_hanging();
    assert_true(fake_wait(t.fake, &t.a.done));
    tester_fini(&t);
}

static void test_out_of_memory(void **state)
{
    struct tester t;
    (void)state;
    for (uint64_t nth = 1; nth < 8; nth++) {
        tester_init(&t);
        ad_mem_fail_nth(nth);
        int code =
            ad_resolver_start(t.resolver, fake_loop(t.fake), &t.a.lookup, "one.test", 1, AF_UNSPEC);
        if (code == 0) {
            assert_true(fake_wait(t.fake, &t.a.done));
            assert_true(t.a.code == 0 || t.a.code == -ENOMEM);
        } else {
            assert_int_equal(code, -ENOMEM);
        }
        ad_mem_fail_nth(0);
        t.a.done = 0;
        ask(&t, "one.test", AF_UNSPEC);
        assert_int_equal(t.a.code, 0);
        tester_fini(&t);
    }
}

static void test_system(void **state)
{
    struct fake *fake = fake_create();
    struct ad_resolver *resolver;
    struct look look = {.lookup.on_done = on_look};
    (void)state;
    assert_int_equal(ad_resolver_create_system(NULL, &resolver), 0);
    /* Not numeric to us, but to getaddrinfo: needs a thread and no network. */
    assert_int_equal(
        ad_resolver_start(resolver, fake_loop(fake), &look.lookup, "127.1", 80, AF_INET), 0);
    assert_true(fake_wait(fake, &look.done));
    assert_int_equal(look.code, 0);
    assert_string_equal(look.addrs[0], "127.0.0.1");
    ad_resolver_destroy(resolver);
    ad_resolver_destroy(NULL);
    fake_destroy(fake);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a name gives its addresses with the port, from a named thread without signals",
         test_addresses, NULL, NULL, NULL},
        {"numeric hosts, with a zone too, need no thread", test_numeric, NULL, NULL, NULL},
        {"C56: localhost never asks the network", test_localhost, NULL, NULL, NULL},
        {"empty and over-long names fail without a look-up", test_no_name, NULL, NULL, NULL},
        {"C118: a name that does not exist is told from one to try again", test_failures, NULL,
         NULL, NULL},
        {"answers and failures are kept for their time, temporary ones not", test_cache, NULL, NULL,
         NULL},
        {"without a cache every look-up asks", test_cache_off, NULL, NULL, NULL},
        {"C56: the cache is bounded; what was used longest ago goes", test_cache_bounded, NULL,
         NULL, NULL},
        {"look-ups of one name under way are one", test_joined, NULL, NULL, NULL},
        {"C56: cancel returns at once, its thread is replaced, the late answer is kept",
         test_cancel, NULL, NULL, NULL},
        {"cancel is good when answered, queued and done", test_cancel_stages, NULL, NULL, NULL},
        {"a look-up that nobody waited for can be joined again", test_rejoin, NULL, NULL, NULL},
        {"C56: destroy does not wait for hung look-ups", test_destroy_hung, NULL, NULL, NULL},
        {"the queue is bounded by names, each with both families", test_queue_bounded, NULL, NULL,
         NULL},
        {"C55: each family has an answer and an age of its own", test_cache_of_families, NULL, NULL,
         NULL},
        {"C55: that a family is missing is kept as long as the other one's addresses",
         test_missing_family_is_kept, NULL, NULL, NULL},
        {"C56: the cache counts names, each with both families", test_cache_counts_names, NULL,
         NULL, NULL},
        {"C55: with one thread both families are asked, one after the other", test_one_thread, NULL,
         NULL, NULL},
        {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
        {"the system's getaddrinfo is asked by default", test_system, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
