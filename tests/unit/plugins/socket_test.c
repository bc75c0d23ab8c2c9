/* SPDX-License-Identifier: MIT */
/* Every member of a socket_config is seen by getsockopt before connect(2) could run. */
#include "socket/socket.h"
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

static char message[512];
static int message_code;

static void on_error(void *ctx, int code, const char *text)
{
    (void)ctx;
    message_code = code;
    strncpy(message, text, sizeof message - 1);
}

static const struct aioduct_host host = {.size = sizeof host, .error = on_error};

static struct ad_socket_addr made;

static int make(struct aioduct_socket_config *config)
{
    config->size = sizeof *config;
    message[0] = '\0';
    message_code = 0;
    return ad_socket_create(&host, config, SOCK_NONBLOCK, &made);
}

static int get(int fd, int level, int option)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &bytes), 0);
    return value;
}

static void test_defaults(void **state)
{
    (void)state;
    struct aioduct_socket_config config = {.host = "127.0.0.1", .port = 80};
    int fd = make(&config);
    assert_true(fd >= 0);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);

    fd = ad_socket_create(&host, &config, 0, &made);
    assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);

    config.nodelay = -1;
    fd = make(&config);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    close(fd);
}

static void test_tcp_options(void **state)
{
    (void)state;
    struct aioduct_socket_config config = {
        .host = "127.0.0.1",
        .port = 80,
        .keepalive_idle_s = 31,
        .keepalive_interval_s = 7,
        .keepalive_count = 4,
        .user_timeout_ms = 12345,
        .fast_open = 1,
        .send_buffer_bytes = 50000,
        .recv_buffer_bytes = 60000,
        .device = "lo",
        .tos = 0x88,
    };
    int fd = make(&config);
    assert_true(fd >= 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 31);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), 100000); /* the kernel doubles it */
    assert_int_equal(get(fd, SOL_SOCKET, SO_RCVBUF), 120000);
    assert_int_equal(get(fd, IPPROTO_IP, IP_TOS), 0x88);
    char device[32] = "";
    socklen_t bytes = sizeof device;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &bytes), 0);
    assert_string_equal(device, "lo");
    close(fd);

    config = (struct aioduct_socket_config){.host = "::ffff:127.0.0.1", .tos = 0x20};
    fd = make(&config);
    assert_true(fd >= 0);
    assert_int_equal(get(fd, IPPROTO_IPV6, IPV6_TCLASS), 0x20);
    assert_int_equal(get(fd, IPPROTO_IP, IP_TOS), 0x20);
    close(fd);
}

static void test_mark(void **state)
{
    (void)state;
    struct aioduct_socket_config config = {.host = "127.0.0.1", .mark = 0xf0000001};
    int fd = make(&config);
    if (fd == -EPERM) {
        assert_non_null(strstr(message, "SO_MARK"));
        tap_skip("SO_MARK needs a privilege; it was refused by name");
    }
    assert_true(fd >= 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_MARK), (int)0xf0000001);
    close(fd);
}

static void test_refused_options_are_named(void **state)
{
    (void)state;
    struct aioduct_socket_config config = {.host = "127.0.0.1", .user_timeout_ms = UINT32_MAX};
    assert_int_equal(make(&config), -EINVAL);
    assert_int_equal(message_code, -EINVAL);
    assert_non_null(strstr(message, "TCP_USER_TIMEOUT"));
    assert_non_null(strstr(message, "127.0.0.1"));

    config = (struct aioduct_socket_config){.host = "127.0.0.1", .device = "nonesuch0"};
    assert_int_equal(make(&config), -ENODEV);
    assert_non_null(strstr(message, "SO_BINDTODEVICE to nonesuch0"));
    config.device = "lo0123456789abcd"; /* the kernel would cut it */
    assert_int_equal(make(&config), -EINVAL);
    assert_non_null(strstr(message, "name lo0123456789abcd is longer than 15 bytes"));

    config = (struct aioduct_socket_config){
        .host = "127.0.0.1", .keepalive_idle_s = 1, .keepalive_count = 100000};
    assert_int_equal(make(&config), -EINVAL);
    assert_non_null(strstr(message, "TCP_KEEPCNT"));
}

static void test_numeric_hosts(void **state)
{
    (void)state;
    struct aioduct_socket_config config = {.host = "fe80::1%lo", .port = 8080};
    int fd = make(&config);
    assert_true(fd >= 0);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&made.storage;
    assert_int_equal(made.bytes, sizeof *in6);
    assert_int_equal(in6->sin6_scope_id, 1);
    assert_int_equal(in6->sin6_port, htons(8080));
    close(fd);

    static const char *const names[] = {"localhost", "127.1",  "[::1]", "",
                                        "1.2.3.4.5", "::1%xy", "::1%"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        config.host = names[i];
        assert_int_equal(make(&config), AIODUCT_E_UNSUPPORTED);
        assert_non_null(strstr(message, "resolve"));
    }
    config.host = NULL;
    assert_int_equal(make(&config), -EINVAL);
}

static void test_local_address_without_port(void **state)
{
    (void)state;
    struct sockaddr_in local = {.sin_family = AF_INET};
    inet_pton(AF_INET, "127.0.0.9", &local.sin_addr);
    struct aioduct_socket_config config = {.host = "127.0.0.1",
                                           .local_addr = (struct sockaddr *)&local,
                                           .local_addr_bytes = sizeof local};
    int fd = make(&config);
    assert_true(fd >= 0);
    assert_int_equal(get(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1);
    struct sockaddr_in got;
    socklen_t bytes = sizeof got;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&got, &bytes), 0);
    assert_int_equal(got.sin_addr.s_addr, local.sin_addr.s_addr);
    assert_int_equal(got.sin_port, 0); /* not taken yet */
    close(fd);

    config.host = "::1";
    assert_int_equal(make(&config), -EINVAL);
    assert_non_null(strstr(message, "family"));
}

/* Bind a socket to any free port of 127.0.0.1 -> descriptor */
static int occupy(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof local;
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &bytes), 0);
    *port = ntohs(local.sin_port);
    return fd;
}

static void test_port_range(void **state)
{
    (void)state;
    uint16_t taken;
    int other = occupy(&taken);
    uint16_t last = taken > 65000 ? 65535 : (uint16_t)(taken + 500);
    struct aioduct_socket_config config = {
        .host = "127.0.0.1", .local_port_min = taken, .local_port_max = last};
    int fd = make(&config);
    assert_true(fd >= 0);
    struct sockaddr_in got;
    socklen_t bytes = sizeof got;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&got, &bytes), 0);
    assert_in_range(ntohs(got.sin_port), taken + 1, last);
    close(fd);

    config.local_port_max = taken;
    assert_int_equal(make(&config), -EADDRINUSE);
    assert_non_null(strstr(message, "range"));
    config.local_port_max = 0; /* one port */
    assert_int_equal(make(&config), -EADDRINUSE);
    config.local_port_max = (uint16_t)(taken - 1);
    assert_int_equal(make(&config), -EINVAL);
    close(other);

    config.local_port_max = 0;
    fd = make(&config);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&got, &bytes), 0);
    assert_int_equal(ntohs(got.sin_port), taken);
    close(fd);
}

static void test_unix_socket(void **state)
{
    (void)state;
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/nowhere"};
    struct aioduct_socket_config config = {
        .host = "local",
        .addr = (struct sockaddr *)&path,
        .addr_bytes = sizeof path,
        .keepalive_idle_s = 5,
    };
    int fd = make(&config);
    assert_true(fd >= 0);
    assert_int_equal(made.storage.ss_family, AF_UNIX);
    close(fd);
    config.local_port_min = 2000;
    config.device = "nosuch0";
    config.tos = 0x10;
    fd = make(&config);
    assert_true(fd >= 0);
    close(fd);
    config.addr_bytes = 4096;
    assert_int_equal(make(&config), -EINVAL);
}

static void test_no_descriptors_left(void **state)
{
    (void)state;
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(STDERR_FILENO); /* the lowest free number */
    close(next);
    tight = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    struct aioduct_socket_config config = {.host = "127.0.0.1"};
    int code = make(&config);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(code, -EMFILE);
    assert_int_equal(message_code, -EMFILE);
}

static void test_info_stops_at_its_size(void **state)
{
    (void)state;
    uint16_t port;
    int fd = occupy(&port);
    struct aioduct_stream_info info = {.size = sizeof info};
    assert_int_equal(ad_socket_info(fd, &info), 0);
    assert_int_equal(info.size, sizeof info);
    assert_int_equal(info.fd, fd);
    assert_int_equal(info.local_addr_bytes, sizeof(struct sockaddr_in));
    assert_int_equal(info.peer_addr_bytes, 0);
    struct sockaddr_in got;
    memcpy(&got, info.local_addr, sizeof got);
    assert_int_equal(ntohs(got.sin_port), port);

    memset(&info, 0x5a, sizeof info);
    info.size = 8;
    assert_int_equal(ad_socket_info(fd, &info), 0);
    assert_int_equal(info.fd, fd);
    assert_int_equal(info.local_addr[0], 0x5a);
    close(fd);
}

/* A connected socket whose peer has closed: what is sent to it now is answered by a reset. */
static int connect_to_gone(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in at;
    socklen_t bytes = sizeof at;
    char byte;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &bytes), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    close(accept(listener, NULL, NULL));
    close(listener);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    return fd;
}

/* sendfile(2) goes in parts: the first meets the closed peer, the second the reset. */
static void test_file_to_gone(void **state)
{
    (void)state;
    enum { FILE_BYTES = 1 << 20 };
    int fd = connect_to_gone(), room = 4 * FILE_BYTES;
    int file = memfd_create("zeros", MFD_CLOEXEC);
    sigset_t waiting;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    assert_int_equal(ftruncate(file, FILE_BYTES), 0);
    signal(SIGPIPE, SIG_DFL); /* one would end this process */
    int64_t went = ad_socket_sendfile(fd, file, 0, FILE_BYTES);
    assert_true(went > 0 && went < FILE_BYTES);
    assert_int_equal(ad_socket_sendfile(fd, file, went, FILE_BYTES), -EPIPE);
    assert_int_equal(sigpending(&waiting), 0);
    assert_int_equal(sigismember(&waiting, SIGPIPE), 0);
    close(file);
    close(fd);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"by default: no delay, no keepalive, close-on-exec", test_defaults, NULL, NULL, NULL},
        {"every TCP option is set", test_tcp_options, NULL, NULL, NULL},
        {"a mark keeps all 32 bits", test_mark, NULL, NULL, NULL},
        {"an option that is refused is named", test_refused_options_are_named, NULL, NULL, NULL},
        {"numeric hosts need no resolver, names are refused", test_numeric_hosts, NULL, NULL, NULL},
        {"a local address alone takes no port before connect", test_local_address_without_port,
         NULL, NULL, NULL},
        {"a port range gives its first free port", test_port_range, NULL, NULL, NULL},
        {"a local socket has no TCP options", test_unix_socket, NULL, NULL, NULL},
        {"no descriptor left is a plain error", test_no_descriptors_left, NULL, NULL, NULL},
        {"information stops at the size asked for", test_info_stops_at_its_size, NULL, NULL, NULL},
        {"a connection that breaks in the middle of a file raises no SIGPIPE", test_file_to_gone,
         NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
