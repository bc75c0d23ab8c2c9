/* SPDX-License-Identifier: MIT */
/* What is not there: memory, descriptors. Each allocation fails in turn until the call makes it
 * without one that failed. */
#include "case.h"
#include "proc.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NTH_MAX = 200 };

/* Did the last call reach the allocation that was to fail? */
static bool disarm(struct ct_rig *rig)
{
    bool reached = rig->fail_in == 0;
    rig->fail_in = 0;
    return reached;
}

static void open_fails_cleanly_at_each_allocation(struct ct_case *c)
{
    for (int nth = 1; nth < NTH_MAX; nth++) {
        unsigned fds = ct_fd_count();
        c->rig.fail_in = nth;
        int code = ct_rig_open(&c->rig);
        if (!disarm(&c->rig)) {
            assert_int_equal(code, 0);
            return;
        }
        /* An allocation that a runtime can do without need not fail the open. */
        assert_true(code == -ENOMEM || code == 0);
        ct_rig_close(&c->rig);
        ct_check(&c->rig);
        assert_int_equal(ct_fd_count(), fds);
        assert_int_equal(c->rig.live_blocks, 0);
    }
    ct_fail("open allocates more than %d times", NTH_MAX);
}

static void connect_fails_cleanly_at_each_allocation(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    for (int nth = 1; nth < NTH_MAX; nth++) {
        unsigned fds = ct_fd_count();
        struct ct_stream *stream = ct_stream_new(&c->rig);
        c->rig.fail_in = nth;
        int code = ct_dial_result(c, stream, &config);
        bool reached = disarm(&c->rig);
        if (stream->dialled) {
            ct_close_and_wait(stream);
        }
        if (!reached) {
            assert_int_equal(code, 0);
            return;
        }
        assert_true(code == -ENOMEM || code == 0);
        assert_int_equal(ct_fd_count(), fds);
        if (code == 0) {
            close(ct_accept(&c->listener));
        }
    }
    ct_fail("connect allocates more than %d times", NTH_MAX);
}

/* What was refused was not written, not even in part. */
static void a_send_fails_cleanly_at_each_allocation(struct ct_case *c)
{
    enum { BYTES = 3 << 20, PIECES = 2000 };
    static uint8_t bytes[BYTES];
    static struct iovec pieces[PIECES];
    ct_pattern_fill(bytes, BYTES, 90, 0);
    for (unsigned i = 0; i < PIECES; i++) {
        size_t from = (size_t)BYTES / PIECES * i;
        size_t to = i + 1 < PIECES ? (size_t)BYTES / PIECES * (i + 1) : BYTES;
        pieces[i] = (struct iovec){bytes + from, to - from};
    }
    for (int nth = 1; nth < NTH_MAX; nth++) {
        int fd;
        struct ct_stream *stream = ct_dial(c, &fd);
        struct ct_peer *peer = ct_start(c, ct_peer_sink, fd, 90, 0);
        c->rig.fail_in = nth;
        int code = ct_send(stream, pieces, PIECES);
        if (code == AIODUCT_PENDING) {
            CT_UNTIL(&c->rig, ct_is_send_done, stream);
        }
        bool reached = disarm(&c->rig);
        ct_close_and_wait(stream);
        ct_peer_join(peer);
        ct_drop_fd(c, fd);
        /* Refused: nothing. Failed later: what the count says. */
        assert_int_equal(peer->bytes, stream->taken);
        assert_int_equal(peer->code, 0);
        if (code < 0) {
            assert_int_equal(code, -ENOMEM);
            assert_int_equal(peer->bytes, 0);
        }
        if (!reached) {
            assert_int_equal(peer->bytes, BYTES);
            return;
        }
    }
    ct_fail("send allocates more than %d times", NTH_MAX);
}

static bool has_fired(void *arg)
{
    return ((struct ct_timer *)arg)->fires > 0;
}

static int ready_at_once(struct ct_task *task)
{
    (void)task;
    return 1;
}

/* One that was refused never fires, one that was accepted does. */
static void sleep_and_spawn_fail_cleanly_at_each_allocation(struct ct_case *c)
{
    enum { COUNT = 600 };
    static struct ct_timer *timers[COUNT];
    static struct ct_task *tasks[COUNT];
    static int codes[2][COUNT];
    /* As many as make whatever holds them grow several times; every fifth allocation fails. */
    for (int i = 0; i < COUNT; i++) {
        timers[i] = ct_timer_new(&c->rig, NULL, NULL);
        tasks[i] = ct_task_new(&c->rig, ready_at_once, NULL);
        c->rig.fail_in = 1 + i % 5;
        codes[0][i] = ct_sleep(timers[i], ct_now(&c->rig) + 1000000);
        codes[1][i] = ct_spawn(tasks[i]);
        assert_true(codes[0][i] == 0 || codes[0][i] == -ENOMEM);
        assert_true(codes[1][i] == 0 || codes[1][i] == -ENOMEM);
    }
    c->rig.fail_in = 0;
    struct ct_timer *last = ct_timer_new(&c->rig, NULL, NULL);
    assert_int_equal(ct_sleep(last, ct_now(&c->rig) + 5000000), 0);
    CT_UNTIL(&c->rig, has_fired, last);
    ct_run_for(&c->rig, 2);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(timers[i]->fires, codes[0][i] == 0);
        assert_int_equal(tasks[i]->runs, codes[1][i] == 0);
    }
}

static void receiving_survives_each_failed_allocation(struct ct_case *c)
{
    for (int nth = 1; nth < NTH_MAX; nth++) {
        int fd;
        struct ct_stream *stream = ct_dial(c, &fd);
        stream->seed = 91;
        assert_int_equal(ct_write_pattern(fd, 91, 40000), 0);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        c->rig.fail_in = nth;
        int code = ct_recv_start(stream);
        if (code == 0) {
            CT_UNTIL(&c->rig, ct_is_recv_done, stream);
            code = stream->recv.code;
        }
        bool reached = disarm(&c->rig);
        assert_true(code == 0 || (reached && (code == -ENOMEM || code == -ENOBUFS)));
        if (code == 0) {
            assert_int_equal(stream->received, 40000);
        }
        ct_close_and_wait(stream);
        ct_drop_fd(c, fd);
        if (!reached) {
            return;
        }
    }
    ct_fail("a receive allocates more than %d times", NTH_MAX);
}

/* ---- descriptors ---- */

static rlim_t limit_to(rlim_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = count;
    setrlimit(RLIMIT_NOFILE, &limit);
    return before;
}

static void a_connect_without_a_free_descriptor_is_an_error(struct ct_case *c)
{
    struct aioduct_socket_config config;
    ct_config(&config, &c->listener);
    struct ct_stream *before = ct_dial(c, NULL);
    ct_blame("CX-10");
    int next = dup(0); /* the lowest that is free */
    assert_true(next >= 0);
    close(next);
    rlim_t usual = limit_to((rlim_t)next);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    int code = ct_connect(stream, &config);
    if (code == AIODUCT_PENDING) {
        ct_run_for(&c->rig, 50);
        code = stream->connect.in_flight ? AIODUCT_PENDING : stream->connect.code;
    }
    limit_to(usual);
    if (code == 0) {
        ct_skip("the runtime's sockets are not in the table of descriptors");
    }
    assert_int_equal(code, -EMFILE);
    if (stream->dialled) {
        ct_close_and_wait(stream);
    }
    /* It works again, and the stream that was there has not noticed. */
    struct ct_stream *after = ct_dial(c, NULL);
    assert_true(ct_send_bytes(after, "x", 1) >= 0);
    assert_true(ct_send_bytes(before, "x", 1) >= 0);
    CT_UNTIL(&c->rig, ct_is_send_done, after);
    CT_UNTIL(&c->rig, ct_is_send_done, before);
}

static void an_open_without_a_free_descriptor_is_an_error(struct ct_case *c)
{
    bool opened = false;
    for (int spare = 0; spare < 16 && !opened; spare++) {
        unsigned fds = ct_fd_count();
        int next = dup(0);
        assert_true(next >= 0);
        close(next);
        rlim_t usual = limit_to((rlim_t)(next + spare));
        int code = ct_rig_open(&c->rig);
        limit_to(usual);
        opened = code == 0;
        /* Without a ring or a set the runtime cannot run: that is an answer too. */
        assert_true(code == 0 || code == -EMFILE || code == AIODUCT_E_UNAVAILABLE);
        ct_rig_close(&c->rig);
        ct_check(&c->rig);
        assert_int_equal(ct_fd_count(), fds);
        assert_int_equal(c->rig.live_blocks, 0);
    }
    assert_true(opened);
}

static const struct ct_test cases[] = {
    CT_BARE_CASE(open_fails_cleanly_at_each_allocation, "PL-9", "RT-1"),
    CT_CASE(connect_fails_cleanly_at_each_allocation, "PL-9", "CX-2"),
    CT_CASE(a_send_fails_cleanly_at_each_allocation, "PL-9", "ST-9"),
    CT_CASE(sleep_and_spawn_fail_cleanly_at_each_allocation, "PL-9"),
    CT_CASE(receiving_survives_each_failed_allocation, "PL-9", "ST-3"),
    CT_CASE(a_connect_without_a_free_descriptor_is_an_error, "CX-10"),
    CT_BARE_CASE(an_open_without_a_free_descriptor_is_an_error, "RT-1", "CX-10"),
};

CT_GROUP(fail, 0)
