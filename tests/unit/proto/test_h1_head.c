/* SPDX-License-Identifier: MIT */
/** Response heads: rows C1, C2, C9, C10, C11, C16 and what is not HTTP at all. */
#include "base/mem.h"
#include "h1_tester.h"
#include "tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define EMPTY "Content-Length: 0\r\n\r\n"
#define PROTOCOL "AIODUCT_E_PROTOCOL head: "

static void test_good(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {OK_HEAD EMPTY, "head 200 1.1 \"OK\" | Content-Length: 0\ncomplete reusable", .eof = true},
        {OK_HEAD "A:\r\nB:  \r\nC: x  \r\nD:\t y\t \t\r\nE:z\r\n" EMPTY,
         "head 200 1.1 \"OK\" | A:  | B:  | C: x | D: y | E: z | Content-Length: 0\n"
         "complete reusable"},
        {"HTTP/1.1 404 Not  Found at all\r\n" EMPTY,
         "head 404 1.1 \"Not  Found at all\" | Content-Length: 0\ncomplete reusable"},
        {OK_HEAD "!#$%&'*+-.^_`|9aZ: \"q\", (c); \x80\xff\r\n" EMPTY,
         "head 200 1.1 \"OK\" | !#$%&'*+-.^_`|9aZ: \"q\", (c); \\x80\\xff | Content-Length: 0\n"
         "complete reusable"},
        {OK_HEAD "set-cookie: a\r\nSet-Cookie: b\r\nSET-COOKIE: c\r\n" EMPTY,
         "head 200 1.1 \"OK\" | set-cookie: a | Set-Cookie: b | SET-COOKIE: c | "
         "Content-Length: 0\ncomplete reusable"},
        {"HTTP/1.1 999 X\r\n" EMPTY, "head 999 1.1 \"X\" | Content-Length: 0\ncomplete reusable"},
    };
    H1_CHECK_ALL(cases);
}

static void test_reason(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {"HTTP/1.1 200 \r\n" EMPTY, "head 200 1.1 \"\" | Content-Length: 0\ncomplete reusable"},
        {"HTTP/1.1 200\r\n" EMPTY, "head 200 1.1 \"\" | Content-Length: 0\ncomplete reusable"},
        {"HTTP/1.1 200 caf\xe9\r\n" EMPTY,
         "head 200 1.1 \"caf\\xe9\" | Content-Length: 0\ncomplete reusable"},
        {"HTTP/1.1 200 a\x01"
         "b\r\n" EMPTY,
         PROTOCOL "control byte in the response's reason phrase"},
    };
    H1_CHECK_ALL(cases);
}

static void test_status_line(void **state)
{
    (void)state;
    static const char *const lines[] = {"HTTP/1.1 99 OK",   "HTTP/1.1 2000 OK", "HTTP/1.1 099 OK",
                                        "HTTP/1.1 20x OK",  "HTTP/1.1  200 OK", "HTTP/1.1 200OK",
                                        "HTTP/1.1 200\tOK", "HTTP/1.1 -20 OK",  "HTTP/1.1 20",
                                        "HTTP/1.1 ",        "HTTP/1.1 2 "};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char input[64];
        char wanted[256];
        snprintf(input, sizeof input, "%s\r\n\r\n", lines[i]);
        const char *tab = strchr(lines[i], '\t');
        snprintf(wanted, sizeof wanted, PROTOCOL "malformed status line \"%.*s%s%s\"",
                 (int)(tab != NULL ? tab - lines[i] : 99), lines[i], tab != NULL ? "\\t" : "",
                 tab != NULL ? tab + 1 : "");
        struct h1_case one = {input, wanted};
        h1_check(&one);
    }
}

static void test_not_http(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {"SSH-2.0-OpenSSH_9.2\r\n", "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"http/1.1 200 OK\r\n\r\n", "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"ICY 200 OK\r\n\r\n", "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"RTSP/1.0 200 OK\r\n\r\n", "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"<html>", "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {" HTTP/1.1 200 OK\r\n\r\n", "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"HTTX", "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"HTTP/2.0 200 OK\r\n\r\n", PROTOCOL "neither HTTP/1.1 nor HTTP/1.0"},
        {"HTTP/0.9 200 OK\r\n\r\n", PROTOCOL "neither HTTP/1.1 nor HTTP/1.0"},
        {"HTTP/1.2 200 OK\r\n\r\n", PROTOCOL "neither HTTP/1.1 nor HTTP/1.0"},
        {"HTTP/2 200 OK\r\n\r\n", PROTOCOL "neither HTTP/1.1 nor HTTP/1.0"},
        {"HTTP/1.10 200 OK\r\n\r\n", PROTOCOL "neither HTTP/1.1 nor HTTP/1.0"},
        {"HTTP/1.1\t200 OK\r\n\r\n", PROTOCOL "neither HTTP/1.1 nor HTTP/1.0"},
    };
    H1_CHECK_ALL(cases);
}

static void ignore_head(void *owner, const struct aioduct_head *head)
{
    (void)owner;
    (void)head;
}

static void ignore_body(void *owner, const uint8_t *bytes, size_t count)
{
    (void)owner;
    (void)bytes;
    (void)count;
}

static void ignore_complete(void *owner, bool reusable)
{
    (void)owner;
    (void)reusable;
}

static const struct ad_h1_events ignore = {.on_interim = ignore_head,
                                           .on_head = ignore_head,
                                           .on_body = ignore_body,
                                           .on_trailers = ignore_head,
                                           .on_complete = ignore_complete};

static void check_not_http(const char *bytes, size_t count, const char *message, const char *hint)
{
    struct ad_h1 *h1 = NULL;
    struct aioduct_error error = {0};
    assert_int_equal(ad_h1_create(&h1_default_limits, &ignore, NULL, &h1), 0);
    ad_h1_expect(h1, 0);
    assert_int_equal(ad_h1_feed(h1, (const uint8_t *)bytes, count, &error), AIODUCT_E_NOT_HTTP);
    assert_string_equal(error.message, message);
    assert_string_equal(error.hint, hint);
    ad_h1_destroy(h1);
}

static void test_not_http_text(void **state)
{
    (void)state;
    check_not_http("SSH-2.0-OpenSSH_9.2\r\n", 21,
                   "not HTTP: the answer starts with \"SSH-2.0-OpenSSH_9.2\\r\\n\"",
                   "an SSH server listens on this port");
    check_not_http("\x15\x03\x01\x00\x02\x02\x46", 7,
                   "not HTTP: the answer starts with \"\\x15\\x03\\x01\\x00\\x02\\x02F\"",
                   "the server speaks TLS on this port: use https://");
    check_not_http("\0\0\x12\x04\0\0\0\0\0", 9,
                   "not HTTP: the answer starts with "
                   "\"\\x00\\x00\\x12\\x04\\x00\\x00\\x00\\x00\\x00\"",
                   "the server speaks HTTP/2 without asking");
    check_not_http("0123456789012345678901234567890123456789", 40,
                   "not HTTP: the answer starts with \"01234567890123456789012345678901\"", "");
}

static void test_illegal(void **state)
{
    (void)state;
#define FIELD(name, what) PROTOCOL "malformed header field \"" name "\": " what
#define BYTE "illegal byte, or no colon after the name"
    static const struct h1_case cases[] = {
        {OK_HEAD "A : b\r\n\r\n", FIELD("A ", BYTE)},
        {OK_HEAD "A\t: b\r\n\r\n", FIELD("A\\t", BYTE)},
        {OK_HEAD ": b\r\n\r\n", NULL},
        {OK_HEAD "ab\r\n\r\n", FIELD("ab", BYTE)},
        {OK_HEAD "X: y\r\nA(: secret\r\n\r\n", FIELD("A(", BYTE)},
        {OK_HEAD "A\xe4: b\r\n\r\n", FIELD("A\\xe4", BYTE)},
        {OK_HEAD "A: b\x01\r\n\r\n", FIELD("A", BYTE)},
        {OK_HEAD "A: b\x7f\r\n\r\n", FIELD("A", BYTE)},
        {OK_HEAD "A: b~c\r\n\r\n", NULL},
        {OK_HEAD "A~: b\r\n\r\n", NULL},
        {"HTTP/1.1 200 O~K\r\n\r\n", PROTOCOL "control byte in the response's reason phrase"},
        {OK_HEAD "A: b\r\n c\r\n\r\n",
         PROTOCOL "response head has a line that begins with a space or tab"},
        {OK_HEAD "A: b\r\n\tc\r\n\r\n",
         PROTOCOL "response head has a line that begins with a space or tab"},
        {OK_HEAD " A: b\r\n\r\n",
         PROTOCOL "response head has a line that begins with a space or tab"},
        {OK_HEAD "A: b\rc\r\n\r\n", PROTOCOL "response head has a CR without LF"},
        {OK_HEAD "A: b\r\r\n\r\n", PROTOCOL "response head has a CR without LF"},
        {OK_HEAD "A: b\r\n\r\r\n", PROTOCOL "response head has a CR without LF"},
        {"HTTP/1.1 200 OK\nA: b\r\n\r\n", PROTOCOL "response head has an LF without CR"},
        {OK_HEAD "A: b\n\r\n", PROTOCOL "response head has an LF without CR"},
        {OK_HEAD "A: b\r\n\n", PROTOCOL "response head has an LF without CR"},
        {"HTTP/1.1 200 OK\n\n", PROTOCOL "response head has an LF without CR"},
    };
    H1_CHECK_ALL(cases);
    /* Wherever the NUL lies, it is refused. */
    struct h1_case nul = {OK_HEAD "A: b~c\r\n\r\n"};
    char *got = h1_lines_of(&nul, OK_HEAD "A: b\0c\r\n\r\n", 28, NULL, 0);
    assert_int_equal(strncmp(got, PROTOCOL, strlen(PROTOCOL)), 0);
    free(got);
    got = h1_lines_of(&nul, OK_HEAD ": b\r\n\r\n", 24, NULL, 0);
    assert_int_equal(strncmp(got, PROTOCOL, strlen(PROTOCOL)), 0);
    free(got);
}

static void test_interim(void **state)
{
    (void)state;
#define HINT "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    static const struct ad_h1_limits two = {.head_bytes_max = 1000,
                                            .head_fields_max = 10,
                                            .interim_max = 2,
                                            .trailer_bytes_max = 10,
                                            .chunk_ext_max = 10};
    static const struct h1_case cases[] = {
        {"HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD EMPTY,
         "interim 100 1.1 \"Continue\"\nhead 200 1.1 \"OK\" | Content-Length: 0\n"
         "complete reusable"},
        {HINT HINT OK_HEAD EMPTY,
         "interim 103 1.1 \"Early Hints\" | Link: x\ninterim 103 1.1 \"Early Hints\" | Link: x\n"
         "head 200 1.1 \"OK\" | Content-Length: 0\ncomplete reusable",
         .limits = &two},
        {HINT HINT HINT OK_HEAD EMPTY,
         "interim 103 1.1 \"Early Hints\" | Link: x\ninterim 103 1.1 \"Early Hints\" | Link: x\n"
         "AIODUCT_E_LIMIT head: more than 2 interim responses (interim_max)",
         .limits = &two},
        /* lengths and codings of an interim response mean nothing */
        {"HTTP/1.1 102 X\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" OK_HEAD EMPTY,
         "interim 102 1.1 \"X\" | Content-Length: 5 | Transfer-Encoding: chunked\n"
         "head 200 1.1 \"OK\" | Content-Length: 0\ncomplete reusable"},
        {"HTTP/1.1 199 X\r\nContent-Length: 5\r\n\r\n" OK_HEAD EMPTY,
         "interim 199 1.1 \"X\" | Content-Length: 5\nhead 200 1.1 \"OK\" | Content-Length: 0\n"
         "complete reusable"},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
         PROTOCOL "101 Switching Protocols to a request without Upgrade"},
        {HINT,
         "interim 103 1.1 \"Early Hints\" | Link: x\n"
         "AIODUCT_E_TRUNCATED head: the peer closed the connection inside the response head",
         .eof = true},
        /* an empty line is skipped before the first head only */
        {HINT "\r\n" OK_HEAD EMPTY,
         "interim 103 1.1 \"Early Hints\" | Link: x\nAIODUCT_E_NOT_HTTP head: not HTTP"},
    };
    H1_CHECK_ALL(cases);
}

static void test_upgrade(void **state)
{
    (void)state;
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    static const struct h1_case cases[] = {
        {SWITCH "bytes of x",
         "head 101 1.1 \"Switching Protocols\" | Connection: upgrade | Upgrade: x\n"
         "complete closing\nconsumed 69",
         .flags = AD_H1_UPGRADE},
        {OK_HEAD EMPTY, "head 200 1.1 \"OK\" | Content-Length: 0\ncomplete reusable",
         .flags = AD_H1_UPGRADE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
         "head 200 1.1 \"OK\" | Content-Length: 5 | Transfer-Encoding: chunked\n"
         "complete closing\nconsumed 66",
         .flags = AD_H1_CONNECT},
        {"HTTP/1.0 200 Connection established\r\n\r\n",
         "head 200 1.0 \"Connection established\"\ncomplete closing", .flags = AD_H1_CONNECT},
        {"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno",
         "head 407 1.1 \"No\" | Content-Length: 2\nbody \"no\"\ncomplete reusable",
         .flags = AD_H1_CONNECT},
    };
    H1_CHECK_ALL(cases);
}

static void test_empty_line(void **state)
{
    (void)state;
#define PLAIN "head 200 1.1 \"OK\" | Content-Length: 0\ncomplete reusable"
    static const struct h1_case cases[] = {
        {"\r\n" OK_HEAD EMPTY, PLAIN},
        {"\r\n\r\n" OK_HEAD EMPTY, "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"\n" OK_HEAD EMPTY, "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"\r" OK_HEAD EMPTY, "AIODUCT_E_NOT_HTTP head: not HTTP"},
        {"\r\n",
         "AIODUCT_E_TRUNCATED head: the peer closed the connection inside the response head",
         .eof = true},
    };
    H1_CHECK_ALL(cases);
}

static void test_empty_line_reused(void **state)
{
    (void)state;
    static const char head[] = OK_HEAD EMPTY;
    struct ad_h1 *h1 = NULL;
    struct aioduct_error error = {0};
    assert_int_equal(ad_h1_create(&h1_default_limits, &ignore, NULL, &h1), 0);
    ad_h1_expect(h1, 0);
    assert_int_equal(ad_h1_feed(h1, (const uint8_t *)head, sizeof head - 1, &error),
                     sizeof head - 1);
    ad_h1_expect(h1, 0);
    assert_int_equal(ad_h1_feed(h1, (const uint8_t *)"\r\n", 2, &error), AIODUCT_E_NOT_HTTP);
    ad_h1_destroy(h1);
}

static void test_connection_options(void **state)
{
    (void)state;
    static const struct {
        const char *version, *fields, *wanted;
    } list[] = {
        {"1.1", "", "complete reusable"},
        {"1.1", "Connection: close\r\n", "complete closing"},
        {"1.1", "CONNECTION: CLOSE\r\n", "complete closing"},
        {"1.1", "Connection: foo, Close ,bar\r\n", "complete closing"},
        {"1.1", "Connection: foo\r\nConnection: close\r\n", "complete closing"},
        {"1.1", "Connection: keep-alive, close\r\n", "complete closing"},
        {"1.1", "Connection: close\t\r\n", "complete closing"},
        {"1.1", "Connection: closed, not-close\r\n", "complete reusable"},
        {"1.1", "Connection:\r\n", "complete reusable"},
        {"1.1", "Proxy-Connection: close\r\n", "complete reusable"},
        {"1.0", "", "complete closing"},
        {"1.0", "Connection: Keep-Alive\r\n", "complete reusable"},
        {"1.0", "Connection: x,KEEP-ALIVE\r\n", "complete reusable"},
        {"1.0", "Connection: keep-alive\r\nConnection: close\r\n", "complete closing"},
        {"1.0", "Keep-Alive: timeout=5\r\n", "complete closing"},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char input[256];
        snprintf(input, sizeof input, "HTTP/%s 200 OK\r\n%s" EMPTY, list[i].version,
                 list[i].fields);
        struct h1_case one = {input};
        h1_check(&one);
        char *got = h1_lines_of(&one, input, strlen(input), NULL, 0);
        print_message("%s\n", input);
        assert_string_equal(strrchr(got, '\n') + 1, list[i].wanted);
        free(got);
    }
}

/* ---- limits ---- */

static const struct ad_h1_limits small = {.head_bytes_max = 60,
                                          .head_fields_max = 3,
                                          .interim_max = 1,
                                          .trailer_bytes_max = 20,
                                          .chunk_ext_max = 8};

static void test_head_limits(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {OK_HEAD "A: 78901234567890\r\nContent-Length: 0\r\nB:\r\n\r\n", /* 60 bytes */
         "AIODUCT_E_HEAD_LIMIT head: response head larger than 60 bytes (head_bytes_max)",
         .limits = &small},
        {OK_HEAD "A: 789012345678\r\nContent-Length: 0\r\nB:\r\n\r\n",
         "head 200 1.1 \"OK\" | A: 789012345678 | Content-Length: 0 | B: \ncomplete reusable",
         .limits = &small},
        {OK_HEAD "A:\r\nB:\r\nC:\r\nD:\r\n\r\n",
         "AIODUCT_E_HEAD_LIMIT head: response head has more than 3 fields (head_fields_max)",
         .limits = &small},
        /* each head has the limit to itself */
        {"HTTP/1.1 100 C\r\nA: 3456789012345678901234567890\r\n\r\n" OK_HEAD
         "A: 78901234567\r\n" EMPTY,
         "interim 100 1.1 \"C\" | A: 3456789012345678901234567890\n"
         "head 200 1.1 \"OK\" | A: 78901234567 | Content-Length: 0\ncomplete reusable",
         .limits = &small},
    };
    H1_CHECK_ALL(cases);
}

static uint64_t allocated_bytes(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

/* Feed @total bytes made of @begin and then @again over and over, in slices of @slice -> the code
 * that ended it. Memory is looked at before each slice. */
static int64_t flood(const char *begin, const char *again, size_t total, size_t slice,
                     uint64_t *out_most)
{
    struct ad_h1 *h1 = NULL;
    struct aioduct_error error = {0};
    char *bytes = malloc(total);
    size_t begin_bytes = strlen(begin);
    size_t again_bytes = strlen(again);
    memcpy(bytes, begin, begin_bytes);
    for (size_t at = begin_bytes; at < total; at++) {
        bytes[at] = again[(at - begin_bytes) % again_bytes];
    }
    uint64_t before = allocated_bytes();
    assert_int_equal(ad_h1_create(&h1_default_limits, &ignore, NULL, &h1), 0);
    ad_h1_expect(h1, 0);
    int64_t used = 0;
    *out_most = 0;
    for (size_t fed = 0; fed < total && used >= 0; fed += slice) {
        size_t piece = slice < total - fed ? slice : total - fed;
        used = ad_h1_feed(h1, (const uint8_t *)bytes + fed, piece, &error);
        uint64_t now = allocated_bytes() - before;
        *out_most = now > *out_most ? now : *out_most;
    }
    ad_h1_destroy(h1);
    free(bytes);
    return used;
}

static void test_floods(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *again;
        int64_t code;
    } list[] = {
        {OK_HEAD, "Name: some value\r\n", AIODUCT_E_HEAD_LIMIT},
        {OK_HEAD "A: ", "x", AIODUCT_E_HEAD_LIMIT},
        {OK_HEAD, "x", AIODUCT_E_HEAD_LIMIT},
        {"HTTP/1.1 200 ", "x", AIODUCT_E_HEAD_LIMIT},
        {"", "HTTP/1.1 100 Continue\r\n\r\n", AIODUCT_E_LIMIT},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", AIODUCT_E_LIMIT},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", "b", AIODUCT_E_LIMIT},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", "1;a=b\r\nx\r\n", AIODUCT_E_LIMIT},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1;", "a", AIODUCT_E_LIMIT},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", "0", AIODUCT_E_PROTOCOL},
    };
    static const size_t slices[] = {10 << 20, 1000, 16384};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        for (size_t k = 0; k < 3; k++) {
            uint64_t most = 0;
            print_message("%s... in slices of %zu\n", list[i].begin, slices[k]);
            assert_int_equal(flood(list[i].begin, list[i].again, 10 << 20, slices[k], &most),
                             list[i].code);
            print_message("  at most %llu bytes\n", (unsigned long long)most);
            /* the gathered bytes, in a block that doubles, while it is moved */
            assert_true(most < 2 * 65536 + 65536 + 4096);
        }
    }
}

static void test_many_fields(void **state)
{
    (void)state;
    char input[8192] = OK_HEAD;
    for (int i = 0; i < 255; i++) {
        sprintf(input + strlen(input), "F%d: v%d\r\n", i, i);
    }
    strcat(input, EMPTY);
    struct h1_case one = {input};
    h1_check(&one);
    char *got = h1_lines_of(&one, input, strlen(input), NULL, 0);
    assert_non_null(strstr(got, " | F0: v0 | F1: v1 | "));
    assert_non_null(strstr(got, " | F254: v254 | Content-Length: 0\ncomplete reusable"));
    free(got);
}

/* ---- memory ---- */

static void test_warm(void **state)
{
    (void)state;
    static const char answer[] = OK_HEAD "Server: x\r\nDate: y\r\nContent-Length: 5\r\n\r\nhello";
    struct ad_h1 *h1 = NULL;
    assert_int_equal(ad_h1_create(&h1_default_limits, &ignore, NULL, &h1), 0);
    assert_true(malloc_usable_size(h1) <= 256);
    uint64_t before = ad_mem_count();
    for (int i = 0; i < 100; i++) {
        ad_h1_expect(h1, 0);
        assert_int_equal(ad_h1_feed(h1, (const uint8_t *)answer, sizeof answer - 1, NULL),
                         sizeof answer - 1);
    }
    assert_int_equal(ad_mem_count() - before, 0);
    ad_h1_destroy(h1);
}

static void test_idle_memory(void **state)
{
    (void)state;
    static const char answer[] = OK_HEAD EMPTY;
    struct ad_h1 *h1 = NULL;
    assert_int_equal(ad_h1_create(&h1_default_limits, &ignore, NULL, &h1), 0);
    uint64_t before = allocated_bytes();
    ad_h1_expect(h1, 0);
    for (size_t i = 0; i < sizeof answer - 1; i++) {
        assert_int_equal(ad_h1_feed(h1, (const uint8_t *)answer + i, 1, NULL), 1);
    }
    assert_int_equal(allocated_bytes(), before);
    ad_h1_destroy(h1);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    char input[4096] = OK_HEAD;
    for (int i = 0; i < 100; i++) {
        sprintf(input + strlen(input), "F%d: v%d\r\n", i, i);
    }
    strcat(input, EMPTY);
    for (uint64_t nth = 1;; nth++) {
        struct ad_h1 *h1 = NULL;
        struct aioduct_error error = {0};
        ad_mem_fail_nth(nth);
        int64_t code = ad_h1_create(&h1_default_limits, &ignore, NULL, &h1);
        if (code == 0) {
            ad_h1_expect(h1, 0);
            for (size_t i = 0; i < strlen(input) && code >= 0; i += 16) {
                size_t piece = strlen(input) - i < 16 ? strlen(input) - i : 16;
                code = ad_h1_feed(h1, (const uint8_t *)input + i, piece, &error);
            }
            ad_mem_fail_nth(0);
            assert_true(code >= 0 || error.code == -ENOMEM);
        }
        ad_mem_fail_nth(0);
        ad_h1_destroy(h1);
        if (code >= 0) {
            assert_true(nth > 3);
            break;
        }
        assert_int_equal(code, -ENOMEM);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C9: good heads are split into fields", test_good, 0, 0, 0},
        {"C9: an empty or odd reason phrase is fine, control bytes are not", test_reason, 0, 0, 0},
        {"C10: a malformed status line is refused and shown", test_status_line, 0, 0, 0},
        {"what is not HTTP/1.x is refused at its first wrong byte", test_not_http, 0, 0, 0},
        {"what is not HTTP is shown, with a hint", test_not_http_text, 0, 0, 0},
        {"C10: illegal bytes in a head are refused", test_illegal, 0, 0, 0},
        {"C1: interim responses are delivered apart, up to a limit", test_interim, 0, 0, 0},
        {"C1, C2, C74: after 101 and CONNECT the rest belongs to the new protocol", test_upgrade, 0,
         0, 0},
        {"C11: one empty line before the first head is skipped", test_empty_line, 0, 0, 0},
        {"C11: an empty line on a reused connection is not", test_empty_line_reused, 0, 0, 0},
        {"C16: connection options in any case and in lists", test_connection_options, 0, 0, 0},
        {"C9: heads are limited in bytes and in fields", test_head_limits, 0, 0, 0},
        {"C9: floods fail below their limit of memory", test_floods, 0, 0, 0},
        {"C9: as many fields as are allowed", test_many_fields, 0, 0, 0},
        {"a head in one slice allocates nothing", test_warm, 0, 0, 0},
        {"a codec between answers holds no buffer", test_idle_memory, 0, 0, 0},
        {"C80: each failing allocation is an error", test_out_of_memory, 0, 0, 0},
    };
    return TAP_RUN(cases, NULL, NULL);
}
