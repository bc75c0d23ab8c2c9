/* SPDX-License-Identifier: MIT */
/*
 * A session as a byte transformer. GnuTLS pulls from the bytes that were lent, and pushes into the
 * caller's buffer; pushing always succeeds, so no call has to be repeated with the same arguments.
 */
#include "net/tls.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "net/resolve.h"
#include "net/tls_private.h"

#include <aioduct/plugin/plugin.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define RECORD_BYTES 16384   /* plaintext of a full record */
#define RECORD_OVERHEAD 128  /* more than any cipher adds */
#define ALPN_MAX 8           /* protocols that are offered */
#define NO_PROGRESS_MAX 16   /* answers of AGAIN that consume nothing, one after another */
#define RENEGOTIATIONS_MAX 4 /* refused ones, before the peer is taken for hostile */

/* ---- what GnuTLS calls ---- */

static size_t unread(const struct ad_tls *tls)
{
    return ad_buf_bytes(&tls->held) + tls->lent_count;
}

static ssize_t on_pull(gnutls_transport_ptr_t ptr, void *to, size_t room)
{
    struct ad_tls *tls = ptr;
    size_t held = ad_buf_bytes(&tls->held);
    if (held > 0) {
        size_t count = held < room ? held : room;
        memcpy(to, ad_buf_data(&tls->held), count);
        ad_buf_consume(&tls->held, count);
        if (count == held) {
            ad_buf_fini(&tls->held); /* an idle session owns no buffer */
        }
        return (ssize_t)count;
    }
    if (tls->lent_count == 0) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    size_t count = tls->lent_count < room ? tls->lent_count : room;
    memcpy(to, tls->lent, count);
    tls->lent += count;
    tls->lent_count -= count;
    return (ssize_t)count;
}

static int on_pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
    (void)ms; /* there is no waiting for what was not lent */
    return unread(ptr) > 0;
}

static ssize_t on_push(gnutls_transport_ptr_t ptr, const giovec_t *pieces, int count)
{
    struct ad_tls *tls = ptr;
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        if (ad_buf_append(tls->out, pieces[i].iov_base, pieces[i].iov_len) < 0) {
            tls->no_memory = true;
            gnutls_transport_set_errno(tls->session, ENOMEM);
            return -1;
        }
        total += pieces[i].iov_len;
    }
    return (ssize_t)total;
}

static void store_ticket(struct ad_tls *tls, bool once)
{
    gnutls_datum_t data = {NULL, 0};
    if (gnutls_session_get_data2(tls->session, &data) == 0) {
        ad_tls_tickets_put(&tls->context->tickets, tls->host, tls->port, once, data.data,
                           data.size);
        explicit_bzero(data.data, data.size);
    }
    gnutls_free(data.data);
}

static bool is_tls13(const struct ad_tls *tls)
{
    return gnutls_protocol_get_version(tls->session) >= GNUTLS_TLS1_3;
}

/* TLS 1.3 sends tickets after the handshake, whenever it likes; before it, the data of a session is
 * not complete. */
static int on_ticket(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                     const gnutls_datum_t *message)
{
    struct ad_tls *tls = gnutls_session_get_ptr(session);
    (void)type;
    (void)when;
    (void)incoming;
    (void)message;
    if (is_tls13(tls)) {
        store_ticket(tls, true);
    }
    return 0;
}

static char *put_hex(char *to, const gnutls_datum_t *d)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < d->size; i++) {
        *to++ = digits[d->data[i] >> 4];
        *to++ = digits[d->data[i] & 15];
    }
    return to;
}

/* One line in one write, so that lines of several sessions do not mix. */
static int on_secret(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
    const struct ad_tls *tls = gnutls_session_get_ptr(session);
    gnutls_datum_t random, server_random;
    char line[64 + 2 * 32 + 2 * 128 + 4];
    size_t label_bytes = strlen(label);
    gnutls_session_get_random(session, &random, &server_random);
    if (label_bytes > 64 || random.size > 32 || secret->size > 128) {
        return 0;
    }
    memcpy(line, label, label_bytes);
    char *to = line + label_bytes;
    *to++ = ' ';
    to = put_hex(to, &random);
    *to++ = ' ';
    to = put_hex(to, secret);
    *to++ = '\n';
    ssize_t wrote = write(tls->context->keylog_fd, line, (size_t)(to - line));
    (void)wrote; /* a full disk must not end the connection */
    explicit_bzero(line, sizeof line);
    return 0;
}

/* ---- errors ---- */

static int code_of(const struct ad_tls *tls, int gnutls_code)
{
    if (tls->no_memory || gnutls_code == GNUTLS_E_MEMORY_ERROR) {
        return -ENOMEM;
    }
    switch (gnutls_code) {
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
        return AIODUCT_E_TLS_VERIFY;
    case GNUTLS_E_PREMATURE_TERMINATION:
        return AIODUCT_E_TRUNCATED;
    default:
        return AIODUCT_E_TLS;
    }
}

static const char *reason_of(const struct ad_tls *tls, int gnutls_code, char *out, size_t bytes)
{
    const char *name;
    char why[256];
    switch (gnutls_code) {
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
        snprintf(out, bytes, "certificate refused: %s",
                 ad_tls_verify_text(tls->verify_status, why, sizeof why));
        return out;
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        name = gnutls_alert_get_name(gnutls_alert_get(tls->session));
        snprintf(out, bytes, "the peer says: %s", name != NULL ? name : "unknown alert");
        return out;
    case GNUTLS_E_REHANDSHAKE:
        return "the peer keeps asking for renegotiation, which is refused";
    default:
        return gnutls_strerror(gnutls_code);
    }
}

static void add_hint(const struct ad_tls *tls, int gnutls_code, struct aioduct_error *error)
{
    switch (gnutls_code) {
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
        if (tls->verify_status & GNUTLS_CERT_UNEXPECTED_OWNER) {
            ad_error_hint(error, "the certificate is for %s",
                          tls->cert_names != NULL ? tls->cert_names : "no host name");
        } else if (tls->verify_status & GNUTLS_CERT_SIGNER_NOT_FOUND) {
            ad_error_hint(error, "if the issuer is to be trusted, name it with ca_file");
        } else if (tls->verify_status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)) {
            ad_error_hint(error, "is this machine's clock right?");
        }
        break;
    case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
    case GNUTLS_E_UNEXPECTED_PACKET:
        if (!tls->opened) {
            ad_error_hint(error, "does that port speak TLS?");
        }
        break;
    default:
        break;
    }
}

/* End the session; the same again for every later call. */
static int fail(struct ad_tls *tls, int gnutls_code, struct aioduct_error *error)
{
    char reason[320];
    int code = code_of(tls, gnutls_code);
    tls->failed = gnutls_code;
    ad_error_set(error, code, AIODUCT_PHASE_TLS, "TLS %s %s:%u: %s",
                 tls->opened ? "with" : "handshake with", tls->host, tls->port,
                 code == -ENOMEM ? "out of memory"
                                 : reason_of(tls, gnutls_code, reason, sizeof reason));
    if (error != NULL) {
        error->tls_code = gnutls_code;
        error->verify_status = tls->verify_status;
        error->safe_to_retry = !tls->opened;
        add_hint(tls, gnutls_code, error);
    }
    return code;
}

/* ---- life ---- */

static int configure(struct ad_tls *tls, const struct ad_tls_params *params)
{
    gnutls_session_t session = tls->session;
    gnutls_datum_t protocols[ALPN_MAX];
    struct ad_addr addr;
    unsigned count = 0;
    int code = gnutls_priority_set(session, tls->context->priority);
    if (code < 0) {
        return code;
    }
    code = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->context->credentials);
    if (code < 0) {
        return code;
    }
    if (ad_addr_parse(tls->host, 0, &addr) < 0) { /* RFC 6066: names only */
        code = gnutls_server_name_set(session, GNUTLS_NAME_DNS, tls->host, strlen(tls->host));
        if (code < 0) {
            return code;
        }
    }
    while (params->alpn != NULL && params->alpn[count] != NULL && count < ALPN_MAX) {
        const char *name = params->alpn[count];
        protocols[count++] =
            (gnutls_datum_t){(unsigned char *)(uintptr_t)name, (unsigned)strlen(name)};
    }
    return count == 0 ? 0 : gnutls_alpn_set_protocols(session, protocols, count, 0);
}

static void connect_callbacks(struct ad_tls *tls)
{
    gnutls_session_t session = tls->session;
    gnutls_session_set_ptr(session, tls);
    gnutls_transport_set_ptr(session, tls);
    gnutls_transport_set_pull_function(session, on_pull);
    gnutls_transport_set_pull_timeout_function(session, on_pull_timeout);
    gnutls_transport_set_vec_push_function(session, on_push);
    gnutls_session_set_verify_function(session, ad_tls_verify);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
                                       GNUTLS_HOOK_POST, on_ticket);
    /* Not setting it would leave GnuTLS's own, which writes to SSLKEYLOGFILE unasked. */
    gnutls_session_set_keylog_function(session, tls->context->keylog_fd >= 0 ? on_secret : NULL);
}

static void resume(struct ad_tls *tls)
{
    struct ad_tls_ticket *ticket =
        ad_tls_tickets_take(&tls->context->tickets, tls->host, tls->port);
    if (ticket != NULL) {
        gnutls_session_set_data(tls->session, ticket->bytes, ticket->count);
        ad_tls_ticket_destroy(ticket);
    }
}

int ad_tls_create(struct ad_tls_context *context, const struct ad_tls_params *params,
                  struct ad_tls **out, struct aioduct_error *error)
{
    size_t host_bytes = strlen(params->host);
    host_bytes -= host_bytes > 0 && params->host[host_bytes - 1] == '.';
    int code = ad_tls_context_ready(context, error);
    if (code < 0) {
        return code;
    }
    struct ad_tls *tls = ad_zalloc(sizeof *tls + host_bytes + 1);
    if (tls == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_TLS, "out of memory");
    }
    memcpy(tls->host, params->host, host_bytes);
    tls->port = params->port;
    tls->context = context;
    code = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (code < 0) {
        tls->session = NULL;
    } else {
        connect_callbacks(tls);
        code = configure(tls, params);
    }
    if (code < 0) {
        code = fail(tls, code, error);
        ad_tls_destroy(tls);
        return code;
    }
    resume(tls);
    *out = tls;
    return 0;
}

static void drop_packet(struct ad_tls *tls)
{
    if (tls->packet != NULL) {
        gnutls_packet_deinit(tls->packet);
        tls->packet = NULL;
    }
}

void ad_tls_destroy(struct ad_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    drop_packet(tls);
    if (tls->session != NULL) {
        gnutls_deinit(tls->session);
    }
    ad_buf_fini(&tls->held);
    ad_free(tls->cert_names);
    ad_free(tls);
}

/* ---- bytes ---- */

/* GnuTLS gave @gnutls_code, which is not the end. 1: call it again; 0: it needs more bytes; or the
 * code that ends the session. @before: unread bytes before the call; @idle counts calls without
 * progress. */
static int next_step(struct ad_tls *tls, int gnutls_code, size_t before, unsigned *idle)
{
    if (gnutls_code == GNUTLS_E_REHANDSHAKE) {
        if (++tls->renegotiations > RENEGOTIATIONS_MAX) {
            return gnutls_code;
        }
        gnutls_alert_send(tls->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
    } else if (gnutls_error_is_fatal(gnutls_code)) {
        return gnutls_code;
    }
    /* AGAIN may also say that a ticket or a key update was taken in, with more behind it. */
    if (unread(tls) == 0) {
        return 0;
    }
    *idle = unread(tls) < before ? 0 : *idle + 1;
    return *idle < NO_PROGRESS_MAX ? 1 : GNUTLS_E_INTERNAL_ERROR;
}

static void opened(struct ad_tls *tls)
{
    gnutls_datum_t alpn;
    tls->opened = true;
    if (gnutls_alpn_get_selected_protocol(tls->session, &alpn) == 0 &&
        alpn.size < sizeof tls->alpn) {
        memcpy(tls->alpn, alpn.data, alpn.size);
    }
    if (!is_tls13(tls) && !gnutls_session_is_resumed(tls->session)) {
        store_ticket(tls, false);
    }
}

int ad_tls_handshake(struct ad_tls *tls, struct ad_buf *out, struct aioduct_error *error)
{
    unsigned idle = 0;
    if (tls->opened) {
        return AIODUCT_DONE;
    }
    if (tls->failed < 0) {
        return fail(tls, tls->failed, error);
    }
    tls->out = out;
    for (;;) {
        size_t before = unread(tls);
        int code = gnutls_handshake(tls->session);
        if (code == GNUTLS_E_SUCCESS) {
            opened(tls);
            return AIODUCT_DONE;
        }
        int step = next_step(tls, code, before, &idle);
        if (step == 0) {
            return AIODUCT_PENDING;
        }
        if (step < 0) {
            gnutls_alert_send_appropriate(tls->session, step);
            ad_tls_tickets_forget(&tls->context->tickets, tls->host, tls->port);
            return fail(tls, step, error);
        }
    }
}

int ad_tls_lend(struct ad_tls *tls, const uint8_t *bytes, size_t count)
{
    AD_ASSERT(tls->lent_count == 0);
    tls->lent = bytes;
    tls->lent_count = count;
    return 0;
}

int ad_tls_lend_end(struct ad_tls *tls)
{
    int code = ad_buf_append(&tls->held, tls->lent, tls->lent_count);
    tls->lent = NULL;
    tls->lent_count = 0;
    return code;
}

int64_t ad_tls_read(struct ad_tls *tls, const uint8_t **out_bytes, struct ad_buf *out,
                    struct aioduct_error *error)
{
    unsigned idle = 0;
    drop_packet(tls);
    if (tls->failed < 0) {
        return fail(tls, tls->failed, error);
    }
    if (unread(tls) == 0 && gnutls_record_check_pending(tls->session) == 0) {
        return -EAGAIN; /* what GnuTLS would find out at some length */
    }
    tls->out = out;
    for (;;) {
        size_t before = unread(tls);
        ssize_t count = gnutls_record_recv_packet(tls->session, &tls->packet);
        if (count > 0) {
            gnutls_datum_t plain;
            gnutls_packet_get(tls->packet, &plain, NULL);
            *out_bytes = plain.data;
            return (int64_t)plain.size;
        }
        if (count == 0) {
            return 0;
        }
        int step = next_step(tls, (int)count, before, &idle);
        if (step == 0) {
            return -EAGAIN;
        }
        if (step < 0) {
            gnutls_alert_send_appropriate(tls->session, step);
            return fail(tls, step, error);
        }
    }
}

int ad_tls_write(struct ad_tls *tls, const uint8_t *bytes, size_t count, struct ad_buf *out,
                 struct aioduct_error *error)
{
    unsigned idle = 0;
    if (tls->failed < 0) {
        return fail(tls, tls->failed, error);
    }
    tls->out = out;
    if (ad_buf_reserve(out, count + (count / RECORD_BYTES + 1) * RECORD_OVERHEAD) == NULL) {
        return fail(tls, GNUTLS_E_MEMORY_ERROR, error);
    }
    while (count > 0) {
        ssize_t sent =
            gnutls_record_send(tls->session, bytes, count < RECORD_BYTES ? count : RECORD_BYTES);
        if (sent > 0) {
            bytes += sent;
            count -= (size_t)sent;
            idle = 0;
        } else if (gnutls_error_is_fatal((int)sent) || ++idle > NO_PROGRESS_MAX) {
            return fail(tls, sent < 0 ? (int)sent : GNUTLS_E_INTERNAL_ERROR, error);
        }
    }
    return 0;
}

void ad_tls_close_notify(struct ad_tls *tls, struct ad_buf *out)
{
    if (!tls->opened || tls->failed < 0 || tls->said_bye) {
        return;
    }
    tls->said_bye = true;
    tls->out = out;
    gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}

/* ---- what was agreed ---- */

const char *ad_tls_alpn(const struct ad_tls *tls)
{
    return tls->alpn;
}

const char *ad_tls_version(const struct ad_tls *tls)
{
    const char *name = gnutls_protocol_get_name(gnutls_protocol_get_version(tls->session));
    return tls->opened && name != NULL ? name : "";
}

const char *ad_tls_cipher(const struct ad_tls *tls)
{
#if GNUTLS_VERSION_NUMBER >= 0x030704
    const char *name = gnutls_ciphersuite_get(tls->session);
#else
    const char *name = gnutls_cipher_get_name(gnutls_cipher_get(tls->session));
#endif
    return tls->opened && name != NULL ? name : "";
}

bool ad_tls_resumed(const struct ad_tls *tls)
{
    return gnutls_session_is_resumed(tls->session) != 0;
}
