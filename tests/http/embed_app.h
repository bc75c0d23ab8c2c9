/* SPDX-License-Identifier: MIT */
/**
 * embed_app.h - an application with a loop of its own; one file a kind of loop, since the headers
 * of loop libraries exclude each other.
 */
#ifndef TESTS_HTTP_EMBED_APP_H
#define TESTS_HTTP_EMBED_APP_H

#include <aioduct/aioduct.h>
#include <stdbool.h>

struct app {
    const char *runtime; /* that clients in it have */
    bool ring;           /* the application hands completions over */
    bool nests;          /* run may be called in an event of the loop */
    void *(*create)(void);
    void (*destroy)(void *loop);
    struct aioduct_foreign_loop (*foreign)(void *loop);
    /* Clients that the application knows: *@slot is NULL or one of them. For rings. */
    void (*know)(void *loop, struct aioduct_client **slot);
    /* Run the loop as the application would, until stop or 20 s have passed. */
    void (*run)(void *loop);
    void (*stop)(void *loop);
    /* Call @fn from the loop, @ms after it runs. One at a time. */
    void (*later)(void *loop, unsigned ms, void (*fn)(void *arg), void *arg);
    /* A timer of the application's: *@count rises every millisecond. */
    void (*start_ticks)(void *loop, unsigned *count);
    void (*stop_ticks)(void *loop);
    /* Is nothing left in it? */
    bool (*is_empty)(void *loop);
    /* In the child: what the library asks of the application. */
    void (*after_fork)(void *loop);
};

extern const struct app app_libevent, app_libev, app_uring, app_glibrt;

#endif
