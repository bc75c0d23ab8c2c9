/* SPDX-License-Identifier: MIT */
/** What the command line says of a URL: a scheme may be missing, and the name of an upload too. */
#ifndef TOOLS_URL_H
#define TOOLS_URL_H

#include <stdbool.h>
#include <stddef.h>

/* Where host and port begin: behind "scheme://", or at the start. */
const char *url_authority(const char *url);
/* The URL to ask for: http unless it says otherwise. With @upload (may be NULL) a path that names
 * no file gets that file's name, percent-encoded. Returned owned; NULL when out of memory. */
char *url_complete(const char *url, const char *upload);

/* Where @reference in a response to @base leads, normalised. false: nowhere, or @room is short. */
bool url_join(const char *base, const char *reference, char *out, size_t room);

#endif
