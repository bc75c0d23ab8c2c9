/* SPDX-License-Identifier: MIT */
#include "http/push.h"

#include "tap.h"

#include <aioduct/request.h>
#include <errno.h>
#include <string.h>

static uint8_t bytes[AD_PUSH_BYTES + 1000];

static int64_t take(struct ad_push *push, size_t count, bool *out_writable)
{
    static uint8_t to[AD_PUSH_BYTES];
    return ad_push_read(push, to, count, out_writable);
}

static void test_room(void **state)
{
    (void)state;
    bool writable = true;
    struct ad_push *push = ad_push_create();
    assert_int_equal(ad_push_write(push, bytes, 10), 10);
    assert_int_equal(take(push, 100, &writable), 10);
    assert_false(writable); /* nobody waits */
    assert_int_equal(take(push, 100, &writable), AIODUCT_BODY_WAIT);
    assert_int_equal(ad_push_write(push, bytes, sizeof bytes), AD_PUSH_BYTES);
    assert_int_equal(ad_push_write(push, bytes, 1), 0);
    assert_int_equal(take(push, 100, &writable), 100);
    assert_false(writable); /* there is little */
    assert_int_equal(take(push, AD_PUSH_BYTES / 2, &writable), AD_PUSH_BYTES / 2);
    assert_true(writable);
    assert_int_equal(take(push, 1, &writable), 1);
    assert_false(writable); /* it was said */
    assert_int_equal(ad_push_end(push), 0);
    assert_int_equal(ad_push_end(push), -EINVAL);
    assert_int_equal(ad_push_write(push, bytes, 1), -EINVAL);
    ad_push_destroy(push);
}

/* One writer was cut short, and another, or the same one with little, was not. */
static void test_cut_short_and_whole(void **state)
{
    (void)state;
    bool writable = true;
    struct ad_push *push = ad_push_create();
    assert_int_equal(ad_push_write(push, bytes, sizeof bytes), AD_PUSH_BYTES);
    assert_int_equal(take(push, 1000, &writable), 1000);
    assert_false(writable);
    assert_int_equal(ad_push_write(push, bytes, 10), 10);
    assert_int_equal(take(push, AD_PUSH_BYTES, &writable), AD_PUSH_BYTES - 990);
    assert_true(writable);
    ad_push_destroy(push);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a write that was cut short is told of room, once", test_room, NULL, NULL, NULL},
        {"a write that was not does not take that away", test_cut_short_and_whole, NULL, NULL,
         NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
