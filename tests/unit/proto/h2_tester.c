/* SPDX-License-Identifier: MIT */
#include "h2_tester.h"

#include "h2wire.h"
#include "tap.h"

#include <aioduct/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUESTS_MAX 512
#define RANDOM_RUNS 20

const struct ad_h2_limits h2_default_limits = {.head_bytes_max = 65536,
                                               .head_fields_max = 256,
                                               .interim_max = 16,
                                               .trailer_bytes_max = 16384,
                                               .streams_max = 256,
                                               .stream_window_bytes = 1 << 20,
                                               .connection_window_bytes = 16 << 20};

#define FIELD(n, v)                                                                 \
    {                                                                               \
        .name = {n, sizeof(n) - 1}, .value = {v, sizeof(v) - 1}, .sensitive = false \
    }
static const struct ad_h2_field get_fields[] = {FIELD(":method", "GET"), FIELD(":scheme", "http"),
                                                FIELD(":authority", "a"), FIELD(":path", "/")};
static const struct ad_h2_field head_fields[] = {FIELD(":method", "HEAD"), FIELD(":scheme", "http"),
                                                 FIELD(":authority", "a"), FIELD(":path", "/")};
static const struct ad_h2_field post_fields[] = {FIELD(":method", "POST"), FIELD(":scheme", "http"),
                                                 FIELD(":authority", "a"), FIELD(":path", "/")};
static const struct ad_h2_field extended_fields[] = {
    FIELD(":method", "CONNECT"), FIELD(":protocol", "websocket"), FIELD(":scheme", "http"),
    FIELD(":authority", "a"), FIELD(":path", "/chat")};
static const struct ad_h2_field connect_fields[] = {FIELD(":method", "CONNECT"),
                                                    FIELD(":authority", "b:443")};
static const struct ad_h2_field request_trailers[] = {FIELD("Sum", "42")};

struct request {
    struct ad_h2_stream stream;
    char *body;
    size_t at, count;
    bool end, trailers;
    bool raw;             /* CONNECT: 2xx makes it so */
    char *event, *action; /* "on EVENT n ACTION" */
};

struct tester {
    FILE *out;
    struct ad_h2 *h2;
    struct ad_h2_scratch *scratch; /* shared with another connection */
    struct h2_reader *reader;
    struct request *requests;
    unsigned request_count;
    unsigned in_body; /* number of the request whose body line is open */
    bool failed;
    unsigned cut; /* 0: whole; 1: bytes; else the seed of random cuts */
    struct h2_bytes pending;
};

static void act(struct tester *t, const char *line);

static struct request *request_of(struct ad_h2_stream *s)
{
    return (struct request *)(void *)s;
}

static unsigned number_of(struct tester *t, struct ad_h2_stream *s)
{
    return (unsigned)(request_of(s) - t->requests) + 1;
}

static void end_body(struct tester *t)
{
    if (t->in_body != 0) {
        fputs("\"\n", t->out);
        t->in_body = 0;
    }
}

static void happen(struct tester *t, struct ad_h2_stream *s, const char *event)
{
    struct request *r = request_of(s);
    if (r->event != NULL && strcmp(r->event, event) == 0) {
        act(t, r->action);
    }
}

/* ---- events ---- */

static void print_head(struct tester *t, struct ad_h2_stream *s, const char *what,
                       const struct aioduct_head *head)
{
    end_body(t);
    assert_int_equal(head->size, sizeof *head);
    assert_int_equal(head->version, 20);
    assert_int_equal(head->reason_bytes, 0);
    assert_null(head->raw);
    fprintf(t->out, "%s %u", what, number_of(t, s));
    if (head->status != 0) {
        fprintf(t->out, " %d", head->status);
    }
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *h = &head->headers[i];
        fprintf(t->out, " | %.*s: %.*s", (int)h->name_bytes, h->name,
                h->value_bytes < 60 ? (int)h->value_bytes : 60, h->value);
    }
    fputc('\n', t->out);
    happen(t, s, what);
}

static void on_interim(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    print_head(owner, s, "interim", head);
}

static void on_head(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    s->raw = request_of(s)->raw && head->status / 100 == 2;
    print_head(owner, s, "head", head);
}

static void on_trailers(void *owner, struct ad_h2_stream *s, const struct aioduct_head *head)
{
    print_head(owner, s, "trailers", head);
}

static void on_body(void *owner, struct ad_h2_stream *s, const uint8_t *bytes, size_t count)
{
    struct tester *t = owner;
    assert_true(count > 0);
    if (t->in_body != number_of(t, s)) {
        end_body(t);
        fprintf(t->out, "body %u \"", number_of(t, s));
        t->in_body = number_of(t, s);
    }
    fwrite(bytes, 1, count, t->out);
    happen(t, s, "body");
}

static void on_end(void *owner, struct ad_h2_stream *s)
{
    struct tester *t = owner;
    end_body(t);
    fprintf(t->out, "end %u\n", number_of(t, s));
    happen(t, s, "end");
}

static void on_complete(void *owner, struct ad_h2_stream *s)
{
    struct tester *t = owner;
    end_body(t);
    fprintf(t->out, "complete %u\n", number_of(t, s));
    happen(t, s, "complete");
}

static void on_closed(void *owner, struct ad_h2_stream *s, const struct ad_h2_end *end)
{
    struct tester *t = owner;
    end_body(t);
    assert_true(end->error->message[0] != '\0');
    fprintf(t->out, "closed %u %s%s %s %s: %s\n", number_of(t, s), ad_h2_code_name(end->code),
            end->refused ? " refused" : "", aioduct_error_name(end->error->code),
            aioduct_phase_name(end->error->phase), end->error->message);
    happen(t, s, "closed");
}

static void on_goaway(void *owner, int32_t last_id, uint32_t code)
{
    struct tester *t = owner;
    end_body(t);
    fprintf(t->out, "goaway %d %u\n", last_id, code);
}

static void on_pong(void *owner)
{
    struct tester *t = owner;
    end_body(t);
    fputs("pong\n", t->out);
}

static void on_room(void *owner)
{
    (void)owner;
}

static void on_head_sent(void *owner, struct ad_h2_stream *s)
{
    struct tester *t = owner;
    fprintf(t->out, "sent %u\n", number_of(t, s));
}

static int64_t on_source(void *owner, struct ad_h2_stream *s, struct ad_buf *out, size_t room,
                         bool *out_end)
{
    struct request *r = request_of(s);
    size_t left = r->count - r->at;
    size_t piece = left < room ? left : room;
    happen(owner, s, "source");
    if (left == 0 && !r->end) {
        return AD_H2_LATER;
    }
    assert_int_equal(ad_buf_append(out, r->body + r->at, piece), 0);
    r->at += piece;
    *out_end = r->end && r->at == r->count;
    return (int64_t)piece;
}

static uint32_t on_request_trailers(void *owner, struct ad_h2_stream *s, struct ad_h2_field *fields,
                                    uint32_t room)
{
    (void)owner;
    if (room > 0 && request_of(s)->trailers) {
        fields[0] = request_trailers[0];
    }
    return request_of(s)->trailers ? 1 : 0;
}

static const struct ad_h2_events events = {.on_interim = on_interim,
                                           .on_head = on_head,
                                           .on_body = on_body,
                                           .on_trailers = on_trailers,
                                           .on_end = on_end,
                                           .on_complete = on_complete,
                                           .on_closed = on_closed,
                                           .on_goaway = on_goaway,
                                           .on_pong = on_pong,
                                           .on_room = on_room,
                                           .on_head_sent = on_head_sent,
                                           .on_source = on_source,
                                           .on_request_trailers = on_request_trailers};

static void on_frame(void *user, const struct h2_frame *frame)
{
    struct tester *t = user;
    fprintf(t->out, "> %s\n", frame->line);
}

/* ---- steps ---- */

static void failed(struct tester *t, const struct aioduct_error *error)
{
    end_body(t);
    if (!t->failed) {
        fprintf(t->out, "failed %s: %s\n", aioduct_error_name(error->code), error->message);
    }
    t->failed = true;
}

static void feed(struct tester *t)
{
    struct h2_bytes *pending = &t->pending;
    unsigned state = t->cut;
    size_t at = 0;
    while (at < pending->count && !t->failed) {
        struct aioduct_error error = {0};
        size_t piece = t->cut == 0 ? pending->count : 1;
        if (t->cut > 1) {
            piece = 1 + (size_t)rand_r(&state) % (pending->count / 3 + 2);
        }
        piece = piece < pending->count - at ? piece : pending->count - at;
        uint8_t *exact = malloc(piece); /* of its own, so that a stale pointer is seen */
        memcpy(exact, pending->p + at, piece);
        int code = ad_h2_feed(t->h2, exact, piece, &error);
        free(exact);
        at += piece;
        if (code < 0) {
            assert_int_equal(error.code, code);
            failed(t, &error);
        }
    }
    end_body(t);
    h2_bytes_fini(pending);
}

static void on_other(void *owner, struct ad_h2_stream *s)
{
    (void)owner;
    (void)s;
}

/* Another connection of the same loop: it sends a head, in the memory that both use. */
static void disturb(struct tester *t)
{
    const struct ad_h2_field fields[] = {
        {.name = ad_slice_of(":method"), .value = ad_slice_of("GET")},
        {.name = ad_slice_of(":scheme"), .value = ad_slice_of("http")},
        {.name = ad_slice_of(":authority"), .value = ad_slice_of("other.test")},
        {.name = ad_slice_of(":path"), .value = ad_slice_of("/other/other/other/other/other")},
    };
    static const struct ad_h2_limits limits = {.streams_max = 1};
    struct ad_h2_events none = {.on_head_sent = on_other};
    struct ad_h2_stream stream;
    struct aioduct_error error;
    struct ad_buf out = {0};
    struct ad_h2 *other = NULL;
    assert_int_equal(ad_h2_create(&limits, &none, NULL, t->scratch, &other), 0);
    ad_h2_submit(other, &stream, fields, 4, false);
    assert_int_equal(ad_h2_produce(other, &out, 4096, &error), 0);
    assert_true(ad_buf_bytes(&out) > 24 && memcmp(ad_buf_data(&out), "PRI * HTTP/2.0", 14) == 0);
    ad_h2_destroy(other);
    ad_buf_fini(&out);
}

static void produce(struct tester *t, size_t room)
{
    disturb(t);
    struct ad_buf out = {0};
    struct aioduct_error error = {0};
    int code = ad_h2_produce(t->h2, &out, room, &error);
    if (ad_buf_bytes(&out) > 0) {
        assert_true(h2_reader_feed(t->reader, ad_buf_data(&out), ad_buf_bytes(&out)));
    }
    ad_buf_fini(&out);
    if (code < 0) {
        failed(t, &error);
    }
}

static void set_body(struct request *r, const char *text)
{
    size_t size = 0;
    if (sscanf(text, "size=%zu", &size) == 1) {
        r->body = malloc(size);
        memset(r->body, 'x', size);
        r->count = size;
    } else {
        r->body = strdup(text);
        r->count = strlen(text);
    }
}

static const struct {
    const char *word;
    const struct ad_h2_field *fields;
    uint32_t count;
    bool body, end, trailers, raw, extended;
} kinds[] = {
    {"get", get_fields, 4},
    {"head", head_fields, 4},
    {"post", post_fields, 4, .body = true, .end = true},
    {"trail", post_fields, 4, .body = true, .end = true, .trailers = true},
    {"pull", post_fields, 4, .body = true},
    {"connect", connect_fields, 2, .body = true, .raw = true},
    {"extended", extended_fields, 5, .body = true, .raw = true, .extended = true},
};

static bool submit(struct tester *t, const char *word, const char *rest)
{
    size_t k = 0;
    while (k < sizeof kinds / sizeof kinds[0] && strcmp(word, kinds[k].word) != 0) {
        k++;
    }
    if (k == sizeof kinds / sizeof kinds[0]) {
        return false;
    }
    assert_true(t->request_count < REQUESTS_MAX);
    struct request *r = &t->requests[t->request_count++];
    r->end = kinds[k].end;
    r->trailers = kinds[k].trailers;
    r->raw = kinds[k].raw;
    if (kinds[k].body) {
        set_body(r, rest);
    }
    ad_h2_submit(t->h2, &r->stream, kinds[k].fields, kinds[k].count, kinds[k].body);
    r->stream.extended = kinds[k].extended;
    return true;
}

static struct request *numbered(struct tester *t, const char **rest)
{
    char *end;
    unsigned long number = strtoul(*rest, &end, 10);
    assert_true(number >= 1 && number <= t->request_count);
    *rest = *end == ' ' ? end + 1 : end;
    return &t->requests[number - 1];
}

static void give(struct tester *t, struct request *r, const char *text, bool end)
{
    free(r->body);
    r->body = strdup(text);
    r->count = strlen(text);
    r->at = 0;
    r->end = end;
    ad_h2_resume(t->h2, &r->stream);
}

static void act_on(struct tester *t, const char *word, const char *rest)
{
    struct request *r = numbered(t, &rest);
    if (strcmp(word, "cancel") == 0) {
        ad_h2_cancel(t->h2, &r->stream, AD_H2_CANCEL);
    } else if (strcmp(word, "consume") == 0) {
        char *more;
        unsigned long count = strtoul(rest, &more, 10);
        if (ad_h2_consume(t->h2, &r->stream, count)) {
            ad_h2_widen(t->h2, &r->stream, (uint32_t)strtoul(more, NULL, 10));
        }
    } else if (strcmp(word, "give") == 0 || strcmp(word, "end") == 0) {
        give(t, r, rest, word[0] == 'e');
    } else {
        tap_fail("no such step: %s", word);
    }
}

static void on_step(struct tester *t, const char *rest)
{
    char event[16];
    int used = 0;
    assert_int_equal(sscanf(rest, "%15s %n", event, &used), 1);
    rest += used;
    struct request *r = numbered(t, &rest);
    free(r->event);
    free(r->action);
    r->event = strdup(event);
    r->action = strdup(rest);
}

static void act(struct tester *t, const char *line)
{
    char word[16];
    size_t count = strcspn(line, " ");
    assert_true(count < sizeof word);
    memcpy(word, line, count);
    word[count] = '\0';
    const char *rest = line + count + (line[count] == ' ');
    if (submit(t, word, rest)) {
        return;
    }
    if (strcmp(word, "produce") == 0) {
        produce(t, *rest == '\0' ? 65536 : strtoul(rest, NULL, 10));
    } else if (strcmp(word, "ping") == 0) {
        ad_h2_ping(t->h2);
    } else if (strcmp(word, "leave") == 0) {
        ad_h2_leave(t->h2);
    } else if (strcmp(word, "room") == 0) {
        fprintf(t->out, "room %u\n", ad_h2_room(t->h2));
    } else if (strcmp(word, "id") == 0) {
        ad_h2_set_next_id(t->h2, (uint32_t)strtoul(rest, NULL, 10));
    } else if (strcmp(word, "on") == 0) {
        on_step(t, rest);
    } else {
        act_on(t, word, rest);
    }
}

static void play(struct tester *t, const char *script)
{
    for (const char *at = script; *at != '\0';) {
        size_t count = strcspn(at, "\n");
        char *line = strndup(at, count);
        at += count + (at[count] == '\n');
        if (line[0] == '<') {
            h2_wire_add(&t->pending, line + 2);
        } else {
            feed(t);
            act(t, line);
        }
        free(line);
    }
    feed(t);
}

/* ---- runs ---- */

static char *run(const char *script, const struct ad_h2_limits *limits, unsigned cut)
{
    char *text = NULL;
    size_t bytes = 0;
    struct tester t = {.out = open_memstream(&text, &bytes), .cut = cut};
    t.scratch = ad_h2_scratch_create();
    assert_non_null(t.scratch);
    t.requests = calloc(REQUESTS_MAX, sizeof *t.requests);
    t.reader = h2_reader_create(on_frame, &t);
    assert_int_equal(ad_h2_create(limits, &events, &t, t.scratch, &t.h2), 0);
    play(&t, script);
    ad_h2_destroy(t.h2);
    ad_h2_scratch_destroy(t.scratch);
    h2_reader_destroy(t.reader);
    for (unsigned i = 0; i < t.request_count; i++) {
        free(t.requests[i].body);
        free(t.requests[i].event);
        free(t.requests[i].action);
    }
    free(t.requests);
    fclose(t.out);
    if (bytes > 0) {
        text[bytes - 1] = '\0';
    }
    return text;
}

static void compare(const char *how, const char *script, char *got, const char *wanted)
{
    size_t count = strlen(wanted);
    count -= count > 0 && wanted[count - 1] == '\n';
    if (strlen(got) != count || memcmp(got, wanted, count) != 0) {
        print_message("%.400s\n%s gives:\n%.3000s\ninstead of:\n%.3000s\n", script, how, got,
                      wanted);
        fail();
    }
    free(got);
}

static unsigned seed(void)
{
    static unsigned value;
    if (value == 0) {
        const char *given = getenv("AIODUCT_TEST_SEED");
        value = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
        value |= 2;
        print_message("AIODUCT_TEST_SEED=%u\n", value);
    }
    return value;
}

void h2_check_limits(const char *script, const char *wanted, const struct ad_h2_limits *limits)
{
    limits = limits == NULL ? &h2_default_limits : limits;
    compare("the whole", script, run(script, limits, 0), wanted);
    compare("one byte at a time", script, run(script, limits, 1), wanted);
    for (unsigned i = 0; i < RANDOM_RUNS; i++) {
        compare("a random cut", script, run(script, limits, seed() + i), wanted);
    }
}

void h2_check(const char *script, const char *wanted)
{
    h2_check_limits(script, wanted, NULL);
}

char *h2_play_limits(const char *script, const struct ad_h2_limits *limits)
{
    return run(script, limits, 0);
}

char *h2_play(const char *script)
{
    return h2_play_limits(script, &h2_default_limits);
}
