/* SPDX-License-Identifier: MIT */
/* Large bodies out of files, which a connector may send without anybody reading them. */
#include "source.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum gate { STARTED, GO, DONE };

#define MIB (1u << 20)
#define BEFORE 1000           /* bytes of something else, at the file's beginning */
#define LARGE (16u * MIB)     /* far more than is under way */
#define STARTED_BYTES 100000u /* more than goes with the head */

/* BEFORE bytes, then test_fill's. */
static int make_file(size_t bytes)
{
    enum { BLOCK = 65536 };
    static char block[BLOCK];
    int fd = memfd_create("body", MFD_CLOEXEC);
    assert_true(fd >= 0);
    memset(block, 'x', BEFORE);
    assert_int_equal(write(fd, block, BEFORE), BEFORE);
    for (size_t at = 0; at < bytes; at += BLOCK) {
        size_t count = bytes - at < BLOCK ? bytes - at : BLOCK;
        test_fill(block, count, at);
        assert_int_equal(write(fd, block, count), count);
    }
    return fd;
}

static struct aioduct_request *file_request(struct tester *t, const char *url, int fd,
                                            int64_t length)
{
    struct aioduct_request *request = tester_request(t, "PUT", url);
    assert_code(0, aioduct_request_body_file(request, fd, BEFORE, length));
    return request;
}

static struct aioduct_request *to_peer(struct tester *t, int fd, int64_t length)
{
    return file_request(t, peer_url(t->peer, "/up"), fd, length);
}

/* ---- what arrives ---- */

static void expect_kept(struct tester *t, const char *name, const char *sent)
{
    char kept[65], *file = test_format("%s/upload/%s", nginx_dir(t->nginx), name);
    assert_int_equal(test_hash_file(file, kept), 0);
    assert_string_equal(kept, sent);
    unlink(file);
    free(file);
}

static void test_arrives(void **state)
{
    struct tester *t = *state;
    static const size_t sizes[] = {32767, 65536, 65537, 300001, 6u * MIB};
    tester_client(t);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char sent[65], *body = malloc(sizes[i]);
        assert_non_null(body);
        test_fill(body, sizes[i], 0);
        test_hash_bytes(body, sizes[i], sent);
        free(body);
        int fd = make_file(sizes[i]);
        struct result *r = tester_perform(
            t, file_request(t, tester_url(t, "/upload/whole"), fd, AIODUCT_LENGTH_UNKNOWN));
        assert_in_range(r->status, 201, 204);
        assert_int_equal(r->info.upload_bytes, sizes[i]);
        assert_int_equal(r->info.reused, i > 0);
        expect_kept(t, "whole", sent);
        assert_int_equal(lseek(fd, 0, SEEK_CUR), BEFORE + sizes[i]);
        close(fd);
    }
}

static void test_sparse(void **state)
{
    struct tester *t = *state;
    enum { BYTES = 3 * MIB };
    const int64_t far = ((int64_t)6 << 30) + 77;
    char sent[65], *body = malloc(BYTES);
    int fd = memfd_create("sparse", MFD_CLOEXEC);
    assert_true(fd >= 0 && body != NULL);
    test_fill(body, BYTES, 5);
    test_hash_bytes(body, BYTES, sent);
    assert_int_equal(pwrite(fd, body, BYTES, far), BYTES);
    free(body);
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "PUT", tester_url(t, "/upload/sparse"));
    assert_code(0, aioduct_request_body_file(request, fd, far, AIODUCT_LENGTH_UNKNOWN));
    assert_in_range(tester_perform(t, request)->status, 201, 204);
    expect_kept(t, "sparse", sent);
    close(fd);
}

/* Each count of bytes says the same, to the byte. */
static void play_accept(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "taken");
    }
}

static void test_counts(void **state)
{
    struct tester *t = *state;
    struct aioduct_client_stats stats = {.size = sizeof stats};
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    int fd = make_file(5 * MIB);
    struct result *r = tester_perform(t, to_peer(t, fd, 5 * MIB));
    assert_answer(r, 200);
    const struct peer_request *got = peer_request(t->peer, 0);
    assert_source_bytes(got->body, got->body_bytes, 5 * MIB);
    uint64_t all = strlen(got->head) + 5 * MIB;
    assert_int_equal(r->info.upload_bytes, 5 * MIB);
    aioduct_client_stats(t->client, &stats);
    assert_int_equal(stats.bytes_out, all);
    if (!t->tls) {
        assert_int_equal(r->info.wire_sent_bytes, all);
    }
    close(fd);
}

static void play_expect(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_send(conn, "HTTP/1.1 100 Continue\r\n\r\n") &&
        peer_read_body(conn)) {
        peer_answer(conn, 200, "", "taken");
    }
    peer_read_end(conn, NULL);
}

static void test_expect(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_expect, NULL);
    int fd = make_file(2 * MIB);
    struct aioduct_request *request = to_peer(t, fd, 2 * MIB);
    assert_code(0, aioduct_request_expect_continue(request, 1));
    assert_answer(tester_perform(t, request), 200);
    const struct peer_request *got = peer_request(t->peer, 1); /* the first is its head */
    assert_source_bytes(got->body, got->body_bytes, 2 * MIB);
    close(fd);
}

/* ---- a peer that holds the upload up, in the middle of the file ---- */

struct held {
    uint64_t bytes; /* that the peer got in all */
    bool right;     /* they are the file's */
};

/* Reads the beginning, waits for the gate, and then reads on to the end. */
static void play_holds(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    enum { BLOCK = 10000 };
    static char got[BLOCK], want[BLOCK];
    struct held *held = user;
    if (!peer_read_head(conn)) {
        return;
    }
    held->right = true;
    for (bool waited = false;;) {
        if (held->bytes == STARTED_BYTES && !waited) {
            peer_open(peer_of(conn), STARTED);
            if (!peer_wait_gate(conn, GO)) {
                return;
            }
            waited = true;
        }
        uint64_t one = held->bytes < STARTED_BYTES ? BLOCK : 1000;
        if (!peer_read_bytes(conn, got, one)) {
            return;
        }
        test_fill(want, one, held->bytes);
        held->right = held->right && memcmp(got, want, one) == 0;
        held->bytes += one;
    }
}

static bool has_started(void *peer)
{
    return peer_is_open(peer, STARTED);
}

/* An upload of @fd under way to a peer that does not read on. */
static struct result *start_held(struct tester *t, struct held **held, int fd)
{
    *held = tester_alloc(t, sizeof **held);
    struct peer_options options = {.play = play_holds, .user = *held, .receive_buffer = 16384};
    t->options.socket.send_buffer_bytes = 65536; /* and LARGE / 2 is far more than both */
    tester_client(t);
    tester_peer_with(t, &options);
    struct result *r = tester_submit(t, to_peer(t, fd, LARGE));
    tester_turn_until(t, has_started, t->peer);
    tester_turn_a_little(t);
    return r;
}

static void expect_part(struct tester *t, const struct held *held)
{
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
    assert_true(held->right);
    assert_true(held->bytes >= STARTED_BYTES && held->bytes < LARGE);
}

static void test_cut(void **state)
{
    struct tester *t = *state;
    struct held *held;
    int fd = make_file(LARGE);
    struct result *r = start_held(t, &held, fd);
    assert_int_equal(ftruncate(fd, BEFORE + LARGE / 2), 0);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_error(r, AIODUCT_E_BODY_LENGTH, AIODUCT_PHASE_SEND);
    assert_non_null(strstr(r->error.message, "fewer"));
    assert_true(r->info.upload_bytes <= LARGE / 2);
    expect_part(t, held);
    close(fd);
}

/* The number of the descriptor is another file's as soon as the exchange is over. */
static void replace(int fd)
{
    int other = make_file(4 * MIB);
    assert_int_equal(dup3(other, fd, O_CLOEXEC), fd);
    close(other);
}

static void test_cancel(void **state)
{
    struct tester *t = *state;
    struct held *held;
    int fd = make_file(LARGE);
    struct result *r = start_held(t, &held, fd);
    assert_code(0, aioduct_exchange_cancel(r->exchange));
    tester_run(t);
    replace(fd);
    assert_error(r, -ECANCELED, AIODUCT_PHASE_SEND);
    peer_open(t->peer, GO);
    tester_turn_a_little(t);
    expect_part(t, held);
    close(fd);
}

static void test_destroy(void **state)
{
    struct tester *t = *state;
    struct held *held;
    int fd = make_file(LARGE);
    struct result *r = start_held(t, &held, fd);
    tester_destroy(t);
    replace(fd);
    assert_int_equal(r->done_count, 1);
    assert_int_equal(r->code, AIODUCT_E_CLIENT_CLOSED);
    peer_open(t->peer, GO);
    expect_part(t, held);
    close(fd);
}

static void test_write_gap(void **state)
{
    struct tester *t = *state;
    struct held *held;
    int fd = make_file(LARGE);
    t->options.write_gap_timeout_ms = 200;
    struct result *r = start_held(t, &held, fd);
    tester_run(t);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_SEND);
    assert_non_null(strstr(r->error.message, "write_gap_timeout_ms"));
    peer_open(t->peer, GO);
    expect_part(t, held);
    close(fd);
}

static void test_low_speed(void **state)
{
    struct tester *t = *state;
    struct held *held;
    int fd = make_file(LARGE);
    t->options.low_speed_bytes = 10000000;
    t->options.low_speed_s = 2;
    struct result *r = start_held(t, &held, fd);
    tester_run(t);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_SEND);
    assert_non_null(strstr(r->error.message, "low_speed_bytes"));
    peer_open(t->peer, GO);
    expect_part(t, held);
    close(fd);
}

/* A quarter of a second's bytes may go at once; the rest takes its time. */
static void test_rate(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    int fd = make_file(MIB);
    struct aioduct_request *request = to_peer(t, fd, MIB);
    assert_code(0, aioduct_request_send_rate_max(request, 2 * MIB));
    uint64_t before_ms = test_now_ms();
    assert_answer(tester_perform(t, request), 200);
    assert_true(test_now_ms() - before_ms >= 240);
    const struct peer_request *got = peer_request(t->peer, 0);
    assert_source_bytes(got->body, got->body_bytes, MIB);
    close(fd);
}

/* ---- answers and ends in the middle ---- */

static void play_refuses(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    if (index == 0 && peer_read_head(conn) && peer_read(conn, STARTED_BYTES)) {
        peer_answer(conn, 413, "", "too large");
        peer_read_end(conn, NULL);
        return;
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "next");
    }
}

static void test_refused(void **state)
{
    struct tester *t = *state;
    struct peer_options options = {.play = play_refuses, .receive_buffer = 16384};
    tester_client(t);
    tester_peer_with(t, &options);
    int fd = make_file(LARGE);
    struct result *r = tester_perform(t, to_peer(t, fd, LARGE));
    replace(fd);
    assert_answer(r, 413);
    assert_string_equal(r->body, "too large");
    assert_true(r->info.upload_bytes < LARGE);
    struct result *next = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(next, 200);
    assert_int_equal(next->info.reused, 0);
    close(fd);
}

#define HALF_BYTES MIB

struct middle {
    bool right;
    char got[2 * HALF_BYTES], want[2 * HALF_BYTES];
};

/* Answers in the middle of a body, takes the rest, and another request. */
static void play_middle(struct peer_conn *conn, int index, void *user)
{
    struct middle *m = user;
    if (index == 0 && peer_read_head(conn) && peer_read_bytes(conn, m->got, HALF_BYTES)) {
        peer_answer(conn, 200, "", "enough");
        if (!peer_wait_gate(conn, GO) || !peer_read_bytes(conn, m->got + HALF_BYTES, HALF_BYTES)) {
            return;
        }
        test_fill(m->want, sizeof m->want, 0);
        m->right = memcmp(m->got, m->want, sizeof m->want) == 0;
        peer_open(peer_of(conn), DONE);
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "next");
    }
}

static bool is_taken(void *peer)
{
    return peer_is_open(peer, DONE);
}

static void test_short_rest(void **state)
{
    struct tester *t = *state;
    struct middle *m = tester_alloc(t, sizeof *m);
    struct peer_options options = {.play = play_middle, .user = m, .receive_buffer = 16384};
    t->options.drain_bytes_max = 2 * HALF_BYTES;
    t->options.socket.send_buffer_bytes = 16384;
    tester_client(t);
    tester_peer_with(t, &options);
    int fd = make_file(2 * HALF_BYTES);
    struct result *r = tester_perform(t, to_peer(t, fd, 2 * HALF_BYTES));
    replace(fd);
    assert_answer(r, 200);
    assert_string_equal(r->body, "enough");
    peer_open(t->peer, GO);
    tester_turn_until(t, is_taken, t->peer);
    tester_turn_a_little(t);
    assert_true(m->right);
    struct result *next = tester_get(t, peer_url(t->peer, "/"));
    assert_answer(next, 200);
    assert_int_equal(next->info.reused, 1);
    close(fd);
}

static void play_reset(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_read(conn, STARTED_BYTES)) {
        peer_reset(conn);
    }
}

static void test_reset(void **state)
{
    struct tester *t = *state;
    struct sigaction before;
    sigset_t waiting;
    signal(SIGPIPE, SIG_DFL); /* one SIGPIPE would end this process */
    assert_int_equal(sigaction(SIGPIPE, NULL, &before), 0);
    t->options.socket.send_buffer_bytes = 65536;
    tester_client(t);
    tester_peer(t, play_reset, NULL);
    int fd = make_file(LARGE);
    struct result *r = tester_perform(t, to_peer(t, fd, LARGE));
    assert_int_equal(r->done_count, 1);
    assert_true(r->code == -ECONNRESET || r->code == -EPIPE || r->code == AIODUCT_E_CLOSED);
    assert_int_equal(r->error.safe_to_retry, 0);
    assert_int_equal(sigpending(&waiting), 0);
    assert_int_equal(sigismember(&waiting, SIGPIPE), 0);
    close(fd);
}

/* The first connection was kept alive and is lost before the answer: all of it goes once more. */
static void play_lost(struct peer_conn *conn, int index, void *user)
{
    (void)user;
    if (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "first");
    }
    if (index == 0) {
        return;
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "again");
    }
}

static void test_again(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_lost, NULL);
    int fd = make_file(3 * MIB);
    struct aioduct_request *request = to_peer(t, fd, 3 * MIB);
    for (int i = 0; i < 3; i++) {
        assert_answer(tester_perform(t, request), 200);
        const struct peer_request *got = peer_request(t->peer, i);
        assert_source_bytes(got->body, got->body_bytes, 3 * MIB);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("files of all sizes arrive as they are", test_arrives),
        HTTP_CASE("a part far inside a sparse file arrives", test_sparse),
        HTTP_CASES("every count of bytes is exact", test_counts),
        HTTP_CASE("C21: a file waits for 100 Continue", test_expect),
        HTTP_CASES("C20: a file that is cut while it is sent fails", test_cut),
        HTTP_CASES("a file's upload is cancelled, and the file is left alone", test_cancel),
        HTTP_CASE("a client ends in the middle of a file", test_destroy),
        HTTP_CASE("a peer that takes nothing of a file runs into write_gap_timeout_ms",
                  test_write_gap),
        HTTP_CASE("a file that goes too slowly is given up", test_low_speed),
        HTTP_CASE("a file goes no faster than its rate", test_rate),
        HTTP_CASES("an early refusal stops a file", test_refused),
        HTTP_CASES("C14: a short rest of a file is sent behind an early answer", test_short_rest),
        HTTP_CASES("C63: a reset in the middle of a file raises no SIGPIPE", test_reset),
        HTTP_CASE("a file is sent again from its start", test_again),
    };
    return TAP_RUN(cases, suite_begin_nginx, suite_end);
}
