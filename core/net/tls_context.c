/* SPDX-License-Identifier: MIT */
/* What all sessions of a client share: trust, client certificate, priorities, key log. */
#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

/* TLS 1.0 and 1.1 are out (RFC 8996) whatever the system's policy says. */
#define PRIORITY_DEFAULT "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static int config_error(struct aioduct_error *error, int gnutls_code, const char *option,
                        const char *file, const char *reason)
{
    int code = gnutls_code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : AIODUCT_E_TLS_CONFIG;
    ad_error_set(error, code, AIODUCT_PHASE_SETUP, "%s '%s': %s", option, file, reason);
    if (error != NULL) {
        error->tls_code = gnutls_code;
    }
    return code;
}

/* The system's own reason, where it is one: GnuTLS says "error while reading file" to all. */
static int check_readable(struct aioduct_error *error, const char *option, const char *file,
                          bool directory)
{
    struct stat st;
    int os_code = 0;
    if (gnutls_url_is_supported(file)) {
        return 0;
    }
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        os_code = errno;
    } else if (S_ISDIR(st.st_mode) != directory) {
        os_code = directory ? ENOTDIR : EISDIR;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (os_code == 0) {
        return 0;
    }
    int code = config_error(error, 0, option, file, aioduct_error_text(-os_code));
    if (error != NULL) {
        error->os_code = os_code;
    }
    return code;
}

static int load_authorities(struct ad_tls_context *c, const struct aioduct_tls_options *o,
                            struct aioduct_error *error)
{
    const struct {
        const char *option, *path;
        int (*load)(gnutls_certificate_credentials_t, const char *, gnutls_x509_crt_fmt_t);
        bool directory;
    } sources[] = {
        {"ca_file", o->ca_file, gnutls_certificate_set_x509_trust_file, false},
        {"ca_dir", o->ca_dir, gnutls_certificate_set_x509_trust_dir, true},
    };
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (sources[i].path == NULL) {
            continue;
        }
        int code = check_readable(error, sources[i].option, sources[i].path, sources[i].directory);
        if (code < 0) {
            return code;
        }
        int count = sources[i].load(c->credentials, sources[i].path, GNUTLS_X509_FMT_PEM);
        if (count <= 0) {
            return config_error(error, count, sources[i].option, sources[i].path,
                                count < 0 ? gnutls_strerror(count) : "no certificate in it");
        }
        c->trusts = true;
    }
    return 0;
}

/* The certificate alone, so that what is wrong with it is not said of the key. */
static int check_certificate(const char *file, struct aioduct_error *error)
{
    gnutls_datum_t pem;
    gnutls_x509_crt_t *list = NULL;
    unsigned count = 0;
    if (gnutls_url_is_supported(file)) {
        return 0;
    }
    int code = gnutls_load_file(file, &pem);
    if (code < 0) {
        return config_error(error, code, "cert_file", file, gnutls_strerror(code));
    }
    code = gnutls_x509_crt_list_import2(&list, &count, &pem, GNUTLS_X509_FMT_PEM, 0);
    gnutls_free(pem.data);
    for (unsigned i = 0; code >= 0 && i < count; i++) {
        gnutls_x509_crt_deinit(list[i]);
    }
    gnutls_free(list);
    return code < 0 ? config_error(error, code, "cert_file", file, gnutls_strerror(code)) : 0;
}

static int load_client_certificate(struct ad_tls_context *c, const struct aioduct_tls_options *o,
                                   struct aioduct_error *error)
{
    if (o->cert_file == NULL) {
        return o->key_file == NULL
                   ? 0
                   : config_error(error, 0, "key_file", o->key_file, "there is no cert_file");
    }
    const char *key_file = o->key_file != NULL ? o->key_file : o->cert_file;
    int code = check_readable(error, "cert_file", o->cert_file, false);
    code = code < 0 ? code : check_readable(error, "key_file", key_file, false);
    code = code < 0 ? code : check_certificate(o->cert_file, error);
    if (code < 0) {
        return code;
    }
    code = gnutls_certificate_set_x509_key_file2(c->credentials, o->cert_file, key_file,
                                                 GNUTLS_X509_FMT_PEM, o->key_password, 0);
    return code < 0 ? config_error(error, code, "key_file", key_file, gnutls_strerror(code)) : 0;
}

static int set_priority(struct ad_tls_context *c, const char *text, struct aioduct_error *error)
{
    const char *wrong = NULL;
    int code = gnutls_priority_init(&c->priority, text, &wrong);
    if (code < 0) {
        return code == GNUTLS_E_MEMORY_ERROR
                   ? ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory")
                   : ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                                  "priority: GnuTLS does not understand '%s'",
                                  wrong != NULL ? wrong : text);
    }
    return 0;
}

/* Wanted for looking at traffic, of programs that need not know of it: no reason to fail. */
static void open_keylog(struct ad_tls_context *c)
{
    const char *file = c->flags & AIODUCT_TLS_KEYLOG ? ad_env_get("SSLKEYLOGFILE") : NULL;
    if (file == NULL || file[0] == '\0') {
        return;
    }
    c->keylog_fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (c->keylog_fd < 0) {
        ad_logf(AD_LOG_WARNING, "tls: SSLKEYLOGFILE %s cannot be written: %s", file,
                aioduct_error_text(-errno));
        return;
    }
    ad_logf(AD_LOG_WARNING, "tls: session secrets are written to %s", file);
}

/* GnuTLS may have been told not to begin by itself. It begins once and never ends: its end frees
 * what other threads have for random numbers, and they would use it when it has begun anew. */
static int begin_gnutls(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool began;
    pthread_mutex_lock(&lock);
    int code = began ? 0 : gnutls_global_init();
    if (code < 0) {
        gnutls_global_deinit(); /* it counts failures as well */
    } else {
        began = true;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

/* GnuTLS itself, credentials and priorities. */
static int begin(struct ad_tls_context *c, const char *priority, struct aioduct_error *error)
{
    int code = begin_gnutls();
    if (code < 0) {
        return ad_error_set(error, AIODUCT_E_TLS_CONFIG, AIODUCT_PHASE_SETUP,
                            "GnuTLS does not begin: %s", gnutls_strerror(code));
    }
    code = set_priority(c, priority != NULL ? priority : PRIORITY_DEFAULT, error);
    if (code == 0 && gnutls_certificate_allocate_credentials(&c->credentials) < 0) {
        gnutls_priority_deinit(c->priority);
        code = ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    c->began = code == 0;
    return code;
}

static bool names_something(const struct aioduct_tls_options *o)
{
    return o->priority != NULL || o->ca_file != NULL || o->ca_dir != NULL || o->cert_file != NULL ||
           o->key_file != NULL;
}

/* What the options name is loaded now, so that what is wrong with it is said at once. */
static int load(struct ad_tls_context *c, const struct aioduct_tls_options *o,
                struct aioduct_error *error)
{
    int code = begin(c, o->priority, error);
    code = code < 0 ? code : load_authorities(c, o, error);
    return code < 0 ? code : load_client_certificate(c, o, error);
}

int ad_tls_context_create(const struct aioduct_tls_options *options, struct ad_tls_context **out,
                          struct aioduct_error *error)
{
    static const struct aioduct_tls_options none;
    const struct aioduct_tls_options *o = options != NULL ? options : &none;
    struct ad_tls_context *c = ad_zalloc(sizeof *c);
    if (c == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    c->flags = o->flags;
    c->keylog_fd = -1;
    c->trusts = (o->flags & AIODUCT_TLS_NO_VERIFY_CHAIN) != 0;
    pthread_mutex_init(&c->ready_lock, NULL);
    ad_tls_tickets_init(&c->tickets);
    int code = names_something(o) ? load(c, o, error) : 0;
    if (code < 0) {
        ad_tls_context_destroy(c);
        return code;
    }
    open_keylog(c);
    if (o->flags & (AIODUCT_TLS_NO_VERIFY_CHAIN | AIODUCT_TLS_NO_VERIFY_NAME)) {
        ad_logf(AD_LOG_WARNING,
                "tls: the peer's %s not verified: anybody can read and change what is sent",
                !(o->flags & AIODUCT_TLS_NO_VERIFY_NAME)    ? "certificate chain is"
                : !(o->flags & AIODUCT_TLS_NO_VERIFY_CHAIN) ? "name is"
                                                            : "certificate chain and name are");
    }
    *out = c;
    return 0;
}

void ad_tls_context_destroy(struct ad_tls_context *c)
{
    if (c == NULL) {
        return;
    }
    if (c->keylog_fd >= 0) {
        close(c->keylog_fd);
    }
    if (c->began) {
        gnutls_priority_deinit(c->priority);
        gnutls_certificate_free_credentials(c->credentials);
    }
    ad_tls_tickets_fini(&c->tickets);
    pthread_mutex_destroy(&c->ready_lock);
    ad_free(c);
}

static int load_system_trust(struct ad_tls_context *c, struct aioduct_error *error)
{
    int count = gnutls_certificate_set_x509_system_trust(c->credentials);
    if (count > 0) {
        c->trusts = true;
        return 0;
    }
    if (count == GNUTLS_E_MEMORY_ERROR) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_TLS, "out of memory");
    }
    int code = ad_error_set(error, AIODUCT_E_TLS_CONFIG, AIODUCT_PHASE_TLS,
                            "the system's trust store cannot be used: %s",
                            count < 0 ? gnutls_strerror(count) : "no certificate in it");
    ad_error_hint(error, "install the system's CA certificates or set ca_file");
    return code;
}

int ad_tls_context_ready(struct ad_tls_context *c, struct aioduct_error *error)
{
    pthread_mutex_lock(&c->ready_lock);
    int code = c->began ? 0 : begin(c, NULL, error);
    if (code == 0 && !c->trusts) {
        code = load_system_trust(c, error);
    }
    pthread_mutex_unlock(&c->ready_lock);
    return code;
}
