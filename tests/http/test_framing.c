/* SPDX-License-Identifier: MIT */
/* How answers are framed: a table of answers, right and wrong, and what must come of each.
 *
 * Each row is played whole, one byte at a time, and over TLS. Behind it goes a second request: it
 * shows whether the connection was kept (the peer then sees it on the same one), and that nothing
 * of the row's answer ever reaches it. */
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum ending {
    STAYS,  /* the peer leaves the connection open */
    CLOSES, /* orderly: FIN, over TLS after close_notify */
    RESETS
};

struct row {
    const char *name;
    const char *answer;
    size_t answer_bytes; /* 0: to the NUL */
    enum ending ending;
    const char *method; /* NULL: GET */
    int head_bytes_max, chunk_ext_max, trailer_bytes_max, head_fields_max;
    bool whole_only; /* stray bytes that came later could not be told from an answer */

    /* what must come of it */
    int code;
    enum aioduct_phase phase;
    int status;
    const char *body, *order, *trailers;
    bool partial;
    bool kept; /* the second request comes on the same connection */
    int version;
};

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH_2 "Content-Length: 2\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
#define HINT "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
#define HINT_8 HINT HINT HINT HINT HINT HINT HINT HINT
#define GOOD .status = 200, .body = "ok", .order = "HBD"
#define BAD_HEAD .code = AIODUCT_E_PROTOCOL, .phase = AIODUCT_PHASE_HEAD, .order = "D"
#define TEN_FIELDS "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\nH:1\r\nI:1\r\nJ:1\r\n"

static const struct row rows[] = {
    {"a plain answer", OK LENGTH_2 "\r\nok", GOOD, .kept = true},
    {"no reason phrase", "HTTP/1.1 200\r\n" LENGTH_2 "\r\nok", GOOD, .kept = true},
    {"C9: an empty reason phrase", "HTTP/1.1 200 \r\n" LENGTH_2 "\r\nok", GOOD, .kept = true},
    {"an unknown status", "HTTP/1.1 799 Odd\r\n" LENGTH_2 "\r\nok", .status = 799, .body = "ok",
     .order = "HBD", .kept = true},
    {"no space behind the colon", OK "Content-Length:2\r\n\r\nok", GOOD, .kept = true},
    {"spaces around a length", OK "Content-Length:   2  \r\nX-Tabs: \t a \t\r\n\r\nok", GOOD,
     .kept = true},
    {"bytes over 127 in a value", OK LENGTH_2 "X-Name: caf\xc3\xa9\r\n\r\nok", GOOD, .kept = true},

    {"C1: interim answers come before the head",
     "HTTP/1.1 100 Continue\r\n\r\n" HINT HINT OK LENGTH_2 "\r\nok", .status = 200, .body = "ok",
     .order = "IIIHBD", .kept = true},
    {"C1: sixteen interim answers are no flood", HINT_8 HINT_8 OK LENGTH_2 "\r\nok", .status = 200,
     .body = "ok", .order = "IIIIIIIIIIIIIIIIHBD", .kept = true},
    {"C1: seventeen interim answers are one too many", HINT_8 HINT_8 HINT OK LENGTH_2 "\r\nok",
     .code = AIODUCT_E_LIMIT, .phase = AIODUCT_PHASE_HEAD, .order = "IIIIIIIIIIIIIIIID"},
    {"C1: 101 without our Upgrade fails",
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: odd\r\nConnection: upgrade\r\n\r\nodd bytes",
     BAD_HEAD},

    {"C2: HEAD with Content-Length has no body", OK "Content-Length: 5\r\n\r\n", .method = "HEAD",
     .status = 200, .body = "", .order = "HD", .kept = true},
    {"C2: HEAD with chunked coding has no body", CHUNKED, .method = "HEAD", .status = 200,
     .body = "", .order = "HD", .kept = true},
    {"C2: 204 with Content-Length has no body",
     "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", .status = 204, .body = "",
     .order = "HD", .kept = true},
    {"C2: 304 with Content-Length has no body",
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", .status = 304, .body = "",
     .order = "HD", .kept = true},
    {"C2: 304 with chunked coding has no body",
     "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", .status = 304, .body = "",
     .order = "HD", .kept = true},

    {"C3: chunked and a length together fail",
     OK "Transfer-Encoding: chunked\r\n" LENGTH_2 "\r\n2\r\nok\r\n0\r\n\r\n", BAD_HEAD},
    {"C3: a length and chunked together fail",
     OK LENGTH_2 "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", BAD_HEAD},
    {"C3: chunked last is chunked",
     OK "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", GOOD, .kept = true},
    {"C3: chunked in any case", OK "transfer-ENCODING: ChunKed\r\n\r\n2\r\nok\r\n0\r\n\r\n", GOOD,
     .kept = true},
    {"C3: chunked not last is read to the end", OK "Transfer-Encoding: chunked, gzip\r\n\r\nok",
     .ending = CLOSES, GOOD},
    {"C3: another coding is read to the end", OK "Transfer-Encoding: gzip\r\n\r\nok",
     .ending = CLOSES, GOOD},
    {"C3: neither length nor chunked is read to the end", OK "\r\nok", .ending = CLOSES, GOOD},
    {"C3: an empty body ends with the connection", OK "\r\n", .ending = CLOSES, .status = 200,
     .body = "", .order = "HD"},
    {"C3: lengths that differ fail", OK LENGTH_2 "Content-Length: 3\r\n\r\nok", BAD_HEAD},
    {"C3: a reset is not the end of a body", OK "\r\nok", .ending = RESETS, .code = -ECONNRESET,
     .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok", .order = "HBD", .partial = true},

    {"C4: a signed length fails", OK "Content-Length: +2\r\n\r\nok", BAD_HEAD},
    {"C4: a negative length fails", OK "Content-Length: -1\r\n\r\nok", BAD_HEAD},
    {"C4: two numbers fail", OK "Content-Length: 2 2\r\n\r\nok", BAD_HEAD},
    {"C4: a hexadecimal length fails", OK "Content-Length: 0x2\r\n\r\nok", BAD_HEAD},
    {"C4: a length of 2^64 fails", OK "Content-Length: 18446744073709551616\r\n\r\nok", BAD_HEAD},
    {"C4: an empty length fails", OK "Content-Length: \r\n\r\nok", BAD_HEAD},
    {"C4: a list of equal lengths fails", OK "Content-Length: 2, 2\r\n\r\nok", BAD_HEAD},
    {"C4: equal lengths repeated fail", OK LENGTH_2 LENGTH_2 "\r\nok", BAD_HEAD},
    {"C4: a length with a letter fails", OK "Content-Length: 2a\r\n\r\nok", BAD_HEAD},

    {"C5: chunked from HTTP/1.0 is read, and closes",
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
     "2\r\nok\r\n0\r\n\r\n",
     GOOD, .version = 10},

    {"C6: chunks of one byte", CHUNKED "1\r\no\r\n1\r\nk\r\n0\r\n\r\n", GOOD, .kept = true},
    {"C6: no chunk but the last", CHUNKED "0\r\n\r\n", .status = 200, .body = "", .order = "HD",
     .kept = true},
    {"C6: leading zeros and capitals in a size", CHUNKED "0000A\r\n0123456789\r\n0\r\n\r\n",
     .status = 200, .body = "0123456789", .order = "HBD", .kept = true},
    {"C6: extensions are skipped", CHUNKED "2;a=b;c=\"d;e\"\r\nok\r\n0;last\r\n\r\n", GOOD,
     .kept = true},
    {"C6: too many bytes of extensions fail",
     CHUNKED "1;0123456789\r\no\r\n1;0123456789\r\nk\r\n0\r\n\r\n", .chunk_ext_max = 16,
     .code = AIODUCT_E_LIMIT, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "o",
     .order = "HBD", .partial = true},
    {"C6: a size over 2^63 fails", CHUNKED "8000000000000001\r\nok", .code = AIODUCT_E_PROTOCOL,
     .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "", .order = "HD"},
    {"C6: a size over 2^64 fails", CHUNKED "10000000000000002\r\nok\r\n0\r\n\r\n",
     .code = AIODUCT_E_PROTOCOL, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "",
     .order = "HD"},
    {"C6: a size without digits fails", CHUNKED ";x\r\nok\r\n0\r\n\r\n", .code = AIODUCT_E_PROTOCOL,
     .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "", .order = "HD"},
    {"C6: a negative size fails", CHUNKED "-2\r\nok\r\n0\r\n\r\n", .code = AIODUCT_E_PROTOCOL,
     .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "", .order = "HD"},
    {"C6: a size with 0x fails", CHUNKED "0x2\r\nok\r\n0\r\n\r\n", .code = AIODUCT_E_PROTOCOL,
     .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "", .order = "HD"},
    {"C6: a chunk longer than its size fails", CHUNKED "2\r\nokay\r\n0\r\n\r\n",
     .code = AIODUCT_E_PROTOCOL, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok",
     .order = "HBD", .partial = true},
    {"C6: a missing CRLF behind a chunk fails", CHUNKED "2\r\nok0\r\n\r\n",
     .code = AIODUCT_E_PROTOCOL, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok",
     .order = "HBD", .partial = true},

    {"C7: trailers come apart from headers",
     CHUNKED "2\r\nok\r\n0\r\nX-Sum: 12\r\nX-More: yes\r\n\r\n", .status = 200, .body = "ok",
     .order = "HBTD", .trailers = "X-Sum: 12\nX-More: yes\n", .kept = true},
    {"C7: framing, routing and credentials are dropped from trailers",
     CHUNKED "2\r\nok\r\n0\r\nContent-Length: 9\r\nX-Sum: 12\r\nTransfer-Encoding: chunked\r\n"
             "Host: evil\r\nSet-Cookie: a=b\r\nAuthorization: x\r\n\r\n",
     .status = 200, .body = "ok", .order = "HBTD", .trailers = "X-Sum: 12\n", .kept = true},
    {"C7: too many bytes of trailers fail",
     CHUNKED "2\r\nok\r\n0\r\nX-Sum: 01234567890123456789\r\n\r\n", .trailer_bytes_max = 16,
     .code = AIODUCT_E_LIMIT, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok",
     .order = "HBD", .partial = true},

    {"C8: a body shorter than its length fails", OK "Content-Length: 5\r\n\r\nok", .ending = CLOSES,
     .code = AIODUCT_E_TRUNCATED, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok",
     .order = "HBD", .partial = true},
    {"C8: no byte of the body is truncation too", OK "Content-Length: 5\r\n\r\n", .ending = CLOSES,
     .code = AIODUCT_E_TRUNCATED, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "",
     .order = "HD"},
    {"C8: a chunk cut short fails", CHUNKED "5\r\nok", .ending = CLOSES,
     .code = AIODUCT_E_TRUNCATED, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok",
     .order = "HBD", .partial = true},
    {"C8: a whole chunk is not the last one", CHUNKED "2\r\nok\r\n", .ending = CLOSES,
     .code = AIODUCT_E_TRUNCATED, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok",
     .order = "HBD", .partial = true},
    {"C8: the last chunk without its empty line fails", CHUNKED "2\r\nok\r\n0\r\n",
     .ending = CLOSES, .code = AIODUCT_E_TRUNCATED, .phase = AIODUCT_PHASE_BODY, .status = 200,
     .body = "ok", .order = "HBD", .partial = true},
    {"C8: a reset inside a body fails", OK "Content-Length: 5\r\n\r\nok", .ending = RESETS,
     .code = -ECONNRESET, .phase = AIODUCT_PHASE_BODY, .status = 200, .body = "ok", .order = "HBD",
     .partial = true},

    {"C9: a head over head_bytes_max fails",
     OK "X: 0123456789012345678901234567890123456789\r\n" LENGTH_2 "\r\nok", .head_bytes_max = 48,
     .code = AIODUCT_E_HEAD_LIMIT, .phase = AIODUCT_PHASE_HEAD, .order = "D"},
    {"C9: a head over head_fields_max fails", OK TEN_FIELDS LENGTH_2 "\r\nok",
     .head_fields_max = 10, .code = AIODUCT_E_HEAD_LIMIT, .phase = AIODUCT_PHASE_HEAD,
     .order = "D"},
    {"C9: head_fields_max fields are allowed", OK TEN_FIELDS LENGTH_2 "\r\nok",
     .head_fields_max = 11, GOOD, .kept = true},

    {"C10: a space before the colon fails", OK "Content-Length : 2\r\n\r\nok", BAD_HEAD},
    {"C10: a folded line fails", OK "X-A: b\r\n c\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"C10: a bare CR in a value fails", OK "X-A: b\rc\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"C10: a NUL in a value fails", OK "X-A: b\0c\r\n" LENGTH_2 "\r\nok",
     sizeof(OK "X-A: b\0c\r\n" LENGTH_2 "\r\nok") - 1, BAD_HEAD},
    {"C10: a NUL in a name fails", OK "X-\0A: b\r\n" LENGTH_2 "\r\nok",
     sizeof(OK "X-\0A: b\r\n" LENGTH_2 "\r\nok") - 1, BAD_HEAD},
    {"C10: a line without a colon fails", OK "Nonsense\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"C10: a field without a name fails", OK ": b\r\n" LENGTH_2 "\r\nok", BAD_HEAD},

    {"C11: one empty line before the status line is let pass", "\r\n" OK LENGTH_2 "\r\nok", GOOD,
     .kept = true},

    {"C12: bytes behind the answer end the connection",
     OK LENGTH_2 "\r\nok" OK "Content-Length: 4\r\n\r\nevil", GOOD, .whole_only = true},
    {"C12: a stray CRLF behind the answer ends the connection", OK LENGTH_2 "\r\nok\r\n", GOOD,
     .whole_only = true},
    {"C12: a body behind 204 is not the next answer",
     "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", .status = 204, .body = "",
     .order = "HD", .whole_only = true},
    {"C12: a body behind HEAD is not the next answer", OK "Content-Length: 4\r\n\r\nevil",
     .method = "HEAD", .status = 200, .body = "", .order = "HD", .whole_only = true},
    {"C12: bytes behind the last chunk end the connection",
     CHUNKED "2\r\nok\r\n0\r\n\r\n" OK "Content-Length: 4\r\n\r\nevil", GOOD, .whole_only = true},

    {"C16: Connection: close is obeyed", OK LENGTH_2 "Connection: close\r\n\r\nok", GOOD},
    {"C16: close in capitals is obeyed", OK LENGTH_2 "CONNECTION: CLOSE\r\n\r\nok", GOOD},
    {"C16: close in a list is obeyed", OK LENGTH_2 "Connection: foo , Close\r\n\r\nok", GOOD},
    {"C16: close in a second field is obeyed",
     OK LENGTH_2 "Connection: foo\r\nConnection: close\r\n\r\nok", GOOD},
    {"C16: another option does not close", OK LENGTH_2 "Connection: closed\r\n\r\nok", GOOD,
     .kept = true},
    {"C16: HTTP/1.0 closes", "HTTP/1.0 200 OK\r\n" LENGTH_2 "\r\nok", GOOD, .version = 10},
    {"C16: HTTP/1.0 with keep-alive is kept",
     "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" LENGTH_2 "\r\nok", GOOD, .kept = true,
     .version = 10},

    {"a status line of HTTP/1.2 fails", "HTTP/1.2 200 OK\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"a status line of HTTP/2.0 fails", "HTTP/2.0 200 OK\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"a status line of HTTP/0.9 fails", "HTTP/0.9 200 OK\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"a status of two digits fails", "HTTP/1.1 20 OK\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"a status of four digits fails", "HTTP/1.1 2000 OK\r\n" LENGTH_2 "\r\nok", BAD_HEAD},
    {"a bare document is not HTTP", "<html>hello</html>\n", .code = AIODUCT_E_NOT_HTTP,
     .phase = AIODUCT_PHASE_HEAD, .order = "D"},
    {"another protocol's greeting is not HTTP", "SSH-2.0-OpenSSH_9.2\r\n",
     .code = AIODUCT_E_NOT_HTTP, .phase = AIODUCT_PHASE_HEAD, .order = "D"},
    {"binary garbage is not HTTP", "\x16\x03\x01\x02\x00\x01\x00\xff\xfe", 9,
     .code = AIODUCT_E_NOT_HTTP, .phase = AIODUCT_PHASE_HEAD, .order = "D"},
    {"an empty answer says so", "", .ending = CLOSES, .code = AIODUCT_E_CLOSED,
     .phase = AIODUCT_PHASE_HEAD, .order = "D"},
    {"a head cut short fails", "HTTP/1.1 200 OK\r\nContent-Le", .ending = CLOSES,
     .code = AIODUCT_E_TRUNCATED, .phase = AIODUCT_PHASE_HEAD, .order = "D"},
    {"a reset instead of an answer fails", "", .ending = RESETS, .code = -ECONNRESET,
     .phase = AIODUCT_PHASE_HEAD, .order = "D"},
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* A row and how it is delivered: the extra of a case. */
struct delivery {
    const struct row *row;
    size_t piece; /* 0: whole */
};

enum gate { GOT_ALL };

static void play_row(struct peer_conn *conn, int index, void *user)
{
    const struct delivery *d = user;
    const struct row *row = d->row;
    size_t count = row->answer_bytes != 0 ? row->answer_bytes : strlen(row->answer);
    if (index == 0) {
        if (!peer_read_request(conn)) {
            return;
        }
        peer_send_pieces(conn, row->answer, count, d->piece != 0 ? d->piece : count + 1);
        if (row->ending == CLOSES) {
            peer_close(conn);
            return;
        }
        if (row->ending == RESETS) {
            /* A reset may overtake bytes that the client has not read yet. */
            if (row->body == NULL || peer_wait_gate(conn, GOT_ALL)) {
                peer_reset(conn);
            }
            return;
        }
    }
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "second");
    }
}

static void on_row_event(struct result *r, struct aioduct_exchange *exchange, char event)
{
    const struct row *row = r->user;
    (void)exchange;
    const char *body = row->body != NULL ? row->body : "";
    if (event == 'B' && r->body_bytes == strlen(body)) {
        peer_open(r->tester->peer, GOT_ALL);
    }
}

static void test_row(void **state)
{
    struct tester *t = *state;
    const struct delivery *d = t->extra;
    const struct row *row = d->row;
    t->options.head_bytes_max = row->head_bytes_max;
    t->options.head_fields_max = row->head_fields_max;
    t->options.chunk_ext_max = row->chunk_ext_max;
    t->options.trailer_bytes_max = row->trailer_bytes_max;
    tester_client(t);
    tester_peer(t, play_row, (void *)(uintptr_t)d);

    struct result *r = tester_result(t);
    r->on_event = on_row_event;
    r->user = (void *)(uintptr_t)row;
    tester_perform_into(
        t, tester_request(t, row->method != NULL ? row->method : "GET", peer_url(t->peer, "/")), r);
    if (row->code == 0) {
        assert_answer(r, row->status);
        assert_int_equal(r->version, row->version != 0 ? row->version : 11);
    } else {
        assert_error(r, row->code, row->phase);
        assert_int_equal(r->status, row->status);
        assert_int_equal(r->error.safe_to_retry, 0);
    }
    assert_string_equal(r->order, row->order);
    assert_string_equal(r->body, row->body != NULL ? row->body : "");
    assert_string_equal(r->trailers, row->trailers != NULL ? row->trailers : "");
    assert_int_equal(r->error.partial, row->partial);

    struct result *second = tester_get(t, peer_url(t->peer, "/second"));
    assert_answer(second, 200);
    assert_string_equal(second->body, "second");
    assert_int_equal(second->info.reused, row->kept);
    assert_int_equal(peer_connections(t->peer), row->kept ? 1 : 2);
    assert_int_equal(peer_requests(t->peer), 2);
}

static const struct {
    const char *suffix;
    bool tls;
    size_t piece;
} deliveries[] = {{"", false, 0}, {" (byte by byte)", false, 1}, {" (over TLS)", true, 0}};

#define DELIVERY_COUNT (sizeof deliveries / sizeof deliveries[0])

int main(void)
{
    static struct CMUnitTest cases[ROW_COUNT * DELIVERY_COUNT];
    static struct tester_flavour flavours[ROW_COUNT * DELIVERY_COUNT];
    static struct delivery extras[ROW_COUNT * DELIVERY_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        for (size_t k = 0; k < DELIVERY_COUNT; k++) {
            if (rows[i].whole_only && deliveries[k].piece != 0) {
                continue;
            }
            extras[count] = (struct delivery){&rows[i], deliveries[k].piece};
            flavours[count] = (struct tester_flavour){deliveries[k].tls, &extras[count]};
            cases[count] =
                (struct CMUnitTest){test_format("%s%s", rows[i].name, deliveries[k].suffix),
                                    test_row, tester_setup, tester_teardown, &flavours[count]};
            count++;
        }
    }
    return tap_run(cases, count, suite_begin, suite_end);
}
