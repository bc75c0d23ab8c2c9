/* SPDX-License-Identifier: MIT */
/**
 * TLS as a byte transformer over GnuTLS: ciphertext in, plaintext out; plaintext in, ciphertext
 * out. No socket, no waiting. One context a client holds the trust store, the client certificate,
 * the parsed priority string and the tickets; it is immutable but for the ticket store and may be
 * shared by threads.
 */
#ifndef AD_NET_TLS_H
#define AD_NET_TLS_H

#include "base/buf.h"

#include <aioduct/client.h>
#include <stdbool.h>

struct ad_tls;
struct ad_tls_context;

/* 0 | AIODUCT_E_TLS_CONFIG with the file and reason in @error | -EINVAL (priority) | -ENOMEM. What
 * the options do not name, GnuTLS's own start and the system's trust store, waits for the first
 * session that needs it, once. */
int ad_tls_context_create(const struct aioduct_tls_options *options, struct ad_tls_context **out,
                          struct aioduct_error *error);
void ad_tls_context_destroy(struct ad_tls_context *context);

struct ad_tls_params {
    const char
        *host;     /* for SNI (names only), the certificate's name and the ticket store; copied */
    uint16_t port; /* part of the ticket store's key */
    const char *const *alpn; /* NULL-terminated, in order of preference; NULL: none */
};
int ad_tls_create(struct ad_tls_context *context, const struct ad_tls_params *params,
                  struct ad_tls **out, struct aioduct_error *error);
void ad_tls_destroy(struct ad_tls *tls);

/* AIODUCT_DONE, AIODUCT_PENDING (needs more ciphertext) or a negative code with @error filled
 * (phase tls, verify bits). Appends what must be sent, alerts too, to @out. Repeats are harmless.
 */
int ad_tls_handshake(struct ad_tls *tls, struct ad_buf *out, struct aioduct_error *error);

/* Lend ciphertext that just arrived. Call ad_tls_read until it gives -EAGAIN before the bytes go:
 * what is left of them is then copied inside, at most one record. 0 | -ENOMEM */
int ad_tls_lend(struct ad_tls *tls, const uint8_t *bytes, size_t count);
/* Keep what is unread of the lent bytes. 0 | -ENOMEM */
int ad_tls_lend_end(struct ad_tls *tls);
/* Plaintext -> count > 0 with *@out valid until the next call on @tls; -EAGAIN: more ciphertext
 * needed; 0: the peer said close_notify; other negative: @error is filled. May append to @out (key
 * updates). */
int64_t ad_tls_read(struct ad_tls *tls, const uint8_t **out_bytes, struct ad_buf *out,
                    struct aioduct_error *error);
/* Encrypt all of @bytes into @out, in full records. 0 | -ENOMEM | AIODUCT_E_TLS */
int ad_tls_write(struct ad_tls *tls, const uint8_t *bytes, size_t count, struct ad_buf *out,
                 struct aioduct_error *error);
/* Append close_notify; at most once has an effect. */
void ad_tls_close_notify(struct ad_tls *tls, struct ad_buf *out);

const char *ad_tls_alpn(const struct ad_tls *tls);    /* "" if none; borrowed */
const char *ad_tls_version(const struct ad_tls *tls); /* "TLS1.3" */
const char *ad_tls_cipher(const struct ad_tls *tls);
bool ad_tls_resumed(const struct ad_tls *tls);

#endif
