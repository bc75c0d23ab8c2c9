/* SPDX-License-Identifier: MIT */
/* Where the body of an answer goes: memory or a file that the request names. */
#include "tester.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum gate { GO };

#define BODY_BYTES 300000u /* more than one piece, whatever the pieces are */
#define GUARD_BYTES 64u
#define GUARD 0x7e

static char *dir;

static int begin(void **state)
{
    int code = suite_begin_nginx(state);
    dir = test_dir_create();
    if (code == 0 && dir == NULL) {
        return -1;
    }
    return code != 0 || suite_nginx() == NULL
               ? code
               : nginx_add_file(suite_nginx(), "body", BODY_BYTES, NULL);
}

static int end(void **state)
{
    test_dir_remove(dir);
    return suite_end(state);
}

/* ---- sinks ---- */

/* Memory of @bytes bytes with a guard behind it. */
static uint8_t *guarded(struct tester *t, size_t bytes)
{
    uint8_t *memory = tester_alloc(t, bytes + GUARD_BYTES);
    memset(memory, GUARD, bytes + GUARD_BYTES);
    return memory;
}

static void assert_untouched(const uint8_t *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(memory[i], GUARD);
    }
}

static void assert_text(const void *bytes, size_t count)
{
    char *expected = malloc(count + 1);
    assert_non_null(expected);
    test_fill(expected, count, 0);
    assert_memory_equal(bytes, expected, count);
    free(expected);
}

/* A file that holds @bytes guards. */
static int guard_file(struct tester *t, size_t bytes, int flags)
{
    char *path = test_format("%s/file", dir);
    uint8_t *guards = guarded(t, bytes);
    assert_code(0, test_file_write(path, guards, bytes));
    int fd = open(path, flags | O_CLOEXEC);
    assert_true(fd >= 0);
    free(path);
    return fd;
}

/* What the file holds: @before guards, @count bytes of text, @after guards. */
static void assert_file(size_t before, size_t count, size_t after)
{
    size_t bytes;
    char *path = test_format("%s/file", dir);
    char *held = test_file_read(path, &bytes);
    assert_non_null(held);
    assert_int_equal(bytes, before + count + after);
    assert_untouched((uint8_t *)held, before);
    assert_text(held + before, count);
    assert_untouched((uint8_t *)held + before + count, after);
    free(held);
    free(path);
}

static void assert_gone_into(const struct result *r, int status, size_t bytes)
{
    assert_answer(r, status);
    assert_string_equal(r->order, "HD");
    assert_int_equal(r->info.body_bytes, bytes);
}

/* ---- servers ---- */

/* What the answers of a peer are like. */
struct answer {
    const char *before; /* what comes before the final head; NULL: nothing */
    int status;
    size_t bytes; /* of the body */
    size_t sent;  /* of those that come before the connection is cut; 0: all */
    bool chunked;
    bool waits; /* for the gate, in the middle of the body */
    const char *trailers;
};

static bool send_body(struct peer_conn *conn, const struct answer *answer)
{
    size_t count = answer->sent != 0 ? answer->sent : answer->bytes;
    char *body = malloc(answer->bytes + 1);
    test_fill(body, answer->bytes, 0);
    bool good = true;
    for (size_t at = 0; good && at < count;) {
        size_t piece = count - at < count / 2 + 1 ? count - at : count / 2 + 1;
        good = (!answer->chunked || peer_format(conn, "%zx\r\n", piece)) &&
               peer_send_bytes(conn, body + at, piece) &&
               (!answer->chunked || peer_send(conn, "\r\n"));
        at += piece;
        if (good && at < count && answer->waits) {
            good = peer_wait_gate(conn, GO);
        }
    }
    free(body);
    return good;
}

static void play(struct peer_conn *conn, int index, void *user)
{
    const struct answer *answer = user;
    (void)index;
    while (peer_read_request(conn)) {
        bool good = answer->before == NULL || peer_send(conn, answer->before);
        good = good && peer_format(conn, "HTTP/1.1 %d X\r\n", answer->status);
        good = good &&
               (answer->chunked ? peer_send(conn, "Transfer-Encoding: chunked\r\n\r\n")
                                : peer_format(conn, "Content-Length: %zu\r\n\r\n", answer->bytes));
        if (!good || !send_body(conn, answer)) {
            return;
        }
        if (answer->sent != 0) {
            peer_cut(conn);
            return;
        }
        if (answer->chunked &&
            !peer_format(conn, "0\r\n%s\r\n", answer->trailers != NULL ? answer->trailers : "")) {
            return;
        }
    }
}

static struct aioduct_request *ask(struct tester *t, const struct answer *answer)
{
    tester_client(t);
    tester_peer(t, play, (void *)(uintptr_t)answer);
    return tester_request(t, "GET", peer_url(t->peer, "/"));
}

/* Of the suite's nginx. */
static struct aioduct_request *ask_nginx(struct tester *t, bool h2, const char *path)
{
    tester_client(t);
    enum nginx_listener h1_at = tester_listener(t), h2_at = t->tls ? NGINX_TLS_HTTP2 : NGINX_HTTP2;
    struct aioduct_request *request =
        tester_request(t, "GET", nginx_url(t->nginx, h2 ? h2_at : h1_at, NULL, path));
    assert_code(0, aioduct_request_version(request,
                                           h2 ? AIODUCT_HTTP_2_PRIOR_KNOWLEDGE : AIODUCT_HTTP_1_1));
    return request;
}

/* ---- memory ---- */

static void into_memory(struct tester *t, struct aioduct_request *request)
{
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    struct result *r = tester_perform(t, request);
    assert_gone_into(r, 200, BODY_BYTES);
    assert_text(memory, BODY_BYTES);
    assert_untouched(memory + BODY_BYTES, GUARD_BYTES);
}

static void test_memory(void **state)
{
    into_memory(*state, ask_nginx(*state, false, "/body"));
}

static void test_memory_chunked(void **state)
{
    into_memory(*state, ask_nginx(*state, false, "/chunked/body"));
}

static void test_memory_h2(void **state)
{
    into_memory(*state, ask_nginx(*state, true, "/body"));
}

static void test_memory_local(void **state)
{
    struct tester *t = *state;
    t->options.binding = AIODUCT_BINDING_LOCAL;
    into_memory(t, ask_nginx(t, false, "/body"));
}

static void test_too_large_by_head(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = BODY_BYTES};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES - 1));
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "aioduct_request_into_memory"));
    assert_non_null(strstr(r->error.message, "299999"));
    assert_string_equal(r->order, "HD");
    assert_int_equal(r->info.body_bytes, 0);
    assert_untouched(memory, BODY_BYTES + GUARD_BYTES);
}

static void test_no_room(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = 18};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, 0);
    assert_code(0, aioduct_request_into_memory(request, memory, 0));
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "aioduct_request_into_memory"));
    assert_untouched(memory, GUARD_BYTES);
}

static void test_too_large_by_surplus(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = BODY_BYTES, .chunked = true};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES - 1));
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "aioduct_request_into_memory"));
    assert_true(r->error.partial);
    assert_int_equal(r->info.body_bytes, BODY_BYTES - 1);
    assert_text(memory, BODY_BYTES - 1);
    assert_untouched(memory + BODY_BYTES - 1, 1 + GUARD_BYTES);
}

static void test_smaller_maximum(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = 100};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, 99);
    assert_code(0, aioduct_request_into_memory(request, memory, 99));
    assert_code(0, aioduct_request_recv_bytes_max(request, 50));
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_LIMIT, AIODUCT_PHASE_BODY);
    assert_non_null(strstr(r->error.message, "aioduct_request_recv_bytes_max"));
    assert_untouched(memory, 99);
}

/* ---- files ---- */

static void test_file_at_offset(void **state)
{
    struct tester *t = *state;
    struct aioduct_request *request = ask_nginx(t, false, "/body");
    int fd = guard_file(t, BODY_BYTES + 30, O_RDWR);
    assert_code(0, aioduct_request_into_file(request, fd, 10));
    assert_gone_into(tester_perform(t, request), 200, BODY_BYTES);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    assert_file(10, BODY_BYTES, 20);
    close(fd);
}

static void test_file_at_position(void **state)
{
    struct tester *t = *state;
    struct aioduct_request *request = ask_nginx(t, false, "/chunked/body");
    int fd = guard_file(t, 10, O_WRONLY | O_APPEND);
    assert_code(0, aioduct_request_into_file(request, fd, AIODUCT_OFFSET_CURRENT));
    assert_gone_into(tester_perform(t, request), 200, BODY_BYTES);
    assert_file(10, BODY_BYTES, 0);
    close(fd);
}

static void test_file_h2(void **state)
{
    struct tester *t = *state;
    struct aioduct_request *request = ask_nginx(t, true, "/body");
    int fd = guard_file(t, 10, O_WRONLY);
    assert_code(0, aioduct_request_into_file(request, fd, 0));
    assert_gone_into(tester_perform(t, request), 200, BODY_BYTES);
    assert_file(0, BODY_BYTES, 0);
    close(fd);
}

/* The file becomes one that cannot be written. */
static void spoil(struct result *r, struct aioduct_exchange *exchange, char event)
{
    const int *fd = r->user;
    (void)exchange;
    if (event == 'H') {
        int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        dup2(other, *fd);
        close(other);
    }
}

static void test_file_fails(void **state)
{
    struct tester *t = *state;
    struct aioduct_request *request = ask_nginx(t, false, "/body");
    int fd = guard_file(t, 10, O_WRONLY);
    assert_code(0, aioduct_request_into_file(request, fd, AIODUCT_OFFSET_CURRENT));
    struct result *r = tester_result(t);
    r->on_event = spoil;
    r->user = &fd;
    tester_perform_into(t, request, r);
    assert_error(r, AIODUCT_E_SINK, AIODUCT_PHASE_BODY);
    assert_int_equal(r->error.os_code, EBADF);
    assert_int_equal(r->info.body_bytes, 0);
    assert_false(r->error.partial);
    assert_file(10, 0, 0);
    close(fd);
}

/* ---- which answers ---- */

static void test_other_statuses(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 404, .bytes = 100};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, 10);
    assert_code(0, aioduct_request_into_memory(request, memory, 10));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 404);
    assert_string_equal(r->order, "HBD");
    assert_int_equal(r->body_bytes, 100);
    assert_untouched(memory, 10 + GUARD_BYTES);
}

static void test_no_body(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    uint8_t *memory = guarded(t, 10);
    static const struct {
        const char *method, *path;
        int status;
    } rows[] = {{"HEAD", "/body", 200}, {"GET", "/status/204", 204}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct aioduct_request *request =
            tester_request(t, rows[i].method, tester_url(t, rows[i].path));
        assert_code(0, aioduct_request_into_memory(request, memory, 10));
        assert_gone_into(tester_perform(t, request), rows[i].status, 0);
        assert_untouched(memory, 10 + GUARD_BYTES);
    }
}

static void test_interim_and_trailers(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.before = "HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n",
                                         .status = 203,
                                         .bytes = BODY_BYTES,
                                         .chunked = true,
                                         .trailers = "Digest: abc\r\n"};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    struct result *r = tester_perform(t, request);
    assert_answer(r, 203);
    assert_string_equal(r->order, "IHTD");
    assert_string_equal(r->trailers, "Digest: abc\n");
    assert_text(memory, BODY_BYTES);
}

static void test_fetch(void **state)
{
    struct tester *t = *state;
    struct aioduct_response *response;
    struct aioduct_error error;
    size_t count;
    struct aioduct_request *request = ask_nginx(t, false, "/body");
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    assert_code(0, aioduct_client_fetch(t->client, request, &response, &error));
    assert_int_equal(aioduct_response_status(response), 200);
    aioduct_response_body(response, &count);
    assert_int_equal(count, 0);
    assert_int_equal(aioduct_response_info(response)->body_bytes, BODY_BYTES);
    assert_text(memory, BODY_BYTES);
    aioduct_response_destroy(response);
}

/* ---- while it comes ---- */

static void test_pause(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = BODY_BYTES};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    struct result *r = tester_result(t);
    r->pause_at = 'H';
    tester_submit_into(t, request, r);
    tester_turn_until(t, result_is_paused, r);
    tester_turn_a_little(t);
    assert_untouched(memory, BODY_BYTES);
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_gone_into(r, 200, BODY_BYTES);
    assert_text(memory, BODY_BYTES);
}

static void again(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        struct aioduct_request *request = r->user;
        struct result *next = tester_result(r->tester);
        next->user = r->user;
        r->user = next;
        if (tester_submit_code(r->tester, request, next) < 0) {
            r->user = NULL;
        }
    }
}

static void test_one_at_a_time(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = BODY_BYTES};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    struct result *r = tester_result(t);
    r->pause_at = 'H';
    r->on_event = again;
    r->user = request;
    tester_submit_into(t, request, r);
    tester_turn_until(t, result_is_paused, r);
    assert_code(-EBUSY, tester_submit_code(t, request, tester_result(t)));
    aioduct_exchange_resume(r->exchange);
    tester_run(t);
    assert_gone_into(r, 200, BODY_BYTES);
    assert_non_null(r->user); /* inside on_done it was free */
    assert_gone_into(r->user, 200, BODY_BYTES);
    assert_text(memory, BODY_BYTES);
}

struct half {
    const uint8_t *memory;
    size_t bytes;
};

static bool is_half_there(void *user)
{
    const struct half *half = user;
    return half->memory[half->bytes - 1] != GUARD;
}

static void test_cancel(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = BODY_BYTES, .waits = true};
    const char *workers = getenv("TEST_WORKERS");
    if (workers != NULL && atoi(workers) > 0) {
        tap_skip("how far it is cannot be seen from another thread");
    }
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, BODY_BYTES);
    struct half half = {memory, BODY_BYTES / 2 + 1};
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    struct result *r = tester_submit(t, request);
    tester_turn_until(t, is_half_there, &half);
    aioduct_exchange_cancel(r->exchange);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_error(r, -ECANCELED, AIODUCT_PHASE_BODY);
    assert_true(r->error.partial);
    assert_int_equal(r->info.body_bytes, half.bytes);
    tester_turn_a_little(t);
    assert_text(memory, half.bytes);
    assert_untouched(memory + half.bytes, BODY_BYTES - half.bytes);
}

static void test_broken_off(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = BODY_BYTES, .sent = 1000};
    struct aioduct_request *request = ask(t, &answer);
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY);
    assert_true(r->error.partial);
    assert_int_equal(r->info.body_bytes, 1000);
    assert_text(memory, 1000);
    assert_untouched(memory + 1000, BODY_BYTES - 1000);
}

/* The first connection answers once. */
static void play_stale(struct peer_conn *conn, int index, void *user)
{
    if (index > 0) {
        play(conn, index, user);
    } else if (peer_read_request(conn) && peer_answer(conn, 200, "", "first")) {
        peer_read_request(conn);
    }
}

static void test_sent_again(void **state)
{
    struct tester *t = *state;
    static const struct answer answer = {.status = 200, .bytes = BODY_BYTES};
    tester_client(t);
    tester_peer(t, play_stale, (void *)(uintptr_t)&answer);
    assert_answer(tester_get(t, peer_url(t->peer, "/")), 200);
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, "/"));
    uint8_t *memory = guarded(t, BODY_BYTES);
    assert_code(0, aioduct_request_into_memory(request, memory, BODY_BYTES));
    struct result *r = tester_perform(t, request);
    assert_gone_into(r, 200, BODY_BYTES);
    assert_int_equal(r->info.replays, 1);
    assert_text(memory, BODY_BYTES);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
    struct tester *t = *state;
    int pipes[2];
    uint8_t byte;
    struct aioduct_request *request = ask_nginx(t, false, "/body");
    int read_only = guard_file(t, 10, O_RDONLY), append = guard_file(t, 10, O_WRONLY | O_APPEND);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_code(-EINVAL, aioduct_request_into_memory(NULL, &byte, 1));
    assert_code(-EINVAL, aioduct_request_into_memory(request, NULL, 1));
    assert_code(-EINVAL, aioduct_request_into_file(NULL, append, 0));
    assert_code(-EINVAL, aioduct_request_into_file(request, append, 0));
    assert_code(-EINVAL, aioduct_request_into_file(request, append, -2));
    assert_code(-EINVAL, aioduct_request_into_file(request, read_only, 0));
    assert_code(-EINVAL, aioduct_request_into_file(request, pipes[1], AIODUCT_OFFSET_CURRENT));
    assert_code(-EBADF, aioduct_request_into_file(request, -1, 0));
    assert_int_equal(tester_perform(t, request)->body_bytes, BODY_BYTES); /* it has none */
    assert_code(-EBUSY, aioduct_request_into_memory(request, &byte, 1));
    assert_code(-EBUSY, aioduct_request_into_file(request, append, AIODUCT_OFFSET_CURRENT));
    close(read_only);
    close(append);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_not_raw(void **state)
{
    struct tester *t = *state;
    uint8_t byte;
    struct aioduct_request *request = ask_nginx(t, false, "/body");
    assert_code(0, aioduct_request_into_memory(request, &byte, 1));
    assert_code(0, aioduct_request_upgrade(request, "websocket"));
    assert_code(-EINVAL, tester_submit_code(t, request, tester_result(t)));
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        HTTP_CASES("a body goes into memory", test_memory),
        HTTP_CASES("a chunked body goes into memory", test_memory_chunked),
        HTTP_CASES("an HTTP/2 body goes into memory", test_memory_h2),
        HTTP_CASE("a client of one thread puts a body into memory", test_memory_local),
        HTTP_CASES("a body that is larger than the memory is refused at its head",
                   test_too_large_by_head),
        HTTP_CASES("no memory is named as what a body does not fit into", test_no_room),
        HTTP_CASES("a body that turns out larger than the memory fills it and fails",
                   test_too_large_by_surplus),
        HTTP_CASE("the smaller of two limits is named", test_smaller_maximum),
        HTTP_CASES("a body goes into a file at an offset", test_file_at_offset),
        HTTP_CASES("a chunked body goes into a file at its position", test_file_at_position),
        HTTP_CASES("an HTTP/2 body goes into a file", test_file_h2),
        HTTP_CASES("a file that cannot be written ends the exchange", test_file_fails),
        HTTP_CASE("the body of another status comes by on_body", test_other_statuses),
        HTTP_CASE("an answer without a body leaves the memory alone", test_no_body),
        HTTP_CASES("interim heads and trailers come as always", test_interim_and_trailers),
        HTTP_CASE("fetch gives a response without a body", test_fetch),
        HTTP_CASES("nothing is written during a pause", test_pause),
        HTTP_CASE("one exchange at a time writes there", test_one_at_a_time),
        HTTP_CASES("a cancelled exchange writes no more", test_cancel),
        HTTP_CASES("of a body that breaks off the memory has what came", test_broken_off),
        HTTP_CASES("a request that is sent again fills the memory once", test_sent_again),
        HTTP_CASE("what cannot take a body is refused", test_refused),
        HTTP_CASE("an exchange that may become raw is refused", test_not_raw),
    };
    return TAP_RUN(cases, begin, end);
}
