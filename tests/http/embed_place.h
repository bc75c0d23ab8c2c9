/* SPDX-License-Identifier: MIT */
/**
 * embed_place.h - what a case of an embedded client is made of: a loop of the application, a client
 * in it, and a peer.
 */
#ifndef TESTS_HTTP_EMBED_PLACE_H
#define TESTS_HTTP_EMBED_PLACE_H

#include "embed_app.h"
#include "tester.h"

enum gate { GO };   /* opened, "/gate" is answered */
enum { TICKS = 3 }; /* so many show that the application's events go on */

extern const struct app *const app; /* the kind of loop: the build says which (APP) */

#define LARGE_BYTES (8u * 1024 * 1024) /* of "/large" */
/* Bytes that tell their place. */
void place_fill(char *bytes, size_t count, uint64_t at);

struct place {
    struct tester *t;
    void *loop;
    struct aioduct_client *other; /* a second client */
    unsigned left;                /* exchanges until the loop is to stop */
    unsigned ticks;
    struct aioduct_request *request;
    struct result *result;
    int codes[4];
};

struct place *place_new(struct tester *t);
/* Destroys what is left. The loop was the application's before, and is again. */
void place_end(struct place *place);

/* "/" and anything else is answered, "/hang" never, "/gate" once it is open. */
struct result *place_ask(struct place *place, const char *path);
void place_run_for(struct place *place, unsigned ms);
void place_run_for_ticks(struct place *place); /* until TICKS have come */
void place_assert_fine(const struct result *r);

/* Stop the loop when the last of what was asked for is done. */
void place_count_down(struct place *place);
void place_on_count(struct result *r, struct aioduct_exchange *exchange, char event);

/* For app->later. */
void place_stop(void *place);
void place_open_gate(void *place);
void place_open_gate_after_ticks(void *place);

#endif
