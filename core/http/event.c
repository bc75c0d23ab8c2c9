/* SPDX-License-Identifier: MIT */
#include "http/event.h"

#include "base/escape.h"
#include "http/redact.h"
#include "http/request.h"

#include <inttypes.h>
#include <stdio.h>

const char *aioduct_event_name(enum aioduct_event_kind kind)
{
    static const char *const names[] = {
        [AIODUCT_EVENT_DIAL] = "dial",           [AIODUCT_EVENT_RESOLVED] = "resolved",
        [AIODUCT_EVENT_CONNECT] = "connect",     [AIODUCT_EVENT_CONNECT_FAILED] = "connect_failed",
        [AIODUCT_EVENT_CONNECTED] = "connected", [AIODUCT_EVENT_SECURED] = "secured",
        [AIODUCT_EVENT_OPENED] = "opened",       [AIODUCT_EVENT_OPEN_FAILED] = "open_failed",
        [AIODUCT_EVENT_GOAWAY] = "goaway",       [AIODUCT_EVENT_CLOSED] = "closed",
        [AIODUCT_EVENT_STARTED] = "started",     [AIODUCT_EVENT_PICKED] = "picked",
        [AIODUCT_EVENT_SENT] = "sent",           [AIODUCT_EVENT_INTERIM] = "interim",
        [AIODUCT_EVENT_HEAD] = "head",           [AIODUCT_EVENT_REPLAY] = "replay",
        [AIODUCT_EVENT_DONE] = "done",
    };
    const char *name = (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : NULL;
    return name != NULL ? name : "unknown";
}

const char *aioduct_close_reason_name(enum aioduct_close_reason reason)
{
    static const char *const names[] = {
        [AIODUCT_CLOSE_NONE] = "none",
        [AIODUCT_CLOSE_PEER] = "peer",
        [AIODUCT_CLOSE_IDLE] = "idle",
        [AIODUCT_CLOSE_AGE] = "age",
        [AIODUCT_CLOSE_LIMIT] = "limit",
        [AIODUCT_CLOSE_FINAL] = "final",
        [AIODUCT_CLOSE_CANCELLED] = "cancelled",
        [AIODUCT_CLOSE_ERROR] = "error",
        [AIODUCT_CLOSE_UNASKED] = "unasked",
        [AIODUCT_CLOSE_OPENING] = "opening",
        [AIODUCT_CLOSE_NOT_NEEDED] = "not_needed",
        [AIODUCT_CLOSE_GOAWAY] = "goaway",
        [AIODUCT_CLOSE_CLIENT] = "client",
    };
    return (unsigned)reason < sizeof names / sizeof names[0] ? names[reason] : "unknown";
}

/* ---- the log ---- */

/* "192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/some.sock"; a connector that finds its own way has
 * nothing but the host. */
static const char *endpoint(const struct aioduct_event *e, char text[AD_ADDR_TEXT_BYTES])
{
    bool v6 = strchr(e->address, ':') != NULL;
    if (e->address_port == 0) {
        return e->address[0] == '\0' ? e->host : e->address;
    }
    snprintf(text, AD_ADDR_TEXT_BYTES, "%s%s%s:%d", v6 ? "[" : "", e->address, v6 ? "]" : "",
             e->address_port);
    return text;
}

static void log_conn(const struct aioduct_event *e)
{
    char what[512], where[AD_ADDR_TEXT_BYTES];
    switch (e->kind) {
    case AIODUCT_EVENT_DIAL:
        snprintf(what, sizeof what, "%s:%d", e->host, e->port);
        break;
    case AIODUCT_EVENT_RESOLVED:
        snprintf(what, sizeof what, "%u addresses", e->count);
        break;
    case AIODUCT_EVENT_CONNECT:
    case AIODUCT_EVENT_CONNECTED:
        snprintf(what, sizeof what, "%s", endpoint(e, where));
        break;
    case AIODUCT_EVENT_CONNECT_FAILED:
        snprintf(what, sizeof what, "%s: %s", endpoint(e, where), aioduct_error_text(e->code));
        break;
    case AIODUCT_EVENT_SECURED:
        snprintf(what, sizeof what, "%s %s%s", e->tls_version, e->tls_cipher,
                 e->tls_resumed ? ", resumed" : "");
        break;
    case AIODUCT_EVENT_OPENED:
        snprintf(what, sizeof what, "%s", e->protocol);
        break;
    case AIODUCT_EVENT_OPEN_FAILED:
        snprintf(what, sizeof what, "%s", e->error->message);
        break;
    case AIODUCT_EVENT_GOAWAY:
        snprintf(what, sizeof what, "code %d %s", e->code, e->text);
        break;
    default:
        snprintf(what, sizeof what, "%s, %u responses", aioduct_close_reason_name(e->reason),
                 e->count);
    }
    ad_logf(AD_LOG_DEBUG, "conn %" PRIu64 ": %s: %s", e->connection, aioduct_event_name(e->kind),
            what);
}

static void log_exchange(const struct aioduct_exchange *ex, const struct aioduct_event *e)
{
    char what[1024] = "", url[768];
    switch (e->kind) {
    case AIODUCT_EVENT_STARTED:
        ad_redact_url(url, sizeof url, ad_slice_of(ex->request->url.text));
        snprintf(what, sizeof what, ": %s %s", ex->request->method, url);
        break;
    case AIODUCT_EVENT_PICKED:
        snprintf(what, sizeof what, ": %s connection", e->reused ? "a used" : "a new");
        break;
    case AIODUCT_EVENT_INTERIM:
    case AIODUCT_EVENT_HEAD:
        snprintf(what, sizeof what, ": status %d", e->status);
        break;
    case AIODUCT_EVENT_REPLAY:
        snprintf(what, sizeof what, ": %s", e->error->message);
        break;
    case AIODUCT_EVENT_DONE:
        if (e->error->code != 0) {
            snprintf(what, sizeof what, ": %s: %s", aioduct_error_name(e->error->code),
                     e->error->message);
        } else {
            snprintf(what, sizeof what, ": status %d, %" PRIu64 " bytes of body", e->status,
                     ex->body_bytes);
        }
        break;
    default:
        break;
    }
    ad_logf(AD_LOG_DEBUG, "exchange %" PRIu64 " conn %" PRIu64 ": %s%s", ex->number, e->connection,
            aioduct_event_name(e->kind), what);
}

/* ---- telling ---- */

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static void tell(struct ad_engine *engine, struct aioduct_event *e)
{
    const struct ad_settings *settings = engine->settings;
    e->size = sizeof *e;
    e->at_ns = ad_loop_now_ns(engine->loop);
    e->host = or_empty(e->host);
    e->address = or_empty(e->address);
    e->protocol = or_empty(e->protocol);
    e->tls_version = or_empty(e->tls_version);
    e->tls_cipher = or_empty(e->tls_cipher);
    e->text = or_empty(e->text);
    bool before = engine->in_event;
    engine->in_event = true;
    if (ad_log_enabled(AD_LOG_DEBUG)) {
        if (e->exchange != NULL) {
            log_exchange(e->exchange, e);
        } else {
            log_conn(e);
        }
    }
    if (settings->on_event != NULL) {
        settings->on_event(e, settings->event_user);
    }
    engine->in_event = before;
}

void ad_event_conn_tell(struct ad_conn *conn, enum aioduct_event_kind kind,
                        const struct aioduct_event *more)
{
    struct aioduct_event e = {0};
    char text[256];
    if (more != NULL) {
        e = *more;
    }
    e.kind = kind;
    e.connection = conn->number;
    if (conn->origin != NULL) {
        e.host = conn->origin->key.host;
        e.port = conn->origin->key.port;
    }
    if (e.text != NULL) {
        ad_escape(text, sizeof text, e.text, strlen(e.text));
        e.text = text;
    }
    tell(conn->engine, &e);
}

void ad_event_exchange_tell(struct aioduct_exchange *ex, enum aioduct_event_kind kind, int status,
                            const struct aioduct_error *error)
{
    struct aioduct_event e = {
        .kind = kind,
        .exchange = ex,
        .user = ex->user,
        .host = ex->request->url.host,
        .port = ex->request->url.port,
        .status = status,
        .error = error,
        .code = error != NULL ? error->code : 0,
        .count = kind == AIODUCT_EVENT_REPLAY ? ex->replays : 0,
    };
    if (ex->conn != NULL) {
        e.connection = ex->conn->number;
        e.reused = ex->reused;
        e.protocol = ex->conn->codec != NULL ? ex->conn->codec->protocol : NULL;
    }
    tell(ex->engine, &e);
}
