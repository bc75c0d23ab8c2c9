/* SPDX-License-Identifier: MIT */
#include "transport_tester.h"

#include <stdio.h>
#include <string.h>

static struct cert authority;
struct cert tester_leaf;
char tester_ca_file[128];

/* ---- the owner ---- */

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

const struct ad_transport_events transport_events = {.on_open = on_open,
                                                     .on_plain = on_plain,
                                                     .on_end = on_end,
                                                     .on_produce = on_produce,
                                                     .on_sent = on_sent,
                                                     .on_send_error = on_send_error,
                                                     .on_closed = on_closed};

void tester_init(struct tester *t)
{
    memset(t, 0, sizeof *t);
    t->fake = fake_create();
    fake_resolver_init(&t->resolver);
    t->params.dial = (struct ad_dial_params){
        .resolver = &t->resolver.base, .host = HOST, .port = 443, .times = &t->times};
}

void tester_fini(struct tester *t)
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

void tester_start(struct tester *t)
{
    assert_int_equal(
        ad_transport_start(fake_loop(t->fake), &t->params, &transport_events, t, &t->transport), 0);
}

struct fake_conn *tester_conn(struct tester *t)
{
    return fake_conn_at(t->fake, 0);
}

void tester_run(struct tester *t)
{
    fake_run(t->fake);
}

void tester_start_connected(struct tester *t)
{
    tester_start(t);
    fake_resolver_answer(&t->resolver, (const char *const[]){"192.0.2.1", NULL});
    assert_true(t->times.resolved_ns != 0);
    assert_true(t->times.connected_ns == 0);
    fake_advance_ms(t->fake, 1);
    fake_done(tester_conn(t), AIODUCT_OP_CONNECT, 0);
    tester_run(t);
}

void tester_open_clear(struct tester *t)
{
    tester_init(t);
    tester_start_connected(t);
    assert_int_equal(t->opened, 1);
    assert_int_equal(t->open_code, 0);
}

void tester_pump(struct tester *t)
{
    bool moved = true;
    while (moved) {
        tester_run(t);
        struct fake_conn *c = tester_conn(t);
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

void tester_start_tls(struct tester *t)
{
    struct aioduct_tls_options options = {.ca_file = tester_ca_file};
    static const char *const alpn[] = {"http/1.1", NULL};
    tester_init(t);
    assert_int_equal(ad_tls_context_create(&options, &t->context, &t->error), 0);
    t->params.tls = t->context;
    t->params.tls_host = HOST;
    t->params.alpn = alpn;
    server_init(&t->server, TLS13, &tester_leaf, NULL, NULL);
    tester_start_connected(t);
    assert_int_equal(t->opened, 0);
}

void tester_open_tls(struct tester *t)
{
    tester_start_tls(t);
    tester_pump(t);
    assert_int_equal(t->opened, 1);
    assert_int_equal(t->open_code, 0);
}

void tester_server_says(struct tester *t, const char *text)
{
    assert_int_equal(gnutls_record_send(t->server.session, text, strlen(text)),
                     (ssize_t)strlen(text));
}

void tester_deliver(struct tester *t)
{
    fake_data(tester_conn(t), ad_buf_data(&t->server.out), ad_buf_bytes(&t->server.out));
    ad_buf_clear(&t->server.out);
    tester_run(t);
}

void tester_assert_got(struct tester *t, const char *text)
{
    assert_int_equal(ad_buf_bytes(&t->got), strlen(text));
    assert_memory_equal(ad_buf_data(&t->got), text, strlen(text));
}

int tester_setup(void **state)
{
    struct cert_spec ca = {.common_name = "test authority", .authority = true};
    struct cert_spec server = {.common_name = "x", .dns = HOST};
    (void)state;
    certs_init();
    cert_make(&authority, NULL, &ca);
    cert_make(&tester_leaf, &authority, &server);
    snprintf(tester_ca_file, sizeof tester_ca_file, "%s", cert_write(&authority, "ca.pem"));
    return 0;
}

int tester_teardown(void **state)
{
    (void)state;
    cert_fini(&authority);
    cert_fini(&tester_leaf);
    certs_fini();
    return 0;
}
