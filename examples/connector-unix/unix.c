/* SPDX-License-Identifier: MIT */
/*
 * A layer in one file: whatever host is dialled, the connection goes to a unix-domain socket. Build
 * it with
 *
 *   cc -std=c11 -fPIC -shared -fvisibility=hidden -Wl,-z,defs,-z,now unix.c \
 *      $(pkg-config --cflags aioduct) -o libaioduct-cx-unix.so
 *
 * and run any aioduct program with AIODUCT_PLUGIN_PATH=$PWD AIODUCT_CONNECTOR=unix and a
 * configuration file that has
 *
 *   connector.unix.path = /run/some.sock
 *
 * A path that begins with @ is an abstract name. The URL's host is not looked up
 * (AIODUCT_CX_BY_NAME) and stays what it is in the Host field and for a certificate.
 * docs/writing-a-connector.md has more; the numbers in brackets are clauses of docs/CONTRACT.md.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <aioduct/plugin/plugin.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct unix_cx {
    const struct aioduct_host *host;
    const struct aioduct_host_lower *lower;
    struct sockaddr_un address;
    uint32_t address_bytes;
    char shown[128]; /* "unix:/run/some.sock" */
};

struct unix_stream {
    struct unix_cx *cx; /* NULL: not dialled yet */
    struct aioduct_stream *stream;
};

/* ---- from above ---- */

/* Nobody above knows the path: a connect that failed says it. */
static void say_where(const struct unix_cx *c, int code)
{
    if (code < 0 && code != -ECANCELED) {
        c->host->error(c->host->ctx, code, c->shown);
    }
}

/* The dial is the same, but for where it goes. The address has to stay until the completion (CX-4);
 * it is the instance's, and outlives every stream. */
static int unix_connect(void *cx, struct aioduct_stream *stream, void *state,
                        const struct aioduct_socket_config *config)
{
    struct unix_cx *c = cx;
    struct aioduct_socket_config mine = {0};
    memcpy(&mine, config, config->size < sizeof mine ? config->size : sizeof mine);
    mine.size = sizeof mine;
    mine.addr = (const struct sockaddr *)(const void *)&c->address;
    mine.addr_bytes = c->address_bytes;
    int code = c->lower->connect(c->host->ctx, stream, &mine);
    say_where(c, code);
    if (code == AIODUCT_PENDING) {
        *(struct unix_stream *)state = (struct unix_stream){.cx = c, .stream = stream};
    }
    return code;
}

static int unix_recv_start(void *state)
{
    const struct unix_stream *s = state;
    return s->cx == NULL ? -ENOTCONN : s->cx->lower->recv_start(s->cx->host->ctx, s->stream);
}

static void unix_recv_stop(void *state)
{
    const struct unix_stream *s = state;
    if (s->cx != NULL) {
        s->cx->lower->recv_stop(s->cx->host->ctx, s->stream);
    }
}

static int unix_send(void *state, const struct iovec *pieces, unsigned count)
{
    const struct unix_stream *s = state;
    return s->cx == NULL ? -ENOTCONN
                         : s->cx->lower->send(s->cx->host->ctx, s->stream, pieces, count);
}

static int unix_shutdown(void *state)
{
    const struct unix_stream *s = state;
    return s->cx == NULL ? -ENOTCONN : s->cx->lower->shutdown(s->cx->host->ctx, s->stream);
}

static void unix_cancel(void *state, unsigned ops)
{
    const struct unix_stream *s = state;
    if (s->cx != NULL) {
        s->cx->lower->cancel(s->cx->host->ctx, s->stream, ops);
    }
}

static void unix_stream_close(void *state)
{
    const struct unix_stream *s = state;
    if (s->cx != NULL) {
        s->cx->lower->close(s->cx->host->ctx, s->stream);
    }
}

static int unix_stream_info(void *state, struct aioduct_stream_info *info)
{
    const struct unix_stream *s = state;
    return s->cx == NULL ? -ENOTCONN : s->cx->lower->info(s->cx->host->ctx, s->stream, info);
}

/* ---- from below ---- */

static void on_data(void *state, const void *slice, size_t bytes)
{
    const struct unix_stream *s = state;
    s->cx->host->on_data(s->cx->host->ctx, s->stream, slice, bytes);
}

static void on_done(void *state, int op, int code, size_t bytes)
{
    const struct unix_stream *s = state;
    const struct aioduct_host *host = s->cx->host;
    if (op == AIODUCT_OP_CONNECT) {
        say_where(s->cx, code);
    }
    host->on_done(host->ctx, s->stream, op, code, bytes);
}

static void on_closed(void *state)
{
    const struct unix_stream *s = state;
    s->cx->host->on_closed(s->cx->host->ctx, s->stream);
}

static const struct aioduct_lower_events events = {
    .size = sizeof events, .on_data = on_data, .on_done = on_done, .on_closed = on_closed};

/* ---- the instance ---- */

static int refuse(const struct aioduct_host *host, int code, const char *why)
{
    host->error(host->ctx, code, why);
    return code;
}

static int take_path(struct unix_cx *c, const struct aioduct_host *host)
{
    const char *path = host->option(host->ctx, "path");
    size_t bytes = path == NULL ? 0 : strlen(path);
    if (bytes == 0 || (path[0] == '@' && bytes == 1)) {
        return refuse(host, -EINVAL, "option path is not set: which socket?");
    }
    if (bytes >= sizeof c->address.sun_path) {
        return refuse(host, -ENAMETOOLONG, "option path has more than 107 bytes");
    }
    if (path[0] != '/' && path[0] != '@') {
        return refuse(host, -EINVAL, "option path begins neither with / nor with @");
    }
    c->address.sun_family = AF_UNIX;
    memcpy(c->address.sun_path, path, bytes);
    c->address_bytes = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + bytes + 1);
    if (path[0] == '@') { /* the name has no NUL at its end, but one before it */
        c->address.sun_path[0] = '\0';
        c->address_bytes--;
    }
    snprintf(c->shown, sizeof c->shown, "unix:%s", path);
    return 0;
}

static int unix_open(void *cx, const struct aioduct_host *host, void *rt)
{
    struct unix_cx *c = cx;
    (void)rt;
    int code = take_path(c, host);
    if (code < 0) {
        return code;
    }
    c->host = host;
    c->lower = host->get_interface(host->ctx, AIODUCT_IFACE_HOST_LOWER);
    return c->lower == NULL
               ? refuse(host, AIODUCT_E_UNSUPPORTED, "the host has no " AIODUCT_IFACE_HOST_LOWER)
               : c->lower->attach(host->ctx, &events);
}

static void unix_close(void *cx)
{
    (void)cx; /* nothing but what the core gave it */
}

static const struct aioduct_connector connector = {
    .size = sizeof connector,
    .flags = AIODUCT_BIND_SEND | AIODUCT_CX_LAYER | AIODUCT_CX_BY_NAME,
    .cx = {sizeof(struct unix_cx), _Alignof(struct unix_cx)},
    .stream = {sizeof(struct unix_stream), _Alignof(struct unix_stream)},
    .open = unix_open,
    .close = unix_close,
    .connect = unix_connect,
    .recv_start = unix_recv_start,
    .recv_stop = unix_recv_stop,
    .send = unix_send,
    .shutdown = unix_shutdown,
    .cancel = unix_cancel,
    .stream_close = unix_stream_close,
    .stream_info = unix_stream_info,
};

static const void *interfaces(const char *id)
{
    return strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? &connector : NULL;
}

AIODUCT_PLUGIN_NOTE(unix, "connector")
AIODUCT_PLUGIN_EXPORT(unix) = {AIODUCT_PLUGIN_HEAD(unix), .version = "1.0.0", .vendor = "example",
                               .summary = "dials a unix-domain socket instead of the host",
                               .get_interface = interfaces};
