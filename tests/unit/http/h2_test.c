/* SPDX-License-Identifier: MIT */
/* HTTP/2 seen from inside: what only the rooms can be made to do. */
#include "base/assert.h"
#include "base/mem.h"
#include "engine_scene.h"
#include "h2wire.h"
#include "http/client.h"
#include "http/conn.h"
#include "http/conn_h2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#define FRAME_HEAD_BYTES 9
#define NTH_MAX 1500 /* more than a request over HTTP/2 allocates, with its client */

/* ---- a server that answers everything with "ok" ---- */

struct server {
    struct peer_conn *conn;
    struct h2_bytes out;
};

static void on_frame(void *user, const struct h2_frame *frame)
{
    struct server *server = user;
    char line[64];
    bool ack = (frame->flags & NGHTTP2_FLAG_ACK) != 0;
    if (frame->type == NGHTTP2_SETTINGS && !ack) {
        h2_wire_add(&server->out, "SETTINGS ack");
    } else if (frame->type == NGHTTP2_PING && !ack) {
        h2_wire_frame(&server->out, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame->payload,
                      frame->count);
    } else if ((frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA) &&
               (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        snprintf(line, sizeof line, "HEADERS %u | :status: 200 | a: b", frame->id);
        h2_wire_add(&server->out, line);
        snprintf(line, sizeof line, "DATA %u end ok", frame->id);
        h2_wire_add(&server->out, line);
    }
}

static void play_h2(struct peer_conn *conn, int index, void *user)
{
    struct server server = {.conn = conn};
    struct h2_reader *reader = h2_reader_create(on_frame, &server);
    static const size_t preface_bytes = 24;
    uint8_t bytes[FRAME_HEAD_BYTES + 16384];
    (void)index;
    (void)user;
    h2_wire_add(&server.out, "SETTINGS");
    bool going =
        peer_read_bytes(conn, bytes, preface_bytes) && h2_reader_feed(reader, bytes, preface_bytes);
    while (going && peer_send_bytes(conn, server.out.p, server.out.count)) {
        server.out.count = 0;
        going = peer_read_bytes(conn, bytes, FRAME_HEAD_BYTES);
        size_t length = (size_t)bytes[0] << 16 | (size_t)bytes[1] << 8 | bytes[2];
        going = going && length <= sizeof bytes - FRAME_HEAD_BYTES &&
                peer_read_bytes(conn, bytes + FRAME_HEAD_BYTES, length) &&
                h2_reader_feed(reader, bytes, FRAME_HEAD_BYTES + length);
    }
    h2_bytes_fini(&server.out);
    h2_reader_destroy(reader);
}

static void begin(struct scene *s)
{
    scene_begin(s, play_h2);
    s->options.version = AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
}

/* ---- C80 ---- */

static void test_each_allocation_may_fail(void **state)
{
    struct scene s;
    int failures = 0;
    uint64_t nth = 1;
    bool failed = true;
    (void)state;
    begin(&s);
    for (; nth < NTH_MAX && failed; nth++) {
        struct aioduct_client *client = NULL;
        struct aioduct_response *response = NULL;
        struct aioduct_error error = {0};
        struct aioduct_request *request = scene_request(&s, "POST", "/");
        assert_int_equal(aioduct_request_body_copy(request, "hello", 5), 0);
        assert_int_equal(aioduct_request_trailer_add(request, "Sum", "1"), 0);
        assert_int_equal(aioduct_client_create(&s.options, &client, &error), 0);
        uint64_t before = ad_mem_count();
        ad_mem_fail_nth(nth);
        int code = aioduct_client_fetch(client, request, &response, &error);
        ad_mem_fail_nth(0);
        failed = ad_mem_count() - before >= nth;
        if (code == 0) {
            assert_int_equal(aioduct_response_status(response), 200);
        } else {
            assert_int_equal(error.code, code);
            failures++;
        }
        aioduct_response_destroy(response);
        response = NULL;
        if (code < 0) { /* one exchange failed, the client lives */
            assert_int_equal(aioduct_client_fetch(client, request, &response, &error), 0);
            aioduct_response_destroy(response);
        }
        aioduct_client_destroy(client);
        aioduct_request_destroy(request);
    }
    print_message("%d failures of %d allocations\n", failures, (int)nth);
    assert_true(failures > 20);
    assert_true(nth < NTH_MAX);
    scene_end(&s);
}

/* ---- C49 ---- */

static struct ad_conn *only_conn(const struct scene *s)
{
    const struct ad_engine *engine = &s->client->workers[0].engine;
    assert_int_equal(engine->conn_count, 1);
    const struct ad_list *all = engine->pool.idle_count > 0 ? &engine->pool.lru : &engine->conns;
    return AD_CONTAINER_OF(all->next, struct ad_conn, node);
}

static void test_stream_ids_run_out(void **state)
{
    struct scene s;
    struct outcome o[4] = {{0}};
    (void)state;
    begin(&s);
    scene_open_client(&s);
    struct aioduct_request *request = scene_request(&s, "GET", "/");
    scene_get(&s, request);
    ad_h2_set_next_id(only_conn(&s)->h2->h2, 0x7ffffffd); /* two are left */
    for (int i = 0; i < 4; i++) {
        scene_submit(&s, request, &o[i]);
    }
    assert_int_equal(aioduct_client_run(s.client), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(o[i].error.code, 0);
        assert_int_equal(o[i].status, 200);
    }
    assert_int_equal(peer_connections(s.peer), 2);
    aioduct_request_destroy(request);
    scene_end(&s);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C80: each allocation of a request over HTTP/2 may fail", test_each_allocation_may_fail,
         NULL, NULL, NULL},
        {"C49: before the stream ids run out a new connection is opened", test_stream_ids_run_out,
         NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
