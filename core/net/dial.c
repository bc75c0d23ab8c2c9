/* SPDX-License-Identifier: MIT */
/*
 * The race of RFC 8305. Attempts belong to the dial until they win, or until their stream is
 * closed: a connect may refer to the dial's memory that long, so the memory goes with the last of
 * them, also when the owner has had its answer or has cancelled.
 */
#include "net/dial.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define DELAY_DEFAULT_MS 250
#define DELAY_MIN_MS 10
#define DELAY_MAX_MS 2000
#define KEEPALIVE_DEFAULT_S 60
#define HISTORY_NS (600u * 1000000000ull)

struct attempt {
    struct ad_list node;
    struct ad_dial *dial;
    struct ad_stream *stream;
    size_t index; /* of the address */
};

struct ad_dial {
    struct ad_loop *loop;
    struct ad_resolver *resolver;
    void (*on_done)(void *owner, struct ad_dial_result *result);
    void (*on_gone)(void *owner);
    void (*on_step)(void *owner, const struct ad_dial_step *step);
    void *owner;
    unsigned refs; /* the race itself, and each attempt */
    bool over;     /* answered or cancelled */
    bool looking_up;
    struct ad_lookup lookup;
    struct ad_turn_hook begin; /* of a dial that needs no look-up */
    struct ad_deadline delay;  /* until the next attempt */
    uint64_t delay_ns;
    struct ad_deferred deferred;

    struct ad_list attempts;
    struct ad_addr *addrs; /* in the order in which they are tried */
    size_t addr_count, next;
    uint64_t resolved_ns, *resolved_ns_out;
    struct ad_dial_history *history;
    bool refused; /* a peer said no: that tells nothing about the way to it */
    int code;     /* of the attempt that says best why it failed, 0: none did */
    size_t failed_index;

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
    ad_free(d->addrs);
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
    if (d->looking_up) {
        d->looking_up = false;
        ad_lookup_cancel(d->resolver, &d->lookup);
    }
    ad_list_remove(&d->begin.node);
    ad_deadline_remove(d->loop, &d->delay);
    AD_LIST_FOR_EACH (node, &d->attempts) {
        ad_stream_close(AD_CONTAINER_OF(node, struct attempt, node)->stream);
    }
}

static void answer(struct ad_dial *d, struct ad_dial_result *result)
{
    result->resolved_ns = d->resolved_ns;
    end(d);
    d->on_done(d->owner, result);
    unref(d);
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
    char text[AD_ADDR_TEXT_BYTES];
    struct ad_dial_result result = {.code = d->code};
    if (d->addr_count == 0) {
        result.code = -EADDRNOTAVAIL;
        ad_error_set(&result.error, result.code, AIODUCT_PHASE_CONNECT,
                     "connect to %s port %u: it has no address of the family that is asked for",
                     d->host, d->port);
    } else {
        ad_error_set(&result.error, d->code, AIODUCT_PHASE_CONNECT,
                     "connect to %s port %u (%s): %s", d->host, d->port,
                     ad_addr_text(&d->addrs[d->failed_index], text), aioduct_error_text(d->code));
    }
    result.error.safe_to_retry = 1;
    answer(d, &result);
}

/* This machine lacks a way to the address, which says less than what a peer answers. */
static bool is_local_reason(int code)
{
    return code == -ENETUNREACH || code == -EADDRNOTAVAIL || code == -EAFNOSUPPORT ||
           code == -EHOSTUNREACH;
}

static void note_failure(struct ad_dial *d, size_t index, int code)
{
    d->refused = d->refused || code == -ECONNREFUSED;
    tell(d, &(struct ad_dial_step){AD_DIAL_CONNECT_FAILED, .addr = &d->addrs[index], .code = code});
    if (d->code == 0 || is_local_reason(d->code) || !is_local_reason(code)) {
        d->code = code;
        d->failed_index = index;
    }
}

static int family_of(const struct ad_dial *d, size_t index)
{
    return d->addrs[index].storage.ss_family;
}

static void note_winner(struct ad_dial *d, size_t index)
{
    struct ad_dial_history *history = d->history;
    if (history == NULL) {
        return;
    }
    bool other_was_worse = family_of(d, index) != family_of(d, 0) && !d->refused;
    if (other_was_worse || history->family == family_of(d, index)) {
        history->family = family_of(d, index);
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
        note_failure(d, a->index, code);
        ad_list_remove(&a->node);
        ad_stream_close(stream);
        advance(d);
        return;
    }
    struct ad_dial_result result = {.stream = stream, .connected_ns = ad_loop_now_ns(d->loop)};
    tell(d, &(struct ad_dial_step){AD_DIAL_CONNECTED, .addr = &d->addrs[a->index]});
    note_winner(d, a->index);
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
static int try_address(struct ad_dial *d, size_t index)
{
    struct attempt *a = ad_zalloc(sizeof *a);
    if (a == NULL) {
        return -ENOMEM;
    }
    a->dial = d;
    a->index = index;
    ad_list_init(&a->node);
    int code = ad_stream_create(d->loop, &attempt_events, a, &a->stream);
    if (code < 0) {
        ad_free(a);
        return code;
    }
    d->refs++;
    tell(d, &(struct ad_dial_step){AD_DIAL_CONNECT, .addr = &d->addrs[index]});
    d->config.addr = (const struct sockaddr *)(const void *)&d->addrs[index].storage;
    d->config.addr_bytes = d->addrs[index].bytes;
    code = ad_stream_connect(a->stream, &d->config);
    if (code < 0) {
        ad_stream_close(a->stream);
        return code;
    }
    ad_list_push_back(&d->attempts, &a->node);
    return 0;
}

/* Start the next attempt, going past those that fail at once; with none left and none under way
 * the race is lost. */
static void advance(struct ad_dial *d)
{
    while (d->next < d->addr_count) {
        size_t index = d->next++;
        int code = try_address(d, index);
        if (code < 0) {
            note_failure(d, index, code);
            continue;
        }
        if (d->next == d->addr_count ||
            ad_deadline_set(d->loop, &d->delay, ad_loop_now_ns(d->loop) + d->delay_ns) < 0) {
            ad_deadline_clear(&d->delay); /* without it the next waits for this one to fail */
        }
        return;
    }
    if (ad_list_empty(&d->attempts)) {
        fail_connect(d);
    }
}

static void on_delay(struct ad_deadline *delay)
{
    advance(AD_CONTAINER_OF(delay, struct ad_dial, delay));
}

/* ---- addresses ---- */

static bool is_wanted(const struct ad_dial *d, const struct ad_addr *addr)
{
    int family = addr->storage.ss_family;
    return (d->family == AF_UNSPEC || d->family == family) &&
           (d->local.bytes == 0 || d->local.storage.ss_family == family);
}

/* Families take turns, beginning with the one that won before, else the first address's (RFC 8305
 * section 4). */
static int set_addresses(struct ad_dial *d, const struct ad_addr *addrs, size_t count)
{
    size_t from[2] = {0, 0};
    int turn = 0;
    d->resolved_ns = ad_loop_now_ns(d->loop);
    if (d->resolved_ns_out != NULL) {
        *d->resolved_ns_out = d->resolved_ns;
    }
    tell(d, &(struct ad_dial_step){AD_DIAL_RESOLVED, .count = (unsigned)count});
    if (count == 0) {
        return 0;
    }
    d->addrs = ad_alloc(count * sizeof *d->addrs);
    if (d->addrs == NULL) {
        return -ENOMEM;
    }
    int first = addrs[0].storage.ss_family;
    if (d->history != NULL && d->history->until_ns > d->resolved_ns) {
        first = d->history->family;
    }
    for (int dry = 0; dry < 2; turn = !turn) {
        size_t i = from[turn];
        while (i < count &&
               ((addrs[i].storage.ss_family == first) != (turn == 0) || !is_wanted(d, &addrs[i]))) {
            i++;
        }
        from[turn] = i + 1;
        if (i < count) {
            d->addrs[d->addr_count++] = addrs[i];
            dry = 0;
        } else {
            dry++;
        }
    }
    return 0;
}

static void on_begin(struct ad_turn_hook *hook)
{
    advance(AD_CONTAINER_OF(hook, struct ad_dial, begin));
}

static void on_lookup(struct ad_lookup *lookup, int code, const struct ad_addr *addrs, size_t count,
                      const char *detail)
{
    struct ad_dial *d = AD_CONTAINER_OF(lookup, struct ad_dial, lookup);
    d->looking_up = false;
    if (code == 0) {
        code = set_addresses(d, addrs, count);
        detail = "out of memory";
    }
    if (code < 0) {
        fail_resolve(d, code, detail);
        return;
    }
    advance(d);
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

static int begin(struct ad_dial *d, const struct ad_dial_params *p)
{
    if (p->addrs != NULL) {
        int code = set_addresses(d, p->addrs, p->addr_count);
        if (code == 0) {
            ad_loop_at_turn_end(d->loop, &d->begin); /* never inside start */
        }
        return code;
    }
    /* No use in addresses that cannot be reached from the local one. */
    int family =
        d->family != AF_UNSPEC || d->local.bytes == 0 ? d->family : d->local.storage.ss_family;
    int code = ad_resolver_start(d->resolver, d->loop, &d->lookup, d->host, d->port, family);
    d->looking_up = code == 0;
    return code;
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
    d->resolver = p->resolver;
    d->on_done = done;
    d->on_gone = p->on_gone;
    d->history = p->history;
    d->on_step = p->on_step;
    d->owner = owner;
    d->refs = 1;
    d->port = p->port;
    d->resolved_ns_out = p->resolved_ns;
    d->family = p->family == AIODUCT_FAMILY_IPV4   ? AF_INET
                : p->family == AIODUCT_FAMILY_IPV6 ? AF_INET6
                                                   : AF_UNSPEC;
    d->delay_ns = delay_ns_of(p->attempt_delay_ms);
    d->lookup.on_done = on_lookup;
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
