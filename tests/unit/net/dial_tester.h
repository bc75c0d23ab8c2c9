/* SPDX-License-Identifier: MIT */
/** One dial at a time, on a clock, streams and a resolver that the test moves. */
#ifndef TESTS_UNIT_NET_DIAL_TESTER_H
#define TESTS_UNIT_NET_DIAL_TESTER_H

#include "fake_resolver.h"
#include "fake_runtime.h"
#include "net/dial.h"

struct dial_tester {
    struct fake *fake;
    struct fake_resolver resolver;
    struct ad_dial_params params;
    struct ad_dial *dial;
    int done;
    struct ad_dial_result result;
    bool stream_closed;
    int gone, gone_expected;
    char steps[512]; /* room for a test's on_step */
};

void dial_init(struct dial_tester *t);
/* What was dialled and not closed is closed; all that had to be told was told. */
void dial_fini(struct dial_tester *t);
int dial_try(struct dial_tester *t); /* what ad_dial_start says */
void dial_start(struct dial_tester *t);
/* Start, and answer what it asks. */
void dial_start_with(struct dial_tester *t, const char *const *texts);
void dial_cancel(struct dial_tester *t);
void dial_advance(struct dial_tester *t, uint64_t ms); /* and run what is ready then */
/* The connect of attempt @i ends with @code. */
void dial_finish(struct dial_tester *t, unsigned i, int code);

#endif
