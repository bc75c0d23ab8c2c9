/* SPDX-License-Identifier: MIT */
/*
 * Codecs that share a block, each with a server of nghttp2's, do at random what may be done:
 * requests of all kinds, bodies in pieces, answers early, late and broken off, cancels inside
 * events, settings that change. The servers must find nothing wrong, every byte must be the right
 * one, each request must end once; and when all have ended, every place and every window is whole
 * again.
 */
#include "proto/h2.h"

#include "proto/h2_compat.h"
#include "tap.h"

#include <aioduct/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS = 3, REQUESTS = 60, BODY_MAX = 150000, VALUE_MAX = 40000, RUNS = 8, STEPS = 1500 };

enum kind { GET, HEAD, POST, CONNECT, KINDS };

struct request {                /* the client's view */
    struct ad_h2_stream stream; /* first */
    struct pair *pair;
    struct ad_h2_field fields[5];
    unsigned number; /* its bodies' bytes are made of it */
    enum kind kind;
    bool under_way, got_head;
    bool waits; /* its source had nothing */
    size_t sent, to_send, received, consumed;
};

struct answer { /* the server's */
    int32_t id;
    unsigned number;
    enum kind kind;
    bool known, whole, begun, got_end; /* its head began, is there; its answer began */
    size_t received, sent, to_send;
    bool trailers;
};

struct pair {
    struct ad_h2 *h2;
    nghttp2_session *server;
    struct ad_buf to_server, to_client;
    struct request requests[REQUESTS];
    struct answer answers[REQUESTS];
    unsigned submitted, ended, completed;
    unsigned window; /* of the server for a stream; a smaller one confuses nghttp2's servers */
    bool calm;       /* nothing is broken off any more */
};

static const struct ad_h2_limits limits = {.head_bytes_max = 65536,
                                           .head_fields_max = 256,
                                           .interim_max = 16,
                                           .trailer_bytes_max = 16384,
                                           .streams_max = 20,
                                           .stream_window_bytes = 70000,
                                           .connection_window_bytes = 200000};
static const struct ad_h2_events events;
static char value[VALUE_MAX];
static unsigned state;

static unsigned draw(unsigned count)
{
    return (unsigned)rand_r(&state) % count;
}

static uint8_t byte_of(unsigned number, bool answer, size_t at)
{
    return (uint8_t)(number * 31 + at * 7 + (at >> 8) + (answer ? 101 : 0));
}

static void check_bytes(unsigned number, bool answer, size_t at, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(bytes[i], byte_of(number, answer, at + i));
    }
}

/* ---- the client ---- */

static struct request *request_of(struct ad_h2_stream *s)
{
    return (struct request *)(void *)s;
}

static struct ad_h2_field field(const char *name, const char *text, size_t bytes)
{
    return (struct ad_h2_field){.name = {name, strlen(name)}, .value = {text, bytes}};
}

static void submit(struct pair *p)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "CONNECT"};
    if (p->submitted == REQUESTS || ad_h2_room(p->h2) == 0) {
        return;
    }
    struct request *r = &p->requests[p->submitted++];
    uint32_t count = 0;
    *r =
        (struct request){.pair = p, .number = p->submitted, .kind = draw(KINDS), .under_way = true};
    r->to_send = r->kind == GET || r->kind == HEAD ? 0 : draw(2) ? draw(300) : draw(BODY_MAX);
    const char *method = methods[r->kind];
    r->fields[count++] = field(":method", method, strlen(method));
    if (r->kind != CONNECT) {
        r->fields[count++] = field(":scheme", "http", 4);
        r->fields[count++] = field(":path", "/", 1);
    }
    r->fields[count++] = field(":authority", "a:1", 3);
    /* Long ones need CONTINUATION. */
    r->fields[count++] = field("x", value, r->number + 1000 * (draw(6) == 0 ? draw(39) : 0));
    ad_h2_submit(p->h2, &r->stream, r->fields, count, r->kind >= POST);
}

static void over(struct request *r)
{
    assert_true(r->under_way);
    r->under_way = false;
    r->pair->ended++;
}

static void cancel_one(struct pair *p)
{
    struct request *r = &p->requests[draw(REQUESTS)];
    if (r->under_way && !p->calm) {
        ad_h2_cancel(p->h2, &r->stream, AD_H2_CANCEL);
        over(r);
    }
}

/* Inside an event: what may be done there. */
static void meddle(struct pair *p)
{
    switch (draw(40)) {
    case 0:
        cancel_one(p);
        break;
    case 1:
        submit(p);
        break;
    default:
        break;
    }
}

static void consume(struct request *r, size_t count)
{
    r->consumed += count;
    if (ad_h2_consume(r->pair->h2, &r->stream, count)) {
        ad_h2_widen(r->pair->h2, &r->stream, (uint32_t)count);
    }
}

static void resume(struct request *r)
{
    if (r->under_way && r->waits) {
        r->waits = false;
        ad_h2_resume(r->pair->h2, &r->stream);
    }
}

static void on_interim(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    assert_true(request_of(s)->under_way && !request_of(s)->got_head);
    assert_int_equal(head->status, 103);
    meddle(owner);
}

static void on_head(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    struct request *r = request_of(s);
    assert_true(r->under_way && !r->got_head);
    r->got_head = true;
    s->raw = r->kind == CONNECT && head->status / 100 == 2;
    meddle(owner);
}

static void on_body(void *owner, struct ad_h2_stream *s, const uint8_t *bytes, size_t count)
{
    struct request *r = request_of(s);
    assert_true(r->under_way && r->got_head && count > 0);
    check_bytes(r->number, true, r->received, bytes, count);
    r->received += count;
    if (draw(3) != 0) {
        consume(r, 1 + draw((unsigned)(r->received - r->consumed)));
    }
    meddle(owner);
}

static void on_trailers(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    assert_true(request_of(s)->under_way && request_of(s)->got_head);
    assert_int_equal(head->header_count, 1);
    meddle(owner);
}

static void on_end(void *owner, struct ad_h2_stream *s)
{
    assert_true(request_of(s)->under_way && s->raw);
    meddle(owner);
}

static void on_complete(void *owner, struct ad_h2_stream *s)
{
    struct pair *p = owner;
    struct request *r = request_of(s);
    p->completed++;
    over(r);
    meddle(p);
}

static void on_closed(void *owner, struct ad_h2_stream *s, const struct ad_h2_end *end)
{
    (void)owner;
    assert_true(end->error->message[0] != '\0');
    assert_int_equal(end->error->code, AIODUCT_E_STREAM); /* nobody breaks a rule */
    over(request_of(s));
}

static void on_goaway(void *owner, int32_t last_id, uint32_t code)
{
    (void)owner;
    tap_fail("GOAWAY %d %u", last_id, code);
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_head_sent(void *owner, struct ad_h2_stream *s)
{
    assert_true(request_of(s)->under_way);
    meddle(owner);
}

static int64_t on_source(void *owner, struct ad_h2_stream *s, struct ad_buf *out, size_t room,
                         bool *out_end)
{
    struct request *r = request_of(s);
    struct pair *p = owner;
    assert_true(r->under_way && room > 0);
    if (draw(4) == 0) {
        r->waits = true;
        return AD_H2_LATER;
    }
    size_t left = r->to_send - r->sent, count = left < room ? left : room;
    count = draw(2) ? count : count / 2;
    uint8_t *to = ad_buf_reserve(out, count + 1);
    assert_non_null(to);
    for (size_t i = 0; i < count; i++) {
        to[i] = byte_of(r->number, false, r->sent + i);
    }
    ad_buf_commit(out, count);
    r->sent += count;
    *out_end = r->sent == r->to_send;
    if (count == 0 && !*out_end) {
        r->waits = true;
    }
    if (draw(50) == 0 && !p->calm) { /* as a source that fails */
        ad_h2_cancel(p->h2, s, AD_H2_CANCEL);
        over(r);
        return AD_H2_LATER;
    }
    return (int64_t)count;
}

static uint32_t on_request_trailers(void *owner, struct ad_h2_stream *s, struct ad_h2_field *fields,
                                    uint32_t room)
{
    uint32_t count = request_of(s)->kind == POST && request_of(s)->number % 3 == 0;
    (void)owner;
    if (room > 0 && count > 0) {
        fields[0] = field("Sum", "42", 2);
    }
    return count;
}

static const struct ad_h2_events events = {.on_interim = on_interim,
                                           .on_head = on_head,
                                           .on_body = on_body,
                                           .on_trailers = on_trailers,
                                           .on_end = on_end,
                                           .on_complete = on_complete,
                                           .on_goaway = on_goaway,
                                           .on_pong = on_nothing,
                                           .on_closed = on_closed,
                                           .on_room = on_nothing,
                                           .on_head_sent = on_head_sent,
                                           .on_source = on_source,
                                           .on_request_trailers = on_request_trailers};

/* ---- the server ---- */

static int on_server_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct pair *p = user;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        size_t i = 0;
        while (p->answers[i].known) {
            i++;
        }
        assert_true(i < REQUESTS);
        p->answers[i] = (struct answer){.id = frame->hd.stream_id, .known = true};
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, &p->answers[i]);
    }
    return 0;
}

static struct answer *answer_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_server_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_bytes, const uint8_t *text,
                            size_t bytes, uint8_t flags, void *user)
{
    struct answer *a = answer_of(session, frame->hd.stream_id);
    (void)user;
    (void)flags;
    if (name_bytes == 1 && name[0] == 'x') {
        assert_memory_equal(text, value, bytes);
        a->number = (unsigned)(bytes % 1000);
    } else if (name_bytes == 7 && memcmp(name, ":method", 7) == 0) {
        a->kind = text[0] == 'G' ? GET : text[0] == 'H' ? HEAD : text[0] == 'P' ? POST : CONNECT;
    }
    return 0;
}

static int on_server_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                          size_t count, void *user)
{
    struct answer *a = answer_of(session, id);
    (void)flags;
    (void)user;
    if (a != NULL) {
        check_bytes(a->number, false, a->received, bytes, count);
        a->received += count;
    }
    return 0;
}

static int on_server_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct pair *p = user;
    struct answer *a = answer_of(session, frame->hd.stream_id);
    if (a != NULL && frame->hd.type == NGHTTP2_HEADERS) {
        a->whole = true;
    }
    if (a != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
        a->got_end = true;
        assert_int_equal(a->received, p->requests[a->number - 1].to_send);
    }
    assert_int_not_equal(frame->hd.type, NGHTTP2_GOAWAY);
    return 0;
}

/* A new limit of streams may cross those that were begun before it. */
static int on_server_invalid(nghttp2_session *session, const nghttp2_frame *frame, int code,
                             void *user)
{
    (void)session;
    (void)user;
    if (code != NGHTTP2_ERR_REFUSED_STREAM) {
        tap_fail("the server does not like frame %d: %s", frame->hd.type, nghttp2_strerror(code));
    }
    return 0;
}

static int on_server_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct answer *a = answer_of(session, id);
    (void)user;
    if (code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && code != NGHTTP2_REFUSED_STREAM) {
        tap_fail("stream %d ended with %u", id, code);
    }
    if (a != NULL) {
        a->id = 0; /* its struct stays taken */
    }
    return 0;
}

static nghttp2_nv pair_of(const char *name, const char *text)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)text,
                        .valuelen = strlen(text)};
}

static ad_ng_ssize on_server_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                                  uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct answer *a = source->ptr;
    (void)user;
    size_t left = a->to_send - a->sent, count = left < room ? left : room;
    count = draw(2) || count < 2 ? count : 1 + draw((unsigned)count);
    for (size_t i = 0; i < count; i++) {
        to[i] = byte_of(a->number, true, a->sent + i);
    }
    a->sent += count;
    if (a->sent == a->to_send) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (a->trailers) {
            const nghttp2_nv trailer = pair_of("sum", "42");
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            assert_int_equal(nghttp2_submit_trailer(session, id, &trailer, 1), 0);
        }
    }
    return (ad_ng_ssize)count;
}

static void answer(struct pair *p, struct answer *a)
{
    nghttp2_nv fields[3] = {pair_of(":status", a->kind == CONNECT && draw(4) == 0 ? "407" : "200")};
    char length[16];
    size_t count = 1;
    bool raw = a->kind == CONNECT && fields[0].value[0] == '2';
    a->begun = true;
    a->to_send = draw(4) == 0 ? 0 : draw(2) ? draw(100) : draw(BODY_MAX);
    a->trailers = !raw && draw(4) == 0;
    if (!raw && draw(2)) {
        snprintf(length, sizeof length, "%zu", a->to_send);
        fields[count++] = pair_of("content-length", length);
    }
    ad_ng_data_provider body = {.source = {.ptr = a}, .read_callback = on_server_read};
    bool bodiless = a->kind == HEAD || (a->to_send == 0 && !a->trailers && draw(2));
#if NGHTTP2_VERSION_NUM >= 0x013c00
    int code = nghttp2_submit_response2(p->server, a->id, fields, count, bodiless ? NULL : &body);
#else
    int code = nghttp2_submit_response(p->server, a->id, fields, count, bodiless ? NULL : &body);
#endif
    assert_int_equal(code, 0);
}

static void answer_one(struct pair *p)
{
    struct answer *a = &p->answers[draw(REQUESTS)];
    const nghttp2_nv early[] = {pair_of(":status", "103"), pair_of("a", "b")};
    if (!a->whole || a->id == 0 || a->begun) {
        return;
    }
    switch (draw(8)) {
    case 0:
        assert_int_equal(
            nghttp2_submit_headers(p->server, NGHTTP2_FLAG_NONE, a->id, NULL, early, 2, NULL), 0);
        break;
    case 1:
        if (!p->calm) {
            nghttp2_submit_rst_stream(p->server, NGHTTP2_FLAG_NONE, a->id,
                                      draw(2) ? NGHTTP2_CANCEL : NGHTTP2_REFUSED_STREAM);
            a->begun = true;
        }
        break;
    default:
        answer(p, a);
        break;
    }
}

static void change_settings(struct pair *p)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, p->calm ? 30 : 1 + draw(30)},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, p->window += draw(3000)},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, draw(2) ? 4096 : draw(4096)},
    };
    assert_int_equal(nghttp2_submit_settings(p->server, NGHTTP2_FLAG_NONE, settings, 3), 0);
}

/* ---- between them ---- */

static void produce(struct pair *p, size_t room)
{
    struct aioduct_error error = {0};
    if (ad_h2_produce(p->h2, &p->to_server, room, &error) < 0) {
        tap_fail("the client has failed: %s", error.message);
    }
}

/* A piece of what lies there, in memory of its own, so that a stale pointer is seen. */
static uint8_t *take(struct ad_buf *from, size_t max, size_t *out_count)
{
    size_t count = ad_buf_bytes(from) < max ? ad_buf_bytes(from) : max;
    uint8_t *bytes = malloc(count + 1);
    assert_non_null(bytes);
    if (count > 0) {
        memcpy(bytes, ad_buf_data(from), count);
        ad_buf_consume(from, count);
    }
    *out_count = count;
    return bytes;
}

static void feed_server(struct pair *p, size_t max)
{
    size_t count;
    uint8_t *bytes = take(&p->to_server, max, &count);
    if (count > 0) { /* else some versions count it as a piece */
        assert_int_equal(ad_ng_mem_recv(p->server, bytes, count), count);
    }
    free(bytes);
}

static void feed_client(struct pair *p, size_t max)
{
    struct aioduct_error error = {0};
    const uint8_t *made;
    ad_ng_ssize got;
    while (ad_buf_bytes(&p->to_client) < max && (got = ad_ng_mem_send(p->server, &made)) > 0) {
        assert_int_equal(ad_buf_append(&p->to_client, made, (size_t)got), 0);
    }
    size_t count;
    uint8_t *bytes = take(&p->to_client, max, &count);
    if (count > 0 && ad_h2_feed(p->h2, bytes, count, &error) < 0) {
        tap_fail("the client has failed: %s", error.message);
    }
    free(bytes);
}

static size_t some(void)
{
    static const size_t most[] = {1, 10, 300, 9000, 32768, 100000};
    return 1 + draw((unsigned)most[draw(6)]);
}

static void step(struct pair *p)
{
    struct request *r = &p->requests[draw(REQUESTS)];
    switch (draw(10)) {
    case 0:
        submit(p);
        break;
    case 1:
    case 2:
        produce(p, some());
        break;
    case 3:
    case 4:
        feed_server(p, 100 + some()); /* some versions count pieces of CONTINUATION's header */
        break;
    case 5:
    case 6:
        feed_client(p, some());
        break;
    case 7:
        answer_one(p);
        break;
    case 8:
        resume(r);
        if (r->under_way && r->received > r->consumed) {
            consume(r, 1 + draw((unsigned)(r->received - r->consumed)));
        }
        break;
    default:
        if (draw(10) == 0) {
            cancel_one(p);
        } else if (draw(10) == 0) {
            change_settings(p);
        } else if (draw(10) == 0) {
            ad_h2_ping(p->h2);
        }
        break;
    }
}

/* ---- runs ---- */

static void open_pair(struct pair *p, struct ad_h2_scratch *scratch)
{
    nghttp2_session_callbacks *callbacks;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_server_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_server_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_server_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_server_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_server_invalid);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_server_close);
    assert_int_equal(nghttp2_session_server_new(&p->server, callbacks, p), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(ad_h2_create(&limits, &events, p, scratch, &p->h2), 0);
    p->window = 65535;
    change_settings(p);
}

/* Nobody breaks anything off from here on: all that is there must come to its end. */
static void finish(struct pair *p)
{
    p->calm = true;
    change_settings(p);
    for (unsigned i = 0; i < 20000 && (p->ended < p->submitted || ad_h2_resets(p->h2) > 0); i++) {
        for (unsigned k = 0; k < REQUESTS; k++) {
            struct request *r = &p->requests[k];
            resume(r);
            if (r->under_way && r->received > r->consumed) {
                consume(r, r->received - r->consumed);
            }
        }
        produce(p, SIZE_MAX / 2);
        feed_server(p, SIZE_MAX);
        for (unsigned k = 0; k < REQUESTS; k++) {
            answer_one(p);
        }
        feed_client(p, SIZE_MAX);
    }
    assert_int_equal(p->ended, p->submitted);
    assert_int_equal(ad_h2_resets(p->h2), 0);
}

/* Without anything under way there is room for all, and the peer may send at least half of what the
 * window is. */
static void check_idle(struct pair *p)
{
    for (unsigned i = 0; i < 4; i++) {
        produce(p, SIZE_MAX / 2);
        feed_server(p, SIZE_MAX);
        feed_client(p, SIZE_MAX);
    }
    assert_false(ad_h2_wants_write(p->h2));
    assert_int_equal(ad_h2_room(p->h2), limits.streams_max);
    assert_true(nghttp2_session_get_remote_window_size(p->server) >
                (int32_t)limits.connection_window_bytes / 2);
}

static void run(void)
{
    struct ad_h2_scratch *scratch = ad_h2_scratch_create();
    struct pair *pairs = calloc(PAIRS, sizeof *pairs);
    unsigned completed = 0;
    assert_true(scratch != NULL && pairs != NULL);
    for (unsigned i = 0; i < PAIRS; i++) {
        open_pair(&pairs[i], scratch);
    }
    for (unsigned i = 0; i < PAIRS * STEPS; i++) {
        step(&pairs[draw(PAIRS)]);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        struct pair *p = &pairs[i];
        finish(p);
        check_idle(p);
        completed += p->completed;
        ad_h2_destroy(p->h2);
        nghttp2_session_del(p->server);
        ad_buf_fini(&p->to_server);
        ad_buf_fini(&p->to_client);
    }
    assert_true(completed > 0);
    free(pairs);
    ad_h2_scratch_destroy(scratch);
}

static void test_pairs(void **unused)
{
    const char *given = getenv("AIODUCT_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    (void)unused;
    for (size_t i = 0; i < VALUE_MAX; i++) {
        value[i] = (char)('!' + i % 90);
    }
    for (unsigned i = 0; i < RUNS; i++) {
        print_message("AIODUCT_TEST_SEED=%u\n", seed + i);
        state = seed + i;
        run();
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C34, C36, C44: whatever is done at random, a server finds nothing wrong", test_pairs,
         NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
