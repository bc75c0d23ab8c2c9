/* SPDX-License-Identifier: MIT */
/* Which body follows a head, by the order of RFC 9112 6.3, and whether another request may use the
 * connection, by 9.3. Everything that two readers could understand differently is refused. */
#include "proto/h1_private.h"

#include "base/error.h"
#include "proto/text.h"

#include <aioduct/error.h>

struct facts {
    bool has_length, has_coding, keep_alive, close;
    bool chunked; /* the last coding is */
    bool chunked_before;
    int64_t length;
};

static struct ad_slice name_of(const struct aioduct_header *field)
{
    return (struct ad_slice){field->name, field->name_bytes};
}

static struct ad_slice value_of(const struct aioduct_header *field)
{
    return (struct ad_slice){field->value, field->value_bytes};
}

static int bad_length(struct aioduct_error *error, struct ad_slice value)
{
    char shown[48];
    ad_text_escape(value.p, value.bytes, shown, sizeof shown);
    return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                        "Content-Length \"%s\" is not a number of bytes", shown);
}

static int read_length(struct facts *facts, struct ad_slice value, struct aioduct_error *error)
{
    uint64_t length = 0;
    if (facts->has_length) {
        return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                            "the response has more than one Content-Length");
    }
    if (ad_slice_to_u64(value, INT64_MAX, &length) < 0) {
        return bad_length(error, value);
    }
    facts->has_length = true;
    facts->length = (int64_t)length;
    return 0;
}

/* Codings are applied in the order listed, over all fields; only the last one frames. A body whose
 * last coding is another one than chunked goes on to the end of the connection (RFC 9112 6.3). */
static int read_codings(struct facts *facts, struct ad_slice list, struct aioduct_error *error)
{
    bool any = false;
    facts->has_coding = true;
    while (list.bytes > 0) {
        const char *comma = memchr(list.p, ',', list.bytes);
        size_t part = comma == NULL ? list.bytes : (size_t)(comma - list.p);
        struct ad_slice coding = ad_slice_trim((struct ad_slice){list.p, part});
        part += comma != NULL;
        list.p += part;
        list.bytes -= part;
        if (coding.bytes == 0) {
            continue;
        }
        bool chunked = ad_slice_case_equal(coding, ad_slice_of("chunked"));
        if (chunked && facts->chunked_before) {
            return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                                "Transfer-Encoding is \"chunked\" more than once");
        }
        any = true;
        facts->chunked = chunked;
        facts->chunked_before |= chunked;
    }
    if (!any) {
        return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                            "Transfer-Encoding is empty");
    }
    return 0;
}

static int read_facts(const struct aioduct_head *head, bool bodiless, struct facts *facts,
                      struct aioduct_error *error)
{
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *field = &head->headers[i];
        int result = 0;
        switch (field->name_bytes) {
        case 10:
            if (ad_slice_case_equal(name_of(field), ad_slice_of("connection"))) {
                facts->close |= ad_slice_list_has(value_of(field), "close");
                facts->keep_alive |= ad_slice_list_has(value_of(field), "keep-alive");
            }
            break;
        case 14:
            if (ad_slice_case_equal(name_of(field), ad_slice_of("content-length"))) {
                result = read_length(facts, value_of(field), error);
            }
            break;
        case 17:
            if (!bodiless &&
                ad_slice_case_equal(name_of(field), ad_slice_of("transfer-encoding"))) {
                result = read_codings(facts, value_of(field), error);
            }
            break;
        default:
            break;
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

int ad_h1_framing_of(const struct aioduct_head *head, unsigned flags, struct ad_h1_framing *out,
                     struct aioduct_error *error)
{
    struct facts facts = {0};
    int status = head->status;
    bool tunnel = status == 101 || ((flags & AD_H1_CONNECT) != 0 && status / 100 == 2);
    bool bodiless =
        tunnel || (flags & AD_H1_HEAD) != 0 || status < 200 || status == 204 || status == 304;
    int result = read_facts(head, bodiless, &facts, error);
    if (result < 0) {
        return result;
    }
    if (!bodiless && facts.has_coding && facts.has_length) {
        return ad_error_set(error, AIODUCT_E_PROTOCOL, AIODUCT_PHASE_HEAD,
                            "HTTP/%d.%d response has both Content-Length and Transfer-Encoding",
                            head->version / 10, head->version % 10);
    }
    out->length = facts.length;
    if (bodiless || (facts.has_length && facts.length == 0)) {
        out->body = AD_H1_BODY_NONE;
    } else if (facts.chunked) {
        out->body = AD_H1_BODY_CHUNKED;
    } else if (facts.has_length) {
        out->body = AD_H1_BODY_LENGTH;
    } else {
        out->body = AD_H1_BODY_TO_CLOSE;
    }
    bool kept = !facts.close && (head->version > 10 || facts.keep_alive);
    bool odd_coding = facts.has_coding && head->version == 10;
    out->reusable = kept && !tunnel && !odd_coding && out->body != AD_H1_BODY_TO_CLOSE;
    return 0;
}

bool ad_h1_trailer_allowed(const struct aioduct_header *field)
{
    static const char *const dropped[] = {
        /* framing and connection */
        "content-length", "transfer-encoding", "te", "trailer", "connection", "keep-alive",
        "proxy-connection", "upgrade", "content-encoding", "content-type", "content-range",
        /* routing */
        "host", "location", "max-forwards",
        /* authentication */
        "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate",
        "authentication-info", "proxy-authentication-info",
        /* cookies */
        "cookie", "cookie2", "set-cookie", "set-cookie2"};
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        if (ad_slice_case_equal(name_of(field), ad_slice_of(dropped[i]))) {
            return false;
        }
    }
    return true;
}
