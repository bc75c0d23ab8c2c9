/* SPDX-License-Identifier: MIT */
#include "plugin/text.h"

#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void clean(char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            *s = '?';
        }
    }
}

void ad_text_init(struct ad_text *text, char *buffer, size_t capacity)
{
    *text = (struct ad_text){.buffer = buffer, .capacity = capacity};
    buffer[0] = '\0';
}

void ad_text_add(struct ad_text *text, const char *format, ...)
{
    if (text->full) {
        return;
    }
    char *end = text->buffer + text->bytes;
    size_t room = text->capacity - text->bytes;
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(end, room, format, args);
    va_end(args);
    if (bytes < 0 || (size_t)bytes >= room) {
        *end = '\0';
        text->full = true;
        return;
    }
    clean(end);
    text->bytes += (size_t)bytes;
}

void ad_text_copy(char *to, size_t capacity, const char *from)
{
    size_t bytes = from == NULL ? 0 : strnlen(from, capacity - 1);
    if (bytes > 0) {
        memcpy(to, from, bytes);
    }
    to[bytes] = '\0';
    clean(to);
}

int ad_plugin_fail(struct aioduct_error *error, int code, const char *format, ...)
{
    char message[sizeof error->message];
    if (error == NULL) {
        return code;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    clean(message);
    return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "%s", message);
}

int ad_plugin_fail_memory(struct aioduct_error *error)
{
    return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
}

void ad_plugin_trace(const char *format, ...)
{
    char line[1024];
    if (!ad_env_debug("plugins")) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    clean(line);
    ad_log_topic("plugins: %s", line);
}

bool ad_plugin_say_once(const char *line)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t said[32];
    static unsigned next;
    uint64_t hash = 14695981039346656037u;
    for (const char *c = line; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    }
    pthread_mutex_lock(&lock);
    bool is_new = true;
    for (unsigned i = 0; i < sizeof said / sizeof said[0]; i++) {
        is_new = is_new && said[i] != hash;
    }
    if (is_new) {
        said[next++ % (sizeof said / sizeof said[0])] = hash;
    }
    pthread_mutex_unlock(&lock);
    return is_new;
}
