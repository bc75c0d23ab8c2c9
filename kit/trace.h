/* SPDX-License-Identifier: MIT */
/**
 * trace.h - the system calls of a child of the case, as strace(1) saw them.
 */
#ifndef CT_TRACE_H
#define CT_TRACE_H

#include <stddef.h>

struct ct_case;

struct ct_trace {
    char *text; /* one call a line */
};

/* Run @work(@c) in a child under strace. Skips the case where that cannot be done, fails it if the
 * child does. */
void ct_trace_child(struct ct_trace *trace, void (*work)(struct ct_case *c), struct ct_case *c);
void ct_trace_free(struct ct_trace *trace);
/* @call is "bind(" or the name of a socket option. -> NULL if it was applied to the stream's socket
 * before the connect, else what is wrong */
const char *ct_trace_check_before_connect(const struct ct_trace *trace, const char *call);

#endif
