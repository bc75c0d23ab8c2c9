/* SPDX-License-Identifier: MIT */
/**
 * h2peer.h - a peer (peer.h) that speaks HTTP/2, right or wrong, frame by frame.
 *
 * A play is a script, one step a line, or a function that calls the verbs below:
 *
 *     < FRAME      send it, as h2wire.h has it
 *     ? TEXT       read until a frame whose line begins so ("HEADERS 3", "RST_STREAM 1 8")
 *     gate N       wait until the test opens that gate; "open N" opens one
 *     serve        answer every request with 200 and "ok", until the client ends
 *     mute         from now on, answer no PING
 *     close, half-close, cut, reset
 *
 * A client's SETTINGS and PINGs are answered by themselves while frames are read. When a script is
 * over, frames are read until the client ends. Every frame of a client is in the log of its
 * connection, one line each.
 */
#ifndef TESTS_SUPPORT_H2PEER_H
#define TESTS_SUPPORT_H2PEER_H

#include "tester.h"

#include <stdarg.h>

#define H2PEER_CONNECTIONS 16

struct h2peer;
struct h2play;

struct h2peer_options {
    /* For each connection; the last one for all further ones. NULL ends the list. */
    const char *scripts[H2PEER_CONNECTIONS];
    void (*play)(struct h2play *play, int index, void *user); /* instead of scripts */
    void *user;
    const char *alpn; /* "h2" if NULL; a connection that agrees on http/1.1 answers 200 "one" */
    unsigned receive_buffer; /* as of peer_options */
    const char *priority;    /* GnuTLS priority string */
};

/* Becomes the tester's peer, over TLS if the case is; lives as long as the tester. */
struct h2peer *h2peer_start(struct tester *t, const struct h2peer_options *options);
/* With one script for all connections. */
struct h2peer *h2peer_script(struct tester *t, const char *script);

/* What came on a connection so far; valid until the next call. */
const char *h2peer_log(struct h2peer *h2, int connection);
/* Wait until @count lines of the log begin with @text, at most 10 s -> how many there are. */
int h2peer_wait(struct h2peer *h2, int connection, const char *text, int count);
int h2peer_count(struct h2peer *h2, int connection, const char *text);

/* ---- verbs for a play; false when the connection has ended ---- */
bool h2play_send(struct h2play *play, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Until a frame whose line begins with @text. */
bool h2play_wait(struct h2play *play, const char *text);
/* Id of the frame that h2play_wait ended with. */
uint32_t h2play_id(const struct h2play *play);
struct peer_conn *h2play_conn(struct h2play *play);
void h2play_mute(struct h2play *play, bool mute);
/* Play @script on. */
bool h2play_script(struct h2play *play, const char *script);

#endif
