/* SPDX-License-Identifier: MIT */
/*
 * Is the peer who it should be? The chain and the name are checked apart, so that either check can
 * be switched off alone. A name counts only if it stands among the subject's alternative names; the
 * common name is never looked at (RFC 9525 section 2).
 */
#include "base/mem.h"
#include "net/resolve.h"
#include "net/tls_private.h"

#include <gnutls/x509.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define NAMES_BYTES 160 /* of a foreign certificate's names that are shown */

static int import_leaf(gnutls_session_t session, gnutls_x509_crt_t *out)
{
    unsigned count = 0;
    const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t crt;
    if (peers == NULL || count == 0) {
        return GNUTLS_E_NO_CERTIFICATE_FOUND;
    }
    int code = gnutls_x509_crt_init(&crt);
    if (code < 0) {
        return code;
    }
    code = gnutls_x509_crt_import(crt, &peers[0], GNUTLS_X509_FMT_DER);
    if (code < 0) {
        gnutls_x509_crt_deinit(crt);
        return code;
    }
    *out = crt;
    return 0;
}

/* Text of the DNS names, separated by commas -> how many there are. */
static unsigned dns_names(gnutls_x509_crt_t crt, char *out, size_t bytes)
{
    unsigned found = 0;
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0;; i++) {
        char name[256];
        size_t name_bytes = sizeof name;
        int type = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &name_bytes, NULL);
        if (type == GNUTLS_E_SHORT_MEMORY_BUFFER) {
            continue;
        }
        if (type < 0) {
            return found;
        }
        if (type != GNUTLS_SAN_DNSNAME) {
            continue;
        }
        found++;
        int wrote = snprintf(out + used, bytes - used, "%s%.*s", used > 0 ? ", " : "",
                             (int)name_bytes, name);
        used = wrote < 0 || (size_t)wrote >= bytes - used ? bytes - 1 : used + (size_t)wrote;
    }
}

static bool is_for_address(gnutls_x509_crt_t crt, const struct ad_addr *addr)
{
    if (addr->storage.ss_family == AF_INET) {
        const struct sockaddr_in *sin = (const void *)&addr->storage;
        return gnutls_x509_crt_check_ip(crt, (const void *)&sin->sin_addr, 4, 0) != 0;
    }
    const struct sockaddr_in6 *sin6 = (const void *)&addr->storage;
    return gnutls_x509_crt_check_ip(crt, (const void *)&sin6->sin6_addr, 16, 0) != 0;
}

static bool is_for_host(struct ad_tls *tls, gnutls_x509_crt_t crt)
{
    struct ad_addr addr;
    char names[NAMES_BYTES];
    unsigned count = dns_names(crt, names, sizeof names);
    bool matches = ad_addr_parse(tls->host, 0, &addr) == 0
                       ? is_for_address(crt, &addr)
                       : count > 0 && gnutls_x509_crt_check_hostname(crt, tls->host) != 0;
    if (!matches && count > 0) {
        ad_free(tls->cert_names);
        tls->cert_names = ad_strdup(names);
    }
    return matches;
}

int ad_tls_verify(gnutls_session_t session)
{
    struct ad_tls *tls = gnutls_session_get_ptr(session);
    unsigned status = 0;
    if (!(tls->context->flags & AIODUCT_TLS_NO_VERIFY_CHAIN)) {
        gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                         .data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER};
        int code = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
        if (code < 0) {
            return code;
        }
    }
    if (!(tls->context->flags & AIODUCT_TLS_NO_VERIFY_NAME)) {
        gnutls_x509_crt_t crt;
        int code = import_leaf(session, &crt);
        if (code < 0) {
            return code;
        }
        if (!is_for_host(tls, crt)) {
            status |= GNUTLS_CERT_INVALID | GNUTLS_CERT_UNEXPECTED_OWNER;
        }
        gnutls_x509_crt_deinit(crt);
    }
    tls->verify_status = status;
    return status == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

const char *ad_tls_verify_text(unsigned status, char *out, size_t bytes)
{
    static const struct {
        unsigned bit;
        const char *text;
    } texts[] = {
        {GNUTLS_CERT_EXPIRED, "it has expired"},
        {GNUTLS_CERT_NOT_ACTIVATED, "it is not valid yet"},
        {GNUTLS_CERT_UNEXPECTED_OWNER, "it is for another name"},
        {GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is unknown"},
        {GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is not an authority"},
        {GNUTLS_CERT_REVOKED, "it was revoked"},
        {GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong"},
        {GNUTLS_CERT_INSECURE_ALGORITHM, "its algorithm is insecure"},
        {GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, "its issuer may not sign it"},
        {GNUTLS_CERT_PURPOSE_MISMATCH, "it is not for a server"},
        {GNUTLS_CERT_MISSING_OCSP_STATUS, "its status was not sent"},
        {GNUTLS_CERT_INVALID_OCSP_STATUS, "its status is not valid"},
        {GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED, "its revocation data is old"},
        {GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE, "its revocation data is from the future"},
        {GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS, "it has an unknown critical extension"},
    };
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && used < bytes; i++) {
        if (status & texts[i].bit) {
            int wrote =
                snprintf(out + used, bytes - used, "%s%s", used > 0 ? "; " : "", texts[i].text);
            used += wrote > 0 ? (size_t)wrote : 0;
        }
    }
    if (used == 0) {
        snprintf(out, bytes, "it is not valid");
    }
    return out;
}
