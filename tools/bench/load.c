/* SPDX-License-Identifier: MIT */
/*
 * One turn: a client, and lanes that each carry one request at a time, all of one prepared request.
 *
 * Closed loop: a lane sends its next request when the answer to the last has come. Open loop
 * (--rate): the i-th request is due at begin + i / rate, and goes out then, or as soon as a lane is
 * free; its latency counts from when it was due, so that what waits behind a stalled server is seen
 * to wait. A warm request allocates nothing here and reads the clock once.
 */
#include "bench.h"
#include "client.h"
#include "exitcode.h"
#include "pace.h"
#include "transfer.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define MS_NS UINT64_C(1000000)
#define NEVER UINT64_MAX
#define GRACE_NS (1000 * MS_NS) /* what is under way at the end has this long to be answered */
#define REST_NS (10 * MS_NS)    /* after a failure, so that a closed port is not hammered */
#define LOOK_NS (100 * MS_NS)   /* at least so often somebody looks whether it shall stop */

struct lane {
    struct load *load;
    struct lane *next; /* in one of the two lists, or none */
    uint64_t start_ns; /* in the open loop: when it was due */
    uint64_t rest_until_ns;
    int status;
    bool warms_up; /* its request is not counted */
};

struct load {
    const struct bench_settings *settings;
    const _Atomic int *stop;
    struct bench_result *result;
    struct aioduct_client *client;
    struct aioduct_request *request;
    struct lane *lanes;
    size_t lane_count;
    struct lane *idle;              /* open loop: these wait for what is due */
    struct lane *rest, **rest_last; /* closed loop: the first to come back is in front */
    uint64_t begin_ns, end_ns, last_ns;
    uint64_t started, limit;
    uint64_t requests; /* the limit of what is counted */
    int duration_ms;   /* of that; 0: none */
    double period_ns;  /* 0: closed loop */
    bool warming_up;   /* nothing that is started now is counted */
    bool over;         /* nothing more is started */
    bool cut;          /* what is under way is ended, which is nobody's fault */
    struct rusage before;
    struct aioduct_client_stats stats_before;
};

/* ---- what came of it ---- */

const char *const bench_error_names[BENCH_ERRORS] = {
    "resolve",   "refused",  "connect", "tls",   "timeout",  "closed",   "reset",
    "truncated", "protocol", "stream",  "other", "http_4xx", "http_5xx",
};

static enum bench_error kind_of(const struct aioduct_error *e)
{
    switch (e->code) {
    case AIODUCT_E_RESOLVE:
    case AIODUCT_E_RESOLVE_TEMPORARY:
        return BENCH_RESOLVE;
    case AIODUCT_E_TIMEOUT:
    case -ETIMEDOUT:
        return BENCH_TIMEOUT;
    case AIODUCT_E_CLOSED:
        return BENCH_CLOSED;
    case AIODUCT_E_TLS:
    case AIODUCT_E_TLS_VERIFY:
    case AIODUCT_E_TLS_CONFIG:
        return BENCH_TLS;
    case AIODUCT_E_PROTOCOL:
    case AIODUCT_E_HEAD_LIMIT:
    case AIODUCT_E_NOT_HTTP:
        return BENCH_PROTOCOL;
    case AIODUCT_E_TRUNCATED:
        return BENCH_TRUNCATED;
    case AIODUCT_E_STREAM:
        return BENCH_STREAM;
    case -ECONNREFUSED:
        return BENCH_REFUSED;
    case -ECONNRESET:
    case -EPIPE:
        return BENCH_RESET;
    default:
        return e->phase == AIODUCT_PHASE_CONNECT ? BENCH_CONNECT : BENCH_OTHER;
    }
}

/* This process alone writes it: no read-modify-write is needed for others to see it whole. */
static void count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void count_failure(struct bench_result *r, const struct aioduct_error *error)
{
    if (r->first.code == 0) {
        r->first = *error;
    }
    count(&r->failed);
    r->errors[kind_of(error)]++;
}

static void count_answer(struct bench_result *r, const struct lane *lane, uint64_t now_ns)
{
    count(&r->done);
    histogram_record(&r->latency, now_ns - lane->start_ns);
    r->status[lane->status]++;
    if (lane->status >= 400) {
        r->errors[lane->status >= 500 ? BENCH_HTTP_5XX : BENCH_HTTP_4XX]++;
    }
}

/* Of a request, whatever came of it. */
static void count_end(const struct lane *lane, const struct aioduct_error *error, uint64_t now_ns)
{
    struct load *load = lane->load;
    if (lane->warms_up) {
        return;
    }
    load->last_ns = now_ns;
    if (error->code == 0) {
        count_answer(load->result, lane, now_ns);
    } else {
        count_failure(load->result, error);
    }
}

static void learn(struct bench_result *r, const struct aioduct_exchange *exchange)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    if (r->protocol[0] == '\0' && aioduct_exchange_info(exchange, &info) == 0) {
        snprintf(r->protocol, sizeof r->protocol, "%s", info.protocol);
        snprintf(r->tls_version, sizeof r->tls_version, "%s", info.tls_version);
    }
}

/* ---- lanes ---- */

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    ((struct lane *)user)->status = head->status;
    return 0;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t body_bytes,
                   void *user)
{
    (void)exchange;
    (void)bytes;
    struct lane *lane = user;
    lane->load->result->body_bytes += lane->warms_up ? 0 : body_bytes;
    return 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user);

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

static uint64_t due_ns(const struct load *load)
{
    return load->begin_ns + (uint64_t)((double)load->started * load->period_ns);
}

/* In the open loop what was due in time may be started a little late. */
static bool may_start(const struct load *load, uint64_t now_ns)
{
    return !load->over && load->started < load->limit &&
           (load->period_ns > 0 ? due_ns(load) : now_ns) < load->end_ns;
}

static void rest(struct lane *lane, uint64_t now_ns)
{
    struct load *load = lane->load;
    lane->rest_until_ns = now_ns + REST_NS;
    lane->next = NULL;
    *load->rest_last = lane;
    load->rest_last = &lane->next;
}

static void put_idle(struct lane *lane)
{
    lane->next = lane->load->idle;
    lane->load->idle = lane;
}

static void start(struct lane *lane, uint64_t start_ns, uint64_t now_ns)
{
    struct load *load = lane->load;
    lane->start_ns = start_ns;
    lane->warms_up = load->warming_up;
    load->started++;
    int code = aioduct_client_submit(load->client, load->request, &callbacks, lane, NULL);
    if (code < 0) {
        struct aioduct_error error = {.code = code, .phase = AIODUCT_PHASE_SETUP};
        count_end(lane, &error, now_ns);
        rest(lane, now_ns); /* in the open loop too: it comes back to the idle ones */
    }
}

/* A lane has nothing to do. */
static void go_on(struct lane *lane, uint64_t now_ns)
{
    struct load *load = lane->load;
    if (!may_start(load, now_ns)) {
        put_idle(lane);
    } else if (load->period_ns == 0) {
        start(lane, now_ns, now_ns);
    } else if (due_ns(load) <= now_ns) {
        start(lane, due_ns(load), now_ns);
    } else {
        put_idle(lane);
    }
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct lane *lane = user;
    struct load *load = lane->load;
    uint64_t now_ns = clock_ns();
    if (load->cut && error->code != 0) {
        load->result->unfinished += lane->warms_up ? 0 : 1;
        return;
    }
    learn(load->result, exchange);
    count_end(lane, error, now_ns);
    if (error->code != 0 && load->period_ns == 0) {
        rest(lane, now_ns);
    } else {
        go_on(lane, now_ns);
    }
}

/* ---- the loop ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void wake_lanes(struct load *load, uint64_t now_ns)
{
    while (load->rest != NULL && load->rest->rest_until_ns <= now_ns) {
        struct lane *lane = load->rest;
        load->rest = lane->next;
        if (load->rest == NULL) {
            load->rest_last = &load->rest;
        }
        go_on(lane, now_ns);
    }
    while (load->idle != NULL && load->period_ns > 0 && may_start(load, now_ns) &&
           due_ns(load) <= now_ns) {
        struct lane *lane = load->idle;
        load->idle = lane->next;
        start(lane, due_ns(load), now_ns);
    }
}

/* When something is to be done that no answer brings about. */
static uint64_t wake_ns(const struct load *load, uint64_t now_ns)
{
    uint64_t at_ns = least(now_ns + LOOK_NS, load->end_ns);
    if (load->rest != NULL) {
        at_ns = least(at_ns, load->rest->rest_until_ns);
    }
    if (load->idle != NULL && load->period_ns > 0 && may_start(load, now_ns)) {
        at_ns = least(at_ns, due_ns(load));
    }
    return at_ns;
}

static void wait_precisely(struct load *load, int fd, uint64_t wait_ns)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    struct timespec time = {.tv_sec = (time_t)(wait_ns / (1000 * MS_NS)),
                            .tv_nsec = (long)(wait_ns % (1000 * MS_NS))};
    aioduct_client_turn(load->client, 0); /* what was submitted goes out first */
    if (ppoll(&watched, 1, &time, NULL) > 0) {
        aioduct_client_turn(load->client, 0);
    }
}

/* A turn waits whole milliseconds, which would be the latency of what is due in between. */
static void turn(struct load *load, int fd, uint64_t wait_ns)
{
    if (load->period_ns > 0 && fd >= 0 && wait_ns < LOOK_NS) {
        wait_precisely(load, fd, wait_ns);
    } else if (aioduct_client_turn(load->client, (int)((wait_ns + MS_NS - 1) / MS_NS)) < 0) {
        /* A runtime without turns: its answers are waited for, and rests are slept through. */
        if (aioduct_client_outstanding(load->client) == 0) {
            poll(NULL, 0, (int)((wait_ns + MS_NS - 1) / MS_NS));
        }
        aioduct_client_run(load->client);
    }
}

/* Lanes without a request: in the closed loop each has one while there are any to start. */
static void start_idle(struct load *load, uint64_t now_ns)
{
    while (load->period_ns == 0 && load->idle != NULL && may_start(load, now_ns)) {
        struct lane *lane = load->idle;
        load->idle = lane->next;
        start(lane, now_ns, now_ns);
    }
}

/* What is counted begins now, with what is under way since before not in it. */
static void begin_counting(struct load *load, uint64_t now_ns)
{
    load->warming_up = false;
    load->started = 0;
    load->limit = load->requests;
    load->begin_ns = load->last_ns = now_ns;
    load->end_ns = load->duration_ms > 0 ? now_ns + (uint64_t)load->duration_ms * MS_NS : NEVER;
    load->stats_before = (struct aioduct_client_stats)AIODUCT_CLIENT_STATS_INIT;
    aioduct_client_stats(load->client, &load->stats_before);
    getrusage(RUSAGE_SELF, &load->before);
    start_idle(load, now_ns);
}

static void look_at_the_end(struct load *load, uint64_t now_ns)
{
    bool stopped = atomic_load_explicit(load->stop, memory_order_relaxed) != 0;
    if (load->warming_up && (stopped || now_ns >= load->end_ns)) {
        begin_counting(load, now_ns);
    }
    if (load->over || (!stopped && now_ns < load->end_ns)) {
        return;
    }
    load->over = true;
    if (load->period_ns > 0) {
        double until_ns = (double)(least(now_ns, load->end_ns) - load->begin_ns);
        double periods = until_ns / load->period_ns;
        uint64_t due = (uint64_t)periods;
        due = least(load->limit, due + ((double)due < periods));
        load->result->not_started = due > load->started ? due - load->started : 0;
    }
    load->end_ns = now_ns + GRACE_NS;
}

static void drive(struct load *load)
{
    int fd = load->period_ns > 0 ? aioduct_client_poll_fd(load->client) : -1;
    for (size_t i = load->lane_count; i > 0; i--) {
        put_idle(&load->lanes[i - 1]);
    }
    if (load->warming_up) {
        start_idle(load, load->begin_ns);
    } else {
        begin_counting(load, load->begin_ns);
    }
    for (;;) {
        uint64_t now_ns = clock_ns();
        wake_lanes(load, now_ns);
        look_at_the_end(load, now_ns);
        bool enough = load->over || load->started >= load->limit;
        if ((enough && aioduct_client_outstanding(load->client) == 0) ||
            (load->over && now_ns >= load->end_ns)) {
            return;
        }
        uint64_t at_ns = wake_ns(load, now_ns);
        turn(load, fd, at_ns > now_ns ? at_ns - now_ns : 0);
    }
}

/* ---- before and behind ---- */

static int make_client(struct load *load, const char *runtime)
{
    const struct bench_settings *s = load->settings;
    struct bench_result *r = load->result;
    struct aioduct_client_options c = AIODUCT_CLIENT_OPTIONS_INIT;
    char socket_name[PATH_MAX];
    struct strings resolve = {0};
    const char *const pin_connect_to[] = {s->pin_connect_to, NULL};
    const char *const pin_resolve[] = {s->pin_resolve, NULL};
    client_set(&c, &s->request, socket_name, &resolve);
    c.runtime = runtime;
    c.connectors = ""; /* a connector may lead anywhere */
    if (s->pinned) {
        c.connect_to = pin_connect_to;
        c.resolve = pin_resolve;
    }
    c.connections_per_origin_max = s->connections;
    c.idle_per_origin_max = c.idle_total_max = s->connections;
    c.h2_connections_per_origin_max = s->connections;
    c.h2_streams_max = s->streams;
    c.waiters_max = LANES_MAX;
    int code = aioduct_client_create(&c, &load->client, &r->setup);
    free(resolve.items);
    if (code == 0) {
        snprintf(r->runtime, sizeof r->runtime, "%s", aioduct_client_runtime(load->client));
    }
    return code;
}

static int make_request(struct load *load)
{
    const struct options *o = &load->settings->request;
    struct aioduct_error *error = &load->result->setup;
    const char *method = o->method != NULL ? o->method
                         : o->head_only    ? "HEAD"
                         : o->has_data     ? "POST"
                                           : "GET";
    int code = aioduct_request_create(method, load->settings->url, &load->request, error);
    if (code < 0) {
        return code;
    }
    int exit_code = request_add_fields(load->request, o); /* it has said what is wrong */
    if (exit_code == 0 && o->has_data) {
        code = aioduct_request_body_borrow(load->request, o->data != NULL ? o->data : "",
                                           o->data_bytes);
    }
    if (exit_code != 0 || code < 0) {
        error->code = exit_code == 0 ? code : exit_code == EXIT_MEMORY ? -ENOMEM : -EINVAL;
        snprintf(error->message, sizeof error->message, "the request cannot be made");
        return error->code;
    }
    aioduct_request_version(load->request, o->version);
    aioduct_request_total_timeout_ms(load->request, o->max_time_ms);
    return 0;
}

static int make_lanes(struct load *load)
{
    uint64_t at_once = (uint64_t)load->settings->connections * (unsigned)load->settings->streams;
    load->lane_count = (size_t)least(at_once, load->requests);
    load->lanes = calloc(load->lane_count, sizeof *load->lanes);
    if (load->lanes == NULL) {
        load->result->setup.code = -ENOMEM;
        return -ENOMEM;
    }
    for (size_t i = 0; i < load->lane_count; i++) {
        load->lanes[i].load = load;
    }
    return 0;
}

static uint64_t spent_ns(struct timeval before, struct timeval after)
{
    int64_t us = (int64_t)(after.tv_sec - before.tv_sec) * 1000000 + after.tv_usec - before.tv_usec;
    return (uint64_t)us * 1000;
}

static void measure(const struct load *load)
{
    struct bench_result *r = load->result;
    struct aioduct_client_stats stats = AIODUCT_CLIENT_STATS_INIT;
    struct rusage after;
    getrusage(RUSAGE_SELF, &after);
    aioduct_client_stats(load->client, &stats);
    /* A time that was given counts whole, and so does an answer that came behind it. */
    uint64_t until_ns = load->last_ns;
    if (load->over && until_ns < load->end_ns - GRACE_NS) {
        until_ns = load->end_ns - GRACE_NS;
    }
    r->elapsed_ns = until_ns - load->begin_ns;
    r->user_ns = spent_ns(load->before.ru_utime, after.ru_utime);
    r->system_ns = spent_ns(load->before.ru_stime, after.ru_stime);
    r->started = load->started;
    const struct aioduct_client_stats *before = &load->stats_before;
    r->bytes_in = stats.bytes_in - before->bytes_in;
    r->bytes_out = stats.bytes_out - before->bytes_out;
    r->dials = stats.dials - stats.connections_opening; /* begun in vain: nobody waits for them */
    r->dial_failures = stats.dial_failures;
}

/* As many descriptors as this process may have. */
static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* else each wait is up to 50 us too long */
}

void bench_load(const struct bench_settings *s, const char *runtime, uint64_t requests,
                int duration_ms, const _Atomic int *stop, struct bench_result *result)
{
    struct load load = {
        .settings = s,
        .stop = stop,
        .result = result,
        .requests = requests > 0 ? requests : NEVER,
        .duration_ms = duration_ms,
        .limit = NEVER,
        .warming_up = s->warm_up_ms > 0,
        .period_ns = s->rate > 0 ? 1e9 / s->rate : 0,
    };
    load.rest_last = &load.rest;
    raise_limits();
    client_log(&s->request);
    if (make_client(&load, runtime) == 0 && make_request(&load) == 0 && make_lanes(&load) == 0) {
        result->ready = true;
        load.begin_ns = clock_ns();
        load.end_ns = load.begin_ns + (uint64_t)s->warm_up_ms * MS_NS;
        drive(&load);
        measure(&load);
        load.over = load.cut = true;
    }
    aioduct_client_destroy(load.client);
    aioduct_request_destroy(load.request);
    free(load.lanes);
}
