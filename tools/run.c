/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "exitcode.h"
#include "options.h"
#include "transfer.h"
#include "verbose.h"

#include <aioduct/aioduct.h>
#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define PARALLEL_MAX 50             /* as curl */
#define CONNECT_TIMEOUT_MS 300000   /* as curl */
#define HEAD_BYTES_MAX (300 * 1024) /* as curl */
#define HEAD_FIELDS_MAX 4096        /* what so many bytes may hold */
#define PIECE_BYTES_MIN 1024        /* a limited rate is kept in pieces of a tenth of a second */
#define PIECE_BYTES_MAX (1 << 20)

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

static bool is_address(const char *text)
{
    struct in6_addr any;
    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static void set_limits(struct aioduct_client_options *c, const struct options *o)
{
    /* What is not limited on the command line is not limited. */
    c->acquire_timeout_ms = c->head_timeout_ms = AIODUCT_NO_LIMIT;
    c->read_gap_timeout_ms = c->write_gap_timeout_ms = AIODUCT_NO_LIMIT;
    c->connect_timeout_ms = o->connect_timeout_ms > 0 ? o->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    c->expect_timeout_ms = o->expect_timeout_ms;
    c->head_bytes_max = HEAD_BYTES_MAX;
    c->head_fields_max = HEAD_FIELDS_MAX;
    c->connections_per_origin_max = AIODUCT_NO_LIMIT;
    c->h2_probe = o->parallel_immediate ? AIODUCT_OFF : 0;
    if (o->rate > 0) {
        uint64_t piece = o->rate / 10;
        c->window_bytes = piece < PIECE_BYTES_MIN   ? PIECE_BYTES_MIN
                          : piece > PIECE_BYTES_MAX ? PIECE_BYTES_MAX
                                                    : (int)piece;
    }
}

static void set_socket(struct aioduct_client_options *c, const struct options *o)
{
    if (o->interface != NULL && is_address(o->interface)) {
        c->socket.local_address = o->interface;
    } else {
        c->socket.device = o->interface;
    }
    c->socket.keepalive_idle_s = o->no_keepalive ? AIODUCT_NO_LIMIT : o->keepalive_s;
    c->socket.keepalive_interval_s = o->keepalive_s;
}

static void set_tls(struct aioduct_client_options *c, const struct options *o)
{
    c->tls.flags = AIODUCT_TLS_KEYLOG |
                   (o->insecure ? AIODUCT_TLS_NO_VERIFY_CHAIN | AIODUCT_TLS_NO_VERIFY_NAME : 0u);
    c->tls.ca_file = o->cacert;
    c->tls.cert_file = o->cert;
    c->tls.key_file = o->key;
    c->tls.key_password = o->cert_password;
}

static void on_event(const struct aioduct_event *event, void *user)
{
    const struct run *run = user;
    struct transfer *t = event->user;
    verbose_event(&run->verbose, event);
    if (t != NULL && event->kind == AIODUCT_EVENT_SENT) {
        transfer_learn(t, event->exchange); /* so that the request is shown before its answer */
    }
}

/* Of two rules for a host and port the last one counts; the library takes the first. */
static const char *const *reversed(const struct strings *list, struct strings *out)
{
    for (size_t i = list->count; i > 0; i--) {
        if (strings_add(out, list->items[i - 1]) < 0) {
            return list->items;
        }
    }
    return out->items;
}

/* The library's one word for both kinds of names. */
static const char *unix_socket(const struct options *o, char out[PATH_MAX])
{
    bool abstract = o->abstract_socket != NULL;
    const char *name = abstract ? o->abstract_socket : o->unix_socket;
    if (name == NULL) {
        return NULL;
    }
    snprintf(out, PATH_MAX, "%s%s", abstract ? "@" : name[0] == '@' ? "./" : "", name);
    return out;
}

static int make_client(struct run *run)
{
    char socket_name[PATH_MAX];
    const struct options *o = run->options;
    struct aioduct_client_options c = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};
    struct strings resolve = {0};
    c.runtime = o->runtime;
    c.connectors = o->connector;
    c.unix_socket = unix_socket(o, socket_name);
    c.binding = AIODUCT_BINDING_LOCAL; /* one thread, whatever the configuration says of workers */
    c.family = o->family == 4   ? AIODUCT_FAMILY_IPV4
               : o->family == 6 ? AIODUCT_FAMILY_IPV6
                                : AIODUCT_FAMILY_ANY;
    c.resolve = reversed(&o->resolve, &resolve);
    c.connect_to = o->connect_to.items;
    set_limits(&c, o);
    set_socket(&c, o);
    set_tls(&c, o);
    if (run->verbose.to != NULL) {
        c.on_event = on_event;
        c.event_user = run;
    }
    int code = aioduct_client_create(&c, &run->client, &error);
    free(resolve.items);
    return code < 0 ? complain_error(o, &error) : 0;
}

static void on_log(int level, const char *message, void *user)
{
    const struct options *o = user;
    if (o->verbose || (level <= 2 && !o->silent)) {
        fprintf(stderr, "* %s\n", message);
    }
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
    aioduct_log_set(on_log, (void *)o, o->verbose ? 3 : 2);
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
