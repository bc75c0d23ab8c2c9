/* SPDX-License-Identifier: MIT */
/**
 * shared_scene.h - a client on the built-in epoll runtime that has the test's own codec
 * (fake_codec.h) for HTTP/2, a server that plays it, and what exchanges did.
 */
#ifndef TESTS_UNIT_HTTP_SHARED_SCENE_H
#define TESTS_UNIT_HTTP_SHARED_SCENE_H

#include "base/assert.h"
#include "fake_codec.h"
#include "http/client.h"
#include "http/exchange.h"
#include "http/pool.h"
#include "http/request.h"
#include "peer.h"
#include "tap.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum gate { GO, NEXT, ENDED };

#define EXCHANGES_MAX 400

struct outcome {
    struct aioduct_exchange *exchange;
    struct aioduct_error error;
    int done_count, status;
    int place; /* in the order of completion */
    char protocol[16];
    bool reused;
};

struct scene {
    struct peer_options peer_options;
    struct peer *peer;
    struct aioduct_client_options options; /* set before shared_begin */
    struct aioduct_client *client;
    struct outcome outcomes[EXCHANGES_MAX];
    int count, done_count;
    void (*after_first)(struct scene *s); /* called in the first on_done */
};

#define CASE(name, function)                                \
    {                                                       \
        name, function, shared_setup, shared_teardown, NULL \
    }

uint64_t shared_now_ms(void);
int shared_setup(void **state);
int shared_teardown(void **state);
/* A server that plays @play, on clear text or by ALPN @alpn, and a client that has the codec. */
void shared_begin(struct scene *s, peer_play_fn play, const char *alpn);
struct ad_engine *shared_engine(const struct scene *s);
struct aioduct_client_stats shared_stats(const struct scene *s);
void shared_turn(struct scene *s);

/* Turn until @condition holds, at most 10 s. */
#define TURN_UNTIL(s, condition)                            \
    do {                                                    \
        uint64_t until_ = shared_now_ms() + 10000;          \
        while (!(condition)) {                              \
            shared_turn(s);                                 \
            if (shared_now_ms() > until_) {                 \
                fail_msg("never happened: %s", #condition); \
            }                                               \
        }                                                   \
    } while (0)

/* ---- requests ---- */

struct aioduct_request *shared_request(const struct scene *s, const char *method, int version,
                                       const char *path);
struct outcome *shared_submit(struct scene *s, struct aioduct_request *request);
/* GET by the version that fits the scene: prior knowledge on clear text, AUTO on TLS. */
struct outcome *shared_get(struct scene *s, const char *path);
/* @count of them, /0 and so on. */
void shared_get_many(struct scene *s, int count);
void shared_run(struct scene *s);

void assert_fine(const struct outcome *o);
void assert_all_fine(const struct scene *s);
void assert_failed(const struct outcome *o, int code, enum aioduct_phase phase);

/* ---- plays ---- */

/* Path of the request that was read last. */
const char *shared_path(struct peer_conn *conn);
/* A line of the codec about that. */
void shared_tell(struct peer_conn *conn, char what);
void play_shared(struct peer_conn *conn, int index, void *user);
void play_h1(struct peer_conn *conn, int index, void *user);
/* Reads all that comes, and answers it when GO is open. */
void play_at_gate(struct peer_conn *conn, int index, void *user);

#endif
