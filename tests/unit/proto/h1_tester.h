/* SPDX-License-Identifier: MIT */
/**
 * Feeds bytes to an HTTP/1.1 codec and writes down what came of them, one line an event:
 *
 *     interim 103 1.1 "Early Hints" | Link: x
 *     head 200 1.1 "OK" | A: b | C: d
 *     body "hello"                     (all slices of a body together)
 *     trailers | E: f
 *     complete reusable                (or: complete closing)
 *     consumed 57                      (only if some bytes were left)
 *     AIODUCT_E_PROTOCOL head: message
 *
 * Every case runs whole, one byte at a time and at 50 random cuts, and must give the same lines.
 * Pieces are copies of exactly their size, freed at once, so that a stale pointer is seen.
 */
#ifndef TESTS_UNIT_PROTO_H1_TESTER_H
#define TESTS_UNIT_PROTO_H1_TESTER_H

#include "proto/h1.h"

#include <stdbool.h>
#include <stddef.h>

struct h1_case {
    const char *input;  /* '~' stands for a NUL byte */
    const char *wanted; /* the lines, joined by '\n', without a last one; NULL: not compared */
    unsigned flags;     /* AD_H1_* */
    bool eof;           /* the peer closes after the input */
    const struct ad_h1_limits *limits; /* NULL: the defaults */
};

extern const struct ad_h1_limits h1_default_limits;

/* Run @one in every way; fails the test when something differs. */
void h1_check(const struct h1_case *one);
void h1_check_all(const struct h1_case *cases, size_t count);
#define H1_CHECK_ALL(cases) h1_check_all((cases), sizeof(cases) / sizeof((cases)[0]))

/* Feed @bytes in pieces that end at the @cuts (ascending) -> the lines, to be freed. */
char *h1_lines_of(const struct h1_case *one, const char *bytes, size_t count, const size_t *cuts,
                  size_t cut_count);

#endif
