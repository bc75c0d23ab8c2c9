/* SPDX-License-Identifier: MIT */
/**
 * socket.h - turns a `struct aioduct_socket_config` into a socket that is ready for connect(2).
 *
 * Every call is a system call that does not block, so a runtime of any kind may use it.
 * Stateless; any thread.
 */
#ifndef AD_SOCKET_SOCKET_H
#define AD_SOCKET_SOCKET_H

#include <aioduct/plugin/plugin.h>
#include <sys/socket.h>

/* Where to connect. */
struct ad_socket_addr {
    struct sockaddr_storage storage;
    socklen_t bytes;
};

/**
 * Make a close-on-exec stream socket, set every option of @config, bind it if asked. What goes to a
 * unix-domain socket goes through no network: of the options only the buffers are for it.
 * @type_flags is SOCK_NONBLOCK or 0.
 * Returns: descriptor, with @out_addr filled | -errno of the option that was refused, after
 * host->error named it | AIODUCT_E_UNSUPPORTED (no address, and the host is not numeric)
 */
int ad_socket_create(const struct aioduct_host *host, const struct aioduct_socket_config *config,
                     int type_flags, struct ad_socket_addr *out_addr);

/* Fill @info, as far as its size reaches, with what the kernel says of @fd (-1: nothing). -> 0 */
int ad_socket_info(int fd, struct aioduct_stream_info *info);

/* Put at most @bytes of the file @fd into @socket, which does not block, without SIGPIPE. -> bytes
 * that went, 0 at the file's end | -EAGAIN | what is wrong with the connection |
 * AIODUCT_E_UNSUPPORTED: whatever else is wrong */
int64_t ad_socket_sendfile(int socket, int fd, int64_t offset, size_t bytes);

#endif
