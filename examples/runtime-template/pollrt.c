/* SPDX-License-Identifier: MIT */
/*
 * A whole runtime in one file, over poll(2): the starting point for one of your own. Build it with
 *
 *   cc -std=c11 -fPIC -shared -fvisibility=hidden -Wl,-z,defs $(pkg-config --cflags aioduct) \
 *      pollrt.c -o libaioduct-rt-pollrt.so
 *
 * and run any aioduct program with AIODUCT_PLUGIN_PATH=$PWD AIODUCT_RUNTIME=pollrt. What an event
 * loop of yours does better replaces the arrays and lists below; the rules stay: nothing completes
 * inside the call that asked for it, every accepted operation completes once, and turn_end comes
 * after the callbacks of each turn.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <aioduct/plugin/plugin.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SCRATCH_BYTES 65536

struct task {
    struct task *next;
    struct aioduct_task *core;
    bool queued, done;
};

struct timer {
    struct timer *next;
    struct aioduct_timer *core;
    uint64_t deadline_ns;
    bool armed;
};

struct stream {
    struct stream *next;
    struct rt *rt;
    struct aioduct_stream *core;
    int fd;
    unsigned running;     /* operations that wait for the descriptor, AIODUCT_OP_* */
    unsigned finished;    /* operations whose completion is due */
    int code[4];          /* result of each, by index of its bit */
    struct iovec *pieces; /* what a pending send has left: our copy of the array */
    unsigned piece, piece_count;
    size_t sent;
    bool shut, closing;
};

struct rt {
    const struct aioduct_host *host;
    int wake_fd;
    uint64_t now_ns;
    bool in_turn;
    struct stream *streams;
    struct timer *timers;
    pthread_mutex_t lock; /* over the queue of tasks: wakes come from any thread */
    struct task *first, **last;
    const struct aioduct_task *root; /* of block_on; NULL once it is ready */
    struct pollfd *polled;
    struct stream **polled_streams;
    size_t polled_capacity;
    uint8_t scratch[SCRATCH_BYTES];
};

struct cx {
    struct rt *rt;
};

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- tasks ---- */

static void enqueue(struct rt *rt, struct aioduct_task *core, struct task *task)
{
    pthread_mutex_lock(&rt->lock);
    bool add = !task->queued && !task->done;
    if (add) {
        task->queued = true;
        task->core = core;
        task->next = NULL;
        *rt->last = task;
        rt->last = &task->next;
    }
    pthread_mutex_unlock(&rt->lock);
    if (add && !rt->host->is_loop_thread(rt->host->ctx)) {
        uint64_t one = 1;
        (void)!write(rt->wake_fd, &one, sizeof one);
    }
}

static int rt_spawn(void *rt, struct aioduct_task *core, void *task)
{
    enqueue(rt, core, task);
    return 0;
}

static void rt_wake(void *rt, struct aioduct_task *core, void *task)
{
    enqueue(rt, core, task);
}

static struct task *dequeue(struct rt *rt)
{
    struct task *task = rt->first;
    rt->first = task->next;
    if (rt->first == NULL) {
        rt->last = &rt->first;
    }
    task->queued = false;
    return task;
}

static void unqueue(struct rt *rt, struct task *task)
{
    struct task **at = &rt->first;
    while (*at != task) {
        at = &(*at)->next;
    }
    *at = task->next;
    if (rt->last == &task->next) {
        rt->last = at;
    }
}

/* Runs those that are queued now; what they wake runs in the next turn, so none can starve the
 * rest. */
static void run_tasks(struct rt *rt)
{
    pthread_mutex_lock(&rt->lock);
    size_t count = 0;
    for (const struct task *t = rt->first; t != NULL; t = t->next) {
        count++;
    }
    for (; count > 0 && rt->first != NULL; count--) {
        struct task *task = dequeue(rt);
        struct aioduct_task *core = task->core;
        pthread_mutex_unlock(&rt->lock);
        int ready = rt->host->task_run(rt->host->ctx, core);
        pthread_mutex_lock(&rt->lock);
        if (ready) {
            task->done = true; /* later wakes do nothing, and one that came meanwhile is dropped */
            if (task->queued) {
                unqueue(rt, task);
            }
            rt->root = core == rt->root ? NULL : rt->root;
        }
    }
    pthread_mutex_unlock(&rt->lock);
}

/* ---- timers ---- */

static int rt_sleep(void *rt_state, struct aioduct_timer *core, void *state, uint64_t deadline_ns)
{
    struct rt *rt = rt_state;
    struct timer *timer = state;
    if (!timer->armed) {
        timer->armed = true;
        timer->next = rt->timers;
        rt->timers = timer;
    }
    timer->core = core;
    timer->deadline_ns = deadline_ns;
    return 0;
}

static void rt_sleep_cancel(void *rt_state, struct aioduct_timer *core, void *state)
{
    struct rt *rt = rt_state;
    struct timer *timer = state;
    (void)core;
    for (struct timer **at = &rt->timers; timer->armed && *at != NULL; at = &(*at)->next) {
        if (*at == timer) {
            *at = timer->next;
            timer->armed = false;
            break;
        }
    }
}

static struct timer *earliest(struct rt *rt)
{
    struct timer *best = rt->timers;
    for (struct timer *t = rt->timers; t != NULL; t = t->next) {
        best = t->deadline_ns < best->deadline_ns ? t : best;
    }
    return best;
}

static void run_timers(struct rt *rt)
{
    struct timer *timer;
    while ((timer = earliest(rt)) != NULL && timer->deadline_ns <= rt->now_ns) {
        struct aioduct_timer *core = timer->core;
        rt_sleep_cancel(rt, core, timer);
        rt->host->timer_fired(rt->host->ctx, core);
    }
}

/* ---- streams ---- */

static int index_of(unsigned op)
{
    return __builtin_ctz(op);
}

static void finish(struct stream *s, unsigned op, int code)
{
    s->running &= ~op;
    s->finished |= op;
    s->code[index_of(op)] = code;
}

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int apply(int fd, int family, const struct aioduct_socket_config *c)
{
    const bool v6 = family == AF_INET6;
    const struct {
        bool wanted;
        int level, name;
        unsigned value;
    } options[] = {
        {c->nodelay >= 0, IPPROTO_TCP, TCP_NODELAY, 1},
        {c->keepalive_idle_s != 0, SOL_SOCKET, SO_KEEPALIVE, 1},
        {c->keepalive_idle_s != 0, IPPROTO_TCP, TCP_KEEPIDLE, c->keepalive_idle_s},
        {c->keepalive_interval_s != 0, IPPROTO_TCP, TCP_KEEPINTVL, c->keepalive_interval_s},
        {c->keepalive_count != 0, IPPROTO_TCP, TCP_KEEPCNT, c->keepalive_count},
        {c->user_timeout_ms != 0, IPPROTO_TCP, TCP_USER_TIMEOUT, c->user_timeout_ms},
        {c->send_buffer_bytes != 0, SOL_SOCKET, SO_SNDBUF, c->send_buffer_bytes},
        {c->recv_buffer_bytes != 0, SOL_SOCKET, SO_RCVBUF, c->recv_buffer_bytes},
        {c->mark != 0, SOL_SOCKET, SO_MARK, c->mark},
        {c->tos != 0, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, c->tos},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int code = options[i].wanted
                       ? set(fd, options[i].level, options[i].name, (int)options[i].value)
                       : 0;
        if (code < 0) {
            return code;
        }
    }
    if (c->device != NULL &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, c->device, (socklen_t)strlen(c->device)) < 0) {
        return -errno;
    }
    if (c->fast_open > 0) {
        (void)set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1); /* a hint */
    }
    return 0;
}

static int bind_local(int fd, const struct aioduct_socket_config *c)
{
    struct sockaddr_storage local = {0};
    unsigned port = c->local_port_min;
    if (c->local_addr == NULL && port == 0) {
        return 0;
    }
    local.ss_family = c->addr->sa_family;
    if (c->local_addr != NULL) {
        memcpy(&local, c->local_addr, c->local_addr_bytes);
    }
    do { /* the port lies at the same place for both families */
        ((struct sockaddr_in *)&local)->sin_port = htons((uint16_t)port);
        if (bind(fd, (struct sockaddr *)&local, c->addr_bytes) == 0) {
            return 0;
        }
    } while (errno == EADDRINUSE && ++port <= c->local_port_max);
    return -errno;
}

static int cx_connect(void *cx, struct aioduct_stream *core, void *state,
                      const struct aioduct_socket_config *config)
{
    struct rt *rt = ((struct cx *)cx)->rt;
    struct stream *s = state;
    if (config->addr == NULL) {
        rt->host->error(rt->host->ctx, AIODUCT_E_UNSUPPORTED, "pollrt needs an address to dial");
        return AIODUCT_E_UNSUPPORTED;
    }
    int family = config->addr->sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int code = apply(fd, family, config);
    code = code < 0 ? code : bind_local(fd, config);
    if (code == 0 && connect(fd, config->addr, config->addr_bytes) < 0 && errno != EINPROGRESS) {
        code = -errno;
    }
    if (code < 0) {
        close(fd);
        return code;
    }
    *s = (struct stream){.rt = rt, .core = core, .fd = fd, .running = AIODUCT_OP_CONNECT};
    s->next = rt->streams;
    rt->streams = s;
    return AIODUCT_PENDING;
}

static int st_recv_start(void *state)
{
    struct stream *s = state;
    if ((s->running | s->finished) & (AIODUCT_OP_RECV | AIODUCT_OP_CONNECT)) {
        return (s->running | s->finished) & AIODUCT_OP_RECV ? -EBUSY : -ENOTCONN;
    }
    s->running |= AIODUCT_OP_RECV;
    return 0;
}

static void st_recv_stop(void *state)
{
    struct stream *s = state;
    if (s->running & AIODUCT_OP_RECV) {
        finish(s, AIODUCT_OP_RECV, -ECANCELED);
    }
}

/* Send what is left -> 1 when all is gone, 0 when the socket is full, negative. */
static int push(struct stream *s)
{
    while (s->piece < s->piece_count) {
        struct msghdr m = {.msg_iov = s->pieces + s->piece};
        m.msg_iovlen = s->piece_count - s->piece > 64 ? 64 : s->piece_count - s->piece;
        ssize_t sent = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EINTR) {
            return errno == EAGAIN ? 0 : -errno;
        }
        s->sent += sent > 0 ? (size_t)sent : 0;
        while (s->piece < s->piece_count && sent >= (ssize_t)s->pieces[s->piece].iov_len) {
            sent -= (ssize_t)s->pieces[s->piece++].iov_len;
        }
        if (s->piece < s->piece_count && sent > 0) {
            s->pieces[s->piece].iov_base = (uint8_t *)s->pieces[s->piece].iov_base + sent;
            s->pieces[s->piece].iov_len -= (size_t)sent;
        }
    }
    return 1;
}

static void drop_pieces(struct stream *s)
{
    s->rt->host->alloc(s->rt->host->ctx, s->pieces, 0, 0);
    s->pieces = NULL;
}

static int st_send(void *state, const struct iovec *pieces, unsigned count)
{
    struct stream *s = state;
    if ((s->running | s->finished) & (AIODUCT_OP_SEND | AIODUCT_OP_CONNECT)) {
        return (s->running | s->finished) & AIODUCT_OP_SEND ? -EBUSY : -ENOTCONN;
    }
    if (s->shut) {
        return -EPIPE;
    }
    if (count == 0) {
        return AIODUCT_DONE;
    }
    s->pieces = s->rt->host->alloc(s->rt->host->ctx, NULL, count * sizeof *pieces, 0);
    if (s->pieces == NULL) {
        return -ENOMEM;
    }
    memcpy(s->pieces, pieces, count * sizeof *pieces);
    s->piece = 0;
    s->piece_count = count;
    s->sent = 0;
    int code = push(s);
    if (code == 0 ||
        (code < 0 && s->sent > 0)) { /* some bytes may be gone: tell later, with the count */
        s->running |= AIODUCT_OP_SEND;
        if (code < 0) {
            finish(s, AIODUCT_OP_SEND, code);
        }
        return AIODUCT_PENDING;
    }
    drop_pieces(s);
    return code < 0 ? code : AIODUCT_DONE;
}

static int st_shutdown(void *state)
{
    struct stream *s = state;
    if ((s->running | s->finished) & (AIODUCT_OP_SHUTDOWN | AIODUCT_OP_CONNECT)) {
        return (s->running | s->finished) & AIODUCT_OP_SHUTDOWN ? -EBUSY : -ENOTCONN;
    }
    s->shut = true;
    if (s->running & AIODUCT_OP_SEND) {
        s->running |= AIODUCT_OP_SHUTDOWN; /* after the bytes */
        return AIODUCT_PENDING;
    }
    return shutdown(s->fd, SHUT_WR) < 0 ? -errno : AIODUCT_DONE;
}

static void st_cancel(void *state, unsigned ops)
{
    struct stream *s = state;
    for (unsigned op = 1; op <= AIODUCT_OP_SHUTDOWN; op <<= 1) {
        if (s->running & ops & op) {
            finish(s, op, -ECANCELED);
        }
    }
}

static void st_close(void *state)
{
    struct stream *s = state;
    st_cancel(s, ~0u);
    s->closing = true;
}

static int st_info(void *state, struct aioduct_stream_info *info)
{
    struct stream *s = state;
    socklen_t local = sizeof info->local_addr, peer = sizeof info->peer_addr;
    info->fd = s->fd;
    if (getsockname(s->fd, (struct sockaddr *)info->local_addr, &local) == 0) {
        info->local_addr_bytes = local;
    }
    if (getpeername(s->fd, (struct sockaddr *)info->peer_addr, &peer) == 0) {
        info->peer_addr_bytes = peer;
    }
    return 0;
}

/* ---- the loop ---- */

static void connected(struct stream *s)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
    finish(s, AIODUCT_OP_CONNECT, -error);
}

static void receive(struct rt *rt, struct stream *s)
{
    ssize_t got = recv(s->fd, rt->scratch, sizeof rt->scratch, MSG_DONTWAIT);
    if (got > 0) {
        rt->host->on_data(rt->host->ctx, s->core, rt->scratch, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        finish(s, AIODUCT_OP_RECV, got == 0 ? 0 : -errno);
    }
}

static void progress(struct rt *rt, struct stream *s, short events)
{
    if (s->running & AIODUCT_OP_CONNECT) {
        connected(s);
        return;
    }
    if ((s->running & AIODUCT_OP_SEND) && (events & (POLLOUT | POLLERR | POLLHUP))) {
        int code = push(s);
        if (code != 0) {
            finish(s, AIODUCT_OP_SEND, code < 0 ? code : 0);
        }
        if (code != 0 && (s->running & AIODUCT_OP_SHUTDOWN)) {
            finish(s, AIODUCT_OP_SHUTDOWN, shutdown(s->fd, SHUT_WR) < 0 ? -errno : 0);
        }
    }
    if ((s->running & AIODUCT_OP_RECV) && (events & (POLLIN | POLLERR | POLLHUP))) {
        receive(rt, s);
    }
}

/* Completions that are due, and the last word on closed streams. A callback may change any stream.
 */
static bool complete_one(struct rt *rt)
{
    for (struct stream **at = &rt->streams; *at != NULL; at = &(*at)->next) {
        struct stream *s = *at;
        if (s->finished != 0) {
            unsigned op = s->finished & -s->finished;
            size_t bytes = op == AIODUCT_OP_SEND ? s->sent : 0;
            s->finished &= ~op;
            if (op == AIODUCT_OP_SEND) {
                drop_pieces(s);
            }
            rt->host->on_done(rt->host->ctx, s->core, (int)op, s->code[index_of(op)], bytes);
            return true;
        }
        if (s->closing) {
            *at = s->next;
            close(s->fd);
            rt->host->on_closed(rt->host->ctx, s->core);
            return true;
        }
    }
    return false;
}

static bool completions_due(const struct rt *rt)
{
    for (const struct stream *s = rt->streams; s != NULL; s = s->next) {
        if (s->finished != 0 || s->closing) {
            return true;
        }
    }
    return false;
}

static short interest(const struct stream *s)
{
    return (short)((s->running & AIODUCT_OP_RECV ? POLLIN : 0) |
                   (s->running & (AIODUCT_OP_CONNECT | AIODUCT_OP_SEND) ? POLLOUT : 0));
}

/* -> descriptors to poll, the eventfd first; -ENOMEM */
static ssize_t fill(struct rt *rt)
{
    size_t count = 1;
    for (struct stream *s = rt->streams; s != NULL; s = s->next) {
        count++;
    }
    if (count > rt->polled_capacity) {
        void *ctx = rt->host->ctx;
        struct pollfd *fds = rt->host->alloc(ctx, rt->polled, 2 * count * sizeof *fds, 0);
        rt->polled = fds != NULL ? fds : rt->polled;
        struct stream **of =
            rt->host->alloc(ctx, rt->polled_streams, 2 * count * sizeof(void *), 0);
        rt->polled_streams = of != NULL ? of : rt->polled_streams;
        if (fds == NULL || of == NULL) {
            return -ENOMEM;
        }
        rt->polled_capacity = 2 * count;
    }
    rt->polled[0] = (struct pollfd){.fd = rt->wake_fd, .events = POLLIN};
    count = 1;
    for (struct stream *s = rt->streams; s != NULL; s = s->next) {
        if (interest(s) != 0) {
            rt->polled_streams[count] = s;
            rt->polled[count++] = (struct pollfd){.fd = s->fd, .events = interest(s)};
        }
    }
    return (ssize_t)count;
}

/* Has the stream gone while this batch was worked on? */
static bool lives(const struct rt *rt, const struct stream *wanted)
{
    const struct stream *s = rt->streams;
    while (s != NULL && s != wanted) {
        s = s->next;
    }
    return s != NULL;
}

static int one_turn(struct rt *rt, int64_t timeout_ns)
{
    uint64_t drained;
    struct timespec wait, *limit = NULL;
    struct timer *timer = earliest(rt);
    ssize_t count = fill(rt);
    if (count < 0) {
        return (int)count;
    }
    pthread_mutex_lock(&rt->lock);
    bool busy = rt->first != NULL;
    pthread_mutex_unlock(&rt->lock);
    if (busy || completions_due(rt)) {
        timeout_ns = 0;
    } else if (timer != NULL && timer->deadline_ns != UINT64_MAX && timeout_ns != 0) {
        uint64_t now = clock_ns();
        int64_t left = timer->deadline_ns > now ? (int64_t)(timer->deadline_ns - now) : 0;
        timeout_ns = timeout_ns < 0 || left < timeout_ns ? left : timeout_ns;
    }
    if (timeout_ns >= 0) {
        wait = (struct timespec){timeout_ns / 1000000000, timeout_ns % 1000000000};
        limit = &wait;
    }
    int ready = ppoll(rt->polled, (nfds_t)count, limit, NULL);
    rt->now_ns = clock_ns();
    rt->in_turn = true;
    if (ready > 0 && rt->polled[0].revents != 0) {
        (void)!read(rt->wake_fd, &drained, sizeof drained);
    }
    for (ssize_t i = 1; i < count && ready > 0; i++) {
        struct stream *s = rt->polled_streams[i];
        if (rt->polled[i].revents != 0 && lives(rt, s) && s->fd == rt->polled[i].fd) {
            progress(rt, s, rt->polled[i].revents);
        }
    }
    while (complete_one(rt)) {
    }
    run_timers(rt);
    run_tasks(rt);
    rt->host->turn_end(rt->host->ctx);
    rt->in_turn = false;
    return 0;
}

static int rt_turn(void *state, int64_t timeout_ns)
{
    struct rt *rt = state;
    return rt->in_turn ? AIODUCT_E_NESTED : one_turn(rt, timeout_ns);
}

static int rt_block_on(void *state, struct aioduct_task *root, void *root_state)
{
    struct rt *rt = state;
    int code = 0;
    if (rt->in_turn) {
        return AIODUCT_E_NESTED;
    }
    rt->root = root;
    enqueue(rt, root, root_state);
    while (code == 0 && rt->root != NULL) {
        code = one_turn(rt, -1);
    }
    return code;
}

static uint64_t rt_now(void *state)
{
    struct rt *rt = state;
    return rt->in_turn ? rt->now_ns : clock_ns();
}

static int rt_open(void *state, const struct aioduct_host *host,
                   const struct aioduct_foreign *foreign)
{
    struct rt *rt = state;
    if (foreign != NULL) {
        host->error(host->ctx, AIODUCT_E_UNSUPPORTED, "pollrt has no loop to adopt");
        return AIODUCT_E_UNSUPPORTED;
    }
    rt->host = host;
    rt->last = &rt->first;
    pthread_mutex_init(&rt->lock, NULL);
    rt->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return rt->wake_fd < 0 ? -errno : 0;
}

static void rt_close(void *state)
{
    struct rt *rt = state;
    close(rt->wake_fd);
    rt->host->alloc(rt->host->ctx, rt->polled, 0, 0);
    rt->host->alloc(rt->host->ctx, rt->polled_streams, 0, 0);
    pthread_mutex_destroy(&rt->lock);
}

static int cx_open(void *cx, const struct aioduct_host *host, void *rt)
{
    (void)host;
    ((struct cx *)cx)->rt = rt;
    return 0;
}

static void cx_close(void *cx)
{
    (void)cx;
}

/* ---- the plugin ---- */

static const struct aioduct_runtime runtime = {
    .size = sizeof runtime,
    .rt = {sizeof(struct rt), _Alignof(struct rt)},
    .task = {sizeof(struct task), _Alignof(struct task)},
    .open = rt_open,
    .close = rt_close,
    .block_on = rt_block_on,
    .wake = rt_wake,
    .now_ns = rt_now,
    .turn = rt_turn,
};

static const struct aioduct_runtime_poll poll_runtime = {
    .size = sizeof poll_runtime,
    .timer = {sizeof(struct timer), _Alignof(struct timer)},
    .spawn_send = rt_spawn,
    .sleep = rt_sleep,
    .sleep_cancel = rt_sleep_cancel,
};

static const struct aioduct_connector connector = {
    .size = sizeof connector,
    .flags = AIODUCT_BIND_SEND,
    .cx = {sizeof(struct cx), _Alignof(struct cx)},
    .stream = {sizeof(struct stream), _Alignof(struct stream)},
    .open = cx_open,
    .close = cx_close,
    .connect = cx_connect,
    .recv_start = st_recv_start,
    .recv_stop = st_recv_stop,
    .send = st_send,
    .shutdown = st_shutdown,
    .cancel = st_cancel,
    .stream_close = st_close,
    .stream_info = st_info,
};

static const void *interfaces(const char *id)
{
    return strcmp(id, AIODUCT_IFACE_RUNTIME) == 0     ? (const void *)&runtime
           : strcmp(id, AIODUCT_IFACE_POLL) == 0      ? (const void *)&poll_runtime
           : strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? (const void *)&connector
                                                      : NULL;
}

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0; /* poll(2) is everywhere */
}

AIODUCT_PLUGIN_NOTE(pollrt, "runtime,poll,connector")
AIODUCT_PLUGIN_EXPORT(pollrt) = {
    AIODUCT_PLUGIN_HEAD(pollrt),       .version = "1.0.0",
    .summary = "poll(2), in one file", .probe = probe,
    .get_interface = interfaces,
};
