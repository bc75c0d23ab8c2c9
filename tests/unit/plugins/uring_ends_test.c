/* SPDX-License-Identifier: MIT */
/* How operations of a stream of the ring end: stopped, refused, by the peer's end, and in the turn
 * in which they would have ended anyway. On every path of receiving, as uring_stream_test.c. */
#include "uring_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void test_stop_and_restart(void **state)
{
    (void)state;
    struct aioduct_stream s;
    rig_connect(&rig, &s);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    assert_int_equal(ad_uring_recv_start(s.state), -EBUSY);
    assert_int_equal(send(s.peer, "one", 3, 0), 3);
    rig_wait_bytes(&s, 3);
    ad_uring_recv_stop(s.state);
    ad_uring_recv_stop(s.state);
    rig_wait_done(&s, AIODUCT_OP_RECV);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, -ECANCELED);
    assert_int_equal(send(s.peer, "two", 3, 0), 3);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ad_uring_turn(rig.u, 2000000), 0);
    }
    assert_int_equal(s.bytes, 3); /* nobody listens */
    memset(s.done, 0, sizeof s.done);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    rig_wait_bytes(&s, 6);
    assert_memory_equal(s.data, "onetwo", 6);
    assert_int_equal(s.done[AIODUCT_OP_RECV].count, 0);

    /* Stopped before the ring ever saw it. */
    ad_uring_recv_stop(s.state);
    rig_wait_done(&s, AIODUCT_OP_RECV);
    memset(s.done, 0, sizeof s.done);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    ad_uring_recv_stop(s.state);
    assert_int_equal(ad_uring_recv_start(s.state), -EBUSY);
    assert_int_equal(s.done[AIODUCT_OP_RECV].count, 0);
    rig_wait_done(&s, AIODUCT_OP_RECV);
    assert_int_equal(s.done[AIODUCT_OP_RECV].count, 1);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, -ECANCELED);
    rig_disconnect(&s);
}

static void on_done_start(struct aioduct_stream *s, int op)
{
    if (op == AIODUCT_OP_RECV && s->done[op].code == -ECANCELED) {
        assert_int_equal(ad_uring_recv_start(s->state), 0);
    }
}

static struct aioduct_stream *to_stop;

static void on_data_stop_other(struct aioduct_stream *s)
{
    (void)s;
    ad_uring_recv_stop(to_stop->state);
}

/* A receive is stopped in the turn in which it ends by itself: the cancel that is no longer needed
 * does not end the next one. */
static void test_late_cancel(void **state)
{
    struct aioduct_stream first, second;
    (void)state;
    rig_connect(&rig, &first);
    rig_connect(&rig, &second);
    assert_int_equal(ad_uring_recv_start(first.state), 0);
    assert_int_equal(ad_uring_recv_start(second.state), 0);
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    to_stop = &second;
    first.on_data = on_data_stop_other;
    second.on_done = on_done_start;
    assert_int_equal(send(first.peer, "a", 1, 0), 1);
    assert_int_equal(send(second.peer, "b", 1, 0), 1);
    rig_wait_done(&second, AIODUCT_OP_RECV);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ad_uring_turn(rig.u, 1000000), 0);
    }
    assert_int_equal(second.done[AIODUCT_OP_RECV].count, 1);
    assert_int_equal(second.done[AIODUCT_OP_RECV].code, -ECANCELED);
    assert_int_equal(send(second.peer, "c", 1, 0), 1);
    rig_wait_bytes(&second, 2);
    assert_memory_equal(second.data, "bc", 2);
    second.on_done = NULL;
    rig_disconnect(&first);
    rig_disconnect(&second);
}

static void test_bytes_then_end_between_turns(void **state)
{
    (void)state;
    struct aioduct_stream s;
    rig_connect(&rig, &s);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    assert_int_equal(send(s.peer, "last", 4, 0), 4);
    shutdown(s.peer, SHUT_WR);
    rig_wait_done(&s, AIODUCT_OP_RECV);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, 0);
    assert_memory_equal(s.data, "last", 4);
    rig_disconnect(&s);
}

static void test_bytes_then_reset_between_turns(void **state)
{
    (void)state;
    struct aioduct_stream s;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    rig_connect(&rig, &s);
    assert_int_equal(ad_uring_recv_start(s.state), 0);
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    assert_int_equal(send(s.peer, "last", 4, 0), 4);
    setsockopt(s.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(s.peer);
    s.peer = -1;
    rig_wait_done(&s, AIODUCT_OP_RECV);
    assert_int_equal(s.done[AIODUCT_OP_RECV].code, -ECONNRESET);
    assert_int_equal(ad_uring_send(s.state, &(struct iovec){(char *)"x", 1}, 1), AIODUCT_PENDING);
    rig_wait_done(&s, AIODUCT_OP_SEND);
    assert_int_equal(s.done[AIODUCT_OP_SEND].code, -EPIPE);
    rig_disconnect(&s);
}

static void test_refused(void **state)
{
    (void)state;
    struct aioduct_stream s;
    struct aioduct_socket_config config = {.size = sizeof config, .host = "127.0.0.1"};
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, not listening: nobody else takes it */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    config.port = ntohs(address.sin_port);
    assert_int_equal(rig_dial(&rig, &s, &config), AIODUCT_PENDING);
    assert_int_equal(ad_uring_recv_start(s.state), -ENOTCONN);
    rig_wait_done(&s, AIODUCT_OP_CONNECT);
    assert_int_equal(s.done[AIODUCT_OP_CONNECT].code, -ECONNREFUSED);
    assert_int_equal(ad_uring_send(s.state, NULL, 0), -ENOTCONN);
    rig_disconnect(&s);
    close(fd);
}

static void test_close_while_connecting(void **state)
{
    (void)state;
    struct aioduct_stream s;
    struct aioduct_stream never;
    struct aioduct_stream none;
    /* Nothing answers at this address, which is reserved for documentation; where there is no route
     * at all, the answer is an error that comes at once. */
    struct aioduct_socket_config config = {.size = sizeof config, .host = "192.0.2.1", .port = 9};
    assert_int_equal(rig_dial(&rig, &s, &config), AIODUCT_PENDING);
    assert_int_equal(ad_uring_turn(rig.u, 0), 0);
    rig_disconnect(&s);
    assert_int_equal(s.done[AIODUCT_OP_CONNECT].count, 1);
    assert_true(s.done[AIODUCT_OP_CONNECT].code < 0);

    assert_int_equal(rig_dial(&rig, &never, &config), AIODUCT_PENDING);
    rig_disconnect(&never); /* the ring never saw it */
    assert_int_equal(never.done[AIODUCT_OP_CONNECT].count, 1);
    assert_int_equal(never.done[AIODUCT_OP_CONNECT].code, -ECANCELED);

    config.host = "not a number";
    assert_true(rig_dial(&rig, &none, &config) < 0);
    assert_non_null(strstr(rig.error, "not a number"));
    free(none.state);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_stop_and_restart),
    cmocka_unit_test(test_late_cancel),
    cmocka_unit_test(test_bytes_then_end_between_turns),
    cmocka_unit_test(test_bytes_then_reset_between_turns),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_close_while_connecting),
};

static const char *const names[] = {
    "a receive stops, restarts and stops unseen",
    "a cancel that comes too late does not end the next receive",
    "bytes and end that come between two turns are both seen",
    "bytes and reset that come between two turns are both seen",
    "a refused connection is told as such",
    "a stream is closed while it connects",
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
