/* SPDX-License-Identifier: MIT */
/* How many buffers the kernel has, and when a flow is received in bulk. The kernel is played by the
 * test. */
#include "uring_rig.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static struct io_uring_sqe prepared(void)
{
    struct io_uring_sqe sqe;
    memset(&sqe, 0, sizeof sqe);
    ad_uring_recv_prepare(&state, &sqe);
    return sqe;
}

/* @bytes come by a receive of the ring, which goes on. */
static void received(int bytes)
{
    state.pending = state.on_ring = AIODUCT_OP_RECV;
    ad_uring_recv_complete(&state, bytes, IORING_CQE_F_BUFFER | IORING_CQE_F_MORE);
}

/* @bytes wait in the socket, and the ring has seen them. */
static void readable(int from, size_t bytes)
{
    static const char many[AD_URING_BULK_BYTES];
    assert_true(bytes <= sizeof many);
    assert_int_equal(send(from, many, bytes, 0), bytes);
    s.bytes = s.slices = 0;
    state.pending = state.on_ring = AIODUCT_OP_RECV;
    ad_uring_recv_complete(&state, POLLIN, 0);
    assert_int_equal(s.bytes, bytes);
    assert_int_equal(s.slices, bytes > 0);
    assert_int_equal(state.todo, AIODUCT_OP_RECV); /* and goes on */
    ad_uring_list_remove(&state.wishes);
    state.todo = 0;
}

static void test_bulk(void **unused)
{
    int ends[2];
    (void)unused;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    state.fd = ends[1];
    assert_int_equal(prepared().opcode, IORING_OP_RECV);
    received(BYTES - 1);
    received(BYTES - 1);
    assert_int_equal(prepared().opcode, IORING_OP_RECV);
    received(BYTES);
    received(1);
    assert_int_equal(prepared().opcode, IORING_OP_POLL_ADD);
    readable(ends[0], 3 * BYTES);
    assert_int_equal(prepared().opcode, IORING_OP_POLL_ADD);
    readable(ends[0], BYTES);
    assert_int_equal(prepared().opcode, IORING_OP_POLL_ADD);
    readable(ends[0], BYTES - 1);
    struct io_uring_sqe small = prepared();
    assert_int_equal(small.opcode, IORING_OP_RECV);
    assert_true(small.ioprio & IORING_RECVSEND_POLL_FIRST); /* nothing is left */
    received(BYTES);
    assert_int_equal(prepared().opcode, IORING_OP_POLL_ADD);
    readable(ends[0], 0); /* the ring was mistaken */
    assert_int_equal(prepared().opcode, IORING_OP_RECV);
    close(ends[0]);
    close(ends[1]);
}

#define CASE(name, function)                  \
    {                                         \
        name, function, setup, teardown, NULL \
    }

static const struct CMUnitTest cases[] = {
    CASE("a flow that fills buffers is received in bulk, until less comes", test_bulk),
    {"the kernel gets few buffers, and one more for each receive that finds too few",
     test_as_many_as_needed, setup_many, teardown, NULL},
    {"a buffer is kept back after a long calm", test_fewer_when_calm, setup_many, teardown, NULL},
};

int main(void)
{
    return TAP_RUN(cases, rig_require_uring, NULL);
}
