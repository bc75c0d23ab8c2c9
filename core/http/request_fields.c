/* SPDX-License-Identifier: MIT */
/*
 * Fields of a request. Nothing that could split a head gets past the setters (C18), and fields that
 * say how the message is framed must agree with the body (C19): they are checked and dropped here,
 * the head's own are written from the body.
 */
#include "base/mem.h"
#include "http/request.h"
#include "proto/h1.h"

#include <errno.h>
#include <string.h>

static bool is(struct ad_slice name, const char *other)
{
    return ad_slice_case_equal(name, ad_slice_of(other));
}

const struct ad_field *ad_request_field_find(const struct aioduct_request *request,
                                             const char *name)
{
    AD_LIST_FOR_EACH (it, &request->fields) {
        const struct ad_field *field = (const struct ad_field *)(const void *)it;
        if (is(field->name, name)) {
            return field;
        }
    }
    return NULL;
}

static void remove_all(struct aioduct_request *request, struct ad_slice name)
{
    AD_LIST_FOR_EACH (it, &request->fields) {
        struct ad_field *field = (struct ad_field *)(void *)it;
        if (ad_slice_case_equal(field->name, name)) {
            ad_list_remove(it);
            ad_free(field);
        }
    }
}

void ad_request_field_list_fini(struct ad_list *fields)
{
    struct ad_list *node;
    while ((node = ad_list_pop_front(fields)) != NULL) {
        ad_free(node);
    }
}

void ad_request_fields_fini(struct aioduct_request *request)
{
    ad_request_field_list_fini(&request->fields);
    ad_request_field_list_fini(&request->trailers);
}

struct ad_field *ad_request_field_create(struct ad_slice name, struct ad_slice value)
{
    if (name.bytes > UINT32_MAX / 4 || value.bytes > UINT32_MAX / 4) {
        return NULL;
    }
    struct ad_field *field = ad_alloc(sizeof *field + name.bytes + value.bytes + 2);
    if (field == NULL) {
        return NULL;
    }
    char *text = (char *)(field + 1);
    memcpy(text, name.p, name.bytes);
    text[name.bytes] = '\0';
    memcpy(text + name.bytes + 1, value.p, value.bytes);
    text[name.bytes + 1 + value.bytes] = '\0';
    field->name = (struct ad_slice){text, name.bytes};
    field->value = (struct ad_slice){text + name.bytes + 1, value.bytes};
    ad_list_init(&field->node);
    return field;
}

/* ---- fields that frame the message ---- */

int ad_request_framing_check(const struct aioduct_request *request)
{
    bool chunked = ad_request_is_chunked(request);
    if (ad_request_is_raw(request)) { /* what goes out later is not the request's */
        bool framed = request->declared_chunked || request->declared_length >= 0;
        return framed || !ad_list_empty(&request->trailers) ? -EINVAL : 0;
    }
    int64_t length = request->body_kind == AD_BODY_NONE ? 0 : request->body_length;
    if (request->declared_chunked && !chunked) {
        return -EINVAL;
    }
    if (request->declared_length >= 0 && (chunked || request->declared_length != length)) {
        return -EINVAL;
    }
    return 0;
}

/* Host names what the URL names, or aioduct_request_authority has said: another by accident would
 * make the connection and the request disagree. */
static int check_host(const struct aioduct_request *request, struct ad_slice value)
{
    struct ad_slice authority = ad_slice_of(ad_request_authority(request));
    if (ad_slice_case_equal(value, authority)) {
        return 0;
    }
    /* The default port may be spelled out. */
    const char *port = request->url.tls ? ":443" : ":80";
    size_t port_bytes = strlen(port);
    if (value.bytes == authority.bytes + port_bytes &&
        ad_slice_case_equal((struct ad_slice){value.p, authority.bytes}, authority) &&
        memcmp(value.p + authority.bytes, port, port_bytes) == 0 &&
        request->url.port == (request->url.tls ? 443 : 80)) {
        return 0;
    }
    return -EINVAL;
}

static int check_connection(struct ad_slice value)
{
    while (value.bytes > 0) {
        const char *comma = memchr(value.p, ',', value.bytes);
        size_t part = comma == NULL ? value.bytes : (size_t)(comma - value.p);
        struct ad_slice token = ad_slice_trim((struct ad_slice){value.p, part});
        if (token.bytes > 0 && !is(token, "close") && !is(token, "keep-alive") &&
            !is(token, "te")) {
            return -EINVAL;
        }
        part += comma != NULL;
        value.p += part;
        value.bytes -= part;
    }
    return 0;
}

static int declare_length(struct aioduct_request *request, struct ad_slice value, bool replace)
{
    uint64_t length;
    int64_t old = request->declared_length;
    if (ad_slice_to_u64(value, INT64_MAX, &length) < 0 ||
        (!replace && old >= 0 && old != (int64_t)length)) {
        return -EINVAL;
    }
    request->declared_length = (int64_t)length;
    /* Without a body yet the verdict waits for it, or for the submit. */
    if (request->body_kind != AD_BODY_NONE && ad_request_framing_check(request) < 0) {
        request->declared_length = old;
        return -EINVAL;
    }
    return 0;
}

static int declare_chunked(struct aioduct_request *request, struct ad_slice value)
{
    bool old = request->declared_chunked;
    if (!is(value, "chunked")) {
        return -EINVAL;
    }
    request->declared_chunked = true;
    if (request->body_kind != AD_BODY_NONE && ad_request_framing_check(request) < 0) {
        request->declared_chunked = old;
        return -EINVAL;
    }
    return 0;
}

/* The one expectation there is: asked for as by aioduct_request_expect_continue. */
static int declare_expect(struct aioduct_request *request, struct ad_slice value)
{
    if (value.bytes > 0 && !is(value, "100-continue")) {
        return -EINVAL;
    }
    request->expect = value.bytes > 0;
    return 0;
}

/* 0: an ordinary field; 1: checked, not kept, because the head has its own; -EINVAL */
static int check_framing_field(struct aioduct_request *request, struct ad_slice name,
                               struct ad_slice value, bool replace)
{
    int code;
    if (is(name, "Host")) {
        code = check_host(request, value);
    } else if (is(name, "Content-Length")) {
        code = declare_length(request, value, replace);
    } else if (is(name, "Transfer-Encoding")) {
        code = declare_chunked(request, value);
    } else if (is(name, "Expect")) {
        code = declare_expect(request, value);
    } else {
        return is(name, "Connection") ? check_connection(value) : 0;
    }
    return code < 0 ? code : 1;
}

/* ---- public verbs ---- */

/* The caller's field takes the place of the default one; an empty value leaves none at all. */
static bool replaces_default(struct aioduct_request *request, struct ad_slice name)
{
    if (is(name, "User-Agent")) {
        request->no_agent = true;
        return true;
    }
    if (is(name, "Accept")) {
        request->no_accept = true;
        return true;
    }
    return false;
}

static int put(struct aioduct_request *request, const char *name_text, const char *value_text,
               bool replace)
{
    struct ad_slice name = ad_slice_of(name_text);
    struct ad_slice value = ad_slice_trim(ad_slice_of(value_text));
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    if (!ad_h1_is_token(name.p, name.bytes) || !ad_h1_is_field_value(value.p, value.bytes)) {
        return -EINVAL;
    }
    struct ad_field *field = ad_request_field_create(name, value);
    if (field == NULL) {
        return -ENOMEM;
    }
    int code = check_framing_field(request, name, value, replace);
    if (code != 0) {
        ad_free(field);
        return code < 0 ? code : 0;
    }
    if (replace) {
        remove_all(request, name);
    }
    if (replaces_default(request, name) && value.bytes == 0) {
        ad_free(field);
        return 0;
    }
    ad_list_push_back(&request->fields, &field->node);
    return 0;
}

int ad_request_field_add(struct aioduct_request *request, const char *name, const char *value)
{
    return put(request, name, value, false);
}

int ad_request_field_set(struct aioduct_request *request, const char *name, const char *value)
{
    return put(request, name, value, true);
}

int ad_request_field_remove(struct aioduct_request *request, const char *name_text)
{
    struct ad_slice name = ad_slice_of(name_text);
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    if (!ad_h1_is_token(name.p, name.bytes) || is(name, "Host")) {
        return -EINVAL;
    }
    if (is(name, "Content-Length")) {
        request->declared_length = -1;
    } else if (is(name, "Transfer-Encoding")) {
        request->declared_chunked = false;
    } else if (is(name, "Expect")) {
        request->expect = false;
    }
    replaces_default(request, name);
    remove_all(request, name);
    return 0;
}

/* ---- trailers ---- */

/* What controls a request is needed before its body, and what frames and routes it too (RFC 9110
 * section 6.5.1); the rest is as for the trailers of a response. */
int ad_request_trailer_check(struct ad_slice name, struct ad_slice value)
{
    static const char *const modifiers[] = {"cache-control",       "expect",        "if-match",
                                            "if-modified-since",   "if-none-match", "if-range",
                                            "if-unmodified-since", "pragma",        "range"};
    struct aioduct_header field = {.name = name.p, .name_bytes = (uint32_t)name.bytes};
    if (!ad_h1_is_token(name.p, name.bytes) || !ad_h1_is_field_value(value.p, value.bytes) ||
        !ad_h1_trailer_allowed(&field)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof modifiers / sizeof modifiers[0]; i++) {
        if (is(name, modifiers[i])) {
            return -EINVAL;
        }
    }
    return 0;
}

int ad_request_trailer_add(struct aioduct_request *request, const char *name_text,
                           const char *value_text)
{
    struct ad_slice name = ad_slice_of(name_text);
    struct ad_slice value = ad_slice_trim(ad_slice_of(value_text));
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    /* On HTTP/1.1 they need chunks. */
    if (ad_request_trailer_check(name, value) < 0 || request->declared_length >= 0) {
        return -EINVAL;
    }
    struct ad_field *field = ad_request_field_create(name, value);
    if (field == NULL) {
        return -ENOMEM;
    }
    ad_list_push_back(&request->trailers, &field->node);
    return 0;
}

/* ---- Basic (RFC 7617) ---- */

static bool has_control(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            return true;
        }
    }
    return false;
}

static char *base64(char *out, const uint8_t *in, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16;
        v |= i + 1 < count ? (uint32_t)in[i + 1] << 8 : 0;
        v |= i + 2 < count ? in[i + 2] : 0;
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < count ? digits[v >> 6 & 63] : '=';
        *out++ = i + 2 < count ? digits[v & 63] : '=';
    }
    *out = '\0';
    return out;
}

int ad_request_basic_auth(struct aioduct_request *request, const char *user, const char *password)
{
    if (strchr(user, ':') != NULL || has_control(user) || has_control(password)) {
        return -EINVAL;
    }
    size_t user_bytes = strlen(user), password_bytes = strlen(password);
    size_t plain_bytes = user_bytes + 1 + password_bytes;
    char *plain = ad_alloc(plain_bytes + 1);
    char *value = ad_alloc(6 + (plain_bytes + 2) / 3 * 4 + 1);
    int code = -ENOMEM;
    if (plain != NULL && value != NULL) {
        memcpy(plain, user, user_bytes);
        plain[user_bytes] = ':';
        memcpy(plain + user_bytes + 1, password, password_bytes);
        memcpy(value, "Basic ", 6);
        base64(value + 6, (const uint8_t *)plain, plain_bytes);
        code = ad_request_field_set(request, "Authorization", value);
        explicit_bzero(plain, plain_bytes);
        explicit_bzero(value, strlen(value));
    }
    ad_free(plain);
    ad_free(value);
    return code;
}
