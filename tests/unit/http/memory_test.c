/* SPDX-License-Identifier: MIT */
/* C80: each allocation of a client and an exchange fails in turn, in clear text and over TLS,
 * driven by the caller and with workers, on the runtime that AIODUCT_RUNTIME names: that call
 * fails, the client lives, nothing leaks. */
#include "base/mem.h"
#include "nginx.h"
#include "peer.h"
#include "tap.h"

#include <aioduct/aioduct.h>

#define NTH_MAX 600
#define QUIET 25 /* so many rounds without a failure: the last allocation was passed */

struct variant {
    bool tls;
    int workers;
};

static void play_ok(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "ok");
    }
}

/* -> did the round meet the failure? */
static bool round_of(const struct aioduct_client_options *options, struct aioduct_request *request,
                     uint64_t nth)
{
    struct aioduct_client *client = NULL;
    struct aioduct_response *response = NULL;
    struct aioduct_error error = {0};
    ad_mem_fail_nth(nth);
    int code = aioduct_client_create(options, &client, &error);
    if (code == 0) {
        code = aioduct_client_fetch(client, request, &response, &error);
    }
    ad_mem_fail_nth(0);
    if (code == 0) {
        assert_int_equal(aioduct_response_status(response), 200);
    } else {
        assert_int_equal(error.code, code);
    }
    aioduct_response_destroy(response);
    response = NULL;
    if (client != NULL && code < 0) { /* one exchange failed, the client lives */
        assert_int_equal(aioduct_client_fetch(client, request, &response, &error), 0);
        assert_int_equal(aioduct_response_status(response), 200);
        aioduct_response_destroy(response);
    }
    assert_int_equal(aioduct_client_destroy(client), 0);
    return code < 0;
}

static void test_each(void **state)
{
    const struct variant *v = *state;
    struct peer *peer = NULL;
    struct peer_options options = {.play = play_ok, .tls = v->tls};
    struct aioduct_client_options wanted = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_request *request = NULL;
    int failures = 0;
    assert_int_equal(peer_start(&options, &peer), 0);
    wanted.config_file = "";
    wanted.workers = v->workers;
    wanted.tls.ca_file = test_cert("ca.pem");
    assert_int_equal(aioduct_request_create("POST", peer_url(peer, "/"), &request, NULL), 0);
    assert_int_equal(aioduct_request_body_copy(request, "hello", 5), 0);
    uint64_t nth = 1;
    for (int quiet = 0; quiet < QUIET && nth < NTH_MAX; nth++) {
        bool failed = round_of(&wanted, request, nth);
        quiet = failed ? 0 : quiet + 1;
        failures += failed;
    }
    assert_true(nth < NTH_MAX);
    assert_true(failures > 20);
    aioduct_request_destroy(request);
    peer_stop(peer);
}

static int begin(void **state)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client = NULL;
    struct aioduct_error error = {0};
    (void)state;
    options.config_file = "";
    int code = aioduct_client_create(&options, &client, &error);
    aioduct_client_destroy(client);
    return code == AIODUCT_E_UNAVAILABLE ? tap_skip_all("%s", error.message) : code;
}

#define CASE(name, tls, workers)                       \
    {                                                  \
        name, test_each, NULL, NULL, &(struct variant) \
        {                                              \
            tls, workers                               \
        }                                              \
    }

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE("C80: each allocation may fail, driven by the caller", false, 0),
        CASE("C80: each allocation may fail, driven by the caller, over TLS", true, 0),
        CASE("C80: each allocation may fail, with two workers", false, 2),
        CASE("C80: each allocation may fail, with two workers, over TLS", true, 2),
    };
    return TAP_RUN(cases, begin, NULL);
}
