/* SPDX-License-Identifier: MIT */
#include "fake_codec.h"

#include "base/error.h"
#include "base/mem.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX 512

struct ad_h2_side {
    struct ad_share share; /* first */
    struct aioduct_exchange *streams[STREAMS_MAX];
    unsigned room;
    char line[256];
    size_t line_bytes;
};

unsigned fake_room = 100;

static int fake_open(struct ad_conn *conn)
{
    conn->h2 = ad_zalloc(sizeof *conn->h2);
    if (conn->h2 == NULL) {
        return -ENOMEM;
    }
    conn->h2->room = fake_room;
    return 0;
}

static unsigned fake_room_of(const struct ad_conn *conn)
{
    return conn->exchange_count < conn->h2->room ? conn->h2->room - conn->exchange_count : 0;
}

static void fake_submit(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    unsigned i = 0;
    while (conn->h2->streams[i] != NULL) {
        i++;
    }
    conn->h2->streams[i] = ex;
    ad_exchange_set_send(ex, AD_SEND_HEAD);
    ad_exchange_set_recv(ex, AD_RECV_HEAD);
    ad_transport_dirty(ad_conn_transport(conn));
}

static void fake_produce(struct ad_conn *conn, struct ad_buf *out, size_t room)
{
    (void)room; /* heads are small */
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        struct aioduct_exchange *ex = conn->h2->streams[i];
        if (ex != NULL && ex->send == AD_SEND_HEAD) {
            if (ad_request_head_write(ex->request, conn->engine->settings->agent, false, out) < 0) {
                abort();
            }
            ad_exchange_head_written(ex);
            ad_exchange_produced(ex);
        }
    }
}

static void fake_sent(struct ad_conn *conn)
{
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        struct aioduct_exchange *ex = conn->h2->streams[i];
        if (ex != NULL && ex->send == AD_SEND_FLUSH) {
            ad_exchange_sent(ex);
        }
    }
}

/* -> was it on it? */
static bool take_off(struct ad_conn *conn, const struct aioduct_exchange *ex)
{
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        if (conn->h2->streams[i] == ex) {
            conn->h2->streams[i] = NULL;
            conn->exchange_count--;
            ad_conn_room_changed(conn);
            return true;
        }
    }
    return false;
}

static struct aioduct_exchange *find(const struct ad_conn *conn, const char *path)
{
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        struct aioduct_exchange *ex = conn->h2->streams[i];
        if (ex != NULL && strcmp(ex->request->url.target, path) == 0) {
            return ex;
        }
    }
    return NULL;
}

static void answer(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    const struct aioduct_head head = {.size = sizeof head, .status = 200, .version = 20};
    if (ad_exchange_head(ex, &head)) {
        take_off(conn, ex);
        conn->served++;
        ad_exchange_set_recv(ex, AD_RECV_END);
        ad_exchange_complete(ex);
    }
}

static void on_line(struct ad_conn *conn, const char *line)
{
    struct aioduct_error error;
    struct aioduct_exchange *ex = line[0] != '\0' ? find(conn, line + 1) : NULL;
    ad_error_set(&error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD, "line %s", line);
    if (line[0] == 'M') {
        conn->h2->room = (unsigned)strtoul(line + 2, NULL, 10);
        conn->share->streams_max = conn->h2->room;
        ad_conn_room_changed(conn);
    } else if (line[0] == 'G') {
        conn->retired = true;
        ad_conn_room_changed(conn);
    } else if (ex != NULL && line[0] == 'A') {
        answer(conn, ex);
    } else if (ex != NULL && strchr("R1CL", line[0]) != NULL) {
        take_off(conn, ex);
        switch (line[0]) {
        case 'R':
            ad_exchange_refused(ex, &error);
            break;
        case '1':
            ad_exchange_refused_h2(ex, &error);
            break;
        case 'C':
            ad_conn_calm(conn);
            ad_exchange_fail(ex, &error);
            break;
        default:
            ad_exchange_lost(ex, &error);
        }
    }
}

static void fake_feed(struct ad_conn *conn, const uint8_t *bytes, size_t count)
{
    struct ad_h2_side *side = conn->h2;
    for (size_t i = 0; i < count && conn->state != AD_CONN_CLOSING; i++) {
        if (bytes[i] == '\n') {
            side->line[side->line_bytes] = '\0';
            side->line_bytes = 0;
            on_line(conn, side->line);
        } else if (side->line_bytes + 1 < sizeof side->line) {
            side->line[side->line_bytes++] = (char)bytes[i];
        }
    }
}

static void fake_eof(struct ad_conn *conn, int code)
{
    struct aioduct_error error;
    ad_error_set(&error, code == 0 ? AIODUCT_E_CLOSED : code, AIODUCT_PHASE_HEAD, "the end");
    ad_conn_close(conn, false);
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        struct aioduct_exchange *ex = conn->h2->streams[i];
        conn->h2->streams[i] = NULL;
        if (ex != NULL) {
            ad_exchange_lost(ex, &error);
        }
    }
}

static void fake_send_failed(struct ad_conn *conn, int code)
{
    fake_eof(conn, code);
}

static void fake_cancel(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    take_off(conn, ex);
}

static void fake_credit(struct ad_conn *conn, struct aioduct_exchange *ex)
{
    (void)conn;
    (void)ex;
}

static void fake_goodbye(struct ad_conn *conn, struct ad_buf *out)
{
    (void)conn;
    if (ad_buf_append_str(out, "GET /bye HTTP/1.1\r\n\r\n") < 0) {
        abort();
    }
}

static void fake_fini(struct ad_conn *conn)
{
    ad_free(conn->h2);
}

const struct ad_codec fake_codec = {
    .protocol = "h2",
    .shared = true,
    .open = fake_open,
    .room = fake_room_of,
    .submit = fake_submit,
    .feed = fake_feed,
    .eof = fake_eof,
    .produce = fake_produce,
    .sent = fake_sent,
    .send_failed = fake_send_failed,
    .cancel = fake_cancel,
    .credit = fake_credit,
    .goodbye = fake_goodbye,
    .fini = fake_fini,
};
