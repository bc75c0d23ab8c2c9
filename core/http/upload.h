/* SPDX-License-Identifier: MIT */
/**
 * The request body's way out: from memory, a file or a callback. ad_upload_read gives bytes as they
 * are, for protocols that frame them themselves; ad_upload_produce writes them as HTTP/1.1 has
 * them, with a length or in chunks.
 */
#ifndef AD_HTTP_UPLOAD_H
#define AD_HTTP_UPLOAD_H

#include "base/buf.h"

#include <stdbool.h>

struct aioduct_exchange;

struct ad_upload {
    uint64_t sent;   /* body bytes written into the connection's output */
    bool touched;    /* the source was read: a resend needs rewind */
    bool by_reading; /* the file could not be sent without */
    bool ready;      /* body_ready was called since the source was last asked */
};

enum ad_upload_step {
    AD_UPLOAD_MORE, /* the room is used up */
    AD_UPLOAD_END,  /* all written, the last chunk too */
    AD_UPLOAD_WAIT, /* the source has nothing now */
    AD_UPLOAD_ENDED /* the exchange failed, or ended inside the callback: write nothing more */
};

/* Put at most @capacity (> 0) bytes into @to. > 0: so many; else a step but MORE, negated. */
int64_t ad_upload_read(struct aioduct_exchange *ex, uint8_t *to, size_t capacity);
static inline enum ad_upload_step ad_upload_step_of(int64_t got)
{
    return (enum ad_upload_step)(int)-got;
}
/* Append at most about @room bytes to @out, framed for HTTP/1.1. */
enum ad_upload_step ad_upload_produce(struct aioduct_exchange *ex, struct ad_buf *out, size_t room);
/* How many bytes of the body may go as a piece of its file now, from where it is; 0: it has to be
 * read, or is better. */
size_t ad_upload_file_room(struct aioduct_exchange *ex);
/* A piece has ended with @code, and @count bytes of it went. -> MORE, END, or ENDED */
enum ad_upload_step ad_upload_file_took(struct aioduct_exchange *ex, int code, size_t count);
/* Body bytes that are still to be written; -1 if that is not known. */
int64_t ad_upload_left(const struct aioduct_exchange *ex);
/* Could the body be sent from its start again? */
bool ad_upload_replayable(const struct aioduct_exchange *ex);
/* Back to the first byte. 0, or the source's refusal. */
int ad_upload_rewind(struct aioduct_exchange *ex);
/* The exchange is done with its source, which is told once. */
void ad_upload_finish(struct aioduct_exchange *ex);

#endif
