/* SPDX-License-Identifier: MIT */
#include "h1_tester.h"

#include "tap.h"

#include <aioduct/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RANDOM_RUNS 50

const struct ad_h1_limits h1_default_limits = {.head_bytes_max = 65536,
                                               .head_fields_max = 256,
                                               .interim_max = 16,
                                               .trailer_bytes_max = 16384,
                                               .chunk_ext_max = 16384};

struct tester {
    FILE *out;
    bool in_body;
    bool completed;
};

static void print_bytes(FILE *out, const char *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c < 0x7f) {
            fputc(c, out);
        } else {
            fprintf(out, "\\x%02x", c);
        }
    }
}

static void end_body(struct tester *t)
{
    if (t->in_body) {
        fputs("\"\n", t->out);
        t->in_body = false;
    }
}

static void print_fields(struct tester *t, const struct aioduct_head *head)
{
    for (uint32_t i = 0; i < head->header_count; i++) {
        fputs(" | ", t->out);
        print_bytes(t->out, head->headers[i].name, head->headers[i].name_bytes);
        fputs(": ", t->out);
        print_bytes(t->out, head->headers[i].value, head->headers[i].value_bytes);
    }
    fputc('\n', t->out);
}

static void print_head(struct tester *t, const char *what, const struct aioduct_head *head)
{
    end_body(t);
    assert_int_equal(head->size, sizeof *head);
    assert_non_null(head->raw);
    assert_true(head->raw_bytes >= 17);
    assert_memory_equal(head->raw, "HTTP/1.", 7);
    assert_memory_equal(head->raw + head->raw_bytes - 4, "\r\n\r\n", 4);
    fprintf(t->out, "%s %d %d.%d \"", what, head->status, head->version / 10, head->version % 10);
    print_bytes(t->out, head->reason, head->reason_bytes);
    fputc('"', t->out);
    print_fields(t, head);
}

static void on_interim(void *owner, const struct aioduct_head *head)
{
    print_head(owner, "interim", head);
}

static void on_head(void *owner, const struct aioduct_head *head)
{
    print_head(owner, "head", head);
}

static void on_body(void *owner, const uint8_t *bytes, size_t count)
{
    struct tester *t = owner;
    assert_true(count > 0);
    if (!t->in_body) {
        fputs("body \"", t->out);
        t->in_body = true;
    }
    print_bytes(t->out, (const char *)bytes, count);
}

static void on_trailers(void *owner, const struct aioduct_head *trailers)
{
    struct tester *t = owner;
    end_body(t);
    assert_int_equal(trailers->status, 0);
    assert_null(trailers->raw);
    fputs("trailers", t->out);
    print_fields(t, trailers);
}

static void on_complete(void *owner, bool reusable)
{
    struct tester *t = owner;
    end_body(t);
    assert_false(t->completed);
    t->completed = true;
    fprintf(t->out, "complete %s\n", reusable ? "reusable" : "closing");
}

static const struct ad_h1_events events = {.on_interim = on_interim,
                                           .on_head = on_head,
                                           .on_body = on_body,
                                           .on_trailers = on_trailers,
                                           .on_complete = on_complete};

static void print_failure(struct tester *t, int64_t code, const struct aioduct_error *error)
{
    end_body(t);
    assert_int_equal(error->code, code);
    assert_true(error->message[0] != '\0');
    /* How much of an answer that is not HTTP can be shown depends on what has come. */
    const char *message = code == AIODUCT_E_NOT_HTTP ? "not HTTP" : error->message;
    if (strncmp(message, "neither HTTP/1.1", 16) == 0) {
        message = "neither HTTP/1.1 nor HTTP/1.0";
    }
    fprintf(t->out, "%s %s%s: %s\n", aioduct_error_name((int)code),
            aioduct_phase_name(error->phase), error->partial ? " partial" : "", message);
}

/* -> bytes consumed of all pieces, negative after an error */
static int64_t feed_pieces(struct tester *t, struct ad_h1 *h1, const char *bytes, size_t count,
                           const size_t *cuts, size_t cut_count)
{
    size_t begin = 0;
    for (size_t i = 0; i <= cut_count; i++) {
        struct aioduct_error error = {0};
        size_t end = i < cut_count ? cuts[i] : count;
        uint8_t *piece = malloc(end - begin + 1) /* never 0 */;
        memcpy(piece, bytes + begin, end - begin);
        uint8_t *exact = realloc(piece, end > begin ? end - begin : 1);
        int64_t used = ad_h1_feed(h1, exact, end - begin, &error);
        free(exact);
        if (used < 0) {
            print_failure(t, used, &error);
            assert_int_equal(ad_h1_feed(h1, (const uint8_t *)"x", 1, &error), used);
            return used;
        }
        begin += (size_t)used;
        if (begin < end) {
            break;
        }
    }
    return (int64_t)begin;
}

char *h1_lines_of(const struct h1_case *one, const char *bytes, size_t count, const size_t *cuts,
                  size_t cut_count)
{
    char *text = NULL;
    size_t text_bytes = 0;
    struct tester t = {.out = open_memstream(&text, &text_bytes)};
    struct ad_h1 *h1 = NULL;
    struct aioduct_error error = {0};
    assert_non_null(t.out);
    assert_int_equal(
        ad_h1_create(one->limits != NULL ? one->limits : &h1_default_limits, &events, &t, &h1), 0);
    ad_h1_expect(h1, one->flags);
    int64_t used = feed_pieces(&t, h1, bytes, count, cuts, cut_count);
    if (used >= 0 && (size_t)used < count) {
        assert_true(t.completed);
        fprintf(t.out, "consumed %lld\n", (long long)used);
    } else if (used >= 0 && one->eof) {
        int code = ad_h1_eof(h1, &error);
        if (code < 0) {
            print_failure(&t, code, &error);
        }
    }
    end_body(&t);
    ad_h1_destroy(h1);
    fclose(t.out);
    if (text_bytes > 0) {
        text[text_bytes - 1] = '\0'; /* the last newline */
    }
    return text;
}

static unsigned seed(void)
{
    static unsigned value;
    if (value == 0) {
        const char *given = getenv("AIODUCT_TEST_SEED");
        value = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL) | 1;
        print_message("AIODUCT_TEST_SEED=%u\n", value);
    }
    return value;
}

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static void check_lines(const char *how, const char *got, const char *wanted)
{
    if (strcmp(got, wanted) != 0) {
        print_message("%s gives:\n%s\ninstead of:\n%s\n", how, got, wanted);
        fail();
    }
}

static void check_cuts(const struct h1_case *one, const char *bytes, size_t count,
                       const char *whole)
{
    size_t *cuts = calloc(count + 1, sizeof *cuts);
    for (size_t i = 0; i + 1 < count; i++) {
        cuts[i] = i + 1;
    }
    char *got = h1_lines_of(one, bytes, count, cuts, count > 0 ? count - 1 : 0);
    check_lines("one byte at a time", got, whole);
    free(got);

    unsigned state = seed();
    for (int run = 0; run < RANDOM_RUNS && count > 1; run++) {
        size_t cut_count = 1 + (size_t)rand_r(&state) % 8;
        for (size_t i = 0; i < cut_count; i++) {
            cuts[i] = (size_t)rand_r(&state) % (count + 1);
            if (cut_count > count) {
                cut_count = count;
            }
        }
        qsort(cuts, cut_count, sizeof *cuts, compare_sizes);
        got = h1_lines_of(one, bytes, count, cuts, cut_count);
        check_lines("a random cut", got, whole);
        free(got);
    }
    free(cuts);
}

void h1_check(const struct h1_case *one)
{
    size_t count = strlen(one->input);
    char *bytes = strdup(one->input);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = bytes[i] == '~' ? '\0' : bytes[i];
    }
    char *whole = h1_lines_of(one, bytes, count, NULL, 0);
    if (one->wanted != NULL) {
        print_message("%.300s\n", one->input);
        check_lines("the whole", whole, one->wanted);
    }
    check_cuts(one, bytes, count, whole);
    free(whole);
    free(bytes);
}

void h1_check_all(const struct h1_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        h1_check(&cases[i]);
    }
}
