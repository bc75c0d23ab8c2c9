/* SPDX-License-Identifier: MIT */
/* Life, states, deadlines and the byte ledger of an exchange. */
#include "http/exchange.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/binding.h"
#include "http/conn.h"
#include "http/dispatch.h"
#include "http/engine.h"
#include "http/event.h"
#include "http/push.h"
#include "http/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000u
#define BIT(state) (1u << (state))

/* ---- states ---- */

void ad_exchange_set_place(struct aioduct_exchange *ex, enum ad_place place)
{
    static const unsigned next[] = {
        [AD_PLACE_NEW] = BIT(AD_PLACE_WAITING) | BIT(AD_PLACE_CONN) | BIT(AD_PLACE_ENDED),
        /* to new on another loop */
        [AD_PLACE_WAITING] = BIT(AD_PLACE_NEW) | BIT(AD_PLACE_CONN) | BIT(AD_PLACE_ENDED),
        /* back to waiting by a resend */
        [AD_PLACE_CONN] = BIT(AD_PLACE_NEW) | BIT(AD_PLACE_HELD) | BIT(AD_PLACE_ENDED),
        [AD_PLACE_HELD] = BIT(AD_PLACE_ENDED),
        [AD_PLACE_ENDED] = BIT(AD_PLACE_GONE),
        [AD_PLACE_GONE] = 0,
    };
    AD_ASSERT(next[ex->place] & BIT(place));
    ex->place = place;
}

void ad_exchange_set_send(struct aioduct_exchange *ex, enum ad_send_state state)
{
    static const unsigned next[] = {
        [AD_SEND_IDLE] = BIT(AD_SEND_HEAD),
        [AD_SEND_HEAD] =
            BIT(AD_SEND_EXPECT) | BIT(AD_SEND_BODY) | BIT(AD_SEND_FLUSH) | BIT(AD_SEND_STOPPED),
        [AD_SEND_EXPECT] = BIT(AD_SEND_BODY) | BIT(AD_SEND_STOPPED),
        [AD_SEND_BODY] = BIT(AD_SEND_WAIT) | BIT(AD_SEND_FLUSH) | BIT(AD_SEND_STOPPED),
        [AD_SEND_WAIT] = BIT(AD_SEND_BODY) | BIT(AD_SEND_STOPPED),
        /* back to the body by a raw exchange */
        [AD_SEND_FLUSH] = BIT(AD_SEND_BODY) | BIT(AD_SEND_SENT) | BIT(AD_SEND_STOPPED),
        [AD_SEND_SENT] = BIT(AD_SEND_BODY),
        [AD_SEND_STOPPED] = 0,
    };
    /* Any of them goes back to idle by a resend. */
    AD_ASSERT(state == AD_SEND_IDLE || (next[ex->send] & BIT(state)));
    ex->send = state;
    if (state == AD_SEND_SENT) {
        ad_event_exchange(ex, AIODUCT_EVENT_SENT, 0, NULL);
    }
}

void ad_exchange_set_recv(struct aioduct_exchange *ex, enum ad_recv_state state)
{
    static const unsigned next[] = {
        [AD_RECV_IDLE] = BIT(AD_RECV_HEAD),
        [AD_RECV_HEAD] = BIT(AD_RECV_BODY),
        [AD_RECV_BODY] = BIT(AD_RECV_END),
        [AD_RECV_END] = 0,
    };
    AD_ASSERT(state == AD_RECV_IDLE || (next[ex->recv] & BIT(state)));
    ex->recv = state;
}

enum aioduct_phase ad_exchange_phase(const struct aioduct_exchange *ex)
{
    if (ex->place == AD_PLACE_WAITING) {
        return ex->covered ? ad_pool_phase(ex->origin) : AIODUCT_PHASE_QUEUE;
    }
    if (ex->place == AD_PLACE_NEW) {
        return AIODUCT_PHASE_QUEUE;
    }
    if (ex->recv >= AD_RECV_BODY) {
        return AIODUCT_PHASE_BODY;
    }
    return ex->send < AD_SEND_SENT ? AIODUCT_PHASE_SEND : AIODUCT_PHASE_HEAD;
}

/* ---- deadlines ---- */

static void out_of_memory(struct aioduct_exchange *ex)
{
    ad_exchange_failf(ex, -ENOMEM, ad_exchange_phase(ex), "out of memory");
}

void ad_exchange_arm(struct aioduct_exchange *ex, struct ad_deadline *deadline, uint64_t ns)
{
    if (ns == 0) {
        ad_deadline_clear(deadline);
        return;
    }
    struct ad_loop *loop = ex->engine->loop;
    if (ad_deadline_set(loop, deadline, ad_loop_now_ns(loop) + ns) < 0) {
        out_of_memory(ex);
    }
}

void ad_exchange_read_timer(struct aioduct_exchange *ex)
{
    if (ex->recv != AD_RECV_BODY) {
        return;
    }
    /* Before the request's end a server may have reason to wait for more of it. */
    bool running = ex->send >= AD_SEND_SENT && !ex->raw && !ad_exchange_blocked(ex);
    uint64_t ns = running ? ad_exchange_timeout_ns(ex, AD_TIMEOUT_READ_GAP) : 0;
    ad_exchange_arm(ex, &ex->read_deadline, ns);
}

uint64_t ad_exchange_timeout_ns(const struct aioduct_exchange *ex, enum ad_timeout which)
{
    static const size_t clients[AD_TIMEOUT_COUNT] = {
        [AD_TIMEOUT_CONNECT] = offsetof(struct ad_settings, connect_ns),
        [AD_TIMEOUT_ACQUIRE] = offsetof(struct ad_settings, acquire_ns),
        [AD_TIMEOUT_HEAD] = offsetof(struct ad_settings, head_ns),
        [AD_TIMEOUT_READ_GAP] = offsetof(struct ad_settings, read_gap_ns),
        [AD_TIMEOUT_WRITE_GAP] = offsetof(struct ad_settings, write_gap_ns),
        [AD_TIMEOUT_EXPECT] = offsetof(struct ad_settings, expect_ns),
        [AD_TIMEOUT_TOTAL] = offsetof(struct ad_settings, total_ns),
    };
    int own_ms = ex->request->timeouts_ms[which];
    if (own_ms != 0) {
        return own_ms < 0 ? 0 : (uint64_t)own_ms * NS_PER_MS;
    }
    uint64_t ns;
    memcpy(&ns, (const char *)ex->engine->settings + clients[which], sizeof ns);
    return ns;
}

void ad_exchange_deadlines_clear(struct aioduct_exchange *ex)
{
    ad_deadline_clear(&ex->read_deadline);
    ad_deadline_clear(&ex->write_deadline);
    ad_deadline_clear(&ex->total_deadline);
    ad_deadline_clear(&ex->pace_deadlines.recv);
    ad_deadline_clear(&ex->pace_deadlines.send);
    ad_deadline_clear(&ex->pace_deadlines.slow);
}

void ad_exchange_deadlines_remove(struct aioduct_exchange *ex)
{
    struct ad_loop *loop = ex->engine->loop;
    ad_deadline_remove(loop, &ex->read_deadline);
    ad_deadline_remove(loop, &ex->write_deadline);
    ad_deadline_remove(loop, &ex->total_deadline);
    ad_deadline_remove(loop, &ex->pace_deadlines.recv);
    ad_deadline_remove(loop, &ex->pace_deadlines.send);
    ad_deadline_remove(loop, &ex->pace_deadlines.slow);
}

static void timed_out_in(struct aioduct_exchange *ex, enum aioduct_phase phase, const char *option,
                         enum ad_timeout which)
{
    uint64_t ns = ad_exchange_timeout_ns(ex, which);
    const struct ad_url *url = &ex->request->url;
    ad_exchange_failf(ex, AIODUCT_E_TIMEOUT, phase, "%s: %llu ms passed in phase %s, %s://%s",
                      option, (unsigned long long)(ns / NS_PER_MS), aioduct_phase_name(phase),
                      url->scheme, url->authority);
}

static void timed_out(struct aioduct_exchange *ex, const char *option, enum ad_timeout which)
{
    timed_out_in(ex, ad_exchange_phase(ex), option, which);
}

static void on_read_expired(struct ad_deadline *deadline)
{
    struct aioduct_exchange *ex = AD_CONTAINER_OF(deadline, struct aioduct_exchange, read_deadline);
    if (ex->place == AD_PLACE_WAITING) {
        if (ex->connect_started) {
            timed_out(ex, "connect_timeout_ms", AD_TIMEOUT_CONNECT);
        } else {
            timed_out(ex, "acquire_timeout_ms", AD_TIMEOUT_ACQUIRE);
        }
    } else if (ex->place == AD_PLACE_CONN && ex->recv == AD_RECV_HEAD) {
        timed_out(ex, "head_timeout_ms", AD_TIMEOUT_HEAD);
    } else if (ex->place == AD_PLACE_CONN) {
        timed_out(ex, "read_gap_timeout_ms", AD_TIMEOUT_READ_GAP);
    }
}

static void on_write_expired(struct ad_deadline *deadline)
{
    struct aioduct_exchange *ex =
        AD_CONTAINER_OF(deadline, struct aioduct_exchange, write_deadline);
    if (ex->place == AD_PLACE_CONN && ex->send == AD_SEND_EXPECT) {
        ad_exchange_expect_over(ex);
    } else if (ex->place == AD_PLACE_CONN) {
        timed_out_in(ex, AIODUCT_PHASE_SEND, "write_gap_timeout_ms", AD_TIMEOUT_WRITE_GAP);
    }
}

static void on_total_expired(struct ad_deadline *deadline)
{
    struct aioduct_exchange *ex =
        AD_CONTAINER_OF(deadline, struct aioduct_exchange, total_deadline);
    if (ex->place < AD_PLACE_ENDED) {
        timed_out(ex, "total_timeout_ms", AD_TIMEOUT_TOTAL);
    }
}

/* ---- life ---- */

static void on_post(struct ad_post *post);

void ad_exchange_init(struct aioduct_exchange *ex)
{
    ex->read_deadline.expired = on_read_expired;
    ex->write_deadline.expired = on_write_expired;
    ex->total_deadline.expired = on_total_expired;
    ad_pace_init(ex);
    ex->post.run = on_post;
}

void ad_exchange_start(struct aioduct_exchange *ex)
{
    struct ad_engine *engine = ex->engine;
    ad_list_push_back(&engine->outstanding_list, &ex->node);
    ad_pass_live(&engine->pass, 1);
    if (!ex->passed) {
        ex->start_ns = ad_loop_now_ns(engine->loop);
        ex->number = engine->exchange_count++;
        ad_event_exchange(ex, AIODUCT_EVENT_STARTED, 0, NULL);
    }
    if (engine->closing) {
        ad_exchange_failf(ex, AIODUCT_E_CLIENT_CLOSED, AIODUCT_PHASE_NONE,
                          "the client was destroyed");
        return;
    }
    if (engine->drain == AD_DRAIN_CUT) {
        ad_drain_fail(ex);
        return;
    }
    uint64_t total = ad_exchange_timeout_ns(ex, AD_TIMEOUT_TOTAL);
    if (total != 0 &&
        ad_deadline_set(engine->loop, &ex->total_deadline, ex->start_ns + total) < 0) {
        out_of_memory(ex);
    }
    if (ex->place == AD_PLACE_NEW) {
        ad_pool_acquire(ex);
    }
}

/* Certainly no server has seen anything of it. */
static bool is_unsent(const struct aioduct_exchange *ex)
{
    return !ex->written && !ex->written_before;
}

static void end(struct aioduct_exchange *ex)
{
    ad_exchange_set_place(ex, AD_PLACE_ENDED);
    ad_exchange_deadlines_clear(ex);
    ad_list_remove(&ex->kick_node);
    ad_list_remove(&ex->node);
    ad_pass_live(&ex->engine->pass, -1);
}

void ad_exchange_complete(struct aioduct_exchange *ex)
{
    if (ex->place == AD_PLACE_CONN) {
        ad_deadline_clear(&ex->read_deadline);
        ad_deadline_clear(&ex->write_deadline);
        ex->end_ns = ad_loop_now_ns(ex->engine->loop);
        ad_upload_finish(ex);
        if (ex->place != AD_PLACE_CONN) {
            return; /* cancelled inside the callback */
        }
    }
    if (ex->place == AD_PLACE_CONN &&
        (ad_buf_bytes(&ex->stash) > 0 ||
         atomic_load_explicit(&ex->want_paused, memory_order_relaxed))) {
        ad_exchange_set_place(ex, AD_PLACE_HELD);
        return;
    }
    if (ex->place == AD_PLACE_HELD &&
        atomic_load_explicit(&ex->want_paused, memory_order_relaxed)) {
        return;
    }
    if (ex->kept_trailers != NULL && !ad_exchange_unstash_trailers(ex)) {
        return;
    }
    if (ex->raw && !ex->peer_ended && ex->code == 0) { /* it waited behind what was stashed */
        (void)ad_exchange_peer_end(ex);
        if (ex->place < AD_PLACE_ENDED) {
            ad_exchange_complete(ex); /* unless that was told to somebody who pauses */
        }
        return;
    }
    if (ex->error != NULL) {
        ex->error->partial = ex->body_bytes > 0; /* more has been delivered since it was kept */
    }
    end(ex);
    ad_exchange_finish(ex);
}

/* What on_done will tell. */
static void set_result(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    ad_free(ex->error); /* of an answer that broke off, if the caller was still reading it */
    ex->code = error->code;
    ex->error = ad_alloc(sizeof *ex->error);
    if (ex->error != NULL) {
        *ex->error = *error;
        ex->error->safe_to_retry = is_unsent(ex);
        ex->error->partial = ex->body_bytes > 0;
    }
    ex->end_ns = ad_loop_now_ns(ex->engine->loop);
}

void ad_exchange_fail(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    if (ex->place >= AD_PLACE_ENDED) {
        return;
    }
    set_result(ex, error);
    if (ex->place == AD_PLACE_WAITING) {
        ad_pool_leave(ex);
    } else if (ex->place == AD_PLACE_CONN) {
        ex->conn->codec->cancel(ex->conn, ex);
    }
    end(ex);
    ad_list_push_back(&ex->engine->ended, &ex->node);
    ad_engine_kick(ex->engine);
}

void ad_exchange_break(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    if (ex->place != AD_PLACE_CONN || ad_buf_bytes(&ex->stash) == 0) {
        ad_exchange_fail(ex, error);
        return;
    }
    ad_deadline_clear(&ex->read_deadline);
    ad_deadline_clear(&ex->write_deadline);
    set_result(ex, error);
    ad_exchange_set_recv(ex, AD_RECV_END);
    ad_exchange_set_place(ex, AD_PLACE_HELD);
}

void ad_exchange_failf(struct aioduct_exchange *ex, int code, enum aioduct_phase phase,
                       const char *format, ...)
{
    struct aioduct_error error;
    char text[sizeof error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ad_error_set(&error, code, phase, "%s", text);
    ad_exchange_fail(ex, &error);
}

void ad_exchange_finish(struct aioduct_exchange *ex)
{
    static const struct aioduct_error success;
    struct aioduct_error plain;
    const struct aioduct_error *error = ex->error;
    struct ad_engine *engine = ex->engine;

    AD_ASSERT(ex->place == AD_PLACE_ENDED && !engine->in_callback);
    ad_upload_finish(ex);
    if (ex->code == 0) {
        error = &success;
        if (ex->truncated_ok) {
            plain = (struct aioduct_error){.partial = 1};
            error = &plain;
        }
    } else if (error == NULL) { /* there was no memory even for the record */
        ad_error_set(&plain, ex->code, AIODUCT_PHASE_NONE, "%s", aioduct_error_text(ex->code));
        plain.safe_to_retry = is_unsent(ex);
        plain.partial = ex->body_bytes > 0;
        error = &plain;
    }
    ad_stats_add(&engine->stats, ex->code == 0 ? AD_STAT_DONE : AD_STAT_FAILED, 1);
    ad_dispatch_done(ex, error);
    ad_exchange_set_place(ex, AD_PLACE_GONE);
    atomic_fetch_add(&engine->tally.gone, 1);
    if (ex->completion != NULL) {
        ex->completion->done(ex->completion, error);
    }
    engine->progress(engine);

    ad_engine_request_unref(engine, ex->request);
    ad_conn_unref(ex->conn);
    ad_buf_fini(&ex->stash);
    ad_request_field_list_fini(&ex->trailers);
    ad_push_destroy(ex->push);
    ad_free(ex->kept_trailers);
    ad_free(ex->error);
    ad_free(ex->head_copy);
    if (atomic_load_explicit(&ex->ops, memory_order_acquire) == 0) {
        ad_engine_exchange_put(ex);
    } else { /* a post is on its way, perhaps by the loop that it came from */
        ad_engine_exchange_detach(ex);
        atomic_fetch_or_explicit(&ex->ops, AD_OP_GONE, memory_order_release);
    }
}

/* ---- resending (C22) ---- */

static bool may_resend(const struct aioduct_exchange *ex)
{
    return ex->replays < ex->engine->settings->replays_max && ex->recv == AD_RECV_HEAD &&
           ex->kept && (!ex->written || ex->request->idempotent) && ad_upload_replayable(ex);
}

/* Off its connection, as if it had not been on one. */
static void leave_conn(struct aioduct_exchange *ex)
{
    ad_deadline_clear(&ex->read_deadline);
    ad_deadline_clear(&ex->write_deadline);
    ad_conn_unref(ex->conn);
    ex->conn = NULL;
    ex->again = true;
    ex->written = ex->reused = ex->kept = ex->connect_started = false;
    ex->sent_ns = ex->sent_bytes = ex->received_bytes = 0;
    ad_exchange_set_send(ex, AD_SEND_IDLE);
    ad_exchange_set_recv(ex, AD_RECV_IDLE);
    ad_exchange_set_place(ex, AD_PLACE_NEW);
}

/* Back to the pool, as if nothing had been sent; @error says why. */
static void resend(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    int code = ad_upload_rewind(ex);
    if (ex->place != AD_PLACE_CONN) {
        return; /* ended inside the callback */
    }
    if (code < 0) {
        ad_exchange_failf(ex, AIODUCT_E_BODY_SOURCE, AIODUCT_PHASE_SEND,
                          "the body source could not be rewound: %s", aioduct_error_text(code));
        return;
    }
    ex->replays++;
    ad_event_exchange(ex, AIODUCT_EVENT_REPLAY, 0, error);
    ad_stats_add(&ex->engine->stats, AD_STAT_REPLAYS, 1);
    leave_conn(ex);
    ad_pool_acquire(ex);
}

void ad_exchange_lost(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    if (!may_resend(ex)) {
        ad_exchange_fail(ex, error);
        return;
    }
    ex->fresh_only = true;
    ex->lost_ns = ad_loop_now_ns(ex->engine->loop);
    ex->written_before = ex->written_before || ex->written;
    resend(ex, error);
}

void ad_exchange_put_back(struct aioduct_exchange *ex)
{
    AD_ASSERT(ex->place == AD_PLACE_CONN && !ex->written && ex->send == AD_SEND_HEAD);
    leave_conn(ex);
    ad_pool_acquire(ex);
}

void ad_exchange_refused(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    ex->written = false; /* not by anybody who acted on it */
    if (ex->replays < ex->engine->settings->replays_max && ex->recv == AD_RECV_HEAD &&
        ad_upload_replayable(ex)) {
        resend(ex, error);
    } else {
        ad_exchange_fail(ex, error);
    }
}

void ad_exchange_refused_h2(struct aioduct_exchange *ex, const struct aioduct_error *error)
{
    if (ex->h1_only || ad_origin_version(ex->engine, ex->request) >= AIODUCT_HTTP_2) {
        ex->written = false;
        ad_exchange_fail(ex, error);
        return;
    }
    ex->h1_only = true;
    ad_exchange_refused(ex, error);
}

void ad_exchange_again(struct aioduct_exchange *ex)
{
    struct ad_conn *conn = ex->conn;
    struct aioduct_error why;
    ad_error_set(&why, -EAGAIN, AIODUCT_PHASE_SEND,
                 ex->fresh_only ? "421: the server does not answer for this host here"
                                : "the server refused Expect: 100-continue");
    conn->codec->cancel(conn, ex);
    ex->lost_ns = ad_loop_now_ns(ex->engine->loop);
    ex->written = false; /* not by anybody who acted on it */
    ex->first_byte_ns = ex->head_ns = 0;
    resend(ex, &why);
}

/* ---- the caller's verbs ---- */

void ad_exchange_kick(struct aioduct_exchange *ex)
{
    if (ex->place < AD_PLACE_ENDED && ad_list_empty(&ex->kick_node)) {
        ad_list_push_back(&ex->engine->kicked, &ex->kick_node);
        ad_engine_kick(ex->engine);
    }
}

static void run_ops(struct aioduct_exchange *ex, unsigned ops)
{
    if (ops & AD_OP_START) {
        ad_pass_arrived(&ex->engine->pass);
        ad_exchange_start(ex);
    }
    /* With everything delivered the response is complete, and only its on_done is held back. */
    if ((ops & AD_OP_CANCEL) && (ex->place < AD_PLACE_HELD || ad_buf_bytes(&ex->stash) > 0)) {
        ad_exchange_failf(ex, -ECANCELED, ad_exchange_phase(ex), "cancelled by the program");
    }
    if (ex->place != AD_PLACE_CONN && ex->place != AD_PLACE_HELD) {
        return;
    }
    if (ops & AD_OP_READY) {
        ex->upload.ready = true;
        if (ex->send == AD_SEND_WAIT) {
            ad_exchange_set_send(ex, AD_SEND_BODY);
        }
    }
    if (ops & AD_OP_CANCEL) {
        atomic_store_explicit(&ex->want_paused, false, memory_order_relaxed);
    }
    ad_exchange_read_timer(ex);
    ad_pace_restart(ex);
    ad_exchange_kick(ex);
}

static void on_post(struct ad_post *post)
{
    struct aioduct_exchange *ex = AD_CONTAINER_OF(post, struct aioduct_exchange, post);
    if (atomic_load_explicit(&ex->ops, memory_order_acquire) & AD_OP_GONE) {
        ad_engine_exchange_free(ex);
        return;
    }
    struct ad_loop *loop = atomic_load_explicit(&ex->at, memory_order_acquire)->loop;
    if (!ad_loop_is_current(loop)) {
        ad_loop_post(loop, &ex->post); /* it was passed on meanwhile */
        return;
    }
    run_ops(ex, atomic_exchange_explicit(&ex->ops, 0, memory_order_acq_rel));
}

void ad_exchange_ask(struct aioduct_exchange *ex, unsigned op)
{
    const struct ad_engine *engine = atomic_load_explicit(&ex->at, memory_order_acquire);
    if (ad_event_may_act(engine) && ex->place != AD_PLACE_NEW) {
        run_ops(ex, op);
        return;
    }
    if (atomic_fetch_or_explicit(&ex->ops, op, memory_order_acq_rel) == 0) {
        /* Whoever set the first bit posts; after that it is passed on no more until the post has
         * arrived, but it may have been just before. */
        ad_loop_post(atomic_load_explicit(&ex->at, memory_order_acquire)->loop, &ex->post);
    }
}

bool ad_exchange_pass(struct aioduct_exchange *ex, struct ad_engine *to)
{
    unsigned none = 0;
    AD_ASSERT(ex->place == AD_PLACE_WAITING && ex->conn == NULL);
    /* With this bit set the post is ours, and no other thread's call acts on it. */
    if (!atomic_compare_exchange_strong_explicit(&ex->ops, &none, AD_OP_START, memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        return false;
    }
    ad_pool_leave(ex);
    ex->acquire_by_ns = ex->read_deadline.at_ns;
    ad_engine_exchange_detach(ex);
    ad_pass_live(&ex->engine->pass, -1);
    ad_exchange_set_place(ex, AD_PLACE_NEW);
    ex->passed = true;
    ex->engine = to;
    atomic_store_explicit(&ex->at, to, memory_order_release);
    ad_loop_post(to->loop, &ex->post);
    return true;
}

/* 0, or why the calling thread may not. */
static int check(struct aioduct_exchange *ex)
{
    return ad_binding_check(atomic_load_explicit(&ex->at, memory_order_acquire)->binding);
}

/* The caller's @op, if this thread may ask for it. */
static int ask(struct aioduct_exchange *ex, unsigned op)
{
    int code = check(ex);
    if (code == 0) {
        ad_exchange_ask(ex, op);
    }
    return code;
}

int ad_exchange_cancel(struct aioduct_exchange *ex)
{
    return ask(ex, AD_OP_CANCEL);
}

int ad_exchange_release(struct aioduct_exchange *ex, uint64_t count)
{
    int code = check(ex);
    if (code < 0) {
        return code;
    }
    uint64_t held = atomic_load_explicit(&ex->held, memory_order_relaxed);
    do {
        if (count > held) {
            return -EINVAL;
        }
    } while (!atomic_compare_exchange_weak_explicit(&ex->held, &held, held - count,
                                                    memory_order_acq_rel, memory_order_relaxed));
    const struct ad_engine *engine = atomic_load_explicit(&ex->at, memory_order_acquire);
    uint64_t window = engine->settings->window_bytes;
    uint64_t half = (window < INT32_MAX ? window : INT32_MAX) / 2;
    /* HTTP/2 tells the peer when half of a window is free: small releases add up to that, and who
     * has released all may be waiting for more. */
    uint64_t sum = atomic_fetch_add_explicit(&ex->released, count, memory_order_relaxed) + count;
    if ((held >= window && held - count < window) || sum >= half || held == count) {
        atomic_store_explicit(&ex->released, 0, memory_order_relaxed);
        ad_exchange_ask(ex, AD_OP_SYNC);
    }
    return 0;
}

int ad_exchange_pause(struct aioduct_exchange *ex, bool paused)
{
    int code = check(ex);
    if (code == 0) {
        atomic_store_explicit(&ex->want_paused, paused, memory_order_release);
        ad_exchange_ask(ex, AD_OP_SYNC);
    }
    return code;
}

int ad_exchange_body_ready(struct aioduct_exchange *ex)
{
    return ask(ex, AD_OP_READY);
}

int64_t ad_exchange_write(struct aioduct_exchange *ex, const void *bytes, size_t count)
{
    int code = check(ex);
    if (code < 0 || ex->push == NULL) {
        return code < 0 ? code : -EINVAL;
    }
    int64_t taken = ad_push_write(ex->push, bytes, count);
    if (taken > 0) {
        ad_exchange_ask(ex, AD_OP_READY);
    }
    return taken;
}

int ad_exchange_write_end(struct aioduct_exchange *ex)
{
    int code = check(ex);
    if (code < 0 || ex->push == NULL) {
        return code < 0 ? code : -EINVAL;
    }
    code = ad_push_end(ex->push);
    if (code == 0) {
        ad_exchange_ask(ex, AD_OP_READY);
    }
    return code;
}

int ad_exchange_trailer_add(struct aioduct_exchange *ex, const char *name_text,
                            const char *value_text)
{
    struct ad_slice name = ad_slice_of(name_text);
    struct ad_slice value = ad_slice_trim(ad_slice_of(value_text));
    if (!ad_loop_is_current(ex->engine->loop) || !ex->engine->in_callback) {
        return AIODUCT_E_THREAD;
    }
    if (!ad_request_is_chunked(ex->request) || ex->send >= AD_SEND_FLUSH ||
        ad_request_trailer_check(name, value) < 0) {
        return -EINVAL;
    }
    struct ad_field *field = ad_request_field_create(name, value);
    if (field == NULL) {
        return -ENOMEM;
    }
    ad_list_push_back(&ex->trailers, &field->node);
    return 0;
}
