/* SPDX-License-Identifier: MIT */
/**
 * h2requests.h - a play (peer.h) that answers HTTP/2 requests as they come whole, on any stream;
 * for frames one by one see h2peer.h. What it sends are lines of text (h2wire.h).
 *
 *     static void play(struct peer_conn *conn, int index, void *user)
 *     {
 *         struct h2_requests *h2 = h2_requests_begin(conn, "SETTINGS 3=100");
 *         struct h2_request request;
 *         while (h2_requests_next(h2, &request)) {
 *             h2_requests_send(h2, "HEADERS %u | :status: 200", request.stream);
 *             h2_requests_send(h2, "DATA %u end hello", request.stream);
 *         }
 *         h2_requests_end(h2);
 *     }
 */
#ifndef TESTS_SUPPORT_H2REQUESTS_H
#define TESTS_SUPPORT_H2REQUESTS_H

#include "peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h2_requests;

struct h2_request {
    uint32_t stream;
    char method[16], path[128];
    size_t body_bytes;
};

/* Read the client's preface and send @settings, a line of its own. Never NULL. */
struct h2_requests *h2_requests_begin(struct peer_conn *conn, const char *settings);
void h2_requests_end(struct h2_requests *h2);
/* The next frame as text, valid until the next call; NULL when the connection or the peer has
 * ended. SETTINGS and PING are acknowledged, and bodies are given their credit back. */
const char *h2_requests_read(struct h2_requests *h2);
/* Read on until a request has come whole. */
bool h2_requests_next(struct h2_requests *h2, struct h2_request *out);
/* One frame. */
bool h2_requests_send(struct h2_requests *h2, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
