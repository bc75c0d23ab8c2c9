/* SPDX-License-Identifier: MIT */
/**
 * The one URL parser: connect, Host, SNI and redirects all read from its result. RFC 3986 with the
 * exceptions of C67: control bytes, spaces, backslashes, an empty host and ports over 65535 are
 * refused; hosts become lower-case A-labels (libidn2); IPv4 is dotted decimal only; dot segments
 * are removed.
 */
#ifndef AD_PROTO_URL_H
#define AD_PROTO_URL_H

#include <aioduct/error.h>
#include <stdbool.h>
#include <stdint.h>

struct ad_url {
    char *text;            /* the whole URL, normalised, without userinfo and fragment */
    char *scheme;          /* "http" or "https" */
    char *host;            /* no brackets; IPv6 zone removed */
    char *zone;            /* IPv6 zone, or NULL */
    char *authority;       /* for Host: brackets around IPv6, port left out when default */
    char *target;          /* origin-form: path and query, at least "/" */
    char *user, *password; /* percent-decoded; NULL if absent */
    char *fragment;        /* without '#', or NULL */
    uint16_t port;         /* with the scheme's default filled in */
    bool tls, host_is_ip;
};

/* 0 | AIODUCT_E_URL | AIODUCT_E_URL_SCHEME | -ENOMEM; @error names the part that is wrong. */
int ad_url_parse(const char *text, size_t bytes_max, struct ad_url *out,
                 struct aioduct_error *error);
/* Resolve a reference (Location) against @base, RFC 3986 section 5.2. */
int ad_url_resolve(const struct ad_url *base, const char *reference, size_t bytes_max,
                   struct ad_url *out, struct aioduct_error *error);
void ad_url_fini(struct ad_url *url); /* zeroed or parsed */

#endif
