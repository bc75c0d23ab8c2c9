/* SPDX-License-Identifier: MIT */
/* The socket configuration: every field has its effect, and has it before the peer hears of us. */
#include "case.h"
#include "proc.h"
#include "trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &bytes), 0);
    return value;
}

/* The descriptor of a stream, by what it says or by what is new in the table. */
static int fd_of(struct ct_stream *stream, const struct ct_fds *before)
{
    struct aioduct_stream_info info;
    if (ct_stream_info(stream, &info) == 0 && info.fd >= 0) {
        return info.fd;
    }
    struct ct_fds now;
    ct_fds_now(&now);
    for (int fd = 0; (fd = ct_fds_next_new(before, &now, fd)) >= 0; fd++) {
        if (ct_is_socket(fd)) {
            return fd;
        }
    }
    ct_skip("the runtime's sockets are not in the table of descriptors");
    return -1;
}

static bool is_privileged(void)
{
    return geteuid() == 0;
}

/* Everything at once, each value unlike the system's default. */
static void config_with_all(struct aioduct_socket_config *config,
                            const struct ct_listener *listener)
{
    ct_config(config, listener);
    config->nodelay = 1;
    config->keepalive_idle_s = 77;
    config->keepalive_interval_s = 13;
    config->keepalive_count = 4;
    config->user_timeout_ms = 45678;
    config->send_buffer_bytes = 70000;
    config->recv_buffer_bytes = 90000;
    config->tos = 0x10;
    if (is_privileged()) {
        config->mark = 0x2a;
        config->device = "lo";
    }
}

static void expect_all(int fd)
{
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0, 1);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), 13);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 45678);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 2 * 70000); /* the kernel doubles it */
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_RCVBUF), 2 * 90000);
    assert_int_equal(option_of(fd, IPPROTO_IP, IP_TOS), 0x10);
    if (is_privileged()) {
        assert_int_equal(option_of(fd, SOL_SOCKET, SO_MARK), 0x2a);
        char device[IFNAMSIZ] = "";
        socklen_t bytes = sizeof device;
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &bytes), 0);
        assert_string_equal(device, "lo");
    }
}

static void every_option_has_its_effect(struct ct_case *c)
{
    struct aioduct_socket_config config;
    config_with_all(&config, &c->listener);
    struct ct_fds before;
    ct_fds_now(&before);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    assert_int_equal(ct_dial_result(c, stream, &config), 0);
    expect_all(fd_of(stream, &before));
}

/* The listener does not answer, so what is set now was set before the connection. */
static void options_are_set_before_the_peer_answers(struct ct_case *c)
{
    struct ct_listener full;
    ct_listen_full(&full);
    struct aioduct_socket_config config;
    config_with_all(&config, &full);
    struct ct_fds before;
    ct_fds_now(&before);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    assert_int_equal(ct_connect(stream, &config), AIODUCT_PENDING);
    ct_run_for(&c->rig, 10);
    assert_true(stream->connect.in_flight);
    expect_all(fd_of(stream, &before));
    ct_close_and_wait(stream);
    ct_unlisten(&full);
}

static void dial_with_everything(struct ct_case *c)
{
    ct_case_open(c);
    struct aioduct_socket_config config;
    config_with_all(&config, &c->listener);
    struct sockaddr_in local = {.sin_family = AF_INET};
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    config.local_addr = (const struct sockaddr *)&local;
    config.local_addr_bytes = sizeof local;
    assert_int_equal(ct_dial_result(c, ct_stream_new(&c->rig), &config), 0);
}

/* In the order of the system calls. */
static void options_are_set_before_connect_is_called(struct ct_case *c)
{
    struct ct_trace trace;
    ct_trace_child(&trace, dial_with_everything, c);
    static const char *const calls[] = {
        "TCP_NODELAY",      "SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL",
        "TCP_KEEPCNT",      "SO_SNDBUF",    "SO_RCVBUF",    "IP_TOS",
        "TCP_USER_TIMEOUT", "bind(",        "SO_MARK",      "SO_BINDTODEVICE",
    };
    unsigned count = sizeof calls / sizeof calls[0] - (is_privileged() ? 0 : 2);
    for (unsigned i = 0; i < count; i++) {
        const char *wrong = ct_trace_check_before_connect(&trace, calls[i]);
        if (wrong != NULL) {
            ct_fail("%s: %s", calls[i], wrong);
        }
    }
    ct_trace_free(&trace);
}

static void the_defaults_are_the_systems_but_nodelay(struct ct_case *c)
{
    int usual = ct_keep_fd(c, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct ct_fds before;
    ct_fds_now(&before);
    int fd = fd_of(ct_dial(c, NULL), &before);
    assert_true(option_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    const int same[][2] = {{IPPROTO_TCP, TCP_KEEPIDLE},   {IPPROTO_TCP, TCP_USER_TIMEOUT},
                           {IPPROTO_TCP, TCP_KEEPINTVL},  {IPPROTO_TCP, TCP_KEEPCNT},
                           {IPPROTO_IP, IP_TOS},          {SOL_SOCKET, SO_MARK},
                           {SOL_SOCKET, SO_BINDTOIFINDEX}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(option_of(fd, same[i][0], same[i][1]),
                         option_of(usual, same[i][0], same[i][1]));
    }
}

static void nodelay_is_turned_off(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.nodelay = -1;
    config.keepalive_idle_s = 5; /* the system's interval and count */
    struct ct_fds before;
    ct_fds_now(&before);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    assert_int_equal(ct_dial_result(c, stream, &config), 0);
    int fd = fd_of(stream, &before);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 5);
}

/* Over IPv6 it has another name. */
static void tos_is_the_traffic_class_of_ipv6(struct ct_case *c)
{
    if (!ct_has_ipv6()) {
        ct_skip("this machine has no ::1");
    }
    ct_unlisten(&c->listener);
    ct_listen(&c->listener, AF_INET6);
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.tos = 0x10;
    struct ct_fds before;
    ct_fds_now(&before);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    assert_int_equal(ct_dial_result(c, stream, &config), 0);
    assert_int_equal(option_of(fd_of(stream, &before), IPPROTO_IPV6, IPV6_TCLASS), 0x10);
}

/* ---- our side of the connection ---- */

static struct sockaddr_in peer_name(int fd)
{
    struct sockaddr_in name;
    socklen_t bytes = sizeof name;
    assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &bytes), 0);
    return name;
}

static struct sockaddr_in local_address(uint32_t host_order)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    local.sin_addr.s_addr = htonl(host_order);
    return local;
}

static void the_peer_sees_the_local_address(struct ct_case *c)
{
    struct sockaddr_in local = local_address(INADDR_LOOPBACK + 1);
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.local_addr = (const struct sockaddr *)&local;
    config.local_addr_bytes = sizeof local;
    assert_int_equal(ct_dial_result(c, ct_stream_new(&c->rig), &config), 0);
    int peer = ct_keep_fd(c, ct_accept(&c->listener));
    assert_int_equal(ntohl(peer_name(peer).sin_addr.s_addr), INADDR_LOOPBACK + 1);
}

static void an_address_that_is_not_ours_is_an_error(struct ct_case *c)
{
    struct sockaddr_in local = local_address(0xC0000201); /* 192.0.2.1, for documentation */
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.local_addr = (const struct sockaddr *)&local;
    config.local_addr_bytes = sizeof local;
    assert_int_equal(ct_dial_result(c, ct_stream_new(&c->rig), &config), -EADDRNOTAVAIL);
}

/* Hold @port of 127.0.0.1. -> could it be had? */
static bool hold_port(struct ct_case *c, uint16_t port)
{
    struct sockaddr_in local = local_address(INADDR_LOOPBACK);
    local.sin_port = htons(port);
    int fd = ct_keep_fd(c, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return bind(fd, (const struct sockaddr *)&local, sizeof local) == 0 && listen(fd, 1) == 0;
}

/* -> a port that is free like the two after it; the case holds the first two */
static uint16_t three_ports(struct ct_case *c)
{
    uint64_t random = (uint64_t)getpid() * 2654435761u + 1;
    for (int i = 0; i < 15; i++) {
        uint16_t port = (uint16_t)(15000 + ct_random(&random) % 15000);
        if (hold_port(c, port) && hold_port(c, (uint16_t)(port + 1)) &&
            hold_port(c, (uint16_t)(port + 2))) {
            ct_drop_fd(c, c->fds[c->fd_count - 1]);
            return port;
        }
    }
    ct_skip("no three ports in a row are free");
    return 0;
}

static int dial_from_range(struct ct_case *c, uint16_t min, uint16_t max, bool with_address)
{
    struct sockaddr_in local = local_address(INADDR_LOOPBACK);
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.local_port_min = min;
    config.local_port_max = max;
    if (with_address) {
        config.local_addr = (const struct sockaddr *)&local;
        config.local_addr_bytes = sizeof local;
    }
    return ct_dial_result(c, ct_stream_new(&c->rig), &config);
}

static void the_first_free_port_of_the_range_is_taken(struct ct_case *c)
{
    uint16_t port = three_ports(c);
    assert_int_equal(dial_from_range(c, port, (uint16_t)(port + 2), true), 0);
    int peer = ct_keep_fd(c, ct_accept(&c->listener));
    assert_int_equal(ntohs(peer_name(peer).sin_port), port + 2);
}

static void a_range_does_without_a_local_address(struct ct_case *c)
{
    uint16_t port = three_ports(c);
    assert_int_equal(dial_from_range(c, (uint16_t)(port + 2), (uint16_t)(port + 40), false), 0);
    int peer = ct_keep_fd(c, ct_accept(&c->listener));
    assert_int_equal(ntohs(peer_name(peer).sin_port), port + 2);
}

static void a_range_without_a_free_port_is_an_error(struct ct_case *c)
{
    uint16_t port = three_ports(c);
    assert_int_equal(dial_from_range(c, port, (uint16_t)(port + 1), true), -EADDRINUSE);
}

/* ---- refusals and hints ---- */

static void a_device_that_is_not_there_is_an_error(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.device = "nosuchdevice0";
    int code = ct_dial_result(c, ct_stream_new(&c->rig), &config);
    if (!is_privileged() && code == -EPERM) {
        ct_skip("only the superuser may choose a device");
    }
    assert_int_equal(code, -ENODEV);
}

/* Longer than any name can be: not cut short, refused. */
static void a_device_name_that_is_too_long_is_an_error(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.device = "lo\0is not the device";
    if (is_privileged()) {
        assert_int_equal(ct_dial_result(c, ct_stream_new(&c->rig), &config), 0);
    }
    config.device = "lo0123456789abcd"; /* one more than the longest, 15 bytes */
    assert_int_equal(ct_dial_result(c, ct_stream_new(&c->rig), &config), -EINVAL);
    assert_int_equal(c->rig.error_code, -EINVAL);
    assert_non_null(strstr(c->rig.error_text, "lo0123456789abcd"));
    config.device = "averyveryverylongdevicename";
    assert_int_equal(ct_dial_result(c, ct_stream_new(&c->rig), &config), -EINVAL);
    config.device = "lo0123456789abc";
    int code = ct_dial_result(c, ct_stream_new(&c->rig), &config);
    assert_true(code == -ENODEV || code == -EPERM);
}

static void fast_open_is_only_a_hint(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    config.fast_open = 1;
    for (int round = 0; round < 2; round++) {
        struct ct_stream *stream = ct_stream_new(&c->rig);
        assert_int_equal(ct_dial_result(c, stream, &config), 0);
        stream->seed = 2;
        assert_int_equal(ct_recv_start(stream), 0);
        assert_true(ct_send_bytes(stream, "hello", 5) >= 0);
        CT_UNTIL(&c->rig, ct_is_send_done, stream);
        int peer = ct_keep_fd(c, ct_accept(&c->listener));
        assert_true(ct_wait_readable(peer, 5));
        assert_int_equal(ct_write_pattern(peer, 2, 100), 0);
        ct_drop_fd(c, peer);
        CT_UNTIL(&c->rig, ct_is_recv_done, stream);
        assert_int_equal(stream->send.accepted == 0 ? 0 : stream->send.code, 0);
        ct_close_and_wait(stream);
        /* From now on the listener hands out cookies: the second round may use one. */
        int queue = 16;
        setsockopt(c->listener.fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue);
    }
}

static const struct ct_test cases[] = {
    CT_CASE(every_option_has_its_effect, "CX-4"),
    CT_CASE(options_are_set_before_the_peer_answers, "CX-4"),
    CT_BARE_CASE(options_are_set_before_connect_is_called, "CX-4"),
    CT_CASE(the_defaults_are_the_systems_but_nodelay, "CX-5"),
    CT_CASE(nodelay_is_turned_off, "CX-5"),
    CT_CASE(tos_is_the_traffic_class_of_ipv6, "CX-4"),
    CT_CASE(the_peer_sees_the_local_address, "CX-7"),
    CT_CASE(an_address_that_is_not_ours_is_an_error, "CX-7"),
    CT_CASE(the_first_free_port_of_the_range_is_taken, "CX-7"),
    CT_CASE(a_range_does_without_a_local_address, "CX-7"),
    CT_CASE(a_range_without_a_free_port_is_an_error, "CX-7"),
    CT_CASE(a_device_that_is_not_there_is_an_error, "CX-8"),
    CT_CASE(a_device_name_that_is_too_long_is_an_error, "CX-8"),
    CT_CASE(fast_open_is_only_a_hint, "CX-8"),
};

CT_GROUP(options, 0)
