/* SPDX-License-Identifier: MIT */
/** Pieces of the URL parser that have a reason of their own to change: hosts. */
#ifndef AD_PROTO_URL_PRIVATE_H
#define AD_PROTO_URL_PRIVATE_H

#include "base/slice.h"

#include <aioduct/error.h>

/* A DNS name in text has at most 253 bytes (RFC 1035 2.3.4), with its final dot 254. */
enum { AD_URL_NAME_MAX = 254, AD_URL_ZONE_MAX = 63 };

struct ad_url_host {
    char text[AD_URL_NAME_MAX + 1]; /* normalised, without brackets and zone */
    char zone[AD_URL_ZONE_MAX + 1]; /* empty: none */
    bool is_ip4, is_ip6;
};

/* A name or an IPv4 address, as it stands in the authority. 0 | AIODUCT_E_URL */
int ad_url_host_parse(struct ad_slice host, struct ad_url_host *out, struct aioduct_error *error);
/* An IPv6 address with optional zone, as it stands between brackets. 0 | AIODUCT_E_URL */
int ad_url_host_parse_ip6(struct ad_slice host, struct ad_url_host *out,
                          struct aioduct_error *error);

/* Value of a hexadecimal digit, or -1. */
int ad_url_hex(char c);
/* Percent-decode into @out, which holds @s.bytes -> count, or -EINVAL (a '%' without two digits).
 */
int64_t ad_url_decode(struct ad_slice s, char *out);

#endif
