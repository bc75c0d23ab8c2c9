/* SPDX-License-Identifier: MIT */
/* Bundles: one completion for bytes in several buffers, in the order in which the kernel was given
 * them; and how many buffers it has. The kernel is played by the test. */
#include "uring_rig.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES = 1024 };

static struct rig rig;
static struct ad_uring_buffers *buffers;
static struct aioduct_stream s;
static struct ad_uring_stream state;

static int setup(void **unused)
{
    static const struct rig_option options[] = {
        {"buffers", "8"}, {"buffer_bytes", "1024"}, {NULL, NULL}};
    (void)unused;
    int code = rig_open(&rig, options);
    buffers = &rig.u->buffers;
    memset(&s, 0, sizeof s);
    memset(&state, 0, sizeof state);
    s.rig = &rig;
    s.state = &state;
    state.u = rig.u;
    state.core = &s;
    return code;
}

static int teardown(void **unused)
{
    (void)unused;
    free(s.data);
    rig_close(&rig);
    return 0;
}

/* What the kernel would do with @order: fill those buffers one after the other. */
static void fill(const uint16_t *order, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        buffers->memory[(size_t)order[i / BYTES] * BYTES + i % BYTES] = (uint8_t)(i * 7 + i / 256);
    }
}

static void check(size_t bytes)
{
    assert_int_equal(s.bytes, bytes);
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(s.data[i], (uint8_t)(i * 7 + i / 256));
    }
    s.bytes = 0;
}

static void test_neighbours(void **unused)
{
    static const uint16_t order[] = {0, 1, 2};
    (void)unused;
    if (buffers->ring == NULL) {
        tap_skip("no buffer rings here");
    }
    fill(order, 2 * BYTES + 10);
    ad_uring_buffers_deliver(rig.u, &state, 0, 2 * BYTES + 10);
    check(2 * BYTES + 10);
    assert_int_equal(s.slices, 1);
}

static void test_wrap(void **unused)
{
    static const uint16_t order[] = {6, 7, 0, 1};
    (void)unused;
    if (buffers->ring == NULL) {
        tap_skip("no buffer rings here");
    }
    for (uint16_t id = 0; id < 6; id++) { /* used one by one, so that 0 comes after 7 */
        ad_uring_buffers_deliver(rig.u, &state, id, 1);
    }
    s.bytes = s.slices = 0;
    fill(order, 4 * BYTES);
    ad_uring_buffers_deliver(rig.u, &state, 6, 4 * BYTES);
    check(4 * BYTES);
    assert_int_equal(s.slices, 2);
}

static void test_order_of_return(void **unused)
{
    static const uint16_t order[] = {7, 2, 0, 1};
    (void)unused;
    if (buffers->ring == NULL) {
        tap_skip("no buffer rings here");
    }
    ad_uring_buffer_return(buffers, 2); /* completed out of order, so given back out of order */
    ad_uring_buffer_return(buffers, 0);
    ad_uring_buffer_return(buffers, 1);
    fill(order, 3 * BYTES + 1);
    ad_uring_buffers_deliver(rig.u, &state, 7, 3 * BYTES + 1);
    check(3 * BYTES + 1);
    assert_int_equal(s.slices, 3);
}

static void on_data_close(struct aioduct_stream *stream)
{
    stream->state->closing = true;
}

static void test_close_in_the_middle(void **unused)
{
    (void)unused;
    if (buffers->ring == NULL) {
        tap_skip("no buffer rings here");
    }
    uint16_t tail = buffers->ring->tail;
    ad_uring_buffer_return(buffers, 4); /* so that 4 does not follow 3 in the next bundle */
    s.on_data = on_data_close;
    ad_uring_buffers_deliver(rig.u, &state, 7, 2 * BYTES);
    assert_int_equal(s.slices, 1);
    assert_int_equal(buffers->ring->tail, (uint16_t)(tail + 3)); /* both are back all the same */
}

/* Use and give back all that the kernel has, in its order, @rounds times. */
static void go_round(unsigned rounds)
{
    while (rounds-- > 0) {
        for (unsigned id = 0, count = buffers->active; id < count; id++) {
            ad_uring_buffer_return(buffers, (uint16_t)id);
        }
    }
}

static int setup_many(void **unused)
{
    static const struct rig_option options[] = {
        {"buffers", "64"}, {"buffer_bytes", "1024"}, {NULL, NULL}};
    (void)unused;
    int code = rig_open(&rig, options);
    buffers = &rig.u->buffers;
    memset(&s, 0, sizeof s);
    return code;
}

static void test_as_many_as_needed(void **unused)
{
    (void)unused;
    if (buffers->ring == NULL) {
        tap_skip("no buffer rings here");
    }
    unsigned least = buffers->active;
    assert_in_range(least, 1, 63);
    assert_int_equal(buffers->ring->tail, least);
    ad_uring_buffers_grow(buffers);
    ad_uring_buffers_grow(buffers);
    assert_int_equal(buffers->active, least + 2);
    assert_int_equal(buffers->ring->tail, least + 2);
    for (unsigned i = 0; i < 100; i++) {
        ad_uring_buffers_grow(buffers);
    }
    assert_int_equal(buffers->active, 64); /* the option's limit */
    assert_int_equal(buffers->ring->tail, 64);
}

static void test_fewer_when_calm(void **unused)
{
    (void)unused;
    if (buffers->ring == NULL) {
        tap_skip("no buffer rings here");
    }
    unsigned least = buffers->active;
    ad_uring_buffers_grow(buffers);
    ad_uring_buffers_grow(buffers);
    go_round(255);
    ad_uring_buffers_grow(buffers); /* one was missed: the rounds count anew */
    assert_int_equal(buffers->active, least + 3);
    uint16_t tail = buffers->ring->tail;
    go_round(256);
    assert_int_equal(buffers->active, least + 2);
    assert_int_equal((uint16_t)(buffers->ring->tail - tail), 256 * (least + 3) - 1);
    go_round(10000);
    assert_int_equal(buffers->active, least);
}

#define BUNDLE (1u << 4) /* IORING_RECVSEND_BUNDLE */
#define LIMIT 262144u

static struct io_uring_sqe prepared(void)
{
    struct io_uring_sqe sqe;
    memset(&sqe, 0, sizeof sqe);
    ad_uring_recv_prepare(&state, &sqe);
    return sqe;
}

static void received(int bytes)
{
    state.pending = state.on_ring = AIODUCT_OP_RECV;
    ad_uring_recv_complete(&state, bytes, IORING_CQE_F_BUFFER | IORING_CQE_F_MORE);
}

static void test_bundles_for_large_bodies(void **unused)
{
    (void)unused;
    rig.u->options.without = 0; /* as on a kernel that has all */
    struct io_uring_sqe first = prepared();
    assert_false(first.ioprio & BUNDLE);
    assert_in_range(first.file_index, 2 * BYTES, LIMIT / 2);
    received(BYTES - 1);
    received(BYTES - 1);
    assert_false(prepared().ioprio & BUNDLE);
    received(BYTES);
    received(1);
    struct io_uring_sqe bundled = prepared();
    assert_true(bundled.ioprio & BUNDLE);
    assert_int_equal(bundled.file_index, LIMIT);
    received(3 * BYTES);
    assert_true(prepared().ioprio & BUNDLE);
    received(BYTES - 1);
    assert_false(prepared().ioprio & BUNDLE);
    received(BYTES);
    rig.u->options.without = AD_URING_NO_BUNDLES;
    struct io_uring_sqe without = prepared();
    assert_false(without.ioprio & BUNDLE);
    assert_int_equal(without.file_index, LIMIT);
}

#define CASE(name, function)                  \
    {                                         \
        name, function, setup, teardown, NULL \
    }

static const struct CMUnitTest cases[] = {
    CASE("neighbours in memory make one slice", test_neighbours),
    CASE("a bundle runs over the end of the memory", test_wrap),
    CASE("a bundle follows the order in which buffers came back", test_order_of_return),
    CASE("a stream closed in the middle gets no more, and the buffers come back",
         test_close_in_the_middle),
    CASE("bundles are for a receive behind one that filled a buffer",
         test_bundles_for_large_bodies),
    {"the kernel gets few buffers, and one more for each receive that finds too few",
     test_as_many_as_needed, setup_many, teardown, NULL},
    {"a buffer is kept back after a long calm", test_fewer_when_calm, setup_many, teardown, NULL},
};

int main(void)
{
    return TAP_RUN(cases, rig_require_uring, NULL);
}
