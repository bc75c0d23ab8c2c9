/* SPDX-License-Identifier: MIT */
/**
 * What a program and its libraries do with bytes, seen by functions of the program's own in the
 * place of libc's, liburing's and GnuTLS's: where the kernel or GnuTLS put what came, and how much
 * is copied. Not thread-safe: for a client that the program drives itself.
 */
#ifndef BUDGET_SEEN_H
#define BUDGET_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Smaller blocks are heads, frame headers and the like, not a body. */
#define SEEN_BLOCK_BYTES 64

/* Copies are counted while it is on. */
extern bool seen_on;
/* In blocks, by anybody but GnuTLS and what it calls. */
extern uint64_t seen_copied;

/* Did the kernel put these bytes where they are: the last receive, or a buffer of a ring? */
bool seen_from_kernel(const void *bytes, size_t count);
/* Did GnuTLS, as the last record that it gave out? */
bool seen_from_gnutls(const void *bytes, size_t count);
/* Was a ring's buffer, or any receive of a block, seen at all? */
bool seen_any_receive(void);

#endif
