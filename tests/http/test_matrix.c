/* SPDX-License-Identifier: MIT */
/* C75, C76: every callback x every action x protocol x clear text and TLS x driven by its caller
 * and by a worker. Each cell is one exchange with a body up and down, an interim answer and
 * trailers, beside another one; in one callback the action is done. Whatever it is, each exchange
 * completes once, with the right code, and nothing is left behind. */
#include "h2requests.h"
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_SECONDS 10
#define PIECE 1000
#define PIECES 3

enum gate { GO, REFUSED };

/* ---- the axes ---- */

enum moment {
    ON_INTERIM,
    ON_HEAD,
    ON_BODY,
    ON_TRAILERS,
    ON_DONE,
    SOURCE_READ,
    SOURCE_REWIND,
    SOURCE_FINISHED,
    EVENT_STARTED,
    EVENT_OPENED,
    EVENT_SENT,
    EVENT_DONE,
    MOMENT_COUNT
};

static const char *const moment_names[MOMENT_COUNT] = {
    "on_interim",     "on_head",        "on_body",  "on_trailers",       "on_done",
    "read",           "rewind",         "finished", "the event started", "the event opened",
    "the event sent", "the event done",
};

enum action {
    CANCEL,
    CANCEL_TWICE,
    CANCEL_OTHER,
    SUBMIT,
    PAUSE,
    PAUSE_AND_RESUME,
    RELEASE,
    INFO,
    DRIVE,
    DROP_REQUEST,
    DESTROY,
    ACTION_COUNT
};

static const char *const action_names[ACTION_COUNT] = {
    "cancel",           "cancel twice",        "cancel another",
    "submit another",   "pause for a while",   "pause and resume",
    "release",          "ask for information", "drive the client (refused)",
    "drop the request", "destroy the client",
};

static void play_http1(struct peer_conn *conn, int index, void *user);
static void play_http2(struct peer_conn *conn, int index, void *user);

static const struct protocol {
    const char *name;
    int version;      /* asked for */
    const char *alpn; /* the server's */
    peer_play_fn play;
} protocols[] = {
    {"HTTP/1.1", AIODUCT_HTTP_1_1, "http/1.1", play_http1},
    {"HTTP/2", AIODUCT_HTTP_2_PRIOR_KNOWLEDGE, "h2", play_http2},
};

#define PROTOCOL_COUNT (sizeof protocols / sizeof protocols[0])

struct cell {
    enum moment moment;
    enum action action;
    const struct protocol *protocol;
    int workers;
};

/* ---- the server ---- */

/* /hang never ends, /gated waits for the gate, /again is lost on a connection that served before;
 * all else has everything at once. */
static void play_http1(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    for (int served = 0; peer_read_request(conn); served++) {
        const char *head = peer_last_request(conn)->head;
        if (strncmp(head, "GET /hang ", 10) == 0) {
            peer_hang(conn);
        }
        if (strncmp(head, "GET /gated ", 11) == 0) {
            peer_wait_gate(conn, GO);
        }
        if (strncmp(head, "PUT /again ", 11) == 0 && served > 0) {
            return;
        }
        peer_send(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n");
        peer_send(conn, "6\r\n-world\r\n0\r\nx-sum: 1\r\n\r\n");
    }
}

static void answer_http2(struct h2_requests *h2, uint32_t stream)
{
    h2_requests_send(h2, "HEADERS %u | :status: 103", stream);
    h2_requests_send(h2, "HEADERS %u | :status: 200", stream);
    h2_requests_send(h2, "DATA %u hello", stream);
    h2_requests_send(h2, "DATA %u -world", stream);
    h2_requests_send(h2, "HEADERS %u end | x-sum: 1", stream);
}

/* The same over one connection: /again is refused once. */
static void play_http2(struct peer_conn *conn, int index, void *user)
{
    struct h2_requests *h2 = h2_requests_begin(conn, "SETTINGS 3=100");
    struct h2_request request;
    (void)index;
    (void)user;
    while (h2_requests_next(h2, &request)) {
        if (strcmp(request.path, "/hang") == 0) {
            continue;
        }
        if (strcmp(request.path, "/again") == 0 && !peer_is_open(peer_of(conn), REFUSED)) {
            peer_open(peer_of(conn), REFUSED);
            h2_requests_send(h2, "RST_STREAM %u 7", request.stream);
        } else {
            answer_http2(h2, request.stream);
        }
    }
    h2_requests_end(h2);
}

/* ---- the scene of one cell ---- */

struct scene {
    const struct cell *cell;
    struct tester *t;
    struct aioduct_client *client; /* also when it is gone */
    struct aioduct_request *request;
    struct aioduct_request *plain; /* for a third one */
    struct result *result, *other, *third;
    int pieces; /* read from the source */
    int both;   /* atomic: both are submitted */
    int acted;  /* atomic */
    int codes[3];
    size_t order_then; /* callbacks until then */
    uint64_t bytes_then;
};

static void drive(struct scene *scene)
{
    struct aioduct_callbacks none = {.size = sizeof none};
    scene->codes[0] = aioduct_client_run(scene->client);
    scene->codes[1] = aioduct_client_turn(scene->client, 0);
    scene->codes[2] = aioduct_client_perform(scene->client, scene->plain, &none, NULL, NULL);
}

static void act(struct scene *scene, struct aioduct_exchange *exchange)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    switch (scene->cell->action) {
    case CANCEL_TWICE:
        scene->codes[1] = aioduct_exchange_cancel(exchange);
        scene->codes[0] = aioduct_exchange_cancel(exchange);
        break;
    case CANCEL:
        scene->codes[0] = aioduct_exchange_cancel(exchange);
        break;
    case CANCEL_OTHER:
        scene->codes[0] = aioduct_exchange_cancel(scene->other->exchange);
        break;
    case SUBMIT:
        scene->codes[0] = tester_submit_code(scene->t, scene->plain, scene->third);
        break;
    case PAUSE:
        scene->codes[0] = aioduct_exchange_pause(exchange);
        break;
    case PAUSE_AND_RESUME:
        scene->codes[0] = aioduct_exchange_pause(exchange);
        scene->codes[1] = aioduct_exchange_resume(exchange);
        break;
    case RELEASE:
        scene->codes[0] = aioduct_exchange_release(exchange, scene->result->body_bytes);
        scene->codes[1] = aioduct_exchange_release(exchange, 1);
        break;
    case INFO:
        scene->codes[0] = aioduct_exchange_info(exchange, &info);
        break;
    case DRIVE:
        drive(scene);
        break;
    case DROP_REQUEST:
        aioduct_request_destroy(scene->request);
        scene->request = NULL;
        break;
    case DESTROY:
        scene->codes[0] = aioduct_client_destroy(scene->client);
        break;
    case ACTION_COUNT:
        break;
    }
}

static void at(struct scene *scene, enum moment moment, struct aioduct_exchange *exchange)
{
    if (moment != scene->cell->moment || __atomic_load_n(&scene->acted, __ATOMIC_RELAXED) != 0) {
        return;
    }
    scene->order_then = strlen(scene->result->order);
    scene->bytes_then = scene->result->body_bytes;
    act(scene, exchange);
    __atomic_store_n(&scene->acted, 1, __ATOMIC_RELEASE);
}

static void on_result_event(struct result *r, struct aioduct_exchange *exchange, char event)
{
    static const char letters[] = "IHBTD";
    at(r->user, (enum moment)(strchr(letters, event) - letters), exchange);
}

static int64_t on_read(void *user, void *buffer, size_t capacity)
{
    struct scene *scene = user;
    size_t count = capacity < PIECE ? capacity : PIECE;
    if (scene->pieces > 0) { /* in the middle of the body */
        at(scene, SOURCE_READ, scene->result->exchange);
    }
    if (scene->pieces == PIECES) {
        return 0;
    }
    scene->pieces++;
    memset(buffer, 'a', count);
    return (int64_t)count;
}

static int on_rewind(void *user)
{
    struct scene *scene = user;
    scene->pieces = 0;
    at(scene, SOURCE_REWIND, scene->result->exchange);
    return 0;
}

static void on_finished(void *user)
{
    struct scene *scene = user;
    at(scene, SOURCE_FINISHED, scene->result->exchange);
}

/* No connection is opened before the second exchange is there too. */
static void hold_worker(const struct scene *scene)
{
    for (int ms = 0; ms < 5000 && scene->cell->workers > 0 &&
                     __atomic_load_n(&scene->both, __ATOMIC_ACQUIRE) == 0;
         ms++) {
        test_pause_ms(1);
    }
}

static void on_event(const struct aioduct_event *event, void *user)
{
    struct scene *scene = user;
    if (event->kind == AIODUCT_EVENT_STARTED && event->user == scene->other) {
        hold_worker(scene);
    }
    if (event->exchange != NULL && event->user != scene->result) {
        return;
    }
    switch (event->kind) {
    case AIODUCT_EVENT_STARTED:
        at(scene, EVENT_STARTED, event->exchange);
        break;
    case AIODUCT_EVENT_OPENED:
        if (__atomic_load_n(&scene->both, __ATOMIC_ACQUIRE) != 0) { /* of any connection */
            at(scene, EVENT_OPENED, scene->result->exchange);
        }
        break;
    case AIODUCT_EVENT_SENT:
        at(scene, EVENT_SENT, event->exchange);
        break;
    case AIODUCT_EVENT_DONE:
        at(scene, EVENT_DONE, event->exchange);
        break;
    default:
        break;
    }
}

/* ---- driving ---- */

static bool is_done(const struct result *r)
{
    return __atomic_load_n(&r->done_count, __ATOMIC_ACQUIRE) > 0;
}

static bool all_done(const struct scene *scene)
{
    return is_done(scene->result) && is_done(scene->other) &&
           (scene->cell->action != SUBMIT || is_done(scene->third));
}

/* A little further: one turn, or a moment of the worker's. */
static void go_on(struct scene *scene)
{
    if (scene->cell->workers > 0) {
        test_pause_ms(1);
    } else if (scene->cell->action == DESTROY) {
        aioduct_client_run(scene->client); /* it is gone when this returns */
    } else {
        assert_code(0, aioduct_client_turn(scene->client, 1));
    }
}

/* While it is paused no body comes and no end; then the caller resumes. */
static void resume_later(struct scene *scene)
{
    struct result *r = scene->result;
    for (int i = 0; i < 5; i++) {
        go_on(scene);
    }
    if (scene->cell->moment == ON_DONE || scene->cell->moment == EVENT_DONE) {
        return; /* it is over, paused or not */
    }
    assert_false(is_done(r));
    if (scene->cell->moment < SOURCE_READ) {
        assert_int_equal(r->body_bytes, scene->bytes_then);
    }
    assert_code(0, aioduct_exchange_resume(r->exchange));
}

static void settle(struct scene *scene)
{
    uint64_t end = test_now_ms() + CELL_SECONDS * 500;
    while (__atomic_load_n(&scene->acted, __ATOMIC_ACQUIRE) == 0 && test_now_ms() < end) {
        go_on(scene);
    }
    peer_open(scene->t->peer, GO);
    if (scene->cell->action == PAUSE) {
        resume_later(scene);
    }
    while (!all_done(scene) && test_now_ms() < end) {
        go_on(scene);
    }
}

/* ---- what has to have come of it ---- */

static void assert_everything(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->order, "IHBTD");
    assert_string_equal(r->body, "hello-world");
    assert_string_equal(r->trailers, "x-sum: 1\n");
}

/* The end was known before, or may have been: then an action cannot take it back. */
static bool may_be_complete(enum moment moment)
{
    return moment == ON_TRAILERS || moment == ON_DONE || moment == SOURCE_FINISHED ||
           moment >= EVENT_STARTED;
}

static void assert_ended(const struct scene *scene, int code)
{
    const struct result *r = scene->result;
    enum moment moment = scene->cell->moment;
    if (r->code == 0 && may_be_complete(moment)) {
        assert_everything(r);
        return;
    }
    assert_code(code, r->code);
    assert_false(moment == ON_DONE || moment == EVENT_DONE);
    if (moment <= ON_BODY) { /* nothing comes after it but the end */
        assert_int_equal(strlen(r->order), scene->order_then + 1);
        assert_int_equal(r->body_bytes, scene->bytes_then);
    }
}

static void assert_codes(const struct scene *scene, int a, int b, int c)
{
    assert_code(a, scene->codes[0]);
    assert_code(b, scene->codes[1]);
    assert_code(c, scene->codes[2]);
}

static void assert_outcome(const struct scene *scene)
{
    const struct result *r = scene->result, *other = scene->other;
    assert_int_equal(r->done_count, 1);
    assert_int_equal(other->done_count, 1);
    switch (scene->cell->action) {
    case CANCEL:
    case CANCEL_TWICE:
        assert_ended(scene, -ECANCELED);
        assert_everything(other);
        assert_codes(scene, 0, 0, 0);
        break;
    case CANCEL_OTHER:
        assert_everything(r);
        assert_code(-ECANCELED, other->code);
        assert_codes(scene, 0, 0, 0);
        break;
    case SUBMIT:
        assert_everything(r);
        assert_everything(other);
        assert_everything(scene->third);
        assert_codes(scene, 0, 0, 0);
        break;
    case RELEASE:
        assert_everything(r);
        assert_everything(other);
        assert_codes(scene, 0, -EINVAL, 0);
        break;
    case DRIVE:
        assert_everything(r);
        assert_everything(other);
        if (scene->cell->workers > 0) {
            assert_codes(scene, -EINVAL, -EINVAL, AIODUCT_E_NESTED);
        } else {
            assert_codes(scene, AIODUCT_E_NESTED, AIODUCT_E_NESTED, AIODUCT_E_NESTED);
        }
        break;
    case DESTROY:
        assert_ended(scene, AIODUCT_E_CLIENT_CLOSED);
        assert_codes(scene, 0, 0, 0);
        break;
    default:
        assert_everything(r);
        assert_everything(other);
        assert_codes(scene, 0, 0, 0);
        break;
    }
}

/* ---- a cell ---- */

static void make_request(struct scene *scene)
{
    const struct aioduct_body_source source = {.size = sizeof source,
                                               .read = on_read,
                                               .rewind = on_rewind,
                                               .finished = on_finished,
                                               .user = scene};
    const char *path = scene->cell->moment == SOURCE_REWIND ? "/again" : "/";
    struct tester *t = scene->t;
    assert_code(0, aioduct_request_create("PUT", peer_url(t->peer, path), &scene->request, NULL));
    assert_code(0, aioduct_request_version(scene->request, scene->cell->protocol->version));
    assert_code(0, aioduct_request_body_pull(scene->request, &source, AIODUCT_LENGTH_UNKNOWN));
}

static struct aioduct_request *get_request(struct scene *scene, const char *path)
{
    struct tester *t = scene->t;
    struct aioduct_request *request = tester_request(t, "GET", peer_url(t->peer, path));
    assert_code(0, aioduct_request_version(request, scene->cell->protocol->version));
    return request;
}

static void test_cell(void **state)
{
    struct tester *t = *state;
    const struct cell *cell = t->extra;
    struct scene *scene = tester_alloc(t, sizeof *scene);
    scene->cell = cell;
    scene->t = t;
    scene->result = tester_result(t);
    scene->third = tester_result(t);
    t->options.workers = cell->workers;
    if (cell->moment >= EVENT_STARTED) {
        t->options.on_event = on_event;
        t->options.event_user = scene;
    }
    tester_client(t);
    tester_peer_with(
        t, &(struct peer_options){.play = cell->protocol->play, .alpn = cell->protocol->alpn});
    scene->client = t->client;
    make_request(scene);
    scene->plain = get_request(scene, "/");
    scene->other = tester_result(t);
    /* Over HTTP/1.1 the other may have to keep a connection busy. */
    bool busy = cell->protocol->version == AIODUCT_HTTP_1_1 &&
                (cell->moment == SOURCE_REWIND || cell->moment == EVENT_OPENED);
    const char *path = cell->action == CANCEL_OTHER ? "/hang" : busy ? "/gated" : "/other";
    struct aioduct_request *beside = get_request(scene, path);
    scene->result->on_event = on_result_event;
    scene->result->user = scene;
    scene->result->hold_body = cell->action == RELEASE;
    tester_submit_into(t, beside, scene->other);
    if (cell->moment == SOURCE_REWIND) {
        assert_everything(tester_perform(t, scene->plain)); /* leaves a connection that served */
    }
    tester_submit_into(t, scene->request, scene->result);
    if (cell->action == DESTROY) {
        t->client = NULL; /* the callback's to end */
    }
    __atomic_store_n(&scene->both, 1, __ATOMIC_RELEASE);
    settle(scene);
    aioduct_request_destroy(scene->request);
    assert_int_equal(scene->acted, 1);
    assert_outcome(scene);
}

/* An axis that is left out of a name is the usual one. */
static const char *cell_name(const struct cell *cell, bool tls)
{
    return test_format("C75: in %s: %s, %s%s%s", moment_names[cell->moment],
                       action_names[cell->action], cell->protocol->name, tls ? " over TLS" : "",
                       cell->workers > 0 ? ", on a worker" : "");
}

int main(void)
{
    enum { CELLS = MOMENT_COUNT * ACTION_COUNT * PROTOCOL_COUNT * 2 };
    static struct cell cells[CELLS];
    static struct tester_flavour flavours[2 * CELLS];
    static struct CMUnitTest cases[2 * CELLS];
    size_t count = 0;
    for (int i = 0; i < (int)CELLS; i++) {
        int rest = i;
        struct cell *cell = &cells[i];
        cell->action = (enum action)(rest % ACTION_COUNT);
        rest /= ACTION_COUNT;
        cell->moment = (enum moment)(rest % MOMENT_COUNT);
        rest /= MOMENT_COUNT;
        cell->workers = rest % 2;
        cell->protocol = &protocols[rest / 2];
        for (int tls = 0; tls < 2; tls++, count++) {
            flavours[count] = (struct tester_flavour){tls == 1, cell};
            cases[count] = (struct CMUnitTest){cell_name(cell, tls == 1), test_cell, tester_setup,
                                               tester_teardown, &flavours[count]};
        }
    }
    if (getenv("TAP_CASE_SECONDS") == NULL) {
        tap_limit_seconds(CELL_SECONDS);
    }
    return tap_run(cases, count, suite_begin, suite_end);
}
