/* SPDX-License-Identifier: MIT */
/**
 * A connection: a transport below, a codec above. This file knows bytes, age and idleness; which
 * exchange is where, and how requests become bytes, is the codec's: HTTP/1.1 (conn_h1.c) carries
 * one exchange at a time and gives the connection back when that is over (ad_conn_release); a
 * shared codec (HTTP/2) carries many, is heard at all times, and says when there is more or less
 * room (ad_conn_room_changed).
 *
 * Memory is counted by references: the connection's own until the transport has closed, and one for
 * each exchange that was put on it, whose information may be asked for until its on_done returns.
 *
 * Life: open -> opened or failed -> idle and busy by turns -> close -> freed.
 */
#ifndef AD_HTTP_CONN_H
#define AD_HTTP_CONN_H

#include "base/buf.h"
#include "base/list.h"
#include "net/transport.h"
#include "runtime/loop.h"

#include <aioduct/event.h>
#include <netinet/in.h>

struct ad_conn;
struct ad_engine;
struct ad_h1_side;
struct ad_h2_side;
struct ad_origin;
struct aioduct_exchange;

/* The side of a connection that speaks a protocol. */
struct ad_codec {
    const char *protocol; /* as ALPN has it */
    bool shared;          /* carries many exchanges, and hears all events of an open connection */
    /* The transport is ready. 0 | -ENOMEM | AIODUCT_E_TLS (not with this cipher suite) */
    int (*open)(struct ad_conn *conn);
    /* Shared only: how many more exchanges may be put on it now; 0 when it is full, or the peer
     * allows none. One that takes no more for good sets conn->retired as well. */
    unsigned (*room)(const struct ad_conn *conn);
    /* Take @ex, whose turn it is; counted already. Nothing is written before the end of the turn.
     */
    void (*submit)(struct ad_conn *conn, struct aioduct_exchange *ex);
    /* Bytes came, and must be used or kept before this returns. */
    void (*feed)(struct ad_conn *conn, const uint8_t *bytes, size_t count);
    /* No more bytes will come: 0, AIODUCT_E_TRUNCATED or an error, as of the transport. */
    void (*eof)(struct ad_conn *conn, int code);
    /* Append at most about @room bytes. */
    void (*produce)(struct ad_conn *conn, struct ad_buf *out, size_t room);
    /* All that was produced is with the system. */
    void (*sent)(struct ad_conn *conn);
    /* A piece of a file that it had the transport send is over, as on_file of the transport says.
     * NULL: it never does. */
    void (*file_sent)(struct ad_conn *conn, int code, size_t count);
    /* Sending failed; the answer may still come. */
    void (*send_failed)(struct ad_conn *conn, int code);
    /* @ex leaves before its end, or has left already: then nothing is to do. A shared codec counts
     * it out, now or when its slot is free. */
    void (*cancel)(struct ad_conn *conn, struct aioduct_exchange *ex);
    /* @ex takes body bytes again, or has more to send. */
    void (*credit)(struct ad_conn *conn, struct aioduct_exchange *ex);
    /* An orderly close: append the last words. May be NULL. */
    void (*goodbye)(struct ad_conn *conn, struct ad_buf *out);
    /* The connection goes: free what it held. */
    void (*fini)(struct ad_conn *conn);
};
extern const struct ad_codec ad_codec_h1, ad_codec_h2;

enum ad_conn_state {
    AD_CONN_OPENING = 0, /* name, TCP, TLS */
    AD_CONN_IDLE,        /* in the pool, without exchanges */
    AD_CONN_BUSY,        /* with exchanges, or reading the rest of a dropped body */
    AD_CONN_CLOSING      /* no more events; the transport is on its way out */
};

/* When what happened on the way to an open connection; 0: it did not. */
struct ad_conn_way {
    uint64_t dial_ns;
    struct ad_dial_times times;
    uint64_t secured_ns;
};

/* What the pool knows of a connection that carries many exchanges. */
struct ad_share {
    struct ad_conn_way way;
    /* How many exchanges the peer takes at a time, set by the codec; 0: it has not said. */
    unsigned streams_max;
    unsigned streams_counted; /* of exchange_count, in the statistics */
    uint32_t idle_bytes;      /* received since it lies in the pool */
};

/* What few ask for, and an idle connection need not carry. */
struct ad_conn_info {
    bool tls_resumed;
    char tls_version[16], tls_cipher[64];
    char peer_address[AD_ADDR_TEXT_BYTES], local_address[AD_ADDR_TEXT_BYTES];
    int peer_port, local_port;
    uint64_t wire_sent, wire_received; /* as of ad_conn_wire_fill */
};

struct ad_conn {
    struct ad_engine *engine;
    struct ad_origin *origin;     /* until it closes */
    const struct ad_codec *codec; /* NULL while opening */
    struct ad_conn_info *info;    /* made when it is first asked for; NULL: not yet, or no memory */
    struct ad_list node;          /* pool's lru while it is idle, else the engine's conns */
    union {
        struct ad_list place_node;   /* origin's opening, idle or shared list */
        struct ad_deferred deferred; /* once it is closed, and nobody refers to it */
    };
    /* Opening: a bound for surplus dials; idle: idleness; draining. Its own number: the server's
     * Keep-Alive hint in seconds; 0: none */
    struct ad_deadline deadline;
    uint64_t number; /* unique in the process */
    union {
        uint64_t dial_ns; /* while it opens */
        uint64_t opened_ns;
    };
    union {
        struct ad_dial_times times; /* while it opens: codec is NULL */
        struct {
            union {                    /* the codec's own */
                struct ad_h1_side *h1; /* of an exchange; an idle connection has none */
                struct ad_h2_side *h2;
                struct ad_share *share; /* of a shared codec: the beginning of its side */
            };
            /* Exchanges on it: ad_conn_assign counts up; down counts ad_conn_release, or a shared
             * codec when one has left. */
            unsigned exchange_count;
            uint32_t served; /* responses completed; as many as there can be: more */
        };
    };
    unsigned refs;
    enum ad_conn_state state : 8;
    uint8_t why;       /* enum aioduct_close_reason: of its end, once it is known */
    bool was_idle : 1; /* lay in the pool: the server may have closed it before it knew */
    /* Takes no more exchanges for good: it is going away, or out of stream ids. Set by a shared
     * codec or the pool, which closes it when the last exchange has left. */
    bool retired : 1;
    bool closed : 1; /* its transport has closed */
    /* the transport follows: ad_conn_transport */
};

/* In one block with its connection. */
static inline struct ad_transport *ad_conn_transport(const struct ad_conn *conn)
{
    return (struct ad_transport *)(void *)((uintptr_t)conn + sizeof *conn);
}

/* Start opening one for @origin; the pool hears of the end. 0 | negative */
int ad_conn_open(struct ad_engine *engine, struct ad_origin *origin);
/* One that is opening has a waiter with @connect_ns of its own from now on; 0: as long as it takes.
 */
void ad_conn_wait_longer(struct ad_conn *conn, uint64_t connect_ns);
/* Put @ex on an open, free connection. */
void ad_conn_assign(struct ad_conn *conn, struct aioduct_exchange *ex);
/* Once or more often; @orderly: what was produced is sent first. */
void ad_conn_close(struct ad_conn *conn, bool orderly);
/* Say why, before it is closed: the first reason stands. */
void ad_conn_blame(struct ad_conn *conn, enum aioduct_close_reason why);
void ad_conn_ref(struct ad_conn *conn);
void ad_conn_unref(struct ad_conn *conn);

/* Is it of no use any more at its age? */
bool ad_conn_too_old(const struct ad_conn *conn);
/* A codec that is not shared is done with its exchange: back to the pool. */
void ad_conn_release(struct ad_conn *conn);
/* A shared codec's room or number of exchanges has changed. Legal anywhere, cheap, any number of
 * times: the pool looks at the end of the turn. */
void ad_conn_room_changed(struct ad_conn *conn);
/* A shared codec was told ENHANCE_YOUR_CALM (C40): its origin gets no new streams for a while. */
void ad_conn_calm(struct ad_conn *conn);
/* Ask the transport and keep the answer, while there is a transport (conn_info.c). */
void ad_conn_info_fill(struct ad_conn *conn);
/* A sockaddr of @count bytes as text, AD_ADDR_TEXT_BYTES bytes of it; unchanged if it is neither
 * family. */
void ad_conn_address_text(const uint8_t *bytes, uint32_t count, char *text, int *port);
/* The bytes that it has moved so far, if anybody has asked about it before. */
void ad_conn_wire_fill(struct ad_conn *conn);

#endif
