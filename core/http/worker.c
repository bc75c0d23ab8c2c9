/* SPDX-License-Identifier: MIT */
/* Worker threads: each opens its own loop, drives it until the client ends, and closes it. */
#include "base/assert.h"
#include "base/error.h"
#include "base/thread.h"
#include "http/client.h"
#include "http/event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct ad_worker *current;

struct ad_worker *ad_worker_current(const struct aioduct_client *client)
{
    return current != NULL && current->client == client ? current : NULL;
}

/* Another loop may still pass an exchange on to this one, or a post that has come to the wrong one:
 * all turn until the last exchange of the client has gone. */
static int on_root(struct ad_task *task, void *user)
{
    struct ad_worker *worker = user;
    (void)task;
    return ad_engine_drained(&worker->engine) && ad_client_outstanding(worker->client) == 0;
}

/* The last exchange of a client that ends was here: the others wait for that. */
static void wake_others(const struct ad_worker *self)
{
    struct aioduct_client *client = self->client;
    if (atomic_exchange_explicit(&client->emptied, true, memory_order_relaxed)) {
        return;
    }
    for (unsigned i = 0; i < client->worker_count; i++) {
        if (&client->workers[i] != self) {
            ad_task_wake(client->workers[i].root);
        }
    }
}

static void on_progress(struct ad_engine *engine)
{
    struct ad_worker *worker = engine->owner;
    struct aioduct_client *client = worker->client;
    if (engine->closing && worker->root != NULL) {
        ad_task_wake(worker->root);
    }
    if (atomic_load_explicit(&client->closing, memory_order_acquire) &&
        ad_client_outstanding(client) == 0 && worker->root != NULL) {
        wake_others(worker);
    }
    ad_drain_progress(client);
}

/* Tell the creating thread how the opening went. */
static void report(struct ad_worker *worker, int code, const struct aioduct_error *error)
{
    struct aioduct_client *client = worker->client;
    pthread_mutex_lock(&client->lock);
    worker->code = code;
    if (code < 0 && client->start_error != NULL && client->start_error->code == 0) {
        *client->start_error = *error;
    }
    client->started_count++;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void join_others(struct aioduct_client *client, const struct ad_worker *self)
{
    for (unsigned i = 0; i < client->worker_count; i++) {
        struct ad_worker *worker = &client->workers[i];
        if (worker != self && worker->started) {
            pthread_join(worker->thread, NULL);
        }
    }
}

/* Whoever posted the close may not be back from waking this loop yet, and another loop may be about
 * to. Once none turns, what is still posted belongs to exchanges that have gone. */
static void wait_for_others(struct aioduct_client *client)
{
    pthread_mutex_lock(&client->lock);
    client->running_count--;
    pthread_cond_broadcast(&client->changed);
    while (client->running_count > 0) {
        pthread_cond_wait(&client->changed, &client->lock);
    }
    pthread_mutex_unlock(&client->lock);
}

static void *worker_main(void *arg)
{
    struct ad_worker *worker = arg;
    struct aioduct_client *client = worker->client;
    struct aioduct_error error = {0};
    char name[16];
    snprintf(name, sizeof name, "aioduct-%u", worker->index);
    pthread_setname_np(pthread_self(), name);

    int code = ad_worker_open(worker, on_root, on_progress, &error);
    current = worker;
    report(worker, code, &error);
    if (code < 0) {
        return NULL;
    }
    code = ad_loop_block_on(worker->engine.loop, worker->root);
    AD_ASSERT(code == 0);
    wait_for_others(client);
    ad_worker_close(worker);
    if (client->reaper == worker) {
        join_others(client, worker);
        pthread_detach(pthread_self());
        ad_client_free(client);
    }
    return NULL;
}

static int start_thread(struct ad_worker *worker)
{
    int code = ad_thread_start(&worker->thread, worker_main, worker);
    worker->started = code == 0;
    return code;
}

static int wait_started(struct aioduct_client *client, unsigned count)
{
    int code = 0;
    pthread_mutex_lock(&client->lock);
    while (client->started_count < count) {
        pthread_cond_wait(&client->changed, &client->lock);
    }
    for (unsigned i = 0; i < count && code == 0; i++) {
        code = client->workers[i].code;
    }
    client->start_error = NULL;
    pthread_mutex_unlock(&client->lock);
    return code;
}

/* Inside a callback of @self its loop is closed at once, as a client's without workers would be. */
static void close_all(struct aioduct_client *client, const struct ad_worker *self)
{
    pthread_mutex_lock(&client->lock);
    for (unsigned i = 0; i < client->worker_count; i++) {
        struct ad_worker *worker = &client->workers[i];
        if (!worker->started || worker->code < 0) {
            continue;
        }
        client->running_count++;
        if (worker == self && ad_event_may_act(&worker->engine)) {
            ad_engine_close(&worker->engine);
        } else {
            ad_loop_post(worker->engine.loop, &worker->close_post);
        }
    }
    pthread_mutex_unlock(&client->lock);
}

int ad_workers_start(struct aioduct_client *client, struct aioduct_error *error)
{
    struct aioduct_error first = {0};
    unsigned count = 0;
    int code = 0;
    client->start_error = &first;
    while (count < client->worker_count && code == 0) {
        code = start_thread(&client->workers[count]);
        count += code == 0;
    }
    if (code < 0) {
        ad_error_set(error, code, AIODUCT_PHASE_SETUP, "cannot start a worker thread: %s",
                     aioduct_error_text(code));
    }
    int opened = wait_started(client, count);
    if (opened < 0 && code == 0) {
        code = opened;
        if (error != NULL) {
            *error = first;
        }
    }
    if (code < 0) {
        close_all(client, NULL);
        join_others(client, NULL);
    }
    return code;
}

void ad_workers_stop(struct aioduct_client *client)
{
    struct ad_worker *self = ad_worker_current(client);
    client->reaper = self;
    close_all(client, self);
    if (self == NULL) {
        join_others(client, NULL);
        ad_client_free(client);
    }
}
