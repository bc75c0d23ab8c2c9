/* SPDX-License-Identifier: MIT */
/**
 * raw.h - an exchange that HTTP leaves, by Upgrade or CONNECT, and what came of it.
 *
 * With workers the callbacks run on another thread: while the exchange is under way a test asks by
 * the verbs below; once it is done, the members may be read as they are.
 */
#ifndef TESTS_SUPPORT_RAW_H
#define TESTS_SUPPORT_RAW_H

#include "tester.h"

#include <pthread.h>

struct raw {
    struct tester *tester;
    struct aioduct_exchange *exchange; /* not to be used once it is done */

    /* set before raw_submit_into */
    bool hold, cancel_at_head, pause_at_head, pause_at_end;
    bool hash_bytes;

    /* what happened */
    int status, version, done_count, end_count;
    int local_port; /* of its connection */
    char order[64]; /* H head, B body (once for many), E the peer's end, D done */
    char text[256]; /* the first bytes that came */
    uint64_t bytes;
    char sha256[65]; /* with hash_bytes */
    struct aioduct_error error;

    /* inside */
    pthread_mutex_t lock;
    uint64_t released;
    const char *awaited;
    struct test_hash hash;
};

struct raw *raw_new(struct tester *t);
void raw_submit_into(struct aioduct_request *request, struct raw *r);
struct raw *raw_submit(struct tester *t, struct aioduct_request *request);

/* Wait for that. */
void raw_wait_head(struct raw *r);
void raw_wait_text(struct raw *r, const char *text);
void raw_wait_end(struct raw *r);
void raw_wait_done(struct raw *r);
bool raw_is_done(struct raw *r);
/* Is this the order of events so far? */
void raw_assert_order(struct raw *r, const char *order);

/* Unless it is done; all of @text is taken. */
void raw_push(struct raw *r, const char *text);
void raw_push_end(struct raw *r);
/* Release all that is held, if it still runs -> how much that was. */
uint64_t raw_release(struct raw *r);

#endif
