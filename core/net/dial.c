/* SPDX-License-Identifier: MIT */
/*
 * The race of RFC 8305. Attempts belong to the dial until they win, or until their stream is
 * closed: a connect may refer to the dial's memory that long, so the memory goes with the last of
 * them, also when the owner has had its answer or has cancelled.
 *
 * Each family's addresses stay where they were copied to when they came; whose turn it is decides
 * what is tried next, so those that come in the middle of the race need no sorting in.
 */
#include "net/dial.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/names.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define DELAY_DEFAULT_MS 250
#define DELAY_MIN_MS 10
#define DELAY_MAX_MS 2000
#define RESOLUTION_DELAY_MS 50
#define KEEPALIVE_DEFAULT_S 60
#define HISTORY_NS (600u * 1000000000ull)

struct attempt {
    struct ad_list node;
    struct ad_dial *dial;
    struct ad_stream *stream;
    const struct ad_addr *addr; /* the dial's */
};

/* One family's addresses, in the order in which they are tried. */
struct candidates {
    struct ad_addr *addrs;
    size_t count, next;
};
enum { V6, V4 };

struct ad_dial {
    struct ad_loop *loop;
    void (*on_done)(void *owner, struct ad_dial_result *result);
    void (*on_gone)(void *owner);
    void (*on_step)(void *owner, const struct ad_dial_step *step);
    void *owner;
    unsigned refs; /* the race itself, and each attempt */
    bool over;     /* answered or cancelled */
    struct ad_names names;
    struct ad_turn_hook begin; /* of a dial that needs no look-up */
    struct ad_addr only;       /* the one place to go to, if that is known at once */
    struct ad_deadline delay;  /* until the next attempt */
    uint64_t delay_ns;
    uint64_t due_ns; /* when the next attempt may start; 0: now */
    struct ad_deferred deferred;

    struct ad_list attempts;
    struct candidates candidates[2];
    int turn;       /* V6, V4: the family that the next attempt is for */
    unsigned found; /* addresses that on_step has not heard of */
    struct ad_dial_times times, *times_out;
    struct ad_dial_history *history;
    int first_family;             /* of the first attempt, 0: none yet */
    bool refused;                 /* a peer said no: that tells nothing about the way to it */
    int code;                     /* of the attempt that says best why it failed, 0: none did */
    const struct ad_addr *failed; /* that one's address */
    char said[160];               /* what a connector says of it */

    struct aioduct_socket_config config; /* but for the address */
    struct ad_addr local;                /* bytes 0: any */
    uint16_t port;
    int family; /* AF_UNSPEC: both */
    char *device;
    char host[];
};

static void advance(struct ad_dial *d);

/* ---- life ---- */

static void release(struct ad_deferred *deferred)
{
    struct ad_dial *d = AD_CONTAINER_OF(deferred, struct ad_dial, deferred);
    for (int i = V6; i <= V4; i++) {
        ad_free(d->candidates[i].addrs != &d->only ? d->candidates[i].addrs : NULL);
    }
    ad_free(d->device);
    ad_free(d);
}

/* -> is it gone? */
static bool drop(struct ad_dial *d)
{
    AD_ASSERT(d->refs > 0);
    if (--d->refs > 0) {
        return false;
    }
    ad_loop_defer(d->loop, &d->deferred);
    return true;
}

static void unref(struct ad_dial *d)
{
    if (drop(d) && d->on_gone != NULL) {
        d->on_gone(d->owner);
    }
}

/* No more events to the owner, whatever is still under way. */
static void end(struct ad_dial *d)
{
    AD_ASSERT(!d->over);
    d->over = true;
    ad_names_stop(&d->names);
    ad_list_remove(&d->begin.node);
    ad_deadline_remove(d->loop, &d->delay);
    AD_LIST_FOR_EACH (node, &d->attempts) {
        ad_stream_close(AD_CONTAINER_OF(node, struct attempt, node)->stream);
    }
}

static void answer(struct ad_dial *d, struct ad_dial_result *result)
{
    result->times = d->times;
    end(d);
    d->on_done(d->owner, result);
    unref(d);
}

static void say_times(const struct ad_dial *d)
{
    if (d->times_out != NULL) {
        *d->times_out = d->times;
    }
}

static void tell(const struct ad_dial *d, const struct ad_dial_step *step)
{
    if (d->on_step != NULL) {
        d->on_step(d->owner, step);
    }
}

/* ---- failure ---- */

static void fail_resolve(struct ad_dial *d, int code, const char *detail)
{
    struct ad_dial_result result = {.code = code};
    ad_error_set(&result.error, code, AIODUCT_PHASE_RESOLVE, "look up %s: %s", d->host, detail);
    result.error.safe_to_retry = 1;
    answer(d, &result);
}

static void fail_connect(struct ad_dial *d)
{
    char text[AD_ADDR_TEXT_BYTES], where[AD_ADDR_TEXT_BYTES + 4] = "";
    struct ad_dial_result result = {.code = d->code};
    if (ad_addr_text(d->failed, text)[0] != '\0') {
        snprintf(where, sizeof where, " (%s)", text);
    }
    ad_error_set(&result.error, d->code, AIODUCT_PHASE_CONNECT, "connect to %s port %u%s: %s%s%s%s",
                 d->host, d->port, where, aioduct_error_text(d->code),
                 d->said[0] != '\0' ? " (" : "", d->said, d->said[0] != '\0' ? ")" : "");
    result.error.safe_to_retry = 1;
    answer(d, &result);
}

static void fail_without_address(struct ad_dial *d)
{
    struct ad_dial_result result = {.code = -EADDRNOTAVAIL};
    ad_error_set(&result.error, result.code, AIODUCT_PHASE_CONNECT,
                 "connect to %s port %u: it has no address of the family that is asked for",
                 d->host, d->port);
    result.error.safe_to_retry = 1;
    answer(d, &result);
}

static void fail(struct ad_dial *d)
{
    char detail[256];
    if (d->code != 0) {
        fail_connect(d);
    } else if (d->names.part_count > 0) {
        int code = ad_names_failure(&d->names, detail, sizeof detail);
        fail_resolve(d, code, detail);
    } else {
        fail_without_address(d);
    }
}

/* This machine lacks a way to the address, which says less than what a peer answers. */
static bool is_local_reason(int code)
{
    return code == -ENETUNREACH || code == -EADDRNOTAVAIL || code == -EAFNOSUPPORT ||
           code == -EHOSTUNREACH;
}

static void note_failure(struct ad_dial *d, const struct ad_addr *addr, int code)
{
    d->refused = d->refused || code == -ECONNREFUSED;
    tell(d, &(struct ad_dial_step){AD_DIAL_CONNECT_FAILED, .addr = addr, .code = code});
    if (d->code == 0 || is_local_reason(d->code) || !is_local_reason(code)) {
        d->code = code;
        d->failed = addr;
        snprintf(d->said, sizeof d->said, "%s", ad_loop_plugin_error(d->loop));
    }
    ad_loop_plugin_error_clear(d->loop);
}

static void note_winner(struct ad_dial *d, int family)
{
    struct ad_dial_history *history = d->history;
    if (history == NULL || (family != AF_INET6 && family != AF_INET)) {
        return;
    }
    bool other_was_worse = family != d->first_family && !d->refused;
    if (other_was_worse || history->family == family) {
        history->family = family;
        history->until_ns = ad_loop_now_ns(d->loop) + HISTORY_NS;
    }
}

/* ---- attempts ---- */

static void on_data(struct ad_stream *stream, const uint8_t *bytes, size_t count)
{
    (void)stream;
    (void)bytes;
    (void)count;
    AD_ASSERT(false); /* nobody has asked to receive */
}

static void on_done(struct ad_stream *stream, int op, int code, size_t bytes)
{
    struct attempt *a = ad_stream_owner(stream);
    struct ad_dial *d = a->dial;
    (void)bytes;
    AD_ASSERT(op == AIODUCT_OP_CONNECT);
    if (d->over) {
        return; /* a loser: it is being closed */
    }
    if (code < 0) {
        note_failure(d, a->addr, code);
        ad_list_remove(&a->node);
        ad_stream_close(stream);
        advance(d);
        return;
    }
    struct ad_dial_result result = {.stream = stream};
    d->times.connected_ns = ad_loop_now_ns(d->loop);
    say_times(d);
    tell(d, &(struct ad_dial_step){AD_DIAL_CONNECTED, .addr = a->addr});
    note_winner(d, a->addr->storage.ss_family);
    ad_list_remove(&a->node); /* the winner is no longer ours */
    ad_free(a);
    answer(d, &result);
    unref(d);
}

static void on_closed(struct ad_stream *stream)
{
    struct attempt *a = ad_stream_owner(stream);
    struct ad_dial *d = a->dial;
    ad_list_remove(&a->node);
    ad_free(a);
    unref(d);
}

static const struct ad_stream_events attempt_events = {
    .on_data = on_data, .on_done = on_done, .on_closed = on_closed};

/* 0: under way */
static int try_address(struct ad_dial *d, const struct ad_addr *addr)
{
    struct attempt *a = ad_zalloc(sizeof *a);
    if (a == NULL) {
        return -ENOMEM;
    }
    a->dial = d;
    a->addr = addr;
    ad_list_init(&a->node);
    int code = ad_stream_create(d->loop, &attempt_events, a, &a->stream);
    if (code < 0) {
        ad_free(a);
        return code;
    }
    d->refs++;
    tell(d, &(struct ad_dial_step){AD_DIAL_CONNECT, .addr = addr});
    bool by_name = addr->bytes == 0;
    d->config.addr = by_name ? NULL : (const struct sockaddr *)(const void *)&addr->storage;
    d->config.addr_bytes = addr->bytes;
    ad_loop_plugin_error_clear(d->loop);
    code = ad_stream_connect(a->stream, &d->config);
    if (code < 0) {
        ad_stream_close(a->stream);
        return code;
    }
    ad_list_push_back(&d->attempts, &a->node);
    return 0;
}

static bool has_next(const struct ad_dial *d)
{
    const struct candidates *c = d->candidates;
    return c[V6].next < c[V6].count || c[V4].next < c[V4].count;
}

/* Families take turns while both have addresses. */
static const struct ad_addr *take_next(struct ad_dial *d)
{
    const struct candidates *c = d->candidates;
    int family = c[d->turn].next < c[d->turn].count ? d->turn : !d->turn;
    d->turn = !family;
    return &c[family].addrs[d->candidates[family].next++];
}

static void wait_until_due(struct ad_dial *d)
{
    if (!has_next(d) || ad_deadline_set(d->loop, &d->delay, d->due_ns) < 0) {
        ad_deadline_clear(&d->delay); /* without it the next waits for one to fail */
    }
}

/* Start the next attempt, going past those that fail at once; with none left, none to come and none
 * under way the race is lost. */
static void advance(struct ad_dial *d)
{
    while (has_next(d)) {
        const struct ad_addr *addr = take_next(d);
        d->first_family = d->first_family == 0 ? addr->storage.ss_family : d->first_family;
        int code = try_address(d, addr);
        if (code < 0) {
            note_failure(d, addr, code);
            continue;
        }
        d->due_ns = ad_loop_now_ns(d->loop) + d->delay_ns;
        wait_until_due(d);
        return;
    }
    d->due_ns = 0; /* one that comes late has waited long enough */
    if (ad_list_empty(&d->attempts) && !ad_names_asking(&d->names)) {
        fail(d);
    }
}

static void on_delay(struct ad_deadline *delay)
{
    advance(AD_CONTAINER_OF(delay, struct ad_dial, delay));
}

/* ---- addresses ---- */

static bool is_wanted(const struct ad_dial *d, int family, const struct ad_addr *addr)
{
    int own = addr->storage.ss_family;
    return (own == AF_INET6 || own == AF_INET) && (family == AF_UNSPEC || family == own) &&
           (d->family == AF_UNSPEC || d->family == own) &&
           (d->local.bytes == 0 || d->local.storage.ss_family == own);
}

/* The family that won before, where that is known. */
static int preferred_or(const struct ad_dial *d, int otherwise)
{
    const struct ad_dial_history *history = d->history;
    bool known = history != NULL && history->until_ns > ad_loop_now_ns(d->loop);
    return known ? history->family : otherwise;
}

/* Copy what is of use. Each family comes once. */
static int add_addresses(struct ad_dial *d, int family, const struct ad_addr *addrs, size_t count)
{
    size_t room[2] = {0, 0};
    for (size_t i = 0; i < count; i++) {
        if (is_wanted(d, family, &addrs[i])) {
            room[addrs[i].storage.ss_family == AF_INET6 ? V6 : V4]++;
        }
    }
    for (int f = V6; f <= V4; f++) {
        struct candidates *c = &d->candidates[f];
        AD_ASSERT(room[f] == 0 || c->addrs == NULL);
        if (room[f] > 0 && (c->addrs = ad_alloc(room[f] * sizeof *c->addrs)) == NULL) {
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (is_wanted(d, family, &addrs[i])) {
            struct candidates *c = &d->candidates[addrs[i].storage.ss_family == AF_INET6 ? V6 : V4];
            c->addrs[c->count++] = addrs[i];
        }
    }
    d->found += (unsigned)count;
    return room[V6] + room[V4] > 0 ? 0 : AIODUCT_E_RESOLVE;
}

/* The first to be tried: of the family that won before, else the preferred one. */
static void set_turn(struct ad_dial *d, int preferred)
{
    d->turn = preferred_or(d, preferred) == AF_INET6 ? V6 : V4;
}

static void note_resolved(struct ad_dial *d)
{
    if (d->times.resolved_ns == 0) {
        d->times.resolved_ns = ad_loop_now_ns(d->loop);
        say_times(d);
    }
}

static void tell_found(struct ad_dial *d)
{
    if (d->found == 0) {
        return;
    }
    note_resolved(d);
    tell(d, &(struct ad_dial_step){AD_DIAL_RESOLVED, .count = d->found});
    d->found = 0;
}

static void on_begin(struct ad_turn_hook *hook)
{
    advance(AD_CONTAINER_OF(hook, struct ad_dial, begin));
}

static int on_found(struct ad_names *names, int family, const struct ad_addr *addrs, size_t count)
{
    struct ad_dial *d = AD_CONTAINER_OF(names, struct ad_dial, names);
    if (family == AF_UNSPEC) { /* known without a look-up: the first one's family is preferred */
        set_turn(d, addrs[0].storage.ss_family);
    }
    return add_addresses(d, family, addrs, count);
}

static void on_news(struct ad_names *names)
{
    struct ad_dial *d = AD_CONTAINER_OF(names, struct ad_dial, names);
    tell_found(d);
    if (d->due_ns <= ad_loop_now_ns(d->loop)) {
        advance(d);
    } else {
        wait_until_due(d);
    }
}

/* ---- start ---- */

static uint32_t seconds_or(int value, uint32_t otherwise)
{
    return value < 0 ? 0 : value == 0 ? otherwise : (uint32_t)value;
}

static int configure(struct ad_dial *d, const struct aioduct_socket_options *o)
{
    static const struct aioduct_socket_options none;
    o = o != NULL ? o : &none;
    if (o->local_address != NULL && ad_addr_parse(o->local_address, 0, &d->local) < 0) {
        return -EINVAL;
    }
    if (o->local_port_min < 0 || o->local_port_min > 65535 || o->local_port_max > 65535 ||
        (o->local_port_max != 0 && o->local_port_max < o->local_port_min)) {
        return -EINVAL;
    }
    if (o->device != NULL) {
        d->device = ad_strdup(o->device);
        if (d->device == NULL) {
            return -ENOMEM;
        }
    }
    d->config = (struct aioduct_socket_config){
        .size = sizeof d->config,
        .host = d->host,
        .port = d->port,
        .dns_family = d->family == AF_INET    ? AIODUCT_DNS_ONLY_4
                      : d->family == AF_INET6 ? AIODUCT_DNS_ONLY_6
                                              : AIODUCT_DNS_ANY,
        .nodelay = o->nodelay < 0 ? -1 : 1,
        .keepalive_idle_s = seconds_or(o->keepalive_idle_s, KEEPALIVE_DEFAULT_S),
        .keepalive_interval_s = seconds_or(o->keepalive_interval_s, KEEPALIVE_DEFAULT_S),
        .keepalive_count = seconds_or(o->keepalive_count, 0),
        .local_port_min = (uint16_t)o->local_port_min,
        .local_port_max = (uint16_t)o->local_port_max,
        .device = d->device,
        .fast_open = o->fast_open > 0,
        .user_timeout_ms = o->user_timeout_ms,
        .send_buffer_bytes = o->send_buffer_bytes,
        .recv_buffer_bytes = o->recv_buffer_bytes,
        .mark = o->mark,
        .tos = o->tos,
    };
    if (d->local.bytes > 0) {
        d->config.local_addr = (const struct sockaddr *)(const void *)&d->local.storage;
        d->config.local_addr_bytes = d->local.bytes;
    }
    return 0;
}

static uint64_t delay_ns_of(uint32_t ms)
{
    ms = ms == 0 ? DELAY_DEFAULT_MS : ms;
    ms = ms < DELAY_MIN_MS ? DELAY_MIN_MS : ms > DELAY_MAX_MS ? DELAY_MAX_MS : ms;
    return (uint64_t)ms * 1000000u;
}

static uint64_t resolution_delay_ns_of(const struct ad_dial_params *p)
{
    int ms = p->resolution_delay_ms;
    return ms < 0 ? 0 : (uint64_t)(ms == 0 ? RESOLUTION_DELAY_MS : ms) * 1000000u;
}

/* One place to go to, and nobody to ask: in this turn, but never inside start. */
static int begin_at(struct ad_dial *d, const struct ad_addr *addr)
{
    struct candidates *c = &d->candidates[addr->storage.ss_family == AF_INET6 ? V6 : V4];
    d->only = *addr;
    *c = (struct candidates){.addrs = &d->only, .count = 1};
    note_resolved(d);
    ad_loop_at_turn_end(d->loop, &d->begin);
    return 0;
}

static int begin(struct ad_dial *d, const struct ad_dial_params *p)
{
    static const struct ad_addr by_name; /* no bytes of address at all */
    if (p->addrs == NULL && ad_loop_dials_by_name(d->loop)) {
        return begin_at(d, &by_name);
    }
    if (p->addr_count == 1 && p->addrs[0].storage.ss_family == AF_UNIX) {
        return begin_at(d, p->addrs);
    }
    struct ad_addr addr;
    if (p->addrs == NULL && ad_addr_parse(p->host, p->port, &addr) == 0 &&
        is_wanted(d, AF_UNSPEC, &addr)) { /* else the look-up says what is wrong with it */
        d->found = 1;
        tell_found(d);
        return begin_at(d, &addr);
    }
    if (p->addrs != NULL) {
        if (p->addr_count > 0) {
            set_turn(d, p->addrs[0].storage.ss_family);
        }
        if (add_addresses(d, AF_UNSPEC, p->addrs, p->addr_count) == -ENOMEM) {
            return -ENOMEM;
        }
        tell_found(d);
        ad_loop_at_turn_end(d->loop, &d->begin); /* never inside start */
        return 0;
    }
    /* No use in addresses that cannot be reached from the local one. */
    int family =
        d->family != AF_UNSPEC || d->local.bytes == 0 ? d->family : d->local.storage.ss_family;
    set_turn(d, AF_INET6);
    return ad_names_start(&d->names, &(struct ad_names_params){
                                         .loop = d->loop,
                                         .resolver = p->resolver,
                                         .host = d->host,
                                         .port = d->port,
                                         .family = family,
                                         .preferred = d->turn == V6 ? AF_INET6 : AF_INET,
                                         .delay_ns = resolution_delay_ns_of(p),
                                     });
}

int ad_dial_start(struct ad_loop *loop, const struct ad_dial_params *p,
                  void (*done)(void *owner, struct ad_dial_result *result), void *owner,
                  struct ad_dial **out)
{
    size_t host_bytes = strlen(p->host) + 1;
    struct ad_dial *d = ad_zalloc(sizeof *d + host_bytes);
    if (d == NULL) {
        return -ENOMEM;
    }
    memcpy(d->host, p->host, host_bytes);
    d->loop = loop;
    d->on_done = done;
    d->on_gone = p->on_gone;
    d->history = p->history;
    d->on_step = p->on_step;
    d->owner = owner;
    d->refs = 1;
    d->port = p->port;
    d->times_out = p->times;
    d->family = p->family == AIODUCT_FAMILY_IPV4   ? AF_INET
                : p->family == AIODUCT_FAMILY_IPV6 ? AF_INET6
                                                   : AF_UNSPEC;
    d->delay_ns = delay_ns_of(p->attempt_delay_ms);
    d->names.on_found = on_found;
    d->names.on_news = on_news;
    d->begin.run = on_begin;
    d->delay.expired = on_delay;
    d->deferred.release = release;
    ad_list_init(&d->attempts);
    ad_list_init(&d->begin.node);
    int code = configure(d, p->socket);
    code = code < 0 ? code : begin(d, p);
    if (code < 0) {
        release(&d->deferred);
        return code;
    }
    *out = d;
    return 0;
}

int ad_dial_cancel(struct ad_dial *d)
{
    end(d);
    return drop(d) ? AIODUCT_DONE : AIODUCT_PENDING;
}
