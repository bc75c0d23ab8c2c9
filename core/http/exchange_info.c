/* SPDX-License-Identifier: MIT */
/* What is known of an exchange, put together only when somebody asks. */
#include "base/mem.h"
#include "http/conn.h"
#include "http/engine.h"
#include "http/exchange.h"
#include "http/request.h"
#include "proto/date.h"

#include <string.h>

/* 0: not at all, or before it began; in the very turn of its start is still after it. */
static uint64_t since(const struct aioduct_exchange *ex, uint64_t at_ns)
{
    return at_ns > ex->start_ns ? at_ns - ex->start_ns : at_ns != 0 && at_ns == ex->start_ns;
}

static void fill_timings(const struct aioduct_exchange *ex, struct aioduct_timings *t)
{
    t->size = sizeof *t;
    /* A connection that had served, or lay idle, or was there before, made nobody wait for this. */
    if (ex->conn != NULL && !ex->kept && ex->place != AD_PLACE_WAITING) {
        t->dialled_ns = since(ex, ex->way.dial_ns);
        t->resolved_ns = since(ex, ex->way.times.resolved_ns);
        t->connected_ns = since(ex, ex->way.times.connected_ns);
        t->secured_ns = since(ex, ex->way.secured_ns);
    }
    t->picked_ns = since(ex, ex->picked_ns);
    t->sent_ns = since(ex, ex->sent_ns);
    t->first_byte_ns = since(ex, ex->first_byte_ns);
    t->head_ns = since(ex, ex->head_ns);
    t->end_ns = since(ex, ex->end_ns);
}

static void fill_connection(const struct aioduct_exchange *ex, struct aioduct_exchange_info *info)
{
    struct ad_conn *conn = ex->conn;
    info->protocol = info->tls_version = info->tls_cipher = "";
    info->peer_address = info->local_address = "";
    if (conn == NULL) {
        return;
    }
    ad_conn_info_fill(conn);
    ad_conn_wire_fill(conn);
    info->protocol = conn->codec->protocol;
    const struct ad_conn_info *known = conn->info;
    if (known != NULL) {
        info->tls_version = known->tls_version;
        info->tls_cipher = known->tls_cipher;
        info->tls_resumed = known->tls_resumed;
        info->peer_address = known->peer_address;
        info->local_address = known->local_address;
        info->peer_port = known->peer_port;
        info->local_port = known->local_port;
        info->wire_sent_bytes = known->wire_sent;
        info->wire_received_bytes = known->wire_received;
    }
    info->reused = ex->reused;
    info->connection = conn->number;
}

static int write_request_head(const struct aioduct_exchange *ex, struct ad_buf *text)
{
    if (ex->conn != NULL && ex->conn->codec->shared) {
        const struct ad_h2_field *extra = ex->h2.stream.extra;
        return ad_request_h2_write(ex->request, extra, AD_H2_EXTRA_MAX, text);
    }
    return ad_request_head_write(ex->request, ex->engine->settings->agent, ad_exchange_expects(ex),
                                 text);
}

static void fill_request_head(struct aioduct_exchange *ex, struct aioduct_exchange_info *info)
{
    if (ex->head_copy == NULL && ex->written) {
        struct ad_buf text = {0};
        if (write_request_head(ex, &text) == 0) {
            ex->head_copy = (char *)text.block;
            ex->head_copy_bytes = (uint32_t)ad_buf_bytes(&text);
        }
    }
    info->request_head = ex->head_copy;
    info->request_head_bytes = ex->head_copy_bytes;
}

int ad_exchange_info(struct aioduct_exchange *ex, struct aioduct_exchange_info *info)
{
    int code = ad_loop_check_thread(atomic_load_explicit(&ex->at, memory_order_acquire)->loop);
    if (code < 0) {
        return code;
    }
    struct aioduct_exchange_info all = {.size = info->size};
    fill_connection(ex, &all);
    fill_request_head(ex, &all);
    fill_timings(ex, &all.timings);
    all.head_bytes = ex->head_bytes;
    all.body_bytes = ex->body_bytes;
    all.upload_bytes = ex->upload.sent;
    all.replays = (int)ex->replays;
    all.sent_bytes = ex->sent_bytes;
    all.received_bytes = ex->received_bytes;
    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
    return 0;
}

int ad_exchange_retry_after(struct ad_slice after, struct ad_slice date, int64_t now_s,
                            int64_t *out_s)
{
    int64_t date_s;
    if (date.p != NULL && ad_date_parse(ad_slice_trim(date), now_s, &date_s) == 0) {
        now_s = date_s;
    }
    return ad_date_retry_after(after, now_s, out_s);
}
