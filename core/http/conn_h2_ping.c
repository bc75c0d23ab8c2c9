/* SPDX-License-Identifier: MIT */
/*
 * Is the peer still there (C42)? It is asked when a request has timed out and nothing at all has
 * come meanwhile; if the program wants it, also after each silent interval. Any byte
 * is an answer then. The pings beside resets (C44) are waited for too.
 */
#include "base/assert.h"
#include "base/error.h"
#include "http/conn_h2.h"
#include "http/engine.h"

static uint64_t now_of(const struct ad_conn *conn)
{
    return ad_loop_now_ns(conn->engine->loop);
}

static void set_deadline(struct ad_conn *conn, uint64_t at_ns)
{
    if (at_ns == 0) {
        ad_deadline_clear(&conn->h2->ping_deadline);
    } else {
        /* Out of memory: this time nobody asks. */
        (void)ad_deadline_set(conn->engine->loop, &conn->h2->ping_deadline, at_ns);
    }
}

/* The end of the silence after which it is asked; 0: never. */
static uint64_t next_interval(const struct ad_conn *conn)
{
    uint64_t interval_ns = conn->engine->settings->ping_interval_ns;
    return interval_ns == 0 ? 0 : conn->h2->received_ns + interval_ns;
}

/* An answer is due. Where pings have no time, places that only an answer frees keep a connection no
 * longer than it may be idle. */
static void expect(struct ad_conn *conn)
{
    uint64_t wait_ns = conn->engine->settings->ping_ns;
    if (wait_ns == 0 && ad_h2_resets(conn->h2->h2) > 0) {
        wait_ns = conn->engine->settings->idle_ns;
    }
    if (wait_ns != 0 && !conn->h2->pinged) {
        conn->h2->pinged = true;
        set_deadline(conn, now_of(conn) + wait_ns);
    }
}

static void ask(struct ad_conn *conn)
{
    ad_h2_ping(conn->h2->h2);
    ad_conn_h2_flush(conn);
    expect(conn);
}

static void on_expired(struct ad_deadline *deadline)
{
    struct ad_h2_side *side = AD_CONTAINER_OF(deadline, struct ad_h2_side, ping_deadline);
    struct ad_conn *conn = side->conn;
    struct aioduct_error error;
    if (conn->state == AD_CONN_CLOSING) {
        return;
    }
    if (!side->pinged) {
        if (now_of(conn) < next_interval(conn)) {
            set_deadline(conn, next_interval(conn));
        } else {
            ask(conn);
            if (!side->pinged) { /* no answer is waited for */
                set_deadline(conn, now_of(conn) + conn->engine->settings->ping_interval_ns);
            }
        }
        return;
    }
    if (conn->engine->settings->ping_ns == 0) { /* requests under way have deadlines of their own */
        side->pinged = false;
        conn->retired = true;
        ad_h2_retire(side->h2);
        ad_conn_blame(conn, AIODUCT_CLOSE_IDLE);
        ad_conn_h2_recount(conn);
        return;
    }
    ad_error_set(&error, AIODUCT_E_TIMEOUT, AIODUCT_PHASE_NONE,
                 "ping_timeout_ms: %s:%u has not answered a ping for %llu ms",
                 conn->origin->dial_host, conn->origin->dial_port,
                 (unsigned long long)(conn->engine->settings->ping_ns / 1000000u));
    ad_conn_ref(conn);
    ad_conn_h2_fail(conn, &error, 0);
    ad_conn_unref(conn);
}

void ad_conn_h2_ping_init(struct ad_conn *conn)
{
    conn->h2->conn = conn;
    conn->h2->ping_deadline.expired = on_expired;
    conn->h2->received_ns = now_of(conn);
    set_deadline(conn, next_interval(conn));
}

static void relax(struct ad_conn *conn)
{
    struct ad_h2_side *side = conn->h2;
    side->pinged = false;
    set_deadline(conn, next_interval(conn));
    if (side->doubted) {
        side->doubted = false;
        ad_conn_room_changed(conn);
    }
}

void ad_conn_h2_ping_received(struct ad_conn *conn)
{
    conn->h2->received_ns = now_of(conn);
    /* Only the answer itself frees the places of streams that were given up. */
    if (conn->h2->pinged && ad_h2_resets(conn->h2->h2) == 0) {
        relax(conn);
    }
}

void ad_conn_h2_ping_answered(struct ad_conn *conn)
{
    if (conn->h2->pinged) {
        relax(conn);
    }
    if (ad_h2_resets(conn->h2->h2) > 0) {
        expect(conn); /* the next one is under way */
    }
}

void ad_conn_h2_ping_reset(struct ad_conn *conn)
{
    expect(conn);
}

void ad_conn_h2_ping_timed_out(struct ad_conn *conn, uint64_t since_ns)
{
    if (conn->h2->received_ns > since_ns || conn->engine->settings->ping_ns == 0) {
        return;
    }
    conn->h2->doubted = true;
    ask(conn);
    ad_conn_room_changed(conn);
}
