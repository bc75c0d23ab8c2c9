/* SPDX-License-Identifier: MIT */
/**
 * trace.h - the system calls of a run of this very program, as strace(1) saw them.
 */
#ifndef CT_TRACE_H
#define CT_TRACE_H

#include <stddef.h>

struct ct_trace {
    char *text; /* one call a line */
};

/* Run this program once more, with @variable set in its environment, under strace. Skips the case
 * where that cannot be done, fails it if the run fails. */
void ct_trace_self(struct ct_trace *trace, const char *variable);
void ct_trace_free(struct ct_trace *trace);
/* @call is "bind(" or the name of a socket option. -> NULL if it was applied to the stream's socket
 * before the connect, else what is wrong */
const char *ct_trace_check_before_connect(const struct ct_trace *trace, const char *call);

#endif
