/* SPDX-License-Identifier: MIT */
/* Layers on the runtime of examples/runtime-template: a layer of this file that does what a case
 * wants, on another that counts. LY of docs/CONTRACT.md. */
#include "base/mem.h"
#include "plugin/registry.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <tap.h>
#include <unistd.h>

extern const struct aioduct_plugin aioduct_plugin_pollrt, aioduct_plugin_count;

/* ---- the layer ---- */

struct odd_cx {
    const struct aioduct_host *host;
    const struct aioduct_host_lower *lower;
    alignas(64) char number;
};

struct odd_stream {
    struct odd_cx *cx;
    struct aioduct_stream *stream;
    struct aioduct_socket_config again; /* where to go when the first dial fails */
    bool closing, late_end;
};

/* What the case wants, and what it saw. */
static struct {
    bool unattached, open_fails, refuse, redial, busy, end_at_once;
    struct sockaddr_in elsewhere;
    int opened, closed, later, second_connect, second_recv, before;
    char order[32];
} odd;

static int odd_connect(void *cx, struct aioduct_stream *stream, void *state,
                       const struct aioduct_socket_config *config)
{
    struct odd_cx *c = cx;
    struct odd_stream *s = state;
    assert_null(s->cx); /* zeroed, also when the memory is used again */
    if (odd.refuse) {
        return -EPERM;
    }
    odd.before = c->lower->recv_start(c->host->ctx, stream);
    int code = c->lower->connect(c->host->ctx, stream, config);
    if (code < 0 && config->host != NULL) {
        c->host->error(c->host->ctx, code, "odd");
    }
    if (code == AIODUCT_PENDING) {
        s->cx = c;
        s->stream = stream;
        s->again = *config;
        s->again.addr = (const struct sockaddr *)&odd.elsewhere;
        odd.second_connect = c->lower->connect(c->host->ctx, stream, config);
    }
    return code;
}

static int odd_recv_start(void *state)
{
    struct odd_stream *s = state;
    if (odd.end_at_once) { /* it knows, and may not say so here */
        s->late_end = true;
        s->cx->lower->later(s->cx->host->ctx, s->stream);
        s->cx->lower->later(s->cx->host->ctx, s->stream);
        return 0;
    }
    int code = s->cx->lower->recv_start(s->cx->host->ctx, s->stream);
    odd.second_recv = s->cx->lower->recv_start(s->cx->host->ctx, s->stream);
    return code;
}

static void odd_recv_stop(void *state)
{
    struct odd_stream *s = state;
    s->cx->lower->recv_stop(s->cx->host->ctx, s->stream);
}

static int odd_send(void *state, const struct iovec *pieces, unsigned count)
{
    struct odd_stream *s = state;
    return s->cx->lower->send(s->cx->host->ctx, s->stream, pieces, count);
}

static int odd_shutdown(void *state)
{
    struct odd_stream *s = state;
    return s->cx->lower->shutdown(s->cx->host->ctx, s->stream);
}

static void odd_cancel(void *state, unsigned ops)
{
    struct odd_stream *s = state;
    s->cx->lower->cancel(s->cx->host->ctx, s->stream, ops);
}

static void odd_stream_close(void *state)
{
    struct odd_stream *s = state;
    s->closing = true;
    s->cx->lower->close(s->cx->host->ctx, s->stream);
    s->cx->lower->close(s->cx->host->ctx, s->stream);
}

static void on_odd_data(void *state, const void *slice, size_t bytes)
{
    struct odd_stream *s = state;
    s->cx->host->on_data(s->cx->host->ctx, s->stream, slice, bytes);
}

static void on_odd_done(void *state, int op, int code, size_t bytes)
{
    struct odd_stream *s = state;
    if (op == AIODUCT_OP_CONNECT && code < 0 && odd.redial && !s->closing) {
        s->cx->lower->close(s->cx->host->ctx, s->stream);
        return;
    }
    s->cx->host->on_done(s->cx->host->ctx, s->stream, op, code, bytes);
}

static void on_odd_closed(void *state)
{
    struct odd_stream *s = state;
    const struct aioduct_host *host = s->cx->host;
    if (s->closing) {
        host->on_closed(host->ctx, s->stream);
        return;
    }
    odd.redial = false;
    int code = s->cx->lower->connect(host->ctx, s->stream, &s->again);
    if (code < 0) {
        host->on_done(host->ctx, s->stream, AIODUCT_OP_CONNECT, code, 0);
    }
}

static void on_odd_later(void *state)
{
    struct odd_stream *s = state;
    odd.later++;
    if (s->late_end) {
        s->late_end = false;
        s->cx->host->on_done(s->cx->host->ctx, s->stream, AIODUCT_OP_RECV, 0, 0);
    }
}

static const struct aioduct_lower_events odd_events = {.size = sizeof odd_events,
                                                       .on_data = on_odd_data,
                                                       .on_done = on_odd_done,
                                                       .on_closed = on_odd_closed,
                                                       .on_later = on_odd_later};

static int odd_open(void *cx, const struct aioduct_host *host, void *rt)
{
    struct odd_cx *c = cx;
    struct aioduct_lower_events part = odd_events;
    assert_non_null(rt);
    assert_int_equal((uintptr_t)cx % 64, 0);
    c->host = host;
    assert_null(host->get_interface(host->ctx, "aioduct.host.lower/2"));
    c->lower = host->get_interface(host->ctx, AIODUCT_IFACE_HOST_LOWER);
    assert_non_null(c->lower);
    assert_int_equal(c->lower->flags & AIODUCT_BIND_SEND, AIODUCT_BIND_SEND);
    if (odd.open_fails) {
        host->error(host->ctx, -EDOM, "it is odd");
        return -EDOM;
    }
    part.size = offsetof(struct aioduct_lower_events, on_closed);
    assert_int_equal(c->lower->attach(host->ctx, &part), -EINVAL);
    c->number = (char)('0' + odd.opened++);
    strncat(odd.order, &c->number, 1);
    return odd.unattached ? 0 : c->lower->attach(host->ctx, &odd_events);
}

static void odd_close(void *cx)
{
    struct odd_cx *c = cx;
    odd.closed++;
    strncat(odd.order, &c->number, 1);
}

static const struct aioduct_connector odd_table = {
    .size = sizeof odd_table,
    .flags = AIODUCT_BIND_SEND | AIODUCT_CX_LAYER,
    .cx = {sizeof(struct odd_cx), _Alignof(struct odd_cx)},
    .stream = {sizeof(struct odd_stream), 128}, /* more than anybody's */
    .open = odd_open,
    .close = odd_close,
    .connect = odd_connect,
    .recv_start = odd_recv_start,
    .recv_stop = odd_recv_stop,
    .send = odd_send,
    .shutdown = odd_shutdown,
    .cancel = odd_cancel,
    .stream_close = odd_stream_close,
};

/* ---- a loop with them ---- */

static int no_info(void *state, struct aioduct_stream_info *info)
{
    (void)state;
    (void)info;
    return AIODUCT_E_UNSUPPORTED;
}

static const struct ad_plugin *runtime(void)
{
    static struct ad_plugin p;
    const struct aioduct_plugin *d = &aioduct_plugin_pollrt;
    p = (struct ad_plugin){.descriptor = d, .name = d->name, .origin = "test"};
    p.caps = AD_CAP_RUNTIME | AD_CAP_POLL | AD_CAP_CONNECTOR;
    p.runtime = *(const struct aioduct_runtime *)d->get_interface(AIODUCT_IFACE_RUNTIME);
    p.poll = *(const struct aioduct_runtime_poll *)d->get_interface(AIODUCT_IFACE_POLL);
    p.connector = *(const struct aioduct_connector *)d->get_interface(AIODUCT_IFACE_CONNECTOR);
    return &p;
}

static const struct ad_plugin *layer(const struct aioduct_connector *table, const char *name)
{
    static struct ad_plugin plugins[2];
    struct ad_plugin *p = &plugins[table == &odd_table];
    *p = (struct ad_plugin){.descriptor = &aioduct_plugin_count, .name = name, .origin = "test"};
    p->caps = AD_CAP_CONNECTOR;
    p->connector = *table;
    if (p->connector.stream_info == NULL) {
        p->connector.stream_info = no_info;
    }
    return p;
}

static int make_loop(struct ad_loop **out, struct aioduct_error *error)
{
    const struct ad_plugin *odd_plugin = layer(&odd_table, "odd");
    struct ad_chain chain = {
        3,
        {odd_plugin, layer(aioduct_plugin_count.get_interface(AIODUCT_IFACE_CONNECTOR), "count"),
         odd_plugin}};
    struct ad_loop_params params = {.plugin = runtime(), .chain = &chain};
    return ad_loop_open(&params, out, error);
}

static int open_loop(void **state)
{
    struct aioduct_error error = {0};
    memset(&odd, 0, sizeof odd);
    if (make_loop((struct ad_loop **)state, &error) < 0) {
        fail_msg("%s", error.message);
    }
    return 0;
}

static int close_loop(void **state)
{
    ad_loop_destroy(*state);
    return odd.closed == odd.opened && strcmp(odd.order, "0110") == 0 ? 0 : -1;
}

/* ---- streams ---- */

struct talk {
    char got[64];
    size_t got_bytes;
    int connected, ended, closed, code, in_call, wrong;
};

static void on_data(struct ad_stream *stream, const uint8_t *bytes, size_t count)
{
    struct talk *t = ad_stream_owner(stream);
    t->wrong += t->in_call;
    assert_true(t->got_bytes + count < sizeof t->got);
    memcpy(t->got + t->got_bytes, bytes, count);
    t->got_bytes += count;
}

static void on_done(struct ad_stream *stream, int op, int code, size_t bytes)
{
    struct talk *t = ad_stream_owner(stream);
    struct iovec piece = {"ping", 4};
    (void)bytes;
    t->wrong += t->in_call;
    t->code = code;
    if (op == AIODUCT_OP_CONNECT && code == 0) {
        t->connected++;
        t->in_call = 1;
        assert_int_equal(ad_stream_send(stream, &piece, 1), AIODUCT_DONE);
        assert_int_equal(ad_stream_recv_start(stream), 0);
        assert_int_equal(ad_stream_recv_start(stream), -EBUSY);
        t->in_call = 0;
    } else {
        t->ended += op == AIODUCT_OP_RECV;
        t->in_call = 1;
        ad_stream_close(stream);
        t->in_call = 0;
    }
}

static void on_closed(struct ad_stream *stream)
{
    struct talk *t = ad_stream_owner(stream);
    t->wrong += t->in_call;
    t->closed++;
}

static const struct ad_stream_events events = {on_data, on_done, on_closed};

static int bind_somewhere(struct sockaddr_in *out)
{
    socklen_t bytes = sizeof *out;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)out, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)out, &bytes), 0);
    return fd;
}

static int dial(struct ad_loop *loop, struct talk *t, const struct sockaddr_in *to)
{
    struct ad_stream *stream;
    struct aioduct_socket_config config = {
        .size = sizeof config, .addr = (const struct sockaddr *)to, .addr_bytes = sizeof *to};
    assert_int_equal(ad_loop_claim(loop), 0);
    assert_int_equal(ad_stream_create(loop, &events, t, &stream), 0);
    int code = ad_stream_connect(stream, &config);
    if (code < 0) {
        ad_stream_close(stream);
    }
    ad_loop_unclaim(loop);
    return code;
}

static void turn_until(struct ad_loop *loop, const int *flag)
{
    while (!*flag) {
        assert_int_equal(ad_loop_turn(loop, -1), 0);
    }
}

/* The peer is this thread, between turns: nothing depends on another's speed. */
static void talk_to(struct ad_loop *loop, struct talk *t, int listener)
{
    char got[8];
    turn_until(loop, &t->connected);
    int fd = accept(listener, NULL, NULL);
    assert_int_equal(read(fd, got, sizeof got), 4);
    assert_int_equal(write(fd, got, 4), 4);
    close(fd);
    turn_until(loop, &t->closed);
}

static void bytes_go_through_layers_both_ways(void **state)
{
    struct sockaddr_in address;
    int listener = bind_somewhere(&address);
    assert_int_equal(listen(listener, 4), 0);
    for (int i = 0; i < 3; i++) { /* the second uses the memory of the first */
        struct talk t = {0};
        assert_int_equal(dial(*state, &t, &address), AIODUCT_PENDING);
        talk_to(*state, &t, listener);
        assert_int_equal(t.got_bytes, 4);
        assert_memory_equal(t.got, "ping", 4);
        assert_int_equal(t.ended, 1);
        assert_int_equal(t.closed, 1);
        assert_int_equal(t.wrong, 0);
    }
    close(listener);
}

static void operations_below_are_checked_like_those_above(void **state)
{
    struct sockaddr_in address;
    struct talk t = {0};
    int listener = bind_somewhere(&address);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(dial(*state, &t, &address), AIODUCT_PENDING);
    assert_int_equal(odd.before, -ENOTCONN);
    assert_int_equal(odd.second_connect, -EBUSY);
    talk_to(*state, &t, listener);
    assert_int_equal(odd.second_recv, -EBUSY);
    close(listener);
}

static void a_layer_may_refuse_a_connect_and_be_asked_again(void **state)
{
    struct sockaddr_in address;
    struct talk refused = {0}, t = {0};
    int listener = bind_somewhere(&address);
    assert_int_equal(listen(listener, 4), 0);
    odd.refuse = true;
    assert_int_equal(dial(*state, &refused, &address), -EPERM);
    turn_until(*state, &refused.closed);
    odd.refuse = false;
    assert_int_equal(dial(*state, &t, &address), AIODUCT_PENDING);
    talk_to(*state, &t, listener);
    assert_int_equal(t.got_bytes, 4);
    close(listener);
}

static void a_stream_below_is_dialled_anew_after_its_end(void **state)
{
    struct sockaddr_in nobody_there;
    struct talk t = {0};
    int nobody = bind_somewhere(&nobody_there), listener = bind_somewhere(&odd.elsewhere);
    assert_int_equal(listen(listener, 4), 0);
    odd.redial = true;
    assert_int_equal(dial(*state, &t, &nobody_there), AIODUCT_PENDING);
    talk_to(*state, &t, listener);
    assert_int_equal(t.code, 0);
    assert_int_equal(t.got_bytes, 4);
    assert_int_equal(t.wrong, 0);
    close(listener);
    close(nobody);
}

static void a_refused_dial_comes_up_once(void **state)
{
    struct sockaddr_in address;
    struct talk t = {0};
    int nobody = bind_somewhere(&address);
    assert_int_equal(dial(*state, &t, &address), AIODUCT_PENDING);
    turn_until(*state, &t.closed);
    assert_int_equal(t.code, -ECONNREFUSED);
    assert_int_equal(t.closed, 1);
    assert_int_equal(t.connected, 0);
    close(nobody);
}

static void what_a_layer_knows_already_it_says_at_the_end_of_the_turn(void **state)
{
    struct sockaddr_in address;
    struct talk t = {0};
    int listener = bind_somewhere(&address);
    assert_int_equal(listen(listener, 4), 0);
    odd.end_at_once = true;
    assert_int_equal(dial(*state, &t, &address), AIODUCT_PENDING);
    turn_until(*state, &t.closed);
    assert_int_equal(odd.later, 1);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.wrong, 0);
    close(listener);
}

static void what_each_says_of_a_refusal_is_kept(void **state)
{
    struct ad_loop *loop = *state;
    struct talk t = {0};
    struct ad_stream *stream;
    struct aioduct_socket_config config = {.size = sizeof config, .host = "name"};
    assert_int_equal(ad_loop_claim(loop), 0);
    ad_loop_plugin_error_clear(loop);
    assert_int_equal(ad_stream_create(loop, &events, &t, &stream), 0);
    assert_int_equal(ad_stream_connect(stream, &config), AIODUCT_E_UNSUPPORTED);
    assert_string_equal(ad_loop_plugin_error(loop),
                        "odd: odd: connecting to name: this connector does not resolve names; give "
                        "it an address");
    ad_stream_close(stream);
    ad_loop_unclaim(loop);
    turn_until(loop, &t.closed);
}

/* ---- opening ---- */

static void refused(int code, const char *said)
{
    struct aioduct_error error = {0};
    struct ad_loop *loop = NULL;
    assert_int_equal(make_loop(&loop, &error), code);
    assert_null(loop);
    assert_string_equal(error.message, said);
    assert_int_equal(odd.opened, odd.closed);
}

static void a_layer_that_does_not_attach_is_refused(void **state)
{
    (void)state;
    memset(&odd, 0, sizeof odd);
    odd.unattached = true;
    refused(AIODUCT_E_PLUGIN_INVALID,
            "connector 'odd': it is a layer, and attached itself to nothing");
}

static void a_layer_that_does_not_open_says_why(void **state)
{
    (void)state;
    memset(&odd, 0, sizeof odd);
    odd.open_fails = true;
    refused(-EDOM, "connector 'odd': open failed: it is odd");
}

static void a_chain_that_cannot_allocate_says_so(void **state)
{
    struct aioduct_error error = {0};
    struct ad_loop *loop = NULL;
    int failures = 0;
    (void)state;
    memset(&odd, 0, sizeof odd);
    for (uint64_t nth = 1; loop == NULL && nth < 100; nth++) {
        ad_mem_fail_nth(nth);
        int code = make_loop(&loop, &error);
        ad_mem_fail_nth(0);
        odd.opened = odd.closed = 0;
        odd.order[0] = '\0';
        if (code < 0) {
            assert_int_equal(code, -ENOMEM);
            failures++;
        }
    }
    assert_in_range(failures, 8, 60);
    ad_loop_destroy(loop);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        LOOP_TEST(bytes_go_through_layers_both_ways),
        LOOP_TEST(operations_below_are_checked_like_those_above),
        LOOP_TEST(a_layer_may_refuse_a_connect_and_be_asked_again),
        LOOP_TEST(a_stream_below_is_dialled_anew_after_its_end),
        LOOP_TEST(a_refused_dial_comes_up_once),
        LOOP_TEST(what_each_says_of_a_refusal_is_kept),
        LOOP_TEST(what_a_layer_knows_already_it_says_at_the_end_of_the_turn),
        cmocka_unit_test(a_layer_that_does_not_attach_is_refused),
        cmocka_unit_test(a_layer_that_does_not_open_says_why),
        cmocka_unit_test(a_chain_that_cannot_allocate_says_so),
    };
    return TAP_RUN(tests, NULL, NULL);
}
