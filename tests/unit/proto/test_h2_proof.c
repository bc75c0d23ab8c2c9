/* SPDX-License-Identifier: MIT */
/* Sessions that share the block in which nghttp2 makes frames: is that tried, and can it fail? */
#include "proto/h2_private.h"

#include "base/mem.h"
#include "tap.h"

#include <pthread.h>

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

/* What is remembered of a library must not come from a moment without memory. */
static void test_no_memory(void **state)
{
    uint64_t before = ad_mem_count();
    (void)state;
    enum ad_h2_proof usual = prove(false);
    uint64_t count = ad_mem_count() - before;
    for (uint64_t nth = 1; nth < count; nth++) { /* the scratch itself is one more */
        struct ad_h2_scratch *scratch = ad_h2_scratch_create();
        assert_non_null(scratch);
        ad_mem_fail_nth(nth);
        enum ad_h2_proof proof = ad_h2_prove(scratch, false);
        ad_mem_fail_nth(0);
        ad_h2_scratch_destroy(scratch);
        assert_true(proof == AD_H2_UNPROVED || proof == usual);
    }
}

static void *prove_alone(void *out)
{
    *(enum ad_h2_proof *)out = prove(false);
    return NULL;
}

/* Loops on several threads may open their first connections at once. */
static void test_threads(void **state)
{
    enum { THREADS = 4 };
    enum ad_h2_proof usual = prove(false), proofs[THREADS];
    pthread_t threads[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, prove_alone, &proofs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(proofs[i], usual);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"sessions of this nghttp2 may share their block", test_safe, NULL, NULL, NULL},
        {"sessions that spoil each other's frames are found", test_spoiled, NULL, NULL, NULL},
        {"a try without memory says nothing", test_no_memory, NULL, NULL, NULL},
        {"threads may try at once", test_threads, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
