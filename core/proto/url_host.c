/* SPDX-License-Identifier: MIT */
/* Hosts: names become lower-case A-labels, addresses become their one canonical text, and whatever
 * some other resolver might read as an address in disguise is refused. */
#include "proto/url_private.h"

#include "base/error.h"
#include "proto/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <idn2.h>
#include <stdarg.h>
#include <stdio.h>

#define NAME_SHOWN 96 /* characters of a bad host that a message shows */

__attribute__((format(printf, 3, 4))) static int refuse(struct aioduct_error *error,
                                                        struct ad_slice host, const char *format,
                                                        ...)
{
    char why[160];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    char shown[NAME_SHOWN + 1];
    ad_text_escape(host.p, host.bytes, shown, sizeof shown);
    return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP, "host \"%s\" in the URL %s",
                        shown, why);
}

int ad_url_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = ad_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int64_t ad_url_decode(struct ad_slice s, char *out)
{
    size_t count = 0;
    for (size_t i = 0; i < s.bytes; i++) {
        if (s.p[i] != '%') {
            out[count++] = s.p[i];
            continue;
        }
        int high = i + 2 < s.bytes ? ad_url_hex(s.p[i + 1]) : -1;
        int low = high >= 0 ? ad_url_hex(s.p[i + 2]) : -1;
        if (low < 0) {
            return -EINVAL;
        }
        out[count++] = (char)(high * 16 + low);
        i += 2;
    }
    return (int64_t)count;
}

static bool is_ascii(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s >= 0x80) {
            return false;
        }
    }
    return true;
}

/* Letters, digits, hyphens; underscores too, which host names inside networks do have. */
static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 bytes of a known alphabet; one final dot is fine. */
static int check_labels(const char *name, struct ad_slice host, struct aioduct_error *error)
{
    size_t label = 0;
    for (const char *p = name;; p++) {
        bool end = *p == '\0' || *p == '.';
        if (!end && !is_name_byte(*p)) {
            return refuse(error, host, "holds the byte 0x%02x, which no host name has",
                          (unsigned char)*p);
        }
        if (!end) {
            if (++label > 63) {
                return refuse(error, host, "has a label longer than 63 bytes");
            }
            continue;
        }
        if (label == 0 && (*p == '.' || p == name)) {
            return refuse(error, host, "has an empty label");
        }
        if (*p == '\0') {
            break;
        }
        label = 0;
    }
    size_t bytes = strlen(name);
    if (bytes > AD_URL_NAME_MAX || (bytes == AD_URL_NAME_MAX && name[bytes - 1] != '.')) {
        return refuse(error, host, "is longer than 253 bytes");
    }
    return 0;
}

/* Would inet_aton, or a browser, read it as an IPv4 address? Its last label is a number then. */
static bool ends_in_number(const char *name)
{
    size_t bytes = strlen(name);
    if (bytes > 0 && name[bytes - 1] == '.') {
        bytes--;
    }
    size_t begin = bytes;
    while (begin > 0 && name[begin - 1] != '.') {
        begin--;
    }
    const char *label = name + begin;
    size_t count = bytes - begin;
    bool digits = count > 0;
    for (size_t i = 0; i < count; i++) {
        digits = digits && label[i] >= '0' && label[i] <= '9';
    }
    if (digits) {
        return true;
    }
    if (count < 2 || label[0] != '0' || label[1] != 'x') {
        return false;
    }
    for (size_t i = 2; i < count; i++) {
        if (ad_url_hex(label[i]) < 0) {
            return false;
        }
    }
    return true;
}

static int to_ascii(const char *name, struct ad_slice host, char *out, struct aioduct_error *error)
{
    char *ascii = NULL;
    int code = idn2_to_ascii_8z(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (code == IDN2_MALLOC) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    if (code != IDN2_OK) {
        return refuse(error, host, "is not a valid international name: %s", idn2_strerror(code));
    }
    size_t bytes = strlen(ascii);
    int result = 0;
    if (bytes > AD_URL_NAME_MAX) {
        result = refuse(error, host, "is longer than 253 bytes");
    } else {
        memcpy(out, ascii, bytes + 1);
    }
    idn2_free(ascii);
    return result;
}

/* A host may come percent-encoded in UTF-8 (RFC 3986 3.2.2), so up to three times as long. */
#define RAW_MAX (3 * 4 * AD_URL_NAME_MAX)

int ad_url_host_parse(struct ad_slice host, struct ad_url_host *out, struct aioduct_error *error)
{
    char name[RAW_MAX + 1];
    *out = (struct ad_url_host){0};
    if (host.bytes == 0) {
        return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP, "the URL has no host");
    }
    if (host.bytes > RAW_MAX) {
        return refuse(error, host, "is longer than 253 bytes");
    }
    int64_t count = ad_url_decode(host, name);
    if (count < 0) {
        return refuse(error, host, "has a '%%' without two hexadecimal digits");
    }
    name[count] = '\0';
    if (memchr(name, '\0', (size_t)count) != NULL) {
        return refuse(error, host, "holds the byte 0x00, which no host name has");
    }
    bool ascii = is_ascii(name);
    if (!ascii) {
        int code = to_ascii(name, host, out->text, error);
        if (code < 0) {
            return code;
        }
    } else if (count > AD_URL_NAME_MAX) {
        return refuse(error, host, "is longer than 253 bytes");
    } else {
        memcpy(out->text, name, (size_t)count + 1);
    }
    for (char *p = out->text; *p != '\0'; p++) {
        *p = ad_ascii_lower(*p);
    }
    int code = check_labels(out->text, host, error);
    if (code < 0) {
        return code;
    }
    if (ends_in_number(out->text)) {
        struct in_addr address;
        if (!ascii || host.bytes != (size_t)count || inet_pton(AF_INET, out->text, &address) != 1) {
            refuse(error, host, "looks like an IPv4 address but is not four decimal numbers");
            ad_error_hint(error, "write IPv4 addresses as in http://192.0.2.1/");
            return AIODUCT_E_URL;
        }
        out->is_ip4 = true;
    }
    return 0;
}

static bool is_zone_byte(char c)
{
    char lower = ad_ascii_lower(c);
    return is_name_byte(lower) || c == '.' || c == '~';
}

/* "%25eth0" as RFC 6874 has it, or "%eth0" as people type it. */
static int parse_zone(struct ad_slice host, struct ad_slice zone, struct ad_url_host *out,
                      struct aioduct_error *error)
{
    if (zone.bytes >= 2 && zone.p[0] == '2' && zone.p[1] == '5') {
        zone.p += 2;
        zone.bytes -= 2;
    }
    if (zone.bytes == 0 || zone.bytes > AD_URL_ZONE_MAX) {
        return refuse(error, host, "has an empty zone, or one longer than %d bytes",
                      AD_URL_ZONE_MAX);
    }
    for (size_t i = 0; i < zone.bytes; i++) {
        if (!is_zone_byte(zone.p[i])) {
            return refuse(error, host, "has the byte 0x%02x in its zone", (unsigned char)zone.p[i]);
        }
    }
    memcpy(out->zone, zone.p, zone.bytes);
    out->zone[zone.bytes] = '\0';
    return 0;
}

int ad_url_host_parse_ip6(struct ad_slice host, struct ad_url_host *out,
                          struct aioduct_error *error)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    *out = (struct ad_url_host){0};
    const char *percent = memchr(host.p, '%', host.bytes);
    size_t bytes = percent == NULL ? host.bytes : (size_t)(percent - host.p);
    bool valid = bytes < sizeof text && memchr(host.p, '\0', bytes) == NULL;
    if (valid) {
        memcpy(text, host.p, bytes);
        text[bytes] = '\0';
        valid = inet_pton(AF_INET6, text, &address) == 1;
    }
    if (!valid) {
        return refuse(error, host, "is not an IPv6 address");
    }
    inet_ntop(AF_INET6, &address, out->text, sizeof out->text);
    out->is_ip6 = true;
    if (percent == NULL) {
        return 0;
    }
    struct ad_slice zone = {percent + 1, host.bytes - bytes - 1};
    return parse_zone(host, zone, out, error);
}
