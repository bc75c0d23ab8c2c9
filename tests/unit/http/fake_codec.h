/* SPDX-License-Identifier: MIT */
/**
 * A codec that carries many exchanges and that a play can speak: what the pool does with shared
 * connections, without HTTP/2. A request goes out as a head of HTTP/1.1 whose path names it, and
 * the server answers in lines, in any order:
 *
 *     A/path  200, no body             R/path  refused: not processed
 *     1/path  wants HTTP/1.1           C/path  reset, and calm is asked for
 *     L/path  lost: nobody knows       M n     takes n exchanges at a time
 *     G       goes away: no more       P...    nothing
 */
#ifndef TESTS_UNIT_HTTP_FAKE_CODEC_H
#define TESTS_UNIT_HTTP_FAKE_CODEC_H

#include "http/conn.h"

extern const struct ad_codec fake_codec;

/* What a new connection takes at a time, before it says so. */
extern unsigned fake_room;

#endif
