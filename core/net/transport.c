/* SPDX-License-Identifier: MIT */
/* Dialling, handshake, receiving; the public verbs. */
#include "net/transport.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "net/transport_private.h"

#include <errno.h>
#include <stddef.h>

/* One that has no place. */
struct alone {
    void *owner;
    struct ad_transport transport;
};

/* ---- errors ---- */

void ad_transport_note_error(struct ad_transport *t, int code, const struct aioduct_error *error)
{
    struct ad_transport_late *late = ad_transport_need_late(t);
    if (late != NULL && late->error == NULL) {
        late->error = ad_alloc(sizeof *late->error);
    }
    if (late == NULL || late->error == NULL) {
        return;
    }
    if (error != NULL) {
        *late->error = *error;
    } else {
        ad_error_set(late->error, code, AIODUCT_PHASE_NONE, "%s", aioduct_error_text(code));
    }
}

/* ---- the way to OPEN ---- */

static struct ad_dial **dial_of(struct ad_transport *t)
{
    return t->is_tls ? &t->secure->dial : &t->dial;
}

/* It is open, or never will be, and its dial has ended. */
static void leave_setup(struct ad_transport *t, enum ad_transport_state state)
{
    *dial_of(t) = NULL;
    t->state = state;
}

void ad_transport_open_failed(struct ad_transport *t, int code, const struct aioduct_error *error)
{
    leave_setup(t, AD_TRANSPORT_FAILED);
    ad_transport_note_error(t, code, error);
    if (ad_transport_has_next(t) && !t->sending && !t->send_over) {
        ad_transport_push(t); /* the alert; whether it arrives does not matter */
    }
    t->events->on_open(t, code);
}

/* ---- receiving ---- */

static void tell_end(struct ad_transport *t, int code, const struct aioduct_error *error)
{
    AD_ASSERT(!t->end_told);
    t->end_told = true;
    if (code < 0 || t->is_tls) {
        t->send_over = true;
    }
    if (code < 0) {
        ad_transport_note_error(t, code, error);
    }
    if (ad_stream_receiving(t->stream)) {
        ad_stream_recv_stop(t->stream);
    }
    t->events->on_end(t, code);
}

static void start_receiving(struct ad_transport *t)
{
    int code = ad_stream_recv_start(t->stream);
    if (code < 0) {
        t->recv_over = true;
        t->recv_code = code;
        t->read_due = true;
        ad_transport_arm(t);
    }
}

static void opened(struct ad_transport *t)
{
    leave_setup(t, AD_TRANSPORT_OPEN);
    if (t->paused && ad_stream_receiving(t->stream)) {
        ad_stream_recv_stop(t->stream);
    }
    if (t->dirty) {
        ad_transport_arm(t);
    }
    t->events->on_open(t, 0);
}

static void shake(struct ad_transport *t)
{
    struct aioduct_error error = {0};
    if (ad_transport_need_next(t) < 0) {
        ad_transport_open_failed(t, -ENOMEM, NULL);
        return;
    }
    int code = ad_tls_handshake(t->secure->tls, t->next, &error);
    if (code < 0) {
        ad_transport_open_failed(t, code, &error);
        return;
    }
    ad_transport_arm(t);
    if (code == AIODUCT_DONE) {
        opened(t);
    }
}

/* What TLS has to say while it reads, which is rare: an alert, a key update. 0 | -ENOMEM */
static int take_said(struct ad_transport *t, struct ad_buf *said)
{
    int code = ad_transport_need_next(t);
    code = code < 0 ? code : ad_buf_append(t->next, ad_buf_data(said), ad_buf_bytes(said));
    ad_buf_fini(said);
    return code;
}

/* Plaintext of the ciphertext at hand, until there is none or the owner has had enough. */
static void read_tls(struct ad_transport *t)
{
    if (t->state == AD_TRANSPORT_SHAKING) {
        shake(t);
    }
    while (t->state == AD_TRANSPORT_OPEN && !t->paused && !t->end_told) {
        struct aioduct_error error;
        const uint8_t *bytes;
        struct ad_buf said = {0};
        int64_t count = ad_tls_read(t->secure->tls, &bytes, &said, &error);
        if (said.block != NULL && take_said(t, &said) < 0) {
            count = ad_error_set(&error, -ENOMEM, AIODUCT_PHASE_NONE, "out of memory");
        }
        if (count == -EAGAIN) {
            break;
        }
        if (count > 0) {
            t->events->on_plain(t, bytes, (size_t)count);
            continue;
        }
        if (count < 0 && ad_transport_has_next(t) && !t->sending && !t->send_over) {
            ad_transport_push(t); /* the alert */
        }
        if (t->state == AD_TRANSPORT_OPEN) {
            tell_end(t, (int)count, count < 0 ? &error : NULL);
        }
    }
    if (t->state == AD_TRANSPORT_OPEN && ad_transport_has_next(t)) {
        ad_transport_arm(t);
    }
}

/* The stream has ended: say so once everything before it was delivered. */
static void deliver_end(struct ad_transport *t)
{
    struct aioduct_error error;
    int code = t->recv_code;
    if (t->paused) {
        return; /* resume comes back to it */
    }
    if (!t->is_tls) {
        tell_end(t, code, NULL);
        return;
    }
    read_tls(t);
    if (t->state != AD_TRANSPORT_OPEN || t->end_told || t->paused) {
        return;
    }
    if (code == 0) {
        code = ad_error_set(&error, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_NONE,
                            "the peer closed without close_notify");
        tell_end(t, code, &error);
    } else {
        tell_end(t, code, NULL);
    }
}

static void on_recv_done(struct ad_transport *t, int code)
{
    struct aioduct_error error;
    if (code == -ECANCELED) { /* our own stop; resume may have come since */
        if (t->state == AD_TRANSPORT_OPEN && !t->paused && !t->end_told) {
            start_receiving(t);
        }
        return;
    }
    t->recv_over = true;
    t->recv_code = code;
    if (t->state == AD_TRANSPORT_OPEN && !t->end_told) {
        deliver_end(t);
    } else if (t->state == AD_TRANSPORT_SHAKING) {
        int why = code < 0 ? code : AIODUCT_E_CLOSED;
        ad_error_set(&error, why, AIODUCT_PHASE_TLS, "TLS handshake with %s:%u: %s",
                     t->secure->tls_host, t->secure->port,
                     code < 0 ? aioduct_error_text(code) : "the peer closed the connection");
        error.safe_to_retry = 1;
        ad_transport_open_failed(t, why, &error);
    } else if (t->state == AD_TRANSPORT_CLOSING && *ad_transport_late(t) != NULL) {
        ad_transport_begin_close(t);
    }
}

static void on_data(struct ad_stream *stream, const uint8_t *bytes, size_t count)
{
    struct ad_transport *t = ad_stream_owner(stream);
    t->wire_received += count;
    t->aimed = false;
    if (t->state == AD_TRANSPORT_CLOSING && *ad_transport_late(t) != NULL) {
        ad_transport_begin_close(t);
    }
    if ((t->state != AD_TRANSPORT_OPEN && t->state != AD_TRANSPORT_SHAKING) || t->end_told) {
        return; /* nobody wants it */
    }
    if (!t->is_tls) {
        t->events->on_plain(t, bytes, count);
        return;
    }
    int code = ad_tls_lend(t->secure->tls, bytes, count);
    AD_ASSERT(code == 0);
    read_tls(t);
    if (ad_tls_lend_end(t->secure->tls) == 0) {
        return;
    }
    if (t->state == AD_TRANSPORT_SHAKING) {
        ad_transport_open_failed(t, -ENOMEM, NULL);
    } else if (t->state == AD_TRANSPORT_OPEN && !t->end_told) {
        tell_end(t, -ENOMEM, NULL);
    }
}

static void on_done(struct ad_stream *stream, int op, int code, size_t bytes)
{
    struct ad_transport *t = ad_stream_owner(stream);
    if (op == AIODUCT_OP_RECV) {
        on_recv_done(t, code);
    } else if (op == AIODUCT_OP_SEND) {
        t->wire_sent += bytes;
        if (t->file) {
            ad_transport_file_done(t, code, bytes);
        } else {
            ad_transport_send_done(t, code);
        }
    }
}

/* ---- the end ---- */

void ad_transport_fini(struct ad_transport *t)
{
    struct ad_transport_late *late = *ad_transport_late(t);
    if (late != NULL) {
        ad_free(late->error);
        ad_free(late);
    }
    if (t->is_tls) {
        ad_tls_destroy(t->secure->tls);
        ad_free(t->secure);
    }
}

static void release(struct ad_deferred *deferred)
{
    struct alone *alone = AD_CONTAINER_OF(deferred, struct alone, transport.deferred);
    ad_transport_fini(&alone->transport);
    ad_free(alone);
}

/* The last word, once nothing of the loop is left: the owner may destroy it then. */
static void close_if_gone(struct ad_transport *t)
{
    if (t->state != AD_TRANSPORT_CLOSING || t->stream != NULL || !t->dial_gone) {
        return;
    }
    t->state = AD_TRANSPORT_CLOSED;
    ad_transport_drop_buffers(t);
    ad_list_remove(&t->hook.node);
    struct ad_transport_late *late = *ad_transport_late(t);
    if (late != NULL) {
        ad_deadline_remove(t->loop, &late->deadline);
    }
    bool placed = t->placed; /* then it goes with its owner */
    t->events->on_closed(t);
    if (!placed) {
        t->deferred.release = release;
        ad_loop_defer(t->loop, &t->deferred);
    }
}

static void on_closed(struct ad_stream *stream)
{
    struct ad_transport *t = ad_stream_owner(stream);
    t->stream = NULL;
    close_if_gone(t);
}

static void on_dial_gone(void *owner)
{
    struct ad_transport *t = owner;
    t->dial_gone = true;
    close_if_gone(t);
}

static void on_turn_end(struct ad_turn_hook *hook)
{
    struct ad_transport *t = AD_CONTAINER_OF(hook, struct ad_transport, hook);
    close_if_gone(t);
    if (t->read_due) {
        t->read_due = false;
        if (t->state == AD_TRANSPORT_OPEN && !t->end_told && t->is_tls) {
            read_tls(t);
        }
        if (t->state == AD_TRANSPORT_OPEN && !t->end_told && t->recv_over) {
            deliver_end(t);
        }
    }
    ad_transport_flush(t);
}

/* ---- dialling ---- */

static int begin_tls(struct ad_transport *t, struct aioduct_error *error)
{
    struct ad_transport_secure *secure = t->secure;
    const struct ad_tls_params params = {
        .host = secure->tls_host, .port = secure->port, .alpn = secure->alpn};
    return ad_tls_create(secure->tls_context, &params, &secure->tls, error);
}

static void on_dialled(void *owner, struct ad_dial_result *result)
{
    static const struct ad_stream_events events = {
        .on_data = on_data, .on_done = on_done, .on_closed = on_closed};
    struct ad_transport *t = owner;
    struct aioduct_error error = {0};
    *dial_of(t) = NULL;
    if (result->code < 0) {
        ad_transport_open_failed(t, result->code, &result->error);
        return;
    }
    t->stream = result->stream;
    ad_stream_set_owner(t->stream, &events, t);
    int code = ad_stream_recv_start(t->stream);
    if (code < 0) {
        ad_error_set(&error, code, AIODUCT_PHASE_CONNECT, "receiving: %s",
                     aioduct_error_text(code));
    } else if (t->is_tls) {
        code = begin_tls(t, &error);
    }
    if (code < 0) {
        ad_transport_open_failed(t, code, &error);
    } else if (t->is_tls) {
        t->state = AD_TRANSPORT_SHAKING;
        shake(t);
    } else {
        opened(t);
    }
}

static void on_dial_step(void *owner, const struct ad_dial_step *step)
{
    struct ad_transport *t = owner;
    if (t->state == AD_TRANSPORT_DIALLING) {
        t->events->on_step(t, step);
    }
}

/* ---- verbs ---- */

size_t ad_transport_bytes(void)
{
    return sizeof(struct ad_transport);
}

static int make_secure(struct ad_transport *t, const struct ad_transport_params *params)
{
    t->secure = ad_alloc(sizeof *t->secure);
    if (t->secure == NULL) {
        return -ENOMEM;
    }
    *t->secure = (struct ad_transport_secure){
        .tls_context = params->tls,
        .tls_host = params->tls_host != NULL ? params->tls_host : params->dial.host,
        .alpn = params->alpn,
        .port = params->dial.port,
    };
    t->is_tls = true;
    return 0;
}

int ad_transport_start(struct ad_loop *loop, const struct ad_transport_params *params,
                       const struct ad_transport_events *events, void *owner,
                       struct ad_transport **out)
{
    struct ad_transport *t = params->place;
    struct alone *alone = NULL;
    if (t == NULL) {
        alone = ad_zalloc(sizeof *alone);
        if (alone == NULL) {
            return -ENOMEM;
        }
        alone->owner = owner;
        t = &alone->transport;
    }
    int code = params->tls != NULL ? make_secure(t, params) : 0;
    t->placed = alone == NULL;
    t->loop = loop;
    t->events = events;
    t->hook.run = on_turn_end;
    ad_list_init(&t->hook.node);
    struct ad_dial_params dial = params->dial;
    dial.on_gone = on_dial_gone;
    dial.on_step = events->on_step != NULL ? on_dial_step : NULL;
    code = code < 0 ? code : ad_dial_start(loop, &dial, on_dialled, t, dial_of(t));
    if (code < 0) {
        leave_setup(t, AD_TRANSPORT_CLOSED);
        ad_transport_fini(t);
        ad_free(alone);
        return code;
    }
    *out = t;
    return 0;
}

void ad_transport_dirty(struct ad_transport *t)
{
    t->dirty = true;
    if (t->state == AD_TRANSPORT_OPEN && !t->sending && !t->send_over) {
        ad_transport_arm(t);
    }
}

void ad_transport_recv_at(struct ad_transport *t, void *memory, size_t bytes)
{
    if (t->state == AD_TRANSPORT_OPEN && !t->is_tls && (t->aimed || memory != NULL)) {
        t->aimed = memory != NULL;
        ad_stream_recv_at(t->stream, memory, bytes);
    }
}

void ad_transport_pause(struct ad_transport *t)
{
    t->paused = true;
    if (t->state == AD_TRANSPORT_OPEN && ad_stream_receiving(t->stream)) {
        ad_stream_recv_stop(t->stream);
    }
}

void ad_transport_resume(struct ad_transport *t)
{
    if (!t->paused) {
        return;
    }
    t->paused = false;
    if (t->state != AD_TRANSPORT_OPEN || t->end_told) {
        return;
    }
    if (t->is_tls || t->recv_over) { /* what was kept; never inside this call */
        t->read_due = true;
        ad_transport_arm(t);
    }
    if (!t->recv_over && !ad_stream_receiving(t->stream)) {
        start_receiving(t);
    }
}

void ad_transport_close(struct ad_transport *t, bool orderly)
{
    if (t == NULL) {
        return;
    }
    AD_ASSERT(t->state < AD_TRANSPORT_CLOSING);
    (void)ad_transport_stop_file(t); /* its descriptor may go from now on */
    ad_transport_recv_at(t, NULL, 0);
    t->orderly = orderly && t->state == AD_TRANSPORT_OPEN && !t->send_over;
    if (t->state < AD_TRANSPORT_OPEN) {
        if (*dial_of(t) != NULL) {
            t->dial_gone = ad_dial_cancel(*dial_of(t)) == AIODUCT_DONE;
        }
        leave_setup(t, AD_TRANSPORT_CLOSING);
    }
    t->state = AD_TRANSPORT_CLOSING;
    if (t->stream == NULL) {
        ad_transport_arm(t); /* on_closed comes from there */
    } else if (!t->producing) {
        ad_transport_begin_close(t);
    }
}

void *ad_transport_owner(const struct ad_transport *t)
{
    AD_DEBUG_ASSERT(!t->placed);
    const char *transport = (const char *)t;
    return ((const struct alone *)(const void *)(transport - offsetof(struct alone, transport)))
        ->owner;
}

struct ad_loop *ad_transport_loop(const struct ad_transport *t)
{
    return t->loop;
}

const struct aioduct_error *ad_transport_error(const struct ad_transport *t)
{
    static const struct aioduct_error none;
    static const struct aioduct_error no_memory = {.code = -ENOMEM, .message = "out of memory"};
    const struct ad_transport_late *late =
        t->state > AD_TRANSPORT_SHAKING ? (t->is_tls ? t->secure->late : t->late) : NULL;
    bool has_error = late != NULL && late->error != NULL;
    return has_error                                             ? late->error
           : t->state == AD_TRANSPORT_FAILED || t->recv_code < 0 ? &no_memory
                                                                 : &none;
}

bool ad_transport_is_tls(const struct ad_transport *t)
{
    return t->is_tls;
}

/* NULL: clear text, or not yet connected */
static struct ad_tls *tls_of(const struct ad_transport *t)
{
    return t->is_tls ? t->secure->tls : NULL;
}

const char *ad_transport_alpn(const struct ad_transport *t)
{
    return tls_of(t) != NULL ? ad_tls_alpn(tls_of(t)) : "";
}

const char *ad_transport_tls_version(const struct ad_transport *t)
{
    return tls_of(t) != NULL ? ad_tls_version(tls_of(t)) : "";
}

const char *ad_transport_tls_cipher(const struct ad_transport *t)
{
    return tls_of(t) != NULL ? ad_tls_cipher(tls_of(t)) : "";
}

bool ad_transport_tls_resumed(const struct ad_transport *t)
{
    return tls_of(t) != NULL && ad_tls_resumed(tls_of(t));
}

void ad_transport_wire_bytes(const struct ad_transport *t, uint64_t *out_sent,
                             uint64_t *out_received)
{
    *out_sent = t->wire_sent;
    *out_received = t->wire_received;
}

int ad_transport_info(struct ad_transport *t, struct aioduct_stream_info *info)
{
    if (t->stream == NULL) {
        *info = (struct aioduct_stream_info){.size = sizeof *info, .fd = -1};
        return -ENOTCONN;
    }
    return ad_stream_info(t->stream, info);
}
