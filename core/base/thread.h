/* SPDX-License-Identifier: MIT */
/* thread.h - how the library's own threads begin. */
#ifndef AD_BASE_THREAD_H
#define AD_BASE_THREAD_H

#include <pthread.h>

/**
 * Start a thread that no signal to the program interrupts: its handlers run on its own threads.
 * What a fault of the thread itself raises is left to come, for a program's crash handler: blocked,
 * such a signal would end the process without a word.
 * Returns: 0 | -errno
 */
int ad_thread_start(pthread_t *out_thread, void *(*run)(void *arg), void *arg);

#endif
