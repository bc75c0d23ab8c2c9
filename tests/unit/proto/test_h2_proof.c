/* SPDX-License-Identifier: MIT */
/* Sessions that share the block in which nghttp2 makes frames: is that tried, and can it fail? */
#include "proto/h2_private.h"
#include "tap.h"

static enum ad_h2_proof prove(bool spoil)
{
    struct ad_h2_scratch *scratch = ad_h2_scratch_create();
    assert_non_null(scratch);
    enum ad_h2_proof proof = ad_h2_prove(scratch, spoil);
    ad_h2_scratch_destroy(scratch);
    return proof;
}

static void test_safe(void **state)
{
    (void)state;
    int version = nghttp2_version(0)->version_num;
    if (version < 0x013400 || version > 0x0140ff) {
        tap_skip("nghttp2 %s is not one that shares", nghttp2_version(0)->version_str);
    }
    assert_int_equal(prove(false), AD_H2_SAFE);
}

/* As if a session had used the block before the bytes of another were taken out of it. */
static void test_spoiled(void **state)
{
    (void)state;
    assert_int_equal(prove(true), AD_H2_UNSAFE);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"sessions of this nghttp2 may share their block", test_safe, NULL, NULL, NULL},
        {"sessions that spoil each other's frames are found", test_spoiled, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
