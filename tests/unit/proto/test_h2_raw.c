/* SPDX-License-Identifier: MIT */
/* The codec's side of CONNECT, plain (RFC 9113 section 8.5) and extended (RFC 8441): when it may be
 * asked for, and streams on which DATA alone goes both ways. Every script also runs with the
 * server's bytes cut; frames of one "produce" come behind the events inside it. */
#include "h2_tester.h"

#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define OPENING "> SETTINGS 2=0 4=1048576 6=65536\n> WINDOW_UPDATE 0 16711681\n"
#define ACK "> SETTINGS ack\n"
#define GET(id) "> HEADERS " #id " end | :method: GET | :scheme: http | :authority: a | :path: /\n"
#define EXTENDED(id)                                                                 \
    "> HEADERS " #id " | :method: CONNECT | :protocol: websocket | :scheme: http | " \
    ":authority: a | :path: /chat\n"
#define CONNECT(id) "> HEADERS " #id " | :method: CONNECT | :authority: b:443\n"
/* The server's first frames, with and without an offer. */
#define OFFER "< SETTINGS 3=100 8=1\n< SETTINGS ack\n"
#define SERVER "< SETTINGS 3=100\n< SETTINGS ack\n"
#define NOT_OFFERED                                                                              \
    "CANCEL AIODUCT_E_UNSUPPORTED send: the server does not offer Extended CONNECT (RFC 8441), " \
    "which is how HTTP/2 asks for another protocol; HTTP/1.1 may have Upgrade\n"
/* A raw stream, accepted. */
#define ASK "produce\n" OFFER "extended\nproduce\n< HEADERS 1 | :status: 200\n"
#define ASKED OPENING "sent 1\n" ACK EXTENDED(1) "head 1 200\n"

/* ---- may it be asked for? ---- */

static void test_waits(void **state)
{
    (void)state;
    /* What needs no offer goes before it. */
    h2_check("extended\nroom\nproduce\nroom\nproduce\nget\nproduce\n" OFFER "room\nproduce\nroom",
             "room 99\n" OPENING
             "room 99\nsent 2\n" GET(1) "room 98\nsent 1\n" ACK EXTENDED(3) "room 98");
    /* Told by a server that spoke first. */
    h2_check(OFFER "extended\nproduce", "sent 1\n> SETTINGS 2=0 4=1048576 6=65536\n" ACK
                                        "> WINDOW_UPDATE 0 16711681\n" EXTENDED(1));
}

static void test_not_offered(void **state)
{
    (void)state;
    h2_check("extended\nextended\nproduce\n" SERVER "produce\nextended\nproduce\nroom",
             OPENING "closed 1 " NOT_OFFERED "closed 2 " NOT_OFFERED ACK "closed 3 " NOT_OFFERED
                     "room 100");
    h2_check("produce\n< SETTINGS 8=0\nextended\nproduce", OPENING "closed 1 " NOT_OFFERED ACK);
    /* A server may make up its mind later, and may not change it again. */
    h2_check("produce\n" SERVER "extended\nproduce\n< SETTINGS 8=1\nextended\nproduce",
             OPENING "closed 1 " NOT_OFFERED ACK "sent 2\n" ACK EXTENDED(1));
    char *got = h2_play("produce\n" OFFER "< SETTINGS 8=0\nproduce");
    assert_non_null(strstr(got, "failed AIODUCT_E_PROTOCOL"));
    free(got);
    got = h2_play("produce\n< SETTINGS 8=2\nproduce");
    assert_non_null(strstr(got, "failed AIODUCT_E_PROTOCOL"));
    free(got);
}

static void test_leaves_while_waiting(void **state)
{
    (void)state;
    h2_check("extended\nproduce\nroom\ncancel 1\nroom\n" OFFER "produce",
             OPENING "room 99\nroom 100\n" ACK);
    h2_check("extended\nproduce\n" OFFER "cancel 1\nroom\nproduce", OPENING "room 100\n" ACK);
    h2_check("extended\nproduce\n" OFFER "< GOAWAY 0 0\nproduce", OPENING
             "goaway 0 0\nclosed 1 REFUSED_STREAM refused AIODUCT_E_STREAM send: the server "
             "is going away and takes no new requests\n");
}

static void test_stream_limit(void **state)
{
    (void)state;
    h2_check("extended\nextended\nproduce\n< SETTINGS 3=1 8=1\nroom\nproduce\n"
             "< HEADERS 1 end | :status: 403\nproduce",
             OPENING
             "room 0\nsent 1\n" ACK EXTENDED(1) "head 1 403\ncomplete 1\nsent 2\n> RST_STREAM 1 "
                                                "0\n> PING 0100000000000000\n" EXTENDED(3));
}

/* ---- accepted and refused ---- */

static void test_both_ways(void **state)
{
    (void)state;
    h2_check(ASK "< DATA 1 one\ngive 1 two\nproduce\n< DATA 1 three\nend 1 four\nproduce\n"
                 "< DATA 1 five\n< DATA 1 end\nroom",
             ASKED "body 1 \"one\"\n> DATA 1 3 two\nbody 1 \"three\"\n> DATA 1 end 4 four\n"
                   "body 1 \"five\"\ncomplete 1\nroom 100");
}

static void test_connect(void **state)
{
    (void)state;
    /* Without any offer, before the settings, with a length that means nothing (C2). */
    h2_check(
        "connect\nproduce\n" SERVER "< HEADERS 1 | :status: 103 | a: b\n"
        "< HEADERS 1 | :status: 200 | content-length: 3\n"
        "< DATA 1 hello\ngive 1 hi\nproduce\n< DATA 1 end\nend 1 \nproduce",
        "sent 1\n" OPENING CONNECT(1) "interim 1 103 | a: b\nhead 1 200\nbody 1 \"hello\"\n" ACK
                                      "> DATA 1 2 hi\nend 1\ncomplete 1\n> DATA 1 end 0 ");
}

/* What else would have no body has one here. */
static void test_no_content(void **state)
{
    (void)state;
    h2_check("produce\n" OFFER "connect b\nproduce\n< HEADERS 1 | :status: 204 | "
             "content-length: 0\n< DATA 1 hello\n< DATA 1 end\nend 1 bye\nproduce",
             OPENING "sent 1\n" ACK CONNECT(1) "> DATA 1 1 b\nhead 1 204\nbody 1 \"hello\"\n"
                                               "end 1\ncomplete 1\n> DATA 1 end 3 bye");
}

static void test_refused(void **state)
{
    (void)state;
    h2_check(
        "connect\nproduce\n" SERVER "< HEADERS 1 | :status: 407 | content-length: 2\n"
        "< DATA 1 no\n< HEADERS 1 end | a: b\nproduce",
        "sent 1\n" OPENING CONNECT(
            1) "head 1 407 | content-length: 2\nbody 1 \"no\"\ntrailers 1 | a: b\ncomplete 1\n" ACK
               "> RST_STREAM 1 0\n> PING 0100000000000000\n");
}

#define WRONG_LENGTH(id)                                                                      \
    "closed " #id " PROTOCOL_ERROR AIODUCT_E_PROTOCOL body: malformed response: the body is " \
    "not as long as Content-Length says, or none was allowed\n"
#define WRONG_BLOCK(phase)                                                                     \
    "closed 1 PROTOCOL_ERROR AIODUCT_E_PROTOCOL " phase ": malformed response: no :status, a " \
    "length that cannot be, or trailers that do not end the stream\n"
#define FAULT(id) ACK "> RST_STREAM " #id " 1\n> PING 0100000000000000\n"

static void test_refused_length(void **state)
{
    (void)state;
    h2_check("connect\nproduce\n" SERVER "< HEADERS 1 | :status: 407 | content-length: 3\n"
             "< DATA 1 end no\nproduce",
             "sent 1\n" OPENING CONNECT(
                 1) "head 1 407 | content-length: 3\nbody 1 \"no\"\n" WRONG_LENGTH(1) FAULT(1));
    h2_check("connect\nproduce\n" SERVER "< HEADERS 1 end | :status: 407 | content-length: 3\n"
             "produce",
             "sent 1\n" OPENING CONNECT(1) WRONG_BLOCK("head") FAULT(1));
    h2_check("connect\nproduce\n" SERVER "< HEADERS 1 | :status: 407 | content-length: 3\n"
             "< DATA 1 no\n< HEADERS 1 end | a: b\nproduce",
             "sent 1\n" OPENING CONNECT(
                 1) "head 1 407 | content-length: 3\nbody 1 \"no\"\n" WRONG_BLOCK("body") FAULT(1));
    h2_check("connect\nproduce\n" SERVER "< HEADERS 1 | :status: 407 | content-length: 1\n"
             "< DATA 1 n\n< DATA 1 o\nproduce",
             "sent 1\n" OPENING CONNECT(
                 1) "head 1 407 | content-length: 1\nbody 1 \"n\"\n" WRONG_LENGTH(1) FAULT(1));
    /* None is allowed behind a 304, whatever its length would be. */
    h2_check("connect\nproduce\n" SERVER "< HEADERS 1 end | :status: 304 | content-length: 3\n"
             "produce",
             "sent 1\n" OPENING CONNECT(1) "head 1 304 | content-length: 3\ncomplete 1\n" ACK
                                           "> RST_STREAM 1 0\n> PING 0100000000000000\n");
    h2_check(
        "produce\n" OFFER "extended\nproduce\n"
        "< HEADERS 1 | :status: 403 | content-length: 3\n< DATA 1 end no\nproduce",
        OPENING
        "sent 1\n" ACK EXTENDED(1) "head 1 403 | content-length: 3\nbody 1 \"no\"\n" WRONG_LENGTH(
            1) "> RST_STREAM 1 1\n> PING 0100000000000000\n");
}

/* ---- windows ---- */

static void test_credit(void **state)
{
    struct ad_h2_limits limits = h2_default_limits;
    (void)state;
    limits.stream_window_bytes = 20;
    /* What is not consumed stays out of the window; half of it is given back at once. */
    h2_check_limits("connect\nproduce\n" SERVER "< HEADERS 1 | :status: 200\n< DATA 1 size=20\n"
                    "produce\nconsume 1 9\nproduce\nconsume 1 1\nproduce\n< DATA 1 size=10\n"
                    "< DATA 1 end\nconsume 1 20\nproduce\nend 1 \nproduce",
                    "sent 1\n> SETTINGS 2=0 4=20 6=65536\n> WINDOW_UPDATE 0 16711681\n" CONNECT(
                        1) "head 1 200\nbody 1 \"abcdefghijklmnopqrst\"\n" ACK
                           "> WINDOW_UPDATE 1 10\nbody 1 \"abcdefghij\"\nend 1\n"
                           "complete 1\n> DATA 1 end 0 ",
                    &limits);
    char *got = h2_play_limits("connect\nproduce\n" SERVER
                               "< HEADERS 1 | :status: 200\n< DATA 1 size=21\nproduce",
                               &limits);
    assert_non_null(strstr(got, "FLOW_CONTROL_ERROR"));
    free(got);
}

static void test_peer_window(void **state)
{
    (void)state;
    h2_check("produce\n< SETTINGS 3=100 4=5 8=1\nextended\nproduce\n< HEADERS 1 | :status: 200\n"
             "give 1 abcdefghij\nproduce\nproduce\n< WINDOW_UPDATE 1 2\nproduce\n"
             "< SETTINGS 4=2\n< WINDOW_UPDATE 1 3\nproduce\n< WINDOW_UPDATE 1 4\nproduce\n"
             "end 1 k\nproduce",
             OPENING "sent 1\n" ACK EXTENDED(1) "head 1 200\n> DATA 1 5 abcde\n> DATA 1 2 fg\n" ACK
                                                "> DATA 1 3 hij\n> DATA 1 end 1 k\n");
}

/* ---- ends ---- */

static void test_ends(void **state)
{
    (void)state;
    /* The peer's first; ours first; the peer's with its head. */
    h2_check(ASK "< DATA 1 end bye\ngive 1 more\nproduce\nend 1 \nproduce\nroom",
             ASKED "body 1 \"bye\"\nend 1\n> DATA 1 4 more\ncomplete 1\n> DATA 1 end 0 \nroom 100");
    h2_check(ASK "end 1 bye\nproduce\n< DATA 1 more\n< DATA 1 end",
             ASKED "> DATA 1 end 3 bye\nbody 1 \"more\"\ncomplete 1");
    h2_check("produce\n" OFFER "extended\nproduce\n< HEADERS 1 end | :status: 200\nend 1 \nproduce",
             ASKED "end 1\ncomplete 1\n> DATA 1 end 0 ");
}

static void test_reset(void **state)
{
    (void)state;
#define ENDED_EARLY "AIODUCT_E_STREAM body: the server ended the HTTP/2 stream early: "
    h2_check(ASK "< DATA 1 x\n< RST_STREAM 1 8\nroom",
             ASKED "body 1 \"x\"\nclosed 1 CANCEL " ENDED_EARLY "CANCEL (8)\nroom 100");
    /* Before its end NO_ERROR is early all the same. */
    h2_check(ASK "< RST_STREAM 1 0", ASKED "closed 1 NO_ERROR " ENDED_EARLY "NO_ERROR (0)");
    h2_check(ASK "end 1 x\nproduce\n< RST_STREAM 1 10",
             ASKED "> DATA 1 end 1 x\nclosed 1 CONNECT_ERROR " ENDED_EARLY "CONNECT_ERROR (10)");
    /* Behind its end it wants no more, or could not pass it on. */
    h2_check(ASK "< DATA 1 end x\n< RST_STREAM 1 0\nproduce",
             ASKED "body 1 \"x\"\nend 1\ncomplete 1");
    h2_check(ASK "< DATA 1 end x\n< RST_STREAM 1 10\nproduce",
             ASKED "body 1 \"x\"\nend 1\nclosed 1 CONNECT_ERROR " ENDED_EARLY "CONNECT_ERROR (10)");
}

static void test_headers_inside(void **state)
{
    (void)state;
#define MALFORMED                                                                              \
    "closed 1 PROTOCOL_ERROR AIODUCT_E_PROTOCOL body: malformed response: HEADERS where only " \
    "DATA is allowed, behind an accepted CONNECT\n> RST_STREAM 1 1\n> PING 0100000000000000"
    h2_check(ASK "< HEADERS 1 end | a: b\nproduce", ASKED MALFORMED);
}

static void test_cancel(void **state)
{
    (void)state;
#define RESET "> RST_STREAM 1 8\n> PING 0100000000000000\n"
    h2_check(ASK "give 1 x\ncancel 1\nproduce\n< DATA 1 late\n< DATA 1 end\nroom",
             ASKED RESET "room 99");
    h2_check(ASK "on end 1 cancel 1\n< DATA 1 end\nproduce\nroom", ASKED "end 1\n" RESET "room 99");
    h2_check(ASK "on body 1 cancel 1\n< DATA 1 x\n< DATA 1 end y\nproduce",
             ASKED "body 1 \"x\"\n" RESET);
    h2_check(ASK "on source 1 cancel 1\nend 1 x\nproduce\nproduce", ASKED RESET);
    h2_check("produce\n" OFFER "extended\non head 1 cancel 1\nproduce\n"
             "< HEADERS 1 end | :status: 200\nproduce",
             ASKED RESET);
    /* Inside the event that the end of our own direction brings, which is part of produce. */
    h2_check(ASK "on complete 1 get\n< DATA 1 end\nend 1 x\nproduce\nproduce",
             ASKED "end 1\ncomplete 1\n> DATA 1 end 1 x\nsent 2\n" GET(3));
}

static void test_goaway(void **state)
{
    (void)state;
    h2_check(ASK "< GOAWAY 1 0\n< DATA 1 x\nend 1 y\nproduce\n< DATA 1 end",
             ASKED "goaway 1 0\nbody 1 \"x\"\n> DATA 1 end 1 y\ncomplete 1");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C50: Extended CONNECT waits for the server's settings", test_waits, NULL, NULL, NULL},
        {"C50: Extended CONNECT fails unsent where it is not offered", test_not_offered, NULL, NULL,
         NULL},
        {"C50: what waits for the settings can be taken back", test_leaves_while_waiting, NULL,
         NULL, NULL},
        {"C35, C50: what waited for the settings keeps to the stream limit", test_stream_limit,
         NULL, NULL, NULL},
        {"C50: DATA goes both ways", test_both_ways, NULL, NULL, NULL},
        {"C2, C50: CONNECT has an authority, and no scheme and path", test_connect, NULL, NULL,
         NULL},
        {"C2, C50: 204 accepts a CONNECT like every 2xx", test_no_content, NULL, NULL, NULL},
        {"C50: a refused CONNECT is an ordinary answer", test_refused, NULL, NULL, NULL},
        {"C46, C50: a refused CONNECT has a body as long as it says", test_refused_length, NULL,
         NULL, NULL},
        {"C36, C50: credit of a raw stream comes back when it is consumed", test_credit, NULL, NULL,
         NULL},
        {"C34, C50: the peer's window of a raw stream", test_peer_window, NULL, NULL, NULL},
        {"C50: each direction of a raw stream ends by itself", test_ends, NULL, NULL, NULL},
        {"C41, C50: a reset raw stream", test_reset, NULL, NULL, NULL},
        {"C46, C50: HEADERS on a raw stream", test_headers_inside, NULL, NULL, NULL},
        {"C75, C50: a raw stream is cancelled", test_cancel, NULL, NULL, NULL},
        {"C38, C50: a raw stream goes on behind a GOAWAY", test_goaway, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
