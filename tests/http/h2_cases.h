/* SPDX-License-Identifier: MIT */
/** What the cases with a server that follows a script of HTTP/2 (h2peer.h) begin with. */
#ifndef TESTS_HTTP_H2_CASES_H
#define TESTS_HTTP_H2_CASES_H

#include "h2peer.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum gate { GO, DONE };

#define OK(id) "< HEADERS " #id " end | :status: 200\n"

/* A client that speaks HTTP/2 either way, with one connection unless the case says otherwise. */
static inline void client(struct tester *t)
{
    t->options.version = t->tls ? AIODUCT_HTTP_2 : AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    tester_client(t);
}

static inline struct aioduct_request *request(struct tester *t, const char *method)
{
    return tester_request(t, method, peer_url(t->peer, "/"));
}

static inline struct result *submit(struct tester *t, const char *method)
{
    return tester_submit(t, request(t, method));
}

static inline struct result *get(struct tester *t)
{
    return tester_perform(t, request(t, "GET"));
}

static inline bool is_done(void *result)
{
    return ((struct result *)result)->done_count > 0;
}

static inline void turn_for(struct tester *t, unsigned ms)
{
    for (uint64_t until = test_now_ms() + ms; test_now_ms() < until;) {
        assert_true(aioduct_client_turn(t->client, 5) >= 0);
    }
}

#endif
