/* SPDX-License-Identifier: MIT */
/**
 * Plays a script with an HTTP/2 codec and writes down what came of it. A script has one step a
 * line:
 *
 *     get                  submit a request; requests are numbered from 1 (streams 1, 3, 5 ...)
 *     head                 the same with HEAD
 *     post hello           with this body; "post size=100000" with so many bytes
 *     pull                 with a body that has nothing until "give 1 text" or "end 1 text"
 *     trail text           with this body, and trailers
 *     connect, extended    CONNECT to b:443, or for the protocol "websocket", with what goes out
 *                          given as for pull; 2xx makes the stream raw
 *     produce              write down the frames that come out, as "> FRAME"; "produce 100" with
 *                          room for about 100 bytes
 *     cancel 1, consume 1 100 [MORE], ping, leave, room, id 2147483647
 *     on head 1 cancel 2   inside that event of request 1 (interim, head, body, end, complete,
 *                          closed)
 *     < SETTINGS           bytes of the server, see h2wire.h
 *
 * and this comes of it: "head 1 200 | a: b", "interim", "body 1 "hello"" (joined slices),
 * "trailers", "end 1", "complete 1", "closed 1 CODE refused AIODUCT_E_X phase: message", "pong",
 * "goaway 5 0", "sent 1", "failed AIODUCT_E_X: message". Every script runs with the server's bytes
 * whole, one at a time and at random cuts, and must give the same.
 */
#ifndef TESTS_UNIT_PROTO_H2_TESTER_H
#define TESTS_UNIT_PROTO_H2_TESTER_H

#include "proto/h2.h"

extern const struct ad_h2_limits h2_default_limits;

/* Fails the test when something differs. @limits NULL: the defaults. */
void h2_check_limits(const char *script, const char *wanted, const struct ad_h2_limits *limits);
/* What comes of it, whole; to be freed. */
char *h2_play(const char *script);
char *h2_play_limits(const char *script, const struct ad_h2_limits *limits);
void h2_check(const char *script, const char *wanted);

#endif
