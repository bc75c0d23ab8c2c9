/* SPDX-License-Identifier: MIT */
#include "http/redact.h"

#include "base/log.h"

#include <stdio.h>

#define HIDDEN "[hidden]"

static size_t find_any(struct ad_slice s, size_t from, const char *set)
{
    size_t i = from;
    while (i < s.bytes && strchr(set, s.p[i]) == NULL) {
        i++;
    }
    return i;
}

static int length(size_t bytes)
{
    return bytes > 4096 ? 4096 : (int)bytes;
}

/* Where the authority begins: behind "//" at the start or after a scheme; 0: there is none. */
static size_t authority_at(struct ad_slice s)
{
    size_t at = find_any(s, 0, ":/?#");
    at = at < s.bytes && s.p[at] == ':' ? at + 1 : 0;
    return at + 2 <= s.bytes && s.p[at] == '/' && s.p[at + 1] == '/' ? at + 2 : 0;
}

void ad_redact_url(char *to, size_t room, struct ad_slice url)
{
    if (ad_log_secrets()) {
        snprintf(to, room, "%.*s", length(url.bytes), url.p);
        return;
    }
    size_t from = authority_at(url), host = from;
    size_t path = from > 0 ? find_any(url, from, "/?#") : 0;
    for (size_t i = from; i < path; i++) {
        host = url.p[i] == '@' ? i + 1 : host;
    }
    size_t query = find_any(url, path, "?#");
    bool has_query = query < url.bytes && url.p[query] == '?';
    snprintf(to, room, "%.*s%s%.*s%s", length(from), url.p, host > from ? HIDDEN "@" : "",
             length(query - host), url.p + host, has_query ? "?" HIDDEN : "");
}

static bool is_one_of(struct ad_slice name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (ad_slice_case_equal(name, ad_slice_of(*names))) {
            return true;
        }
    }
    return false;
}

void ad_redact_field(char *to, size_t room, struct ad_slice name, struct ad_slice value)
{
    static const char *const secrets[] = {
        "authorization", "proxy-authorization", "cookie",       "set-cookie",          "cookie2",
        "set-cookie2",   "x-api-key",           "x-auth-token", "authentication-info", NULL};
    static const char *const urls[] = {"location", "content-location", "referer", NULL};
    if (!ad_log_secrets() && is_one_of(name, secrets)) {
        snprintf(to, room, HIDDEN);
    } else if (is_one_of(name, urls)) {
        ad_redact_url(to, room, value);
    } else {
        snprintf(to, room, "%.*s", length(value.bytes), value.p);
    }
}
