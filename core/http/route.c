/* SPDX-License-Identifier: MIT */
/* "host:port:address[,address]..." and "host:port:host2:port2", with IPv6 in brackets. */
#include "http/route.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define ADDRESSES_MAX 64 /* of one rule; a race over more would not end in time anyway */

/* ---- parsing ---- */

/* A host up to the next colon, brackets taken off. false: malformed. */
static bool take_host(const char **p, struct ad_slice *out)
{
    const char *end;
    if (**p == '[') {
        end = strchr(*p, ']');
        if (end == NULL || end[1] != ':') {
            return false;
        }
        *out = (struct ad_slice){*p + 1, (size_t)(end - *p - 1)};
        *p = end + 2;
        return out->bytes > 0;
    }
    end = strchr(*p, ':');
    if (end == NULL) {
        return false;
    }
    *out = (struct ad_slice){*p, (size_t)(end - *p)};
    *p = end + 1;
    return true;
}

static bool parse_port(struct ad_slice s, int *out)
{
    uint64_t port;
    if (s.bytes == 0) {
        *out = -1;
        return true;
    }
    if (ad_slice_to_u64(s, 65535, &port) < 0 || port == 0) {
        return false;
    }
    *out = (int)port;
    return true;
}

static bool take_port(const char **p, int *out)
{
    const char *end = strchr(*p, ':');
    if (end == NULL || !parse_port((struct ad_slice){*p, (size_t)(end - *p)}, out)) {
        return false;
    }
    *p = end + 1;
    return true;
}

static bool parse_address(struct ad_slice s, struct ad_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
    if (s.bytes >= 2 && s.p[0] == '[' && s.p[s.bytes - 1] == ']') {
        s.p++;
        s.bytes -= 2;
    }
    if (s.bytes >= sizeof text) {
        return false;
    }
    memcpy(text, s.p, s.bytes);
    text[s.bytes] = '\0';
    *out = (struct ad_addr){0};
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        out->bytes = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        out->bytes = sizeof *v6;
        return true;
    }
    return false;
}

static void put_port(struct ad_addr *addr, uint16_t port)
{
    if (addr->storage.ss_family == AF_INET) {
        ((struct sockaddr_in *)&addr->storage)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)&addr->storage)->sin6_port = htons(port);
    }
}

static int parse_addresses(const char *list, struct ad_route_rule *rule)
{
    struct ad_addr addrs[ADDRESSES_MAX];
    size_t count = 0;
    for (;;) {
        const char *end = list + strcspn(list, ",");
        struct ad_slice one = ad_slice_trim((struct ad_slice){list, (size_t)(end - list)});
        if (count == ADDRESSES_MAX || !parse_address(one, &addrs[count])) {
            return -EINVAL;
        }
        put_port(&addrs[count++], (uint16_t)rule->port);
        if (*end == '\0') {
            break;
        }
        list = end + 1;
    }
    rule->addrs = ad_alloc(count * sizeof *addrs);
    if (rule->addrs == NULL) {
        return -ENOMEM;
    }
    memcpy(rule->addrs, addrs, count * sizeof *addrs);
    rule->addr_count = count;
    return 0;
}

/* NULL for an empty or "*" host: any. */
static int copy_host(struct ad_slice s, char **out)
{
    *out = NULL;
    if (s.bytes == 0 || (s.bytes == 1 && s.p[0] == '*')) {
        return 0;
    }
    *out = ad_strndup(s.p, s.bytes);
    if (*out == NULL) {
        return -ENOMEM;
    }
    for (char *p = *out; *p != '\0'; p++) {
        *p = ad_ascii_lower(*p);
    }
    return 0;
}

static int parse_resolve(const char *text, struct ad_route_rule *rule)
{
    struct ad_slice host;
    if (!take_host(&text, &host) || host.bytes == 0 || !take_port(&text, &rule->port) ||
        rule->port < 0) {
        return -EINVAL;
    }
    int code = copy_host(host, &rule->host);
    return code < 0 ? code : parse_addresses(text, rule);
}

static int parse_connect_to(const char *text, struct ad_route_rule *rule)
{
    struct ad_slice host, to_host;
    if (!take_host(&text, &host) || !take_port(&text, &rule->port) || !take_host(&text, &to_host) ||
        to_host.bytes == 0 || !parse_port(ad_slice_of(text), &rule->to_port)) {
        return -EINVAL;
    }
    int code = copy_host(host, &rule->host);
    return code < 0 ? code : copy_host(to_host, &rule->to_host);
}

int ad_route_parse(const char *target, char **out_host, int *out_port)
{
    struct ad_slice host;
    int port;
    if (!take_host(&target, &host) || !parse_port(ad_slice_of(target), &port) ||
        (host.bytes == 0 && port < 0) || (host.bytes == 1 && host.p[0] == '*')) {
        return -EINVAL;
    }
    int code = copy_host(host, out_host);
    if (code == 0) {
        *out_port = port;
    }
    return code;
}

/* ---- lists ---- */

static void free_rules(struct ad_route_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ad_free(rules[i].host);
        ad_free(rules[i].to_host);
        ad_free(rules[i].addrs);
    }
    ad_free(rules);
}

static int parse_list(const char *const *list, const char *option,
                      int (*parse)(const char *text, struct ad_route_rule *rule),
                      struct ad_route_rule **out, size_t *out_count, struct aioduct_error *error)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    if (count == 0) {
        return 0;
    }
    struct ad_route_rule *rules = ad_zalloc(count * sizeof *rules);
    if (rules == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        int code = parse(list[i], &rules[i]);
        if (code == -EINVAL) {
            ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                         "client option %s: '%s' is not of the form %s", option, list[i],
                         parse == parse_resolve ? "host:port:address[,address]..."
                                                : "host:port:host2:port2");
        }
        if (code < 0) {
            free_rules(rules, count);
            return code;
        }
    }
    *out = rules;
    *out_count = count;
    return 0;
}

int ad_routes_init(struct ad_routes *routes, const char *const *resolve,
                   const char *const *connect_to, struct aioduct_error *error)
{
    *routes = (struct ad_routes){0};
    int code = parse_list(resolve, "resolve", parse_resolve, &routes->resolve,
                          &routes->resolve_count, error);
    if (code == 0) {
        code = parse_list(connect_to, "connect_to", parse_connect_to, &routes->connect_to,
                          &routes->connect_to_count, error);
    }
    if (code < 0) {
        ad_routes_fini(routes);
    }
    return code;
}

void ad_routes_fini(struct ad_routes *routes)
{
    free_rules(routes->resolve, routes->resolve_count);
    free_rules(routes->connect_to, routes->connect_to_count);
    *routes = (struct ad_routes){0};
}

static const struct ad_route_rule *find(const struct ad_route_rule *rules, size_t count,
                                        const char *host, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        if ((rules[i].host == NULL || strcmp(rules[i].host, host) == 0) &&
            (rules[i].port < 0 || rules[i].port == port)) {
            return &rules[i];
        }
    }
    return NULL;
}

struct ad_route ad_routes_find(const struct ad_routes *routes, const char *host, uint16_t port)
{
    const struct ad_route_rule *rule =
        find(routes->connect_to, routes->connect_to_count, host, port);
    if (rule != NULL) {
        host = rule->to_host != NULL ? rule->to_host : host;
        port = rule->to_port < 0 ? port : (uint16_t)rule->to_port;
    }
    return ad_routes_resolve(routes, host, port);
}

struct ad_route ad_routes_resolve(const struct ad_routes *routes, const char *host, uint16_t port)
{
    struct ad_route route = {.host = host, .port = port};
    const struct ad_route_rule *rule = find(routes->resolve, routes->resolve_count, host, port);
    if (routes->local.bytes > 0) {
        route.addrs = &routes->local;
        route.addr_count = 1;
    } else if (rule != NULL) {
        route.addrs = rule->addrs;
        route.addr_count = rule->addr_count;
    }
    return route;
}
