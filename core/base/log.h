/* SPDX-License-Identifier: MIT */
/** Messages to the application's sink (aioduct_log_set). Formatting happens only if somebody
 * listens at that level. */
#ifndef AD_BASE_LOG_H
#define AD_BASE_LOG_H

#include <stdbool.h>

enum { AD_LOG_ERROR = 0, AD_LOG_WARNING = 1, AD_LOG_NOTICE = 2, AD_LOG_INFO = 3, AD_LOG_DEBUG = 4 };

typedef void (*ad_log_fn)(int level, const char *message, void *user);

void ad_log_set(ad_log_fn fn, void *user, int level_max);
bool ad_log_enabled(int level);
void ad_log(int level, const char *message);
__attribute__((format(printf, 2, 3))) void ad_logf(int level, const char *format, ...);

#endif
