/* SPDX-License-Identifier: MIT */
#include "dial_tester.h"

#include "runtime/stream.h"
#include "tap.h"

#include <string.h>

static void on_data(struct ad_stream *stream, const uint8_t *bytes, size_t count)
{
    (void)stream;
    (void)bytes;
    (void)count;
}

static void on_op(struct ad_stream *stream, int op, int code, size_t bytes)
{
    (void)stream;
    (void)op;
    (void)code;
    (void)bytes;
}

static void on_closed(struct ad_stream *stream)
{
    ((struct dial_tester *)ad_stream_owner(stream))->stream_closed = true;
}

static void on_gone(void *owner)
{
    struct dial_tester *t = owner;
    unsigned open = 0;
    for (unsigned i = 0; i < fake_conn_count(t->fake); i++) {
        open += !fake_conn_at(t->fake, i)->closed;
    }
    assert_in_range(open, 0, t->result.stream != NULL); /* the winner's alone */
    t->gone++;
}

void dial_cancel(struct dial_tester *t)
{
    int before = t->gone;
    t->gone_expected += ad_dial_cancel(t->dial) == AIODUCT_PENDING;
    assert_int_equal(t->gone, before);
    fake_run(t->fake);
}

static void on_dialled(void *owner, struct ad_dial_result *result)
{
    static const struct ad_stream_events events = {
        .on_data = on_data, .on_done = on_op, .on_closed = on_closed};
    struct dial_tester *t = owner;
    t->done++;
    t->gone_expected++;
    t->result = *result;
    if (result->stream != NULL) {
        ad_stream_set_owner(result->stream, &events, t);
    }
}

void dial_init(struct dial_tester *t)
{
    memset(t, 0, sizeof *t);
    t->fake = fake_create();
    fake_resolver_init(&t->resolver);
    t->params = (struct ad_dial_params){
        .resolver = &t->resolver.base, .host = "example.test", .port = 443, .on_gone = on_gone};
}

void dial_fini(struct dial_tester *t)
{
    if (t->result.stream != NULL) {
        ad_stream_close(t->result.stream);
    }
    fake_run(t->fake);
    assert_true(t->stream_closed || t->result.stream == NULL);
    assert_int_equal(t->gone, t->gone_expected);
    for (unsigned i = 0; i < fake_conn_count(t->fake); i++) {
        assert_true(fake_conn_at(t->fake, i)->closed);
    }
    fake_destroy(t->fake);
}

int dial_try(struct dial_tester *t)
{
    return ad_dial_start(fake_loop(t->fake), &t->params, on_dialled, t, &t->dial);
}

void dial_start(struct dial_tester *t)
{
    assert_int_equal(dial_try(t), 0);
    assert_int_equal(t->done, 0);
}

void dial_start_with(struct dial_tester *t, const char *const *texts)
{
    dial_start(t);
    fake_resolver_answer(&t->resolver, texts);
    fake_run(t->fake);
}

void dial_advance(struct dial_tester *t, uint64_t ms)
{
    fake_advance_ms(t->fake, ms);
    fake_run(t->fake);
}

void dial_finish(struct dial_tester *t, unsigned i, int code)
{
    fake_done(fake_conn_at(t->fake, i), AIODUCT_OP_CONNECT, code);
    fake_run(t->fake);
}
