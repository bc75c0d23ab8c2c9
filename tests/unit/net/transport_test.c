/* SPDX-License-Identifier: MIT */
/* Transports on a clock and streams that the test moves; TLS against a server in memory. */
#include "tap.h"

#include "base/mem.h"
#include "certs.h"
#include "fake_resolver.h"
#include "fake_runtime.h"
#include "net/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOST "example.test"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

static struct cert authority, leaf;
static char ca_file[128];

/* When the owner closes by itself, or does something else, inside an event. */
enum event { NONE, OPEN, PLAIN, END, PRODUCE, SENT, SEND_ERROR };

struct tester {
    struct fake *fake;
    struct fake_resolver resolver;
    struct ad_tls_context *context;
    struct ad_transport_params params;
    struct ad_transport *transport; /* NULL after on_closed */
    struct server server;

    enum event close_in;
    bool orderly;
    enum event pause_in;
    size_t to_produce; /* bytes that on_produce still has to give */
    size_t room;       /* of the last on_produce */

    int opened, ended, closed, produced, sent, send_errors;
    int open_code, end_code, send_code;
    struct ad_buf got;
    struct aioduct_error error;
};

static void react(struct tester *t, enum event event)
{
    assert_int_equal(t->closed, 0);
    if (t->pause_in == event) {
        ad_transport_pause(t->transport);
    }
    if (t->close_in == event) {
        t->close_in = NONE;
        ad_transport_close(t->transport, t->orderly);
    }
}

static void on_open(struct ad_transport *transport, int code)
{
    struct tester *t = ad_transport_owner(transport);
    t->opened++;
    t->open_code = code;
    t->error = *ad_transport_error(transport);
    react(t, OPEN);
}

static void on_plain(struct ad_transport *transport, const uint8_t *bytes, size_t count)
{
    struct tester *t = ad_transport_owner(transport);
    assert_int_equal(t->ended, 0);
    assert_int_equal(ad_buf_append(&t->got, bytes, count), 0);
    react(t, PLAIN);
    /* Whatever the event did, the bytes are good until it returns. */
    assert_memory_equal(ad_buf_data(&t->got) + ad_buf_bytes(&t->got) - count, bytes, count);
}

static void on_end(struct ad_transport *transport, int code)
{
    struct tester *t = ad_transport_owner(transport);
    t->ended++;
    t->end_code = code;
    t->error = *ad_transport_error(transport);
    react(t, END);
}

static void on_produce(struct ad_transport *transport, struct ad_buf *out, size_t room)
{
    struct tester *t = ad_transport_owner(transport);
    size_t count = t->to_produce < room ? t->to_produce : room;
    t->produced++;
    t->room = room;
    uint8_t *to = ad_buf_reserve(out, count);
    assert_non_null(to);
    memset(to, 'p', count);
    ad_buf_commit(out, count);
    t->to_produce -= count;
    react(t, PRODUCE);
}

static void on_sent(struct ad_transport *transport)
{
    struct tester *t = ad_transport_owner(transport);
    t->sent++;
    react(t, SENT);
}

static void on_send_error(struct ad_transport *transport, int code)
{
    struct tester *t = ad_transport_owner(transport);
    t->send_errors++;
    t->send_code = code;
    react(t, SEND_ERROR);
}

static void on_closed(struct ad_transport *transport)
{
    struct tester *t = ad_transport_owner(transport);
    t->closed++;
    t->transport = NULL;
    for (unsigned i = 0; i < fake_conn_count(t->fake); i++) { /* the loop could be destroyed now */
        assert_true(fake_conn_at(t->fake, i)->closed);
    }
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
    memset(t, 0, sizeof *t);
    t->fake = fake_create();
    fake_resolver_init(&t->resolver);
    t->params.dial =
        (struct ad_dial_params){.resolver = &t->resolver.base, .host = HOST, .port = 443};
}

static void tester_fini(struct tester *t)
{
    if (t->transport != NULL && t->closed == 0) {
        ad_transport_close(t->transport, false);
    }
    fake_run(t->fake);
    assert_int_equal(t->closed, 1);
    fake_destroy(t->fake);
    ad_tls_context_destroy(t->context);
    if (t->server.session != NULL) {
        server_fini(&t->server);
    }
    ad_buf_fini(&t->got);
}

static void start(struct tester *t)
{
    assert_int_equal(ad_transport_start(fake_loop(t->fake), &t->params, &events, t, &t->transport),
                     0);
}

static struct fake_conn *conn(struct tester *t)
{
    return fake_conn_at(t->fake, 0);
}

static void run(struct tester *t)
{
    fake_run(t->fake);
}

/* Dialled and connected; clear text is open then. */
static void start_connected(struct tester *t)
{
    start(t);
    fake_resolver_answer(&t->resolver, (const char *const[]){"192.0.2.1", NULL});
    assert_true(ad_transport_times(t->transport)->resolved_ns != 0);
    assert_true(ad_transport_times(t->transport)->connected_ns == 0);
    fake_advance_ms(t->fake, 1);
    fake_done(conn(t), AIODUCT_OP_CONNECT, 0);
    run(t);
}

static void open_clear(struct tester *t)
{
    tester_init(t);
    start_connected(t);
    assert_int_equal(t->opened, 1);
    assert_int_equal(t->open_code, 0);
}

/* Carry bytes between the TLS server and the stream until nothing moves. */
static void pump(struct tester *t)
{
    bool moved = true;
    while (moved) {
        run(t);
        struct fake_conn *c = conn(t);
        moved = ad_buf_bytes(&c->sent) > 0;
        if (moved) {
            ad_buf_append(&t->server.in, ad_buf_data(&c->sent), ad_buf_bytes(&c->sent));
            ad_buf_clear(&c->sent);
        }
        server_step(&t->server);
        if (ad_buf_bytes(&t->server.out) > 0) {
            fake_data(c, ad_buf_data(&t->server.out), ad_buf_bytes(&t->server.out));
            ad_buf_clear(&t->server.out);
            moved = true;
        }
    }
}

static void start_tls(struct tester *t)
{
    struct aioduct_tls_options options = {.ca_file = ca_file};
    static const char *const alpn[] = {"http/1.1", NULL};
    tester_init(t);
    assert_int_equal(ad_tls_context_create(&options, &t->context, &t->error), 0);
    t->params.tls = t->context;
    t->params.tls_host = HOST;
    t->params.alpn = alpn;
    server_init(&t->server, TLS13, &leaf, NULL, NULL);
    start_connected(t);
    assert_int_equal(t->opened, 0);
}

static void open_tls(struct tester *t)
{
    start_tls(t);
    pump(t);
    assert_int_equal(t->opened, 1);
    assert_int_equal(t->open_code, 0);
}

static void server_says(struct tester *t, const char *text)
{
    assert_int_equal(gnutls_record_send(t->server.session, text, strlen(text)),
                     (ssize_t)strlen(text));
}

static void deliver(struct tester *t)
{
    fake_data(conn(t), ad_buf_data(&t->server.out), ad_buf_bytes(&t->server.out));
    ad_buf_clear(&t->server.out);
    run(t);
}

static void assert_got(struct tester *t, const char *text)
{
    assert_int_equal(ad_buf_bytes(&t->got), strlen(text));
    assert_memory_equal(ad_buf_data(&t->got), text, strlen(text));
}

/* ---- clear text ---- */

static void test_open(void **state)
{
    struct tester t;
    struct aioduct_stream_info info;
    (void)state;
    open_clear(&t);
    const struct ad_transport_times *times = ad_transport_times(t.transport);
    assert_true(times->connected_ns > times->resolved_ns);
    assert_true(times->secured_ns == 0);
    assert_true(conn(&t)->inflight & AIODUCT_OP_RECV);
    assert_string_equal(ad_transport_tls_version(t.transport), "");
    assert_string_equal(ad_transport_alpn(t.transport), "");
    assert_int_equal(ad_transport_info(t.transport, &info), 0);
    assert_int_equal(info.fd, 7);
    assert_ptr_equal(ad_transport_loop(t.transport), fake_loop(t.fake));
    fake_data(conn(&t), "hello", 5);
    fake_data(conn(&t), " world", 6);
    run(&t);
    assert_got(&t, "hello world");
    fake_done(conn(&t), AIODUCT_OP_RECV, 0);
    run(&t);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.end_code, 0);
    t.to_produce = 3; /* the other direction still works */
    ad_transport_dirty(t.transport);
    run(&t);
    assert_int_equal(ad_buf_bytes(&conn(&t)->sent), 3);
    tester_fini(&t);
}

static void test_open_error(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    start(&t);
    fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
    fake_done(conn(&t), AIODUCT_OP_CONNECT, -ECONNREFUSED);
    run(&t);
    assert_int_equal(t.opened, 1);
    assert_int_equal(t.open_code, -ECONNREFUSED);
    assert_string_equal(t.error.message,
                        "connect to example.test port 443 (192.0.2.1): Connection refused");
    assert_int_equal(t.closed, 0);
    ad_transport_close(t.transport, true);
    assert_int_equal(t.closed, 0); /* not inside the call */
    run(&t);
    assert_int_equal(t.closed, 1);
    tester_fini(&t);
}

static void test_one_flush(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    t.to_produce = 10;
    start(&t);
    ad_transport_dirty(t.transport); /* before it is open: remembered */
    fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
    fake_done(conn(&t), AIODUCT_OP_CONNECT, 0);
    run(&t);
    assert_int_equal(conn(&t)->sends, 1);
    assert_int_equal(t.produced, 1);
    assert_int_equal(t.sent, 1);
    t.to_produce = 20;
    ad_transport_dirty(t.transport);
    ad_transport_dirty(t.transport);
    run(&t);
    assert_int_equal(t.produced, 2);
    assert_int_equal(conn(&t)->sends, 2);
    assert_int_equal(ad_buf_bytes(&conn(&t)->sent), 30);
    ad_transport_dirty(t.transport); /* with nothing to say */
    run(&t);
    assert_int_equal(t.produced, 3);
    assert_int_equal(conn(&t)->sends, 2);
    assert_int_equal(t.sent, 2);
    tester_fini(&t);
}

static void test_filled_room(void **state)
{
    struct tester t;
    (void)state;
    open_clear(&t);
    t.to_produce = 3 * AD_LOOP_BUF_BYTES + 100;
    ad_transport_dirty(t.transport);
    run(&t);
    assert_int_equal(t.room, AD_LOOP_BUF_BYTES);
    assert_int_equal(t.produced, 4);
    assert_int_equal(ad_buf_bytes(&conn(&t)->sent), 3 * AD_LOOP_BUF_BYTES + 100);
    tester_fini(&t);
}

static void test_pending_send(void **state)
{
    struct tester t;
    (void)state;
    open_clear(&t);
    conn(&t)->send_answer = AIODUCT_PENDING;
    t.to_produce = AD_LOOP_BUF_BYTES + 5;
    ad_transport_dirty(t.transport);
    run(&t);
    assert_int_equal(t.produced, 1);
    ad_transport_dirty(t.transport);
    run(&t);
    assert_int_equal(t.produced, 1); /* nothing is asked for meanwhile */
    assert_int_equal(t.sent, 0);
    fake_done(conn(&t), AIODUCT_OP_SEND, 0);
    run(&t);
    assert_int_equal(t.sent, 1);
    assert_int_equal(t.produced, 2);
    fake_done(conn(&t), AIODUCT_OP_SEND, 0);
    run(&t);
    assert_int_equal(t.sent, 2);
    assert_int_equal(t.produced, 2);
    assert_int_equal(ad_buf_bytes(&conn(&t)->sent), AD_LOOP_BUF_BYTES + 5);
    tester_fini(&t);
}

/* C15 */
static void test_send_error(void **state)
{
    static const int answers[] = {-EPIPE, AIODUCT_PENDING};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tester t;
        open_clear(&t);
        conn(&t)->send_answer = answers[i];
        t.to_produce = 10;
        ad_transport_dirty(t.transport);
        run(&t);
        if (answers[i] == AIODUCT_PENDING) {
            fake_done(conn(&t), AIODUCT_OP_SEND, -EPIPE);
            run(&t);
        }
        assert_int_equal(t.send_errors, 1);
        assert_int_equal(t.send_code, -EPIPE);
        ad_transport_dirty(t.transport);
        run(&t);
        assert_int_equal(conn(&t)->sends, 1);
        fake_data(conn(&t), "413", 3);
        fake_done(conn(&t), AIODUCT_OP_RECV, -ECONNRESET);
        run(&t);
        assert_got(&t, "413");
        assert_int_equal(t.ended, 1);
        assert_int_equal(t.end_code, -ECONNRESET);
        assert_int_equal(t.send_errors, 1);
        tester_fini(&t);
    }
}

static void test_pause(void **state)
{
    struct tester t;
    (void)state;
    open_clear(&t);
    ad_transport_pause(t.transport);
    fake_data(conn(&t), "late", 4); /* it was on its way */
    run(&t);
    assert_false(conn(&t)->inflight & AIODUCT_OP_RECV);
    ad_transport_resume(t.transport);
    run(&t);
    assert_true(conn(&t)->inflight & AIODUCT_OP_RECV);
    ad_transport_pause(t.transport); /* back before the stop was done */
    ad_transport_resume(t.transport);
    run(&t);
    assert_true(conn(&t)->inflight & AIODUCT_OP_RECV);
    fake_data(conn(&t), "more", 4);
    run(&t);
    ad_transport_pause(t.transport);
    run(&t);
    ad_transport_resume(t.transport);
    fake_done(conn(&t), AIODUCT_OP_RECV, 0);
    run(&t);
    assert_int_equal(t.ended, 1);
    tester_fini(&t);
}

static void test_end_while_paused(void **state)
{
    struct tester t;
    (void)state;
    open_clear(&t);
    fake_done(conn(&t), AIODUCT_OP_RECV, 0); /* comes before the stop does */
    ad_transport_pause(t.transport);
    run(&t);
    assert_int_equal(t.ended, 0);
    ad_transport_resume(t.transport);
    assert_int_equal(t.ended, 0);
    run(&t);
    assert_int_equal(t.ended, 1);
    tester_fini(&t);
}

static void test_idle_owns_nothing(void **state)
{
    struct tester t;
    (void)state;
    open_clear(&t);
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    fake_data(conn(&t), "x", 1);
    run(&t);
    uint64_t before = ad_mem_count();
    for (int i = 0; i < 50; i++) { /* nor does a warm one ask for memory */
        t.to_produce = 1000;
        ad_transport_dirty(t.transport);
        run(&t);
    }
    /* what the stream's side keeps of the sent bytes may grow */
    assert_in_range(ad_mem_count() - before, 0, 8);
    tester_fini(&t);
}

/* ---- closing ---- */

static void test_close_stages(void **state)
{
    (void)state;
    for (int stage = 0; stage < 6; stage++) {
        for (int orderly = 0; orderly < 2; orderly++) {
            struct tester t;
            tester_init(&t);
            t.orderly = orderly;
            start(&t);
            if (stage >= 1) {
                fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
            }
            if (stage >= 2) {
                fake_done(conn(&t), AIODUCT_OP_CONNECT, 0);
                run(&t);
            }
            if (stage >= 3) {
                conn(&t)->send_answer = AIODUCT_PENDING;
                t.to_produce = 10;
                ad_transport_dirty(t.transport);
                run(&t);
            }
            if (stage >= 4) {
                ad_transport_pause(t.transport);
            }
            if (stage >= 5) {
                fake_done(conn(&t), AIODUCT_OP_RECV, -ECONNRESET);
                fake_done(conn(&t), AIODUCT_OP_SEND, -ECONNRESET);
                run(&t);
            }
            ad_transport_close(t.transport, orderly);
            assert_int_equal(t.closed, 0);
            run(&t);
            bool waits = orderly && (stage == 3 || stage == 4);
            assert_int_equal(t.closed, !waits);
            if (waits) {
                fake_advance_ms(t.fake, 1010);
                run(&t);
                assert_int_equal(t.closed, 1);
            }
            ad_transport_close(NULL, true);
            tester_fini(&t);
        }
    }
}

static void test_losers_gone(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    t.close_in = OPEN;
    start(&t);
    fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", "192.0.2.2", NULL});
    fake_advance_ms(t.fake, 260);
    run(&t);
    fake_done(fake_conn_at(t.fake, 1), AIODUCT_OP_CONNECT, 0);
    run(&t);
    assert_int_equal(t.closed, 1);
    tester_fini(&t);
}

static void test_close_flushes(void **state)
{
    struct tester t;
    (void)state;
    open_clear(&t);
    conn(&t)->send_answer = AIODUCT_PENDING;
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    run(&t);
    ad_transport_close(t.transport, true);
    fake_data(conn(&t), "nobody wants this", 17);
    run(&t);
    assert_int_equal(t.closed, 0);
    fake_done(conn(&t), AIODUCT_OP_SEND, 0);
    run(&t);
    assert_int_equal(t.closed, 1);
    assert_int_equal(ad_buf_bytes(&conn(&t)->sent), 10);
    assert_int_equal(t.sent, 0); /* no event but on_closed */
    assert_got(&t, "");
    tester_fini(&t);
}

static void test_close_in_events(void **state)
{
    (void)state;
    for (int event = OPEN; event <= SEND_ERROR; event++) {
        for (int mode = 0; mode < 4; mode++) {
            struct tester t;
            tester_init(&t);
            t.close_in = (enum event)event;
            t.orderly = mode & 1;
            fake_send_answer(t.fake, event == SEND_ERROR ? -EPIPE
                                     : mode & 2          ? AIODUCT_PENDING
                                                         : AIODUCT_DONE);
            start_connected(&t);
            if (event != OPEN) {
                t.to_produce = 10;
                if (event >= PRODUCE) {
                    ad_transport_dirty(t.transport);
                    run(&t);
                }
                fake_done(conn(&t), AIODUCT_OP_SEND, 0);
                fake_data(conn(&t), "a", 1);
                fake_data(conn(&t), "b", 1);
                fake_done(conn(&t), AIODUCT_OP_RECV, 0);
            }
            run(&t);
            assert_int_equal(t.close_in, NONE);
            assert_int_equal(t.closed, 1);
            assert_in_range(ad_buf_bytes(&t.got), 0, event == PLAIN ? 1 : 2);
            if (event == PRODUCE && t.orderly) { /* what it produced is sent */
                assert_int_equal(ad_buf_bytes(&conn(&t)->sent), 10);
            }
            tester_fini(&t);
        }
    }
}

/* ---- TLS ---- */

static void test_tls(void **state)
{
    struct tester t;
    uint8_t bytes[100];
    (void)state;
    open_tls(&t);
    assert_string_equal(ad_transport_tls_version(t.transport), "TLS1.3");
    assert_true(ad_transport_tls_cipher(t.transport)[0] != '\0');
    assert_false(ad_transport_tls_resumed(t.transport));
    assert_true(ad_transport_times(t.transport)->secured_ns != 0);
    unsigned sends = conn(&t)->sends;
    t.to_produce = 60;
    ad_transport_dirty(t.transport);
    pump(&t);
    assert_int_equal(conn(&t)->sends, sends + 1);
    assert_int_equal(gnutls_record_recv(t.server.session, bytes, sizeof bytes), 60);
    assert_int_equal(t.sent, 1);
    server_says(&t, "hello");
    server_says(&t, " world");
    deliver(&t);
    assert_got(&t, "hello world");
    gnutls_bye(t.server.session, GNUTLS_SHUT_WR);
    deliver(&t);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.end_code, 0);
    tester_fini(&t);
}

/* The last flight of the handshake and the request leave in one send. */
static void test_tls_first_flush(void **state)
{
    struct tester t;
    (void)state;
    start_tls(&t);
    ad_transport_dirty(t.transport);
    t.to_produce = 60;
    pump(&t);
    assert_int_equal(conn(&t)->sends, 2);
    assert_int_equal(t.produced, 1);
    tester_fini(&t);
}

static void test_tls_big(void **state)
{
    enum { COUNT = 300000 };
    static uint8_t bytes[COUNT];
    struct tester t;
    size_t got = 0;
    (void)state;
    open_tls(&t);
    t.to_produce = COUNT;
    ad_transport_dirty(t.transport);
    pump(&t);
    for (;;) {
        ssize_t n = gnutls_record_recv(t.server.session, bytes, sizeof bytes);
        if (n < 0) {
            assert_int_equal(n, GNUTLS_E_AGAIN);
            break;
        }
        got += (size_t)n;
    }
    assert_int_equal(got, COUNT);
    assert_int_equal(t.produced, COUNT / t.room + 1);
    tester_fini(&t);
}

/* C61, C8 */
static void test_tls_truncation(void **state)
{
    struct tester t;
    (void)state;
    open_tls(&t);
    server_says(&t, "half");
    deliver(&t);
    fake_done(conn(&t), AIODUCT_OP_RECV, 0);
    run(&t);
    assert_got(&t, "half");
    assert_int_equal(t.end_code, AIODUCT_E_TRUNCATED);
    tester_fini(&t);
}

/* C62 */
static void test_tls_ticket(void **state)
{
    gnutls_datum_t key;
    struct tester t;
    (void)state;
    assert_int_equal(gnutls_session_ticket_key_generate(&key), 0);
    start_tls(&t);
    gnutls_session_ticket_enable_server(t.server.session, &key);
    pump(&t);
    assert_int_equal(gnutls_session_ticket_send(t.server.session, 1, 0), 0);
    deliver(&t);
    assert_int_equal(t.opened, 1);
    assert_got(&t, "");
    assert_int_equal(t.ended, 0);
    tester_fini(&t);
    gnutls_free(key.data);
}

static void test_tls_pause(void **state)
{
    struct tester t;
    (void)state;
    open_tls(&t);
    t.pause_in = PLAIN;
    server_says(&t, "one ");
    server_says(&t, "two ");
    fake_data(conn(&t), ad_buf_data(&t.server.out), ad_buf_bytes(&t.server.out));
    ad_buf_clear(&t.server.out);
    server_says(&t, "three");
    fake_data(conn(&t), ad_buf_data(&t.server.out), ad_buf_bytes(&t.server.out));
    ad_buf_clear(&t.server.out);
    run(&t);
    assert_got(&t, "one "); /* the rest is kept */
    assert_false(conn(&t)->inflight & AIODUCT_OP_RECV);
    ad_transport_resume(t.transport);
    assert_got(&t, "one "); /* not inside the call */
    run(&t);
    assert_got(&t, "one two ");
    t.pause_in = NONE;
    ad_transport_resume(t.transport);
    run(&t);
    assert_got(&t, "one two three");
    assert_true(conn(&t)->inflight & AIODUCT_OP_RECV);

    t.pause_in = PLAIN; /* the end waits behind what is kept */
    server_says(&t, "four");
    server_says(&t, "five");
    gnutls_bye(t.server.session, GNUTLS_SHUT_WR);
    fake_data(conn(&t), ad_buf_data(&t.server.out), ad_buf_bytes(&t.server.out));
    fake_done(conn(&t), AIODUCT_OP_RECV, 0);
    run(&t);
    assert_got(&t, "one two threefour");
    t.pause_in = NONE;
    ad_transport_resume(t.transport);
    run(&t);
    assert_got(&t, "one two threefourfive");
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.end_code, 0);
    tester_fini(&t);
}

static void test_tls_close(void **state)
{
    uint8_t byte;
    struct tester t;
    (void)state;
    open_tls(&t);
    ad_transport_close(t.transport, true);
    pump(&t);
    assert_int_equal(t.closed, 1); /* without an answer */
    assert_int_equal(gnutls_record_recv(t.server.session, &byte, 1), 0);
    tester_fini(&t);

    open_tls(&t); /* it may take a while, but not for ever */
    conn(&t)->send_answer = AIODUCT_PENDING;
    ad_transport_close(t.transport, true);
    run(&t);
    assert_int_equal(t.closed, 0);
    fake_advance_ms(t.fake, 1010);
    run(&t);
    assert_int_equal(t.closed, 1);
    tester_fini(&t);
}

static void test_tls_close_in_events(void **state)
{
    static const enum event at[] = {OPEN, PLAIN, PRODUCE, SENT, END};
    (void)state;
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        for (int orderly = 0; orderly < 2; orderly++) {
            struct tester t;
            uint8_t bytes[100];
            start_tls(&t);
            t.close_in = at[i];
            t.orderly = orderly;
            pump(&t);
            if (at[i] != OPEN) {
                server_says(&t, "one");
                server_says(&t, "two");
                gnutls_bye(t.server.session, GNUTLS_SHUT_WR);
                if (at[i] == PLAIN || at[i] == END) {
                    deliver(&t);
                }
                t.to_produce = 10;
                if (t.closed == 0) {
                    ad_transport_dirty(t.transport);
                }
                pump(&t);
            }
            assert_int_equal(t.closed, 1);
            if (at[i] == PRODUCE && orderly) {
                assert_int_equal(gnutls_record_recv(t.server.session, bytes, 100), 10);
                assert_int_equal(gnutls_record_recv(t.server.session, bytes, 100), 0);
            }
            tester_fini(&t);
        }
    }
}

static void test_tls_refused(void **state)
{
    struct tester t;
    (void)state;
    start_tls(&t);
    ad_transport_close(t.transport, true); /* in the middle of the handshake */
    run(&t);
    assert_int_equal(t.closed, 1);
    assert_int_equal(t.opened, 0);
    tester_fini(&t);

    start_tls(&t);
    fake_done(conn(&t), AIODUCT_OP_RECV, 0);
    run(&t);
    assert_int_equal(t.open_code, AIODUCT_E_CLOSED);
    assert_int_equal(t.error.phase, AIODUCT_PHASE_TLS);
    assert_string_equal(t.error.message,
                        "TLS handshake with example.test:443: the peer closed the connection");
    tester_fini(&t);

    tester_init(&t); /* a certificate for somebody else: refused with an alert */
    struct aioduct_tls_options options = {.ca_file = ca_file};
    assert_int_equal(ad_tls_context_create(&options, &t.context, &t.error), 0);
    t.params.tls = t.context;
    t.params.tls_host = "other.test";
    server_init(&t.server, TLS13, &leaf, NULL, NULL);
    start_connected(&t);
    run(&t);
    ad_buf_append(&t.server.in, ad_buf_data(&conn(&t)->sent), ad_buf_bytes(&conn(&t)->sent));
    ad_buf_clear(&conn(&t)->sent);
    server_step(&t.server);
    deliver(&t);
    assert_int_equal(t.open_code, AIODUCT_E_TLS_VERIFY);
    assert_int_equal(t.error.phase, AIODUCT_PHASE_TLS);
    assert_true(ad_buf_bytes(&conn(&t)->sent) > 0);
    tester_fini(&t);
}

/* A peer that refuses us in the handshake may reset before we have sent all. */
static void test_tls_alert_after_send_error(void **state)
{
    struct tester t;
    (void)state;
    tester_init(&t);
    fake_send_answer(t.fake, -ECONNRESET);
    struct aioduct_tls_options options = {.ca_file = ca_file};
    assert_int_equal(ad_tls_context_create(&options, &t.context, &t.error), 0);
    t.params.tls = t.context;
    t.params.tls_host = HOST;
    start_connected(&t);
    assert_int_equal(t.opened, 0);
    fake_data(conn(&t), "\x15\x03\x03\x00\x02\x02\x28", 7); /* alert: handshake_failure */
    run(&t);
    assert_int_equal(t.open_code, AIODUCT_E_TLS);
    assert_non_null(strstr(t.error.message, "the peer says: Handshake failed"));
    tester_fini(&t);
}

static void test_tls_damage(void **state)
{
    struct tester t;
    (void)state;
    open_tls(&t);
    server_says(&t, "data");
    t.server.out.block[t.server.out.end - 1] ^= 1;
    unsigned sends = conn(&t)->sends;
    deliver(&t);
    assert_int_equal(t.end_code, AIODUCT_E_TLS);
    assert_int_equal(conn(&t)->sends, sends + 1); /* the alert */
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    run(&t);
    assert_int_equal(t.produced, 0);
    tester_fini(&t);
}

static void test_key_update(void **state)
{
    uint8_t bytes[100];
    struct tester t;
    (void)state;
    open_tls(&t);
    gnutls_session_key_update(t.server.session, GNUTLS_KU_PEER);
    server_says(&t, "new keys");
    deliver(&t);
    assert_got(&t, "new keys");
    t.to_produce = 10;
    ad_transport_dirty(t.transport);
    pump(&t);
    ssize_t n;
    do {
        n = gnutls_record_recv(t.server.session, bytes, sizeof bytes);
    } while (n == GNUTLS_E_AGAIN && ad_buf_bytes(&t.server.in) > 0);
    assert_int_equal(n, 10);
    tester_fini(&t);
}

static void test_warm_tls(void **state)
{
    struct tester t;
    (void)state;
    open_tls(&t);
    for (int round = 0; round < 2; round++) {
        uint64_t before = ad_mem_count();
        for (int i = 0; i < 20; i++) {
            t.to_produce = 500;
            ad_transport_dirty(t.transport);
            pump(&t);
            server_says(&t, "answer");
            deliver(&t);
        }
        if (round == 1) { /* the test's own buffers grow */
            assert_in_range(ad_mem_count() - before, 0, 4);
        }
    }
    tester_fini(&t);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 30; nth++) {
        struct tester t;
        tester_init(&t);
        t.to_produce = 10;
        assert_non_null(ad_buf_reserve(&t.got, 64)); /* the test's own memory does not fail */
        ad_mem_fail_nth(nth);
        if (ad_transport_start(fake_loop(t.fake), &t.params, &events, &t, &t.transport) < 0) {
            ad_mem_fail_nth(0);
            ad_buf_fini(&t.got);
            fake_destroy(t.fake);
            continue;
        }
        ad_transport_dirty(t.transport);
        fake_resolver_answer(&t.resolver, (const char *const[]){"192.0.2.1", NULL});
        if (fake_conn_count(t.fake) > 0) {
            fake_done(conn(&t), AIODUCT_OP_CONNECT, 0);
            run(&t);
            fake_data(conn(&t), "x", 1);
            fake_done(conn(&t), AIODUCT_OP_RECV, 0);
        }
        run(&t);
        ad_mem_fail_nth(0);
        assert_int_equal(t.opened, 1);
        assert_true(t.open_code == 0 || t.open_code == -ENOMEM);
        assert_true(t.send_errors == 0 || t.send_code == -ENOMEM);
        tester_fini(&t);
    }
}

static int setup(void **state)
{
    struct cert_spec ca = {.common_name = "test authority", .authority = true};
    struct cert_spec server = {.common_name = "x", .dns = HOST};
    (void)state;
    certs_init();
    cert_make(&authority, NULL, &ca);
    cert_make(&leaf, &authority, &server);
    snprintf(ca_file, sizeof ca_file, "%s", cert_write(&authority, "ca.pem"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cert_fini(&authority);
    cert_fini(&leaf);
    certs_fini();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"clear text opens, carries bytes and ends; sending works on", test_open, NULL, NULL, NULL},
        {"a failed dial is on_open's error; the owner closes", test_open_error, NULL, NULL, NULL},
        {"one produce and one send a turn, also when made dirty before it opened", test_one_flush,
         NULL, NULL, NULL},
        {"a producer that fills the room is asked again", test_filled_room, NULL, NULL, NULL},
        {"a pending send keeps its buffer and holds the producer back", test_pending_send, NULL,
         NULL, NULL},
        {"C15: after a failed send the answer is still read", test_send_error, NULL, NULL, NULL},
        {"pause and resume stop and start the receive", test_pause, NULL, NULL, NULL},
        {"an end that comes while paused is told at resume", test_end_while_paused, NULL, NULL,
         NULL},
        {"a warm transport asks for no memory", test_idle_owns_nothing, NULL, NULL, NULL},
        {"close is good at each stage and bounded by a second", test_close_stages, NULL, NULL,
         NULL},
        {"on_closed comes after every stream of the race has closed", test_losers_gone, NULL, NULL,
         NULL},
        {"an orderly close sends what was produced, and calls only on_closed", test_close_flushes,
         NULL, NULL, NULL},
        {"C75: close is good inside every event", test_close_in_events, NULL, NULL, NULL},
        {"TLS opens, carries bytes and ends by close_notify", test_tls, NULL, NULL, NULL},
        {"handshake's last flight and request leave in one send", test_tls_first_flush, NULL, NULL,
         NULL},
        {"TLS sends much in full buffers", test_tls_big, NULL, NULL, NULL},
        {"C61: an end without close_notify is a truncation", test_tls_truncation, NULL, NULL, NULL},
        {"C62: a ticket on an idle connection is not data", test_tls_ticket, NULL, NULL, NULL},
        {"a paused reader's records are kept, and the end behind them", test_tls_pause, NULL, NULL,
         NULL},
        {"C61: an orderly close says close_notify and waits for nobody", test_tls_close, NULL, NULL,
         NULL},
        {"close is good inside every event of TLS", test_tls_close_in_events, NULL, NULL, NULL},
        {"a handshake that fails says why, and tells the peer", test_tls_refused, NULL, NULL, NULL},
        {"an alert is read although the send failed", test_tls_alert_after_send_error, NULL, NULL,
         NULL},
        {"a damaged record ends it with an alert", test_tls_damage, NULL, NULL, NULL},
        {"a key update passes unseen", test_key_update, NULL, NULL, NULL},
        {"a warm TLS transport asks for no memory of ours", test_warm_tls, NULL, NULL, NULL},
        {"C80: each allocation may fail", test_out_of_memory, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, teardown);
}
