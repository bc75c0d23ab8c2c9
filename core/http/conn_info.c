/* SPDX-License-Identifier: MIT */
/* What is told of a connection when somebody asks: addresses and TLS. */
#include "base/mem.h"
#include "http/conn.h"

#include <aioduct/plugin/plugin.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void ad_conn_address_text(const uint8_t *bytes, uint32_t count, char *text, int *port)
{
    struct sockaddr_storage address = {0};
    if (count == 0 || count > sizeof address) {
        return;
    }
    memcpy(&address, bytes, count);
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &v4->sin_addr, text, INET6_ADDRSTRLEN);
        *port = ntohs(v4->sin_port);
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, INET6_ADDRSTRLEN);
        *port = ntohs(v6->sin6_port);
    } else if (address.ss_family == AF_UNIX) {
        struct ad_addr local = {.storage = address, .bytes = count};
        ad_addr_text(&local, text);
    }
}

static void fill(struct ad_conn_info *info, const struct ad_conn *conn)
{
    struct ad_transport *transport = ad_conn_transport(conn);
    struct aioduct_stream_info stream = {.size = sizeof stream};
    if (ad_transport_info(transport, &stream) == 0) {
        ad_conn_address_text(stream.peer_addr, stream.peer_addr_bytes, info->peer_address,
                             &info->peer_port);
        ad_conn_address_text(stream.local_addr, stream.local_addr_bytes, info->local_address,
                             &info->local_port);
    }
    snprintf(info->tls_version, sizeof info->tls_version, "%s",
             ad_transport_tls_version(transport));
    snprintf(info->tls_cipher, sizeof info->tls_cipher, "%s", ad_transport_tls_cipher(transport));
    info->tls_resumed = ad_transport_tls_resumed(transport);
}

void ad_conn_info_fill(struct ad_conn *conn)
{
    if (conn->info != NULL || conn->state == AD_CONN_CLOSING) {
        return;
    }
    conn->info = ad_zalloc(sizeof *conn->info);
    if (conn->info != NULL) {
        fill(conn->info, conn);
    }
}
