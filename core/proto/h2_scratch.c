/* SPDX-License-Identifier: MIT */
/*
 * nghttp2 makes every frame in a block of 16 KiB that a session has for life, more than all else an
 * idle connection needs. Each call of mem_send begins a frame there and gives it away whole, so
 * between calls nothing is in it but, at first, the preface, which is taken at once (h2.c): the
 * sessions of one loop can share the block. A frame's further blocks, for CONTINUATION, are each
 * session's own.
 *
 * That is how the versions below work, which the suites run with (Debian 12 and 13), and what the
 * library at hand is tried for (h2_proof.c), whatever was made of its version; any other gets a
 * block of its own.
 */
#include "proto/h2_private.h"

#include "base/mem.h"

#include <string.h>

#define VERSION_FIRST 0x013400 /* 1.52.0 */
#define VERSION_LAST 0x0140ff  /* 1.64 */

struct ad_h2_scratch {
    struct ad_h2_mem mem;
    bool wanted; /* a session is being made, and has not asked for its block yet */
    bool tried;  /* a session was made, or tried to be */
    bool shares;
    bool lacked; /* memory, for a session; nghttp2 does not always say so */
    uint8_t block[AD_H2_FRAME_BLOCK_BYTES];
};

struct ad_h2_scratch *ad_h2_scratch_create(void)
{
    return ad_zalloc(sizeof(struct ad_h2_scratch));
}

void ad_h2_scratch_destroy(struct ad_h2_scratch *scratch)
{
    if (scratch != NULL) {
        ad_h2_mem_fini(&scratch->mem);
        ad_free(scratch);
    }
}

uint8_t *ad_h2_scratch_block(struct ad_h2_scratch *scratch)
{
    return scratch->block;
}

bool ad_h2_scratch_lacked(const struct ad_h2_scratch *scratch)
{
    return scratch->lacked;
}

/* ---- nghttp2's memory: through our door, so that it can fail in tests ---- */

static bool is_shared(const struct ad_h2_scratch *scratch, const void *block)
{
    return scratch != NULL && block == scratch->block;
}

static struct ad_h2_mem *mem_of(struct ad_h2_scratch *scratch)
{
    return scratch == NULL ? NULL : &scratch->mem;
}

/* -> @block */
static void *noted(struct ad_h2_scratch *scratch, void *block)
{
    if (block == NULL && scratch != NULL) {
        scratch->lacked = true;
    }
    return block;
}

static void *on_malloc(size_t bytes, void *user)
{
    return noted(user, ad_h2_mem_get(mem_of(user), bytes));
}

static void on_free(void *block, void *user)
{
    if (block != NULL && !is_shared(user, block)) { /* it often frees what is not there */
        ad_h2_mem_put(mem_of(user), block);
    }
}

static void *on_calloc(size_t count, size_t bytes, void *user)
{
    if (bytes != 0 && count > SIZE_MAX / bytes) {
        return NULL;
    }
    void *block = noted(user, ad_h2_mem_get(mem_of(user), count * bytes));
    return block == NULL ? NULL : memset(block, 0, count * bytes);
}

static void *on_realloc(void *block, size_t bytes, void *user)
{
    struct ad_h2_scratch *scratch = user;
    if (block == NULL && bytes == AD_H2_FRAME_BLOCK_BYTES && scratch != NULL && scratch->wanted) {
        scratch->wanted = false; /* this is how it is asked for */
        return scratch->block;
    }
    if (!is_shared(scratch, block)) {
        return noted(scratch, ad_realloc(block, bytes == 0 ? 1 : bytes));
    }
    void *own = noted(scratch, ad_alloc(bytes));
    if (own != NULL) {
        memcpy(own, block, bytes < sizeof scratch->block ? bytes : sizeof scratch->block);
    }
    return own;
}

/* ---- sessions ---- */

static bool is_known(void)
{
    int version = nghttp2_version(0)->version_num;
    return version >= VERSION_FIRST && version <= VERSION_LAST;
}

int ad_h2_scratch_new(struct ad_h2_scratch *scratch, bool share, nghttp2_session **out,
                      const nghttp2_session_callbacks *callbacks, void *user,
                      const nghttp2_option *option)
{
    nghttp2_mem mem = {scratch, on_malloc, on_free, on_calloc, on_realloc};
    if (scratch != NULL) {
        scratch->wanted = share;
    }
    int code = nghttp2_session_client_new3(out, callbacks, user, option, &mem);
    if (scratch != NULL) {
        scratch->wanted = false;
    }
    return code;
}

int ad_h2_scratch_session(struct ad_h2_scratch *scratch, nghttp2_session **out,
                          const nghttp2_session_callbacks *callbacks, void *user,
                          const nghttp2_option *option)
{
    if (scratch != NULL && !scratch->tried) { /* while no session has the block */
        scratch->tried = true;
        scratch->shares = is_known() && ad_h2_may_share(scratch);
    }
    return ad_h2_scratch_new(scratch, scratch != NULL && scratch->shares, out, callbacks, user,
                             option);
}
