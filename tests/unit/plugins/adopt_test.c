/* SPDX-License-Identifier: MIT */
/* A loop that the application owns drives timers, tasks and a connection of ours. */
#include "adopt.h"
#include "tap.h"

#include <aioduct/plugin/plugin.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { STATE_BYTES = 4096 };

struct state {
    alignas(64) char bytes[STATE_BYTES];
};

struct aioduct_task {
    struct state state;
    unsigned runs;
    unsigned until;
    void (*run)(void);
};

struct aioduct_timer {
    struct state state;
    uint64_t deadline_ns;
    unsigned fired;
};

struct aioduct_stream {
    struct state state;
    int connected; /* 1: not yet */
    unsigned received;
    int recv_code; /* 1: not yet */
    bool closed;
};

static const struct aioduct_plugin *plugin;
static const struct aioduct_runtime *rt;
static const struct aioduct_runtime_poll *poll_table;
static const struct aioduct_connector *cx;

static struct state rt_state, cx_state;
static void *loop;
static unsigned callbacks, turns; /* callbacks: since the last turn_end */

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void adopt_waited(void)
{
    assert_int_equal(callbacks, 0); /* each had its turn_end before the wait */
}

/* ---- the host ---- */

static void *host_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    (void)ctx;
    (void)align;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, bytes);
}

static char message[256];

static void host_error(void *ctx, int code, const char *text)
{
    (void)ctx;
    (void)code;
    snprintf(message, sizeof message, "%s", text);
}

static int task_run(void *ctx, struct aioduct_task *task)
{
    (void)ctx;
    callbacks++;
    task->runs++;
    if (task->run != NULL) {
        task->run();
    }
    return task->runs == task->until;
}

static void timer_fired(void *ctx, struct aioduct_timer *timer)
{
    (void)ctx;
    callbacks++;
    timer->fired++;
    assert_true(clock_ns() >= timer->deadline_ns);
}

static void turn_end(void *ctx)
{
    (void)ctx;
    callbacks = 0;
    turns++;
}

static void on_data(void *ctx, struct aioduct_stream *stream, const void *slice, size_t bytes)
{
    (void)ctx;
    (void)slice;
    callbacks++;
    stream->received += (unsigned)bytes;
}

static void on_done(void *ctx, struct aioduct_stream *stream, int op, int code, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    callbacks++;
    if (op == AIODUCT_OP_CONNECT) {
        stream->connected = code;
    } else if (op == AIODUCT_OP_RECV) {
        stream->recv_code = code;
    }
}

static void on_closed(void *ctx, struct aioduct_stream *stream)
{
    (void)ctx;
    callbacks++;
    stream->closed = true;
}

static const struct aioduct_host host = {
    .size = sizeof host,
    .abi_major = AIODUCT_ABI_MAJOR,
    .abi_minor = AIODUCT_ABI_MINOR,
    .alloc = host_alloc,
    .error = host_error,
    .task_run = task_run,
    .timer_fired = timer_fired,
    .turn_end = turn_end,
    .on_data = on_data,
    .on_done = on_done,
    .on_closed = on_closed,
};

/* ---- fixtures ---- */

static int load(void **state)
{
    (void)state;
    void *library = dlopen(getenv("ADOPT_PLUGIN"), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        printf("# %s\n", dlerror());
        return -1;
    }
    plugin = dlsym(library, "aioduct_plugin_entry_1");
    rt = plugin->get_interface(AIODUCT_IFACE_RUNTIME);
    poll_table = plugin->get_interface(AIODUCT_IFACE_POLL);
    cx = plugin->get_interface(AIODUCT_IFACE_CONNECTOR);
    bool fits = rt->rt.bytes <= STATE_BYTES && rt->task.bytes <= STATE_BYTES &&
                poll_table->timer.bytes <= STATE_BYTES && cx->stream.bytes <= STATE_BYTES;
    return fits ? 0 : -1;
}

static int open_on(const struct aioduct_foreign *foreign)
{
    memset(&rt_state, 0, sizeof rt_state);
    memset(&cx_state, 0, sizeof cx_state);
    callbacks = turns = 0;
    return rt->open(&rt_state, &host, foreign);
}

static int setup(void **state)
{
    (void)state;
    loop = app_loop.create();
    struct aioduct_foreign foreign = {
        .size = sizeof foreign, .kind = app_loop.kind, .loop = loop, .witness = app_loop.witness};
    return open_on(&foreign) == 0 ? cx->open(&cx_state, &host, &rt_state) : -1;
}

static int teardown(void **state)
{
    (void)state;
    app_loop.stop_ticks(loop); /* of a case that failed in the middle: the loop would go on */
    cx->close(&cx_state);
    rt->close(&rt_state);
    bool idle = app_loop.is_idle(loop);
    app_loop.destroy(loop);
    return idle ? 0 : -1; /* something of ours was left in the loop */
}

#define RUN_UNTIL(condition)                  \
    for (unsigned i = 0; !(condition); i++) { \
        assert_true(i < 100000);              \
        app_loop.run_once(loop);              \
    }

static void arm(struct aioduct_timer *timer, uint64_t delay_ns)
{
    timer->deadline_ns = clock_ns() + delay_ns;
    assert_int_equal(poll_table->sleep(&rt_state, timer, &timer->state, timer->deadline_ns), 0);
}

/* ---- cases ---- */

static void test_refusals(void **state)
{
    (void)state;
    void *own = app_loop.create();
    struct aioduct_foreign foreign = {.size = sizeof foreign,
                                      .kind = app_loop.kind,
                                      .loop = own,
                                      .witness = (void (*)(void))test_refusals};
    assert_int_equal(open_on(&foreign), AIODUCT_E_CLASH);
    assert_non_null(strstr(message, "another copy"));
    foreign.witness = NULL;
    foreign.kind = "io_uring";
    assert_int_equal(open_on(&foreign), AIODUCT_E_UNSUPPORTED);
    foreign.kind = app_loop.kind;
    foreign.loop = NULL;
    assert_int_equal(open_on(&foreign), -EINVAL);
    foreign.loop = own;
    assert_int_equal(open_on(&foreign), 0); /* without a witness nothing is compared */
    assert_true(rt->poll_fd(&rt_state) < 0);
    rt->close(&rt_state);
    assert_true(app_loop.is_idle(own));
    app_loop.destroy(own);
}

/* Only what cannot depend on how long this thread is kept from running is compared. */
static void test_timers(void **state)
{
    (void)state;
    struct aioduct_timer early = {0}, late = {0}, past = {0}, never = {0};
    arm(&late, 3600 * (uint64_t)1000000000);
    arm(&early, 10000000);
    arm(&past, 0);
    arm(&never, 20000000);
    poll_table->sleep_cancel(&rt_state, &never, &never.state);
    RUN_UNTIL(early.fired);
    assert_int_equal(past.fired, 1);
    assert_int_equal(late.fired, 0);
    arm(&late, 5000000); /* moved while it is armed */
    RUN_UNTIL(late.fired);
    assert_int_equal(early.fired + late.fired + past.fired, 3);
    assert_int_equal(never.fired, 0);
}

static void *wake_later(void *arg)
{
    struct aioduct_task *task = arg;
    rt->wake(&rt_state, task, &task->state);
    return NULL;
}

static void test_tasks(void **state)
{
    (void)state;
    struct aioduct_task task = {.until = 3};
    assert_int_equal(poll_table->spawn_send(&rt_state, &task, &task.state), 0);
    RUN_UNTIL(task.runs == 1);
    rt->wake(&rt_state, &task, &task.state); /* as from a callback of the application */
    RUN_UNTIL(task.runs == 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_later, &task), 0);
    RUN_UNTIL(task.runs == 3);
    pthread_join(thread, NULL);
    assert_true(turns >= 3);
}

static void test_connection(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);

    struct aioduct_stream stream = {.connected = 1, .recv_code = 1};
    struct aioduct_socket_config config = {.size = sizeof config,
                                           .host = "127.0.0.1",
                                           .addr = (struct sockaddr *)&address,
                                           .addr_bytes = bytes};
    assert_int_equal(cx->connect(&cx_state, &stream, &stream.state, &config), AIODUCT_PENDING);
    RUN_UNTIL(stream.connected != 1);
    assert_int_equal(stream.connected, 0);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(cx->recv_start(&stream.state), 0);

    struct iovec ping = {.iov_base = "ping", .iov_len = 4};
    assert_int_equal(cx->send(&stream.state, &ping, 1), AIODUCT_DONE);
    char got[8];
    assert_int_equal(recv(peer, got, sizeof got, 0), 4);
    assert_int_equal(send(peer, "pong!", 5, 0), 5);
    RUN_UNTIL(stream.received == 5);
    close(peer);
    RUN_UNTIL(stream.recv_code != 1);
    assert_int_equal(stream.recv_code, 0);
    cx->stream_close(&stream.state);
    assert_false(stream.closed);
    RUN_UNTIL(stream.closed);
    close(listener);
}

static int nested_code;

static void block_inside(void)
{
    struct aioduct_task inner = {.until = 1};
    nested_code = rt->block_on(&rt_state, &inner, &inner.state);
}

static void test_block_on(void **state)
{
    (void)state;
    unsigned ticks = 0;
    struct aioduct_timer timer = {0};
    struct aioduct_task root = {.until = 1, .run = block_inside};
    app_loop.start_ticks(loop, 2, &ticks);
    nested_code = 0;
    assert_int_equal(rt->block_on(&rt_state, &root, &root.state), 0);
    assert_int_equal(nested_code, AIODUCT_E_NESTED);
    assert_int_equal(callbacks, 0);

    arm(&timer, 30000000);
    while (timer.fired == 0 || ticks < 3) { /* the application's own timers run meanwhile */
        unsigned before = turns;
        assert_int_equal(rt->turn(&rt_state, -1), 0);
        assert_int_equal(turns, before + 1);
    }
    arm(&timer, 10000000); /* and back to the application's run */
    RUN_UNTIL(timer.fired == 2);
    app_loop.stop_ticks(loop);
}

#define CASE(name, function)                  \
    {                                         \
        name, function, setup, teardown, NULL \
    }

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a loop of another kind or copy is refused", test_refusals, NULL, NULL, NULL},
        CASE("the application's loop fires our timers", test_timers),
        CASE("the application's loop runs our tasks, woken by any thread", test_tasks),
        CASE("the application's loop carries a connection", test_connection),
        CASE("block_on and turn drive the application's loop", test_block_on),
    };
    return TAP_RUN(cases, load, NULL);
}
