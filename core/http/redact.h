/* SPDX-License-Identifier: MIT */
/** What goes into logs and messages without the secrets in it (C124), unless AIODUCT_LOG_SECRETS
 * asks for them. */
#ifndef AD_HTTP_REDACT_H
#define AD_HTTP_REDACT_H

#include "base/slice.h"

/* A URL or a request target without userinfo and query. Cut to fit; ends with NUL. */
void ad_redact_url(char *to, size_t room, struct ad_slice url);
/* The value of a header field: credentials and cookies are hidden, URLs as above. */
void ad_redact_field(char *to, size_t room, struct ad_slice name, struct ad_slice value);

#endif
