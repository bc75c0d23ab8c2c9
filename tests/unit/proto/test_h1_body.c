/* SPDX-License-Identifier: MIT */
/** Response bodies: rows C2 to C8, C12, C13, and holding a codec back. */
#include "base/mem.h"
#include "h1_tester.h"
#include "tap.h"

#include <aioduct/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_LINE "head 200 1.1 \"OK\" | Transfer-Encoding: chunked\n"
#define HEAD_ERROR "AIODUCT_E_PROTOCOL head: "
#define BODY_ERROR "AIODUCT_E_PROTOCOL body: "

static void test_lengths(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {OK_HEAD "Content-Length: 5\r\n\r\nhello",
         "head 200 1.1 \"OK\" | Content-Length: 5\nbody \"hello\"\ncomplete reusable", .eof = true},
        {OK_HEAD "CONTENT-LENGTH:   5  \r\n\r\nhello",
         "head 200 1.1 \"OK\" | CONTENT-LENGTH: 5\nbody \"hello\"\ncomplete reusable"},
        {OK_HEAD "Content-Length: 0005\r\n\r\nhello",
         "head 200 1.1 \"OK\" | Content-Length: 0005\nbody \"hello\"\ncomplete reusable"},
        {OK_HEAD "\r\nall that comes",
         "head 200 1.1 \"OK\"\nbody \"all that comes\"\ncomplete closing", .eof = true},
        {OK_HEAD "\r\n", "head 200 1.1 \"OK\"\ncomplete closing", .eof = true},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx",
         "head 200 1.0 \"OK\" | Connection: keep-alive\nbody \"x\"\ncomplete closing", .eof = true},
        {CHUNKED "5\r\nhello\r\n0\r\n\r\n", CHUNKED_LINE "body \"hello\"\ncomplete reusable",
         .eof = true},
        {OK_HEAD "Transfer-Encoding: gzip\r\n\r\nxyz",
         "head 200 1.1 \"OK\" | Transfer-Encoding: gzip\nbody \"xyz\"\ncomplete closing",
         .eof = true},
        {OK_HEAD "Transfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         "head 200 1.1 \"OK\" | Transfer-Encoding: gzip, Chunked\nbody \"x\"\ncomplete reusable"},
        {OK_HEAD "Transfer-Encoding: gzip\r\nTransfer-Encoding: ,chunked ,\r\n\r\n"
                 "1\r\nx\r\n0\r\n\r\n",
         "head 200 1.1 \"OK\" | Transfer-Encoding: gzip | Transfer-Encoding: ,chunked ,\n"
         "body \"x\"\ncomplete reusable"},
        {OK_HEAD "Transfer-Encoding: xchunked\r\n\r\nx",
         "head 200 1.1 \"OK\" | Transfer-Encoding: xchunked\nbody \"x\"\ncomplete closing",
         .eof = true},
        {OK_HEAD "Transfer-Encoding: chunked, gzip\r\n\r\nx",
         "head 200 1.1 \"OK\" | Transfer-Encoding: chunked, gzip\nbody \"x\"\ncomplete closing",
         .eof = true},
        {OK_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\nx",
         "head 200 1.1 \"OK\" | Transfer-Encoding: chunked | Transfer-Encoding: identity\n"
         "body \"x\"\ncomplete closing",
         .eof = true},
        {OK_HEAD "Transfer-Encoding: chunked;q=1\r\n\r\nx",
         "head 200 1.1 \"OK\" | Transfer-Encoding: chunked;q=1\nbody \"x\"\ncomplete closing",
         .eof = true},
    };
    H1_CHECK_ALL(cases);
}

static void test_contradictions(void **state)
{
    (void)state;
#define BOTH HEAD_ERROR "HTTP/1.1 response has both Content-Length and Transfer-Encoding"
    static const struct h1_case cases[] = {
        {OK_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BOTH},
        {OK_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", BOTH},
        {OK_HEAD "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", BOTH},
        {OK_HEAD "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", BOTH},
        {OK_HEAD "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BOTH},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         HEAD_ERROR "HTTP/1.0 response has both Content-Length and Transfer-Encoding"},
        {OK_HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n",
         HEAD_ERROR "Transfer-Encoding is \"chunked\" more than once"},
        {OK_HEAD "Transfer-Encoding: chunked, gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
         HEAD_ERROR "Transfer-Encoding is \"chunked\" more than once"},
        {OK_HEAD "Transfer-Encoding:\r\n\r\n", HEAD_ERROR "Transfer-Encoding is empty"},
        {OK_HEAD "Transfer-Encoding: , ,\r\n\r\n", HEAD_ERROR "Transfer-Encoding is empty"},
    };
    H1_CHECK_ALL(cases);
}

static void test_odd_lengths(void **state)
{
    (void)state;
    static const char *const values[] = {"+5",
                                         "-1",
                                         "5 5",
                                         "0x5",
                                         "5, 5",
                                         "5,5",
                                         "5,6",
                                         "5;",
                                         "5.0",
                                         "five",
                                         "",
                                         "\"5\"",
                                         "5\t",
                                         "5 \t ",
                                         "18446744073709551616",
                                         "18446744073709551615",
                                         "9223372036854775808",
                                         "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        /* whatever the status: a number that nobody can read is never ignored */
        for (int k = 0; k < 2; k++) {
            char input[128];
            snprintf(input, sizeof input, "HTTP/1.1 %d X\r\nContent-Length: %s\r\n\r\nhello",
                     k == 0 ? 200 : 304, values[i]);
            struct h1_case one = {input};
            h1_check(&one);
            char *got = h1_lines_of(&one, input, strlen(input), NULL, 0);
            print_message("%s: %s\n", values[i], got);
            assert_non_null(strstr(got, HEAD_ERROR "Content-Length"));
            assert_non_null(strstr(got, "is not a number of bytes"));
            free(got);
        }
    }
    static const struct h1_case cases[] = {
        {OK_HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
         HEAD_ERROR "the response has more than one Content-Length"},
        {OK_HEAD "Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n\r\nhello",
         HEAD_ERROR "the response has more than one Content-Length"},
        {OK_HEAD "Content-Length: 9223372036854775807\r\n\r\nx",
         "head 200 1.1 \"OK\" | Content-Length: 9223372036854775807\nbody \"x\"\n"
         "AIODUCT_E_TRUNCATED body partial: the peer closed the connection after 1 of "
         "9223372036854775807 body bytes",
         .eof = true},
    };
    H1_CHECK_ALL(cases);
}

static void test_old_coding(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5\r\nhello\r\n0\r\n\r\n",
         "head 200 1.0 \"OK\" | Connection: keep-alive | Transfer-Encoding: chunked\n"
         "body \"hello\"\ncomplete closing"},
    };
    H1_CHECK_ALL(cases);
}

/* ---- answers without body ---- */

struct log {
    char text[1024];
    struct ad_h1 *h1;
    int hold_at; /* hold at the nth body slice, 0: never; -1: at heads */
    int slices;
};

static void note(struct log *log, const char *text, size_t count)
{
    size_t used = strlen(log->text);
    assert_true(used + count < sizeof log->text);
    memcpy(log->text + used, text, count);
    log->text[used + count] = '\0';
}

static void on_head(void *owner, const struct aioduct_head *head)
{
    struct log *log = owner;
    char text[16];
    snprintf(text, sizeof text, "<%d>", head->status);
    note(log, text, strlen(text));
    if (log->hold_at < 0) {
        ad_h1_hold(log->h1);
    }
}

static void on_body(void *owner, const uint8_t *bytes, size_t count)
{
    struct log *log = owner;
    note(log, (const char *)bytes, count);
    if (++log->slices == log->hold_at) {
        ad_h1_hold(log->h1);
        log->slices = 0;
    }
}

static void on_trailers(void *owner, const struct aioduct_head *trailers)
{
    (void)trailers;
    note(owner, "<trailers>", 10);
}

static void on_complete(void *owner, bool reusable)
{
    note(owner, reusable ? "<end>" : "<close>", reusable ? 5 : 7);
}

static const struct ad_h1_events events = {.on_interim = on_head,
                                           .on_head = on_head,
                                           .on_body = on_body,
                                           .on_trailers = on_trailers,
                                           .on_complete = on_complete};

static struct ad_h1 *codec(struct log *log)
{
    *log = (struct log){0};
    assert_int_equal(ad_h1_create(&h1_default_limits, &events, log, &log->h1), 0);
    return log->h1;
}

static int64_t feed(struct ad_h1 *h1, const char *text)
{
    return ad_h1_feed(h1, (const uint8_t *)text, strlen(text), NULL);
}

static void test_no_body(void **state)
{
    (void)state;
    static const struct {
        const char *first;
        unsigned flags;
    } list[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", AD_H1_HEAD},
        {"HTTP/1.1 200 OK\r\n\r\n", AD_H1_HEAD},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", AD_H1_HEAD},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n", AD_H1_HEAD},
        {"HTTP/1.1 204 No Content\r\n\r\n", 0},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 0},
        {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 0},
        {"HTTP/1.1 304 X\r\nTransfer-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct log log;
        struct ad_h1 *h1 = codec(&log);
        char both[256];
        print_message("%s\n", list[i].first);
        /* what follows in the same slice stays unread, and the next answer parses */
        static const char second[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        snprintf(both, sizeof both, "%s%s", list[i].first, second);
        ad_h1_expect(h1, list[i].flags);
        assert_int_equal(feed(h1, both), strlen(list[i].first));
        assert_int_equal(ad_h1_body_left(h1), 0);
        ad_h1_expect(h1, 0);
        assert_int_equal(feed(h1, second), strlen(second));
        assert_non_null(strstr(log.text, "<end><200>hello<end>"));
        ad_h1_destroy(h1);
    }
    /* the flag is of one request only */
    struct log log;
    struct ad_h1 *h1 = codec(&log);
    ad_h1_expect(h1, AD_H1_HEAD);
    feed(h1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    ad_h1_expect(h1, 0);
    feed(h1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
    assert_string_equal(log.text, "<200><end><200>ab<end>");
    ad_h1_destroy(h1);
}

/* ---- chunks ---- */

static void test_chunks(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {CHUNKED "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
         CHUNKED_LINE "body \"hello world\"\ncomplete reusable"},
        {CHUNKED "0\r\n\r\n", CHUNKED_LINE "complete reusable"},
        {CHUNKED "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
         CHUNKED_LINE "body \"01234567890123456789\"\ncomplete reusable"},
        {CHUNKED "0000000000000005\r\nhello\r\n00\r\n\r\n",
         CHUNKED_LINE "body \"hello\"\ncomplete reusable"},
        {CHUNKED "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n",
         CHUNKED_LINE "body \"abc\"\ncomplete reusable"},
        {CHUNKED "5;x\r\nhello\r\n0;y=\"z;\t1\";q\r\n\r\n",
         CHUNKED_LINE "body \"hello\"\ncomplete reusable"},
        {CHUNKED "2\r\n\r\n\r\n0\r\n\r\n", CHUNKED_LINE "body \"\\x0d\\x0a\"\ncomplete reusable"},
        {CHUNKED "7fffffffffffffff\r\nx",
         CHUNKED_LINE
         "body \"x\"\nAIODUCT_E_TRUNCATED body partial: the peer closed the connection "
         "before the last chunk's end, after 1 body bytes",
         .eof = true},
    };
    H1_CHECK_ALL(cases);
}

static void test_bad_chunks(void **state)
{
    (void)state;
#define BAD CHUNKED_LINE BODY_ERROR "malformed chunked body: "
#define BAD_AFTER \
    CHUNKED_LINE "body \"hello\"\nAIODUCT_E_PROTOCOL body partial: malformed chunked body: "
    static const struct h1_case cases[] = {
        {CHUNKED "\r\n", BAD "'\\r' where a chunk size begins"},
        {CHUNKED ";x\r\n", BAD "';' where a chunk size begins"},
        {CHUNKED "g\r\n", BAD "'g' where a chunk size begins"},
        {CHUNKED "-1\r\n", BAD "'-' where a chunk size begins"},
        {CHUNKED "+1\r\n", BAD "'+' where a chunk size begins"},
        {CHUNKED " 1\r\n", BAD "' ' where a chunk size begins"},
        {CHUNKED "0x1\r\n", BAD "'x' after a chunk size"},
        {CHUNKED "1 \r\n", BAD "' ' after a chunk size"},
        {CHUNKED "1\n", BAD "'\\n' after a chunk size"},
        {CHUNKED "1\rx", BAD "'x' after CR in a chunk size line"},
        {CHUNKED "1;a\nx", BAD "'\\n' in a chunk extension"},
        {CHUNKED "1;a~b\r\nx", NULL},
        {CHUNKED "1;a\rb\r\nx", BAD "'b' after CR in a chunk size line"},
        {CHUNKED "8000000000000000\r\n", BAD "chunk size too large"},
        {CHUNKED "ffffffffffffffff\r\n", BAD "chunk size too large"},
        {CHUNKED "10000000000000000\r\n", BAD "chunk size too large"},
        {CHUNKED "00000000000000005\r\nhello", BAD "chunk size too large"},
        {CHUNKED "5\r\nhello0\r\n\r\n", BAD_AFTER "'0' where CRLF ends a chunk"},
        {CHUNKED "5\r\nhello\n0\r\n\r\n", BAD_AFTER "'\\n' where CRLF ends a chunk"},
        {CHUNKED "5\r\nhello\r0\r\n\r\n", BAD_AFTER "'0' where CRLF ends a chunk"},
        {CHUNKED "5\r\nhello!\r\n0\r\n\r\n", BAD_AFTER "'!' where CRLF ends a chunk"},
        {CHUNKED "5\r\nhello\r\n\r\n", BAD_AFTER "'\\r' where a chunk size begins"},
    };
    H1_CHECK_ALL(cases);
}

static void test_extensions(void **state)
{
    (void)state;
    static const struct ad_h1_limits small = {.head_bytes_max = 1000,
                                              .head_fields_max = 10,
                                              .interim_max = 1,
                                              .trailer_bytes_max = 20,
                                              .chunk_ext_max = 8};
    static const struct h1_case cases[] = {
        {CHUNKED "1;a\r\nx\r\n1;b=12\r\ny\r\n0\r\n\r\n", /* 2 + 5 bytes */
         CHUNKED_LINE "body \"xy\"\ncomplete reusable", .limits = &small},
        {CHUNKED "1;a\r\nx\r\n1;b=1234\r\ny\r\n0\r\n\r\n", /* 2 + 7 bytes */
         CHUNKED_LINE "body \"x\"\nAIODUCT_E_LIMIT body partial: more than 8 bytes of chunk "
                      "extensions (chunk_ext_max)",
         .limits = &small},
        {CHUNKED "0;1234567\r\n\r\n", CHUNKED_LINE "complete reusable", .limits = &small},
        {CHUNKED "0;12345678\r\n\r\n",
         CHUNKED_LINE "AIODUCT_E_LIMIT body: more than 8 bytes of chunk extensions (chunk_ext_max)",
         .limits = &small},
    };
    H1_CHECK_ALL(cases);
}

static void ignore_body(void *owner, const uint8_t *bytes, size_t count)
{
    size_t *total = owner;
    (void)bytes;
    *total += count;
}

static void ignore_head(void *owner, const struct aioduct_head *head)
{
    (void)owner;
    (void)head;
}

static void ignore_complete(void *owner, bool reusable)
{
    (void)owner;
    (void)reusable;
}

static void test_tiny_chunks(void **state)
{
    (void)state;
    static const struct ad_h1_events counting = {.on_interim = ignore_head,
                                                 .on_head = ignore_head,
                                                 .on_body = ignore_body,
                                                 .on_trailers = ignore_head,
                                                 .on_complete = ignore_complete};
    size_t total = 0;
    struct ad_h1 *h1 = NULL;
    assert_int_equal(ad_h1_create(&h1_default_limits, &counting, &total, &h1), 0);
    ad_h1_expect(h1, 0);
    uint64_t before = ad_mem_count();
    assert_true(feed(h1, CHUNKED) > 0);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(feed(h1, "1\r\nx\r\n"), 6);
    }
    assert_int_equal(feed(h1, "0\r\n\r\n"), 5);
    assert_int_equal(total, 10000);
    assert_int_equal(ad_mem_count() - before, 0);
    ad_h1_destroy(h1);
}

/* ---- trailers ---- */

static void test_trailers(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {CHUNKED "1\r\nx\r\n0\r\nDigest: y\r\nX: \r\n\r\n",
         CHUNKED_LINE "body \"x\"\ntrailers | Digest: y | X: \ncomplete reusable"},
        {CHUNKED "0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\nHost: h\r\n"
                 "Set-Cookie: a=b\r\nAuthorization: c\r\nWWW-Authenticate: d\r\n"
                 "Connection: close\r\nTrailer: e\r\nContent-Encoding: f\r\nGood: g\r\n\r\n",
         CHUNKED_LINE "trailers | Good: g\ncomplete reusable"},
        {CHUNKED "0\r\nset-cookie: a\r\n\r\n", CHUNKED_LINE "complete reusable"},
        {CHUNKED "0\r\nA : b\r\n\r\n", CHUNKED_LINE BODY_ERROR
         "malformed header field \"A \": illegal byte, or no colon after the name"},
        {CHUNKED "0\r\nA: b\r\n c\r\n\r\n",
         CHUNKED_LINE BODY_ERROR "trailer section has a line that begins with a space or tab"},
        {CHUNKED "0\r\nA: b\n\r\n", CHUNKED_LINE BODY_ERROR "trailer section has an LF without CR"},
        {CHUNKED "0\r\n\rx", CHUNKED_LINE BODY_ERROR "trailer section has a CR without LF"},
        {CHUNKED "0\r\n\n", CHUNKED_LINE BODY_ERROR "trailer section has an LF without CR"},
        {CHUNKED "0\r\nA: b\r\n",
         CHUNKED_LINE "AIODUCT_E_TRUNCATED body: the peer closed the connection before the last "
                      "chunk's end, after 0 body bytes",
         .eof = true},
    };
    H1_CHECK_ALL(cases);
}

static void test_trailer_limits(void **state)
{
    (void)state;
    static const struct ad_h1_limits small = {.head_bytes_max = 1000,
                                              .head_fields_max = 3,
                                              .interim_max = 1,
                                              .trailer_bytes_max = 20,
                                              .chunk_ext_max = 8};
    static const struct h1_case cases[] = {
        {CHUNKED "0\r\nA: 45678\r\nB: 45678\r\n\r\n",
         CHUNKED_LINE "trailers | A: 45678 | B: 45678\ncomplete reusable", .limits = &small},
        {CHUNKED "0\r\nA: 45678\r\nB: 456789\r\n\r\n",
         CHUNKED_LINE
         "AIODUCT_E_LIMIT body: trailer section larger than 20 bytes (trailer_bytes_max)",
         .limits = &small},
        {CHUNKED "0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n",
         CHUNKED_LINE
         "AIODUCT_E_LIMIT body: trailer section has more than 3 fields (head_fields_max)",
         .limits = &small},
    };
    H1_CHECK_ALL(cases);
}

/* ---- the peer closes; bytes of nobody ---- */

static void test_truncation(void **state)
{
    (void)state;
#define LENGTH_LINE "head 200 1.1 \"OK\" | Content-Length: 5\n"
    static const struct h1_case cases[] = {
        {"", "AIODUCT_E_CLOSED head: the peer closed the connection without an answer",
         .eof = true},
        {"H", "AIODUCT_E_TRUNCATED head: the peer closed the connection inside the response head",
         .eof = true},
        {OK_HEAD "A: b\r\n",
         "AIODUCT_E_TRUNCATED head: the peer closed the connection inside the response head",
         .eof = true},
        {OK_HEAD "Content-Length: 5\r\n\r\n",
         LENGTH_LINE
         "AIODUCT_E_TRUNCATED body: the peer closed the connection after 0 of 5 body bytes",
         .eof = true},
        {OK_HEAD "Content-Length: 5\r\n\r\nhell",
         LENGTH_LINE "body \"hell\"\nAIODUCT_E_TRUNCATED body partial: the peer closed the "
                     "connection after 4 of 5 body bytes",
         .eof = true},
        {CHUNKED "5\r\nhello\r\n",
         CHUNKED_LINE "body \"hello\"\nAIODUCT_E_TRUNCATED body partial: the peer closed the "
                      "connection before the last chunk's end, after 5 body bytes",
         .eof = true},
        {CHUNKED "5\r\nhello\r\n0\r\n",
         CHUNKED_LINE "body \"hello\"\nAIODUCT_E_TRUNCATED body partial: the peer closed the "
                      "connection before the last chunk's end, after 5 body bytes",
         .eof = true},
        {CHUNKED "5\r\nhello\r\n0\r\n\r",
         CHUNKED_LINE "body \"hello\"\nAIODUCT_E_TRUNCATED body partial: the peer closed the "
                      "connection before the last chunk's end, after 5 body bytes",
         .eof = true},
    };
    H1_CHECK_ALL(cases);
}

static void test_surplus(void **state)
{
    (void)state;
    static const struct h1_case cases[] = {
        {OK_HEAD "Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
         LENGTH_LINE "body \"hello\"\ncomplete reusable\nconsumed 43"},
        {OK_HEAD "Content-Length: 5\r\n\r\nhello\r\n",
         LENGTH_LINE "body \"hello\"\ncomplete reusable\nconsumed 43"},
        {CHUNKED "0\r\n\r\nx", CHUNKED_LINE "complete reusable\nconsumed 52"},
        {OK_HEAD "Content-Length: 0\r\n\r\nx",
         "head 200 1.1 \"OK\" | Content-Length: 0\ncomplete reusable\nconsumed 38"},
    };
    H1_CHECK_ALL(cases);
}

static void test_unexpected(void **state)
{
    (void)state;
    struct log log;
    struct ad_h1 *h1 = codec(&log);
    assert_int_equal(feed(h1, "HTTP/1.1 200 OK\r\n\r\n"), 0);
    assert_false(ad_h1_got_bytes(h1));
    assert_int_equal(ad_h1_eof(h1, NULL), 0);
    assert_string_equal(log.text, "");
    ad_h1_destroy(h1);
    ad_h1_destroy(NULL);
}

/* ---- holding, and what is known ---- */

static void test_hold(void **state)
{
    (void)state;
    static const char *const inputs[] = {
        OK_HEAD "Content-Length: 6\r\n\r\nabcdef", CHUNKED "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
        "HTTP/1.1 103 X\r\n\r\n" CHUNKED "6\r\nabcdef\r\n0\r\nA: b\r\n\r\n"};
    static const char *const wanted[] = {"<200>abcdef<end>", "<200>abcdef<end>",
                                         "<103><200>abcdef<trailers><end>"};
    for (size_t i = 0; i < 3; i++) {
        for (int hold_at = -1; hold_at <= 2; hold_at++) {
            for (size_t slice = 1; slice <= strlen(inputs[i]); slice++) {
                struct log log;
                struct ad_h1 *h1 = codec(&log);
                log.hold_at = hold_at;
                ad_h1_expect(h1, 0);
                size_t at = 0;
                while (at < strlen(inputs[i])) {
                    size_t piece = strlen(inputs[i]) - at < slice ? strlen(inputs[i]) - at : slice;
                    int64_t used = ad_h1_feed(h1, (const uint8_t *)inputs[i] + at, piece, NULL);
                    assert_true(used >= 0);
                    if ((size_t)used < piece) {
                        /* held: nothing more happens until it is let go */
                        char before[sizeof log.text];
                        strcpy(before, log.text);
                        assert_int_equal(feed(h1, inputs[i] + at + used), 0);
                        assert_string_equal(log.text, before);
                    }
                    ad_h1_unhold(h1);
                    at += (size_t)used;
                }
                assert_string_equal(log.text, wanted[i]);
                ad_h1_destroy(h1);
            }
        }
    }
}

static void test_hold_stops_at_once(void **state)
{
    (void)state;
    struct log log;
    struct ad_h1 *h1 = codec(&log);
    log.hold_at = 1;
    ad_h1_expect(h1, 0);
    /* 'a' of the first chunk is delivered, the second chunk is not looked at */
    assert_int_equal(feed(h1, CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"), strlen(CHUNKED "1\r\na"));
    assert_string_equal(log.text, "<200>a");
    ad_h1_destroy(h1);

    h1 = codec(&log);
    log.hold_at = -1;
    ad_h1_expect(h1, 0);
    assert_int_equal(feed(h1, OK_HEAD "Content-Length: 1\r\n\r\nx"), 38);
    assert_string_equal(log.text, "<200>");
    ad_h1_unhold(h1);
    /* the end follows the last byte, held or not */
    log.hold_at = 1;
    assert_int_equal(feed(h1, "x"), 1);
    assert_string_equal(log.text, "<200>x<end>");
    /* and the next answer begins unheld */
    ad_h1_expect(h1, 0);
    assert_int_equal(feed(h1, OK_HEAD "Content-Length: 0\r\n\r\n"), 38);
    assert_string_equal(log.text, "<200>x<end><200><end>");
    ad_h1_destroy(h1);
}

static void test_known(void **state)
{
    (void)state;
    struct log log;
    struct ad_h1 *h1 = codec(&log);
    assert_int_equal(ad_h1_body_left(h1), 0);
    ad_h1_expect(h1, 0);
    assert_false(ad_h1_got_bytes(h1));
    assert_int_equal(ad_h1_body_left(h1), -1);
    feed(h1, "HTTP/1.1 100 C\r\n\r\n");
    assert_true(ad_h1_got_bytes(h1));
    assert_false(ad_h1_got_head(h1));
    assert_int_equal(ad_h1_head_bytes(h1), 18);
    feed(h1, OK_HEAD "Content-Length: 5\r\n\r\nab");
    assert_true(ad_h1_got_head(h1));
    assert_false(ad_h1_close_delimited(h1));
    assert_int_equal(ad_h1_body_left(h1), 3);
    assert_int_equal(ad_h1_head_bytes(h1), 18 + 38);
    feed(h1, "cde");
    assert_int_equal(ad_h1_body_left(h1), 0);

    ad_h1_expect(h1, 0);
    assert_false(ad_h1_got_bytes(h1));
    assert_false(ad_h1_got_head(h1));
    assert_int_equal(ad_h1_head_bytes(h1), 0);
    feed(h1, CHUNKED "1\r\n");
    assert_int_equal(ad_h1_body_left(h1), -1);
    feed(h1, "x\r\n0\r\n\r\n");

    ad_h1_expect(h1, 0);
    feed(h1, OK_HEAD "\r\n");
    assert_true(ad_h1_close_delimited(h1));
    assert_int_equal(ad_h1_body_left(h1), -1);
    assert_int_equal(ad_h1_eof(h1, NULL), 0);
    assert_string_equal(log.text, "<100><200>abcde<end><200>x<end><200><close>");
    ad_h1_destroy(h1);
}

struct chain {
    struct ad_h1 *h1;
    int completed;
};

static void on_chain_complete(void *owner, bool reusable)
{
    struct chain *chain = owner;
    assert_true(reusable);
    if (++chain->completed < 3) {
        ad_h1_expect(chain->h1, 0);
    }
}

static void test_expect_inside(void **state)
{
    (void)state;
    static const struct ad_h1_events chained = {.on_interim = ignore_head,
                                                .on_head = ignore_head,
                                                .on_body = NULL,
                                                .on_trailers = ignore_head,
                                                .on_complete = on_chain_complete};
    static const char two[] = "HTTP/1.1 204 N\r\n\r\nHTTP/1.1 204 N\r\n\r\n";
    struct chain chain = {0};
    assert_int_equal(ad_h1_create(&h1_default_limits, &chained, &chain, &chain.h1), 0);
    ad_h1_expect(chain.h1, 0);
    /* the second answer came before its request went out: it is not taken */
    assert_int_equal(feed(chain.h1, two), (sizeof two - 1) / 2);
    assert_int_equal(chain.completed, 1);
    assert_false(ad_h1_got_bytes(chain.h1));
    ad_h1_destroy(chain.h1);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C2: answers that have no body, whatever they say", test_no_body, 0, 0, 0},
        {"C3: the order of the length rules", test_lengths, 0, 0, 0},
        {"C3: contradicting lengths are refused", test_contradictions, 0, 0, 0},
        {"C4: odd and repeated lengths are refused", test_odd_lengths, 0, 0, 0},
        {"C5: Transfer-Encoding from HTTP/1.0 is read, then the connection closes", test_old_coding,
         0, 0, 0},
        {"C6: chunks are joined", test_chunks, 0, 0, 0},
        {"C6: malformed chunks are refused", test_bad_chunks, 0, 0, 0},
        {"C6: chunk extensions are skipped up to a limit", test_extensions, 0, 0, 0},
        {"C6: one-byte chunks cost no allocation", test_tiny_chunks, 0, 0, 0},
        {"C7: trailers are delivered apart, without the fields that may not be there",
         test_trailers, 0, 0, 0},
        {"C7: trailers are limited", test_trailer_limits, 0, 0, 0},
        {"C8: a peer that closes early is seen at every stage", test_truncation, 0, 0, 0},
        {"C12: bytes after an answer are not consumed", test_surplus, 0, 0, 0},
        {"C13: bytes before a request are not consumed", test_unexpected, 0, 0, 0},
        {"a held codec gives the same events, later", test_hold, 0, 0, 0},
        {"a hold stops at once", test_hold_stops_at_once, 0, 0, 0},
        {"what is known of the answer under way", test_known, 0, 0, 0},
        {"the next answer may be expected inside the end of the last", test_expect_inside, 0, 0, 0},
    };
    return TAP_RUN(cases, NULL, NULL);
}
