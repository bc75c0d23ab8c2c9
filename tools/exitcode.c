/* SPDX-License-Identifier: MIT */
#include "exitcode.h"

#include "options.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <string.h>

static int of_system_error(const struct aioduct_error *e, const struct options *o)
{
    if (e->code == -ENOMEM) {
        return EXIT_MEMORY;
    }
    switch (e->phase) {
    case AIODUCT_PHASE_CONNECT:
        return o->interface != NULL && (e->code == -ENODEV || e->code == -EADDRNOTAVAIL)
                   ? EXIT_INTERFACE
                   : EXIT_CONNECT;
    case AIODUCT_PHASE_TLS:
        return EXIT_TLS;
    case AIODUCT_PHASE_SEND:
        return EXIT_SEND;
    case AIODUCT_PHASE_HEAD:
    case AIODUCT_PHASE_BODY:
        return EXIT_RECV;
    default:
        return EXIT_USAGE;
    }
}

int exitcode_of(const struct aioduct_error *e, const struct options *o)
{
    switch (e->code) {
    case 0:
        return 0;
    case AIODUCT_E_URL_SCHEME:
    case AIODUCT_E_NOT_HTTP:
        return EXIT_SCHEME;
    case AIODUCT_E_URL:
        return EXIT_URL;
    case AIODUCT_E_RESOLVE:
    case AIODUCT_E_RESOLVE_TEMPORARY:
        return EXIT_RESOLVE;
    case AIODUCT_E_TIMEOUT:
        return EXIT_TIMEOUT;
    case AIODUCT_E_CLOSED:
        return EXIT_EMPTY;
    case AIODUCT_E_TLS:
        return e->phase == AIODUCT_PHASE_TLS ? EXIT_TLS : EXIT_RECV;
    case AIODUCT_E_TLS_VERIFY:
        return EXIT_VERIFY;
    case AIODUCT_E_TLS_CONFIG:
        return o->cacert != NULL && strstr(e->message, o->cacert) != NULL ? EXIT_CACERT : EXIT_CERT;
    case AIODUCT_E_STREAM:
        return EXIT_STREAM;
    case AIODUCT_E_PROTOCOL:
        if (strncmp(e->message, "HTTP/2", 6) == 0) {
            return EXIT_HTTP2;
        }
        return e->phase == AIODUCT_PHASE_BODY ? EXIT_RECV : EXIT_WEIRD;
    case AIODUCT_E_HEAD_LIMIT:
        return EXIT_RECV;
    case AIODUCT_E_LIMIT:
        return e->phase >= AIODUCT_PHASE_HEAD ? EXIT_RECV : EXIT_USAGE;
    case AIODUCT_E_TRUNCATED:
        return EXIT_PARTIAL;
    case AIODUCT_E_SINK:
        return EXIT_WRITE;
    case AIODUCT_E_BODY_SOURCE:
    case AIODUCT_E_BODY_LENGTH:
        return EXIT_READ;
    default:
        return e->code >= -4095 ? of_system_error(e, o) : EXIT_USAGE;
    }
}
