/* SPDX-License-Identifier: MIT */
#include "http/pass.h"

#include "base/assert.h"
#include "http/client.h"
#include "http/exchange.h"
#include "http/request.h"

/* ---- what each loop says ---- */

/* One writer: a load and a store are enough. */
static void add(_Atomic unsigned *to, unsigned count)
{
    unsigned now = atomic_load_explicit(to, memory_order_relaxed);
    atomic_store_explicit(to, now + count, memory_order_relaxed);
}

void ad_pass_live(struct ad_pass *pass, int count)
{
    add(&pass->live, (unsigned)count);
}

void ad_pass_room(struct ad_pass *pass, uint64_t hash, unsigned before, unsigned after)
{
    if (before != after) {
        add(&pass->room[hash % AD_POOL_BUCKETS], after - before);
    }
}

void ad_pass_expect(struct ad_pass *pass)
{
    atomic_fetch_add_explicit(&pass->inbox, 1, memory_order_relaxed);
}

void ad_pass_arrived(struct ad_pass *pass)
{
    atomic_fetch_sub_explicit(&pass->inbox, 1, memory_order_relaxed);
}

/* ---- choosing ---- */

static unsigned inbox(const struct ad_engine *engine)
{
    return atomic_load_explicit(&engine->pass.inbox, memory_order_relaxed);
}

/* Connections are free that nobody on the way there will take. */
static bool has_room(const struct ad_engine *engine, uint64_t hash)
{
    return atomic_load_explicit(&engine->pass.room[hash % AD_POOL_BUCKETS], memory_order_relaxed) >
           inbox(engine);
}

static unsigned load(const struct ad_engine *engine)
{
    return inbox(engine) + atomic_load_explicit(&engine->pass.live, memory_order_relaxed);
}

/* The first one with room, beginning with number @from; NULL: none. */
static struct ad_engine *find_room(struct aioduct_client *client, unsigned from, uint64_t hash,
                                   const struct ad_engine *but)
{
    for (unsigned i = 0; i < client->worker_count; i++) {
        struct ad_engine *engine = &client->workers[(from + i) % client->worker_count].engine;
        if (engine != but && has_room(engine, hash)) {
            return engine;
        }
    }
    return NULL;
}

struct ad_engine *ad_pass_choose(struct aioduct_client *client, uint64_t hash)
{
    unsigned turn = atomic_fetch_add_explicit(&client->next_worker, 1, memory_order_relaxed);
    struct ad_engine *engine = find_room(client, turn, hash, NULL);
    if (engine == NULL) { /* the less busy of two that take turns */
        struct ad_engine *other = &client->workers[(turn + 1) % client->worker_count].engine;
        engine = &client->workers[turn % client->worker_count].engine;
        engine = load(other) < load(engine) ? other : engine;
    }
    return engine;
}

bool ad_pass_on(struct ad_engine *from, struct aioduct_exchange *ex)
{
    struct ad_worker *worker = from->owner;
    struct aioduct_client *client = worker->client;
    if (client->worker_count < 2 || from->closing || ex->passed) {
        return false;
    }
    struct ad_engine *to = find_room(client, worker->index + 1, ex->origin->key.hash, from);
    if (to == NULL) {
        return false;
    }
    ad_pass_expect(&to->pass);
    if (!ad_exchange_pass(ex, to)) {
        ad_pass_arrived(&to->pass);
        return false;
    }
    return true;
}
