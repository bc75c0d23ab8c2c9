/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "client.h"
#include "exitcode.h"
#include "options.h"
#include "transfer.h"
#include "verbose.h"

#include <aioduct/aioduct.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define PARALLEL_MAX 50 /* as curl */

struct run {
    const struct options *options;
    struct aioduct_client *client;
    struct verbose verbose;
    struct transfer *slots; /* `limit` of them; url NULL: free */
    size_t limit, active, next;
    int exit_code;
    bool stop;        /* --fail-early */
    uint64_t *opened; /* numbers of the connections that transfers were on */
    size_t opened_count;
};

/* ---- the client ---- */

static void on_event(const struct aioduct_event *event, void *user)
{
    const struct run *run = user;
    struct transfer *t = event->user;
    verbose_event(&run->verbose, event);
    if (t != NULL && event->kind == AIODUCT_EVENT_SENT) {
        transfer_learn(t, event->exchange); /* so that the request is shown before its answer */
    }
}

static int make_client(struct run *run)
{
    char socket_name[PATH_MAX];
    const struct options *o = run->options;
    struct aioduct_client_options c = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};
    struct strings resolve = {0};
    client_set(&c, o, socket_name, &resolve);
    c.runtime = o->runtime;
    c.connectors = o->connector;
    if (run->verbose.to != NULL) {
        c.on_event = on_event;
        c.event_user = run;
    }
    int code = aioduct_client_create(&c, &run->client, &error);
    free(resolve.items);
    return code < 0 ? complain_error(o, &error) : 0;
}

/* ---- transfers ---- */

/* Is that of no transfer before? Those that share one did not all open it. */
static bool is_new_connection(struct run *run, uint64_t number)
{
    for (size_t i = run->opened_count; i > 0; i--) {
        if (run->opened[i - 1] == number) {
            return false;
        }
    }
    uint64_t *grown = realloc(run->opened, (run->opened_count + 1) * sizeof *grown);
    if (grown != NULL) {
        run->opened = grown;
        run->opened[run->opened_count++] = number;
    }
    return true;
}

static void reap(struct run *run, struct transfer *t)
{
    uint64_t connection = t->record.connection;
    t->record.connects = connection != 0 && is_new_connection(run, connection);
    int exit_code = transfer_end(t);
    t->url = NULL;
    run->active--;
    if (exit_code != 0 || !run->options->parallel) {
        run->exit_code = exit_code;
    }
    run->stop = run->stop || (exit_code != 0 && run->options->fail_early);
}

static void fill(struct run *run)
{
    const struct options *o = run->options;
    for (size_t i = 0; i < run->limit && run->next < o->urls.count && !run->stop; i++) {
        if (run->slots[i].url != NULL) {
            continue;
        }
        if (run->next > 0 && run->active == 0) {
            /* A connection that the server ended meanwhile is seen before it is picked. */
            aioduct_client_turn(run->client, 0);
        }
        transfer_begin(&run->slots[i], run->client, o, &run->verbose, run->next++);
        run->active++;
    }
}

/* -> milliseconds until a clock asks again; -1: none does; 0: something has ended */
static int tick(struct run *run)
{
    int wait_ms = -1;
    for (size_t i = 0; i < run->limit; i++) {
        struct transfer *t = &run->slots[i];
        if (t->url == NULL) {
            continue;
        }
        if (t->done) {
            reap(run, t);
            wait_ms = 0;
            continue;
        }
        if (run->stop && t->exchange != NULL) {
            t->abandoned = true;
            aioduct_exchange_cancel(t->exchange);
        }
        int own_ms = transfer_tick(t);
        wait_ms = own_ms >= 0 && (wait_ms < 0 || own_ms < wait_ms) ? own_ms : wait_ms;
    }
    return wait_ms;
}

static void drive(struct run *run)
{
    fill(run);
    while (run->active > 0) {
        int wait_ms = tick(run);
        fill(run);
        if (run->active > 0 && aioduct_client_turn(run->client, wait_ms) < 0) {
            aioduct_client_run(run->client); /* a runtime without turns: its clocks do not tick */
        }
    }
}

int run_all(const struct options *o)
{
    struct run run = {.options = o, .limit = 1};
    if (o->parallel) {
        run.limit = o->parallel_max > 0 ? (size_t)o->parallel_max : PARALLEL_MAX;
    }
    run.slots = calloc(run.limit, sizeof *run.slots);
    if (run.slots == NULL) {
        return EXIT_MEMORY;
    }
    client_log(o);
    run.exit_code = verbose_open(&run.verbose, o);
    if (run.exit_code == 0) {
        run.exit_code = make_client(&run);
    }
    if (run.exit_code == 0) {
        drive(&run);
        aioduct_client_destroy(run.client);
    }
    aioduct_log_set(NULL, NULL, 0);
    verbose_close(&run.verbose);
    free(run.slots);
    free(run.opened);
    return run.exit_code;
}
