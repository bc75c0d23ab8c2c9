/* SPDX-License-Identifier: MIT */
/* core/runtime over the one-file runtime of examples/runtime-template, linked in. */
#include "base/mem.h"
#include "plugin/registry.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <tap.h>
#include <time.h>
#include <unistd.h>

extern const struct aioduct_plugin aioduct_plugin_pollrt;

static const struct ad_plugin *plugin(void)
{
    static struct ad_plugin p;
    const struct aioduct_plugin *d = &aioduct_plugin_pollrt;
    p.descriptor = d;
    p.name = d->name;
    p.origin = "test";
    p.caps = AD_CAP_RUNTIME | AD_CAP_POLL | AD_CAP_CONNECTOR;
    p.runtime = *(const struct aioduct_runtime *)d->get_interface(AIODUCT_IFACE_RUNTIME);
    p.poll = *(const struct aioduct_runtime_poll *)d->get_interface(AIODUCT_IFACE_POLL);
    p.connector = *(const struct aioduct_connector *)d->get_interface(AIODUCT_IFACE_CONNECTOR);
    return &p;
}

static int open_loop(void **state)
{
    struct aioduct_error error = {0};
    struct ad_loop *loop;
    if (ad_loop_create(plugin(), NULL, &loop, &error) < 0) {
        fail_msg("%s", error.message);
    }
    *state = loop;
    return 0;
}

static int close_loop(void **state)
{
    ad_loop_destroy(*state);
    return 0;
}

/* Turns until @flag is set; a loop that forgets to wake runs into the limit of the case. */
static void turn_until(struct ad_loop *loop, const int *flag)
{
    while (!*flag) {
        assert_int_equal(ad_loop_turn(loop, -1), 0);
    }
}

/* ---- posts ---- */

struct note {
    struct ad_post post;
    int number;
};
static int last_number, out_of_order;

static void on_note(struct ad_post *post)
{
    struct note *note = (struct note *)post;
    out_of_order += note->number != last_number + 1;
    last_number = note->number;
}

static void *send_notes(void *user)
{
    static struct note notes[1000];
    for (int i = 0; i < 1000; i++) {
        notes[i] = (struct note){{.run = on_note}, i + 1};
        ad_loop_post(user, &notes[i].post);
    }
    return NULL;
}

static void posts_of_a_thread_run_in_their_order_and_wake_the_loop(void **state)
{
    struct ad_loop *loop = *state;
    pthread_t thread;
    last_number = out_of_order = 0;
    pthread_create(&thread, NULL, send_notes, loop);
    while (last_number < 1000) {
        assert_int_equal(ad_loop_turn(loop, -1), 0);
    }
    pthread_join(thread, NULL);
    assert_int_equal(out_of_order, 0);
}

/* A thread that posts the word to stop is still inside the call when the loop has gone. */
struct stop {
    struct ad_post post;
    int stopped;
};

static void on_stop(struct ad_post *post)
{
    ((struct stop *)post)->stopped = 1;
}

struct race {
    struct ad_loop *loop;
    struct stop *stop;
};

static void *post_stop(void *user)
{
    struct race *race = user;
    ad_loop_post(race->loop, &race->stop->post);
    return NULL;
}

static void a_loop_may_be_destroyed_by_what_is_posted(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct stop stop = {.post = {.run = on_stop}};
        struct race race = {.stop = &stop};
        pthread_t thread;
        assert_int_equal(ad_loop_create(plugin(), NULL, &race.loop, NULL), 0);
        pthread_create(&thread, NULL, post_stop, &race);
        turn_until(race.loop, &stop.stopped);
        ad_loop_destroy(race.loop);
        pthread_join(thread, NULL);
    }
}

/* ---- deadlines ---- */

struct mark {
    struct ad_deadline deadline;
    struct ad_loop *loop;
    uint64_t due_ns;
    int fired, early, again;
};

static void on_expired(struct ad_deadline *deadline)
{
    struct mark *m = (struct mark *)deadline;
    m->early += ad_loop_now_ns(m->loop) < m->due_ns;
    m->fired++;
    if (m->again > 0) {
        m->again--;
        m->due_ns = ad_loop_now_ns(m->loop) + 1000000;
        ad_deadline_set(m->loop, deadline, m->due_ns);
    }
}

static void set_mark(struct ad_loop *loop, struct mark *m, uint64_t in_ns)
{
    m->loop = loop;
    m->deadline.expired = on_expired;
    m->due_ns = ad_loop_now_ns(loop) + in_ns;
    assert_int_equal(ad_loop_claim(loop), 0);
    assert_int_equal(ad_deadline_set(loop, &m->deadline, m->due_ns), 0);
    ad_loop_unclaim(loop);
}

static void deadlines_fire_once_and_never_early(void **state)
{
    struct ad_loop *loop = *state;
    static struct mark marks[300];
    int fired = 0;
    memset(marks, 0, sizeof marks);
    for (int i = 0; i < 300; i++) {
        set_mark(loop, &marks[i], (uint64_t)(i * 7919 % 300) * 100000);
    }
    while (fired < 300) {
        assert_int_equal(ad_loop_turn(loop, -1), 0);
        fired = 0;
        for (int i = 0; i < 300; i++) {
            fired += marks[i].fired;
        }
    }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(marks[i].fired, 1);
        assert_int_equal(marks[i].early, 0);
    }
}

static void a_deadline_can_move_later_or_earlier_or_go(void **state)
{
    struct ad_loop *loop = *state;
    struct mark later = {0}, earlier = {0}, cleared = {0}, removed = {0}, end = {0};
    set_mark(loop, &later, 1000000);
    set_mark(loop, &later, 60000000);
    set_mark(loop, &earlier, 3600ull * 1000000000);
    set_mark(loop, &earlier, 5000000);
    set_mark(loop, &cleared, 2000000);
    ad_deadline_clear(&cleared.deadline);
    set_mark(loop, &removed, 2000000);
    ad_deadline_remove(loop, &removed.deadline);
    set_mark(loop, &end, 90000000);
    turn_until(loop, &end.fired);
    assert_int_equal(later.fired, 1);
    assert_int_equal(later.early, 0);
    assert_int_equal(earlier.fired, 1);
    assert_int_equal(earlier.early, 0);
    assert_int_equal(cleared.fired + removed.fired, 0);
}

/* ---- a runtime that cannot take a timer now and then ---- */

static int refusals;
static int (*true_sleep)(void *rt, struct aioduct_timer *timer, void *state, uint64_t deadline_ns);

static int sleep_or_refuse(void *rt, struct aioduct_timer *timer, void *state, uint64_t deadline_ns)
{
    if (refusals > 0) {
        refusals--;
        return -ENOMEM;
    }
    return true_sleep(rt, timer, state, deadline_ns);
}

static int open_refusing_loop(void **state)
{
    static struct ad_plugin refusing;
    refusing = *plugin();
    true_sleep = refusing.poll.sleep;
    refusing.poll.sleep = sleep_or_refuse;
    refusals = 0;
    return ad_loop_create(&refusing, NULL, (struct ad_loop **)state, NULL);
}

static void a_deadline_that_the_runtime_refuses_is_an_error_and_not_set(void **state)
{
    struct ad_loop *loop = *state;
    struct mark m = {.loop = loop}, later = {.loop = loop};
    m.deadline.expired = later.deadline.expired = on_expired;
    m.due_ns = ad_loop_now_ns(loop) + 1000000;
    later.due_ns = m.due_ns + 20000000;
    refusals = 1;
    assert_int_equal(ad_deadline_set(loop, &m.deadline, m.due_ns), -ENOMEM);
    assert_int_equal(m.deadline.at_ns, 0);
    assert_int_equal(m.deadline.heap_index, 0);
    assert_int_equal(ad_deadline_set(loop, &later.deadline, later.due_ns), 0);
    turn_until(loop, &later.fired);
    assert_int_equal(m.fired, 0);
}

static void a_timer_that_is_refused_between_deadlines_is_tried_again(void **state)
{
    struct ad_loop *loop = *state;
    struct mark first = {.loop = loop}, second = {.loop = loop};
    first.deadline.expired = second.deadline.expired = on_expired;
    first.due_ns = ad_loop_now_ns(loop) + 1000000;
    second.due_ns = first.due_ns + 500000000; /* not due with the first, however late that is */
    assert_int_equal(ad_deadline_set(loop, &first.deadline, first.due_ns), 0);
    assert_int_equal(ad_deadline_set(loop, &second.deadline, second.due_ns), 0);
    refusals = 3;
    turn_until(loop, &first.fired);
    turn_until(loop, &second.fired);
    assert_int_equal(refusals, 0);
}

static void a_deadline_may_set_itself_again_while_it_fires(void **state)
{
    struct ad_loop *loop = *state;
    struct mark m = {.again = 5};
    set_mark(loop, &m, 0);
    while (m.fired < 6) {
        assert_int_equal(ad_loop_turn(loop, -1), 0);
    }
    assert_int_equal(m.early, 0);
}

/* ---- end of turn ---- */

struct hooked {
    struct ad_turn_hook hook;
    struct ad_deferred deferred;
    struct ad_loop *loop;
    int ran, released, left;
};

static void on_release(struct ad_deferred *deferred)
{
    struct hooked *h = (struct hooked *)((char *)deferred - offsetof(struct hooked, deferred));
    h->released++;
}

static void on_hook(struct ad_turn_hook *hook)
{
    struct hooked *h = (struct hooked *)hook;
    assert_true(ad_loop_in_turn(h->loop));
    h->ran++;
    if (h->left > 0) {
        h->left--;
        ad_loop_at_turn_end(h->loop, hook);
        return;
    }
    ad_loop_defer(h->loop, &h->deferred);
    assert_int_equal(h->released, 0);
}

static void a_hook_set_outside_turns_makes_one_come_and_runs_once(void **state)
{
    struct ad_loop *loop = *state;
    struct hooked h = {.hook = {.run = on_hook}, .deferred = {.release = on_release}, .loop = loop};
    ad_list_init(&h.hook.node);
    ad_loop_at_turn_end(loop, &h.hook);
    ad_loop_at_turn_end(loop, &h.hook);
    turn_until(loop, &h.released);
    assert_int_equal(h.ran, 1);
    assert_int_equal(h.released, 1);
}

static void hooks_that_set_themselves_again_do_not_keep_the_turn(void **state)
{
    struct ad_loop *loop = *state;
    struct hooked h = {
        .hook = {.run = on_hook}, .deferred = {.release = on_release}, .loop = loop, .left = 100};
    ad_list_init(&h.hook.node);
    ad_loop_at_turn_end(loop, &h.hook);
    assert_int_equal(ad_loop_turn(loop, 0), 0);
    assert_in_range(h.ran, 1, 50);
    turn_until(loop, &h.released);
    assert_int_equal(h.ran, 101);
}

/* ---- tasks and threads ---- */

static int on_root(struct ad_task *task, void *user)
{
    int *left = user;
    if (*left > 0) {
        --*left;
        ad_task_wake(task);
        return 0;
    }
    return 1;
}

static void block_on_runs_a_root_until_it_is_ready_and_again_after_a_reset(void **state)
{
    struct ad_loop *loop = *state;
    struct ad_task *root;
    int left = 10;
    assert_int_equal(ad_task_create(loop, on_root, &left, &root), 0);
    assert_int_equal(ad_loop_block_on(loop, root), 0);
    assert_int_equal(left, 0);
    ad_task_reset(root);
    left = 3;
    assert_int_equal(ad_loop_block_on(loop, root), 0);
    assert_int_equal(left, 0);
    ad_task_destroy(root);
}

struct inner {
    struct ad_loop *loop;
    int block_on, turn, other_thread;
};

static void *try_from_thread(void *user)
{
    struct inner *in = user;
    in->other_thread = ad_loop_turn(in->loop, 0);
    return NULL;
}

static int on_nested(struct ad_task *task, void *user)
{
    struct inner *in = user;
    struct ad_task *other;
    pthread_t thread;
    int none = 0;
    (void)task;
    assert_int_equal(ad_task_create(in->loop, on_root, &none, &other), 0);
    in->block_on = ad_loop_block_on(in->loop, other);
    in->turn = ad_loop_turn(in->loop, 0);
    ad_task_destroy(other);
    pthread_create(&thread, NULL, try_from_thread, in);
    pthread_join(thread, NULL);
    return 1;
}

static void driving_twice_at_once_is_refused_with_the_reason(void **state)
{
    struct ad_loop *loop = *state;
    struct inner in = {.loop = loop};
    struct ad_task *root;
    assert_int_equal(ad_task_create(loop, on_nested, &in, &root), 0);
    assert_int_equal(ad_loop_block_on(loop, root), 0);
    ad_task_destroy(root);
    assert_int_equal(in.block_on, AIODUCT_E_NESTED);
    assert_int_equal(in.turn, AIODUCT_E_NESTED);
    assert_int_equal(in.other_thread, AIODUCT_E_THREAD);
    try_from_thread(&in);
    assert_int_equal(in.other_thread, 0);
}

static void a_forked_child_is_told_and_the_parent_goes_on(void **state)
{
    struct ad_loop *loop = *state;
    int status;
    pid_t child = tap_fork();
    if (child == 0) {
        int wrong = ad_loop_turn(loop, 0) != AIODUCT_E_FORKED ||
                    ad_loop_check_thread(loop) != AIODUCT_E_FORKED;
        ad_loop_destroy(loop);
        _exit(wrong);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(ad_loop_turn(loop, 0), 0);
}

/* ---- streams ---- */

struct talk {
    char got[64];
    size_t got_bytes;
    int connected, ended, closed, code;
};

static void on_data(struct ad_stream *stream, const uint8_t *bytes, size_t count)
{
    struct talk *t = ad_stream_owner(stream);
    assert_true(t->got_bytes + count < sizeof t->got);
    memcpy(t->got + t->got_bytes, bytes, count);
    t->got_bytes += count;
}

static void on_done(struct ad_stream *stream, int op, int code, size_t bytes)
{
    struct talk *t = ad_stream_owner(stream);
    struct iovec piece = {"ping", 4};
    (void)bytes;
    t->code = code;
    if (op == AIODUCT_OP_CONNECT) {
        t->connected = 1;
        if (code == 0) {
            assert_int_equal(ad_stream_recv_start(stream), 0);
            assert_int_equal(ad_stream_recv_start(stream), -EBUSY);
            assert_int_equal(ad_stream_send(stream, &piece, 1), AIODUCT_DONE);
        } else {
            ad_stream_close(stream);
        }
    } else if (op == AIODUCT_OP_RECV) {
        t->ended = 1;
        ad_stream_close(stream);
        ad_stream_close(stream);
    }
}

static void on_closed(struct ad_stream *stream)
{
    struct talk *t = ad_stream_owner(stream);
    t->closed = 1;
}

static const struct ad_stream_events events = {on_data, on_done, on_closed};

static void *echo_once(void *user)
{
    char got[16];
    int fd = accept(*(int *)user, NULL, NULL);
    ssize_t bytes = read(fd, got, sizeof got);
    (void)!write(fd, got, (size_t)bytes);
    close(fd);
    return NULL;
}

static int bind_somewhere(struct sockaddr_in *out)
{
    socklen_t bytes = sizeof *out;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)out, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)out, &bytes), 0);
    return fd;
}

static int listen_somewhere(struct sockaddr_in *out)
{
    int fd = bind_somewhere(out);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static struct ad_stream *dial(struct ad_loop *loop, struct talk *t, const struct sockaddr_in *to)
{
    struct ad_stream *stream;
    struct aioduct_socket_config config = {
        .size = sizeof config, .addr = (const struct sockaddr *)to, .addr_bytes = sizeof *to};
    assert_int_equal(ad_loop_claim(loop), 0);
    assert_int_equal(ad_stream_create(loop, &events, t, &stream), 0);
    assert_int_equal(ad_stream_connect(stream, &config), AIODUCT_PENDING);
    ad_loop_unclaim(loop);
    return stream;
}

static void a_stream_talks_ends_and_closes_once(void **state)
{
    struct ad_loop *loop = *state;
    struct sockaddr_in address;
    struct talk t = {0};
    pthread_t thread;
    int listener = listen_somewhere(&address);
    pthread_create(&thread, NULL, echo_once, &listener);
    dial(loop, &t, &address);
    turn_until(loop, &t.closed);
    pthread_join(thread, NULL);
    close(listener);
    assert_int_equal(t.got_bytes, 4);
    assert_memory_equal(t.got, "ping", 4);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.code, 0);
}

static void a_refused_stream_says_so_and_still_closes(void **state)
{
    struct ad_loop *loop = *state;
    struct sockaddr_in address;
    struct talk t = {0};
    int nobody = bind_somewhere(&address); /* kept, so that nobody else listens there */
    dial(loop, &t, &address);
    turn_until(loop, &t.closed);
    close(nobody);
    assert_int_equal(t.code, -ECONNREFUSED);
}

static void a_stream_that_never_dialled_closes_too(void **state)
{
    struct ad_loop *loop = *state;
    struct talk t = {0};
    struct ad_stream *stream;
    struct aioduct_socket_config config = {.size = sizeof config, .host = "no address"};
    assert_int_equal(ad_loop_claim(loop), 0);
    assert_int_equal(ad_stream_create(loop, &events, &t, &stream), 0);
    assert_int_equal(ad_stream_connect(stream, &config), AIODUCT_E_UNSUPPORTED);
    assert_string_equal(ad_loop_plugin_error(loop),
                        "connecting to no address: this connector does not resolve names; give it "
                        "an address");
    ad_stream_close(stream);
    assert_int_equal(t.closed, 0);
    ad_loop_unclaim(loop);
    turn_until(loop, &t.closed);
    assert_int_equal(t.connected, 0);
}

static void a_loop_that_cannot_allocate_says_so(void **state)
{
    struct aioduct_error error = {0};
    struct ad_loop *loop = NULL;
    int failures = 0;
    (void)state;
    for (uint64_t nth = 1; loop == NULL && nth < 100; nth++) {
        ad_mem_fail_nth(nth);
        int code = ad_loop_create(plugin(), NULL, &loop, &error);
        ad_mem_fail_nth(0);
        if (code < 0) {
            assert_int_equal(code, -ENOMEM);
            assert_null(loop);
            failures++;
        }
    }
    assert_in_range(failures, 4, 50);
    ad_loop_destroy(loop);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        LOOP_TEST(posts_of_a_thread_run_in_their_order_and_wake_the_loop),
        cmocka_unit_test(a_loop_may_be_destroyed_by_what_is_posted),
        LOOP_TEST(deadlines_fire_once_and_never_early),
        LOOP_TEST(a_deadline_can_move_later_or_earlier_or_go),
        LOOP_TEST(a_deadline_may_set_itself_again_while_it_fires),
        cmocka_unit_test_setup_teardown(a_deadline_that_the_runtime_refuses_is_an_error_and_not_set,
                                        open_refusing_loop, close_loop),
        cmocka_unit_test_setup_teardown(a_timer_that_is_refused_between_deadlines_is_tried_again,
                                        open_refusing_loop, close_loop),
        LOOP_TEST(a_hook_set_outside_turns_makes_one_come_and_runs_once),
        LOOP_TEST(hooks_that_set_themselves_again_do_not_keep_the_turn),
        LOOP_TEST(block_on_runs_a_root_until_it_is_ready_and_again_after_a_reset),
        LOOP_TEST(driving_twice_at_once_is_refused_with_the_reason),
        LOOP_TEST(a_forked_child_is_told_and_the_parent_goes_on),
        LOOP_TEST(a_stream_talks_ends_and_closes_once),
        LOOP_TEST(a_refused_stream_says_so_and_still_closes),
        LOOP_TEST(a_stream_that_never_dialled_closes_too),
        cmocka_unit_test(a_loop_that_cannot_allocate_says_so),
    };
    return TAP_RUN(tests, NULL, NULL);
}
