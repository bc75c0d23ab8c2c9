/* SPDX-License-Identifier: MIT */
/**
 * Which version a request is sent by, which requests may share a connection, and which dial goes
 * when nobody counts on it: seen from inside, with a codec and a server of the test's own.
 */
#include "shared_scene.h"

/* ---- C53, C125: version choice ---- */

static void test_prior_knowledge(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_shared, NULL);
    struct outcome *o = shared_get(s, "/x");
    shared_run(s);
    assert_fine(o);
    assert_string_equal(o->protocol, "h2");
}

static void test_clear_text_is_h1(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_h1, NULL);
    struct outcome *o = shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_AUTO, "/"));
    shared_run(s);
    assert_fine(o);
    assert_string_equal(o->protocol, "http/1.1");
    char upgrade[8];
    assert_false(peer_request_field(peer_request(s->peer, 0), "Upgrade", upgrade, sizeof upgrade));
}

static void check_offer(struct scene *s, int version, const char *server, const char *protocol)
{
    shared_begin(s, strcmp(protocol, "h2") == 0 ? play_shared : play_h1, server);
    struct outcome *o = shared_submit(s, shared_request(s, "GET", version, "/x"));
    shared_run(s);
    assert_fine(o);
    assert_string_equal(o->protocol, protocol);
}

static void test_auto_by_alpn(void **state)
{
    check_offer(*state, AIODUCT_HTTP_AUTO, "h2,http/1.1", "h2");
}

static void test_auto_by_alpn_h1(void **state)
{
    check_offer(*state, AIODUCT_HTTP_AUTO, "http/1.1", "http/1.1");
}

static void test_h1_only(void **state)
{
    check_offer(*state, AIODUCT_HTTP_1_1, "h2,http/1.1", "http/1.1");
}

static void test_h2_only(void **state)
{
    check_offer(*state, AIODUCT_HTTP_2, "http/1.1,h2", "h2");
}

static void test_default_version(void **state)
{
    struct scene *s = *state;
    s->options.version = AIODUCT_HTTP_1_1;
    check_offer(s, AIODUCT_HTTP_AUTO, "h2,http/1.1", "http/1.1");
}

static void test_h2_only_fails(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_h1, "http/1.1");
    struct outcome *o = shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_2, "/"));
    shared_run(s);
    assert_int_equal(o->done_count, 1);
    assert_true(o->error.code < 0);
    assert_int_equal(o->error.phase, AIODUCT_PHASE_TLS);
    assert_int_equal(o->error.safe_to_retry, 1);
    assert_int_equal(peer_requests(s->peer), 0);
}

static int refusal(struct scene *s, struct aioduct_request *request)
{
    int code = aioduct_client_submit(s->client, request, NULL, NULL, NULL);
    aioduct_request_destroy(request);
    return code;
}

static void test_version_refused(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_h1, NULL);
    assert_int_equal(refusal(s, shared_request(s, "GET", AIODUCT_HTTP_2, "/")),
                     AIODUCT_E_UNSUPPORTED);
    struct aioduct_request *upgrade = shared_request(s, "GET", AIODUCT_HTTP_2_PRIOR_KNOWLEDGE, "/");
    assert_int_equal(aioduct_request_header_add(upgrade, "Upgrade", "foo"), 0);
    assert_int_equal(refusal(s, upgrade), -EINVAL);
    shared_engine(s)->codec_h2 = NULL;
    struct aioduct_request *prior = shared_request(s, "GET", AIODUCT_HTTP_2_PRIOR_KNOWLEDGE, "/");
    assert_int_equal(refusal(s, prior), AIODUCT_E_UNSUPPORTED);
}

static void test_upgrade_is_h1(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_h1, "h2,http/1.1");
    struct aioduct_request *request = shared_request(s, "GET", AIODUCT_HTTP_AUTO, "/");
    assert_int_equal(aioduct_request_header_add(request, "Upgrade", "foo"), 0);
    struct outcome *o = shared_submit(s, request);
    shared_run(s);
    assert_fine(o);
    assert_string_equal(o->protocol, "http/1.1");
}

/* ---- C30: the key ---- */

static void test_versions_share_nothing(void **state)
{
    struct scene *s = *state;
    shared_begin(s, play_shared, "h2");
    shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_AUTO, "/a"));
    shared_run(s);
    shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_AUTO, "/b"));
    shared_run(s);
    assert_int_equal(peer_connections(s->peer), 1);
    shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_2, "/c"));
    shared_run(s);
    assert_int_equal(peer_connections(s->peer), 2);
    assert_all_fine(s);
}

static struct outcome *submit_to(struct scene *s, const char *host, const char *target)
{
    struct aioduct_request *request = NULL;
    char url[128];
    snprintf(url, sizeof url, "http://%s/x", host);
    assert_int_equal(aioduct_request_create("GET", url, &request, NULL), 0);
    assert_int_equal(aioduct_request_connect_to(request, target), 0);
    struct outcome *o = shared_submit(s, request);
    shared_run(s);
    return o;
}

static void test_dialled_address(void **state)
{
    struct scene *s = *state;
    char target[64], port[16], value[64];
    shared_begin(s, play_h1, NULL);
    snprintf(target, sizeof target, "127.0.0.1:%d", peer_port(s->peer));
    snprintf(port, sizeof port, ":%d", peer_port(s->peer));
    assert_fine(submit_to(s, "nowhere.invalid:81", target));
    assert_true(peer_request_field(peer_request(s->peer, 0), "Host", value, sizeof value));
    assert_string_equal(value, "nowhere.invalid:81");
    assert_true(submit_to(s, "nowhere.invalid:81", target)->reused);
    char other[64];
    snprintf(other, sizeof other, "localhost:%d", peer_port(s->peer));
    assert_false(submit_to(s, "nowhere.invalid:81", other)->reused);
    assert_false(submit_to(s, "127.0.0.1:81", target)->reused);
    assert_true(submit_to(s, "127.0.0.1:81", port)->reused); /* the same, said shorter */
    assert_int_equal(peer_connections(s->peer), 3);
    struct outcome *o = submit_to(s, "127.0.0.1:1", NULL);
    assert_failed(o, -ECONNREFUSED, AIODUCT_PHASE_CONNECT);
}

/* ---- who is dropped ---- */

static void test_surplus_dial(void **state)
{
    struct scene *s = *state;
    s->peer_options.accept_nothing = true;
    shared_begin(s, play_h1, "http/1.1");
    for (int i = 0; i < 2; i++) {
        shared_submit(s, shared_request(s, "GET", AIODUCT_HTTP_1_1, "/"));
        assert_int_equal(aioduct_client_turn(s->client, 0), 0);
    }
    struct ad_origin *origin = s->outcomes[0].exchange->origin;
    TURN_UNTIL(s, origin->opening_count == 2); /* what the first says comes before a new request */
    struct ad_conn *younger = AD_CONTAINER_OF(origin->opening.next, struct ad_conn, place_node);
    struct ad_conn *older = AD_CONTAINER_OF(origin->opening.prev, struct ad_conn, place_node);
    TURN_UNTIL(s, younger->times.connected_ns != 0 && older->times.connected_ns != 0);
    aioduct_exchange_cancel(s->outcomes[1].exchange);
    shared_turn(s);
    assert_int_equal(origin->opening_count, 1);
    assert_ptr_equal(origin->opening.next, &younger->place_node); /* the other may be stuck */
    aioduct_exchange_cancel(s->outcomes[0].exchange);
    shared_run(s);
    assert_int_equal(shared_stats(s).connections_opening, 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE("C53: prior knowledge speaks HTTP/2 on clear text", test_prior_knowledge),
        CASE("C53: clear text is HTTP/1.1 otherwise, and nothing is upgraded",
             test_clear_text_is_h1),
        CASE("AUTO over TLS speaks what ALPN says: HTTP/2", test_auto_by_alpn),
        CASE("AUTO over TLS speaks what ALPN says: HTTP/1.1", test_auto_by_alpn_h1),
        CASE("AIODUCT_HTTP_1_1 offers nothing else", test_h1_only),
        CASE("AIODUCT_HTTP_2 offers nothing else", test_h2_only),
        CASE("AIODUCT_HTTP_2 fails where the server has no HTTP/2", test_h2_only_fails),
        CASE("a client's version is that of requests that leave it open", test_default_version),
        CASE("a version that cannot be is refused by submit", test_version_refused),
        CASE("C125: an upgrade is never sent over HTTP/2", test_upgrade_is_h1),
        CASE("C30: requests that offer different versions share nothing",
             test_versions_share_nothing),
        CASE("C30: requests with different dialled addresses share nothing", test_dialled_address),
        CASE("a dial that nobody counts on any more: the one that may be stuck", test_surplus_dial),
    };
    return TAP_RUN(cases, NULL, NULL);
}
