/* SPDX-License-Identifier: MIT */
/**
 * HTTP/2 codec of a client, without I/O: bytes in, events out; requests in, bytes out. nghttp2
 * keeps streams and HPACK; decided here are the rules of messages, limits, floods, flow control,
 * the pace of resets and what an error is called, row by row (C33 to C50).
 *
 * A request's stream is a struct in the owner's memory, from ad_h2_submit until on_complete or
 * on_closed was called, or ad_h2_cancel. Nothing is given to nghttp2 before ad_h2_produce, so a
 * request that leaves earlier costs no stream.
 *
 * Flow control: the connection's credit is returned on receipt, a stream's by ad_h2_consume, so the
 * stream window bounds what the peer may send ahead for each. It begins with stream_window_bytes.
 *
 * Life: create -> submit, feed, produce ... -> destroy. Once feed or produce has failed, the codec
 * does nothing more, but that the next produce may have a GOAWAY to say.
 */
#ifndef AD_PROTO_H2_H
#define AD_PROTO_H2_H

#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"

#include <aioduct/exchange.h>
#include <stdbool.h>

/* Error codes of RFC 9113 section 7 that are not all the same to a caller. */
enum {
    AD_H2_NO_ERROR = 0,
    AD_H2_PROTOCOL_ERROR = 1,
    AD_H2_REFUSED_STREAM = 7,
    AD_H2_CANCEL = 8,
    AD_H2_ENHANCE_YOUR_CALM = 11,
    AD_H2_HTTP_1_1_REQUIRED = 13
};
const char *ad_h2_code_name(uint32_t code);

struct ad_h2_limits {
    uint32_t head_bytes_max; /* names, values and 32 bytes a field, as the peer is told to count */
    uint32_t head_fields_max, interim_max, trailer_bytes_max;
    uint32_t streams_max;
    uint64_t stream_window_bytes, connection_window_bytes; /* cut to what a window can be */
};

/* A field of a request; the name is in lower case. */
struct ad_h2_field {
    struct ad_slice name, value;
    bool sensitive; /* kept out of the compression tables */
};

#define AD_H2_EXTRA_MAX 2

struct ad_h2_stream {
    struct ad_list node; /* until its HEADERS are made */
    int32_t id;          /* from then on */
    uint8_t state;
    bool has_body;
    bool sent_end; /* the request is complete */
    bool got_head; /* the final head was delivered */
    bool got_end;  /* of a raw one: the peer's direction has ended */
    /* Set by the owner right after ad_h2_submit: it has a :protocol (RFC 8441), and waits until the
     * peer has said that it takes that. */
    bool extended;
    /* Set in on_head: DATA alone follows, and each direction ends by itself. */
    bool raw;
    uint32_t interim_count;
    int64_t length;                      /* of its body, if that is known; else negative */
    uint64_t body_bytes;                 /* of it, so far */
    uint64_t head_bytes;                 /* of all heads so far */
    uint64_t sent_bytes, received_bytes; /* of its frames, with their headers */
    uint32_t window;   /* so much may the peer send ahead, once it knows our SETTINGS */
    size_t unconsumed; /* what needs no memory any more, and nghttp2 was not told */
    bool padded;       /* nghttp2 counts more than that */
    const struct ad_h2_field *fields;
    uint32_t field_count;
    struct ad_h2_field extra[AD_H2_EXTRA_MAX]; /* without a name: not used */
};

/* Why a stream ended without a complete response. */
struct ad_h2_end {
    uint32_t code;                     /* of RST_STREAM, ours or the peer's */
    bool refused;                      /* the peer has certainly not acted on it */
    const struct aioduct_error *error; /* what to tell the caller */
};

enum { AD_H2_LATER = -1 }; /* of on_source */

/* Called inside feed (the first eight) and produce. None may feed, produce or destroy; all else is
 * allowed. */
struct ad_h2_events {
    void (*on_interim)(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head);
    void (*on_head)(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head);
    void (*on_body)(void *owner, struct ad_h2_stream *s, const uint8_t *bytes, size_t count);
    void (*on_trailers)(void *owner, struct ad_h2_stream *s, const struct aioduct_head *trailers);
    /* The peer has ended its direction of a raw stream, ours goes on; on_complete comes when that
     * has ended too. */
    void (*on_end)(void *owner, struct ad_h2_stream *s);
    /* The response is complete; the rest of an upload is called off (C14, C41). Called inside
     * produce if the end of a raw stream's own direction was the last thing. */
    void (*on_complete)(void *owner, struct ad_h2_stream *s);
    /* The peer takes no new streams, and has not acted on those above @last_id: they are closed as
     * refused right after this. */
    void (*on_goaway)(void *owner, int32_t last_id, uint32_t code);
    void (*on_pong)(void *owner); /* an answer to a ping, the codec's own ones too */
    void (*on_closed)(void *owner, struct ad_h2_stream *s, const struct ad_h2_end *end);
    /* More requests fit, or fewer. */
    void (*on_room)(void *owner);
    /* The request's head is in the output. */
    void (*on_head_sent)(void *owner, struct ad_h2_stream *s);
    /* Append at most @room bytes of the request's body to @out -> how many; *out_end after the
     * last. AD_H2_LATER: nothing now, ad_h2_resume will be called, or it was cancelled. */
    int64_t (*on_source)(void *owner, struct ad_h2_stream *s, struct ad_buf *out, size_t room,
                         bool *out_end);
    /* After the last body byte: put at most @room trailers into @fields -> how many there are.
     * Copied; names in any case. */
    uint32_t (*on_request_trailers)(void *owner, struct ad_h2_stream *s, struct ad_h2_field *fields,
                                    uint32_t room);
};

/* Memory that codecs share while they are on the stack. All that were made with one are used by one
 * thread at a time, and end before it does. */
struct ad_h2_scratch;
struct ad_h2_scratch *ad_h2_scratch_create(void);          /* NULL: out of memory */
void ad_h2_scratch_destroy(struct ad_h2_scratch *scratch); /* NULL does nothing */

struct ad_h2;
/* @limits, @events and @scratch (NULL: none) borrowed for the codec's life. 0 | -ENOMEM */
int ad_h2_create(const struct ad_h2_limits *limits, const struct ad_h2_events *events, void *owner,
                 struct ad_h2_scratch *scratch, struct ad_h2 **out);
void ad_h2_destroy(struct ad_h2 *h2); /* NULL does nothing */

/* All bytes are taken. 0, or negative with @error filled when the connection is done for:
 * AIODUCT_E_PROTOCOL, AIODUCT_E_LIMIT (a flood), -ENOMEM. What is wrong with one stream is told by
 * on_closed. */
int ad_h2_feed(struct ad_h2 *h2, const uint8_t *bytes, size_t count, struct aioduct_error *error);
/* Append at most about @room bytes. 0, or as feed; what was appended is worth sending even then. */
int ad_h2_produce(struct ad_h2 *h2, struct ad_buf *out, size_t room, struct aioduct_error *error);
bool ad_h2_wants_write(const struct ad_h2 *h2);

/* How many more requests may be submitted. */
unsigned ad_h2_room(const struct ad_h2 *h2);
/* Places that are taken by streams given up, until the peer has seen that. */
unsigned ad_h2_resets(const struct ad_h2 *h2);
/* How many the peer takes at a time; 0: it has not said that yet. */
unsigned ad_h2_streams_max(const struct ad_h2 *h2);
/* How many of those submitted are too many, now that the peer has said what it takes, and were not
 * begun: cancelled, they leave no trace. */
unsigned ad_h2_surplus(const struct ad_h2 *h2);
bool ad_h2_is_queued(const struct ad_h2_stream *s); /* submitted and not begun */
/* The peer does not answer for the streams that were given up: their places are not waited for any
 * more, and there is never room again. */
void ad_h2_retire(struct ad_h2 *h2);
/* Will there never be room again? */
bool ad_h2_is_final(const struct ad_h2 *h2);
/* A request: pseudo-header fields first, then the others, all borrowed until the stream's end. What
 * @s held before is cleared; fields of this one sending may be put into s->extra afterwards. */
void ad_h2_submit(struct ad_h2 *h2, struct ad_h2_stream *s, const struct ad_h2_field *fields,
                  uint32_t count, bool has_body);
/* Give a submitted stream up, with this code for the peer. Its place stays taken until the peer has
 * seen it (C44). No event follows. */
void ad_h2_cancel(struct ad_h2 *h2, struct ad_h2_stream *s, uint32_t code);
/* @count body bytes of @s need no memory any more -> true: with these it is half of the window,
 * which may grow now */
bool ad_h2_consume(struct ad_h2 *h2, struct ad_h2_stream *s, size_t count);
/* After such a consume the peer may send @more ahead -> how much more it really may */
uint32_t ad_h2_widen(struct ad_h2 *h2, struct ad_h2_stream *s, uint32_t more);
/* After AD_H2_LATER: ask the source again. */
void ad_h2_resume(struct ad_h2 *h2, struct ad_h2_stream *s);
void ad_h2_ping(struct ad_h2 *h2);
/* No error: tell the peer that this side is leaving. */
void ad_h2_leave(struct ad_h2 *h2);

/* For tests: the next stream has @id, which is odd and higher than any before. */
void ad_h2_set_next_id(struct ad_h2 *h2, uint32_t id);

#endif
