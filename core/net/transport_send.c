/* SPDX-License-Identifier: MIT */
/*
 * Sending and closing. Whatever is to go out is gathered in next; a send takes the whole buffer as
 * out, which lies untouched until the system has had it. One send a run of the hook: more rounds of
 * the same turn serve the other transports in between.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "net/transport_private.h"

#include <errno.h>
#include <sys/uio.h>

#define LINGER_NS 1000000000u   /* an orderly close takes a second at most */
#define READ_ON_BYTES 1048576u  /* and drops no more than a peer has under way before it knows */
#define CIPHERTEXT_SURPLUS 512u /* of two records, so that they fit the loop's buffer */

/* ---- buffers ---- */

void ad_transport_arm(struct ad_transport *t)
{
    ad_loop_at_turn_end(t->loop, &t->hook);
}

int ad_transport_need_next(struct ad_transport *t)
{
    if (t->next == NULL) {
        t->next = ad_loop_buf_get(t->loop);
    }
    return t->next != NULL ? 0 : -ENOMEM;
}

static void give_back(struct ad_transport *t, struct ad_buf **buf)
{
    if (*buf != NULL) {
        ad_loop_buf_put(t->loop, *buf);
        *buf = NULL;
    }
}

/* An idle transport owns no buffer. */
static void drop_next_if_empty(struct ad_transport *t)
{
    if (!ad_transport_has_next(t)) {
        give_back(t, &t->next);
    }
}

void ad_transport_drop_buffers(struct ad_transport *t)
{
    AD_ASSERT(!t->sending);
    give_back(t, &t->next);
    give_back(t, &t->out);
}

/* ---- sending ---- */

static bool goes_on_after(int code)
{
    return code == -EPIPE || code == -ECONNRESET;
}

static void send_failed(struct ad_transport *t, int code)
{
    t->send_over = true;
    t->dirty = t->more = false;
    give_back(t, &t->next);
    switch (t->state) {
    case AD_TRANSPORT_SHAKING:
        /* The peer may have said why: its alert is still to be read, then its end. */
        if (!goes_on_after(code)) {
            ad_transport_open_failed(t, code, NULL);
        }
        break;
    case AD_TRANSPORT_OPEN:
        if (!t->end_told || (!t->is_tls && t->recv_code == 0)) {
            t->events->on_send_error(t, code);
        }
        break;
    case AD_TRANSPORT_CLOSING:
        ad_transport_begin_close(t);
        break;
    default:
        break;
    }
}

static void sent(struct ad_transport *t)
{
    if (t->state == AD_TRANSPORT_CLOSING) {
        ad_transport_begin_close(t);
        return;
    }
    if (t->state == AD_TRANSPORT_OPEN && t->produced) {
        t->produced = false;
        t->events->on_sent(t);
    }
    if (t->dirty || t->more || t->shut_due || ad_transport_has_next(t)) {
        ad_transport_arm(t);
    }
}

void ad_transport_send_done(struct ad_transport *t, int code)
{
    t->sending = false;
    give_back(t, &t->out);
    if (code < 0) {
        send_failed(t, code);
    } else {
        sent(t);
    }
}

void ad_transport_push(struct ad_transport *t)
{
    AD_ASSERT(!t->sending && t->out == NULL);
    t->out = t->pended ? ad_loop_buf_shrink(t->loop, t->next) : t->next;
    t->next = NULL;
    struct iovec piece = {.iov_base = t->out->block + t->out->begin,
                          .iov_len = ad_buf_bytes(t->out)};
    int code = ad_stream_send(t->stream, &piece, 1);
    t->pended = code == AIODUCT_PENDING;
    if (t->pended) {
        t->sending = true;
    } else {
        t->wire_sent += code == AIODUCT_DONE ? piece.iov_len : 0;
        ad_transport_send_done(t, code);
    }
}

bool ad_transport_is_sending(const struct ad_transport *t)
{
    return t->sending;
}

/* ---- a file ---- */

bool ad_transport_send_file(struct ad_transport *t, int fd, int64_t offset, size_t count)
{
    AD_ASSERT(t->producing && t->events->on_file != NULL);
    if (t->is_tls || ad_transport_has_next(t) || t->state != AD_TRANSPORT_OPEN) {
        return false;
    }
    int code = ad_stream_send_file(t->stream, fd, offset, count);
    if (code == AIODUCT_E_UNSUPPORTED) {
        return false;
    }
    t->file = true;
    t->sending = code == AIODUCT_PENDING;
    if (code < 0) {
        t->file_code = code; /* the owner hears of it when it has produced */
    }
    return true;
}

bool ad_transport_stop_file(struct ad_transport *t)
{
    if (t->file && !t->stream_closing) {
        ad_stream_cancel(t->stream, AIODUCT_OP_SEND);
    }
    return t->file;
}

void ad_transport_file_done(struct ad_transport *t, int code, size_t count)
{
    t->sending = t->file = false;
    if (t->state == AD_TRANSPORT_OPEN) {
        t->events->on_file(t, code, count);
    }
    if (code == 0 || code == AIODUCT_E_UNSUPPORTED || code == -ECANCELED) {
        t->produced = true;
        sent(t);
    } else {
        send_failed(t, code);
    }
}

/* ---- producing ---- */

static int produce_clear(struct ad_transport *t)
{
    if (ad_transport_need_next(t) < 0) {
        return -ENOMEM;
    }
    size_t before = ad_buf_bytes(t->next);
    size_t room = before < AD_LOOP_BUF_BYTES ? AD_LOOP_BUF_BYTES - before : 0;
    if (room == 0) {
        t->more = true; /* what is there goes first */
        return 0;
    }
    t->events->on_produce(t, t->next, room);
    size_t made = ad_buf_bytes(t->next) - before;
    t->produced = t->produced || made > 0;
    t->more = made >= room;
    return 0;
}

static int produce_tls(struct ad_transport *t)
{
    const size_t room = AD_LOOP_BUF_BYTES - CIPHERTEXT_SURPLUS;
    struct aioduct_error error;
    struct ad_buf *plain = ad_loop_buf_get(t->loop);
    if (plain == NULL || ad_transport_need_next(t) < 0) {
        give_back(t, &plain);
        return -ENOMEM;
    }
    int code = 0;
    t->events->on_produce(t, plain, room);
    size_t made = ad_buf_bytes(plain);
    if (made > 0) {
        t->produced = true;
        code = ad_tls_write(t->secure->tls, ad_buf_data(plain), made, t->next, &error);
        if (code < 0) {
            ad_transport_note_error(t, code, &error);
        }
    }
    t->more = made >= room;
    ad_loop_buf_put(t->loop, plain);
    return code;
}

static int produce(struct ad_transport *t)
{
    t->dirty = t->more = false;
    t->producing = true;
    int code = t->is_tls ? produce_tls(t) : produce_clear(t);
    t->producing = false;
    if (t->file && !t->sending) {
        code = t->file_code;
        t->file = false;
        t->out = NULL;
    }
    return code;
}

void ad_transport_append(struct ad_transport *t, const uint8_t *bytes, size_t count)
{
    struct aioduct_error error;
    if (t->state != AD_TRANSPORT_OPEN || t->send_over || ad_transport_need_next(t) < 0) {
        return;
    }
    int code = t->is_tls ? ad_tls_write(t->secure->tls, bytes, count, t->next, &error)
                         : ad_buf_append(t->next, bytes, count);
    if (code < 0) {
        t->send_over = true; /* a part may be there: nothing may follow it */
    }
}

/* The end of this direction, once there is nothing before it. */
static void shut(struct ad_transport *t)
{
    if (t->is_tls && !t->notified && ad_transport_need_next(t) == 0) {
        t->notified = true;
        ad_tls_close_notify(t->secure->tls, t->next);
        if (ad_transport_has_next(t)) {
            ad_transport_push(t); /* and once more from there */
            return;
        }
    }
    t->shut_due = false;
    t->send_over = true;
    ad_stream_shutdown(t->stream); /* if it fails the peer sees the close */
}

void ad_transport_shutdown(struct ad_transport *t)
{
    if (t->state == AD_TRANSPORT_OPEN && !t->send_over && !t->shut_due) {
        t->shut_due = true;
        ad_transport_arm(t);
    }
}

void ad_transport_flush(struct ad_transport *t)
{
    if (t->sending || t->send_over || t->stream == NULL || t->stream_closing) {
        return;
    }
    if (t->state == AD_TRANSPORT_OPEN && (t->dirty || t->more)) {
        int code = produce(t);
        if (code < 0) {
            send_failed(t, code);
            drop_next_if_empty(t);
            return;
        }
        if (t->state == AD_TRANSPORT_CLOSING) { /* the owner closed in on_produce */
            ad_transport_begin_close(t);
            return;
        }
    }
    if (ad_transport_has_next(t)) {
        ad_transport_push(t);
    }
    if (t->shut_due && !t->sending && !t->dirty && !t->more && !ad_transport_has_next(t) &&
        t->state == AD_TRANSPORT_OPEN && !t->send_over) {
        shut(t);
    }
    drop_next_if_empty(t);
    if (t->dirty && !t->sending && t->state == AD_TRANSPORT_OPEN) {
        ad_transport_arm(t); /* made dirty while it produced nothing */
    }
}

/* ---- closing ---- */

/* The close has taken its time. */
static void on_linger(struct ad_deadline *deadline)
{
    struct ad_transport *t =
        AD_CONTAINER_OF(deadline, struct ad_transport_late, deadline)->transport;
    t->orderly = false;
    ad_transport_begin_close(t);
}

struct ad_transport_late *ad_transport_need_late(struct ad_transport *t)
{
    AD_ASSERT(t->state > AD_TRANSPORT_SHAKING);
    struct ad_transport_late **late = ad_transport_late(t);
    if (*late == NULL && (*late = ad_zalloc(sizeof **late)) != NULL) {
        (*late)->deadline.expired = on_linger;
        (*late)->transport = t;
    }
    return *late;
}

void ad_transport_read_on(struct ad_transport *t)
{
    struct ad_transport_late *late =
        t->state == AD_TRANSPORT_OPEN ? ad_transport_need_late(t) : NULL;
    if (late != NULL) { /* else the peer may miss our last words */
        late->read_on_to = t->wire_received + READ_ON_BYTES;
    }
}

/* Does the close wait a while for something? */
static bool lingers(struct ad_transport *t)
{
    struct ad_transport_late *late = ad_transport_need_late(t);
    return late != NULL &&
           (late->deadline.at_ns != 0 ||
            ad_deadline_set(t->loop, &late->deadline, ad_loop_now_ns(t->loop) + LINGER_NS) == 0);
}

/* Behind the last words: is there a peer whose end is worth the wait? */
static bool reads_on(struct ad_transport *t)
{
    const struct ad_transport_late *late = *ad_transport_late(t);
    if (!t->orderly || t->sending || late == NULL || late->read_on_to <= t->wire_received ||
        t->recv_over || !ad_stream_receiving(t->stream)) {
        return false;
    }
    if (!t->send_over) {
        t->send_over = true;
        if (ad_stream_shutdown(t->stream) < 0) {
            return false;
        }
    }
    return lingers(t);
}

/* Each step of a close: whatever is left goes first if it is orderly. */
void ad_transport_begin_close(struct ad_transport *t)
{
    if (t->stream_closing) {
        return;
    }
    if (t->orderly && !t->send_over) {
        if (t->is_tls && ad_transport_need_next(t) == 0) {
            ad_tls_close_notify(t->secure->tls, t->next);
            drop_next_if_empty(t); /* it was said before */
        }
        if (!t->sending && ad_transport_has_next(t)) {
            ad_transport_push(t); /* comes back here when it is done at once */
            if (t->stream_closing) {
                return;
            }
        }
        if (t->sending && lingers(t)) {
            return;
        }
    }
    if (reads_on(t)) {
        return;
    }
    t->stream_closing = true;
    ad_stream_close(t->stream);
}
