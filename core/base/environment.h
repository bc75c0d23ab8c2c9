/* SPDX-License-Identifier: MIT */
/**
 * The process's environment, read once and copied, so that a later setenv neither changes what the
 * library does nor races with it. The only file that calls getenv. Under AT_SECURE (a set-user-id
 * program, file capabilities) every variable counts as not set.
 */
#ifndef AD_BASE_ENVIRONMENT_H
#define AD_BASE_ENVIRONMENT_H

#include <stdbool.h>

/* Read and copy now, unless that has been done. -> 0 | -ENOMEM. Thread: any */
int ad_env_read(void);
/* Value of one of the variables that environment.c lists; NULL if it is not set, or if memory was
 * short. Static. Thread: any */
const char *ad_env_get(const char *name);
/* Does the comma-separated list AIODUCT_DEBUG hold @topic? */
bool ad_env_debug(const char *topic);
/* Was this process started with more rights than its caller has? */
bool ad_env_secure(void);

#endif
