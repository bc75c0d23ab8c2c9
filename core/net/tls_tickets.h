/* SPDX-License-Identifier: MIT */
/**
 * Session tickets of one context: the newest few of each origin, and a limit on all. Shared by
 * threads; the lock is taken only around a handshake.
 */
#ifndef AD_NET_TLS_TICKETS_H
#define AD_NET_TLS_TICKETS_H

#include "base/list.h"

#include <pthread.h>
#include <stdint.h>

#define AD_TLS_TICKET_BUCKETS 256

struct ad_tls_ticket {
    struct ad_list used;  /* all tickets, newest first */
    struct ad_list chain; /* those of one bucket, newest first */
    uint32_t hash;
    uint16_t port;
    bool once;    /* TLS 1.3: a second use would let an observer link connections */
    char *host;   /* lies behind the bytes */
    size_t count; /* bytes of session data */
    uint8_t bytes[];
};

struct ad_tls_tickets {
    pthread_mutex_t lock;
    struct ad_list used;
    struct ad_list buckets[AD_TLS_TICKET_BUCKETS];
    unsigned count;
};

void ad_tls_tickets_init(struct ad_tls_tickets *tickets);
void ad_tls_tickets_fini(struct ad_tls_tickets *tickets);

/* Copied. Silent when memory is out: a ticket is only a hint. */
void ad_tls_tickets_put(struct ad_tls_tickets *tickets, const char *host, uint16_t port, bool once,
                        const uint8_t *bytes, size_t count);
/* The newest ticket of that origin, owned by the caller (ad_tls_ticket_destroy); NULL: none. One
 * that may be used again stays in the store, too. */
struct ad_tls_ticket *ad_tls_tickets_take(struct ad_tls_tickets *tickets, const char *host,
                                          uint16_t port);
void ad_tls_tickets_forget(struct ad_tls_tickets *tickets, const char *host, uint16_t port);
void ad_tls_ticket_destroy(struct ad_tls_ticket *ticket); /* wipes it; NULL does nothing */

#endif
