/* SPDX-License-Identifier: MIT */
#include "net/tls_tickets.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

/* A ticket of TLS 1.3 is for one connection (RFC 8446 section C.4), and a burst of connections
 * needs one each. Of what may be used again the newest is enough. */
#define ONCE_PER_ORIGIN_MAX 32
#define TICKETS_MAX 1000       /* each holds the peer's certificates: 2 to 6 KB */
#define TICKET_BYTES_MAX 65536 /* what is larger is the peer's attempt to fill our memory */

static uint32_t hash_origin(const char *host, uint16_t port)
{
    uint32_t hash = 2166136261u ^ port;
    for (; *host != '\0'; host++) {
        hash = (hash ^ (uint8_t)*host) * 16777619u;
    }
    return hash;
}

static struct ad_tls_ticket *create(const char *host, uint16_t port, bool once,
                                    const uint8_t *bytes, size_t count)
{
    size_t host_bytes = strlen(host) + 1;
    struct ad_tls_ticket *t = ad_zalloc(sizeof *t + count + host_bytes);
    if (t == NULL) {
        return NULL;
    }
    t->hash = hash_origin(host, port);
    t->port = port;
    t->once = once;
    t->count = count;
    memcpy(t->bytes, bytes, count);
    t->host = memcpy(t->bytes + count, host, host_bytes);
    ad_list_init(&t->used);
    ad_list_init(&t->chain);
    return t;
}

void ad_tls_ticket_destroy(struct ad_tls_ticket *t)
{
    if (t != NULL) {
        explicit_bzero(t->bytes, t->count);
        ad_free(t);
    }
}

static void unlink_ticket(struct ad_tls_tickets *s, struct ad_tls_ticket *t)
{
    ad_list_remove(&t->used);
    ad_list_remove(&t->chain);
    s->count--;
}

static bool is_of(const struct ad_tls_ticket *t, uint32_t hash, const char *host, uint16_t port)
{
    return t->hash == hash && t->port == port && strcmp(t->host, host) == 0;
}

/* Leave the newest @keep tickets of an origin. */
static void trim(struct ad_tls_tickets *s, const char *host, uint16_t port, unsigned keep)
{
    uint32_t hash = hash_origin(host, port);
    AD_LIST_FOR_EACH (node, &s->buckets[hash % AD_TLS_TICKET_BUCKETS]) {
        struct ad_tls_ticket *t = AD_CONTAINER_OF(node, struct ad_tls_ticket, chain);
        if (!is_of(t, hash, host, port)) {
            continue;
        }
        if (keep > 0) {
            keep--;
            continue;
        }
        unlink_ticket(s, t);
        ad_tls_ticket_destroy(t);
    }
}

void ad_tls_tickets_init(struct ad_tls_tickets *s)
{
    pthread_mutex_init(&s->lock, NULL);
    ad_list_init(&s->used);
    for (size_t i = 0; i < AD_TLS_TICKET_BUCKETS; i++) {
        ad_list_init(&s->buckets[i]);
    }
    s->count = 0;
}

void ad_tls_tickets_fini(struct ad_tls_tickets *s)
{
    struct ad_list *node;
    while ((node = ad_list_pop_front(&s->used)) != NULL) {
        ad_tls_ticket_destroy(AD_CONTAINER_OF(node, struct ad_tls_ticket, used));
    }
    pthread_mutex_destroy(&s->lock);
}

void ad_tls_tickets_put(struct ad_tls_tickets *s, const char *host, uint16_t port, bool once,
                        const uint8_t *bytes, size_t count)
{
    if (count == 0 || count > TICKET_BYTES_MAX) {
        return;
    }
    struct ad_tls_ticket *t = create(host, port, once, bytes, count);
    if (t == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    trim(s, host, port, once ? ONCE_PER_ORIGIN_MAX - 1 : 0);
    if (s->count >= TICKETS_MAX) {
        struct ad_tls_ticket *oldest = AD_CONTAINER_OF(s->used.prev, struct ad_tls_ticket, used);
        unlink_ticket(s, oldest);
        ad_tls_ticket_destroy(oldest);
    }
    ad_list_push_front(&s->used, &t->used);
    ad_list_push_front(&s->buckets[t->hash % AD_TLS_TICKET_BUCKETS], &t->chain);
    s->count++;
    pthread_mutex_unlock(&s->lock);
}

struct ad_tls_ticket *ad_tls_tickets_take(struct ad_tls_tickets *s, const char *host, uint16_t port)
{
    uint32_t hash = hash_origin(host, port);
    struct ad_tls_ticket *found = NULL;
    pthread_mutex_lock(&s->lock);
    AD_LIST_FOR_EACH (node, &s->buckets[hash % AD_TLS_TICKET_BUCKETS]) {
        struct ad_tls_ticket *t = AD_CONTAINER_OF(node, struct ad_tls_ticket, chain);
        if (!is_of(t, hash, host, port)) {
            continue;
        }
        if (t->once) {
            unlink_ticket(s, t);
            found = t;
        } else {
            found = create(host, port, false, t->bytes, t->count);
        }
        break;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void ad_tls_tickets_forget(struct ad_tls_tickets *s, const char *host, uint16_t port)
{
    pthread_mutex_lock(&s->lock);
    trim(s, host, port, 0);
    pthread_mutex_unlock(&s->lock);
}
