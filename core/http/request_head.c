/* SPDX-License-Identifier: MIT */
/* The wire form of a request's head (C17): made once, copied out for every exchange. */
#include "base/mem.h"
#include "http/request.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int append_slice(struct ad_buf *out, struct ad_slice s)
{
    return ad_buf_append(out, s.p, s.bytes);
}

static int append_line(struct ad_buf *out, struct ad_slice name, struct ad_slice value)
{
    if (append_slice(out, name) < 0 || ad_buf_append_str(out, ": ") < 0 ||
        append_slice(out, value) < 0) {
        return -ENOMEM;
    }
    return ad_buf_append_str(out, "\r\n");
}

static const char *target_of(const struct aioduct_request *request)
{
    if (request->tunnel != NULL) {
        return request->tunnel;
    }
    return request->asterisk ? "*" : request->url.target;
}

static int append_request_line(const struct aioduct_request *request, struct ad_buf *out)
{
    if (ad_buf_append_str(out, request->method) < 0 || ad_buf_append_str(out, " ") < 0 ||
        ad_buf_append_str(out, target_of(request)) < 0) {
        return -ENOMEM;
    }
    return ad_buf_append_str(out, " HTTP/1.1\r\n");
}

bool ad_request_announces_length(const struct aioduct_request *request)
{
    return request->body_kind != AD_BODY_NONE || request->declared_length == 0 ||
           strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 ||
           strcmp(request->method, "PATCH") == 0;
}

/* Trailer: name, name. The caller's own announcement stands. */
static int append_trailer_names(const struct aioduct_request *request, struct ad_buf *out)
{
    const char *before = "Trailer: ";
    if (ad_list_empty(&request->trailers) || ad_request_field_find(request, "Trailer") != NULL) {
        return 0;
    }
    AD_LIST_FOR_EACH (it, &request->trailers) {
        const struct ad_field *field = (const struct ad_field *)(const void *)it;
        if (ad_buf_append_str(out, before) < 0 || append_slice(out, field->name) < 0) {
            return -ENOMEM;
        }
        before = ", ";
    }
    return ad_buf_append_str(out, "\r\n");
}

static int append_framing(const struct aioduct_request *request, struct ad_buf *out)
{
    char line[64];
    if (request->upgrade != NULL) {
        return append_line(out, ad_slice_of("Upgrade"), ad_slice_of(request->upgrade)) < 0
                   ? -ENOMEM
                   : ad_buf_append_str(out, "Connection: upgrade\r\n");
    }
    if (request->tunnel != NULL) {
        return 0;
    }
    if (ad_request_is_chunked(request)) {
        return ad_buf_append_str(out, "Transfer-Encoding: chunked\r\n") < 0
                   ? -ENOMEM
                   : append_trailer_names(request, out);
    }
    if (!ad_request_announces_length(request)) {
        return 0;
    }
    long long length = request->body_kind == AD_BODY_NONE ? 0 : (long long)request->body_length;
    snprintf(line, sizeof line, "Content-Length: %lld\r\n", length);
    return ad_buf_append_str(out, line);
}

static int serialise(struct aioduct_request *request, struct ad_buf *out)
{
    if (append_request_line(request, out) < 0 ||
        append_line(out, ad_slice_of("Host"), ad_slice_of(ad_request_authority(request))) < 0) {
        return -ENOMEM;
    }
    request->agent_at = ad_buf_bytes(out);
    request->wants_upgrade = ad_request_is_raw(request); /* by HTTP/1.1 */
    if (!request->no_accept && ad_buf_append_str(out, "Accept: */*\r\n") < 0) {
        return -ENOMEM;
    }
    AD_LIST_FOR_EACH (it, &request->fields) {
        const struct ad_field *field = (const struct ad_field *)(const void *)it;
        if (append_line(out, field->name, field->value) < 0) {
            return -ENOMEM;
        }
        if (ad_slice_case_equal(field->name, ad_slice_of("Upgrade"))) {
            request->wants_upgrade = true;
        }
        if (ad_slice_case_equal(field->name, ad_slice_of("Connection")) &&
            ad_slice_list_has(field->value, "close")) {
            request->wants_close = true;
        }
    }
    return append_framing(request, out) < 0 ? -ENOMEM : ad_buf_append_str(out, "\r\n");
}

static int freeze(struct aioduct_request *request)
{
    struct ad_buf out = {0};
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return 0;
    }
    int code = ad_request_framing_check(request);
    if (code < 0) {
        return code;
    }
    if (ad_request_is_raw(request) && request->sink_kind != AD_SINK_NONE) {
        return -EINVAL;
    }
    if (strcmp(request->method, "CONNECT") == 0 && request->tunnel == NULL) {
        return -EINVAL;
    }
    if (serialise(request, &out) < 0) {
        ad_buf_fini(&out);
        return -ENOMEM;
    }
    request->head = (char *)out.block;
    request->head_bytes = ad_buf_bytes(&out);
    atomic_store_explicit(&request->frozen, true, memory_order_release);
    return 0;
}

int ad_request_freeze(struct aioduct_request *request)
{
    /* Threads may send a request for the first time at once. Once a request, so one lock for all.
     */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (atomic_load_explicit(&request->frozen, memory_order_acquire)) {
        return 0;
    }
    pthread_mutex_lock(&lock);
    int code = freeze(request);
    pthread_mutex_unlock(&lock);
    return code;
}

static uint8_t *put(uint8_t *to, const char *bytes, size_t count)
{
    if (count > 0) {
        memcpy(to, bytes, count);
    }
    return to + count;
}

int ad_request_head_write(const struct aioduct_request *request, struct ad_slice agent, bool expect,
                          struct ad_buf *out)
{
    static const char expect_line[] = "Expect: 100-continue\r\n";
    size_t agent_bytes = request->no_agent ? 0 : agent.bytes;
    size_t expect_bytes = expect ? sizeof expect_line - 1 : 0;
    size_t count = request->head_bytes + agent_bytes + expect_bytes;
    uint8_t *to = ad_buf_reserve(out, count);
    if (to == NULL) {
        return -ENOMEM;
    }
    to = put(to, request->head, request->agent_at);
    to = put(to, agent.p, agent_bytes);
    to = put(to, expect_line, expect_bytes);
    put(to, request->head + request->agent_at, request->head_bytes - request->agent_at);
    ad_buf_commit(out, count);
    return 0;
}
