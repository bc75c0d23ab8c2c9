/* SPDX-License-Identifier: MIT */
/* Bodies from files, and bodies that are written while the exchange runs. */
#include "source.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum gate { GO };

static void play_accept(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "taken");
    }
}

static void assert_body(struct tester *t, int request, uint64_t bytes)
{
    const struct peer_request *got = peer_request(t->peer, request);
    assert_non_null(got);
    assert_source_bytes(got->body, got->body_bytes, bytes);
}

static void assert_length_field(struct tester *t, int request, const char *expected)
{
    char value[32] = "";
    assert_true(peer_request_field(peer_request(t->peer, request),
                                   expected != NULL ? "Content-Length" : "Transfer-Encoding", value,
                                   sizeof value));
    assert_string_equal(value, expected != NULL ? expected : "chunked");
}

/* ---- files ---- */

#define BEFORE 1000
#define FILE_BYTES 300000

/* A file without a name: BEFORE bytes of something else, then test_fill's. */
static int make_file(struct tester *t)
{
    char *bytes = tester_alloc(t, BEFORE + FILE_BYTES);
    char name[] = "/tmp/aioduct-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    memset(bytes, 'x', BEFORE);
    test_fill(bytes + BEFORE, FILE_BYTES, 0);
    assert_int_equal(write(fd, bytes, BEFORE + FILE_BYTES), BEFORE + FILE_BYTES);
    return fd;
}

static struct aioduct_request *file_request(struct tester *t, int fd, int64_t length)
{
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    assert_code(0, aioduct_request_body_file(request, fd, BEFORE, length));
    return request;
}

static void test_file(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    int fd = make_file(t);
    assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
    struct aioduct_request *all = file_request(t, fd, AIODUCT_LENGTH_UNKNOWN);
    assert_answer(tester_perform(t, all), 200);
    assert_body(t, 0, FILE_BYTES);
    assert_length_field(t, 0, "300000");
    assert_answer(tester_perform(t, file_request(t, fd, 100)), 200);
    assert_body(t, 1, 100);
    assert_answer(tester_perform(t, file_request(t, fd, 0)), 200);
    assert_length_field(t, 2, "0");
    /* Many times at once: each reads for itself. */
    struct result *first = tester_submit(t, all), *second = tester_submit(t, all);
    tester_run(t);
    assert_answer(first, 200);
    assert_answer(second, 200);
    assert_body(t, 3, FILE_BYTES);
    assert_body(t, 4, FILE_BYTES);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 7);
    close(fd);
}

static void test_file_refused(void **state)
{
    struct tester *t = *state;
    struct aioduct_request *request = tester_request(t, "PUT", "http://localhost/");
    int fd = make_file(t), ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_code(-EINVAL, aioduct_request_body_file(request, ends[0], 0, 1));
    assert_code(-EBADF, aioduct_request_body_file(request, -1, 0, 1));
    assert_code(-EINVAL, aioduct_request_body_file(request, fd, -1, 1));
    assert_code(-EINVAL, aioduct_request_body_file(request, fd, 0, -2));
    assert_code(-EINVAL, aioduct_request_body_file(request, fd, BEFORE, FILE_BYTES + 1));
    assert_code(-EINVAL, aioduct_request_body_file(request, fd, BEFORE + FILE_BYTES + 1, 0));
    assert_code(0, aioduct_request_body_file(request, fd, BEFORE, FILE_BYTES));
    close(ends[0]);
    close(ends[1]);
    close(fd);
}

static void play_count(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    if (peer_read_head(conn)) {
        peer_read_end(conn, user);
    }
}

static void test_file_shrinks(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_count, tester_alloc(t, sizeof(uint64_t)));
    int fd = make_file(t);
    struct aioduct_request *request = file_request(t, fd, FILE_BYTES);
    assert_int_equal(ftruncate(fd, BEFORE + 1000), 0);
    struct result *r = tester_perform(t, request);
    assert_error(r, AIODUCT_E_BODY_LENGTH, AIODUCT_PHASE_SEND);
    assert_int_equal(peer_wait_ended(t->peer, 1), 1);
    close(fd);
}

static void test_file_cannot_be_read(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_count, tester_alloc(t, sizeof(uint64_t)));
    char name[] = "/tmp/aioduct-test-XXXXXX";
    int fd = mkstemp(name), blind = open(name, O_WRONLY);
    assert_true(fd >= 0 && blind >= 0);
    unlink(name);
    assert_int_equal(ftruncate(fd, BEFORE + 10), 0);
    struct result *r = tester_perform(t, file_request(t, blind, 10));
    assert_error(r, AIODUCT_E_BODY_SOURCE, AIODUCT_PHASE_SEND);
    assert_int_equal(r->error.os_code, EBADF);
    close(fd);
    close(blind);
}

/* ---- pushed ---- */

#define PUSH_BYTES_MAX (128 * 1024)

struct writer {
    struct aioduct_exchange *exchange;
    uint64_t at, bytes;
    int writable_count;
    int64_t last;
};

/* As much as is taken; the end behind the last byte. */
static void write_on(struct writer *w)
{
    char piece[50000];
    w->last = 1;
    while (w->at < w->bytes && w->last > 0) {
        uint64_t left = w->bytes - w->at;
        size_t count = left < sizeof piece ? (size_t)left : sizeof piece;
        test_fill(piece, count, w->at);
        w->last = aioduct_exchange_write(w->exchange, piece, count);
        w->at += w->last > 0 ? (uint64_t)w->last : 0;
    }
    if (w->at == w->bytes) {
        assert_code(0, aioduct_exchange_write_end(w->exchange));
        assert_code(-EINVAL, aioduct_exchange_write_end(w->exchange));
        assert_int_equal(aioduct_exchange_write(w->exchange, "x", 1), -EINVAL);
    }
}

static void on_writable(struct aioduct_exchange *exchange, void *user)
{
    struct writer *w = user;
    (void)exchange;
    w->writable_count++;
    write_on(w);
}

struct pushed {
    struct writer w; /* first: the callbacks' user */
    int status, done_count;
    struct aioduct_error error;
};

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    ((struct pushed *)user)->status = head->status;
    return 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct pushed *p = user;
    (void)exchange;
    p->error = *error;
    p->done_count++;
}

static struct pushed *push(struct tester *t, uint64_t bytes, int64_t declared)
{
    struct aioduct_callbacks callbacks = {.size = sizeof callbacks,
                                          .on_head = on_head,
                                          .on_done = on_done,
                                          .on_writable = on_writable};
    struct pushed *p = tester_alloc(t, sizeof *p);
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    p->w.bytes = bytes;
    assert_code(0, aioduct_request_body_push(request, declared));
    assert_code(0, aioduct_client_submit(t->client, request, &callbacks, p, &p->w.exchange));
    return p;
}

static void pushed_whole(struct tester *t, uint64_t bytes, int64_t declared)
{
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct pushed *p = push(t, bytes, declared);
    write_on(&p->w);
    assert_true(p->w.at <= PUSH_BYTES_MAX);
    tester_run(t);
    assert_code(0, p->error.code);
    assert_int_equal(p->status, 200);
    assert_int_equal(p->w.writable_count > 0, bytes > PUSH_BYTES_MAX);
    assert_body(t, 0, bytes);
    assert_length_field(t, 0, declared < 0 ? NULL : "3000000");
}

static void test_push_chunked(void **state)
{
    pushed_whole(*state, 3000000, AIODUCT_LENGTH_UNKNOWN);
}

static void test_push_with_length(void **state)
{
    pushed_whole(*state, 3000000, 3000000);
}

static void test_push_small(void **state)
{
    pushed_whole(*state, 10, AIODUCT_LENGTH_UNKNOWN);
}

static void test_push_wrong_length(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_count, tester_alloc(t, sizeof(uint64_t)));
    struct pushed *p = push(t, 99, 100);
    write_on(&p->w);
    tester_run(t);
    assert_code(AIODUCT_E_BODY_LENGTH, p->error.code);
}

static void play_reads_nothing(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn) && peer_wait_gate(conn, GO) && peer_read_body(conn)) {
        peer_answer(conn, 200, "", "");
    }
}

static void test_push_is_bounded(void **state)
{
    struct tester *t = *state;
    t->options.socket.send_buffer_bytes = 16384;
    tester_client(t);
    struct peer_options options = {.play = play_reads_nothing, .receive_buffer = 16384};
    tester_peer_with(t, &options);
    struct pushed *p = push(t, 32u << 20, AIODUCT_LENGTH_UNKNOWN);
    write_on(&p->w);
    assert_int_equal(p->w.at, PUSH_BYTES_MAX);
    for (int i = 0; i < 20; i++) {
        tester_turn(t, 5);
    }
    assert_true(p->w.at < 4u << 20); /* what the system holds, and no more */
    aioduct_exchange_cancel(p->w.exchange);
    tester_run(t);
    assert_code(-ECANCELED, p->error.code);
    peer_open(t->peer, GO);
}

static void play_refuse(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    if (peer_read_head(conn)) {
        peer_format(conn, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n");
        if (peer_wait_gate(conn, GO)) {
            peer_send(conn, "no");
            peer_read_end(conn, NULL);
        }
    }
}

static bool has_status(void *user)
{
    return ((struct pushed *)user)->status != 0;
}

static void test_push_refused(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_refuse, NULL);
    struct pushed *p = push(t, 1000, AIODUCT_LENGTH_UNKNOWN);
    assert_int_equal(aioduct_exchange_write(p->w.exchange, "abc", 3), 3);
    tester_turn_until(t, has_status, p);
    assert_int_equal(aioduct_exchange_write(p->w.exchange, "def", 3), -EPIPE);
    peer_open(t->peer, GO);
    tester_run(t);
    assert_code(0, p->error.code);
    assert_int_equal(p->status, 403);
}

static void test_not_pushed(void **state)
{
    struct tester *t = *state;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct result *r = tester_submit(t, tester_request(t, "GET", peer_url(t->peer, "/")));
    assert_int_equal(aioduct_exchange_write(r->exchange, "x", 1), -EINVAL);
    assert_code(-EINVAL, aioduct_exchange_write_end(r->exchange));
    assert_int_equal(aioduct_exchange_write(NULL, "x", 1), -EINVAL);
    tester_run(t);
    assert_answer(r, 200);
}

/* ---- pushed from another thread ---- */

struct shared {
    struct pushed p;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool room, done;
};

static void on_shared_writable(struct aioduct_exchange *exchange, void *user)
{
    struct shared *s = user;
    (void)exchange;
    pthread_mutex_lock(&s->lock);
    s->room = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_shared_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                           void *user)
{
    struct shared *s = user;
    on_done(exchange, error, user);
    pthread_mutex_lock(&s->lock);
    s->done = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void wait_for(struct shared *s, const bool *flag)
{
    pthread_mutex_lock(&s->lock);
    while (!*flag && !s->done) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    s->room = false;
    pthread_mutex_unlock(&s->lock);
}

static void test_push_from_a_thread(void **state)
{
    struct tester *t = *state;
    t->options.workers = 1;
    tester_client(t);
    tester_peer(t, play_accept, NULL);
    struct shared *s = tester_alloc(t, sizeof *s);
    struct aioduct_callbacks callbacks = {.size = sizeof callbacks,
                                          .on_head = on_head,
                                          .on_done = on_shared_done,
                                          .on_writable = on_shared_writable};
    struct aioduct_request *request = tester_request(t, "PUT", peer_url(t->peer, "/"));
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->p.w.bytes = 3000000;
    assert_code(0, aioduct_request_body_push(request, AIODUCT_LENGTH_UNKNOWN));
    assert_code(0, aioduct_client_submit(t->client, request, &callbacks, s, &s->p.w.exchange));
    for (;;) {
        write_on(&s->p.w);
        if (s->p.w.at == s->p.w.bytes) {
            break;
        }
        wait_for(s, &s->room);
        assert_false(s->done);
    }
    wait_for(s, &s->done);
    assert_code(0, s->p.error.code);
    assert_int_equal(s->p.status, 200);
    assert_body(t, 0, 3000000);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("a range of a file is a body, as often as one likes", test_file),
        HTTP_CASE("what is no regular file, or too short, is refused", test_file_refused),
        HTTP_CASE("C20: a file that has become shorter fails", test_file_shrinks),
        HTTP_CASE("a file that cannot be read ends the exchange", test_file_cannot_be_read),
        HTTP_CASES("a body is pushed in chunks", test_push_chunked),
        HTTP_CASES("a body of known length is pushed", test_push_with_length),
        HTTP_CASE("a small body is pushed", test_push_small),
        HTTP_CASE("C20: a pushed body that is too short fails", test_push_wrong_length),
        HTTP_CASES("what is pushed and not sent is bounded", test_push_is_bounded),
        HTTP_CASES("C14: nothing more is taken for a body that was refused", test_push_refused),
        HTTP_CASE("only a pushed body is written", test_not_pushed),
        HTTP_CASES("a body is pushed from another thread", test_push_from_a_thread),
    };
    return TAP_RUN(cases, suite_begin, suite_end);
}
