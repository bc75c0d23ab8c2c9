/* SPDX-License-Identifier: MIT */
#include "engine_scene.h"

#include <stdio.h>
#include <string.h>

void scene_begin(struct scene *s, peer_play_fn play)
{
    struct peer_options options = {.play = play, .user = s};
    *s = (struct scene){0};
    assert_int_equal(peer_start(&options, &s->peer), 0);
    s->options = (struct aioduct_client_options)AIODUCT_CLIENT_OPTIONS_INIT;
    s->options.runtime = "epoll";
    s->options.config_file = "";
}

void scene_open_client(struct scene *s)
{
    struct aioduct_error error = {0};
    int code = aioduct_client_create(&s->options, &s->client, &error);
    if (code < 0) {
        fail_msg("%s", error.message);
    }
}

void scene_end(struct scene *s)
{
    aioduct_client_destroy(s->client);
    peer_stop(s->peer);
}

struct aioduct_request *scene_request(const struct scene *s, const char *method, const char *path)
{
    struct aioduct_request *request = NULL;
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", peer_port(s->peer), path);
    assert_int_equal(aioduct_request_create(method, url, &request, NULL), 0);
    return request;
}

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct outcome *o = user;
    (void)exchange;
    o->status = head->status;
    return 0;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct outcome *o = user;
    (void)exchange;
    if (o->body_bytes + count < sizeof o->body) {
        memcpy(o->body + o->body_bytes, bytes, count);
    }
    o->body_bytes += count;
    return o->hold;
}

static void on_trailers(struct aioduct_exchange *exchange, const struct aioduct_head *trailers,
                        void *user)
{
    struct outcome *o = user;
    (void)exchange;
    o->trailers = trailers->headers[0].value[0];
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct outcome *o = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    assert_int_equal(aioduct_exchange_info(exchange, &info), 0);
    o->reused = info.reused;
    o->error = *error;
    o->exchange = NULL;
    o->done_count++;
}

const struct aioduct_callbacks scene_callbacks = {
    .size = sizeof scene_callbacks,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_done = on_done,
};

void scene_submit(struct scene *s, struct aioduct_request *request, struct outcome *o)
{
    assert_int_equal(aioduct_client_submit(s->client, request, &scene_callbacks, o, &o->exchange),
                     0);
}

void scene_play_ok(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "ok");
    }
}

void scene_play_gated(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_wait_gate(conn, GO);
        peer_answer(conn, 200, "", "ok");
    }
}

void scene_get(struct scene *s, struct aioduct_request *request)
{
    struct aioduct_error error = {0};
    int code = aioduct_client_perform(s->client, request, NULL, NULL, &error);
    if (code < 0) {
        fail_msg("%s", error.message);
    }
}
