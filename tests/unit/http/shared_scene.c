/* SPDX-License-Identifier: MIT */
#include "shared_scene.h"

#include <stdlib.h>
#include <time.h>

uint64_t shared_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int shared_setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    *state = s;
    s->options = (struct aioduct_client_options)AIODUCT_CLIENT_OPTIONS_INIT;
    s->options.runtime = "epoll";
    s->options.config_file = "";
    s->options.tls.flags = AIODUCT_TLS_NO_VERIFY_CHAIN | AIODUCT_TLS_NO_VERIFY_NAME;
    s->options.connect_timeout_ms = s->options.acquire_timeout_ms = 5000;
    fake_room = 100;
    return 0;
}

int shared_teardown(void **state)
{
    struct scene *s = *state;
    aioduct_client_destroy(s->client);
    peer_stop(s->peer);
    free(s);
    return 0;
}

struct ad_engine *shared_engine(const struct scene *s)
{
    return &s->client->workers[0].engine;
}

void shared_begin(struct scene *s, peer_play_fn play, const char *alpn)
{
    struct aioduct_error error = {0};
    s->peer_options.play = play;
    s->peer_options.user = s;
    s->peer_options.tls = alpn != NULL;
    s->peer_options.alpn = alpn;
    assert_int_equal(peer_start(&s->peer_options, &s->peer), 0);
    if (aioduct_client_create(&s->options, &s->client, &error) < 0) {
        fail_msg("%s", error.message);
    }
    shared_engine(s)->codec_h2 = &fake_codec;
}

struct aioduct_client_stats shared_stats(const struct scene *s)
{
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    assert_int_equal(aioduct_client_stats(s->client, &stats), 0);
    return stats;
}

void shared_turn(struct scene *s)
{
    assert_true(aioduct_client_turn(s->client, 20) >= 0);
}

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    ((struct outcome *)user)->status = head->status;
    return 0;
}

static struct scene *scene; /* of the case that runs */

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct outcome *o = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    assert_int_equal(aioduct_exchange_info(exchange, &info), 0);
    snprintf(o->protocol, sizeof o->protocol, "%s", info.protocol);
    o->reused = info.reused;
    o->error = *error;
    o->exchange = NULL;
    o->done_count++;
    o->place = scene->done_count++;
    if (o->place == 0 && scene->after_first != NULL) {
        scene->after_first(scene);
    }
}

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks,
    .on_head = on_head,
    .on_done = on_done,
};

struct aioduct_request *shared_request(const struct scene *s, const char *method, int version,
                                       const char *path)
{
    struct aioduct_request *request = NULL;
    char url[128];
    snprintf(url, sizeof url, "http%s://127.0.0.1:%d%s", s->peer_options.tls ? "s" : "",
             peer_port(s->peer), path);
    assert_int_equal(aioduct_request_create(method, url, &request, NULL), 0);
    assert_int_equal(aioduct_request_version(request, version), 0);
    return request;
}

struct outcome *shared_submit(struct scene *s, struct aioduct_request *request)
{
    assert_true(s->count < EXCHANGES_MAX);
    struct outcome *o = &s->outcomes[s->count];
    scene = s;
    __atomic_store_n(&s->count, s->count + 1, __ATOMIC_RELEASE); /* the peer's thread reads it */
    assert_int_equal(aioduct_client_submit(s->client, request, &callbacks, o, &o->exchange), 0);
    aioduct_request_destroy(request);
    return o;
}

struct outcome *shared_get(struct scene *s, const char *path)
{
    int version = s->peer_options.tls ? AIODUCT_HTTP_AUTO : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    return shared_submit(s, shared_request(s, "GET", version, path));
}

void shared_get_many(struct scene *s, int count)
{
    for (int i = 0; i < count; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%d", s->count);
        shared_get(s, path);
    }
}

void shared_run(struct scene *s)
{
    assert_int_equal(aioduct_client_run(s->client), 0);
}

void assert_fine(const struct outcome *o)
{
    if (o->done_count != 1 || o->error.code != 0 || o->status != 200) {
        fail_msg("done %d times, status %d: %s: %s", o->done_count, o->status,
                 aioduct_error_name(o->error.code), o->error.message);
    }
}

void assert_all_fine(const struct scene *s)
{
    for (int i = 0; i < s->count; i++) {
        assert_fine(&s->outcomes[i]);
    }
}

void assert_failed(const struct outcome *o, int code, enum aioduct_phase phase)
{
    assert_int_equal(o->done_count, 1);
    if (o->error.code != code || o->error.phase != phase) {
        fail_msg("%s in phase %s: %s", aioduct_error_name(o->error.code),
                 aioduct_phase_name(o->error.phase), o->error.message);
    }
}

/* ---- plays ---- */

const char *shared_path(struct peer_conn *conn)
{
    static _Thread_local char path[64];
    sscanf(peer_last_request(conn)->head, "%*s %63s", path);
    return path;
}

void shared_tell(struct peer_conn *conn, char what)
{
    peer_format(conn, "%c%s\n", what, shared_path(conn));
}

void play_shared(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        shared_tell(conn, 'A');
    }
}

void play_h1(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "ok");
    }
}

void play_at_gate(struct peer_conn *conn, int index, void *user)
{
    char paths[EXCHANGES_MAX][64];
    int count = 0, wanted = __atomic_load_n(&((struct scene *)user)->count, __ATOMIC_ACQUIRE);
    (void)index;
    while (count < wanted && !peer_is_open(peer_of(conn), GO) && peer_read_request(conn)) {
        snprintf(paths[count++], sizeof paths[0], "%s", shared_path(conn));
        if (count == (int)fake_room) {
            break;
        }
    }
    peer_wait_gate(conn, GO);
    for (int i = 0; i < count; i++) {
        peer_format(conn, "A%s\n", paths[i]);
    }
    play_shared(conn, index, user);
}
