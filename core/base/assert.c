/* SPDX-License-Identifier: MIT */
#include "base/assert.h"

#include "base/log.h"

#include <stdlib.h>

void ad_assert_failed(const char *what, const char *file, int line)
{
    ad_logf(AD_LOG_ERROR, "assertion failed: %s (%s:%d)", what, file, line);
    abort();
}
