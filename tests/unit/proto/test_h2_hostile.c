/* SPDX-License-Identifier: MIT */
/* Responses that break the rules, and peers that only make work. */
#include "h2_tester.h"

#include "h2wire.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER "< SETTINGS 3=100\n< SETTINGS ack\n"
/* What is wrong comes on the first stream, and the second must not notice. */
#define ASK "get\nget\nproduce\n" SERVER
#define REST "\n< HEADERS 3 | :status: 200\n< DATA 3 end fine\nproduce"
#define GET(id) "> HEADERS " #id " end | :method: GET | :scheme: http | :authority: a | :path: /\n"
#define FINE "head 2 200\nbody 2 \"fine\"\ncomplete 2\n"

static void check_malformed(const char *request, const char *frames, const char *reason)
{
    char *script = NULL, *wanted = NULL;
    assert_true(asprintf(&script, "%s\nget\nproduce\n" SERVER "< %s" REST, request, frames) > 0);
    char *got = h2_play(script);
    print_message("%s: %s\n", frames, got);
    assert_true(asprintf(&wanted, "PROTOCOL_ERROR AIODUCT_E_PROTOCOL %s", reason) > 0);
    assert_non_null(strstr(got, "closed 1 "));
    assert_non_null(strstr(got, wanted));
    assert_non_null(strstr(got, FINE));
    assert_non_null(strstr(got, "> RST_STREAM 1 1"));
    assert_null(strstr(got, "complete 1"));
    assert_null(strstr(got, "failed"));
    h2_check(script, got);
    free(got);
    free(wanted);
    free(script);
}

static void test_malformed_heads(void **state)
{
    static const char *const heads[][2] = {
        {"| a: b", "no :status"},
        {"| :status: 200 | :status: 200", "field \":status\""},
        {"| a: b | :status: 200", "field \":status\""},
        {"| :status: 20", "field \":status\""},
        {"| :status: 2000", "field \":status\""},
        {"| :status: abc", "field \":status\""},
        {"| :status:  200", "field \":status\""},
        {"| :status: 200 ", "field \":status\""},
        {"| :status: 200 | content-length:  1", "field \"content-length\""},
        {"| :status: 200 | content-length: 1 ", "field \"content-length\""},
        {"end | :status: 304 | content-length: 1\t", "field \"content-length\""},
        {"| :status: 200 | te: trailers ", "field \"te\""},
        {"| :status: 099", "the status is not one of three digits"},
        {"| :status: 200 | :path: /", "field \":path\""},
        {"| :status: 200 | Upper: a", "field \"Upper\""},
        {"| :status: 200 | connection: close", "field \"connection\""},
        {"| :status: 200 | keep-alive: 1", "field \"keep-alive\""},
        {"| :status: 200 | proxy-connection: a", "field \"proxy-connection\""},
        {"| :status: 200 | transfer-encoding: chunked", "field \"transfer-encoding\""},
        {"| :status: 200 | upgrade: h2c", "field \"upgrade\""},
        {"| :status: 200 | te: gzip", "field \"te\""},
        {"| :status: 200 | a: b | :status: 200", "field \":status\""},
        {"| :status: 200 | a: b | :x: y", "field \":x\""},
        {"| :status: 2 0", "field \":status\""},
        {"| :status: 200 | a: \x7f", "field \"a\""},
        {"| :status: 204 | content-length: 1", "field \"content-length\""},
        {"| :status: 103 | content-length: 0", "field \"content-length\""},
        {"| :status: 200 | content-length: 9223372036854775808", "field \"content-length\""},
        {"| :status: 200 | content-length: +1", "field \"content-length\""},
        {"| :status: 200 | a b: c", "field \"a b\""},
        {"| :status: 200 | a: b\x01", "field \"a\""},
        {"| :status: 200 | content-length: -1", "field \"content-length\""},
        {"| :status: 200 | content-length: 1 | content-length: 1", "field \"content-length\""},
        {"| :status: 101 | a: b", "field \":status\""},
        {"end | :status: 103", "no :status"},
        {"end | :status: 200 | content-length: 1", "no :status, a length that cannot be"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        char *frame = NULL, *wanted = NULL;
        assert_true(asprintf(&frame, "HEADERS 1 %s", heads[i][0]) > 0);
        assert_true(asprintf(&wanted, "head: malformed response: %s", heads[i][1]) > 0);
        check_malformed("get", frame, wanted);
        free(wanted);
        free(frame);
    }
}

static void test_malformed_bodies(void **state)
{
    static const char wrong[] = "body: malformed response: the body is not as long as";
    (void)state;
    check_malformed("get", "HEADERS 1 | :status: 200 | content-length: 0\n< DATA 1 abc", wrong);
    check_malformed("get", "HEADERS 1 | :status: 200 | content-length: 2\n< DATA 1 end a", wrong);
    check_malformed("get", "HEADERS 1 | :status: 200 | content-length: 0\n< DATA 1 end abc",
                    "body: ");
    check_malformed("head", "HEADERS 1 | :status: 200\n< DATA 1 a", wrong);
    check_malformed("get", "HEADERS 1 | :status: 204\n< DATA 1 a", wrong);
    check_malformed("get", "HEADERS 1 | :status: 304\n< DATA 1 a", wrong);
    check_malformed("get", "HEADERS 1 | :status: 200\n< DATA 1 a\n< HEADERS 1 | a: b",
                    "body: malformed response: no :status");
    check_malformed("get", "HEADERS 1 | :status: 200\n< HEADERS 1 end | :status: 200",
                    "body: malformed response: field \":status\"");
    check_malformed("get", "HEADERS 1 | :status: 200\n< HEADERS 1 end | Upper: a",
                    "body: malformed response: field \"Upper\"");
    check_malformed("get",
                    "HEADERS 1 | :status: 200 | content-length: 1\n< DATA 1 a\n"
                    "< HEADERS 1 end | content-length: 1",
                    "body: malformed response: field \"content-length\"");
    check_malformed("get",
                    "HEADERS 1 | :status: 200\n< DATA 1 a\n< HEADERS 1 end | content-length: 2",
                    "body: malformed response: no :status, a length that cannot be");
    check_malformed("get", "HEADERS 1 | :status: 103\n< DATA 1 a", "head: malformed response: ");
    check_malformed("get", "HEADERS 1 | :status: 103\n< DATA 1 end", "head: malformed response: ");
}

/* What is common, or means nothing here, is no fault. */
static void test_odd_heads(void **state)
{
    (void)state;
    h2_check("get\nget\nget\n" SERVER "produce\n"
             "< HEADERS 1 end | :status: 204 | content-length: 0 | te: Trailers\n"
             "< HEADERS 3 end | :status: 200 | a:  b  | !#$%&'*+-.^_`|~09: \x80\xff\n"
             "< HEADERS 5 end | :status: 200 | b:",
             "sent 1\nsent 2\nsent 3\n> SETTINGS 2=0 4=1048576 6=65536\n> SETTINGS ack\n"
             "> WINDOW_UPDATE 0 16711681\n" GET(1) GET(3)
                 GET(5) "head 1 204 | te: Trailers\ncomplete 1\n"
                        "head 2 200 | a: b | !#$%&'*+-.^_`|~09: \x80\xff\ncomplete 2\n"
                        "head 3 200 | b: \ncomplete 3");
}

static void test_head_without_body(void **state)
{
    (void)state;
    /* Lengths of what a GET would have brought are no lie. */
    h2_check("head\nget\nget\nproduce\n" SERVER
             "< HEADERS 1 end | :status: 200 | content-length: 5\n"
             "< HEADERS 3 end | :status: 304 | content-length: 5\n"
             "< HEADERS 5 | :status: 200 | content-length: 0\n< DATA 5 end ",
             "sent 1\nsent 2\nsent 3\n"
             "> SETTINGS 2=0 4=1048576 6=65536\n> WINDOW_UPDATE 0 16711681\n"
             "> HEADERS 1 end | :method: HEAD | :scheme: http | :authority: a | :path: /\n"
             "> HEADERS 3 end | :method: GET | :scheme: http | :authority: a | :path: /\n"
             "> HEADERS 5 end | :method: GET | :scheme: http | :authority: a | :path: /\n"
             "head 1 200 | content-length: 5\ncomplete 1\n"
             "head 2 304 | content-length: 5\ncomplete 2\n"
             "head 3 200 | content-length: 0\ncomplete 3");
}

static void test_frames_after_the_end(void **state)
{
    (void)state;
    char *got = h2_play("pull\nproduce\n" SERVER "< HEADERS 1 end | :status: 200\n< DATA 1 x\n"
                        "< HEADERS 1 | :status: 200\nget\nproduce");
    /* The stream was left in the same turn: what follows goes nowhere, or ends the connection. */
    print_message("%s\n", got);
    assert_non_null(strstr(got, "head 1 200\ncomplete 1\n"));
    assert_null(strstr(got, "body 1"));
    free(got);
}

/* ---- limits ---- */

static void check_limit(const char *frames, const char *reason, const struct ad_h2_limits *limits)
{
    char *script = NULL, *wanted = NULL;
    assert_true(asprintf(&script, ASK "< %s" REST, frames) > 0);
    assert_true(asprintf(&wanted,
                         "sent 1\nsent 2\n> SETTINGS 2=0 4=1048576 6=%u\n"
                         "> WINDOW_UPDATE 0 16711681\n"
                         "> HEADERS 1 end | :method: GET | :scheme: http | :authority: a | :path: "
                         "/\n"
                         "> HEADERS 3 end | :method: GET | :scheme: http | :authority: a | :path: "
                         "/\n"
                         "closed 1 CANCEL AIODUCT_E_HEAD_LIMIT head: response head %s\n" FINE
                         "> SETTINGS ack\n> RST_STREAM 1 8\n> PING 0100000000000000",
                         limits->head_bytes_max, reason) > 0);
    h2_check_limits(script, wanted, limits);
    free(wanted);
    free(script);
}

static void test_head_limits(void **state)
{
    struct ad_h2_limits limits = h2_default_limits;
    (void)state;
    limits.head_bytes_max = 400;
    check_limit("HEADERS 1 | :status: 200 | a: x*400", "larger than 400 bytes (head_bytes_max)",
                &limits);
    check_limit("HEADERS 1 open | :status: 200 | a: x*200\n< CONTINUATION 1 open | b: x*200\n"
                "< CONTINUATION 1 end | c: x*200",
                "larger than 400 bytes (head_bytes_max)", &limits);
    limits.head_fields_max = 3;
    check_limit("HEADERS 1 | :status: 200 | a: 1 | b: 2 | c: 3 | d: 4",
                "has more than 3 fields (head_fields_max)", &limits);
}

static void test_head_at_limit(void **state)
{
    struct ad_h2_limits limits = h2_default_limits;
    (void)state;
    limits.head_bytes_max = 32 + 10 + 32 + 101; /* ":status: 200" and "a: x..." */
    limits.head_fields_max = 1;
    char *got = h2_play_limits(ASK "< HEADERS 1 end | :status: 200 | a: x*100", &limits);
    assert_non_null(strstr(got, "head 1 200 | a: xxx"));
    free(got);
}

static void test_bomb(void **state)
{
    struct ad_h2_limits limits = h2_default_limits;
    (void)state;
    limits.head_bytes_max = 2000;
    /* An entry of 3000 bytes goes into the table; each reference to it is one byte. */
    const char *script = ASK "< BOMB 1 3000 6\nproduce";
    char *got = h2_play_limits(script, &limits);
    print_message("%s\n", got);
    assert_non_null(strstr(got, "closed 1 CANCEL AIODUCT_E_HEAD_LIMIT"));
    assert_non_null(strstr(got, "failed AIODUCT_E_LIMIT: a response head of more than 16000 bytes "
                                "(head_bytes_max is 2000)\n"));
    assert_non_null(strstr(got, "> GOAWAY 0 11"));
    free(got);
}

/* ---- floods ---- */

static void check_flood(const char *frame, const char *name)
{
    char *script = NULL, *wanted = NULL;
    assert_true(
        asprintf(&script, ASK "< HEADERS 1 | :status: 200\n< REPEAT 10100 %s\nproduce", frame) > 0);
    assert_true(asprintf(&wanted, "failed AIODUCT_E_LIMIT: flood: too many %s", name) > 0);
    char *got = h2_play(script);
    print_message("%s: %.3000s\n", frame, got);
    assert_non_null(strstr(got, wanted));
    assert_non_null(strstr(got, "> GOAWAY 0 11"));
    free(got);
    free(wanted);
    free(script);
}

static void test_floods(void **state)
{
    (void)state;
    check_flood("DATA 1 ", "empty DATA frames");
    check_flood("FRAME 0 8 1 03000000", "empty DATA frames"); /* of padding alone */
    check_flood("FRAME 0 8 1 00", "empty DATA frames");
    check_flood("PRIORITY 1", "PRIORITY frames");
    check_flood("WINDOW_UPDATE 1 1", "WINDOW_UPDATE frames");
    check_flood("WINDOW_UPDATE 0 1", "WINDOW_UPDATE frames");
    check_flood("FRAME 250 0 0 00", "frames of unknown types");
    check_flood("FRAME 10 0 1 0000", "frames of unknown types");
    check_flood("PING ack 01234567", "PING frames");
}

static void test_ack_floods(void **state)
{
    static const char *const frames[] = {"PING 01234567", "SETTINGS 3=100"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *script = NULL;
        assert_true(asprintf(&script, ASK "< REPEAT 2000 %s\nproduce", frames[i]) > 0);
        char *got = h2_play(script);
        assert_non_null(strstr(got, "failed AIODUCT_E_LIMIT: flood: "));
        assert_non_null(strstr(got, "> GOAWAY 0 11"));
        free(got);
        free(script);
    }
}

static void test_continuations(void **state)
{
    (void)state;
    char *got = h2_play(ASK "< HEADERS 1 open | :status: 200\n"
                            "< REPEAT 20 CONTINUATION 1 open | a: b\nproduce");
    assert_non_null(strstr(got, "failed AIODUCT_E_LIMIT: flood: too many CONTINUATION frames\n"));
    assert_non_null(strstr(got, "> GOAWAY 0 11"));
    free(got);
}

static void test_budget_is_earned(void **state)
{
    (void)state;
    /* A hundred thousand pings are no flood while as much is asked and answered in between. */
    struct h2_bytes script = {0};
    static const char begin[] = "produce\n" SERVER;
    h2_bytes_add(&script, begin, strlen(begin));
    for (unsigned i = 0; i < 400; i++) {
        char round[160];
        int bytes = snprintf(round, sizeof round,
                             "get\nproduce\n< REPEAT 99 PING 01234567\n"
                             "< HEADERS %u end | :status: 200\nproduce\n",
                             2 * i + 1);
        h2_bytes_add(&script, round, (size_t)bytes);
    }
    h2_bytes_add(&script, "", 1);
    char *got = h2_play((const char *)script.p);
    assert_null(strstr(got, "failed"));
    assert_non_null(strstr(got, "complete 400\n"));
    free(got);
    h2_bytes_fini(&script);
}

static void test_small_messages(void **state)
{
    (void)state;
    struct h2_bytes script = {0};
    static const char begin[] = "get\nproduce\n" SERVER "< HEADERS 1 | :status: 200\n";
    static const char round[] =
        "< DATA 1 x\n< WINDOW_UPDATE 1 1\n< WINDOW_UPDATE 0 1\n< PRIORITY 1\n";
    h2_bytes_add(&script, begin, strlen(begin));
    for (unsigned i = 0; i < 12000; i++) {
        h2_bytes_add(&script, round, strlen(round));
    }
    h2_bytes_add(&script, "", 1);
    char *got = h2_play((const char *)script.p);
    assert_null(strstr(got, "failed"));
    free(got);
    h2_bytes_fini(&script);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C46: a malformed head is an error of its stream", test_malformed_heads, NULL, NULL, NULL},
        {"C46: what is odd in a head and no fault", test_odd_heads, NULL, NULL, NULL},
        {"C46: a body that does not fit is an error of its stream", test_malformed_bodies, NULL,
         NULL, NULL},
        {"C2: responses without a body may say a length", test_head_without_body, NULL, NULL, NULL},
        {"C46: frames after the end reach nobody", test_frames_after_the_end, NULL, NULL, NULL},
        {"C9: a head over its limits fails, over CONTINUATION too", test_head_limits, NULL, NULL,
         NULL},
        {"C9: a head at its limits is fine", test_head_at_limit, NULL, NULL, NULL},
        {"C43: a compression bomb ends the connection", test_bomb, NULL, NULL, NULL},
        {"C43: frames that carry nothing are a flood", test_floods, NULL, NULL, NULL},
        {"C43: frames that want an answer are a flood", test_ack_floods, NULL, NULL, NULL},
        {"C43: CONTINUATION without an end is a flood", test_continuations, NULL, NULL, NULL},
        {"C43: a stream of small messages is no flood", test_small_messages, NULL, NULL, NULL},
        {"C43: requests and bodies make up for odd frames", test_budget_is_earned, NULL, NULL,
         NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
