/* SPDX-License-Identifier: MIT */
/* The ways to let connections and a client go without cutting: what each loop is asked for, and the
 * caller who waits for the last exchange. */
#include "base/assert.h"
#include "http/client.h"
#include "http/event.h"
#include "http/exchange.h"

#define NS_PER_MS 1000000u

/* ---- a loop ---- */

static struct aioduct_client *client_of(const struct ad_engine *engine)
{
    return ((const struct ad_worker *)engine->owner)->client;
}

void ad_drain_fail(struct aioduct_exchange *ex)
{
    atomic_store(&client_of(ex->engine)->drain_late, true);
    ad_exchange_failf(ex, AIODUCT_E_CLIENT_CLOSED, ad_exchange_phase(ex),
                      "the client was drained, and its time was over");
}

static void on_late(struct ad_deadline *deadline)
{
    struct ad_engine *engine = AD_CONTAINER_OF(deadline, struct ad_engine, drain_deadline);
    engine->drain = AD_DRAIN_CUT;
    AD_LIST_FOR_EACH (it, &engine->outstanding_list) {
        ad_drain_fail(AD_CONTAINER_OF(it, struct aioduct_exchange, node));
    }
}

static void start(struct ad_engine *engine)
{
    int ms = atomic_load(&client_of(engine)->drain_ms);
    uint64_t at_ns = ad_loop_now_ns(engine->loop) + (uint64_t)ms * NS_PER_MS;
    engine->drain = AD_DRAIN_WAIT;
    if (ms == 0 || (ms > 0 && ad_deadline_set(engine->loop, &engine->drain_deadline, at_ns) < 0)) {
        on_late(&engine->drain_deadline);
    }
}

static void run(struct ad_engine *engine, unsigned asked)
{
    if ((asked & AD_ASK_DRAIN) != 0 && engine->drain != AD_DRAIN_CUT) {
        start(engine);
    }
    ad_pool_close_idle(engine);
    if (asked & AD_ASK_DRAIN) {
        atomic_fetch_sub(&client_of(engine)->drain_unheard, 1);
        ad_drain_progress(client_of(engine));
    }
}

static void on_post(struct ad_post *post)
{
    struct ad_engine *engine = AD_CONTAINER_OF(post, struct ad_engine, ask_post);
    run(engine, atomic_exchange_explicit(&engine->asked, 0, memory_order_acq_rel));
}

void ad_drain_init(struct ad_engine *engine)
{
    engine->ask_post.run = on_post;
    engine->drain_deadline.expired = on_late;
}

void ad_drain_fini(struct ad_engine *engine)
{
    ad_deadline_remove(engine->loop, &engine->drain_deadline);
}

static void ask(struct ad_engine *engine, unsigned what)
{
    unsigned drain = what & AD_ASK_DRAIN;
    if (drain) {
        atomic_fetch_add(&client_of(engine)->drain_unheard, 1);
    }
    if (ad_loop_is_current(engine->loop) && ad_event_may_act(engine)) {
        run(engine, what);
        return;
    }
    unsigned before = atomic_fetch_or_explicit(&engine->asked, what, memory_order_acq_rel);
    if (before == 0) {
        ad_loop_post(engine->loop, &engine->ask_post);
    }
    if (before & drain) { /* asked twice, and heard once */
        atomic_fetch_sub(&client_of(engine)->drain_unheard, 1);
        ad_drain_progress(client_of(engine));
    }
}

static void ask_all(struct aioduct_client *client, unsigned what)
{
    unsigned loops = client->worker_count == 0 ? 1 : client->worker_count;
    for (unsigned i = 0; i < loops; i++) {
        ask(&client->workers[i].engine, what);
    }
}

int ad_client_close_idle(struct aioduct_client *client)
{
    int code = ad_client_check(client);
    if (code == 0) {
        ask_all(client, AD_ASK_CLOSE_IDLE);
    }
    return code;
}

/* ---- the caller ---- */

/* Has every loop heard of it, and the last exchange gone? */
static bool is_over(struct aioduct_client *client)
{
    return ad_client_outstanding(client) == 0 && atomic_load(&client->drain_unheard) == 0;
}

static void begin(struct aioduct_client *client, int timeout_ms)
{
    atomic_store(&client->drain_ms, timeout_ms);
    atomic_store(&client->drain_late, false);
    atomic_store(&client->draining, true);
    ask_all(client, AD_ASK_DRAIN);
}

struct drain_job {
    struct ad_job job;
    int timeout_ms;
    bool begun, late;
};

static int run_job(struct ad_job *job, struct aioduct_client *client)
{
    struct drain_job *d = AD_CONTAINER_OF(job, struct drain_job, job);
    if (!d->begun) {
        d->begun = true;
        begin(client, d->timeout_ms);
    }
    d->late = atomic_load(&client->drain_late);
    return is_over(client);
}

static int drain_here(struct aioduct_client *client, int timeout_ms)
{
    struct drain_job d = {.job.run = run_job, .timeout_ms = timeout_ms};
    int code = ad_client_drive(client, &d.job);
    return code == 0 && d.late ? AIODUCT_E_TIMEOUT : code;
}

static int drain_workers(struct aioduct_client *client, int timeout_ms)
{
    if (ad_worker_current(client) != NULL) {
        return AIODUCT_E_NESTED;
    }
    begin(client, timeout_ms);
    pthread_mutex_lock(&client->lock);
    while (!is_over(client)) {
        pthread_cond_wait(&client->changed, &client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    return atomic_load(&client->drain_late) ? AIODUCT_E_TIMEOUT : 0;
}

void ad_drain_progress(struct aioduct_client *client)
{
    if (!atomic_load(&client->draining) || !is_over(client)) {
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
