/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

/* Setting is rare and under the lock; the level is read first, without it, and is -1 while nobody
 * listens. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int threshold = -1;
static ad_log_fn sink;
static void *sink_user;

void ad_log_set(ad_log_fn fn, void *user, int level_max)
{
    pthread_mutex_lock(&lock);
    sink = fn;
    sink_user = user;
    atomic_store(&threshold, fn == NULL ? -1 : level_max);
    pthread_mutex_unlock(&lock);
}

bool ad_log_enabled(int level)
{
    return level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void ad_log(int level, const char *message)
{
    if (!ad_log_enabled(level)) {
        return;
    }
    pthread_mutex_lock(&lock);
    ad_log_fn fn = sink;
    void *user = sink_user;
    pthread_mutex_unlock(&lock);
    if (fn != NULL) {
        fn(level, message, user);
    }
}

void ad_logf(int level, const char *format, ...)
{
    char line[1024];
    if (!ad_log_enabled(level)) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ad_log(level, line);
}
