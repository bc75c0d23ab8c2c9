/* SPDX-License-Identifier: MIT */
/* How a stream begins, or does not. */
#include "case.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static void a_connect_completes(struct ct_case *c)
{
    struct ct_stream *stream = ct_dial(c, NULL);
    assert_int_equal(stream->connect.completed, 1);
    assert_int_equal(stream->connect.bytes, 0);
    ct_close_and_wait(stream);
}

static void a_connect_over_ipv6_completes(struct ct_case *c)
{
    if (!ct_has_ipv6()) {
        ct_skip("this machine has no ::1");
    }
    ct_unlisten(&c->listener);
    ct_listen(&c->listener, AF_INET6);
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 6;
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_pattern(peer, 6, 1000), 0);
    ct_drop_fd(c, peer);
    CT_UNTIL(&c->rig, ct_is_recv_done, stream);
    assert_int_equal(stream->received, 1000);
    assert_true(stream->ended);
}

static void a_refused_connect_says_so(struct ct_case *c)
{
    struct ct_listener nobody;
    ct_nobody(&nobody);
    ct_keep_fd(c, nobody.fd);
    struct aioduct_socket_config config;
    ct_config(&config, &nobody);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    assert_int_equal(ct_dial_result(c, stream, &config), -ECONNREFUSED);
    assert_false(stream->connected);
    if (stream->dialled) {
        ct_close_and_wait(stream);
    }
}

/* To an address to which no packet goes. */
static void an_unreachable_address_is_an_error(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    struct sockaddr_in broadcast = {.sin_family = AF_INET, .sin_port = htons(9)};
    broadcast.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    config.addr = (const struct sockaddr *)&broadcast;
    config.addr_bytes = sizeof broadcast;
    assert_true(ct_dial_result(c, ct_stream_new(&c->rig), &config) < 0);
}

/* The refused call left nothing behind, in the state too. */
static void a_connect_that_was_refused_at_once_may_be_tried_again(struct ct_case *c)
{
    struct aioduct_socket_config good, bad;
    ct_config(&good, &c->listener);
    bad = good;
    struct sockaddr_storage nonsense = {.ss_family = 250};
    bad.addr = (const struct sockaddr *)&nonsense;
    bad.addr_bytes = sizeof nonsense;
    struct ct_stream *stream = ct_stream_new(&c->rig);
    int code = ct_connect(stream, &bad);
    if (code == AIODUCT_PENDING) {
        CT_UNTIL(&c->rig, ct_is_connect_done, stream);
        assert_true(stream->connect.code < 0);
        stream = ct_stream_new(&c->rig);
    }
    assert_true(code == AIODUCT_PENDING || code < 0);
    assert_int_equal(ct_dial_result(c, stream, &good), 0);
}

static void dial_by_name(struct ct_case *c, const char *host)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.host = host;
    config.addr = NULL;
    config.addr_bytes = 0;
    struct ct_stream *stream = ct_stream_new(&c->rig);
    assert_int_equal(ct_dial_result(c, stream, &config), 0);
    int peer = ct_keep_fd(c, ct_accept(&c->listener));
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_all(peer, "x", 1), 0);
    CT_UNTIL(&c->rig, ct_has_data, stream);
}

static void a_numeric_host_needs_no_address(struct ct_case *c)
{
    dial_by_name(c, "127.0.0.1");
    if (ct_has_ipv6()) {
        ct_unlisten(&c->listener);
        ct_listen(&c->listener, AF_INET6);
        dial_by_name(c, "::1");
    }
}

static void neither_host_nor_address_is_an_error(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.host = NULL;
    config.addr = NULL;
    config.addr_bytes = 0;
    assert_true(ct_dial_result(c, ct_stream_new(&c->rig), &config) < 0);
}

static void a_second_connect_on_a_stream_is_refused(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    assert_int_equal(ct_connect(stream, &config), AIODUCT_PENDING);
    assert_int_equal(ct_connect(stream, &config), -EBUSY);
    CT_UNTIL(&c->rig, ct_is_connect_done, stream);
    assert_int_equal(stream->connect.code, 0);
    assert_true(ct_connect(stream, &config) < 0);
    ct_run_for(&c->rig, 5);
    assert_int_equal(stream->connect.completed, 1);
}

static void expect_not_connected(struct ct_stream *stream)
{
    assert_int_equal(ct_recv_start(stream), -ENOTCONN);
    assert_int_equal(ct_send_bytes(stream, "x", 1), -ENOTCONN);
    assert_int_equal(ct_shutdown(stream), -ENOTCONN);
    ct_recv_stop(stream);
    ct_cancel(stream, AIODUCT_OP_RECV | AIODUCT_OP_SEND | AIODUCT_OP_SHUTDOWN);
}

/* While it dials, and after that failed. */
static void operations_need_a_connection(struct ct_case *c)
{
    struct ct_listener full;
    ct_listen_full(&full);
    struct ct_stream *dialling = ct_dial_to(c, &full);
    expect_not_connected(dialling);
    ct_run_for(&c->rig, 10);
    expect_not_connected(dialling);
    assert_true(dialling->connect.in_flight);
    ct_cancel(dialling, AIODUCT_OP_CONNECT);
    CT_UNTIL(&c->rig, ct_is_connect_done, dialling);
    expect_not_connected(dialling);
    ct_close_and_wait(dialling);
    ct_unlisten(&full);
}

/* ---- giving up ---- */

static void a_connect_is_cancelled_while_it_waits_for_the_peer(struct ct_case *c)
{
    struct ct_listener full;
    ct_listen_full(&full);
    struct ct_stream *stream = ct_dial_to(c, &full);
    ct_run_for(&c->rig, 10);
    assert_true(stream->connect.in_flight);
    ct_cancel(stream, AIODUCT_OP_CONNECT);
    ct_cancel(stream, AIODUCT_OP_CONNECT);
    CT_UNTIL(&c->rig, ct_is_connect_done, stream);
    assert_int_equal(stream->connect.code, -ECANCELED);
    ct_close_and_wait(stream);
    assert_int_equal(stream->connect.completed, 1);
    ct_unlisten(&full);
}

/* Before the loop has even looked at it. */
static void a_connect_is_cancelled_at_once(struct ct_case *c)
{
    struct ct_stream *stream = ct_dial_to(c, &c->listener);
    ct_cancel(stream, AIODUCT_OP_CONNECT);
    CT_UNTIL(&c->rig, ct_is_connect_done, stream);
    assert_true(stream->connect.code == -ECANCELED || stream->connect.code == 0);
    ct_close_and_wait(stream);
}

static void a_stream_is_closed_while_it_dials(struct ct_case *c)
{
    struct ct_listener full;
    ct_listen_full(&full);
    struct ct_stream *stream = ct_dial_to(c, &full);
    ct_run_for(&c->rig, 10);
    assert_true(stream->connect.in_flight);
    ct_close_and_wait(stream);
    assert_int_equal(stream->connect.completed, 1);
    assert_int_equal(stream->connect.code, -ECANCELED);
    ct_unlisten(&full);
}

static void a_stream_is_closed_right_after_connect(struct ct_case *c)
{
    for (int i = 0; i < 20; i++) {
        struct ct_stream *stream = ct_dial_to(c, &c->listener);
        ct_stream_close(stream);
        CT_UNTIL(&c->rig, ct_is_closed, stream);
        assert_int_equal(stream->connect.completed, 1);
    }
}

/* A cancel of others leaves it alone. */
static void cancelling_other_operations_leaves_the_connect_alone(struct ct_case *c)
{
    struct ct_stream *stream = ct_dial_to(c, &c->listener);
    ct_cancel(stream, AIODUCT_OP_RECV | AIODUCT_OP_SEND | AIODUCT_OP_SHUTDOWN);
    ct_cancel(stream, 0);
    CT_UNTIL(&c->rig, ct_is_connect_done, stream);
    assert_int_equal(stream->connect.code, 0);
    ct_cancel(stream, AIODUCT_OP_CONNECT); /* too late: nothing */
    assert_int_equal(ct_recv_start(stream), 0);
}

/* ---- several, and from callbacks ---- */

struct relay {
    struct ct_case *c;
    struct ct_stream *next;
};

static void dial_the_next(struct ct_stream *stream, int op, int code, size_t bytes)
{
    (void)op;
    (void)bytes;
    struct relay *relay = stream->user;
    CT_EXPECT(stream->rig, code == 0);
    struct aioduct_socket_config config;
    ct_config(&config, &relay->c->listener);
    relay->next = ct_stream_new(stream->rig);
    CT_EXPECT(stream->rig, ct_connect(relay->next, &config) == AIODUCT_PENDING);
}

static bool next_is_connected(void *arg)
{
    struct relay *relay = arg;
    return relay->next != NULL && relay->next->connected;
}

static void a_stream_is_dialled_inside_on_done(struct ct_case *c)
{
    struct relay relay = {.c = c};
    struct ct_stream *stream = ct_dial_to(c, &c->listener);
    stream->user = &relay;
    stream->on_done = dial_the_next;
    CT_UNTIL(&c->rig, next_is_connected, &relay);
    stream->on_done = NULL;
}

struct bunch {
    struct ct_stream *streams[200];
};

static bool all_connected(void *arg)
{
    struct bunch *bunch = arg;
    for (int i = 0; i < 200; i++) {
        if (bunch->streams[i]->connect.in_flight) {
            return false;
        }
    }
    return true;
}

static void two_hundred_streams_dial_at_the_same_time(struct ct_case *c)
{
    struct bunch bunch;
    for (int i = 0; i < 200; i++) {
        bunch.streams[i] = ct_dial_to(c, &c->listener);
    }
    CT_UNTIL(&c->rig, all_connected, &bunch);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(bunch.streams[i]->connect.code, 0);
    }
}

static void a_connected_stream_knows_its_addresses(struct ct_case *c)
{
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    struct aioduct_stream_info info;
    int code = ct_stream_info(stream, &info);
    if (code == AIODUCT_E_UNSUPPORTED) {
        ct_skip("the connector has no stream_info");
    }
    assert_int_equal(code, 0);
    struct sockaddr_in local, remote, seen;
    socklen_t seen_bytes = sizeof seen;
    assert_int_equal(info.local_addr_bytes, sizeof local);
    assert_int_equal(info.peer_addr_bytes, sizeof remote);
    memcpy(&local, info.local_addr, sizeof local);
    memcpy(&remote, info.peer_addr, sizeof remote);
    assert_int_equal(ntohs(remote.sin_port), ct_port(&c->listener));
    assert_int_equal(getpeername(peer, (struct sockaddr *)&seen, &seen_bytes), 0);
    assert_int_equal(local.sin_port, seen.sin_port);
    assert_int_equal(local.sin_addr.s_addr, seen.sin_addr.s_addr);
}

/* A reader that was built against a shorter struct. */
static void stream_info_stops_where_the_callers_struct_ends(struct ct_case *c)
{
    struct ct_stream *stream = ct_dial(c, NULL);
    if (c->rig.subject->cx->stream_info == NULL) {
        ct_skip("the connector has no stream_info");
    }
    struct aioduct_stream_info info;
    memset(&info, 0xAB, sizeof info);
    const size_t size = offsetof(struct aioduct_stream_info, local_addr);
    info.size = (uint32_t)size;
    assert_int_equal(c->rig.subject->cx->stream_info(stream->state, &info), 0);
    const unsigned char *bytes = (const unsigned char *)&info;
    for (size_t i = size; i < sizeof info; i++) {
        assert_int_equal(bytes[i], 0xAB);
    }
}

static const struct ct_test cases[] = {
    CT_CASE(a_connect_completes, "CX-2", "CX-3"),
    CT_CASE(a_connect_over_ipv6_completes, "CX-2"),
    CT_CASE(a_refused_connect_says_so, "CX-3"),
    CT_CASE(an_unreachable_address_is_an_error, "CX-3"),
    CT_CASE(a_connect_that_was_refused_at_once_may_be_tried_again, "CX-2"),
    CT_CASE(a_numeric_host_needs_no_address, "CX-6"),
    CT_CASE(neither_host_nor_address_is_an_error, "CX-6"),
    CT_CASE(a_second_connect_on_a_stream_is_refused, "CX-2", "ST-1"),
    CT_CASE(operations_need_a_connection, "ST-21"),
    CT_CASE(a_connect_is_cancelled_while_it_waits_for_the_peer, "CX-9"),
    CT_CASE(a_connect_is_cancelled_at_once, "CX-9"),
    CT_CASE(a_stream_is_closed_while_it_dials, "CX-9"),
    CT_CASE(a_stream_is_closed_right_after_connect, "CX-9"),
    CT_CASE(cancelling_other_operations_leaves_the_connect_alone, "CX-9", "ST-8"),
    CT_CASE(a_stream_is_dialled_inside_on_done, "ST-20"),
    CT_CASE(two_hundred_streams_dial_at_the_same_time, "CX-2"),
    CT_CASE(a_connected_stream_knows_its_addresses, "ST-22"),
    CT_CASE(stream_info_stops_where_the_callers_struct_ends, "ST-22"),
};

CT_GROUP(connect, CT_BY_POLL)
