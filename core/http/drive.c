/* SPDX-License-Identifier: MIT */
/* Blocking calls: the caller's thread drives the loop, or waits for a worker. */
#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/client.h"
#include "http/exchange.h"

#include <errno.h>
#include <time.h>

#define CLOSING_TURNS_MAX 4 /* cancel, its completions, close, its completion */

/* ---- driving without workers ---- */

int ad_drive_root(struct ad_task *task, void *user)
{
    struct ad_worker *worker = user;
    struct aioduct_client *client = worker->client;
    (void)task;
    return client->job->run(client->job, client);
}

void ad_drive_progress(struct ad_engine *engine)
{
    struct ad_worker *worker = engine->owner;
    const struct aioduct_client *client = worker->client;
    /* Only the last exchange and the end concern a job; a wake costs a turn. */
    bool last = engine->closing || ad_client_outstanding(client) == 0;
    if (last && client->job != NULL && worker->root != NULL) {
        ad_task_wake(worker->root);
    }
}

/* Become the one who drives. AIODUCT_E_NESTED: this thread is inside a callback. */
static int begin(struct aioduct_client *client)
{
    struct ad_loop *loop = client->workers[0].engine.loop;
    unsigned idle = 0;
    if (ad_loop_in_turn(loop)) {
        return AIODUCT_E_NESTED;
    }
    int code = ad_loop_check_thread(loop);
    if (code < 0) {
        return code;
    }
    if (!atomic_compare_exchange_strong_explicit(&client->drive, &idle, AD_DRIVEN,
                                                 memory_order_acq_rel, memory_order_acquire)) {
        return idle & AD_DESTROYED ? AIODUCT_E_CLIENT_CLOSED : AIODUCT_E_THREAD;
    }
    return 0;
}

/* Somebody may have destroyed the client meanwhile, from a callback say. */
static void finish(struct aioduct_client *client)
{
    unsigned before =
        atomic_fetch_and_explicit(&client->drive, ~(unsigned)AD_DRIVEN, memory_order_acq_rel);
    if (before & AD_DESTROYED) {
        ad_client_drain_and_free(client);
    }
}

static int block(struct aioduct_client *client, struct ad_job *job)
{
    struct ad_worker *worker = &client->workers[0];
    client->job = job;
    ad_task_reset(worker->root);
    int code = ad_loop_block_on(worker->engine.loop, worker->root);
    client->job = NULL;
    return code;
}

/* Closing takes a ring a few turns, and after this call perhaps nobody drives: have it done now, as
 * far as it needs no waiting. */
static void settle_closing(const struct ad_engine *engine)
{
    for (int i = 0; i < CLOSING_TURNS_MAX && engine->closing_count > 0; i++) {
        if (ad_loop_turn(engine->loop, 0) < 0) {
            break;
        }
    }
}

int ad_client_drive(struct aioduct_client *client, struct ad_job *job)
{
    int code = begin(client);
    if (code < 0) {
        return code;
    }
    /* Connections that ended while nobody drove are noticed before one is picked. */
    if (client->workers[0].engine.pool.idle_count > 0) {
        ad_loop_turn(client->workers[0].engine.loop, 0);
    }
    code = block(client, job);
    settle_closing(&client->workers[0].engine);
    finish(client);
    return code;
}

static int run_drain(struct ad_job *job, struct aioduct_client *client)
{
    struct ad_engine *engine = &client->workers[0].engine;
    (void)job;
    if (!engine->closing) {
        ad_engine_close(engine);
    }
    return ad_engine_drained(engine) && ad_client_outstanding(client) == 0;
}

/* The application's loop must not run in here, so only what is ready without it counts; that is all
 * but a last send of an orderly close, which has a time limit. -> 0 or negative: it cannot go on */
static int drain_adopted(struct aioduct_client *client)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct ad_loop *loop = client->workers[0].engine.loop;
    struct ad_job job = {run_drain};
    int code = ad_loop_claim(loop);
    for (unsigned turns = 0; code == 0 && !run_drain(&job, client); turns++) {
        if (turns >= CLOSING_TURNS_MAX) {
            nanosleep(&pause, NULL);
        }
        code = ad_loop_settle(loop);
    }
    ad_loop_unclaim(loop);
    return code;
}

void ad_client_drain_and_free(struct aioduct_client *client)
{
    struct ad_job job = {run_drain};
    if (ad_loop_is_adopted(client->workers[0].engine.loop)) {
        if (drain_adopted(client) < 0) {
            ad_log(AD_LOG_ERROR, "a client in the application's loop cannot be ended; its memory "
                                 "stays");
            return;
        }
    } else {
        int code = block(client, &job);
        AD_ASSERT(code == 0);
    }
    ad_worker_close(&client->workers[0]);
    ad_client_free(client);
}

/* ---- perform ---- */

struct perform {
    struct ad_job job;
    struct ad_completion completion;
    struct aioduct_client *client;
    struct aioduct_request *request;
    const struct aioduct_callbacks *callbacks;
    void *user;
    struct aioduct_error *error;
    bool submitted, done;
    int code;

    /* with workers */
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void take_result(struct perform *p, const struct aioduct_error *error)
{
    p->code = error->code;
    if (p->error != NULL && (error->code != 0 || error->partial)) {
        *p->error = *error;
    }
    p->done = true;
}

static void on_done_here(struct ad_completion *completion, const struct aioduct_error *error)
{
    struct perform *p = AD_CONTAINER_OF(completion, struct perform, completion);
    take_result(p, error);
    ad_task_wake(p->client->workers[0].root);
}

static int run_perform(struct ad_job *job, struct aioduct_client *client)
{
    struct perform *p = AD_CONTAINER_OF(job, struct perform, job);
    if (!p->submitted) {
        p->submitted = true;
        p->code = ad_client_submit(client, p->request, p->callbacks, p->user, &p->completion, NULL,
                                   p->error);
        if (p->code < 0) {
            p->done = true;
        }
    }
    return p->done;
}

static int fail(struct aioduct_error *error, int code)
{
    return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "%s", aioduct_error_text(code));
}

static int perform_here(struct perform *p)
{
    p->job.run = run_perform;
    p->completion.done = on_done_here;
    int code = ad_client_drive(p->client, &p->job);
    return code < 0 ? fail(p->error, code) : p->code;
}

static void on_done_elsewhere(struct ad_completion *completion, const struct aioduct_error *error)
{
    struct perform *p = AD_CONTAINER_OF(completion, struct perform, completion);
    pthread_mutex_lock(&p->lock);
    take_result(p, error);
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static int perform_on_worker(struct perform *p)
{
    if (ad_worker_current(p->client) != NULL) {
        return fail(p->error, AIODUCT_E_NESTED);
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->completion.done = on_done_elsewhere;
    int code = ad_client_submit(p->client, p->request, p->callbacks, p->user, &p->completion, NULL,
                                p->error);
    if (code == 0) {
        pthread_mutex_lock(&p->lock);
        while (!p->done) {
            pthread_cond_wait(&p->changed, &p->lock);
        }
        pthread_mutex_unlock(&p->lock);
        code = p->code;
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    return code;
}

int ad_client_perform(struct aioduct_client *client, struct aioduct_request *request,
                      const struct aioduct_callbacks *callbacks, void *user,
                      struct aioduct_error *error)
{
    struct perform p = {
        .client = client,
        .request = request,
        .callbacks = callbacks,
        .user = user,
        .error = error,
    };
    int code = ad_client_check(client);
    if (code < 0) {
        return fail(error, code);
    }
    return client->worker_count > 0 ? perform_on_worker(&p) : perform_here(&p);
}

/* ---- run, turn, poll ---- */

static int run_all(struct ad_job *job, struct aioduct_client *client)
{
    (void)job;
    return ad_client_outstanding(client) == 0;
}

int ad_client_run(struct aioduct_client *client)
{
    struct ad_job job = {run_all};
    int code = ad_client_check(client);
    if (code < 0) {
        return code;
    }
    return client->worker_count > 0 ? -EINVAL : ad_client_drive(client, &job);
}

int ad_client_turn(struct aioduct_client *client, int timeout_ms)
{
    int code = ad_client_check(client);
    if (code < 0) {
        return code;
    }
    if (client->worker_count > 0) {
        return -EINVAL;
    }
    code = begin(client);
    if (code < 0) {
        return code;
    }
    int64_t timeout_ns = timeout_ms < 0 ? -1 : (int64_t)timeout_ms * 1000000;
    code = ad_loop_turn(client->workers[0].engine.loop, timeout_ns);
    finish(client);
    return code;
}

/* ---- rings of the application ---- */

int ad_client_ring_prepare(struct aioduct_client *client)
{
    int code = begin(client);
    if (code == 0) {
        code = ad_loop_prepare(client->workers[0].engine.loop);
        finish(client);
    }
    return code;
}

int ad_client_ring_complete(struct aioduct_client *client, uint64_t user_data, int32_t result,
                            uint32_t flags)
{
    int code = begin(client);
    if (code == 0) {
        code = ad_loop_complete(client->workers[0].engine.loop, user_data, result, flags);
        finish(client);
    }
    return code;
}

int ad_client_poll_fd(struct aioduct_client *client)
{
    int code = ad_client_check(client);
    if (code < 0) {
        return code;
    }
    return client->worker_count > 0 ? -EINVAL : ad_loop_poll_fd(client->workers[0].engine.loop);
}
