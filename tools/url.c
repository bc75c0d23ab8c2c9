/* SPDX-License-Identifier: MIT */
#include "url.h"

#include <aioduct/request.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *url_authority(const char *url)
{
    const char *mark = strstr(url, "://");
    /* One inside a path or a query is no scheme's. */
    return mark != NULL && strcspn(url, "/?#") > (size_t)(mark - url) ? mark + 3 : url;
}

/* What may stand in a path as it is (RFC 3986 section 2.3). */
static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c) != NULL);
}

static char *put_escaped(char *to, const char *name)
{
    for (; *name != '\0'; name++) {
        if (is_unreserved(*name)) {
            *to++ = *name;
        } else {
            to += sprintf(to, "%%%02X", (unsigned char)*name);
        }
    }
    return to;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *url_complete(const char *url, const char *upload)
{
    const char *authority = url_authority(url);
    const char *path = authority + strcspn(authority, "/?#");
    const char *path_end = path + strcspn(path, "?#");
    bool names_no_file = path_end == path || path_end[-1] == '/';
    const char *file = upload != NULL && names_no_file ? base_name(upload) : "";
    char *full = malloc(strlen("http://") + strlen(url) + 1 + 3 * strlen(file) + 1);
    if (full == NULL) {
        return NULL;
    }
    char *at = stpcpy(full, authority == url ? "http://" : "");
    at = mempcpy(at, url, (size_t)(path_end - url));
    if (file[0] != '\0') {
        at = stpcpy(at, path_end == path ? "/" : "");
        at = put_escaped(at, file);
    }
    strcpy(at, path_end);
    return full;
}

/* Both parts as one text; dot segments go when it is parsed. */
static char *joined(const char *base, const char *reference)
{
    const char *authority = url_authority(base);
    const char *path = authority + strcspn(authority, "/?#");
    size_t keep = (size_t)(path - base); /* "/..." */
    bool absolute = strcspn(reference, ":/?#") < strlen(reference) &&
                    reference[strcspn(reference, ":/?#")] == ':';
    if (absolute) {
        keep = 0;
    } else if (reference[0] == '/' && reference[1] == '/') {
        keep = strcspn(base, ":") + 1;
    } else if (reference[0] == '?') {
        keep += strcspn(path, "?#");
    } else if (reference[0] != '/') {
        size_t bytes = strcspn(path, "?#");
        while (bytes > 0 && path[bytes - 1] != '/') {
            bytes--;
        }
        keep += bytes;
    }
    char *whole = malloc(keep + strlen(reference) + 1);
    if (whole != NULL) {
        strcpy(mempcpy(whole, base, keep), reference);
    }
    return whole;
}

bool url_join(const char *base, const char *reference, char *out, size_t room)
{
    struct aioduct_request *request = NULL;
    char *whole = joined(base, reference);
    bool good = whole != NULL && aioduct_request_create("GET", whole, &request, NULL) == 0;
    if (good) {
        good = (size_t)snprintf(out, room, "%s", aioduct_request_url(request)) < room;
    }
    aioduct_request_destroy(request);
    free(whole);
    return good;
}
