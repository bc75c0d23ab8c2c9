/* SPDX-License-Identifier: MIT */
/** source.h - a body source that gives test_fill's bytes, and may wait, fail, or lie. */
#ifndef TESTS_SUPPORT_SOURCE_H
#define TESTS_SUPPORT_SOURCE_H

#include "tester.h"

struct source {
    uint64_t at, bytes;
    uint64_t wait_at; /* says AIODUCT_BODY_WAIT here, once; 0: never */
    bool waited;
    bool piecewise; /* gives no byte past wait_at before it has waited there */
    int fail_at;    /* gives -EIO at this read; 0: never */
    int reads, rewinds, finished;
    uint64_t at_finished; /* what `at` was then */
};

/* Lives as long as the tester. */
struct source *source_new(struct tester *t, uint64_t bytes);
/* The request's body is @source from now on. It can be rewound unless @once. */
void source_attach(struct aioduct_request *request, struct source *source, int64_t length,
                   bool once);
/* A request to the tester's peer with such a body, rewindable. */
struct aioduct_request *source_request(struct tester *t, const char *method, struct source *source,
                                       int64_t length);
/* For tester_turn_until. */
bool source_has_waited(void *source);
/* Is this what a source of @bytes gives from its start on? */
void assert_source_bytes(const void *bytes, size_t count, uint64_t expected);

#endif
