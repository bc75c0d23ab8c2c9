/* SPDX-License-Identifier: MIT */
/**
 * Parts of the HTTP/2 codec:
 *
 *   h2_frames.c   frame headers, read beside nghttp2: the first frame, floods, what is forbidden
 *   h2_block.c    a header block -> a head, within the limits
 *   h2_message.c  is it, with what belongs to it, a message that may be?
 *   h2_receive.c  nghttp2's callbacks for what came
 *   h2_mem.c      small blocks that one request leaves to the next
 *   h2_scratch.c  the memory of sessions, as far as they share it
 *   h2_proof.c    may they?
 *   h2_send.c     requests, bodies and resets on their way out
 *   h2.c          life, feeding, ends
 */
#ifndef AD_PROTO_H2_PRIVATE_H
#define AD_PROTO_H2_PRIVATE_H

#include "proto/h2.h"
#include "proto/h2_compat.h"

/* ---- frame headers ---- */

#define AD_H2_FRAME_HEAD_BYTES 9

struct ad_h2_frames {
    uint8_t head[AD_H2_FRAME_HEAD_BYTES];
    uint8_t head_bytes;
    bool began; /* the first frame was seen */
    uint8_t continuations;
    bool padded; /* the next byte says how much of this DATA frame is padding */
    uint32_t payload_left;
    int64_t budget; /* see h2_frames.c */
};

struct ad_h2_offence {
    uint32_t code;    /* for GOAWAY */
    const char *text; /* NULL: none */
};

void ad_h2_frames_init(struct ad_h2_frames *frames);
/* A request went out, or a DATA frame: the peer may answer that with odd frames. */
void ad_h2_frames_earn_request(struct ad_h2_frames *frames);
void ad_h2_frames_earn(struct ad_h2_frames *frames, size_t bytes);
/* How many of these bytes come before the header of the first offending frame. */
size_t ad_h2_frames_scan(struct ad_h2_frames *frames, const uint8_t *bytes, size_t count,
                         struct ad_h2_offence *offence);

/* ---- header blocks ---- */

struct ad_h2_block {
    struct ad_h2_stream *s; /* NULL: nobody wants it */
    int status;
    bool has_status;
    bool regular;              /* a field that is no pseudo-header field came */
    uint64_t bytes, bytes_max; /* decoded, as the peer counts them */
    char *text;                /* that the headers point into */
    size_t text_bytes, text_room;
    struct aioduct_header *headers;
    uint32_t count, room;
};

void ad_h2_block_begin(struct ad_h2_block *block, const struct ad_h2_limits *limits,
                       struct ad_h2_stream *s);
/* 0 | AIODUCT_E_HEAD_LIMIT, AIODUCT_E_LIMIT (trailers), AIODUCT_E_PROTOCOL | -ENOMEM, @error filled
 */
int ad_h2_block_add(struct ad_h2_block *block, const struct ad_h2_limits *limits,
                    struct ad_slice name, struct ad_slice value, struct aioduct_error *error);
/* Borrowed until the next begin. */
void ad_h2_block_head(struct ad_h2_block *block, bool trailers, struct aioduct_head *out);
/* Give back what a large block took. */
void ad_h2_block_end(struct ad_h2_block *block);
void ad_h2_block_fini(struct ad_h2_block *block);

/* ---- messages ---- */

enum ad_h2_field_kind { AD_H2_FIELD_TAKEN, AD_H2_FIELD_DROPPED, AD_H2_FIELD_WRONG };

/* The next field of a block: is it delivered? Its status and its body's length are noted. */
enum ad_h2_field_kind ad_h2_message_field(struct ad_h2_block *block, struct ad_slice name,
                                          struct ad_slice value);
/* Is the block one that may come here? @end: nothing comes behind it. */
bool ad_h2_message_block(struct ad_h2_block *block, bool end);
/* May @count more bytes of a body come? */
bool ad_h2_message_data(struct ad_h2_stream *s, size_t count);
/* Has all come of its body? */
bool ad_h2_message_ends(const struct ad_h2_stream *s);

/* ---- small blocks ---- */

enum { AD_H2_MEM_STEP = 16, AD_H2_MEM_CLASSES = 33 }; /* up to 512 bytes */

struct ad_h2_mem { /* zeroed; one thread's */
    struct ad_h2_mem_block *kept[AD_H2_MEM_CLASSES];
    size_t kept_bytes;
};

/* As malloc and free, but there has to be a block; NULL for @mem keeps nothing. */
void *ad_h2_mem_get(struct ad_h2_mem *mem, size_t bytes);
void ad_h2_mem_put(struct ad_h2_mem *mem, void *p);
void ad_h2_mem_fini(struct ad_h2_mem *mem);

/* ---- sessions ---- */

/* The largest frame that is made, its header, and a byte for padding. */
#define AD_H2_FRAME_BLOCK_BYTES (9 + 1 + 16384)

enum ad_h2_proof { AD_H2_UNPROVED = 0, AD_H2_SAFE, AD_H2_UNSAFE }; /* the first: no memory */

/* Try it with @scratch, which no session has yet. @spoil: in a way that must be found unsafe. */
enum ad_h2_proof ad_h2_prove(struct ad_h2_scratch *scratch, bool spoil);
/* The same, once in a process. */
bool ad_h2_may_share(struct ad_h2_scratch *scratch);

uint8_t *ad_h2_scratch_block(struct ad_h2_scratch *scratch);
/* Has a session found no memory? nghttp2 does not always say so. */
bool ad_h2_scratch_lacked(const struct ad_h2_scratch *scratch);
/* As nghttp2_session_client_new3, with the block of @scratch (NULL: none) if it is to @share. */
int ad_h2_scratch_new(struct ad_h2_scratch *scratch, bool share, nghttp2_session **out,
                      const nghttp2_session_callbacks *callbacks, void *user,
                      const nghttp2_option *option);
/* The same, with the block if that is safe. What it has to send at first must be taken before
 * another session is used. */
int ad_h2_scratch_session(struct ad_h2_scratch *scratch, nghttp2_session **out,
                          const nghttp2_session_callbacks *callbacks, void *user,
                          const nghttp2_option *option);

/* ---- the codec ---- */

enum { AD_H2_STREAM_IDLE = 0, AD_H2_STREAM_QUEUED, AD_H2_STREAM_WAITING, AD_H2_STREAM_OPEN };

struct ad_h2 {
    const struct ad_h2_limits *limits;
    const struct ad_h2_events *events;
    void *owner;
    nghttp2_session *session;
    struct ad_h2_frames frames;
    struct ad_h2_block block;
    struct ad_h2_stream *current; /* an event of it is being delivered */
    int32_t known_id;             /* the stream last asked for; 0: none */
    void *known_owner;            /* its */
    uint32_t next_id;             /* of the next stream */
    uint32_t streams_max;         /* how many the peer takes */
    size_t unconsumed; /* body bytes of the feed under way, which nghttp2 was not told yet */
    bool has_ack;      /* of our SETTINGS */
    unsigned unsent;   /* heads in nghttp2's queue */

    struct ad_list queued;  /* streams not given to nghttp2 yet */
    struct ad_list waiting; /* those that wait for the peer's SETTINGS */
    unsigned waiting_count;
    unsigned queued_count, open_count; /* open: for nghttp2, left ones too */
    unsigned resets_unsent;            /* in nghttp2's queue */
    unsigned resets_waiting;           /* not covered by a ping yet */
    unsigned resets_covered;           /* until the ack of the ping under way */
    uint64_t reset_ping, live_ping;    /* payloads under way; 0: none */
    uint64_t ping_count;
    nghttp2_nv *nv;
    size_t nv_room;

    struct ad_buf *out;  /* during produce */
    size_t out_end;      /* where it is full */
    struct ad_buf spill; /* the preface, and what was made during feed */
    bool began;          /* the preface is out */
    int32_t reset_id;    /* the stream that the peer has just reset */
    bool goaway;         /* the peer's came */
    bool retired;        /* takes no more requests */
    bool has_settings;   /* the peer's came */
    bool room_due;       /* streams were closed, which the owner is told once for all of them */
    bool failed, goaway_due;
    uint32_t goaway_code;
    struct aioduct_error *error; /* of failed; NULL: out of memory */
};

/* The connection is done for; @h2_code is told to the peer. -> @code */
__attribute__((format(printf, 4, 5))) int ad_h2_fail(struct ad_h2 *h2, int code, uint32_t h2_code,
                                                     const char *format, ...);
int ad_h2_fail_memory(struct ad_h2 *h2);
/* Why it has failed. -> the code */
int ad_h2_failure(const struct ad_h2 *h2, struct aioduct_error *error);
/* nghttp2 failed with @code and cannot go on. */
int ad_h2_fail_library(struct ad_h2 *h2, int code);
/* The owner has no more to do with @s. */
void ad_h2_detach(struct ad_h2 *h2, struct ad_h2_stream *s);
/* End @s with an event; @code 0 with @error NULL for what the peer's code says. */
void ad_h2_end(struct ad_h2 *h2, struct ad_h2_stream *s, uint32_t code, bool refused,
               const struct aioduct_error *error);
/* RST_STREAM for a stream without owner, and a PING behind it. */
void ad_h2_reset(struct ad_h2 *h2, int32_t id, uint32_t code);
/* nghttp2 is done with @id: was that stream reset? */
void ad_h2_reset_sent(struct ad_h2 *h2, int32_t id);
void ad_h2_pace_resets(struct ad_h2 *h2);
/* Whose stream it is; NULL: nobody's. */
struct ad_h2_stream *ad_h2_stream_of(struct ad_h2 *h2, int32_t id);
void ad_h2_tell_consumed(struct ad_h2 *h2);
/* How many the peer takes, as it has said last. */
uint32_t ad_h2_remote_streams(const struct ad_h2 *h2);
#define AD_H2_WRONG_BODY "the body is not as long as Content-Length says, or none was allowed"
enum aioduct_phase ad_h2_phase(const struct ad_h2_stream *s);

void ad_h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks);
void ad_h2_set_send_callbacks(nghttp2_session_callbacks *callbacks);

#endif
