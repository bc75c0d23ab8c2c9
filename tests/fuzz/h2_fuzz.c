/* SPDX-License-Identifier: MIT */
/* Any bytes as a server's: nothing may break, and wherever they are cut the same must come of them.
 * The first byte of the input says which requests are under way and what the caller does inside
 * their events, the second seeds the cuts. */
#include "proto/h2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#define CHECK(x)                                                    \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort();                                                \
        }                                                           \
    } while (0)

#define REQUESTS 4
#define FIELD(n, v)                                               \
    {                                                             \
        .name = {n, sizeof(n) - 1}, .value = { v, sizeof(v) - 1 } \
    }
static const struct ad_h2_field fields[2][4] = {{FIELD(":method", "GET"), FIELD(":scheme", "http"),
                                                 FIELD(":authority", "a"), FIELD(":path", "/")},
                                                {FIELD(":method", "HEAD"), FIELD(":scheme", "http"),
                                                 FIELD(":authority", "a"), FIELD(":path", "/")}};

struct request {
    struct ad_h2_stream stream;
    uint64_t sum; /* of heads and the end */
    uint64_t body_sum;
    bool got_head, over;
};

struct seen {
    struct ad_h2 *h2;
    struct request requests[REQUESTS];
    bool cancels, goaway;
    uint64_t last_goaway;
};

static struct request *request_of(struct ad_h2_stream *s)
{
    return (struct request *)(void *)s;
}

static void add_to(uint64_t *sum, const char *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *sum = (*sum ^ (uint8_t)p[i]) * 0x100000001b3u;
    }
}

static void add(struct request *r, const char *p, size_t count)
{
    CHECK(!r->over);
    add_to(&r->sum, p, count);
}

static void add_head(struct request *r, const struct aioduct_head *head)
{
    add(r, (const char *)&head->status, sizeof head->status);
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *field = &head->headers[i];
        CHECK(field->name_bytes > 0 && field->name[0] != ':');
        CHECK(memchr(field->value, '\n', field->value_bytes) == NULL);
        CHECK(memchr(field->value, '\0', field->value_bytes) == NULL);
        add(r, field->name, field->name_bytes);
        add(r, ":", 1);
        add(r, field->value, field->value_bytes);
    }
}

static void on_interim(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    (void)owner;
    CHECK(head->status >= 100 && head->status < 200 && !request_of(s)->got_head);
    add_head(request_of(s), head);
}

static void on_head(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    struct seen *seen = owner;
    struct request *r = request_of(s);
    CHECK(head->status >= 200 && head->status < 1000 && !r->got_head);
    add_head(r, head);
    r->got_head = true;
    if (seen->cancels && r == &seen->requests[1]) {
        r->over = true;
        ad_h2_cancel(seen->h2, s, AD_H2_CANCEL);
    }
}

static void on_body(void *owner, struct ad_h2_stream *s, const uint8_t *bytes, size_t count)
{
    struct seen *seen = owner;
    CHECK(count > 0 && request_of(s)->got_head);
    CHECK(!request_of(s)->over);
    add_to(&request_of(s)->body_sum, (const char *)bytes, count);
    if (ad_h2_consume(seen->h2, s, count)) {
        ad_h2_widen(seen->h2, s, (uint32_t)count);
    }
}

static void on_trailers(void *owner, struct ad_h2_stream *s, const struct aioduct_head *trailers)
{
    (void)owner;
    CHECK(request_of(s)->got_head && trailers->header_count > 0);
    add_head(request_of(s), trailers);
}

static void on_complete(void *owner, struct ad_h2_stream *s)
{
    (void)owner;
    CHECK(request_of(s)->got_head);
    /* How much comes of a body that is too long depends on the cuts. */
    add(request_of(s), (const char *)&request_of(s)->body_sum, sizeof(uint64_t));
    request_of(s)->over = true;
}

static void on_closed(void *owner, struct ad_h2_stream *s, const struct ad_h2_end *end)
{
    (void)owner;
    CHECK(end->error->code < 0 && end->error->message[0] != '\0');
    CHECK(!end->refused || !request_of(s)->got_head);
    add(request_of(s), (const char *)&end->code, sizeof end->code);
    request_of(s)->over = true;
}

static void on_goaway(void *owner, int32_t last_id, uint32_t code)
{
    struct seen *seen = owner;
    seen->goaway = true;
    seen->last_goaway = (uint64_t)last_id << 32 | code;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_head_sent(void *owner, struct ad_h2_stream *s)
{
    (void)owner;
    CHECK(!request_of(s)->over);
}

static int64_t on_source(void *owner, struct ad_h2_stream *s, struct ad_buf *out, size_t room,
                         bool *out_end)
{
    static const uint8_t bytes[4096];
    (void)owner;
    (void)out_end;
    CHECK(!request_of(s)->over);
    size_t piece = room < sizeof bytes ? room : sizeof bytes;
    CHECK(ad_buf_append(out, bytes, piece) == 0);
    return (int64_t)piece;
}

static const struct ad_h2_events events = {.on_interim = on_interim,
                                           .on_head = on_head,
                                           .on_body = on_body,
                                           .on_trailers = on_trailers,
                                           .on_complete = on_complete,
                                           .on_closed = on_closed,
                                           .on_goaway = on_goaway,
                                           .on_pong = on_nothing,
                                           .on_room = on_nothing,
                                           .on_head_sent = on_head_sent,
                                           .on_source = on_source};
static const struct ad_h2_limits limits = {.head_bytes_max = 1000,
                                           .head_fields_max = 12,
                                           .interim_max = 3,
                                           .trailer_bytes_max = 200,
                                           .streams_max = 100,
                                           .stream_window_bytes = 65535,
                                           .connection_window_bytes = 1 << 20};

/* Make what there is to say, and no more. */
static int produce(struct seen *seen, size_t room)
{
    struct ad_buf out = {0};
    struct aioduct_error error = {0};
    int code = ad_h2_produce(seen->h2, &out, room, &error);
    ad_buf_fini(&out);
    CHECK(error.code == code);
    return code;
}

static int feed(struct seen *seen, const uint8_t *data, size_t count, size_t piece_max,
                unsigned seed)
{
    struct aioduct_error error = {0};
    size_t at = 0;
    int code = 0;
    while (at < count && code == 0) {
        size_t piece = 1 + (size_t)rand_r(&seed) % piece_max;
        piece = piece < count - at ? piece : count - at;
        uint8_t *exact = malloc(piece); /* of its own, so that a stale pointer is seen */
        memcpy(exact, data + at, piece);
        code = ad_h2_feed(seen->h2, exact, piece, &error);
        free(exact);
        CHECK(error.code == code && (code == 0 || error.message[0] != '\0'));
        at += piece;
    }
    return code;
}

/* Feed in pieces of at most @piece_max bytes, drawn from @seed -> the end. */
static int run(struct seen *seen, uint8_t how, const uint8_t *data, size_t count, size_t piece_max,
               unsigned seed)
{
    *seen = (struct seen){.cancels = (how & 1) != 0};
    if (ad_h2_create(&limits, &events, seen, NULL, &seen->h2) < 0) {
        return 0;
    }
    for (unsigned i = 0; i < REQUESTS; i++) {
        ad_h2_submit(seen->h2, &seen->requests[i].stream, fields[i == 2], 4,
                     i == 3 && (how & 2) != 0);
    }
    int code = produce(seen, 100000);
    if ((how & 4) != 0) {
        seen->requests[0].over = true;
        ad_h2_cancel(seen->h2, &seen->requests[0].stream, AD_H2_CANCEL);
    }
    code = code < 0 ? code : feed(seen, data, count, piece_max, seed);
    int last = produce(seen, 1 << 20);
    code = code < 0 ? code : last;
    CHECK(code == 0 || ad_h2_room(seen->h2) == 0);
    CHECK(produce(seen, 1000) == code);
    ad_h2_destroy(seen->h2);
    return code;
}

static bool finished(const struct seen *seen)
{
    bool over = seen->goaway;
    for (unsigned i = 0; i < REQUESTS; i++) {
        over = over && seen->requests[i].over;
    }
    return over;
}

static void compare(const struct seen *a, const struct seen *b)
{
    CHECK(a->goaway == b->goaway);
    CHECK(a->last_goaway == b->last_goaway || finished(a));
    for (unsigned i = 0; i < REQUESTS; i++) {
        CHECK(a->requests[i].over == b->requests[i].over);
        CHECK(a->requests[i].sum == b->requests[i].sum);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct seen whole, bytes, pieces;
    if (count < 2) {
        return 0;
    }
    int a = run(&whole, data[0], data + 2, count - 2, SIZE_MAX, 1);
    int b = run(&bytes, data[0], data + 2, count - 2, 1, 1);
    int c = run(&pieces, data[0], data + 2, count - 2, 40, data[1]);
    /* After GOAWAY and the last stream nghttp2 reads no more: what is wrong behind it is seen only
     * in the same slice. */
    CHECK((a == b && a == c) || finished(&whole));
    compare(&whole, &bytes);
    compare(&whole, &pieces);
    return 0;
}
