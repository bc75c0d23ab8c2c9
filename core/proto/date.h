/* SPDX-License-Identifier: MIT */
/** Dates in fields, and Retry-After, which may be one. What time it is, the caller says. */
#ifndef AD_PROTO_DATE_H
#define AD_PROTO_DATE_H

#include "base/slice.h"

/**
 * Any of the three forms of RFC 9110 section 5.6.7: IMF-fixdate, that of RFC 850, and asctime's.
 * The two digits of a year in the second form are taken as at most 50 years after @now_s.
 * Returns: 0 with Unix seconds in *@out_s | -EINVAL
 */
int ad_date_parse(struct ad_slice text, int64_t now_s, int64_t *out_s);

/**
 * Retry-After (RFC 9110 section 10.2.3): seconds, or a date.
 * Returns: 0 with the seconds from @now_s on in *@out_s, 0 for a date that is past | -EINVAL
 */
int ad_date_retry_after(struct ad_slice text, int64_t now_s, int64_t *out_s);

#endif
