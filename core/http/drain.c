/* SPDX-License-Identifier: MIT */
/* The ways to let connections and a client go without cutting: what each loop is asked for, and the
 * caller who waits for the last exchange. */
#include "base/assert.h"
#include "http/client.h"
#include "http/event.h"
#include "http/exchange.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S 1000000000u
#define NS_PER_MS 1000000u

/* ---- a loop ---- */

static void cut(struct ad_engine *engine)
{
    engine->drain = AD_DRAIN_CUT;
    AD_LIST_FOR_EACH (it, &engine->outstanding_list) {
        ad_drain_fail(AD_CONTAINER_OF(it, struct aioduct_exchange, node));
    }
}

static void run(struct ad_engine *engine, unsigned asked)
{
    if (asked & (AD_ASK_DRAIN | AD_ASK_CUT)) {
        engine->drain = engine->drain == AD_DRAIN_NO ? AD_DRAIN_WAIT : engine->drain;
    }
    if (asked & AD_ASK_CUT) {
        cut(engine);
    }
    ad_pool_close_idle(engine);
}

static void on_post(struct ad_post *post)
{
    struct ad_engine *engine = AD_CONTAINER_OF(post, struct ad_engine, ask_post);
    run(engine, atomic_exchange_explicit(&engine->asked, 0, memory_order_acq_rel));
}

void ad_drain_init(struct ad_engine *engine)
{
    engine->ask_post.run = on_post;
}

static void ask(struct ad_engine *engine, unsigned what)
{
    if (ad_loop_is_current(engine->loop) && ad_event_may_act(engine)) {
        run(engine, what);
    } else if (atomic_fetch_or_explicit(&engine->asked, what, memory_order_acq_rel) == 0) {
        ad_loop_post(engine->loop, &engine->ask_post);
    }
}

static void ask_all(struct aioduct_client *client, unsigned what)
{
    unsigned loops = client->worker_count == 0 ? 1 : client->worker_count;
    for (unsigned i = 0; i < loops; i++) {
        ask(&client->workers[i].engine, what);
    }
}

void ad_drain_fail(struct aioduct_exchange *ex)
{
    ad_exchange_failf(ex, AIODUCT_E_CLIENT_CLOSED, ad_exchange_phase(ex),
                      "the client was drained, and its time was over");
}

int ad_client_close_idle(struct aioduct_client *client)
{
    int code = ad_client_check(client);
    if (code == 0) {
        ask_all(client, AD_ASK_CLOSE_IDLE);
    }
    return code;
}

/* ---- without workers ---- */

struct drain_job {
    struct ad_job job;
    struct ad_deadline deadline;
    struct ad_engine *engine;
    int timeout_ms;
    bool begun, late;
};

static void on_late(struct ad_deadline *deadline)
{
    struct drain_job *d = AD_CONTAINER_OF(deadline, struct drain_job, deadline);
    d->late = true;
    run(d->engine, AD_ASK_CUT);
}

static int run_job(struct ad_job *job, struct aioduct_client *client)
{
    struct drain_job *d = AD_CONTAINER_OF(job, struct drain_job, job);
    bool over = atomic_load_explicit(&client->outstanding, memory_order_acquire) == 0;
    if (!d->begun) {
        struct ad_loop *loop = d->engine->loop;
        uint64_t at_ns = ad_loop_now_ns(loop) + (uint64_t)d->timeout_ms * NS_PER_MS;
        d->begun = true;
        atomic_store(&client->draining, true);
        run(d->engine, AD_ASK_DRAIN);
        if (!over && (d->timeout_ms == 0 ||
                      (d->timeout_ms > 0 && ad_deadline_set(loop, &d->deadline, at_ns) < 0))) {
            on_late(&d->deadline);
        }
    }
    if (over) { /* the job goes with the caller's stack */
        ad_deadline_remove(d->engine->loop, &d->deadline);
    }
    return over;
}

static int drain_here(struct aioduct_client *client, int timeout_ms)
{
    struct drain_job d = {
        .job.run = run_job,
        .deadline.expired = on_late,
        .engine = &client->workers[0].engine,
        .timeout_ms = timeout_ms,
    };
    int code = ad_client_drive(client, &d.job);
    return code == 0 && d.late ? AIODUCT_E_TIMEOUT : code;
}

/* ---- with workers ---- */

static struct timespec after_ms(int ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * (long)NS_PER_MS;
    if (at.tv_nsec >= (long)NS_PER_S) {
        at.tv_sec++;
        at.tv_nsec -= (long)NS_PER_S;
    }
    return at;
}

/* Until nothing is outstanding, at most until @until if it is given. 0 | ETIMEDOUT */
static int wait_empty(struct aioduct_client *client, const struct timespec *until)
{
    int code = 0;
    pthread_mutex_lock(&client->lock);
    while (atomic_load(&client->outstanding) > 0 && code != ETIMEDOUT) {
        code = until == NULL ? pthread_cond_wait(&client->changed, &client->lock)
                             : pthread_cond_timedwait(&client->changed, &client->lock, until);
    }
    pthread_mutex_unlock(&client->lock);
    return code == ETIMEDOUT && atomic_load(&client->outstanding) > 0 ? ETIMEDOUT : 0;
}

static int drain_workers(struct aioduct_client *client, int timeout_ms)
{
    struct timespec until = after_ms(timeout_ms < 0 ? 0 : timeout_ms);
    if (ad_worker_current(client) != NULL) {
        return AIODUCT_E_NESTED;
    }
    atomic_store(&client->draining, true);
    ask_all(client, AD_ASK_DRAIN);
    if (wait_empty(client, timeout_ms < 0 ? NULL : &until) == 0) {
        return 0;
    }
    ask_all(client, AD_ASK_CUT);
    wait_empty(client, NULL);
    return AIODUCT_E_TIMEOUT;
}

void ad_drain_progress(struct aioduct_client *client)
{
    if (!atomic_load(&client->draining) || atomic_load(&client->outstanding) > 0) {
        return;
    }
    if (client->worker_count == 0) {
        ad_task_wake(client->workers[0].root);
        return;
    }
    pthread_mutex_lock(&client->lock);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

int ad_client_drain(struct aioduct_client *client, int timeout_ms)
{
    int code = ad_client_check(client);
    if (code < 0) {
        return code;
    }
    return client->worker_count > 0 ? drain_workers(client, timeout_ms)
                                    : drain_here(client, timeout_ms);
}
