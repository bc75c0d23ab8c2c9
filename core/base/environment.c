/* SPDX-License-Identifier: MIT */
/* A closed list of names: whoever wants another variable adds it here, and the documents follow. */
#include "base/environment.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/slice.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

static const char *const names[] = {
    "AIODUCT_RUNTIME",     "AIODUCT_CONNECTOR", "AIODUCT_PLUGIN_PATH",
    "AIODUCT_CONFIG",      "AIODUCT_DEBUG",     "AIODUCT_LOG",
    "AIODUCT_LOG_SECRETS", "XDG_CONFIG_HOME",   "HOME",
    "SSLKEYLOGFILE",
};
enum { NAME_COUNT = sizeof names / sizeof names[0] };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool have_read;
static char *values[NAME_COUNT]; /* live as long as the process */

static int read_locked(void)
{
    char *copies[NAME_COUNT] = {NULL};
    if (have_read) {
        return 0;
    }
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const char *value = secure_getenv(names[i]);
        if (value == NULL) {
            continue;
        }
        copies[i] = ad_strdup(value);
        if (copies[i] == NULL) {
            while (i-- > 0) {
                ad_free(copies[i]);
            }
            return -ENOMEM;
        }
    }
    memcpy(values, copies, sizeof values);
    have_read = true;
    return 0;
}

int ad_env_read(void)
{
    pthread_mutex_lock(&lock);
    int code = read_locked();
    pthread_mutex_unlock(&lock);
    return code;
}

const char *ad_env_get(const char *name)
{
    size_t i = 0;
    while (i < NAME_COUNT && strcmp(names[i], name) != 0) {
        i++;
    }
    AD_ASSERT(i < NAME_COUNT);
    return ad_env_read() == 0 ? values[i] : NULL;
}

bool ad_env_debug(const char *topic)
{
    const char *topics = ad_env_get("AIODUCT_DEBUG");
    return topics != NULL && ad_slice_list_has(ad_slice_of(topics), topic);
}

bool ad_env_secure(void)
{
    return getauxval(AT_SECURE) != 0;
}
