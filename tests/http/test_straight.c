/* SPDX-License-Identifier: MIT */
/* Large bodies that are received straight into the caller's memory: the right bytes, no others, and
 * none when the exchange is over. */
#include "tester.h"

#include <stdlib.h>
#include <string.h>

enum gate { GO, SENT };

#define MIB ((size_t)1 << 20)
#define GUARD_BYTES 4096u
#define GUARD 0x7e
#define BODY_BYTES (4 * MIB)
#define HALF_BYTES (MIB + 500001)

/* ---- memory ---- */

/* What the body goes into, and a guard behind it. */
static uint8_t *guarded(struct tester *t, size_t bytes)
{
    uint8_t *memory = tester_alloc(t, bytes + GUARD_BYTES);
    memset(memory, GUARD, bytes + GUARD_BYTES);
    return memory;
}

static void assert_untouched(const uint8_t *memory, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (memory[i] != GUARD) {
            fail_msg("byte %zu of %zu was written to", i, to);
        }
    }
}

static void assert_text(const uint8_t *memory, size_t count)
{
    static char expected[65536];
    for (size_t at = 0; at < count; at += sizeof expected) {
        size_t piece = count - at < sizeof expected ? count - at : sizeof expected;
        test_fill(expected, piece, at);
        if (memcmp(memory + at, expected, piece) != 0) {
            fail_msg("the bytes from %zu on are not the body's", at);
        }
    }
}

/* ---- the server ---- */

struct answer {
    size_t bytes; /* of the body */
    size_t first; /* so many come before the gate opens; 0: it does not wait */
    void (*end)(struct peer_conn *conn); /* instead of the rest */
    const char *surplus;                 /* in one piece with the body's end */
};

static bool send_range(struct peer_conn *conn, size_t from, size_t to, const char *surplus)
{
    static _Thread_local char block[65536 + 100];
    for (size_t at = from; at < to;) {
        size_t piece = to - at < 65536 ? to - at : 65536;
        test_fill(block, piece, at);
        at += piece;
        if (at == to && surplus != NULL) {
            memcpy(block + piece, surplus, strlen(surplus));
            piece += strlen(surplus);
        }
        if (!peer_send_bytes(conn, block, piece)) {
            return false;
        }
    }
    return true;
}

static void play(struct peer_conn *conn, int index, void *user)
{
    const struct answer *answer = user;
    (void)index;
    while (peer_read_request(conn)) {
        if (strstr(peer_last_request(conn)->head, " /small ") != NULL) {
            if (!peer_answer(conn, 200, "", "small")) {
                return;
            }
            continue;
        }
        if (!peer_format(conn, "HTTP/1.1 200 X\r\nContent-Length: %zu\r\n\r\n", answer->bytes) ||
            !send_range(conn, 0, answer->first, NULL)) {
            return;
        }
        if (answer->end != NULL) {
            answer->end(conn);
            return;
        }
        if ((answer->first != 0 && !peer_wait_gate(conn, GO)) ||
            !send_range(conn, answer->first, answer->bytes, answer->surplus)) {
            return;
        }
        if (answer->surplus != NULL) {
            peer_open(peer_of(conn), SENT);
        }
    }
}

/* ---- clients ---- */

static struct aioduct_request *ask(struct tester *t, const struct answer *answer, uint8_t *memory,
                                   size_t room)
{
    if (t->client == NULL) {
        tester_client(t);
    }
    if (t->peer == NULL) {
        tester_peer(t, play, (void *)(uintptr_t)answer);
    }
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_into_memory(request, memory, room));
    return request;
}

static void assert_whole(const struct result *r, const uint8_t *memory, size_t bytes)
{
    assert_answer(r, 200);
    assert_string_equal(r->order, "HD");
    assert_int_equal(r->info.body_bytes, bytes);
    assert_text(memory, bytes);
}

static void assert_small(struct tester *t, int reused)
{
    struct result *r = tester_get(t, peer_url(t->peer, "/small"));
    assert_answer(r, 200);
    assert_string_equal(r->body, "small");
    assert_int_equal(r->info.reused, reused);
}

/* How far it is can be seen where nobody writes meanwhile: on the client's own thread. */
static void need_own_thread(void)
{
    const char *workers = getenv("TEST_WORKERS");
    if (workers != NULL && atoi(workers) > 0) {
        tap_skip("how far it is cannot be seen from another thread");
    }
}

static bool half_is_there(void *user)
{
    const uint8_t *memory = user;
    return memory[HALF_BYTES - 1] != GUARD;
}

/* The memory is the program's again: what it puts there stays. */
static void take_back(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        memset(r->user, GUARD, BODY_BYTES + GUARD_BYTES);
    }
}

/* One that stands at half of its body. */
static struct result *start_half(struct tester *t, const struct answer *answer, uint8_t *memory)
{
    struct aioduct_request *request = ask(t, answer, memory, BODY_BYTES);
    struct result *r = tester_result(t);
    r->on_event = take_back;
    r->user = memory;
    tester_submit_into(t, request, r);
    tester_turn_until(t, half_is_there, memory);
    return r;
}

static const struct answer waits_at_half = {.bytes = BODY_BYTES, .first = HALF_BYTES};

/* ---- whole bodies ---- */

static void test_sizes(void **state)
{
    struct tester *t = *state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000, MIB, 3 * MIB + 7, BODY_BYTES};
    struct answer *answer = tester_alloc(t, sizeof *answer);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        answer->bytes = sizes[i];
        uint8_t *memory = guarded(t, sizes[i] + 1);
        struct result *r = tester_perform(t, ask(t, answer, memory, sizes[i] + (i % 2)));
        assert_whole(r, memory, sizes[i]);
        assert_untouched(memory, sizes[i], sizes[i] + 1 + GUARD_BYTES);
        assert_small(t, 1);
    }
    assert_int_equal(peer_connections(t->peer), 1);
}

static void test_large(void **state)
{
    struct tester *t = *state;
    struct answer *answer = tester_alloc(t, sizeof *answer);
    answer->bytes = test_is_slow_build() ? 8 * MIB : 100 * MIB;
    uint8_t *memory = guarded(t, answer->bytes);
    struct aioduct_request *request = ask(t, answer, memory, answer->bytes);
    for (int i = 0; i < 2; i++) {
        memset(memory, GUARD, answer->bytes);
        assert_whole(tester_perform(t, request), memory, answer->bytes);
    }
    assert_untouched(memory, answer->bytes, answer->bytes + GUARD_BYTES);
}

static void test_surplus(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.bytes = 3 * MIB, .surplus = "HTTP/1.1 200 X\r\n\r\nmore"};
    uint8_t *memory = guarded(t, 4 * MIB);
    struct result *r = tester_perform(t, ask(t, &answer, memory, 4 * MIB));
    assert_whole(r, memory, 3 * MIB);
    assert_untouched(memory, 3 * MIB, 4 * MIB + GUARD_BYTES);
    assert_small(t, 0); /* what comes unasked ends the connection */
}

/* The next one is asked for as soon as that is possible. */
static void ask_small(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        struct result *next = tester_result(r->tester);
        r->user = next;
        assert_code(0, tester_submit_code(
                           r->tester,
                           tester_request(r->tester, "GET", peer_url(r->tester->peer, "/small")),
                           next));
    }
}

static bool most_is_there(void *user)
{
    const uint8_t *memory = user;
    return memory[BODY_BYTES - 70000 - 1] != GUARD;
}

/* What is in the socket behind the body when that ends: nobody takes it for the next answer. */
static void test_surplus_and_next(void **state)
{
    struct tester *t = *state;
    need_own_thread();
    static const struct answer answer = {.bytes = BODY_BYTES,
                                         .first = BODY_BYTES - 70000,
                                         .surplus =
                                             "HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\nevil"};
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct aioduct_request *request = ask(t, &answer, memory, BODY_BYTES);
    struct result *r = tester_result(t);
    r->on_event = ask_small;
    tester_submit_into(t, request, r);
    tester_turn_until(t, most_is_there, memory);
    peer_open(t->peer, GO);
    assert_true(peer_wait_open(t->peer, SENT));
    tester_run(t);
    assert_whole(r, memory, BODY_BYTES);
    const struct result *next = r->user;
    assert_answer(next, 200);
    assert_string_equal(next->body, "small");
    assert_int_equal(next->info.reused, 0);
}

static void test_rate(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.bytes = 2 * MIB};
    uint8_t *memory = guarded(t, 2 * MIB);
    struct aioduct_request *request = ask(t, &answer, memory, 2 * MIB);
    assert_code(0, aioduct_request_recv_rate_max(request, 8 * (int64_t)MIB));
    assert_whole(tester_perform(t, request), memory, 2 * MIB);
}

static void test_many_at_once(void **state)
{
    enum { COUNT = 8 };
    struct tester *t = *state;
    static const struct answer answer = {.bytes = 4 * MIB};
    uint8_t *memory[COUNT];
    struct result *results[COUNT];
    for (int i = 0; i < COUNT; i++) {
        memory[i] = guarded(t, 4 * MIB);
        results[i] = tester_submit(t, ask(t, &answer, memory[i], 4 * MIB));
    }
    tester_run(t);
    for (int i = 0; i < COUNT; i++) {
        assert_whole(results[i], memory[i], 4 * MIB);
        assert_untouched(memory[i], 4 * MIB, 4 * MIB + GUARD_BYTES);
    }
}

/* ---- bodies that are held up, or end early ---- */

static void test_pause(void **state)
{
    struct tester *t = *state;
    need_own_thread();
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct aioduct_request *request = ask(t, &waits_at_half, memory, BODY_BYTES);
    struct result *r = tester_submit(t, request);
    tester_turn_until(t, half_is_there, memory);
    aioduct_exchange_pause(r->exchange);
    tester_turn_a_little(t);
    peer_open(t->peer, GO);
    tester_turn_a_little(t);
    tester_turn_a_little(t);
    assert_untouched(memory, HALF_BYTES, BODY_BYTES + GUARD_BYTES);
    for (int i = 0; i < 3; i++) {
        aioduct_exchange_resume(r->exchange);
        tester_turn(t, 1);
        if (r->exchange != NULL) {
            aioduct_exchange_pause(r->exchange);
            tester_turn(t, 1);
        }
    }
    if (r->exchange != NULL) {
        aioduct_exchange_resume(r->exchange);
    }
    tester_run(t);
    assert_whole(r, memory, BODY_BYTES);
    assert_untouched(memory, BODY_BYTES, BODY_BYTES + GUARD_BYTES);
    assert_small(t, 1);
}

/* The connection is closed with what nobody wants. */
static void test_cancel(void **state)
{
    struct tester *t = *state;
    need_own_thread();
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct result *r = start_half(t, &waits_at_half, memory);
    aioduct_exchange_cancel(r->exchange);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_error(r, -ECANCELED, AIODUCT_PHASE_BODY);
    assert_int_equal(r->info.body_bytes, HALF_BYTES);
    tester_turn_a_little(t);
    assert_small(t, 0);
    assert_untouched(memory, 0, BODY_BYTES + GUARD_BYTES);
}

/* It is kept, and the rest is read and dropped. */
static void test_cancel_and_drain(void **state)
{
    struct tester *t = *state;
    need_own_thread();
    t->options.drain_bytes_max = (int)BODY_BYTES;
    t->options.connections_per_origin_max = 1;
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct result *r = start_half(t, &waits_at_half, memory);
    aioduct_exchange_cancel(r->exchange);
    tester_turn_until(t, result_is_done, r);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_error(r, -ECANCELED, AIODUCT_PHASE_BODY);
    assert_answer(tester_get(t, peer_url(t->peer, "/small")), 200); /* behind it */
    assert_untouched(memory, 0, BODY_BYTES + GUARD_BYTES);
}

/* Wherever it strikes. */
static void test_deadline(void **state)
{
    struct tester *t = *state;
    t->options.read_gap_timeout_ms = 300;
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct aioduct_request *request = ask(t, &waits_at_half, memory, BODY_BYTES);
    struct result *r = tester_result(t);
    r->on_event = take_back;
    r->user = memory;
    tester_submit_into(t, request, r);
    tester_turn_until(t, result_is_done, r);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_error(r, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_BODY);
    tester_turn_a_little(t);
    assert_untouched(memory, 0, BODY_BYTES + GUARD_BYTES);
}

static void test_client_goes(void **state)
{
    struct tester *t = *state;
    need_own_thread();
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct result *r = start_half(t, &waits_at_half, memory);
    peer_open(t->peer, GO);
    tester_destroy(t);
    assert_code(AIODUCT_E_CLIENT_CLOSED, r->code);
    assert_untouched(memory, 0, BODY_BYTES + GUARD_BYTES);
}

static void test_broken_off(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.bytes = BODY_BYTES, .first = HALF_BYTES, .end = peer_cut};
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct result *r = tester_perform(t, ask(t, &answer, memory, BODY_BYTES));
    assert_error(r, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY);
    assert_int_equal(r->info.body_bytes, HALF_BYTES);
    assert_text(memory, HALF_BYTES);
    assert_untouched(memory, HALF_BYTES, BODY_BYTES + GUARD_BYTES);
}

static void test_reset(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {
        .bytes = BODY_BYTES, .first = HALF_BYTES, .end = peer_reset};
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct result *r = tester_perform(t, ask(t, &answer, memory, BODY_BYTES));
    assert_true(r->code < 0);
    assert_true(r->info.body_bytes <= HALF_BYTES);
    assert_text(memory, r->info.body_bytes);
    assert_untouched(memory, HALF_BYTES, BODY_BYTES + GUARD_BYTES);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("bodies of all sizes fill their memory, and no more", test_sizes),
        HTTP_CASE("a body of 100 MiB fills its memory, twice", test_large),
        HTTP_CASES("what comes behind a body is not put into its memory", test_surplus),
        HTTP_CASE("C12: nor is it the next answer", test_surplus_and_next),
        HTTP_CASE("a body at a rate fills its memory", test_rate),
        HTTP_CASE("eight bodies at once each fill their own", test_many_at_once),
        HTTP_CASES("a body that is paused in the middle waits, and is whole", test_pause),
        HTTP_CASE("after a cancel the memory is the program's", test_cancel),
        HTTP_CASE("and also while the rest is read and dropped", test_cancel_and_drain),
        HTTP_CASE("after a deadline the memory is the program's", test_deadline),
        HTTP_CASE("after the client's end the memory is the program's", test_client_goes),
        HTTP_CASE("of a body that breaks off the memory has what came", test_broken_off),
        HTTP_CASE("of one that a reset ends too", test_reset),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
