/* SPDX-License-Identifier: MIT */
/**
 * Messages to the application's sink (aioduct_log_set), and to where AIODUCT_LOG says. Formatting
 * happens only if somebody listens at that level. Control bytes are escaped here, whoever wrote
 * them; secrets are the writer's to leave out, unless ad_log_secrets.
 */
#ifndef AD_BASE_LOG_H
#define AD_BASE_LOG_H

#include <aioduct/error.h>
#include <stdbool.h>

enum {
    AD_LOG_ERROR = 0,
    AD_LOG_WARNING = 1,
    AD_LOG_NOTICE = 2,
    AD_LOG_INFO = 3,
    AD_LOG_DEBUG = 4, /* each event of a client */
    AD_LOG_TRACE = 5  /* and the heads */
};

typedef void (*ad_log_fn)(int level, const char *message, void *user);

void ad_log_set(ad_log_fn fn, void *user, int level_max);
bool ad_log_enabled(int level);
__attribute__((cold)) void ad_log(int level, const char *message);
__attribute__((cold, format(printf, 2, 3))) void ad_logf(int level, const char *format, ...);

/* ---- AIODUCT_LOG=LEVEL[:PATH], standard error without a path (log_file.c) ---- */

/* Do what AIODUCT_LOG says; later calls repeat the first one's result. -> 0 | -EINVAL, -errno:
 * @error (may be NULL) names the variable. Thread: any */
int ad_log_open(struct aioduct_error *error);
/**
 * A line that AIODUCT_DEBUG asks for by a topic (ad_env_debug): to the log of AIODUCT_LOG, whatever
 * its level, and to the program's if it listens at debug level; if there is neither, to standard
 * error. Thread: any
 */
__attribute__((cold, format(printf, 1, 2))) void ad_log_topic(const char *format, ...);
/* Does AIODUCT_LOG_SECRETS=1 ask for credentials and queries? Thread: any */
bool ad_log_secrets(void);
/* [log.c] A second sink, for the life of the process. */
void ad_log_set_file(ad_log_fn fn, int level_max);
/* [log_file.c] The line as that sink writes it. */
void ad_log_write(int level, const char *message, void *user);

#endif
