/* SPDX-License-Identifier: MIT */
/**
 * engine_scene.h - a peer, a client on the built-in epoll runtime, and what exchanges did.
 */
#ifndef TESTS_UNIT_HTTP_ENGINE_SCENE_H
#define TESTS_UNIT_HTTP_ENGINE_SCENE_H

#include "peer.h"
#include "tap.h"

#include <aioduct/aioduct.h>

enum gate { GO };

struct scene {
    struct peer *peer;
    struct aioduct_client_options options;
    struct aioduct_client *client;
};

/* What one exchange did. */
struct outcome {
    struct aioduct_exchange *exchange;
    struct aioduct_error error;
    int done_count, status;
    size_t body_bytes;
    char body[64];
    char trailers;
    int hold; /* what on_body returns */
    bool reused;
};

/* They write into a struct outcome. */
extern const struct aioduct_callbacks scene_callbacks;

/* Start a peer; the client's options may be changed before it is opened. */
void scene_begin(struct scene *s, peer_play_fn play);
void scene_open_client(struct scene *s);
void scene_end(struct scene *s);

/* Returned owned. */
struct aioduct_request *scene_request(const struct scene *s, const char *method, const char *path);
void scene_submit(struct scene *s, struct aioduct_request *request, struct outcome *o);
/* A blocking call that must succeed. */
void scene_get(struct scene *s, struct aioduct_request *request);

/* Plays: 200 to everything; at once, or when GO is open. */
void scene_play_ok(struct peer_conn *conn, int index, void *user);
void scene_play_gated(struct peer_conn *conn, int index, void *user);

#endif
