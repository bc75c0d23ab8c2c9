/* SPDX-License-Identifier: MIT */
/**
 * nginx.h - a real server: nginx on ports of its own, in a directory of its own.
 *
 * It uses no path outside its directory. Its sockets are bound here and handed over already
 * listening, so that no port can be lost on the way. The processes are a group of their own.
 *
 * Files below nginx_dir()/html are served as /NAME, in chunks as /chunked/NAME, and at 256 KiB a
 * second as /slow/NAME. PUT /upload/NAME writes nginx_dir()/upload/NAME. POST /post answers
 * with the path of the file that holds the request body in X-Body-File. /echo gives the request's
 * head back, /close (a file, if there is one) ends the connection, /status/N is that status (204,
 * 302, 304, 404, 500), POST /limited refuses bodies over 1 KiB. Every answer says in X-Connection
 * "SERIAL REQUESTS" which connection it came on and the how many-th it was there; over TLS X-Tls,
 * X-Resumed ("r" or "."), X-Sni, X-Alpn and X-Client-Verify. NGINX_PLAIN and NGINX_TLS are also
 * at nginx_dir()/plain.sock and tls.sock.
 */
#ifndef TESTS_SUPPORT_NGINX_H
#define TESTS_SUPPORT_NGINX_H

#include <stdint.h>

struct nginx;

enum nginx_listener {
    NGINX_PLAIN,     /* 127.0.0.1, connections without end */
    NGINX_PLAIN_IP6, /* ::1; port 0 if this machine has no IPv6 */
    NGINX_SHORT,     /* closes after 3 requests on a connection */
    NGINX_BRIEF,     /* closes a connection that was idle for 1 s */
    NGINX_TLS,       /* TLS 1.2 and 1.3, certificate for localhost, 127.0.0.1 and ::1 */
    NGINX_TLS_IP6,
    NGINX_TLS_SHORT,
    NGINX_TLS_12,
    NGINX_TLS_13,
    NGINX_TLS_RSA,
    NGINX_TLS_CLIENT,          /* needs a certificate by client-ca */
    NGINX_TLS_CLIENT_OPTIONAL, /* asks for one, serves without */
    NGINX_TLS_EXPIRED,
    NGINX_TLS_WRONGNAME,
    NGINX_TLS_SELFSIGNED,
    NGINX_TLS_UNKNOWN,   /* by a CA that nobody trusts */
    NGINX_TLS_NOSAN,     /* "localhost" only as common name */
    NGINX_TLS_WILDCARD,  /* *.wild.test */
    NGINX_HTTP2,         /* HTTP/2 without asking */
    NGINX_TLS_HTTP2,     /* h2 and http/1.1 by ALPN */
    NGINX_TLS_HTTP2_CBC, /* the same with a cipher suite that HTTP/2 prohibits */
    NGINX_LISTENER_COUNT
};

/* Start one and wait until it serves -> 0 | -ENOENT (nginx is not installed) | other negative, with
 * the reason on standard output. */
int nginx_start(struct nginx **out);
/* Stop it, wait for its end, remove its directory; NULL does nothing. */
void nginx_stop(struct nginx *nginx);
/* SIGKILL to its processes, and wait for their end. nginx_stop is still due. */
void nginx_kill(struct nginx *nginx);

int nginx_port(const struct nginx *nginx, enum nginx_listener listener);
const char *nginx_dir(const struct nginx *nginx);
/* "http[s]://HOST:PORT/path" in a buffer of its own, valid for the next 8 calls; @host NULL:
 * localhost, or [::1] for the IPv6 listeners. */
const char *nginx_url(const struct nginx *nginx, enum nginx_listener listener, const char *host,
                      const char *path);

/* Serve a file of @bytes bytes as /@name (see test_file_create); its SHA-256 in @hex if not NULL.
 * -> 0 or -errno */
int nginx_add_file(const struct nginx *nginx, const char *name, uint64_t bytes, char hex[65]);

/* Lines of the access log that contain @text, "GET /small 200" say; waits at most 5 s until there
 * are @count: a line is written a moment after the answer. */
long nginx_wait_log(const struct nginx *nginx, const char *text, long count);

/* Directory with the test certificates (make-certs.sh), as "DIR/@name", valid for the next 32
 * calls. */
const char *test_cert(const char *name);

#endif
