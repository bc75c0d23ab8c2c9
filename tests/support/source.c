/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <stdlib.h>

static int64_t on_read(void *user, void *buffer, size_t capacity)
{
    struct source *s = user;
    s->reads++;
    if (s->fail_at != 0 && s->reads == s->fail_at) {
        return -EIO;
    }
    if (s->wait_at != 0 && s->at >= s->wait_at && !s->waited) {
        __atomic_store_n(&s->waited, true, __ATOMIC_RELEASE); /* a test on another thread looks */
        return AIODUCT_BODY_WAIT;
    }
    uint64_t end = s->piecewise && !s->waited ? s->wait_at : s->bytes;
    uint64_t left = end - s->at;
    size_t count = left < capacity ? (size_t)left : capacity;
    test_fill(buffer, count, s->at);
    s->at += count;
    return (int64_t)count;
}

static int on_rewind(void *user)
{
    struct source *s = user;
    s->at = 0;
    s->rewinds++;
    return 0;
}

static void on_finished(void *user)
{
    struct source *s = user;
    s->finished++;
    s->at_finished = s->at;
}

struct source *source_new(struct tester *t, uint64_t bytes)
{
    struct source *source = tester_alloc(t, sizeof *source);
    source->bytes = bytes;
    return source;
}

void source_attach(struct aioduct_request *request, struct source *source, int64_t length,
                   bool once)
{
    struct aioduct_body_source pull = {.size = sizeof pull,
                                       .read = on_read,
                                       .rewind = once ? NULL : on_rewind,
                                       .finished = on_finished,
                                       .user = source};
    assert_code(0, aioduct_request_body_pull(request, &pull, length));
}

struct aioduct_request *source_request(struct tester *t, const char *method, struct source *source,
                                       int64_t length)
{
    struct aioduct_request *request = tester_request(t, method, peer_url(t->peer, "/up"));
    source_attach(request, source, length, false);
    return request;
}

bool source_has_waited(void *source)
{
    return __atomic_load_n(&((struct source *)source)->waited, __ATOMIC_ACQUIRE);
}

void assert_source_bytes(const void *bytes, size_t count, uint64_t expected)
{
    char wanted[65], found[65];
    char *fill = malloc(expected);
    assert_int_equal(count, expected);
    assert_non_null(fill);
    test_fill(fill, expected, 0);
    test_hash_bytes(fill, expected, wanted);
    test_hash_bytes(bytes, count, found);
    free(fill);
    assert_string_equal(found, wanted);
}
