/* SPDX-License-Identifier: MIT */
#include "fake_runtime.h"

#include "base/assert.h"
#include "base/list.h"
#include "plugin/config.h"
#include "plugin/registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

struct fake_task {
    struct fake_task *next_ready;
    struct aioduct_task *task;
    bool ready;
};

struct event {
    struct event *next;
    struct fake_conn *conn;
    int op; /* 0: data; -1: closed */
    int code;
    size_t count;
    uint8_t bytes[];
};

struct fake {
    struct ad_loop *loop;
    struct ad_plugin plugin;
    const struct aioduct_host *host;
    uint64_t now_ns;
    uint64_t deadline_ns;
    struct aioduct_timer *timer;
    struct fake_conn *conns, **conns_end;
    unsigned conn_count;
    int connect_answer, send_answer;
    struct event *events, **events_end;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    struct fake_task *ready; /* under the lock */
};

struct fake_rt {
    struct fake *fake;
};

struct fake_stream {
    struct fake_conn *conn;
};

/* The tables have no place for a pointer of ours before open. */
static struct fake *opening;

const char *ad_config_option(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                             const char *key)
{
    (void)kind;
    (void)config;
    (void)plugin;
    (void)key;
    return NULL;
}

int ad_config_check_options(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                            struct aioduct_error *error)
{
    (void)kind;
    (void)config;
    (void)plugin;
    (void)error;
    return 0;
}

unsigned ad_config_line_of(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                           const char *text)
{
    (void)kind;
    (void)config;
    (void)plugin;
    (void)text;
    return 0;
}

const char *ad_config_path(const struct ad_config *config)
{
    (void)config;
    return "";
}

/* ---- runtime ---- */

static int rt_open(void *rt, const struct aioduct_host *host, const struct aioduct_foreign *foreign)
{
    (void)foreign;
    ((struct fake_rt *)rt)->fake = opening;
    opening->host = host;
    return 0;
}

static void rt_close(void *rt)
{
    (void)rt;
}

static int rt_block_on(void *rt, struct aioduct_task *root, void *root_state)
{
    (void)rt;
    (void)root;
    (void)root_state;
    return -ENOSYS;
}

static void make_ready(struct fake *f, struct aioduct_task *task, struct fake_task *state)
{
    pthread_mutex_lock(&f->lock);
    state->task = task;
    if (!state->ready) {
        state->ready = true;
        state->next_ready = f->ready;
        f->ready = state;
        pthread_cond_signal(&f->woken);
    }
    pthread_mutex_unlock(&f->lock);
}

static void rt_wake(void *rt, struct aioduct_task *task, void *task_state)
{
    make_ready(((struct fake_rt *)rt)->fake, task, task_state);
}

static uint64_t rt_now_ns(void *rt)
{
    return ((struct fake_rt *)rt)->fake->now_ns;
}

static void wait_for_wake(struct fake *f, int64_t timeout_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ns / 1000000000;
    until.tv_nsec += timeout_ns % 1000000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&f->lock);
    while (f->ready == NULL && pthread_cond_timedwait(&f->woken, &f->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&f->lock);
}

static void run_tasks(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    struct fake_task *list = f->ready;
    f->ready = NULL;
    pthread_mutex_unlock(&f->lock);
    while (list != NULL) {
        pthread_mutex_lock(&f->lock);
        struct aioduct_task *task = list->task;
        list->ready = false;
        list = list->next_ready;
        pthread_mutex_unlock(&f->lock);
        f->host->task_run(f->host->ctx, task);
    }
}

static void check_lent(struct fake_conn *c)
{
    AD_ASSERT(memcmp(c->lent, c->snapshot, c->lent_count) == 0);
}

static void deliver(struct fake *f, struct event *e)
{
    struct fake_conn *c = e->conn;
    if (e->op == -1) {
        struct aioduct_stream *stream = c->stream;
        c->stream = NULL;
        c->closed = true;
        f->host->on_closed(f->host->ctx, stream);
    } else if (e->op == 0) {
        if (!c->closing && (c->inflight & AIODUCT_OP_RECV)) {
            f->host->on_data(f->host->ctx, c->stream, e->bytes, e->count);
        }
    } else if (c->inflight & (unsigned)e->op) {
        size_t count = 0;
        c->inflight &= ~(unsigned)e->op;
        if (e->op == AIODUCT_OP_SEND) {
            check_lent(c);
            if (e->code == 0) {
                count = c->lent_count;
                ad_buf_append(&c->sent, c->lent, count);
            }
            free(c->snapshot);
            c->snapshot = NULL;
        }
        f->host->on_done(f->host->ctx, c->stream, e->op, e->code, count);
    }
}

static bool has_work(const struct fake *f)
{
    return f->events != NULL || (f->deadline_ns != 0 && f->deadline_ns <= f->now_ns);
}

static int rt_turn(void *rt, int64_t timeout_ns)
{
    struct fake *f = ((struct fake_rt *)rt)->fake;
    if (timeout_ns != 0 && !has_work(f)) {
        wait_for_wake(f, timeout_ns);
    }
    run_tasks(f);
    if (f->deadline_ns != 0 && f->deadline_ns <= f->now_ns) {
        f->deadline_ns = 0;
        f->host->timer_fired(f->host->ctx, f->timer);
    }
    struct event *e = f->events;
    f->events = NULL;
    f->events_end = &f->events;
    while (e != NULL) {
        struct event *next = e->next;
        deliver(f, e);
        free(e);
        e = next;
    }
    f->host->turn_end(f->host->ctx);
    return 0;
}

static int poll_spawn(void *rt, struct aioduct_task *task, void *task_state)
{
    make_ready(((struct fake_rt *)rt)->fake, task, task_state);
    return 0;
}

static int poll_sleep(void *rt, struct aioduct_timer *timer, void *timer_state,
                      uint64_t deadline_ns)
{
    struct fake *f = ((struct fake_rt *)rt)->fake;
    (void)timer_state;
    f->timer = timer;
    f->deadline_ns = deadline_ns;
    return 0;
}

static void poll_sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state)
{
    (void)timer;
    (void)timer_state;
    ((struct fake_rt *)rt)->fake->deadline_ns = 0;
}

/* ---- connector ---- */

static void queue_event(struct fake_conn *c, int op, int code, const void *bytes, size_t count)
{
    struct fake *f = c->fake;
    struct event *e = calloc(1, sizeof *e + count);
    AD_ASSERT(e != NULL);
    e->conn = c;
    e->op = op;
    e->code = code;
    e->count = count;
    if (count > 0) {
        memcpy(e->bytes, bytes, count);
    }
    *f->events_end = e;
    f->events_end = &e->next;
}

static int cx_open(void *cx, const struct aioduct_host *host, void *rt)
{
    (void)host;
    ((struct fake_rt *)cx)->fake = ((struct fake_rt *)rt)->fake;
    return 0;
}

static void cx_close(void *cx)
{
    const struct fake_conn *c = ((struct fake_rt *)cx)->fake->conns;
    for (; c != NULL; c = c->next) {
        AD_ASSERT(c->closed);
    }
}

static void address_text(const struct sockaddr *sa, uint32_t bytes, char *out)
{
    struct ad_addr addr = {.bytes = bytes};
    out[0] = '\0';
    if (sa != NULL) {
        memcpy(&addr.storage, sa, bytes);
        ad_addr_text(&addr, out);
    }
}

static int cx_connect(void *cx, struct aioduct_stream *stream, void *state,
                      const struct aioduct_socket_config *config)
{
    struct fake *f = ((struct fake_rt *)cx)->fake;
    if (f->connect_answer < 0) {
        return f->connect_answer;
    }
    struct fake_conn *c = calloc(1, sizeof *c);
    AD_ASSERT(c != NULL);
    c->fake = f;
    c->stream = stream;
    c->config = *config;
    c->send_answer = f->send_answer;
    c->inflight = AIODUCT_OP_CONNECT;
    address_text(config->addr, config->addr_bytes, c->address);
    address_text(config->local_addr, config->local_addr_bytes, c->local_address);
    ((struct fake_stream *)state)->conn = c;
    *f->conns_end = c;
    f->conns_end = &c->next;
    f->conn_count++;
    return AIODUCT_PENDING;
}

static int cx_recv_start(void *state)
{
    struct fake_conn *c = ((struct fake_stream *)state)->conn;
    c->inflight |= AIODUCT_OP_RECV;
    c->recv_starts++;
    return 0;
}

static void cx_recv_stop(void *state)
{
    struct fake_conn *c = ((struct fake_stream *)state)->conn;
    c->recv_stops++;
    queue_event(c, AIODUCT_OP_RECV, -ECANCELED, NULL, 0);
}

static int cx_send(void *state, const struct iovec *pieces, unsigned count)
{
    struct fake_conn *c = ((struct fake_stream *)state)->conn;
    AD_ASSERT(count == 1);
    c->sends++;
    if (c->send_answer == AIODUCT_PENDING) {
        c->inflight |= AIODUCT_OP_SEND;
        c->lent = pieces[0].iov_base;
        c->lent_count = pieces[0].iov_len;
        c->snapshot = malloc(c->lent_count);
        AD_ASSERT(c->snapshot != NULL);
        memcpy(c->snapshot, c->lent, c->lent_count);
    } else if (c->send_answer == AIODUCT_DONE) {
        ad_buf_append(&c->sent, pieces[0].iov_base, pieces[0].iov_len);
    }
    return c->send_answer;
}

static int cx_shutdown(void *state)
{
    (void)state;
    return AIODUCT_DONE;
}

static void cx_cancel(void *state, unsigned ops)
{
    for (unsigned op = 1; op <= AIODUCT_OP_SHUTDOWN; op <<= 1) {
        if (ops & op) {
            queue_event(((struct fake_stream *)state)->conn, (int)op, -ECANCELED, NULL, 0);
        }
    }
}

static void cx_stream_close(void *state)
{
    struct fake_conn *c = ((struct fake_stream *)state)->conn;
    c->closing = true;
    cx_cancel(state, c->inflight);
    queue_event(c, -1, 0, NULL, 0);
}

static int cx_stream_info(void *state, struct aioduct_stream_info *info)
{
    (void)state;
    info->fd = 7;
    return 0;
}

/* ---- the test's side ---- */

struct fake *fake_create(void)
{
    static const struct aioduct_runtime runtime = {.size = sizeof runtime,
                                                   .rt = {sizeof(struct fake_rt), 8},
                                                   .task = {sizeof(struct fake_task), 8},
                                                   .open = rt_open,
                                                   .close = rt_close,
                                                   .block_on = rt_block_on,
                                                   .wake = rt_wake,
                                                   .now_ns = rt_now_ns,
                                                   .turn = rt_turn};
    static const struct aioduct_runtime_poll poll = {.size = sizeof poll,
                                                     .timer = {8, 8},
                                                     .spawn_send = poll_spawn,
                                                     .sleep = poll_sleep,
                                                     .sleep_cancel = poll_sleep_cancel};
    static const struct aioduct_connector connector = {.size = sizeof connector,
                                                       .flags = AIODUCT_BIND_SEND,
                                                       .cx = {sizeof(struct fake_rt), 8},
                                                       .stream = {sizeof(struct fake_stream), 8},
                                                       .open = cx_open,
                                                       .close = cx_close,
                                                       .connect = cx_connect,
                                                       .recv_start = cx_recv_start,
                                                       .recv_stop = cx_recv_stop,
                                                       .send = cx_send,
                                                       .shutdown = cx_shutdown,
                                                       .cancel = cx_cancel,
                                                       .stream_close = cx_stream_close,
                                                       .stream_info = cx_stream_info};
    struct fake *f = calloc(1, sizeof *f);
    AD_ASSERT(f != NULL);
    f->plugin = (struct ad_plugin){.name = "fake",
                                   .origin = "test",
                                   .caps = AD_CAP_RUNTIME | AD_CAP_POLL | AD_CAP_CONNECTOR,
                                   .runtime = runtime,
                                   .poll = poll,
                                   .connector = connector};
    f->now_ns = 1000000000;
    f->conns_end = &f->conns;
    f->events_end = &f->events;
    f->connect_answer = AIODUCT_PENDING;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->woken, NULL);
    opening = f;
    AD_ASSERT(ad_loop_create(&f->plugin, NULL, &f->loop, NULL) == 0);
    AD_ASSERT(ad_loop_claim(f->loop) == 0); /* tests call from outside turns */
    return f;
}

void fake_destroy(struct fake *f)
{
    fake_run(f);
    ad_loop_unclaim(f->loop);
    ad_loop_destroy(f->loop);
    while (f->conns != NULL) {
        struct fake_conn *next = f->conns->next;
        ad_buf_fini(&f->conns->sent);
        free(f->conns->snapshot);
        free(f->conns);
        f->conns = next;
    }
    pthread_cond_destroy(&f->woken);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

struct ad_loop *fake_loop(struct fake *f)
{
    return f->loop;
}

void fake_advance_ms(struct fake *f, uint64_t ms)
{
    f->now_ns += ms * 1000000;
}

void fake_run(struct fake *f)
{
    bool more = true;
    while (more) {
        AD_ASSERT(ad_loop_turn(f->loop, 0) == 0);
        pthread_mutex_lock(&f->lock);
        more = f->ready != NULL || has_work(f);
        pthread_mutex_unlock(&f->lock);
    }
}

bool fake_wait(struct fake *f, const int *flag)
{
    for (int i = 0; i < 100 && *flag == 0; i++) {
        AD_ASSERT(ad_loop_turn(f->loop, 100000000) == 0);
    }
    return *flag != 0;
}

void fake_connect_answer(struct fake *f, int answer)
{
    f->connect_answer = answer;
}

void fake_send_answer(struct fake *f, int answer)
{
    f->send_answer = answer;
}

unsigned fake_conn_count(struct fake *f)
{
    return f->conn_count;
}

struct fake_conn *fake_conn_at(struct fake *f, unsigned i)
{
    struct fake_conn *c = f->conns;
    AD_ASSERT(i < f->conn_count);
    while (i-- > 0) {
        c = c->next;
    }
    return c;
}

void fake_done(struct fake_conn *c, int op, int code)
{
    queue_event(c, op, code, NULL, 0);
}

void fake_data(struct fake_conn *c, const void *bytes, size_t count)
{
    queue_event(c, 0, 0, bytes, count);
}
