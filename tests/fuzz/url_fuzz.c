/* SPDX-License-Identifier: MIT */
/* Any text as a URL and as a reference: what is accepted holds no byte that could split a request,
 * and its text parses to itself. */
#include "proto/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#define CHECK(x)                                                    \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort();                                                \
        }                                                           \
    } while (0)

static void check_visible(const char *s)
{
    for (; *s != '\0'; s++) {
        CHECK(*s > ' ' && *s < 0x7f && *s != '\\');
    }
}

static void check(const struct ad_url *url)
{
    struct ad_url again = {0};
    struct aioduct_error error = {0};
    check_visible(url->text);
    check_visible(url->host);
    check_visible(url->authority);
    check_visible(url->target);
    CHECK(url->host[0] != '\0' && url->target[0] == '/' && url->port != 0);
    CHECK(strpbrk(url->host, "/?#@[]%") == NULL);
    CHECK(strpbrk(url->authority, "/?#@%") == NULL);
    CHECK(ad_url_parse(url->text, SIZE_MAX, &again, &error) == 0);
    CHECK(strcmp(url->text, again.text) == 0 && strcmp(url->target, again.target) == 0);
    CHECK(strcmp(url->host, again.host) == 0 && url->port == again.port);
    CHECK(url->tls == again.tls && url->host_is_ip == again.host_is_ip);
    ad_url_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static const char base_text[] = "https://user:secret@base.example:8443/a/b?c#d";
    struct ad_url base = {0};
    struct ad_url url = {0};
    struct aioduct_error error = {0};
    char *text = malloc(count + 1);
    if (count > 0) {
        memcpy(text, data, count);
    }
    text[count] = '\0';
    int code = ad_url_parse(text, 4096, &url, &error);
    CHECK(code == 0 || (code == error.code && error.message[0] != '\0'));
    if (code == 0) {
        check(&url);
        ad_url_fini(&url);
    }
    CHECK(ad_url_parse(base_text, 4096, &base, &error) == 0);
    if (ad_url_resolve(&base, text, 4096, &url, &error) == 0) {
        check(&url);
        /* the base's secret goes nowhere else */
        CHECK(url.password == NULL || strcmp(url.password, "secret") != 0 ||
              strstr(text, "secret") != NULL || strcmp(url.authority, "base.example:8443") == 0);
        ad_url_fini(&url);
    }
    ad_url_fini(&base);
    free(text);
    return 0;
}
