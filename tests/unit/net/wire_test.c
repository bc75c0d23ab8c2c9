/* SPDX-License-Identifier: MIT */
/* Dials and transports over real sockets, on the runtime that AIODUCT_RUNTIME names. */
#include "tap.h"

#include "base/assert.h"
#include "base/error.h"
#include "certs.h"
#include "net/transport.h"
#include "plugin/registry.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HOST "example.test"
#define SECONDS_MAX 40

extern const struct aioduct_plugin aioduct_plugin_epoll;

static const struct ad_plugin *plugin;
static struct cert authority, leaf;
static char ca_file[128];

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + offset / 251);
}

static void fill(uint8_t *to, size_t count, uint64_t offset)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = byte_at(offset + i);
    }
}

static bool matches(const uint8_t *bytes, size_t count, uint64_t offset)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != byte_at(offset + i)) {
            return false;
        }
    }
    return true;
}

/* ---- a peer: one connection on a thread of its own ---- */

struct peer {
    int listener, fd;
    struct ad_addr addr;
    pthread_t thread;
    bool running;
    void (*play)(struct peer *peer);
    gnutls_session_t tls; /* NULL: clear text */
    gnutls_certificate_credentials_t credentials;
    uint64_t to_send, received;
    bool intact;
};

static void bind_to_loopback(struct peer *p)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof sin;
    p->fd = -1;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AD_ASSERT(bind(p->listener, (struct sockaddr *)&sin, sizeof sin) == 0);
    AD_ASSERT(getsockname(p->listener, (struct sockaddr *)&sin, &bytes) == 0);
    AD_ASSERT(ad_addr_parse("127.0.0.1", ntohs(sin.sin_port), &p->addr) == 0);
}

static void listen_on_loopback(struct peer *p, int backlog)
{
    bind_to_loopback(p);
    AD_ASSERT(listen(p->listener, backlog) == 0);
}

static ssize_t peer_write(struct peer *p, const void *bytes, size_t count)
{
    return p->tls != NULL ? gnutls_record_send(p->tls, bytes, count)
                          : send(p->fd, bytes, count, MSG_NOSIGNAL);
}

static ssize_t peer_read(struct peer *p, void *to, size_t room)
{
    ssize_t n;
    do {
        n = p->tls != NULL ? gnutls_record_recv(p->tls, to, room) : recv(p->fd, to, room, 0);
    } while (p->tls != NULL && (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED));
    return n;
}

static void *run_peer(void *arg)
{
    struct peer *p = arg;
    p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    if (p->fd < 0) {
        return NULL;
    }
    if (p->tls != NULL) {
        int code;
        gnutls_transport_set_int(p->tls, p->fd);
        do {
            code = gnutls_handshake(p->tls);
        } while (code < 0 && !gnutls_error_is_fatal(code));
        if (code < 0) {
            return NULL;
        }
    }
    p->play(p);
    return NULL;
}

static void peer_start(struct peer *p, void (*play)(struct peer *peer), bool tls)
{
    memset(p, 0, sizeof *p);
    listen_on_loopback(p, 8);
    p->play = play;
    p->intact = true;
    if (tls) {
        AD_ASSERT(gnutls_certificate_allocate_credentials(&p->credentials) == 0);
        AD_ASSERT(gnutls_certificate_set_x509_key(p->credentials, &leaf.crt, 1, leaf.key) >= 0);
        AD_ASSERT(gnutls_init(&p->tls, GNUTLS_SERVER | GNUTLS_NO_SIGNAL) == 0);
        AD_ASSERT(gnutls_set_default_priority(p->tls) == 0);
        AD_ASSERT(gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE, p->credentials) == 0);
    }
    AD_ASSERT(pthread_create(&p->thread, NULL, run_peer, p) == 0);
    p->running = true;
}

static void peer_join(struct peer *p)
{
    if (p->running) {
        shutdown(p->listener, SHUT_RDWR); /* wakes an accept that nobody answered */
        pthread_join(p->thread, NULL);
        p->running = false;
    }
}

static void peer_stop(struct peer *p)
{
    peer_join(p);
    if (p->tls != NULL) {
        gnutls_deinit(p->tls);
        gnutls_certificate_free_credentials(p->credentials);
    }
    if (p->fd >= 0) {
        close(p->fd);
    }
    close(p->listener);
}

/* ---- the client ---- */

struct tester {
    struct ad_loop *loop;
    struct ad_tls_context *context;
    struct ad_transport_params params;
    struct ad_dial_times times;
    struct ad_addr addrs[2];
    struct ad_transport *transport; /* NULL after on_closed */

    int opened, ended, closed, open_code, end_code, send_errors;
    uint64_t to_produce, produced, got;
    bool intact;
    uint64_t pause_every; /* bytes; 0: never */
    uint64_t pause_at;
    unsigned pauses;
    struct ad_deadline resume;
    char text[256]; /* first bytes that came */
    struct aioduct_error error;
};

static void on_open(struct ad_transport *transport, int code)
{
    struct tester *t = ad_transport_owner(transport);
    t->opened++;
    t->open_code = code;
    t->error = *ad_transport_error(transport);
}

static void on_resume(struct ad_deadline *deadline)
{
    struct tester *t = AD_CONTAINER_OF(deadline, struct tester, resume);
    if (t->transport != NULL) {
        ad_transport_resume(t->transport);
    }
}

static void on_plain(struct ad_transport *transport, const uint8_t *bytes, size_t count)
{
    struct tester *t = ad_transport_owner(transport);
    t->intact = t->intact && matches(bytes, count, t->got);
    if (t->got < sizeof t->text - 1) {
        size_t room = sizeof t->text - 1 - (size_t)t->got;
        memcpy(t->text + t->got, bytes, count < room ? count : room);
    }
    t->got += count;
    if (t->pause_every != 0 && t->got >= t->pause_at) {
        t->pause_at = t->got + t->pause_every;
        t->pauses++;
        ad_transport_pause(transport);
        assert_int_equal(ad_deadline_set(t->loop, &t->resume, ad_loop_now_ns(t->loop) + 1000000),
                         0);
    }
}

static void on_end(struct ad_transport *transport, int code)
{
    struct tester *t = ad_transport_owner(transport);
    t->ended++;
    t->end_code = code;
}

static void on_produce(struct ad_transport *transport, struct ad_buf *out, size_t room)
{
    struct tester *t = ad_transport_owner(transport);
    size_t count = t->to_produce < room ? (size_t)t->to_produce : room;
    uint8_t *to = ad_buf_reserve(out, count);
    assert_non_null(to);
    fill(to, count, t->produced);
    ad_buf_commit(out, count);
    t->produced += count;
    t->to_produce -= count;
}

static void on_sent(struct ad_transport *transport)
{
    (void)transport;
}

static void on_send_error(struct ad_transport *transport, int code)
{
    struct tester *t = ad_transport_owner(transport);
    assert_true(code < 0);
    t->send_errors++;
}

static void on_closed(struct ad_transport *transport)
{
    struct tester *t = ad_transport_owner(transport);
    t->closed++;
    t->transport = NULL;
}

static const struct ad_transport_events events = {.on_open = on_open,
                                                  .on_plain = on_plain,
                                                  .on_end = on_end,
                                                  .on_produce = on_produce,
                                                  .on_sent = on_sent,
                                                  .on_send_error = on_send_error,
                                                  .on_closed = on_closed};

static void tester_init(struct tester *t)
{
    struct aioduct_error error = {0};
    memset(t, 0, sizeof *t);
    t->intact = true;
    t->resume.expired = on_resume;
    if (ad_loop_create(plugin, NULL, &t->loop, &error) < 0) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(ad_loop_claim(t->loop), 0);
    t->params.dial =
        (struct ad_dial_params){.host = HOST, .port = 1, .addrs = t->addrs, .times = &t->times};
}

static void use_tls(struct tester *t)
{
    struct aioduct_tls_options options = {.ca_file = ca_file};
    assert_int_equal(ad_tls_context_create(&options, &t->context, &t->error), 0);
    t->params.tls = t->context;
    t->params.tls_host = HOST;
}

static uint64_t clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void turn(struct tester *t)
{
    assert_int_equal(ad_loop_turn(t->loop, 100000000), 0);
}

/* Turn until *@flag is set. */
static void wait_for(struct tester *t, const int *flag)
{
    uint64_t until = clock_ms() + SECONDS_MAX * 1000;
    while (*flag == 0 && clock_ms() < until) {
        turn(t);
    }
    assert_true(*flag != 0);
}

static void start_to(struct tester *t, const struct ad_addr *first, const struct ad_addr *second)
{
    t->addrs[0] = *first;
    t->params.dial.addr_count = 1;
    if (second != NULL) {
        t->addrs[t->params.dial.addr_count++] = *second;
    }
    assert_int_equal(ad_transport_start(t->loop, &t->params, &events, t, &t->transport), 0);
}

static void close_and_wait(struct tester *t, bool orderly)
{
    ad_transport_close(t->transport, orderly);
    wait_for(t, &t->closed);
}

static void tester_fini(struct tester *t)
{
    if (t->transport != NULL) {
        close_and_wait(t, false);
    }
    ad_deadline_remove(t->loop, &t->resume);
    ad_loop_unclaim(t->loop);
    ad_loop_destroy(t->loop);
    ad_tls_context_destroy(t->context);
}

/* ---- plays ---- */

static void *run_sender(void *arg)
{
    struct peer *p = arg;
    uint8_t chunk[16384];
    for (uint64_t offset = 0; offset < p->to_send;) {
        uint64_t left = p->to_send - offset;
        size_t count = left < sizeof chunk ? (size_t)left : sizeof chunk;
        fill(chunk, count, offset);
        ssize_t n = peer_write(p, chunk, count);
        if (n <= 0) {
            break;
        }
        offset += (uint64_t)n;
    }
    if (p->tls != NULL) {
        gnutls_bye(p->tls, GNUTLS_SHUT_WR);
    }
    shutdown(p->fd, SHUT_WR);
    return NULL;
}

/* Both directions at once, whole. */
static void play_both(struct peer *p)
{
    pthread_t sender;
    uint8_t chunk[16384];
    ssize_t n;
    AD_ASSERT(pthread_create(&sender, NULL, run_sender, p) == 0);
    while ((n = peer_read(p, chunk, sizeof chunk)) > 0) {
        p->intact = p->intact && matches(chunk, (size_t)n, p->received);
        p->received += (uint64_t)n;
    }
    pthread_join(sender, NULL);
}

static void play_read_to_end(struct peer *p)
{
    uint8_t chunk[16384];
    ssize_t n;
    while ((n = peer_read(p, chunk, sizeof chunk)) > 0) {
        p->received += (uint64_t)n;
    }
    p->intact = n == 0;
}

/* An early error, and a reset because most of the request was never read. */
static void play_413(struct peer *p)
{
    static const char answer[] = "HTTP/1.1 413 Content Too Large\r\n\r\n";
    uint8_t chunk[1000];
    p->received = (uint64_t)peer_read(p, chunk, sizeof chunk);
    peer_write(p, answer, sizeof answer - 1);
    close(p->fd);
    p->fd = -1;
}

static void play_silence(struct peer *p)
{
    uint8_t byte;
    recv(p->fd, &byte, 0, 0);
    while (recv(p->fd, &byte, 1, 0) > 0) {
    }
}

/* ---- cases ---- */

/* Bound and not listening: nobody else can be given the port before @out_fd is closed. */
static struct ad_addr refusing_addr(int *out_fd)
{
    struct peer p;
    bind_to_loopback(&p);
    *out_fd = p.listener;
    return p.addr;
}

static void test_refused_first(void **state)
{
    int held;
    struct ad_addr refused = refusing_addr(&held);
    struct aioduct_stream_info info;
    struct tester t;
    struct peer p;
    (void)state;
    tester_init(&t);
    peer_start(&p, play_read_to_end, false);
    start_to(&t, &refused, &p.addr);
    wait_for(&t, &t.opened);
    assert_int_equal(t.open_code, 0);
    assert_int_equal(ad_transport_info(t.transport, &info), 0);
    assert_memory_equal(info.peer_addr, &p.addr.storage, 8); /* family, port, address */
    close_and_wait(&t, true);
    peer_join(&p);
    assert_true(p.intact);
    peer_stop(&p);
    tester_fini(&t);
    close(held);
}

static void test_all_refused(void **state)
{
    int held;
    struct ad_addr refused = refusing_addr(&held);
    struct tester t;
    (void)state;
    tester_init(&t);
    start_to(&t, &refused, NULL);
    wait_for(&t, &t.opened);
    assert_int_equal(t.open_code, -ECONNREFUSED);
    assert_string_equal(t.error.message,
                        "connect to example.test port 1 (127.0.0.1): Connection refused");
    close_and_wait(&t, true);
    tester_fini(&t);
    close(held);
}

/* A listener whose queue is full drops what comes: as silent as a host that is gone. */
struct hole {
    struct peer peer;
    int fillers[4];
};

static void hole_open(struct hole *h)
{
    memset(h, 0, sizeof *h);
    listen_on_loopback(&h->peer, 0);
    for (int i = 0; i < 4; i++) {
        h->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(h->fillers[i], (struct sockaddr *)&h->peer.addr.storage, h->peer.addr.bytes);
    }
}

static void hole_close(struct hole *h)
{
    for (int i = 0; i < 4; i++) {
        close(h->fillers[i]);
    }
    close(h->peer.listener);
}

static void test_black_hole(void **state)
{
    struct hole hole;
    struct tester t;
    struct peer p;
    (void)state;
    tester_init(&t);
    hole_open(&hole);
    peer_start(&p, play_read_to_end, false);
    uint64_t before = clock_ms();
    start_to(&t, &hole.peer.addr, &p.addr);
    wait_for(&t, &t.opened);
    uint64_t took = clock_ms() - before;
    assert_int_equal(t.open_code, 0);
    assert_in_range(took, 245, 20000); /* 250 ms, or more on a busy machine */
    close_and_wait(&t, true);
    peer_stop(&p);
    hole_close(&hole);
    tester_fini(&t);
}

static void test_cancel_stages(void **state)
{
    struct hole hole;
    struct tester t;
    struct peer p;
    (void)state;
    hole_open(&hole);
    tester_init(&t); /* before it began */
    start_to(&t, &hole.peer.addr, NULL);
    close_and_wait(&t, true);
    tester_fini(&t);

    tester_init(&t); /* while it connects */
    start_to(&t, &hole.peer.addr, NULL);
    for (int i = 0; i < 3; i++) {
        turn(&t);
    }
    assert_int_equal(t.opened, 0);
    close_and_wait(&t, true);
    assert_int_equal(t.opened, 0);
    tester_fini(&t);
    hole_close(&hole);

    tester_init(&t); /* in the handshake, with a peer that says nothing */
    use_tls(&t);
    peer_start(&p, play_silence, false);
    start_to(&t, &p.addr, NULL);
    while (t.times.connected_ns == 0) {
        turn(&t);
    }
    turn(&t);
    assert_int_equal(t.opened, 0);
    close_and_wait(&t, true);
    assert_int_equal(t.opened, 0);
    peer_stop(&p);
    tester_fini(&t);
}

static void transfer(bool tls, uint64_t count, uint64_t pause_every)
{
    struct tester t;
    struct peer p;
    tester_init(&t);
    if (tls) {
        use_tls(&t);
    }
    peer_start(&p, play_both, tls);
    p.to_send = count;
    t.to_produce = count;
    t.pause_every = t.pause_at = pause_every;
    start_to(&t, &p.addr, NULL);
    ad_transport_dirty(t.transport);
    wait_for(&t, &t.ended);
    assert_int_equal(t.open_code, 0);
    assert_int_equal(t.end_code, 0);
    assert_true(t.got == count);
    assert_true(t.intact);
    assert_true(pause_every == 0 || t.pauses > 3);
    uint64_t until = clock_ms() + SECONDS_MAX * 1000;
    while (!tls && t.produced < count && clock_ms() < until) {
        turn(&t); /* on clear text our side goes on after theirs has ended */
    }
    if (!tls) {
        assert_true(t.produced == count);
    }
    close_and_wait(&t, true);
    peer_join(&p);
    assert_true(p.intact);
    if (!tls) {
        assert_true(p.received == count);
    }
    assert_int_equal(t.send_errors, 0);
    peer_stop(&p);
    tester_fini(&t);
}

static void test_transfer_clear(void **state)
{
    (void)state;
    transfer(false, 64 << 20, 0);
}

static void test_transfer_tls(void **state)
{
    (void)state;
    transfer(true, 64 << 20, 0);
}

static void test_upload_tls(void **state)
{
    enum { COUNT = 64 << 20 };
    struct tester t;
    struct peer p;
    (void)state;
    tester_init(&t);
    use_tls(&t);
    peer_start(&p, play_read_to_end, true);
    t.to_produce = COUNT;
    start_to(&t, &p.addr, NULL);
    ad_transport_dirty(t.transport);
    uint64_t until = clock_ms() + SECONDS_MAX * 1000;
    while (t.produced < COUNT && clock_ms() < until) {
        turn(&t);
    }
    close_and_wait(&t, true); /* with output under way: it is flushed, and close_notify said */
    peer_join(&p);
    assert_true(p.received == COUNT);
    assert_true(p.intact);
    peer_stop(&p);
    tester_fini(&t);
}

static void test_pauses(void **state)
{
    (void)state;
    transfer(false, 8 << 20, 300000);
    transfer(true, 8 << 20, 300000);
}

/* C15 */
static void test_413(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct tester t;
        struct peer p;
        tester_init(&t);
        if (tls) {
            use_tls(&t);
        }
        peer_start(&p, play_413, tls);
        t.to_produce = 64 << 20;
        start_to(&t, &p.addr, NULL);
        ad_transport_dirty(t.transport);
        wait_for(&t, &t.ended);
        assert_memory_equal(t.text, "HTTP/1.1 413 ", 13);
        assert_true(t.produced < 64 << 20);
        /* Whichever call met the reset first has heard of it. */
        assert_true(t.end_code < 0 || t.send_errors == 1);
        close_and_wait(&t, true);
        peer_stop(&p);
        tester_fini(&t);
    }
}

static int setup(void **state)
{
    struct cert_spec ca = {.common_name = "test authority", .authority = true};
    struct cert_spec server = {.common_name = "x", .dns = HOST};
    struct ad_selection want = {.need = 0};
    struct aioduct_error error = {0};
    (void)state;
    ad_registry_add_builtin(&aioduct_plugin_epoll);
    int code = ad_runtime_choose(&want, &plugin, NULL, &error);
    if (code == AIODUCT_E_UNAVAILABLE) {
        return tap_skip_all("%s", error.message);
    }
    if (code < 0) {
        printf("# %s\n", error.message);
        return code;
    }
    certs_init();
    cert_make(&authority, NULL, &ca);
    cert_make(&leaf, &authority, &server);
    snprintf(ca_file, sizeof ca_file, "%s", cert_write(&authority, "ca.pem"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (plugin == NULL) {
        return 0; /* skipped */
    }
    cert_fini(&authority);
    cert_fini(&leaf);
    certs_fini();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C55: the second address wins when the first refuses", test_refused_first, NULL, NULL,
         NULL},
        {"when all refuse the error says so", test_all_refused, NULL, NULL, NULL},
        {"C55: a silent address costs 250 ms", test_black_hole, NULL, NULL, NULL},
        {"close is good while dialling, connecting and shaking hands", test_cancel_stages, NULL,
         NULL, NULL},
        {"64 MiB both ways in the clear", test_transfer_clear, NULL, NULL, NULL},
        {"64 MiB both ways over TLS", test_transfer_tls, NULL, NULL, NULL},
        {"64 MiB up over TLS, closed in an orderly way", test_upload_tls, NULL, NULL, NULL},
        {"pauses in the middle lose nothing", test_pauses, NULL, NULL, NULL},
        {"C15: a 413 and a reset: the 413 is read", test_413, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, teardown);
}
