/* SPDX-License-Identifier: MIT */
/** What the codecs' error messages share: foreign bytes made fit to be shown. */
#ifndef AD_PROTO_TEXT_H
#define AD_PROTO_TEXT_H

#include <stddef.h>

/* Write @bytes of @p to @out as printable ASCII, everything else as \r, \n, \t or \xNN, cut at
 * @out_bytes with its NUL; what does not fit ends in "...". @out_bytes at least 8. */
void ad_text_escape(const char *p, size_t bytes, char *out, size_t out_bytes);

#endif
