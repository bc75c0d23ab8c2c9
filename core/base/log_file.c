/* SPDX-License-Identifier: MIT */
/* What a user asks for by AIODUCT_LOG and AIODUCT_DEBUG: one write a line, so that threads and
 * processes that share the file do not mix theirs. */
#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "notice", "info", "debug", "trace"};
enum { LEVEL_COUNT = sizeof level_names / sizeof level_names[0] };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct aioduct_error result;
static int fd = STDERR_FILENO; /* open as long as the process */

void ad_log_write(int level, const char *message, void *user)
{
    char line[2200]; /* the message's 2048 and what goes before it */
    struct timespec now;
    struct tm day;
    (void)user;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &day);
    size_t at = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &day);
    int bytes = snprintf(line + at, sizeof line - at, ".%06ldZ %d %s %s\n", now.tv_nsec / 1000,
                         (int)gettid(), level_names[level], message);
    if (bytes > 0) {
        at += (size_t)bytes < sizeof line - at ? (size_t)bytes : sizeof line - at - 1;
        ssize_t written = write(fd, line, at);
        (void)written; /* there is nobody left to tell */
    }
}

static int level_of(struct ad_slice name)
{
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (ad_slice_case_equal(name, ad_slice_of(level_names[i]))) {
            return i;
        }
    }
    return ad_slice_case_equal(name, ad_slice_of("warning")) ? AD_LOG_WARNING : -1;
}

/* A misspelt topic would be silence, which looks like nothing to tell. */
static void check_topics(void)
{
    const char *value = ad_env_get("AIODUCT_DEBUG");
    struct ad_slice list = ad_slice_of(value == NULL ? "" : value);
    while (list.bytes > 0 && result.code == 0) {
        const char *comma = memchr(list.p, ',', list.bytes);
        size_t part = comma == NULL ? list.bytes : (size_t)(comma - list.p);
        struct ad_slice topic = ad_slice_trim((struct ad_slice){list.p, part});
        if (topic.bytes > 0 && !ad_slice_case_equal(topic, ad_slice_of("plugins")) &&
            !ad_slice_case_equal(topic, ad_slice_of("calls"))) {
            ad_error_set(&result, -EINVAL, AIODUCT_PHASE_SETUP, "AIODUCT_DEBUG: no topic '%.*s'",
                         topic.bytes > 40 ? 40 : (int)topic.bytes, topic.p);
            ad_error_hint(&result, "plugins, calls");
        }
        part += comma != NULL;
        list.p += part;
        list.bytes -= part;
    }
}

static void open_once(void)
{
    const char *value = ad_env_get("AIODUCT_LOG");
    check_topics();
    if (value == NULL || value[0] == '\0' || result.code < 0) {
        return;
    }
    const char *colon = strchr(value, ':');
    struct ad_slice name = {value, colon != NULL ? (size_t)(colon - value) : strlen(value)};
    int level = level_of(name);
    if (level < 0) {
        ad_error_set(&result, -EINVAL, AIODUCT_PHASE_SETUP, "AIODUCT_LOG: no level '%.*s'",
                     name.bytes > 40 ? 40 : (int)name.bytes, name.p);
        ad_error_hint(&result, "LEVEL or LEVEL:FILE; error, warn, notice, info, debug, trace");
        return;
    }
    if (colon != NULL && colon[1] != '\0') {
        fd = open(colon + 1, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd < 0) {
            int code = -errno;
            ad_error_set(&result, code, AIODUCT_PHASE_SETUP, "AIODUCT_LOG: cannot write %s: %s",
                         colon + 1, aioduct_error_text(code));
            return;
        }
    }
    ad_log_set_file(ad_log_write, level);
}

int ad_log_open(struct aioduct_error *error)
{
    pthread_once(&once, open_once);
    if (result.code < 0 && error != NULL) {
        *error = result;
    }
    return result.code;
}

bool ad_log_secrets(void)
{
    const char *value = ad_env_get("AIODUCT_LOG_SECRETS");
    return value != NULL && strcmp(value, "1") == 0;
}
