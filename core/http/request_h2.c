/* SPDX-License-Identifier: MIT */
/*
 * A request's head as HTTP/2 has it (C47): pseudo-header fields first, names in lower case, without
 * what belongs to a connection. Made once, when the request is first sent over HTTP/2, by whichever
 * thread that is; what differs from sending to sending (User-Agent, Expect) is not in it.
 */
#include "base/mem.h"
#include "http/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A cookie that is shorter could be guessed by how well it compresses (RFC 7541 section 7.1.3). */
#define SHORT_COOKIE_BYTES 20u
#define LENGTH_TEXT_BYTES 24u /* a content-length */
#define OWN_FIELDS 8u         /* five pseudo-header fields, accept, content-length, trailer */

static bool is(struct ad_slice name, const char *other)
{
    return ad_slice_case_equal(name, ad_slice_of(other));
}

/* What HTTP/2 has no use for. Host, Content-Length, Transfer-Encoding and Expect are not among a
 * request's fields, whoever sets them: they are told apart when they are added. */
static bool is_dropped(const struct ad_field *field)
{
    static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Connection", "Upgrade",
                                        "HTTP2-Settings"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is(field->name, names[i])) {
            return true;
        }
    }
    return is(field->name, "TE") && !ad_slice_list_has(field->value, "trailers");
}

static bool is_sensitive(const struct ad_field *field)
{
    return is(field->name, "Authorization") || is(field->name, "Proxy-Authorization") ||
           (is(field->name, "Cookie") && field->value.bytes < SHORT_COOKIE_BYTES);
}

static void add(struct ad_request_h2 *h2, const char *name, const char *value)
{
    h2->fields[h2->count++] =
        (struct ad_h2_field){.name = ad_slice_of(name), .value = ad_slice_of(value)};
}

static char *lower_case(char *to, struct ad_slice name)
{
    for (size_t i = 0; i < name.bytes; i++) {
        to[i] = ad_ascii_lower(name.p[i]);
    }
    return to + name.bytes;
}

/* The caller's own announcement stands. */
static bool announces_trailers(const struct aioduct_request *request)
{
    return !ad_list_empty(&request->trailers) && ad_request_field_find(request, "Trailer") == NULL;
}

/* "name, name" as a string -> behind it */
static char *join_trailer_names(const struct aioduct_request *request, char *to)
{
    AD_LIST_FOR_EACH (it, &request->trailers) {
        to = lower_case(to, ((const struct ad_field *)(const void *)it)->name);
        memcpy(to, ", ", 2);
        to += 2;
    }
    to[-2] = '\0';
    return to;
}

/* To ask for another protocol is a CONNECT that names it (RFC 8441); a plain one has only an
 * authority (RFC 9113 section 8.5). */
static void add_pseudo(struct ad_request_h2 *h2, const struct aioduct_request *request)
{
    const struct ad_url *url = &request->url;
    add(h2, ":method", request->upgrade != NULL ? "CONNECT" : request->method);
    if (request->upgrade != NULL) {
        add(h2, ":protocol", request->upgrade);
    }
    if (request->tunnel == NULL) {
        add(h2, ":scheme", url->scheme);
    }
    add(h2, ":authority", ad_request_authority(request));
    if (request->tunnel == NULL) {
        add(h2, ":path", request->asterisk ? "*" : url->target);
    }
}

static void fill(struct ad_request_h2 *h2, const struct aioduct_request *request, char *text)
{
    add_pseudo(h2, request);
    if (!request->no_accept) {
        add(h2, "accept", "*/*");
    }
    if (ad_request_announces_length(request) && !ad_request_is_chunked(request) &&
        !ad_request_is_raw(request)) {
        long long length = request->body_kind == AD_BODY_NONE ? 0 : (long long)request->body_length;
        snprintf(text, LENGTH_TEXT_BYTES, "%lld", length);
        add(h2, "content-length", text);
        text += LENGTH_TEXT_BYTES;
    }
    if (announces_trailers(request)) {
        char *names = text;
        text = join_trailer_names(request, text);
        add(h2, "trailer", names);
    }
    AD_LIST_FOR_EACH (it, &request->fields) {
        const struct ad_field *field = (const struct ad_field *)(const void *)it;
        if (!is_dropped(field)) {
            struct ad_slice value = is(field->name, "TE") ? ad_slice_of("trailers") : field->value;
            h2->fields[h2->count++] = (struct ad_h2_field){.name = {text, field->name.bytes},
                                                           .value = value,
                                                           .sensitive = is_sensitive(field)};
            text = lower_case(text, field->name);
        }
    }
}

static struct ad_request_h2 *create(const struct aioduct_request *request)
{
    size_t fields = OWN_FIELDS, text_bytes = LENGTH_TEXT_BYTES;
    AD_LIST_FOR_EACH (it, &request->fields) {
        fields++;
        text_bytes += ((const struct ad_field *)(const void *)it)->name.bytes;
    }
    AD_LIST_FOR_EACH (trailer, &request->trailers) {
        text_bytes += ((const struct ad_field *)(const void *)trailer)->name.bytes + 2;
    }
    size_t head_bytes = sizeof(struct ad_request_h2) + fields * sizeof(struct ad_h2_field);
    struct ad_request_h2 *h2 = ad_alloc(head_bytes + text_bytes);
    if (h2 != NULL) {
        h2->count = 0;
        fill(h2, request, (char *)h2 + head_bytes);
    }
    return h2;
}

const struct ad_request_h2 *ad_request_h2(struct aioduct_request *request)
{
    struct ad_request_h2 *made = atomic_load_explicit(&request->h2, memory_order_acquire);
    if (made != NULL) {
        return made;
    }
    struct ad_request_h2 *mine = create(request);
    if (mine == NULL) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong_explicit(&request->h2, &made, mine, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        ad_free(mine); /* another thread was first */
        return made;
    }
    return mine;
}

static int write_field(const struct ad_h2_field *field, struct ad_buf *out)
{
    return ad_buf_append(out, field->name.p, field->name.bytes) < 0 ||
                   ad_buf_append_str(out, ": ") < 0 ||
                   ad_buf_append(out, field->value.p, field->value.bytes) < 0
               ? -ENOMEM
               : ad_buf_append_str(out, "\r\n");
}

int ad_request_h2_write(struct aioduct_request *request, const struct ad_h2_field *extra,
                        size_t extra_count, struct ad_buf *out)
{
    const struct ad_request_h2 *h2 = ad_request_h2(request);
    int code = h2 == NULL ? -ENOMEM : 0;
    for (uint32_t i = 0; code == 0 && i < h2->count; i++) {
        code = write_field(&h2->fields[i], out);
    }
    for (size_t i = 0; code == 0 && i < extra_count; i++) {
        code = extra[i].name.bytes > 0 ? write_field(&extra[i], out) : 0;
    }
    code = code < 0 ? code : ad_buf_append_str(out, "\r\n");
    if (code < 0) {
        ad_buf_fini(out);
    }
    return code;
}
