/* SPDX-License-Identifier: MIT */
/* One process, two kinds of loop: a client in an event_base beside one in an ev_loop. The program
 * links libevent before libev, whose functions of the same names it then does not get. */
#include "embed_app.h"
#include "tester.h"

#include <pthread.h>

#define EACH 20

struct side {
    struct tester *t;
    const struct app *app;
    void *loop;
    struct aioduct_client *client;
    struct aioduct_request *request;
    int started, ok, code;
};

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    struct side *side = user;
    (void)exchange;
    side->ok += error->code == 0;
    if (error->code != 0) {
        side->code = error->code;
    }
    if (++side->started > EACH || side->code != 0) {
        side->app->stop(side->loop);
        return;
    }
    side->code = aioduct_client_submit(side->client, side->request, &callbacks, side, NULL);
}

static void *run_side(void *arg)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    struct side *side = arg;
    struct aioduct_client_options options = side->t->options;
    options.loop = side->app->foreign(side->loop);
    side->code = aioduct_client_create(&options, &side->client, NULL);
    if (side->code == 0) {
        side->started = 1;
        side->code = aioduct_client_submit(side->client, side->request, &callbacks, side, NULL);
        side->app->run(side->loop);
        aioduct_client_destroy(side->client);
    }
    return NULL;
}

static void play(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "answer");
    }
}

static struct side *side_new(struct tester *t, const struct app *app)
{
    struct side *side = tester_alloc(t, sizeof *side);
    t->options.tls.ca_file = test_cert("ca.pem");
    side->t = t;
    side->app = app;
    side->loop = app->create();
    side->request = tester_request(t, "GET", peer_url(t->peer, "/"));
    return side;
}

static void side_end(struct side *side)
{
    assert_code(0, side->code);
    assert_int_equal(side->ok, EACH);
    assert_true(side->app->is_empty(side->loop));
    side->app->destroy(side->loop);
}

static void test_in_turn(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play, NULL);
    struct side *one = side_new(t, &app_libevent), *other = side_new(t, &app_libev);
    run_side(one);
    run_side(other);
    side_end(one);
    side_end(other);
}

static void test_at_once(void **state)
{
    struct tester *t = *state;
    tester_peer(t, play, NULL);
    struct side *one = side_new(t, &app_libevent), *other = side_new(t, &app_libev);
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, run_side, one), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, run_side, other), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    side_end(one);
    side_end(other);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("an event_base and an ev_loop serve in turn", test_in_turn),
        HTTP_CASES("an event_base and an ev_loop serve at once, on two threads", test_at_once),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
