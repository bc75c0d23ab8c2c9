/* SPDX-License-Identifier: MIT */
/* Sending, and the end of our side. That a completion counts what was asked for is checked at each,
 * and the iovec array is spoilt as soon as the call is over. */
#include "case.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* Up to 32 MiB of one pattern, made once. */
static uint8_t *pattern_of(uint64_t seed, size_t bytes)
{
    static uint8_t *store;
    if (store == NULL) {
        store = malloc(32 * MIB);
        assert_non_null(store);
    }
    ct_pattern_fill(store, bytes, seed, 0);
    return store;
}

/* Cut at random, with empty pieces in between. -> pieces */
static unsigned cut(struct iovec *pieces, unsigned max, uint8_t *bytes, size_t count,
                    uint64_t *seed)
{
    unsigned used = 0;
    size_t at = 0;
    while (at < count && used < max - 1) {
        uint64_t random = ct_random(seed);
        size_t piece = random % 8 == 0 ? 0 : random % (2 * count / max + 2);
        piece = piece < count - at ? piece : count - at;
        pieces[used++] = (struct iovec){bytes + at, piece};
        at += piece;
    }
    pieces[used++] = (struct iovec){bytes + at, count - at};
    return used;
}

static void send_exactly(struct ct_case *c, size_t bytes, unsigned pieces_max)
{
    static struct iovec pieces[6000];
    uint64_t seed = bytes * 2 + 1, random = ct_seed(bytes);
    int fd;
    struct ct_stream *stream = ct_dial(c, &fd);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, seed, 0);
    unsigned count = cut(pieces, pieces_max, pattern_of(seed, bytes), bytes, &random);
    int code = ct_send(stream, pieces, count);
    assert_true(code == AIODUCT_DONE || code == AIODUCT_PENDING);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_int_equal(stream->taken, bytes);
    assert_int_equal(stream->send.completed, code == AIODUCT_PENDING);
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, bytes);
    assert_int_equal(peer->code, 0);
    ct_drop_fd(c, fd);
}

static void every_byte_of_every_piece_arrives(struct ct_case *c)
{
    const struct {
        size_t bytes;
        unsigned pieces;
    } sends[] = {
        {1, 1},          {2, 2},          {1000, 1},    {1000, 40},      {16384, 1},
        {65536, 7},      {65537, 200},    {MIB, 1},     {MIB + 1, 1023}, {3 * MIB, 1024},
        {3 * MIB, 1025}, {4 * MIB, 5000}, {5000, 6000}, {32 * MIB, 64},  {32 * MIB, 1},
    };
    for (size_t i = 0; i < sizeof sends / sizeof sends[0]; i++) {
        send_exactly(c, sends[i].bytes, sends[i].pieces);
    }
}

static void nothing_to_send_is_done(struct ct_case *c)
{
    struct ct_stream *stream = ct_dial(c, NULL);
    struct iovec pieces[3] = {{NULL, 0}, {"", 0}, {NULL, 0}};
    assert_int_equal(ct_send(stream, NULL, 0), AIODUCT_DONE);
    assert_int_equal(ct_send(stream, pieces, 3), AIODUCT_DONE);
    ct_run_for(&c->rig, 5);
    assert_int_equal(stream->send.completed, 0);
}

static bool is_send_idle(void *arg)
{
    return ct_is_send_done(arg);
}

/* One after another, in order. */
static void many_small_sends_stay_in_order(struct ct_case *c)
{
    int fd;
    struct ct_stream *stream = ct_dial(c, &fd);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 5, 0);
    const uint8_t *bytes = pattern_of(5, MIB);
    uint64_t random = ct_seed(5);
    size_t at = 0;
    for (int i = 0; i < 1000; i++) {
        size_t piece = 1 + ct_random(&random) % 100;
        assert_true(ct_send_bytes(stream, bytes + at, piece) >= 0);
        at += piece;
        if (stream->send.in_flight) {
            CT_UNTIL(&c->rig, is_send_idle, stream);
        }
    }
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, at);
}

struct upload {
    const uint8_t *bytes;
    size_t at, count, step;
};

static void send_the_next(struct ct_stream *stream, int op, int code, size_t bytes)
{
    struct upload *upload = stream->user;
    if (op != AIODUCT_OP_SEND) {
        return;
    }
    CT_EXPECT(stream->rig, code == 0);
    (void)bytes;
    int answer = AIODUCT_DONE;
    while (answer == AIODUCT_DONE && upload->at < upload->count) {
        size_t left = upload->count - upload->at;
        size_t piece = left < upload->step ? left : upload->step;
        answer = ct_send_bytes(stream, upload->bytes + upload->at, piece);
        CT_EXPECT(stream->rig, answer >= 0);
        upload->at += piece;
    }
}

static bool upload_is_over(void *arg)
{
    struct ct_stream *stream = arg;
    struct upload *upload = stream->user;
    return upload->at == upload->count && !stream->send.in_flight;
}

static void a_send_starts_inside_the_completion_of_the_one_before(struct ct_case *c)
{
    int fd;
    struct upload upload = {.bytes = pattern_of(6, 16 * MIB), .count = 16 * MIB, .step = 300000};
    struct ct_stream *stream = ct_dial(c, &fd);
    stream->user = &upload;
    stream->on_done = send_the_next;
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 6, 0);
    send_the_next(stream, AIODUCT_OP_SEND, 0, 0);
    CT_UNTIL(&c->rig, upload_is_over, stream);
    stream->on_done = NULL;
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, 16 * MIB);
}

static void a_peer_that_does_not_read_makes_a_send_wait(struct ct_case *c)
{
    int fd;
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, &fd);
    ct_send_until_pending(stream, 7, &at);
    ct_run_for(&c->rig, 20);
    assert_true(stream->send.in_flight);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 7, 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_int_equal(stream->send.code, 0);
    assert_int_equal(stream->taken, at);
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, at);
}

/* The first goes on as if nothing had been asked. */
static void a_second_send_is_busy(struct ct_case *c)
{
    int fd;
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, &fd);
    ct_send_until_pending(stream, 8, &at);
    assert_int_equal(ct_send_bytes(stream, "zzzz", 4), -EBUSY);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 8, 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, at);
    assert_int_equal(peer->code, 0);
}

static void both_directions_run_at_the_same_time(struct ct_case *c)
{
    struct upload upload = {.bytes = pattern_of(9, 8 * MIB), .count = 8 * MIB, .step = 200000};
    struct ct_peer *echo = ct_start(c, ct_peer_echo, c->listener.fd, 0, 0);
    struct ct_stream *stream = ct_dial(c, NULL);
    stream->seed = 9;
    stream->user = &upload;
    stream->on_done = send_the_next;
    assert_int_equal(ct_recv_start(stream), 0);
    send_the_next(stream, AIODUCT_OP_SEND, 0, 0);
    CT_UNTIL(&c->rig, upload_is_over, stream);
    assert_true(ct_shutdown(stream) >= 0);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 8 * MIB);
    assert_int_equal(stream->recv.code, 0);
    stream->on_done = NULL;
    ct_close_and_wait(stream);
    ct_peer_join(echo);
    assert_int_equal(echo->code, 0);
}

/* ---- cancel ---- */

/* The count is what the peer gets. */
static void a_cancelled_send_counts_what_was_really_written(struct ct_case *c)
{
    for (int i = 0; i < 3; i++) {
        int fd, code;
        uint64_t at = 0;
        struct ct_stream *stream = ct_dial(c, &fd);
        ct_send_until_pending(stream, 30, &at);
        if (i == 1) {
            ct_run_for(&c->rig, 5);
        }
        ct_cancel(stream, AIODUCT_OP_SEND);
        ct_cancel(stream, AIODUCT_OP_SEND);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        assert_int_equal(stream->send.code, -ECANCELED);
        ct_close_and_wait(stream);
        assert_int_equal(stream->send.completed, stream->send.accepted);
        assert_int_equal(ct_drain(fd, 30, &code), stream->taken);
        assert_int_equal(code, 0);
        ct_drop_fd(c, fd);
    }
}

static void a_send_may_follow_a_cancelled_one(struct ct_case *c)
{
    int fd;
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, &fd);
    ct_send_until_pending(stream, 31, &at);
    ct_cancel(stream, AIODUCT_OP_SEND);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    uint64_t so_far = stream->taken;
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 31, 0);
    static uint8_t more[100000];
    ct_pattern_fill(more, sizeof more, 31, so_far);
    assert_true(ct_send_bytes(stream, more, sizeof more) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_int_equal(stream->taken, so_far + sizeof more);
    ct_close_and_wait(stream);
    ct_peer_join(peer);
    assert_int_equal(peer->bytes, so_far + sizeof more);
    assert_int_equal(peer->code, 0);
}

/* ---- a peer that goes away ---- */

static void a_send_to_a_peer_that_is_gone_is_an_error_without_a_signal(struct ct_case *c)
{
    struct sigaction before, after;
    sigaction(SIGPIPE, NULL, &before);
    assert_true(before.sa_handler == SIG_DFL); /* so that the signal would end us */
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    ct_drop_fd_by_reset(c, peer);
    int code = 0;
    for (int i = 0; i < 5; i++) {
        code = ct_send_bytes(stream, "hello", 5);
        if (code == AIODUCT_PENDING) {
            CT_UNTIL(&c->rig, ct_is_send_done, stream);
            code = stream->send.code;
        }
        assert_true(code < 0);
        assert_true(code == -ECONNRESET || code == -EPIPE);
    }
    sigaction(SIGPIPE, NULL, &after);
    assert_true(after.sa_handler == SIG_DFL);
}

/* Part of it is written, the rest never will be. */
static void a_reset_ends_a_pending_send_with_an_error(struct ct_case *c)
{
    int peer;
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, &peer);
    ct_send_until_pending(stream, 33, &at);
    ct_drop_fd_by_reset(c, peer);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_true(stream->send.code == -ECONNRESET || stream->send.code == -EPIPE);
    assert_true(stream->taken < at);
}

/* Pieces that cannot be read stand for whatever makes a system call fail after others have
 * succeeded. The first thousands are good. */
static void a_send_that_fails_in_the_middle_counts_what_was_written(struct ct_case *c)
{
    enum { PIECES = 3000, GOOD = 2500, PIECE_BYTES = 10 };
    static struct iovec pieces[PIECES];
    uint8_t *bytes = pattern_of(34, (size_t)PIECES * PIECE_BYTES);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *nowhere = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(nowhere != MAP_FAILED);
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = (struct iovec){i < GOOD ? bytes + i * PIECE_BYTES : nowhere, PIECE_BYTES};
    }
    int fd, end;
    struct ct_stream *stream = ct_dial(c, &fd);
    int code = ct_send(stream, pieces, PIECES);
    assert_true(code == AIODUCT_PENDING || code == -EFAULT);
    if (code == AIODUCT_PENDING) {
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        assert_int_equal(stream->send.code, -EFAULT);
    }
    ct_close_and_wait(stream);
    assert_int_equal(ct_drain(fd, 34, &end), stream->taken);
    assert_int_equal(end, 0);
    munmap(nowhere, page);
}

/* ---- shutdown ---- */

static void shutdown_ends_our_side(struct ct_case *c)
{
    int fd, code;
    struct ct_stream *stream = ct_dial(c, &fd);
    assert_true(ct_shutdown(stream) >= 0);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    if (stream->shutdown.completed > 0) {
        assert_int_equal(stream->shutdown.code, 0);
    }
    assert_int_equal(ct_drain(fd, 1, &code), 0);
    assert_int_equal(code, 0);
}

static void the_end_follows_the_bytes_of_a_pending_send(struct ct_case *c)
{
    int fd;
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, &fd);
    ct_send_until_pending(stream, 40, &at);
    assert_int_equal(ct_shutdown(stream), AIODUCT_PENDING);
    assert_int_equal(ct_shutdown(stream), -EBUSY);
    ct_run_for(&c->rig, 5);
    assert_true(stream->send.in_flight);
    assert_true(stream->shutdown.in_flight);
    struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 40, 0);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    assert_int_equal(stream->send.code, 0);
    assert_int_equal(stream->shutdown.code, 0);
    assert_true(stream->send.order < stream->shutdown.order);
    ct_peer_join(peer); /* sees the end although the stream is open */
    assert_int_equal(peer->bytes, at);
    assert_int_equal(peer->code, 0);
}

static void after_shutdown_nothing_is_sent_but_received(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 41;
    assert_int_equal(ct_recv_start(stream), 0);
    assert_true(ct_shutdown(stream) >= 0);
    assert_int_equal(ct_send_bytes(stream, "x", 1), -EPIPE);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    assert_int_equal(ct_send_bytes(stream, "x", 1), -EPIPE);
    assert_int_equal(ct_write_pattern(peer, 41, 30000), 0);
    ct_drop_fd(c, peer);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 30000);
    assert_true(stream->ended);
}

/* -> does the peer see more, or the end, after so many bytes of the pattern? */
static bool anything_after(int fd, uint64_t seed, uint64_t bytes)
{
    static uint8_t buffer[65536];
    for (uint64_t done = 0; done < bytes;) {
        size_t piece = bytes - done < sizeof buffer ? (size_t)(bytes - done) : sizeof buffer;
        ssize_t got = recv(fd, buffer, piece, 0);
        assert_true(got > 0);
        assert_int_equal(ct_pattern_match(buffer, (size_t)got, seed, done), got);
        done += (uint64_t)got;
    }
    return recv(fd, buffer, 1, MSG_DONTWAIT) >= 0;
}

/* A peer that saw the end would take the part for the whole. */
static void no_end_follows_a_send_that_was_cut_short(struct ct_case *c)
{
    int fd;
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, &fd);
    ct_send_until_pending(stream, 43, &at);
    assert_int_equal(ct_shutdown(stream), AIODUCT_PENDING);
    ct_cancel(stream, AIODUCT_OP_SEND);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    assert_int_equal(stream->send.code, -ECANCELED);
    assert_int_equal(stream->shutdown.code, -ECANCELED);
    assert_false(anything_after(fd, 43, stream->taken));
    assert_true(ct_send_bytes(stream, "more", 4) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_true(ct_wait_readable(fd, 4));
}

/* It completes once, and either the end was sent or it was not. */
static void a_pending_shutdown_is_cancelled(struct ct_case *c)
{
    int fd;
    uint64_t at = 0;
    struct ct_stream *stream = ct_dial(c, &fd);
    ct_send_until_pending(stream, 42, &at);
    assert_int_equal(ct_shutdown(stream), AIODUCT_PENDING);
    ct_cancel(stream, AIODUCT_OP_SHUTDOWN | AIODUCT_OP_SEND);
    CT_UNTIL(&c->rig, ct_is_shutdown_done, stream);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
    assert_true(stream->shutdown.code == -ECANCELED || stream->shutdown.code == 0);
    ct_run_for(&c->rig, 5);
    assert_int_equal(stream->shutdown.completed, 1);
    assert_int_equal(stream->send.completed, stream->send.accepted);
    bool ended = stream->shutdown.code == 0;
    assert_int_equal(anything_after(fd, 42, stream->taken), ended);
    assert_int_equal(ct_send_bytes(stream, "x", 1) == -EPIPE, ended);
    CT_UNTIL(&c->rig, ct_is_send_done, stream);
}

/* ---- the end ---- */

static void bytes_that_were_taken_survive_the_close(struct ct_case *c)
{
    for (int i = 0; i < 10; i++) {
        int fd, code;
        struct ct_stream *stream = ct_dial(c, &fd);
        const uint8_t *bytes = pattern_of(50, 100000);
        assert_true(ct_send_bytes(stream, bytes, 100000) >= 0);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        ct_stream_close(stream);
        CT_UNTIL(&c->rig, ct_is_closed, stream);
        assert_int_equal(ct_drain(fd, 50, &code), 100000);
        assert_int_equal(code, 0);
        ct_drop_fd(c, fd);
    }
}

static const struct ct_test cases[] = {
    CT_CASE(every_byte_of_every_piece_arrives, "ST-9", "ST-10"),
    CT_CASE(nothing_to_send_is_done, "ST-10"),
    CT_CASE(many_small_sends_stay_in_order, "ST-9"),
    CT_CASE(a_send_starts_inside_the_completion_of_the_one_before, "ST-20"),
    CT_CASE(a_peer_that_does_not_read_makes_a_send_wait, "ST-9"),
    CT_CASE(a_second_send_is_busy, "ST-1"),
    CT_CASE(both_directions_run_at_the_same_time, "ST-26"),
    CT_CASE(a_cancelled_send_counts_what_was_really_written, "ST-15", "ST-11"),
    CT_CASE(a_send_may_follow_a_cancelled_one, "ST-15"),
    CT_CASE(a_send_to_a_peer_that_is_gone_is_an_error_without_a_signal, "ST-12"),
    CT_CASE(a_reset_ends_a_pending_send_with_an_error, "ST-12", "ST-11"),
    CT_CASE(a_send_that_fails_in_the_middle_counts_what_was_written, "ST-11"),
    CT_CASE(shutdown_ends_our_side, "ST-13"),
    CT_CASE(the_end_follows_the_bytes_of_a_pending_send, "ST-13", "ST-1"),
    CT_CASE(after_shutdown_nothing_is_sent_but_received, "ST-14"),
    CT_CASE(no_end_follows_a_send_that_was_cut_short, "ST-13", "ST-14"),
    CT_CASE(a_pending_shutdown_is_cancelled, "ST-15", "ST-14"),
    CT_CASE(bytes_that_were_taken_survive_the_close, "ST-23"),
};

CT_GROUP(send, CT_BY_POLL | CT_OVER_IPV6)
