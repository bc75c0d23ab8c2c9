/* SPDX-License-Identifier: MIT */
/** The URL parser: row C67 (and the parsing side of C17, C56, C58) and RFC 3986 section 5.4. */
#include "base/mem.h"
#include "proto/url.h"
#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define BYTES_MAX 65536

static void assert_text(const char *got, const char *wanted)
{
    if (wanted == NULL || got == NULL) {
        assert_ptr_equal(got, wanted);
        return;
    }
    assert_string_equal(got, wanted);
}

/* ---- what a good URL becomes ---- */

struct good {
    const char *from, *text, *host, *authority, *target;
    uint16_t port;
    bool is_ip;
};

static void check_good(const struct good *want)
{
    struct ad_url url = {0};
    struct aioduct_error error = {0};
    print_message("%s\n", want->from);
    assert_int_equal(ad_url_parse(want->from, BYTES_MAX, &url, &error), 0);
    assert_text(url.text, want->text);
    assert_text(url.host, want->host);
    assert_text(url.authority, want->authority);
    assert_text(url.target, want->target);
    assert_int_equal(url.port, want->port);
    assert_int_equal(url.host_is_ip, want->is_ip);
    assert_int_equal(url.tls, strncmp(url.text, "https:", 6) == 0);
    assert_text(url.scheme, url.tls ? "https" : "http");
    /* What comes out parses to itself. */
    struct ad_url again = {0};
    assert_int_equal(ad_url_parse(url.text, BYTES_MAX, &again, &error), 0);
    assert_text(again.text, url.text);
    assert_text(again.target, url.target);
    ad_url_fini(&again);
    ad_url_fini(&url);
}

static void test_good(void **state)
{
    (void)state;
    static const struct good list[] = {
        {"http://example.com", "http://example.com/", "example.com", "example.com", "/", 80, false},
        {"https://example.com/", "https://example.com/", "example.com", "example.com", "/", 443,
         false},
        {"HTTP://EXAMPLE.com:80/A?b#c", "http://example.com/A?b", "example.com", "example.com",
         "/A?b", 80, false},
        {"https://example.com:80/", "https://example.com:80/", "example.com", "example.com:80", "/",
         80, false},
        {"http://example.com:443/", "http://example.com:443/", "example.com", "example.com:443",
         "/", 443, false},
        {"http://example.com:/x", "http://example.com/x", "example.com", "example.com", "/x", 80,
         false},
        {"http://example.com:00080/x", "http://example.com/x", "example.com", "example.com", "/x",
         80, false},
        {"http://example.com:65535", "http://example.com:65535/", "example.com",
         "example.com:65535", "/", 65535, false},
        {"http://example.com?q", "http://example.com/?q", "example.com", "example.com", "/?q", 80,
         false},
        {"http://example.com?", "http://example.com/?", "example.com", "example.com", "/?", 80,
         false},
        {"http://example.com#f", "http://example.com/", "example.com", "example.com", "/", 80,
         false},
        {"http://example.com./", "http://example.com./", "example.com.", "example.com.", "/", 80,
         false},
        {"http://my_host/", "http://my_host/", "my_host", "my_host", "/", 80, false},
        {"http://ex%61mple.com/", "http://example.com/", "example.com", "example.com", "/", 80,
         false},
        {"http://192.0.2.7:8080/", "http://192.0.2.7:8080/", "192.0.2.7", "192.0.2.7:8080", "/",
         8080, true},
        {"http://1.2.3.4.example/", "http://1.2.3.4.example/", "1.2.3.4.example", "1.2.3.4.example",
         "/", 80, false},
        {"http://0xyz/", "http://0xyz/", "0xyz", "0xyz", "/", 80, false},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_good(&list[i]);
    }
}

static void test_paths(void **state)
{
    (void)state;
    static const struct good list[] = {
        {"http://a/b/../c", "http://a/c", "a", "a", "/c", 80, false},
        {"http://a/../../etc", "http://a/etc", "a", "a", "/etc", 80, false},
        {"http://a/b/.", "http://a/b/", "a", "a", "/b/", 80, false},
        {"http://a/b/..", "http://a/", "a", "a", "/", 80, false},
        {"http://a/b/%2e%2E/c", "http://a/c", "a", "a", "/c", 80, false},
        {"http://a/b/.%2e/%2e/c", "http://a/c", "a", "a", "/c", 80, false},
        {"http://a/b//../c", "http://a/b/c", "a", "a", "/b/c", 80, false},
        {"http://a//b", "http://a//b", "a", "a", "//b", 80, false},
        {"http://a/...", "http://a/...", "a", "a", "/...", 80, false},
        {"http://a/.b/b./..c", "http://a/.b/b./..c", "a", "a", "/.b/b./..c", 80, false},
        {"http://a/%2f%7e%c3%a4", "http://a/%2F%7E%C3%A4", "a", "a", "/%2F%7E%C3%A4", 80, false},
        {"http://a/?x=%2f/../y", "http://a/?x=%2f/../y", "a", "a", "/?x=%2f/../y", 80, false},
        {"http://a/\xc3\xa4?\xc3\xb6", "http://a/%C3%A4?%C3%B6", "a", "a", "/%C3%A4?%C3%B6", 80,
         false},
        {"http://a/100%?50%zz", "http://a/100%25?50%25zz", "a", "a", "/100%25?50%25zz", 80, false},
        {"http://a/%4", "http://a/%254", "a", "a", "/%254", 80, false},
        {"http://a/<\"{|}^`>?[]", "http://a/%3C%22%7B%7C%7D%5E%60%3E?%5B%5D", "a", "a",
         "/%3C%22%7B%7C%7D%5E%60%3E?%5B%5D", 80, false},
        {"http://a/-._~!$&'()*+,;=:@/", "http://a/-._~!$&'()*+,;=:@/", "a", "a",
         "/-._~!$&'()*+,;=:@/", 80, false},
        {"http://a/b@c:d", "http://a/b@c:d", "a", "a", "/b@c:d", 80, false},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_good(&list[i]);
    }
}

static void test_idna(void **state)
{
    (void)state;
    static const struct good list[] = {
        {"http://b\xc3\xbc"
         "cher.example/",
         "http://xn--bcher-kva.example/", "xn--bcher-kva.example", "xn--bcher-kva.example", "/", 80,
         false},
        {"http://B\xc3\x9c"
         "CHER.Example/",
         "http://xn--bcher-kva.example/", "xn--bcher-kva.example", "xn--bcher-kva.example", "/", 80,
         false},
        {"http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example",
         "xn--bcher-kva.example", "/", 80, false},
        {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example",
         "xn--bcher-kva.example", "/", 80, false},
        {"http://stra\xc3\x9f"
         "e.example/",
         "http://xn--strae-oqa.example/", "xn--strae-oqa.example", "xn--strae-oqa.example", "/", 80,
         false},
        {"http://\xe4\xbe\x8b\xe3\x80\x82\xe6\xb5\x8b\xe8\xaf\x95/", /* an ideographic full stop */
         "http://xn--fsq.xn--0zwm56d/", "xn--fsq.xn--0zwm56d", "xn--fsq.xn--0zwm56d", "/", 80,
         false},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_good(&list[i]);
    }
}

static void test_ip6(void **state)
{
    (void)state;
    static const struct good list[] = {
        {"http://[::1]/", "http://[::1]/", "::1", "[::1]", "/", 80, true},
        {"http://[2001:DB8:0:0::0001]:8080/", "http://[2001:db8::1]:8080/", "2001:db8::1",
         "[2001:db8::1]:8080", "/", 8080, true},
        {"https://[::ffff:192.0.2.1]:443", "https://[::ffff:192.0.2.1]/", "::ffff:192.0.2.1",
         "[::ffff:192.0.2.1]", "/", 443, true},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_good(&list[i]);
    }
}

static void test_zone(void **state)
{
    (void)state;
    static const char *const list[] = {"http://[fe80::1%25eth0]:81/x",
                                       "http://[fe80::1%eth0]:81/x"};
    for (size_t i = 0; i < COUNT(list); i++) {
        struct ad_url url = {0};
        assert_int_equal(ad_url_parse(list[i], BYTES_MAX, &url, NULL), 0);
        assert_text(url.host, "fe80::1");
        assert_text(url.zone, "eth0");
        assert_text(url.authority, "[fe80::1]:81");
        assert_text(url.text, "http://[fe80::1%25eth0]:81/x");
        ad_url_fini(&url);
    }
    struct ad_url url = {0};
    assert_int_equal(ad_url_parse("http://[fe80::1]/", BYTES_MAX, &url, NULL), 0);
    assert_null(url.zone);
    ad_url_fini(&url);
}

static void check_user(const char *from, const char *user, const char *password)
{
    struct ad_url url = {0};
    assert_int_equal(ad_url_parse(from, BYTES_MAX, &url, NULL), 0);
    assert_text(url.user, user);
    assert_text(url.password, password);
    assert_text(url.text, "http://host/");
    assert_text(url.authority, "host");
    ad_url_fini(&url);
}

static void test_user(void **state)
{
    (void)state;
    check_user("http://host/", NULL, NULL);
    check_user("http://@host/", NULL, NULL);
    check_user("http://me@host/", "me", NULL);
    check_user("http://me:@host/", "me", "");
    check_user("http://:secret@host/", "", "secret");
    check_user("http://m%40e:s%3a%c3%a4:x@host/", "m@e", "s:\xc3\xa4:x");
}

static void test_fragment(void **state)
{
    (void)state;
    struct ad_url url = {0};
    assert_int_equal(ad_url_parse("http://h/a?b#c/d?e#f", BYTES_MAX, &url, NULL), 0);
    assert_text(url.fragment, "c/d?e%23f");
    assert_text(url.text, "http://h/a?b");
    ad_url_fini(&url);
    assert_int_equal(ad_url_parse("http://h/#", BYTES_MAX, &url, NULL), 0);
    assert_text(url.fragment, "");
    ad_url_fini(&url);
}

/* ---- what is refused, and how that is said ---- */

struct bad {
    const char *from;
    int code;
    const char *message; /* a part of it */
    const char *hint;    /* a part of it; NULL: any */
};

static void check_bad(const struct bad *want)
{
    struct ad_url url = {0};
    struct aioduct_error error = {0};
    print_message("%s\n", want->from);
    assert_int_equal(ad_url_parse(want->from, BYTES_MAX, &url, &error), want->code);
    assert_null(url.text);
    assert_int_equal(error.code, want->code);
    assert_int_equal(error.phase, AIODUCT_PHASE_SETUP);
    print_message("  %s (%s)\n", error.message, error.hint);
    assert_non_null(strstr(error.message, want->message));
    if (want->hint != NULL) {
        assert_non_null(strstr(error.hint, want->hint));
    }
    assert_int_equal(ad_url_parse(want->from, BYTES_MAX, &url, NULL), want->code);
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct bad list[] = {
        {"", AIODUCT_E_URL, "the URL is empty", NULL},
        {"http://a/b c", AIODUCT_E_URL, "space (0x20) in the URL at byte 10", "%20"},
        {" http://a/", AIODUCT_E_URL, "space (0x20) in the URL at byte 0", NULL},
        {"http://a/\r\nX: y", AIODUCT_E_URL, "control byte (0x0d) in the URL at byte 9", "%0D"},
        {"http://a\tb/", AIODUCT_E_URL, "control byte (0x09) in the URL at byte 8", NULL},
        {"http://a/\x7f", AIODUCT_E_URL, "control byte (0x7f) in the URL at byte 9", NULL},
        {"http://good.example\\@evil.example/", AIODUCT_E_URL,
         "backslash (0x5c) in the URL at byte 19", NULL},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_bad(&list[i]);
    }
}

static void test_schemes(void **state)
{
    (void)state;
    static const struct bad list[] = {
        {"example.com/x", AIODUCT_E_URL, "no scheme", "did you mean http://example.com/x?"},
        {"localhost:8080/x", AIODUCT_E_URL, "no scheme", "did you mean http://localhost:8080/x?"},
        {"//example.com/x", AIODUCT_E_URL, "no scheme", "did you mean http://example.com/x?"},
        {"/x", AIODUCT_E_URL, "no scheme", "begin it with http:// or https://"},
        {"me:secret@host/", AIODUCT_E_URL_SCHEME, "\"me\"", NULL},
        {"1me:secret@host/", AIODUCT_E_URL, "no scheme", "begin it with http:// or https://"},
        {"ftp://a/", AIODUCT_E_URL_SCHEME, "scheme \"ftp\" is neither http nor https", NULL},
        {"file:///etc/passwd", AIODUCT_E_URL_SCHEME, "\"file\"", NULL},
        {"mailto:a@b", AIODUCT_E_URL_SCHEME, "\"mailto\"", NULL},
        {"httpss://a/", AIODUCT_E_URL_SCHEME, "\"httpss\"", NULL},
        {"http:/a/b", AIODUCT_E_URL, "does not go on with //", "did you mean http://a/b?"},
        {"https:a/b", AIODUCT_E_URL, "does not go on with //", "did you mean https://a/b?"},
        {"http:", AIODUCT_E_URL, "does not go on with //", NULL},
        {"://a/", AIODUCT_E_URL, "no scheme", NULL},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_bad(&list[i]);
    }
}

static void test_bad_authorities(void **state)
{
    (void)state;
    static const struct bad list[] = {
        {"http://", AIODUCT_E_URL, "no host", NULL},
        {"http:///x", AIODUCT_E_URL, "no host", NULL},
        {"http://:80/", AIODUCT_E_URL, "no host", NULL},
        {"http://me@/", AIODUCT_E_URL, "no host", NULL},
        {"http://me@good@evil/", AIODUCT_E_URL, "more than one '@'", NULL},
        {"http://m%00e@host/", AIODUCT_E_URL, "control byte in the URL's user", NULL},
        {"http://m%0ae@host/", AIODUCT_E_URL, "control byte in the URL's user", NULL},
        {"http://m%e:x@host/", AIODUCT_E_URL, "two hexadecimal digits", NULL},
        {"http://a:0/", AIODUCT_E_URL, "port \"0\"", NULL},
        {"http://a:65536/", AIODUCT_E_URL, "port \"65536\"", NULL},
        {"http://a:99999999999999999999/", AIODUCT_E_URL, "port \"9999", NULL},
        {"http://a:+80/", AIODUCT_E_URL, "port is not a number", "%2F"},
        {"http://a:-1/", AIODUCT_E_URL, "port is not a number", NULL},
        {"http://a:8o/", AIODUCT_E_URL, "port \"8o\"", NULL},
        {"http://2001:db8::1/", AIODUCT_E_URL, "more than one ':'", "brackets"},
        {"http://[::1", AIODUCT_E_URL, "no ']'", NULL},
        {"http://[::1]x/", AIODUCT_E_URL, "goes on after ']'", NULL},
        {"http://[::1]]/", AIODUCT_E_URL, "goes on after ']'", NULL},
        {"http://[]/", AIODUCT_E_URL, "not an IPv6 address", NULL},
        {"http://[::g]/", AIODUCT_E_URL, "\"::g\" in the URL is not an IPv6 address", NULL},
        {"http://[1.2.3.4]/", AIODUCT_E_URL, "not an IPv6 address", NULL},
        {"http://[v1.x]/", AIODUCT_E_URL, "not an IPv6 address", NULL},
        {"http://[1:2:3:4:5:6:7:8:9]/", AIODUCT_E_URL, "not an IPv6 address", NULL},
        {"http://[fe80::1%25]/", AIODUCT_E_URL, "zone", NULL},
        {"http://[fe80::1%]/", AIODUCT_E_URL, "zone", NULL},
        {"http://[fe80::1%25e:h]/", AIODUCT_E_URL, "0x3a in its zone", NULL},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_bad(&list[i]);
    }
}

static void test_bad_names(void **state)
{
    (void)state;
    static const struct bad list[] = {
        {"http://.a/", AIODUCT_E_URL, "empty label", NULL},
        {"http://a..b/", AIODUCT_E_URL, "empty label", NULL},
        {"http://a../", AIODUCT_E_URL, "empty label", NULL},
        {"http://./", AIODUCT_E_URL, "empty label", NULL},
        {"http://a%00b/", AIODUCT_E_URL, "0x00", NULL},
        {"http://a%0d%0ab/", AIODUCT_E_URL, "0x0d", NULL},
        {"http://a%2fb/", AIODUCT_E_URL, "0x2f", NULL},
        {"http://a%40b/", AIODUCT_E_URL, "0x40", NULL},
        {"http://a%20b/", AIODUCT_E_URL, "0x20", NULL},
        {"http://a%zz/", AIODUCT_E_URL, "two hexadecimal digits", NULL},
        {"http://a%2/", AIODUCT_E_URL, "two hexadecimal digits", NULL},
        {"http://a<b/", AIODUCT_E_URL, "0x3c", NULL},
        {"http://a*b/", AIODUCT_E_URL, "0x2a", NULL},
        {"http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/", AIODUCT_E_URL,
         "longer than 63", NULL},
        {"http://\xff\xfe/", AIODUCT_E_URL, "international name", NULL},
        {"http://a\xe2\x84\x80"
         "b/", /* U+2100 maps to "a/c" */
         AIODUCT_E_URL, "", NULL},
        {"http://a\xef\xbc\x8f"
         "b/", /* full-width solidus */
         AIODUCT_E_URL, "", NULL},
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        check_bad(&list[i]);
    }
}

static void test_odd_ip4(void **state)
{
    (void)state;
    static const char *const list[] = {
        "http://0x7f.1/",
        "http://127.1/",
        "http://017700000001/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.0.0.01/",
        "http://127.0.0.1./",
        "http://127.0.0/",
        "http://127.0.0.1.1/",
        "http://256.0.0.1/",
        "http://1.2.3.0x4/",
        "http://example.1/",
        "http://0/",
        "http://127%2e0.0.1/",
        "http://0x/x",
        "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", /* full-width 127 */
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        struct bad want = {list[i], AIODUCT_E_URL, "not four decimal numbers", "192.0.2.1"};
        if (strcmp(list[i], "http://0x/x") == 0) {
            want = (struct bad){list[i], AIODUCT_E_URL, "", NULL};
        }
        check_bad(&want);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    struct ad_url url = {0};
    struct aioduct_error error = {0};
    assert_int_equal(ad_url_parse("http://a/bcd", 12, &url, &error), 0);
    ad_url_fini(&url);
    assert_int_equal(ad_url_parse("http://a/bcde", 12, &url, &error), AIODUCT_E_URL);
    assert_string_equal(error.message, "URL of 13 bytes is longer than 12 (url_bytes_max)");

    char name[300] = "http://";
    for (size_t i = 7; i < 7 + 253; i++) {
        name[i] = (i - 7) % 50 == 49 ? '.' : 'a';
    }
    assert_int_equal(ad_url_parse(name, BYTES_MAX, &url, NULL), 0);
    ad_url_fini(&url);
    strcat(name, ".");
    assert_int_equal(ad_url_parse(name, BYTES_MAX, &url, NULL), 0);
    ad_url_fini(&url);
    name[7 + 253] = 'a';
    assert_int_equal(ad_url_parse(name, BYTES_MAX, &url, &error), AIODUCT_E_URL);
    assert_non_null(strstr(error.message, "longer than 253 bytes"));
}

/* ---- references ---- */

/* Resolve @reference against @base -> "text" or "text#fragment", or the error's name; to be freed.
 */
static char *resolved(const char *base, const char *reference)
{
    struct ad_url from = {0};
    struct ad_url to = {0};
    char *text = NULL;
    assert_int_equal(ad_url_parse(base, BYTES_MAX, &from, NULL), 0);
    int code = ad_url_resolve(&from, reference, BYTES_MAX, &to, NULL);
    if (code < 0) {
        text = strdup(aioduct_error_name(code));
    } else {
        assert_true(asprintf(&text, "%s%s%s", to.text, to.fragment != NULL ? "#" : "",
                             to.fragment != NULL ? to.fragment : "") > 0);
    }
    ad_url_fini(&to);
    ad_url_fini(&from);
    return text;
}

static void check_resolve(const char *base, const char *const list[][2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("%s\n", list[i][0]);
        char *got = resolved(base, list[i][0]);
        assert_string_equal(got, list[i][1]);
        free(got);
    }
}

/* The base has no default path on its own here: our parser wants an authority, which RFC 3986's
 * example has. */
#define RFC_BASE "http://a/b/c/d;p?q"

static void test_rfc_normal(void **state)
{
    (void)state;
    static const char *const list[][2] = {
        {"g:h", "AIODUCT_E_URL_SCHEME"}, /* resolves to itself, which is not ours to fetch */
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"}, /* the RFC's "http://g", with the path that HTTP wants */
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
    };
    check_resolve(RFC_BASE, list, COUNT(list));
}

static void test_rfc_abnormal(void **state)
{
    (void)state;
    static const char *const list[][2] = {
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g#s/./x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        {"http:g", "AIODUCT_E_URL"}, /* strict reading: a URL without authority */
    };
    check_resolve(RFC_BASE, list, COUNT(list));
}

static void test_resolve_more(void **state)
{
    (void)state;
    static const char *const list[][2] = {
        {"https://B.example:443/x", "https://b.example/x"},
        {"//b:8443", "https://b:8443/"},
        {"x", "https://[fe80::1%25eth0]:1/x"},
        {"?", "https://[fe80::1%25eth0]:1/?"},
        {"/x y", "AIODUCT_E_URL"},
        {"\\\\evil\\x", "AIODUCT_E_URL"},
        {"x\r\ny", "AIODUCT_E_URL"},
        {"///x", "AIODUCT_E_URL"},
        {"//user:secret@b/", "https://b/"},
        {"javascript:alert(1)", "AIODUCT_E_URL_SCHEME"},
        {"a:80", "AIODUCT_E_URL"},
    };
    check_resolve("https://[fe80::1%25eth0]:1", list, COUNT(list));
}

static void test_resolve_user(void **state)
{
    (void)state;
    struct ad_url base = {0};
    struct ad_url to = {0};
    assert_int_equal(ad_url_parse("http://m%25e:s%3a@a/b#f", BYTES_MAX, &base, NULL), 0);
    assert_int_equal(ad_url_resolve(&base, "c", BYTES_MAX, &to, NULL), 0);
    assert_text(to.text, "http://a/c");
    assert_text(to.user, "m%e");
    assert_text(to.password, "s:");
    assert_null(to.fragment);
    ad_url_fini(&to);
    assert_int_equal(ad_url_resolve(&base, "//a/c", BYTES_MAX, &to, NULL), 0);
    assert_null(to.user);
    assert_null(to.password);
    ad_url_fini(&to);
    ad_url_fini(&base);
}

static void test_resolve_length(void **state)
{
    (void)state;
    struct ad_url base = {0};
    struct ad_url to = {0};
    assert_int_equal(ad_url_parse("http://a/b/", BYTES_MAX, &base, NULL), 0);
    assert_int_equal(ad_url_resolve(&base, "cdef", 15, &to, NULL), 0);
    ad_url_fini(&to);
    assert_int_equal(ad_url_resolve(&base, "cdefg", 15, &to, NULL), AIODUCT_E_URL);
    ad_url_fini(&base);
}

/* ---- memory ---- */

static void test_out_of_memory(void **state)
{
    (void)state;
    char text[1024] = "http://me:secret@host/";
    memset(text + strlen(text), 'x', 800);
    strcat(text, "#fragment");
    struct ad_url base = {0};
    assert_int_equal(ad_url_parse(text, BYTES_MAX, &base, NULL), 0);
    for (uint64_t nth = 1;; nth++) {
        struct ad_url url = {0};
        struct aioduct_error error = {0};
        ad_mem_fail_nth(nth);
        int code = ad_url_resolve(&base, "y#z", BYTES_MAX, &url, &error);
        ad_mem_fail_nth(0);
        if (code == 0) {
            assert_true(nth > 2);
            ad_url_fini(&url);
            break;
        }
        assert_int_equal(code, -ENOMEM);
        assert_int_equal(error.code, -ENOMEM);
        assert_null(url.text);
    }
    ad_url_fini(&base);
}

static void test_fini_of_nothing(void **state)
{
    (void)state;
    struct ad_url url = {0};
    ad_url_fini(&url);
    ad_url_fini(&url);
    assert_null(url.text);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C17, C67: a URL becomes its parts, and its text parses to itself", test_good, 0, 0, 0},
        {"C67: dot segments go, what may not stand is percent-encoded", test_paths, 0, 0, 0},
        {"C67: international names become lower-case A-labels", test_idna, 0, 0, 0},
        {"C67: IPv6 literals are checked and written one way", test_ip6, 0, 0, 0},
        {"C56: an IPv6 zone is not in the authority", test_zone, 0, 0, 0},
        {"C67: user and password are decoded and in no other part", test_user, 0, 0, 0},
        {"C67: a fragment is kept apart", test_fragment, 0, 0, 0},
        {"C67: control bytes, spaces and backslashes are refused by name and offset", test_bytes, 0,
         0, 0},
        {"C67: a missing or foreign scheme is refused with a hint", test_schemes, 0, 0, 0},
        {"C67: bad authorities are refused", test_bad_authorities, 0, 0, 0},
        {"C67: bad names are refused", test_bad_names, 0, 0, 0},
        {"C67: odd IPv4 forms are refused", test_odd_ip4, 0, 0, 0},
        {"C67: lengths are bounded", test_lengths, 0, 0, 0},
        {"C26: RFC 3986 5.4.1 normal examples", test_rfc_normal, 0, 0, 0},
        {"C26: RFC 3986 5.4.2 abnormal examples", test_rfc_abnormal, 0, 0, 0},
        {"C26: references to other authorities, and bad ones", test_resolve_more, 0, 0, 0},
        {"C27: only a reference without authority keeps user and password", test_resolve_user, 0, 0,
         0},
        {"C26: a resolved URL is bounded too", test_resolve_length, 0, 0, 0},
        {"C80: each failing allocation is an error", test_out_of_memory, 0, 0, 0},
        {"fini of a zeroed URL does nothing", test_fini_of_nothing, 0, 0, 0},
    };
    return TAP_RUN(cases, NULL, NULL);
}
