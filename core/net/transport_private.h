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

/* What only the way to OPEN needs. */
struct ad_transport_setup {
    struct ad_dial *dial; /* NULL: answered */
    struct ad_tls_context *tls_context;
    const char *tls_host;
    const char *const *alpn;
    uint16_t port;
};

struct ad_transport {
    struct ad_loop *loop;
    const struct ad_transport_events *events;
    void *owner;
    enum ad_transport_state state;

    struct ad_transport_setup *setup; /* NULL once it is open: an idle connection carries none */
    bool dial_gone;                   /* the dial has ended, and has no stream left */

    struct ad_stream *stream;
    struct ad_tls *tls; /* NULL: clear text */
    struct ad_turn_hook hook;
    struct ad_deferred deferred;
    struct ad_deadline linger; /* of an orderly close */
    struct ad_transport_times times;
    uint64_t wire_sent, wire_received;
    uint64_t read_on_to; /* what wire_received may be while an orderly close reads on; 0: it does
                            not read on */
    struct aioduct_error *error; /* made when there is one; NULL: none */

    /* receiving */
    bool paused;
    bool read_due;  /* resume left something to deliver at the end of the turn */
    bool recv_over; /* the stream's end has come, with recv_code */
    bool end_told;  /* on_end was called */
    int recv_code;

    /* sending: bytes are gathered in next, and lie still in out while a send is in flight */
    bool dirty;     /* the owner has something to produce */
    bool more;      /* the last produce filled its room */
    bool producing; /* on_produce is on the stack */
    bool produced;  /* plaintext was produced that on_sent is still to be called for */
    bool sending;
    bool pended;    /* the runtime keeps what it sends until later */
    bool send_over; /* nothing can be sent any more */
    bool shut_due;  /* this direction ends when all is with the system */
    bool notified;  /* close_notify was written */
    bool orderly;
    bool stream_closing;
    struct ad_buf next, out;
};

/* transport.c */
void ad_transport_open_failed(struct ad_transport *t, int code, const struct aioduct_error *error);
void ad_transport_note_error(struct ad_transport *t, int code, const struct aioduct_error *error);

/* transport_send.c */
void ad_transport_arm(struct ad_transport *t);
/* Room in next for what TLS has to say. 0 | -ENOMEM */
int ad_transport_need_next(struct ad_transport *t);
/* End of the turn: produce, encrypt, send. */
void ad_transport_flush(struct ad_transport *t);
/* Send what is gathered, now. */
void ad_transport_push(struct ad_transport *t);
void ad_transport_send_done(struct ad_transport *t, int code);
/* Once it is closing, whenever something has changed. */
void ad_transport_begin_close(struct ad_transport *t);
void ad_transport_drop_buffers(struct ad_transport *t);

#endif
