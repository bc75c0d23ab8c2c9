/* SPDX-License-Identifier: MIT */
/* Options of a client: bad ones are refused by name, and those about addresses do what they say. */
#include "tester.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- C117: a bad option fails at creation and is named ---- */

static const char *const bad_list[] = {"no-colons", NULL};
static const char *const bad_connect_list[] = {"a:b", NULL};

#define BAD(field, value)                                                                      \
    {                                                                                          \
        offsetof(struct aioduct_client_options, field), sizeof(int), value, NULL, NULL, #field \
    }

static const struct bad_option {
    size_t offset, bytes;
    int value;
    const char *text;
    const char *const *list;
    const char *name;
} bad_options[] = {
    BAD(workers, -1),
    BAD(workers, 100000),
    BAD(binding, 7),
    BAD(connect_timeout_ms, -2),
    BAD(acquire_timeout_ms, -2),
    BAD(head_timeout_ms, -5),
    BAD(read_gap_timeout_ms, -2),
    BAD(write_gap_timeout_ms, -2),
    BAD(total_timeout_ms, -2),
    BAD(idle_timeout_ms, -2),
    BAD(connection_age_ms, -2),
    BAD(head_bytes_max, -2),
    BAD(head_fields_max, -2),
    BAD(interim_max, -2),
    BAD(trailer_bytes_max, -2),
    BAD(chunk_ext_max, -2),
    BAD(url_bytes_max, -2),
    BAD(window_bytes, -2),
    BAD(drain_bytes_max, -3),
    BAD(connections_per_origin_max, -2),
    BAD(idle_per_origin_max, -3),
    BAD(idle_total_max, -3),
    BAD(waiters_max, -2),
    BAD(h2_connections_per_origin_max, -2),
    BAD(version, 12),
    BAD(h2_probe, 1),
    BAD(replays_max, -3),
    BAD(family, 5),
    BAD(resolver_threads, -2),
    BAD(dns_cache_ms, -2),
    BAD(resolution_delay_ms, -1),
    BAD(attempt_delay_ms, 9),
    BAD(socket.local_port_min, 70000),
    BAD(tls.flags, 0x4000),
    {offsetof(struct aioduct_client_options, socket.local_address), 0, 0, "here", NULL,
     "local_address"},
    {offsetof(struct aioduct_client_options, user_agent), 0, 0, "a\r\nEvil: 1", NULL, "user_agent"},
    {offsetof(struct aioduct_client_options, tls.priority), 0, 0, "NONSENSE:+X", NULL, "priority"},
    {offsetof(struct aioduct_client_options, resolve), 0, 0, NULL, bad_list, "resolve"},
    {offsetof(struct aioduct_client_options, connect_to), 0, 0, NULL, bad_connect_list,
     "connect_to"},
};

static void test_bad_options(void **state)
{
    struct tester *t = *state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof bad_options / sizeof bad_options[0]; i++) {
        const struct bad_option *bad = &bad_options[i];
        struct aioduct_client_options options = t->options;
        char *field = (char *)&options + bad->offset;
        if (bad->text != NULL) {
            memcpy(field, &bad->text, sizeof bad->text);
        } else if (bad->list != NULL) {
            memcpy(field, &bad->list, sizeof bad->list);
        } else {
            memcpy(field, &bad->value, sizeof bad->value);
        }
        struct aioduct_error error = {0};
        struct aioduct_client *client = NULL;
        const char *dot = strrchr(bad->name, '.');
        const char *name = dot != NULL ? dot + 1 : bad->name;
        int code = aioduct_client_create(&options, &client, &error);
        if (code != -EINVAL || client != NULL || strstr(error.message, name) == NULL) {
            print_message("%s = %d: %s: %s\n", bad->name, bad->value, aioduct_error_name(code),
                          error.message);
            wrong++;
        }
        aioduct_client_destroy(client);
    }
    assert_int_equal(wrong, 0);
    struct aioduct_client_options empty = {0};
    struct aioduct_client *client = NULL;
    assert_code(-EINVAL, aioduct_client_create(&empty, &client, NULL));
}

/* ---- where a connection goes ---- */

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "here");
    }
}

static void test_resolve_option(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play_answer, NULL);
    char entry[64], url[64], host[64];
    snprintf(entry, sizeof entry, "name.invalid:%d:127.0.0.1", peer_port(t->peer));
    snprintf(url, sizeof url, "http://name.invalid:%d/", peer_port(t->peer));
    const char *const entries[] = {entry, NULL};
    t->options.resolve = entries;
    tester_client(t);
    assert_answer(tester_get(t, url), 200);
    assert_true(peer_request_field(peer_request(t->peer, 0), "Host", host, sizeof host));
    entry[strlen(entry) - strlen(":127.0.0.1")] = '\0';
    assert_string_equal(host, entry);
}

static void test_connect_to_option(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play_answer, NULL);
    char entry[64], host[64];
    snprintf(entry, sizeof entry, "name.invalid:80:127.0.0.1:%d", peer_port(t->peer));
    const char *const entries[] = {entry, NULL};
    t->options.connect_to = entries;
    tester_client(t);
    assert_answer(tester_get(t, "http://name.invalid/"), 200);
    assert_true(peer_request_field(peer_request(t->peer, 0), "Host", host, sizeof host));
    assert_string_equal(host, "name.invalid");
}

static void test_family_option(void **state)
{
    struct tester *t = *state;
    t->options.family = AIODUCT_FAMILY_IPV6;
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(t->peer));
    struct result *r = tester_get(t, url);
    assert_int_equal(r->done_count, 1);
    assert_true(r->code < 0);
    assert_int_equal(peer_connections(t->peer), 0);
}

static void test_local_address(void **state)
{
    struct tester *t = *state;
    t->options.socket.local_address = "127.0.0.2";
    tester_client(t);
    tester_peer(t, play_answer, NULL);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(t->peer));
    struct result *r = tester_result(t);
    tester_perform_into(t, tester_request(t, "GET", url), r);
    assert_answer(r, 200);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASE("C117: a bad option fails at creation and is named", test_bad_options),
        HTTP_CASE("the resolve option replaces the look-up", test_resolve_option),
        HTTP_CASE("the connect_to option replaces where to connect", test_connect_to_option),
        HTTP_CASE("the family option rules out other addresses", test_family_option),
        HTTP_CASE("the local address is bound before connecting", test_local_address),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
