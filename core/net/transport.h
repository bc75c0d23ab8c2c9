/* SPDX-License-Identifier: MIT */
/**
 * A connection for bytes, clear or TLS: dial, handshake, then plaintext both ways. The layer above
 * never learns which. Output is pulled: a transport that was marked dirty asks its owner for bytes
 * once at the end of the turn, encrypts and sends them in one call, and asks again when a pending
 * send has drained. Loop thread only.
 *
 * Life: start -> on_open(0) -> on_plain, on_produce ... -> close -> on_closed. on_open with an
 * error, or on_end, is the last word but on_closed; the owner still has to close.
 */
#ifndef AD_NET_TRANSPORT_H
#define AD_NET_TRANSPORT_H

#include "net/dial.h"
#include "net/tls.h"

struct ad_transport;
struct aioduct_stream_info; /* <aioduct/plugin/plugin.h> */

struct ad_transport_events {
    /* Progress of the dial; may be NULL. Nothing of the transport may be called. */
    void (*on_step)(struct ad_transport *t, const struct ad_dial_step *step);
    /* Ready for bytes (0), or never will be: ad_transport_error has the record. */
    void (*on_open)(struct ad_transport *t, int code);
    /* Plaintext, valid until this returns. All of it is the owner's now: what it cannot use yet, it
     * copies. */
    void (*on_plain)(struct ad_transport *t, const uint8_t *bytes, size_t count);
    /* Nothing more comes: 0 orderly (FIN on clear text, close_notify on TLS), AIODUCT_E_TRUNCATED
     * (FIN without close_notify), else the error. Sending may still work after 0 on clear text. */
    void (*on_end)(struct ad_transport *t, int code);
    /* Append at most about @room plaintext bytes to @out. */
    void (*on_produce)(struct ad_transport *t, struct ad_buf *out, size_t room);
    /* Everything produced so far was given to the system. */
    void (*on_sent)(struct ad_transport *t);
    /* What became of ad_transport_send_file: @count bytes are with the system. @code: 0, and
     * without bytes the file has none there; -ECANCELED after ad_transport_stop_file;
     * AIODUCT_E_UNSUPPORTED: read it; else on_send_error follows, after all others on_sent. NULL:
     * no file is ever sent. */
    void (*on_file)(struct ad_transport *t, int code, size_t count);
    /* A send failed; what the peer said before it may still arrive by on_plain (read on until
     * on_end). */
    void (*on_send_error)(struct ad_transport *t, int code);
    void (*on_closed)(struct ad_transport *t); /* the memory goes at the end of the turn */
};

struct ad_transport_params {
    struct ad_dial_params dial;
    /* Zeroed memory of ad_transport_bytes() that it lives in, for an owner that has a block of its
     * own, by which it knows whose it is, and calls ad_transport_fini; NULL: it has one itself. */
    void *place;
    struct ad_tls_context *tls; /* NULL: clear text */
    const char *tls_host;       /* name to verify and for SNI; borrowed until on_open */
    const char *const *alpn;
};

size_t ad_transport_bytes(void);
int ad_transport_start(struct ad_loop *loop, const struct ad_transport_params *params,
                       const struct ad_transport_events *events, void *owner,
                       struct ad_transport **out);
void *ad_transport_owner(const struct ad_transport *t); /* of one that has no place */
struct ad_loop *ad_transport_loop(const struct ad_transport *t);
/* There is something to produce. Cheap; any number of times a turn. Before on_open: remembered. */
void ad_transport_dirty(struct ad_transport *t);
/* Add bytes to what is sent next, past on_produce: the last words before an orderly close. Only
 * while it is open; what cannot be added is dropped. */
void ad_transport_append(struct ad_transport *t, const uint8_t *bytes, size_t count);
/* Inside on_produce, which appends nothing: send a piece of at most @count bytes of the file @fd
 * from @offset on. Nothing is produced until on_file. -> false: it has to be read (TLS, a connector
 * that cannot, a file that cannot), or there is something to send before it */
bool ad_transport_send_file(struct ad_transport *t, int fd, int64_t offset, size_t count);
/* If a piece is under way, have it end as it is: the descriptor is not used any more, on_file
 * comes. -> is one? */
bool ad_transport_stop_file(struct ad_transport *t);
/* Is there output that the system has not taken yet? Nothing is produced until it has. */
bool ad_transport_is_sending(const struct ad_transport *t);
/* Nothing follows what was produced: when that is with the system, end this direction, with
 * close_notify on TLS. Receiving goes on. Once; again does nothing. */
void ad_transport_shutdown(struct ad_transport *t);
/* On clear text: what comes next may be received at @memory, at most @bytes of it; on_plain brings
 * it from there, and the hint is used up by then, also by bytes that lie elsewhere. NULL and 0:
 * nowhere. Nothing is written there any more once this (again), pause or close has returned. */
void ad_transport_recv_at(struct ad_transport *t, void *memory, size_t bytes);
/* Stop and restart delivery. After pause, slices that were already on their way may still come by
 * on_plain. */
void ad_transport_pause(struct ad_transport *t);
void ad_transport_resume(struct ad_transport *t);
/* Before an orderly close: the peer is sending, and bytes that nobody reads would have the system
 * reset the connection, and our last words with it. Behind those this direction ends, and what
 * comes is dropped until the peer has ended too; bounded by the same second, and in bytes. */
void ad_transport_read_on(struct ad_transport *t);
/* Once, in any state; NULL does nothing. @orderly: send what was produced and close_notify first,
 * without waiting for the peer; bounded by a second. */
void ad_transport_close(struct ad_transport *t, bool orderly);

/* Of a place: the last of it, after on_closed, when nobody on the stack looks at it any more. */
void ad_transport_fini(struct ad_transport *t);

const struct aioduct_error *ad_transport_error(const struct ad_transport *t);
bool ad_transport_is_tls(const struct ad_transport *t);
const char *ad_transport_alpn(const struct ad_transport *t);
const char *ad_transport_tls_version(const struct ad_transport *t); /* "" on clear text */
const char *ad_transport_tls_cipher(const struct ad_transport *t);
bool ad_transport_tls_resumed(const struct ad_transport *t);
/* What the stream has taken and brought so far, TLS and its handshake included. */
void ad_transport_wire_bytes(const struct ad_transport *t, uint64_t *out_sent,
                             uint64_t *out_received);
/* 0 with the addresses, or negative. */
int ad_transport_info(struct ad_transport *t, struct aioduct_stream_info *info);

#endif
