/* SPDX-License-Identifier: MIT */
/* The plugin's tables that go between. Their functions are given our half of a state, and give the
 * plugin its own. */
#include "runtime/calls.h"

#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/loop_private.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

/* ---- words ---- */

void ad_calls_say(const struct ad_calls *calls, const char *format, ...)
{
    char line[700];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ad_log_topic("calls: %s#%u %s", calls->face->real->name, calls->number, line);
}

const char *ad_calls_result(int code, char buffer[16])
{
    if (code < 0) {
        return aioduct_error_name(code);
    }
    snprintf(buffer, 16, "%d", code);
    return buffer;
}

/* Of what may go on: AIODUCT_PENDING. */
static const char *outcome(int code, char buffer[16])
{
    return code == AIODUCT_PENDING ? "pending" : ad_calls_result(code, buffer);
}

const char *ad_calls_ops(unsigned ops, char buffer[40])
{
    static const char *const names[] = {"connect", "recv", "send", "shutdown"};
    size_t used = 0;
    buffer[0] = '\0';
    for (unsigned i = 0; i < 4; i++) {
        if (ops & (1u << i)) {
            used +=
                (size_t)snprintf(buffer + used, 40 - used, "%s%s", used > 0 ? "+" : "", names[i]);
        }
    }
    return buffer;
}

static const char *address(const struct aioduct_socket_config *config, char buffer[128])
{
    char text[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr *addr = config->addr;
    if (addr != NULL && addr->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)addr;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        snprintf(buffer, 128, "%s:%u", text, ntohs(v4->sin_port));
    } else if (addr != NULL && addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)addr;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        snprintf(buffer, 128, "[%s]:%u", text, ntohs(v6->sin6_port));
    } else {
        snprintf(buffer, 128, "%.100s:%u", config->host == NULL ? "?" : config->host, config->port);
    }
    return buffer;
}

/* Milliseconds from now, for people. */
static double rest_ms(struct ad_calls *c, void *rt, uint64_t deadline_ns)
{
    return ((double)deadline_ns - (double)c->face->real->runtime.now_ns(rt)) / 1e6;
}

/* ---- from our half to the plugin's ---- */

static void *rt_of(struct ad_calls *c)
{
    return (uint8_t *)c + c->face->at.rt;
}

static void *past(struct ad_calls_head *head, size_t offset)
{
    return (uint8_t *)head + offset;
}

static void *stream_of(struct ad_calls_head *head)
{
    return past(head, head->calls->face->at.stream);
}

static void name(struct ad_calls *c, struct ad_calls_head *head, void *above, atomic_uint *count)
{
    if (head->number == 0) {
        head->above = above;
        head->calls = c;
        head->number = atomic_fetch_add(count, 1) + 1;
    }
}

/* ---- aioduct.runtime/1 ---- */

static int calls_open(void *rt, const struct aioduct_host *host,
                      const struct aioduct_foreign *foreign)
{
    struct ad_calls *c = rt;
    char text[16];
    const struct ad_loop *loop = host->ctx;
    c->face = (struct ad_calls_face *)(uintptr_t)loop->plugin;
    c->above = host;
    c->number = atomic_fetch_add(&c->face->instances, 1) + 1;
    ad_calls_host_init(c);
    int code = c->face->real->runtime.open(rt_of(c), &c->host, foreign);
    ad_calls_say(c, "> open(%s) -> %s", foreign == NULL ? "a loop of its own" : foreign->kind,
                 ad_calls_result(code, text));
    return code;
}

static void calls_close(void *rt)
{
    struct ad_calls *c = rt;
    c->face->real->runtime.close(rt_of(c));
    ad_calls_say(c, "> close()");
}

static int calls_block_on(void *rt, struct aioduct_task *root, void *root_state)
{
    struct ad_calls *c = rt;
    struct ad_calls_head *head = root_state;
    char text[16];
    name(c, head, root, &c->tasks);
    unsigned number = head->number;
    ad_calls_say(c, "> block_on(task %u)", number);
    int code =
        c->face->real->runtime.block_on(rt_of(c), (void *)head, past(head, c->face->at.task));
    ad_calls_say(c, "> block_on(task %u) -> %s", number, ad_calls_result(code, text));
    return code;
}

/* Said before: when it returns the task may have run, and its memory be gone. */
static void calls_wake(void *rt, struct aioduct_task *task, void *task_state)
{
    struct ad_calls *c = rt;
    struct ad_calls_head *head = task_state;
    (void)task;
    ad_calls_say(c, "> wake(task %u)", head->number);
    c->face->real->runtime.wake(rt_of(c), (void *)head, past(head, c->face->at.task));
}

static uint64_t calls_now_ns(void *rt)
{
    struct ad_calls *c = rt;
    uint64_t now_ns = c->face->real->runtime.now_ns(rt_of(c));
    ad_calls_say(c, "> now_ns() -> %llu", (unsigned long long)now_ns);
    return now_ns;
}

static int calls_turn(void *rt, int64_t timeout_ns)
{
    struct ad_calls *c = rt;
    char text[16];
    ad_calls_say(c, "> turn(%lld ns)", (long long)timeout_ns);
    int code = c->face->real->runtime.turn(rt_of(c), timeout_ns);
    ad_calls_say(c, "> turn(%lld ns) -> %s", (long long)timeout_ns, ad_calls_result(code, text));
    return code;
}

static int calls_poll_fd(void *rt)
{
    struct ad_calls *c = rt;
    char text[16];
    int code = c->face->real->runtime.poll_fd(rt_of(c));
    ad_calls_say(c, "> poll_fd() -> %s", ad_calls_result(code, text));
    return code;
}

static int calls_after_fork_child(void *rt)
{
    struct ad_calls *c = rt;
    char text[16];
    int code = c->face->real->runtime.after_fork_child(rt_of(c));
    ad_calls_say(c, "> after_fork_child() -> %s", ad_calls_result(code, text));
    return code;
}

/* ---- aioduct.runtime.poll/1, aioduct.runtime.local/1 ---- */

/* Both have the same members under different names. */
static int spawn(struct ad_calls *c, const char *what,
                 int (*fn)(void *rt, struct aioduct_task *task, void *task_state),
                 struct aioduct_task *task, struct ad_calls_head *head)
{
    char text[16];
    name(c, head, task, &c->tasks);
    unsigned number = head->number; /* another thread may run it before we are back */
    int code = fn(rt_of(c), (void *)head, past(head, c->face->at.task));
    ad_calls_say(c, "> %s(task %u) -> %s", what, number, ad_calls_result(code, text));
    return code;
}

static int calls_spawn_send(void *rt, struct aioduct_task *task, void *task_state)
{
    struct ad_calls *c = rt;
    return spawn(c, "spawn_send", c->face->real->poll.spawn_send, task, task_state);
}

static int calls_spawn_local(void *rt, struct aioduct_task *task, void *task_state)
{
    struct ad_calls *c = rt;
    return spawn(c, "spawn_local", c->face->real->local.spawn_local, task, task_state);
}

static int calls_sleep(void *rt, struct aioduct_timer *timer, void *timer_state,
                       uint64_t deadline_ns)
{
    struct ad_calls *c = rt;
    const struct ad_plugin *real = c->face->real;
    char text[16];
    struct ad_calls_head *head = timer_state;
    void *state = past(head, c->face->at.timer), *half = head;
    name(c, head, timer, &c->timers);
    int code = real->caps & AD_CAP_POLL ? real->poll.sleep(rt_of(c), half, state, deadline_ns)
                                        : real->local.sleep(rt_of(c), half, state, deadline_ns);
    ad_calls_say(c, "> sleep(timer %u, in %.3f ms) -> %s",
                 ((struct ad_calls_head *)timer_state)->number, rest_ms(c, rt_of(c), deadline_ns),
                 ad_calls_result(code, text));
    return code;
}

static void calls_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state)
{
    struct ad_calls *c = rt;
    const struct ad_plugin *real = c->face->real;
    struct ad_calls_head *head = timer_state;
    void *state = past(head, c->face->at.timer), *half = head;
    (void)timer;
    if (real->caps & AD_CAP_POLL) {
        real->poll.sleep_cancel(rt_of(c), half, state);
    } else {
        real->local.sleep_cancel(rt_of(c), half, state);
    }
    ad_calls_say(c, "> sleep_cancel(timer %u)", head->number);
}

/* ---- aioduct.connector/1 ---- */

static int calls_cx_open(void *cx, const struct aioduct_host *host, void *rt)
{
    struct ad_calls *c = rt;
    struct ad_calls_head *head = cx;
    char text[16];
    (void)host; /* the instance's, which the runtime has ours for */
    head->calls = c;
    int code = c->face->real->connector.open(past(head, c->face->at.cx), &c->host, rt_of(c));
    ad_calls_say(c, "> connector.open() -> %s", ad_calls_result(code, text));
    return code;
}

static void calls_cx_close(void *cx)
{
    struct ad_calls_head *head = cx;
    struct ad_calls *c = head->calls;
    c->face->real->connector.close(past(head, c->face->at.cx));
    ad_calls_say(c, "> connector.close()");
}

static int calls_connect(void *cx, struct aioduct_stream *stream, void *state,
                         const struct aioduct_socket_config *config)
{
    struct ad_calls_head *head = cx, *own = state;
    struct ad_calls *c = head->calls;
    char text[16], to[128];
    name(c, own, stream, &c->streams);
    int code = c->face->real->connector.connect(past(head, c->face->at.cx), (void *)own,
                                                past(own, c->face->at.stream), config);
    ad_calls_say(c, "> connect(stream %u, %s) -> %s", own->number, address(config, to),
                 outcome(code, text));
    return code;
}

static int calls_recv_start(void *state)
{
    struct ad_calls_head *head = state;
    char text[16];
    int code = head->calls->face->real->connector.recv_start(stream_of(head));
    ad_calls_say(head->calls, "> recv_start(stream %u) -> %s", head->number,
                 ad_calls_result(code, text));
    return code;
}

static void calls_recv_stop(void *state)
{
    struct ad_calls_head *head = state;
    head->calls->face->real->connector.recv_stop(stream_of(head));
    ad_calls_say(head->calls, "> recv_stop(stream %u)", head->number);
}

static void calls_recv_at(void *state, void *memory, size_t bytes)
{
    struct ad_calls_head *head = state;
    head->calls->face->real->connector.recv_at(stream_of(head), memory, bytes);
    ad_calls_say(head->calls, "> recv_at(stream %u, %zu bytes)", head->number, bytes);
}

static int calls_send(void *state, const struct iovec *pieces, unsigned count)
{
    struct ad_calls_head *head = state;
    char text[16];
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += pieces[i].iov_len;
    }
    int code = head->calls->face->real->connector.send(stream_of(head), pieces, count);
    ad_calls_say(head->calls, "> send(stream %u, %u pieces, %zu bytes) -> %s", head->number, count,
                 bytes, code == AIODUCT_DONE ? "done" : outcome(code, text));
    return code;
}

static int calls_send_file(void *state, int fd, int64_t offset, size_t bytes)
{
    struct ad_calls_head *head = state;
    char text[16];
    int code = head->calls->face->real->connector.send_file(stream_of(head), fd, offset, bytes);
    ad_calls_say(head->calls, "> send_file(stream %u, descriptor %d, offset %lld, %zu bytes) -> %s",
                 head->number, fd, (long long)offset, bytes, outcome(code, text));
    return code;
}

static int calls_shutdown(void *state)
{
    struct ad_calls_head *head = state;
    char text[16];
    int code = head->calls->face->real->connector.shutdown(stream_of(head));
    ad_calls_say(head->calls, "> shutdown(stream %u) -> %s", head->number,
                 code == AIODUCT_DONE ? "done" : outcome(code, text));
    return code;
}

static void calls_cancel(void *state, unsigned ops)
{
    struct ad_calls_head *head = state;
    char names[40];
    head->calls->face->real->connector.cancel(stream_of(head), ops);
    ad_calls_say(head->calls, "> cancel(stream %u, %s)", head->number, ad_calls_ops(ops, names));
}

static void calls_stream_close(void *state)
{
    struct ad_calls_head *head = state;
    head->calls->face->real->connector.stream_close(stream_of(head));
    ad_calls_say(head->calls, "> stream_close(stream %u)", head->number);
}

static int calls_stream_info(void *state, struct aioduct_stream_info *info)
{
    struct ad_calls_head *head = state;
    char text[16];
    int code = head->calls->face->real->connector.stream_info(stream_of(head), info);
    ad_calls_say(head->calls, "> stream_info(stream %u) -> %s", head->number,
                 ad_calls_result(code, text));
    return code;
}

/* ---- aioduct.runtime.foreign/1 ---- */

static int calls_settle(void *rt)
{
    struct ad_calls *c = rt;
    char text[16];
    ad_calls_say(c, "> settle()");
    int code = c->face->real->foreign.settle(rt_of(c));
    ad_calls_say(c, "> settle() -> %s", ad_calls_result(code, text));
    return code;
}

static void calls_leave(void *rt, void (*gone)(void *arg), void *arg)
{
    struct ad_calls *c = rt;
    c->face->real->foreign.leave(rt_of(c), gone, arg);
    ad_calls_say(c, "> leave()");
}

static void calls_abandon(void *rt)
{
    struct ad_calls *c = rt;
    c->face->real->foreign.abandon(rt_of(c));
    ad_calls_say(c, "> abandon()");
}

static int calls_complete(void *rt, uint64_t user_data, int32_t result, uint32_t flags)
{
    struct ad_calls *c = rt;
    char text[16];
    ad_calls_say(c, "> complete(%#llx, %d, %#x)", (unsigned long long)user_data, result, flags);
    int code = c->face->real->foreign.complete(rt_of(c), user_data, result, flags);
    ad_calls_say(c, "> complete(%#llx) -> %s", (unsigned long long)user_data,
                 ad_calls_result(code, text));
    return code;
}

static int calls_prepare(void *rt)
{
    struct ad_calls *c = rt;
    char text[16];
    ad_calls_say(c, "> prepare()");
    int code = c->face->real->foreign.prepare(rt_of(c));
    ad_calls_say(c, "> prepare() -> %s", ad_calls_result(code, text));
    return code;
}

/* ---- a record that goes between ---- */

/* Room for a head before the plugin's own. -> where that begins */
static size_t put_before(struct aioduct_layout *layout, size_t bytes)
{
    if (layout->align < _Alignof(max_align_t)) {
        layout->align = _Alignof(max_align_t);
    }
    size_t offset = (bytes + layout->align - 1) / layout->align * layout->align;
    layout->bytes += (uint32_t)offset;
    return offset;
}

static void put_functions(struct ad_plugin *p)
{
    p->runtime.open = calls_open;
    p->runtime.close = calls_close;
    p->runtime.block_on = calls_block_on;
    p->runtime.wake = calls_wake;
    p->runtime.now_ns = calls_now_ns;
    p->runtime.turn = calls_turn;
    p->runtime.poll_fd = calls_poll_fd;
    p->runtime.after_fork_child = calls_after_fork_child;
    p->poll.spawn_send = calls_spawn_send;
    p->poll.sleep = p->local.sleep = calls_sleep;
    p->poll.sleep_cancel = p->local.sleep_cancel = calls_sleep_cancel;
    p->local.spawn_local = calls_spawn_local;
    p->connector.open = calls_cx_open;
    p->connector.close = calls_cx_close;
    p->connector.connect = calls_connect;
    p->connector.recv_start = calls_recv_start;
    p->connector.recv_stop = calls_recv_stop;
    p->connector.recv_at = calls_recv_at;
    p->connector.send = calls_send;
    p->connector.send_file = calls_send_file;
    p->connector.shutdown = calls_shutdown;
    p->connector.cancel = calls_cancel;
    p->connector.stream_close = calls_stream_close;
    p->connector.stream_info = calls_stream_info;
    p->foreign.settle = calls_settle;
    p->foreign.leave = calls_leave;
    p->foreign.abandon = calls_abandon;
    p->foreign.complete = calls_complete;
    p->foreign.prepare = calls_prepare;
}

static struct ad_calls_face *face_of(const struct ad_plugin *plugin)
{
    struct ad_calls_face *face = ad_zalloc(sizeof *face);
    if (face == NULL) {
        return NULL;
    }
    const size_t head = sizeof(struct ad_calls_head);
    face->plugin = *plugin;
    face->real = plugin;
    face->at.rt = put_before(&face->plugin.runtime.rt, sizeof(struct ad_calls));
    face->at.task = put_before(&face->plugin.runtime.task, head);
    face->at.timer = put_before(&face->plugin.poll.timer, head);
    if (!(plugin->caps & AD_CAP_POLL)) {
        face->at.timer = put_before(&face->plugin.local.timer, head);
    }
    face->at.cx = put_before(&face->plugin.connector.cx, head);
    face->at.stream = put_before(&face->plugin.connector.stream, head);
    put_functions(&face->plugin);
    return face;
}

const struct ad_plugin *ad_calls_plugin(const struct ad_plugin *plugin)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct ad_calls_face *faces;
    if (!ad_env_debug("calls")) {
        return plugin;
    }
    pthread_mutex_lock(&lock);
    struct ad_calls_face *face = faces;
    while (face != NULL && face->real != plugin) {
        face = face->next;
    }
    if (face == NULL && (face = face_of(plugin)) != NULL) {
        face->next = faces;
        faces = face;
    }
    pthread_mutex_unlock(&lock);
    return face == NULL ? NULL : &face->plugin;
}

bool ad_calls_is(const struct ad_plugin *plugin, const struct ad_plugin *real)
{
    const struct ad_calls_face *face = (const struct ad_calls_face *)(const void *)plugin;
    return plugin == real || (ad_env_debug("calls") && face->real == real);
}

void *ad_calls_rt(const struct ad_plugin *plugin, void *rt)
{
    const struct ad_calls_face *face = (const struct ad_calls_face *)(const void *)plugin;
    return ad_env_debug("calls") ? (uint8_t *)rt + face->at.rt : rt;
}
