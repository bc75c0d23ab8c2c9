/* SPDX-License-Identifier: MIT */
/* Numeric addresses: text to sockaddr and back. */
#include "net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int parse_zone(const char *zone, uint32_t *out)
{
    char *end;
    unsigned long number = strtoul(zone, &end, 10);
    if (zone[0] >= '0' && zone[0] <= '9' && *end == '\0' && number <= UINT32_MAX) {
        *out = (uint32_t)number;
        return 0;
    }
    *out = if_nametoindex(zone);
    return *out != 0 ? 0 : -EINVAL;
}

static int parse_v6(const char *text, struct sockaddr_in6 *sin6)
{
    char digits[INET6_ADDRSTRLEN];
    size_t bytes = strcspn(text, "%");
    if (bytes >= sizeof digits) {
        return -EINVAL;
    }
    memcpy(digits, text, bytes);
    digits[bytes] = '\0';
    if (inet_pton(AF_INET6, digits, &sin6->sin6_addr) != 1) {
        return -EINVAL;
    }
    return text[bytes] == '\0' ? 0 : parse_zone(text + bytes + 1, &sin6->sin6_scope_id);
}

int ad_addr_parse(const char *text, uint16_t port, struct ad_addr *out)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &sin.sin_addr) == 1) {
        *out = (struct ad_addr){.bytes = sizeof sin};
        memcpy(&out->storage, &sin, sizeof sin);
        return 0;
    }
    if (parse_v6(text, &sin6) < 0) {
        return -EINVAL;
    }
    *out = (struct ad_addr){.bytes = sizeof sin6};
    memcpy(&out->storage, &sin6, sizeof sin6);
    return 0;
}

int ad_addr_parse_unix(const char *path, struct ad_addr *out)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t bytes = strlen(path);
    bool abstract = path[0] == '@';
    if (bytes <= abstract || bytes >= sizeof un.sun_path) {
        return -EINVAL;
    }
    memcpy(un.sun_path, path, bytes);
    un.sun_path[0] = abstract ? '\0' : path[0];
    *out = (struct ad_addr){
        .bytes = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + bytes + !abstract)};
    memcpy(&out->storage, &un, sizeof un);
    return 0;
}

/* Bytes of an abstract name are shown as they are, unless they would break a line. */
static void unix_text(const struct ad_addr *addr, char *out)
{
    struct sockaddr_un un;
    memcpy(&un, &addr->storage, sizeof un);
    size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t bytes = addr->bytes > head ? addr->bytes - head : 0;
    bytes = bytes < sizeof un.sun_path ? bytes : sizeof un.sun_path;
    if (bytes > 0 && un.sun_path[0] != '\0') {
        bytes = strnlen(un.sun_path, bytes);
    } else if (bytes > 0) {
        un.sun_path[0] = '@';
    }
    if (bytes == 0) {
        return; /* it has no name */
    }
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)un.sun_path[i];
        un.sun_path[i] = c < 0x20 || c == 0x7f ? '?' : un.sun_path[i];
    }
    snprintf(out, AD_ADDR_TEXT_BYTES, "unix:%.*s", (int)bytes, un.sun_path);
}

const char *ad_addr_text(const struct ad_addr *addr, char *out)
{
    out[0] = '\0';
    if (addr->storage.ss_family == AF_INET) {
        struct sockaddr_in sin;
        memcpy(&sin, &addr->storage, sizeof sin);
        inet_ntop(AF_INET, &sin.sin_addr, out, AD_ADDR_TEXT_BYTES);
    } else if (addr->storage.ss_family == AF_UNIX) {
        unix_text(addr, out);
    } else if (addr->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, &addr->storage, sizeof sin6);
        inet_ntop(AF_INET6, &sin6.sin6_addr, out, AD_ADDR_TEXT_BYTES);
        if (sin6.sin6_scope_id != 0) {
            size_t used = strlen(out);
            snprintf(out + used, AD_ADDR_TEXT_BYTES - used, "%%%u", sin6.sin6_scope_id);
        }
    }
    return out;
}
