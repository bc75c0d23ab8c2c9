/* SPDX-License-Identifier: MIT */
/**
 * Parts of the HTTP/1.1 codec. Each knows one thing and holds no memory of its own:
 *
 *   h1_lines.c    where a block of lines (head, trailers) ends, and that its lines end in CRLF
 *   h1_fields.c   a whole block -> fields (llhttp)
 *   h1_framing.c  a head -> which body follows, may the connection be used again
 *   h1_chunk.c    chunk lines and the data between them
 *   h1.c          the states that tie them together
 *
 * llhttp is asked for fields only. Line ends, lengths, codings and chunks are decided here, since
 * its versions and build modes differ in them.
 */
#ifndef AD_PROTO_H1_PRIVATE_H
#define AD_PROTO_H1_PRIVATE_H

#include "base/slice.h"
#include "proto/h1.h"

/* ---- lines ---- */

struct ad_h1_lines {
    uint64_t bytes;      /* of the block so far */
    uint32_t lines;      /* complete ones, without the empty one that ends the block */
    uint32_t line_bytes; /* of the line under way, up to UINT32_MAX */
    bool cr;             /* the last byte was CR */
};

enum ad_h1_lines_result {
    AD_H1_LINES_MORE, /* all bytes are taken, the block goes on */
    AD_H1_LINES_END,  /* *out_used bytes end the block */
    AD_H1_LINES_TOO_LONG,
    AD_H1_LINES_TOO_MANY,
    AD_H1_LINES_BARE_CR,
    AD_H1_LINES_BARE_LF,
    AD_H1_LINES_FOLDED
};

enum ad_h1_lines_result ad_h1_lines_scan(struct ad_h1_lines *lines, const uint8_t *bytes,
                                         size_t count, uint64_t bytes_max, uint32_t lines_max,
                                         size_t *out_used);

/* ---- fields ---- */

struct ad_h1_fields {
    struct aioduct_header *headers; /* room for as many as the block has lines */
    uint32_t room, count;
    struct ad_slice reason;
    bool complete; /* llhttp saw the empty line */
};

/* A head (status line first) or trailers, whole and with the empty line -> 0, or
 * AIODUCT_E_PROTOCOL. */
int ad_h1_fields_parse(struct ad_h1_fields *out, struct ad_slice block, bool trailers,
                       struct aioduct_error *error);
#define AD_H1_STATUS_BYTES 12 /* of "HTTP/1.1 200" */
/* The usual case, in one pass: the head that these bytes begin with, if it is whole and beyond
 * doubt: each line begins where the one before has ended, and ends with CRLF -> its bytes; or 0,
 * and it must be looked at line by line, which finds what is wrong, if anything is. */
size_t ad_h1_fields_find(struct ad_h1_fields *out, struct ad_slice bytes);

/* ---- framing ---- */

enum ad_h1_body { AD_H1_BODY_NONE, AD_H1_BODY_LENGTH, AD_H1_BODY_CHUNKED, AD_H1_BODY_TO_CLOSE };

struct ad_h1_framing {
    enum ad_h1_body body;
    int64_t length; /* of AD_H1_BODY_LENGTH */
    bool reusable;
};

/* @flags: AD_H1_HEAD, AD_H1_CONNECT. 0 | AIODUCT_E_PROTOCOL */
int ad_h1_framing_of(const struct aioduct_head *head, unsigned flags, struct ad_h1_framing *out,
                     struct aioduct_error *error);

/* ---- chunks ---- */

enum ad_h1_chunk_state {
    AD_H1_CHUNK_SIZE, /* hexadecimal digits */
    AD_H1_CHUNK_EXTENSION,
    AD_H1_CHUNK_SIZE_LF,
    AD_H1_CHUNK_DATA,
    AD_H1_CHUNK_DATA_CR,
    AD_H1_CHUNK_DATA_LF,
    AD_H1_CHUNK_LAST /* the line of the last chunk is over: trailers follow */
};

struct ad_h1_chunk {
    uint64_t left; /* size while it is read, then data bytes still to come */
    uint32_t extension_bytes;
    uint8_t digits;
    uint8_t state; /* enum ad_h1_chunk_state */
};

/* Take bytes up to a piece of data (*out_data, as large as possible) or the last chunk -> count
 * taken, or AIODUCT_E_PROTOCOL, AIODUCT_E_LIMIT. */
int64_t ad_h1_chunk_feed(struct ad_h1_chunk *chunk, const uint8_t *bytes, size_t count,
                         uint32_t extension_bytes_max, struct ad_slice *out_data,
                         struct aioduct_error *error);

#endif
