/* SPDX-License-Identifier: MIT */
/* What a connector may do with the optional operations: refuse pieces of files, at once, later or
 * in the middle, and hand on where bytes may be received. The layer of this program does all of
 * that, over the runtime's own connector. */
#include "tester.h"

#define AIODUCT_PLUGIN_STATIC
#include <aioduct/plugin/plugin.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* ---- the layer ---- */

static enum pieces { HANDED_ON, REFUSED, REFUSED_LATER, REFUSED_AFTER_TWO } pieces;
static atomic_int asked;    /* for pieces */
static atomic_int straight; /* slices that lay where they may */

struct thin_cx {
    const struct aioduct_host *host;
    const struct aioduct_host_lower *lower;
};

struct thin_stream {
    const struct thin_cx *cx; /* NULL: not dialled yet */
    struct aioduct_stream *stream;
    void *place;
    bool late; /* a piece is to be refused */
};

static int thin_connect(void *cx, struct aioduct_stream *stream, void *state,
                        const struct aioduct_socket_config *config)
{
    const struct thin_cx *c = cx;
    int code = c->lower->connect(c->host->ctx, stream, config);
    if (code == AIODUCT_PENDING) {
        *(struct thin_stream *)state = (struct thin_stream){.cx = c, .stream = stream};
    }
    return code;
}

static int thin_recv_start(void *state)
{
    struct thin_stream *s = state;
    return s->cx->lower->recv_start(s->cx->host->ctx, s->stream);
}

static void thin_recv_stop(void *state)
{
    struct thin_stream *s = state;
    s->cx->lower->recv_stop(s->cx->host->ctx, s->stream);
}

static void thin_recv_at(void *state, void *memory, size_t bytes)
{
    struct thin_stream *s = state;
    s->place = memory;
    s->cx->lower->recv_at(s->cx->host->ctx, s->stream, memory, bytes);
}

static int thin_send(void *state, const struct iovec *parts, unsigned count)
{
    struct thin_stream *s = state;
    return s->cx->lower->send(s->cx->host->ctx, s->stream, parts, count);
}

static int thin_send_file(void *state, int fd, int64_t offset, size_t bytes)
{
    struct thin_stream *s = state;
    int before = atomic_fetch_add(&asked, 1);
    if (pieces == REFUSED || (pieces == REFUSED_AFTER_TWO && before >= 2)) {
        return AIODUCT_E_UNSUPPORTED;
    }
    if (pieces == REFUSED_LATER) {
        s->late = true;
        s->cx->lower->later(s->cx->host->ctx, s->stream);
        return AIODUCT_PENDING;
    }
    return s->cx->lower->send_file(s->cx->host->ctx, s->stream, fd, offset, bytes);
}

static int thin_shutdown(void *state)
{
    struct thin_stream *s = state;
    return s->cx->lower->shutdown(s->cx->host->ctx, s->stream);
}

static void thin_cancel(void *state, unsigned ops)
{
    struct thin_stream *s = state;
    s->cx->lower->cancel(s->cx->host->ctx, s->stream, ops);
}

static void thin_stream_close(void *state)
{
    struct thin_stream *s = state;
    s->cx->lower->close(s->cx->host->ctx, s->stream);
}

static int thin_stream_info(void *state, struct aioduct_stream_info *info)
{
    struct thin_stream *s = state;
    return s->cx->lower->info(s->cx->host->ctx, s->stream, info);
}

static void on_data(void *state, const void *slice, size_t bytes)
{
    struct thin_stream *s = state;
    straight += slice == s->place;
    s->place = NULL;
    s->cx->host->on_data(s->cx->host->ctx, s->stream, slice, bytes);
}

static void on_done(void *state, int op, int code, size_t bytes)
{
    struct thin_stream *s = state;
    s->cx->host->on_done(s->cx->host->ctx, s->stream, op, code, bytes);
}

static void on_later(void *state)
{
    struct thin_stream *s = state;
    if (s->late) {
        s->late = false;
        on_done(s, AIODUCT_OP_SEND, AIODUCT_E_UNSUPPORTED, 0);
    }
}

static void on_closed(void *state)
{
    struct thin_stream *s = state;
    on_later(s);
    s->cx->host->on_closed(s->cx->host->ctx, s->stream);
}

static int thin_open(void *cx, const struct aioduct_host *host, void *rt)
{
    static const struct aioduct_lower_events events = {.size = sizeof events,
                                                       .on_data = on_data,
                                                       .on_done = on_done,
                                                       .on_closed = on_closed,
                                                       .on_later = on_later};
    struct thin_cx *c = cx;
    (void)rt;
    c->host = host;
    c->lower = host->get_interface(host->ctx, AIODUCT_IFACE_HOST_LOWER);
    return c->lower->attach(host->ctx, &events);
}

static void thin_close(void *cx)
{
    (void)cx;
}

static const struct aioduct_connector connector = {
    .size = sizeof connector,
    .flags = AIODUCT_BIND_SEND | AIODUCT_CX_LAYER,
    .cx = {sizeof(struct thin_cx), _Alignof(struct thin_cx)},
    .stream = {sizeof(struct thin_stream), _Alignof(struct thin_stream)},
    .open = thin_open,
    .close = thin_close,
    .connect = thin_connect,
    .recv_start = thin_recv_start,
    .recv_stop = thin_recv_stop,
    .send = thin_send,
    .shutdown = thin_shutdown,
    .cancel = thin_cancel,
    .stream_close = thin_stream_close,
    .stream_info = thin_stream_info,
    .send_file = thin_send_file,
    .recv_at = thin_recv_at,
};

static const void *interfaces(const char *id)
{
    return strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? &connector : NULL;
}

AIODUCT_PLUGIN_EXPORT(thin) = {AIODUCT_PLUGIN_HEAD(thin),         .version = "1.0",
                               .vendor = "aioduct tests",         .url = "",
                               .summary = "hands on, or refuses", .get_interface = interfaces};

/* ---- suite ---- */

static int begin(void **state)
{
    struct aioduct_error error; /* no client has been made: that comes next */
    int code = aioduct_connector_register(&aioduct_plugin_thin, &error);
    return code < 0 ? code : suite_begin_nginx(state);
}

static void thin_client(struct tester *t, enum pieces what)
{
    pieces = what;
    asked = straight = 0;
    t->options.connectors = "thin";
    tester_client(t);
}

/* ---- pieces of files ---- */

static void upload(struct tester *t, enum pieces what)
{
    static const size_t sizes[] = {100000, 3 * MIB + 5};
    thin_client(t, what);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char sent[65], kept[65], *body = malloc(sizes[i]);
        char *path = test_format("%s/upload/layers", nginx_dir(t->nginx));
        int fd = memfd_create("body", MFD_CLOEXEC);
        assert_true(fd >= 0 && body != NULL);
        test_fill(body, sizes[i], 0);
        test_hash_bytes(body, sizes[i], sent);
        assert_int_equal(write(fd, body, sizes[i]), sizes[i]);
        asked = 0;
        struct aioduct_request *request = tester_request(t, "PUT", tester_url(t, "/upload/layers"));
        assert_code(0, aioduct_request_body_file(request, fd, 0, AIODUCT_LENGTH_UNKNOWN));
        struct result *r = tester_perform(t, request);
        assert_in_range(r->status, 201, 204);
        assert_int_equal(r->info.upload_bytes, sizes[i]);
        assert_int_equal(r->info.reused, i > 0);
        assert_true(asked > 0);
        assert_code(0, test_hash_file(path, kept));
        assert_string_equal(kept, sent);
        unlink(path);
        free(path);
        free(body);
        close(fd);
    }
}

static void test_handed_on(void **state)
{
    upload(*state, HANDED_ON);
}

static void test_refused(void **state)
{
    upload(*state, REFUSED);
}

static void test_refused_later(void **state)
{
    upload(*state, REFUSED_LATER);
}

static void test_refused_in_the_middle(void **state)
{
    upload(*state, REFUSED_AFTER_TWO);
}

/* ---- places ---- */

static void play(struct peer_conn *conn, int index, void *user)
{
    char *body = user;
    (void)index;
    while (peer_read_request(conn) &&
           peer_format(conn, "HTTP/1.1 200 X\r\nContent-Length: %zu\r\n\r\n", 8 * MIB) &&
           peer_send_bytes(conn, body, 8 * MIB)) {
    }
}

static void test_place(void **state)
{
    struct tester *t = *state;
    char *body = tester_alloc(t, 8 * MIB), *memory = tester_alloc(t, 8 * MIB);
    test_fill(body, 8 * MIB, 0);
    thin_client(t, HANDED_ON);
    tester_peer(t, play, body);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_into_memory(request, memory, 8 * MIB));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 200);
    assert_int_equal(r->info.body_bytes, 8 * MIB);
    assert_memory_equal(memory, body, 8 * MIB);
    assert_true((straight > 0) == !t->tls || strcmp(getenv("AIODUCT_RUNTIME"), "uring") == 0);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASE("pieces of files that a layer hands on arrive", test_handed_on),
        HTTP_CASE("pieces that a connector refuses are read and sent", test_refused),
        HTTP_CASE("and those that it refuses later", test_refused_later),
        HTTP_CASE("a file whose pieces are refused in the middle is whole",
                  test_refused_in_the_middle),
        HTTP_CASES("a layer hands on where a body may be received", test_place),
    };
    return TAP_RUN(cases, begin, suite_end);
}
