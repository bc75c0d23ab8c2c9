/* SPDX-License-Identifier: MIT */
/*
 * Names with two families, from the look-up's threads to the answer of a server, on the runtime
 * that AIODUCT_RUNTIME names. The name service is the test's: each family is answered when its gate
 * is open. IPv4 is the server's address; behind the same port of ::1 nobody listens.
 */
#include "engine_scene.h"

#include "http/client.h"
#include "net/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum family { V6, V4 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct {
        bool open;
        int asked, left;
        int code; /* EAI_*, 0: the address */
    } of[2];
} service = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *make_addr(enum family family)
{
    struct ad_addr addr;
    assert_int_equal(ad_addr_parse(family == V6 ? "::1" : "127.0.0.1", 0, &addr), 0);
    struct addrinfo *ai = calloc(1, sizeof *ai + addr.bytes);
    ai->ai_family = addr.storage.ss_family;
    ai->ai_addrlen = addr.bytes;
    ai->ai_addr = (struct sockaddr *)(void *)(ai + 1);
    memcpy(ai->ai_addr, &addr.storage, addr.bytes);
    return ai;
}

static int gated_getaddrinfo(const char *node, const char *name, const void *hints, void **result)
{
    const struct addrinfo *h = hints;
    enum family family = h->ai_family == AF_INET6 ? V6 : V4;
    (void)node;
    (void)name;
    pthread_mutex_lock(&service.lock);
    service.of[family].asked++;
    pthread_cond_broadcast(&service.changed);
    while (!service.of[family].open) {
        pthread_cond_wait(&service.changed, &service.lock);
    }
    int code = service.of[family].code;
    service.of[family].left++;
    pthread_cond_broadcast(&service.changed);
    pthread_mutex_unlock(&service.lock);
    if (code == 0) {
        *result = make_addr(family);
    }
    return code;
}

static void open_gate(enum family family)
{
    pthread_mutex_lock(&service.lock);
    service.of[family].open = true;
    pthread_cond_broadcast(&service.changed);
    pthread_mutex_unlock(&service.lock);
}

static void wait_asked(void)
{
    pthread_mutex_lock(&service.lock);
    while (service.of[V6].asked == 0 || service.of[V4].asked == 0) {
        pthread_cond_wait(&service.changed, &service.lock);
    }
    pthread_mutex_unlock(&service.lock);
}

static int left(enum family family)
{
    pthread_mutex_lock(&service.lock);
    int count = service.of[family].left;
    pthread_mutex_unlock(&service.lock);
    return count;
}

/* ---- one tester ---- */

struct tester {
    struct scene s;
    int held; /* ::1 with the server's port: it is nobody's; -1: this machine has no ::1 */
    struct outcome o;
    struct aioduct_request *request;
    enum family opens_on_failure; /* when an attempt fails that gate opens; V6: none does */
    char events[512];
};

static void on_event(const struct aioduct_event *event, void *user)
{
    struct tester *t = user;
    size_t used = strlen(t->events);
    if (event->kind <= AIODUCT_EVENT_OPEN_FAILED) {
        snprintf(t->events + used, sizeof t->events - used, "%s ", aioduct_event_name(event->kind));
    }
    if (event->kind == AIODUCT_EVENT_CONNECT_FAILED && t->opens_on_failure == V4) {
        open_gate(V4);
    }
}

/* Is the same port of ::1 nobody's, now and while the test runs? */
static bool hold_port(struct tester *t)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6,
                                .sin6_port = htons((uint16_t)peer_port(t->s.peer)),
                                .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    t->held = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (t->held < 0 || bind(t->held, (struct sockaddr *)(void *)&sin6, sizeof sin6) == 0) {
        return true;
    }
    close(t->held);
    t->held = -1;
    return errno != EADDRINUSE;
}

static void turn_until(struct tester *t, const char *event)
{
    while (strstr(t->events, event) == NULL) {
        assert_int_equal(aioduct_client_turn(t->s.client, 1000), 0);
    }
}

/* A request is under way, and both families are asked for. */
static void tester_init(struct tester *t)
{
    const struct ad_resolver_options options = {.getaddrinfo = gated_getaddrinfo,
                                                .freeaddrinfo = free};
    char url[64];
    memset(t, 0, sizeof *t);
    memset(service.of, 0, sizeof service.of);
    scene_begin(&t->s, scene_play_ok);
    while (!hold_port(t)) {
        peer_stop(t->s.peer);
        scene_begin(&t->s, scene_play_ok);
    }
    t->s.options.runtime = NULL;
    t->s.options.connect_timeout_ms = AIODUCT_NO_LIMIT;
    t->s.options.on_event = on_event;
    t->s.options.event_user = t;
    scene_open_client(&t->s);
    ad_resolver_destroy(t->s.client->resolver);
    assert_int_equal(ad_resolver_create_system(&options, &t->s.client->resolver), 0);
    t->s.client->workers[0].engine.resolver = t->s.client->resolver;
    snprintf(url, sizeof url, "http://two.test:%d/", peer_port(t->s.peer));
    assert_int_equal(aioduct_request_create("GET", url, &t->request, NULL), 0);
    scene_submit(&t->s, t->request, &t->o);
    turn_until(t, "dial");
    wait_asked();
}

/* The client ends first, which waits for no look-up. */
static void tester_fini(struct tester *t)
{
    aioduct_request_destroy(t->request);
    scene_end(&t->s);
    if (t->held >= 0) {
        close(t->held);
    }
    open_gate(V6);
    open_gate(V4);
    pthread_mutex_lock(&service.lock);
    while (service.of[V6].left < service.of[V6].asked ||
           service.of[V4].left < service.of[V4].asked) {
        pthread_cond_wait(&service.changed, &service.lock);
    }
    pthread_mutex_unlock(&service.lock);
}

static void run(struct tester *t)
{
    assert_int_equal(aioduct_client_run(t->s.client), 0);
    assert_int_equal(t->o.done_count, 1);
}

/* ---- cases ---- */

static void test_without_ipv6(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    open_gate(V4);
    run(&t);
    assert_int_equal(t.o.error.code, 0);
    assert_string_equal(t.o.body, "ok");
    assert_int_equal(left(V6), 0); /* it still hangs */
    assert_string_equal(t.events, "dial resolved connect connected opened ");
    tester_fini(&t);
}

static void test_late_rescue(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    t.opens_on_failure = V4;
    open_gate(V6);
    run(&t);
    assert_int_equal(t.o.error.code, 0);
    assert_string_equal(t.o.body, "ok");
    assert_string_equal(t.events,
                        "dial resolved connect connect_failed resolved connect connected opened ");
    tester_fini(&t);
}

static void test_missing_family(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    service.of[V6].code = EAI_NONAME;
    open_gate(V6);
    open_gate(V4);
    run(&t);
    assert_int_equal(t.o.error.code, 0);
    assert_string_equal(t.events, "dial resolved connect connected opened ");
    tester_fini(&t);
}

static void test_both_fail(void **state)
{
    char expected[256];
    struct tester t;
    (void)state;
    tester_init(&t);
    service.of[V6].code = EAI_NONAME;
    service.of[V4].code = EAI_AGAIN;
    open_gate(V6);
    open_gate(V4);
    run(&t);
    snprintf(expected, sizeof expected, "look up two.test: IPv6: %s; IPv4: %s",
             gai_strerror(EAI_NONAME), gai_strerror(EAI_AGAIN));
    assert_int_equal(t.o.error.code, AIODUCT_E_RESOLVE_TEMPORARY);
    assert_int_equal(t.o.error.phase, AIODUCT_PHASE_RESOLVE);
    assert_int_equal(t.o.error.safe_to_retry, 1);
    assert_string_equal(t.o.error.message, expected);
    assert_string_equal(t.events, "dial open_failed ");
    tester_fini(&t);
}

static void cancel(struct tester *t)
{
    aioduct_exchange_cancel(t->o.exchange);
    run(t);
    assert_int_equal(t->o.error.code, -ECANCELED);
}

static void test_cancel(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t); /* both hang */
    cancel(&t);
    tester_fini(&t);

    tester_init(&t); /* one has lost its race, the other hangs */
    open_gate(V6);
    turn_until(&t, "connect_failed");
    cancel(&t);
    assert_int_equal(left(V4), 0);
    tester_fini(&t);
}

static int setup(void **state)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client = NULL;
    struct aioduct_error error = {0};
    (void)state;
    options.config_file = "";
    int code = aioduct_client_create(&options, &client, &error);
    if (code == AIODUCT_E_UNAVAILABLE) {
        return tap_skip_all("%s", error.message);
    }
    aioduct_client_destroy(client);
    return code;
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C55: a request is answered over IPv4 while the look-up of IPv6 hangs", test_without_ipv6,
         NULL, NULL, NULL},
        {"C55: IPv4 that comes after IPv6 was refused serves the request", test_late_rescue, NULL,
         NULL, NULL},
        {"C55: a family that is missing is no error", test_missing_family, NULL, NULL, NULL},
        {"C55, C118: if both are missing the error names both", test_both_fail, NULL, NULL, NULL},
        {"C55: cancel waits for neither look-up", test_cancel, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, NULL);
}
