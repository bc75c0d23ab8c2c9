/* SPDX-License-Identifier: MIT */
/**
 * servers.h - other real servers, all with the same paths: Apache httpd, HAProxy, Caddy, nghttpx.
 *
 * Each has a clear-text and a TLS port on 127.0.0.1 (certificate for localhost), offers HTTP/1.1
 * and HTTP/2 on both, keeps its files in a directory of its own, and runs as root or not. HAProxy
 * and nghttpx have no files of their own and ask the nginx that they are given for everything;
 * Caddy asks it for what it cannot do itself.
 *
 *   /NAME          a file, ranges too; those of the nginx for HAProxy and nghttpx
 *   /chunked/NAME  the same without a length
 *   /slow/NAME     the same at 256 KiB a second
 *   /post          the request's body as it came; through those two nginx's, with X-Body-File
 *   /close         a short file, and the server ends the connection (nghttpx: not the client's)
 * HAProxy alone: /deny is its own 403, /return its own 200, /late its own 408 to a body that
 * stands still.
 */
#ifndef TESTS_SUPPORT_SERVERS_H
#define TESTS_SUPPORT_SERVERS_H

#include "nginx.h"

#include <stdbool.h>

struct server;

enum server_kind { SERVER_APACHE, SERVER_HAPROXY, SERVER_CADDY, SERVER_NGHTTPX, SERVER_KIND_COUNT };

/* "Apache httpd", and the name of its Debian package. */
const char *server_name(enum server_kind kind);
const char *server_package(enum server_kind kind);

/* Start one and wait until it serves; its files are copies of the nginx's at this time.
 * -> 0 | -ENOENT (it is not installed) | other negative, with its messages on standard output */
int server_start(enum server_kind kind, const struct nginx *nginx, struct server **out);
/* HAProxy and nghttpx: one that asks whoever listens on @port of 127.0.0.1, by HTTP/1.1. With
 * @forward nghttpx is a forward proxy, and that one the next proxy. */
int server_start_before(enum server_kind kind, int port, bool forward, struct server **out);
/* Ask nghttpx to end when all streams have: it takes no new ones. */
void server_quit(const struct server *server);
/* Stop it, wait for its end, remove its directory; NULL does nothing. */
void server_stop(struct server *server);

/* "http[s]://localhost:PORT/path", in a buffer valid for the next 8 calls. */
const char *server_url(const struct server *server, bool tls, const char *path);

#endif
