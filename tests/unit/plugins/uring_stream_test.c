/* SPDX-License-Identifier: MIT */
/* Streams of the ring against a peer that the test plays, on every path of receiving that the
 * plugin has: what this kernel offers can be left out by option. */
#include "uring_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static uint8_t *make_pattern(size_t bytes)
{
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = pattern(i);
    }
    return data;
}

/* A peer that blocks, so it needs a thread. */
struct peer {
    pthread_t thread;
    int fd;
    size_t bytes; /* to write, or read */
    size_t wrong; /* bytes that were not the pattern's */
    bool end;     /* shut down after writing */
};

static void *peer_write(void *arg)
{
    struct peer *peer = arg;
    uint8_t *data = make_pattern(peer->bytes);
    size_t sent = 0;
    while (sent < peer->bytes) {
        ssize_t n = send(peer->fd, data + sent, peer->bytes - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        sent += (size_t)n;
    }
    if (peer->end) {
        shutdown(peer->fd, SHUT_WR);
    }
    free(data);
    return NULL;
}

static void *peer_read(void *arg)
{
    struct peer *peer = arg;
    uint8_t data[8192];
    size_t got = 0;
    ssize_t n;
    while ((n = recv(peer->fd, data, sizeof data, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            peer->wrong += data[i] != pattern(got++);
        }
    }
    peer->bytes = got;
    return NULL;
}

static void check_pattern(const struct aioduct_stream *s, size_t bytes)
{
    assert_int_equal(s->bytes, bytes);
    for (size_t i = 0; i < bytes; i++) {
        if (s->data[i] != pattern(i)) {
            fail_msg("byte %zu of %zu is wrong", i, bytes);
        }
    }
}

static struct rig rig;

static int open_variant(void **state)
{
    const struct rig_variant *variant = *state;
    return rig_open(&rig, variant->options);
}

static int close_variant(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void test_large_body(void **state)
{
    (void)state;
    struct aioduct_stream s;
    struct peer peer = {.bytes = 8u << 20, .end = true};
    rig_connect(&rig, &s);
    peer.fd = s.peer;
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    assert_int_equal(pthread_create(&peer.thread, NULL, peer_write, &peer), 0);
    rig_wait_done(&s, AIODUCT_OP_RECV);
    pthread_join(peer.thread, NULL);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, 0);
    check_pattern(&s, 8u << 20);
    rig_disconnect(&s);
}

static void test_many_at_once(void **state)
{
    enum { STREAMS = 40, BYTES = 100000 };
    static struct aioduct_stream s[STREAMS];
    static struct peer peers[STREAMS];
    (void)state;
    for (int i = 0; i < STREAMS; i++) {
        rig_connect(&rig, &s[i]);
        assert_int_equal(ad_uring_recv_start(s[i].state), 0);
    }
    for (int i = 0; i < STREAMS; i++) {
        peers[i] = (struct peer){.fd = s[i].peer, .bytes = BYTES, .end = true};
        assert_int_equal(pthread_create(&peers[i].thread, NULL, peer_write, &peers[i]), 0);
    }
    for (int i = 0; i < STREAMS; i++) {
        rig_wait_done(&s[i], AIODUCT_OP_RECV);
        assert_int_equal(s[i].done[AIODUCT_OP_RECV].code, 0);
        check_pattern(&s[i], BYTES);
        pthread_join(peers[i].thread, NULL);
    }
    for (int i = 0; i < STREAMS; i++) {
        rig_disconnect(&s[i]);
    }
}

/* More submissions at once than the smallest queue takes, more completions than its ring holds. */
static void test_more_than_the_queues_hold(void **state)
{
    enum { STREAMS = 200 };
    static struct aioduct_stream s[STREAMS];
    (void)state;
    for (int i = 0; i < STREAMS; i++) {
        rig_connect(&rig, &s[i]);
        assert_int_equal(ad_uring_recv_start(s[i].state), 0);
    }
    for (int round = 0; round < 5; round++) {
        char byte = (char)('a' + round);
        for (int i = 0; i < STREAMS; i++) {
            memset(s[i].done, 0, sizeof s[i].done);
            assert_int_equal(ad_uring_send(s[i].state, &(struct iovec){&byte, 1}, 1),
                             AIODUCT_PENDING);
        }
        for (int i = 0; i < STREAMS; i++) {
            char got = 0;
            rig_wait_done(&s[i], AIODUCT_OP_SEND);
            assert_int_equal(recv(s[i].peer, &got, 1, 0), 1);
            assert_int_equal(got, byte);
            assert_int_equal(send(s[i].peer, &byte, 1, 0), 1);
        }
        for (int i = 0; i < STREAMS; i++) {
            rig_wait_bytes(&s[i], (size_t)round + 1);
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        assert_memory_equal(s[i].data, "abcde", 5);
        ad_uring_stream_close(s[i].state);
    }
    for (int i = 0; i < STREAMS; i++) {
        rig_wait_closed(&s[i]);
        rig_disconnect(&s[i]);
    }
}

static void test_large_send(void **state)
{
    enum { BYTES = 8 << 20, PIECES = 3000 };
    (void)state;
    struct aioduct_stream s;
    struct peer peer = {0};
    struct iovec pieces[PIECES];
    uint8_t *data = make_pattern(BYTES);
    size_t each = BYTES / PIECES, at = 0;
    for (int i = 0; i < PIECES; i++) {
        size_t bytes = i == PIECES - 1 ? BYTES - at : each * (size_t)(i % 3); /* some are empty */
        pieces[i] = (struct iovec){data + at, bytes};
        at += bytes;
    }
    rig_connect(&rig, &s);
    peer.fd = s.peer;
    assert_int_equal(pthread_create(&peer.thread, NULL, peer_read, &peer), 0);
    assert_int_equal(ad_uring_send(s.state, pieces, PIECES), AIODUCT_PENDING);
    memset(pieces, 0, sizeof pieces); /* the array is ours again */
    assert_int_equal(ad_uring_send(s.state, pieces, 1), -EBUSY);
    assert_int_equal(ad_uring_shutdown(s.state), AIODUCT_PENDING); /* behind the bytes */
    assert_int_equal(ad_uring_send(s.state, pieces, 1), -EPIPE);
    rig_wait_done(&s, AIODUCT_OP_SEND);
    rig_wait_done(&s, AIODUCT_OP_SHUTDOWN);
    pthread_join(peer.thread, NULL);
    assert_int_equal(s.done[AIODUCT_OP_SEND].code, 0);
    assert_int_equal(s.done[AIODUCT_OP_SEND].bytes, BYTES);
    assert_int_equal(s.done[AIODUCT_OP_SHUTDOWN].code, 0);
    assert_int_equal(peer.bytes, BYTES);
    assert_int_equal(peer.wrong, 0);
    free(data);
    rig_disconnect(&s);
}

static bool has_end(void *arg)
{
    const struct aioduct_stream *s = arg;
    return s->done[AIODUCT_OP_RECV].count > 0 && s->done[AIODUCT_OP_RECV].code == 0;
}

static bool has_ended(void *arg)
{
    const struct aioduct_stream *s = arg;
    return s->done[AIODUCT_OP_SEND].count > 0 && s->done[AIODUCT_OP_SEND].bytes == 0;
}

static void send_next_piece(struct aioduct_stream *s, int op)
{
    if (op == AIODUCT_OP_SEND && s->done[op].code == 0 && s->done[op].bytes > 0) {
        s->file_at += s->done[op].bytes;
        assert_int_equal(ad_uring_send_file(s->state, s->file_fd, (int64_t)s->file_at, SIZE_MAX),
                         AIODUCT_PENDING);
    }
}

/* Nothing that the ring is about to do for a stream minds that the file's calls must not wait. */
static void test_file_against_a_body(void **state)
{
    enum { BYTES = 8 << 20 };
    (void)state;
    struct aioduct_stream s;
    struct peer reader = {0}, writer = {.bytes = BYTES, .end = true};
    uint8_t *data = make_pattern(BYTES);
    rig_connect(&rig, &s);
    s.file_fd = memfd_create("file", MFD_CLOEXEC);
    assert_int_equal(write(s.file_fd, data, BYTES), BYTES);
    s.on_done = send_next_piece;
    reader.fd = writer.fd = s.peer;
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    assert_int_equal(ad_uring_send_file(s.state, s.file_fd, 0, SIZE_MAX), AIODUCT_PENDING);
    for (int i = 0; i < 20; i++) { /* nobody reads: a piece waits for room */
        assert_int_equal(ad_uring_turn(rig.u, 1000000), 0);
    }
    assert_in_range(s.file_at, 1, BYTES - 1);
    assert_int_equal(pthread_create(&writer.thread, NULL, peer_write, &writer), 0);
    assert_int_equal(pthread_create(&reader.thread, NULL, peer_read, &reader), 0);
    rig_wait_done(&s, AIODUCT_OP_RECV);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, 0);
    check_pattern(&s, BYTES);
    rig_turns_until(&rig, has_ended, &s);
    assert_int_equal(s.file_at, BYTES);
    assert_int_equal(ad_uring_shutdown(s.state), AIODUCT_DONE);
    pthread_join(writer.thread, NULL);
    pthread_join(reader.thread, NULL);
    assert_int_equal(reader.bytes, BYTES);
    assert_int_equal(reader.wrong, 0);
    close(s.file_fd);
    free(data);
    rig_disconnect(&s);
}

static void on_data_stop(struct aioduct_stream *s)
{
    assert_false(s->stopped);
    s->stopped = true;
    ad_uring_recv_stop(s->state);
}

static void on_done_start(struct aioduct_stream *s, int op)
{
    if (op == AIODUCT_OP_RECV && s->done[op].code == -ECANCELED) {
        s->stopped = false;
        assert_int_equal(ad_uring_recv_start(s->state), 0);
    }
}

/* On its way when a multishot receive is stopped there may be more, so only flows that the ring
 * merely waits for end with the slice. */
static void test_bulk_stops_with_each_slice(void **state)
{
    enum { BYTES = 8 << 20 };
    (void)state;
    struct aioduct_stream s;
    struct peer peer = {.bytes = BYTES, .end = true};
    rig_connect(&rig, &s);
    peer.fd = s.peer;
    s.state->filled = true;
    s.on_data = on_data_stop;
    s.on_done = on_done_start;
    rig.u->options.buffer_bytes = 1; /* no piece is small */
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    assert_int_equal(pthread_create(&peer.thread, NULL, peer_write, &peer), 0);
    rig_turns_until(&rig, has_end, &s);
    pthread_join(peer.thread, NULL);
    check_pattern(&s, BYTES);
    assert_true(s.slices >= BYTES / AD_URING_BULK_BYTES);
    rig_disconnect(&s);
}

/* A receive that the ring only waits for. */
static void wait_in_bulk(struct aioduct_stream *s)
{
    s->state->filled = true;
    memset(s->done, 0, sizeof s->done);
    assert_int_equal(ad_uring_recv_start(s->state), 0);
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    assert_true(s->state->bulk);
}

static void test_reset_of_a_flow_in_bulk(void **state)
{
    (void)state;
    struct aioduct_stream s;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    rig_connect(&rig, &s);
    wait_in_bulk(&s);
    setsockopt(s.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(s.peer);
    s.peer = -1;
    rig_wait_done(&s, AIODUCT_OP_RECV);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, -ECONNRESET);
    rig_disconnect(&s);
}

static void test_close_of_a_flow_in_bulk(void **state)
{
    (void)state;
    struct aioduct_stream s;
    rig_connect(&rig, &s);
    wait_in_bulk(&s);
    assert_int_equal(send(s.peer, "late", 4, 0), 4);
    rig_disconnect(&s);
    assert_int_equal(s.slices, 0);
    assert_int_equal(s.done[AIODUCT_OP_RECV].count, 1);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, -ECANCELED);
}

/* A place is named for a flow that the ring waits for. */
static void name_a_place(struct aioduct_stream *s, uint8_t *place, size_t bytes)
{
    wait_in_bulk(s);
    memset(place, 0x7e, bytes);
    ad_uring_recv_at(s->state, place, bytes);
}

static void send_more(struct aioduct_stream *s, const uint8_t *data, size_t bytes)
{
    assert_int_equal(send(s->peer, data + s->bytes, bytes, 0), bytes);
    rig_wait_bytes(s, s->bytes + bytes);
}

static void test_place_of_a_flow_in_bulk(void **state)
{
    enum { ROOM = 1000 };
    (void)state;
    uint8_t place[ROOM], guard[ROOM], *data = make_pattern(65536);
    struct aioduct_stream s;
    memset(guard, 0x7e, sizeof guard);
    rig_connect(&rig, &s);
    name_a_place(&s, place, ROOM);
    send_more(&s, data, 5000);
    assert_memory_equal(place, data, ROOM);
    ad_uring_recv_stop(s.state);
    rig_wait_done(&s, AIODUCT_OP_RECV);

    for (int way = 0; way < 2; way++) { /* it is over before anything came */
        name_a_place(&s, place, ROOM);
        if (way == 0) {
            ad_uring_recv_at(s.state, NULL, 0);
        } else {
            ad_uring_recv_stop(s.state);
            ad_uring_recv_at(s.state, place, ROOM);
            rig_wait_done(&s, AIODUCT_OP_RECV);
            s.state->filled = true;
            assert_int_equal(ad_uring_recv_start(s.state), 0);
        }
        send_more(&s, data, 3000);
        assert_memory_equal(place, guard, ROOM);
        ad_uring_recv_stop(s.state);
        memset(s.done, 0, sizeof s.done);
        rig_wait_done(&s, AIODUCT_OP_RECV);
    }
    check_pattern(&s, s.bytes);
    free(data);
    rig_disconnect(&s);
}

static void test_more_flows_than_places(void **state)
{
    (void)state;
    struct aioduct_stream s;
    uint8_t place[16];
    rig_connect(&rig, &s);
    for (unsigned i = 0; i < AD_URING_PLACES; i++) {
        rig.u->places[i].memory = place; /* others' */
    }
    name_a_place(&s, place, sizeof place);
    send_more(&s, (const uint8_t *)"elsewhere", 9);
    assert_int_equal(place[0], 0x7e);
    rig.u->places[AD_URING_PLACES - 1].memory = NULL;
    ad_uring_recv_stop(s.state);
    rig_wait_done(&s, AIODUCT_OP_RECV);
    name_a_place(&s, place, sizeof place);
    assert_int_equal(s.state->place, AD_URING_PLACES);
    s.bytes = 0;
    send_more(&s, (const uint8_t *)"there", 5);
    assert_memory_equal(place, "there", 5);
    assert_null(rig.u->places[AD_URING_PLACES - 1].memory);
    rig_disconnect(&s);
}

static void on_data_close(struct aioduct_stream *s)
{
    ad_uring_stream_close(s->state);
}

static void test_close_inside_on_data(void **state)
{
    (void)state;
    struct aioduct_stream s;
    struct peer peer = {.bytes = 300000};
    rig_connect(&rig, &s);
    peer.fd = s.peer;
    s.on_data = on_data_close;
    assert_int_equal(pthread_create(&peer.thread, NULL, peer_write, &peer), 0);
    struct pollfd ready = {.fd = s.state->fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 5000), 1);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    rig_wait_closed(&s);
    rig_disconnect(&s);
    assert_int_equal(s.slices, 1); /* none after the close */
    assert_int_equal(s.done[AIODUCT_OP_RECV].count, 1);
    pthread_join(peer.thread, NULL);
}

static void test_close_with_everything_pending(void **state)
{
    (void)state;
    struct aioduct_stream s;
    size_t bytes = 16u << 20;
    uint8_t *data = make_pattern(bytes);
    rig_connect(&rig, &s);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    assert_int_equal(ad_uring_send(s.state, &(struct iovec){data, bytes}, 1), AIODUCT_PENDING);
    assert_int_equal(ad_uring_shutdown(s.state), AIODUCT_PENDING);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ad_uring_turn(rig.u, 1000000), 0);
    }
    assert_int_equal(s.done[AIODUCT_OP_SEND].count, 0);
    ad_uring_stream_close(s.state);
    assert_int_equal(s.closed, 0);
    rig_disconnect(&s);
    assert_int_equal(s.done[AIODUCT_OP_RECV].count, 1);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, -ECANCELED);
    assert_int_equal(s.done[AIODUCT_OP_SEND].count, 1);
    assert_int_equal(s.done[AIODUCT_OP_SEND].code, -ECANCELED);
    assert_true(s.done[AIODUCT_OP_SEND].bytes > 0 && s.done[AIODUCT_OP_SEND].bytes < bytes);
    assert_int_equal(s.done[AIODUCT_OP_SHUTDOWN].count, 1);
    assert_int_equal(s.done[AIODUCT_OP_SHUTDOWN].code, -ECANCELED);
    free(data);
}

static void test_no_memory_for_pieces(void **state)
{
    (void)state;
    struct aioduct_stream s;
    struct iovec pieces[2];
    for (unsigned i = 0; i < 2; i++) {
        pieces[i] = (struct iovec){(char *)"x", 1};
    }
    rig_connect(&rig, &s);
    rig.allocs_left = 1;
    assert_int_equal(ad_uring_send(s.state, pieces, 2), -ENOMEM);
    rig.allocs_left = 0;
    assert_int_equal(ad_uring_send(s.state, pieces, 2), AIODUCT_PENDING);
    rig_wait_done(&s, AIODUCT_OP_SEND);
    assert_int_equal(s.done[AIODUCT_OP_SEND].bytes, 2);
    assert_int_equal(ad_uring_send(s.state, pieces, 0), AIODUCT_DONE);
    rig_disconnect(&s);
}

static void test_fast_open(void **state)
{
    (void)state;
    struct aioduct_socket_config config = {.size = sizeof config, .fast_open = 1};
    int queue = 16;
    for (int round = 0; round < 3; round++) { /* the first brings the cookie, if any */
        struct aioduct_stream s;
        char byte = 0;
        if (round == 0) {
            rig_connect(&rig, &s); /* makes the listener */
            setsockopt(rig.listener, IPPROTO_TCP, 23 /* TCP_FASTOPEN */, &queue, sizeof queue);
            rig_disconnect(&s);
        }
        config.host = "127.0.0.1";
        config.port = rig.port;
        assert_int_equal(rig_dial(&rig, &s, &config), AIODUCT_PENDING);
        rig_wait_done(&s, AIODUCT_OP_CONNECT);
        assert_int_equal(s.done[AIODUCT_OP_CONNECT].code, 0);
        assert_int_equal(ad_uring_recv_start(s.state), 0); /* before there is a connection */
        for (int i = 0; i < 3; i++) {
            assert_int_equal(ad_uring_turn(rig.u, 1000000), 0);
        }
        assert_int_equal(s.done[AIODUCT_OP_RECV].count, 0);
        assert_int_equal(ad_uring_send(s.state, &(struct iovec){(char *)"?", 1}, 1),
                         AIODUCT_PENDING);
        rig_wait_done(&s, AIODUCT_OP_SEND);
        assert_int_equal(s.done[AIODUCT_OP_SEND].code, 0);
        s.peer = accept(rig.listener, NULL, NULL);
        assert_int_equal(recv(s.peer, &byte, 1, 0), 1);
        assert_int_equal(send(s.peer, "!", 1, 0), 1);
        rig_wait_bytes(&s, 1);
        rig_disconnect(&s);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_large_body),
    cmocka_unit_test(test_many_at_once),
    cmocka_unit_test(test_more_than_the_queues_hold),
    cmocka_unit_test(test_large_send),
    cmocka_unit_test(test_file_against_a_body),
    cmocka_unit_test(test_bulk_stops_with_each_slice),
    cmocka_unit_test(test_reset_of_a_flow_in_bulk),
    cmocka_unit_test(test_close_of_a_flow_in_bulk),
    cmocka_unit_test(test_place_of_a_flow_in_bulk),
    cmocka_unit_test(test_more_flows_than_places),
    cmocka_unit_test(test_close_inside_on_data),
    cmocka_unit_test(test_close_with_everything_pending),
    cmocka_unit_test(test_no_memory_for_pieces),
    cmocka_unit_test(test_fast_open),
};

static const char *const names[] = {
    "a large body arrives whole, then its end",
    "forty connections receive at once",
    "two hundred connections send, receive and close at once",
    "three thousand pieces are sent whole, and shutdown comes behind them",
    "a file goes out while a large body arrives",
    "a flow in bulk stops with each slice, and goes on",
    "a reset of a flow in bulk is an error",
    "a flow in bulk is closed while the ring waits for it",
    "a flow in bulk comes to the place that is named, for one slice, until the receive ends",
    "a flow that finds no free place comes as ever",
    "a stream closed inside on_data gets no further slice",
    "closing completes everything that is pending once",
    "a send without memory takes nothing",
    "fast open receives only after the first send",
};

int main(void)
{
    enum { TESTS = sizeof tests / sizeof tests[0] };
    static struct CMUnitTest cases[TESTS * 16];
    static char titles[TESTS * 16][RIG_TITLE_BYTES];
    size_t count = 0;
    for (unsigned v = 0; v < rig_variant_count; v++) {
        for (size_t t = 0; t < TESTS; t++, count++) {
            rig_variant_case(&cases[count], titles[count], &tests[t], names[t], v, open_variant,
                             close_variant);
        }
    }
    return tap_run(cases, count, rig_require_uring, NULL);
}
