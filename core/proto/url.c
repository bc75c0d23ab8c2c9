/* SPDX-License-Identifier: MIT */
/* A URL is split into slices of the caller's text first; then every part is checked and written,
 * normalised, into one block that all strings of struct ad_url point into (text begins it).
 * Splitting and checking come first, then writing, then the public verbs. */
#include "proto/url.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/slice.h"
#include "proto/text.h"
#include "proto/url_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A part that is absent has p NULL; one that is empty has not. */
struct parts {
    struct ad_slice scheme, authority, path, query, fragment;
};

struct authority {
    struct ad_slice user, password, host, port;
    bool brackets;
};

static int out_of_memory(struct aioduct_error *error)
{
    return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
}

/* ---- splitting ---- */

static bool is_alpha(char c)
{
    c = ad_ascii_lower(c);
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes until the first of @stop, or all. */
static size_t span_until(struct ad_slice s, const char *stop)
{
    size_t i = 0;
    while (i < s.bytes && strchr(stop, s.p[i]) == NULL) {
        i++;
    }
    return i;
}

static struct ad_slice take(struct ad_slice *s, size_t bytes)
{
    struct ad_slice front = {s->p, bytes};
    s->p += bytes;
    s->bytes -= bytes;
    return front;
}

/* RFC 3986 3.1, without the colon -> its length, 0 if the text does not begin with a scheme. */
static size_t scheme_bytes(struct ad_slice s)
{
    size_t i = 0;
    if (s.bytes == 0 || !is_alpha(s.p[0])) {
        return 0;
    }
    while (i < s.bytes && (is_alpha(s.p[i]) || is_digit(s.p[i]) || strchr("+-.", s.p[i]))) {
        i++;
    }
    return i < s.bytes && s.p[i] == ':' ? i : 0;
}

/* RFC 3986 appendix B, by hand. */
static struct parts split(struct ad_slice s)
{
    struct parts parts = {0};
    size_t scheme = scheme_bytes(s);
    if (scheme > 0) {
        parts.scheme = take(&s, scheme);
        take(&s, 1);
    }
    if (s.bytes >= 2 && s.p[0] == '/' && s.p[1] == '/') {
        take(&s, 2);
        parts.authority = take(&s, span_until(s, "/?#"));
    }
    parts.path = take(&s, span_until(s, "?#"));
    if (s.bytes > 0 && s.p[0] == '?') {
        take(&s, 1);
        parts.query = take(&s, span_until(s, "#"));
    }
    if (s.bytes > 0) {
        take(&s, 1);
        parts.fragment = s;
    }
    return parts;
}

/* Bytes that no URL has and that others read in different ways. */
static int check_bytes(struct ad_slice s, size_t bytes_max, struct aioduct_error *error)
{
    if (s.bytes == 0) {
        return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP, "the URL is empty");
    }
    if (s.bytes > bytes_max) {
        return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                            "URL of %zu bytes is longer than %zu (url_bytes_max)", s.bytes,
                            bytes_max);
    }
    for (size_t i = 0; i < s.bytes; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c > ' ' && c != '\\' && c != 0x7f) {
            continue;
        }
        const char *name = c == ' ' ? "space" : c == '\\' ? "backslash" : "control byte";
        ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                     "%s (0x%02x) in the URL at byte %zu", name, c, i);
        ad_error_hint(error, "percent-encode it: %%%02X", c);
        return AIODUCT_E_URL;
    }
    return 0;
}

/* What the user meant, unless showing it would show a password. */
static void hint_prefix(struct aioduct_error *error, const char *prefix, struct ad_slice s)
{
    char shown[160];
    if (s.bytes > 2 && s.p[0] == '/' && s.p[1] == '/') {
        take(&s, 2);
    }
    bool host = s.bytes > 0 && strchr(":/?#", s.p[0]) == NULL;
    if (!host || memchr(s.p, '@', s.bytes) != NULL) {
        ad_error_hint(error, "begin it with http:// or https://");
        return;
    }
    ad_text_escape(s.p, s.bytes, shown, sizeof shown);
    ad_error_hint(error, "did you mean %s%s?", prefix, shown);
}

static int check_scheme(struct ad_slice whole, const struct parts *parts, bool *out_tls,
                        struct aioduct_error *error)
{
    char shown[64];
    struct ad_slice rest = {whole.p + parts->scheme.bytes + 1, 0};
    if (parts->scheme.p != NULL) {
        rest.bytes = whole.bytes - parts->scheme.bytes - 1;
    }
    bool host_and_port = parts->scheme.p != NULL && rest.bytes > 0 && is_digit(rest.p[0]);
    if (parts->scheme.p == NULL || host_and_port) {
        ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP, "the URL has no scheme");
        hint_prefix(error, "http://", whole);
        return AIODUCT_E_URL;
    }
    *out_tls = ad_slice_case_equal(parts->scheme, ad_slice_of("https"));
    if (!*out_tls && !ad_slice_case_equal(parts->scheme, ad_slice_of("http"))) {
        ad_text_escape(parts->scheme.p, parts->scheme.bytes, shown, sizeof shown);
        return ad_error_set(error, AIODUCT_E_URL_SCHEME, AIODUCT_PHASE_SETUP,
                            "URL scheme \"%s\" is neither http nor https", shown);
    }
    if (parts->authority.p == NULL) {
        take(&rest, rest.bytes > 0 && rest.p[0] == '/');
        ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                     "the URL does not go on with // after its scheme");
        hint_prefix(error, *out_tls ? "https://" : "http://", rest);
        return AIODUCT_E_URL;
    }
    return 0;
}

static int split_authority(struct ad_slice s, struct authority *out, struct aioduct_error *error)
{
    *out = (struct authority){0};
    const char *at = memchr(s.p, '@', s.bytes);
    if (at != NULL) {
        struct ad_slice info = take(&s, (size_t)(at - s.p));
        take(&s, 1);
        if (memchr(s.p, '@', s.bytes) != NULL) {
            return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                                "the URL has more than one '@' before its path");
        }
        if (info.bytes > 0) {
            out->user = take(&info, span_until(info, ":"));
            if (info.bytes > 0) {
                take(&info, 1);
                out->password = info;
            }
        }
    }
    out->brackets = s.bytes > 0 && s.p[0] == '[';
    if (out->brackets) {
        take(&s, 1);
        out->host = take(&s, span_until(s, "]"));
        if (s.bytes == 0) {
            return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                                "the URL's host begins with '[' and has no ']'");
        }
        take(&s, 1);
    } else {
        out->host = take(&s, span_until(s, ":"));
    }
    if (s.bytes == 0) {
        return 0;
    }
    if (s.p[0] != ':') {
        return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                            "the URL's host goes on after ']'");
    }
    take(&s, 1);
    if (!out->brackets && memchr(s.p, ':', s.bytes) != NULL) {
        ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                     "the URL's host has more than one ':'");
        ad_error_hint(error, "IPv6 addresses stand in brackets: http://[2001:db8::1]:8080/");
        return AIODUCT_E_URL;
    }
    out->port = s;
    return 0;
}

static int parse_port(struct ad_slice s, uint16_t usual, uint16_t *out, struct aioduct_error *error)
{
    char shown[32];
    uint64_t port = usual;
    if (s.bytes == 0 || (ad_slice_to_u64(s, UINT16_MAX, &port) == 0 && port > 0)) {
        *out = (uint16_t)port;
        return 0;
    }
    if (!is_digit(s.p[0])) { /* perhaps a password with a slash in it: not to be shown */
        ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                     "the URL's port is not a number from 1 to 65535");
        ad_error_hint(error, "in a user or password write '/' as %%2F, '?' as %%3F, '#' as %%23");
        return AIODUCT_E_URL;
    }
    ad_text_escape(s.p, s.bytes, shown, sizeof shown);
    return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                        "port \"%s\" in the URL is not a number from 1 to 65535", shown);
}

/* ---- writing ---- */

/* May the byte stand in a path, a query or a fragment as it is (RFC 3986 3.3, 3.4)? Letters, digits
 * and -._~!$&'()*+,;=:@/? as bits. */
static bool is_plain(char c)
{
    static const uint64_t allowed[4] = {0xafffffd200000000, 0x47fffffe87ffffff};
    unsigned char u = (unsigned char)c;
    return (allowed[u / 64] >> u % 64 & 1) != 0;
}

/* Writes what stands for the first byte of @s, and for the two after it if they are an encoding's
 * digits -> how many bytes of @s that was. */
static size_t encode(struct ad_slice s, bool upper, char code[4])
{
    int high = s.p[0] == '%' && s.bytes > 2 ? ad_url_hex(s.p[1]) : -1;
    int low = high >= 0 ? ad_url_hex(s.p[2]) : -1;
    if (low < 0) {
        snprintf(code, 4, "%%%02X", (unsigned char)s.p[0]);
        return 1;
    }
    if (upper) {
        snprintf(code, 4, "%%%02X", (unsigned char)(high * 16 + low));
    } else {
        memcpy(code, s.p, 3);
    }
    return 3;
}

/* Everything else is percent-encoded, a '%' that encodes nothing too. Digits of an encoding are
 * made upper-case in a path; a query is the server's own language and keeps what it has. */
static int write_encoded(struct ad_buf *out, struct ad_slice s, bool upper)
{
    int result = 0;
    while (s.bytes > 0 && result == 0) {
        size_t plain = 0;
        while (plain < s.bytes && is_plain(s.p[plain])) {
            plain++;
        }
        result = ad_buf_append(out, s.p, plain);
        take(&s, plain);
        if (s.bytes > 0 && result == 0) {
            char code[4];
            take(&s, encode(s, upper, code));
            result = ad_buf_append(out, code, 3);
        }
    }
    return result;
}

/* 1 for ".", 2 for "..", encoded dots too, since servers decode them; else 0. */
static int dots(struct ad_slice segment)
{
    int count = 0;
    while (segment.bytes > 0) {
        if (segment.p[0] == '.') {
            take(&segment, 1);
        } else if (segment.bytes >= 3 && segment.p[0] == '%' && segment.p[1] == '2' &&
                   ad_ascii_lower(segment.p[2]) == 'e') {
            take(&segment, 3);
        } else {
            return 0;
        }
        if (++count > 2) {
            return 0;
        }
    }
    return count;
}

/* RFC 3986 5.2.4 on an absolute path, segment by segment; an empty path becomes "/". */
static int write_path(struct ad_buf *out, struct ad_slice path)
{
    size_t root = ad_buf_bytes(out);
    int result = 0;
    do {
        take(&path, path.bytes > 0); /* the slash before it */
        struct ad_slice segment = take(&path, span_until(path, "/"));
        int kind = dots(segment);
        if (kind == 2) {
            while (ad_buf_bytes(out) > root && out->block[--out->end] != '/') {
            }
        }
        if (kind == 0) {
            result = ad_buf_append(out, "/", 1);
            result = result < 0 ? result : write_encoded(out, segment, true);
        } else if (path.bytes == 0) {
            result = ad_buf_append(out, "/", 1);
        }
    } while (result == 0 && path.bytes > 0);
    return result;
}

/* Offsets into the block while it may still move; 0: absent (the text itself begins at 0). */
struct layout {
    size_t target, scheme, host, zone, authority, user, password, fragment;
};

static int write_string(struct ad_buf *out, const char *s, size_t *at)
{
    *at = ad_buf_bytes(out);
    return ad_buf_append(out, s, strlen(s) + 1);
}

/* "host:port" as Host has it. */
static int write_authority(struct ad_buf *out, const struct ad_url_host *host, uint16_t port,
                           bool tls, bool with_zone)
{
    char text[AD_URL_NAME_MAX + AD_URL_ZONE_MAX + 16];
    char port_text[8] = "";
    bool zone = with_zone && host->zone[0] != '\0';
    if (port != (tls ? 443 : 80)) {
        snprintf(port_text, sizeof port_text, ":%u", port);
    }
    snprintf(text, sizeof text, "%s%s%s%s%s%s", host->is_ip6 ? "[" : "", host->text,
             zone ? "%25" : "", zone ? host->zone : "", host->is_ip6 ? "]" : "", port_text);
    return ad_buf_append_str(out, text);
}

static int write_text(struct ad_buf *out, const struct parts *parts, const struct ad_url_host *host,
                      const struct ad_url *url, size_t *target)
{
    int result = ad_buf_append_str(out, url->tls ? "https://" : "http://");
    result = result < 0 ? result : write_authority(out, host, url->port, url->tls, true);
    *target = ad_buf_bytes(out);
    result = result < 0 ? result : write_path(out, parts->path);
    if (result == 0 && parts->query.p != NULL) {
        result = ad_buf_append(out, "?", 1);
        result = result < 0 ? result : write_encoded(out, parts->query, false);
    }
    return result < 0 ? result : ad_buf_append(out, "", 1);
}

/* Percent-decoded user or password. Control bytes have no place in Basic (RFC 7617 2), and a NUL
 * would cut the string. */
static int write_decoded(struct ad_buf *out, struct ad_slice s, size_t *at,
                         struct aioduct_error *error)
{
    *at = ad_buf_bytes(out);
    char *room = (char *)ad_buf_reserve(out, s.bytes + 1);
    if (room == NULL) {
        return out_of_memory(error);
    }
    int64_t count = ad_url_decode(s, room);
    if (count < 0) {
        return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                            "'%%' without two hexadecimal digits in the URL's user or password");
    }
    for (int64_t i = 0; i < count; i++) {
        if ((unsigned char)room[i] < ' ' || room[i] == 0x7f) {
            return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                                "control byte in the URL's user or password");
        }
    }
    room[count] = '\0';
    ad_buf_commit(out, (size_t)count + 1);
    return 0;
}

static int write_rest(struct ad_buf *out, const struct parts *parts, const struct ad_url_host *host,
                      const struct ad_url *url, struct layout *at, struct aioduct_error *error)
{
    int result = write_string(out, url->tls ? "https" : "http", &at->scheme);
    result = result < 0 ? result : write_string(out, host->text, &at->host);
    if (result == 0 && host->zone[0] != '\0') {
        result = write_string(out, host->zone, &at->zone);
    }
    at->authority = ad_buf_bytes(out);
    result = result < 0 ? result : write_authority(out, host, url->port, url->tls, false);
    result = result < 0 ? result : ad_buf_append(out, "", 1);
    if (result == 0 && parts->fragment.p != NULL) {
        at->fragment = ad_buf_bytes(out);
        result = write_encoded(out, parts->fragment, false);
        result = result < 0 ? result : ad_buf_append(out, "", 1);
    }
    return result < 0 ? out_of_memory(error) : 0;
}

static int write_user(struct ad_buf *out, const struct authority *authority, struct layout *at,
                      struct aioduct_error *error)
{
    int result = 0;
    if (authority->user.p != NULL) {
        result = write_decoded(out, authority->user, &at->user, error);
    }
    if (result == 0 && authority->password.p != NULL) {
        result = write_decoded(out, authority->password, &at->password, error);
    }
    return result;
}

/* A reference without authority keeps that of its base, user and password included. */
static int copy_user(struct ad_buf *out, const struct ad_url *base, struct layout *at,
                     struct aioduct_error *error)
{
    int result = 0;
    if (base->user != NULL) {
        result = write_string(out, base->user, &at->user);
    }
    if (result == 0 && base->password != NULL) {
        result = write_string(out, base->password, &at->password);
    }
    return result < 0 ? out_of_memory(error) : 0;
}

static char *at_or_null(char *block, size_t at)
{
    return at == 0 ? NULL : block + at;
}

/* ---- public verbs ---- */

/* @inherit: where user and password come from, if the text has none; NULL: from nowhere. */
static int parse_slice(struct ad_slice text, size_t bytes_max, const struct ad_url *inherit,
                       struct ad_url *out, struct aioduct_error *error)
{
    struct ad_url url = {0};
    struct authority authority;
    struct ad_url_host host;
    struct layout at = {0};
    struct ad_buf block = {0};

    int result = check_bytes(text, bytes_max, error);
    if (result < 0) {
        return result;
    }
    struct parts parts = split(text);
    result = check_scheme(text, &parts, &url.tls, error);
    result = result < 0 ? result : split_authority(parts.authority, &authority, error);
    if (result < 0) {
        return result;
    }
    result = authority.brackets ? ad_url_host_parse_ip6(authority.host, &host, error)
                                : ad_url_host_parse(authority.host, &host, error);
    result = result < 0 ? result : parse_port(authority.port, url.tls ? 443 : 80, &url.port, error);
    if (result < 0) {
        return result;
    }
    if (write_text(&block, &parts, &host, &url, &at.target) < 0) {
        result = out_of_memory(error);
    } else {
        result = write_rest(&block, &parts, &host, &url, &at, error);
    }
    if (result == 0) {
        result = inherit != NULL ? copy_user(&block, inherit, &at, error)
                                 : write_user(&block, &authority, &at, error);
    }
    if (result < 0) {
        ad_buf_fini(&block);
        return result;
    }
    AD_ASSERT(block.begin == 0);
    url.text = (char *)block.block;
    url.scheme = url.text + at.scheme;
    url.host = url.text + at.host;
    url.zone = at_or_null(url.text, at.zone);
    url.authority = url.text + at.authority;
    url.target = url.text + at.target;
    url.user = at_or_null(url.text, at.user);
    url.password = at_or_null(url.text, at.password);
    url.fragment = at_or_null(url.text, at.fragment);
    url.host_is_ip = host.is_ip4 || host.is_ip6;
    *out = url;
    return 0;
}

int ad_url_parse(const char *text, size_t bytes_max, struct ad_url *out,
                 struct aioduct_error *error)
{
    return parse_slice(ad_slice_of(text), bytes_max, NULL, out, error);
}

/* RFC 3986 5.2.3: @path in place of what follows the base path's last slash. */
static int append_merged(struct ad_buf *to, struct ad_slice base_path, struct ad_slice path)
{
    if (path.bytes == 0 || path.p[0] != '/') {
        while (base_path.bytes > 0 && base_path.p[base_path.bytes - 1] != '/') {
            base_path.bytes--;
        }
        int result = ad_buf_append(to, base_path.p, base_path.bytes);
        if (result < 0) {
            return result;
        }
    }
    return ad_buf_append(to, path.p, path.bytes);
}

/* RFC 3986 5.2.2 and 5.3, without the removal of dot segments, which parsing does. */
static int compose(struct ad_buf *to, const struct ad_url *base, const struct parts *parts)
{
    struct ad_slice prefix = {base->text, (size_t)(base->target - base->text)};
    struct parts old = split(ad_slice_of(base->text));
    struct ad_slice query = parts->query;
    int result = 0;
    if (parts->authority.p != NULL) {
        result = ad_buf_append_str(to, base->tls ? "https://" : "http://");
        result =
            result < 0 ? result : ad_buf_append(to, parts->authority.p, parts->authority.bytes);
        result = result < 0 ? result : ad_buf_append(to, parts->path.p, parts->path.bytes);
    } else {
        result = ad_buf_append(to, prefix.p, prefix.bytes);
        if (result == 0 && parts->path.bytes > 0) {
            result = append_merged(to, old.path, parts->path);
        } else if (result == 0) {
            result = ad_buf_append(to, old.path.p, old.path.bytes);
            query = query.p == NULL ? old.query : query;
        }
    }
    if (result == 0 && query.p != NULL) {
        result = ad_buf_append(to, "?", 1);
        result = result < 0 ? result : ad_buf_append(to, query.p, query.bytes);
    }
    if (result == 0 && parts->fragment.p != NULL) {
        result = ad_buf_append(to, "#", 1);
        result = result < 0 ? result : ad_buf_append(to, parts->fragment.p, parts->fragment.bytes);
    }
    return result;
}

int ad_url_resolve(const struct ad_url *base, const char *reference, size_t bytes_max,
                   struct ad_url *out, struct aioduct_error *error)
{
    struct ad_slice text = ad_slice_of(reference);
    struct ad_buf absolute = {0};
    if (text.bytes > 0) {
        int result = check_bytes(text, bytes_max, error);
        if (result < 0) {
            return result;
        }
    }
    struct parts parts = split(text);
    if (parts.scheme.p != NULL) {
        return parse_slice(text, bytes_max, NULL, out, error);
    }
    if (compose(&absolute, base, &parts) < 0) {
        ad_buf_fini(&absolute);
        return out_of_memory(error);
    }
    struct ad_slice whole = {(const char *)ad_buf_data(&absolute), ad_buf_bytes(&absolute)};
    int result = parse_slice(whole, bytes_max, parts.authority.p == NULL ? base : NULL, out, error);
    ad_buf_fini(&absolute);
    return result;
}

void ad_url_fini(struct ad_url *url)
{
    ad_free(url->text); /* the block of all its strings */
    *url = (struct ad_url){0};
}
