/* SPDX-License-Identifier: MIT */
/* The request object: method, URL and body. */
#include "http/request.h"

#include "base/error.h"
#include "base/mem.h"
#include "http/route.h"
#include "proto/h1.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The client's own limit (url_bytes_max) is checked at submit, when the client is known. */
#define URL_PARSE_BYTES_MAX (16u << 20)

static bool method_is_idempotent(const char *method)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(method, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* FNV-1a; the host is lower-case already. */
static uint64_t hash_origin(const struct ad_url *url)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = url->host; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    }
    h = (h ^ url->port) * 0x100000001b3u;
    return (h ^ (uint64_t)url->tls) * 0x100000001b3u;
}

/* Is there nothing between the authority and the end or the fragment? (RFC 9112 section 3.2.4) */
static bool has_no_path(const char *url)
{
    const char *authority = strstr(url, "://");
    return authority != NULL && authority[3 + strcspn(authority + 3, "/?#")] != '/' &&
           authority[3 + strcspn(authority + 3, "/?#")] != '?';
}

static int set_url(struct aioduct_request *request, const char *url, struct aioduct_error *error)
{
    int code = ad_url_parse(url, URL_PARSE_BYTES_MAX, &request->url, error);
    if (code < 0) {
        return code;
    }
    request->url_bytes = strlen(request->url.text);
    request->origin_hash = hash_origin(&request->url);
    request->asterisk = strcmp(request->method, "OPTIONS") == 0 && has_no_path(url);
    if (request->url.user == NULL) {
        return 0;
    }
    const char *password = request->url.password != NULL ? request->url.password : "";
    code = ad_request_basic_auth(request, request->url.user, password);
    if (code == -EINVAL) {
        return ad_error_set(error, AIODUCT_E_URL, AIODUCT_PHASE_SETUP,
                            "the URL's user name or password cannot be sent by Basic "
                            "authentication: a colon in the name, or a control byte");
    }
    return code;
}

int ad_request_create(const char *method, const char *url, struct aioduct_request **out,
                      struct aioduct_error *error)
{
    if (!ad_h1_is_token(method, strlen(method))) {
        return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                            "the method '%.60s' is not a token", method);
    }
    struct aioduct_request *request = ad_zalloc(sizeof *request);
    if (request == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    atomic_init(&request->refs, 1);
    ad_list_init(&request->fields);
    ad_list_init(&request->trailers);
    request->declared_length = -1;
    request->is_head = strcmp(method, "HEAD") == 0;
    request->idempotent = method_is_idempotent(method);
    request->method = ad_strdup(method);
    int code = request->method == NULL ? -ENOMEM : set_url(request, url, error);
    if (code < 0) {
        if (code == -ENOMEM) {
            ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
        }
        ad_request_unref(request);
        return code;
    }
    *out = request;
    return 0;
}

void ad_request_ref(struct aioduct_request *request)
{
    ad_request_ref_many(request, 1);
}

void ad_request_ref_many(struct aioduct_request *request, unsigned count)
{
    atomic_fetch_add_explicit(&request->refs, count, memory_order_relaxed);
}

void ad_request_unref(struct aioduct_request *request)
{
    if (request != NULL) {
        ad_request_unref_many(request, 1);
    }
}

void ad_request_unref_many(struct aioduct_request *request, unsigned count)
{
    if (atomic_fetch_sub_explicit(&request->refs, count, memory_order_acq_rel) != count) {
        return;
    }
    ad_request_fields_fini(request);
    ad_url_fini(&request->url);
    ad_free(request->authority);
    ad_free(request->upgrade);
    ad_free(request->tunnel);
    ad_free(request->body_copy);
    ad_free(request->connect_host);
    ad_free(request->head);
    ad_free(atomic_load_explicit(&request->h2, memory_order_relaxed));
    ad_free(request->method);
    ad_free(request);
}

/* "name[:port]" -> as it is written for this request's scheme. */
static int parse_authority(const struct aioduct_request *request, const char *text,
                           struct ad_url *out)
{
    struct ad_buf url = {0};
    if (text[strcspn(text, "/?#@")] != '\0') {
        return -EINVAL;
    }
    int code = -ENOMEM;
    if (ad_buf_append_str(&url, request->url.scheme) == 0 && ad_buf_append_str(&url, "://") == 0 &&
        ad_buf_append(&url, text, strlen(text) + 1) == 0) {
        code = ad_url_parse((const char *)ad_buf_data(&url), URL_PARSE_BYTES_MAX, out, NULL);
    }
    ad_buf_fini(&url);
    return code == 0 || code == -ENOMEM ? code : -EINVAL;
}

int ad_request_authority_set(struct aioduct_request *request, const char *authority)
{
    struct ad_url parsed;
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    int code = parse_authority(request, authority, &parsed);
    if (code < 0) {
        return code;
    }
    char *copy = ad_strdup(parsed.authority);
    ad_url_fini(&parsed);
    if (copy == NULL) {
        return -ENOMEM;
    }
    ad_free(request->authority);
    request->authority = copy;
    return 0;
}

/* ---- other protocols ---- */

static bool is_connect(const struct aioduct_request *request)
{
    return strcmp(request->method, "CONNECT") == 0;
}

int ad_request_upgrade(struct aioduct_request *request, const char *protocol)
{
    struct ad_slice name = ad_slice_trim(ad_slice_of(protocol));
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    /* HTTP/2 is never asked for this way (C53). */
    if (name.bytes == 0 || !ad_h1_is_field_value(name.p, name.bytes) || is_connect(request) ||
        ad_slice_list_has(name, "h2c")) {
        return -EINVAL;
    }
    char *copy = ad_strndup(name.p, name.bytes);
    if (copy == NULL) {
        return -ENOMEM;
    }
    ad_free(request->upgrade);
    request->upgrade = copy;
    return 0;
}

/* The target is written with its port, whatever the scheme's is (C17). */
static int write_target(const struct ad_url *url, char **out)
{
    char port[8];
    struct ad_buf text = {0};
    bool is_ip6 = strchr(url->host, ':') != NULL;
    int port_bytes = snprintf(port, sizeof port, ":%u", url->port);
    if (ad_buf_append_str(&text, is_ip6 ? "[" : "") < 0 ||
        ad_buf_append_str(&text, url->host) < 0 ||
        ad_buf_append_str(&text, is_ip6 ? "]" : "") < 0 ||
        ad_buf_append(&text, port, (size_t)port_bytes + 1) < 0) {
        ad_buf_fini(&text);
        return -ENOMEM;
    }
    *out = (char *)text.block;
    return 0;
}

int ad_request_tunnel(struct aioduct_request *request, const char *target)
{
    struct ad_url parsed;
    char *text;
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    const char *colon = strrchr(target, ':');
    if (!is_connect(request) || colon == NULL || colon[1] < '0' || colon[1] > '9' ||
        strchr(colon, ']') != NULL) {
        return -EINVAL;
    }
    int code = parse_authority(request, target, &parsed);
    if (code < 0) {
        return code;
    }
    code = write_target(&parsed, &text);
    ad_url_fini(&parsed);
    if (code == 0) {
        ad_free(request->tunnel);
        request->tunnel = text;
    }
    return code;
}

/* ---- bodies ---- */

/* Take over a body if it does not contradict what was declared; the one before is dropped. */
static int set_body(struct aioduct_request *request, enum ad_body_kind kind, int64_t length)
{
    enum ad_body_kind old_kind = request->body_kind;
    int64_t old_length = request->body_length;
    request->body_kind = kind;
    request->body_length = length;
    int code = ad_request_framing_check(request);
    if (code < 0) {
        request->body_kind = old_kind;
        request->body_length = old_length;
        return code;
    }
    ad_free(request->body_copy);
    request->body_copy = NULL;
    request->body = NULL;
    return 0;
}

int ad_request_body_memory(struct aioduct_request *request, const void *bytes, size_t count,
                           bool copy)
{
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    if (count > INT64_MAX || (bytes == NULL && count > 0)) {
        return -EINVAL;
    }
    uint8_t *own = NULL;
    if (copy && count > 0) {
        own = ad_alloc(count);
        if (own == NULL) {
            return -ENOMEM;
        }
        memcpy(own, bytes, count);
    }
    int code = set_body(request, AD_BODY_MEMORY, (int64_t)count);
    if (code < 0) {
        ad_free(own);
        return code;
    }
    request->body_copy = own;
    request->body = own != NULL ? own : bytes;
    return 0;
}

int ad_request_body_file(struct aioduct_request *request, int fd, int64_t offset, int64_t length)
{
    struct stat status;
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    /* Reading anything else may wait, and the loop with it. */
    if (!S_ISREG(status.st_mode) || offset < 0 || offset > status.st_size ||
        length < AIODUCT_LENGTH_UNKNOWN || length > status.st_size - offset) {
        return -EINVAL;
    }
    int code = set_body(request, AD_BODY_FILE,
                        length == AIODUCT_LENGTH_UNKNOWN ? status.st_size - offset : length);
    if (code == 0) {
        request->file_fd = fd;
        request->file_offset = offset;
        posix_fadvise(fd, offset, request->body_length, POSIX_FADV_SEQUENTIAL);
    }
    return code;
}

int ad_request_body_push(struct aioduct_request *request, int64_t length)
{
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    return length < AIODUCT_LENGTH_UNKNOWN ? -EINVAL : set_body(request, AD_BODY_PUSH, length);
}

int ad_request_body_pull(struct aioduct_request *request, const struct aioduct_body_source *source,
                         int64_t length)
{
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    if (source->read == NULL || length < AIODUCT_LENGTH_UNKNOWN) {
        return -EINVAL;
    }
    int code = set_body(request, AD_BODY_PULL, length);
    if (code == 0) {
        request->source = *source;
    }
    return code;
}

/* ---- where the answer goes ---- */

int ad_request_into_memory(struct aioduct_request *request, void *memory, size_t capacity)
{
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    request->sink_kind = AD_SINK_MEMORY;
    request->sink_memory = memory;
    request->sink_room = capacity;
    return 0;
}

int ad_request_into_file(struct aioduct_request *request, int fd, int64_t offset)
{
    struct stat status;
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &status) < 0) {
        return -errno;
    }
    /* Writing to anything else may wait, and the loop with it; O_APPEND knows no offset. */
    if (!S_ISREG(status.st_mode) || (flags & O_ACCMODE) == O_RDONLY ||
        offset < AIODUCT_OFFSET_CURRENT || (offset >= 0 && (flags & O_APPEND) != 0)) {
        return -EINVAL;
    }
    request->sink_kind = AD_SINK_FILE;
    request->sink_fd = fd;
    request->sink_offset = offset;
    return 0;
}

/* ---- the way ---- */

int ad_request_connect_to(struct aioduct_request *request, const char *target)
{
    char *host = NULL;
    int port = -1;
    if (atomic_load_explicit(&request->frozen, memory_order_relaxed)) {
        return -EBUSY;
    }
    int code = target == NULL ? 0 : ad_route_parse(target, &host, &port);
    if (code == 0 && target != NULL && host == NULL) {
        host = ad_strdup(request->url.host); /* the same host, another port */
        code = host == NULL ? -ENOMEM : 0;
    }
    if (code < 0) {
        return code;
    }
    ad_free(request->connect_host);
    request->connect_host = host;
    request->connect_port = port;
    return 0;
}
