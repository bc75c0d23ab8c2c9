/* SPDX-License-Identifier: MIT */
/* The engine of one loop: exchanges' memory, the work at the end of a turn, and the way down. */
#include "http/engine.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/conn_h1.h"
#include "http/exchange.h"
#include "http/request.h"
#include "proto/h2.h"

#include <string.h>

#define SPARE_ALWAYS 64 /* of them also when nothing happens */
#define SPARE_MAX 256   /* exchanges kept for reuse: more are seldom under way on one loop */
#define REFS_AT_ONCE 64 /* to a request, taken from its count */

/* ---- end of the turn ---- */

static void run_kicked(struct ad_engine *engine)
{
    struct ad_list now;
    struct ad_list *node;
    ad_list_init(&now);
    ad_list_splice_back(&now, &engine->kicked);
    while ((node = ad_list_pop_front(&now)) != NULL) {
        struct aioduct_exchange *ex = AD_CONTAINER_OF(node, struct aioduct_exchange, kick_node);
        if (ex->place == AD_PLACE_CONN) {
            ex->conn->codec->credit(ex->conn, ex);
        } else if (ex->place == AD_PLACE_HELD && ad_exchange_unstash(ex) &&
                   ad_buf_bytes(&ex->stash) == 0) {
            ad_exchange_complete(ex);
        }
    }
}

static void run_ended(struct ad_engine *engine)
{
    struct ad_list now;
    struct ad_list *node;
    ad_list_init(&now);
    ad_list_splice_back(&now, &engine->ended);
    while ((node = ad_list_pop_front(&now)) != NULL) {
        ad_exchange_finish(AD_CONTAINER_OF(node, struct aioduct_exchange, node));
    }
}

static void on_turn_end(struct ad_turn_hook *hook)
{
    struct ad_engine *engine = AD_CONTAINER_OF(hook, struct ad_engine, hook);
    run_kicked(engine);
    run_ended(engine);
    ad_pool_balance(engine);
    if (!ad_list_empty(&engine->kicked) || !ad_list_empty(&engine->ended)) {
        ad_engine_kick(engine);
    }
    engine->progress(engine);
}

void ad_engine_kick(struct ad_engine *engine)
{
    ad_loop_at_turn_end(engine->loop, &engine->hook);
}

/* ---- spare exchanges ---- */

static void free_spares(struct ad_engine *engine, unsigned keep)
{
    while (engine->spare_count > keep) {
        struct aioduct_exchange *ex = engine->spare;
        engine->spare = (struct aioduct_exchange *)(void *)ex->node.next;
        engine->spare_count--;
        ad_list_init(&ex->node);
        ad_engine_exchange_detach(ex);
        ad_engine_exchange_free(ex);
    }
}

/* A quarter goes each time, so that a pause alone costs the next burst little. */
static void on_quiet(struct ad_turn_hook *hook)
{
    struct ad_engine *engine = AD_CONTAINER_OF(hook, struct ad_engine, quiet);
    if (engine->spare_count > SPARE_ALWAYS) {
        free_spares(engine, SPARE_ALWAYS + (engine->spare_count - SPARE_ALWAYS) * 3 / 4);
    }
}

/* ---- life ---- */

void ad_engine_init(struct ad_engine *engine)
{
    ad_pool_init(&engine->pool, engine->settings, engine->loop_count);
    ad_list_init(&engine->outstanding_list);
    ad_list_init(&engine->ended);
    ad_list_init(&engine->kicked);
    ad_list_init(&engine->answered);
    ad_list_init(&engine->conns);
    ad_list_init(&engine->hook.node);
    engine->hook.run = on_turn_end;
    engine->quiet.run = on_quiet;
    ad_loop_when_quiet(engine->loop, &engine->quiet);
    ad_drain_init(engine);
}

void ad_engine_close(struct ad_engine *engine)
{
    engine->closing = true;
    AD_LIST_FOR_EACH (it, &engine->outstanding_list) {
        ad_exchange_failf(AD_CONTAINER_OF(it, struct aioduct_exchange, node),
                          AIODUCT_E_CLIENT_CLOSED, AIODUCT_PHASE_NONE, "the client was destroyed");
    }
    ad_pool_close_idle(engine);
    AD_LIST_FOR_EACH (conn_it, &engine->conns) {
        ad_conn_close(AD_CONTAINER_OF(conn_it, struct ad_conn, node), false);
    }
    ad_pool_close(engine);
    ad_engine_kick(engine);
}

bool ad_engine_drained(const struct ad_engine *engine)
{
    return engine->closing && engine->conn_count == 0 && ad_list_empty(&engine->outstanding_list) &&
           ad_list_empty(&engine->ended) && ad_list_empty(&engine->pool.dirty);
}

/* What it kept ahead of its caller is freed: others may have so much. */
static void give_ahead_back(struct aioduct_exchange *ex)
{
    ex->engine->h2_ahead -= ex->h2.ahead;
    ex->h2.ahead = 0;
}

void ad_engine_exchange_detach(struct aioduct_exchange *ex)
{
    give_ahead_back(ex);
    ad_list_remove(&ex->node);
    ad_list_remove(&ex->kick_node);
    ad_exchange_deadlines_remove(ex);
}

void ad_engine_exchange_free(struct aioduct_exchange *ex)
{
    ad_free(ex);
}

/* ---- references to requests ---- */

static void drop_request(struct ad_engine *engine)
{
    if (engine->kept_refs > 0) {
        ad_request_unref_many(engine->kept_request, engine->kept_refs);
    }
    engine->kept_request = NULL;
    engine->kept_refs = 0;
}

void ad_engine_request_ref(struct ad_engine *engine, struct aioduct_request *request)
{
    bool again = request == engine->last_request;
    engine->last_request = request;
    if (engine->kept_request != request) {
        drop_request(engine);
        if (!again || request->body_kind != AD_BODY_NONE) { /* a body is not kept for nothing */
            ad_request_ref(request);
            return;
        }
        engine->kept_request = request;
    }
    if (engine->kept_refs == 0) {
        ad_request_ref_many(request, REFS_AT_ONCE);
        engine->kept_refs = REFS_AT_ONCE;
    }
    engine->kept_refs--;
}

void ad_engine_request_unref(struct ad_engine *engine, struct aioduct_request *request)
{
    if (request != engine->kept_request) {
        ad_request_unref(request);
        return;
    }
    engine->kept_refs++;
    if (engine->kept_refs > 2 * REFS_AT_ONCE || engine->closing) {
        drop_request(engine);
    }
}

/* ---- the end ---- */

void ad_engine_fini(struct ad_engine *engine)
{
    drop_request(engine);
    ad_list_remove(&engine->hook.node);
    while (engine->spare_h1_count > 0) {
        ad_conn_h1_side_destroy(engine->spare_h1[--engine->spare_h1_count]);
    }
    ad_h2_scratch_destroy(engine->h2_scratch);
    free_spares(engine, 0);
    ad_drain_fini(engine);
    ad_pool_fini(&engine->pool);
}

/* ---- exchanges ---- */

/* For another use. What it is asked to do is set by who asks. */
static void clear(struct aioduct_exchange *ex)
{
    size_t from = offsetof(struct aioduct_exchange, place);
    memset((char *)ex + from, 0, sizeof *ex - from);
    ad_list_init(&ex->node);
    ad_list_init(&ex->wait_node);
    ad_list_init(&ex->kick_node);
    ad_list_init(&ex->trailers);
    atomic_store_explicit(&ex->ops, 0, memory_order_relaxed);
    atomic_store_explicit(&ex->want_paused, false, memory_order_relaxed);
    atomic_store_explicit(&ex->held, 0, memory_order_relaxed);
    atomic_store_explicit(&ex->released, 0, memory_order_relaxed);
}

struct aioduct_exchange *ad_engine_exchange_get(struct ad_engine *engine, bool foreign)
{
    struct aioduct_exchange *ex = NULL;
    if (!foreign && engine->spare != NULL) {
        ex = engine->spare;
        engine->spare = (struct aioduct_exchange *)(void *)ex->node.next;
        engine->spare_count--;
    } else {
        ex = ad_zalloc(sizeof *ex);
        if (ex == NULL) {
            return NULL;
        }
        ad_exchange_init(ex);
    }
    clear(ex);
    ex->engine = engine;
    atomic_store_explicit(&ex->at, engine, memory_order_relaxed);
    ex->foreign = foreign;
    return ex;
}

void ad_engine_exchange_put(struct aioduct_exchange *ex)
{
    struct ad_engine *engine = ex->engine;
    ad_exchange_deadlines_clear(ex);
    give_ahead_back(ex);
    if (ex->foreign || engine->spare_count >= SPARE_MAX || engine->closing) {
        ad_engine_exchange_detach(ex);
        ad_engine_exchange_free(ex);
        return;
    }
    ex->node.next = (struct ad_list *)(void *)engine->spare;
    engine->spare = ex;
    engine->spare_count++;
}
