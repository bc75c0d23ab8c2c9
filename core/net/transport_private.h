/* SPDX-License-Identifier: MIT */
/** The inside of a transport: transport.c opens and receives, transport_send.c sends and closes. */
#ifndef AD_NET_TRANSPORT_PRIVATE_H
#define AD_NET_TRANSPORT_PRIVATE_H

#include "net/transport.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

enum ad_transport_state {
    AD_TRANSPORT_DIALLING,
    AD_TRANSPORT_SHAKING, /* TLS handshake */
    AD_TRANSPORT_OPEN,
    AD_TRANSPORT_FAILED,  /* on_open had an error: the owner is to close */
    AD_TRANSPORT_CLOSING, /* no event but on_closed */
    AD_TRANSPORT_CLOSED
};

struct ad_transport_late;

/* What only a transport over TLS needs. */
struct ad_transport_secure {
    struct ad_tls *tls;             /* NULL: not yet connected */
    struct ad_transport_late *late; /* NULL: not needed */
    /* on the way to OPEN */
    struct ad_dial *dial; /* NULL: answered */
    struct ad_tls_context *tls_context;
    const char *tls_host;
    const char *const *alpn;
    uint16_t port;
};

/* What only a failure needs, or an orderly close that does not end at once. */
struct ad_transport_late {
    struct ad_deadline deadline;
    struct ad_transport *transport;
    uint64_t read_on_to; /* what wire_received may be while it reads on; 0: it does not read on */
    struct aioduct_error *error; /* NULL: none */
};

/* An idle connection has one of these for as long as it lives: what it does not need then is in a
 * block of its own, lent or made when it is. */
struct ad_transport {
    struct ad_loop *loop;
    const struct ad_transport_events *events;
    union {
        struct ad_transport_secure *secure; /* over TLS */
        struct ad_dial *dial;               /* clear text, DIALLING; NULL: answered */
        struct ad_transport_late *late;     /* clear text, from then on; NULL: not needed */
    };
    struct ad_stream *stream;
    union {
        struct ad_turn_hook hook;
        struct ad_deferred deferred; /* after on_closed */
    };
    uint64_t wire_sent, wire_received;
    /* Bytes are gathered in next, and lie still in out while a send is in flight. Lent by the
     * loop; NULL: none is needed. */
    struct ad_buf *next;
    union {
        struct ad_buf *out;
        int file_code; /* of a piece that the connection refused: file, and not sending */
    };
    int recv_code;

    enum ad_transport_state state : 8;
    bool is_tls : 1;
    bool placed : 1;    /* its memory is the owner's */
    bool dial_gone : 1; /* the dial has ended, and has no stream left */

    /* receiving */
    bool paused : 1;
    bool read_due : 1;  /* resume left something to deliver at the end of the turn */
    bool recv_over : 1; /* the stream's end has come, with recv_code */
    bool end_told : 1;  /* on_end was called */
    bool aimed : 1;     /* the stream may receive into memory of the owner's */

    /* sending */
    bool dirty : 1;     /* the owner has something to produce */
    bool more : 1;      /* the last produce filled its room */
    bool producing : 1; /* on_produce is on the stack */
    bool produced : 1;  /* plaintext was produced that on_sent is still to be called for */
    bool sending : 1;
    bool file : 1;      /* what is being sent is a piece of a file */
    bool pended : 1;    /* the runtime keeps what it sends until later */
    bool send_over : 1; /* nothing can be sent any more */
    bool shut_due : 1;  /* this direction ends when all is with the system */
    bool notified : 1;  /* close_notify was written */
    bool orderly : 1;
    bool stream_closing : 1;
};

/* Is there output that was not given to the system? */
static inline bool ad_transport_has_next(const struct ad_transport *t)
{
    return t->next != NULL && ad_buf_bytes(t->next) > 0;
}

/* What may be there since it is open, or never will be. */
static inline struct ad_transport_late **ad_transport_late(struct ad_transport *t)
{
    return t->is_tls ? &t->secure->late : &t->late;
}

/* transport.c */
void ad_transport_open_failed(struct ad_transport *t, int code, const struct aioduct_error *error);
void ad_transport_note_error(struct ad_transport *t, int code, const struct aioduct_error *error);
/* NULL: out of memory. */
struct ad_transport_late *ad_transport_need_late(struct ad_transport *t);

/* transport_send.c */
void ad_transport_arm(struct ad_transport *t);
/* Room in next for what TLS has to say. 0 | -ENOMEM */
int ad_transport_need_next(struct ad_transport *t);
/* End of the turn: produce, encrypt, send. */
void ad_transport_flush(struct ad_transport *t);
/* Send what is gathered, now. */
void ad_transport_push(struct ad_transport *t);
void ad_transport_send_done(struct ad_transport *t, int code);
void ad_transport_file_done(struct ad_transport *t, int code, size_t count);
/* Once it is closing, whenever something has changed. */
void ad_transport_begin_close(struct ad_transport *t);
void ad_transport_drop_buffers(struct ad_transport *t);

#endif
