/* SPDX-License-Identifier: MIT */
/**
 * A request: method, URL, fields and body, built by setters and then frozen. Freezing serialises
 * the head once; from then on the object is immutable, shared by reference count and read by any
 * thread.
 *
 * The serialised head has one gap, where the User-Agent line of the sending client goes, because a
 * request may be sent over several clients, and Expect, which a resend may leave out.
 *
 * Life: create -> setters -> freeze -> head_write ... -> unref. Before the freeze one thread at a
 * time.
 */
#ifndef AD_HTTP_REQUEST_H
#define AD_HTTP_REQUEST_H

#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"
#include "proto/h2.h"
#include "proto/url.h"

#include <aioduct/request.h>
#include <stdatomic.h>
#include <stdbool.h>

enum ad_body_kind {
    AD_BODY_NONE = 0,
    AD_BODY_MEMORY, /* bytes, copied or borrowed */
    AD_BODY_FILE,   /* a range of a regular file */
    AD_BODY_PULL,   /* a callback */
    AD_BODY_PUSH    /* written by the caller while the exchange runs */
};

/* Where a 2xx answer's body goes. */
enum ad_sink_kind {
    AD_SINK_NONE = 0, /* to on_body */
    AD_SINK_MEMORY,
    AD_SINK_FILE
};

/* The head as HTTP/2 has it, made when a request is first sent so. */
struct ad_request_h2 {
    uint32_t count;
    struct ad_h2_field fields[]; /* their text follows, or is the request's */
};

/* What a request may say of its own, instead of the client. */
enum ad_timeout {
    AD_TIMEOUT_CONNECT,
    AD_TIMEOUT_ACQUIRE,
    AD_TIMEOUT_HEAD,
    AD_TIMEOUT_READ_GAP,
    AD_TIMEOUT_WRITE_GAP,
    AD_TIMEOUT_EXPECT,
    AD_TIMEOUT_TOTAL,
    AD_TIMEOUT_COUNT
};

/* One field of the caller's, in one block: name, NUL, value, NUL. */
struct ad_field {
    struct ad_list node;
    struct ad_slice name, value;
};

struct aioduct_request {
    /* shared */
    _Atomic unsigned refs;
    _Atomic bool frozen;
    _Atomic bool pull_busy;             /* an exchange is reading the source */
    _Atomic bool sink_busy;             /* an exchange may write there */
    _Atomic(struct ad_request_h2 *) h2; /* NULL: not made yet */

    /* immutable once frozen */
    char *method;
    struct ad_url url;
    size_t url_bytes;     /* of its text */
    uint64_t origin_hash; /* of scheme, host and port: the pool's key */
    struct ad_list fields;
    struct ad_list trailers;  /* of struct ad_field; they make the body chunked on HTTP/1.1 */
    char *authority;          /* instead of the URL's in Host and :authority; NULL: the URL's */
    char *upgrade;            /* protocol that is asked for by Upgrade; NULL: none */
    char *tunnel;             /* host:port that CONNECT asks for; NULL: no CONNECT */
    bool no_agent, no_accept; /* the default field was removed or replaced */
    bool asterisk;            /* OPTIONS without a path asks for "*" */
    bool is_head, idempotent, wants_close, wants_upgrade;

    enum ad_body_kind body_kind;
    int64_t body_length; /* AIODUCT_LENGTH_UNKNOWN: chunked */
    const uint8_t *body;
    uint8_t *body_copy;
    int file_fd; /* the caller's */
    int64_t file_offset;
    struct aioduct_body_source source;

    enum ad_sink_kind sink_kind;
    uint8_t *sink_memory; /* the caller's, of so many bytes */
    uint64_t sink_room;
    int sink_fd;         /* the caller's */
    int64_t sink_offset; /* AIODUCT_OFFSET_CURRENT: where its position is */

    bool expect; /* ask before the body is sent: Expect: 100-continue */
    bool declared_chunked;
    int64_t declared_length; /* the caller's Content-Length; -1: none */

    int version;
    char *connect_host;                     /* dialled instead of the URL's; NULL: not */
    int connect_port;                       /* -1: the URL's */
    int timeouts_ms[AD_TIMEOUT_COUNT];      /* 0: the client's; AIODUCT_NO_LIMIT: none */
    uint64_t recv_rate, send_rate;          /* bytes a second; 0: any */
    uint64_t recv_bytes_max;                /* 0: any */
    bool own_low_speed;                     /* false: the client's */
    uint64_t low_speed_bytes, low_speed_ns; /* a second, and for how long; 0: any speed */

    /* the head, made by freeze */
    char *head;
    size_t head_bytes;
    size_t agent_at; /* offset of the gap */
};

int ad_request_create(const char *method, const char *url, struct aioduct_request **out,
                      struct aioduct_error *error);
void ad_request_ref(struct aioduct_request *request);
void ad_request_unref(struct aioduct_request *request); /* NULL does nothing */
void ad_request_ref_many(struct aioduct_request *request, unsigned count);
void ad_request_unref_many(struct aioduct_request *request, unsigned count);

/* All of these: -EBUSY when frozen. */
/* "host:port", either may be empty; NULL: as the URL says. 0 | -EINVAL | -EBUSY | -ENOMEM */
int ad_request_connect_to(struct aioduct_request *request, const char *target);
int ad_request_authority_set(struct aioduct_request *request, const char *authority);
int ad_request_upgrade(struct aioduct_request *request, const char *protocol);
int ad_request_tunnel(struct aioduct_request *request, const char *target);
int ad_request_body_memory(struct aioduct_request *request, const void *bytes, size_t count,
                           bool copy);
int ad_request_body_file(struct aioduct_request *request, int fd, int64_t offset, int64_t length);
int ad_request_body_push(struct aioduct_request *request, int64_t length);
int ad_request_body_pull(struct aioduct_request *request, const struct aioduct_body_source *source,
                         int64_t length);

int ad_request_into_memory(struct aioduct_request *request, void *memory, size_t capacity);
int ad_request_into_file(struct aioduct_request *request, int fd, int64_t offset);

/* Host and :authority. */
static inline const char *ad_request_authority(const struct aioduct_request *request)
{
    const char *target = request->tunnel != NULL ? request->tunnel : request->url.authority;
    return request->authority != NULL ? request->authority : target;
}
/* Is its body what goes out raw, once the server has agreed to that? */
static inline bool ad_request_is_raw(const struct aioduct_request *request)
{
    return request->upgrade != NULL || request->tunnel != NULL;
}
/* Does something follow the head: a body, perhaps an empty one, or trailers? */
static inline bool ad_request_has_content(const struct aioduct_request *request)
{
    return !ad_request_is_raw(request) &&
           (request->body_kind != AD_BODY_NONE || !ad_list_empty(&request->trailers));
}
/* Is that chunked on HTTP/1.1? */
static inline bool ad_request_is_chunked(const struct aioduct_request *request)
{
    return !ad_request_is_raw(request) &&
           (request->body_length == AIODUCT_LENGTH_UNKNOWN || !ad_list_empty(&request->trailers));
}

/* ---- fields (request_fields.c): C18 and C19 are checked here ---- */
int ad_request_field_add(struct aioduct_request *request, const char *name, const char *value);
int ad_request_field_set(struct aioduct_request *request, const char *name, const char *value);
int ad_request_field_remove(struct aioduct_request *request, const char *name);
int ad_request_basic_auth(struct aioduct_request *request, const char *user, const char *password);
const struct ad_field *ad_request_field_find(const struct aioduct_request *request,
                                             const char *name);
int ad_request_trailer_add(struct aioduct_request *request, const char *name, const char *value);
/* May this go into a trailer section (C7)? 0 | -EINVAL */
int ad_request_trailer_check(struct ad_slice name, struct ad_slice value);
/* NULL: out of memory, or larger than any head. */
struct ad_field *ad_request_field_create(struct ad_slice name, struct ad_slice value);
void ad_request_field_list_fini(struct ad_list *fields);
void ad_request_fields_fini(struct aioduct_request *request);
/* Does what the caller declared fit the body it set? 0 | -EINVAL */
int ad_request_framing_check(const struct aioduct_request *request);

/* ---- the wire form (request_head.c) ---- */

/* First submit: check the framing, serialise, freeze. Again: nothing. 0 | -EINVAL | -ENOMEM */
int ad_request_freeze(struct aioduct_request *request);
/* Append the head, with @agent (a whole User-Agent line, may be empty) in its place, and Expect:
 * 100-continue if @expect. 0 | -ENOMEM */
int ad_request_head_write(const struct aioduct_request *request, struct ad_slice agent, bool expect,
                          struct ad_buf *out);
/* A body that may be expected is announced even when it is empty (RFC 9110 section 8.6). */
bool ad_request_announces_length(const struct aioduct_request *request);

/* ---- the HTTP/2 form (request_h2.c) ---- */

/* Of a frozen request; borrowed from it. NULL: out of memory. */
const struct ad_request_h2 *ad_request_h2(struct aioduct_request *request);
/* For people: "name: value" and CRLF for each field, those of one sending too, and an empty line.
 * 0 | -ENOMEM, with @out empty */
int ad_request_h2_write(struct aioduct_request *request, const struct ad_h2_field *extra,
                        size_t extra_count, struct ad_buf *out);

#endif
