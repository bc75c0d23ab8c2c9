/* SPDX-License-Identifier: MIT */
/**
 * HTTP/1.1 codec without I/O: bytes in, events out; a prepared request in, bytes out. llhttp splits
 * heads into fields; the rest is decided here, since llhttp's versions differ in it, and said row
 * by row (C1 to C20): line ends, interim responses, which bodies exist, lengths and chunks, limits,
 * whether the connection may be used again.
 *
 * One request is outstanding at a time (no pipelining). A head that lies in one slice is parsed in
 * place; one that crosses slices is gathered in the codec's own buffer, bounded by head_bytes_max,
 * which a codec between answers does not hold.
 */
#ifndef AD_PROTO_H1_H
#define AD_PROTO_H1_H

#include "base/buf.h"

#include <aioduct/exchange.h>
#include <stdbool.h>

struct ad_h1_limits {
    uint32_t head_bytes_max, head_fields_max, interim_max, trailer_bytes_max, chunk_ext_max;
};

/* Called inside ad_h1_feed and ad_h1_eof. None of them may feed or destroy the codec. */
struct ad_h1_events {
    void (*on_interim)(void *owner, const struct aioduct_head *head);
    void (*on_head)(void *owner, const struct aioduct_head *head);
    void (*on_body)(void *owner, const uint8_t *bytes, size_t count);
    void (*on_trailers)(void *owner, const struct aioduct_head *trailers);
    /* The response is complete. @reusable: framing allows another request on this connection; false
     * after 101 and after 2xx to CONNECT, whose next bytes belong to the new protocol. The last
     * call of a feed or eof; ad_h1_expect may be called inside it. */
    void (*on_complete)(void *owner, bool reusable);
};

struct ad_h1;
int ad_h1_create(const struct ad_h1_limits *limits, const struct ad_h1_events *events, void *owner,
                 struct ad_h1 **out); /* @limits and @events borrowed for the codec's life */
void ad_h1_destroy(struct ad_h1 *h1);
/* Between responses, or instead of the rest of one: forget everything, and serve @owner's
 * connection from now on. @first: no answer has come on that one. */
void ad_h1_renew(struct ad_h1 *h1, void *owner, bool first);

enum { AD_H1_HEAD = 1, AD_H1_CONNECT = 2, AD_H1_UPGRADE = 4 };
/* A request goes out: its response is expected. @flags say what changes the framing of the answer.
 */
void ad_h1_expect(struct ad_h1 *h1, unsigned flags);

/* Count of bytes consumed: all of them unless ad_h1_hold was called in an event (the rest is to be
 * fed again after ad_h1_unhold), or the response is complete (what follows belongs to nobody:
 * close), or none is expected (0). Negative: AIODUCT_E_PROTOCOL, AIODUCT_E_NOT_HTTP,
 * AIODUCT_E_HEAD_LIMIT (head_bytes_max, head_fields_max), AIODUCT_E_LIMIT (the other limits),
 * -ENOMEM, with @error filled; the connection is done for. */
int64_t ad_h1_feed(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                   struct aioduct_error *error);
/* The peer has closed. 0: that ended a close-delimited body (on_complete was called) or nothing was
 * expected; AIODUCT_E_CLOSED before any byte of an answer; AIODUCT_E_TRUNCATED inside one. */
int ad_h1_eof(struct ad_h1 *h1, struct aioduct_error *error);
/* Consume no more bytes until unhold. on_complete needs none: it follows the last byte at once,
 * held or not, so that a caller never has to feed nothing to get it. */
void ad_h1_hold(struct ad_h1 *h1);
void ad_h1_unhold(struct ad_h1 *h1);

/* What is known of the answer under way. */
bool ad_h1_got_bytes(const struct ad_h1 *h1); /* any byte of an answer, interim ones too */
bool ad_h1_got_head(const struct ad_h1 *h1);  /* the final head */
bool ad_h1_close_delimited(const struct ad_h1 *h1);
int64_t ad_h1_body_left(const struct ad_h1 *h1);   /* bytes still to come; -1 if unknown */
uint64_t ad_h1_head_bytes(const struct ad_h1 *h1); /* of the heads so far */

/* ---- fields ---- */

/* Is it a token (RFC 9110 5.6.2)? Is it a field value without CR, LF, NUL and other control bytes
 * but HTAB? */
bool ad_h1_is_token(const char *s, size_t bytes);
bool ad_h1_is_lower_token(const char *s, size_t bytes); /* without capital letters */
bool ad_h1_is_field_value(const char *s, size_t bytes);

/* May a trailer section hold this field (RFC 9110 6.5.1)? */
bool ad_h1_trailer_allowed(const struct aioduct_header *field);

#endif
