/* SPDX-License-Identifier: MIT */
/* The application's side of an adopted loop; one file a loop library, since their headers exclude
 * each other. */
#ifndef TESTS_UNIT_PLUGINS_ADOPT_H
#define TESTS_UNIT_PLUGINS_ADOPT_H

#include <stdbool.h>

struct app_loop {
    const char *kind;
    void (*witness)(void);
    void *(*create)(void);
    void (*destroy)(void *loop);
    /* Wait once and run what is ready; calls adopt_waited where nothing may be left undone. */
    void (*run_once)(void *loop);
    /* A timer of the application's own: *@count rises every @ms. */
    void (*start_ticks)(void *loop, unsigned ms, unsigned *count);
    void (*stop_ticks)(void *loop);
    /* Does a run end at once, because nothing is watched? */
    bool (*is_idle)(void *loop);
};

extern const struct app_loop app_loop;

void adopt_waited(void);

#endif
