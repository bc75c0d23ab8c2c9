/* SPDX-License-Identifier: MIT */
/* The states of one connection's answers: waiting for a head, in its lines, in the body that its
 * framing promises, in the trailers, and idle again. */
#include "proto/h1_private.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "proto/text.h"

#include <errno.h>

/* A head with more fields costs one allocation while it is delivered. */
#define HEADERS_ON_STACK 64

enum state {
    IDLE,     /* no answer is expected */
    START,    /* no byte of the next head has come, but perhaps an empty line */
    HEAD,     /* inside a head */
    LENGTH,   /* inside a body with a length */
    CHUNKS,   /* inside a chunked body */
    TRAILERS, /* after the last chunk */
    TO_CLOSE, /* inside a body that the peer's close ends */
    FAILED
};

struct ad_h1 {
    /* config */
    const struct ad_h1_limits *limits;
    const struct ad_h1_events *events;
    void *owner;

    /* the answer under way */
    enum state state;
    unsigned flags;           /* AD_H1_*: of the request */
    struct ad_h1_lines lines; /* of the head or trailers under way */
    struct ad_buf gathered;   /* their bytes, if they cross slices; else no memory */
    struct ad_h1_chunk chunk; /* CHUNKS */
    uint64_t left;            /* LENGTH: bytes still to come */
    uint64_t length, got;     /* of the body: declared, delivered */
    uint64_t head_bytes;      /* of all heads */
    uint32_t interim_count;
    int failed_code;
    uint8_t empty_line; /* START: bytes of the CRLF before a head that have come */
    uint8_t version;
    bool fresh; /* nothing ever came on this connection */
    bool held, reusable;
    bool got_bytes, got_head;
    bool completed; /* during the feed under way */
};

/* ---- life ---- */

int ad_h1_create(const struct ad_h1_limits *limits, const struct ad_h1_events *events, void *owner,
                 struct ad_h1 **out)
{
    AD_ASSERT(limits != NULL && events != NULL);
    struct ad_h1 *h1 = ad_zalloc(sizeof *h1);
    if (h1 == NULL) {
        return -ENOMEM;
    }
    h1->limits = limits;
    h1->events = events;
    h1->owner = owner;
    h1->fresh = true;
    *out = h1;
    return 0;
}

void ad_h1_destroy(struct ad_h1 *h1)
{
    if (h1 != NULL) {
        ad_buf_fini(&h1->gathered);
        ad_free(h1);
    }
}

void ad_h1_renew(struct ad_h1 *h1, void *owner, bool first)
{
    if (h1->gathered.block != NULL) {
        ad_buf_fini(&h1->gathered);
    }
    h1->state = IDLE; /* the rest is set when an answer is expected, and as it comes */
    h1->owner = owner;
    h1->fresh = first;
    h1->held = h1->got_bytes = h1->got_head = false;
}

static void begin_head(struct ad_h1 *h1)
{
    h1->state = START;
    h1->lines = (struct ad_h1_lines){0};
    h1->empty_line = 0;
}

void ad_h1_expect(struct ad_h1 *h1, unsigned flags)
{
    AD_ASSERT(h1->state == IDLE);
    begin_head(h1);
    h1->flags = flags;
    h1->left = h1->length = h1->got = h1->head_bytes = 0;
    h1->interim_count = 0;
    h1->got_bytes = h1->got_head = h1->held = false;
}

/* ---- ends ---- */

/* The last thing that a feed does with @h1: on_complete may expect the next answer. */
static void complete(struct ad_h1 *h1, bool reusable)
{
    AD_ASSERT(h1->state != IDLE && h1->state != FAILED);
    h1->state = IDLE;
    h1->completed = true;
    h1->events->on_complete(h1->owner, reusable);
}

static int fail(struct ad_h1 *h1, int code, struct aioduct_error *error)
{
    h1->state = FAILED;
    h1->failed_code = code;
    ad_buf_fini(&h1->gathered);
    if (error != NULL) {
        error->partial = h1->got > 0;
    }
    return code;
}

static int fail_again(const struct ad_h1 *h1, struct aioduct_error *error)
{
    return ad_error_set(error, h1->failed_code, AIODUCT_PHASE_HEAD,
                        "the connection broke the protocol before");
}

/* ---- heads ---- */

/* Bytes that are not how an answer begins: say what they are, as far as they are known. */
static int refuse_start(struct ad_h1 *h1, const uint8_t *bytes, size_t count, bool http,
                        struct aioduct_error *error)
{
    char begin[32];
    char shown[sizeof begin * 4 + 1];
    size_t have = ad_buf_bytes(&h1->gathered);
    AD_ASSERT(have < sizeof begin);
    if (have > 0) {
        memcpy(begin, ad_buf_data(&h1->gathered), have);
    }
    size_t more = count < sizeof begin - have ? count : sizeof begin - have;
    memcpy(begin + have, bytes, more);
    have += more;
    ad_text_escape(begin, have, shown, sizeof shown);
    if (http) {
        return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                            "neither HTTP/1.1 nor HTTP/1.0: the answer starts with \"%s\"", shown);
    }
    ad_error_set(error, AIODUCT_E_NOT_HTTP, AIODUCT_PHASE_HEAD,
                 "not HTTP: the answer starts with \"%s\"", shown);
    if (have >= 2 && (begin[0] == 0x15 || begin[0] == 0x16) && begin[1] == 0x03) {
        ad_error_hint(error, "the server speaks TLS on this port: use https://");
    } else if (have >= 4 && memcmp(begin, "SSH-", 4) == 0) {
        ad_error_hint(error, "an SSH server listens on this port");
    } else if (have >= 4 && begin[0] == 0 && begin[1] == 0 && begin[3] == 4) {
        ad_error_hint(error, "the server speaks HTTP/2 without asking");
    }
    return AIODUCT_E_NOT_HTTP;
}

/* The first nine bytes are known beforehand, so that garbage is refused at its first byte. */
static int check_start(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                       struct aioduct_error *error)
{
    static const char wanted[] = "HTTP/1.? ";
    uint64_t at = h1->lines.bytes;
    if (at == 0 && count >= sizeof wanted - 1 &&
        memcmp(bytes, "HTTP/1.1 ", sizeof wanted - 1) == 0) {
        return 0;
    }
    for (size_t i = 0; i < count && at < sizeof wanted - 1; i++, at++) {
        bool fits = wanted[at] == '?' ? bytes[i] == '0' || bytes[i] == '1' : bytes[i] == wanted[at];
        if (!fits) {
            return refuse_start(h1, bytes, count, at >= 5, error);
        }
    }
    return 0;
}

/* "HTTP/1.1 200 OK": the version was checked, llhttp's versions differ in the rest. */
static int check_status_line(struct ad_slice block, struct aioduct_error *error)
{
    const char *digits = block.p + 9;
    bool valid = block.bytes > 13 && digits[0] >= '1' && digits[0] <= '9';
    for (size_t i = 1; valid && i < 3; i++) {
        valid = digits[i] >= '0' && digits[i] <= '9';
    }
    if (valid && (digits[3] == ' ' || digits[3] == '\r')) {
        return 0;
    }
    char shown[64];
    const char *end = memchr(block.p, '\r', block.bytes);
    ad_text_escape(block.p, (size_t)(end - block.p), shown, sizeof shown);
    return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                        "malformed status line \"%s\"", shown);
}

static int refuse_lines(const struct ad_h1 *h1, enum ad_h1_lines_result result,
                        struct aioduct_error *error)
{
    const struct ad_h1_limits *limits = h1->limits;
    bool trailers = h1->state == TRAILERS;
    enum aioduct_phase phase = trailers ? AIODUCT_PHASE_BODY : AIODUCT_PHASE_HEAD;
    int limit_code = trailers ? AIODUCT_E_LIMIT : AIODUCT_E_HEAD_LIMIT;
    const char *what = trailers ? "trailer section" : "response head";
    switch (result) {
    case AD_H1_LINES_TOO_LONG:
        return ad_error_set(error, limit_code, phase, "%s larger than %u bytes (%s)", what,
                            trailers ? limits->trailer_bytes_max : limits->head_bytes_max,
                            trailers ? "trailer_bytes_max" : "head_bytes_max");
    case AD_H1_LINES_TOO_MANY:
        return ad_error_set(error, limit_code, phase,
                            "%s has more than %u fields (head_fields_max)", what,
                            limits->head_fields_max);
    case AD_H1_LINES_BARE_CR:
        return ad_error_set(error, AIODUCT_E_PROTOCOL, phase, "%s has a CR without LF", what);
    case AD_H1_LINES_BARE_LF:
        return ad_error_set(error, AIODUCT_E_PROTOCOL, phase, "%s has an LF without CR", what);
    default:
        return ad_error_set(error, AIODUCT_E_PROTOCOL, phase,
                            "%s has a line that begins with a space or tab", what);
    }
}

/* Take bytes of a head or trailer section. *out_block is set once it is whole; it lies in the slice
 * if it began there. */
static int64_t take_block(struct ad_h1 *h1, const uint8_t *bytes, size_t count, uint64_t bytes_max,
                          uint32_t lines_max, struct ad_slice *out_block,
                          struct aioduct_error *error)
{
    size_t used = 0;
    bool began_here = h1->lines.bytes == 0;
    *out_block = (struct ad_slice){0};
    enum ad_h1_lines_result result =
        ad_h1_lines_scan(&h1->lines, bytes, count, bytes_max, lines_max, &used);
    if (result > AD_H1_LINES_END) {
        return refuse_lines(h1, result, error);
    }
    if (result == AD_H1_LINES_END && began_here) {
        *out_block = (struct ad_slice){(const char *)bytes, used};
        return (int64_t)used;
    }
    if (ad_buf_append(&h1->gathered, bytes, used) < 0) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_HEAD, "out of memory");
    }
    if (result == AD_H1_LINES_END) {
        *out_block = (struct ad_slice){(const char *)ad_buf_data(&h1->gathered),
                                       ad_buf_bytes(&h1->gathered)};
    }
    return (int64_t)used;
}

/* What begins after the final head. */
static void enter_body(struct ad_h1 *h1, const struct ad_h1_framing *framing)
{
    h1->reusable = framing->reusable;
    h1->length = h1->left = 0;
    switch (framing->body) {
    case AD_H1_BODY_LENGTH:
        h1->state = LENGTH;
        h1->length = h1->left = (uint64_t)framing->length;
        break;
    case AD_H1_BODY_CHUNKED:
        h1->state = CHUNKS;
        h1->chunk = (struct ad_h1_chunk){0};
        break;
    case AD_H1_BODY_TO_CLOSE:
        h1->state = TO_CLOSE;
        break;
    case AD_H1_BODY_NONE:
        h1->state = LENGTH; /* of nothing: completes at once */
        break;
    }
}

static int deliver_interim(struct ad_h1 *h1, const struct aioduct_head *head,
                           struct aioduct_error *error)
{
    if (head->status == 101) {
        return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                            "101 Switching Protocols to a request without Upgrade");
    }
    if (h1->interim_count == h1->limits->interim_max) {
        return ad_error_set(error, AIODUCT_E_LIMIT, AIODUCT_PHASE_HEAD,
                            "more than %u interim responses (interim_max)",
                            h1->limits->interim_max);
    }
    h1->interim_count++;
    begin_head(h1);
    h1->events->on_interim(h1->owner, head);
    return 0;
}

static int deliver_head(struct ad_h1 *h1, const struct aioduct_head *head,
                        struct aioduct_error *error)
{
    struct ad_h1_framing framing;
    bool final = head->status >= 200 || (head->status == 101 && (h1->flags & AD_H1_UPGRADE) != 0);
    if (!final) {
        return deliver_interim(h1, head, error);
    }
    int result = ad_h1_framing_of(head, h1->flags, &framing, error);
    if (result < 0) {
        return result;
    }
    h1->got_head = true;
    h1->version = (uint8_t)head->version;
    enter_body(h1, &framing);
    h1->events->on_head(h1->owner, head);
    return 0;
}

static void deliver_trailers(struct ad_h1 *h1, struct ad_h1_fields *fields)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fields->count; i++) {
        if (ad_h1_trailer_allowed(&fields->headers[i])) {
            fields->headers[kept++] = fields->headers[i];
        }
    }
    if (kept > 0) {
        struct aioduct_head trailers = {.size = sizeof trailers,
                                        .version = h1->version,
                                        .reason = "",
                                        .header_count = kept,
                                        .headers = fields->headers};
        h1->events->on_trailers(h1->owner, &trailers);
    }
}

/* A head whose status line was checked. */
static int deliver_fields(struct ad_h1 *h1, struct ad_slice block,
                          const struct ad_h1_fields *fields, struct aioduct_error *error)
{
    struct aioduct_head head = {
        .size = sizeof head,
        .status = (block.p[9] - '0') * 100 + (block.p[10] - '0') * 10 + (block.p[11] - '0'),
        .version = block.p[7] == '1' ? 11 : 10,
        .reason = fields->reason.p,
        .reason_bytes = (uint32_t)fields->reason.bytes,
        .header_count = fields->count,
        .headers = fields->headers,
        .raw = block.p,
        .raw_bytes = (uint32_t)block.bytes,
    };
    return deliver_head(h1, &head, error);
}

static int deliver_block(struct ad_h1 *h1, struct ad_slice block, struct ad_h1_fields *fields,
                         struct aioduct_error *error)
{
    bool is_trailers = h1->state == TRAILERS;
    int result = is_trailers ? 0 : check_status_line(block, error);
    result = result < 0 ? result : ad_h1_fields_parse(fields, block, is_trailers, error);
    if (result < 0) {
        return result;
    }
    if (is_trailers) {
        deliver_trailers(h1, fields);
        return 0;
    }
    return deliver_fields(h1, block, fields, error);
}

/* A head that lies here whole, and is right. -> bytes taken; 0: none can be said to be */
static int64_t take_in_place(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                             struct aioduct_error *error)
{
    const struct ad_h1_limits *limits = h1->limits;
    struct aioduct_header on_stack[HEADERS_ON_STACK];
    struct ad_h1_fields fields = {.headers = on_stack, .room = HEADERS_ON_STACK};
    struct ad_slice block = {(const char *)bytes, count};
    if (count > limits->head_bytes_max) {
        block.bytes = limits->head_bytes_max;
    }
    block.bytes = ad_h1_fields_find(&fields, block);
    if (block.bytes == 0 || fields.count > limits->head_fields_max ||
        check_status_line(block, NULL) < 0) {
        return 0;
    }
    h1->head_bytes += block.bytes;
    int result = deliver_fields(h1, block, &fields, error);
    return result < 0 ? result : (int64_t)block.bytes;
}

/* A whole head or trailer section: parse it, tell the owner, give back what it took. */
static int take_whole_block(struct ad_h1 *h1, struct ad_slice block, struct aioduct_error *error)
{
    struct aioduct_header on_stack[HEADERS_ON_STACK];
    struct ad_h1_fields fields = {.headers = on_stack, .room = HEADERS_ON_STACK};
    struct aioduct_header *allocated = NULL;
    if (h1->lines.lines > HEADERS_ON_STACK) {
        allocated = ad_alloc(h1->lines.lines * sizeof *allocated);
        if (allocated == NULL) {
            return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_HEAD, "out of memory");
        }
        fields.headers = allocated;
        fields.room = h1->lines.lines;
    }
    int result = deliver_block(h1, block, &fields, error);
    ad_free(allocated);
    ad_buf_fini(&h1->gathered);
    return result;
}

/* One CRLF before the first head of a connection is skipped (RFC 9112 2.2 has it for servers; some
 * clients of old needed it, some servers of old sent it). -> bytes skipped */
static size_t skip_empty_line(struct ad_h1 *h1, uint8_t byte)
{
    static const char crlf[] = "\r\n";
    if (h1->fresh && h1->empty_line < 2 && byte == crlf[h1->empty_line]) {
        h1->empty_line++;
        return 1;
    }
    return 0;
}

static int64_t feed_head(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                         struct aioduct_error *error)
{
    struct ad_slice block;
    uint32_t fields_max = h1->limits->head_fields_max;
    if (h1->state == START) {
        size_t skipped = skip_empty_line(h1, bytes[0]);
        if (skipped > 0) {
            h1->head_bytes += skipped;
            return (int64_t)skipped;
        }
        if (h1->empty_line == 1) { /* CR without LF */
            return refuse_start(h1, bytes, count, false, error);
        }
        h1->fresh = false;
        h1->state = HEAD;
    }
    int result = check_start(h1, bytes, count, error);
    if (result < 0) {
        return result;
    }
    int64_t used = h1->lines.bytes == 0 ? take_in_place(h1, bytes, count, error) : 0;
    if (used != 0) {
        return used;
    }
    used = take_block(h1, bytes, count, h1->limits->head_bytes_max,
                      fields_max < UINT32_MAX ? fields_max + 1 : UINT32_MAX, &block, error);
    if (used > 0) {
        h1->head_bytes += (uint64_t)used;
    }
    if (used > 0 && block.p != NULL) {
        result = take_whole_block(h1, block, error);
    }
    return result < 0 ? result : used;
}

/* ---- bodies ---- */

static void deliver_body(struct ad_h1 *h1, const uint8_t *bytes, size_t count)
{
    h1->got += count;
    h1->events->on_body(h1->owner, bytes, count);
}

static int64_t feed_length(struct ad_h1 *h1, const uint8_t *bytes, size_t count)
{
    size_t piece = h1->left < count ? (size_t)h1->left : count;
    h1->left -= piece;
    deliver_body(h1, bytes, piece);
    return (int64_t)piece;
}

static int64_t feed_chunks(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                           struct aioduct_error *error)
{
    struct ad_slice data;
    int64_t used =
        ad_h1_chunk_feed(&h1->chunk, bytes, count, h1->limits->chunk_ext_max, &data, error);
    if (used < 0) {
        return used;
    }
    if (h1->chunk.state == AD_H1_CHUNK_LAST) {
        h1->state = TRAILERS;
        h1->lines = (struct ad_h1_lines){0};
    }
    if (data.bytes > 0) {
        deliver_body(h1, (const uint8_t *)data.p, data.bytes);
    }
    return used;
}

static int64_t feed_trailers(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                             struct aioduct_error *error)
{
    struct ad_slice block;
    /* The empty line at the end is framing, not a trailer. */
    int64_t used = take_block(h1, bytes, count, (uint64_t)h1->limits->trailer_bytes_max + 2,
                              h1->limits->head_fields_max, &block, error);
    if (used < 0 || block.p == NULL) {
        return used;
    }
    if (block.bytes > 2) {
        int result = take_whole_block(h1, block, error);
        if (result < 0) {
            return result;
        }
    }
    ad_buf_fini(&h1->gathered);
    complete(h1, h1->reusable);
    return used;
}

/* One event at most -> bytes consumed, negative when the connection is done for. */
static int64_t step(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                    struct aioduct_error *error)
{
    switch (h1->state) {
    case START:
    case HEAD:
        return feed_head(h1, bytes, count, error);
    case LENGTH:
        return feed_length(h1, bytes, count);
    case CHUNKS:
        return feed_chunks(h1, bytes, count, error);
    case TRAILERS:
        return feed_trailers(h1, bytes, count, error);
    case TO_CLOSE:
        deliver_body(h1, bytes, count);
        return (int64_t)count;
    default:
        return 0;
    }
}

int64_t ad_h1_feed(struct ad_h1 *h1, const uint8_t *bytes, size_t count,
                   struct aioduct_error *error)
{
    size_t used = 0;
    h1->completed = false;
    if (h1->state == FAILED) {
        return fail_again(h1, error);
    }
    while (used < count && !h1->held && !h1->completed && h1->state != IDLE) {
        h1->got_bytes = true;
        int64_t taken = step(h1, bytes + used, count - used, error);
        if (taken < 0) {
            return fail(h1, (int)taken, error);
        }
        used += (size_t)taken;
        /* The end needs no byte, so a hold does not keep it back. */
        if (!h1->completed && h1->state == LENGTH && h1->left == 0) {
            complete(h1, h1->reusable);
        }
    }
    return (int64_t)used;
}

int ad_h1_eof(struct ad_h1 *h1, struct aioduct_error *error)
{
    int code;
    switch (h1->state) {
    case IDLE:
        return 0;
    case FAILED:
        return fail_again(h1, error);
    case TO_CLOSE:
        complete(h1, false);
        return 0;
    case START:
    case HEAD:
        if (!h1->got_bytes) {
            code = ad_error_set(error, AIODUCT_E_CLOSED, AIODUCT_PHASE_HEAD,
                                "the peer closed the connection without an answer");
        } else {
            code = ad_error_set(error, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_HEAD,
                                "the peer closed the connection inside the response head");
        }
        break;
    case LENGTH:
        code = ad_error_set(error, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY,
                            "the peer closed the connection after %llu of %llu body bytes",
                            (unsigned long long)h1->got, (unsigned long long)h1->length);
        break;
    default:
        code = ad_error_set(error, AIODUCT_E_TRUNCATED, AIODUCT_PHASE_BODY,
                            "the peer closed the connection before the last chunk's end, after "
                            "%llu body bytes",
                            (unsigned long long)h1->got);
        break;
    }
    return fail(h1, code, error);
}

void ad_h1_hold(struct ad_h1 *h1)
{
    h1->held = true;
}

void ad_h1_unhold(struct ad_h1 *h1)
{
    h1->held = false;
}

/* ---- what is known ---- */

bool ad_h1_got_bytes(const struct ad_h1 *h1)
{
    return h1->got_bytes;
}

bool ad_h1_got_head(const struct ad_h1 *h1)
{
    return h1->got_head;
}

bool ad_h1_close_delimited(const struct ad_h1 *h1)
{
    return h1->state == TO_CLOSE;
}

int64_t ad_h1_body_left(const struct ad_h1 *h1)
{
    if (h1->state == IDLE) {
        return 0;
    }
    return h1->state == LENGTH ? (int64_t)h1->left : -1;
}

uint64_t ad_h1_head_bytes(const struct ad_h1 *h1)
{
    return h1->head_bytes;
}
