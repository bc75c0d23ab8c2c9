/* SPDX-License-Identifier: MIT */
/**
 * A client: frozen settings, a runtime, what all loops share (resolver, TLS context), and one
 * engine a loop. Without workers the caller's thread drives the one engine; with workers each
 * thread opens, drives and closes its own.
 *
 * Life: create -> submit, perform, run, turn -> destroy. `drive` says who may free: a destroy while
 * somebody drives only marks, and the one who drives frees on the way out.
 */
#ifndef AD_HTTP_CLIENT_H
#define AD_HTTP_CLIENT_H

#include "http/binding.h"
#include "http/engine.h"
#include "http/settings.h"
#include "plugin/registry.h"

#include <aioduct/client.h>
#include <aioduct/exchange.h>
#include <pthread.h>
#include <stdatomic.h>

struct ad_completion;
struct ad_config;
struct ad_task;
struct aioduct_client_stats;
struct aioduct_request;

enum { AD_DRIVEN = 1, AD_DESTROYED = 2 }; /* bits of `drive` */

struct ad_worker {
    struct aioduct_client *client;
    struct ad_engine engine;
    struct ad_task *root; /* pending until no loop of the client has anything left */
    struct ad_post close_post;
    pthread_t thread;
    unsigned index;
    bool started;
    int code; /* of opening the loop */
};

/* What a blocking call without workers waits for: 1 when it is over. */
struct ad_job {
    int (*run)(struct ad_job *job, struct aioduct_client *client);
};

struct aioduct_client {
    /* immutable */
    struct ad_settings settings;
    struct ad_config *config;
    const struct ad_plugin *plugin;
    struct ad_chain chain; /* connectors of each loop */
    struct ad_resolver *resolver;
    struct ad_tls_context *tls;
    struct ad_worker *workers; /* one even without worker threads */
    unsigned worker_count;     /* of threads; 0: the caller drives workers[0] */
    struct ad_binding binding;

    /* shared */
    _Atomic unsigned waiting; /* exchanges queued in the pools */
    _Atomic unsigned drive;
    _Atomic bool closing;
    _Atomic bool draining;
    _Atomic bool drain_late; /* exchanges were ended by the last drain's deadline */
    _Atomic int drain_ms;
    _Atomic unsigned drain_unheard; /* loops that do not know of it yet */
    _Atomic bool emptied;           /* closing, and the last exchange has gone */
    _Atomic unsigned next_worker;

    /* loop, without workers */
    struct ad_job *job;

    /* shared by starting and ending workers */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned started_count;
    unsigned running_count; /* workers whose loops still turn, once the end has begun */
    struct aioduct_error *start_error;
    struct ad_worker *reaper; /* the worker that called destroy, and joins the others */
};

int ad_client_create(const struct aioduct_client_options *options, struct aioduct_client **out,
                     struct aioduct_error *error);
/* 0 | AIODUCT_E_THREAD | AIODUCT_E_FORKED | AIODUCT_E_CLIENT_CLOSED (it is being destroyed) */
int ad_client_destroy(struct aioduct_client *client);

/* May this thread use it now? 0 | AIODUCT_E_THREAD | AIODUCT_E_FORKED | AIODUCT_E_CLIENT_CLOSED */
int ad_client_check(const struct aioduct_client *client);

/* @completion (may be NULL) is told after on_done, on the loop's thread. */
int ad_client_submit(struct aioduct_client *client, struct aioduct_request *request,
                     const struct aioduct_callbacks *callbacks, void *user,
                     struct ad_completion *completion, struct aioduct_exchange **out,
                     struct aioduct_error *error);

/* ---- blocking and turns (drive.c) ---- */
int ad_client_perform(struct aioduct_client *client, struct aioduct_request *request,
                      const struct aioduct_callbacks *callbacks, void *user,
                      struct aioduct_error *error);
int ad_client_run(struct aioduct_client *client);
int ad_client_turn(struct aioduct_client *client, int timeout_ms);
int ad_client_poll_fd(struct aioduct_client *client);
/* In a ring of the application (aioduct/loop.h). */
int ad_client_ring_prepare(struct aioduct_client *client);
int ad_client_ring_complete(struct aioduct_client *client, uint64_t user_data, int32_t result,
                            uint32_t flags);
/* Run @job on the loop until it is over; the client may be gone afterwards. */
int ad_client_drive(struct aioduct_client *client, struct ad_job *job);
/* Root task and progress function of the caller-driven engine. */
int ad_drive_root(struct ad_task *task, void *user);
void ad_drive_progress(struct ad_engine *engine);
/* Without workers, nobody driving: drain the engine and free everything. */
void ad_client_drain_and_free(struct aioduct_client *client);

/* ---- letting go (drain.c) ---- */
int ad_client_close_idle(struct aioduct_client *client);
int ad_client_drain(struct aioduct_client *client, int timeout_ms);
/* An exchange has gone, or was not submitted after all. [any] */
void ad_drain_progress(struct aioduct_client *client);

/* Submitted, and on_done not returned. 0 only if there was a moment without any. */
size_t ad_client_outstanding(const struct aioduct_client *client);
void ad_client_stats(const struct aioduct_client *client, struct aioduct_client_stats *out);

/* ---- threads (worker.c) ---- */
int ad_workers_start(struct aioduct_client *client, struct aioduct_error *error);
/* Have every worker drain and end; join them, or leave that to the calling worker's way out. */
void ad_workers_stop(struct aioduct_client *client);
/* The worker of @client that the calling thread is; NULL: none. */
struct ad_worker *ad_worker_current(const struct aioduct_client *client);

/* The last step: no loop and no thread is left. */
void ad_client_free(struct aioduct_client *client);
/* Loop and engine of @worker, on the thread that will drive them. */
int ad_worker_open(struct ad_worker *worker, ad_task_fn root,
                   void (*progress)(struct ad_engine *engine), struct aioduct_error *error);
void ad_worker_close(struct ad_worker *worker); /* drained */

#endif
