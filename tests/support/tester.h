/* SPDX-License-Identifier: MIT */
/**
 * tester.h - what a case over HTTP is made of: a client, a server, requests and what came of them.
 *
 * A tester is made by the case's setup and ended by its teardown, also when the case failed in the
 * middle: everything it handed out ends with it, and then no descriptor and no thread may be left.
 * The runtime is the one that AIODUCT_RUNTIME names. TEST_WORKERS is the number of workers of
 * clients for which the case chooses none: 0 if it is not set. With AIODUCT_TEST_LOG set the
 * library's messages are in the report.
 *
 *     static void test_small(void **state)
 *     {
 *         struct tester *t = *state;
 *         tester_client(t);
 *         struct result *r = tester_get(t, nginx_url(t->nginx, tester_listener(t), NULL,
 * "/small")); assert_answer(r, 200);
 *     }
 *     static const struct CMUnitTest cases[] = { HTTP_CASES("a small file arrives", test_small) };
 */
#ifndef TESTS_SUPPORT_TESTER_H
#define TESTS_SUPPORT_TESTER_H

#include "files.h"
#include "nginx.h"
#include "peer.h"
#include "tap.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <stdbool.h>

struct result;
struct tester;

/* Called after the result's own bookkeeping; @event as in result.order. */
typedef void (*result_event_fn)(struct result *result, struct aioduct_exchange *exchange,
                                char event);

#define RESULT_BODY_MAX (4u * 1024u * 1024u)

/* What came of one exchange, and how its callbacks behave. */
struct result {
    struct tester *tester;
    struct aioduct_exchange *exchange; /* NULL before submit and after on_done */

    /* set before submit, or in callbacks */
    result_event_fn on_event;
    void *user;
    bool hash_body;
    bool hold_body; /* on_body says AIODUCT_HOLD */
    int head_code;  /* what on_head returns */
    int body_code;  /* what on_body returns, unless hold_body */
    /* Pause inside the callback of this event, as in `order`, the first time; of B once so many
     * bytes have come. Then nothing more happens before aioduct_exchange_resume, on whatever thread
     * the client runs. */
    char pause_at;
    uint64_t pause_at_bytes;

    /* what happened */
    int done_count;
    int code;
    struct aioduct_error error;
    int status, version;
    char *headers, *trailers; /* "Name: value\n" for each field; "" before */
    char reason[64];
    int interims[32];
    int interim_count;
    char order[256]; /* I interim, H head, B body (once for many), T trailers, D done */
    char *body;      /* the first RESULT_BODY_MAX bytes, NUL-terminated; "" before */
    uint64_t body_bytes;
    char sha256[65];                   /* with hash_body, after done */
    struct aioduct_exchange_info info; /* copied in on_done, strings below */
    char protocol[16], tls_version[16], peer_address[128];

    /* inside */
    bool paused;
    unsigned told;       /* events whose callbacks have returned, and P for paused */
    uint64_t told_bytes; /* body_bytes, once the callback has returned */
    struct test_hash hash;
    size_t body_room;
    bool submitted;
    struct result *next;
};

struct tester {
    struct aioduct_client_options options; /* set before tester_client */
    struct aioduct_client *client;
    struct peer *peer;
    struct nginx *nginx;     /* of the suite */
    struct nginx *own_nginx; /* of this case, if it started one */
    bool tls;                /* this case is to run over TLS */
    const void *extra;
    int descriptors, threads;
    struct result *results;
    struct tester_memory *memory;
    struct tester_request *requests;
};

/* ---- suites and cases ---- */

/* Setups and teardown for TAP_RUN: is the runtime there? And with an nginx. */
int suite_begin(void **state);
int suite_begin_nginx(void **state);
int suite_end(void **state);
struct nginx *suite_nginx(void);

/* What a case starts from: its initial_state. */
struct tester_flavour {
    bool tls;
    const void *extra; /* becomes tester.extra */
};
extern const struct tester_flavour tester_plain, tester_over_tls;
int tester_setup(void **state);
int tester_teardown(void **state);

#define HTTP_CASE(name, function)                                                       \
    {                                                                                   \
        name, function, tester_setup, tester_teardown, (void *)(uintptr_t)&tester_plain \
    }
#define HTTPS_CASE(name, function)                                                         \
    {                                                                                      \
        name, function, tester_setup, tester_teardown, (void *)(uintptr_t)&tester_over_tls \
    }
#define HTTP_CASES(name, function) \
    HTTP_CASE(name, function), HTTPS_CASE(name " (over TLS)", function)

/* Memory that outlives the case's function, zeroed: for plays and callbacks. */
void *tester_alloc(struct tester *t, size_t bytes);

/* ---- arrange ---- */

/* Create the client from t->options; the test CA is trusted unless the options say otherwise. */
void tester_client(struct tester *t);
/* Destroy it now. */
void tester_destroy(struct tester *t);
/* Start a peer, over TLS if the case is. */
void tester_peer(struct tester *t, peer_play_fn play, void *user);
void tester_peer_with(struct tester *t, const struct peer_options *options);
enum nginx_listener tester_listener(const struct tester *t);
/* URL on this case's own nginx or else the suite's, plain or TLS as the case is. */
const char *tester_url(const struct tester *t, const char *path);

struct aioduct_request *tester_request(struct tester *t, const char *method, const char *url);
struct result *tester_result(struct tester *t);

/* ---- act ---- */

/* Blocking: perform, result complete. */
struct result *tester_get(struct tester *t, const char *url);
struct result *tester_perform(struct tester *t, struct aioduct_request *request);
void tester_perform_into(struct tester *t, struct aioduct_request *request, struct result *result);
/* Start; the result completes in tester_run, tester_turn_until or, with workers, by itself. */
struct result *tester_submit(struct tester *t, struct aioduct_request *request);
void tester_submit_into(struct tester *t, struct aioduct_request *request, struct result *result);
/* The same two for threads that cannot assert: what submit or perform gave. */
int tester_submit_code(struct tester *t, struct aioduct_request *request, struct result *result);
/* And with the exchange for the calling thread alone. */
int tester_submit_out(struct tester *t, struct aioduct_request *request, struct result *result,
                      struct aioduct_exchange **out);
int tester_perform_code(struct tester *t, struct aioduct_request *request, struct result *result);
/* Drive the client until nothing is outstanding. With workers these three wait for what they do. */
void tester_run(struct tester *t);
/* One turn of at most @ms milliseconds. */
void tester_turn(struct tester *t, unsigned ms);
/* A few turns, 30 ms together: for what must not happen, and for steps on the way. */
void tester_turn_a_little(struct tester *t);
/* Turn by turn until @until gives true, at most 20 s. */
void tester_turn_until(struct tester *t, bool (*until)(void *user), void *user);

/* ---- assert; each prints the error record when it fails ---- */

#define assert_answer(result, status) tester_assert_answer((result), (status), __FILE__, __LINE__)
#define assert_error(result, code, phase) \
    tester_assert_error((result), (code), (phase), __FILE__, __LINE__)
/* First value of a header is @value; NULL: it is absent. */
#define assert_header(result, name, value) \
    tester_assert_header((result), (name), (value), __FILE__, __LINE__)
#define assert_code(expected, actual) \
    tester_assert_code((expected), (actual), #actual, __FILE__, __LINE__)

void tester_assert_answer(const struct result *r, int status, const char *file, int line);
void tester_assert_error(const struct result *r, int code, enum aioduct_phase phase,
                         const char *file, int line);
void tester_assert_header(const struct result *r, const char *name, const char *value,
                          const char *file, int line);
void tester_assert_code(int expected, int actual, const char *text, const char *file, int line);

/* What a callback has told, once it has returned; for clients on other threads too, while the rest
 * of a result is theirs before its end. */
bool result_told(const struct result *r, char event);
uint64_t result_told_bytes(const struct result *r);
/* For tester_turn_until: the callback that pause_at names has paused it; it is done. */
bool result_is_paused(void *result);
bool result_is_done(void *result);

/* Value of the first field of that name -> true */
bool result_header(const struct result *r, const char *name, char *value, size_t room);
/* Milliseconds on the monotonic clock. */
uint64_t test_now_ms(void);
/* For tests of silence only; everything else waits for its event. */
void test_pause_ms(unsigned ms);

#endif
