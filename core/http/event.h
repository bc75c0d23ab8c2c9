/* SPDX-License-Identifier: MIT */
/**
 * Events of a client: to its on_event, and to the log at debug level. Whoever makes one happen
 * calls ad_event_conn or ad_event_exchange, which cost a comparison while nobody listens.
 *
 * While the program's callback runs, engine->in_event is set: what it asks for is posted, so that
 * no state of the engine changes under whoever reports.
 */
#ifndef AD_HTTP_EVENT_H
#define AD_HTTP_EVENT_H

#include "base/log.h"
#include "http/conn.h"
#include "http/engine.h"
#include "http/exchange.h"

#include <aioduct/event.h>

/* Does anybody listen? */
static inline bool ad_event_wanted(const struct ad_engine *engine)
{
    return engine->settings->on_event != NULL || ad_log_enabled(AD_LOG_DEBUG);
}

/* May the loop's thread change the engine now, or has it to post? It posts inside an event, and,
 * with a listener, outside of turns: an event must find the client driven. */
static inline bool ad_event_lets_act(const struct ad_engine *engine)
{
    return !engine->in_event && (!ad_event_wanted(engine) || ad_loop_in_turn(engine->loop));
}

/* The same of the calling thread: others post. */
static inline bool ad_event_may_act(const struct ad_engine *engine)
{
    return ad_loop_is_current(engine->loop) && ad_event_lets_act(engine);
}

/* Somebody does. Use the two below. */
void ad_event_conn_tell(struct ad_conn *conn, enum aioduct_event_kind kind,
                        const struct aioduct_event *more);
void ad_event_exchange_tell(struct aioduct_exchange *ex, enum aioduct_event_kind kind, int status,
                            const struct aioduct_error *error);

/* @more (may be NULL): the members of that kind. Before the connection forgets its origin. */
static inline void ad_event_conn(struct ad_conn *conn, enum aioduct_event_kind kind,
                                 const struct aioduct_event *more)
{
    if (ad_event_wanted(conn->engine)) {
        ad_event_conn_tell(conn, kind, more);
    }
}

static inline void ad_event_exchange(struct aioduct_exchange *ex, enum aioduct_event_kind kind,
                                     int status, const struct aioduct_error *error)
{
    if (ad_event_wanted(ex->engine)) {
        ad_event_exchange_tell(ex, kind, status, error);
    }
}

/* ---- heads in the log, at trace level (trace.c) ---- */

/* Somebody reads them. Use the two below. */
void ad_trace_request_tell(const struct aioduct_exchange *ex);
void ad_trace_response_tell(const struct aioduct_exchange *ex, const struct aioduct_head *head);

/* The request's, as it goes out on @conn, whatever the codec makes of it. */
static inline void ad_trace_request(const struct aioduct_exchange *ex)
{
    if (ad_log_enabled(AD_LOG_TRACE)) {
        ad_trace_request_tell(ex);
    }
}

static inline void ad_trace_response(const struct aioduct_exchange *ex,
                                     const struct aioduct_head *head)
{
    if (ad_log_enabled(AD_LOG_TRACE)) {
        ad_trace_response_tell(ex, head);
    }
}

#endif
