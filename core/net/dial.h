/* SPDX-License-Identifier: MIT */
/**
 * Host and port -> connected stream: look up both families, race the addresses as RFC 8305 says.
 * The race begins when the preferred family's addresses are there (IPv6, unless IPv4 won lately),
 * or 50 ms after the other's; families take turns, each in the order that the resolver gave; what
 * comes later joins. The next attempt starts 250 ms after the last, or at once when one fails;
 * attempts already under way go on; losers are closed.
 */
#ifndef AD_NET_DIAL_H
#define AD_NET_DIAL_H

#include "net/resolve.h"

#include <aioduct/client.h>

struct ad_dial;
struct ad_loop;
struct ad_stream;

/* How far a dial is, for those who watch. */
struct ad_dial_step {
    enum {
        AD_DIAL_RESOLVED,       /* count addresses, before families are sorted out; again when the
                                   other family's come later */
        AD_DIAL_CONNECT,        /* an attempt at addr began */
        AD_DIAL_CONNECT_FAILED, /* it failed with code */
        AD_DIAL_CONNECTED       /* it won: on_done follows */
    } kind;
    const struct ad_addr *addr; /* borrowed for the call; no bytes: dialled by the host's name */
    unsigned count;
    int code;
};

/* The family that won where the other one was slow or out of reach; it comes first for ten minutes
 * (RFC 8305 section 4: a client with a history uses it). Zeroed at first; loop thread. */
struct ad_dial_history {
    int family;
    uint64_t until_ns;
};

struct ad_dial_times { /* loop time; 0: did not happen */
    uint64_t resolved_ns, connected_ns;
};

struct ad_dial_params {
    struct ad_resolver *resolver;
    const char *host; /* name or numeric, no brackets; borrowed until the end */
    uint16_t port;
    enum aioduct_family family;
    const struct aioduct_socket_options *socket; /* borrowed until the end */
    /* Overrides (--resolve), or one unix-domain socket: no look-up. NULL: look up @host, unless the
     * loop dials by name. */
    const struct ad_addr *addrs;
    size_t addr_count;
    uint32_t attempt_delay_ms;       /* 250 if 0 (RFC 8305 section 5), bounded to 10..2,000 */
    int resolution_delay_ms;         /* 50 if 0 (RFC 8305 section 3); negative: none */
    struct ad_dial_times *times;     /* written as it goes, until the end; may be NULL */
    struct ad_dial_history *history; /* borrowed until the end; may be NULL */
    /* After on_done or cancel, once: the streams that lost are closed too, so the loop may go. May
     * be NULL. */
    void (*on_gone)(void *owner);
    /* Each step, possibly inside start; it may call nothing of the dial. May be NULL. */
    void (*on_step)(void *owner, const struct ad_dial_step *step);
};

struct ad_dial_result {
    int code; /* 0, or why the whole dial failed (the last attempt's, or the look-up's) */
    struct ad_stream *stream; /* connected; ownership passes to the callee (ad_stream_set_owner) */
    struct ad_dial_times times;
    struct aioduct_error
        error; /* phase resolve or connect; the message names host, port and address tried */
};

/* Loop thread; *@out is valid until on_done or cancel. 0, then on_done once, never inside start |
 * negative */
int ad_dial_start(struct ad_loop *loop, const struct ad_dial_params *params,
                  void (*on_done)(void *owner, struct ad_dial_result *result), void *owner,
                  struct ad_dial **out);
/* on_done will not come; everything under way is closed. AIODUCT_DONE: nothing is left and on_gone
 * will not come either; AIODUCT_PENDING: on_gone follows, never inside this call. */
int ad_dial_cancel(struct ad_dial *dial);

#endif
