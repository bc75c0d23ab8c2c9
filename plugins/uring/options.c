/* SPDX-License-Identifier: MIT */
/*
 * Options of the plugin. They bound its memory: a ring of `entries` submissions (64 bytes each, and
 * eight completions of 16 bytes for each), and `buffers` receive buffers of `buffer_bytes`.
 */
#include "uring/uring.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bound {
    const char *key;
    unsigned fallback, least, most;
    bool power_of_two;
};

/* A submission queue below 16 would be submitted in the middle of ordinary turns; the kernel takes
 * at most 32768 entries, of which the completions need eight times as many, up to 65536. A buffer
 * ring has at most 32768 buffers and its size is a power of two. */
static const struct bound entries_bound = {"entries", 512, 16, 8192, false};
static const struct bound buffers_bound = {"buffers", 256, 4, 32768, true};
static const struct bound buffer_bytes_bound = {"buffer_bytes", 16384, 1024, 1u << 20, false};
#define MEMORY_MAX (1ull << 30) /* buffers x buffer_bytes: beyond it is a mistake in the units */

static const struct {
    const char *name;
    unsigned bit;
} parts[] = {
    {"defer_taskrun", AD_URING_NO_DEFER}, {"coop_taskrun", AD_URING_NO_COOP},
    {"multishot", AD_URING_NO_MULTISHOT}, {"buffer_ring", AD_URING_NO_BUFFER_RING},
    {"run_limit", AD_URING_NO_RUN_LIMIT},
};

int ad_uring_fail(const struct aioduct_host *host, int code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    host->error(host->ctx, code, text);
    return code;
}

static int read_number(const struct aioduct_host *host, const struct bound *bound, unsigned *out)
{
    const char *text = host->option(host->ctx, bound->key);
    *out = bound->fallback;
    if (text == NULL) {
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (!digits || value < bound->least || value > bound->most ||
        (bound->power_of_two && (value & (value - 1)) != 0)) {
        return ad_uring_fail(host, -EINVAL, "option uring.%s is '%s': it takes %s from %u to %u",
                             bound->key, text, bound->power_of_two ? "a power of two" : "a number",
                             bound->least, bound->most);
    }
    *out = (unsigned)value;
    return 0;
}

static int read_without(const struct aioduct_host *host, unsigned *out)
{
    const char *text = host->option(host->ctx, "without");
    *out = 0;
    while (text != NULL && *text != '\0') {
        size_t bytes = strcspn(text, ",");
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            if (strlen(parts[i].name) == bytes && memcmp(parts[i].name, text, bytes) == 0) {
                bit = parts[i].bit;
            }
        }
        if (bit == 0) {
            return ad_uring_fail(host, -EINVAL,
                                 "option uring.without names '%.*s': it takes defer_taskrun, "
                                 "coop_taskrun, multishot, buffer_ring, run_limit",
                                 (int)bytes, text);
        }
        *out |= bit;
        text += bytes;
        text += *text == ',';
    }
    return 0;
}

int ad_uring_options_read(const struct aioduct_host *host, struct ad_uring_options *out)
{
    struct ad_uring_options o;
    int code = read_number(host, &entries_bound, &o.entries);
    if (code == 0) {
        code = read_number(host, &buffers_bound, &o.buffers);
    }
    if (code == 0) {
        code = read_number(host, &buffer_bytes_bound, &o.buffer_bytes);
    }
    if (code == 0) {
        code = read_without(host, &o.without);
    }
    if (code == 0 && (unsigned long long)o.buffers * o.buffer_bytes > MEMORY_MAX) {
        code = ad_uring_fail(host, -EINVAL,
                             "options uring.buffers (%u) and uring.buffer_bytes (%u) ask for more "
                             "than 1 GiB together",
                             o.buffers, o.buffer_bytes);
    }
    if (code == 0) {
        *out = o;
    }
    return code;
}
