/* SPDX-License-Identifier: MIT */
/* Any bytes as an answer: nothing may break, and wherever they are cut the same must come of them.
 * The first byte of the input is the request's flags with "the peer closes" above them, the second
 * seeds the cuts. */
#include "proto/h1.h"

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

/* What came, as a sum that does not depend on how a body was sliced. */
struct seen {
    uint64_t sum;
    unsigned heads, completed;
};

static void add(struct seen *seen, const char *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        seen->sum = (seen->sum ^ (uint8_t)p[i]) * 0x100000001b3u;
    }
}

static void add_head(struct seen *seen, const struct aioduct_head *head)
{
    CHECK(!seen->completed);
    add(seen, "h", 1);
    add(seen, (const char *)&head->status, sizeof head->status);
    add(seen, head->reason, head->reason_bytes);
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *field = &head->headers[i];
        CHECK(ad_h1_is_token(field->name, field->name_bytes));
        CHECK(ad_h1_is_field_value(field->value, field->value_bytes));
        add(seen, field->name, field->name_bytes);
        add(seen, ":", 1);
        add(seen, field->value, field->value_bytes);
    }
}

static void on_interim(void *owner, const struct aioduct_head *head)
{
    struct seen *seen = owner;
    CHECK(head->status >= 100 && head->status < 200 && seen->heads == 0);
    add_head(seen, head);
}

static void on_head(void *owner, const struct aioduct_head *head)
{
    struct seen *seen = owner;
    CHECK(head->status == 101 || (head->status >= 200 && head->status < 1000));
    CHECK(seen->heads++ == 0);
    add_head(seen, head);
}

static void on_body(void *owner, const uint8_t *bytes, size_t count)
{
    struct seen *seen = owner;
    CHECK(count > 0 && seen->heads == 1 && !seen->completed);
    add(seen, (const char *)bytes, count);
}

static void on_trailers(void *owner, const struct aioduct_head *trailers)
{
    struct seen *seen = owner;
    CHECK(seen->heads == 1 && trailers->header_count > 0);
    add_head(seen, trailers);
}

static void on_complete(void *owner, bool reusable)
{
    struct seen *seen = owner;
    CHECK(seen->heads == 1 && !seen->completed);
    seen->completed = 1;
    add(seen, reusable ? "r" : "c", 1);
}

static const struct ad_h1_events events = {.on_interim = on_interim,
                                           .on_head = on_head,
                                           .on_body = on_body,
                                           .on_trailers = on_trailers,
                                           .on_complete = on_complete};
static const struct ad_h1_limits limits = {.head_bytes_max = 400,
                                           .head_fields_max = 12,
                                           .interim_max = 3,
                                           .trailer_bytes_max = 60,
                                           .chunk_ext_max = 20};

/* Feed in pieces of at most @piece_max bytes, drawn from @seed -> the end: a code or a count. */
static int64_t run(struct seen *seen, uint8_t how, const uint8_t *data, size_t count,
                   size_t piece_max, unsigned seed)
{
    struct ad_h1 *h1 = NULL;
    struct aioduct_error error = {0};
    int64_t used = 0;
    size_t at = 0;
    if (ad_h1_create(&limits, &events, seen, &h1) < 0) {
        return 0;
    }
    ad_h1_expect(h1, how & 7);
    while (at < count && !seen->completed) {
        size_t piece = 1 + (size_t)rand_r(&seed) % piece_max;
        piece = piece < count - at ? piece : count - at;
        uint8_t *exact = malloc(piece); /* of its own, so that a stale pointer is seen */
        memcpy(exact, data + at, piece);
        used = ad_h1_feed(h1, exact, piece, &error);
        free(exact);
        if (used < 0) {
            CHECK(error.code == used && error.message[0] != '\0');
            break;
        }
        CHECK((size_t)used <= piece && ((size_t)used == piece || seen->completed));
        at += (size_t)used;
    }
    if (used >= 0 && (how & 8) != 0) {
        used = ad_h1_eof(h1, &error);
    }
    ad_h1_destroy(h1);
    return used < 0 ? used : (int64_t)at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < 2) {
        return 0;
    }
    struct seen whole = {0};
    struct seen bytes = {0};
    struct seen pieces = {0};
    int64_t a = run(&whole, data[0], data + 2, count - 2, SIZE_MAX, 1);
    int64_t b = run(&bytes, data[0], data + 2, count - 2, 1, 1);
    int64_t c = run(&pieces, data[0], data + 2, count - 2, 40, data[1]);
    CHECK(a == b && a == c);
    CHECK(whole.sum == bytes.sum && whole.sum == pieces.sum);
    return 0;
}
