/* SPDX-License-Identifier: MIT */
/* Creating, using and destroying a client. */
#include "http/client.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/event.h"
#include "http/exchange.h"
#include "http/push.h"
#include "http/request.h"
#include "net/resolve.h"
#include "net/tls.h"
#include "plugin/config.h"
#include "plugin/registry.h"

#include <errno.h>
#include <string.h>

/* ---- loops ---- */

static void on_close_post(struct ad_post *post)
{
    ad_engine_close(&AD_CONTAINER_OF(post, struct ad_worker, close_post)->engine);
}

int ad_worker_open(struct ad_worker *worker, ad_task_fn root,
                   void (*progress)(struct ad_engine *engine), struct aioduct_error *error)
{
    struct aioduct_client *client = worker->client;
    struct ad_engine *engine = &worker->engine;
    const struct aioduct_foreign_loop *app = &client->settings.loop;
    struct aioduct_foreign foreign = {
        .size = sizeof foreign, .kind = app->kind, .loop = app->loop, .witness = app->witness};
    const struct ad_loop_params params = {.plugin = client->plugin,
                                          .config = client->config,
                                          .chain = &client->chain,
                                          .foreign = app->kind == NULL ? NULL : &foreign};
    int code = ad_loop_open(&params, &engine->loop, error);
    if (code < 0) {
        return code;
    }
    engine->settings = &client->settings;
    engine->resolver = client->resolver;
    engine->tls = client->tls;
    engine->codec_h2 = &ad_codec_h2;
    engine->waiting = &client->waiting;
    engine->loop_count = client->worker_count == 0 ? 1 : client->worker_count;
    engine->binding = &client->binding;
    engine->owner = worker;
    engine->progress = progress;
    worker->close_post.run = on_close_post;
    ad_engine_init(engine);
    code = ad_task_create(engine->loop, root, worker, &worker->root);
    if (code < 0) {
        ad_loop_destroy(engine->loop);
        engine->loop = NULL;
        return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "out of memory");
    }
    return 0;
}

void ad_worker_close(struct ad_worker *worker)
{
    ad_engine_fini(&worker->engine);
    ad_task_destroy(worker->root);
    worker->root = NULL; /* what was still posted ends inside the next call, and wakes nobody */
    ad_loop_destroy(worker->engine.loop);
    worker->engine.loop = NULL;
}

/* ---- creation ---- */

static int choose_runtime(struct aioduct_client *client, struct aioduct_error *error)
{
    const struct ad_settings *s = &client->settings;
    int code = ad_config_read(s->config_file, &client->config, error);
    if (code < 0) {
        return code;
    }
    if (s->workers == 0 && s->binding != AIODUCT_BINDING_LOCAL && s->loop.kind == NULL) {
        client->worker_count = (unsigned)ad_config_workers(client->config);
    } else {
        client->worker_count = (unsigned)s->workers;
    }
    /* Without workers any thread may submit only if the loop may be driven from any thread. */
    struct ad_selection want = {
        .option = s->runtime,
        .config = client->config,
        .foreign = s->loop.kind,
        .need = s->binding == AIODUCT_BINDING_SEND && client->worker_count == 0 ? AD_CAP_POLL : 0,
    };
    ad_registry_freeze();
    code = ad_runtime_choose(&want, &client->plugin, NULL, error);
    if (code < 0) {
        return code;
    }
    const struct ad_chain_selection chain = {
        .option = s->connectors, .config = client->config, .runtime = client->plugin};
    code = ad_chain_choose(&chain, &client->chain, error);
    if (code < 0) {
        return code;
    }
    bool runtime_is_local = (client->plugin->caps & AD_CAP_POLL) == 0;
    client->binding.local =
        s->binding == AIODUCT_BINDING_LOCAL || (client->worker_count == 0 && runtime_is_local);
    return 0;
}

static int create_shared(struct aioduct_client *client, struct aioduct_error *error)
{
    const struct ad_settings *s = &client->settings;
    struct ad_resolver_options options = {.threads = s->resolver_threads,
                                          .cache_ms = s->dns_cache_ms};
    int code = ad_resolver_create_system(&options, &client->resolver);
    if (code < 0) {
        return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "cannot make a resolver: %s",
                            aioduct_error_text(code));
    }
    code = ad_tls_context_create(&s->tls, &client->tls, error);
    if (code < 0) {
        return code;
    }
    unsigned count = client->worker_count == 0 ? 1 : client->worker_count;
    client->workers = ad_zalloc(count * sizeof *client->workers);
    if (client->workers == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    for (unsigned i = 0; i < count; i++) {
        client->workers[i].client = client;
        client->workers[i].index = i;
    }
    return 0;
}

static int open_loops(struct aioduct_client *client, struct aioduct_error *error)
{
    if (client->worker_count > 0) {
        return ad_workers_start(client, error);
    }
    return ad_worker_open(&client->workers[0], ad_drive_root, ad_drive_progress, error);
}

int ad_client_create(const struct aioduct_client_options *options, struct aioduct_client **out,
                     struct aioduct_error *error)
{
    struct aioduct_client *client = ad_zalloc(sizeof *client);
    if (client == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    ad_binding_init(&client->binding);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    int code = ad_settings_init(&client->settings, options, error);
    if (code == 0) {
        code = choose_runtime(client, error);
    }
    if (code == 0) {
        code = create_shared(client, error);
    }
    if (code == 0) {
        code = open_loops(client, error);
    }
    if (code < 0) {
        ad_client_free(client);
        return code;
    }
    *out = client;
    return 0;
}

void ad_client_free(struct aioduct_client *client)
{
    ad_free(client->workers);
    ad_tls_context_destroy(client->tls);
    if (client->resolver != NULL) {
        ad_resolver_destroy(client->resolver);
    }
    ad_config_destroy(client->config);
    ad_settings_fini(&client->settings);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    ad_free(client);
}

/* ---- use ---- */

int ad_client_check(const struct aioduct_client *client)
{
    /* Loops are not asked: those of workers end one by one. */
    int code = ad_binding_check(&client->binding);
    if (code == 0 && atomic_load_explicit(&client->closing, memory_order_acquire)) {
        code = AIODUCT_E_CLIENT_CLOSED;
    }
    return code;
}

/* Inside a callback the same loop goes on. */
static struct ad_engine *pick_engine(struct aioduct_client *client,
                                     const struct aioduct_request *request, bool *out_current)
{
    if (client->worker_count == 0) {
        struct ad_engine *engine = &client->workers[0].engine;
        *out_current = ad_loop_is_current(engine->loop);
        return engine;
    }
    struct ad_worker *worker = ad_worker_current(client);
    *out_current = worker != NULL;
    return worker != NULL
               ? &worker->engine
               : ad_pass_choose(client, ad_origin_hash(&client->workers[0].engine, request));
}

static int check_request(const struct aioduct_client *client, struct aioduct_request *request,
                         struct aioduct_error *error)
{
    int code = ad_request_freeze(request);
    if (code < 0) {
        return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "%s",
                            code == -EINVAL ? "Content-Length, Transfer-Encoding or trailers "
                                              "contradict the body, or CONNECT has no "
                                              "aioduct_request_tunnel"
                                            : aioduct_error_text(code));
    }
    code = ad_origin_check(&client->workers[0].engine, request, error);
    if (code < 0) {
        return code;
    }
    if (request->url_bytes > client->settings.url_bytes_max) {
        return ad_error_set(error, AIODUCT_E_LIMIT, AIODUCT_PHASE_SETUP,
                            "url_bytes_max: the URL is longer than %u bytes",
                            client->settings.url_bytes_max);
    }
    return 0;
}

/* A program may know fewer of them than we do. */
static void set_callbacks(struct aioduct_exchange *ex, const struct aioduct_callbacks *callbacks)
{
    if (callbacks != NULL && callbacks->size >= sizeof *callbacks) {
        ex->callbacks = *callbacks;
        return;
    }
    ex->callbacks = (struct aioduct_callbacks){0};
    if (callbacks != NULL) {
        memcpy(&ex->callbacks, callbacks, callbacks->size);
    }
}

/* Make @ex ready to send the body of @request. */
static int claim_body(struct aioduct_exchange *ex, struct aioduct_request *request,
                      struct aioduct_error *error)
{
    if (request->body_kind == AD_BODY_PUSH) {
        ex->push = ad_push_create();
        return ex->push != NULL
                   ? 0
                   : ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    if (request->body_kind != AD_BODY_PULL) {
        return 0;
    }
    if (atomic_exchange_explicit(&request->pull_busy, true, memory_order_acq_rel)) {
        return ad_error_set(error, -EBUSY, AIODUCT_PHASE_SETUP,
                            "the request's body source is being read by another exchange");
    }
    ex->pull_claimed = true;
    return 0;
}

/* What only one exchange of the request may have at a time. */
static int claim(struct aioduct_exchange *ex, struct aioduct_request *request,
                 struct aioduct_error *error)
{
    ex->request = request;
    if (request->sink_kind != AD_SINK_NONE && !ad_sink_claim(ex)) {
        return ad_error_set(error, -EBUSY, AIODUCT_PHASE_SETUP,
                            "another exchange writes to where the answer is to go");
    }
    int code = claim_body(ex, request, error);
    if (code < 0 && ex->sink_claimed) {
        ad_sink_finish(ex);
    }
    return code;
}

/* What has gone is read first: what goes meanwhile is not missed among the submitted, so that equal
 * sums are the truth of a moment between. */
size_t ad_client_outstanding(const struct aioduct_client *client)
{
    unsigned loops = client->worker_count == 0 ? 1 : client->worker_count;
    size_t submitted = 0, gone = 0;
    for (unsigned i = 0; i < loops; i++) {
        gone += atomic_load(&client->workers[i].engine.tally.gone);
    }
    for (unsigned i = 0; i < loops; i++) {
        submitted += atomic_load(&client->workers[i].engine.tally.submitted);
    }
    return submitted - gone;
}

/* Where the calling thread counts. */
static struct ad_tally *tally_of(struct aioduct_client *client)
{
    struct ad_worker *worker = client->worker_count == 0 ? NULL : ad_worker_current(client);
    return worker != NULL ? &worker->engine.tally : &client->workers[0].engine.tally;
}

/* Not submitted after all. */
static void withdraw(struct aioduct_client *client)
{
    atomic_fetch_add(&tally_of(client)->gone, 1);
    ad_drain_progress(client);
}

int ad_client_submit(struct aioduct_client *client, struct aioduct_request *request,
                     const struct aioduct_callbacks *callbacks, void *user,
                     struct ad_completion *completion, struct aioduct_exchange **out,
                     struct aioduct_error *error)
{
    bool current;
    int code = ad_client_check(client);
    if (code < 0) {
        return ad_error_set(error, code, AIODUCT_PHASE_SETUP, "%s", aioduct_error_text(code));
    }
    code = check_request(client, request, error);
    if (code < 0) {
        return code;
    }
    /* Counted first: a drain that begins now either sees it, or is seen. */
    atomic_fetch_add(&tally_of(client)->submitted, 1);
    if (atomic_load(&client->draining)) {
        withdraw(client);
        return ad_error_set(error, AIODUCT_E_CLIENT_CLOSED, AIODUCT_PHASE_SETUP,
                            "the client is being drained");
    }
    struct ad_engine *engine = pick_engine(client, request, &current);
    struct aioduct_exchange *ex = ad_engine_exchange_get(engine, !current);
    if (ex == NULL) {
        withdraw(client);
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    code = claim(ex, request, error);
    if (code < 0) {
        withdraw(client);
        ad_engine_exchange_put(ex);
        return code;
    }
    if (current) {
        ad_engine_request_ref(engine, request);
    } else {
        ad_request_ref(request);
    }
    set_callbacks(ex, callbacks);
    ex->user = user;
    ex->completion = completion;
    if (out != NULL) {
        *out = ex; /* before it starts: a callback on another thread may look */
    }
    if (current && ad_event_lets_act(engine)) {
        ad_exchange_start(ex);
    } else {
        ad_pass_expect(&engine->pass);
        ad_exchange_ask(ex, AD_OP_START);
    }
    return 0;
}

/* ---- the end ---- */

static void on_left(void *client)
{
    ad_client_drain_and_free(client);
}

int ad_client_destroy(struct aioduct_client *client)
{
    bool adopted = client->settings.loop.kind != NULL;
    int code = ad_binding_check(&client->binding);
    if (code == 0 && adopted) {
        code = ad_loop_check_thread(client->workers[0].engine.loop);
    }
    if (code == AIODUCT_E_FORKED && adopted && !atomic_exchange(&client->closing, true)) {
        ad_loop_abandon(client->workers[0].engine.loop); /* it would call back in the child */
    }
    if (code == AIODUCT_E_THREAD) {
        ad_log(AD_LOG_ERROR, adopted ? "a client was not destroyed: only its loop's thread may"
                                     : "a client was not destroyed: only the thread that created "
                                       "it may");
    }
    if (code < 0) {
        return code; /* in a child the parent's loops and threads are not ours to end */
    }
    if (atomic_exchange_explicit(&client->closing, true, memory_order_acq_rel)) {
        return AIODUCT_E_CLIENT_CLOSED;
    }
    if (client->worker_count > 0) {
        ad_workers_stop(client);
        return 0;
    }
    struct ad_engine *engine = &client->workers[0].engine;
    unsigned before = atomic_fetch_or_explicit(&client->drive, AD_DESTROYED, memory_order_acq_rel);
    if ((before & AD_DRIVEN) == 0 && adopted && ad_loop_in_turn(engine->loop)) {
        /* The application runs the loop, and this callback in it. */
        if (!engine->in_event) {
            ad_engine_close(engine);
        }
        ad_loop_leave_then(engine->loop, on_left, client);
    } else if ((before & AD_DRIVEN) == 0) {
        ad_client_drain_and_free(client);
    } else if (ad_loop_is_current(engine->loop) && !engine->in_event) {
        ad_engine_close(engine); /* the outermost call frees */
    } else {
        ad_loop_post(engine->loop, &client->workers[0].close_post);
    }
    return 0;
}
