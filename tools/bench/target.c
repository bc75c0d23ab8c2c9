/* SPDX-License-Identifier: MIT */
/* Is the target this machine? What is not is refused, so that a slip of the hand is no attack; and
 * what was found is all that the client can dial, whatever a name means a moment later. */
#include "bench.h"
#include "exitcode.h"
#include "transfer.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOST_BYTES 256
#define LIST_BYTES 1024

struct place {
    char host[HOST_BYTES]; /* without brackets */
    char port[8];
};

/* ---- texts ---- */

/* Up to the next colon behind brackets, if there are any, or to the end. */
static bool take(const char **p, char *out, size_t room)
{
    bool bracketed = **p == '[';
    const char *from = *p + bracketed;
    const char *end = from + strcspn(from, bracketed ? "]" : ":");
    const char *behind = end + (bracketed && *end == ']');
    size_t bytes = (size_t)(end - from);
    if (bytes >= room || (*behind != ':' && *behind != '\0')) {
        return false;
    }
    memcpy(out, from, bytes);
    out[bytes] = '\0';
    *p = behind + (*behind == ':');
    return true;
}

/* Host and port of a URL that the library has parsed. */
static bool place_of(const char *url, struct place *out)
{
    const char *from = strstr(url, "://") + 3;
    char authority[HOST_BYTES + 16];
    size_t bytes = strcspn(from, "/?#");
    if (bytes >= sizeof authority) {
        return false;
    }
    memcpy(authority, from, bytes);
    authority[bytes] = '\0';
    const char *p = authority;
    if (!take(&p, out->host, sizeof out->host) || !take(&p, out->port, sizeof out->port)) {
        return false;
    }
    if (out->port[0] == '\0') {
        snprintf(out->port, sizeof out->port, "%s", strncmp(url, "https", 5) == 0 ? "443" : "80");
    }
    return true;
}

/* Does a rule that begins with "host:port:" say something of @place? @*p is behind it then. */
static bool rule_fits(const char **p, const struct place *place)
{
    struct place rule;
    if (!take(p, rule.host, sizeof rule.host) || !take(p, rule.port, sizeof rule.port)) {
        return false;
    }
    bool any = rule.host[0] == '\0' || strcmp(rule.host, "*") == 0;
    return (any || strcasecmp(rule.host, place->host) == 0) &&
           (rule.port[0] == '\0' || strcmp(rule.port, place->port) == 0);
}

static void apply_connect_to(const struct strings *rules, struct place *place)
{
    for (size_t i = 0; i < rules->count; i++) {
        const char *p = rules->items[i];
        struct place to;
        if (!rule_fits(&p, place)) {
            continue;
        }
        if (take(&p, to.host, sizeof to.host) && take(&p, to.port, sizeof to.port)) {
            if (to.host[0] != '\0') {
                memcpy(place->host, to.host, sizeof to.host);
            }
            if (to.port[0] != '\0') {
                memcpy(place->port, to.port, sizeof to.port);
            }
        }
        return;
    }
}

/* The addresses of the last --resolve that fits; NULL: none does. */
static const char *find_resolve(const struct strings *rules, const struct place *place)
{
    for (size_t i = rules->count; i > 0; i--) {
        const char *p = rules->items[i - 1];
        if (rule_fits(&p, place)) {
            return p;
        }
    }
    return NULL;
}

/* ---- addresses ---- */

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, address, &v6) != 1) {
        return false;
    }
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

static bool is_address(const char *text)
{
    struct in6_addr any;
    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

/* What the library leads to this machine without asking anybody (RFC 6761 section 6.3). */
static bool is_localhost(const char *host)
{
    static const char name[] = "localhost";
    size_t bytes = strlen(host);
    bytes -= bytes > 0 && host[bytes - 1] == '.';
    if (bytes < sizeof name - 1) {
        return false;
    }
    const char *last = host + bytes - (sizeof name - 1);
    return strncasecmp(last, name, sizeof name - 1) == 0 && (last == host || last[-1] == '.');
}

static const char *localhost(const struct options *o)
{
    return o->family == 4 ? "127.0.0.1" : o->family == 6 ? "::1" : "127.0.0.1,::1";
}

/* Addresses of a name, commas between. -> 0 or an exit code */
static int look_up(const struct options *o, const char *host, char *list, size_t room)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_family = o->family == 4   ? AF_INET
                                          : o->family == 6 ? AF_INET6
                                                           : AF_UNSPEC};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0) {
        complain(o, "(%d) cannot resolve %s: %s", EXIT_RESOLVE, host, gai_strerror(code));
        return EXIT_RESOLVE;
    }
    size_t at = 0;
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) ==
                0 &&
            at + strlen(text) + 2 < room) {
            at += (size_t)snprintf(list + at, room - at, "%s%s", at > 0 ? "," : "", text);
        }
    }
    freeaddrinfo(found);
    return 0;
}

static int refuse(const struct options *o, const struct place *place, const char *address)
{
    bool same = strcmp(place->host, address) == 0;
    complain(o, "(%d) %s%s%s%s is not this machine, and nothing was sent", EXIT_USAGE, place->host,
             same ? "" : " (", same ? "" : address, same ? "" : ")");
    complain(o, "hint: --yes, if you may put load on it");
    return EXIT_USAGE;
}

static int check_list(const struct options *o, const struct place *place, const char *list)
{
    for (const char *at = list; at != NULL;
         at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL) {
        char address[HOST_BYTES];
        const char *from = at + strspn(at, " [");
        size_t bytes = strcspn(from, ",] ");
        bytes = bytes < sizeof address ? bytes : sizeof address - 1;
        memcpy(address, from, bytes);
        address[bytes] = '\0';
        if (!is_loopback(address)) {
            return refuse(o, place, address);
        }
    }
    return 0;
}

/* All that is dialled goes to @place, and it is at @list. */
static int pin(struct bench_settings *s, const struct place *place, const char *list)
{
    bool v6 = strchr(place->host, ':') != NULL;
    bool made = asprintf(&s->pin_connect_to, "::%s%s%s:%s", v6 ? "[" : "", place->host,
                         v6 ? "]" : "", place->port) >= 0;
    made = made && asprintf(&s->pin_resolve, "*:%s:%s", place->port, list) >= 0;
    s->pinned = made;
    return made ? 0 : EXIT_MEMORY;
}

int bench_target_check(struct bench_settings *s)
{
    const struct options *o = &s->request;
    struct aioduct_request *request = NULL;
    struct aioduct_error error = {0};
    if (aioduct_request_create("GET", s->url, &request, &error) < 0) {
        return complain_error(o, &error);
    }
    struct place place;
    bool whole = place_of(aioduct_request_url(request), &place);
    s->shown_url = strdup(aioduct_request_url(request));
    aioduct_request_destroy(request);
    if (s->shown_url == NULL) {
        return EXIT_MEMORY;
    }
    if (s->yes || o->unix_socket != NULL || o->abstract_socket != NULL) {
        return 0;
    }
    if (!whole) {
        complain(o, "(%d) %s: the host is too long", EXIT_URL, s->shown_url);
        return EXIT_URL;
    }
    apply_connect_to(&o->connect_to, &place);
    char found[LIST_BYTES] = "";
    const char *list = find_resolve(&o->resolve, &place);
    if (list == NULL && is_address(place.host)) {
        list = place.host;
    } else if (list == NULL && is_localhost(place.host)) {
        list = localhost(o);
    } else if (list == NULL) {
        int code = look_up(o, place.host, found, sizeof found);
        if (code != 0) {
            return code;
        }
        list = found;
    }
    int code = check_list(o, &place, list);
    return code != 0 ? code : pin(s, &place, list);
}
