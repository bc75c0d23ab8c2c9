/* SPDX-License-Identifier: MIT */
/** The request body's way out: from memory or from a callback, with a length or in chunks. */
#ifndef AD_HTTP_UPLOAD_H
#define AD_HTTP_UPLOAD_H

#include "base/buf.h"

#include <stdbool.h>

struct aioduct_exchange;

struct ad_upload {
    uint64_t sent; /* body bytes written into the connection's output */
    bool touched;  /* the source was read: a resend needs rewind */
    bool ready;    /* body_ready was called since the source was last asked */
};

enum ad_upload_step {
    AD_UPLOAD_MORE, /* the room is used up */
    AD_UPLOAD_END,  /* all written, the last chunk too */
    AD_UPLOAD_WAIT, /* the source has nothing now */
    AD_UPLOAD_ENDED /* the exchange failed, or ended inside the callback: write nothing more */
};

/* Append at most about @room bytes to @out. */
enum ad_upload_step ad_upload_produce(struct aioduct_exchange *ex, struct ad_buf *out, size_t room);
/* Could the body be sent from its start again? */
bool ad_upload_replayable(const struct aioduct_exchange *ex);
/* Back to the first byte. 0, or the source's refusal. */
int ad_upload_rewind(struct aioduct_exchange *ex);

#endif
