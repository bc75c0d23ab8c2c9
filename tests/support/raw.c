/* SPDX-License-Identifier: MIT */
#include "raw.h"

#include <string.h>

static void note(struct raw *r, char event)
{
    size_t n = strlen(r->order);
    if (n + 1 < sizeof r->order && (n == 0 || r->order[n - 1] != event || event != 'B')) {
        r->order[n] = event;
    }
}

/* ---- callbacks ---- */

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct raw *r = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    (void)aioduct_exchange_info(exchange, &info);
    pthread_mutex_lock(&r->lock);
    note(r, 'H');
    r->local_port = info.local_port;
    r->status = head->status;
    r->version = head->version;
    pthread_mutex_unlock(&r->lock);
    if (r->cancel_at_head) {
        aioduct_exchange_cancel(exchange);
    }
    if (r->pause_at_head) {
        aioduct_exchange_pause(exchange);
    }
    return 0;
}

static void take(struct raw *r, const char *bytes, size_t count)
{
    note(r, 'B');
    if (r->bytes < sizeof r->text - 1) {
        size_t room = sizeof r->text - 1 - r->bytes;
        memcpy(r->text + r->bytes, bytes, count < room ? count : room);
    }
    r->bytes += count;
    if (r->hash_bytes) {
        test_hash_add(&r->hash, bytes, count);
    }
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct raw *r = user;
    pthread_mutex_lock(&r->lock);
    if (count > 0) {
        take(r, bytes, count);
    } else {
        r->end_count++;
        note(r, 'E');
    }
    pthread_mutex_unlock(&r->lock);
    if (count == 0 && r->pause_at_end) {
        aioduct_exchange_pause(exchange);
    }
    return count > 0 && r->hold ? AIODUCT_HOLD : 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct raw *r = user;
    (void)exchange;
    pthread_mutex_lock(&r->lock);
    note(r, 'D');
    r->done_count++;
    r->error = *error;
    if (r->hash_bytes) {
        test_hash_end(&r->hash, r->sha256);
    }
    pthread_mutex_unlock(&r->lock);
}

/* ---- life ---- */

struct raw *raw_new(struct tester *t)
{
    struct raw *r = tester_alloc(t, sizeof *r);
    r->tester = t;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void raw_submit_into(struct aioduct_request *request, struct raw *r)
{
    struct aioduct_callbacks callbacks = {
        .size = sizeof callbacks, .on_head = on_head, .on_body = on_body, .on_done = on_done};
    if (r->hash_bytes) {
        test_hash_begin(&r->hash);
    }
    assert_code(0, aioduct_client_submit(r->tester->client, request, &callbacks, r, &r->exchange));
}

struct raw *raw_submit(struct tester *t, struct aioduct_request *request)
{
    struct raw *r = raw_new(t);
    raw_submit_into(request, r);
    return r;
}

/* ---- waiting ---- */

static bool has_head(void *user)
{
    struct raw *r = user;
    pthread_mutex_lock(&r->lock);
    bool has = r->status != 0;
    pthread_mutex_unlock(&r->lock);
    return has;
}

static bool has_text(void *user)
{
    struct raw *r = user;
    pthread_mutex_lock(&r->lock);
    bool has = strstr(r->text, r->awaited) != NULL;
    pthread_mutex_unlock(&r->lock);
    return has;
}

static bool has_end(void *user)
{
    struct raw *r = user;
    pthread_mutex_lock(&r->lock);
    bool has = r->end_count > 0;
    pthread_mutex_unlock(&r->lock);
    return has;
}

static bool is_done(void *user)
{
    struct raw *r = user;
    pthread_mutex_lock(&r->lock);
    bool done = r->done_count > 0;
    pthread_mutex_unlock(&r->lock);
    return done;
}

void raw_wait_head(struct raw *r)
{
    tester_turn_until(r->tester, has_head, r);
}

void raw_wait_text(struct raw *r, const char *text)
{
    r->awaited = text;
    tester_turn_until(r->tester, has_text, r);
}

void raw_wait_end(struct raw *r)
{
    tester_turn_until(r->tester, has_end, r);
}

void raw_wait_done(struct raw *r)
{
    tester_turn_until(r->tester, is_done, r);
}

bool raw_is_done(struct raw *r)
{
    return is_done(r);
}

void raw_assert_order(struct raw *r, const char *order)
{
    char now[sizeof r->order];
    pthread_mutex_lock(&r->lock);
    memcpy(now, r->order, sizeof now);
    pthread_mutex_unlock(&r->lock);
    assert_string_equal(now, order);
}

/* ---- verbs ---- */

/* With the lock it cannot end meanwhile. */
void raw_push(struct raw *r, const char *text)
{
    int64_t count = (int64_t)strlen(text);
    pthread_mutex_lock(&r->lock);
    int64_t taken =
        r->done_count > 0 ? count : aioduct_exchange_write(r->exchange, text, (size_t)count);
    pthread_mutex_unlock(&r->lock);
    assert_int_equal(taken, count);
}

void raw_push_end(struct raw *r)
{
    pthread_mutex_lock(&r->lock);
    int code = r->done_count > 0 ? 0 : aioduct_exchange_write_end(r->exchange);
    pthread_mutex_unlock(&r->lock);
    assert_code(0, code);
}

uint64_t raw_release(struct raw *r)
{
    pthread_mutex_lock(&r->lock);
    uint64_t held = r->bytes - r->released;
    r->released += held;
    int code = r->done_count > 0 ? 0 : aioduct_exchange_release(r->exchange, held);
    pthread_mutex_unlock(&r->lock);
    assert_code(0, code);
    return held;
}
