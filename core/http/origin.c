/* SPDX-License-Identifier: MIT */
#include "http/origin.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/pool.h"
#include "http/request.h"

#include <errno.h>
#include <string.h>

#define KNOWN_NS 600000000000u /* features move, but seldom within ten minutes */

/* ---- version choice ---- */

int ad_origin_version(const struct ad_engine *engine, const struct aioduct_request *request)
{
    return request->version != AIODUCT_HTTP_AUTO ? request->version : engine->settings->version;
}

/* A request that names HTTP/2 asks for other protocols as that does; the client's default yields,
 * since few servers have it. */
static bool needs_h1(const struct aioduct_request *request)
{
    return request->wants_upgrade &&
           (!ad_request_is_raw(request) || request->version < AIODUCT_HTTP_2);
}

static enum ad_offer offer_of(const struct ad_engine *engine, const struct aioduct_request *request)
{
    if (needs_h1(request) || engine->codec_h2 == NULL) {
        return AD_OFFER_H1;
    }
    switch (ad_origin_version(engine, request)) {
    case AIODUCT_HTTP_1_1:
        return AD_OFFER_H1;
    case AIODUCT_HTTP_2:
    case AIODUCT_HTTP_2_PRIOR_KNOWLEDGE:
        return AD_OFFER_H2;
    default:
        return request->url.tls ? AD_OFFER_ANY : AD_OFFER_H1;
    }
}

int ad_origin_check(const struct ad_engine *engine, const struct aioduct_request *request,
                    struct aioduct_error *error)
{
    int version = ad_origin_version(engine, request);
    if (version != AIODUCT_HTTP_2 && version != AIODUCT_HTTP_2_PRIOR_KNOWLEDGE) {
        return 0;
    }
    if (engine->codec_h2 == NULL) {
        return ad_error_set(error, AIODUCT_E_UNSUPPORTED, AIODUCT_PHASE_SETUP,
                            "HTTP/2 is not built in");
    }
    if (needs_h1(request)) {
        return request->version == AIODUCT_HTTP_AUTO
                   ? 0
                   : ad_error_set(
                         error, -EINVAL, AIODUCT_PHASE_SETUP,
                         "HTTP/2 has no Upgrade field: aioduct_request_upgrade asks in its "
                         "way, and AIODUCT_HTTP_AUTO sends the field over HTTP/1.1");
    }
    if (request->upgrade != NULL && request->upgrade[strcspn(request->upgrade, ", \t")] != '\0') {
        return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                            "HTTP/2 asks for one protocol at a time");
    }
    if (version == AIODUCT_HTTP_2 && !request->url.tls) {
        return ad_error_set(error, AIODUCT_E_UNSUPPORTED, AIODUCT_PHASE_SETUP,
                            "HTTP/2 without TLS needs AIODUCT_HTTP_2_PRIOR_KNOWLEDGE");
    }
    return 0;
}

/* ---- keys ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x100000001b3u;
}

static uint64_t hash_of(const struct aioduct_request *request, enum ad_offer offer)
{
    uint64_t hash = mix(request->origin_hash, offer);
    if (request->connect_host != NULL) {
        hash = mix(hash, (uint64_t)request->connect_port);
        for (const char *p = request->connect_host; *p != '\0'; p++) {
            hash = mix(hash, (uint8_t)*p);
        }
    }
    return hash;
}

uint64_t ad_origin_hash(const struct ad_engine *engine, const struct aioduct_request *request)
{
    return hash_of(request, offer_of(engine, request));
}

struct ad_origin_key ad_origin_key(const struct aioduct_exchange *ex)
{
    const struct aioduct_request *request = ex->request;
    enum ad_offer offer = ex->h1_only ? AD_OFFER_H1 : offer_of(ex->engine, request);
    return (struct ad_origin_key){
        .hash = hash_of(request, offer),
        .host = request->url.host,
        .port = request->url.port,
        .tls = request->url.tls,
        .offer = offer,
        .to_host = request->connect_host,
        .to_port = request->connect_host != NULL ? request->connect_port : -1,
    };
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool equal(const struct ad_origin_key *a, const struct ad_origin_key *b)
{
    return a->hash == b->hash && a->port == b->port && a->tls == b->tls && a->offer == b->offer &&
           a->to_port == b->to_port && strcmp(a->host, b->host) == 0 &&
           same_text(a->to_host, b->to_host);
}

/* ---- records ---- */

struct ad_origin *ad_origin_find(const struct ad_pool *pool, const struct ad_origin_key *key)
{
    const struct ad_list *bucket = &pool->buckets[key->hash % AD_POOL_BUCKETS];
    for (struct ad_list *it = bucket->next; it != bucket; it = it->next) {
        struct ad_origin *origin = AD_CONTAINER_OF(it, struct ad_origin, chain);
        if (equal(&origin->key, key)) {
            return origin;
        }
    }
    return NULL;
}

static void set_route(struct ad_origin *origin)
{
    const struct ad_origin_key *key = &origin->key;
    const struct ad_routes *routes = &origin->engine->settings->routes;
    struct ad_route route;
    if (key->to_host != NULL) {
        route = ad_routes_resolve(routes, key->to_host,
                                  key->to_port < 0 ? key->port : (uint16_t)key->to_port);
    } else {
        route = ad_routes_find(routes, key->host, key->port);
    }
    origin->dial_host = route.host;
    origin->dial_port = route.port;
    origin->dial_addrs = route.addrs;
    origin->dial_addr_count = (unsigned)route.addr_count;
}

static void on_calm_over(struct ad_deadline *deadline)
{
    struct ad_origin *origin = AD_CONTAINER_OF(deadline, struct ad_origin, calm_deadline);
    ad_pool_mark(origin);
}

struct ad_origin *ad_origin_create(struct ad_engine *engine, const struct ad_origin_key *key)
{
    size_t host_bytes = strlen(key->host) + 1;
    size_t to_bytes = key->to_host != NULL ? strlen(key->to_host) + 1 : 0;
    struct ad_origin *origin = ad_zalloc(sizeof *origin + host_bytes + to_bytes);
    if (origin == NULL) {
        return NULL;
    }
    char *text = (char *)(origin + 1);
    origin->engine = engine;
    origin->key = *key;
    origin->key.host = memcpy(text, key->host, host_bytes);
    if (to_bytes > 0) {
        origin->key.to_host = memcpy(text + host_bytes, key->to_host, to_bytes);
    }
    set_route(origin);
    ad_list_init(&origin->covered);
    ad_list_init(&origin->queued);
    ad_list_init(&origin->opening);
    ad_list_init(&origin->idle);
    ad_list_init(&origin->shared);
    ad_list_init(&origin->dirty_node);
    origin->calm_deadline.expired = on_calm_over;
    ad_list_push_front(&engine->pool.buckets[key->hash % AD_POOL_BUCKETS], &origin->chain);
    return origin;
}

void ad_origin_free(struct ad_origin *origin)
{
    AD_ASSERT(origin->conn_count == 0 && origin->covered_count == 0 && origin->queued_count == 0);
    ad_deadline_remove(origin->engine->loop, &origin->calm_deadline);
    ad_list_remove(&origin->dirty_node);
    ad_list_remove(&origin->chain);
    ad_free(origin);
}

/* ---- what ALPN said ---- */

static struct ad_known *known_place(const struct ad_origin *origin)
{
    return &origin->engine->pool.known[origin->key.hash % AD_KNOWN_PLACES];
}

enum ad_speech ad_origin_speech(const struct ad_origin *origin)
{
    if (origin->key.offer != AD_OFFER_ANY) {
        return origin->key.offer == AD_OFFER_H2 ? AD_SPEECH_H2 : AD_SPEECH_H1;
    }
    const struct ad_known *known = known_place(origin);
    bool fits =
        known->hash == origin->key.hash && ad_loop_now_ns(origin->engine->loop) < known->until_ns;
    return fits ? known->speech : AD_SPEECH_UNKNOWN;
}

void ad_origin_learn(const struct ad_origin *origin, bool h2)
{
    if (origin->key.offer == AD_OFFER_ANY) {
        *known_place(origin) = (struct ad_known){
            .hash = origin->key.hash,
            .until_ns = ad_loop_now_ns(origin->engine->loop) + KNOWN_NS,
            .speech = h2 ? AD_SPEECH_H2 : AD_SPEECH_H1,
        };
    }
}
