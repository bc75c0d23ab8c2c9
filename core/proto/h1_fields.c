/* SPDX-License-Identifier: MIT */
/* llhttp splits a whole block into fields. It is given the block in one piece, so that every name
 * and value is one span; what it lets through in some versions is looked at again afterwards. */
#include "proto/h1_private.h"

#include "base/assert.h"
#include "base/error.h"
#include "proto/text.h"

#include <llhttp.h>
#include <pthread.h>

static int on_header_field(llhttp_t *parser, const char *at, size_t bytes)
{
    struct ad_h1_fields *out = parser->data;
    if (out->count == out->room) {
        return -1;
    }
    out->headers[out->count++] = (struct aioduct_header){
        .name = at, .name_bytes = (uint32_t)bytes, .value = at + bytes, .value_bytes = 0};
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t bytes)
{
    struct ad_h1_fields *out = parser->data;
    struct aioduct_header *field = &out->headers[out->count - 1];
    field->value = at;
    field->value_bytes = (uint32_t)bytes;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct ad_h1_fields *out = parser->data;
    out->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

/* ---- llhttp ---- */

/* One that has read a status line. Ours, since an answer's own is looked at by h1.c, which has to
 * know it sooner, and trailers have none. Every section of fields goes on from a copy. */
static llhttp_t behind_status_line;

static void read_status_line(void)
{
    static const char line[] = "HTTP/1.1 200 OK\r\n";
    llhttp_init(&behind_status_line, HTTP_RESPONSE, &settings);
    /* Both lengths together are refused by our own framing, which knows when there is no body. */
    llhttp_set_lenient_chunked_length(&behind_status_line, 1);
    llhttp_execute(&behind_status_line, line, sizeof line - 1);
}

/* @lines begins with the first field -> nothing is known to be wrong; else @code says what llhttp
 * found */
static bool run_llhttp(struct ad_h1_fields *out, llhttp_t *parser, struct ad_slice lines,
                       llhttp_errno_t *code)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_status_line);
    *parser = behind_status_line;
    parser->data = out;
    out->count = 0;
    out->complete = false;
    *code = llhttp_execute(parser, lines.p, lines.bytes);
    return *code == HPE_PAUSED && out->complete;
}

/* ---- what is wrong ---- */

/* The line that @at lies in, up to its colon: a name may be shown, a value may be a secret. */
static void name_of_line(struct ad_slice block, const char *at, char *out, size_t out_bytes)
{
    if (at == NULL || at < block.p || at >= block.p + block.bytes) {
        at = block.p;
    }
    const char *begin = at;
    while (begin > block.p && begin[-1] != '\n') {
        begin--;
    }
    const char *end = begin;
    while (end < block.p + block.bytes && *end != ':' && *end != '\r' && *end != '\n') {
        end++;
    }
    ad_text_escape(begin, (size_t)(end - begin), out, out_bytes);
}

static int refuse(struct aioduct_error *error, enum aioduct_phase phase, const char *name,
                  const char *what)
{
    return ad_error_set(error, AIODUCT_E_PROTOCOL, phase, "malformed header field \"%s\": %s", name,
                        what);
}

static int refuse_length(struct aioduct_error *error, enum aioduct_phase phase)
{
    return ad_error_set(error, AIODUCT_E_PROTOCOL, phase,
                        "Content-Length is not a number of bytes");
}

static int refuse_llhttp(struct ad_slice block, const llhttp_t *parser, llhttp_errno_t code,
                         enum aioduct_phase phase, struct aioduct_error *error)
{
    char name[64];
    const char *at = llhttp_get_error_pos(parser);
    name_of_line(block, at, name, sizeof name);
    if (code == HPE_UNEXPECTED_CONTENT_LENGTH) {
        return ad_error_set(error, AIODUCT_E_PROTOCOL, phase,
                            "the response has more than one Content-Length");
    }
    if (code == HPE_INVALID_CONTENT_LENGTH) {
        return refuse_length(error, phase);
    }
    return refuse(error, phase, name, "illegal byte, or no colon after the name");
}

/* Spaces and tabs after a value are not part of it -> was there a tab? */
static bool trim_value(struct aioduct_header *field)
{
    bool tab = false;
    while (field->value_bytes > 0) {
        char last = field->value[field->value_bytes - 1];
        if (last != ' ' && last != '\t') {
            break;
        }
        tab = tab || last == '\t';
        field->value_bytes--;
    }
    return tab;
}

static bool is_content_length(const struct aioduct_header *field)
{
    return ad_slice_case_equal((struct ad_slice){field->name, field->name_bytes},
                               ad_slice_of("content-length"));
}

/* What some versions of llhttp let through: a name that is empty or no token, a tab after a
 * Content-Length. */
static bool has_odd_name(const struct aioduct_header *field)
{
    return !ad_h1_is_token(field->name, field->name_bytes);
}

static bool has_odd_length(struct aioduct_header *field)
{
    return trim_value(field) && is_content_length(field);
}

static int finish(struct aioduct_header *field, enum aioduct_phase phase,
                  struct aioduct_error *error)
{
    char name[64];
    if (has_odd_name(field)) {
        ad_text_escape(field->name, field->name_bytes, name, sizeof name);
        return refuse(error, phase, name, "the name is not a token");
    }
    return has_odd_length(field) ? refuse_length(error, phase) : 0;
}

static int check_reason(const struct ad_h1_fields *fields, struct aioduct_error *error)
{
    if (ad_h1_is_field_value(fields->reason.p, fields->reason.bytes)) {
        return 0;
    }
    return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                        "control byte in the response's reason phrase");
}

/* The rest of a status line is the reason. -> where the line ends; NULL: not with CRLF, here */
static const char *take_reason(struct ad_h1_fields *out, struct ad_slice head)
{
    const char *at = head.p + AD_H1_STATUS_BYTES;
    const char *cr = memchr(at, '\r', head.bytes - AD_H1_STATUS_BYTES);
    at += *at == ' ';
    if (cr == NULL || head.p + head.bytes - cr < 2 || cr[1] != '\n') {
        return NULL;
    }
    out->reason = (struct ad_slice){at, (size_t)(cr - at)};
    return cr + 2;
}

int ad_h1_fields_parse(struct ad_h1_fields *out, struct ad_slice block, bool trailers,
                       struct aioduct_error *error)
{
    enum aioduct_phase phase = trailers ? AIODUCT_PHASE_BODY : AIODUCT_PHASE_HEAD;
    llhttp_t parser;
    llhttp_errno_t code;
    struct ad_slice lines = block;
    out->reason = (struct ad_slice){block.p, 0};
    if (!trailers) {
        lines.p = take_reason(out, block);
        AD_ASSERT(lines.p != NULL);
        lines.bytes -= (size_t)(lines.p - block.p);
    }
    if (!run_llhttp(out, &parser, lines, &code)) {
        return refuse_llhttp(block, &parser, code, phase, error);
    }
    for (uint32_t i = 0; i < out->count; i++) {
        int result = finish(&out->headers[i], phase, error);
        if (result < 0) {
            return result;
        }
    }
    return check_reason(out, error);
}

/* ---- a head where it lies ---- */

/* Behind spaces, tabs and the CRLF that follow @at; NULL: something else follows. */
static const char *line_end(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? at + 2 : NULL;
}

/* "Name: value" with nothing but spaces and tabs between, so that no line is folded there. */
static bool on_one_line(const struct aioduct_header *field)
{
    const char *at = field->name + field->name_bytes;
    if (at >= field->value || *at != ':') {
        return false;
    }
    for (at++; at < field->value; at++) {
        if (*at != ' ' && *at != '\t') {
            return false;
        }
    }
    return true;
}

size_t ad_h1_fields_find(struct ad_h1_fields *out, struct ad_slice bytes)
{
    llhttp_t parser;
    llhttp_errno_t code;
    const char *end = bytes.p + bytes.bytes;
    const char *at = bytes.bytes > AD_H1_STATUS_BYTES ? take_reason(out, bytes) : NULL;
    if (at == NULL || check_reason(out, NULL) < 0 ||
        !run_llhttp(out, &parser, (struct ad_slice){at, (size_t)(end - at)}, &code)) {
        return 0;
    }
    for (uint32_t i = 0; i < out->count && at != NULL; i++) {
        struct aioduct_header *field = &out->headers[i];
        if (field->name != at || !on_one_line(field) || has_odd_name(field) ||
            has_odd_length(field)) {
            return 0;
        }
        at = line_end(field->value + field->value_bytes, end);
    }
    bool whole = at != NULL && end - at >= 2 && at[0] == '\r' && at[1] == '\n';
    return whole ? (size_t)(at + 2 - bytes.p) : 0;
}
