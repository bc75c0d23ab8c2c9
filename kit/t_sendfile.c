/* SPDX-License-Identifier: MIT */
/* Pieces of files, sent without being read. The file of a case is the pattern from its start on. */
#include "case.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define PIECE (4 * MIB)

static void write_at(int fd, uint64_t seed, size_t bytes, int64_t offset)
{
    static uint8_t block[65536];
    for (size_t at = 0; at < bytes; at += sizeof block) {
        size_t count = bytes - at < sizeof block ? bytes - at : sizeof block;
        ct_pattern_fill(block, count, seed, at);
        assert_int_equal(pwrite(fd, block, count, (off_t)(offset + (int64_t)at)), count);
    }
}

static int make_file(struct ct_case *c, uint64_t seed, size_t bytes)
{
    int fd = ct_keep_fd(c, memfd_create("piece", MFD_CLOEXEC));
    write_at(fd, seed, bytes, 0);
    return fd;
}

/* All of it, however many pieces that takes. */
static void send_all(struct ct_case *c, struct ct_stream *stream, int fd, int64_t offset,
                     size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        assert_int_equal(ct_send_file(stream, fd, offset + (int64_t)at, bytes - at),
                         AIODUCT_PENDING);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        assert_int_equal(stream->send.code, 0);
        assert_in_range(stream->send.bytes, 1, bytes - at);
        at += stream->send.bytes;
    }
}

/* Pieces until one waits for a peer that does not read. -> where that one begins */
static int64_t send_until_one_waits(struct ct_case *c, struct ct_stream *stream, int fd)
{
    int64_t at = 0;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(ct_send_file(stream, fd, at, PIECE), AIODUCT_PENDING);
        ct_run_for(&c->rig, 20);
        if (stream->send.in_flight) {
            return at;
        }
        assert_int_equal(stream->send.code, 0);
        at += (int64_t)stream->send.bytes;
    }
    ct_fail("a peer that does not read takes %lld bytes", (long long)at);
}

static void expect_peer(struct ct_case *c, struct ct_stream *stream, struct ct_peer *peer,
                        uint64_t bytes)
{
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, bytes);
    assert_int_equal(peer->code, 0);
    ct_drop_fd(c, peer->fd);
}

static void a_file_arrives_piece_by_piece(struct ct_case *c)
{
    const size_t sizes[] = {1, 100, 65536, MIB + 1, 24 * MIB};
    int fd = make_file(c, 60, 24 * MIB);
    assert_int_equal(lseek(fd, 17, SEEK_SET), 17);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int end;
        struct ct_stream *stream = ct_dial(c, &end);
        struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 60, 0);
        send_all(c, stream, fd, 0, sizes[i]);
        expect_peer(c, stream, peer, sizes[i]);
    }
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 17);
}

static void a_piece_far_inside_a_sparse_file_arrives(struct ct_case *c)
{
    int end, fd = ct_keep_fd(c, memfd_create("sparse", MFD_CLOEXEC));
    const int64_t far = ((int64_t)5 << 30) + 123;
    write_at(fd, 61, 2 * MIB, far);
    struct ct_stream *stream = ct_dial(c, &end);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 61, 0);
    send_all(c, stream, fd, far, 2 * MIB);
    expect_peer(c, stream, peer, 2 * MIB);
}

static void pieces_and_sends_stay_in_order(struct ct_case *c)
{
    static uint8_t bytes[100000];
    int end, fd = make_file(c, 62, 8 * MIB);
    struct ct_stream *stream = ct_dial(c, &end);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 62, 0);
    uint64_t random = ct_seed(62);
    size_t at = 0;
    while (at < 7 * MIB) {
        size_t count = 1 + ct_random(&random) % sizeof bytes;
        if (ct_random(&random) % 2) {
            send_all(c, stream, fd, (int64_t)at, count);
        } else {
            ct_pattern_fill(bytes, count, 62, at);
            assert_true(ct_send_bytes(stream, bytes, count) >= 0);
            CT_UNTIL(&c->rig, ct_is_send_done, stream);
        }
        at += count;
    }
    expect_peer(c, stream, peer, at);
}

static void a_piece_of_a_file_has_the_place_of_a_send(struct ct_case *c)
{
    int end, fd = make_file(c, 63, 40 * MIB);
    uint64_t sent = 0;
    struct ct_stream *fresh = ct_stream_new(&c->rig);
    assert_int_equal(ct_send_file(fresh, fd, 0, 1), -ENOTCONN);
    struct ct_stream *stream = ct_dial(c, &end);
    send_until_one_waits(c, stream, fd);
    assert_int_equal(ct_send_bytes(stream, "zzzz", 4), -EBUSY);
    assert_int_equal(ct_send_file(stream, fd, 0, 4), -EBUSY);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 63, 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    expect_peer(c, stream, peer, stream->taken);

    stream = ct_dial(c, &end);
    ct_send_until_pending(stream, 64, &sent);
    assert_int_equal(ct_send_file(stream, fd, 0, 4), -EBUSY);
    peer = ct_start(c, ct_peer_sink, end, 64, 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_true(ct_shutdown(stream) >= 0);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    assert_int_equal(ct_send_file(stream, fd, 0, 4), -EPIPE);
    expect_peer(c, stream, peer, sent);
}

static void expect_no_piece(struct ct_stream *stream, const void *slice, size_t bytes)
{
    (void)slice;
    (void)bytes;
    CT_EXPECT(stream->rig, !stream->send.in_flight);
}

/* The core takes an answer to a body that is not over for an early one. Between turns the peer has
 * the bytes, and answers. */
static void what_the_peer_says_to_a_piece_comes_after_it(struct ct_case *c)
{
    enum { ROUNDS = 20, BYTES = 20000 };
    int end, fd = make_file(c, 72, ROUNDS * BYTES);
    struct ct_stream *stream = ct_dial(c, &end);
    stream->on_data = expect_no_piece;
    assert_int_equal(ct_recv_start(stream), 0);
    for (int64_t i = 0; i < ROUNDS; i++) {
        static uint8_t got[BYTES];
        assert_int_equal(ct_send_file(stream, fd, i * BYTES, BYTES), AIODUCT_PENDING);
        if (!ct_wait_readable(end, BYTES)) {
            ct_skip("its pieces go inside turns: nothing comes between");
        }
        assert_int_equal(recv(end, got, sizeof got, MSG_WAITALL), sizeof got);
        assert_int_equal(ct_write_pattern(end, 73, 100), 0);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        CT_UNTIL(&c->rig, ct_has_data, stream);
        stream->received = 0;
    }
    ct_close_and_wait(stream);
}

/* ---- files that are not as they should be ---- */

static void where_a_file_has_ended_there_are_no_bytes(struct ct_case *c)
{
    int end, fd = make_file(c, 65, 1000);
    struct ct_stream *stream = ct_dial(c, &end);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 65, 0);
    assert_int_equal(ct_send_file(stream, fd, 0, 5000), AIODUCT_PENDING);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_int_equal(stream->send.code, 0);
    assert_int_equal(stream->send.bytes, 1000);
    const int64_t behind[] = {1000, 1001, (int64_t)1 << 40};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ct_send_file(stream, fd, behind[i], 5000), AIODUCT_PENDING);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        assert_int_equal(stream->send.code, 0);
        assert_int_equal(stream->send.bytes, 0);
    }
    expect_peer(c, stream, peer, 1000);
}

static void refuse(struct ct_case *c, struct ct_stream *stream, int fd)
{
    int code = ct_send_file(stream, fd, 0, 100);
    if (code == AIODUCT_PENDING) {
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        code = stream->send.code;
    }
    assert_int_equal(code, AIODUCT_E_UNSUPPORTED);
}

static void what_cannot_be_sent_as_a_file_is_left_to_the_caller(struct ct_case *c)
{
    static uint8_t bytes[100];
    int end, ends[2];
    char name[64];
    struct ct_stream *stream = ct_dial(c, &end);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 66, 0);
    int good = make_file(c, 66, 100);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    ct_keep_fd(c, ends[0]);
    ct_keep_fd(c, ends[1]);
    assert_int_equal(write(ends[1], bytes, sizeof bytes), sizeof bytes);
    refuse(c, stream, ends[0]);
    refuse(c, stream, ct_keep_fd(c, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    snprintf(name, sizeof name, "/proc/self/fd/%d", good);
    refuse(c, stream, ct_keep_fd(c, open(name, O_WRONLY | O_CLOEXEC)));
    refuse(c, stream, -1);
    assert_int_equal(stream->taken, 0);
    ct_pattern_fill(bytes, sizeof bytes, 66, 0); /* and the stream is as good as it was */
    assert_true(ct_send_bytes(stream, bytes, 50) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    send_all(c, stream, good, 50, 50);
    expect_peer(c, stream, peer, 100);
}

/* ---- cancel and close ---- */

/* As a program does whose request is over: the number is another file's at once. */
static void put_another_in_its_place(struct ct_case *c, int fd)
{
    int other = make_file(c, 68, 16 * MIB);
    assert_int_equal(dup3(other, fd, O_CLOEXEC), fd);
}

static void a_cancelled_piece_leaves_its_descriptor_alone(struct ct_case *c)
{
    int end, code, fd = make_file(c, 67, 40 * MIB);
    struct ct_stream *stream = ct_dial(c, &end);
    send_until_one_waits(c, stream, fd);
    ct_cancel(stream, AIODUCT_OP_SEND);
    put_another_in_its_place(c, fd);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_true(stream->send.code == -ECANCELED || stream->send.code == 0);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 67, 0);
    ct_run_for(&c->rig, 30); /* there is room now */
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    code = peer->code;
    ct_blame("ST-29");
    assert_int_equal(peer->bytes, stream->taken);
    assert_int_equal(code, 0);
}

static void a_closed_stream_leaves_its_descriptor_alone(struct ct_case *c)
{
    int end, code, fd = make_file(c, 67, 40 * MIB);
    struct ct_stream *stream = ct_dial(c, &end);
    send_until_one_waits(c, stream, fd);
    ct_stream_close(stream);
    put_another_in_its_place(c, fd);
    CT_UNTIL(&c->rig, ct_is_closed, stream);
    assert_int_equal(ct_drain(end, 67, &code), stream->taken);
    assert_int_equal(code, 0);
}

static void a_piece_or_a_send_may_follow_a_cancelled_piece(struct ct_case *c)
{
    static uint8_t more[100000];
    int end, fd = make_file(c, 69, 40 * MIB);
    struct ct_stream *stream = ct_dial(c, &end);
    send_until_one_waits(c, stream, fd);
    ct_cancel(stream, AIODUCT_OP_SEND);
    ct_cancel(stream, AIODUCT_OP_SEND);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 69, 0);
    ct_pattern_fill(more, sizeof more, 69, stream->taken);
    assert_true(ct_send_bytes(stream, more, sizeof more) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    send_all(c, stream, fd, (int64_t)stream->taken, 3 * MIB);
    expect_peer(c, stream, peer, stream->taken);
}

/* The peer would take the part for the whole. */
static void no_end_follows_a_piece_that_was_cut_short(struct ct_case *c)
{
    int end, fd = make_file(c, 70, 40 * MIB);
    struct ct_stream *stream = ct_dial(c, &end);
    send_until_one_waits(c, stream, fd);
    assert_int_equal(ct_shutdown(stream), AIODUCT_PENDING);
    ct_cancel(stream, AIODUCT_OP_SEND);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    assert_int_equal(stream->shutdown.code, -ECANCELED);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, end, 70, 0);
    send_all(c, stream, fd, (int64_t)stream->taken, MIB);
    assert_true(ct_shutdown(stream) >= 0);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    expect_peer(c, stream, peer, stream->taken);
}

/* ---- a peer that goes away, and one that waits ---- */

static void a_piece_for_a_peer_that_is_gone_is_an_error_without_a_signal(struct ct_case *c)
{
    struct sigaction before;
    sigset_t waiting;
    int peer, fd = make_file(c, 71, 40 * MIB);
    sigaction(SIGPIPE, NULL, &before);
    assert_true(before.sa_handler == SIG_DFL); /* so that the signal would end us */
    for (int waits = 0; waits < 2; waits++) {
        struct ct_stream *stream = ct_dial(c, &peer);
        if (waits) {
            send_until_one_waits(c, stream, fd);
        }
        ct_drop_fd_by_reset(c, peer);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        for (int i = 0; i < 5; i++) {
            int code = ct_send_file(stream, fd, 0, 100);
            if (code == AIODUCT_PENDING) {
                CT_UNTIL(&c->rig, ct_is_send_done, stream);
                code = stream->send.code;
            }
            assert_true(code == -ECONNRESET || code == -EPIPE);
        }
    }
    assert_int_equal(sigpending(&waiting), 0);
    assert_int_equal(sigismember(&waiting, SIGPIPE), 0);
}

static const struct ct_test cases[] = {
    CT_CASE(a_file_arrives_piece_by_piece, "ST-28", "ST-25"),
    CT_CASE(a_piece_far_inside_a_sparse_file_arrives, "ST-28"),
    CT_CASE(pieces_and_sends_stay_in_order, "ST-27"),
    CT_CASE(a_piece_of_a_file_has_the_place_of_a_send, "ST-27", "ST-1"),
    CT_CASE(what_the_peer_says_to_a_piece_comes_after_it, "ST-28"),
    CT_CASE(where_a_file_has_ended_there_are_no_bytes, "ST-28"),
    CT_CASE(what_cannot_be_sent_as_a_file_is_left_to_the_caller, "ST-28"),
    CT_CASE(a_cancelled_piece_leaves_its_descriptor_alone, "ST-29", "ST-15"),
    CT_CASE(a_closed_stream_leaves_its_descriptor_alone, "ST-29"),
    CT_CASE(a_piece_or_a_send_may_follow_a_cancelled_piece, "ST-15"),
    CT_CASE(no_end_follows_a_piece_that_was_cut_short, "ST-13"),
    CT_CASE(a_piece_for_a_peer_that_is_gone_is_an_error_without_a_signal, "ST-12"),
};

CT_GROUP(sendfile, CT_BY_POLL)
