/* SPDX-License-Identifier: MIT */
/**
 * What the pool of one loop knows of one origin: its connections, who waits for one, and how it is
 * reached.
 *
 * The key is everything by which two connections of one client can differ (C30): scheme, host,
 * port, the versions that are offered, and the address that the request has dialled instead. Trust,
 * client certificate, verification, local address, device, family and the other socket options are
 * frozen with the client, and a pool belongs to one client, so they need no place in it; SNI and
 * the name that is verified are the host; the client's own connect_to and resolve rules follow from
 * host and port.
 *
 * Life: find or create -> connections and waiters come and go -> freed by the pool when it holds
 * nothing and does not back off.
 */
#ifndef AD_HTTP_ORIGIN_H
#define AD_HTTP_ORIGIN_H

#include "base/list.h"
#include "runtime/loop.h"

#include <aioduct/error.h>
#include <stdbool.h>
#include <stdint.h>

struct ad_addr;
struct ad_engine;
struct ad_pool;
struct aioduct_exchange;
struct aioduct_request;

/* The versions of HTTP that a connection may come to speak. AUTO offers both on TLS, and HTTP/1.1
 * on clear text; an upgrade is never sent over HTTP/2 (C125). */
enum ad_offer {
    AD_OFFER_H1 = 0, /* only HTTP/1.1 */
    AD_OFFER_H2,     /* only HTTP/2: by ALPN, on clear text by prior knowledge */
    AD_OFFER_ANY     /* as ALPN has it */
};

/* What a new connection will speak, as far as is known. */
enum ad_speech { AD_SPEECH_UNKNOWN = 0, AD_SPEECH_H1, AD_SPEECH_H2 };

struct ad_origin_key {
    uint64_t hash; /* of all the rest */
    const char *host;
    const char *to_host; /* dialled instead; NULL: not */
    int to_port;         /* -1: the same port */
    uint16_t port;
    bool tls;
    enum ad_offer offer;
};

struct ad_origin {
    struct ad_list chain;      /* pool bucket */
    struct ad_list dirty_node; /* pool's list of origins to balance */
    struct ad_engine *engine;
    struct ad_origin_key key; /* strings in the same block */

    /* where to dial; borrowed from the settings or from the key */
    const char *dial_host;
    uint16_t dial_port;
    const struct ad_addr *dial_addrs;
    unsigned dial_addr_count;

    struct ad_list covered, queued; /* exchanges, by wait_node */
    unsigned covered_count, queued_count;
    struct ad_list opening, idle; /* connections, by place_node; newest first */
    struct ad_list shared;        /* open connections that carry many exchanges, idle or not */
    unsigned opening_count, idle_count;
    unsigned conn_count;  /* opening, idle, shared and busy ones */
    unsigned streams_max; /* that the last connection to say so took at a time; 0: not known */
    unsigned room_said;   /* what other loops were told that open connections could take */

    /* ENHANCE_YOUR_CALM (C40) */
    uint64_t calm_until_ns; /* no new streams before; 0: none was asked for lately */
    uint64_t calm_ns;       /* how long the last pause was */
    struct ad_deadline calm_deadline;
};

/* What ALPN said, kept when the origin is gone. One place for several origins: the last one has it.
 * A wrong answer costs dials, never a wrong protocol. */
#define AD_KNOWN_PLACES \
    256 /* origins that a loop talks to within ten minutes, in all but crawlers */
struct ad_known {
    uint64_t hash, until_ns;
    enum ad_speech speech;
};

/* Can @request be sent by its version over this client at all? 0 | -EINVAL | AIODUCT_E_UNSUPPORTED
 */
int ad_origin_check(const struct ad_engine *engine, const struct aioduct_request *request,
                    struct aioduct_error *error);

/* Of the key that @request will have; of any engine of its client. [any] */
uint64_t ad_origin_hash(const struct ad_engine *engine, const struct aioduct_request *request);
/* AIODUCT_HTTP_*: the request's, or else the client's. */
int ad_origin_version(const struct ad_engine *engine, const struct aioduct_request *request);
struct ad_origin_key ad_origin_key(const struct aioduct_exchange *ex);
struct ad_origin *ad_origin_find(const struct ad_pool *pool, const struct ad_origin_key *key);
/* NULL: out of memory. */
struct ad_origin *ad_origin_create(struct ad_engine *engine, const struct ad_origin_key *key);
void ad_origin_free(struct ad_origin *origin); /* it holds nothing */

/* What will a new connection speak? */
enum ad_speech ad_origin_speech(const struct ad_origin *origin);
/* A connection has opened and speaks HTTP/2, or not: remembered for 10 minutes. */
void ad_origin_learn(const struct ad_origin *origin, bool h2);

#endif
