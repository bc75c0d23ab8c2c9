/* SPDX-License-Identifier: MIT */
/* What outlives a TLS session: tickets, and the log of its secrets if it was asked for. */
#include "net/tls_tickets.h"
#include "tls_tester.h"

#include <aioduct/plugin/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- resumption ---- */

/* One more connection of @t's context -> was it resumed? */
static bool connect_again(struct tester *t, const char *priority, uint16_t port)
{
    ad_tls_destroy(t->tls);
    if (t->server.session != NULL) {
        server_fini(&t->server);
    }
    ad_buf_clear(&t->out);
    ad_buf_clear(&t->plain);
    tester_open_session(t, HOST, port, NULL);
    server_init(&t->server, priority, &tester_leaf, NULL, &tester_ticket_key);
    assert_int_equal(tester_shake(t), AIODUCT_DONE);
    bool resumed = ad_tls_resumed(t->tls);
    assert_int_equal(resumed, gnutls_session_is_resumed(t->server.session) != 0);
    tester_server_send(t, "hello", 5); /* tickets come before it */
    tester_to_client(t);
    assert_int_equal(ad_buf_bytes(&t->plain), 5);
    return resumed;
}

static void test_resumption(void **state)
{
    static const char *const priorities[] = {TLS12, TLS13};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tester t;
        memset(&t, 0, sizeof t);
        t.context = tester_context((struct aioduct_tls_options){0});
        assert_false(connect_again(&t, priorities[i], 443));
        assert_true(connect_again(&t, priorities[i], 443));
        assert_true(connect_again(&t, priorities[i], 443));
        assert_false(connect_again(&t, priorities[i], 444)); /* another origin */
        ad_tls_context_destroy(t.context);
        ad_tls_destroy(t.tls);
        t.tls = NULL;
        t.context = tester_context((struct aioduct_tls_options){0}); /* another client */
        assert_false(connect_again(&t, priorities[i], 443));
        tester_fini(&t);
    }
}

/* C60: a ticket of TLS 1.3 serves one connection. */
static void test_used_once(void **state)
{
    struct tester t;
    struct ad_tls *others[2];
    struct ad_tls_params params = {.host = HOST, .port = 443};
    (void)state;
    memset(&t, 0, sizeof t);
    t.context = tester_context((struct aioduct_tls_options){0});
    assert_false(connect_again(&t, TLS13, 443)); /* leaves two tickets */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ad_tls_create(t.context, &params, &others[i], &t.error), 0);
    }
    assert_false(connect_again(&t, TLS13, 443));
    ad_tls_destroy(others[0]);
    ad_tls_destroy(others[1]);
    tester_fini(&t);
}

static void test_forgotten(void **state)
{
    struct tester t;
    (void)state;
    memset(&t, 0, sizeof t);
    t.context = tester_context((struct aioduct_tls_options){0});
    assert_false(connect_again(&t, TLS12, 443));
    ad_tls_destroy(t.tls);
    tester_open_session(&t, HOST, 443, NULL);
    ad_buf_clear(&t.server.out);
    ad_buf_append(&t.server.out, "no TLS at all", 13);
    assert_int_equal(tester_to_client(&t), AIODUCT_E_TLS);
    assert_false(connect_again(&t, TLS12, 443));
    tester_fini(&t);
}

static void test_ticket_store(void **state)
{
    static struct ad_tls_tickets store;
    struct ad_tls_ticket *ticket;
    char host[32];
    (void)state;
    ad_tls_tickets_init(&store);
    assert_null(ad_tls_tickets_take(&store, "a.test", 1));
    for (uint8_t i = 0; i < 40; i++) { /* TLS 1.3: once each, and the newest 32 */
        ad_tls_tickets_put(&store, "a.test", 1, true, &i, 1);
    }
    assert_int_equal(store.count, 32);
    assert_null(ad_tls_tickets_take(&store, "b.test", 1));
    assert_null(ad_tls_tickets_take(&store, "a.test", 2));
    for (uint8_t i = 40; i-- > 8;) {
        ticket = ad_tls_tickets_take(&store, "a.test", 1);
        assert_memory_equal(ticket->bytes, &i, 1);
        ad_tls_ticket_destroy(ticket);
    }
    assert_null(ad_tls_tickets_take(&store, "a.test", 1));
    ad_tls_tickets_put(&store, "a.test", 1, false, (const uint8_t *)"1", 1);
    ad_tls_tickets_put(&store, "a.test", 1, false, (const uint8_t *)"2", 1);
    assert_int_equal(store.count, 1);
    ad_tls_tickets_forget(&store, "a.test", 1);
    for (int i = 0; i < 1100; i++) {
        snprintf(host, sizeof host, "h%d.test", i);
        ad_tls_tickets_put(&store, host, 1, false, (const uint8_t *)"x", 1);
    }
    assert_int_equal(store.count, 1000);
    assert_null(ad_tls_tickets_take(&store, "h99.test", 1)); /* oldest out */
    for (int i = 0; i < 2; i++) {                            /* TLS 1.2: again and again */
        ticket = ad_tls_tickets_take(&store, "h100.test", 1);
        assert_non_null(ticket);
        ad_tls_ticket_destroy(ticket);
    }
    ad_tls_tickets_forget(&store, "h100.test", 1);
    assert_null(ad_tls_tickets_take(&store, "h100.test", 1));
    ad_tls_tickets_fini(&store);
}

/* ---- key log ---- */

static void test_keylog(void **state)
{
    const char *file = getenv("SSLKEYLOGFILE");
    struct stat st;
    struct tester t;
    (void)state;
    tester_init(&t, (struct aioduct_tls_options){0}, TLS13, &tester_leaf, HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    tester_fini(&t);
    assert_int_equal(stat(file, &st), -1); /* not asked for: GnuTLS alone would have written */

    tester_init(&t, (struct aioduct_tls_options){.flags = AIODUCT_TLS_KEYLOG}, TLS13, &tester_leaf,
                HOST);
    assert_int_equal(tester_shake(&t), AIODUCT_DONE);
    tester_fini(&t);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char line[512], label[64], random[128], secret[256];
    int lines = 0, traffic = 0;
    FILE *f = fopen(file, "r");
    while (fgets(line, sizeof line, f) != NULL) {
        assert_int_equal(sscanf(line, "%63s %127s %255s", label, random, secret), 3);
        assert_int_equal(strlen(random), 64);
        lines++;
        traffic += strcmp(label, "CLIENT_TRAFFIC_SECRET_0") == 0;
    }
    fclose(f);
    assert_true(lines >= 4);
    assert_int_equal(traffic, 1);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"nothing is logged unless asked for; then one line a secret, for the owner only",
         test_keylog, NULL, NULL, NULL},
        {"C60: sessions are resumed, by origin and client", test_resumption, NULL, NULL, NULL},
        {"C60: a TLS 1.3 ticket is used once", test_used_once, NULL, NULL, NULL},
        {"a handshake that fails forgets the origin's tickets", test_forgotten, NULL, NULL, NULL},
        {"C60: tickets are for one origin, and bounded by origin and in all", test_ticket_store,
         NULL, NULL, NULL},
    };
    return TAP_RUN(cases, tester_setup, tester_teardown);
}
