/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <aioduct/aioduct.h>
#include <arpa/inet.h>
#include <stdio.h>

#define CONNECT_TIMEOUT_MS 300000   /* as curl */
#define HEAD_BYTES_MAX (300 * 1024) /* as curl */
#define HEAD_FIELDS_MAX 4096        /* what so many bytes may hold */
#define PIECE_BYTES_MIN 1024        /* a limited rate is kept in pieces of a tenth of a second */
#define PIECE_BYTES_MAX (1 << 20)

static bool is_address(const char *text)
{
    struct in6_addr any;
    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static void set_limits(struct aioduct_client_options *c, const struct options *o)
{
    /* What is not limited on the command line is not limited. */
    c->acquire_timeout_ms = c->head_timeout_ms = AIODUCT_NO_LIMIT;
    c->read_gap_timeout_ms = c->write_gap_timeout_ms = AIODUCT_NO_LIMIT;
    c->connect_timeout_ms = o->connect_timeout_ms > 0 ? o->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    c->expect_timeout_ms = o->expect_timeout_ms;
    c->head_bytes_max = HEAD_BYTES_MAX;
    c->head_fields_max = HEAD_FIELDS_MAX;
    c->connections_per_origin_max = AIODUCT_NO_LIMIT;
    c->h2_probe = o->parallel_immediate ? AIODUCT_OFF : 0;
    if (o->rate > 0) {
        uint64_t piece = o->rate / 10;
        c->window_bytes = piece < PIECE_BYTES_MIN   ? PIECE_BYTES_MIN
                          : piece > PIECE_BYTES_MAX ? PIECE_BYTES_MAX
                                                    : (int)piece;
    }
}

static void set_socket(struct aioduct_client_options *c, const struct options *o)
{
    if (o->interface != NULL && is_address(o->interface)) {
        c->socket.local_address = o->interface;
    } else {
        c->socket.device = o->interface;
    }
    c->socket.keepalive_idle_s = o->no_keepalive ? AIODUCT_NO_LIMIT : o->keepalive_s;
    c->socket.keepalive_interval_s = o->keepalive_s;
}

static void set_tls(struct aioduct_client_options *c, const struct options *o)
{
    c->tls.flags = AIODUCT_TLS_KEYLOG |
                   (o->insecure ? AIODUCT_TLS_NO_VERIFY_CHAIN | AIODUCT_TLS_NO_VERIFY_NAME : 0u);
    c->tls.ca_file = o->cacert;
    c->tls.cert_file = o->cert;
    c->tls.key_file = o->key;
    c->tls.key_password = o->cert_password;
}

/* Of two rules for a host and port the last one counts; the library takes the first. */
static const char *const *reversed(const struct strings *list, struct strings *out)
{
    for (size_t i = list->count; i > 0; i--) {
        if (strings_add(out, list->items[i - 1]) < 0) {
            return list->items;
        }
    }
    return out->items;
}

/* The library's one word for both kinds of names. */
static const char *unix_socket(const struct options *o, char out[PATH_MAX])
{
    bool abstract = o->abstract_socket != NULL;
    const char *name = abstract ? o->abstract_socket : o->unix_socket;
    if (name == NULL) {
        return NULL;
    }
    snprintf(out, PATH_MAX, "%s%s", abstract ? "@" : name[0] == '@' ? "./" : "", name);
    return out;
}

void client_set(struct aioduct_client_options *c, const struct options *o,
                char socket_name[PATH_MAX], struct strings *resolve)
{
    c->unix_socket = unix_socket(o, socket_name);
    c->binding = AIODUCT_BINDING_LOCAL; /* one thread, whatever the configuration says of workers */
    c->family = o->family == 4   ? AIODUCT_FAMILY_IPV4
                : o->family == 6 ? AIODUCT_FAMILY_IPV6
                                 : AIODUCT_FAMILY_ANY;
    c->resolve = reversed(&o->resolve, resolve);
    c->connect_to = o->connect_to.items;
    set_limits(c, o);
    set_socket(c, o);
    set_tls(c, o);
}

static void on_log(int level, const char *message, void *user)
{
    const struct options *o = user;
    if (o->verbose || (level <= 2 && !o->silent)) {
        fprintf(stderr, "* %s\n", message);
    }
}

void client_log(const struct options *o)
{
    aioduct_log_set(on_log, (void *)o, o->verbose ? 3 : 2);
}
