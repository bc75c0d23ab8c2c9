/* SPDX-License-Identifier: MIT */
/*
 * A bucket is one number, the time at which it was empty: what has flowed into it since is the rate
 * times the time that has passed. Taking bytes moves that time on.
 */
#include "http/pace.h"

#include "base/assert.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"

#define NS_PER_S 1000000000u
#define BURST_NS (NS_PER_S / 4)
/* A bucket that ran dry is used again when it is half full, so that slow rates wake seldom. */
#define REFILL_NS (BURST_NS / 2)

/* ---- rates ---- */

/* Fractions of a byte's time are lost to the peer's disadvantage by less than a nanosecond each. */
static uint64_t time_of(uint64_t bytes, uint64_t rate)
{
    return bytes / rate * NS_PER_S + bytes % rate * NS_PER_S / rate;
}

/* The bucket holds a byte at least. */
static uint64_t burst_ns(uint64_t rate)
{
    uint64_t byte_ns = time_of(1, rate) + 1;
    return byte_ns > BURST_NS ? byte_ns : BURST_NS;
}

static size_t room(uint64_t now_ns, uint64_t *empty_ns, uint64_t rate, size_t count)
{
    uint64_t full_ns = now_ns > burst_ns(rate) ? now_ns - burst_ns(rate) : 1;
    if (*empty_ns < full_ns) {
        *empty_ns = full_ns;
    }
    uint64_t filled_ns = now_ns > *empty_ns ? now_ns - *empty_ns : 0;
    uint64_t bytes = rate / NS_PER_S * filled_ns + rate % NS_PER_S * filled_ns / NS_PER_S;
    return bytes < count ? (size_t)bytes : count;
}

/* When there is enough in the bucket again: half of it, or a byte. */
static uint64_t refilled_ns(uint64_t empty_ns, uint64_t rate)
{
    uint64_t byte_ns = time_of(1, rate) + 1;
    return empty_ns + (byte_ns > REFILL_NS ? byte_ns : REFILL_NS);
}

static void come_back(struct aioduct_exchange *ex, struct ad_deadline *deadline, uint64_t at_ns)
{
    uint64_t now_ns = ad_loop_now_ns(ex->engine->loop);
    ad_exchange_arm(ex, deadline, at_ns > now_ns ? at_ns - now_ns : 1);
}

size_t ad_pace_recv_room(struct aioduct_exchange *ex, size_t count)
{
    uint64_t rate = ex->request->recv_rate;
    if (rate == 0 || count == 0) {
        return count;
    }
    struct ad_pace *pace = &ex->pace;
    size_t now = room(ad_loop_now_ns(ex->engine->loop), &pace->recv_empty_ns, rate, count);
    if (now == 0) {
        pace->recv_dry = true;
        come_back(ex, &ex->pace_deadlines.recv, refilled_ns(pace->recv_empty_ns, rate));
    }
    return now;
}

void ad_pace_recv_took(struct aioduct_exchange *ex, size_t count)
{
    if (ex->request->recv_rate != 0) {
        ex->pace.recv_empty_ns += time_of(count, ex->request->recv_rate);
    }
}

static void on_recv_refilled(struct ad_deadline *deadline)
{
    struct aioduct_exchange *ex =
        AD_CONTAINER_OF(deadline, struct aioduct_exchange, pace_deadlines.recv);
    ex->pace.recv_dry = false;
    if (ex->place == AD_PLACE_CONN || ex->place == AD_PLACE_HELD) {
        ad_exchange_read_timer(ex);
        ad_exchange_kick(ex);
    }
}

size_t ad_pace_send_room(struct aioduct_exchange *ex, size_t count)
{
    uint64_t rate = ex->request->send_rate;
    if (rate == 0 || count == 0) {
        return count;
    }
    struct ad_pace *pace = &ex->pace;
    size_t now = room(ad_loop_now_ns(ex->engine->loop), &pace->send_empty_ns, rate, count);
    if (now == 0) {
        come_back(ex, &ex->pace_deadlines.send, refilled_ns(pace->send_empty_ns, rate));
    }
    return now;
}

void ad_pace_send_took(struct aioduct_exchange *ex, size_t count)
{
    if (ex->request->send_rate != 0) {
        ex->pace.send_empty_ns += time_of(count, ex->request->send_rate);
    }
}

static void on_send_refilled(struct ad_deadline *deadline)
{
    struct aioduct_exchange *ex =
        AD_CONTAINER_OF(deadline, struct aioduct_exchange, pace_deadlines.send);
    if (ex->place == AD_PLACE_CONN && ex->send == AD_SEND_WAIT) {
        ad_exchange_set_send(ex, AD_SEND_BODY);
        ad_exchange_kick(ex);
    }
}

/* ---- low speed ---- */

static uint64_t moved(const struct aioduct_exchange *ex)
{
    return ex->head_bytes + ex->body_bytes + ad_buf_bytes(&ex->stash) + ex->upload.sent;
}

struct low_speed {
    uint64_t bytes, ns; /* a second, and for how long; 0: any speed */
};

static struct low_speed low_speed_of(const struct aioduct_exchange *ex)
{
    const struct aioduct_request *request = ex->request;
    const struct ad_settings *settings = ex->engine->settings;
    return request->own_low_speed
               ? (struct low_speed){request->low_speed_bytes, request->low_speed_ns}
               : (struct low_speed){settings->low_speed_bytes, settings->low_speed_ns};
}

void ad_pace_restart(struct aioduct_exchange *ex)
{
    uint64_t ns = low_speed_of(ex).ns;
    if (ns != 0 && ex->place == AD_PLACE_CONN) {
        ex->pace.moved = moved(ex);
        ad_exchange_arm(ex, &ex->pace_deadlines.slow, ns);
    }
}

/* Does the caller, or a protocol of its own, decide how fast it goes? */
static bool is_excused(const struct aioduct_exchange *ex)
{
    return ex->raw || ex->send == AD_SEND_WAIT || ad_exchange_blocked(ex);
}

static void on_slow(struct ad_deadline *deadline)
{
    struct aioduct_exchange *ex =
        AD_CONTAINER_OF(deadline, struct aioduct_exchange, pace_deadlines.slow);
    const struct low_speed low = low_speed_of(ex);
    uint64_t seconds = low.ns / NS_PER_S;
    if (ex->place != AD_PLACE_CONN) {
        return;
    }
    if (!is_excused(ex) && moved(ex) - ex->pace.moved < low.bytes * seconds) {
        ad_exchange_failf(ex, AIODUCT_E_TIMEOUT, ad_exchange_phase(ex),
                          "%s: fewer than %llu bytes a second for %llu s",
                          ex->request->own_low_speed ? "aioduct_request_low_speed"
                                                     : "low_speed_bytes",
                          (unsigned long long)low.bytes, (unsigned long long)seconds);
        return;
    }
    ad_pace_restart(ex);
}

/* ---- life ---- */

void ad_pace_init(struct aioduct_exchange *ex)
{
    ex->pace_deadlines.recv.expired = on_recv_refilled;
    ex->pace_deadlines.send.expired = on_send_refilled;
    ex->pace_deadlines.slow.expired = on_slow;
}
