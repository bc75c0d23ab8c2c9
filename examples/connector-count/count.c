/* SPDX-License-Identifier: MIT */
/*
 * A layer in one file: it sits on the runtime's connector, or on another layer, hands everything on
 * as it is, and counts. Build it with
 *
 *   cc -std=c11 -fPIC -shared -fvisibility=hidden -Wl,-z,defs,-z,now count.c \
 *      $(pkg-config --cflags aioduct) -o libaioduct-cx-count.so
 *
 * and run any aioduct program with AIODUCT_PLUGIN_PATH=$PWD AIODUCT_CONNECTOR=count and
 * AIODUCT_LOG=info. Its option connector.count.each = yes has a line for each stream, too.
 *
 * docs/writing-a-connector.md walks through it; the numbers in brackets are clauses of
 * docs/CONTRACT.md.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "count.h"

#include <aioduct/plugin/plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

/* One instance: a loop of a client. Zeroed, and ours from open to close. */
struct count_cx {
    const struct aioduct_host *host;
    const struct aioduct_host_lower *lower;
    struct count_numbers numbers;
    int each;
};

/* A stream of ours. What it needs to be found from above and from below. */
struct count_stream {
    struct count_cx *cx; /* NULL: not dialled yet */
    struct aioduct_stream *stream;
    uint64_t sent_bytes, received_bytes;
};

/* ---- numbers of the process: the loops of a client may run on several threads ---- */

static _Atomic uint64_t dials, connected, sends, sent_bytes, slices, received_bytes;

static void read_numbers(struct count_numbers *out)
{
    struct count_numbers now = {.size = out->size,
                                .dials = dials,
                                .connected = connected,
                                .sends = sends,
                                .sent_bytes = sent_bytes,
                                .slices = slices,
                                .received_bytes = received_bytes};
    memcpy(out, &now, out->size < sizeof now ? out->size : sizeof now);
}

static void publish(const struct count_numbers *n)
{
    dials += n->dials;
    connected += n->connected;
    sends += n->sends;
    sent_bytes += n->sent_bytes;
    slices += n->slices;
    received_bytes += n->received_bytes;
}

/* ---- from above ---- */

/* Refused is refused: there is no stream then, and its state stays as it was (CX-2). */
static int count_connect(void *cx, struct aioduct_stream *stream, void *state,
                         const struct aioduct_socket_config *config)
{
    struct count_cx *c = cx;
    struct count_stream *s = state;
    int code = c->lower->connect(c->host->ctx, stream, config);
    if (code == AIODUCT_PENDING) {
        *s = (struct count_stream){.cx = c, .stream = stream};
        c->numbers.dials++;
    }
    return code;
}

static int count_recv_start(void *state)
{
    struct count_stream *s = state;
    return s->cx == NULL ? -ENOTCONN : s->cx->lower->recv_start(s->cx->host->ctx, s->stream);
}

static void count_recv_stop(void *state)
{
    struct count_stream *s = state;
    if (s->cx != NULL) {
        s->cx->lower->recv_stop(s->cx->host->ctx, s->stream);
    }
}

static void note_sent(struct count_stream *s, uint64_t bytes)
{
    s->sent_bytes += bytes;
    s->cx->numbers.sent_bytes += bytes;
}

/* The three results of a send mean the same here as below (ST-9): done is counted now, pending when
 * it completes. */
static int count_send(void *state, const struct iovec *pieces, unsigned count)
{
    struct count_stream *s = state;
    if (s->cx == NULL) {
        return -ENOTCONN;
    }
    int code = s->cx->lower->send(s->cx->host->ctx, s->stream, pieces, count);
    if (code >= 0) {
        s->cx->numbers.sends++;
    }
    for (unsigned i = 0; code == AIODUCT_DONE && i < count; i++) {
        note_sent(s, pieces[i].iov_len);
    }
    return code;
}

static int count_shutdown(void *state)
{
    struct count_stream *s = state;
    return s->cx == NULL ? -ENOTCONN : s->cx->lower->shutdown(s->cx->host->ctx, s->stream);
}

static void count_cancel(void *state, unsigned ops)
{
    struct count_stream *s = state;
    if (s->cx != NULL) {
        s->cx->lower->cancel(s->cx->host->ctx, s->stream, ops);
    }
}

static void count_stream_close(void *state)
{
    struct count_stream *s = state;
    if (s->cx != NULL) {
        s->cx->lower->close(s->cx->host->ctx, s->stream);
    }
}

static int count_stream_info(void *state, struct aioduct_stream_info *info)
{
    struct count_stream *s = state;
    return s->cx == NULL ? -ENOTCONN : s->cx->lower->info(s->cx->host->ctx, s->stream, info);
}

/* ---- from below ---- */

/* The slice is the runtime's; it goes up inside this call, without a copy (LY-5). */
static void on_data(void *state, const void *slice, size_t bytes)
{
    struct count_stream *s = state;
    const struct aioduct_host *host = s->cx->host;
    s->received_bytes += bytes;
    s->cx->numbers.received_bytes += bytes;
    s->cx->numbers.slices++;
    host->on_data(host->ctx, s->stream, slice, bytes);
}

static void on_done(void *state, int op, int code, size_t bytes)
{
    struct count_stream *s = state;
    const struct aioduct_host *host = s->cx->host;
    if (op == AIODUCT_OP_SEND) {
        note_sent(s, bytes);
    } else if (op == AIODUCT_OP_CONNECT && code == 0) {
        s->cx->numbers.connected++;
    }
    host->on_done(host->ctx, s->stream, op, code, bytes);
}

/* The stream below is gone, so ours may go: after on_closed its state is no longer ours (LY-6). */
static void on_closed(void *state)
{
    const struct count_stream *s = state;
    const struct aioduct_host *host = s->cx->host;
    if (s->cx->each) {
        char line[96];
        snprintf(line, sizeof line, "a stream: %" PRIu64 " bytes out, %" PRIu64 " bytes in",
                 s->sent_bytes, s->received_bytes);
        host->log(host->ctx, AIODUCT_LOG_INFO, line);
    }
    host->on_closed(host->ctx, s->stream);
}

static const struct aioduct_lower_events events = {
    .size = sizeof events, .on_data = on_data, .on_done = on_done, .on_closed = on_closed};

/* ---- the instance ---- */

static int count_open(void *cx, const struct aioduct_host *host, void *rt)
{
    struct count_cx *c = cx;
    (void)rt; /* whatever it is: the stream below knows */
    const char *each = host->option(host->ctx, "each");
    if (each != NULL && strcmp(each, "yes") != 0 && strcmp(each, "no") != 0) {
        host->error(host->ctx, -EINVAL, "option each is neither yes nor no");
        return -EINVAL;
    }
    c->host = host;
    c->each = each != NULL && strcmp(each, "yes") == 0;
    c->lower = host->get_interface(host->ctx, AIODUCT_IFACE_HOST_LOWER);
    if (c->lower == NULL) {
        host->error(host->ctx, AIODUCT_E_UNSUPPORTED, "the host has no " AIODUCT_IFACE_HOST_LOWER);
        return AIODUCT_E_UNSUPPORTED;
    }
    return c->lower->attach(host->ctx, &events);
}

static void count_close(void *cx)
{
    struct count_cx *c = cx;
    const struct count_numbers *n = &c->numbers;
    char line[192];
    snprintf(line, sizeof line,
             "%" PRIu64 " dials, %" PRIu64 " connected; %" PRIu64 " sends, %" PRIu64
             " bytes out; %" PRIu64 " slices, %" PRIu64 " bytes in",
             n->dials, n->connected, n->sends, n->sent_bytes, n->slices, n->received_bytes);
    c->host->log(c->host->ctx, AIODUCT_LOG_INFO, line);
    publish(n);
}

static const struct aioduct_connector connector = {
    .size = sizeof connector,
    .flags = AIODUCT_BIND_SEND | AIODUCT_CX_LAYER, /* no thread means anything to it */
    .cx = {sizeof(struct count_cx), _Alignof(struct count_cx)},
    .stream = {sizeof(struct count_stream), _Alignof(struct count_stream)},
    .open = count_open,
    .close = count_close,
    .connect = count_connect,
    .recv_start = count_recv_start,
    .recv_stop = count_recv_stop,
    .send = count_send,
    .shutdown = count_shutdown,
    .cancel = count_cancel,
    .stream_close = count_stream_close,
    .stream_info = count_stream_info,
};

static const struct count_interface numbers = {.size = sizeof numbers, .read = read_numbers};

static const void *interfaces(const char *id)
{
    return strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? (const void *)&connector
           : strcmp(id, COUNT_IFACE) == 0           ? (const void *)&numbers
                                                    : NULL;
}

AIODUCT_PLUGIN_NOTE(count, "connector")
AIODUCT_PLUGIN_EXPORT(count) = {AIODUCT_PLUGIN_HEAD(count), .version = "1.0.0", .vendor = "example",
                                .summary = "counts what goes through connections",
                                .get_interface = interfaces};
