/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/escape.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 2048 /* a long header field is cut */

struct sink {
    ad_log_fn fn;
    void *user;
    int level_max;
};

/* Setting is rare and under the lock; the level is read first, without it, and is -1 while nobody
 * listens. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int threshold = -1;
static struct sink program, file; /* aioduct_log_set, AIODUCT_LOG */

static void set(struct sink *sink, ad_log_fn fn, void *user, int level_max)
{
    pthread_mutex_lock(&lock);
    *sink = (struct sink){fn, user, level_max};
    int most = -1;
    const struct sink *const all[] = {&program, &file};
    for (size_t i = 0; i < 2; i++) {
        most = all[i]->fn != NULL && all[i]->level_max > most ? all[i]->level_max : most;
    }
    atomic_store(&threshold, most);
    pthread_mutex_unlock(&lock);
}

void ad_log_set(ad_log_fn fn, void *user, int level_max)
{
    set(&program, fn, user, level_max);
}

void ad_log_set_file(ad_log_fn fn, int level_max)
{
    set(&file, fn, NULL, level_max);
}

bool ad_log_enabled(int level)
{
    return level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void ad_log(int level, const char *message)
{
    char line[LINE_BYTES];
    if (!ad_log_enabled(level)) {
        return;
    }
    ad_escape(line, sizeof line, message, strlen(message));
    pthread_mutex_lock(&lock);
    const struct sink all[] = {program, file};
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < 2; i++) {
        if (all[i].fn != NULL && level <= all[i].level_max) {
            all[i].fn(level, line, all[i].user);
        }
    }
}

void ad_log_topic(const char *format, ...)
{
    char raw[LINE_BYTES], line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    (void)ad_log_open(NULL);
    ad_escape(line, sizeof line, raw, strlen(raw));
    pthread_mutex_lock(&lock);
    const struct sink to_program = program, to_file = file;
    pthread_mutex_unlock(&lock);
    bool heard = to_program.fn != NULL && to_program.level_max >= AD_LOG_DEBUG;
    if (heard) {
        to_program.fn(AD_LOG_DEBUG, line, to_program.user);
    }
    if (to_file.fn != NULL || !heard) {
        ad_log_write(AD_LOG_DEBUG, line, NULL);
    }
}

void ad_logf(int level, const char *format, ...)
{
    char line[LINE_BYTES];
    if (!ad_log_enabled(level)) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ad_log(level, line);
}
